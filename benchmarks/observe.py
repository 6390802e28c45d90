"""How long it takes to know a host: `observe` against importing torch to ask it, and against Ansible's full `setup`.

Every round runs each way once, one after the other, so that all of them meet the same machine; the table has the medians.

    .venv/bin/python benchmarks/observe.py --torch /opt/wavesmith/envs/speech/current/bin/python
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OBSERVE = "from ansible_collections.wavesmith.provision.plugins.module_utils.observe.probe import observe; observe()"
TORCH = (
    "import torch; print(torch.version.cuda, torch.cuda.is_available(),"
    " [torch.cuda.get_device_properties(gpu) for gpu in range(torch.cuda.device_count())])"
)


def ways(target: str, torch: str | None) -> dict[str, list[str]]:
    """Return the command of each way to know a host."""
    ansible = [str(Path(sys.executable).with_name("ansible")), "localhost", "-i", "localhost,", "-c", "local"]
    ansible += ["-e", f"ansible_python_interpreter={target}", "-m"]
    found = {
        "observe, in a fresh Python": [target, "-c", OBSERVE],
        "observe, as a module run": [*ansible, "wavesmith.provision.observe"],
        "setup, as a module run": [*ansible, "ansible.builtin.setup"],
        "ping, as a module run": [*ansible, "ansible.builtin.ping"],
    }
    if torch:
        found["import torch and ask it"] = [torch, "-c", TORCH]
    return found


def main() -> None:
    """Time all ways and print the table."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--target", default=shutil.which("python3"), help="the Python that observes")
    options.add_argument("--torch", help="a Python that has torch")
    options.add_argument("--runs", type=int, default=7)
    arguments = options.parse_args()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "collections"),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal",
    }
    commands = ways(arguments.target, arguments.torch)
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _round in range(arguments.runs + 1):
        for name, command in commands.items():
            started = time.monotonic()
            subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.monotonic() - started)
    # The first round filled the caches of files and of compiled Python.
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    base = medians["observe, in a fresh Python"]
    print(f"{'':28}  median     min     max   ratio   ({arguments.runs} runs)")
    for name, median in medians.items():
        times = seconds[name][1:]
        print(f"{name:28} {median:6.3f}s {min(times):6.3f}s {max(times):6.3f}s {median / base:6.1f}x")


if __name__ == "__main__":
    main()
