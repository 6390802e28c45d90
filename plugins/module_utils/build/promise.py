"""Whether a built wheel is what its recipe promised: pure rules over what was read out of the wheel."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Mapping

from ..audit.fatbin import SASS
from ..audit.libraries import DRIVER_LIBRARIES
from ..audit.verdict import Artifact, summary
from ..records.wheel import WheelSpec

_OF_CUDA = re.compile(
    r"lib(?:torch_cuda|c10_cuda|torch_hip|c10_hip|cudart|cublas|cublasLt|cudnn|nvrtc|amdhip64|onnxruntime_providers_cuda)[_a-z]*\.so.*"
)


def targets(artifact: Artifact) -> dict[str, list[str]]:
    """What all of its libraries hold code for, as ``{"sass": ["110"], "ptx": []}``; what only a few kernels have is not told."""
    found = summary(library.code for library in artifact.libraries if library.code.fatbins)
    return {"sass": list(found["sass"]["throughout"]), "ptx": list(found["ptx"]["throughout"])}


def needed(artifact: Artifact) -> tuple[list[str], list[str]]:
    """Which libraries the wheel needs from elsewhere, and which it provides."""
    names = {
        name
        for library in artifact.libraries
        for name in (library.path.rpartition("/")[2], library.dynamic.soname)
        if name
    }
    wanted = {name for library in artifact.libraries for name in library.dynamic.needed}
    return sorted(wanted - names), sorted(names)


def broken(
    build: WheelSpec, artifact: Artifact, wheel: str, files: Collection[str], available: Collection[str]
) -> list[str]:
    """What a wheel lacks of what its recipe promised, each in one sentence; empty: it keeps its word.

    Args:
        build: The build, as `recipe.render` gives it.
        artifact: The wheel's libraries.
        wheel: Its file name.
        files: The names of all files in it.
        available: Names of libraries that the system and the wheels it was compiled against have.
    """
    contents = build["contents"]
    problems = [
        f"it has no compiled module {name}" for name in contents["extensions"] if not _has(name, files, compiled=True)
    ]
    problems += [f"it has no module {name}" for name in contents["modules"] if not _has(name, files, compiled=False)]
    python, _abi, platform = wheel.removesuffix(".whl").split("-")[-3:]
    if artifact.libraries and platform == "any":
        problems.append(f"it has compiled code, but its name says that it runs on any platform ({wheel})")
    wanted = "cp" + build["variant"].partition("-")[0].removeprefix("python")
    if not any(
        tag == wanted or tag.startswith("py") or (tag.startswith("cp3") and "abi3" in _abi) for tag in python.split(".")
    ):
        problems.append(f"it is for another Python ({wheel}, wanted {wanted})")
    machines = {library.dynamic.machine for library in artifact.libraries}
    if len(machines) > 1:
        problems.append(f"it mixes code for {' and '.join(sorted(machines))}")
    promised = sorted(sm.replace(".", "") for sm in contents["sass"])
    if promised:
        held = sorted(targets(artifact)[SASS])
        if held != promised:
            problems.append(
                f"its GPU code is for {_sms(held) or 'no GPU'}, but the recipe promises {_sms(promised)} (read out of its fatbins)"
            )
    if contents["not_cpu_only"] and not any(
        library.code.fatbins or any(_OF_CUDA.fullmatch(name) for name in library.dynamic.needed)
        for library in artifact.libraries
    ):
        problems.append("it is built for the CPU only: no GPU code in it, and no library of CUDA or ROCm is linked")
    problems += [f"{path} is {why}" for path, why in artifact.unread]
    problems += [f"{library.path} has damaged GPU code" for library in artifact.libraries if library.code.damaged]
    missing = [
        name
        for name in needed(artifact)[0]
        if name not in available and not any(fnmatch.fnmatch(name, pattern) for pattern in DRIVER_LIBRARIES)
    ]
    if missing:
        problems.append(f"nothing provides {', '.join(missing)}")
    return problems


def _has(module: str, files: Collection[str], compiled: bool) -> bool:
    path = module.replace(".", "/")
    if not compiled and (f"{path}/__init__.py" in files or f"{path}.py" in files):
        return True
    pattern = re.compile(re.escape(path) + r"(?:\.[\w-]+)?\.so")
    return any(pattern.fullmatch(name) for name in files)


def _sms(names: Collection[str]) -> str:
    return ", ".join(f"SM {name[:-1]}.{name[-1]}" if name.isdigit() else f"SM {name}" for name in names)


def sbom(build: WheelSpec, wheel: str, sha256: str, tools: Mapping[str, str]) -> dict[str, object]:
    """What went into a wheel, as a CycloneDX 1.6 document (https://cyclonedx.org/docs/1.6/json/)."""
    source = build["source"]
    itself = f"pkg:pypi/{build['name']}@{build['version']}"
    git = source["kind"] == "git"
    origin: dict[str, object] = {
        "type": "library",
        "bom-ref": "source",
        "name": source["name"],
        "version": source["digest"] if git else build["version"],
        "externalReferences": [{"type": "vcs" if git else "source-distribution", "url": url} for url in source["urls"]],
    }
    if not git:
        origin["hashes"] = [{"alg": "SHA-256", "content": source["digest"]}]
    components = [origin]
    for name, version in re.findall(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", build["build_lock"], re.MULTILINE):
        purl = f"pkg:pypi/{name}@{version}"
        if all(component["bom-ref"] != purl for component in components):  # one version for each Python
            components.append(
                {
                    "type": "library",
                    "bom-ref": purl,
                    "name": name,
                    "version": version,
                    "purl": purl,
                    "scope": "excluded",
                }
            )
    for entry in build["against"]:
        purl = f"pkg:pypi/{entry['name']}@{entry['version']}"
        components.append(
            {
                "type": "library",
                "bom-ref": f"against-{purl}",
                "name": entry["name"],
                "version": entry["version"],
                "purl": purl,
                "properties": [{"name": "wavesmith:wheel-key", "value": entry["key"] or "of an index"}],
            }
        )
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": itself,
                "name": build["name"],
                "version": build["version"],
                "purl": itself,
                "hashes": [{"alg": "SHA-256", "content": sha256}],
                "properties": [
                    {"name": "wavesmith:file", "value": wheel},
                    {"name": "wavesmith:variant", "value": build["variant"]},
                ],
            },
            "tools": {
                "components": [
                    {"type": "application", "name": name, "version": version} for name, version in sorted(tools.items())
                ]
            },
        },
        "components": components,
        "dependencies": [{"ref": itself, "dependsOn": [component["bom-ref"] for component in components]}],
    }
