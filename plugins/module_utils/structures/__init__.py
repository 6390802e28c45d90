"""Upstream's real classes with random weights: written to disk, read by upstream's own loader, judged by shape, range and repetition.

It shows that code, configuration and installed packages fit together where the real weights are not to be had. A file named after a
model has

- ``structure(context, code)``, which returns a `Finding`, or raises `Failed` or `Skipped`. It is called in a process of its own, with
  the model's variables set, its source tree first on ``sys.path``, and in the working folder that the catalog names. `code` is a copy
  of the tree that it may write into; for a model whose code is a package, the folder of the environment's packages.
- ``MEMORY_GIB``, about how much memory that takes, and ``SECONDS``, about how long on two cores: left out, half a minute.
- ``STAND_INS``, where the catalog says that a mirror may lack files: for each of their paths a function that writes one of ours to a
  path. It is called only for a file that is really missing.

In: a `Context` of the doctor. Out: a finding. It travels into an environment with the doctor. Asked by the doctor, which finds a file by
the model's name (`doctor.structure`).
"""

from __future__ import annotations

TOUCHES_THE_WORLD: tuple[str, ...] = (
    "amphion",
    "chinese",
    "cut",
    "diffrhythm2",
    "dualcodec",
    "fish",
    "fish_speech",
    "fish_speech_s1",
    "maskgct",
    "metis",
    "openvoice",
    "sherpa_ctc",
    "tried",
    "vevo",
)
"""The files here that do I/O; the others are pure."""
