"""Wheels that travel: signed by their builder, verified wherever they arrive, served as an index, pruned."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.host import store as host_store
from ansible_collections.wavesmith.provision.plugins.module_utils.host.store import sha256
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.digest import digest
from ansible_collections.wavesmith.provision.plugins.module_utils.wheels import manifest
from ansible_collections.wavesmith.provision.plugins.module_utils.wheels import wheelhouse as wheels_wheelhouse
from ansible_collections.wavesmith.provision.plugins.module_utils.wheels.manifest import Untrusted
from ansible_collections.wavesmith.provision.plugins.plugin_utils import wheelhouse
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
KEY, OTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2
VARIANT = "python311-cpu-avx2"
WHEEL = "tiny-1.0-py3-none-any.whl"


def make_wheel(root: Path, key: str = KEY, variant: str = VARIANT) -> Path:
    """A wheel as a build leaves it below a host's folder."""
    folder = root / "wheels" / key
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        archive.writestr("tiny.py", "answer = 42\n")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(
            "tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: us\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(
            "tiny-1.0.dist-info/RECORD",
            "tiny.py,,\ntiny-1.0.dist-info/METADATA,,\ntiny-1.0.dist-info/WHEEL,,\ntiny-1.0.dist-info/RECORD,,\n",
        )
    provenance = {
        "schema": 1,
        "wheel": WHEEL,
        "sha256": sha256(str(folder / WHEEL)),
        "variant": variant,
        "recipe": {"name": "tiny", "version": "1.0"},
    }
    (folder / "provenance.json").write_text(json.dumps(provenance))
    return folder


class Builder:
    """A host with one signed wheel, and what a receiver knows of it."""

    def __init__(self, root: Path, name: str = "thor01") -> None:
        self.root, self.name = root, name
        self.folder = make_wheel(root)
        wheels_wheelhouse.sign(str(root), KEY, name)
        self.public = wheels_wheelhouse.signing_key(str(root))[1]
        self.signers = manifest.add_signer("", name, self.public)

    def give(self, to: Path, signers: str | None = None) -> bool:
        """Bring the wheel to another folder, as a host that takes it in does."""
        take = wheels_wheelhouse.taker(f"{self.folder}/")
        return wheels_wheelhouse.publish(take, str(to), KEY, self.signers if signers is None else signers)


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not here")
    return Builder(tmp_path / "thor01")


def refused(builder: Builder, to: Path, signers: str | None = None) -> str:
    """The reason why a wheel is not taken; nothing of it may be there."""
    with pytest.raises(Untrusted) as caught:
        builder.give(to, signers)
    assert not list(to.iterdir())
    assert "Remedy: " in str(caught.value)
    return str(caught.value)


# Signing and taking in


def test_a_signed_wheel_is_published_whole(builder: Builder, tmp_path: Path) -> None:
    assert builder.give(tmp_path / "there") is True
    names = {WHEEL, "provenance.json", "manifest.json", "manifest.json.sig"}
    assert {path.name for path in (tmp_path / "there" / KEY).iterdir()} == names
    assert (tmp_path / "there" / KEY / WHEEL).read_bytes() == (builder.folder / WHEEL).read_bytes()


def test_a_published_wheel_can_be_read_by_who_serves_it_whatever_the_umask(builder: Builder, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        builder.give(tmp_path / "there")
    finally:
        os.umask(before)
    folder = tmp_path / "there" / KEY
    assert [stat.S_IMODE(os.stat(path).st_mode) for path in (folder, folder / WHEEL)] == [0o755, 0o644]


def test_a_wheel_that_is_there_is_not_taken_again(builder: Builder, tmp_path: Path) -> None:
    builder.give(tmp_path / "there")
    assert builder.give(tmp_path / "there") is False


def test_the_signing_key_is_the_owners_alone_and_stays(builder: Builder) -> None:
    private, public = wheels_wheelhouse.signing_key(str(builder.root))
    assert stat.S_IMODE(os.stat(private).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(private)).st_mode) == 0o700
    assert public == builder.public


def test_a_key_whose_making_was_killed_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "signing"
    folder.mkdir(parents=True)
    (folder / "key").write_text("half")
    (folder / "key.new").write_text("half")
    assert wheels_wheelhouse.signing_key(str(tmp_path))[1].startswith("ssh-ed25519 ")


def test_a_built_wheel_that_was_changed_is_not_signed(tmp_path: Path) -> None:
    folder = make_wheel(tmp_path)
    (folder / WHEEL).write_bytes(b"something else")
    with pytest.raises(host_store.StoreError, match="wrong sha256.*Remedy: start again"):
        wheels_wheelhouse.sign(str(tmp_path), KEY, "thor01")
    assert not folder.exists()


def test_a_host_whose_name_could_stand_for_others_signs_nothing(tmp_path: Path) -> None:
    make_wheel(tmp_path)
    with pytest.raises(host_store.StoreError, match="cannot be a signer's"):
        wheels_wheelhouse.sign(str(tmp_path), KEY, "*")


# What is refused


def test_a_tampered_wheel_is_refused(builder: Builder, tmp_path: Path) -> None:
    (builder.folder / WHEEL).write_bytes(b"evil")
    assert f"{WHEEL} of tiny 1.0 is not the file that thor01 signed" in refused(builder, tmp_path / "there")


def test_a_wheel_that_was_cut_short_is_refused(builder: Builder, tmp_path: Path) -> None:
    data = (builder.folder / WHEEL).read_bytes()
    (builder.folder / WHEEL).write_bytes(data[: len(data) // 2])
    assert f"{len(data) // 2} bytes" in refused(builder, tmp_path / "there")


def test_a_tampered_provenance_is_refused(builder: Builder, tmp_path: Path) -> None:
    (builder.folder / "provenance.json").write_text("{}")
    assert "provenance.json of tiny 1.0" in refused(builder, tmp_path / "there")


def test_a_tampered_manifest_is_refused(builder: Builder, tmp_path: Path) -> None:
    path = builder.folder / "manifest.json"
    path.write_text(path.read_text().replace("1.0", "1.1"))
    assert "the signature of tiny-1.1-py3-none-any.whl is not thor01's" in refused(builder, tmp_path / "there")


def test_a_tampered_signature_is_refused(builder: Builder, tmp_path: Path) -> None:
    path = builder.folder / "manifest.json.sig"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1][::-1], *lines[2:]]) + "\n")
    assert "is not thor01's" in refused(builder, tmp_path / "there")


def test_a_signature_for_another_purpose_is_refused(builder: Builder, tmp_path: Path) -> None:
    private, _ = wheels_wheelhouse.signing_key(str(builder.root))
    (builder.folder / "manifest.json.sig").unlink()
    argv = ["ssh-keygen", "-q", "-Y", "sign", "-f", private, "-n", "git", str(builder.folder / "manifest.json")]
    subprocess.run(argv, check=True, capture_output=True)
    assert "is not thor01's" in refused(builder, tmp_path / "there")


def test_an_unknown_signer_is_refused(builder: Builder, tmp_path: Path) -> None:
    assert "signed by thor01, which allowed_signers does not name" in refused(builder, tmp_path / "there", "")


def test_a_stranger_with_a_known_builders_name_is_refused(builder: Builder, tmp_path: Path) -> None:
    stranger = Builder(tmp_path / "stranger")
    assert "is not thor01's" in refused(stranger, tmp_path / "there", builder.signers)


def test_an_old_manifest_put_back_is_refused(builder: Builder, tmp_path: Path) -> None:
    """A wheelhouse that gives what was signed for the same key once, and is not what the controller keeps today."""
    kept = digest(json.loads((builder.folder / "manifest.json").read_text()))
    take, there = wheels_wheelhouse.taker(f"{builder.folder}/"), tmp_path / "there"
    there.mkdir()
    with pytest.raises(Untrusted, match="is not the one that the controller keeps for this key.* Remedy: "):
        wheels_wheelhouse.publish(take, str(there), KEY, builder.signers, expected="0" * 64)
    assert not list(there.iterdir())
    assert wheels_wheelhouse.publish(take, str(there), KEY, builder.signers, expected=kept)


def test_a_key_that_is_there_is_never_replaced_by_another_wheel(builder: Builder, tmp_path: Path) -> None:
    builder.give(tmp_path / "there")
    before = (tmp_path / "there" / KEY / WHEEL).read_bytes()
    other = Builder(tmp_path / "other", "spark01")
    assert other.give(tmp_path / "there", builder.signers + other.signers) is False
    assert (tmp_path / "there" / KEY / WHEEL).read_bytes() == before


def test_a_wheel_under_another_key_is_refused(builder: Builder, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(Untrusted, match="the manifest of wheel fedc.* is not valid"):
        wheels_wheelhouse.publish(
            wheels_wheelhouse.taker(f"{builder.folder}/"), str(tmp_path / "there"), OTHER, builder.signers
        )
    assert not list((tmp_path / "there").iterdir())


def test_a_missing_file_is_said_with_the_remedy(builder: Builder, tmp_path: Path) -> None:
    (builder.folder / WHEEL).unlink()
    (tmp_path / "there").mkdir()
    with pytest.raises(host_store.StoreError, match=r"tiny-1.0-py3-none-any.whl is not there. Remedy"):
        builder.give(tmp_path / "there")
    assert not list((tmp_path / "there").iterdir())


def test_what_is_refused_does_not_keep_the_others_back(builder: Builder, tmp_path: Path) -> None:
    class Quiet:
        def progress(self, *words: Any, **more: Any) -> None: ...

    sources = {KEY: f"{builder.folder}/", OTHER: f"{tmp_path}/nowhere/"}
    result = wheels_wheelhouse.bring(Quiet(), str(tmp_path / "there"), sources, builder.signers, index=True)  # type: ignore[arg-type]
    assert result["published"] == [KEY] and "is not there" in result["refused"][OTHER]
    assert list(json.loads((tmp_path / "there" / "keys.json").read_text())) == [KEY]


MANIFESTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=8),
)


@given(st.text() | MANIFESTS.map(json.dumps))
def test_no_text_is_taken_for_a_manifest_by_accident(text: str) -> None:
    with pytest.raises(Untrusted):
        manifest.read_manifest(text, KEY)


GOOD: dict[str, Any] = {
    "schema": 1,
    "key": KEY,
    "variant": VARIANT,
    "name": "tiny",
    "version": "1.0",
    "wheel": WHEEL,
    "files": {WHEEL: "0" * 64, "provenance.json": "1" * 64},
    "builder": "thor01",
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("wheel", "../../etc/passwd.whl"),
        ("name", "tiny/../.."),
        ("variant", ".."),
        ("builder", "thor*"),
        ("builder", "thor01,thor02"),
        ("files", {WHEEL: "0" * 64, "provenance.json": "1" * 64, "../up": "2" * 64}),
        ("files", {WHEEL: "0" * 64, "provenance.json": "1" * 64, ".hidden": "2" * 64}),
        ("files", {WHEEL: "0" * 64, "provenance.json": "1" * 64, "manifest.json": "2" * 64}),
        ("files", {WHEEL: "0" * 64}),
        ("files", {WHEEL: "md5", "provenance.json": "1" * 64}),
        ("key", OTHER),
        ("schema", 2),
    ],
)
def test_a_manifest_that_names_something_else_is_none(field: str, value: Any) -> None:
    assert manifest.read_manifest(json.dumps(GOOD), KEY) == GOOD
    with pytest.raises(Untrusted):
        manifest.read_manifest(json.dumps({**GOOD, field: value}), KEY)


# Who may sign


def test_a_new_signer_is_added_for_wheels_only_and_what_was_there_stays() -> None:
    text = manifest.add_signer("# ours\nold ssh-ed25519 AAAAold", "thor01", "ssh-ed25519 AAAAnew comment")
    assert text == '# ours\nold ssh-ed25519 AAAAold\nthor01 namespaces="wavesmith-wheel" ssh-ed25519 AAAAnew\n'
    assert manifest.add_signer(text, "thor01", "ssh-ed25519 AAAAnew") == text


def test_a_changed_key_is_refused_with_the_remedy() -> None:
    text = manifest.add_signer("", "thor01", "ssh-ed25519 AAAAold")
    with pytest.raises(Untrusted, match="the signing key of thor01 has changed.*Remedy: if that host was set up again"):
        manifest.add_signer(text, "thor01", "ssh-ed25519 AAAAnew")


@pytest.mark.parametrize("public", ["", "ssh-ed25519", "ssh-rsa AAAA", "AAAA\nevil ssh-ed25519 AAAA"])
def test_what_is_no_key_is_not_added(public: str) -> None:
    with pytest.raises(Untrusted, match="no usable public key"):
        manifest.add_signer("", "thor01", public)


# At the same time, killed, full


def slowly(builder: Builder, seconds: float) -> Callable[[str, str], None]:
    take = wheels_wheelhouse.taker(f"{builder.folder}/")

    def wait(name: str, path: str) -> None:
        take(name, path)
        time.sleep(seconds)

    return wait


def test_two_at_once_publish_one(builder: Builder, tmp_path: Path) -> None:
    there, fork = tmp_path / "there", multiprocessing.get_context("fork")
    arguments = (slowly(builder, 0.05), str(there), KEY, builder.signers)
    both = [fork.Process(target=wheels_wheelhouse.publish, args=arguments) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(30)
    assert [process.exitcode for process in both] == [0, 0]
    assert [path.name for path in there.iterdir()] == [KEY]
    assert not wheels_wheelhouse.flaw(str(there), KEY, builder.signers)


def test_a_killed_one_leaves_nothing_that_counts_and_the_next_one_sweeps_it(builder: Builder, tmp_path: Path) -> None:
    there = tmp_path / "there"
    process = multiprocessing.get_context("fork").Process(
        target=wheels_wheelhouse.publish, args=(slowly(builder, 30), str(there), KEY, builder.signers)
    )
    process.start()
    while not list(there.glob(".staging-*/manifest.json")):
        time.sleep(0.01)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join(30)
    assert not wheels_wheelhouse.entries(str(there)) and list(there.iterdir())
    assert builder.give(there) is True
    assert [path.name for path in there.iterdir()] == [KEY]


def test_a_full_disk_publishes_nothing(builder: Builder, tmp_path: Path) -> None:
    there = tmp_path / "small"
    there.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(there)], capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted without root's rights")
    try:
        (builder.folder / "manifest.json.sig").unlink()
        (builder.folder / "big.json").write_bytes(bytes(1 << 20))
        wheels_wheelhouse.sign(str(builder.root), KEY, builder.name)
        with pytest.raises(OSError, match="No space left on device"):
            builder.give(there)
        assert not list(there.iterdir())
    finally:
        subprocess.run(["umount", str(there)], check=True)


# What was changed where it is kept


def push(builder: Builder, house: Path) -> dict[str, Any]:
    """Push the builder's wheel to a wheelhouse, as the controller does with its store's."""
    job: Any = SimpleNamespace(progress=lambda *words, **more: None)
    return wheels_wheelhouse.bring(job, str(house), {KEY: f"{builder.folder}/"}, builder.signers, index=True)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (WHEEL, f"{WHEEL} is not the file that thor01 signed"),
        ("provenance.json", "provenance.json is not the file that thor01 signed"),
        ("manifest.json", "its manifest or signature was changed"),
        ("manifest.json.sig", "its manifest or signature was changed"),
    ],
)
def test_a_good_wheel_takes_the_place_of_one_that_was_changed(
    builder: Builder, tmp_path: Path, name: str, reason: str
) -> None:
    push(builder, tmp_path / "house")
    (tmp_path / "house" / KEY / name).write_text("evil")
    assert push(builder, tmp_path / "house")["replaced"] == {KEY: reason}
    assert (tmp_path / "house" / KEY / name).read_bytes() == (builder.folder / name).read_bytes()
    assert push(builder, tmp_path / "house") == {"published": [], "refused": {}, "replaced": {}}


def test_a_wheel_that_lacks_a_file_is_mended(builder: Builder, tmp_path: Path) -> None:
    push(builder, tmp_path / "house")
    (tmp_path / "house" / KEY / WHEEL).unlink()
    assert push(builder, tmp_path / "house")["replaced"] == {KEY: f"{WHEEL} is not there"}


def test_what_was_changed_stays_where_nobody_has_a_good_one(builder: Builder, tmp_path: Path) -> None:
    push(builder, tmp_path / "house")
    for folder in (tmp_path / "house" / KEY, builder.folder):
        (folder / WHEEL).write_bytes(b"evil")
    answer = push(builder, tmp_path / "house")
    assert answer["replaced"] == {} and "is not the file that thor01 signed" in answer["refused"][KEY]
    assert (tmp_path / "house" / KEY / WHEEL).read_bytes() == b"evil"


def test_a_wheel_of_a_signer_that_others_may_trust_is_left_alone(builder: Builder, tmp_path: Path) -> None:
    stranger = Builder(tmp_path / "stranger", "spark01")
    push(stranger, tmp_path / "house")
    assert push(builder, tmp_path / "house") == {"published": [], "refused": {}, "replaced": {}}


def test_a_host_never_replaces_its_own_wheel(builder: Builder, tmp_path: Path) -> None:
    builder.give(tmp_path / "there")
    (tmp_path / "there" / KEY / WHEEL).write_bytes(b"mine")
    assert builder.give(tmp_path / "there") is False
    assert (tmp_path / "there" / KEY / WHEEL).read_bytes() == b"mine"


# Over HTTP, from a folder


@pytest.fixture
def served(builder: Builder, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A wheelhouse with the builder's wheel, served plainly: its address and folder."""
    folder = tmp_path / "house"
    builder.give(folder)
    wheels_wheelhouse.write_index(str(folder))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", folder
        server.shutdown()


def test_a_wheel_is_fetched_over_http(builder: Builder, served: tuple[str, Path], tmp_path: Path) -> None:
    take = wheels_wheelhouse.taker(f"{served[0]}/{KEY}/")
    assert wheels_wheelhouse.publish(take, str(tmp_path / "there"), KEY, builder.signers) is True


def test_a_wheel_is_fetched_from_a_folders_address(builder: Builder, served: tuple[str, Path], tmp_path: Path) -> None:
    take = wheels_wheelhouse.taker(f"file://{served[1]}/{KEY}/")
    assert wheels_wheelhouse.publish(take, str(tmp_path / "there"), KEY, builder.signers) is True


def test_what_the_server_lacks_is_said_with_the_address(
    builder: Builder, served: tuple[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    take = wheels_wheelhouse.taker(f"{served[0]}/{OTHER}/")
    with pytest.raises(
        host_store.StoreError, match=rf"{served[0]}/{OTHER}/manifest.json cannot be had \(HTTP 404\). Remedy"
    ):
        wheels_wheelhouse.publish(take, str(tmp_path / "there"), OTHER, builder.signers)
    assert not list((tmp_path / "there").iterdir())


def test_a_server_that_is_not_there_is_said(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(host_store.StoreError, match="Connection refused.*Remedy: check that the wheelhouse runs"):
        wheels_wheelhouse.taker(f"http://127.0.0.1:{port}/{KEY}/")("manifest.json", str(tmp_path / "x"))


# The index


@pytest.fixture
def nginx(served: tuple[str, Path], tmp_path: Path) -> Iterator[str]:
    """The same folder, served by nginx with the role's own settings."""
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        pytest.skip("nginx is not here")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    runtime = tmp_path / "run"
    runtime.mkdir()
    text = (ROOT / "roles" / "wheelhouse" / "templates" / "nginx.conf.j2").read_text()
    values = {"wheelhouse_root": "ROOT", "wheelhouse_listen": f"127.0.0.1:{port}", "__wheelhouse_runtime": str(runtime)}
    text = jinja2.Template(text).render(ansible_managed="made", **values).replace("ROOT/wheelhouse", str(served[1]))
    (tmp_path / "nginx.conf").write_text(("user root;\n" if os.getuid() == 0 else "") + text)
    argv = [program, "-e", "stderr", "-g", "daemon off;", "-c", str(tmp_path / "nginx.conf")]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def get(address: str, accept: str = "text/html", method: str = "GET") -> tuple[int, str, str]:
    request = urllib.request.Request(address, headers={"Accept": accept}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers.get_content_type(), answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, "", ""


class TestNginx:
    def test_gives_a_browser_the_page_of_pep_503(self, nginx: str) -> None:
        status, kind, text = get(f"{nginx}/simple/{VARIANT}/tiny/")
        assert (status, kind) == (200, "text/html")
        assert re.search(rf'href="../../../{KEY}/{WHEEL}#sha256=[0-9a-f]{{64}}"', text)

    def test_gives_json_to_who_asks_for_it(self, nginx: str) -> None:
        accept = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"
        status, kind, text = get(f"{nginx}/simple/{VARIANT}/tiny/", accept)
        assert (status, kind) == (200, "application/vnd.pypi.simple.v1+json")
        (file,) = json.loads(text)["files"]
        assert file["filename"] == WHEEL and len(file["hashes"]["sha256"]) == 64

    def test_lists_no_folder(self, nginx: str) -> None:
        assert [get(f"{nginx}/{place}")[0] for place in ("", f"{KEY}/")] == [403, 403]

    def test_shows_nothing_unfinished(self, nginx: str, served: tuple[str, Path]) -> None:
        (served[1] / ".staging-x").mkdir()
        (served[1] / ".staging-x" / "manifest.json").write_text("{}")
        assert get(f"{nginx}/.staging-x/manifest.json")[0] == 404

    def test_serves_weights_by_their_sha256_and_from_any_byte_on(self, nginx: str, served: tuple[str, Path]) -> None:
        name, data = hashlib.sha256(b"weights").hexdigest(), b"weights"
        blobs = served[1] / "models" / "blobs"
        blobs.mkdir(parents=True)
        (blobs / name).write_bytes(data)
        (blobs / f".{name}.part").write_bytes(data[:3])
        assert get(f"{nginx}/models/blobs/{name}") == (200, "application/octet-stream", "weights")
        request = urllib.request.Request(f"{nginx}/models/blobs/{name}", headers={"Range": "bytes=3-"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert (answer.status, answer.read()) == (206, data[3:])
        assert get(f"{nginx}/models/blobs/.{name}.part")[0] == 404

    @pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
    def test_is_read_only(self, nginx: str, method: str) -> None:
        assert get(f"{nginx}/keys.json", method=method)[0] == 405

    def test_follows_no_link_out_of_the_folder(self, nginx: str, served: tuple[str, Path]) -> None:
        (served[1] / "passwd").symlink_to("/etc/passwd")
        assert get(f"{nginx}/passwd")[0] == 403

    def test_serves_what_a_host_takes(self, nginx: str, builder: Builder, tmp_path: Path) -> None:
        take = wheels_wheelhouse.taker(f"{nginx}/{KEY}/")
        assert wheels_wheelhouse.publish(take, str(tmp_path / "there"), KEY, builder.signers) is True

    def test_serves_an_index_that_pip_installs_from(self, nginx: str, tmp_path: Path) -> None:
        pip = [
            shutil.which("python3.11") or "python3",
            "-m",
            "pip",
            "--isolated",
            "download",
            "--no-deps",
            "--no-cache-dir",
        ]
        index = ["--index-url", f"{nginx}/simple/{VARIANT}/", "--dest", str(tmp_path / "got"), "tiny"]
        done = subprocess.run([*pip, *index], capture_output=True, text=True, check=False)
        assert (tmp_path / "got" / WHEEL).exists(), done.stderr


def test_an_index_page_escapes_what_it_names() -> None:
    entry = {**GOOD, "wheel": "tiny-1.0+cpu-py3-none-any.whl", "files": {"tiny-1.0+cpu-py3-none-any.whl": "0" * 64}}
    page = manifest.pages({KEY: entry})[f"simple/{VARIANT}/tiny/index.html"]
    assert f'href="../../../{KEY}/tiny-1.0%2Bcpu-py3-none-any.whl#sha256={"0" * 64}"' in page


def test_the_pages_of_what_is_gone_go_too(builder: Builder, tmp_path: Path) -> None:
    house = tmp_path / "house"
    builder.give(house)
    wheels_wheelhouse.write_index(str(house))
    shutil.rmtree(house / KEY)
    wheels_wheelhouse.write_index(str(house))
    assert json.loads((house / "keys.json").read_text()) == {} and not (house / "simple").exists()


def test_the_list_of_keys_is_read_again_as_it_was_written() -> None:
    text = manifest.pages({KEY: GOOD})["keys.json"]
    assert manifest.read_index(text) == {KEY: GOOD}


@given(st.text() | MANIFESTS.map(json.dumps))
def test_no_list_of_keys_stops_a_run(text: str) -> None:
    assert manifest.read_index(text) == {}


# Pruning


def test_what_a_generation_needs_and_the_newest_stay() -> None:
    entries = {name: ("tiny", VARIANT, float(number)) for number, name in enumerate("abcd")}
    assert manifest.prunable({**entries, "x": ("tiny", "other", 0.0)}, {"a"}, keep=2) == ["b"]


@given(
    st.dictionaries(
        st.text(max_size=3), st.tuples(st.sampled_from("pq"), st.sampled_from("vw"), st.floats(0, 9)), max_size=12
    ),
    st.sets(st.text(max_size=3)),
    st.integers(0, 3),
)
def test_pruning_never_takes_what_is_used_and_leaves_enough(
    entries: dict[str, tuple[str, str, float]], used: set[str], keep: int
) -> None:
    gone = set(manifest.prunable(entries, used, keep))
    assert not gone & used
    for group in {entry[:2] for entry in entries.values()}:
        members = {key for key, entry in entries.items() if entry[:2] == group}
        assert len(members - gone) >= min(keep, len(members))


def test_a_folder_is_pruned_by_what_generations_on_the_host_were_made_from(tmp_path: Path) -> None:
    for key in (KEY, OTHER):
        make_wheel(tmp_path, key)
    host_store.write_json(str(tmp_path / "envs" / "e" / "g" / host_store.MANIFEST), {"wheels": {"tiny": KEY}})
    used = wheels_wheelhouse.used(str(tmp_path))
    folder = str(tmp_path / "wheels")
    assert used == [KEY]
    assert wheels_wheelhouse.prune(folder, used, 0, check=True) == [OTHER] and (tmp_path / "wheels" / OTHER).exists()
    assert wheels_wheelhouse.prune(folder, used, 0, check=False) == [OTHER] and os.listdir(folder) == [KEY]


# As the controller sees it


def controllers(tmp_path: Path, wheelhouse_at: str = "", hosts: int = 2) -> wheelhouse.Wheelhouse:
    variables = {"wavesmith_artifacts": str(tmp_path / "artifacts"), "wavesmith_locks": str(tmp_path / "locks")}
    return wheelhouse.wheelhouse_of({**variables, "wavesmith_wheelhouse": wheelhouse_at}, hosts)


def test_an_inventory_of_one_host_has_nobody_to_share_with(tmp_path: Path) -> None:
    assert [controllers(tmp_path, hosts=hosts).shared for hosts in (1, 2)] == [False, True]
    assert controllers(tmp_path, "/srv/wheels", hosts=1).shared


@pytest.mark.parametrize(
    ("given", "store", "address"),
    [
        ("", "artifacts/wheelhouse", ""),
        ("/srv/wheels/", "/srv/wheels", ""),
        ("file:///mnt/wheels", "artifacts/wheelhouse", "file:///mnt/wheels"),
        ("http://house:8427/", "artifacts/wheelhouse", "http://house:8427"),
    ],
)
def test_where_wheels_are_kept_follows_the_variable(tmp_path: Path, given: str, store: str, address: str) -> None:
    kept = controllers(tmp_path, given)
    assert (kept.store, kept.address) == (tmp_path / store, address)


def test_a_served_wheelhouse_is_asked_once_in_a_run(
    builder: Builder, served: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheelhouse.constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    kept = controllers(tmp_path, served[0])
    assert list(kept.offered()) == [KEY]
    shutil.rmtree(served[1])
    assert list(kept.offered()) == [KEY], "of this run"
    kept.forget()
    assert kept.offered() == {}


def test_a_silent_wheelhouse_is_said_and_has_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(wheelhouse.constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    monkeypatch.setattr(wheelhouse, "Display", lambda: SimpleNamespace(warning=said.append))
    kept = controllers(tmp_path, "http://user:secret@127.0.0.1:9")
    assert kept.served() == {} and kept.served() == {}
    (line,) = said
    assert "http://127.0.0.1:9 does not answer" in line and "Remedy" in line and "secret" not in line


def test_signers_that_come_at_once_are_all_kept(tmp_path: Path) -> None:
    kept, fork = controllers(tmp_path), multiprocessing.get_context("fork")
    many = [fork.Process(target=kept.trust, args=(f"thor{number}", f"ssh-ed25519 AAAA{number}")) for number in range(8)]
    for process in many:
        process.start()
    for process in many:
        process.join(30)
    assert len(manifest.read_signers(kept.signers_text())) == 8
