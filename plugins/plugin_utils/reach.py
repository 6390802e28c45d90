"""Why a host cannot be worked on, in words for people: no way in, no Python there, no rights of root."""

from __future__ import annotations

import re

from ansible_collections.wavesmith.provision.plugins.plugin_utils.interface import Result, Variables

_WAYS_IN = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key .*has changed",
        "its host key is not the one that is known",
        "find out why; if it was set up again, run: ssh-keygen -R {address}",
    ),
    (
        r"Host key verification failed",
        "its host key is not known here",
        "log in once by hand, and compare it: ssh {login}",
    ),
    (
        r"UNPROTECTED PRIVATE KEY|bad permissions|invalid format|no such identity",
        "the private key cannot be used",
        "chmod 600 it, or correct ansible_ssh_private_key_file",
    ),
    (
        r"Permission denied|Too many authentication failures|Authentication fail",
        "it does not accept user {user}",
        "correct ansible_user, or copy your key there: ssh-copy-id {login}",
    ),
    (r"Could not resolve hostname|Name or service not known", "the name {address} is unknown", "correct ansible_host"),
    (
        r"timed out|No route to host|Network is unreachable",
        "{address} does not answer",
        "check that it is on and in reach: ping {address}",
    ),
    (r"Connection refused", "{address} refuses SSH connections", "start its SSH server, or correct ansible_port"),
    (r"sshpass|password.*not", "a password needs the program sshpass here", "use a key, or apt-get install sshpass"),
)
_NO_PYTHON = re.compile(
    r"interpreter.{0,80}(was )?not found|python[\d.]*: (command )?not found|No such file.{0,40}python"
)


def no_way_in(host: str, variables: Variables, said: str) -> str:
    """The message for a host that cannot be reached: the reason in ssh's own words, and one remedy. A message that has its remedy stays."""
    if "Remedy: " in said:
        return said.removeprefix("Task failed: ")
    told = re.search(r'remote host "([^"]+)"', said)
    address = str(variables.get("ansible_host") or (told[1] if told else host))
    user = str(variables.get("ansible_user") or "")
    names = {"address": address, "user": user or "(yours)", "login": f"{user}@{address}" if user else address}
    for pattern, problem, remedy in _WAYS_IN:
        if re.search(pattern, said, re.IGNORECASE):
            return f"host {host}: {problem.format(**names)} ({_last(said)}). Remedy: {remedy.format(**names)}"
    return f"host {host}: it cannot be reached ({_last(said)}). Remedy: log in once by hand: ssh {names['login']}"


def no_python(answer: Result) -> bool:
    """Whether a module failed because the host has no Python."""
    said = " ".join(str(answer.get(key, "")) for key in ("msg", "module_stderr", "module_stdout", "exception"))
    return bool(_NO_PYTHON.search(said))


_RIGHTS = (
    (
        r"Incorrect \w+ password|Sorry, try again",
        "sudo does not take the password that was given",
        "start again with -K and the password that this user has there",
    ),
    (r"Missing \w+ password|a password is required", "sudo asks for a password", "start again with -K"),
    (
        r"not in the sudoers file|not allowed to (?:execute|run sudo)|may not run sudo",
        "its user may not use sudo",
        "ask an administrator for that, or set ansible_user to a user who may",
    ),
    (
        r"waiting for privilege escalation|must have a tty|command not found.*sudo|sudo.*command not found",
        "sudo does not answer as it should",
        "log in once by hand, and run there: sudo true",
    ),
)


def no_rights(answer: Result) -> str:
    """The message for a host where root's rights cannot be had, for one task or another; empty: that is not what is wrong."""
    said = " ".join(str(answer.get(key, "")) for key in ("msg", "module_stderr", "module_stdout"))
    for pattern, problem, remedy in _RIGHTS:
        if re.search(pattern, said):
            return f"this host: {problem}. Remedy: {remedy}"
    return ""


def _last(said: str) -> str:
    lines = [line.strip() for line in said.replace("\r", "\n").splitlines() if line.strip()]
    return re.sub(
        r"^.*?make sure this host can be reached over ssh: ", "", lines[-1] if lines else "nothing", flags=re.IGNORECASE
    ).rstrip(".")
