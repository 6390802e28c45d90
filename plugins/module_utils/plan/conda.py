"""The engine ``conda``, as far as it is decided: channels, what is asked of them, and the text of a lock.

A lock has one line for each package: its record as JSON, with the *name* of its channel, so that a mirror can serve it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

from ..records.generation import PythonOf
from ..records.host import SourceState
from ..records.plan import ChannelPackage, CondaPlan
from ..terms.digest import digest
from ..terms.refusal import Refusal
from ..wanted.variables import Environment, Wanted
from . import lockfile

ALIAS = "https://conda.anaconda.org"
"""Where conda's own tools look for channels that are given by name (conda's `channel_alias`)."""
NATIVE = {"espeak-ng": "espeak-ng", "ffmpeg": "ffmpeg", "compilers": "build-essential"}
"""What comes from the channel or from the system as a whole: the channel's name of it, and the system's."""
SUBDIRS = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}
RECORD = (
    "build",
    "build_number",
    "channel",
    "constrains",
    "depends",
    "fn",
    "license",
    "md5",
    "name",
    "noarch",
    "python_site_packages_path",
    "sha256",
    "size",
    "subdir",
    "timestamp",
    "track_features",
    "version",
)
"""What a lock keeps of a package's record: what linking needs, and what ``conda list`` and conda's solver ask for later."""


@dataclass(frozen=True)
class Channel:
    """Where packages come from: `name` stands in locks, `url` says where it lies."""

    name: str
    url: str


def channels(wanted: Wanted) -> tuple[Channel, ...]:
    """The channels in their order; each is a name (below the alias), a URL, or a folder of the host. A bundle has them by their names."""
    found = []
    for entry in wanted.conda_channels:
        name = entry.rstrip("/").rpartition("/")[2]
        if wanted.bundle:
            url = f"{wanted.bundle.rstrip('/')}/channels/{name}"
        elif "://" in entry:
            url = entry.rstrip("/")
        elif entry.startswith("/"):
            url = "file://" + entry.rstrip("/")
        else:
            url = f"{(wanted.conda_channel_alias or ALIAS).rstrip('/')}/{entry}"
        found.append(Channel(name, url))
    return tuple(found)


def sources(wanted: Wanted) -> dict[str, str]:
    """What to ask a host for, by the source's name, to know whether its channels answer."""
    if wanted.conda_offline or not any(environment.engine == "conda" for environment in wanted.environments):
        return {}
    return {_source(channel.name): f"{channel.url}/noarch/repodata.json" for channel in channels(wanted)}


def _source(channel: str) -> str:
    return f"channel {channel}"


def silent(environment: str, lock: CondaPlan, answers: Mapping[str, SourceState]) -> list[Refusal]:
    """Refusals for the channels of a lock's plan that were asked and do not answer."""
    found = []
    for channel in lock.get("channels", ()):
        state = answers.get(_source(channel["name"]), {"answers": True})
        if not state["answers"] and not state.get("inconclusive"):
            problem = f"the channel {channel['name']} does not answer ({state['detail']})"
            remedy = "check the network or proxy of the host, or name a mirror in wavesmith_conda_channels"
            found.append(Refusal(f"environment {environment}", problem, remedy))
    return found


def refusals(environment: Environment, wanted: Wanted, architecture: str) -> list[Refusal]:
    """Why an environment cannot be made as it is wanted on a host of this CPU architecture."""
    item = f"environment {environment.name}"
    found = []
    if environment.engine != "conda":
        if wanted.native == "channel":
            problem = "wavesmith_native is channel, but its engine is venv, which has no channel"
            found.append(Refusal(item, problem, "set engine: conda, or wavesmith_native: system"))
        return found
    names = [channel.name for channel in channels(wanted)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        problem = f"two channels are called {twice[0]!r}, so a lock could mean either"
        found.append(Refusal("variable wavesmith_conda_channels", problem, "keep one of them, or rename its folder"))
    if not names:
        problem = "it is empty, but engine conda takes Python from a channel"
        found.append(Refusal("variable wavesmith_conda_channels", problem, "name one, such as conda-forge"))
    if architecture not in SUBDIRS:
        found.append(Refusal(item, f"channels have no packages for {architecture}", "use a host of another kind"))
    return found


def build_refusals(environment: str, wanted: Wanted, built: Mapping[str, str], python: PythonOf) -> list[Refusal]:
    """Why packages cannot be built from source for an environment.

    Args:
        environment: Its name.
        wanted: The host's wanted state.
        built: Status of each package's wheel by the package's name.
        python: The system's Python they would be built with; its path is empty where it has none of that version.
    """
    item, found = f"environment {environment}", []
    todo = sorted(name for name, status in built.items() if status == "build")
    if todo and not python["path"]:
        problem = f"{', '.join(todo)} are built with the system's Python {python['version']}, which this host lacks"
        found.append(
            Refusal(item, problem, "install it with its headers, or set wavesmith_python to one that is there")
        )
    if wanted.native == "channel":
        problem = (
            f"{', '.join(sorted(built))} would be built with the system's compiler, while wavesmith_native: channel takes "
            "native software from the channel: one environment does not mix the two"
        )
        found.append(Refusal(item, problem, "set wavesmith_native: system, or leave these packages out"))
    return found


def lock_plan(
    environment: str,
    minor: str,
    architecture: str,
    wanted: Wanted,
    text_of: Mapping[str, str],
) -> tuple[CondaPlan, tuple[Refusal, ...]]:
    """What to ask the channels for, and whether the lock at hand answers just that.

    Args:
        environment: Its name.
        minor: Python's version, such as ``3.12``.
        architecture: The host's CPU architecture.
        wanted: The host's wanted state.
        text_of: Text of the locks at hand, by lock key.

    Returns:
        The plan, and refusals where the lock at hand is damaged.
    """
    native = sorted(NATIVE) if wanted.native == "channel" else []
    specs, subdir = [f"python {minor}.*", *native], SUBDIRS[architecture]
    banned = [] if native else sorted(NATIVE)
    asked = digest(
        {"specs": specs, "channels": [channel.name for channel in channels(wanted)], "subdir": subdir, "banned": banned}
    )
    stem = f"{environment}-python{minor.replace('.', '')}-conda-{subdir}{'-native' if native else ''}"
    found = lockfile.find(stem, asked, text_of)
    plan: CondaPlan = {
        "specs": specs,
        "subdir": subdir,
        "banned": banned,
        "key": found.key,
        "inputs": asked,
        "status": found.status,
        "sha256": digest(found.text) if found.status == "hit" else None,
        "channels": [{"name": channel.name, "url": channel.url} for channel in channels(wanted)],
        "offline": wanted.conda_offline,
    }
    return plan, found.damage


def lock_text(records: Sequence[ChannelPackage]) -> str:
    """The lock of solved records, which name their channel by name; the order is that of the file names."""
    lines = []
    for record in sorted(records, key=lambda record: str(record["fn"])):
        kept = {key: value for key, value in record.items() if key in RECORD and value not in (None, [], "")}
        lines.append(json.dumps(kept, sort_keys=True))
    return "".join(f"{line}\n" for line in lines)


def read_lock(text: str) -> list[ChannelPackage]:
    """The records of a lock.

    Raises:
        ValueError: a line is no record, or has no sha256; it says which.
    """
    found: list[ChannelPackage] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict) or not {"channel", "fn", "name", "subdir", "version"} <= set(record):
            raise ValueError(f"line {number} is no package")
        if not re.fullmatch("[0-9a-f]{64}", str(record.get("sha256", ""))):
            raise ValueError(f"line {number}, {record['name']}: it has no sha256")
        found.append(cast(ChannelPackage, record))
    return found


class _Info(TypedDict):
    subdir: str


_Page = TypedDict(
    "_Page",
    {
        "info": _Info,
        "packages": dict[str, dict[str, object]],
        "packages.conda": dict[str, dict[str, object]],
        "repodata_version": int,
    },
)
"""A channel's ``repodata.json`` (conda's CEP 36)."""


def repodata(records: Sequence[ChannelPackage]) -> dict[str, str]:
    """The index of channels that hold exactly these records, as relative path to text."""
    pages: dict[str, _Page] = {}
    for record in records:
        for subdir in ("noarch", *SUBDIRS.values()):
            page: _Page = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": {}, "repodata_version": 1}
            pages.setdefault(f"{record['channel']}/{subdir}/repodata.json", page)
        facts: dict[str, object] = {
            "depends": [],
            **{key: value for key, value in record.items() if key not in ("channel", "fn")},
        }
        page = pages[f"{record['channel']}/{record['subdir']}/repodata.json"]
        listed = page["packages.conda"] if record["fn"].endswith(".conda") else page["packages"]
        listed[record["fn"]] = facts
    return {path: json.dumps(page, indent=1, sort_keys=True) + "\n" for path, page in pages.items()}


def history(records: Sequence[ChannelPackage], specs: Sequence[str], when: str) -> str:
    """The text of ``conda-meta/history``, by which conda knows an environment and what was asked for."""
    lines = [f"==> {when} <==", "# cmd: wavesmith"]
    for record in sorted(records, key=lambda record: str(record["name"])):
        name = re.sub(r"(\.tar\.bz2|\.conda)$", "", str(record["fn"]))
        lines.append(f"+{record['channel']}/{record['subdir']}::{name}")
    wanted = ", ".join(repr(spec) for spec in specs)
    return "\n".join([*lines, f"# update specs: [{wanted}]"]) + "\n"
