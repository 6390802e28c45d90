"""Ask upstream's own places: a repository for its tags, an address for an archive."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from ansible_collections.wavesmith.provision.plugins.module_utils.terms.kinds import Parsed

from .index import Unreachable
from .records import RIGHT, UNASKED, WRONG, Change, Fact

PATIENCE = 30


def tag(path: Path, place: str, item: str, source: Parsed, version: str) -> Fact:
    """Whether the commit of a recipe is that of the release's tag.

    Raises:
        Unreachable: the repository does not answer.
    """
    url, commit = source["git"], source["commit"]
    names = [f"refs/tags/{prefix}{version}{end}" for prefix in ("v", "") for end in ("", "^{}")]
    try:
        done = subprocess.run(
            ["git", "ls-remote", url, *names],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        )
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"{url} does not answer in {PATIENCE} s") from error
    except OSError as error:
        raise Unreachable(f"git cannot be run ({error})") from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"git ended with {done.returncode}"])[-1]
        why = re.sub(r"^fatal: (unable to access '[^']*': )?", "", said)
        raise Unreachable(f"{url} does not answer ({why})")
    lines = [line.partition("\t") for line in done.stdout.splitlines()]
    found = {name: known for known, _, name in lines}
    # Of an annotated tag the commit is what it points to.
    known = next((found[name] for name in sorted(found, key=len, reverse=True)), "")
    if not known:
        return Fact(place, item, UNASKED, f"it has no tag v{version} or {version}", url)
    if known != commit:
        change = Change(path, commit, known, f"{url}, tag of {version}")
        return Fact(place, item, WRONG, f"the commit is {commit[:12]}, the tag is {known[:12]}", url, change)
    return Fact(place, item, RIGHT, f"its tag is {commit[:12]}", url)


def archive(place: str, item: str, source: Parsed, most: int | None) -> Fact:
    """Whether an archive at an address has the sha256 of its recipe; one of more than `most` bytes is not fetched.

    Raises:
        Unreachable: it is not to be had.
    """
    url = source["archive"]
    digest, length = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers={"User-Agent": "wavesmith"}), timeout=PATIENCE
        ) as answer:
            while block := answer.read(1 << 20):
                length += len(block)
                if most is not None and length > most:
                    return Fact(place, item, UNASKED, f"it is larger than {most >> 20} MiB; --large fetches it", url)
                digest.update(block)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            return Fact(place, item, WRONG, "there is no such file", url)
        raise Unreachable(f"{url} answers {error.code}") from error
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise Unreachable(f"{url} does not answer ({getattr(error, 'reason', error)})") from error
    if digest.hexdigest() != source["sha256"]:
        return Fact(place, item, WRONG, f"its sha256 is {digest.hexdigest()}, the catalog says {source['sha256']}", url)
    return Fact(place, item, RIGHT, f"sha256 {source['sha256'][:12]}", url)
