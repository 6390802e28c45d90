"""The table of bad inputs: what is wrong, how it is given, and what is said."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .site import Site

Prepare = Callable[[Site, str, Path], Mapping[str, Any]]
"""Makes what is wrong, from the site, the host's name, and a folder of the case's own; returns more variables of the host."""


@dataclass(frozen=True)
class Bad:
    """One bad input.

    Attributes:
        what: What is wrong, for the document.
        said: What is said; ``<folder>`` stands for the case's own folder.
        given: Variables of the host, without ``wavesmith_``.
        prepare: Makes what is not a variable.
        group: Heading in the document.
    """

    group: str
    what: str
    said: str
    given: Mapping[str, Any] = field(default_factory=dict)
    prepare: Prepare | None = None


def environments(**more: Any) -> dict[str, Any]:
    return {"environments": {"small": {"stack": "none", "packages": ["numpy"], **more}}}


def project(**source: Any) -> dict[str, Any]:
    return {**environments(projects=["voice"]), "projects": {"voice": source}}


def files(**contents: str | bytes) -> Prepare:
    """A project of one's own in a folder, with these files (`__` is a dot)."""

    def prepare(_site: Site, _host: str, folder: Path) -> Mapping[str, Any]:
        for name, text in contents.items():
            path = folder / name.replace("__", ".")
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return {f"wavesmith_{key}": value for key, value in project(path=str(folder)).items()}

    return prepare


def root_at(make: Callable[[Path], Path]) -> Prepare:
    return lambda _site, _host, folder: {"wavesmith_root": str(make(folder))}


def _file(folder: Path) -> Path:
    (folder / "file").write_text("")
    return folder / "file"


def _below_file(folder: Path) -> Path:
    return _file(folder) / "wavesmith"


def _dead_link(folder: Path) -> Path:
    (folder / "link").symlink_to(folder / "gone")
    return folder / "link"


def _of_another(folder: Path) -> Path:
    (folder / "root" / "envs").mkdir(parents=True)
    os.chown(folder / "root" / "envs", 1, 1)
    return folder / "root"


def locks(text: str, name: str = "small-python311-cpu-x86_64-package_index.txt", binary: bytes = b"") -> Prepare:
    """A locks folder whose file for this host is damaged; `INPUTS` stands for the digest of what is asked for."""

    def prepare(site: Site, _host: str, folder: Path) -> Mapping[str, Any]:
        stem, inputs = site.asked
        path = folder / f"{stem}.txt"
        path.write_bytes(text.replace("INPUTS", inputs).encode() + binary)
        return {"wavesmith_locks": str(folder)}

    return prepare


def folder_of(variable: str, make: Callable[[Path], Path]) -> Prepare:
    return lambda _site, _host, folder: {f"wavesmith_{variable}": str(make(folder))}


def catalog(path: str, text: str) -> Prepare:
    def prepare(_site: Site, _host: str, folder: Path) -> Mapping[str, Any]:
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(text)
        return {"wavesmith_catalog": str(folder)}

    return prepare


def ssh(said: str) -> Prepare:
    """A host whose ssh says this and fails."""

    def prepare(_site: Site, _host: str, folder: Path) -> Mapping[str, Any]:
        program = folder / "ssh"
        program.write_text(f"#!/bin/sh\necho '{said}' >&2\ncat > /dev/null\nexit 255\n")
        program.chmod(0o755)
        own = {"ansible_connection": "ssh", "ansible_host": "192.0.2.11", "ansible_user": "ada"}
        return {**own, "ansible_ssh_executable": str(program), "ansible_ssh_retries": 0}

    return prepare


def git(make: Callable[[Path], dict[str, str]]) -> Prepare:
    def prepare(_site: Site, _host: str, folder: Path) -> Mapping[str, Any]:
        return {f"wavesmith_{key}": value for key, value in project(**make(folder)).items()}

    return prepare


COMMIT = "0123456789abcdef0123456789abcdef01234567"
MARK = "# wavesmith-lock inputs: INPUTS\n"
PIN = f"numpy==2.3.5 \\\n    --hash=sha256:{'0' * 64}\n"

V, E, P, L, F, N = "Variables", "Environments", "Projects", "Locks", "Folders", "Hosts and networks"
TABLE = [
    # variables
    Bad(
        V,
        "a misspelt variable",
        "variable wavesmith_pyton: there is no such variable. Remedy: did you mean wavesmith_python…",
        {"pyton": "3.12"},
    ),
    Bad(
        V,
        "a variable that never was",
        "variable wavesmith_colour: there is no such variable. Remedy: did you mean …",
        {"colour": "green"},
    ),
    Bad(
        V,
        "a Python version as a number",
        'variable wavesmith_python: it is 3.12, but must be text. Remedy: write it as text: wavesmith_python: "3.12"',
        {"python": 3.12},
    ),
    Bad(
        V,
        "a Python version that is none",
        "variable wavesmith_python: 'python3' is not a Python version. Remedy: write it as text: \"3.12\"",
        {"python": "python3"},
    ),
    Bad(
        V,
        "an older Python than any",
        "environment small: stack none needs Python 3.4, this host has …. Remedy: install Python 3.4 on the host, or set wavesmith_python to what is there (…)",
        {"python": "3.4"},
    ),
    Bad(
        V,
        "a stack that is not there",
        "variable wavesmith_stack: stack 'cuda99' is not in the catalog. Remedy: use one of: auto, cpu, cuda12_6…",
        {"stack": "cuda99"},
    ),
    Bad(
        V,
        "a stack that is a list",
        "variable wavesmith_stack: it is ['cpu'], but must be text. Remedy: write it as text",
        {"stack": ["cpu"]},
    ),
    Bad(
        V,
        "a policy with an unknown source",
        "variable wavesmith_policy: it is ['index', 'sources'], but must list source, wheelhouse, index, those that are allowed, best first. Remedy: did you mean source?",
        {"policy": ["index", "sources"]},
    ),
    Bad(
        V,
        "a policy that names one twice",
        "variable wavesmith_policy: it is ['index', 'index'], but must list source, wheelhouse, index, those that are allowed, best first. Remedy: name each of those you allow once",
        {"policy": ["index", "index"]},
    ),
    Bad(
        V,
        "an empty policy",
        "variable wavesmith_policy: it is [], but must list source, wheelhouse, index, those that are allowed, best first. Remedy: name each of those you allow once",
        {"policy": []},
    ),
    Bad(
        V,
        "keeping no generation",
        "variable wavesmith_keep_generations: it is 0, but must be 1 or more. Remedy: keep at least the current one",
        {"keep_generations": 0},
    ),
    Bad(
        V,
        "keeping a negative number of generations",
        "variable wavesmith_keep_generations: it is -3, but must be 1 or more. Remedy: keep at least the current one",
        {"keep_generations": -3},
    ),
    Bad(
        V,
        "keeping a negative number of wheels",
        "variable wavesmith_keep_wheels: it is -1, but must be 0 or more. Remedy: 0 keeps only what is needed",
        {"keep_wheels": -1},
    ),
    Bad(
        V,
        "a wave of no host",
        "variable wavesmith_waves: '0' is no number of hosts. Remedy: give hosts at a time as numbers from 1 or as 1% to 100%, such as 1,10%,50%,100%",
        {"waves": [1, 0]},
    ),
    Bad(
        V,
        "a wave of more than all hosts",
        "variable wavesmith_waves: '200%' is no number of hosts. Remedy: give hosts at a time as numbers from 1 or as 1% to 100%, such as 1,10%,50%,100%",
        {"waves": "1,200%"},
    ),
    Bad(
        V,
        "more failures than a wave can have",
        "variable wavesmith_failure_budget: it is 120, but must be 0 or more, 100 at most. Remedy: give percent of a wave, such as 10",
        {"failure_budget": 120},
    ),
    Bad(
        V,
        "a number in words",
        "variable wavesmith_keep_generations: it is 'two', but must be a whole number. Remedy: correct it in the inventory (see docs/variables.md)",
        {"keep_generations": "two"},
    ),
    Bad(
        V,
        "a truth that is none",
        "variable wavesmith_system_packages: it is 'perhaps', but must be true or false. Remedy: correct it in the inventory (see docs/variables.md)",
        {"system_packages": "perhaps"},
    ),
    Bad(
        V,
        "a time-out of nothing",
        "variable wavesmith_probe_timeout: it is 0, but must be more than 0. Remedy: give seconds, such as 10",
        {"probe_timeout": 0},
    ),
    Bad(
        V,
        "a time-out with a unit",
        "variable wavesmith_source_timeout: it is '10 s', but must be a number. Remedy: correct it in the inventory (see docs/variables.md)",
        {"source_timeout": "10 s"},
    ),
    Bad(
        V,
        "a time-out of less than nothing",
        "variable wavesmith_download_timeout: it is -20, but must be more than 0. Remedy: give seconds, such as 10",
        {"download_timeout": -20},
    ),
    Bad(
        V,
        "a way to link that is not there",
        "variable wavesmith_links: it is 'symlink', but must be auto, copy or hardlink. Remedy: use one of: auto, copy, hardlink",
        {"links": "symlink"},
    ),
    Bad(
        V,
        "native software from nowhere",
        "variable wavesmith_native: it is 'apt', but must be system or channel: an environment takes all native software from one of them. Remedy: use system or channel",
        {"native": "apt"},
    ),
    Bad(
        V,
        "a wheelhouse by a relative path",
        "variable wavesmith_wheelhouse: 'wheels' is neither an absolute folder nor an address. Remedy: give a folder such as /srv/wheels, or an address that begins with http://, https:// or file:///",
        {"wheelhouse": "wheels"},
    ),
    Bad(
        V,
        "a bundle with a wrong scheme",
        "variable wavesmith_bundle: 'ftp://example.org/bundle' is neither an absolute folder nor an address. Remedy: give a folder such as /srv/wheels, or an address that begins with http://, https:// or file:///",
        {"bundle": "ftp://example.org/bundle"},
    ),
    Bad(
        V,
        "channels that are no names",
        "variable wavesmith_conda_channels: it is [1], but must be a list of names, URLs or folders. Remedy: name one, such as conda-forge",
        {"conda_channels": [1]},
    ),
    Bad(
        V,
        "repair of an environment that is not wanted",
        "variable wavesmith_repair: there is no environment 'smal' here. Remedy: did you mean small?",
        {"repair": ["smal"]},
    ),
    Bad(
        V,
        "rollback to a generation that is a number",
        "variable wavesmith_rollback: the generation of small is a number, but must be text. Remedy: name a folder below envs/, or leave it out for the generation before",
        {"rollback": {"small": 12}},
    ),
    Bad(
        V,
        "projects that are a list",
        "variable wavesmith_projects: it is ['voice'], but must be a mapping. Remedy: correct it in the inventory (see docs/variables.md)",
        {"projects": ["voice"]},
    ),
    Bad(
        V,
        "an apt proxy that is no address",
        "variable wavesmith_apt_proxy: 'cache01:3142' is not the address of a proxy. Remedy: write it as http://cache01:3142",
        {"apt_proxy": "cache01:3142"},
    ),
    # environments
    Bad(
        E,
        "environments that are a list",
        "variable wavesmith_environments: it is a list, but must map each environment's name to its settings. Remedy: see docs/variables.md for an example",
        {"environments": ["small"]},
    ),
    Bad(
        E,
        "an environment's name with a capital",
        "environment Small: its name cannot be used as a folder's name. Remedy: use lower-case letters, digits and _",
        {"environments": {"Small": {}}},
    ),
    Bad(
        E,
        "an environment's name that is a path",
        "environment ../small: its name cannot be used as a folder's name. Remedy: use lower-case letters, digits and _",
        {"environments": {"../small": {}}},
    ),
    Bad(
        E,
        "an environment without settings",
        "environment small: its settings are None, not a mapping. Remedy: see docs/variables.md for an example",
        {"environments": {"small": None}},
    ),
    Bad(
        E,
        "a misspelt setting",
        "environment small: it has no setting 'package'. Remedy: did you mean packages?",
        environments(package=["numpy"]),
    ),
    Bad(
        E,
        "packages that are one text",
        "environment small: packages is 'numpy', but must be a list of names. Remedy: correct it in the inventory",
        environments(packages="numpy"),
    ),
    Bad(
        E,
        "packages that are numbers",
        "environment small: packages is [1, 2], but must be a list of names. Remedy: correct it in the inventory",
        environments(packages=[1, 2]),
    ),
    Bad(
        E,
        "a misspelt package",
        "environment small: package 'librosaa' is not in the catalog. Remedy: did you mean librosa? If librosaa itself is meant, add it to the catalog (CONTRIBUTING.md)",
        environments(packages=["librosaa"]),
    ),
    Bad(
        E,
        "a package of a stack without a stack",
        "environment small: package 'torch' belongs to a stack, but stack is none. Remedy: set stack: auto",
        environments(packages=["torch"]),
    ),
    Bad(
        E,
        "a stack that is not there",
        "environment small: stack 'cuda99' is not in the catalog. Remedy: use one of: auto, cpu, cuda12_6…",
        environments(stack="cuda99"),
    ),
    Bad(
        E,
        "an engine that is not there",
        "environment small: engine 'mamba' is not known. Remedy: use one of: conda, venv",
        environments(engine="mamba"),
    ),
    Bad(
        E,
        "a misspelt model",
        "environment small: model 'whisper_tinny' is not in the catalog. Remedy: did you mean whisper_tiny…",
        environments(models=["whisper_tinny"]),
    ),
    Bad(
        E,
        "channel software without the engine that has it",
        "environment small: wavesmith_native is channel, but its engine is venv, which has no channel. Remedy: set engine: conda, or wavesmith_native: system",
        {**environments(), "native": "channel"},
    ),
    Bad(
        E,
        "two channels of one name",
        "variable wavesmith_conda_channels: two channels are called 'voices', so a lock could mean either. Remedy: keep one of them, or rename its folder",
        {**environments(engine="conda"), "conda_channels": ["/a/voices", "/b/voices"]},
    ),
    Bad(
        E,
        "no channel at all",
        "variable wavesmith_conda_channels: it is empty, but engine conda takes Python from a channel. Remedy: name one, such as conda-forge",
        {**environments(engine="conda"), "conda_channels": []},
    ),
    # projects
    Bad(
        P,
        "a misspelt project",
        "project voise: it is not in the catalog or wavesmith_projects. Remedy: use one of: …",
        environments(projects=["voise"]),
    ),
    Bad(
        P,
        "a project that is neither a folder nor a commit",
        'project voice: the file: {"files":["requirements.txt"]} is not valid under any of the schemas listed in the \'oneOf\' keyword. Remedy: see catalog/schema/project.json',
        project(files=["requirements.txt"]),
    ),
    Bad(
        P,
        "a project's folder that is not there",
        "project voice: /nowhere/voice is not a folder. Remedy: correct its path; a relative one counts from the inventory",
        project(path="/nowhere/voice"),
    ),
    Bad(
        P,
        "a project without files that require something",
        "project voice: it has neither pyproject.toml nor requirements.txt. Remedy: name its files under files",
        prepare=files(readme=""),
    ),
    Bad(
        P,
        "a requirements file that is no text",
        "project voice: requirements.txt cannot be read: 'utf-8' codec can't decode byte 0xff in position 5: invalid start byte. Remedy: correct the file",
        prepare=files(requirements__txt=b"numpy\xff\xfe\n"),
    ),
    Bad(
        P,
        "a requirement that is none",
        "project voice: requirements.txt:2: 'librosa = 0.11' is not a requirement: Expected semicolon (after name with no version specifier) or end. Remedy: correct it, or name other files",
        prepare=files(requirements__txt="numpy\nlibrosa = 0.11\n"),
    ),
    Bad(
        P,
        "a requirements file that includes what is outside",
        "project voice: requirements.txt:1 includes ../other.txt, which is outside of the project. Remedy: name a folder that holds both",
        prepare=files(requirements__txt="-r ../other.txt\n"),
    ),
    Bad(
        P,
        "a requirements file that includes what is not there",
        "project voice: it has no file other.txt. Remedy: correct files, path or commit",
        prepare=files(requirements__txt="-r other.txt\n"),
    ),
    Bad(
        P,
        "a requirement that no hash pins",
        "project voice: requirements.txt:1: x @ https://example.org/x.whl is an address without a hash. Remedy: name a release of it under overrides, with the reason",
        prepare=files(requirements__txt="x @ https://example.org/x.whl\n"),
    ),
    Bad(
        P,
        "a pyproject.toml that is none",
        "project voice: pyproject.toml cannot be read: Expected ']' at the end of a table declaration (at line 1, column 9). Remedy: correct the file",
        prepare=files(pyproject__toml="[project\n"),
    ),
    Bad(
        P,
        "a pyproject.toml that leaves it to its backend",
        "project voice: pyproject.toml leaves the dependencies to its build backend. Remedy: name its requirements files under files",
        prepare=files(pyproject__toml='[project]\nname = "v"\ndynamic = ["dependencies"]\n'),
    ),
    Bad(
        P,
        "a branch instead of a commit",
        'project voice: commit: "main" does not match "^[0-9a-f]{40}$". Remedy: see catalog/schema/project.json',
        project(git="https://example.org/voice.git", commit="main"),
    ),
    Bad(
        P,
        "a repository that is not there",
        "project voice: commit 0123456789ab cannot be fetched from its repository: file://<folder>/none.git: fatal: '<folder>/none.git' does not appear to be a git repository. Remedy: check git, commit and the network of this machine, or name a mirror that has it in wavesmith_git_mirrors",
        prepare=git(lambda folder: {"git": f"file://{folder}/none.git", "commit": COMMIT}),
    ),
    Bad(
        P,
        "a git server that does not answer",
        "project voice: commit 0123456789ab cannot be fetched from its repository: http://127.0.0.1:9/voice.git: fatal: unable to access 'http://127.0.0.1:9/voice.git/': …. Remedy: check git, commit and the network of this machine, or name a mirror that has it in wavesmith_git_mirrors",
        project(git="http://127.0.0.1:9/voice.git", commit=COMMIT),
    ),
    # locks
    Bad(
        L,
        "a lock with a conflict of git",
        "lock small-….txt: line 2 holds a conflict marker of git (<<<<<<<). Remedy: restore the file (git checkout), or delete it to have it resolved again",
        prepare=locks(f"{MARK}<<<<<<< HEAD\n{PIN}=======\n"),
    ),
    Bad(
        L,
        "a lock with bytes that are no text",
        "lock small-….txt: line 4 holds bytes that are no text. Remedy: restore the file (git checkout), or delete it to have it resolved again",
        prepare=locks(f"{MARK}{PIN}", binary=b"\xff\xfe"),
    ),
    Bad(
        L,
        "a lock that was cut",
        "lock small-….txt: line 1 does not say what it was resolved from (# wavesmith-lock inputs: and a sha256). Remedy: restore the file (git checkout), or delete it to have it resolved again",
        prepare=locks("# wavesmith-lo"),
    ),
    Bad(
        L,
        "a lock with a range instead of a version",
        "lock small-….txt: line 2 is neither a pinned version nor a sha256: numpy>=2. Remedy: restore the file (git checkout), or delete it to have it resolved again",
        prepare=locks(f"{MARK}numpy>=2\n"),
    ),
    Bad(
        L,
        "a lock without a sha256",
        "lock small-….txt: line 4 has no sha256 for scipy. Remedy: restore the file (git checkout), or delete it to have it resolved again",
        prepare=locks(f"{MARK}{PIN}scipy==1.16.0\n"),
    ),
    Bad(
        L,
        "a lock whose pins were edited",
        "lock small-….txt: line 1 no longer fits the lines below it: some were edited, added or removed. Remedy: restore the file (git checkout), or delete it to have it resolved again",
        prepare=locks(f"{MARK.rstrip()} lines: {'0' * 64}\n{PIN}"),
    ),
    Bad(
        L,
        "a folder of locks that is a file",
        "locks <folder>/file: a lock has to be written, but <folder>/file cannot be written to (not a directory). Remedy: name another folder in wavesmith_locks, or change its owner",
        prepare=folder_of("locks", _file),
    ),
    Bad(
        L,
        "a lock that is a folder",
        "locks <folder>: <folder>/a.txt cannot be used (is a directory). Remedy: name another folder in wavesmith_locks, or change its owner",
        prepare=lambda _s, _h, folder: ((folder / "a.txt").mkdir(), {"wavesmith_locks": str(folder)})[1],
    ),
    Bad(
        L,
        "locks where nothing can be written",
        "locks /sys/locks: a lock has to be written, but /sys cannot be written to (…). Remedy: name another folder in wavesmith_locks, or change its owner",
        prepare=lambda _s, _h, _f: {"wavesmith_locks": "/sys/locks"},
    ),
    # folders
    Bad(
        F,
        "a root that is relative",
        "variable wavesmith_root: 'wavesmith' is not usable as Wavesmith's folder. Remedy: give an absolute path such as /opt/wavesmith",
        {"root": "wavesmith"},
    ),
    Bad(
        F,
        "a root of the system's",
        "variable wavesmith_root: '/usr' is not usable as Wavesmith's folder. Remedy: give an absolute path such as /opt/wavesmith",
        {"root": "/usr"},
    ),
    Bad(
        F,
        "a root with a space",
        "variable wavesmith_root: '/opt/wave smith' is not usable as Wavesmith's folder: it contains characters that scripts cannot use. Remedy: use letters, digits and / . _ + @ - only",
        {"root": "/opt/wave smith"},
    ),
    Bad(
        F,
        "a root that is a file",
        "folder <folder>/file: <folder>/file is a file. Remedy: move it away, or set wavesmith_root to another folder",
        prepare=root_at(_file),
    ),
    Bad(
        F,
        "a root below a file",
        "folder <folder>/file/wavesmith: <folder>/file is a file. Remedy: move it away, or set wavesmith_root to another folder",
        prepare=root_at(_below_file),
    ),
    Bad(
        F,
        "a root that is a dead link",
        "folder <folder>/link: <folder>/link is a link that leads nowhere. Remedy: remove it, or set wavesmith_root to another folder",
        prepare=root_at(_dead_link),
    ),
    Bad(
        F,
        "a root that another user has in use",
        "folder <folder>/root: <folder>/root/envs belongs to daemon, who could change what root runs from it. Remedy: connect as daemon, set another wavesmith_root, or give it to root: chown -R root <folder>/root",
        prepare=root_at(_of_another),
    ),
    Bad(
        F,
        "artifacts that are a file",
        "artifacts <folder>/file: <folder>/file/<host> cannot be used (not a directory). Remedy: name another folder in wavesmith_artifacts, or change its owner",
        prepare=folder_of("artifacts", _file),
    ),
    Bad(
        F,
        "artifacts where nothing can be written",
        "artifacts /sys/artifacts: /sys/artifacts cannot be used (…). Remedy: name another folder in wavesmith_artifacts, or change its owner",
        prepare=lambda _s, _h, _f: {"wavesmith_artifacts": "/sys/artifacts"},
    ),
    Bad(
        F,
        "a catalog that is not there",
        "variable wavesmith_catalog: /nowhere/catalog has none of stacks/, packages/, …. Remedy: name a folder that has one",
        {"catalog": "/nowhere/catalog"},
    ),
    Bad(
        F,
        "a package of one's own without a name",
        '<folder>/packages/x.yml: the file: "name" is a required property. Remedy: see catalog/schema/package.json',
        prepare=catalog("packages/x.yml", "requires: [x]\n"),
    ),
    Bad(
        F,
        "a stack of one's own that is no YAML",
        "<folder>/stacks/x.yml cannot be read: while parsing a flow sequence in \"<unicode string>\", line 1, column 7 did not find expected ',' or ']' in \"<unicode string>\", line 2, column 1. Remedy: correct the file",
        prepare=catalog("stacks/x.yml", "name: [x\n"),
    ),
    # hosts
    Bad(
        N,
        "a host without Python",
        "host <host>: it has no Python at /nowhere/python3 that runs. Remedy: run there: apt-get install -y python3, and set ansible_python_interpreter: /usr/bin/python3",
        prepare=lambda _s, _h, _f: {"ansible_python_interpreter": "/nowhere/python3"},
    ),
    Bad(
        N,
        "a channel by name below an address that is not there",
        "environment small: the channel conda-forge does not answer (Connection refused). Remedy: check the network or proxy of the host, or name a "
        "mirror in wavesmith_conda_channels",
        {**environments(engine="conda"), "conda_channel_alias": "http://127.0.0.1:9"},
    ),
    Bad(
        N,
        "an index that is not there",
        "environment small: the source package_index does not answer (Connection refused). Remedy: check the network or proxy of the host, or name a mirror in wavesmith_package_index",
        {"package_index": "http://127.0.0.1:9/simple"},
    ),
    Bad(
        N,
        "an index that is no address",
        "environment small: the source package_index does not answer (not a URL that can be probed). Remedy: check the network or proxy of the host, or name a mirror in wavesmith_package_index",
        {"package_index": "example"},
    ),
    Bad(
        N,
        "an index in a folder that is not there",
        "environment small: the source package_index does not answer (no such folder). Remedy: check the network or proxy of the host, or name a mirror in wavesmith_package_index",
        {"package_index": "file:///nowhere/simple"},
    ),
    Bad(
        N,
        "a wrong user",
        "host <host>: it does not accept user ada (ada@192.0.2.11: Permission denied (publickey)). Remedy: correct ansible_user, or copy your key there: ssh-copy-id ada@192.0.2.11",
        prepare=ssh("ada@192.0.2.11: Permission denied (publickey)."),
    ),
    Bad(
        N,
        "a host key that is not known",
        "host <host>: its host key is not known here (Host key verification failed). Remedy: log in once by hand, and compare it: ssh ada@192.0.2.11",
        prepare=ssh("Host key verification failed."),
    ),
    Bad(
        N,
        "a host key that changed",
        "host <host>: its host key is not the one that is known (@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @). Remedy: find out why; if it was set up again, run: ssh-keygen -R 192.0.2.11",
        prepare=ssh("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @"),
    ),
    Bad(
        N,
        "a name that is not known",
        "host <host>: the name 192.0.2.11 is unknown (ssh: Could not resolve hostname thor99: Name or service not known). Remedy: correct ansible_host",
        prepare=ssh("ssh: Could not resolve hostname thor99: Name or service not known"),
    ),
    Bad(
        N,
        "a host that is off",
        "host <host>: 192.0.2.11 does not answer (ssh: connect to host 192.0.2.11 port 22: Connection timed out). Remedy: check that it is on and in reach: ping 192.0.2.11",
        prepare=ssh("ssh: connect to host 192.0.2.11 port 22: Connection timed out"),
    ),
    Bad(
        N,
        "a host without an SSH server",
        "host <host>: 192.0.2.11 refuses SSH connections (ssh: connect to host 192.0.2.11 port 22: Connection refused). Remedy: start its SSH server, or correct ansible_port",
        prepare=ssh("ssh: connect to host 192.0.2.11 port 22: Connection refused"),
    ),
]

C = "The command line"
GIVEN = [
    Bad(
        C,
        "a misspelt variable",
        "variable wavesmith_kep_generations: there is no such variable. Remedy: did you mean wavesmith_keep_generations…",
        {"e": "wavesmith_kep_generations=2"},
    ),
    Bad(
        C,
        "a name that nothing reads",
        "variable rollback_environment: it was given with -e, and nothing reads it. Remedy: did you mean wavesmith_rollback?…",
        {"e": "rollback_environment=small"},
    ),
    Bad(
        C,
        "nothing to keep",
        "variable wavesmith_keep_generations: it is 0, but must be 1 or more. Remedy: keep at least the current one",
        {"e": "wavesmith_keep_generations=0"},
    ),
    Bad(
        C,
        "a time-out of less than nothing",
        "variable wavesmith_source_timeout: it is -1, but must be more than 0. Remedy: give seconds, such as 10",
        {"e": "wavesmith_source_timeout=-1"},
    ),
    Bad(
        C,
        "a number where a list must be",
        "variable wavesmith_policy: it is 1, but must be a list. Remedy: correct it in the inventory (see docs/variables.md)",
        {"e": '{"wavesmith_policy": 1}'},
    ),
    Bad(
        C,
        "a word where true or false must be",
        "variable wavesmith_conda_offline: it is 'maybe', but must be true or false. Remedy: correct it in the inventory (see docs/variables.md)",
        {"e": "wavesmith_conda_offline=maybe"},
    ),
    Bad(
        C,
        "a root of the system's",
        "variable wavesmith_root: '/etc' is not usable as Wavesmith's folder. Remedy: give an absolute path such as /opt/wavesmith",
        {"e": "wavesmith_root=/etc"},
    ),
    Bad(
        C,
        "an apt proxy without its port's scheme",
        "variable wavesmith_apt_proxy: 'cache01' is not the address of a proxy. Remedy: write it as http://cache01:3142",
        {"e": "wavesmith_apt_proxy=cache01"},
    ),
    Bad(
        C,
        "a misspelt environment to repair",
        "variable wavesmith_repair: there is no environment 'smol' here. Remedy: did you mean small?",
        {"e": "wavesmith_repair=smol"},
    ),
    Bad(
        C,
        "a word that is no NAME=VALUE",
        "-e: it is not NAME=VALUE. Remedy: write it as -e NAME=VALUE, or name a file: -e @FILE",
        {"e": "wavesmith"},
    ),
    Bad(
        C,
        "a Python that YAML reads as a number",
        'variable wavesmith_python: it is 3.1, but must be text. Remedy: write it as text: wavesmith_python: "3.10" (without quotes, YAML reads 3.10 as the number 3.1)',
        {"e": '{"wavesmith_python": 3.10}'},
    ),
]

MOUNTED = [
    Bad(
        F,
        "a root on a file system that is mounted read-only",
        "folder <folder>/mounted/wavesmith: its file system <folder>/mounted is mounted read-only. Remedy: mount -o remount,rw <folder>/mounted, or set wavesmith_root to a folder elsewhere",
        {"option": "ro"},
    ),
    Bad(
        F,
        "a root on a file system that is mounted noexec",
        "folder <folder>/mounted/wavesmith: its file system <folder>/mounted is mounted noexec, so no program starts there. Remedy: mount -o remount,exec <folder>/mounted, or set wavesmith_root to a folder elsewhere",
        {"option": "noexec"},
    ),
]


def _inventory(site: Site, _host: str, folder: Path) -> Mapping[str, Any]:
    site.write()
    return {"argv": ["-i", str(site.inventory)]}


def _written(name: str, text: str) -> Prepare:
    """The site's inventory, with one more file."""

    def prepare(site: Site, host: str, folder: Path) -> Mapping[str, Any]:
        given = _inventory(site, host, folder)
        (site.inventory / name).parent.mkdir(parents=True, exist_ok=True)
        (site.inventory / name).write_text(text)
        return given

    return prepare


def _only(text: str) -> Prepare:
    """An inventory of this text, or one that is not there."""

    def prepare(_site: Site, _host: str, folder: Path) -> Mapping[str, Any]:
        if text:
            (folder / "hosts.yml").write_text(text)
        return {"argv": ["-i", str(folder / "hosts.yml")]}

    return prepare


def _limit(text: str) -> Prepare:
    def prepare(site: Site, host: str, folder: Path) -> Mapping[str, Any]:
        return {"argv": [*_inventory(site, host, folder)["argv"], "-l", text]}

    return prepare


COMMANDED = [
    Bad(
        C,
        "an inventory that is not there",
        "inventory <folder>/hosts.yml: there is no such file or folder. Remedy: name a file or folder that is there, or write one: wavesmith init FOLDER",
        prepare=_only(""),
    ),
    Bad(
        C,
        "an inventory without hosts",
        "inventory <folder>/hosts.yml: it has no hosts. Remedy: add one to its hosts.yml, or write one: wavesmith init FOLDER",
        prepare=_only("all:\n  hosts: {}\n"),
    ),
    Bad(
        C,
        "an inventory that is no YAML",
        "<folder>/hosts.yml: line 3: did not find expected ',' or ']'. Remedy: correct it: it is no YAML",
        prepare=_only("all:\n  hosts: [one\n"),
    ),
    Bad(
        C,
        "an environment that is there twice",
        "<folder>/hosts.yml: line 6: Found duplicate mapping key 'small'. Remedy: keep one of them",
        prepare=_only(
            "all:\n  hosts:\n    one:\n      wavesmith_environments:\n        small: {}\n        small: {}\n"
        ),
    ),
    Bad(
        C,
        "variables that are no YAML",
        "<folder>/inventory/group_vars/all.yml: line 2: …. Remedy: correct it: it is no YAML",
        prepare=_written("group_vars/all.yml", "wavesmith_stack: [none\nwavesmith_python: 3\n"),
    ),
    Bad(
        C,
        "a host that is not in the inventory",
        "-l onn: inventory <folder>/inventory has no such host or group. Remedy: did you mean one?",
        prepare=_limit("onn"),
    ),
    Bad(
        C,
        "an empty -l",
        "-l: it is empty. Remedy: name hosts or groups, or leave it out for all of the inventory",
        prepare=_limit(""),
    ),
    Bad(
        C,
        "a -l that leaves no host",
        "-l one,!one: it leaves no host. Remedy: the inventory has: one",
        prepare=_limit("one,!one"),
    ),
]

ON_HOSTS = [
    Bad(
        N,
        "sudo that asks for a password, on a host that lacks system packages",
        "system packages: … are missing and user ada may not install them. Remedy: ask an administrator to run: apt-get install -y …; or add -K where "
        "sudo asks this user for a password",
    ),
    Bad(
        N,
        "a wrong password for sudo",
        "this host: sudo does not take the password that was given. Remedy: start again with -K and the password that this user has there",
    ),
    Bad(
        N,
        "a password of a user who may not use sudo",
        "this host: its user may not use sudo. Remedy: ask an administrator for that, or set ansible_user to a user who may",
    ),
]
"""What tests/host/test_sudo.py gives to Ansible on a real SSH host with a real sudo."""
