"""A process' own folder goes with it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.models import scratch

pytestmark = pytest.mark.process

ROOMS = Path(scratch.__file__).resolve().parents[1]
START = f"""
import importlib, os, sys, types
package = sys.modules["wavesmith_rooms"] = types.ModuleType("wavesmith_rooms")
package.__path__ = [{str(ROOMS)!r}]
scratch = importlib.import_module("wavesmith_rooms.models.scratch")
made = scratch.folder(sys.argv[1])
(made / "sub").mkdir()
(made / "sub/file").write_text("x")
print(made, flush=True)
"""
Begin = Callable[..., "tuple[subprocess.Popen[str], Path]"]


@pytest.fixture
def begin(tmp_path: Path) -> Begin:
    """Begin a process that makes a folder of a kind and then does something; the process and its folder."""

    def start(kind: str, then: str, before: str = "") -> tuple[subprocess.Popen[str], Path]:
        argv = [sys.executable, "-c", before + START + then, kind]
        process = subprocess.Popen(
            argv, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        made = Path(process.stdout.readline().strip())
        assert made.name.startswith(f"wavesmith.{kind}."), process.communicate()
        return process, made

    return start


WAITS = "sys.stdin.read()\nimport time\nwhile True: time.sleep(0.05)\n"


@pytest.mark.parametrize(
    ("then", "code"),
    [("", 0), ("sys.exit(3)", 3), ("raise ValueError", 1), ("os.chdir(made)", 0), ("scratch.remove(made)", 0)],
    ids=["it ends", "it exits", "it raises", "it works there", "it is done with it"],
)
def test_it_goes_where_the_process_ends(begin: Begin, then: str, code: int) -> None:
    process, made = begin("metis", then)
    process.communicate()
    assert (process.returncode, made.exists()) == (code, False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=["TERM", "HUP", "INT"])
def test_it_goes_where_a_signal_ends_the_process_which_is_ended_by_it_still(begin: Begin, number: int) -> None:
    process, made = begin("vevo", WAITS)
    assert made.exists()
    process.send_signal(number)
    process.communicate()
    assert (process.returncode, made.exists()) == (-number, False)


def test_a_handler_of_the_process_stays(begin: Begin) -> None:
    process, made = begin("vevo", WAITS, "import signal\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n")
    process.terminate()
    process.communicate()
    assert (process.returncode, made.exists()) == (7, False)


@pytest.mark.parametrize("kind", ["diffrhythm2", "metis", "doctor"])
def test_of_a_killed_process_it_goes_with_the_next_of_its_kind(begin: Begin, kind: str) -> None:
    killed, left = begin(kind, WAITS)
    living, used = begin(kind, WAITS)
    killed.kill()
    killed.wait()
    assert left.exists(), "nobody was there to remove it"
    begin("other", "")[0].communicate()
    assert left.exists(), "it is of another kind"
    begin(kind, "")[0].communicate()
    assert not left.exists()
    assert (used / "sub/file").read_text() == "x", "that one is in use"
    living.terminate()
    living.wait()


def test_a_child_leaves_the_folder_to_its_parent(begin: Begin) -> None:
    process, made = begin(
        "metis", "pid = os.fork()\nif pid:\n    os.waitpid(pid, 0)\n    " + WAITS.replace("\n", "\n    ")
    )
    time.sleep(0.5)
    assert made.exists()
    process.terminate()
    process.communicate()
    assert not made.exists()


def test_links_and_files_of_that_name_are_left_alone(begin: Begin, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "kept").write_text("x")
    (tmp_path / "wavesmith.metis.link").symlink_to(mine)
    (tmp_path / "wavesmith.metis.file").write_text("x")
    begin("metis", "")[0].communicate()
    assert (mine / "kept").exists() and (tmp_path / "wavesmith.metis.file").exists()


@pytest.mark.parametrize("name", ["wavesmith-doctor-ab12cd34", "doctor-ab12cd34", "wavesmith.doctors.ab12cd34"])
def test_what_others_name_like_it_and_do_not_lock_is_left_alone(begin: Begin, tmp_path: Path, name: str) -> None:
    """a doctor of an older generation lost the folder that it worked in, and its checks ended with exit 0."""
    (tmp_path / name).mkdir()
    begin("doctor", "")[0].communicate()
    assert (tmp_path / name).is_dir()


def test_many_at_once_each_have_their_own(begin: Begin) -> None:
    started = [begin("metis", WAITS) for _ in range(6)]
    assert len({made for _, made in started}) == 6 and all(made.exists() for _, made in started)
    for process, _ in started:
        process.terminate()
        process.wait()
    assert not any(made.exists() for _, made in started)
