"""What goes wrong on a real host: a generation that works stays current, and the next run finishes the job.

The environment is one of its own (`faults`), so that what is broken here is nobody else's.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

FIRST = ["numpy"]
MORE = ["numpy", "soundfile"]
OTHER = ["numpy", "audioread"]

# Runs on the host: waits until a worker of the phase is there, then sends the signal to all of its processes.
CATCH = """
import glob, json, os, sys, time
phase, number = sys.argv[1], int(sys.argv[2])
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    for path in glob.glob("/opt/wavesmith/state/jobs/" + phase + "-*/job.json"):
        # Before its first word a worker has not told its starter that it is there: stopped then, both would wait for ever.
        if not os.path.exists(os.path.join(os.path.dirname(path), "progress.json")):
            continue
        try:
            with open(path) as file:
                os.killpg(os.getpgid(json.load(file)["pid"]), number)
            sys.exit(0)
        except (OSError, ValueError):
            pass  # of an earlier run, or not written yet
    time.sleep(0.005)
sys.exit("no worker of the phase " + phase + " came")
"""


@dataclass(frozen=True)
class Wavesmith:
    """The project's playbooks against one host, and what they made there."""

    host: Any
    ssh: Callable[..., subprocess.CompletedProcess[str]]
    start: Callable[..., subprocess.Popen[str]]
    name: str = "faults"

    def wanting(self, packages: list[str]) -> list[str]:
        """Return the arguments that ask for the environment with these packages."""
        wanted = {self.name: {"stack": "none", "packages": packages}}
        return ["--extra-vars", json.dumps({"wavesmith_environments": wanted})]

    def begin(self, packages: list[str], *more: str) -> subprocess.Popen[str]:
        """Start site.yml and return at once."""
        return self.start("site.yml", *self.wanting(packages), *more)

    def run(self, packages: list[str], *more: str, playbook: str = "site.yml") -> tuple[int, str]:
        """Run a playbook; return its exit status and output."""
        return finish(self.start(playbook, *self.wanting(packages), *more))

    def current(self) -> str:
        """Return the name of the current generation."""
        return str(self.host.check_output(f"readlink /opt/wavesmith/envs/{self.name}/current"))

    def works(self) -> bool:
        """Return whether the current generation computes."""
        python = f"/opt/wavesmith/envs/{self.name}/current/bin/python"
        return bool(self.host.run(f"{python} -c 'import numpy; assert numpy.arange(3).sum() == 3'").rc == 0)

    def catch(self, phase: str, number: signal.Signals) -> None:
        """Send a signal to the worker of a phase as soon as it works."""
        done = self.ssh("maker", f"sudo python3 - {phase} {number.value}", stdin=CATCH)
        assert done.returncode == 0, done.stderr


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a playbook; return its exit status and output."""
    output, _ = process.communicate(timeout=600)
    return process.returncode, output


@pytest.fixture(scope="module")
def wavesmith(host: Any, ssh: Any, start_playbook: Any) -> Iterator[Wavesmith]:
    """Return the environment with its first generation."""
    found = Wavesmith(host, ssh, start_playbook)
    status, output = found.run(FIRST)
    assert status == 0, output
    yield found
    host.run("sudo rm -rf /opt/wavesmith/envs/faults /home/plain/wavesmith")


def test_second_run_changes_nothing(wavesmith: Wavesmith) -> None:
    status, output = wavesmith.run(FIRST)
    assert status == 0 and "changed=0" in output, output


def test_second_run_makes_one_remote_run(wavesmith: Wavesmith) -> None:
    _, output = wavesmith.run(FIRST)
    assert re.search(r"REMOTE RUNS\s+\S+ 1$", output, re.MULTILINE), output


def test_deleted_file_gives_a_new_good_generation(wavesmith: Wavesmith) -> None:
    before = wavesmith.current()
    wavesmith.host.check_output(
        "sudo rm /opt/wavesmith/envs/faults/current/lib/python3*/site-packages/numpy/__init__.py"
    )
    status, output = wavesmith.run(FIRST)
    assert status == 0, output
    assert wavesmith.current() != before and wavesmith.works()


def test_swapped_library_gives_a_new_good_generation(wavesmith: Wavesmith) -> None:
    before = wavesmith.current()
    wavesmith.host.check_output(
        "sudo sh -c %s",
        "set -- /opt/wavesmith/envs/faults/current/lib/python3*/site-packages/numpy/_core/_multiarray_umath*.so;"
        ' cp /bin/true "$1.new" && mv "$1.new" "$1"',
    )
    status, output = wavesmith.run(FIRST)
    assert status == 0, output
    assert wavesmith.current() != before and wavesmith.works()


def test_rollback_goes_back_in_under_a_second(wavesmith: Wavesmith) -> None:
    first = wavesmith.current()
    assert wavesmith.run(MORE)[0] == 0
    assert wavesmith.current() != first
    status, output = wavesmith.run(MORE, "-v", playbook="playbooks/rollback.yml")
    assert status == 0 and wavesmith.current() == first, output
    seconds = re.search(r"seconds: ([0-9.e-]+)", output)
    assert seconds and float(seconds[1]) < 1.0, output


@pytest.mark.parametrize("phase", ["install", "verify"])
def test_kill_leaves_the_generation_and_the_next_run_finishes(wavesmith: Wavesmith, phase: str) -> None:
    assert wavesmith.run(FIRST)[0] == 0
    before = wavesmith.current()
    wavesmith.host.run(
        "sudo find /opt/wavesmith/envs/faults -mindepth 1 -maxdepth 1 -type d ! -name %s -exec rm -r {} +", before
    )
    process = wavesmith.begin(OTHER)
    wavesmith.catch(phase, signal.SIGKILL)
    status, output = finish(process)
    assert status != 0 and "was killed" in output and "Traceback" not in output, output
    assert wavesmith.current() == before and wavesmith.works()
    status, output = wavesmith.run(OTHER)
    assert status == 0, output
    assert wavesmith.current() != before and wavesmith.works()


def test_interrupted_controller_leaves_work_that_the_next_run_finishes(wavesmith: Wavesmith) -> None:
    assert wavesmith.run(FIRST)[0] == 0
    before = wavesmith.current()
    wavesmith.host.run(
        "sudo find /opt/wavesmith/envs/faults -mindepth 1 -maxdepth 1 -type d ! -name %s -exec rm -r {} +", before
    )
    process = wavesmith.begin(MORE)
    wavesmith.catch("install", signal.SIGCONT)
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] != 0
    assert wavesmith.current() == before and wavesmith.works()
    status, output = wavesmith.run(MORE)
    assert status == 0, output
    assert wavesmith.current() != before and wavesmith.works()


def test_second_run_at_the_same_time_is_refused(wavesmith: Wavesmith) -> None:
    assert wavesmith.run(FIRST)[0] == 0
    current = wavesmith.current()
    wavesmith.host.run(
        "sudo find /opt/wavesmith/envs/faults -mindepth 1 -maxdepth 1 -type d ! -name %s -exec rm -r {} +", current
    )
    first = wavesmith.begin(OTHER)
    wavesmith.catch("install", signal.SIGSTOP)
    try:
        status, output = wavesmith.run(MORE)
    finally:
        with contextlib.suppress(AssertionError):
            wavesmith.catch("install", signal.SIGCONT)
    assert status != 0 and "another run works on this host" in output and "Remedy" in output, output
    status, output = finish(first)
    assert status == 0, output


def test_full_disk_is_said_with_a_remedy(wavesmith: Wavesmith) -> None:
    status, output = wavesmith.run(FIRST, "--extra-vars", "wavesmith_root=/srv/small/wavesmith")
    assert status != 0 and "Traceback" not in output, output
    assert re.search(r"space|disk", output) and re.search("remedy", output, re.IGNORECASE), output


def test_unreachable_index_leaves_the_generation(wavesmith: Wavesmith) -> None:
    before = wavesmith.current()
    status, output = wavesmith.run(
        ["numpy", "librosa"], "--extra-vars", "wavesmith_package_index=https://127.0.0.1:9/simple"
    )
    assert status != 0 and "package_index does not answer" in output and "Traceback" not in output, output
    assert wavesmith.current() == before and wavesmith.works()


def test_user_without_root_gets_it_at_home(wavesmith: Wavesmith) -> None:
    status, output = wavesmith.run(FIRST, "--extra-vars", "ansible_user=plain")
    assert status == 0, output
    python = "/home/plain/wavesmith/envs/faults/current/bin/python"
    assert wavesmith.ssh("plain", f"{python} -c 'import numpy'").returncode == 0
