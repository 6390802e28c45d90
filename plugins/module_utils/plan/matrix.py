"""The build matrix: every variant of a package for one Python and one CUDA, and the truth about each.

A combination exists when there is a machine that could run it and a compiler of that CUDA version that can build it.
What decides is data (``catalog/cuda.yml``); here it is only compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..terms.kinds import Parsed
from ..terms.refusal import Refusal, suggest
from ..terms.variant import ISA_LEVELS, Variant
from ..terms.versions import Range, less, numbers

MATRIX_ISAS = tuple(isa for isa in ISA_LEVELS if isa != "generic")
"""The CPU levels a matrix has; ``generic`` is what a host gets that has none of them."""


class MatrixError(ValueError):
    """A matrix that cannot be made: what is unknown, and the remedy."""

    def __init__(self, item: str, problem: str, remedy: str) -> None:
        super().__init__(str(Refusal(item, problem, remedy)))


@dataclass(frozen=True)
class Sm:
    """One compute capability.

    Attributes:
        products: GPUs and boards that have it.
        nvcc: CUDA versions whose nvcc compiles for it.
        architectures: CPU architectures of the machines that have such a GPU.
        isas: CPU levels of these machines, where only some occur; None: any of their architectures.
        renamed: What other CUDA versions call it; empty: nothing else.
        runs_code_for: An older compute capability whose code it runs; empty: none that would help.
    """

    products: tuple[str, ...]
    nvcc: Range
    architectures: tuple[str, ...]
    isas: tuple[str, ...] | None = None
    renamed: str = ""
    runs_code_for: str = ""


@dataclass(frozen=True)
class Isa:
    """A CPU level: its CPU architecture, and the first gcc that compiles for it."""

    architecture: str
    gcc: str


@dataclass(frozen=True)
class Target:
    """A package that the matrix knows: the Pythons it supports, and the oldest gcc that compiles it."""

    python: Range
    gcc: str


@dataclass(frozen=True)
class Toolchain:
    """All of ``catalog/cuda.yml``.

    Attributes:
        toolkits: CUDA version to the gcc versions its nvcc accepts.
        sms: Compute capability to what is known of it.
        isas: CPU level to what is known of it.
        packages: Package to what is known of it.
        matrix_sms: Compute capabilities of a matrix where none were named.
    """

    toolkits: Mapping[str, Range]
    sms: Mapping[str, Sm]
    isas: Mapping[str, Isa]
    packages: Mapping[str, Target]
    matrix_sms: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One variant of the matrix.

    Attributes:
        package: What is built.
        variant: What for.
        cuda: CUDA version; empty for a CPU-only row.
        architecture: CPU architecture of its machines.
        nvcc: CUDA versions that can compile it; None for a CPU-only row.
        gcc: gcc versions that can compile it with this CUDA; None where none can.
        reasons: Why it does not exist; empty: it does.
    """

    package: str
    variant: Variant
    cuda: str
    architecture: str
    nvcc: Range | None
    gcc: Range | None
    reasons: tuple[str, ...]

    @property
    def name(self) -> str:
        """The full name: ``torchaudio-python313-cuda12_8-sm120-avx512``."""
        return self.variant.full_name(self.package)

    @property
    def exists(self) -> bool:
        """Whether some machine can run it and a compiler can build it."""
        return not self.reasons

    def as_dict(self) -> dict[str, str | bool]:
        """The row as plain data, every value a text but `exists`; an open or unknown bound is empty."""
        return {
            "name": self.name,
            "package": self.package,
            "python": self.variant.python,
            "backend": self.variant.backend,
            "cuda": self.cuda,
            "sm": self.variant.sm,
            "isa": self.variant.isa,
            "architecture": self.architecture,
            "nvcc_minimum": self.nvcc.minimum if self.nvcc else "",
            "nvcc_maximum": self.nvcc.maximum if self.nvcc else "",
            "gcc_minimum": self.gcc.minimum if self.gcc else "",
            "gcc_maximum": self.gcc.maximum if self.gcc else "",
            "exists": self.exists,
            "reason": "; ".join(self.reasons),
        }


def toolchain(data: Parsed) -> Toolchain:
    """The toolchain from a checked file.

    Raises:
        ValueError: the file names an SM or a CPU level that it does not describe.
    """
    found = Toolchain(
        toolkits={version: _range(item["gcc"]) for version, item in data["toolkits"].items()},
        sms={
            sm: Sm(
                products=tuple(item["products"]),
                nvcc=_range(item["nvcc"]),
                architectures=tuple(item["architectures"]),
                isas=tuple(item["isas"]) if "isas" in item else None,
                renamed=item.get("renamed", ""),
                runs_code_for=item.get("runs_code_for", ""),
            )
            for sm, item in data["sms"].items()
        },
        isas={isa: Isa(item["architecture"], item["gcc"]) for isa, item in data["isas"].items()},
        packages={name: Target(_range(item["python"]), item["gcc"]) for name, item in data["packages"].items()},
        matrix_sms=tuple(data["matrix_sms"]),
    )
    named = {*found.matrix_sms, *(other for sm in found.sms.values() for other in (sm.renamed, sm.runs_code_for))}
    missing = sorted(named - {"", *found.sms}) + sorted(set(MATRIX_ISAS) - set(found.isas))
    if missing:
        raise ValueError(f"{', '.join(missing)} is named but not described")
    return found


def rows(
    known: Toolchain,
    package: str,
    python: str,
    cuda: str,
    *,
    sms: Iterable[str] = (),
    isas: Iterable[str] = (),
    cpu_only: bool = True,
) -> tuple[Row, ...]:
    """Every variant of `package` for one Python and one CUDA: each SM with each CPU level, then the CPU-only ones.

    Args:
        known: What the compilers can do and which machines exist.
        package: One of `known.packages`.
        python: Python version as ``3.13``.
        cuda: CUDA version as ``12.8``, one of `known.toolkits`.
        sms: Compute capabilities; none: `known.matrix_sms`.
        isas: CPU levels; none: all six.
        cpu_only: Whether the CPU-only rows are wanted too.

    Raises:
        MatrixError: something of that is unknown; the message names it and the remedy.
    """
    sms, isas = tuple(sms) or known.matrix_sms, tuple(isas) or MATRIX_ISAS
    _check("package", package, known.packages)
    _check("cuda", cuda, known.toolkits)
    for sm in sms:
        _check("sm", sm, known.sms)
    for isa in isas:
        _check("isa", isa, known.isas)
    supported = known.packages[package].python
    _check("python", python, _pythons(supported), f"{package} is built for Python {supported}")
    made = [_row(known, package, python, cuda, sm, isa) for sm in sms for isa in isas]
    return tuple(made + [_row(known, package, python, "", "", isa) for isa in isas if cpu_only])


def _row(known: Toolchain, package: str, python: str, cuda: str, sm: str, isa: str) -> Row:
    level, target = known.isas[isa], known.packages[package]
    backend = f"cuda{cuda.replace('.', '_')}" if cuda else "cpu"
    variant = Variant(python, backend, sm, isa)
    needed = max((level.gcc, f"{isa} code"), (target.gcc, package), key=lambda item: numbers(item[0]))
    if not cuda:
        return Row(package, variant, "", level.architecture, None, Range(needed[0]), ())
    card, accepted = known.sms[sm], known.toolkits[cuda]
    gcc = Range(max(needed[0], accepted.minimum, key=numbers), accepted.maximum)
    reasons = [_no_machine(sm, card, isa, level), _no_nvcc(known, sm, card, cuda)]
    if gcc.is_empty:
        reasons.append(f"{needed[1]} needs gcc {needed[0]} or newer, CUDA {cuda} accepts gcc {accepted}")
    buildable = cuda in card.nvcc and not gcc.is_empty
    return Row(
        package=package,
        variant=variant,
        cuda=cuda,
        architecture=level.architecture,
        nvcc=card.nvcc,
        gcc=gcc if buildable else None,
        reasons=tuple(reason for reason in reasons if reason),
    )


def _no_machine(sm: str, card: Sm, isa: str, level: Isa) -> str:
    """Why no machine has this GPU and this CPU; empty where some has."""
    products = f" ({', '.join(card.products)})" if card.products else ""
    if level.architecture not in card.architectures:
        return f"SM {sm}{products} is in {' and '.join(card.architectures)} machines only, not in {level.architecture}"
    if card.isas is not None and isa not in card.isas:
        has = (
            f"has {' and '.join(card.isas)} only" if card.isas else f"is older than any {level.architecture} level here"
        )
        return f"the CPU beside SM {sm}{products} {has}, so it cannot run {isa}"
    return ""


def _no_nvcc(known: Toolchain, sm: str, card: Sm, cuda: str) -> str:
    """Why the nvcc of this CUDA cannot compile for the SM, and what helps; empty where it can."""
    if cuda in card.nvcc:
        return ""
    if less(cuda, card.nvcc.minimum):
        reason = f"nvcc {cuda} has no SM {sm}: it needs CUDA {card.nvcc.minimum} or newer"
    else:
        reason = f"nvcc {cuda} has no SM {sm} any more: CUDA {card.nvcc.maximum} was the last"
    if card.renamed and cuda in known.sms[card.renamed].nvcc:
        reason += f" (CUDA {cuda} calls it {card.renamed})"
    elif card.runs_code_for and cuda in known.sms[card.runs_code_for].nvcc:
        reason += f" (it runs code for SM {card.runs_code_for})"
    return reason


@dataclass(frozen=True)
class Grid:
    """A matrix as a table: a line for each SM, a column for each CPU level, and notes for what does not exist.

    Attributes:
        title: What the matrix is of.
        header: Column titles, of one or two lines each.
        lines: As many cells each as the header has.
        notes: Mark and reason of each kind of combination that does not exist.
        summary: How many exist.
    """

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[tuple[str, str], ...]
    summary: str


def grid(known: Toolchain, made: tuple[Row, ...]) -> Grid:
    """The rows of one package, Python and CUDA as a table: the gcc versions where a combination exists, else its notes."""
    isas = tuple(dict.fromkeys(row.variant.isa for row in made))
    notes: dict[str, str] = {}
    lines = []
    for sm in dict.fromkeys(row.variant.sm for row in made):
        cells = {row.variant.isa: row for row in made if row.variant.sm == sm}
        for row in cells.values():
            for reason in row.reasons:
                notes.setdefault(reason, f"[{len(notes) + 1}]")
        first = next(iter(cells.values()))
        head = (sm, ", ".join(known.sms[sm].products), _short(first.nvcc)) if first.nvcc else ("CPU", "", "")
        lines.append(
            (*head, *(_cell(cells[isa].gcc, [notes[reason] for reason in cells[isa].reasons]) for isa in isas))
        )
    cuda = next((f", CUDA {row.cuda}" for row in made if row.cuda), "")
    exist = sum(row.exists for row in made)
    return Grid(
        title=f"{made[0].package}, Python {made[0].variant.python}{cuda}",
        header=("SM", "GPUs", "nvcc", *(f"{isa}\n{known.isas[isa].architecture}" for isa in isas)),
        lines=tuple(lines),
        notes=tuple((mark, reason) for reason, mark in notes.items()),
        summary=f"{exist} of {len(made)} combinations exist; their cells name the gcc versions that can build them",
    )


def _cell(gcc: Range | None, marks: list[str]) -> str:
    return _short(gcc) if gcc and not marks else f"no {''.join(marks)}"


def _short(versions: Range) -> str:
    return f"{versions.minimum}-{versions.maximum}" if versions.maximum else f"{versions.minimum}+"


def text(table: Grid) -> str:
    """A table as plain text, without colours and as wide as it is."""
    titles = [title.partition("\n") for title in table.header]
    cells = [tuple(first for first, _, _ in titles), tuple(second for _, _, second in titles), *table.lines]
    widths = [max(len(line[column]) for line in cells) for column in range(len(table.header))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells]
    notes = [f"{mark} {reason}" for mark, reason in table.notes]
    return "\n".join([table.title, "", *shown[:2], "-" * max(map(len, shown)), *shown[2:], "", *notes, table.summary])


def _range(data: Mapping[str, str]) -> Range:
    return Range(data["minimum"], data.get("maximum", ""))


def _check(item: str, value: Any, known: Iterable[str], problem: str = "it is not in catalog/cuda.yml") -> None:
    names = list(known)
    if not isinstance(value, str):
        raise MatrixError(item, f"it is {value!r}, but must be text", f'put it in quotes: "{value}"')
    if value not in names:
        version = value.removeprefix("cuda").replace("_", ".")  # stacks are named so
        remedy = f"did you mean {version}?" if version in names else suggest(value, names)
        raise MatrixError(f"{item} {value!r}", problem, remedy)


def _pythons(supported: Range) -> list[str]:
    low, high = numbers(supported.minimum), numbers(supported.maximum)
    return [f"{low[0]}.{minor}" for minor in range(low[1], high[1] + 1)]
