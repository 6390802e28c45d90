"""`wavesmith catalog`: compare what the catalog pins with an index, its wheels and upstream, and propose what would correct it."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .facts.questions import Question, Tools
    from .facts.records import Fact

NAME = "catalog"
HELP = "compare what the catalog pins with the package index and upstream, and propose what would correct it"
FINE, WRONG, UNUSABLE, UNASKED = 0, 1, 2, 3
AT_ONCE = 8


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    commands = parser.add_subparsers(required=True, dest="what", metavar="WHAT")
    check = commands.add_parser("check", help="list what is wrong, what is new and what could not be asked")
    check.epilog = (
        "Exit code: 0 everything was asked and nothing is wrong, 1 something is wrong, 2 nothing can be compared, "
        "3 nothing is wrong but something could not be asked. Newer releases change no exit code."
    )
    check.add_argument("--json", action="store_true", help="print all facts as JSON")
    update = commands.add_parser("update", help="propose the changes as a unified diff with their sources")
    update.epilog = "Exit code: 0 nothing to change, or written; 1 changes are proposed; 2 nothing can be compared."
    update.add_argument("--json", action="store_true", help="print the changes as one JSON document")
    update.add_argument("--write", action="store_true", help="change the files")
    for command in (check, update):
        command.add_argument(
            "name", nargs="?", default="", help="one entry, such as cuda13_0, onnxruntime-gpu or cuda [all]"
        )
        command.add_argument("--catalog", type=Path, metavar="FOLDER", help="another catalog [this project's]")
        command.add_argument("--index", default="", metavar="URL", help="package index [that of pip and uv here]")
        command.add_argument(
            "--large", action="store_true", help="also read libraries and archives above 64 MiB (downloads some GiB)"
        )


def run(arguments: argparse.Namespace) -> int:
    """Compare, and print."""
    from ansible.errors import AnsibleError
    from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

    from .facts import index, questions

    folder = (arguments.catalog or catalog_files.FOLDER).resolve()
    try:
        catalog_files.load(folder)
    except AnsibleError as error:
        return _refuse(str(error))
    asked = questions.questions(folder, arguments.name)
    if not asked:
        return _refuse(
            f"nothing is pinned under the name {arguments.name!r}. Remedy: use the name of a file, without .yml"
        )
    address = arguments.index or index.default_index()
    if not address:
        return _refuse("no package index is known here. Remedy: name one in --index, or set pip's")
    tools = questions.Tools(index.Index(address), None if arguments.large else questions.SMALL)
    facts = _ask(asked, tools)
    if all(fact.verdict == "unasked" for fact in facts):
        return _refuse(
            f"nothing could be asked: {facts[0].detail}. Remedy: check the network, or name an index in --index"
        )
    if arguments.what == "update":
        return _update(facts, folder, arguments.write, arguments.json)
    if arguments.json:
        print(json.dumps([_plain(fact, folder) for fact in facts], indent=1))
    else:
        print("\n".join(text(facts)))
    verdicts = {fact.verdict for fact in facts}
    return WRONG if "wrong" in verdicts else UNASKED if "unasked" in verdicts else FINE


def _refuse(problem: str) -> int:
    print(f"✗ {problem}", file=sys.stderr)
    return UNUSABLE


def _ask(asked: Sequence[Question], tools: Tools) -> list[Fact]:
    """Every answer in the order of the questions; how far it is goes to stderr."""
    answers: dict[int, list[Fact]] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {pool.submit(question.answer, tools): number for number, question in enumerate(asked)}
        try:
            for done in as_completed(running):
                number = running[done]
                answers[number] = done.result()
                _progress(len(answers), len(asked), asked[number].item)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [fact for number in sorted(answers) for fact in answers[number]]


def _progress(done: int, total: int, item: str) -> None:
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        print(f"\r\x1b[K{done}/{total} {item[:60]}{end}", end="", file=sys.stderr, flush=True)
    elif done % 50 == 0 or done == total:
        print(f"{done}/{total} asked", file=sys.stderr, flush=True)


_MARKS = {"wrong": "✗", "new": "+", "unasked": "?"}


def text(facts: Iterable[Fact]) -> Iterator[str]:
    """What is worth reading: the facts that are not right, the worst first, those with one reason in one line; and how many there are."""
    facts = list(facts)
    for verdict, mark in _MARKS.items():
        alike: dict[tuple[str, str], list[str]] = {}
        for fact in facts:
            if fact.verdict == verdict:
                alike.setdefault((fact.detail, fact.source), []).append(f"{fact.place}: {fact.item}")
        for (detail, source), items in alike.items():
            yield f"{mark} {', '.join(items)}: {detail}" + (f" ({source})" if source else "")
    count = Counter(fact.verdict for fact in facts)
    yield (
        f"{len(facts)} facts: {count['right']} right, {count['wrong']} wrong, {count['new']} with something newer, "
        f"{count['unasked']} could not be asked"
    )


def _plain(fact: Fact, folder: Path) -> dict[str, object]:
    change = fact.change
    plain: dict[str, object] = {key: value for key, value in asdict(fact).items() if key != "change"}
    plain["change"] = change and {**asdict(change), "path": change.path.relative_to(folder).as_posix()}
    return plain


def _update(facts: Sequence[Fact], folder: Path, write: bool, as_json: bool) -> int:
    from ansible.errors import AnsibleError
    from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

    from .facts import changes

    texts, made, unfit = changes.proposed(facts)
    for fact in unfit:
        print(
            f"{fact.place}: {fact.item}: {fact.detail}; change it by hand: it is not written as expected",
            file=sys.stderr,
        )
    if as_json:
        paths = [path.relative_to(folder).as_posix() for path in texts]
        print(json.dumps({"schema": 1, "files": paths, "diff": changes.diff(texts, made, folder)}, indent=1))
    if not texts:
        print("nothing to change that is known how", file=sys.stderr)
        return FINE
    if not as_json:
        print(changes.diff(texts, made, folder), end="")
    if not write:
        return WRONG
    before = {path: path.read_text(encoding="utf-8") for path in texts}
    for path, changed in texts.items():
        path.write_text(changed, encoding="utf-8")
    try:
        catalog_files.load.cache_clear()
        catalog_files.load_cuda.cache_clear()
        catalog_files.load(folder)
    except AnsibleError as error:
        for path, old in before.items():
            path.write_text(old, encoding="utf-8")
        return _refuse(f"with these changes the catalog is not valid, nothing was written: {error}")
    print(f"wrote {len(texts)} files", file=sys.stderr)
    return FINE
