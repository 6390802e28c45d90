"""What provisioning leaves on a host, and what it leaves alone."""

from __future__ import annotations

import json
from typing import Any

import pytest


def as_root(host: Any, command: str) -> str:
    """Run a command as root and return what it printed."""
    done = host.run("sudo sh -c %s", command)
    assert done.rc == 0, done.stderr
    return str(done.stdout).strip()


def test_systemd_is_running(host: Any) -> None:
    assert host.run("systemctl is-system-running").stdout.strip() == "running"


def test_current_is_a_relative_link_to_a_generation(host: Any, environment: Any) -> None:
    target = as_root(host, f"readlink {environment.prefix}")
    assert "/" not in target
    assert host.file(f"{environment.home}/{target}").is_directory


def test_generation_has_a_manifest(host: Any, environment: Any) -> None:
    manifest = json.loads(as_root(host, f"cat {environment.prefix}/wavesmith/manifest.json"))
    assert isinstance(manifest, dict)


def test_generation_was_judged_healthy(host: Any, environment: Any) -> None:
    verdict = json.loads(as_root(host, f"cat {environment.prefix}/wavesmith/verdict.json"))
    assert verdict["verdict"] == "healthy", [c for c in verdict["checks"] if c["verdict"] == "fail"]


def test_the_doctor_carried_out_every_attack(host: Any, environment: Any) -> None:
    """None of them is skipped here, `isolation.sudo` neither: the user who provisions may use sudo."""
    checks = json.loads(as_root(host, f"cat {environment.prefix}/wavesmith/verdict.json"))["checks"]
    found = {check["id"]: check for check in checks if check["id"].startswith("isolation.")}
    assert {name: check["detail"] for name, check in found.items() if check["verdict"] != "pass"} == {}
    assert set(found["isolation.sudo"]["evidence"].values()) == {"no effect"}


def test_every_wanted_package_imports(host: Any, environment: Any, variables: Any) -> None:
    imports = json.loads(host.file(f"{environment.prefix}/wavesmith/manifest.json").content_string)["imports"]
    assert set(variables["wavesmith_environments"][environment.name]["packages"]) <= set(imports)
    done = host.run("%s -c %s", f"{environment.prefix}/bin/python", f"import {', '.join(imports.values())}")
    assert done.rc == 0, done.stderr


def test_source_built_wheel_is_kept_with_its_provenance(host: Any, environment: Any) -> None:
    wheels = as_root(host, f"find {environment.root}/wheels -name 'pyworld-*.whl'").splitlines()
    assert wheels
    assert all(host.file(f"{wheel.rsplit('/', 1)[0]}/provenance.json").is_file for wheel in wheels)


# uv makes its empty lock files writable to all on purpose: users may share a cache.
NOT_UVS_LOCKS = r"! \( -name *.lock -empty \)"


def test_nothing_is_world_writable(host: Any, environment: Any) -> None:
    assert as_root(host, f"set -f; find {environment.root} ! -type l -perm -o+w {NOT_UVS_LOCKS} | head") == ""


def test_another_user_can_change_nothing(host: Any, environment: Any) -> None:
    assert (
        as_root(host, f"set -f; sudo -u plain find {environment.root} -writable ! -type l {NOT_UVS_LOCKS} | head") == ""
    )


def test_everything_belongs_to_the_user_who_provisions(host: Any, environment: Any) -> None:
    assert as_root(host, f"find {environment.root} ! -user maker | head") == ""


def test_console_scripts_start_the_prefixs_python(host: Any, environment: Any) -> None:
    lines = as_root(host, f"grep -lrIE '^#!.*python' {environment.prefix}/bin/ | xargs -r head -qn1 | sort -u")
    generation = as_root(host, f"readlink -f {environment.prefix}")
    assert {line for line in lines.splitlines() if not line.startswith(f"#!{generation}/bin/python")} == set()


def test_system_python_is_as_the_distribution_made_it(host: Any) -> None:
    packages = "$(dpkg-query -W -f '${Package}\\n' | grep -E '^(lib)?python3')"
    assert as_root(host, f"dpkg -V {packages} || true") == ""


@pytest.mark.parametrize("folder", ["/usr/local/lib", "/root/.local", "/home/maker/.local"])
def test_no_package_was_installed_outside_the_root(host: Any, folder: str) -> None:
    find = "-name '*.dist-info' -o -name '*.egg-info' -o -path '*-packages/*'"
    assert as_root(host, f"test ! -d {folder} || find {folder} {find} | head") == ""
