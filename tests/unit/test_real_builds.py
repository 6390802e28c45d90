"""Recipes of the catalog, really built from the sources of the package index: minutes each."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy
import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.build import worker
from ansible_collections.wavesmith.provision.plugins.module_utils.host import module, wheels
from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Failed, Job
from ansible_collections.wavesmith.provision.plugins.module_utils.host.tools import make_toolbox
from ansible_collections.wavesmith.provision.plugins.module_utils.observe import probe
from ansible_collections.wavesmith.provision.plugins.module_utils.plan import recipe
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.variant import Variant
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted import catalog as types
from ansible_collections.wavesmith.provision.plugins.plugin_utils import catalog_files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler here"),
]
ROOT = Path(__file__).resolve().parents[2]
CATALOG = catalog_files.load()
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
INDEX = types.Origin("package_index", types.INDEX, "", "", 0, "")
TORCH = {"torch": "2.11.0"}
NVCC = Path("/usr/local/cuda/bin/nvcc")
# A CUDA extension of torch, whose kernel has a branch for the CPU: built for Thor and Spark at once.
GAIN = {
    "setup.py": """\
from setuptools import setup
from torch.utils.cpp_extension import BuildExtension, CUDAExtension
setup(name="gain", version="1.0", ext_modules=[CUDAExtension("gain", ["gain.cpp", "kernel.cu"])],
      cmdclass={"build_ext": BuildExtension})
""",
    "gain.cpp": """\
#include <torch/extension.h>
torch::Tensor louder(torch::Tensor wave, double by);
torch::Tensor gain(torch::Tensor wave, double by) { return wave.is_cuda() ? louder(wave, by) : wave * by; }
PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) { module.def("gain", &gain); }
""",
    "kernel.cu": """\
#include <torch/types.h>
__global__ void louder_kernel(float *wave, float by, long count) {
    long at = blockIdx.x * (long)blockDim.x + threadIdx.x;
    if (at < count) wave[at] *= by;
}
torch::Tensor louder(torch::Tensor wave, double by) {
    auto out = wave.clone();
    louder_kernel<<<(out.numel() + 255) / 256, 256>>>(out.data_ptr<float>(), by, out.numel());
    return out;
}
""",
}


class Builder:
    """This machine with a root of its own; downloads are shared with the user's uv."""

    def __init__(self, folder: Path) -> None:
        self.root = str(folder / "root")
        self.index = module.package_index("")
        make_toolbox(self.root, "test", (ROOT / "requirements" / "toolbox.txt").read_text(), self.index)
        state = folder / "root" / "state" / "job"
        state.mkdir(parents=True)
        self.job = Job(str(state), os.open(os.devnull, os.O_RDONLY))

    def build(self, name: str, catalog: types.Catalog = CATALOG, target: recipe.Target | None = None) -> dict[str, Any]:
        """Build it against the index's torch; what its provenance says."""
        observed = probe.observe(root=self.root)
        found = target or recipe.target_of(observed, Variant(PYTHON, "cpu", "", observed["cpu"]["isa"]))
        specs, problems = recipe.builds([name], catalog, TORCH, INDEX, found, os.path.realpath(sys.executable))
        assert not problems, problems
        worker.build_wheels(self.job, self.root, specs, self.index)
        folder = self.folder = Path(wheels.wheel_folder(self.root, specs[0]["key"]))
        said: dict[str, Any] = json.loads((folder / "provenance.json").read_text())
        return said


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "pyworld",
        "monotonic_alignment_search",
        "monotonic_align",
        "pyopenjtalk",
        "fairseq",
        "torch_scatter",
        "encodec",
        "vocos",
        "speechtokenizer",
        "descript-audio-codec",
        "phonemizer",
        "dualcodec",
        "openai-whisper",
    ],
)
def test_a_recipe_builds_what_it_promises(name: str, builder: Builder) -> None:
    said = builder.build(name)
    assert said["recipe"]["name"] == name
    assert re.fullmatch(r"[0-9a-f]{64}", said["source"]["digest"])


def best_paths(values: Any) -> tuple[float, list[list[int]]]:
    """The largest sum over all monotonic alignments of frames (rows) to tokens (columns), and those that have it: each is tried."""
    frames, tokens = values.shape
    found: dict[float, list[list[int]]] = {}
    for steps in itertools.combinations(range(1, frames), tokens - 1):
        path = [sum(frame >= step for step in steps) for frame in range(frames)]
        found.setdefault(float(sum(values[frame, token] for frame, token in enumerate(path))), []).append(path)
    return max(found), found[max(found)]


def test_monotonic_align_finds_the_best_of_all_alignments(builder: Builder, tmp_path: Path) -> None:
    builder.build("monotonic_align")
    (wheel,) = builder.folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "wheel")
    (file,) = (tmp_path / "wheel" / "monotonic_align").glob("core*.so")
    spec = importlib.util.spec_from_file_location("monotonic_align.core", file)
    assert spec and spec.loader
    core: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(core)
    shapes = [(9, 4), (7, 7), (11, 3), (5, 1), (10, 6)]
    # Whole numbers: their sums are exact, whatever the order.
    values = numpy.random.default_rng(0).integers(-50, 50, (len(shapes), 11, 7)).astype("float32")
    paths = numpy.zeros(values.shape, "int32")
    frames, tokens = (numpy.array(sizes, "int32") for sizes in zip(*shapes, strict=True))
    core.maximum_path_c(paths, values.copy(), frames, tokens)
    for number, (height, width) in enumerate(shapes):
        mine = paths[number, :height, :width]
        assert mine.sum() == height == paths[number].sum()
        _, expected = best_paths(values[number, :height, :width])
        assert mine.argmax(1).tolist() in expected


def gain(builder: Builder, architectures: str, promised: Any) -> types.Catalog:
    """A catalog whose package `gain` is a CUDA extension of torch, from an archive of our own."""
    source = Path(builder.root, "source", "gain-1.0")
    source.mkdir(parents=True, exist_ok=True)
    for name, text in GAIN.items():
        (source / name).write_text(text)
    archive = source.parent / "gain-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(source, "gain-1.0")
    lock = (ROOT / "catalog" / "packages" / "locks" / "torch-extension.txt").read_text()
    # The toolkit here lacks cusparse.h and others; the index's torch brings them.
    inside = "{prefix}/lib/python{python_version}/site-packages/nvidia/cu13"
    package = types.package(
        {
            "name": "gain",
            "module": "gain",
            "recipe": {
                "use": "always",
                "releases": [
                    {
                        "version": "1.0",
                        "source": {
                            "archive": archive.as_uri(),
                            "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
                        },
                        "build_lock": "lock",
                    }
                ],
                "compiled_against": ["torch"],
                "environment": [
                    {
                        "set": {
                            "TORCH_CUDA_ARCH_LIST": architectures,
                            "CPATH": f"{inside}/include",
                            "LIBRARY_PATH": f"{inside}/lib",
                        }
                    }
                ],
                "must_contain": {"extensions": [], "modules": ["gain"], "sass": promised, "not_cpu_only": True},
                "smoke": "import torch, gain; assert gain.gain(torch.ones(3), 2.0).tolist() == [2.0, 2.0, 2.0]",
                "memory_gib": 2,
                "seconds": 300,
            },
        },
        {"lock": lock},
    )
    return types.Catalog(
        {},
        {"torch": CATALOG.packages["torch"], "gain": package},
        {},
        CATALOG.platforms,
        CATALOG.apt_run,
        CATALOG.apt_build,
    )


def cuda_target(sm: str) -> recipe.Target:
    said = subprocess.run([NVCC, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.findall(r"V(\d+\.\d+\.\d+)", said)[0]
    gcc = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()
    variant = Variant(PYTHON, "cuda13_0", sm, "generic")
    return recipe.Target(variant, platform.machine(), gcc=gcc, cuda=version, cuda_home="/usr/local/cuda")


@pytest.mark.skipif(not NVCC.exists(), reason="there is no nvcc below /usr/local/cuda")
def test_a_cuda_extension_of_torch_serves_thor_and_spark_and_a_lie_about_it_is_caught(builder: Builder) -> None:
    said = builder.build("gain", gain(builder, "11.0;12.1", ["11.0", "12.1"]), cuda_target("11.0"))
    assert said["targets"]["sass"] == ["110", "121"]
    assert any(name.startswith("libtorch") for name in said["needed"])
    with pytest.raises(Failed, match=r"its GPU code is for SM 11.0, but the recipe promises SM 12.0"):
        builder.build("gain", gain(builder, "11.0", ["12.0"]), cuda_target("12.0"))
