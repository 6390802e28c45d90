"""SIGKILL at random moments of provisioning: what is current always works, and the next run ends where it should.

Real playbooks on this machine, in a folder of their own, with both engines by turns. ``WAVESMITH_KILLS`` and ``WAVESMITH_SEED`` say how
many kills and which; a failure names the seed.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit import conda_channel

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("WAVESMITH_KILLS", "100"))
SEED = int(os.environ.get("WAVESMITH_SEED", str(random.SystemRandom().randrange(10**6))))
CONVERGE_AFTER = 4
"""Kills in a row before a run is left alone: killed work is met by work that is killed itself."""

pytestmark = pytest.mark.slow


class Campaign:
    """One host's folder, the wanted state that changes, and what was done to it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "root"
        self.random = random.Random(SEED)
        self.home = folder / "home"
        self.home.mkdir()
        (folder / "work").mkdir()
        version = conda_channel.make(folder / "voices", folder / "work")
        self.wanted: dict[str, Any] = {
            "wavesmith_root": str(self.root),
            "wavesmith_locks": str(folder / "locks"),
            "wavesmith_artifacts": str(folder / "artifacts"),
            "wavesmith_python": ".".join(version.split(".")[:2]),
            "wavesmith_conda_channels": [str(folder / "voices")],
            "wavesmith_keep_generations": 1,
        }
        self.log: list[str] = []
        self.note(f"seed {SEED}")
        self.change()

    def note(self, text: str) -> None:
        self.log.append(text)
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    def change(self) -> None:
        """Want another environment: the other engine, other packages, now and then a lock that is to be resolved anew."""
        settings = self.wanted.get("wavesmith_environments", {"tiny": {"engine": "venv"}})["tiny"]
        engine = "conda" if settings["engine"] == "venv" else "venv"
        packages = self.random.choice([["numpy"], ["numpy", "soundfile"]])
        self.wanted["wavesmith_environments"] = {"tiny": {"engine": engine, "stack": "none", "packages": packages}}
        if self.random.random() < 0.3:
            shutil.rmtree(self.folder / "locks", ignore_errors=True)
        self.note(f"want {engine} with {packages}")

    def start(self, playbook: str) -> subprocess.Popen[bytes]:
        extra = self.folder / "wanted.json"
        extra.write_text(json.dumps(self.wanted))
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.home),
        }
        argv = [Path(sys.prefix) / "bin" / "ansible-playbook", "-i", "inventories/local", playbook, "-e", f"@{extra}"]
        with (self.folder / "output").open("wb") as output:
            return subprocess.Popen(
                argv,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def finish(self, playbook: str = "site.yml") -> float:
        """Run a playbook to its end; returns the seconds it took."""
        started = time.monotonic()
        code = self.start(playbook).wait(600)
        assert code == 0, "\n".join([*self.log, (self.folder / "output").read_text()[-3000:]])
        self.note(f"{playbook} ended well")
        return time.monotonic() - started

    def kill(self, after: float) -> None:
        """Start the provisioning and kill it: only the controller, or the work on the host with it."""
        controller = self.start("site.yml")
        time.sleep(after)
        everything = self.random.random() < 0.5
        if controller.poll() is None:
            os.killpg(controller.pid, signal.SIGKILL)
        if everything:
            for pid in self.workers():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        controller.wait()
        self.note(f"killed {'everything' if everything else 'the controller'} after {after:.1f} s")

    def workers(self) -> list[int]:
        """Processes that this campaign's runs started: they name our folder, or hold a file of its state open."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            if int(place.name) == os.getpid():
                continue
            try:
                words = (place / "cmdline").read_bytes().decode(errors="replace")
                held = {os.readlink(link) for link in (place / "fd").iterdir()}
            except OSError:
                continue
            if str(self.root) in words or any(path.startswith(f"{self.root}/state") for path in held):
                found.append(int(place.name))
        return found

    def check(self) -> None:
        """Whatever is current is whole, was found healthy, and works."""
        folder = self.root / "envs" / "tiny"
        if not (folder / "current").is_symlink():
            return
        current = folder / os.readlink(folder / "current")
        said = "\n".join(self.log)
        assert (current / "wavesmith" / "manifest.json").is_file(), f"a half generation is current: {current}\n{said}"
        assert json.loads((current / "wavesmith" / "verdict.json").read_text())["exit"] == 0, said
        argv = [folder / "current" / "bin" / "python", "-c", "import pip, sys; print(sys.prefix)"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.stdout.strip() == str(current), f"{current} does not work: {done.stderr}\n{said}"

    def engine(self) -> str:
        manifest = json.loads((self.root / "envs" / "tiny" / "current" / "wavesmith" / "manifest.json").read_text())
        return str(manifest["engine"])


@pytest.fixture
def campaign() -> Iterator[Campaign]:
    with tempfile.TemporaryDirectory(prefix="wk") as folder:
        made = Campaign(Path(folder))
        yield made
        for pid in made.workers():
            os.kill(pid, signal.SIGKILL)


def test_after_a_hundred_kills_current_works_and_nothing_is_left_over(campaign: Campaign) -> None:
    longest = campaign.finish()
    for number in range(1, KILLS + 1):
        campaign.change()
        campaign.kill(campaign.random.uniform(0, longest))
        campaign.check()
        if number % CONVERGE_AFTER == 0 or number == KILLS:
            longest = max(longest, campaign.finish())
            campaign.check()
            campaign.finish("playbooks/prune.yml")  # else the next runs would find their generations and only switch
            assert campaign.engine() == campaign.wanted["wavesmith_environments"]["tiny"]["engine"], campaign.log
    campaign.finish("playbooks/prune.yml")
    campaign.check()
    root = campaign.root
    left = sorted(path.name for path in (root / "envs" / "tiny").iterdir())
    assert left == sorted(["current", os.readlink(root / "envs" / "tiny" / "current")])
    assert sorted(path.name for path in root.iterdir()) == ["bin", "cache", "envs", "state", "toolbox"]
    assert sorted(path.name for path in (root / "bin").iterdir()) == ["wavesmith-run"]
    assert len(list((root / "toolbox").iterdir())) == 2, "current and what it points to"
    scratch = [
        str(path)
        for path in root.rglob("*")
        if path.name.endswith((".tmp", ".part")) or path.name.startswith((".tmp", ".removing"))
    ]
    assert scratch == []
    assert {path.name.partition("-")[0] for path in (root / "state").iterdir()} <= {
        "doctor",
        "jobs",
        "lock",
        "tiny.history.json",
    }
