"""An aarch64 host that builds its packages itself, but torch: policy `source`."""

from __future__ import annotations

from typing import Any

BUILT = ("pyworld", "monotonic_alignment_search")
WANTED = {"built": {"stack": "none", "packages": list(BUILT)}}
POLICY = ["source"]


def test_every_package_with_a_recipe_is_built_on_the_host(here: Any) -> None:
    output = here.works("site.yml", wavesmith_environments=WANTED, wavesmith_policy=POLICY)
    wheels = here.read("/opt/wavesmith/envs/built/current/wavesmith/manifest.json")["wheels"]
    assert {name.replace("-", "_") for name in wheels} == set(BUILT), output
    machine = here.host.check_output("uname -m")
    variant = here.kept("plan.json")["environments"][0]["variant"]
    for key in wheels.values():
        folder = f"/opt/wavesmith/wheels/{key}"
        assert here.root(f"ls {folder}/*_{machine}.whl")
        assert variant in here.root(f"cat {folder}/provenance.json")
    assert here.verdict("built")["verdict"] == "healthy"


def test_what_was_built_computes(here: Any) -> None:
    code = (
        "import numpy, pyworld; t = numpy.arange(16000) / 16000;"
        " f, _ = pyworld.dio(numpy.sin(2 * numpy.pi * 220 * t), 16000); print(round(numpy.median(f[f > 0])))"
    )
    assert here.python(code, "built") == "220"


def test_a_second_run_builds_nothing(here: Any) -> None:
    output = here.works("site.yml", wavesmith_environments=WANTED, wavesmith_policy=POLICY)
    assert f"REMOTE RUNS {here.name} 1" in output and "changed=0" in output, output


def test_torch_is_not_built_where_its_cuda_toolkit_is_missing(here: Any) -> None:
    torch = {"torch": {"stack": "auto", "packages": ["torch"]}}
    answer = here.play("site.yml", wavesmith_environments=torch, wavesmith_policy=POLICY)
    assert answer.status != 0 and "CUDA toolkit" in answer.said and "Remedy" in answer.said, answer.said
    assert here.current("torch") == ""
