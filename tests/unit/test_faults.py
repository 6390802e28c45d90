"""The campaign of faults itself: its cable, its table, and one fault of each kind of a whole run over SSH."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import fleet
from tests import faults, faults_ssh


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says what it was told."""

    def answer() -> None:
        while True:
            try:
                near, _ = server.accept()
            except OSError:
                return
            threading.Thread(
                target=lambda near=near: [near.sendall(data) for data in iter(lambda: near.recv(99), b"")]
            ).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, daemon=True).start()
        yield int(server.getsockname()[1])


def test_a_cable_passes_on_holds_back_and_is_cut(echo: int) -> None:
    cable = faults_ssh.Cable(echo)
    with socket.create_connection(("127.0.0.1", cable.port)) as end:
        end.settimeout(2)
        end.sendall(b"one")
        assert end.recv(9) == b"one"
        cable.hold(True)
        end.sendall(b"two")
        end.settimeout(0.3)
        with pytest.raises(TimeoutError):
            end.recv(9)
        end.settimeout(5)
        cable.hold(False)
        assert end.recv(9) == b"two", "what was held back comes"
        cable.cut()
        assert end.recv(9) == b""
    with socket.create_connection(("127.0.0.1", cable.port)) as end:
        end.settimeout(5)
        end.sendall(b"again")
        assert end.recv(9) == b"again"


def test_the_numbers_by_kind_count_what_broke_and_what_did_not_converge() -> None:
    rows = [("a", "clock", "one", "yes"), ("b", "clock", "BROKEN: two", "no: x"), ("c", "network cut", "one", "yes")]
    lines = faults.summary(rows).splitlines()[2:]
    assert lines == ["| clock wrong by a year | 2 | 1 | 1 |", "| network cut | 1 | 0 | 1 |", "| all | 3 | 1 | 2 |"]


@pytest.mark.process
def test_a_killed_builder_leaves_no_half_wheel_and_the_next_build_makes_one() -> None:
    rows = faults.built(4)
    assert len(rows) == 4 and all(row[3] == "yes" and "BROKEN" not in row[2] for row in rows), rows
    assert "no wheel" in rows[0][2], "it was killed at its first event"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[faults_ssh.Site]:
    if not fleet.SSHD:
        pytest.skip("sshd is not here")
    folder = tmp_path_factory.mktemp("faults")
    with fleet.sshd(folder) as port:
        made = faults_ssh.Site(folder, port)
        assert made.ended(made.start()) == "done", (folder / "output").read_text()[-2000:]
        yield made
        faults_ssh.stop(made)


@pytest.mark.slow
@pytest.mark.parametrize("kind", faults_ssh.FAULTS)
def test_after_a_fault_of_a_run_over_ssh_the_host_is_whole_and_the_next_run_converges(
    site: faults_ssh.Site, kind: str
) -> None:
    _, _, then, converged = site.hit(kind, 6.0)
    said = (Path(site.folder) / "output").read_text()[-2000:]
    assert "BROKEN" not in then and converged == "yes", f"{then}; {converged}\n{said}"
