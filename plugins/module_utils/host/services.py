"""Models that run as services: a hardened unit of systemd for each, which follows the current generation of its environment."""

from __future__ import annotations

import glob
import io
import json
import math
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import wave
from array import array
from typing import Any

from ..records.generation import GenerationManifest
from ..records.model import ServiceOf
from . import store

FOLDER, BOOTED = "/etc/systemd/system", "/run/systemd/system"
"""Where units are, and what is there where systemd runs (sd_booted(3))."""
PATIENCE = 900.0
"""Seconds that a service has to load its model and answer."""
RESTARTS = 2
"""How often systemd may have started it anew before it is taken for broken."""
SECONDS, LEVEL = 0.2, -60.0
"""What is heard when it works: a sound of so many seconds, of so many dBFS."""
_STOPPED = ("failed", "inactive")
_UNIT = """\
# Wavesmith {root}: written at each switch of environment {environment}.
[Unit]
Description=Wavesmith: {model} of environment {environment}
After=network.target

[Service]
Type=exec
ExecStart={command} --serve {port}
Restart=on-failure
RestartSec=10
DynamicUser=yes
StateDirectory={name}
WorkingDirectory=%S/{name}
Environment=HOME=%S/{name} XDG_CACHE_HOME=%S/{name} NUMBA_CACHE_DIR=%S/{name}/numba MPLCONFIGDIR=%S/{name} PYTHONDONTWRITEBYTECODE=1
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome={home}
PrivateTmp=yes
{devices}
ProtectClock=yes
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectProc=invisible
RestrictNamespaces=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
IPAddressDeny=any
IPAddressAllow=localhost

[Install]
WantedBy=multi-user.target
"""
# CUDA opens the driver's devices, ROCm the kernel's own; nothing else is needed.
_NO_DEVICES = "PrivateDevices=yes"
_GPU = "DevicePolicy=closed\nDeviceAllow=char-nvidia* rw\nDeviceAllow=char-nvidia-uvm rw\nDeviceAllow=char-drm rw\nDeviceAllow=/dev/kfd rw"


def unit(root: str, environment: str, prefix: str, model: str, port: int, accelerated: bool) -> tuple[str, str]:
    """The name and the text of a unit."""
    name = f"wavesmith-{environment}-{model}"
    text = _UNIT.format(
        root=root,
        environment=environment,
        model=model,
        name=name,
        command=os.path.join(prefix, "wavesmith", "models", model),
        port=port,
        # Its own files may lie in somebody's home, and are only read.
        home="read-only" if prefix.startswith(("/home/", "/root/", "/run/user/")) else "yes",
        devices=_GPU if accelerated else _NO_DEVICES,
    )
    return f"{name}.service", text


def settle(root: str, environment: str) -> list[str]:
    """Let the services of an environment be those of its current generation, and hear each; what changed.

    Raises:
        StoreError: one does not start, or is not heard; the message has its last words.
    """
    wanted, asked = _wanted(root, environment)
    present = _present(root, environment)
    if not wanted and not present:
        return []
    if not os.path.isdir(BOOTED):
        name = next(iter({**wanted, **present}))
        raise store.StoreError(f"service {name}: systemd does not run here. Remedy: leave services out on this host")
    changes = []
    for name in present.keys() - wanted.keys():
        _systemctl("disable", "--now", name)
        os.unlink(os.path.join(FOLDER, name))
        changes.append(f"service {name} was removed")
    for name, text in wanted.items():
        if present.get(name) != text:
            store.write_text(os.path.join(FOLDER, name), text)
            changes.append(f"service {name} was {'changed' if name in present else 'made'}")
    if changes:
        _systemctl("daemon-reload")
    for name, text in wanted.items():
        _systemctl("enable", name)
        _systemctl("restart" if present.get(name) != text else "start", name)
        _hear(name, asked[name])
    return changes


def _wanted(root: str, environment: str) -> tuple[dict[str, str], dict[str, ServiceOf]]:
    current = store.pointed(store.environment_folder(root, environment))
    prefix = store.generation_folder(root, environment, current) if current else ""
    manifest: GenerationManifest | None = store.read_json(os.path.join(prefix, store.MANIFEST)) if current else None
    texts: dict[str, str] = {}
    asked: dict[str, ServiceOf] = {}
    for model in manifest.get("models", ()) if manifest else ():
        if "service" in model and manifest:
            service = model["service"]
            name, text = unit(root, environment, prefix, model["name"], service["port"], manifest["accelerated"])
            texts[name], asked[name] = text, service
    return texts, asked


def _present(root: str, environment: str) -> dict[str, str]:
    """The units of an environment that this root has written."""
    found = {}
    for path in glob.glob(os.path.join(FOLDER, f"wavesmith-{environment}-*.service")):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if text.startswith(f"# Wavesmith {root}:"):
            found[os.path.basename(path)] = text
    return found


def _systemctl(*words: str) -> str:
    try:
        done = subprocess.run(["systemctl", *words], capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise store.StoreError(
            f"systemctl {' '.join(words)}: {error}. Remedy: see whether systemd works on this host"
        ) from None
    if done.returncode and words[0] != "is-active":
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise store.StoreError(f"systemctl {' '.join(words)}: {said}. Remedy: see systemctl status")
    return done.stdout.strip()


def _hear(name: str, service: ServiceOf) -> None:
    """Let a service make a sound, once it listens."""
    until = time.monotonic() + PATIENCE
    problem = ""
    while time.monotonic() < until:
        try:
            problem = silence(_ask(service))
            if not problem:
                return
            break
        except urllib.error.HTTPError as error:
            problem = f"HTTP {error.code}: {error.read(500).decode(errors='replace')}"
            break
        except OSError as error:
            problem = str(error)
        restarts = _systemctl("show", "--property=NRestarts", "--value", name)
        if _systemctl("is-active", name) in _STOPPED or (restarts.isdigit() and int(restarts) >= RESTARTS):
            problem = "it ended"
            break
        time.sleep(1)
    raise store.StoreError(
        f"service {name}: asked at 127.0.0.1:{service['port']}{service['path']}, it made no sound ({problem}). "
        f"Remedy: {_last_words(name) or f'journalctl -u {name}'}"
    )


def _ask(service: ServiceOf) -> bytes:
    address = f"http://127.0.0.1:{service['port']}{service['path']}"
    body = json.dumps(service["ask"]).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    # A proxy of the surroundings is not asked for this machine.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=PATIENCE) as answer:
        found: bytes = answer.read()
    return found


def silence(data: bytes) -> str:
    """Why a WAV of 16 bits is no sound; empty where it is one."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            rate, width, frames = file.getframerate(), file.getsampwidth(), file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        return f"what came is no WAV: {error}"
    if width != 2:
        return f"it has {8 * width} bits, not 16"
    samples = array("h", frames)
    if sys.byteorder == "big":
        samples.byteswap()
    if len(samples) < SECONDS * rate:
        return f"it lasts {len(samples) / rate:.2f} s"
    mean = sum(value * value for value in samples) / len(samples)
    level = 10 * math.log10(max(mean, 1e-3) / 32768**2)
    return f"its level is {level:.0f} dBFS" if level < LEVEL else ""


def _last_words(name: str) -> str:
    try:
        done: Any = subprocess.run(
            ["journalctl", "-u", name, "-n", "5", "-o", "cat", "--no-pager"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    said = " / ".join(line.strip() for line in done.stdout.splitlines() if line.strip())
    return f"see journalctl -u {name}, which ends: {said}" if said else ""
