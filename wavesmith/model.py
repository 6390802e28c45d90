"""`wavesmith model`: what the catalog knows of models, and `pin`, which asks a model hub for what pins their weights."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, TypedDict

from . import model_sets

NAME = "model"
HELP = "list the catalog's models, pin the weights of one, or try those that share an environment"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = (
        "Exit code: 0 done, 1 what was to be pinned is still unpinned, 2 the model or the hub cannot be used."
    )
    commands = parser.add_subparsers(required=True, dest="what", metavar="WHAT")
    listing = commands.add_parser(
        "list", help="list the models: task, licence, size, and what is not known of their weights"
    )
    listing.add_argument("--json", action="store_true", help="print the models as one JSON document")
    pin = commands.add_parser("pin", help="write revision, size and sha256 of a model's weights into catalog/weights/")
    pin.add_argument("name", help="name of a model")
    pin.add_argument(
        "--catalog",
        type=Path,
        help="your own catalog folder to write to, as wavesmith_catalog names it [this project's]",
    )
    pin.add_argument("--revision", help="the commit to pin [the newest one]")
    pin.add_argument("--hub", help="address of the hub [HF_ENDPOINT, or the client's own]")
    pin.add_argument("--json", action="store_true", help="print what was pinned as one JSON document")
    trying = commands.add_parser(
        "try", help="resolve sets of models that share an environment, and import everything of them here"
    )
    model_sets.configure(trying)


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked."""
    if arguments.what == "try":
        return model_sets.run(arguments)
    from ansible.errors import AnsibleError
    from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

    try:
        catalog = catalog_files.load(overlay=getattr(arguments, "catalog", None))
    except AnsibleError as error:
        return _refuse(str(error))
    if arguments.what == "list":
        return _list(catalog.models, arguments.json)
    if arguments.name not in catalog.models:
        return _refuse(f"there is no model {arguments.name}. Remedy: use one of: {', '.join(catalog.models)}")
    return _pin(catalog.models[arguments.name], arguments, catalog_files.FOLDER)


def _refuse(problem: str) -> int:
    print(f"✗ {problem}", file=sys.stderr)
    return 2


def _list(models: Any, as_json: bool) -> int:
    from ansible_collections.wavesmith.provision.plugins.module_utils.plan.models import lines, model_of

    known = [model_of(model) for model in models.values()]
    print(json.dumps({"schema": 1, "models": known}, indent=1) if as_json else "\n".join(lines(known)))
    return 0


def _pin(model: Any, arguments: argparse.Namespace, folder: Path) -> int:
    unpinned = [weights for weights in model.weights if weights.unknown]
    if not unpinned and not arguments.json:
        print(f"the weights of {model.name} are pinned already" if model.weights else f"{model.name} has no weights")
    rows: list[dict[str, object]] = []
    for weights in unpinned:
        own = arguments.catalog / "weights" / f"{weights.name}.yml" if arguments.catalog else None
        path = own if own and own.exists() else folder / "weights" / f"{weights.name}.yml"
        if weights.kind != "hub":
            return _refuse(f"{weights.name} does not come from a hub. Remedy: write size and sha256 into {path}")
        try:
            known = ask(weights.place, [file.path for file in weights.files], arguments.hub, arguments.revision)
            text = pinned(path.read_text(encoding="utf-8"), known)
        except Unpinnable as problem:
            return _refuse(f"{weights.name} ({weights.place}): {problem}")
        target = own or path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        others = [] if weights.complete else sorted(set(known["others"]))
        rows.append(
            {
                "weights": weights.name,
                "path": str(target),
                "place": weights.place,
                "revision": known["revision"],
                "files": sorted(known["files"]),
                "unpinned": others,
            }
        )
        if arguments.json:
            continue
        print(f"{target}: {weights.place} at {known['revision']}, {len(known['files'])} files")
        if not weights.complete:
            print(
                f"  still unpinned: name what else it needs under files, and take complete away. The repository has: {', '.join(others)}"
            )
    if arguments.json:
        print(json.dumps({"schema": 1, "pinned": rows}, indent=1))
    return 0 if all(weights.complete for weights in unpinned) else 1


class OnHub(TypedDict):
    """What a hub says of a repository.

    Attributes:
        revision: Its commit.
        gated: Whether it wants a token.
        files: Bytes and sha256 of the files that were asked for.
        others: The paths of its other files.
    """

    revision: str
    gated: bool
    files: dict[str, tuple[int, str]]
    others: list[str]


class Unpinnable(ValueError):
    """What a hub does not tell; the message has the remedy."""


def ask(repository: str, paths: list[str], hub: str | None, revision: str | None) -> OnHub:
    """What a hub says of files of a repository.

    Raises:
        Unpinnable: it does not answer, wants a token, or has no such file.
    """
    from httpx2 import HTTPError  # what the client is made with
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    api = HfApi(endpoint=hub or os.environ.get("HF_ENDPOINT") or None)
    try:
        info = api.model_info(repository, revision=revision, files_metadata=True)
        there = {sibling.rfilename: sibling for sibling in info.siblings or []}
        missing = [path for path in paths if path not in there]
        if missing:
            raise Unpinnable(
                f"there is no file {missing[0]}. Remedy: correct files; there are: {', '.join(sorted(there))}"
            )
        files: dict[str, tuple[int, str]] = {}
        for path in paths:
            found = there[path]
            if found.lfs is not None:
                files[path] = (found.lfs.size, found.lfs.sha256)
            else:
                # The hub tells the sha256 of large files only.
                with tempfile.TemporaryDirectory() as scratch:
                    data = Path(
                        api.hf_hub_download(repository, path, revision=info.sha, local_dir=scratch)
                    ).read_bytes()
                files[path] = (len(data), hashlib.sha256(data).hexdigest())
    except GatedRepoError as error:
        raise Unpinnable(
            "it is gated. Remedy: accept its terms on the hub, and set HF_TOKEN in this command's environment"
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        said = str(error).splitlines()[0]
        raise Unpinnable(f"{said}. Remedy: correct its name or revision, or set HF_TOKEN if it is private") from error
    except (HTTPError, OSError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Unpinnable(
            f"the hub {api.endpoint} does not answer: {said}. Remedy: name one in --hub or HF_ENDPOINT"
        ) from error
    return {
        "revision": info.sha or "",
        "gated": bool(info.gated),
        "files": files,
        "others": [path for path in there if path not in paths],
    }


def pinned(text: str, known: OnHub) -> str:
    """A weights file with what is known filled in; everything else, comments too, stays as it is.

    Raises:
        Unpinnable: it names something else than the hub has.
    """
    for path, (size, sha256) in known["files"].items():
        block = re.search(rf"  - path: {re.escape(path)}\n    bytes: (\S+)\n    sha256: (\S+)\n", text)
        if block is None:
            raise Unpinnable(f"its file does not list {path} as path, bytes and sha256. Remedy: write it so")
        for said, is_ in zip(block.groups(), (str(size), sha256), strict=True):
            if said not in ("null", is_):
                raise Unpinnable(
                    f"{path} has {is_} at {known['revision']}, the catalog says {said}. Remedy: name another --revision, or correct the catalog"
                )
        text = text.replace(block[0], f"  - path: {path}\n    bytes: {size}\n    sha256: {sha256}\n")
    gated = "true" if known["gated"] else "false"
    changed, count = re.subn(r"revision: \S+, gated: \w+}", f"revision: {known['revision']}, gated: {gated}}}", text)
    if count != 1:
        raise Unpinnable("its source is not written as {hub: …, revision: …, gated: …}. Remedy: write it so")
    return changed
