#!/usr/bin/env bash
# Resolve every lock again: requirements/lock.sh UV [uv's options, e.g. --upgrade or --upgrade-package rich].
# Without --upgrade what is locked stays. No index address gets into a lock: a user's mirror must serve.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
uv=$1
shift

compile() {
    "$uv" pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
        --no-python-downloads --custom-compile-command "make lock" "$@"
}

# The pins are the same on x86_64, aarch64 and macOS; hashes are those of every file of a release.
for version in 3.11 3.12 3.13; do
    name=py${version/./}
    compile --python-version "$version" --python-platform x86_64-manylinux_2_28 "$@" \
        --output-file "requirements/controller-$name.txt" pyproject.toml
    compile --python-version "$version" --python-platform x86_64-manylinux_2_28 "$@" \
        --constraint "requirements/controller-$name.txt" --extra dev \
        --output-file "requirements/dev-$name.txt" pyproject.toml
done
for recipe in catalog/packages/locks/*.in catalog/projects/backends.in; do
    compile --universal --python-version 3.10 "$@" --output-file "${recipe%.in}.txt" "$recipe"
done
compile --universal --python-version 3.10 "$@" --output-file roles/toolbox/files/toolbox.txt requirements/toolbox.in
