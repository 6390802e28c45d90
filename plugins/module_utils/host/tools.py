"""The pinned tools of a host's toolbox, and the environment every tool is run with."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence

from ..terms.url import masked
from . import store
from .job import Failed
from .unbuilt import explain as not_built

UV = ("toolbox", "current", "bin", "uv")
_PASSED = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "PIP_CERT", "TMPDIR")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


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
        }
    )
    if package_index:
        kept["UV_DEFAULT_INDEX"] = kept["PIP_INDEX_URL"] = package_index
    return kept


def uv(root: str) -> str:
    """The path of the toolbox's uv."""
    return os.path.join(root, *UV)


def make_toolbox(root: str, digest: str, lock: str, package_index: str) -> bool:
    """Make the toolbox of a lock and switch to it; `False` where it was there.

    Raises:
        StoreError: Python lacks venv, or a tool cannot be had.
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
        _command([python, "-I", "-m", "venv", place], tools, "apt-get install -y python3-venv")
        pip = [os.path.join(place, "bin", "python"), "-I", "-m", "pip"]
        _command(
            [*pip, "install", "--quiet", "--require-hashes", "--only-binary=:all:", "-r", requirements],
            tools,
            "see whether the package index answers (wavesmith_package_index names a mirror)",
        )
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
        raise store.StoreError(f"{' '.join(argv[:4])} failed: {lines[-1] if lines else 'no output'}. Remedy: {remedy}")


_CAUSES = (
    (
        re.compile(r"hash mismatch|HashMismatch|do not match the hashes|THESE PACKAGES DO NOT MATCH", re.IGNORECASE),
        "the file of {item} is not the one its lock names (wrong sha256)",
        "look who changed the file on the index; if the new one is wanted, remove the lock and resolve again",
    ),
    (
        re.compile(r"No space left on device|os error 28"),
        "the disk is full",
        "free some space (playbooks/prune.yml removes old generations)",
    ),
    (
        re.compile(r"No solution found|ResolutionImpossible|unsatisfiable"),
        "no set of versions satisfies everything that is asked for",
        "read the lines below: they name the packages that disagree",
    ),
    (
        re.compile(
            r"dns error|Connection refused|timed out|error sending request|Could not connect|Temporary failure|tunnel|Connection reset",
            re.IGNORECASE,
        ),
        "the package index does not answer",
        "check the network of the host, or name a mirror in wavesmith_package_index",
    ),
    (
        re.compile(r"No module named 'pip'|ensurepip is not available"),
        "Python has no venv module",
        "apt-get install -y python3-venv",
    ),
)


_NOT_FOUND = re.compile(
    r"\b([A-Za-z0-9][\w.-]*) was not found in (?:the package registry|the provided package locations)"
)


def explain(error: Failed, item: str, known: Sequence[str] = ()) -> Failed:
    """A tool's failure in words for people: known causes get their remedy, and the tool's own lines stay attached.

    `known` are names to find the nearest one among, for a package that the index does not have.
    """
    text = "\n".join([*error.log, str(error)])
    unknown = _NOT_FOUND.search(text)
    if unknown:
        near = difflib.get_close_matches(unknown[1], known, n=2, cutoff=0.6)
        meant = f"did you mean {' or '.join(near)}? " if near else "correct the name; "
        problem = f"{item}: the package index has no {unknown[1]}"
        remedy = f"{meant}where another index has it, name that in wavesmith_package_index"
        return Failed(f"{problem}. Remedy: {remedy}", error.log)
    unbuilt = (
        None
        if "Failed to fetch" in text or any(cause[0].search(text) for cause in _CAUSES[:2])
        else not_built(error.log)
    )
    if unbuilt:  # the other causes' words mean something else inside of a build
        return Failed(f"{item}: {unbuilt[0]}. Remedy: {unbuilt[1]}", error.log)
    for pattern, cause, remedy in _CAUSES:
        if pattern.search(text):
            named = re.search(r"(?:for|from) `?([A-Za-z0-9_.-]+==?[^\s`]+)`?", text)
            return Failed(f"{cause.format(item=named.group(1) if named else item)}. Remedy: {remedy}", error.log)
    return Failed(f"{item}: {error}. Remedy: the lines below are the tool's own", error.log)


def free_bytes(path: str) -> int:
    """Free space for us at a path, bytes."""
    return shutil.disk_usage(path).free
