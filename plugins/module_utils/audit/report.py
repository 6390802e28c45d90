"""What a judgement means for hosts, for an environment, and for people: pure rules over what `verdict.judge` returned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..records.audit import AskedHost, AuditFinding, AuditReport, HostVerdict, Targets, Verdict
from .libraries import some
from .verdict import BEST_FIRST, CANNOT, CPU_ONLY, SERVES, capability, finding, parse_sm

WORDS: Mapping[Verdict, str] = {
    SERVES: "serves",
    CPU_ONLY: "runs on the CPU only, not on",
    CANNOT: "cannot serve",
}


def by_host(report: AuditReport, hosts: Mapping[str, AskedHost]) -> list[HostVerdict]:
    """For each host what the artifact is there, out of a report that was asked about the SMs of all their GPUs.

    Args:
        report: What `judge` said.
        hosts: The hosts by name.
    """
    verdicts = {verdict["sm"]: verdict["verdict"] for verdict in report["verdicts"]}
    found: list[HostVerdict] = []
    for name, host in hosts.items():
        worst: list[Verdict] = [verdicts[capability(parse_sm(gpu["sm"]))] for gpu in host["gpus"]] or [CPU_ONLY]
        why = ""
        if report["machines"] and host["architecture"] and host["architecture"] not in report["machines"]:
            worst, why = [CANNOT], f"it is for {' and '.join(report['machines'])}, the host is {host['architecture']}"
        if any(item["id"] == "empty" for item in report["findings"]):
            worst, why = [CANNOT], "there is nothing in it"
        verdict = max(worst, key=BEST_FIRST.index)
        gpus = [f"{gpu['name']} (SM {gpu['sm']})" for gpu in host["gpus"]]
        serves = verdict == SERVES or (not gpus and verdict != CANNOT)
        found.append({"host": name, "gpus": gpus, "verdict": verdict, "serves": serves, "why": why})
    return found


def unfit(report: AuditReport, owners: Mapping[str, str], built: Iterable[str], prebuilt: bool) -> list[AuditFinding]:
    """Why an environment must not be used on its host, out of the judgement of its prefix; empty where it may.

    Args:
        report: What `judge` said, asked about the GPUs of the host.
        owners: Distribution by path of its files within the prefix.
        built: Distributions that this fleet built from source.
        prebuilt: Whether the policy allows CUDA code that others built. NVIDIA's own libraries are always allowed: they
            cannot be built.
    """
    problems = []
    for verdict in report["verdicts"]:
        if verdict["verdict"] == CANNOT or "torch" in report["cpu_only"]:
            problems.append(
                finding(
                    "no_code_for_gpu",
                    f"it cannot serve SM {verdict['sm']} of this host ({'; '.join(verdict['reasons'])})",
                    "choose a stack with code for it (wavesmith_explain=true lists them), or build it from source",
                )
            )
    own = set(built)
    foreign = {
        owners.get(library["path"], library["package"])
        for library in report["libraries"]
        if library["judged"] and owners.get(library["path"]) not in own
    }
    if foreign and not prebuilt:
        problems.append(
            finding(
                "prebuilt_cuda_code",
                f"CUDA code of {some(sorted(foreign))} was built elsewhere, and this host's policy requires it to be built from source",
                "add recipes for them, or add index to wavesmith_policy",
            )
        )
    return problems


def targets_text(targets: Targets) -> str:
    """The targets in one line: ``SASS 80 90 110; in part 90a (4)``."""
    words = []
    for kind, extent in (("SASS", targets["sass"]), ("PTX", targets["ptx"])):
        throughout, partial = extent["throughout"], extent["partial"]
        if throughout or partial:
            part = ", ".join(f"{name} ({number})" for name, number in partial.items())
            both = [" ".join(throughout), f"in part {part}" if part else ""]
            words.append(f"{kind} {'; '.join(text for text in both if text)}")
    return " | ".join(words) or "no GPU code"


def wanted_text(report: AuditReport) -> str:
    """What it wants from elsewhere, in one line; empty where that is nothing."""
    wants = report["wants"]
    names = [*wants["needed"], *(f"{name} (opened by name)" for name in wants["opened"])]
    return f"from elsewhere it wants {', '.join(names)}" if names else ""


def text(report: AuditReport) -> str:
    """The judgement for people, a few lines without colours."""
    lines = [f"{report['path']}: {targets_text(report['targets'])}"]
    lines += [f"  {wanted}"] if (wanted := wanted_text(report)) else []
    for verdict in report["verdicts"]:
        lines.append(f"  {WORDS[verdict['verdict']]} SM {verdict['sm']}: {'; '.join(verdict['reasons'])}")
    lines += [f"  {item['id']}: {item['detail']}. Remedy: {item['remedy']}" for item in report["findings"]]
    return "\n".join(lines)
