"""The scenarios of molecule/: each is run by `make acceptance` and explained, and what hosts show of recorded machines is only hardware."""

from __future__ import annotations

import importlib.util
import io
import re
import tarfile
from pathlib import Path
from string import Template
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MOLECULE = ROOT / "molecule"
SCENARIOS = sorted(path.parent.name for path in MOLECULE.glob("*/molecule.yml"))


@pytest.fixture(scope="module")
def hosts() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hosts", MOLECULE / "resources" / "hosts.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_by_make() -> dict[str, list[str]]:
    """The scenarios by the variable of the Makefile that names them."""
    found = re.findall(r"^(SCENARIOS\w*) \?= (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return {variable: names.split() for variable, names in found}


def emulated(scenario: str) -> bool:
    """Whether a host of it has another architecture."""
    inventory = (MOLECULE / scenario / "inventory.yml").read_text()
    return "testbed_architecture: arm64" in inventory


def test_every_scenario_is_run_by_make() -> None:
    # `make test` runs `provision`.
    named = {name for names in run_by_make().values() for name in names} | {"provision"}
    assert set(SCENARIOS) <= named


def test_those_with_hosts_of_another_architecture_are_run_where_qemu_is() -> None:
    assert {name for name in SCENARIOS if emulated(name)} <= set(run_by_make()["SCENARIOS_ARM64"])
    assert not any(emulated(name) for name in run_by_make()["SCENARIOS"] if name in SCENARIOS)


def test_every_scenario_that_make_runs_is_explained() -> None:
    explained = re.findall(r"^\| `(\w+)` \|", (MOLECULE / "README.md").read_text(), re.MULTILINE)
    named = [name for names in run_by_make().values() for name in names]
    assert sorted(explained) == sorted([*named, "provision"])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_has_hosts_and_names_tests_that_are_there(scenario: str) -> None:
    settings = yaml.safe_load((MOLECULE / scenario / "molecule.yml").read_text())
    assert settings["scenario"]["name"] == scenario
    assert yaml.safe_load((MOLECULE / scenario / "inventory.yml").read_text())["testbed"]["hosts"]
    verifier = settings.get("verifier", {})
    place = Template(verifier.get("directory", "${MOLECULE_PROJECT_DIRECTORY}/tests/host"))
    folder = Path(place.substitute(MOLECULE_PROJECT_DIRECTORY=ROOT))
    assert list(folder.glob("test_*.py"))
    assert all((folder / name).is_file() for name in verifier.get("additional_files_or_dirs", []))


def contents(packed: bytes) -> dict[str, tuple[int, bytes]]:
    """Mode and content of the files of a tar."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return {info.name: (info.mode, tar.extractfile(info).read()) for info in tar}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("machine", "shown", "tools"),
    [
        ("jetson-thor", {"etc/nv_tegra_release"}, {"nvidia-smi"}),
        ("dgx-spark", {"etc/dgx-release", "run/testbed/sys/class/dmi/id/product_name"}, {"nvidia-smi"}),
        (
            "mi300x",
            {"dev/kfd", "opt/rocm/.info/version", "run/testbed/sys/class/kfd/kfd/topology/nodes/8/properties"},
            set(),
        ),
        ("wsl2-rx6700xt", {"dev/dxg", "run/testbed/proc/version", "usr/lib/wsl/lib/libdxcore.so"}, set()),
        ("wsl2-rx7900xtx-rocm", {"opt/rocm/.info/version"}, {"rocminfo"}),
    ],
)
def test_a_host_shows_the_hardware_of_a_recorded_machine_and_keeps_its_own_system(
    hosts: ModuleType, machine: str, shown: set[str], tools: set[str]
) -> None:
    files = contents(hosts.recorded(machine))
    assert shown <= files.keys()
    assert {name for name, (mode, _) in files.items() if mode & 0o111} == {f"usr/local/bin/{tool}" for tool in tools}
    for tool in tools:
        assert any(name.startswith(f"usr/local/lib/testbed/{tool}") and name.endswith(".txt") for name in files)
    assert not [
        name for name in files if re.match(r"(etc/os-release|var/lib/dpkg|usr/bin|usr/include|proc|sys)\b", name)
    ]


@pytest.mark.parametrize("machine", ["no-such-machine", "", "../unit"])
def test_a_machine_that_nobody_recorded_is_refused_by_name(hosts: ModuleType, machine: str) -> None:
    with pytest.raises(hosts.HostsError, match=f"testbed_machine {re.escape(machine)}: there is no recording"):
        hosts.recorded(machine)
