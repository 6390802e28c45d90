"""What the processes of an environment find set, as far as the plan knows it."""

from __future__ import annotations

from ..records.host import Observed


def variables(backend: str, observed: Observed, native: str) -> dict[str, str]:
    """What an environment's processes find set, as far as the plan knows it; ``{prefix}`` stands for the prefix.

    Args:
        backend: The stack's, such as ``cuda13_0``.
        observed: What `observe` returned.
        native: ``channel`` or ``system``.
    """
    found: dict[str, str] = {}
    sms = sorted({sm for gpu in observed["accelerators"] if (sm := gpu.get("sm"))}, key=_number)
    if backend.startswith("cuda"):
        if sms:
            found["TORCH_CUDA_ARCH_LIST"] = ";".join(sms)
        version = backend[len("cuda") :].replace("_", ".")
        same = [kit for kit in observed.get("toolkits", ()) if kit["nvcc"] and kit["version"].startswith(version)]
        if same:
            home = found["CUDA_HOME"] = same[0]["path"]
            # triton's own ptxas may be older than the GPU; the second name is what triton >= 3.6 reads from SM 10.0 on
            # (triton-lang/triton issue 8539, vllm-project/vllm issue 34470).
            found["TRITON_PTXAS_PATH"] = found["TRITON_PTXAS_BLACKWELL_PATH"] = f"{home}/bin/ptxas"
    if native == "channel":
        # phonemizer looks among the system's libraries otherwise (phonemizer 3.4.0, backend/espeak/wrapper.py).
        found["PHONEMIZER_ESPEAK_LIBRARY"] = "{prefix}/lib/libespeak-ng.so.1"
        found["PHONEMIZER_ESPEAK_DATA_PATH"] = "{prefix}/share"
    return found


def _number(sm: str) -> tuple[int, ...]:
    return tuple(int(part) for part in sm.split(".") if part.isdigit())
