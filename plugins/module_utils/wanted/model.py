"""Models and their weights as typed values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..records.model import Gives, Takes
from ..terms.kinds import Parsed
from ..terms.versions import numbers
from .project import Declared, Project

HUB, PACKAGE, URL = "hub", "package", "url"
"""Where weights come from: a repository of a model hub, a distribution of the package index, one file."""


@dataclass(frozen=True)
class WeightFile:
    """One file; what is `None` is not known.

    Attributes:
        path: In its repository, its archive, or among an environment's packages.
        bytes: Its size.
        sha256: Of its content.
    """

    path: str
    bytes: int | None
    sha256: str | None


@dataclass(frozen=True)
class Weights:
    """The files of one repository, release or package.

    Attributes:
        name: Name in the catalog.
        kind: `HUB`, `PACKAGE` or `URL`.
        place: The repository (``amphion/MaskGCT``), the distribution, or the address.
        revision: The full commit of a repository; `None` where it is not known.
        gated: Whether the hub wants a token; `None` where it is not known.
        licence: Of the weights; `None` where it is not known.
        commercial: Whether the licence allows commercial use; `None` where it is not known.
        files: What is needed of it.
        archive: The downloaded file itself, where the files are unpacked from it.
        mirrors: Other addresses of the download.
        complete: Whether `files` is all that is needed.
        about_bytes: What they are in all, where a size is not known.
    """

    name: str
    kind: str
    place: str
    licence: str | None
    commercial: bool | None
    files: tuple[WeightFile, ...]
    revision: str | None = None
    gated: bool | None = None
    archive: WeightFile | None = None
    mirrors: tuple[str, ...] = ()
    complete: bool = True
    about_bytes: int = 0

    @property
    def unknown(self) -> str:
        """What has to be known before they can be had; empty where they are pinned."""
        missing = ["its revision"] if self.kind == HUB and not self.revision else []
        for file in (*self.files, *([self.archive] if self.archive else [])):
            lacking = [name for name, value in (("size", file.bytes), ("sha256", file.sha256)) if value is None]
            missing += [f"{' and '.join(lacking)} of {file.path}"] if lacking else []
        missing += [] if self.complete else ["which other files it needs"]
        more = f" and {len(missing) - 2} more" if len(missing) > 2 else ""
        return ", ".join(missing[:2]) + more

    @property
    def size(self) -> int:
        """About how many bytes they take."""
        return max(self.about_bytes, sum(file.bytes or 0 for file in self.files))


@dataclass(frozen=True)
class Task:
    """A kind of model, from ``catalog/tasks/``.

    Attributes:
        name: Name in the catalog.
        description: What its command does.
        takes: ``text`` or ``sound``.
        gives: ``sound``, ``text``, ``spans`` (pairs of seconds) or ``track`` (times, hertz, where there is a voice).
        may_take: Other sounds that it may be given: the option's name, and what it is for.
        may_say: Other texts that it may be given, likewise.
        ask: What a service of such a model is asked for to see that it works; empty: it has none.
    """

    name: str
    description: str
    takes: Takes
    gives: Gives
    may_take: Mapping[str, str] = field(default_factory=dict)
    may_say: Mapping[str, str] = field(default_factory=dict)
    ask: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Archive:
    """The files of a source tree, packed on the controller.

    Attributes:
        folder: Where they lie below the prefix of a generation.
        file: Its name.
        path: Where it is on the controller.
        sha256: Of the archive.
    """

    folder: str
    file: str
    path: str
    sha256: str


@dataclass(frozen=True)
class Tree:
    """The part of a repository that holds the code of models.

    Attributes:
        git: Its address.
        commit: The full id.
        paths: Patterns of the files that are taken; ``*`` stands for ``/`` too.
        may_lack: Files that a mirror may lack, each with what the model is without.
        absent: Those that the mirror does lack.
        archive: The files; `None` where they were not asked for.
    """

    git: str
    commit: str
    paths: tuple[str, ...] = ("*",)
    may_lack: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    archive: Archive | None = None

    @property
    def folder(self) -> str:
        """Where it lies below the prefix of a generation."""
        return f"code/{self.git.rstrip('/').rpartition('/')[2].removesuffix('.git')}-{self.commit[:12]}"


@dataclass(frozen=True)
class Model:
    """A model that an environment can ask for.

    Attributes:
        name: Name in the catalog.
        description: One sentence.
        task: What it is for.
        package: The distribution that holds its code; empty where that is in a repository.
        project: Its entry in ``catalog/projects/``; empty for none.
        tree: Its repository; `None` where a package holds its code.
        modules: Modules of the tree that must import.
        workdir: The folder it must run in: ``source``, ``scratch``; empty: any.
        python_minimum: Oldest Python it works on.
        python_maximum: Newest Python it works on.
        refused: Kinds of backend that it cannot work on, each with the reason.
        alone: Why no other model can be in its environment; empty where others can.
        packages: Names of catalog packages.
        requires: Requirements.
        imports: Distributions and the module of each that must import.
        overrides: Requirements that replace what anybody declares, each with the reason.
        apt: Packages of Debian and Ubuntu.
        variables: What its own processes find set; ``{site}`` and ``{code}`` stand for site-packages and the tree.
        adapters: Our own code in place of patches, each with the fault it is for.
        serves: Where a server of its own makes a sound; empty: our page serves it.
        licence: Of the code; `None` where it is not known.
        languages: ISO 639 codes; empty where language does not matter.
        sample_rate: Of what it gives or takes, hertz.
        memory_host: GiB of memory on the CPU.
        memory_gpu: GiB of GPU memory; `None` where it uses no GPU.
        weights: What it loads.
        runner: The text of one's own code that runs it (``models/<name>.py`` of the overlay); empty where the project has some, or none.
    """

    name: str
    description: str
    task: Task
    package: str = ""
    project: str = ""
    tree: Tree | None = None
    modules: tuple[str, ...] = ()
    workdir: str = ""
    python_minimum: tuple[int, ...] = (3, 10)
    python_maximum: tuple[int, ...] = (3, 14)
    refused: Mapping[str, str] = field(default_factory=dict)
    alone: str = ""
    packages: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    imports: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, str] = field(default_factory=dict)
    apt: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    adapters: Mapping[str, str] = field(default_factory=dict)
    serves: str = ""
    licence: str | None = None
    languages: tuple[str, ...] = ()
    sample_rate: int = 24000
    memory_host: float = 1.0
    memory_gpu: float | None = None
    weights: tuple[Weights, ...] = ()
    runner: str = ""

    @property
    def requirements(self) -> Project:
        """What it asks of an environment, as a project does."""
        said = f"model {self.name}"
        return Project(said, tuple(Declared(line, said) for line in self.requires), self.overrides)


def weights(data: Parsed) -> Weights:
    """Weights from a checked file."""
    source = data["source"]
    kind = next(kind for kind in (HUB, PACKAGE, URL) if kind in source)
    archive = None
    if "unpack" in source:
        archive = WeightFile(source[URL].rpartition("/")[2], source["bytes"], source["sha256"])
    return Weights(
        name=data["name"],
        kind=kind,
        place=source[kind],
        licence=data["licence"],
        commercial=data["commercial"],
        files=tuple(WeightFile(file["path"], file["bytes"], file["sha256"]) for file in data["files"]),
        revision=source.get("revision"),
        gated=source.get("gated"),
        archive=archive,
        mirrors=tuple(source.get("mirrors", ())),
        complete=data.get("complete", True),
        about_bytes=data.get("about_bytes", 0),
    )


def task(data: Parsed) -> Task:
    """A task from a checked file."""
    more = (dict(data.get(kind, {})) for kind in ("may_take", "may_say", "ask"))
    return Task(data["name"], data["description"], data["takes"], data["gives"], *more)


def tree(code: Parsed, projects: Mapping[str, Parsed]) -> Tree | None:
    """The source tree that a model's entry names, itself or by its project; `None` where a package holds its code."""
    if "package" in code:
        return None
    source = projects[code["project"]] if "project" in code else code
    part = source.get("tree", {})
    return Tree(
        git=source["git"],
        commit=source["commit"],
        paths=tuple(part.get("paths", ("*",))),
        may_lack=dict(part.get("may_lack", {})),
    )


def model(
    data: Parsed,
    known: Mapping[str, Weights],
    tasks: Mapping[str, Task],
    projects: Mapping[str, Parsed],
    runner: str = "",
) -> Model:
    """A model from a checked file; `known`, `tasks` and `projects` are those of the catalog."""
    code, python = data["code"], data.get("python", {})
    return Model(
        name=data["name"],
        description=data["description"],
        task=tasks[data["task"]],
        package=code.get("package", ""),
        project=code.get("project", ""),
        tree=tree(code, projects),
        modules=tuple(code.get("modules", ())),
        workdir=code.get("workdir", ""),
        python_minimum=numbers(python.get("minimum", "3.10")),
        python_maximum=numbers(python.get("maximum", "3.14")),
        refused=dict(data.get("refused", {})),
        alone=data.get("alone", ""),
        packages=tuple(data.get("packages", ())),
        requires=tuple(data.get("requires", ())),
        imports=dict(data.get("imports", {})),
        overrides=dict(data.get("overrides", {})),
        apt=tuple(data.get("system_packages", ())),
        variables=dict(data.get("environment", {})),
        adapters=dict(data.get("adapters", {})),
        serves=data.get("serves", ""),
        licence=data["licence"],
        languages=tuple(data["languages"]),
        sample_rate=data["sample_rate"],
        memory_host=float(data["memory_gib"]["host"]),
        memory_gpu=data["memory_gib"]["gpu"],
        weights=tuple(known[name] for name in data["weights"]),
        runner=runner,
    )
