"""What the models of an environment ask for, why they are refused, and what to know before they are fetched."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from ..records.host import Observed
from ..records.model import FileOf, ModelOf, WeightsOf
from ..terms.refusal import Refusal, suggest
from ..wanted.catalog import Catalog, Package, Stack
from ..wanted.model import PACKAGE, Model, Tree, WeightFile, Weights
from ..wanted.variables import Environment, Wanted
from ..wanted.weights import folder, key
from .choose import family
from .record import EnvironmentPlan, Plan

RUNNER = 4
"""Version of what runs models in an environment; a change makes new generations of those that have models."""
PAGE = "/make"
"""Where our own server makes a sound (`models.serve`)."""
NO_SERVICES: Mapping[str, int] = {}


def with_projects(wanted: Wanted, models: Mapping[str, Model]) -> Wanted:
    """The wanted state with the projects that its models need."""

    def needed(names: Iterable[str]) -> list[str]:
        return [models[name].project for name in names if name in models and models[name].project]

    return replace(
        wanted,
        environments=tuple(
            replace(item, projects=tuple(dict.fromkeys([*item.projects, *needed(item.models)])))
            for item in wanted.environments
        ),
    )


def asked(environment: Environment, catalog: Catalog, result: Plan) -> list[Model]:
    """The models of an environment; those that are not there or cannot be together are refused."""
    item = f"environment {environment.name}"
    found = []
    for name in environment.models:
        if name in catalog.models:
            found.append(catalog.models[name])
        else:
            remedy = suggest(name, catalog.models)
            result.refusals.append(Refusal(item, f"model {name!r} is not in the catalog", remedy))
    for model in found:
        if model.alone and len(found) > 1:
            others = ", ".join(other.name for other in found if other is not model)
            problem = f"model {model.name} cannot be with {others}: {model.alone}"
            result.refusals.append(Refusal(item, problem, f"give {model.name} an environment of its own"))
    return found


def narrowed(stack: Stack, models: Sequence[Model], packages: Sequence[Package] = ()) -> Stack:
    """The stack with the Pythons that its models and packages work on; its name says who narrows, and why."""
    spans = [(model.name, model.python_minimum, model.python_maximum, "") for model in models]
    spans += [(package.name, *package.python, package.python_why) for package in packages]
    narrow = [
        f"{name} ({why})" if why else name
        for name, oldest, newest, why in spans
        if oldest > stack.python_minimum or newest < stack.python_maximum
    ]
    if not narrow:
        return stack
    return replace(
        stack,
        name=f"{stack.name} with {', '.join(narrow)}",
        python_minimum=max([stack.python_minimum, *(oldest for _, oldest, _, _ in spans)]),
        python_maximum=min([stack.python_maximum, *(newest for _, _, newest, _ in spans)]),
    )


def settle_models(
    item: EnvironmentPlan,
    models: Sequence[Model],
    observed: Observed,
    result: Plan,
    token: bool,
    services: Mapping[str, int] = NO_SERVICES,
) -> None:
    """Decide on the models of an environment whose stack is known: refusals, warnings, what the manifest keeps."""
    kind = family(item.backend)
    for model in models:
        if kind in model.refused:
            problem = f"model {model.name} does not work on {item.stack}: {model.refused[kind]}"
            remedy = f"choose another stack for it, or leave {model.name} out"
            result.refusals.append(Refusal(f"environment {item.name}", problem, remedy))
        closed = dict.fromkeys(weights.licence for weights in model.weights if weights.commercial is False)
        result.warnings += [
            f"model {model.name}: the licence of its weights ({licence}) forbids commercial use" for licence in closed
        ]
        result.warnings += _memory(model, kind, observed)
        if model.tree and model.tree.absent:
            result.warnings.append(f"model {model.name}: {_lacks(model.tree)}; the doctor tries it with stand-ins")
    item.code = list(dict.fromkeys(model.tree.archive for model in models if model.tree and model.tree.archive))
    item.models = [model_of(model, observed["root"]) for model in models]
    result.warnings += [
        f"model {model.name} will not run: {of['refused'].replace('. Remedy: ', '; ')}. "
        "The doctor tries only its structure, with random weights, which can take many minutes and GiB"
        for model, of in zip(models, item.models)
        if any(weights.unknown for weights in model.weights)
    ]
    result.refusals += _serve(item, models, services, observed)
    item.weights = to_fetch(item.models, observed.get("weights", ()))
    names = {weights["name"] for weights in item.weights}
    gated = {found.name: found for model in models for found in model.weights if found.gated and found.name in names}
    if gated and not token:
        first = next(iter(gated.values()))
        problem = f"weights {first.name} ({first.place}) are gated, and there is no token"
        remedy = "accept their terms on the hub, and set HF_TOKEN in this command's environment, or wavesmith_hub_token in a vault"
        result.refusals.append(Refusal(f"environment {item.name}", problem, remedy))


def _serve(
    item: EnvironmentPlan, models: Sequence[Model], services: Mapping[str, int], observed: Observed
) -> list[Refusal]:
    """Note in the models of an environment which are run as services; why one cannot be."""
    found = []
    known = {model.name: (model, of) for model, of in zip(models, item.models)}
    for name, port in services.items():
        model, of = known.get(name, (None, None))
        if model is None or of is None:
            problem, remedy = "it is none of the environment's models", suggest(name, known)
        elif not model.task.ask:
            problem, remedy = f"a model of the task {model.task.name} cannot be run as one", "leave it out of services"
        elif of["refused"]:
            problem, _, remedy = of["refused"].partition(" Remedy: ")
        elif observed["user"]["privilege"] != "root":
            problem, remedy = "units of systemd need root's rights", "connect as root, or leave services out"
        else:
            of["service"] = {"port": port, "path": model.serves or PAGE, "ask": dict(model.task.ask)}
            continue
        found.append(Refusal(f"environment {item.name}", f"service {name}: {problem.rstrip('.')}", remedy))
    return found


def model_of(model: Model, root: str = "") -> ModelOf:
    """What the plan shows and the manifest keeps of a model; `root` is the host's folder."""
    unpinned = [weights for weights in model.weights if weights.unknown]
    refused = ""
    if unpinned:
        refused = (
            f"its weights {unpinned[0].name} ({unpinned[0].place}) are unpinned: {unpinned[0].unknown} must be known. "
            f"Remedy: wavesmith model pin {model.name}, where the hub is in reach"
        )
    elif model.tree and model.tree.absent:
        refused = (
            f"{_lacks(model.tree)}. Remedy: fetch the mirror whole (git clone --mirror), and provision this host again"
        )
    found: ModelOf = {
        "name": model.name,
        "task": model.task.name,
        "does": model.task.description,
        "takes": model.task.takes,
        "may_take": dict(model.task.may_take),
        "may_say": dict(model.task.may_say),
        "gives": model.task.gives,
        "package": model.package,
        "licence": model.licence,
        "languages": list(model.languages),
        "sample_rate": model.sample_rate,
        "weights": [_weights_of(weights, root) for weights in model.weights],
        "refused": refused,
        "runner": model.runner,
    }
    if model.variables:
        found["variables"] = dict(model.variables)
    if model.tree:
        found["code"] = {
            "git": model.tree.git,
            "commit": model.tree.commit,
            "folder": model.tree.folder,
            "workdir": model.workdir,
            "modules": list(model.modules),
            "adapters": list(model.adapters),
            "absent": list(model.tree.absent),
        }
    return found


def _lacks(tree: Tree) -> str:
    return "its repository's mirror lacks " + ", ".join(f"{path} ({tree.may_lack[path]})" for path in tree.absent)


def _weights_of(weights: Weights, root: str) -> WeightsOf:
    found: WeightsOf = {
        "name": weights.name,
        "kind": weights.kind,
        "place": weights.place,
        "revision": weights.revision,
        "licence": weights.licence,
        "commercial": weights.commercial,
        "bytes": weights.size,
        "files": [_file_of(file) for file in weights.files],
        "archive": _file_of(weights.archive) if weights.archive else None,
        "mirrors": list(weights.mirrors),
        "folder": "",
        "unknown": weights.unknown,
    }
    below = folder(found)
    found["folder"] = f"{root}/{below}" if below else ""
    return found


def _file_of(file: WeightFile) -> FileOf:
    return {"path": file.path, "bytes": file.bytes, "sha256": file.sha256}


def to_fetch(models: Sequence[ModelOf], kept: Collection[str]) -> list[WeightsOf]:
    """The weights of models that are fetched and are not on the host yet."""
    wanted = {
        key(weights): weights
        for model in models
        if not model["refused"]
        for weights in model["weights"]
        if weights["kind"] != PACKAGE
    }
    return [weights for name, weights in wanted.items() if name not in kept]


def _memory(model: Model, kind: str, observed: Observed) -> list[str]:
    """The warning where the host has less memory than the model takes."""
    if kind != "cpu" and model.memory_gpu is not None:
        sizes = [gpu["memory"] for gpu in observed["accelerators"] if gpu["memory"]]
        if sizes and max(sizes) < model.memory_gpu * 2**30:
            here = f"the largest GPU here has {max(sizes) / 2**30:.0f}"
            return [f"model {model.name} takes about {model.memory_gpu:g} GiB of GPU memory, {here}"]
        return []
    total = observed["memory"]["total"] / 2**30
    if total < model.memory_host:
        return [f"model {model.name} takes about {model.memory_host:g} GiB of memory, this host has {total:.0f}"]
    return []


def digested(models: Sequence[ModelOf]) -> dict[str, object]:
    """What of the models goes into a generation's digest; nothing where there are none."""
    if not models:
        return {}
    files = {
        model["name"]: [file["sha256"] for weights in model["weights"] for file in weights["files"]] for model in models
    }
    own = {model["name"]: model["runner"] for model in models if model["runner"]}
    code = {model["name"]: [model["code"], model.get("variables", {})] for model in models if "code" in model}
    services = {model["name"]: model["service"] for model in models if "service" in model}
    return {
        "models": files,
        "runner": RUNNER,
        **({"own runners": own} if own else {}),
        **({"code": code} if code else {}),
        **({"services": services} if services else {}),
    }


def lines(models: Sequence[ModelOf]) -> list[str]:
    """The models for people, one line each: task, licences, size, and why one is not run with its weights."""
    found = []
    for model in models:
        size = sum(weights["bytes"] for weights in model["weights"])
        licences = dict.fromkeys(weights["licence"] or "of unknown licence" for weights in model["weights"])
        weighs = f"weights {' and '.join(licences)}, {_bytes(size)}" if model["weights"] else "no weights"
        unpinned = [weights["name"] for weights in model["weights"] if weights["unknown"]]
        why = f"{', '.join(unpinned)} unpinned" if unpinned else model["refused"]
        refused = f"; without its weights: {why}" if model["refused"] else ""
        served = f"; service at 127.0.0.1:{model['service']['port']}" if "service" in model else ""
        found.append(
            f"{model['name']}: {model['task']}; code {model['licence'] or 'of unknown licence'}, {weighs}{served}{refused}"
        )
    return found


def _bytes(size: int) -> str:
    if not size:
        return "of unknown size"
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{max(size / 2**20, 0.1):.1f} MiB"
