"""Wheels that travel between hosts: their manifest, who may sign one, the pages of the index, and what may be pruned.

::

    <wheelhouse>/<wheel key>/           the wheel, its provenance, manifest.json and manifest.json.sig
    <wheelhouse>/keys.json              every manifest by its key
    <wheelhouse>/simple/<variant>/...   PEP 503 and PEP 691 pages
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Collection, Mapping
from typing import Any, cast
from urllib.parse import quote

from ..records.wheel import Provenance, WheelManifest

MANIFEST, SIGNATURE = "manifest.json", "manifest.json.sig"
KEYS = "keys.json"
NAMESPACE = "wavesmith-wheel"
"""What a signature is for: one made for anything else does not count (``ssh-keygen -n``)."""
_KEY = re.compile(r"[0-9a-f]{32}")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!-]{0,250}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BUILDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
"""A builder's name stands in a pattern of ``allowed_signers``, so it holds no wildcard, comma or space."""


class Untrusted(Exception):
    """A wheel, manifest or key that is not what it should be: the message says what, and the remedy."""


def make_manifest(key: str, provenance: Provenance, files: Mapping[str, str], builder: str) -> WheelManifest:
    """The manifest of a built wheel; `files` is the sha256 of each file beside it, the wheel's own among them.

    Raises:
        Untrusted: the builder's name cannot stand in a list of signers.
    """
    if not _BUILDER.fullmatch(builder):
        raise Untrusted(
            f"the builder's name {builder!r} cannot be a signer's. Remedy: name the host with letters, digits, . _ and - only"
        )
    return {
        "schema": 1,
        "key": key,
        "variant": provenance["variant"],
        "name": provenance["recipe"]["name"],
        "version": provenance["recipe"]["version"],
        "wheel": provenance["wheel"],
        "files": dict(files),
        "builder": builder,
    }


def read_manifest(text: str, key: str) -> WheelManifest:
    """A manifest from its text; every name in it is safe to be one of a file or folder.

    Raises:
        Untrusted: it is not the manifest of that key.
    """
    try:
        found = json.loads(text)
        good = (
            found["schema"] == 1
            and found["key"] == key
            and _KEY.fullmatch(key)
            and all(_FILE.fullmatch(found[name]) for name in ("name", "version", "variant", "wheel"))
            and _BUILDER.fullmatch(found["builder"])
            and found["wheel"].endswith(".whl")
            and {found["wheel"], "provenance.json"} <= found["files"].keys()
            and all(_FILE.fullmatch(name) and _SHA256.fullmatch(sha256) for name, sha256 in found["files"].items())
            and not {MANIFEST, SIGNATURE} & found["files"].keys()
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        good = False
    if not good:
        raise Untrusted(
            f"the manifest of wheel {key} is not valid. Remedy: remove that wheel at its source and rebuild it"
        )
    return cast(WheelManifest, found)


def read_index(text: str) -> dict[str, WheelManifest]:
    """The manifests of a wheelhouse's ``keys.json``, those that are none left out: each is checked again when it is fetched."""
    try:
        listed = json.loads(text)
        items = list(listed.items())
    except (ValueError, AttributeError, RecursionError):
        return {}
    found = {}
    for key, value in items:
        try:
            found[key] = read_manifest(json.dumps(value), key)
        except Untrusted:
            continue
    return found


def read_signers(text: str) -> dict[str, str]:
    """The public key of each signer, from the text of an ``allowed_signers`` file (ssh-keygen(1))."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        kinds = [number for number, word in enumerate(words) if word.startswith(("ssh-", "ecdsa-", "sk-"))]
        if kinds and not line.startswith("#") and len(words) > kinds[0] + 1:
            found[words[0]] = " ".join(words[kinds[0] : kinds[0] + 2])
    return found


def add_signer(text: str, builder: str, public: str) -> str:
    """The text of ``allowed_signers`` with a builder's key in it; unchanged where it was there.

    Raises:
        Untrusted: the file has another key for that builder, or the key is none.
    """
    words = public.split()
    if not _BUILDER.fullmatch(builder) or len(words) < 2 or words[0] != "ssh-ed25519" or not words[1].isascii():
        raise Untrusted(f"host {builder} gave no usable public key. Remedy: remove state/signing on it, start again")
    known = read_signers(text).get(builder)
    if known is not None:
        if known != " ".join(words[:2]):
            raise Untrusted(
                f"the signing key of {builder} has changed, so nothing is accepted from it. Remedy: if that host was set up again, "
                "remove its line from allowed_signers beside the locks, and the wheels it had signed with wheelhouse_prune.yml"
            )
        return text
    head = text if not text or text.endswith("\n") else text + "\n"
    return f'{head}{builder} namespaces="{NAMESPACE}" {" ".join(words[:2])}\n'


def normal(name: str) -> str:
    """A project's name as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pages(entries: Mapping[str, WheelManifest]) -> dict[str, str]:
    """The index of a wheelhouse as relative path to text: ``keys.json``, and for each variant the pages of PEP 503 and PEP 691."""
    found = {KEYS: _json(dict(entries))}
    variants: dict[str, dict[str, list[tuple[str, str, str]]]] = {}
    for key, entry in sorted(entries.items()):
        file = (entry["wheel"], f"../../../{key}/{quote(entry['wheel'])}", entry["files"][entry["wheel"]])
        variants.setdefault(entry["variant"], {}).setdefault(normal(entry["name"]), []).append(file)
    for variant, projects in variants.items():
        found.update(simple(f"simple/{variant}", projects))
    return found


def simple(folder: str, projects: Mapping[str, list[tuple[str, str, str]]]) -> dict[str, str]:
    """The pages of one package index: for each project its files as (name, relative address, sha256)."""
    meta = {"api-version": "1.0"}
    names = sorted(projects)
    found = {
        f"{folder}/index.html": _page([(name, f"{name}/") for name in names]),
        f"{folder}/index.json": _json({"meta": meta, "projects": [{"name": name} for name in names]}),
    }
    for name in names:
        files = sorted(set(projects[name]))
        links = [(file, f"{url}#sha256={sha256}") for file, url, sha256 in files]
        listed = [{"filename": file, "url": url, "hashes": {"sha256": sha256}} for file, url, sha256 in files]
        found[f"{folder}/{name}/index.html"] = _page(links)
        found[f"{folder}/{name}/index.json"] = _json({"meta": meta, "name": name, "files": listed})
    return found


def _page(links: list[tuple[str, str]]) -> str:
    rows = "".join(f'<a href="{html.escape(url)}">{html.escape(text)}</a><br>\n' for text, url in links)
    head = '<!DOCTYPE html>\n<html><head><meta name="pypi:repository-version" content="1.0"><title>Wheels</title></head><body>\n'
    return f"{head}{rows}</body></html>\n"


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def prunable(entries: Mapping[str, tuple[str, str, float]], used: Collection[str], keep: int) -> list[str]:
    """Keys that may go: neither used by a generation nor among the newest of their package and variant.

    Args:
        entries: Package, variant and time of each key.
        used: Keys that some generation was made from.
        keep: How many of each package and variant stay in any case.
    """
    groups: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for key, (name, variant, time) in entries.items():
        groups.setdefault((name, variant), []).append((-time, key))
    newest = {key for group in groups.values() for _, key in sorted(group)[:keep]}
    return sorted(entries.keys() - newest - set(used))
