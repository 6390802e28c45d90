"""The pinned tools of a host's toolbox, and the environment every tool is run with."""

from __future__ import annotations

import difflib
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from ..failures.base import NOTHING, Base
from ..failures.match import recognise
from ..failures.probes import facts
from ..failures.say import inline, lead, problem, remedy
from ..observe.host import Host
from ..terms.url import masked, split_url
from . import store
from .job import Failed, Job
from .unbuilt import explain as not_built

UV = ("toolbox", "current", "bin", "uv")
_PASSED = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "PIP_CERT", "TMPDIR")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
_TIMEOUT = "WAVESMITH_DOWNLOAD_TIMEOUT"
TIMEOUT = 20.0
"""Seconds that a server may say nothing during a download."""
PIP_RETRIES, UV_RETRIES = 2, 5
"""How often it is asked again. pip asks for one thing after the other, and for all that a silent index should have; uv for many at once, and stops."""


def wait_for(seconds: float) -> None:
    """Let the tools of this process, and of the jobs that it starts, wait so many seconds for a server."""
    os.environ[_TIMEOUT] = f"{seconds:g}"


def environment(root: str, package_index: str) -> dict[str, str]:
    """The whole environment of a tool: nothing of the user's Python, the caches below our root, the index of the host.

    The index travels here and not in an argument list, because its address may hold a password.
    """
    kept = {name: os.environ[name] for name in _PASSED if name in os.environ}
    kept.update({name: value for name, value in os.environ.items() if name.lower() in _PROXIES})
    kept.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    kept.update(
        {
            "LC_ALL": "C.UTF-8",
            "PYTHONNOUSERSITE": "1",
            "UV_CACHE_DIR": os.path.join(root, "cache", "uv"),
            "UV_NO_CONFIG": "1",
            "UV_NO_PROGRESS": "1",
            "UV_SYSTEM_CERTS": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_LINK_MODE": "hardlink",
            "PIP_NO_CACHE_DIR": "1",
            "PIP_NO_INPUT": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            # The host's pip may be set to wait for minutes, again and again.
            "PIP_DEFAULT_TIMEOUT": f"{_timeout():g}",
            "PIP_RETRIES": str(PIP_RETRIES),
            "UV_HTTP_TIMEOUT": str(math.ceil(_timeout())),
            "UV_HTTP_RETRIES": str(UV_RETRIES),
        }
    )
    if package_index:
        kept["UV_DEFAULT_INDEX"] = kept["PIP_INDEX_URL"] = package_index
        parts = urlsplit(package_index)
        if parts.scheme == "http" and parts.hostname:
            # pip ignores an index without TLS otherwise, with a warning only; every file is compared with the sha256 of its lock.
            kept["PIP_TRUSTED_HOST"] = parts.netloc.rpartition("@")[2]
    return kept


def _timeout() -> float:
    return float(os.environ.get(_TIMEOUT, TIMEOUT))


def uv(root: str) -> str:
    """The path of the toolbox's uv."""
    return os.path.join(root, *UV)


def run_uv(job: Job, argv: Sequence[str], tools: dict[str, str], watch: Callable[[], None] | None = None) -> None:
    """Run uv; where it cannot read its own cache, once again with an empty one.

    Raises:
        Failed: it ended with another status than 0.
    """
    try:
        job.run(argv, tools, watch=watch)
    except Failed as error:
        cache = tools["UV_CACHE_DIR"]
        if not os.path.lexists(cache) or not cache_is_damaged(error.said, cache):
            raise
        job.progress("starting again with an empty cache", detail=cache)
        store.remove(cache)
        job.run(argv, tools, watch=watch)


_UNREADABLE = re.compile(
    r"deserialize cache entry|No such file|Is a directory|Not a directory|missing \.dist-info", re.I
)
_NO_DAMAGE = re.compile(r"os error (?:1|13|28|30|122)\b")
"""Rights, a full disk, a read-only one, a quota: an empty cache would not help."""


def cache_is_damaged(said: str, cache: str) -> bool:
    """Whether uv says that something in its cache is not what it wrote there (the words of uv 0.9 to 0.11)."""
    inside = cache in said or "cache entry" in said
    return inside and bool(_UNREADABLE.search(said)) and not _NO_DAMAGE.search(said)


def make_toolbox(root: str, digest: str, lock: str, package_index: str, known: Base = NOTHING) -> bool:
    """Make the toolbox of a lock and switch to it; `False` where it was there. `known` are the failures that are known.

    Raises:
        StoreError: another process makes it.
        Failed: Python lacks venv, or a tool cannot be had.
    """
    folder = os.path.join(root, "toolbox")
    place = os.path.join(folder, digest)
    if store.pointed(folder) == digest and os.access(uv(root), os.X_OK):
        return False
    with store.locked(root, "toolbox"):
        store.remove(place)
        os.makedirs(place, mode=0o755)
        requirements = os.path.join(place, "requirements.txt")
        store.write_text(requirements, lock)
        tools = environment(root, package_index)
        python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
        pip = [os.path.join(place, "bin", "python"), "-I", "-m", "pip"]
        try:
            _command([python, "-I", "-m", "venv", place], tools, "apt-get install -y python3-venv")
            _command(
                [*pip, "install", "--quiet", "--require-hashes", "--only-binary=:all:", "-r", requirements],
                tools,
                "check that the package index answers (wavesmith_package_index can name a mirror)",
            )
        except Failed as error:
            store.remove(place)
            raise explain(error, "toolbox", known) from error
        store.point(folder, digest)
        for name in os.listdir(folder):
            if name not in (digest, "current"):
                store.remove(os.path.join(folder, name))
    return True


def _command(argv: Sequence[str], tools: dict[str, str], remedy: str) -> None:
    # Run by a process of the controller's interpreter, so its PYTHON* variables must not leak: `tools` is all it gets.
    done = subprocess.run(argv, env=tools, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = masked(done.stderr.strip() or done.stdout.strip()).splitlines()
        told = f"{' '.join(argv[:4])} failed: {lines[-1] if lines else 'no output'}. Remedy: {remedy}"
        raise Failed(told, lines[-_LINES:], "\n".join(lines))


_LINES = 25
"""How many lines of a tool's output are kept with its failure."""
_NOT_FOUND = re.compile(
    r"\b([A-Za-z0-9][\w.-]*) was not found in (?:the package registry|the provided package locations)"
)

# What uv 0.13 says of a pin or a bound that no release meets, where it was asked for and not concluded from others.
_NO_RELEASE = re.compile(
    r"Because (?:there is no version of (?P<none>\S+)|only (?P<there>\S+) is available) and you require (?P<asked>\S+), we can conclude"
)


def explain(error: Failed, item: str, known: Base = NOTHING, names: Sequence[str] = ()) -> Failed:
    """A tool's failure in words for people: a known one gets its cause and remedy, and the tool's own lines stay attached.

    `known` are the failures that are known, `names` those to find the nearest one among for a package that the index does not have.
    """
    unknown = _NOT_FOUND.search(error.said)
    if unknown:
        near = difflib.get_close_matches(unknown[1], names, n=2, cutoff=0.6)
        meant = f"did you mean {' or '.join(near)}? " if near else "correct the name; "
        told = f"{item}: the package index has no {unknown[1]}"
        advice = f"{meant}where another index has it, name that in wavesmith_package_index"
        if unknown[1] in near:  # a name that is known
            advice = "name an index that has it in wavesmith_package_index"
        return Failed(f"{told}. Remedy: {advice}", error.log, error.said)
    release = _NO_RELEASE.search(" ".join(error.said.split()))
    if release:
        only = f", only {release['there']}" if release["there"] else ""
        told = f"{item}: the package index has no {release['none'] or release['asked']}{only}"
        return Failed(f"{told}. Remedy: ask for a release that it has", error.log, error.said)
    found = recognise(error.said, known, facts(Host()))
    cause = lead(found)
    if cause and cause.id == "index_unreachable" and _SILENT.search(error.said):
        # Its own lines would only say that again, once for each try.
        return Failed(f"{item}: {_silence(error.said)}", (), error.said)
    package = next((one for one in found if one.id == "package_does_not_build"), None)
    # Not the index, but what a build fetches by itself.
    fetches = cause is not None and cause.id in _OUT_OF_REACH and "Failed to fetch" not in error.said
    if cause and not fetches and (cause.id in _NO_FAULT_OF_IT or (package and package.because_of != cause.id)):
        return _told(error, item, problem(cause), remedy(cause.answer))
    unbuilt = not_built(error.log, (problem(cause), remedy(cause.answer)) if cause and not fetches else None)
    if unbuilt:
        return _told(error, item, *unbuilt)
    if cause and package:
        what, way = inline(package.answer.cause), inline(package.answer.remedy)
        return _told(error, item, f"{what}: {problem(cause)}", f"{way}; else {remedy(cause.answer)}")
    known_one = package or cause
    if known_one:
        return _told(error, item, problem(known_one), remedy(known_one.answer))
    if "Remedy: " in str(error):
        return Failed(f"{item}: {error}", error.log, error.said)
    return _told(error, item, str(error), "see the tool's own output below")


_SILENT = re.compile(r"Read timed out|(?:Read|Connect)TimeoutError|operation timed out")
_ASKED = re.compile(r"Failed to fetch: `?(?P<url>https?://[^\s`]+)|host='(?P<host>[^']+)', port=(?P<port>\d+)")


def _silence(said: str) -> str:
    """What to say of an index that was asked again and again, and never answered."""
    asked = _ASKED.search(said)
    place = (
        "" if asked is None else split_url(asked["url"]).shown if asked["url"] else f"{asked['host']}:{asked['port']}"
    )
    where = f" ({place})" if place else ""
    tries = 1 + (PIP_RETRIES if "Retrying (Retry(" in said else UV_RETRIES)
    problem = f"the package index{where} gave no answer in {tries} tries of {_timeout():g} s each"
    remedy = "check the network or proxy of the host, name an index that answers in wavesmith_package_index, or raise wavesmith_download_timeout"
    return f"{problem}. Remedy: {remedy}"


_NO_FAULT_OF_IT = ("hash_mismatch", "disk_full", "index_unreachable")
_OUT_OF_REACH = ("index_unreachable", "source_unreachable")


def _told(error: Failed, item: str, what: str, remedy: str) -> Failed:
    return Failed(f"{item}: {what}. Remedy: {remedy}", error.log, error.said)


def free_bytes(path: str) -> int:
    """Free space for us at a path, bytes."""
    return shutil.disk_usage(path).free
