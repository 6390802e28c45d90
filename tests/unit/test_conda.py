"""The engine conda, on a real channel made here: what is asked of it, what it links, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor import isolation
from ansible_collections.wavesmith.provision.plugins.module_utils.doctor.base import Check, Context, Spec, perform
from ansible_collections.wavesmith.provision.plugins.module_utils.host import store
from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Failed
from ansible_collections.wavesmith.provision.plugins.module_utils.prefix import conda as prefix_conda
from ansible_collections.wavesmith.provision.plugins.module_utils.prefix import generation as prefix_generation

from tests.unit import conda_channel
from tests.unit.test_prefix import UV, ask
from tests.unit.test_prefix import Host as PipHost

pytestmark = pytest.mark.process

pytest.importorskip("rattler", reason="py-rattler is not in this environment: make venv-dev")
SPECS = ["greeting"]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A channel with Python and small packages, and Python's version."""
    channel = tmp_path_factory.mktemp("pristine") / "voices"
    work = tmp_path_factory.mktemp("work")
    try:
        version = conda_channel.make(channel, work)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no Python package can be made here: {error}")
    return channel, version


class Host(PipHost):
    """A host with a whole toolbox, a package index and a channel of its own, all in a folder with a short path."""

    def __init__(self, folder: Path, pristine: tuple[Path, str]) -> None:
        super().__init__(folder)
        shutil.rmtree(self.root / "toolbox")
        (self.root / "toolbox").mkdir()
        (self.root / "toolbox" / "current").symlink_to(sys.prefix)  # the environment of the tests has the same tools
        self.channel = folder / "voices"
        shutil.copytree(pristine[0], self.channel)
        self.minor = ".".join(pristine[1].split(".")[:2])
        self.variables: dict[str, str] = {}
        self.conda_lock = ""
        self.offline = False

    def question(self, *specs: str, banned: tuple[str, ...] = ()) -> dict[str, Any]:
        return {
            "key": "speech-conda",
            "specs": [f"python {self.minor}.*", *specs],
            "channels": [{"name": "voices", "url": self.channel.as_uri()}],
            "subdir": conda_channel.SUBDIR,
            "banned": list(banned),
            "offline": self.offline,
        }

    def solve(self, *specs: str, **options: Any) -> str:
        self.conda_lock = prefix_conda.solve(self.job, str(self.root), self.question(*(specs or SPECS), **options))
        return self.conda_lock

    def spec(self, generation: str = "one") -> dict[str, Any]:
        return {
            **super().spec(generation),
            "engine": "conda",
            "variables": self.variables,
            "python": {"path": "", "version": self.minor},
            "conda": {**self.question(*SPECS), "lock": self.conda_lock},
        }

    def make(self, generation: str = "one") -> Path:
        if not self.conda_lock:
            self.solve()
        return super().make(generation)

    def site(self, generation: str = "one") -> Path:
        return Path(prefix_generation.site_packages(str(self.prefix(generation)), self.minor))

    def relock(self, **changes: Any) -> None:
        """Change the record of greeting in the lock."""
        records = [json.loads(line) for line in self.conda_lock.splitlines()]
        self.conda_lock = "".join(
            json.dumps({**record, **(changes if record["name"] == "greeting" else {})}) + "\n" for record in records
        )


@pytest.fixture
def host(pristine: tuple[Path, str]) -> Iterator[Host]:
    with tempfile.TemporaryDirectory(prefix="ws") as folder:
        yield Host(Path(folder), pristine)


@pytest.fixture(scope="module")
def whole(pristine: tuple[Path, str]) -> Iterator[Host]:
    """A host with one installed generation that tests only look at."""
    with tempfile.TemporaryDirectory(prefix="ws") as folder:
        host = Host(Path(folder), pristine)
        host.serve("tinyvoice", {"tinyvoice.py": "SOUND = 440\n"})
        host.variables = {
            "CUDA_HOME": "/usr/local/cuda-13.0",
            "PHONEMIZER_ESPEAK_LIBRARY": "{prefix}/lib/libespeak-ng.so.1",
        }
        host.install()
        yield host


# Making


def test_an_environment_has_python_of_the_channel_and_packages_of_the_index(whole: Host) -> None:
    prefix = whole.prefix()
    expected = [str(prefix), str(prefix / "bin" / "python"), 440]
    assert ask(prefix, "[sys.prefix, sys.executable, __import__('tinyvoice').SOUND]") == expected
    assert (prefix / "share" / "greeting").read_text() == "hello from 1.0\n"


def test_it_is_sealed_with_what_came_from_the_channel(whole: Host) -> None:
    manifest = store.read_json(str(whole.prefix() / store.MANIFEST))
    assert manifest["channel_packages"].keys() == {"python", "greeting"}
    assert manifest["packages"] == {"tinyvoice": "1.0"}
    assert store.damage(str(whole.prefix())) == []


def test_conda_finds_its_records_there(whole: Host) -> None:
    meta = json.loads((whole.prefix() / "conda-meta" / "greeting-1.0-0.json").read_text())
    assert (meta["name"], meta["version"], meta["requested_specs"]) == ("greeting", "1.0", ["greeting"])
    assert meta["url"] == f"{whole.channel.as_uri()}/noarch/greeting-1.0-0.tar.bz2"
    assert "+voices/noarch::greeting-1.0-0" in (whole.prefix() / "conda-meta" / "history").read_text().splitlines()


def test_rattler_reads_it_as_a_prefix(whole: Host) -> None:
    from rattler import PrefixRecord

    record = PrefixRecord.from_path(whole.prefix() / "conda-meta" / "greeting-1.0-0.json")
    assert (record.name.normalized, str(record.version)) == ("greeting", "1.0")


def test_a_path_in_a_text_file_becomes_the_prefix(whole: Host) -> None:
    (data,) = (whole.prefix() / "lib" / f"python{whole.minor}").glob("_sysconfigdata*linux*.py")
    assert conda_channel.PLACEHOLDER not in data.read_text() and str(whole.prefix()) in data.read_text()


def test_a_path_in_a_program_becomes_the_prefix(host: Host) -> None:
    source = host.root / "where.c"
    source.write_text(f'#include <stdio.h>\nint main(void) {{ puts("{conda_channel.PLACEHOLDER}"); return 0; }}\n')
    subprocess.run(["gcc", "-o", host.root / "where", source], check=True)
    files: dict[str, bytes | Path] = {"bin/where": host.root / "where"}
    conda_channel.package(
        host.channel, "where", files, subdir=conda_channel.SUBDIR, placeholder={"bin/where": "binary"}
    )
    conda_channel.index(host.channel)
    host.solve("where")
    made = host.make()
    assert subprocess.run([made / "bin" / "where"], capture_output=True, text=True, check=True).stdout.strip() == str(
        made
    )


def test_files_are_hard_links_into_the_cache(host: Host) -> None:
    host.install("one")
    host.install("two")
    for path in ("share/greeting", f"lib/python{host.minor}/os.py", f"libexec/python{host.minor}"):
        assert os.path.samefile(host.prefix("one") / path, host.prefix("two") / path)


def test_a_changed_lock_makes_a_new_generation_beside_the_old_one(host: Host) -> None:
    host.install("one")
    conda_channel.package(host.channel, "greeting", {"share/greeting": b"hello from 2.0\n"}, "2.0")
    conda_channel.index(host.channel)
    host.solve()
    host.install("two")
    texts = [(host.prefix(name) / "share" / "greeting").read_text() for name in ("one", "two")]
    assert texts == ["hello from 1.0\n", "hello from 2.0\n"]


def test_a_file_changed_in_the_cache_through_its_hard_link_is_unpacked_anew(host: Host) -> None:
    host.install("one")
    with (host.prefix("one") / "share" / "greeting").open("r+") as file:
        file.write("HELLO")
    assert any("share/greeting" in line for line in store.damage(str(host.prefix("one"))))
    host.install("two")
    assert (host.prefix("two") / "share" / "greeting").read_text() == "hello from 1.0\n"


def test_an_unfinished_generation_is_made_anew(host: Host) -> None:
    (host.prefix() / "conda-meta").mkdir(parents=True)
    (host.prefix() / "half").touch()
    host.make()
    assert not (host.prefix() / "half").exists()


def test_a_prefix_longer_than_a_placeholder_is_refused(host: Host) -> None:
    host.solve()
    with pytest.raises(Failed, match=r"is too long for conda packages. Remedy: set wavesmith_root to a shorter path"):
        prefix_conda.link(host.job, str(host.root), host.spec(), "/" + "x" * 260)


# Resolving


def test_a_lock_names_channel_file_and_sha256_and_no_address(host: Host) -> None:
    records = [json.loads(line) for line in host.solve().splitlines()]
    archive = host.channel / "noarch" / "greeting-1.0-0.tar.bz2"
    assert [record["channel"] for record in records] == ["voices", "voices"]
    assert (records[0]["fn"], records[0]["sha256"]) == (archive.name, hashlib.sha256(archive.read_bytes()).hexdigest())
    assert "://" not in host.conda_lock and str(host.root) not in host.conda_lock


def test_the_same_channel_gives_the_same_bytes(host: Host) -> None:
    assert host.solve() == host.solve()


def test_a_package_the_channel_lacks_is_one_message(host: Host) -> None:
    with pytest.raises(Failed) as error:
        host.solve("gretting")
    assert str(error.value) == (
        f"lock speech-conda: no packages of voices satisfy python {host.minor}.*, gretting: No candidates were found for gretting *. "
        "Remedy: correct the version (wavesmith_python), or name a channel that has it in wavesmith_conda_channels"
    )


def test_a_channel_that_is_not_there_is_one_message(host: Host) -> None:
    shutil.rmtree(host.channel)
    with pytest.raises(
        Failed, match=r"the channel voices does not answer \(.*No such file.*\). Remedy: check its address"
    ):
        host.solve()


def test_a_channel_that_refuses_the_connection_is_one_message(host: Host) -> None:
    question = {**host.question(), "channels": [{"name": "voices", "url": "http://127.0.0.1:9/voices"}]}
    with pytest.raises(Failed, match=r"the channel voices does not answer \(.*refused.*\). Remedy: check its address"):
        prefix_conda.solve(host.job, str(host.root), question)


def test_what_the_system_gives_is_not_taken_from_the_channel_too(host: Host) -> None:
    conda_channel.package(host.channel, "player", {"share/player": b""}, depends=("ffmpeg",))
    conda_channel.index(host.channel)
    with pytest.raises(
        Failed, match="voices would bring ffmpeg into an environment that has it from the system. Remedy: set"
    ):
        host.solve("player", banned=("espeak-ng", "ffmpeg"))


# Refusing


def test_a_file_with_a_wrong_sha256_is_refused_and_nothing_is_left(host: Host) -> None:
    host.solve()
    host.relock(sha256="0" * 64)
    with pytest.raises(
        Failed, match=r"the file greeting-1.0-0.tar.bz2 of the channel voices is not the one its lock names"
    ):
        host.install()
    assert not host.prefix().exists()
    assert not (host.root / "cache" / "conda" / "archives" / ("0" * 64) / "greeting-1.0-0.tar.bz2").exists()


def test_a_file_that_was_changed_on_the_channel_is_refused(host: Host) -> None:
    host.solve()
    conda_channel.package(host.channel, "greeting", {"share/greeting": b"hostile\n"}, "1.0")
    with pytest.raises(Failed, match=r"is not the one its lock names \(wrong sha256\). Remedy"):
        host.install()


@pytest.mark.parametrize("line", ["greeting", '{"name": "greeting"}'])
def test_a_damaged_lock_is_refused_with_its_line(host: Host, line: str) -> None:
    host.solve()
    host.conda_lock += line + "\n"
    with pytest.raises(
        Failed, match="environment speech: its lock speech-conda is damaged: line 3 is no package. Remedy"
    ):
        host.make()


def test_a_lock_without_a_sha256_is_refused(host: Host) -> None:
    host.solve()
    host.relock(sha256="")
    with pytest.raises(Failed, match="line 1, greeting: it has no sha256. Remedy: remove the lock"):
        host.make()


def test_a_lock_of_another_channel_is_refused(host: Host) -> None:
    host.solve()
    host.relock(channel="elsewhere")
    with pytest.raises(
        Failed, match=r"is locked from the channel elsewhere, which is not among those configured \(voices\). Remedy"
    ):
        host.make()


# Without a network


def test_what_the_cache_has_is_installed_though_the_channel_is_gone(host: Host) -> None:
    host.install("one")
    shutil.rmtree(host.channel)
    host.offline = True
    host.install("two")
    assert store.damage(str(host.prefix("two"))) == []


def test_what_the_cache_lacks_is_one_message_when_offline(host: Host) -> None:
    host.solve()
    spec = {**host.spec(), "conda": {**host.spec()["conda"], "offline": True}}
    spec["conda"]["channels"] = [{"name": "voices", "url": "http://127.0.0.1:9/voices"}]
    with pytest.raises(Failed, match=r"is not in the cache of this host, and wavesmith_conda_offline is true. Remedy"):
        prefix_generation.make_prefix(host.job, str(host.root), spec)


def test_a_channel_in_a_folder_serves_without_a_network(host: Host) -> None:
    host.offline = True
    host.install()
    assert (host.prefix() / "share" / "greeting").exists()


# Conda's list of environments


def test_current_environments_are_registered_once_and_others_are_left(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".conda").mkdir()
    listed = tmp_path / ".conda" / "environments.txt"
    listed.write_text("/theirs/env\n")
    host.make()
    store.point(str(host.prefix().parent), "one")
    for _time in range(2):
        prefix_conda.register(str(host.root))
    current = host.prefix().parent / "current"
    assert listed.read_text().splitlines() == ["/theirs/env", str(current)]
    shutil.rmtree(host.prefix().parent)
    prefix_conda.register(str(host.root))
    assert listed.read_text() == "/theirs/env\n"


# Ways in


def shell(lines: str, **environment: str) -> list[str]:
    """What a bare POSIX shell prints."""
    env = {"PATH": os.environ["PATH"], **environment}
    done = subprocess.run(["sh", "-euc", lines], capture_output=True, text=True, check=True, env=env)
    return done.stdout.splitlines()


SHOW = 'echo "$(command -v python) ${CONDA_PREFIX-none} ${PYTHONPATH-none} ${CUDA_HOME-none} ${VIRTUAL_ENV-none}"'


def test_activation_without_any_conda_sets_and_gives_back(whole: Host) -> None:
    prefix = whole.prefix()
    outside = {"PYTHONPATH": "/mine", "CUDA_HOME": "/other", "CONDA_PREFIX": "/theirs", "VIRTUAL_ENV": "/third"}
    said = shell(f"{SHOW}; . {prefix}/bin/activate; {SHOW}; deactivate; {SHOW}", **outside)
    assert said[1] == f"{prefix}/bin/python {prefix} none /usr/local/cuda-13.0 none"
    assert said[0] == said[2] and said[0].endswith("/theirs /mine /other /third")


def test_activation_by_conda_sets_and_gives_back(whole: Host) -> None:
    """What conda and micromamba do: source every script of activate.d, and at the end those of deactivate.d."""
    prefix = whole.prefix()
    show = 'echo "${PYTHONPATH-none} ${CUDA_HOME-none} ${PYTHONNOUSERSITE-none}"'
    lines = f"{show}; . {prefix}/etc/conda/activate.d/*.sh; {show}; . {prefix}/etc/conda/deactivate.d/*.sh; {show}"
    assert shell(lines, PYTHONPATH="/mine") == ["/mine none none", "none /usr/local/cuda-13.0 1", "/mine none none"]


@pytest.fixture
def conda(whole: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Conda itself, asked as a user who has this environment registered."""
    if shutil.which("conda") is None:
        pytest.skip("conda is not installed here")
    monkeypatch.setenv("HOME", str(tmp_path))
    store.point(str(whole.prefix().parent), "one")
    prefix_conda.register(str(whole.root))
    return lambda *words: json.loads(subprocess.check_output(["conda", *words, "--json"]))


@pytest.mark.skipif(os.geteuid() == 0, reason="root's conda reads the lists of all users, not that of this test")
def test_conda_itself_lists_the_environment(conda: Callable[..., Any], whole: Host) -> None:
    assert str(whole.prefix().parent / "current") in conda("env", "list")["envs"]


def test_conda_itself_lists_the_packages(conda: Callable[..., Any], whole: Host) -> None:
    listed = conda("list", "--prefix", str(whole.prefix().parent / "current"))
    assert {"python", "greeting"} <= {package["name"] for package in listed}


@pytest.mark.usefixtures("conda")
def test_conda_itself_activates_and_gives_back(whole: Host, tmp_path: Path) -> None:
    current = whole.prefix().parent / "current"
    lines = f'eval "$(conda shell.posix hook)"; {SHOW}; conda activate {current}; {SHOW}; conda deactivate; {SHOW}'
    said = shell(lines, HOME=str(tmp_path), PYTHONPATH="/mine", CUDA_HOME="/other")
    assert said[1] == f"{current}/bin/python {current} none /usr/local/cuda-13.0 none"
    assert said[0] == said[2] and said[0].endswith(" /mine /other none")


def test_rattlers_own_activation_finds_our_scripts(whole: Host) -> None:
    from rattler import Subdir
    from rattler.shell import ActivationVariables, PathModificationBehavior, Shell, activate

    variables = ActivationVariables(
        current_path=["/usr/bin"], path_modification_behavior=PathModificationBehavior.Prepend
    )
    script = activate(whole.prefix(), variables, Shell.bash, Subdir(conda_channel.SUBDIR)).script
    assert str(whole.prefix() / "etc/conda/activate.d/wavesmith.sh") in script


def test_the_launcher_starts_a_command_as_an_activated_shell_would(whole: Host) -> None:
    store.point(str(whole.prefix().parent), "one")
    code = "import json, os, sys; print(json.dumps([sys.prefix, os.environ['CUDA_HOME'], os.environ['CONDA_DEFAULT_ENV'], 'PYTHONPATH' in os.environ]))"
    run = [whole.root / "bin" / "wavesmith-run", "speech", "python", "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, check=True, env={"PYTHONPATH": "/hostile"})
    assert json.loads(done.stdout) == [str(whole.prefix()), "/usr/local/cuda-13.0", str(whole.prefix()), False]


def test_the_launcher_names_the_environments_there_are(whole: Host) -> None:
    done = subprocess.run(
        [whole.root / "bin" / "wavesmith-run", "talk", "python"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.splitlines()) == (
        127,
        [f"wavesmith-run: there is no environment talk in {whole.root}/envs. Remedy: use one of: speech"],
    )


def test_the_interpreter_started_by_its_path_finds_the_same_variables(whole: Host) -> None:
    values = "[os.environ['CUDA_HOME'], os.environ['PHONEMIZER_ESPEAK_LIBRARY']]"
    assert ask(whole.prefix(), values) == ["/usr/local/cuda-13.0", f"{whole.prefix()}/lib/libespeak-ng.so.1"]
    assert ask(whole.prefix(), values, CUDA_HOME="/for/this/once")[0] == "/for/this/once"


# Isolation, as in a virtual environment


@pytest.mark.slow
@pytest.mark.parametrize("check", isolation.CHECKS, ids=lambda check: check.id)
def test_the_doctors_attacks_are_repelled(whole: Host, tmp_path: Path, check: Check) -> None:
    if not (whole.prefix() / "bin" / "pip").exists():
        (pip,) = Path(os.__file__).parent.glob("ensurepip/_bundled/pip-*.whl")
        argv = [
            UV,
            "pip",
            "install",
            "--quiet",
            "--compile-bytecode",
            "--no-index",
            "--python",
            whole.prefix() / "bin/python",
        ]
        subprocess.run([*argv, pip], check=True)
    context = Context(Spec("speech", "one", whole.prefix(), whole.root), tmp_path, tmp_path)
    result = perform(check, context)
    if result["verdict"] == "skip":
        pytest.skip(result["detail"])
    assert result["verdict"] == "pass", result


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONUSERBASE", "PYTHONSTARTUP", "PYTHONHOME"])
def test_a_hostile_variable_brings_nothing_onto_the_search_path(whole: Host, tmp_path: Path, name: str) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit(9)")
    assert str(tmp_path) not in str(ask(whole.prefix(), "sys.path", **{name: str(tmp_path)}))


@pytest.mark.parametrize("name", ["python3", "python{minor}"])
def test_every_name_of_the_interpreter_is_the_isolated_one(whole: Host, name: str) -> None:
    assert os.readlink(whole.prefix() / "bin" / name.format(minor=whole.minor)) == "python"


def test_packages_of_the_user_are_not_seen(whole: Host, tmp_path: Path) -> None:
    site = tmp_path / ".local" / "lib" / f"python{whole.minor}" / "site-packages"
    site.mkdir(parents=True)
    (site / "hostile.pth").write_text("import sys; sys.exit(9)\n")
    assert ask(whole.prefix(), "__import__('site').ENABLE_USER_SITE", HOME=str(tmp_path)) is False


def test_what_python_started_in_a_subprocess_is_isolated_too(whole: Host) -> None:
    code = "__import__('subprocess').run([sys.executable, '-c', 'import sys; print(sys.prefix)'], capture_output=True, text=True).stdout.strip()"
    assert ask(whole.prefix(), code, PYTHONPATH="/hostile") == str(whole.prefix())
