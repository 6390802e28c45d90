"""Package sources of several hosts at once, through Ansible: slow, flapping, silent, and really gone."""

from __future__ import annotations

import http.server
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .site import Site
from .test_observe import Flapping, serving, silent

pytestmark = pytest.mark.process
HOSTS = [f"box{number:02}" for number in range(1, 9)]


class Slow(http.server.BaseHTTPRequestHandler):
    """Answers after a second; `/gone` is not there."""

    def do_HEAD(self) -> None:
        time.sleep(1.0)
        self.send_response(404 if self.path.startswith("/gone") else 200)
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, *_arguments: Any) -> None:
        """Stay silent."""


@pytest.fixture
def indexes() -> Iterator[dict[str, str]]:
    with ExitStack() as stack:
        slow = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow))
        slow.daemon_threads = True
        threading.Thread(target=slow.serve_forever, daemon=True).start()
        stack.callback(slow.shutdown)
        address = f"http://127.0.0.1:{slow.server_port}"
        flapping = stack.enter_context(serving(Flapping))
        yield {
            "slow": f"{address}/simple",
            "gone": f"{address}/gone",
            "flapping": flapping,
            "silent": stack.enter_context(silent()),
        }


def runs(output: str) -> dict[str, int]:
    return {host: int(count) for host, count in re.findall(r"(\w+) (\d+)", output.partition("REMOTE RUNS")[2])}


def test_a_busy_network_refuses_no_host_and_a_definite_no_does(tmp_path: Path, indexes: dict[str, str]) -> None:
    site = Site(tmp_path, *HOSTS)
    kinds = ["slow", "flapping", "silent", "gone"] * 2
    for host, kind in zip(HOSTS, kinds, strict=True):
        site.hosts[host]["wavesmith_package_index"] = indexes[kind]
    began = time.monotonic()
    status, output = site.run("-e", "wavesmith_source_timeout=6")
    assert time.monotonic() - began < 40 and status != 0, output
    refused = {host for host in HOSTS if site.plan(host)["refusals"]}
    assert refused == {host for host, kind in zip(HOSTS, kinds, strict=True) if kind == "gone"}, output
    assert "the source package_index does not answer (HTTP 404: nothing at this address)" in output
    doubtful = {host for host in HOSTS if any("gave no answer" in text for text in site.plan(host)["warnings"])}
    by_kind = {kind: set(HOSTS[number::4]) for number, kind in enumerate(kinds[:4])}
    assert by_kind["silent"] <= doubtful <= by_kind["silent"] | by_kind["flapping"], output
    assert set(runs(output).values()) == {2}


def test_a_host_with_nothing_to_do_asks_no_source_and_costs_one_remote_run(
    tmp_path: Path, indexes: dict[str, str]
) -> None:
    site = Site(tmp_path, *HOSTS[:3])
    site.settle(*HOSTS[:3])
    site.variables["wavesmith_package_index"] = indexes["silent"]
    site.hosts[HOSTS[2]]["wavesmith_environments"] = {"other": {"stack": "none", "packages": ["numpy"]}}
    status, output = site.run("-e", "wavesmith_source_timeout=2")
    assert status == 0, output
    assert runs(output) == {HOSTS[0]: 1, HOSTS[1]: 1, HOSTS[2]: 2}
    assert site.plan(HOSTS[0])["steps"] == []
