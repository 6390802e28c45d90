"""The guard: the stack's packages are the ones that this generation was sealed with, and nothing else took their place."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from .base import Check, Context, Failed, Finding, Skipped
from .prefixes import site_packages

REMEDY = (
    "run `wavesmith repair -l HOST`: it makes a good generation beside this one and switches to it; "
    "name what you wanted to install under `projects` or `packages` in the inventory"
)
SMALL = 4 * 2**20
"""Files up to this size are compared by their bytes, larger ones by size: those of a CUDA build take half a minute to read."""


def stack_guard(context: Context) -> Finding:
    """Version, metadata and files of each stack package are the sealed ones; the constraint file is in place."""
    prefix, stack = context.spec.prefix, context.spec.versions
    try:
        manifest = json.loads((prefix / "wavesmith/manifest.json").read_text(encoding="utf-8"))
        packages, records = manifest["packages"], manifest["records"]
    except (OSError, ValueError, KeyError) as error:
        raise Skipped("this generation was not sealed with the guard's records") from error
    if not stack:
        never = [name for name in manifest.get("held", {}) if name not in packages]
        here = [name for name in never if any(True for site in site_packages(prefix) for _ in _metadata(site, name))]
        if here:
            raise Failed(f"{', '.join(here)} was installed by hand, and the environment has no stack to say which")
        raise Skipped("the stack names no versions")
    wrong: list[str] = []
    evidence: dict[str, object] = {}
    for name in stack:
        folders = [folder for site in site_packages(prefix) for folder in _metadata(site, name)]
        found = [_described(folder) for folder in folders]
        problems = list(_problems(folders, packages.get(name, ""), records.get(name, ""))) if folders else ["is gone"]
        evidence[name] = {"sealed": packages.get(name), "found": found, **({"problems": problems} if problems else {})}
        wrong += [f"{name} {problem}" for problem in problems[:1]]
    if not _constrained(prefix, packages):
        wrong.append("the constraint file for pip and uv, or pip.conf, is not the sealed one")
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise Failed(wrong[0] + more, "", evidence)
    return Finding(
        f"{len(stack)} packages of the stack are as they were sealed, and the constraint file is in place", evidence
    )


def _metadata(site: Path, name: str) -> Iterator[Path]:
    for folder in sorted(site.glob("*.dist-info")):
        if re.sub(r"[-_.]+", "-", folder.stem.rpartition("-")[0]).lower() == name:
            yield folder


def _described(folder: Path) -> str:
    """Version, and who says that it installed it."""
    try:
        installer = (folder / "INSTALLER").read_text(encoding="utf-8").strip()
    except OSError:
        installer = "nobody"
    return f"{folder.stem.rpartition('-')[2]}, installed by {installer}"


def _problems(folders: list[Path], version: str, record: str) -> Iterator[str]:
    if len(folders) > 1:
        yield f"is there {len(folders)} times: {', '.join(map(_described, folders))}"
        return
    (folder,) = folders
    if folder.stem.rpartition("-")[2] != version:
        yield f"is {_described(folder)}, sealed was {version}"
        return
    try:
        text = (folder / "RECORD").read_bytes()
    except OSError:
        yield "has no RECORD any more"
        return
    if hashlib.sha256(text).hexdigest() != record:
        yield f"was reinstalled ({_described(folder)}): its RECORD is not the sealed one"
    for row in csv.reader(text.decode("utf-8", "replace").splitlines()):
        if (
            len(row) == 3
            and row[1].startswith("sha256=")
            and not _same(folder.parent / row[0], row[1][7:], int(row[2] or 0))
        ):
            yield f"has a file that is not its wheel's: {row[0]}"
            return


def _same(path: Path, digest: str, size: int) -> bool:
    try:
        if path.stat().st_size != size:
            return False
        return size > SMALL or (
            base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode() == digest
        )
    except OSError:
        return False


def _constrained(prefix: Path, packages: dict[str, str]) -> bool:
    path = prefix / "wavesmith/constraints.txt"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        settings = (prefix / "pip.conf").read_text(encoding="utf-8")
    except OSError:
        return False
    pins = {line for line in lines if not line.startswith("#")}
    return pins == {f"{name}=={version}" for name, version in packages.items()} and f"constraint = {path}" in settings


CHECKS = (Check("stack.guard", "the stack was not replaced", stack_guard, REMEDY),)
