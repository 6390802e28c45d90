"""Sign, verify and publish wheels that travel between hosts; the same code on builders, hosts, wheelhouses and the controller."""

from __future__ import annotations

import base64
import glob
import http.client
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote

from ..host import store
from ..host.job import Job
from ..host.store import sha256
from ..records.wheel import Brought, Provenance, WheelManifest
from ..terms.digest import digest
from ..terms.url import split_url
from . import manifest as wheels_manifest
from .manifest import MANIFEST, SIGNATURE, Untrusted

Take = Callable[[str, str], None]
"""Bring the file of that name to that path."""
TIMEOUT = 30.0
TRIES = 3
NO_KEYGEN = "ssh-keygen is not there. Remedy: apt-get install -y openssh-client"


def signing_key(root: str) -> tuple[str, str]:
    """The host's own signing key, made where there is none: its path and its public half."""
    folder = os.path.join(root, "state", "signing")
    path = os.path.join(folder, "key")
    if not os.path.exists(path + ".pub"):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        os.chmod(folder, 0o700)
        for half in (path, path + ".new", path + ".new.pub"):
            if os.path.exists(half):
                os.unlink(half)
        _keygen(["-q", "-t", "ed25519", "-N", "", "-C", "wavesmith", "-f", path + ".new"])
        os.rename(path + ".new", path)
        os.rename(path + ".new.pub", path + ".pub")  # last: with it the pair is whole
    with open(path + ".pub", encoding="ascii") as file:
        return path, file.read().strip()


def _keygen(arguments: list[str], stdin: bytes = b"") -> None:
    try:
        done = subprocess.run(["ssh-keygen", *arguments], input=stdin, capture_output=True, check=False, timeout=60)
    except FileNotFoundError as error:
        raise store.StoreError(NO_KEYGEN) from error
    if done.returncode != 0:
        raise Untrusted((done.stderr or done.stdout).decode(errors="replace").strip().replace("\n", "; "))


def sign(root: str, key: str, builder: str) -> bool:
    """Sign the wheel of a key that was built on this host; `False` where it has a signature already.

    Raises:
        StoreError: it is not there, is not the file that was built, or cannot be signed.
    """
    folder = os.path.join(root, "wheels", key)
    if os.path.exists(os.path.join(folder, SIGNATURE)):
        return False
    provenance = store.read_record(
        os.path.join(folder, "provenance.json"), Provenance, f"remove {folder} and rebuild the wheel"
    )
    if provenance is None:
        raise store.StoreError(f"wheel {key} is not on {builder}. Remedy: start again: it will be rebuilt")
    names = [name for name in sorted(os.listdir(folder)) if not name.startswith(MANIFEST)]
    files = {name: sha256(os.path.join(folder, name)) for name in names if os.path.isfile(os.path.join(folder, name))}
    if files.get(provenance["wheel"]) != provenance["sha256"]:
        store.remove(folder)
        raise store.StoreError(
            f"wheel {provenance['wheel']} on {builder} is not the file that was built (wrong sha256) and was removed. "
            "Remedy: start again: it will be rebuilt"
        )
    path = os.path.join(folder, MANIFEST)
    try:
        store.write_json(path, wheels_manifest.make_manifest(key, provenance, files, builder))
        private, _ = signing_key(root)
        if os.path.exists(path + ".sig"):
            os.unlink(path + ".sig")
        _keygen(["-q", "-Y", "sign", "-f", private, "-n", wheels_manifest.NAMESPACE, path])
    except Untrusted as error:
        raise store.StoreError(f"wheel {provenance['wheel']} cannot be signed: {error}") from error
    return True


def verify(folder: str, manifest: WheelManifest, signers: str) -> None:
    """Check that the manifest in a folder was signed by the builder it names, with the key that `signers` has for it.

    Raises:
        Untrusted: it was not.
    """
    wheel, builder = manifest["wheel"], manifest["builder"]
    if builder not in wheels_manifest.read_signers(signers):
        raise Untrusted(
            f"{wheel} is signed by {builder}, which allowed_signers does not name. Remedy: if you trust that builder, add its key "
            "(state/signing/key.pub on it) beside the locks; else remove the wheel from the wheelhouse"
        )
    with open(os.path.join(folder, MANIFEST), "rb") as file:
        text = file.read()
    with tempfile.NamedTemporaryFile("w", prefix="wavesmith-signers-") as trusted:
        trusted.write(signers)
        trusted.flush()
        arguments = ["-Y", "verify", "-f", trusted.name, "-I", builder, "-n", wheels_manifest.NAMESPACE]
        try:
            _keygen([*arguments, "-s", os.path.join(folder, SIGNATURE)], text)
        except Untrusted as error:
            raise Untrusted(
                f"the signature of {wheel} is not {builder}'s ({error}): its manifest or signature was changed. "
                "Remedy: remove the wheel from the wheelhouse and rebuild it; find out who could write there"
            ) from error


def publish(take: Take, folder: str, key: str, signers: str, replace: bool = False, expected: str = "") -> bool:
    """Bring a wheel into a folder of wheels, verified, in one rename; `False` where it was there.

    The bytes are hashed where they will stay, so what was checked is what is published. With `replace` it takes the place of one
    that is there, which goes when the good one was verified and not before.

    Where `expected` is the digest of a manifest, none but that one counts: an older one, rightly signed, is not the wheel of today.

    Raises:
        Untrusted: manifest, signature, a file or the signer is not right. Nothing is published.
        StoreError: the source does not give it, or this host cannot check it.
        OSError: the folder cannot be written.
    """
    final = os.path.join(folder, key)
    if os.path.exists(os.path.join(final, "provenance.json")) and not replace:
        return False
    staging = os.path.join(folder, f".staging-{key}-{os.getpid()}")
    _sweep(folder, key)
    os.makedirs(staging)
    try:
        for name in (MANIFEST, SIGNATURE):
            take(name, os.path.join(staging, name))
        with open(os.path.join(staging, MANIFEST), encoding="utf-8", errors="replace") as file:
            manifest = wheels_manifest.read_manifest(file.read(1 << 20), key)
        verify(staging, manifest, signers)
        if expected and digest(manifest) != expected:
            raise Untrusted(
                f"{manifest['wheel']} is signed, but is not the one that the controller keeps for this key: an old one was put back, or "
                "it was built twice. Remedy: run playbooks/wheelhouse.yml; find out who could write there"
            )
        for name, wanted in sorted(manifest["files"].items()):
            path = os.path.join(staging, name)
            take(name, path)
            if sha256(path) != wanted:
                raise Untrusted(
                    f"{name} of {manifest['name']} {manifest['version']} is not the file that {manifest['builder']} signed (wrong "
                    f"sha256, {os.path.getsize(path)} bytes): changed, or cut short on its way. Remedy: start again; if it stays, "
                    "remove the wheel from the wheelhouse and rebuild it"
                )
        for name in os.listdir(staging):
            os.chmod(os.path.join(staging, name), 0o644)
        os.chmod(staging, 0o755)  # whatever the umask: a wheelhouse serves it as another user
        store.remove(final)  # one without provenance is what a killed build left; else it is replaced
        try:
            os.rename(staging, final)
        except OSError:
            # Another run published the same key in between: the key says that it is as good.
            if not os.path.exists(os.path.join(final, "provenance.json")):
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return True


def _sweep(folder: str, key: str) -> None:
    """Remove what killed runs left of a key."""
    for path in glob.glob(os.path.join(glob.escape(folder), f".staging-{key}-*")):
        if not os.path.exists("/proc/" + path.rpartition("-")[2]):
            shutil.rmtree(path, ignore_errors=True)


def flaw(folder: str, key: str, signers: str) -> str:
    """What shows that a wheel in a folder is not what its builder signed, in a few words; empty where nothing does.

    A signer that `signers` does not name shows nothing: others may trust it. Nor does what cannot be read just now.
    """
    place = os.path.join(folder, key)
    try:
        with open(os.path.join(place, MANIFEST), encoding="utf-8", errors="replace") as file:
            manifest = wheels_manifest.read_manifest(file.read(1 << 20), key)
        if manifest["builder"] not in wheels_manifest.read_signers(signers):
            return ""
        verify(place, manifest, signers)
        wrong = [name for name, own in manifest["files"].items() if sha256(os.path.join(place, name)) != own]
    except Untrusted:
        return "its manifest or signature was changed"
    except FileNotFoundError as error:
        return f"{os.path.basename(error.filename)} is not there"
    except OSError:
        return ""
    return f"{sorted(wrong)[0]} is not the file that {manifest['builder']} signed" if wrong else ""


def bring(
    job: Job,
    folder: str,
    sources: Mapping[str, str],
    signers: str,
    index: bool,
    expected: Mapping[str, str] | None = None,
) -> Brought:
    """Publish each wheel that is there and right; what is not is named with the reason, and the others go on.

    Args:
        job: Says how far it is.
        folder: Where to.
        sources: What the address of each file of a key begins with.
        signers: Text of ``allowed_signers``.
        expected: Digest of the manifest of each key that the controller keeps.
        index: Whether the folder is a wheelhouse, with pages to be written, where a wheel that was changed is replaced.
    """
    published: list[str] = []
    refused: dict[str, str] = {}
    replaced: dict[str, str] = {}
    for number, (key, base) in enumerate(sorted(sources.items()), 1):
        job.progress("fetching wheels", number, len(sources), key)
        wrong = flaw(folder, key, signers) if index and os.path.isdir(os.path.join(folder, key)) else ""
        try:
            if publish(taker(base), folder, key, signers, bool(wrong), (expected or {}).get(key, "")):
                published.append(key)
                replaced.update({key: wrong} if wrong else {})
        except (Untrusted, store.StoreError) as error:
            refused[key] = str(error)
    if index:
        write_index(folder)
    return {"published": published, "refused": refused, "replaced": replaced}


def taker(base: str) -> Take:
    """How to take files whose address begins with `base`: ``https://wheels01/<key>/``, ``file:///folder/<key>/`` or a path."""
    if base.startswith(("http://", "https://")):
        return lambda name, path: _download(base, name, path)
    local = base[len("file://") :] if base.startswith("file://") else base

    def copy(name: str, path: str) -> None:
        try:
            shutil.copyfile(local + name, path)
        except FileNotFoundError as error:
            raise store.StoreError(f"{local}{name} is not there. Remedy: start again, or rebuild the wheel") from error

    return copy


def request(address: str) -> urllib.request.Request:
    """A request for an address; user and password in it are sent as a header, to this host only, and never shown."""
    url = split_url(address)
    made = urllib.request.Request(url.shown, headers={"User-Agent": "wavesmith"})
    if url.user is not None:
        pair = f"{url.user}:{url.password or ''}".encode()
        made.add_unredirected_header("Authorization", "Basic " + base64.b64encode(pair).decode("ascii"))
    return made


def _download(base: str, name: str, path: str) -> None:
    asked = request(base + quote(name))
    problem: object = ""
    for _ in range(TRIES):
        try:
            with urllib.request.urlopen(asked, timeout=TIMEOUT) as answer, open(path, "wb") as file:
                shutil.copyfileobj(answer, file, 1 << 20)
            return
        except urllib.error.HTTPError as error:
            problem = f"HTTP {error.code}"
            error.close()
            if error.code < 500:
                break
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            problem = getattr(error, "reason", error)
    raise store.StoreError(
        f"{asked.full_url} cannot be had ({problem}). Remedy: check that the wheelhouse runs (wavesmith_wheelhouse), start again"
    )


def entries(folder: str) -> dict[str, WheelManifest]:
    """The manifests of all signed wheels in a folder, by key; nothing is verified yet."""
    found = {}
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*", SIGNATURE))):
        key = os.path.basename(os.path.dirname(path))
        try:
            with open(path[: -len(".sig")], encoding="utf-8") as file:
                found[key] = wheels_manifest.read_manifest(file.read(), key)
        except (OSError, ValueError, Untrusted):
            continue
    return found


def write_index(folder: str) -> None:
    """Write ``keys.json`` and the index pages of a wheelhouse again."""
    write_pages(folder, wheels_manifest.pages(entries(folder)))


def write_pages(folder: str, pages: Mapping[str, str]) -> None:
    """Write pages below a folder; those of projects that are gone are removed."""
    for relative, text in pages.items():
        store.write_text(os.path.join(folder, relative), text)
    for place, _, names in os.walk(os.path.join(folder, "simple"), topdown=False):
        for name in names:
            path = os.path.join(place, name)
            if os.path.relpath(path, folder) not in pages:
                os.unlink(path)
        if not os.listdir(place):
            os.rmdir(place)


def used(root: str) -> list[str]:
    """Wheel keys that the generations on this host were made from."""
    found: set[str] = set()
    for path in glob.glob(os.path.join(glob.escape(root), "envs", "*", "*", store.MANIFEST)):
        manifest = store.read_json(path)
        if isinstance(manifest, dict):
            found.update((manifest.get("wheels") or {}).values())
    return sorted(found)


def prune(folder: str, keys: Iterable[str], keep: int, check: bool) -> list[str]:
    """Remove the wheels of a folder that may go, and say which; with `check` only say it."""
    known = {}
    for path in glob.glob(os.path.join(glob.escape(folder), "*", "provenance.json")):
        provenance = store.read_json(path)
        place = os.path.dirname(path)
        if isinstance(provenance, dict):
            recipe = provenance.get("recipe", {})
            name, variant = str(recipe.get("name", "")), str(provenance.get("variant", ""))
            known[os.path.basename(place)] = (name, variant, os.stat(path).st_mtime)
    doomed = wheels_manifest.prunable(known, set(keys), keep)
    if not check:
        for key in doomed:
            store.remove(os.path.join(folder, key))
        for name in store.leftovers(folder):
            if not os.path.exists("/proc/" + name.rpartition("-")[2]):
                store.remove(os.path.join(folder, name))
    return doomed
