#!/usr/bin/python
# Copyright: Wavesmith contributors
# Apache License 2.0 (see LICENSE)
"""Switch, roll back and prune generations."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: generation
short_description: Switch, roll back, prune and repair the generations of environments
version_added: "0.1.0"
description:
  - The services of models (C(services) of an environment) are systemd's, and follow the switch. Each has to make a sound; where one does not, the
    generation before is current again.
  - A switch is one rename of a symbolic link. It either happened or it did not, and the generation before stays as it was.
options:
  root:
    description:
      - Wavesmith's folder on the host.
      - Empty means C(/opt/wavesmith) or C(~/wavesmith), whichever is there.
    type: str
    default: ""
  state:
    description:
      - V(active) switches to the named generations, which must be complete and found healthy by the doctor.
      - V(rolled_back) goes back to the generation that was current before, or to a named one. Of several environments, those without another stay as they are.
      - V(pruned) removes what is neither current, nor among the newest healthy O(keep), nor what a rollback would go to.
      - V(repaired) removes what is not current and was changed, so that all that stays can be gone back to.
    type: str
    choices: [active, rolled_back, pruned, repaired]
    required: true
  environments:
    description:
      - Generation by environment. A value that is no text names no generation, so C(wavesmith_environments) itself can be given.
      - With O(state=rolled_back) no generation means the one before.
    type: dict
    required: true
  keep:
    description:
      - How many generations O(state=pruned) keeps, the current one counted in; at least 1.
      - The one that a rollback would go to stays in any case, and so does one that shares no file with the others, where there is one.
    type: int
    default: 3
extends_documentation_fragment:
  - wavesmith.provision.attributes
  - wavesmith.provision.attributes.shown
author:
  - Wavesmith contributors (@wavesmith)
"""

EXAMPLES = r"""
- name: Go back to the generation before
  wavesmith.provision.generation:
    root: /opt/wavesmith
    state: rolled_back
    environments: {speech: ""}
"""

RETURN = r"""
current:
  description: The current generation of each environment.
  returned: always
  type: dict
kept:
  description: Each environment as it is now, with its generations and the verdict of the current one.
  returned: with O(state=active) and O(state=rolled_back), and not in check mode
  type: dict
removed:
  description: What was removed, by environment.
  returned: when O(state=pruned) or O(state=repaired)
  type: dict
freed:
  description: Bytes that this freed, or would free.
  returned: when O(state=pruned) or O(state=repaired)
  type: int
text:
  description: What was removed, a line for each environment.
  returned: when O(state=pruned) or O(state=repaired)
  type: list
  elements: str
services:
  description: What changed of the services of models.
  returned: always
  type: list
  elements: str
seconds:
  description: Seconds that the switch took.
  returned: always
  type: float
"""

import os
import time
from collections.abc import Mapping
from contextlib import nullcontext

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host import services, store
from ..module_utils.host.module import settle
from ..module_utils.prefix.conda import register


def _listing(root: str, names: list[str]) -> dict[str, str]:
    return {name: store.pointed(store.environment_folder(root, name)) or "none" for name in names}


def _text(name: str, removed: Mapping[str, str], freed: int, stays: Mapping[str, str], check: bool) -> str:
    did = "would remove" if check else "removed"
    what = f"{did} {_listed(removed)}, {freed / 2**30:.2f} GiB" if removed else "nothing to remove"
    return f"{name}: {what}" + (f"; keeps {_listed(stays)}" if stays else "")


def _listed(generations: Mapping[str, str]) -> str:
    return ", ".join(f"{item} ({why})" if why else item for item, why in generations.items())


def _doomed(root: str, name: str, state: str, keep: int) -> dict[str, str]:
    """Generations that go, each with the reason where it has one of its own."""
    if state == "repaired":
        return store.changed_apart(root, name)
    return dict.fromkeys(store.prunable(root, name, keep), "")


def _targets(root: str, wanted: Mapping[str, str]) -> dict[str, str]:
    """Where each environment goes back to. One of several that never had another generation stays as it is; where all are so, that is an error."""
    found, problems = dict[str, str](), list[store.StoreError]()
    for name in sorted(wanted):
        try:
            found[name] = store.rollback_target(root, name, wanted[name])
        except store.StoreError as error:
            if wanted[name] or len(wanted) == 1:
                raise
            problems.append(error)
    if problems and not found:
        raise problems[0]
    return found


def _prune(root: str, name: str, doomed: list[str], check: bool) -> list[str]:
    folder = store.environment_folder(root, name)
    if not check:
        for item in doomed:
            store.remove(os.path.join(folder, item))
        for item in store.leftovers(folder):
            path = os.path.join(folder, item)
            os.unlink(path) if os.path.islink(path) else store.remove(path)
    return doomed


def _switch(root: str, name: str, generation: str) -> list[str]:
    """Switch an environment, and its services with it: where one is not heard, everything is as it was before.

    Raises:
        StoreError: the generation is not fit, or a service of it is not.
    """
    before = store.activate(root, name, generation)
    try:
        return services.settle(root, name)
    except store.StoreError as error:
        if before == generation:
            raise
        if before is None:
            os.unlink(os.path.join(store.environment_folder(root, name), "current"))
        else:
            store.activate(root, name, before)
        services.settle(root, name)
        again = (
            f"generation {before} of {name} is current again, with its services"
            if before
            else f"{name} has no current one"
        )
        raise store.StoreError(f"{error}; {again}") from None


def main() -> None:
    """Wire the options to the core."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "str", "default": ""},
            "state": {"type": "str", "required": True, "choices": ["active", "rolled_back", "pruned", "repaired"]},
            "environments": {"type": "dict", "required": True},
            "keep": {"type": "int", "default": 3},
        },
        supports_check_mode=True,
    )
    given = module.params
    names = sorted(given["environments"])
    root = given["root"] or store.existing_root()
    settle(module, root)
    started = time.monotonic()
    before = _listing(root, names)
    after = dict(before)
    removed: dict[str, list[str]] = {}
    freed, text, served = 0, list[str](), list[str]()
    try:
        # In check mode of a host that has nothing yet, a switch to a generation that is not there yet is what would happen.
        if names and not os.path.isdir(root) and not (module.check_mode and given["state"] == "active"):
            raise store.StoreError(f"{root} is not there. Remedy: provision this host first, or set wavesmith_root")
        with nullcontext() if module.check_mode else store.locked(root, f"{given['state']} {', '.join(names)}"):
            if given["state"] in ("pruned", "repaired"):
                # All are looked at before the first goes: what cannot be pruned stops all.
                pruned = given["state"] == "pruned"
                stays = {name: store.kept(root, name, given["keep"]) if pruned else {} for name in names}
                doomed = {name: _doomed(root, name, given["state"], given["keep"]) for name in names}
                for name, items in doomed.items():
                    folder = store.environment_folder(root, name)
                    here = store.room(*(os.path.join(folder, item) for item in items))
                    removed[name] = _prune(root, name, list(items), module.check_mode)
                    text.append(_text(name, items, here, stays[name], module.check_mode))
                    freed += here
            else:
                wanted = {
                    name: value if isinstance(value, str) else "" for name, value in given["environments"].items()
                }
                if given["state"] == "rolled_back":
                    wanted = _targets(root, wanted)
                for name in wanted:
                    if not module.check_mode and (given["state"] == "active" or wanted[name] != before[name]):
                        served += _switch(root, name, wanted[name])
                    after[name] = wanted[name]
            if not module.check_mode:
                if given["state"] == "pruned":
                    store.sweep(root)
                register(root)
    except store.StoreError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename or root}: {error.strerror}. Remedy: run as the owner of {root}, or free some space"
        )
    switched = given["state"] in ("active", "rolled_back") and not module.check_mode
    module.exit_json(
        **({"kept": {name: store.kept_environment(root, name) for name in names}} if switched else {}),
        changed=after != before or any(removed.values()) or bool(served),
        services=served,
        current=after,
        removed=removed,
        freed=freed,
        text=text,
        seconds=round(time.monotonic() - started, 3),
        diff={"before": {"current": before}, "after": {"current": after, **({"removed": removed} if removed else {})}},
    )


if __name__ == "__main__":
    main()
