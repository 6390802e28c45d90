"""Play the first hour on three SSH hosts, then provision ten at once with bad package indexes, and write docs/first-hour.md of it.

    molecule/resources/hosts.sh python -m tests.first_hour [--keep]      (make first-hour)

It clones what is committed, and fails where a command does not end as it should. Addresses, the user and this machine's folders stand in
the transcript as README has them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .shell import Answer, Shell
from .sources import KINDS, serving
from .steps import DOCUMENT, ROOT, STEPS, Step, small_example

HOSTS = ROOT / "molecule" / "resources" / "hosts.py"
NAMES = [f"box{number:02}" for number in range(1, 11)]
BARE = "box11"
BAD = {"box02": "slow", "box04": "flapping", "box06": "waking", "box08": "silent"}
USER = "ada"
HEAD = """\
# The first hour

Written by `make first-hour` on {machine}: it types README's commands, word for word, on SSH hosts that it makes ({system} with systemd, {image}),
and fails where one does not end as it should. Each command is followed by its seconds, on {cores} cores that controller and hosts share, with a load of
{load:.0f} at the end. Addresses, the user and the folder of this checkout are written as README has them; an SSH key that the hosts take is there.
"""


class Fleet:
    """The hosts, their addresses, and how what is typed and shown differs from README."""

    def __init__(self, folder: Path) -> None:
        self.addresses, self.containers, self.user, self.home = dict[str, str](), dict[str, str](), "", folder / "home"
        self.instead, self._states = {"<this repository>": str(ROOT)}, list[Path]()
        (self.home / ".ssh").mkdir(parents=True)
        # ssh takes its settings from the home of who runs it, whatever HOME says.
        (folder / "bin").mkdir()
        (folder / "bin" / "ssh").write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {self.home}/.ssh/config "$@"\n')
        (folder / "bin" / "ssh").chmod(0o755)
        here = str(Path(sys.prefix) / "bin")
        path = [str(folder / "bin"), *(part for part in os.environ["PATH"].split(os.pathsep) if part != here)]
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ANSIBLE_", "WAVESMITH_", "MAKE", "MFLAGS", "VIRTUAL_ENV"))
        }
        self.environ = {**kept, "PATH": os.pathsep.join(path), "LC_ALL": "C.UTF-8", "VIRTUAL_ENV_DISABLE_PROMPT": "1"}

    def join(self, state: Path) -> None:
        """Take in the hosts of a state folder of hosts.py."""
        found = json.loads((state / "inventory" / "testbed.yml").read_text())["testbed"]
        for name, host in found["hosts"].items():
            self.addresses[name], self.containers[name] = str(host["ansible_host"]), str(host["testbed_container"])
        self.user = str(found["vars"]["ansible_user"])
        self._states.append(state)
        keys = "".join(f"IdentityFile {place}/ssh/key\n" for place in self._states)
        known = " ".join(f"{place}/ssh/known_hosts" for place in self._states)
        settings = f"{keys}UserKnownHostsFile {known}\nIdentitiesOnly yes\nStrictHostKeyChecking yes\n"
        (self.home / ".ssh" / "config").write_text(settings)
        said = {f"192.0.2.{number}": address for number, address in enumerate(self.addresses.values(), 11)}
        # Longest first: 10.88.0.1 begins 10.88.0.12.
        ordered = sorted(said.items(), key=lambda pair: -len(pair[1]))
        self.instead = {"<this repository>": str(ROOT), f"{USER}@": f"{self.user}@", **dict(ordered)}

    def typed(self, text: str) -> str:
        """What is typed for what README says."""
        for said, real in self.instead.items():
            text = text.replace(said, real)
        return text

    def shown(self, text: str) -> str:
        """What is shown for what was said here."""
        for said, real in self.instead.items():
            text = text.replace(real, said)
        return re.sub(rf"\b{self.user}\b", USER, text.replace(str(self.home), "~"))


@contextlib.contextmanager
def hosts(fleet: Fleet, state: Path, names: list[str], image: str = "") -> Iterator[None]:
    """SSH hosts for as long as this lasts, bare ones or from an image."""
    environ = {**os.environ, "MOLECULE_IMAGE": image}
    subprocess.run([sys.executable, str(HOSTS), "create", "--state", str(state), *names], env=environ, check=True)
    try:
        fleet.join(state)
        yield
    finally:
        subprocess.run([sys.executable, str(HOSTS), "destroy", "--state", str(state)], check=True)


@contextlib.contextmanager
def image_of(container: str) -> Iterator[str]:
    """An image of a host as it is now: its system packages need not be installed again."""
    name = f"localhost/wavesmith-first-hour:{container}"
    subprocess.run(["podman", "commit", "--quiet", "--pause=false", container, name], check=True)
    try:
        yield name
    finally:
        subprocess.run(["podman", "image", "rm", "--force", name], check=True)


def judge(step: Step, answer: Answer) -> str:
    """Why a command did not end as it should; empty: it did."""
    lines = answer.text.splitlines()
    if (answer.code != 0) != step.fails:
        return f"it ended with {answer.code}"
    if step.lines and len(lines) > step.lines:
        return f"it said {len(lines)} lines, not {step.lines} at most"
    return "" if re.search(step.says, answer.text) else f"it did not say {step.says!r}"


def picture(answer: Answer, pattern: str) -> str:
    """The last drawing of the board on which most hosts are in a phase."""
    drawn = [frame for frame in answer.frames if "so far" in frame]
    return max(drawn, key=lambda frame: (len(re.findall(pattern, frame)), drawn.index(frame)), default="")


class Transcript:
    """What was typed and said, as Markdown."""

    def __init__(self, fleet: Fleet, shell: Shell) -> None:
        self.fleet, self.shell, self.parts, self.wrong = fleet, shell, list[str](), list[str]()

    def play(self, step: Step) -> Answer:
        """Type a step, judge it, keep it."""
        print(f"$ {step.typed}", flush=True)
        answer = self.shell.type(self.fleet.typed(step.typed), step.answer, step.table)
        print(f"{answer.text}\n({answer.seconds:.1f} s)", flush=True)
        wrong = judge(step, answer)
        if wrong:
            print(f"WRONG: {wrong}", flush=True)
            self.wrong.append(f"{step.typed}: {wrong}")
        if step.heading:
            self.say(f"## {step.heading}\n")
        if step.text:
            self.say(f"{step.text}\n")
        if step.table:
            self.say(f"```text\n{self.fleet.shown(picture(answer, '▶'))}\n```\n")
        self.say(
            f"```console\n$ {step.typed}    # {answer.seconds:.1f} s\n{self.fleet.shown(answer.text)}\n```\n".replace(
                "\n\n```", "\n```"
            )
        )
        return answer

    def say(self, text: str) -> None:
        """Add a text."""
        self.parts.append(text)


def first_hour(transcript: Transcript) -> None:
    """Type what README says."""
    for step in STEPS:
        transcript.play(step)
        if step.typed.startswith("wavesmith init"):
            (transcript.fleet.home / "fleet" / "group_vars" / "all.yml").write_text(small_example())


WRONG = {
    "stranger": r"stranger: this host: it does not accept user nobody_here",
    "changed": r"changed: this host: its host key is not the one that is known",
    "unknown": r"unknown: this host: its host key is not known here",
    "bare": r"bare: host bare: it has no Python",
    "plain": r"are missing and user plain may not install them",
    "asks": r"are missing and user asks may not install them.*or add -K where sudo asks",
}
"""What is wrong with each host, and what has to be said of it."""


PASSWORD = "a horse, a battery"


def asked_for_a_password(fleet: Fleet) -> None:
    """A user of the bare host whose sudo asks for a password."""
    made = """\
useradd --create-home --shell /bin/bash asks
chpasswd
cp -r ~plain/.ssh ~asks/
chown -R asks:asks ~asks/.ssh
echo 'asks ALL=(ALL) ALL' >/etc/sudoers.d/asks
"""
    argv = ["podman", "exec", "-i", fleet.containers[BARE], "bash", "-euc", made]
    subprocess.run(argv, input=f"asks:{PASSWORD}\n", text=True, check=True)


def wrong_hosts(transcript: Transcript) -> None:
    """Plan hosts that cannot be reached or used as they are given, on real SSH."""
    fleet, folder = transcript.fleet, transcript.fleet.home / "wrong"
    folder.mkdir()
    asked_for_a_password(fleet)
    key = (fleet.home / ".ssh" / "other").with_suffix(".pub")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key.with_suffix(""))], check=True)
    (folder / "known_hosts").write_text(f"{fleet.addresses['box02']} {' '.join(key.read_text().split()[:2])}\n")
    given = {
        "stranger": ("box01", {"ansible_user": "nobody_here"}),
        "changed": ("box02", {"ansible_ssh_common_args": f"-o UserKnownHostsFile={folder}/known_hosts"}),
        "unknown": ("box02", {"ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null"}),
        "bare": ("box03", {}),
        "plain": (BARE, {"ansible_user": "plain"}),
        "asks": (BARE, {"ansible_user": "asks"}),
    }
    hosts = {
        name: {"ansible_host": fleet.addresses[box], "ansible_user": fleet.user, **own}
        for name, (box, own) in given.items()
    }
    environments = {"small": {"stack": "none", "packages": ["numpy"]}}
    (folder / "hosts.yml").write_text(
        json.dumps(
            {
                "all": {
                    "hosts": hosts,
                    "vars": {
                        "wavesmith_environments": environments,
                        "ansible_ssh_args": "-o ControlMaster=no -o ControlPath=none",
                    },
                }
            }
        )
    )
    transcript.say("## When it says no\n")
    transcript.say(
        "Six hosts of another inventory: a user whom the host does not know, a host key that is not the known one, a host key that is not known, a host whose\n"
        "`python3` somebody moved away, and two users on a host that lacks system packages: one without sudo, one whose sudo asks for a password.\n"
    )
    box03 = f"{fleet.user}@{fleet.addresses['box03']}"
    transcript.play(Step(fleet.shown(f"ssh {box03} sudo mv /usr/bin/python3 /usr/bin/python3.away"), ours=True))
    transcript.play(Step("cd ~/wrong", ours=True))
    answer = transcript.play(Step("wavesmith plan", ours=True, fails=True))
    unsaid = [name for name, said in WRONG.items() if not re.search(said, answer.text)]
    if unsaid:
        transcript.wrong.append(f"nothing is said of {', '.join(unsaid)}")
    transcript.play(Step(fleet.shown(f"ssh {box03} sudo mv /usr/bin/python3.away /usr/bin/python3"), ours=True))
    transcript.play(
        Step(
            "wavesmith provision -l asks -K",
            ours=True,
            answer="wrong",
            fails=True,
            text="A password that is wrong, then the right one:",
            says="sudo does not take the password that was given. Remedy",
        )
    )
    transcript.play(
        Step("wavesmith provision -l asks -K", ours=True, answer=PASSWORD, says="1 of 1 host healthy, 1 changed")
    )
    transcript.play(
        Step(
            "wavesmith provision -l asks",
            ours=True,
            text="What is there needs no password:",
            lines=5,
            says="1 of 1 host healthy, nothing to do",
        )
    )
    transcript.play(Step("wavesmith plan -i nowhere", ours=True, fails=True, says="there is no such file or folder"))
    transcript.play(Step("wavesmith plan -l strangr", ours=True, fails=True, says="did you mean stranger"))


def download(fleet: Fleet, folder: Path) -> None:
    """Fetch what hosts need into a folder: what the lock of the first hour and the toolbox's name."""
    locks = sorted((fleet.home / "fleet" / "locks").glob("small-*.txt"))
    lock = next(path for path in locks if "soxr" not in path.read_text())
    python = re.search(r"-python3(\d+)-", lock.name)
    assert python
    wanted = [lock, ROOT / "roles" / "toolbox" / "files" / "toolbox.txt"]
    argv = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        f"--python-version=3.{python[1]}",
        f"--dest={folder}",
    ]
    for path in wanted:
        subprocess.run([*argv, "--requirement", str(path)], check=True)


def ten_at_once(transcript: Transcript, folder: Path, gateway: str) -> None:
    """Provision ten hosts at once, four of them with a bad index, in a root of their own, so that they share nothing with the first hour."""
    fleet, inventory = transcript.fleet, transcript.fleet.home / "ten"
    download(fleet, folder)
    (inventory / "group_vars").mkdir(parents=True)
    with serving(folder, gateway) as indexes:
        fleet.instead["192.0.2.1"] = gateway

        def write(bad: dict[str, str]) -> None:
            hosts: dict[str, Any] = {
                name: {
                    "ansible_host": address,
                    "ansible_user": fleet.user,
                    "wavesmith_package_index": indexes.address(bad.get(name, "plain")),
                }
                for name, address in fleet.addresses.items()
                if name != BARE
            }
            (inventory / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts}}))

        write(BAD)
        (inventory / "group_vars" / "all.yml").write_text(
            "wavesmith_root: /opt/ten\nwavesmith_environments:\n  small: {stack: none, packages: [numpy, soundfile]}\n"
        )
        rows = "\n".join(f"| {name} | {kind} | {KINDS[kind]} |" for name, kind in BAD.items())
        transcript.say("## Ten hosts at once, four of them with a bad package index\n")
        transcript.say(
            f"| host | its index | it |\n| --- | --- | --- |\n{rows}\n| the others | plain | {KINDS['plain']} |\n"
        )
        transcript.play(Step("cd ~/ten", ours=True))
        transcript.play(
            Step(
                "wavesmith provision",
                ours=True,
                table=True,
                fails=True,
                says=r"box08: toolbox: the package index \(\S+\) gave no answer in 3 tries of 20 s each(?s:.*)9 of 10 hosts healthy",
                text="The board while they work, and what it says at the end:",
            )
        )
        asked = ", ".join(
            f"{kind} {sum(n for (_, which), n in indexes.asked.items() if which == kind)}" for kind in KINDS
        )
        transcript.say(f"Requests that each kind of index was asked: {asked}.\n")
        transcript.play(
            Step(
                "wavesmith status",
                ours=True,
                fails=True,
                says="box08  small        -",
                text="The host whose index is silent has nothing half-made; the others waited until that was known:",
            )
        )
        write({})
        transcript.play(
            Step(
                "wavesmith provision",
                ours=True,
                text="Its index answers now:",
                says="10 of 10 hosts healthy, 1 changed",
            )
        )
        transcript.play(
            Step(
                "wavesmith provision",
                ours=True,
                text="Ten hosts with nothing to do:",
                lines=14,
                says="10 of 10 hosts healthy, nothing to do",
            )
        )


def gateway_of() -> str:
    """The address under which hosts reach this machine."""
    said = subprocess.run(["podman", "network", "inspect", "podman"], capture_output=True, text=True, check=True).stdout
    found = re.search(r'"gateway": "([^"]+)"', said)
    assert found
    return found[1]


def main() -> int:
    """Play it, and write the document."""
    parser = argparse.ArgumentParser(prog="first_hour", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--three", action="store_true", help="leave out the ten hosts, and write nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="first-hour-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        fleet = Fleet(folder)
        image = os.environ.get("MOLECULE_IMAGE", "")
        stack.enter_context(hosts(fleet, folder / "three", NAMES[:3], image))
        shell = Shell(fleet.home, fleet.environ)
        stack.callback(shell.close)
        transcript = Transcript(fleet, shell)
        first_hour(transcript)
        if not arguments.three:
            stack.enter_context(hosts(fleet, folder / "bare", [BARE]))
            wrong_hosts(transcript)
            write(transcript, image)
            image = image or stack.enter_context(image_of(fleet.containers[NAMES[0]]))
            stack.enter_context(hosts(fleet, folder / "more", NAMES[3:], image))
            ten_at_once(transcript, folder / "wheels", gateway_of())
            write(transcript, os.environ.get("MOLECULE_IMAGE", ""))
    if transcript.wrong:
        raise SystemExit("\n".join(["first hour: see .cache/first-hour.md", *transcript.wrong]))
    return 0


def write(transcript: Transcript, image: str) -> None:
    """Keep what was said so far; in the documentation only where all was as it should be."""
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    said = "with their system packages" if image else "bare; those of the last chapter have their system packages"
    head = HEAD.format(
        machine=platform.machine(), image=said, load=os.getloadavg()[0], system=system, cores=os.cpu_count()
    )
    text = "\n".join([head, *transcript.parts]).rstrip() + "\n"
    (ROOT / ".cache").mkdir(exist_ok=True)
    (ROOT / ".cache" / "first-hour.md").write_text(text, encoding="utf-8")
    if not transcript.wrong:
        DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
