"""The variables of every playbook through Ansible itself: from the command line, from inventories, from the project's own group_vars."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import VARIABLES

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = sorted(path.name for path in (ROOT / "playbooks").glob("*.yml"))
TOOLS = Path(sys.executable).parent


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """An inventory of one's own, outside the project, whose only host is this machine."""
    folder = tmp_path / "inventory"
    folder.mkdir()
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "wavesmith_root": str(tmp_path / "root"),
        "wavesmith_environments": {"speech": {"stack": "none"}},
    }
    (folder / "hosts.json").write_text(json.dumps({"jetson_thor": {"hosts": {"thor01": variables}}}))
    return folder


def ansible(
    tool: str, *words: str | Path, cwd: Path = ROOT, config: Path | None = ROOT / "ansible.cfg"
) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    clean |= {
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
    }
    if config:
        clean["ANSIBLE_CONFIG"] = str(config)
    argv = [str(TOOLS / tool), *map(str, words)]
    return subprocess.run(argv, cwd=cwd, env=clean, capture_output=True, text=True, timeout=120, check=False)


def refused(inventory: Path, playbook: str, *words: str) -> str:
    """What a playbook says when it refuses; nothing may have been made."""
    done = ansible("ansible-playbook", "-i", inventory, f"playbooks/{playbook}", *words)
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not (inventory.parent / "root").exists()
    return " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_a_misspelt_name_one_that_nothing_reads_and_a_wrong_type_are_refused_by_every_playbook(
    inventory: Path, playbook: str
) -> None:
    wrong = ["wavesmith_kep_generations=2", "rollback_environment=speech", "wavesmith_keep_generations=two"]
    said = refused(inventory, playbook, *(word for given in wrong for word in ("-e", given)))
    assert "variable wavesmith_kep_generations: there is no such variable" in said
    assert "did you mean wavesmith_keep_generations" in said
    assert "variable rollback_environment: it was given with -e, and nothing reads it" in said
    assert "did you mean wavesmith_rollback?" in said
    assert "variable wavesmith_keep_generations: it is 'two', but must be a whole number" in said


@pytest.mark.parametrize(
    ("playbook", "given", "said"),
    [
        ("prune.yml", "wavesmith_keep_generations=0", "wavesmith_keep_generations: it is 0, but must be 1 or more"),
        ("prune.yml", "wavesmith_keep_generations=-3", "wavesmith_keep_generations: it is -3, but must be 1 or more"),
        ("prune.yml", "wavesmith_keep_generations=two", "it is 'two', but must be a whole number"),
        ("wheelhouse_prune.yml", "wavesmith_keep_wheels=-1", "wavesmith_keep_wheels: it is -1, but must be 0 or more"),
        (
            "rollback.yml",
            "wavesmith_rollback=speexh",
            "there is no environment 'speexh' here. Remedy: did you mean speech?",
        ),
        (
            "repair.yml",
            "wavesmith_repair=speexh",
            "there is no environment 'speexh' here. Remedy: did you mean speech?",
        ),
        ("audit.yml", '{"wavesmith_audit_sm": 11.0}', "it is 11.0, but must be a list"),
        ("plan.yml", '{"wavesmith_expect": {"accelerator": "nvidia"}}', "it would hold for every host of the run"),
        ("export.yml", "wavesmith_export_complete=perhaps", "it is 'perhaps', but must be true or false"),
        ("matrix.yml", '{"wavesmith_matrix_cuda": 12.8}', "wavesmith_matrix_cuda: it is 12.8, but must be text"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_happens(
    inventory: Path, playbook: str, given: str, said: str
) -> None:
    assert said in refused(inventory, playbook, "-e", given)


def settings_of(inventory: Path, *words: str, **options: Any) -> dict[str, Any]:
    """What the module `settings` returns for the host, through Ansible."""
    done = ansible("ansible", "-i", inventory, "thor01", "-m", "wavesmith.provision.settings", *words, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.partition("=>")[2])["settings"]
    return found


def test_values_come_as_text_from_the_command_line(inventory: Path) -> None:
    words = [
        "-e",
        "wavesmith_keep_generations=5",
        "-e",
        "wavesmith_policy=index,source",
        "-e",
        "wavesmith_conda_offline=yes",
    ]
    found = settings_of(inventory, *words, "-e", "wavesmith_probe_timeout=1.5", "-e", "wavesmith_rollback=speech")
    assert (found["keep_generations"], found["policy"], found["conda_offline"]) == (5, ["index", "source"], True)
    assert (found["probe_timeout"], found["rollback"]) == (1.5, {"speech": ""})


def test_values_come_from_host_variables_and_templates(inventory: Path) -> None:
    (inventory / "host_vars").mkdir()
    (inventory / "host_vars" / "thor01.yml").write_text(
        "wavesmith_stack: '{{ site_stack }}'\nsite_stack: cpu\nwavesmith_keep_generations: 4\n"
        "wavesmith_projects: {mine: {path: '{{ inventory_dir }}/mine'}}\n"
    )
    found = settings_of(inventory)
    assert (found["stack"], found["keep_generations"]) == ("cpu", 4)
    assert found["projects"] == {"mine": {"path": f"{inventory}/mine"}}


GOOD: dict[str, Any] = {
    "environments": {"small": {"stack": "none", "packages": ["numpy"]}},
    "root": "/srv/wavesmith",
    "stack": "cpu",
    "policy": ["index", "source"],
    "python": "3.12",
    "package_index": "https://mirror.example.org/simple",
    "keep_generations": 4,
    "links": "copy",
    "keep_wheels": 0,
    "system_packages": False,
    "apt_proxy": "http://cache01:3142",
    "probe_timeout": 1.5,
    "source_timeout": 7,
    "download_timeout": 90,
    "wheelhouse": "/srv/wheels",
    "bundle": "https://stick.example.org/bundle",
    "conda_channels": ["/srv/voices", "conda-forge"],
    "conda_channel_alias": "https://mirror.example.org",
    "conda_offline": True,
    "native": "channel",
    "projects": {"mine": {"path": "/srv/mine"}},
    "ccache_remote": "redis://cache01",
    "hub": "https://hub.example.org",
    "hub_token": "a-token",
    "weights_mirrors": ["https://weights.example.org"],
    "git_mirrors": ["file:///srv/git/{owner}/{name}.git"],
    "expect": {"accelerator": "nvidia"},
    "locks": "/srv/locks",
    "artifacts": "/srv/artifacts",
    "catalog": "/srv/catalog",
    "explain": True,
    "repair": ["small"],
    "remove": ["environment old"],
    "rollback": {"small": "0123456789abcdef"},
    "run": ["python", "-V"],
    "upgrade": ["numpy"],
    "logs_job": "lock-1",
    "logs_lines": 5,
    "audit_paths": ["/srv/x.whl"],
    "audit_sm": ["11.0"],
    "audit_machine": "aarch64",
    "waves": ["1", "50%"],
    "failure_budget": 10,
    "export_complete": False,
    "bundle_sources": False,
    "bundle_folder": "/srv/bundle",
    "matrix_package": "torchaudio",
    "matrix_python": "3.12",
    "matrix_cuda": "13.0",
    "matrix_file": "/srv/matrix.json",
    "performance": True,
    "verify_full": True,
    "report_evidence": True,
}
"""A value of every variable that is not its default."""
WRONG: dict[type, Any] = {str: ["a"], list: 7, dict: 7, int: "two", float: "soon", bool: "maybe"}
WAYS = ["inventory", "host_vars", "-e"]


def give(inventory: Path, way: str, values: dict[str, Any]) -> list[str]:
    """Set variables for the host one way or another; more words of the command line."""
    # What is given with -e would hold for every host of the run, so this one may not be.
    own = {f"wavesmith_{name}": value for name, value in values.items() if (way, name) != ("-e", "expect")}
    if way == "-e":
        return ["-e", json.dumps(own)]
    if way == "host_vars":
        (inventory / "host_vars").mkdir()
        (inventory / "host_vars" / "thor01.yml").write_text(yaml.safe_dump(own))
    else:
        hosts = json.loads((inventory / "hosts.json").read_text())
        hosts["jetson_thor"]["hosts"]["thor01"].update(own)
        (inventory / "hosts.json").write_text(json.dumps(hosts))
    return []


def test_the_values_here_are_of_every_variable() -> None:
    assert GOOD.keys() == VARIABLES.keys()


@pytest.mark.parametrize("way", WAYS)
def test_every_variable_is_read_whichever_way_it_is_given(inventory: Path, way: str) -> None:
    found = settings_of(inventory, *give(inventory, way, GOOD))
    found["environments"] = {
        one["name"]: {"stack": one["stack"], "packages": one["packages"]} for one in found["environments"]
    }
    found["expect"] = {name: value for name, value in found["expect"].items() if value}
    packs = f"{GOOD['bundle']}/sources/{{commit}}"
    expected = {
        **GOOD,
        "expect": {"accelerator": ["nvidia"]},
        "hub_token": found["hub_token"],
        "git_mirrors": [packs, *GOOD["git_mirrors"]],
    }
    if way == "-e":
        del expected["expect"]
    assert {name: found[name] for name in found.keys() & expected.keys() if found[name] != expected[name]} == {}


@pytest.mark.parametrize("way", WAYS)
def test_every_variable_of_a_wrong_kind_is_refused_whichever_way_it_is_given(inventory: Path, way: str) -> None:
    values = {name: WRONG[variable.types[0]] for name, variable in VARIABLES.items()}
    said = refused(inventory, "plan.yml", *give(inventory, way, values))
    given = [name for name in values if (way, name) != ("-e", "expect")]
    assert [name for name in given if f"variable wavesmith_{name}: it is" not in said] == []


def test_a_project_with_a_path_is_read_through_ansible(inventory: Path) -> None:
    (inventory / "mine").mkdir()
    (inventory / "mine" / "requirements.txt").write_text("numpy\n")
    (inventory / "host_vars").mkdir()
    (inventory / "host_vars" / "thor01.yml").write_text(
        "wavesmith_projects: {mine: {path: mine}}\n"
        "wavesmith_environments: {speech: {stack: none, projects: [mine]}}\nwavesmith_policy: [index]\nwavesmith_python: ''\n"
    )
    done = ansible(
        "ansible-playbook",
        "-i",
        inventory,
        "playbooks/plan.yml",
        "-e",
        f"wavesmith_artifacts={inventory.parent}/artifacts",
    )
    assert "Traceback" not in done.stdout + done.stderr
    plan = json.loads((inventory.parent / "artifacts/thor01/plan.json").read_text())
    assert not plan["refusals"]
    assert "numpy" in plan["environments"][0]["lock"]["requirements"]


def variables_of(inventory: Path, playbook_folder: Path = ROOT, host: str = "thor01") -> dict[str, Any]:
    done = ansible("ansible-inventory", "-i", inventory, "--playbook-dir", playbook_folder, "--host", host)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("folder", [ROOT, ROOT / "playbooks"])
def test_a_known_group_has_the_projects_defaults(inventory: Path, folder: Path) -> None:
    found = variables_of(inventory, folder)
    assert (found["wavesmith_policy"], found["wavesmith_python"]) == (["wheelhouse", "source"], "3.12")


@pytest.mark.parametrize("file", ["all", "jetson_thor"])
def test_an_inventorys_group_variables_outrank_the_projects(inventory: Path, file: str) -> None:
    (inventory / "group_vars").mkdir()
    (inventory / "group_vars" / f"{file}.yml").write_text("wavesmith_policy: [index]\n")
    found = settings_of(inventory)
    assert found["policy"] == ["index"]
    assert variables_of(inventory)["wavesmith_policy"] == ["index"]


def test_in_place_the_fleets_own_files_outrank_the_projects(tmp_path: Path) -> None:
    for name in ("ansible.cfg", "site.yml", "playbooks", "group_vars", "inventories"):
        source = ROOT / name
        shutil.copytree(source, tmp_path / name, symlinks=True) if source.is_dir() else shutil.copy2(
            source, tmp_path / name
        )
    fleet = tmp_path / "inventories" / "fleet"
    assert variables_of(fleet, tmp_path)["wavesmith_policy"] == ["wheelhouse", "source"]
    (fleet / "group_vars" / "all.yml").write_text("wavesmith_policy: [index, source]\n")
    assert variables_of(fleet, tmp_path)["wavesmith_policy"] == ["index", "source"]
    (fleet / "group_vars" / "jetson_thor.yml").write_text("wavesmith_policy: [index]\n")
    assert variables_of(fleet, tmp_path)["wavesmith_policy"] == ["index"]


def test_localhost_gets_nothing_from_the_projects_groups() -> None:
    found = variables_of(ROOT / "inventories" / "local", host="localhost")
    assert {name for name in found if name.startswith("wavesmith_")} == {"wavesmith_environments"}


def test_without_the_projects_settings_it_is_refused_and_not_outranked(inventory: Path, tmp_path: Path) -> None:
    bare = tmp_path / "ansible.cfg"
    bare.write_text(f"[defaults]\ncollections_path = {ROOT}/collections\n")
    done = ansible("ansible-playbook", "-i", inventory, ROOT / "playbooks" / "prune.yml", cwd=tmp_path, config=bare)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert f"{ROOT}/ansible.cfg is not in use" in said and f"export ANSIBLE_CONFIG={ROOT}/ansible.cfg" in said
