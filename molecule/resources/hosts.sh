#!/bin/bash
# Run a command where podman can make real SSH hosts.
#
#   molecule/resources/hosts.sh [--arm64] COMMAND...
#
# --arm64: there will be aarch64 hosts too; on another processor they need qemu, which is checked for, and installed.
# Checks for root, podman, crun and mmdebstrap (installs them with apt-get where they are missing). Where the machine
# lacks a pure cgroup2 at /sys/fs/cgroup (a hybrid micro-VM), COMMAND runs in a private mount namespace that has one.
# The namespace is kept for as long as hosts are up, so that `create`, `verify` and `destroy` may be separate calls.
#
# Exit status: COMMAND's; 77 where this machine cannot do it (1 with WAVESMITH_HOSTS=required).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
state=/run/wavesmith-hosts

cannot() {
    echo "hosts: skipped: $1" >&2
    [ "${WAVESMITH_HOSTS:-}" = required ] && exit 1
    exit 77
}

tools=(podman:podman crun:crun mmdebstrap:mmdebstrap ssh:openssh-client iptables:iptables)
emulated=
if [ "${1:-}" = --arm64 ]; then
    shift
    if [ "$(uname -m)" != aarch64 ]; then
        emulated=qemu-aarch64
        tools+=(qemu-aarch64-static:qemu-user-static update-binfmts:binfmt-support arch-test:arch-test)
    fi
fi
if [ $# -eq 0 ]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
    exit 2
fi
[ "$(uname -s)" = Linux ] || cannot "SSH hosts from podman need Linux."
[ "$(id -u)" -eq 0 ] || cannot "making SSH hosts with podman needs root: run it as root, or with sudo."

missing=()
for tool in "${tools[@]}"; do
    command -v "${tool%%:*}" >/dev/null || missing+=("${tool#*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || cannot "not found: ${missing[*]}; install them (apt-get is not here to do it)."
    echo "hosts: installing ${missing[*]} and podman's network helpers with apt-get" >&2
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${missing[@]}" netavark aardvark-dns; } >&2 </dev/null || cannot "apt-get could not install ${missing[*]}."
fi

if [ -n "$emulated" ]; then
    formats=/proc/sys/fs/binfmt_misc
    [ -e $formats/status ] || mount -t binfmt_misc none $formats \
        || cannot "the kernel has no binfmt_misc, which would hand aarch64 programs to qemu."
    [ -e $formats/$emulated ] || update-binfmts --enable $emulated \
        || cannot "binfmt_misc does not take $emulated."
    # Without F the interpreter is looked for inside the container.
    grep -q '^flags:.*F' $formats/$emulated \
        || cannot "$emulated in binfmt_misc lacks the flag F: install Debian's or Ubuntu's qemu-user-static."
fi

export MOLECULE_GLOB="${MOLECULE_GLOB:-molecule/*/molecule.yml}"

if [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; then
    exec "$@"
fi

# A hybrid cgroup layout: podman needs a pure cgroup2, and none of it may touch the machine's own mounts.
export CONTAINERS_CONF="$here/containers.conf" WAVESMITH_CGROUP_LEAF=1
exec 9>"$state.lock"
flock --nonblock 9 || { echo "hosts: another run has the hosts; waiting for it" >&2; flock 9; }
mkdir -p "$state"
if ! nsenter --mount="$state/namespace" true 2>/dev/null; then
    mountpoint -q "$state" || mount -t tmpfs -o size=64k,mode=0700 none "$state"
    mount --make-private "$state"
    : >"$state/namespace"
    # shellcheck disable=SC2016
    unshare --mount="$state/namespace" sh -c 'umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup' \
        || cannot "a private mount namespace with a pure cgroup2 cannot be made (is CAP_SYS_ADMIN missing?)."
fi
flock -s 9

inside() {
    # shellcheck disable=SC2016
    nsenter --mount="$state/namespace" sh -c 'cd "$1" && shift && exec "$@"' sh "$PWD" "$@" 9>&-
}

status=0
inside "$@" || status=$?

# The last one out takes the namespace down, unless hosts are still up.
if flock -n 9 && [ -z "$(inside podman ps -aq --filter label=wavesmith.host 2>/dev/null)" ]; then
    umount "$state/namespace" && umount "$state" && rmdir "$state"
fi
exit "$status"
