"""What the kernel's log says of NVIDIA's driver, out of any text that holds its lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

INTERESTING = re.compile(
    r"NVRM|nvidia|nouveau|Linux version|is rejected|rejected by service|Required key not available|unsigned module",
    re.IGNORECASE,
)
"""A line without one of these says nothing here."""
_ADDRESS = re.compile(
    r"(?<![0-9a-f])(?:[0-9a-f]{4})?([0-9a-f]{4}):([0-9a-f]{2}):([0-9a-f]{2})(?:\.([0-7]))?", re.IGNORECASE
)
# What stands before a line's own words: of /dev/kmsg, of dmesg, of syslog and the journal.
_BEFORE = re.compile(
    r"^(?:<\d+>)?(?:\d+,\d+,\d+,[^;]*;|(?:[^\W\d]{3}\.? +\d+ [\d:]{8}|\d{4}-\d\d-\d\d\S*) \S+ \S+?(?:\[\d+\])?: ?)?(?:\[[^\]]*\]\s*)?"
)


@dataclass(frozen=True)
class Said:
    """One thing that the kernel said.

    Attributes:
        kind: Which, of `KINDS`.
        text: Its words, joined to one line.
        address: Bus address of the GPU, as sysfs writes it; empty where it names none.
        versions: Versions of drivers in it, in their order.
    """

    kind: str
    text: str
    address: str = ""
    versions: tuple[str, ...] = ()


# Kinds, what settles most first. Sources of the words: NVIDIA/open-gpu-kernel-modules:kernel-open/nvidia/nv-pci.c, and issues #322,
# #862 and #543 there; NixOS/nixos-hardware#1828; kernel/module/signing.c and security/lockdown of Linux; NVIDIA's list of Xid errors.
KINDS = {
    "rejected": re.compile(
        r"Key was rejected by service|Required key not available"
        r"|Loading of (?:unsigned )?module(?: with \w+ key)? is rejected|unsigned module loading is restricted",
        re.IGNORECASE,
    ),
    "too_old_for_open": re.compile(
        r"not supported by open nvidia\.ko|does not include the required GPU System Processor"
    ),
    "needs_open": re.compile(r"requires use of (?:the )?NVIDIA open kernel modules", re.IGNORECASE),
    "legacy": re.compile(
        r"supported through the NVIDIA (\d{3})\.xx Legacy drivers(?:.*?The (\d{3}[\d.]*) NVIDIA driver)?"
    ),
    "unsupported": re.compile(r"is not supported by the (?:NVIDIA )?(\d{3}(?:\.\d+)*)"),
    "power": re.compile(r"does not have the necessary power cables"),
    "no_room": re.compile(r"BAR\d? is 0M|PCI I/O region assigned to your NVIDIA device"),
    "lost": re.compile(r"Xid \(PCI:[^)]*\): 79\b|fallen off the bus"),
    "firmware": re.compile(
        r"Xid \(PCI:[^)]*\): (?:119|120)\b|firmware load for nvidia/\S*gsp\S* failed|gsp_\w+\.bin.*(?:fail|error)"
        r"|RmFetchGspRmImages|WPR2 already up|(?:GSP|kgsp)\w*.*(?:fail|time.?out|cannot|error)",
        re.IGNORECASE,
    ),
    "other_kernel": re.compile(r"\bnvidia: (?:version magic|disagrees about version|Unknown symbol)", re.IGNORECASE),
    "failed": re.compile(
        r"rm_?init_?adapter failed|nvidia.*probe (?:of|with driver) .*failed with error", re.IGNORECASE
    ),
}


def address_in(text: str) -> str:
    """Return the first bus address in a text as sysfs writes it (``0000:17:00.0``), '' where there is none."""
    return next(iter(addresses_in(text)), "")


def addresses_in(text: str) -> list[str]:
    """Return all bus addresses in a text, in their order."""
    found = (f"{match[1]}:{match[2]}:{match[3]}.{match[4] or 0}".lower() for match in _ADDRESS.finditer(text))
    return list(dict.fromkeys(found))


def read_log(text: str) -> tuple[Said, ...]:
    """Return what the log of this boot says of NVIDIA's driver, each thing once, in the order in which it was said."""
    found: dict[Said, None] = {}
    for sentence in _sentences(text.rpartition("Linux version ")[2]):
        for kind, words in KINDS.items():
            match = words.search(sentence)
            # A key that another module lacks is not ours.
            if match and not (kind == "rejected" and "insert" in sentence and "nvidia" not in sentence):
                versions = tuple(version.rstrip(".") for version in match.groups() if version)
                found.setdefault(Said(kind, sentence[:200].rstrip("."), address_in(sentence), versions))
                break
    return tuple(found)


def first(said: Iterable[Said], *kinds: str) -> Said | None:
    """Return the messages of the first of these kinds that there are any of."""
    known: Sequence[Said] = tuple(said)
    return next((one for kind in kinds for one in known if one.kind == kind), None)


def _sentences(text: str) -> list[str]:
    """The log without times and names of processes; NVRM's sentences go over several lines, and each line says NVRM again."""
    found: list[str] = []
    open_sentence = False
    for line in text.replace("\\x0a", "\n").split("\n"):
        if not INTERESTING.search(line):
            continue
        before, mark, rest = line.partition("NVRM")
        said = rest.lstrip(": ").rstrip() if mark else _BEFORE.sub("", before.strip())
        if (
            mark
            and open_sentence
            and re.match(r"(?!loading|nv(?!idia\.ko)|rm_|krc|kgsp|gpu|os_)[a-z]|System Pro|Please|Firmware'", said)
        ):
            found[-1] += f" {said}"
        elif said:
            found.append(said)
        open_sentence = bool(mark)
    return found
