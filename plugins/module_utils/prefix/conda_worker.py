"""Ask channels and link packages; run by the toolbox's interpreter, the only one that has py-rattler.

``python -I worker.py solve|fetch|install SPEC ANSWER``: both are JSON files. An answer with `failure` says what is wrong and the remedy.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit, urlunsplit

if TYPE_CHECKING:  # the toolbox's interpreter has this file alone
    from ..records.plan import ChannelOf, ChannelPackage
    from ..records.task import ChannelAnswer, ChannelFetch, ChannelInstall, ChannelSolve, ChannelWork

DOWNLOADS = 8


class Wrong(Exception):
    """What a person has to know."""


def main(verb: str, spec_file: str, answer_file: str) -> None:
    """Do one piece of work and write its answer."""
    spec = json.loads(Path(spec_file).read_text(encoding="utf-8"))
    try:
        answer = asyncio.run({"solve": _solve, "fetch": _fetch, "install": _install}[verb](spec))
    except Wrong as error:
        answer = {"failure": str(error)}
    Path(answer_file).write_text(json.dumps(answer), encoding="utf-8")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # rattler's own threads may still be at work when the interpreter takes itself down


async def _solve(spec: ChannelSolve) -> ChannelAnswer:
    import rattler
    from rattler.exceptions import GatewayError, SolverError

    names: dict[str, str] = {}
    sources = []
    for channel in spec["channels"]:
        source = _channel(channel)
        names[source.base_url.rstrip("/")] = channel["name"]
        sources.append(source)
    how = rattler.SourceConfig(cache_action="force-cache-only" if spec["offline"] else "cache-or-fetch")
    gateway = rattler.Gateway(cache_dir=Path(spec["cache"], "repodata"), default_config=how)
    # One lock serves every host of the platform, so neither this host's CPU level nor its GPU driver may choose.
    here = [found.into_generic() for found in rattler.VirtualPackage.detect()]
    virtual = [found for found in here if found.name.normalized in ("__unix", "__linux", "__glibc")]
    asked = ", ".join(spec["specs"])
    where = ", ".join(channel["name"] for channel in spec["channels"])
    try:
        records = await rattler.solve(
            sources=sources,
            specs=spec["specs"],
            gateway=gateway,
            platforms=[rattler.Subdir(spec["subdir"]), rattler.Subdir("noarch")],
            virtual_packages=virtual,
        )
    except SolverError as error:
        why = " ".join(str(error).split()).removeprefix("Cannot solve the request because of: ").rstrip(". ")
        remedy = "correct the version (wavesmith_python), or name a channel that has it in wavesmith_conda_channels"
        raise Wrong(f"no packages of {where} satisfy {asked}: {why}. Remedy: {remedy}") from error
    except GatewayError as error:
        raise Wrong(_silent(where, error, spec["offline"])) from error
    found = [
        {**json.loads(record.to_json()), "channel": names[str(record.channel).rstrip("/")], "fn": record.file_name}
        for record in records
    ]
    mixed = sorted({record["name"] for record in found} & set(spec["banned"]))
    if mixed:
        raise Wrong(
            f"{where} would bring {', '.join(mixed)} into an environment that has it from the system. "
            "Remedy: set wavesmith_native: channel; the two cannot be mixed"
        )
    return {"records": cast("list[ChannelPackage]", found)}


def _channel(channel: ChannelOf) -> Any:
    import rattler

    return rattler.Channel(channel["url"])


def _silent(where: str, error: BaseException, offline: bool = False) -> str:
    why = str(error).splitlines()[-1].removeprefix("Caused by: ")
    remedy = "check its address and the network of the host, or name a mirror in wavesmith_conda_channels"
    if offline:
        remedy = "set wavesmith_conda_offline: false, or name a folder with its packages in wavesmith_conda_channels"
    return f"the channel {where} does not answer ({why}). Remedy: {remedy}"


def _urls(spec: ChannelWork) -> dict[str, str]:
    """The address of each channel by its name."""
    return {channel["name"]: _channel(channel).base_url.rstrip("/") for channel in spec["channels"]}


async def _archives(spec: ChannelFetch) -> list[Path]:
    """The file of each package, in the cache and checked."""
    import rattler

    urls = _urls(spec)
    client = rattler.Client.default_client()
    gate = asyncio.Semaphore(DOWNLOADS)

    async def fetch(package: ChannelPackage) -> Path:
        if package["channel"] not in urls:
            known = ", ".join(urls)
            raise Wrong(
                f"{package['fn']} is locked from the channel {package['channel']}, which is not among those configured ({known}). "
                "Remedy: add it to wavesmith_conda_channels, or remove the lock to have it resolved again"
            )
        url = f"{urls[package['channel']]}/{package['subdir']}/{package['fn']}"
        async with gate:
            return await _archive(client, url, package, spec)

    return await asyncio.gather(*(fetch(package) for package in spec["packages"]))


async def _fetch(spec: ChannelFetch) -> ChannelAnswer:
    return {"archives": [str(archive) for archive in await _archives(spec)]}


async def _install(spec: ChannelInstall) -> ChannelAnswer:
    import rattler
    from rattler.exceptions import InstallerError

    urls, records = _urls(spec), []
    for package, archive in zip(spec["packages"], await _archives(spec)):
        facts = Path(spec["work"], f"{package['name']}.json")
        facts.write_text(json.dumps({key: value for key, value in package.items() if key not in ("channel", "fn")}))
        record = rattler.PackageRecord.from_index_json(
            facts, package.get("size"), package["sha256"], package.get("md5")
        )
        records.append(rattler.RepoDataRecord(record, package["fn"], archive.as_uri(), urls[package["channel"]]))
    # The archive's folder is named by its sha256, and is part of the cache's key: no other package is taken for this one.
    cache = rattler.PackageCache.new_layered([Path(spec["cache"], "packages")], cache_origin=True)
    for last in (False, True):
        try:
            await rattler.install(
                records,
                target_prefix=spec["prefix"],
                package_cache=cache,
                platform=rattler.Subdir(spec["subdir"]),
                show_progress=False,
                execute_link_scripts=False,
            )
        except InstallerError as error:
            why = "; ".join(line.removeprefix("Caused by: ") for line in str(error).splitlines() if line.strip())
            raise Wrong(f"the packages could not be linked into {spec['prefix']}: {why}. Remedy: run again") from error
        wrong = _wrong_bytes(Path(spec["prefix"]))
        if not wrong:
            break
        name, (path, folder) = sorted(wrong.items())[0]
        if last:
            raise Wrong(
                f"{name}: {path} is not the file its package declares. Remedy: remove {spec['cache']} and run again"
            )
        # A file of the cache was changed in place through a hard link: unpack those packages again.
        print(f"unpacking again: {', '.join(sorted(wrong))}", flush=True)
        for _path, folder in wrong.values():
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(spec["prefix"])
    _complete_records(spec, urls)
    return {"packages": {package["name"]: package["version"] for package in spec["packages"]}}


async def _archive(client: Any, url: str, package: ChannelPackage, spec: ChannelWork) -> Path:
    """The package's file in the cache: there already, or fetched and checked against the lock's sha256."""
    from rattler.package_streaming import download_to_path

    place = Path(spec["cache"], "archives", package["sha256"], package["fn"])
    if place.is_file() and _sha256(place) == package["sha256"]:
        return place
    local = url.startswith("file:")
    if spec["offline"] and not local:
        raise Wrong(
            f"{package['fn']} is not in the cache of this host, and wavesmith_conda_offline is true. "
            "Remedy: set it to false, or name a folder with its packages in wavesmith_conda_channels"
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.part")
    try:
        if local:
            shutil.copyfile(unquote(urlsplit(url).path), part)
        else:
            await download_to_path(client, url, part)
    except (OSError, RuntimeError) as error:
        part.unlink(missing_ok=True)
        raise Wrong(_silent(f"{package['channel']} ({package['fn']})", error)) from error
    if _sha256(part) != package["sha256"]:
        part.unlink()
        raise Wrong(
            f"the file {package['fn']} of the channel {package['channel']} is not the one its lock names (wrong sha256). Remedy: "
            "find out who changed the file on the channel; if the new one is wanted, remove the lock and resolve again"
        )
    part.replace(place)
    return place


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _wrong_bytes(prefix: Path) -> dict[str, tuple[str, str]]:
    """Packages with a file whose bytes are not those it declares: the first such file, and the package's folder in the cache."""
    work = []
    for path in sorted(prefix.glob("conda-meta/*.json")):
        meta = json.loads(path.read_text(encoding="utf-8"))
        for entry in meta["paths_data"]["paths"]:
            digest = entry.get("sha256_in_prefix") or entry.get("sha256")
            if entry["path_type"] != "softlink" and digest:
                work.append((meta["name"], entry["_path"], digest, meta["extracted_package_dir"]))

    def good(item: tuple[str, str, str, str]) -> bool:
        try:
            return _sha256(prefix / item[1]) == item[2]
        except OSError:
            return False

    wrong: dict[str, tuple[str, str]] = {}
    with ThreadPoolExecutor() as pool:
        for item, fine in zip(work, pool.map(good, work)):
            if not fine:
                wrong.setdefault(item[0], (item[1], item[3]))
    return wrong


def _complete_records(spec: ChannelInstall, urls: dict[str, str]) -> None:
    """Say in ``conda-meta`` where a package is from, not where its archive lay, and what was asked for.

    A password in the address stays out. py-rattler 0.28.0 refuses its own `requested_specs` of `install`.
    """
    packages = {package["fn"]: package for package in spec["packages"]}
    for path in Path(spec["prefix"]).glob("conda-meta/*.json"):
        meta = json.loads(path.read_text(encoding="utf-8"))
        package = packages[meta["fn"]]
        parts = urlsplit(urls[package["channel"]])
        shown = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        meta["channel"], meta["url"] = shown, f"{shown}/{package['subdir']}/{package['fn']}"
        meta["requested_specs"] = [text for text in spec["specs"] if text.split()[0] == meta["name"]]
        path.write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
