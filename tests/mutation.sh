#!/usr/bin/env bash
# Change the code that decides, one small thing at a time, and see whether a test notices: tests/mutation.sh [choose variant fatbin recipe]
# Works on a copy below .cache/mutation; what survives is listed at the end. docs/mutation.md explains each survivor.
# A mutant may loop for ever: its tests get MUTATION_TIMEOUT seconds (30), and what takes longer counts as noticed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
top=$PWD

# Module, and the tests that must notice.
declare -A module=(
    [choose]=plan/choose.py [variant]=terms/variant.py [fatbin]=audit/fatbin.py [recipe]=plan/recipe.py
)
declare -A tests=(
    [choose]="tests/unit/test_choose.py tests/unit/test_fitness.py"
    [variant]="tests/unit/test_variant.py"
    [fatbin]="tests/unit/test_fatbin.py"
    [recipe]="tests/unit/test_recipe.py tests/unit/test_digests.py tests/unit/test_build_command.py"
)

# Thousands of short runs of pytest: without the plugins that none of them needs, and with the same examples each time.
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 CI=1

for name in "${@:-choose variant fatbin recipe}"; do
    for one in $name; do
        work=$top/.cache/mutation/$one
        rm -rf "$work"
        mkdir -p "$work"
        git ls-files -z | xargs -0 cp -a --parents -t "$work"
        cd "$work"
        cat >config.toml <<TOML
[cosmic-ray]
module-path = "plugins/module_utils/${module[$one]}"
timeout = ${MUTATION_TIMEOUT:-30}.0
excluded-modules = []
test-command = "$top/.venv/bin/python -m pytest -x -q -p no:cacheprovider -m 'not slow and not process' ${tests[$one]}"

[cosmic-ray.distributor]
name = "local"
TOML
        "$top/.venv/bin/cosmic-ray" baseline config.toml
        "$top/.venv/bin/cosmic-ray" init config.toml session.sqlite
        "$top/.venv/bin/python" "$top/tests/mutation_filter.py" session.sqlite
        "$top/.venv/bin/cosmic-ray" exec config.toml session.sqlite
        "$top/.venv/bin/cr-report" --surviving-only --show-diff session.sqlite >survivors.txt
        printf '%s: ' "$one"
        tail -n 3 survivors.txt | tr '\n' ' '
        echo
        cd "$top"
    done
done
