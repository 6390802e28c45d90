#!/usr/bin/env bash
# Ask an index of advisories about every locked package of the tools. It needs the network: where none answers this is skipped, and said.
set -u
cd "$(dirname "$0")/.."
status=0
for lock in requirements/controller-py3*.txt requirements/toolbox.txt; do
    said=$("$1" tool run --quiet --from 'pip-audit==2.*' pip-audit --disable-pip --require-hashes --progress-spinner off --timeout 10 \
        --vulnerability-service osv --requirement "$lock" 2>&1)
    case $?:$said in
        0:*) printf '%s: no known vulnerabilities\n' "$lock" ;;
        *:*'Fix Versions'*) printf '%s:\n%s\n' "$lock" "$said"; status=1 ;;
        *) printf 'SKIPPED %s: no index of advisories answers (%s)\n' "$lock" "$(tail -n 1 <<<"$said" | cut -c 1-120)" >&2 ;;
    esac
done
exit $status
