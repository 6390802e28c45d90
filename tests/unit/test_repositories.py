"""Sources that are no package index: asked before anything is changed, and refused where a definite no comes back."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.wavesmith.provision.plugins.module_utils.observe import probe
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import conda, record, repositories
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted
from ansible_collections.wavesmith.provision.plugins.plugin_utils import git as kept
from ansible_collections.wavesmith.provision.plugins.plugin_utils import project_source

from .site import ROOT, Site
from .test_observe import silent
from .test_plan import decide, host, only, thor

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NO = {"answers": False, "inconclusive": False, "detail": "HTTP 404: nothing at this address"}
UNSURE = {"answers": False, "inconclusive": True, "detail": "no answer within 6 s"}
YES = {"answers": True, "inconclusive": False, "detail": "HTTP 200"}
BOARD = thor(
    machine={"kind": "jetson"},
    pythons=[{"path": "/usr/bin/python3.12", "version": "3.12.3", "headers": True, "venv": True}],
    toolkits=[{"version": "13.0", "path": "/usr/local/cuda", "nvcc": True}],
    compilers={"gcc": "13.3.0"},
)
BUILT = only(decide(BOARD, Environment("speech", packages=("torch", "torchaudio")), policy=("wheelhouse", "source")))
TAKEN = only(
    decide(
        host(), Environment("small", stack="none", packages=(f"voice @ git+https://example.org/voice.git@{COMMIT}",))
    )
)


def test_the_repository_of_each_build_and_of_each_package_at_a_commit_is_asked_as_git_asks_it() -> None:
    asked = repositories.sources([BUILT])
    named = {
        wheel.spec["source"]["digest"]: wheel.spec["source"]["urls"]
        for wheel in BUILT.wheels
        if wheel.spec["source"]["kind"] == "git"
    }
    assert named and all(f"{digest}/0" in asked for digest in named)
    assert all(
        address.endswith("/info/refs?service=git-upload-pack")
        for name, address in asked.items()
        if name.partition("/")[0] in named
    )
    assert repositories.sources([TAKEN]) == {
        f"{COMMIT}/0": "https://example.org/voice.git/info/refs?service=git-upload-pack"
    }


@pytest.mark.parametrize(("states", "refused", "warned"), [([NO], 1, 0), ([UNSURE], 0, 1), ([YES], 0, 0), ([], 0, 0)])
def test_a_definite_no_to_what_a_host_fetches_itself_is_refused(states: list[Any], refused: int, warned: int) -> None:
    found = repositories.silent([TAKEN], {f"{COMMIT}/{number}": state for number, state in enumerate(states)})
    assert (len(found.refusals), len(found.warnings)) == (refused, warned) and not found.elsewhere
    said = [*map(str, found.refusals), *found.warnings]
    assert all("example.org/voice.git" in one and "Remedy" in one for one in said)


def test_one_mirror_that_answers_is_enough() -> None:
    wheel = next(wheel for wheel in BUILT.wheels if wheel.spec["source"]["urls"])
    digest = wheel.spec["source"]["digest"]
    wheel.spec["source"]["urls"] = ["https://a.example.org/x", "https://b.example.org/x"]
    assert repositories.silent([BUILT], {f"{digest}/0": NO, f"{digest}/1": YES}) == repositories.Silent()
    found = repositories.silent([BUILT, BUILT], {f"{digest}/0": NO, f"{digest}/1": NO})
    assert not found.refusals and [*found.elsewhere] == [digest]
    refusal = found.elsewhere[digest]
    assert refusal.item == f"wheel {wheel.name} {wheel.version}"
    assert "a.example.org" in refusal.problem and "b.example.org" in refusal.problem


def test_what_was_fetched_before_is_not_asked_again(tmp_path: Path) -> None:
    kept = tmp_path / "cache" / "sources" / COMMIT / "voice"
    kept.mkdir(parents=True)
    asked = {f"{COMMIT}/0": "http://127.0.0.1:9/voice.git", f"{'1' * 40}/0": "http://127.0.0.1:9/other.git"}
    found = probe.ask_sources(asked, timeout=1.0, root=str(tmp_path))["sources"]
    assert next((state["answers"], state["detail"]) for state in found.values()) == (True, "kept on the host")
    assert not found[f"{'1' * 40}/0"]["answers"]


@contextmanager
def plain() -> Iterator[str]:
    """Speaks HTTP where TLS is spoken."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextmanager
def refusing() -> Iterator[str]:
    yield "http://127.0.0.1:9/"


@pytest.mark.process
@pytest.mark.parametrize(
    ("server", "said"),
    [
        (plain, "SSL"),
        (refusing, "Connection refused"),
        (silent, "its source gave no answer ("),
    ],
)
def test_a_package_at_a_commit_whose_server_does_not_give_it_is_refused_before_anything_is_changed(
    tmp_path: Path, server: Any, said: str
) -> None:
    site = Site(tmp_path, "one")
    with server() as address:
        package = f"voice @ git+{address.replace('http:', 'https:')}voice.git@{COMMIT}"
        site.hosts["one"]["wavesmith_environments"] = {"small": {"stack": "none", "packages": ["numpy", package]}}
        status, output = site.run("-e", "wavesmith_source_timeout=3")
    assert "package voice: its source" in output and said in output and "voice.git" in output, output
    assert (status == 0) == (server is silent) and not site.root("one").exists()


def test_a_busy_git_server_is_asked_again_and_a_definite_no_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, tried = tmp_path / "voice", tmp_path / "tried"
    repository.mkdir()
    (repository / "requirements.txt").write_text("numpy\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(repository)]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    busy = tmp_path / "bin" / "git"
    busy.parent.mkdir()
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    busy.write_text(
        f'#!/bin/sh\ncase "$*" in *" fetch "*) echo x >>{tried}\nif [ $(wc -l <{tried}) -lt "${{WANTED_TRIES:-3}}" ]; then\n'
        f'echo "fatal: unable to access: $SAYS" >&2; exit 128; fi;; esac\nexec {real} "$@"\n'
    )
    busy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{busy.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(kept, "_PAUSES", (0.0, 0.0))
    source = {"git": repository.as_uri(), "commit": commit}
    for says, tries, usable in (
        ("Recv failure: Connection reset by peer", 3, True),
        ("Failed to connect: Connection refused", 1, False),
    ):
        tried.write_text("")
        monkeypatch.setenv("SAYS", says)
        if usable:
            assert project_source.open_source(source, tmp_path).read("requirements.txt") == "numpy\n"
        else:
            with pytest.raises(kept.Unusable, match="Connection refused"):
                project_source.open_source({**source, "commit": "0" * 40}, tmp_path)
        assert len(tried.read_text().splitlines()) == tries


def test_a_channel_given_by_name_is_asked_where_the_tools_look_for_it() -> None:
    rattler = pytest.importorskip("rattler", reason="py-rattler is not in this environment: make venv-dev")
    assert rattler.Channel("conda-forge").base_url.rstrip("/") == f"{conda.ALIAS}/conda-forge"
    wanted = Wanted((Environment("small", stack="none", engine="conda"),))
    assert conda.sources(wanted) == {"channel conda-forge": f"{conda.ALIAS}/conda-forge/noarch/repodata.json"}


@pytest.mark.parametrize(("state", "refused"), [(record.NOT_ASKED, 0), (YES, 0), (UNSURE, 0), (NO, 1)])
def test_a_channel_is_refused_where_it_says_no(state: Any, refused: int) -> None:
    lock: Any = {"channels": [{"name": "conda-forge", "url": f"{conda.ALIAS}/conda-forge"}]}
    found = conda.silent("small", lock, {"channel conda-forge": state})
    assert len(found) == refused and all("HTTP 404: nothing at this address" in str(one) for one in found)


def overlay_with_archive(folder: Path, archive: str) -> str:
    """A catalog of one's own, whose pyworld is built from an archive at this address; the archive's sha256."""
    packages = folder / "packages"
    shutil.copytree(ROOT / "catalog" / "packages" / "locks", packages / "locks")
    given = yaml.safe_load((ROOT / "catalog" / "packages" / "pyworld.yml").read_text())
    (release,) = given["recipe"]["releases"]
    sha256 = release["source"]["sha256"]
    release["source"] = {"archive": archive, "sha256": sha256}
    (packages / "pyworld.yml").write_text(yaml.safe_dump(given))
    return str(sha256)


def fleet_that_builds(folder: Path, archive: str, *hosts: str) -> tuple[Site, str]:
    """Hosts that build one wheel from an archive at this address, and the archive's sha256."""
    sha256 = overlay_with_archive(folder / "catalog", archive)
    site = Site(folder, *hosts)
    site.variables["wavesmith_catalog"] = str(folder / "catalog")
    site.variables["wavesmith_environments"] = {"small": {"stack": "none", "packages": ["pyworld"]}}
    return site, sha256


@pytest.mark.process
def test_a_source_that_no_host_reaches_is_refused_once_and_before_anything_is_changed(tmp_path: Path) -> None:
    site, _ = fleet_that_builds(tmp_path, "https://127.0.0.1:9/pyworld.tar.gz", "one", "two", "three")
    status, output = site.run("-e", "wavesmith_source_timeout=3", playbook="build.yml", WAVESMITH_BOARD="lines")
    assert status != 0, output
    assert (
        output.count("✗ one, two, three: wheel pyworld 0.3.5: its source does not answer (https://127.0.0.1:9/") == 1
    ), output
    assert "3 refused" in output and not any(site.root(host).exists() for host in site.hosts), output


@pytest.mark.process
def test_a_source_that_one_host_has_is_built_there_for_the_others(tmp_path: Path) -> None:
    site, sha256 = fleet_that_builds(tmp_path, "https://127.0.0.1:9/pyworld.tar.gz", "one", "two")
    kept = site.root("two") / "cache" / "sources" / sha256 / "pyworld.tar.gz"
    kept.parent.mkdir(parents=True)
    kept.write_text("")
    status, output = site.run("-e", "wavesmith_source_timeout=3", WAVESMITH_BOARD="lines")
    assert status == 0 and "refused" not in output, output
    assert not site.root("one").exists()


LOCKED = """\
- hosts: all
  gather_facts: false
  tasks:
    - wavesmith.provision.plan:
      register: wavesmith_plan
    - wavesmith.provision.plan:
        locked: true
"""


@pytest.mark.process
def test_hosts_whose_lock_nobody_could_resolve_are_refused_once(tmp_path: Path) -> None:
    site = Site(tmp_path, "one", "two")
    (tmp_path / "locked.yml").write_text(LOCKED)
    status, output = site.run(playbook=str(tmp_path / "locked.yml"), WAVESMITH_BOARD="lines")
    assert status != 0 and output.count("environment small: no host could resolve its lock small-") == 1, output
    assert "✗ one, two: environment small" in output
    for name in site.hosts:
        site.lock(name)
    status, output = site.run(playbook=str(tmp_path / "locked.yml"), WAVESMITH_BOARD="lines")
    assert status == 0 and "no host could" not in output, output
