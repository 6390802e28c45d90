#!/usr/bin/env bash
# Build the documentation as a site: docs/build.sh. A warning, such as a link that leads nowhere, is an error.
# Pages are the Markdown files of the project where they are; those of the collection's plugins and roles come from ansible-doc.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
top=$PWD
work=$top/.cache/docs
rm -rf "$work" "$top/.cache/site"
mkdir -p "$work"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp -a --parents -t "$work"
cp "$top/docs/conf.py" "$top/docs/index.md" "$work/"

mkdir -p "$work/plugins-and-roles"
chmod go-w "$work/plugins-and-roles"
ANSIBLE_COLLECTIONS_PATH=$top/collections antsibull-docs --config-file docs/antsibull-docs.cfg collection --use-current \
    --fail-on-error --squash-hierarchy --dest-dir "$work/plugins-and-roles" wavesmith.provision
# The theme has a table of contents of its own on each page.
find "$work/plugins-and-roles" -name '*.rst' -exec sed -i '/^\.\. contents::/,/^$/d' {} +
sphinx-build --quiet --fail-on-warning --keep-going -b html "$work" "$top/.cache/site"
echo "the site is $top/.cache/site/index.html"
