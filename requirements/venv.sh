#!/usr/bin/env bash
# Make .venv from a lock: requirements/venv.sh controller|dev. Does nothing when it is there already.
# PYTHON names the interpreter to use; without it the newest of python3.13, 3.12, 3.11 and python3 that works.
# Nothing but such a Python is needed; pip's own settings (index, mirror, proxy, CA) are the user's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
kind=$1
venv=.venv
record=$venv/wavesmith-lock

die() { say "error: $1" "remedy: $2"; exit 1; }
say() { printf '%s\n' "$@" >&2; }

# What a user set for other Pythons must not reach this one, nor pip write anywhere but here.
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV VIRTUAL_ENV
export PYTHONNOUSERSITE=1 PIP_USER=0
# The Makefile puts .venv first, where it finds a Python that goes away when .venv is remade.
PATH=${PATH//"$PWD/$venv/bin:"/}

# Prints "XY KIND DIGEST" (XY as in 311) for this Python, and what its lock of that kind is now.
wanted() {
    "$1" - "$2" <<'PYTHON'
import hashlib, pathlib, sys
name = f"{sys.version_info[0]}{min(sys.version_info[1], 13)}"
lock = pathlib.Path("requirements") / f"{sys.argv[1]}-py{name}.txt"
print(f"{name} {sys.argv[1]} {hashlib.sha256(lock.read_bytes()).hexdigest()}")
PYTHON
}

# A shim or a broken install may be on PATH: only what answers counts.
new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

find_python() {
    local candidate candidates=(python3.13 python3.12 python3.11 python3) usable=()
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        if new_enough "$candidate"; then usable+=("$candidate"); fi
    done
    [ "${#usable[@]}" -gt 0 ] ||
        die "no Python >= 3.11 among: ${candidates[*]}" "install one, or name it: make PYTHON=/path/to/python3.12 …"
    for candidate in "${usable[@]}"; do
        if has_venv "$candidate"; then python=$candidate; return; fi
    done
    python=${usable[0]}
    local package command
    package=python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv
    command="apt-get install -y $package"
    if ! command -v apt-get >/dev/null; then
        die "$python has no module venv or ensurepip" "install the part of it that holds them, or name another: make PYTHON=… …"
    elif [ "$(id -u)" -ne 0 ]; then
        die "$python has no module venv or ensurepip" "run: sudo $command"
    fi
    say "$python has no venv: $command"
    # Old lists serve too, if the package is in them: an unreachable source must not stop us here.
    apt-get update -q >&2 || true
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$package" >&2 ||
        die "$package could not be installed" "see apt's message above; then run the same command again"
    has_venv "$python" || die "$python still has no venv" "name another: make PYTHON=/path/to/python3.12 …"
}

have() { [ -f $record ] && [ -x $venv/bin/python ] && grep -qxF "$(wanted $venv/bin/python "$1" 2>/dev/null)" $record; }

same_python() {
    [ -z "${PYTHON:-}" ] || [ "$("$PYTHON" -c 'import sys; print(sys.base_prefix, sys.version)' 2>/dev/null)" = \
        "$($venv/bin/python -c 'import sys; print(sys.base_prefix, sys.version)' 2>/dev/null)" ]
}

# `wavesmith` from any folder, with nothing of the user's own Python in it.
put_command() {
    local command=$venv/bin/wavesmith
    cat >$command.new <<'COMMAND'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
exec "$here/python" -I "$here/../../wavesmith" "$@"
COMMAND
    chmod +x $command.new
    mv $command.new $command
}

# Two of us at once would write the same folder.
if command -v flock >/dev/null; then exec 9<requirements && flock 9; fi

# A dev environment holds all that a controller needs, with the same pins.
if same_python && { have "$kind" || { [ "$kind" = controller ] && have dev; }; }; then
    [ -x $venv/bin/wavesmith ] || put_command
    exit 0
fi

SECONDS=0
if same_python && [ "$kind" = dev ] && have controller; then
    python=$venv/bin/python
else
    find_python
    rm -rf $venv
    "$python" -m venv $venv || die "$python could not make $venv" "see the message above; make PYTHON=… names another"
fi
lock=requirements/$kind-py$(wanted $venv/bin/python "$kind" | cut -d' ' -f1).txt
say "Making $venv ($($venv/bin/python --version), $python) from $lock: $(grep -c '==' "$lock") packages"
rm -f $record
$venv/bin/python -m pip install --quiet --quiet --no-input --disable-pip-version-check --no-deps --require-hashes -r "$lock" ||
    die "$lock could not be installed" "see pip's message above; a mirror is set with pip's own settings (pip config set global.index-url URL)"
put_command
# Written last: without it the folder is remade.
wanted $venv/bin/python "$kind" >$record
say "Made $venv in ${SECONDS} s"
