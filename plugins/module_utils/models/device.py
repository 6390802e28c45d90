"""Which device a model computes on."""

from __future__ import annotations

from collections.abc import Sequence

PRIORITY = ("cuda", "rocm", "directml", "cpu")
"""Best first."""


class NoDevice(ValueError):
    """What was asked for is not there, or the model cannot use it; the message has the remedy."""


def choose(model: str, able: Sequence[str], found: Sequence[str], asked: str = "auto") -> tuple[str, str]:
    """The device of a model, and why.

    Args:
        model: Its name.
        able: The devices it can compute on.
        found: The devices that are there; the CPU always is.
        asked: One of `PRIORITY`, or ``auto``.

    Raises:
        NoDevice: the one that was asked for cannot be had.
    """
    there = {*found, "cpu"}
    if asked != "auto":
        if asked not in able:
            raise NoDevice(f"{model} cannot compute on {asked}. Remedy: say --device {' or '.join([*able, 'auto'])}")
        if asked not in there:
            raise NoDevice(f"{asked} is not there or not usable. Remedy: use --device {' or '.join(sorted(there))}")
        return asked, "it was asked for"
    device = next(device for device in PRIORITY if device in there and device in able)
    if device != "cpu":
        return device, "it is the best one here"
    unused = [name for name in PRIORITY if name in there and name != "cpu"]
    if unused:
        return device, f"{model} cannot compute on {unused[0]}, which stays unused"
    return device, f"{model} needs no other" if tuple(able) == ("cpu",) else "no other device is here"
