"""What entering an environment sets and gives back, as text: for conda, for a plain shell, for ``wavesmith-run``.

The interpreter of an environment isolates itself; these scripts make the shell around it agree, so that build tools and
libraries find the same things whichever way one came in.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from ..plan import guard

ACTIVATE, DEACTIVATE = "etc/conda/activate.d/wavesmith.sh", "etc/conda/deactivate.d/wavesmith.sh"
DROPPED = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONUSERBASE",
    "PYTHONSTARTUP",
    "PYTHONPLATLIBDIR",
    "PIP_USER",
    "PIP_NO_USER",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_PYTHON",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "LD_AUDIT",
)
"""Variables that bring foreign code into a Python process, or take an installation out of the prefix."""
_SHELL_DROPS = tuple(name for name in DROPPED if not name.startswith("LD_"))
"""In a shell other programs start too: what they need to find their libraries is left to them."""

_WRAPPER = """\
#!/bin/bash -p
# The interpreter of this environment. It starts Python without what could bring foreign packages in; -p keeps bash itself
# from reading BASH_ENV. The path is the generation's own, so that a running program stays in it when `current` moves on.
unset {dropped}
# Another environment that is active: tools that Python starts, such as uv and CMake's FindPython, would take it for theirs.
[ "${{VIRTUAL_ENV-}}" -ef "{prefix}" ] || unset VIRTUAL_ENV
[ "${{CONDA_PREFIX-}}" -ef "{prefix}" ] || unset CONDA_PREFIX CONDA_DEFAULT_ENV CONDA_SHLVL
export PYTHONNOUSERSITE=1
{defaults}{bound}
exec -a "{prefix}/bin/python" "{base}" "$@"
"""
_BIN_ACTIVATE = """\
# Source this: . {prefix}/bin/activate. `deactivate` gives back what was there. No conda is needed.
# A function is what an activated environment left; a program of that name (pyenv has one) would be found by its path.
if [ "$(command -v deactivate)" = deactivate ]; then deactivate nondestructive; fi
{keep}
. "{prefix}/{activate}"
deactivate () {{
    . "{prefix}/{deactivate}"
    {restore}
    hash -r 2>/dev/null
    if [ "${{1-}}" != nondestructive ]; then unset -f deactivate; fi
}}
hash -r 2>/dev/null
"""
_RUN = """\
#!/bin/bash -p
# wavesmith-run ENVIRONMENT COMMAND [ARGUMENT…]: run a command as a shell would that had activated the environment,
# or one of its models: wavesmith-run ENVIRONMENT MODEL --help.
if [ $# -lt 2 ]; then echo "usage: wavesmith-run ENVIRONMENT COMMAND|MODEL [ARGUMENT…]" >&2; exit 2; fi
prefix=$(readlink -e "{root}/envs/$1/current") || {{
    echo "wavesmith-run: there is no environment $1 in {root}/envs. Remedy: use one of:" $(cd "{root}/envs" && echo *) >&2
    exit 127
}}
environment=$1
unset {dropped} CONDA_PREFIX CONDA_DEFAULT_ENV VIRTUAL_ENV
. "$prefix/{activate}"
if [ -d "$prefix/conda-meta" ]; then export CONDA_PREFIX=$prefix CONDA_DEFAULT_ENV=$prefix; else export VIRTUAL_ENV=$prefix; fi
export PATH="$prefix/bin:$PATH"
shift
if [ -x "$prefix/wavesmith/models/$1" ]; then exec "$prefix/wavesmith/models/$@"; fi
command -v -- "$1" >/dev/null || {{
    echo "wavesmith-run: there is no command $1, and no such model in environment $environment. Remedy: its models are:" \
        $(cd "$prefix/wavesmith/models" 2>/dev/null && echo * || echo "(none)") >&2
    exit 127
}}
exec "$@"
"""


def wrapper(prefix: str, base: str, values: Mapping[str, str]) -> str:
    """``bin/python``: starts `base` isolated. A variable that the user set for this one process stays as it is."""
    defaults = [f': "${{{name}={value}}}"; export {name}\n' for name, value in _filled(prefix, values).items()]
    return _WRAPPER.format(
        dropped=" ".join(DROPPED),
        prefix=prefix,
        base=base,
        defaults="".join(defaults),
        bound=guard.bind("PIP_CONSTRAINT", prefix),
    )


def scripts(prefix: str, values: Mapping[str, str]) -> dict[str, str]:
    """The scripts that conda, `bin_activate` and `launcher` source, by their path in the prefix."""
    settings = {"PYTHONNOUSERSITE": "1", **_filled(prefix, values)}
    names = [*_SHELL_DROPS, *settings, "UV_CONSTRAINT"]
    keep = [_keep(name) for name in names]
    put = [f"unset {' '.join(_SHELL_DROPS)}", *(f"export {name}={shlex.quote(settings[name])}" for name in settings)]
    put.append(guard.bind("UV_CONSTRAINT", prefix))
    back = [
        'if [ -n "${_WAVESMITH_ACTIVE-}" ]; then',
        *(_restore(name) for name in names),
        "unset _WAVESMITH_ACTIVE",
        "fi",
    ]
    head = "# Wavesmith: what this environment's interpreter does for itself holds for the shell as well."
    return {
        ACTIVATE: "\n".join([head, *keep, *put, f"_WAVESMITH_ACTIVE={shlex.quote(prefix)}"]) + "\n",
        DEACTIVATE: "\n".join(["# Wavesmith: gives back what activate.d/wavesmith.sh took.", *back]) + "\n",
    }


def bin_activate(prefix: str, environment: str) -> str:
    """``bin/activate`` of a conda environment, for a shell without any conda."""
    settings = {
        "PATH": f'"{prefix}/bin:$PATH"',
        "CONDA_PREFIX": f'"{prefix}"',
        # The path, as conda has it for an environment outside its own folder: uv takes one with a name that its folder has not
        # for conda's base environment, and installs nothing into that (astral-sh/uv, crates/uv-python/src/virtualenv.rs).
        "CONDA_DEFAULT_ENV": f'"{prefix}"',
        "PS1": f'"({environment}) ${{PS1-}}"',
    }
    # PS1 is not exported: it belongs to this shell.
    put = [f"{'' if name == 'PS1' else 'export '}{name}={value}" for name, value in settings.items()]
    return _BIN_ACTIVATE.format(
        prefix=prefix,
        keep="\n".join([*map(_keep, [*settings, "VIRTUAL_ENV"]), *put, "unset VIRTUAL_ENV"]),
        restore="\n    ".join(map(_restore, [*settings, "VIRTUAL_ENV"])),
        activate=ACTIVATE,
        deactivate=DEACTIVATE,
    )


def launcher(root: str) -> str:
    """``<root>/bin/wavesmith-run``."""
    return _RUN.format(root=root, dropped=" ".join(DROPPED), activate=ACTIVATE)


def _filled(prefix: str, values: Mapping[str, str]) -> dict[str, str]:
    return {name: value.replace("{prefix}", prefix) for name, value in sorted(values.items())}


def _keep(name: str) -> str:
    return f'if [ -n "${{{name}+set}}" ]; then _WAVESMITH_KEPT_{name}="${name}"; else unset _WAVESMITH_KEPT_{name}; fi'


def _restore(name: str) -> str:
    kept = f"_WAVESMITH_KEPT_{name}"
    exported = "" if name == "PS1" else "export "
    return f'if [ -n "${{{kept}+set}}" ]; then {exported}{name}="${kept}"; unset {kept}; else unset {name}; fi'
