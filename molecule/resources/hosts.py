#!/usr/bin/env python3
"""Make and remove the SSH hosts of a molecule run: podman containers with systemd as PID 1.

    hosts.py create --state DIR NAME[:ARCH[:MACHINE]]...  start hosts, write DIR/inventory/testbed.yml, DIR/ssh/{key,known_hosts}
    hosts.py destroy --state DIR                          remove every host that `create` made for DIR
    hosts.py image [ARCH]                                 make the base image (or find it) and print its name

ARCH is Debian's name of an architecture (arm64). qemu runs the programs of one that is not this machine's.
MACHINE is a recording in tests/unit/samples: what tells of its hardware lies on the host where that machine has it, and its commands give what
it said. There is no GPU behind it. Run through hosts.sh, which provides podman. Standard library only.
"""

from __future__ import annotations

import argparse
import configparser
import hashlib
import io
import json
import os
import platform
import re
import secrets
import shlex
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

LABEL = "wavesmith.host"
SAMPLES = Path(__file__).resolve().parents[2] / "tests/unit/samples"
# qemu shows its guests this machine's own /proc/cpuinfo; they get one of their architecture.
CPUINFO = {"arm64": SAMPLES / "graviton2/proc/cpuinfo"}
# What tells of a recorded machine's hardware, as globs of its files; the rest is the host's own: system, packages, Pythons, compilers, memory.
HARDWARE = [
    "etc/nv_tegra_release",
    "etc/dgx-release",
    "etc/fastos-release",
    "opt/rocm/**/*",
    "usr/lib/wsl/**/*",
    "dev/*",
]
# These lie in the kernel's file systems, where nothing can be written: they are mounted over them.
KERNELS = ["sys/**/*", "proc/version"]
TOOLS = ["nvidia-smi", "rocminfo"]
REPLAY = r"""#!/bin/sh
# Says what a recorded machine's command of this name said.
name=$(printf '%s' "${0##*/}${*:+ $*}" | tr / _)
cat "/usr/local/lib/testbed/$name.txt" || exit 1
exit "$(cat "/usr/local/lib/testbed/$name.code" 2>/dev/null || echo 0)"
"""
PACKAGES = ["bash", "ca-certificates", "cron", "dbus", "iproute2", "libpam-systemd", "openssh-server", "procps"]
PACKAGES += ["python3", "sudo", "systemd", "systemd-sysv"]
# What a machine may need to reach its package sources; whatever is set here is set on the hosts too.
PASSED_ON = ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"]
PASSED_ON += ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HF_ENDPOINT"]
READY_TIMEOUT = 180.0  # seconds; systemd needs 1 to 3 on an idle machine, 10 where it is emulated

SETUP = r"""
set -eu
if [ -n "$(ls /usr/local/share/ca-certificates/*.crt 2>/dev/null)" ]; then update-ca-certificates >/dev/null 2>&1; fi
for user in root maker plain; do
    id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
    folder=$(getent passwd "$user" | cut -d: -f6)/.ssh
    install -d -m 0700 -o "$user" -g "$user" "$folder"
    install -m 0600 -o "$user" -g "$user" /run/testbed.pub "$folder/authorized_keys"
done
chmod 0440 /etc/sudoers.d/testbed
# The image's host keys would be every host's.
rm -f /etc/ssh/ssh_host_*
ssh-keygen -q -A
systemctl restart ssh
"""

# A container's signs go, too: the machine is none.
DRESS = r"""
set -eu
if [ -d /run/testbed/sys ]; then mount -t overlay testbed -o lowerdir=/run/testbed/sys:/sys /sys; fi
if [ -f /run/testbed/proc/version ]; then mount --bind /run/testbed/proc/version /proc/version; fi
if mountpoint -q /run/.containerenv; then umount /run/.containerenv; fi
rm -f /run/.containerenv /run/systemd/container
: >/run/testbed/environ
mount --bind /run/testbed/environ /proc/1/environ
"""


class HostsError(Exception):
    """Something the person running the tests has to know or do."""


def run(*argv: str, stdin: bytes | None = None, check: bool = True) -> str:
    """Run a command and return its standard output; on failure raise with its last words."""
    done = subprocess.run(argv, input=stdin if stdin is not None else b"", capture_output=True)
    if check and done.returncode != 0:
        words = (done.stderr or done.stdout).decode(errors="replace").strip()[-2000:]
        raise HostsError(f"{shlex.join(argv)} failed with {done.returncode}: {words}")
    return done.stdout.decode(errors="replace").strip()


def os_release() -> dict[str, str]:
    """Return /etc/os-release as a dictionary."""
    lines = Path("/etc/os-release").read_text().splitlines()
    return {k: v.strip("\"'") for k, _, v in (line.partition("=") for line in lines if "=" in line)}


def apt_sources(codename: str) -> list[str]:
    """Return this machine's own sources of its distribution's release, in one-line format."""
    form = "$(IDENTIFIER)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
    rows = run("apt-get", "indextargets", "--format", form, "Created-By: Packages").splitlines()
    found: dict[tuple[str, str], list[str]] = {}
    for kind, uri, release, component in (row.split("|") for row in rows if row.count("|") == 3):
        if kind == "Packages" and release.split("-")[0] == codename and component in ("main", "universe"):
            found.setdefault((uri, release), []).append(component)
    if not any(release == codename for _, release in found):
        raise HostsError(f"apt's sources on this machine do not hold {codename}/main: set MOLECULE_IMAGE instead.")
    return [f"deb {uri} {release} {' '.join(sorted(set(c)))}" for (uri, release), c in sorted(found.items())]


def apt_settings() -> list[str]:
    """Return the machine's apt settings about how packages are fetched (proxies, time checks)."""
    lines = run("apt-config", "dump", "--format", '%F "%v";%n').splitlines()
    wanted = re.compile(r"Acquire::(https?::[^:\"]*Proxy|Check-Valid-Until|Check-Date|https::CAInfo)\b")
    return [line for line in lines if wanted.match(line)]


def foreign(architecture: str) -> str:
    """Return the architecture (Debian's name) where it is not this machine's own, else nothing."""
    return "" if architecture in ("", run("dpkg", "--print-architecture")) else architecture


def base_image(architecture: str = "") -> str:
    """Return the name of the hosts' image; make it from this machine's own release where it is missing."""
    architecture = foreign(architecture)
    variable = f"MOLECULE_IMAGE_{architecture.upper()}" if architecture else "MOLECULE_IMAGE"
    named = os.environ.get(variable, "")
    if named:
        return named
    release = os_release()
    codename = release.get("VERSION_CODENAME", "")
    if release.get("ID") not in ("debian", "ubuntu") or not codename:
        raise HostsError(f"this machine is not Debian or Ubuntu: set {variable} (an image with systemd and sshd).")
    sources, settings = apt_sources(codename), apt_settings()
    recipe = json.dumps([1, PACKAGES, codename, architecture or platform.machine(), sources, settings])
    image = f"localhost/wavesmith-host:{codename}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if subprocess.run(["podman", "image", "exists", image]).returncode == 0:
        return image
    options = [f"--aptopt={line}" for line in settings]
    make = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", *options]
    keep = ["podman", "import", "--quiet"]
    if architecture:
        make, keep = [*make, f"--architectures={architecture}"], [*keep, f"--arch={architecture}"]
    make += [codename, "-", *sources]
    with subprocess.Popen(make, stdout=subprocess.PIPE) as maker:
        kept = subprocess.run([*keep, "-", image], stdin=maker.stdout, capture_output=True)
    if maker.returncode or kept.returncode:
        subprocess.run(["podman", "image", "rm", "--force", image], capture_output=True)
        words = kept.stderr.decode(errors="replace")[-800:]
        raise HostsError(f"the base image could not be made: mmdebstrap ended with {maker.returncode}; podman: {words}")
    return image


def pip_settings() -> configparser.RawConfigParser:
    """Return the machine's pip settings, the environment's over the files', as one pip.conf."""
    conf = configparser.RawConfigParser()
    rows = run(sys.executable, "-m", "pip", "config", "list", check=False).splitlines()
    for row in sorted(rows, key=lambda r: r.startswith(":env:")):
        name, _, value = row.partition("=")
        section, _, option = name.replace(":env:", "global").rpartition(".")
        if not section or option in ("user", "target", "prefix", "require-virtualenv"):
            continue
        if not conf.has_section(section):
            conf.add_section(section)
        conf.set(section, option, value.strip().strip("'\""))
    return conf


def local_folders(conf: configparser.RawConfigParser) -> list[str]:
    """Return this machine's folders that pip's settings name: the hosts see them read-only at the same path."""
    folders = set()
    for section in conf.sections():
        for option in ("find-links", "index-url", "extra-index-url"):
            for word in conf.get(section, option, fallback="").split():
                url = urlsplit(word)
                if url.scheme == "file":
                    # An index's pages link to files beside its `simple` folder.
                    folders.add(re.sub(r"/simple/?$", "", unquote(url.path)))
                elif word.startswith("/"):
                    folders.add(word)
    return sorted(folder for folder in folders if Path(folder).is_dir())


def files_for_hosts(conf: configparser.RawConfigParser, public_key: str) -> bytes:
    """Return a tar of what a host gets from this machine: key, trust, pip's and the network's settings."""
    pip_conf = io.StringIO()
    conf.write(pip_conf)
    passed = {k: os.environ[k] for k in PASSED_ON if k in os.environ}
    passed.update({k: v for k, v in os.environ.items() if k.startswith("UV_") and ("INDEX" in k or "TLS" in k)})
    sudo = "maker ALL=(ALL) NOPASSWD: ALL\n"
    if passed:
        sudo += f'Defaults:maker env_keep += "{" ".join(sorted(passed))}"\n'
    files = {
        "run/testbed.pub": public_key.encode(),
        "etc/pip.conf": pip_conf.getvalue().encode(),
        "etc/environment": "".join(f'{k}="{v}"\n' for k, v in sorted(passed.items())).encode(),
        "etc/sudoers.d/testbed": sudo.encode(),
        "etc/apt/apt.conf.d/90testbed": "".join(f"{line}\n" for line in apt_settings()).encode(),
    }
    for certificate in Path("/usr/local/share/ca-certificates").glob("*.crt"):
        files[str(certificate).lstrip("/")] = certificate.read_bytes()
    return packed(files)


def packed(files: dict[str, bytes], programs: Sequence[str] = ()) -> bytes:
    """Return a tar of files, some of which are programs."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755 if name in programs else 0o644
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def recorded(machine: str) -> bytes:
    """Return a tar of what a recorded machine's hardware shows, and of commands that repeat what it said."""
    sample = SAMPLES / machine
    if not (sample / "machine.yml").is_file():
        raise HostsError(f"testbed_machine {machine}: there is no recording of that name in {SAMPLES}.")

    def found(*globs: str) -> list[tuple[str, bytes]]:
        paths = sorted(path for glob in globs for path in sample.glob(glob) if path.is_file())
        return [(str(path.relative_to(sample)), path.read_bytes()) for path in paths]

    files = dict(found(*HARDWARE)) | {f"run/testbed/{name}": content for name, content in found(*KERNELS)}
    said = {name.removeprefix(".commands/"): text for tool in TOOLS for name, text in found(f".commands/{tool}*")}
    files |= {f"usr/local/lib/testbed/{name}": text for name, text in said.items()}
    programs = [f"usr/local/bin/{tool}" for tool in TOOLS if any(name.startswith(tool) for name in said)]
    return packed(files | dict.fromkeys(programs, REPLAY.encode()), programs)


def start(
    name: str, hostname: str, image: str, state: Path, folders: list[str], architecture: str, machine: str
) -> None:
    """Start one container with systemd as its first process; `architecture` is one that is emulated, or nothing."""
    argv = ["podman", "run", "--detach", "--name", name, "--hostname", hostname, "--systemd=always", "--pull=missing"]
    # A folder that is soon full, for the tests of that.
    argv += ["--tmpfs=/srv/small:rw,size=96m,mode=0755"]
    if architecture:
        argv += [f"--arch={architecture}"]
    cpuinfo = SAMPLES / machine / "proc/cpuinfo" if machine else CPUINFO.get(architecture)
    if cpuinfo:
        argv += [f"--volume={cpuinfo}:/proc/cpuinfo:ro"]
    argv += ["--label", f"{LABEL}={state}", *(f"--volume={folder}:{folder}:ro" for folder in folders)]
    if os.environ.get("WAVESMITH_CGROUP_LEAF"):
        # Without podman's own cgroups every systemd would share one tree: give each host its own leaf to be root of.
        leaf = Path("/sys/fs/cgroup") / f"wavesmith-{name}"
        leaf.mkdir(exist_ok=True)
        argv = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(leaf), *argv, "--ulimit=host"]
    run(*argv, image, "/sbin/init")


def wait_ready(name: str) -> None:
    """Wait until the host's systemd has started everything."""
    deadline = time.monotonic() + READY_TIMEOUT
    state = ""
    while time.monotonic() < deadline:
        state = run("podman", "exec", name, "systemctl", "is-system-running", check=False)
        if state in ("running", "degraded"):
            return
        time.sleep(0.3)
    logs = run("podman", "logs", "--tail", "20", name, check=False)
    raise HostsError(f"host {name}: systemd is {state or 'not there'!r} after {READY_TIMEOUT:.0f} s\n{logs}")


def create(state: Path, words: list[str]) -> None:
    """Start the hosts (NAME[:ARCH[:MACHINE]]) that are not up yet; write the inventory with their addresses and keys."""
    inventory, ssh = state / "inventory" / "testbed.yml", state / "ssh"
    if inventory.exists() and owned(state):
        print(f"unchanged: {len(words)} hosts are up")
        return
    remove(state)
    parts = {name: rest.partition(":") for name, _, rest in (word.partition(":") for word in words)}
    architectures = {name: foreign(word) for name, (word, _, _) in parts.items()}
    machines = {name: machine for name, (_, _, machine) in parts.items()}
    shown = {machine: recorded(machine) for machine in set(machines.values()) if machine}
    images = {word: base_image(word) for word in set(architectures.values())}
    ssh.mkdir(parents=True, exist_ok=True)
    ssh.chmod(0o700)
    inventory.parent.mkdir(exist_ok=True)
    key, known_hosts = ssh / "key", ssh / "known_hosts"
    key.unlink(missing_ok=True)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "wavesmith-testbed", "-f", str(key))
    conf = pip_settings()
    files, folders = files_for_hosts(conf, key.with_suffix(".pub").read_text()), local_folders(conf)
    token, hosts, known = secrets.token_hex(2), {}, []
    for hostname, architecture in architectures.items():
        name = f"{hostname}-{token}"
        start(name, hostname, images[architecture], state, folders, architecture, machines[hostname])
    for hostname, architecture in architectures.items():
        name = f"{hostname}-{token}"
        wait_ready(name)
        run("podman", "exec", "-i", name, "tar", "-C", "/", "-x", "--no-same-owner", stdin=files)
        run("podman", "exec", "-i", name, "bash", "-s", stdin=SETUP.encode())
        if machines[hostname]:
            run(
                "podman", "exec", "-i", name, "tar", "-C", "/", "-x", "--no-same-owner", stdin=shown[machines[hostname]]
            )
            run("podman", "exec", "-i", "--privileged", name, "bash", "-s", stdin=DRESS.encode())
        address = run("podman", "inspect", "--format", "{{.NetworkSettings.IPAddress}}", name)
        # Out of band: what the network says about itself is not asked.
        public = run("podman", "exec", name, "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
        known.append(f"{address} {' '.join(public.split()[:2])}\n")
        hosts[hostname] = {"ansible_host": address, "testbed_container": name}
        if architecture:
            hosts[hostname]["ansible_user"] = "root"  # emulated, sudo may not get its rights
    known_hosts.write_text("".join(known))
    options = f"-o UserKnownHostsFile={known_hosts} -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes"
    common = {
        "ansible_connection": "ssh",
        "ansible_user": "maker",
        "ansible_ssh_private_key_file": str(key),
        "ansible_ssh_common_args": f"{options} -o ConnectTimeout=10",
    }
    # JSON is YAML: no library needed to write it.
    inventory.write_text(json.dumps({"testbed": {"hosts": hosts, "vars": common}}, indent=2) + "\n")
    print(f"changed: {len(hosts)} hosts are up from {', '.join(sorted(images.values()))}")


def owned(state: Path) -> list[str]:
    """Return the names of the containers made for this state folder."""
    names = run("podman", "ps", "--all", "--filter", f"label={LABEL}={state}", "--format", "{{.Names}}")
    return names.split()


def remove_cgroup(leaf: Path) -> None:
    """Remove a host's leaf with what its systemd made below it; its last processes may take a moment to go."""
    deadline = time.monotonic() + 5.0
    while leaf.is_dir():
        try:
            for folder in sorted((f for f in leaf.rglob("*") if f.is_dir()), reverse=True):
                folder.rmdir()
            leaf.rmdir()
        except OSError as error:
            if time.monotonic() > deadline:
                print(f"hosts: {leaf} stays: {error}", file=sys.stderr)
                return
            time.sleep(0.2)


def remove(state: Path) -> int:
    """Remove the hosts of this state folder, with their keys and inventory; return how many there were."""
    names = owned(state)
    if names:
        argv = ["podman", "rm", "--force", "--ignore", "--time", "1", "--volumes", *names]
        # On a busy machine a host may end between podman's look and its signal: then it says "state improper" once.
        run(*argv, check=False)
        run(*argv)
    for name in names:
        remove_cgroup(Path("/sys/fs/cgroup") / f"wavesmith-{name}")
    for path in (state / "inventory" / "testbed.yml", *(state / "ssh").glob("*")):
        path.unlink(missing_ok=True)
    return len(names)


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("image").add_argument("architecture", nargs="?", default="", metavar="ARCH")
    for name in ("create", "destroy"):
        sub = commands.add_parser(name)
        sub.add_argument("--state", type=Path, required=True)
    commands.choices["create"].add_argument("hosts", nargs="+", metavar="NAME[:ARCH[:MACHINE]]")
    args = parser.parse_args(argv)
    try:
        if args.command == "image":
            print(base_image(args.architecture))
        elif args.command == "create":
            create(args.state.resolve(), args.hosts)
        else:
            count = remove(args.state.resolve())
            print(f"changed: {count} hosts removed" if count else "unchanged: no hosts")
    except HostsError as error:
        print(f"hosts: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
