"""A wheelhouse on an object store: a real S3 server (moto), the real client, and pip as the host's side."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.wheels import manifest
from ansible_collections.wavesmith.provision.plugins.module_utils.wheels import wheelhouse as wheels

from wavesmith.cli import main

from .test_wheelhouse import KEY, OTHER, ROOT, VARIANT, WHEEL, Builder, make_wheel

VERSIONS = ("moto[server]==5.*", "boto3==1.*")
RUN = "import sys; sys.path.append({site!r}); from wavesmith.cli import main; sys.exit(main(sys.argv[1:]))"


class Store(NamedTuple):
    """A server, and how the command is run with the client's library."""

    url: str
    site: str
    env: dict[str, str]

    def push(self, folder: Path, bucket: str = "s3://wheels/house") -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-c", RUN.format(site=self.site), "wheelhouse", bucket]
        argv += ["--endpoint", self.url, "--public", "--folder", str(folder)]
        return subprocess.run(argv, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A server of a package of the index, in an environment of its own, with one bucket."""
    folder = tmp_path_factory.mktemp("s3")
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    got = subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", python, *VERSIONS], capture_output=True, check=False
    )
    if got.returncode:
        pytest.skip("the package index does not give moto")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    argv = [python.with_name("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        for _ in range(600):
            try:
                urllib.request.urlopen(urllib.request.Request(f"{url}/wheels", method="PUT"), timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        secret = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
        (site,) = folder.glob("env/lib/python3*/site-packages")
        yield Store(url, str(site), {**os.environ, **secret, "PYTHONPATH": f"{ROOT}:{ROOT}/collections"})
        server.terminate()


def kept(tmp_path: Path) -> tuple[Builder, Path]:
    """A builder, and the controller's store with its wheel."""
    builder = Builder(tmp_path / "thor01")
    builder.give(tmp_path / "wheelhouse")
    return builder, tmp_path / "wheelhouse"


@pytest.mark.slow
def test_hosts_and_pip_take_wheels_from_an_object_store(store: Store, tmp_path: Path) -> None:
    builder, folder = kept(tmp_path)
    assert store.push(folder).stdout == "s3://wheels/house: 1 wheels published, 1 in all\n"
    house = f"{store.url}/wheels/house"
    (tmp_path / "host").mkdir()
    assert wheels.publish(wheels.taker(f"{house}/{KEY}/"), str(tmp_path / "host"), KEY, builder.signers)
    assert (tmp_path / "host" / KEY / WHEEL).read_bytes() == (folder / KEY / WHEEL).read_bytes()
    index = f"{house}/simple/{VARIANT}/"
    argv = [
        sys.executable,
        "-m",
        "pip",
        "--isolated",
        "download",
        "--no-deps",
        "--no-cache-dir",
        "--dest",
        tmp_path / "got",
    ]
    done = subprocess.run([*argv, "--index-url", index, "tiny"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "got" / WHEEL).read_bytes() == (folder / KEY / WHEEL).read_bytes()


@pytest.mark.slow
def test_what_is_there_stays_and_what_others_published_stays_in_the_index(store: Store, tmp_path: Path) -> None:
    _, folder = kept(tmp_path / "one")
    bucket = "s3://wheels/two"
    store.push(folder, bucket)
    assert store.push(folder, bucket).stdout == f"{bucket}: 0 wheels published, 1 in all\n"
    other = tmp_path / "other"
    make_wheel(other, OTHER)
    wheels.sign(str(other), OTHER, "spark01")
    assert store.push(other / "wheels", bucket).stdout == f"{bucket}: 1 wheels published, 2 in all\n"
    with urllib.request.urlopen(f"{store.url}/wheels/two/{manifest.KEYS}") as answer:
        assert sorted(json.load(answer)) == sorted([KEY, OTHER])


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_said(store: Store, tmp_path: Path) -> None:
    _, folder = kept(tmp_path)
    done = store.push(folder, "s3://nowhere")
    assert done.returncode == 2 and "Remedy: " in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("bucket", ["wheels", "https://example.org/wheels", "s3://"])
def test_what_is_no_bucket_is_refused(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wheelhouse", bucket]) == 2
    assert "it is no bucket. Remedy: name one" in capsys.readouterr().err


def test_a_folder_without_wheels_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wheelhouse", "s3://wheels", "--folder", str(tmp_path)]) == 2
    assert "holds no signed wheel. Remedy: run playbooks/build.yml" in capsys.readouterr().err
