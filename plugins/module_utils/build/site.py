"""Where one build takes place: its folders, the tools it is run with, and its build environment."""

from __future__ import annotations

import os
import shutil

from ..host import store
from ..host.job import Failed, Job
from ..host.tools import environment, explain, run_uv, uv
from ..host.wheels import kept_wheel, wheel_folder
from ..records.wheel import WheelSpec


class Site:
    """The place of one build. Entering it removes what a killed build left behind, leaving it whatever was not published."""

    def __init__(self, job: Job, root: str, spec: WheelSpec, package_index: str, turn: tuple[int, int]) -> None:
        self.job, self.root, self.spec, self.index, self.turn = job, root, spec, package_index, turn
        self.title = f"{spec['name']} {spec['version']}"
        self.folder = os.path.join(root, "build", spec["name"])
        self.staging = os.path.join(root, "wheels", f".staging-{spec['key']}")
        self.tools = environment(root, package_index)
        # ~/.pydistutils.cfg, ~/.config/pip and the like would change the build unseen.
        self.tools["HOME"] = self.at("home")
        self.tools["PIP_CONFIG_FILE"] = os.devnull

    def __enter__(self) -> Site:
        for folder in (os.path.join(self.root, "build"), self.staging, wheel_folder(self.root, self.spec["key"])):
            store.remove(folder)  # one build works on a host at a time
        for folder in (self.at("home"), self.at("out"), self.at("trial"), self.staging):
            os.makedirs(folder)
        return self

    def __exit__(self, *_: object) -> None:
        for folder in (os.path.join(self.root, "build"), self.staging):
            shutil.rmtree(folder, ignore_errors=True)

    def at(self, *names: str) -> str:
        """A path in the build's own folder."""
        return os.path.join(self.folder, *names)

    def say(self, detail: str) -> None:
        """Tell what is being done."""
        self.job.progress(f"building {self.title}", *self.turn, detail)

    def tool(self, *argv: str) -> None:
        """Run uv.

        Raises:
            Failed: what went wrong, explained.
        """
        try:
            run_uv(self.job, [uv(self.root), *argv], self.tools)
        except Failed as error:
            raise explain(error, f"building {self.title}", self.job.known) from error

    def environment(self, prefix: str) -> str:
        """A virtual environment with the build requirements and the wheels this one is compiled against; its Python."""
        python = os.path.join(prefix, "bin", "python")
        lock = f"{prefix}.txt"
        store.write_text(lock, self.spec["build_lock"])
        self.tool("venv", "--quiet", "--no-project", "--python", self.spec["python"], prefix)
        add = ("pip", "install", "--quiet", "--python", python)
        self.tool(*add, "--require-hashes", "-r", lock)
        for entry in self.spec["against"]:
            if entry["key"]:
                self.tool(*add, "--no-deps", "--no-index", kept_wheel(self.root, entry["key"]))
            else:
                store.write_text(lock, entry["lock"])
                self.tool(*add, "--require-hashes", "-r", lock)
        return python
