"""What Wavesmith keeps on a host, and the only code that writes it: generations, the toolbox, the lock, the state.

::

    <root>/toolbox/<digest>/          current -> <digest>
    <root>/envs/<name>/<generation>/  current -> <generation>
    <root>/wheels/<wheel key>/        one wheel and its provenance
    <root>/models/                    weights, each file once by its sha256
    <root>/cache/  <root>/state/

A generation is complete when its ``wavesmith/manifest.json`` is there: that file is written last. A switch is one
``rename(2)`` of a symbolic link. So a run that is killed anywhere leaves the current generation as it was.
"""

from __future__ import annotations

import copy
import errno
import fcntl
import glob
import hashlib
import json
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, cast

from ..records import shape
from ..records.generation import GenerationManifest, Verdict
from ..records.host import Holder, KeptEnvironment, KeptGeneration, Store
from ..records.shape import Record
from ..terms.names import package_of
from ..wanted.weights import KEPT

MANIFEST = "wavesmith/manifest.json"
FILES = "wavesmith/files.json"
VERDICT = "wavesmith/verdict.json"
DAMAGE_SHOWN = 5
_CHUNK = 1 << 20


class StoreError(Exception):
    """Something a person has to know: the message says what, and what to do about it."""


class Busy(StoreError):
    """Another run works on this host."""


def default_roots() -> tuple[str, str]:
    """The default root folder: with root's rights, and without."""
    return "/opt/wavesmith", os.path.join(os.path.expanduser("~"), "wavesmith")


def existing_root() -> str:
    """The default root where nobody names one, as a plan takes it: that of root is not another user's who has no rights of root."""
    shared, own = default_roots()
    if os.geteuid() != 0 and os.path.isdir(shared) and os.stat(shared).st_uid != os.geteuid() and not _may_be_root():
        return own
    return next((path for path in (shared, own) if os.path.isdir(path)), shared)


def _may_be_root() -> bool:
    """Whether sudo asks this user for no password."""
    try:
        return subprocess.run(["sudo", "-n", "true"], capture_output=True, timeout=3, check=False).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def read_json(path: str) -> Any:
    """The value in a JSON file, or `None` where it is missing or unreadable."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def sha256(path: str) -> str:
    """sha256 of a file, as hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()


def read_record(path: str, record: Callable[..., Record], remedy: str) -> Record | None:
    """A JSON file as the record that it should be; `None` where it is not there or no JSON.

    Raises:
        StoreError: it is of another schema version, or another record; the message names the file, what is wrong, and `remedy`.
    """
    value = read_json(path)
    try:
        return None if value is None else shape.read(value, record, path, remedy)
    except shape.WrongRecord as error:
        raise StoreError(str(error)) from error


def write_json(path: str, value: Any, durable: bool = True) -> None:
    """Write a JSON file so that a reader sees the old or the new one, never a part."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n", durable=durable)


def make_way(path: str) -> None:
    """Move a folder aside that stands where a file or link of ours belongs; what is in it is kept."""
    if os.path.isdir(path) and not os.path.islink(path):
        os.rename(path, os.path.join(os.path.dirname(path), f".aside-{os.path.basename(path)}-{time.time_ns()}"))


def write_text(path: str, text: str, mode: int = 0o644, durable: bool = True) -> None:
    """Write a text file atomically, and durably unless it is of no use after a power cut: progress, or what is not sealed yet."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if durable:
                os.fsync(file.fileno())
        make_way(path)
        os.rename(temporary, path)
    except BaseException:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise


def environment_folder(root: str, environment: str) -> str:
    """The folder that holds an environment's generations."""
    return os.path.join(root, "envs", environment)


def generation_folder(root: str, environment: str, generation: str) -> str:
    """The prefix of one generation."""
    return os.path.join(environment_folder(root, environment), generation)


def pointed(folder: str) -> str | None:
    """The name that ``current`` in `folder` points to, or `None`."""
    try:
        return os.readlink(os.path.join(folder, "current"))
    except OSError:
        return None


def point(folder: str, name: str) -> None:
    """Switch ``current`` in `folder` to `name` atomically."""
    temporary = os.path.join(folder, f".current.{os.getpid()}")
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(name, temporary)
    make_way(os.path.join(folder, "current"))
    os.rename(temporary, os.path.join(folder, "current"))
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_path(root: str) -> str:
    """The file whose lock the one working run holds."""
    return os.path.join(root, "state", "lock")


def take_lock(root: str, purpose: str) -> int:
    """Take the host's lock and return its descriptor; the kernel gives it back when the last holder ends.

    Raises:
        Busy: another process holds it.
        StoreError: the state folder cannot be written.
    """
    path = lock_path(root)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        make_way(path)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written ({error.strerror}). Remedy: run as the owner of {root}, or with become"
        ) from error
    for last in (False, False, False, False, True):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError as error:
            found = holder(root)
            if found is None and not last and error.errno in (errno.EAGAIN, errno.EACCES):
                time.sleep(0.02)  # another process was only checking who holds it: for that instant it was shared
                continue
            os.close(descriptor)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise Busy(busy_message(found or {})) from error
    note_holder(descriptor, purpose)
    return descriptor


def note_holder(descriptor: int, purpose: str) -> None:
    """Write into the held lock who holds it, for the message a second run gets."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "purpose": purpose, "since": time.time()}).encode(), 0)


@contextmanager
def locked(root: str, purpose: str) -> Iterator[None]:
    """Hold the host's lock for a block; see `take_lock`."""
    descriptor = take_lock(root, purpose)
    try:
        yield
    finally:
        os.close(descriptor)


def holder(root: str) -> Holder | None:
    """Who holds the host's lock now (pid, purpose, since), or `None` where it is free."""
    try:
        descriptor = os.open(lock_path(root), os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except OSError:
        try:
            found = json.loads(os.pread(descriptor, 4096, 0).decode() or "{}")
        except ValueError:
            found = {}
        return cast(Holder, found) if isinstance(found, dict) else {}
    finally:
        os.close(descriptor)


def busy_message(found: Holder) -> str:
    """One sentence on who works on the host, and what to do."""
    since = time.strftime("%H:%M:%S", time.localtime(found["since"])) if "since" in found else "an unknown time"
    return (
        f"another run works on this host: {found.get('purpose', 'unknown')} (process {found.get('pid', '?')}, since {since}). "
        "Remedy: wait until it has ended, or stop that process, then start again: what it finished is kept"
    )


def _entries(prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Every file and link below a prefix but our own notes and byte code, as (relative path, lstat)."""
    stack = [""]
    while stack:
        folder = stack.pop()
        with os.scandir(os.path.join(prefix, folder)) as entries:
            for entry in entries:
                relative = os.path.join(folder, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != "__pycache__" and relative != "wavesmith":
                        stack.append(relative)
                else:
                    yield relative, entry.stat(follow_symlinks=False)


def mark(prefix: str, relative: str, status: os.stat_result) -> list[Any]:
    """What changes when somebody writes a file or link."""
    if stat.S_ISLNK(status.st_mode):
        return [os.readlink(os.path.join(prefix, relative))]
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def marks(prefix: str) -> Iterator[tuple[str, list[Any]]]:
    """Every file and link below a prefix except our own records, with the attributes that change when it is written."""
    for relative, status in _entries(prefix):
        yield relative, mark(prefix, relative, status)


def seal(prefix: str, manifest: GenerationManifest) -> None:
    """Record every file of a generation, then its manifest: from here on it is complete and must not change."""
    files = dict(marks(prefix))
    os.makedirs(os.path.join(prefix, "wavesmith"), exist_ok=True)
    write_text(os.path.join(prefix, FILES), json.dumps(files, separators=(",", ":")))
    write_json(os.path.join(prefix, MANIFEST), manifest)


def damage(prefix: str) -> list[str]:
    """What differs from the sealed state: `missing`, `changed`, and `added` for a package that was installed into it by hand.

    Files are compared by size, modification time and inode, so tens of thousands are compared in a fraction of a second; an added
    file that belongs to no package is no damage.
    """
    files = read_json(os.path.join(prefix, FILES))
    if not isinstance(files, dict):
        return ["wavesmith/files.json is missing or unreadable"]
    found: list[str] = []
    for relative, sealed in files.items():
        try:
            now = mark(prefix, relative, os.lstat(os.path.join(prefix, relative)))
        except OSError:
            found.append(f"missing: {relative}")
            continue
        if now != sealed:
            found.append(f"changed: {relative}")
    found += _added(prefix, files)
    python = os.path.join(prefix, "bin", "python")
    if not os.access(python, os.X_OK):
        found.append("bin/python does not run")
    return sorted(found)


def _added(prefix: str, files: Collection[str]) -> list[str]:
    """Packages whose metadata is not sealed: a second version beside a sealed one, or what somebody installed by hand."""
    sealed = {
        os.path.dirname(relative)
        for relative in files
        if relative.endswith((".dist-info/METADATA", ".egg-info/PKG-INFO"))
    }
    names = {package_of(os.path.basename(folder)) for folder in sealed}
    found = []
    for site in {os.path.dirname(folder) for folder in sealed}:
        try:
            entries = os.listdir(os.path.join(prefix, site))
        except OSError:
            continue
        for entry in entries:
            path = os.path.join(site, entry)
            # What begins with ~ is what pip left of a package that it took away.
            if (
                not entry.endswith((".dist-info", ".egg-info"))
                or entry.startswith("~")
                or path in sealed
                or path in files
            ):
                continue
            second = package_of(entry) in names
            found.append(
                f"added: {path}, {'a second version of a package' if second else 'a package that its lock does not name'}"
            )
    return found


def root_of(prefix: str) -> str:
    """The host's folder that a generation lies in."""
    return os.path.dirname(os.path.dirname(os.path.dirname(prefix)))


def generations(root: str, environment: str) -> list[KeptGeneration]:
    """All generations of an environment, oldest first."""
    folder = environment_folder(root, environment)
    try:
        names = [
            entry.name
            for entry in os.scandir(folder)
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
        ]
    except OSError:
        return []
    found: list[KeptGeneration] = []
    for name in names:
        manifest = read_json(os.path.join(folder, name, MANIFEST))
        verdict = read_json(os.path.join(folder, name, VERDICT))
        complete = isinstance(manifest, dict)
        found.append(
            {
                "name": name,
                "complete": complete,
                "digest": manifest.get("digest", "") if complete else "",
                "created": manifest.get("created", 0.0) if complete else 0.0,
                "exit": verdict.get("exit") if isinstance(verdict, dict) else None,
                "shares_files": manifest.get("shares_files", True) if complete else False,
            }
        )
    return sorted(found, key=lambda item: (item["created"], item["name"]))


def survey(root: str, environments: list[str]) -> Store:
    """What is there, for `observe`: toolbox, environments with the state of their current generation, wheels, who works."""
    toolbox = pointed(os.path.join(root, "toolbox"))
    intact = toolbox is not None and os.access(os.path.join(root, "toolbox", "current", "bin", "uv"), os.X_OK)
    result: Store = {
        "toolbox": {"digest": toolbox, "intact": intact},
        "environments": {},
        "wheels": [],
        "weights": [],
        "all_environments": _folders(os.path.join(root, "envs")),
        "toolboxes": _folders(os.path.join(root, "toolbox")),
        "build_memory": read_json(os.path.join(root, "state", "build-memory.json")) or {},
        "busy": holder(root),
    }
    for name in environments:
        result["environments"][name] = kept_environment(root, name)
    try:
        wheels = sorted(os.listdir(os.path.join(root, "wheels")))
    except OSError:
        wheels = []
    try:
        kept = sorted(os.listdir(os.path.join(root, KEPT)))
    except OSError:
        kept = []
    result["weights"] = [name[: -len(".json")] for name in kept if name.endswith(".json")]
    result["wheels"] = [key for key in wheels if os.path.exists(os.path.join(root, "wheels", key, "provenance.json"))]
    return result


def kept_environment(root: str, name: str) -> KeptEnvironment:
    """An environment as it is on the disk now: its generations, what was changed in them, and the verdict of the current one."""
    current = pointed(environment_folder(root, name))
    entry: KeptEnvironment = {"current": None, "generations": generations(root, name)}
    for generation in entry["generations"]:
        if not generation["complete"]:
            continue
        prefix = generation_folder(root, name, generation["name"])
        broken = damage(prefix)
        generation["intact"] = not broken
        generation["damage"] = broken[:DAMAGE_SHOWN]
        if generation["name"] == current:
            manifest, unknown = _known(os.path.join(prefix, MANIFEST), GenerationManifest)
            verdict, _ = _known(os.path.join(prefix, VERDICT), Verdict)
            broken = [*unknown, *broken]
            entry["current"] = {
                "generation": current,
                "damage": broken[:DAMAGE_SHOWN],
                "damaged": len(broken),
                "manifest": manifest,
                "verdict": brief(verdict) if verdict else None,
            }
    if current is not None and entry["current"] is None:
        # What `current` points to lost its manifest, or is gone: damaged, and its name stays taken.
        gone = [f"missing: {MANIFEST}"]
        entry["current"] = {"generation": current, "damage": gone, "damaged": 1, "manifest": None, "verdict": None}
    return entry


def _folders(path: str) -> list[str]:
    try:
        return sorted(
            entry.name
            for entry in os.scandir(path)
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
        )
    except OSError:
        return []


def _known(path: str, record: Callable[..., Record]) -> tuple[Record | None, list[str]]:
    """A generation's record, and what is wrong with it where it is not one."""
    try:
        return read_record(path, record, "provision this host: it makes a new generation beside this one"), []
    except StoreError as error:
        return None, [str(error)]


def brief(verdict: Verdict) -> Verdict:
    """A verdict without its evidence and what its findings rest on, which can be long."""
    shown = copy.copy(verdict)
    shown["checks"] = [copy.copy(check) for check in verdict.get("checks", [])]
    for check in shown["checks"]:
        check.pop("evidence", None)
        check.pop("basis", None)
    return shown


def activate(root: str, environment: str, generation: str) -> str | None:
    """Switch an environment to a complete, healthy generation; the name of the one before it is returned.

    Raises:
        StoreError: the generation is not complete, or its verdict is not healthy.
    """
    prefix = generation_folder(root, environment, generation)
    if read_json(os.path.join(prefix, MANIFEST)) is None:
        raise StoreError(
            f"generation {generation} of {environment} is not complete. Remedy: run the playbook again, it finishes the generation"
        )
    verdict = read_json(os.path.join(prefix, VERDICT))
    if not isinstance(verdict, dict) or verdict.get("exit") != 0:
        raise StoreError(
            f"generation {generation} of {environment} was not found healthy. Remedy: read {prefix}/{VERDICT}, fix the cause and run again"
        )
    folder = environment_folder(root, environment)
    before = pointed(folder)
    if before != generation:
        history = read_json(os.path.join(root, "state", f"{environment}.history.json")) or []
        point(folder, generation)
        history = [*history, {"generation": generation, "before": before, "at": time.time()}][-50:]
        write_json(os.path.join(root, "state", f"{environment}.history.json"), history)
    return before


def rollback_target(root: str, environment: str, wanted: str = "") -> str:
    """The generation a rollback goes to: `wanted`, else the newest healthy and intact one that was current before.

    Raises:
        StoreError: there is none, or the wanted one is not fit.
    """
    current = pointed(environment_folder(root, environment))
    known = {item["name"]: item for item in generations(root, environment)}
    if wanted and wanted == current and wanted in known:
        return wanted
    history = read_json(os.path.join(root, "state", f"{environment}.history.json")) or []
    earlier = [item["before"] for item in reversed(history) if item.get("generation") == current]
    # What was switched away from last comes first; else any other healthy one, newest first.
    candidates = [wanted] if wanted else [*earlier, *[name for name in reversed(list(known)) if name not in earlier]]
    for name in candidates:
        item = known.get(name)
        if item is None or name == current or not item["complete"] or item["exit"] != 0:
            continue
        if not damage(generation_folder(root, environment, name)):
            return str(name)
    listed = ", ".join(f"{name}{' (current)' if name == current else ''}" for name in known) or "none"
    remedy = (
        "name another one: wavesmith generations lists them"
        if wanted
        else "there is nothing to go back to; wavesmith provision makes a new one"
    )
    raise StoreError(
        f"environment {environment}: there is no {'generation ' + wanted if wanted else 'other generation'} that is healthy and intact "
        f"(on this host: {listed}). Remedy: {remedy}"
    )


def of_other_files(root: str, environment: str, shares: bool) -> str:
    """The newest healthy generation that is not in use and shares, or does not share, the cache's files; empty where there is none."""
    folder = environment_folder(root, environment)
    current = pointed(folder)
    found = [
        item["name"]
        for item in generations(root, environment)
        if item["complete"] and item["exit"] == 0 and item["name"] != current and item["shares_files"] == shares
    ]
    return os.path.join(folder, found[-1]) if found else ""


def kept(root: str, environment: str, keep: int) -> dict[str, str]:
    """Generations that stay, each with the reason: the current one and the newest healthy and intact ones, `keep` in all.

    The one that a rollback would go to always stays, and so does one that shares no file with the others, where there is one.
    Unfinished ones always go: their run holds the lock while it works on them, and pruning needs that lock.

    Raises:
        StoreError: `keep` is not 1 or more.
    """
    if keep < 1:
        raise StoreError(f"keep is {keep}, but must be 1 or more. Remedy: keep at least the current generation")
    folder = environment_folder(root, environment)
    current = pointed(folder)
    listed = generations(root, environment)
    found = [item for item in listed if item["name"] != current]
    good = [item for item in found if item["exit"] == 0 and not damage(os.path.join(folder, item["name"]))]
    stays = {current: "current"} if current in [item["name"] for item in listed] else {}
    if good and current is not None:
        stays[rollback_target(root, environment)] = "a rollback goes there"
    newest = good[max(0, len(good) - (keep - 1)) :] if keep > 1 else []
    stays |= {item["name"]: f"one of the newest {keep}" for item in newest if item["name"] not in stays}
    apart = [item["name"] for item in listed if not item["shares_files"] and (item in good or item["name"] == current)]
    if apart and not {*stays} & {*apart}:
        stays[apart[-1]] = "shares no file with the others"
    return {str(name): why for name, why in stays.items()}


def prunable(root: str, environment: str, keep: int) -> list[str]:
    """Generations that may go: all that need not be `kept`.

    Raises:
        StoreError: `keep` is not 1 or more.
    """
    stays = kept(root, environment, keep)
    return [item["name"] for item in generations(root, environment) if item["name"] not in stays]


def changed_apart(root: str, environment: str) -> dict[str, str]:
    """Finished generations that are not in use and were changed, each with the first thing that differs: nothing goes back to them."""
    folder = environment_folder(root, environment)
    listed = [item["name"] for item in generations(root, environment) if item["complete"]]
    found = {name: damage(os.path.join(folder, name)) for name in listed if name != pointed(folder)}
    return {name: broken[0] for name, broken in found.items() if broken}


def room(*paths: str) -> int:
    """Bytes that removing some trees together frees: files that have a name elsewhere stay."""
    seen: dict[tuple[int, int], list[int]] = {}
    for path in paths:
        for folder, folders, names in os.walk(path):
            for name in (*folders, *names):
                status = os.lstat(os.path.join(folder, name))
                links = status.st_nlink if not stat.S_ISDIR(status.st_mode) else 1
                entry = seen.setdefault((status.st_dev, status.st_ino), [links, status.st_blocks * 512])
                entry[0] -= 1
    return sum(size for links, size in seen.values() if links <= 0)


def remove(path: str) -> None:
    """Remove a tree; renamed first, so that a half-removed one is never taken for whole."""
    if not os.path.lexists(path):
        return
    doomed = os.path.join(os.path.dirname(path), f".removing-{os.path.basename(path)}")
    if os.path.lexists(doomed):
        shutil.rmtree(doomed)
    os.rename(path, doomed)
    shutil.rmtree(doomed)


def sweep(root: str) -> list[str]:
    """Remove what killed runs left outside of the environments: scratch folders and files that were never renamed."""
    found = []
    for pattern in (
        "state/lock-*",
        "state/conda-*",
        "state/**/*.[0-9]*.tmp",
        "bin/*.[0-9]*.tmp",
        "toolbox/.removing-*",
        "toolbox/.current.*",
        "cache/conda/archives/*/.*.part",
        # uv's, which `uv cache prune` leaves. Not in archive-*/*: packages lie unpacked there.
        "cache/uv/.tmp*",
        "cache/uv/*/.tmp*",
        "cache/uv/[!a]*/**/.tmp*",
    ):
        found += glob.glob(os.path.join(glob.escape(root), pattern), recursive=True)
    for path in found:
        shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
    return found


def leftovers(folder: str) -> list[str]:
    """What killed runs left in a folder: half-removed trees and unused links."""
    try:
        return sorted(name for name in os.listdir(folder) if name.startswith((".removing-", ".current.", ".staging-")))
    except OSError:
        return []
