"""Source trees of models: from a repository or its mirror through the controller into a generation."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import stat
import subprocess
import tarfile
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.build.source import PACK
from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Failed
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import models
from ansible_collections.wavesmith.provision.plugins.module_utils.prefix import code
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.model import Archive, Model, Tree
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Environment, Wanted, read
from ansible_collections.wavesmith.provision.plugins.plugin_utils import code_files
from ansible_collections.wavesmith.provision.plugins.plugin_utils.git import Commit, Unusable

from .site import Site
from .test_plan import CATALOG, decide, host, only

ADDRESS = "https://git.invalid/voices/talker"
LEXICON = "talker/data/lexicon.txt"


class Repository:
    """A bare repository of a talking model, and what it holds."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._work = folder / "mirror" / "voices" / "talker.git", folder / "work"
        self._work.mkdir(parents=True)
        self._git("init", "-q", "-b", "main")
        for path, text in {
            "LICENSE": "MIT",
            "talker/__init__.py": "from .voice import SAYS\n",
            "talker/voice.py": "SAYS = open('talker/data/lexicon.txt').read()\n",
            LEXICON: "hello həˈloʊ\n",
            "talker/run.sh": "#!/bin/sh\n",
            "docs/picture.png": "a picture",
        }.items():
            self.write(path, text)
        (self._work / "talker/run.sh").chmod(0o755)
        (self._work / "talker/words.txt").symlink_to("data/lexicon.txt")
        self.commit = self.publish()

    def _git(self, *words: str) -> str:
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "protocol.file.allow=always"]
        argv = ["git", *who, "-C", str(self._work), *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, path: str, text: str) -> None:
        (self._work / path).parent.mkdir(parents=True, exist_ok=True)
        (self._work / path).write_text(text)

    def link(self, path: str, target: str) -> None:
        (self._work / path).symlink_to(target)

    def submodule(self, path: str) -> None:
        self._git("submodule", "--quiet", "add", self.folder.as_uri(), path)

    def publish(self) -> str:
        """Commit all and bring it to the mirror, where every object is a file of its own."""
        self._git("add", ".")
        self._git("commit", "-qm", "x")
        shutil.rmtree(self.folder, ignore_errors=True)
        subprocess.run(["git", "clone", "-q", "--bare", str(self._work), str(self.folder)], check=True)
        return self._git("rev-parse", "HEAD")

    def lose(self, path: str) -> None:
        """Take the content of a file out of the mirror, as a partial copy has it."""
        blob = self._git("rev-parse", f"HEAD:{path}")
        (self.folder / "objects" / blob[:2] / blob[2:]).unlink()

    def damage(self, path: str) -> None:
        """Put another object in the place of a file's content."""
        blob, other = self._git("rev-parse", f"HEAD:{path}"), self._git("rev-parse", "HEAD:LICENSE")
        there = self.folder / "objects" / blob[:2] / blob[2:]
        there.chmod(0o644)
        shutil.copy(self.folder / "objects" / other[:2] / other[2:], there)

    def tree(self, **changes: Any) -> Tree:
        return replace(Tree(ADDRESS, self.commit, ("LICENSE", "talker/*")), **changes)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Repository(tmp_path)


@pytest.fixture
def mirrors(repository: Repository) -> list[str]:
    return [f"file://{repository.folder.parents[1]}/{{owner}}/{{name}}.git"]


def packed(tree: Tree, mirrors: list[str]) -> Archive:
    archive = code_files.pack(tree, mirrors).archive
    assert archive
    return archive


def members(tree: Tree, mirrors: list[str]) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(packed(tree, mirrors).path) as archive:
        return {member.name: member for member in archive}


# On the controller


def test_the_files_that_are_named_are_packed_from_a_mirror(repository: Repository, mirrors: list[str]) -> None:
    found = members(repository.tree(), mirrors)
    assert set(found) == {
        "LICENSE",
        "talker/__init__.py",
        "talker/voice.py",
        LEXICON,
        "talker/run.sh",
        "talker/words.txt",
    }
    assert (found["talker/run.sh"].mode, found["talker/voice.py"].mode) == (0o555, 0o444)
    assert found["talker/words.txt"].linkname == "data/lexicon.txt"


def test_what_was_fetched_once_needs_no_mirror(repository: Repository, mirrors: list[str]) -> None:
    first = packed(repository.tree(), mirrors)
    shutil.rmtree(repository.folder)
    os.unlink(first.path)
    assert packed(repository.tree(), []).sha256 == first.sha256


def test_the_same_files_make_the_same_bytes(
    repository: Repository, mirrors: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = packed(repository.tree(), mirrors)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    again = packed(repository.tree(), mirrors)
    assert again.path != first.path and again.sha256 == first.sha256


@pytest.mark.parametrize("path", [LEXICON, "talker/voice.py", "LICENSE"])
def test_a_partial_mirror_is_refused_with_the_file_that_it_lacks(
    repository: Repository, mirrors: list[str], path: str
) -> None:
    repository.lose(path)
    with pytest.raises(Unusable, match=f"the mirror of {ADDRESS} lacks {path} of commit {repository.commit[:12]}"):
        code_files.pack(repository.tree(), mirrors)


def test_a_file_that_is_not_taken_may_be_missing(repository: Repository, mirrors: list[str]) -> None:
    repository.lose("docs/picture.png")
    assert "talker/voice.py" in members(repository.tree(), mirrors)


def test_a_file_that_the_model_can_do_without_is_named_as_absent(repository: Repository, mirrors: list[str]) -> None:
    repository.lose(LEXICON)
    tree = repository.tree(may_lack={LEXICON: "words"})
    assert code_files.pack(tree, mirrors).absent == (LEXICON,) and LEXICON not in members(tree, mirrors)


@pytest.mark.parametrize("path", [LEXICON, "talker/voice.py", "talker/__init__.py"])
def test_an_object_that_is_not_the_one_of_its_id_counts_as_missing(
    repository: Repository, mirrors: list[str], path: str
) -> None:
    repository.damage(path)
    with pytest.raises(Unusable, match=f"lacks {path}"):
        code_files.pack(repository.tree(), mirrors)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "data/../../../outside"])
def test_a_link_that_leads_out_is_refused(repository: Repository, mirrors: list[str], target: str) -> None:
    repository.link("talker/leak", target)
    repository.commit = repository.publish()
    with pytest.raises(Unusable, match="talker/leak is a link that leads out"):
        code_files.pack(repository.tree(), mirrors)


def test_a_submodule_is_refused_where_it_is_taken(repository: Repository, mirrors: list[str]) -> None:
    repository.submodule("talker/other")
    repository.commit = repository.publish()
    with pytest.raises(Unusable, match="talker/other is a submodule"):
        code_files.pack(repository.tree(), mirrors)
    assert "LICENSE" in members(repository.tree(paths=("LICENSE",)), mirrors)


def test_what_is_larger_than_code_is_refused(
    repository: Repository, mirrors: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_files, "LARGEST", 100)
    with pytest.raises(Unusable, match="are taken, more than") as caught:
        code_files.pack(repository.tree(), mirrors)
    assert caught.value.remedy == "name in tree.paths what the model needs"


@pytest.mark.parametrize(
    ("address", "mirror", "place"),
    [
        (ADDRESS, "file:///srv/{owner}+{name}/repo", "file:///srv/voices+talker/repo"),
        (f"{ADDRESS}.git", "ssh://git@git.corp/{name}.git", "ssh://git@git.corp/talker.git"),
        ("https://git.invalid/a/b/talker/", "https://m.corp/{owner}/{name}", "https://m.corp/a/b/talker"),
    ],
)
def test_a_mirror_has_a_repository_under_its_owner_and_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str, mirror: str, place: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked: list[str] = []
    monkeypatch.setattr(Commit, "_fetch", lambda self, place, *options: asked.append(place) or "fatal: no")
    with pytest.raises(Unusable) as caught:
        Commit(address, "0" * 40, [mirror])
    assert asked == [place, address] and "wavesmith_git_mirrors" in caught.value.remedy


def test_a_source_that_nobody_has_is_refused_before_anything_is_planned(repository: Repository) -> None:
    talker = Model(
        "talker", "talks", CATALOG.models["piper_demo"].task, tree=Tree("file:///nowhere/voices/talker", "0" * 40)
    )
    wanted = Wanted((Environment("speech", models=("talker", "talker2")),))
    _, (refused,) = code_files.read(wanted, {"talker": talker})
    assert str(refused).startswith("model talker: commit 000000000000 cannot be fetched") and "Remedy: " in str(refused)


def test_models_of_one_repository_share_a_tree(repository: Repository, mirrors: list[str]) -> None:
    task = CATALOG.models["piper_demo"].task
    both = {name: Model(name, "talks", task, tree=repository.tree()) for name in ("one", "two", "unasked")}
    wanted = Wanted((Environment("speech", models=("one", "two")),), git_mirrors=tuple(mirrors))
    found, refusals = code_files.read(wanted, both)
    assert not refusals and found["one"].tree == found["two"].tree != found["unasked"].tree


def served(folder: Path, *, partial: bool) -> list[str]:
    """A mirror that is asked by git's own protocol, as ssh and http do, and not read as a folder."""
    script = folder / "ssh"
    script.write_text('#!/bin/sh\nwhile [ $# -gt 1 ]; do shift; done\nexec sh -c "$1"\n')
    script.chmod(0o755)
    return [f"ssh://git@corp.invalid{folder}/mirror/{{owner}}/{{name}}.git"]


@pytest.mark.process
def test_a_mirror_behind_ssh_gives_the_commit(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors = served(tmp_path, partial=False)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(tmp_path / "ssh"))
    subprocess.run(["git", "-C", str(repository.folder), "config", "uploadpack.allowAnySHA1InWant", "true"], check=True)
    assert LEXICON in members(repository.tree(), mirrors)


@pytest.mark.process
def test_a_partial_mirror_behind_ssh_is_refused_with_the_file_that_it_lacks(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors = served(tmp_path, partial=True)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(tmp_path / "ssh"))
    for setting in ("allowAnySHA1InWant", "allowFilter"):
        subprocess.run(["git", "-C", str(repository.folder), "config", f"uploadpack.{setting}", "true"], check=True)
    repository.lose(LEXICON)
    with pytest.raises(Unusable, match=f"it lacks {LEXICON}"):
        code_files.pack(repository.tree(), mirrors)


# In a bundle


class Stick:
    """A bundle with the commit of a repository, in another cache than the one that it was made of."""

    def __init__(self, repository: Repository, mirrors: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.bundle, self.commit, self._monkeypatch = folder / "stick", repository.commit, monkeypatch
        self.file = self.bundle / "sources" / self.commit / PACK
        self.file.parent.mkdir(parents=True)
        task = CATALOG.models["piper_demo"].task
        self.models = {"talker": Model("talker", "talks", task, tree=repository.tree(may_lack={LEXICON: "words"}))}
        wanted = Wanted((Environment("speech", models=("talker",)),), git_mirrors=tuple(mirrors))
        (found,) = code_files.commits(wanted, self.models).values()
        shutil.copy(found, self.file)
        shutil.rmtree(repository.folder)
        self.away("away")

    def away(self, name: str) -> None:
        self._monkeypatch.setenv("XDG_CACHE_HOME", str(self.bundle.parent / name))

    def read(self, address: str = "") -> tuple[dict[str, Model], list[str]]:
        variables = {"wavesmith_bundle": address or self.bundle.as_uri(), "wavesmith_environments": {"e": {}}}
        wanted, refusals = read(variables)
        assert not refusals
        wanted = replace(wanted, environments=(Environment("speech", models=("talker",)),))
        found, missing = code_files.read(wanted, self.models)
        return found, [str(refusal) for refusal in missing]


@pytest.fixture
def stick(
    request: pytest.FixtureRequest,
    repository: Repository,
    mirrors: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Stick:
    if getattr(request, "param", ""):
        repository.lose(request.param)
    return Stick(repository, mirrors, tmp_path, monkeypatch)


def taken(models: dict[str, Model]) -> list[str]:
    tree = models["talker"].tree
    assert tree and tree.archive
    with tarfile.open(tree.archive.path) as archive:
        return archive.getnames()


def test_a_bundle_has_the_commits_that_are_planned_with(stick: Stick) -> None:
    found, problems = stick.read()
    assert not problems and LEXICON in taken(found)
    shutil.rmtree(stick.bundle)
    assert stick.read()[1] == [], "it is kept as one from a repository"


@pytest.mark.process
def test_a_bundle_that_is_served_has_them_too(stick: Stick) -> None:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(stick.bundle))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found, problems = stick.read(f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
    assert not problems and LEXICON in taken(found)


@pytest.mark.parametrize("stick", [LEXICON, "docs/picture.png"], indirect=True)
def test_what_a_mirror_lacked_its_bundle_lacks_and_a_whole_one_heals_it(
    stick: Stick, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    lost = request.node.callspec.params["stick"]
    for _ in range(2):
        found, problems = stick.read()
        assert not problems and (LEXICON in taken(found)) == (lost != LEXICON)
    assert found["talker"].tree and found["talker"].tree.absent == ((LEXICON,) if lost == LEXICON else ())
    assert not (tmp_path / "away/wavesmith/git" / stick.commit).exists(), "a part does not pass for the commit"


@pytest.mark.parametrize(
    "data",
    [b"", b"PACK is none", None],
    ids=["empty", "no pack", "of another commit"],
)
def test_a_pack_that_is_not_the_commits_is_refused(stick: Stick, data: bytes | None, tmp_path: Path) -> None:
    if data is None:
        other = Repository(tmp_path / "other")
        other.write("LICENSE", "another")
        commit = Commit(ADDRESS, other.publish(), [f"file://{other.folder.parents[1]}/{{owner}}/{{name}}.git"])
        stick.file.unlink()
        commit.pack(stick.file)
    else:
        stick.file.write_bytes(data)
    (problem,) = stick.read()[1]
    assert f"{stick.file.parent}: its {PACK} is damaged, or of another commit" in problem and "Remedy: " in problem
    stick.file.unlink()
    assert "No such file" in stick.read()[1][0]


def test_an_object_that_was_changed_in_a_pack_is_not_taken(stick: Stick) -> None:
    data = bytearray(stick.file.read_bytes())
    data[len(data) // 2] ^= 1
    stick.file.write_bytes(data)
    assert len(stick.read()[1]) == 1


def test_the_same_commit_makes_the_same_pack(repository: Repository, mirrors: list[str], tmp_path: Path) -> None:
    for name in ("one", "two"):
        Commit(ADDRESS, repository.commit, mirrors).pack(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("place", ["ftp://x/{name}", "ext::sh -c id", "--upload-pack=x", 3])
def test_what_is_no_address_of_a_mirror_is_refused(place: Any) -> None:
    wanted, refusals = read({"wavesmith_git_mirrors": [place]}, {})
    assert not wanted.git_mirrors
    assert [refusal.item for refusal in refusals] == ["variable wavesmith_git_mirrors"]


@pytest.mark.parametrize(
    "place", ["file:///srv/{owner}/{name}.git", "https://git.corp/{name}", "git@git.corp:mirrors/{name}"]
)
def test_addresses_of_mirrors(place: str) -> None:
    wanted, refusals = read({"wavesmith_git_mirrors": [place]}, {})
    assert wanted.git_mirrors == (place,) and not refusals


# In the plan


def planned(**changes: Any) -> Any:
    tree = replace(CATALOG.models["maskgct"].tree or Tree("", ""), **changes)
    catalog = replace(CATALOG, models={**CATALOG.models, "maskgct": replace(CATALOG.models["maskgct"], tree=tree)})
    return only(decide(host(), Environment("speech", stack="cpu", models=("maskgct",)), catalog=catalog))


def test_the_plan_brings_the_tree_of_a_model_and_the_manifest_keeps_where_it_lies() -> None:
    archive = Archive("code/Amphion-d3de90f02e7f", "Amphion.tar.gz", "/x", "ab")
    item = planned(archive=archive)
    assert item.code == [archive]
    assert (
        item.models[0]["code"]["folder"] == "code/Amphion-d3de90f02e7f"
        and item.models[0]["code"]["workdir"] == "source"
    )


POLY = "models/tts/maskgct/g2p/sources/g2p_chinese_model/poly_bert_model.onnx"


def test_what_the_mirror_lacks_is_a_warning_and_keeps_a_model_from_its_weights() -> None:
    lacking = replace(
        CATALOG.models["maskgct"], tree=replace(CATALOG.models["maskgct"].tree or Tree("", ""), absent=(POLY,))
    )
    catalog = replace(CATALOG, models={**CATALOG.models, "maskgct": lacking})
    found = decide(host(), Environment("speech", stack="cpu", models=("maskgct",)), catalog=catalog)
    (said,) = [warning for warning in found.warnings if "mirror" in warning]
    assert said.startswith(
        f"model maskgct: its repository's mirror lacks {POLY} (which reading a Chinese character has"
    )
    pinned = models.model_of(replace(lacking, weights=()))["refused"]
    assert pinned.startswith(f"its repository's mirror lacks {POLY}") and "git clone --mirror" in pinned


@pytest.mark.parametrize("change", [{"commit": "f" * 40}, {"absent": (POLY,)}])
def test_another_tree_is_another_generation(change: dict[str, Any]) -> None:
    assert models.digested(planned(**change).models) != models.digested(planned().models)


def test_the_same_code_from_another_mirror_is_the_same_generation() -> None:
    here, there = (planned(archive=Archive("code/x", "x", path, path)) for path in ("/a", "/b"))
    assert models.digested(here.models) == models.digested(there.models)


# On the host


@pytest.fixture
def brought(repository: Repository, mirrors: list[str]) -> Any:
    return asdict(packed(repository.tree(), mirrors))


def test_a_tree_lies_read_only_in_its_generation(tmp_path: Path, brought: Any) -> None:
    root, prefix = str(tmp_path / "root"), str(tmp_path / "prefix")
    code.keep(root, [brought])
    os.unlink(brought["path"])  # the connection's folder is gone
    code.place(root, prefix, [brought])
    (folder,) = map(Path, code.folders(prefix, [brought]))
    assert stat.S_IMODE((folder / "talker/voice.py").stat().st_mode) == 0o444
    assert (folder / "talker/words.txt").read_text() == "hello həˈloʊ\n"
    argv = ["python3", "-c", "import talker; print(talker.SAYS)"]
    assert subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=True).stdout.startswith("hello")


@pytest.mark.parametrize("change", ["other bytes", "nothing"])
def test_an_archive_that_is_not_the_packed_one_is_refused_and_fetched_again(
    tmp_path: Path, brought: Any, change: str
) -> None:
    root = str(tmp_path / "root")
    code.keep(root, [brought])
    kept = tmp_path / "root/cache/sources" / brought["sha256"] / brought["file"]
    kept.write_text(change) if change == "other bytes" else kept.unlink()
    with pytest.raises(Failed, match="is not the archive that was packed"):
        code.place(root, str(tmp_path / "prefix"), [brought])
    assert not (tmp_path / "prefix").exists()
    code.keep(root, [brought])
    code.place(root, str(tmp_path / "prefix"), [brought])


# All the way


TALKER = """\
name: talker
description: Talks
task: tts
code:
  git: {address}
  commit: {commit}
  tree: {{paths: [LICENSE, "talker/*"]}}
  modules: [talker]
  workdir: source
licence: MIT
languages: [en]
sample_rate: 16000
memory_gib: {{host: 0.1, gpu: null}}
weights: []
sources: ["tests/unit/test_code_files.py"]
"""


@pytest.fixture
def site(repository: Repository, mirrors: list[str], tmp_path: Path) -> Site:
    """A host that wants an environment of one model whose code is in a repository behind a mirror."""
    made = Site(tmp_path, "here")
    (tmp_path / "catalog" / "models").mkdir(parents=True)
    (tmp_path / "catalog" / "models" / "talker.yml").write_text(
        TALKER.format(address=ADDRESS, commit=repository.commit)
    )
    made.variables.update(
        wavesmith_catalog=str(tmp_path / "catalog"),
        wavesmith_git_mirrors=mirrors,
        wavesmith_environments={"voice": {"stack": "none", "models": ["talker"]}},
    )
    return made


@pytest.mark.process
def test_a_host_whose_model_lacks_a_file_is_refused_before_anything_is_changed(
    site: Site, repository: Repository
) -> None:
    repository.lose(LEXICON)
    status, said = site.run()
    assert (
        status == 2
        and f"model talker: the mirror of {ADDRESS} lacks {LEXICON}" in said
        and "git clone --mirror" in said
    )
    assert not site.root("here").exists()


@pytest.mark.process
@pytest.mark.slow
def test_a_model_of_a_repository_is_installed_imported_and_watched(site: Site, repository: Repository) -> None:
    status, said = site.run(playbook="site.yml")
    assert status == 0, said[-3000:]
    current = site.root("here") / "envs" / "voice" / "current"
    tree = current / f"code/talker-{repository.commit[:12]}"
    assert (tree / "talker/data/lexicon.txt").read_text() == "hello həˈloʊ\n" and not (tree / "docs").exists()
    checks = {
        check["id"]: check for check in json.loads((current / "wavesmith" / "verdict.json").read_text())["checks"]
    }
    assert checks["models.import.talker"]["verdict"] == "pass", checks["models.import.talker"]
    status, said = site.run()
    assert status == 0 and site.plan("here")["phases"] == [], said[-3000:]
    (tree / "talker/voice.py").chmod(0o644)
    (tree / "talker/voice.py").write_text("SAYS = 'something else'\n")
    site.run()
    (item,) = site.plan("here")["environments"]
    assert item["state"] == "drifted" and any("talker/voice.py" in entry for entry in item["damage"])
