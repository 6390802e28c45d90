"""What a compiled wheel is for: ``python312-cuda13_0-sm110-armv9``; ``torchaudio-python312-cuda13_0-sm110-armv9`` in full.

The name of a variant is its only written form: file names, groups and locks use it, so `parse` and `format` are
inverse for every value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

ISA_LEVELS = ("generic", "avx2", "avx512", "avx512vnni", "avx512bf16", "armv8_2", "armv9")

_NAME = re.compile(
    r"python(?P<python>\d{2,3})-(?P<backend>cpu|cuda\d+_\d+|rocm\d+_\d+|directml)(?:-sm(?P<sm>\d{2,3}))?-(?P<isa>[a-z0-9_]+)"
)
_PACKAGE = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")


@dataclass(frozen=True)
class Variant:
    """One target of compiled code.

    Attributes:
        python: Python version as ``3.12``.
        backend: ``cpu``, ``cuda13_0``, ``rocm6_4`` or ``directml``.
        sm: Compute capability as ``11.0``; empty where the backend has none.
        isa: CPU instruction set level, one of `ISA_LEVELS`.
    """

    python: str
    backend: str
    sm: str
    isa: str

    @property
    def name(self) -> str:
        """The written form, for example ``python312-cuda13_0-sm110-armv9``."""
        parts = ["python" + self.python.replace(".", ""), self.backend]
        if self.sm:
            parts.append("sm" + self.sm.replace(".", ""))
        return "-".join([*parts, self.isa])

    @classmethod
    def parse(cls, name: str) -> Variant:
        """Read a written variant.

        Raises:
            ValueError: `name` is not a variant.
        """
        match = _NAME.fullmatch(name)
        if match is None or match["isa"] not in ISA_LEVELS:
            raise ValueError(f"{name!r} is not a variant (an example: python312-cuda13_0-sm110-armv9)")
        python, sm = match["python"], match["sm"] or ""
        return cls(f"{python[0]}.{python[1:]}", match["backend"], f"{sm[:-1]}.{sm[-1]}" if sm else "", match["isa"])

    def full_name(self, package: str) -> str:
        """The written form for one package, for example ``torchaudio-python312-cuda13_0-sm110-armv9``.

        Raises:
            ValueError: `package` is not a distribution's name in lower case.
        """
        if _PACKAGE.fullmatch(package) is None:
            raise ValueError(f"{package!r} is not a package's name in lower case (an example: torchaudio)")
        return f"{package}-{self.name}"

    @classmethod
    @lru_cache(maxsize=256)
    def parse_full(cls, name: str) -> tuple[str, Variant]:
        """Read a package and its variant from a full name.

        A variant has three parts without an SM and four with one, and only its first begins with ``python`` and a
        number, so the package's name may hold hyphens.

        Raises:
            ValueError: `name` is not a full name.
        """
        parts = name.split("-") if "-python" in name else []
        for size in (4, 3) if parts else ():
            try:
                variant = cls.parse("-".join(parts[-size:]))
            except ValueError:
                continue
            package = "-".join(parts[:-size])
            if _PACKAGE.fullmatch(package) is not None:
                return package, variant
        raise ValueError(
            f"{name!r} is not a package with its variant (an example: torchaudio-python312-cuda13_0-sm110-armv9)"
        )


def mismatch(asked: Variant, torch: Variant) -> str:
    """In what a variant differs from torch's in the same environment; empty where they match.

    Compiled packages of the torch family share torch's C++ interface and its kernels' GPU, so every part counts.
    """
    parts = {"python": "Python", "backend": "backend", "sm": "SM", "isa": "CPU level"}
    differing = [
        f"{word} {getattr(asked, part) or 'none'}, torch's is {getattr(torch, part) or 'none'}"
        for part, word in parts.items()
        if getattr(asked, part) != getattr(torch, part)
    ]
    return "; ".join(differing)
