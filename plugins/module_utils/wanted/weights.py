"""Where weights lie below a host's root, and what stands for a set of them."""

from __future__ import annotations

from ..records.model import WeightsOf
from ..terms.digest import digest

FOLDER = "models"
HUB_CACHE = f"{FOLDER}/hub"
"""What HF_HUB_CACHE points to: the layout that huggingface_hub reads offline (2.4.0 and 0.31.1 were tried)."""
BLOBS = f"{FOLDER}/blobs"
"""Every file once, by its sha256, whichever models and repositories have it."""
KEPT = f"{FOLDER}/kept"
"""A record for each set of weights that is complete."""

SERVED = "wheelhouse"
"""The folder of a host of the wheelhouse in which weights lie for others, laid out as they are below its root."""


def repository(place: str) -> str:
    """The folder of a hub's repository in its cache."""
    return f"{HUB_CACHE}/models--{place.replace('/', '--')}"


def key(weights: WeightsOf) -> str:
    """The name of a set of weights: other files, or the same from elsewhere in the layout, are another set."""
    files = sorted((file["path"], file["sha256"]) for file in weights["files"])
    return f"{weights['name']}-{digest([weights['kind'], weights['place'], weights['revision'], files])[:16]}"


def folder(weights: WeightsOf) -> str:
    """Where its files lie below the root, each at its path; empty for those of a package, which lie in the environment."""
    if weights["kind"] == "hub":
        return f"{repository(weights['place'])}/snapshots/{weights['revision']}"
    return f"{FOLDER}/files/{key(weights)}" if weights["kind"] == "url" else ""


def blob(sha256: str) -> str:
    """Where a file lies below the root."""
    return f"{BLOBS}/{sha256}"
