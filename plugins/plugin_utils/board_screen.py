"""The board on a terminal: a table that is drawn again several times a second, while everything else scrolls above it."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable

from ansible_collections.wavesmith.provision.plugins.module_utils.plan.record import PHASES
from ansible_collections.wavesmith.provision.plugins.plugin_utils.board import QUIET_PHASES, Host, Run, outcome
from ansible_collections.wavesmith.provision.plugins.plugin_utils.progress import duration
from ansible_collections.wavesmith.provision.plugins.plugin_utils.times import RECORDED
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

EVERY = 0.25
"""Seconds between two drawings."""
_BASES = {
    (True, False): "; left as earlier runs of this host and lock took",
    (False, True): "; ~ left as the plan estimates: there was no earlier run of this host and lock",
    (True, True): "; left as earlier runs of this host and lock took, ~ as the plan estimates",
}
"""By whether something is recorded, and whether something is not."""
NARROW = 100
"""Columns below which a host's phases share one column."""


class Screen:
    """Draws a run until it is stopped."""

    def __init__(self, run: Run, clock: Callable[[], float], colors: bool) -> None:
        self._run, self._clock = run, clock
        self._lock = threading.RLock()
        # A file of our own: Ansible holds the lock of its sys.stdout while it forks a worker, and while it prints through this console.
        sys.stdout.flush()
        own = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding=sys.stdout.encoding, errors="replace")
        self._console = Console(file=own, no_color=not colors, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="ellipsis")
        self._ended = threading.Event()
        self._began = clock()
        self._pid = os.getpid()

    def start(self) -> None:
        """Begin to draw."""
        self._live.start()
        atexit.register(self.stop)  # an interrupted run leaves the terminal as it was
        threading.Thread(target=self._draw, daemon=True).start()

    def stop(self) -> None:
        """Take the table away."""
        if self._ended.is_set() or os.getpid() != self._pid:
            return
        self._ended.set()
        with self._lock:
            self._live.stop()

    def _draw(self) -> None:
        while not self._ended.wait(EVERY):
            with self._lock:
                if not self._ended.is_set():
                    self._live.update(self.table(), refresh=True)

    def table(self) -> RenderableType:
        """The table as it is now."""
        return draw(self._run, self._clock(), self._began, self._console.width, self._console.height)


def draw(run: Run, now: float, began: float, width: int, height: int) -> RenderableType:
    """Hosts and their phases; those that work, failed or wait come first where there is no room for all."""
    hosts = sorted(run.hosts.values(), key=lambda host: not (host.now or host.failed or host.phases))
    shown = hosts[: max(3, height - 5)]
    phases = [phase for phase in PHASES if any(phase in host.phases for host in hosts)]
    wide = width >= NARROW
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", expand=True)
    table.add_column("host", no_wrap=True)
    for title in phases if wide else ["phase"]:
        table.add_column(title, no_wrap=True)
    table.add_column("", no_wrap=True, min_width=10 if phases else 0)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("left", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
    for host in shown:
        cells = [_cell(host, phase, now) for phase in phases] if wide else [_phase(host)]
        bar = (
            ProgressBar(100, 100 * host.share(now), width=10, complete_style="cyan", finished_style="green")
            if host.phases and not _bad(host)
            else Text("")
        )
        left, basis = host.left(now), host.estimate(host.now or "install").basis
        spent = host.elapsed(now) if host.now else sum(span.seconds for span in host.spans.values())
        table.add_row(
            Text(host.name, style="bold" if host.now else ""),
            *cells,
            bar,
            duration(spent),
            Text(f"{'' if basis == RECORDED else '~'}{duration(left)}" if left and not _bad(host) else ""),
            _doing(run, host),
        )
    lines: list[RenderableType] = [table]
    if len(hosts) > len(shown):
        lines.append(Text(f"and {len(hosts) - len(shown)} more hosts", style="dim"))
    open_phases = [
        (host, phase) for host in hosts for phase in host.phases if phase not in host.spans or host.now == phase
    ]
    recorded = {host.estimate(phase).basis == RECORDED for host, phase in open_phases if not _bad(host)}
    note = f"{duration(now - began)} so far"
    if recorded:
        note += _BASES[True in recorded, False in recorded]
    lines.append(Text(note, style="dim"))
    return Group(*lines)


def _bad(host: Host) -> bool:
    return host.failed or host.refused or host.unreachable


def _cell(host: Host, phase: str, now: float) -> Text:
    span = host.spans.get(phase)
    if span and span.failed:
        return Text(f"✗ {duration(span.seconds)}", style="red")
    if phase == host.now:
        return Text(f"▶ {duration(host.elapsed(now))}", style="cyan")
    if span:
        return Text(f"✓ {duration(span.seconds)}", style="green")
    waits = phase in host.phases and not _bad(host)
    return Text(f"· {duration(host.estimate(phase).seconds)}" if waits else "", style="dim")


def _phase(host: Host) -> Text:
    if _bad(host):
        return Text("✗", style="red")
    if host.now:
        return Text(f"▶ {host.now}", style="cyan")
    waiting = [phase for phase in host.phases if phase not in host.spans]
    return Text(f"· {waiting[0]}", style="dim") if waiting else Text("✓" if host.spans else "", style="green")


def _doing(run: Run, host: Host) -> Text:
    if _bad(host):
        return Text(outcome(run, host), style="red")
    if host.update:
        update = host.update
        count = f" {update['n']}/{update['m']}" if update["m"] else ""
        return Text(f"{update['doing']}{count} {update['detail']}".rstrip())
    if host.now:
        return Text("observing" if host.now == "plan" else "" if host.now in QUIET_PHASES else host.now, style="dim")
    if host.plan and not host.phases:
        return Text("nothing to do", style="dim")
    return Text("waiting" if any(phase not in host.spans for phase in host.phases) else "", style="dim")
