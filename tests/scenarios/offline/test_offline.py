"""A real SSH host without a network gets everything from a bundle that another one made."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pip._internal.models.index import PyPI

BUNDLE = Path(os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY", ".")) / "stick"
WORKS = "import numpy, pyworld, soundfile; print(pyworld.__version__)"


@pytest.fixture(scope="module")
def alone(scenes: dict[str, Any]) -> Any:
    return scenes["box02"]


@pytest.fixture(scope="module")
def bundle(scenes: dict[str, Any], alone: Any) -> str:
    """The bundle, made on one host, and carried to the controller and to the host without a network."""
    maker = scenes["box01"]
    maker.works("playbooks/bundle.yml")
    made = f"{maker.variables['testbed_container']}:/opt/wavesmith/bundle"
    subprocess.run(["podman", "cp", made, str(BUNDLE)], check=True)
    # At the same path there, where who provisions can read it.
    alone.root(
        f"mkdir -p {BUNDLE.parent}; d={BUNDLE.parent}; while [ $d != / ]; do chmod a+rx $d; d=$(dirname $d); done"
    )
    subprocess.run(["podman", "cp", str(BUNDLE), f"{alone.variables['testbed_container']}:{BUNDLE}"], check=True)
    return str(BUNDLE)


def test_the_host_has_no_network_but_the_controllers(alone: Any) -> None:
    routes = alone.host.check_output("ip route").splitlines()
    assert len(routes) == 1 and not routes[0].startswith("default"), routes
    # What the controller reaches: where pip looks for packages.
    name, address = PyPI.netloc, socket.getaddrinfo(PyPI.netloc, 443, socket.AF_INET)[0][4][0]
    socket.create_connection((str(address), 443), timeout=20).close()
    assert alone.host.run("getent hosts %s", name).rc != 0
    reach = f"import socket; socket.create_connection(('{address}', 443), timeout=5)"
    done = alone.host.run("/usr/bin/python3 -c %s", reach)
    assert done.rc != 0 and "Network is unreachable" in done.stderr, done.stderr


def test_without_a_bundle_it_is_refused_before_anything_is_changed(alone: Any) -> None:
    answer = alone.play("site.yml")
    assert answer.status != 0 and "package_index does not answer" in answer.said and "Remedy" in answer.said, (
        answer.said
    )
    assert not alone.host.file("/opt/wavesmith/envs").exists


def test_it_is_provisioned_from_the_bundle(alone: Any, bundle: str) -> None:
    output = alone.works("site.yml", wavesmith_bundle=bundle)
    assert "pyworld 0.3.5: from the wheelhouse" in output, output
    assert alone.python(WORKS) == "0.3.5" and alone.verdict()["verdict"] == "healthy"


def test_a_second_run_has_nothing_to_do(alone: Any, bundle: str) -> None:
    output = alone.works("site.yml", wavesmith_bundle=bundle)
    assert "REMOTE RUNS box02 1" in output and "changed=0" in output, output


def test_it_is_repaired_from_the_bundle(alone: Any, bundle: str) -> None:
    before = alone.current()
    alone.root(
        "rm /opt/wavesmith/envs/small/current/lib/python3*/site-packages/soundfile.py; rm -rf /opt/wavesmith/cache/uv"
    )
    alone.works("site.yml", wavesmith_bundle=bundle)
    assert alone.current() != before and alone.python(WORKS) == "0.3.5"


def test_a_file_of_the_bundle_that_was_changed_is_refused(alone: Any, bundle: str) -> None:
    before = alone.current()
    alone.root(
        "rm -rf /opt/wavesmith/cache/uv /opt/wavesmith/envs/small/current/lib/python3*/site-packages/soundfile.py;"
        f" for wheel in {bundle}/index/files/soundfile-*.whl; do printf x >>$wheel; done"
    )
    answer = alone.play("site.yml", wavesmith_bundle=bundle)
    assert answer.status != 0 and "Remedy" in answer.said and "Traceback" not in answer.said, answer.said
    assert alone.current() == before
