"""A small web page and an interface for programs of a model that makes a sound of a text, on the loopback alone.

``GET /`` is the page, ``GET /health`` says that it listens, and ``POST /make`` takes a JSON object, ``text`` and what else the model may be given (WAVs in
base64), and gives a WAV. It makes one sound at a time.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import tempfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import sound

if TYPE_CHECKING:  # this room travels without that one
    from ..records.model import ModelOf

MOST = 64 * 2**20
"""Bytes that a request may have."""
JSON, WAV = "application/json", "audio/wav"
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{name}</title>
<style>body{{font:16px sans-serif;max-width:40em;margin:2em auto;padding:0 1em}}label{{display:block;margin:1em 0}}
textarea,input{{display:block;width:100%;font:inherit;box-sizing:border-box}}button{{font:inherit;padding:.3em 1em}}output{{display:block;margin:1em 0}}</style>
<h1>{name}</h1><p>{does}</p>
<form><label>text<textarea name="text" rows="6" required></textarea></label>{fields}<button>Make it</button></form>
<output></output><audio controls hidden></audio>
<script>
const form = document.forms[0], said = document.querySelector("output"), audio = document.querySelector("audio");
const read = file => new Promise(done => {{
  const reader = new FileReader(); reader.onload = () => done(reader.result.split(",")[1]); reader.readAsDataURL(file);
}});
form.onsubmit = async event => {{
  event.preventDefault();
  const asked = {{}};
  for (const [name, value] of new FormData(form))
    if (value instanceof File ? value.size : value) asked[name] = value instanceof File ? await read(value) : value;
  said.textContent = "…";
  const answer = await fetch("make", {{method: "POST", headers: {{"Content-Type": "application/json"}}, body: JSON.stringify(asked)}});
  if (!answer.ok) {{ said.textContent = (await answer.json()).error; return; }}
  said.textContent = ""; audio.hidden = false; audio.src = URL.createObjectURL(await answer.blob()); audio.play();
}};
</script>
"""


def page(model: ModelOf) -> str:
    """The page of a model: a field for each thing that it may be given."""
    files = [
        f'<label>{html.escape(what)}<input type="file" accept=".wav" name="{name}"></label>'
        for name, what in model["may_take"].items()
    ]
    texts = [
        f'<label>{html.escape(what)}<input name="{name}"></label>' for name, what in model.get("may_say", {}).items()
    ]
    return _PAGE.format(
        name=html.escape(model["name"]), does=html.escape(model["does"]), fields="".join([*files, *texts])
    )


def make(model: ModelOf, work: Callable[..., Any], asked: Any) -> bytes:
    """The WAV of what was asked for.

    Raises:
        ValueError: it was asked for wrongly; the message says how.
    """
    said = {"text", *model["may_take"], *model.get("may_say", {})}
    if not isinstance(asked, dict) or not all(isinstance(value, str) for value in asked.values()):
        raise ValueError("what is asked for must be a JSON object of texts")
    if unknown := sorted(asked.keys() - said):
        raise ValueError(f"{unknown[0]} is not known. Remedy: use {', '.join(sorted(said))}")
    if not asked.get("text", "").strip():
        raise ValueError("there is no text. Remedy: text")
    given = {
        name: _heard(name, value, model["sample_rate"]) if name in model["may_take"] else value
        for name, value in asked.items()
        if name != "text"
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "out.wav")
        sound.write(path, work(asked["text"], **given))
        return path.read_bytes()


def _heard(name: str, value: str, rate: int) -> sound.Sound:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{name}.wav")
        try:
            path.write_bytes(base64.b64decode(value, validate=True))
        except binascii.Error:
            raise ValueError(f"{name} is no WAV in base64") from None
        return sound.read(path, rate)


def server(model: ModelOf, work: Callable[..., Any], port: int) -> ThreadingHTTPServer:
    """The server of a model, bound to a port of the loopback; ``serve_forever`` runs it."""
    busy = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        """Answers one request."""

        server_version, sys_version = "wavesmith", ""

        def do_GET(self) -> None:
            """The page, or that it listens."""
            if not self._from_here():
                return
            if self.path == "/":
                self._answer(200, page(model).encode(), "text/html; charset=utf-8")
            elif self.path == "/health":
                self._answer(200, json.dumps({"status": "ok", "model": model["name"]}).encode(), JSON)
            else:
                self._problem(404, f"there is nothing at {self.path}")

        def do_POST(self) -> None:
            """Make a sound."""
            if not self._from_here():
                return
            size = self.headers.get("Content-Length", "")
            if self.path != "/make":
                self._problem(404, f"there is nothing at {self.path}")
            elif self.headers.get_content_type() != JSON:
                # A page of another site cannot send this without asking first, which is not answered.
                self._problem(415, f"it takes {JSON}")
            elif not size.isdigit() or int(size) > MOST:
                self._problem(413, f"it takes up to {MOST} bytes")
            else:
                self._make(self.rfile.read(int(size)))

        def _make(self, body: bytes) -> None:
            try:
                with busy:
                    made = make(model, work, json.loads(body))
            except (ValueError, OSError) as problem:
                self._problem(400, str(problem))
            except Exception as error:
                self.log_error("%s: %s", type(error).__name__, error)
                self._problem(500, f"{type(error).__name__}: {error}")
            else:
                self._answer(200, made, WAV)

        def _from_here(self) -> bool:
            """Whether it was asked by a name of this machine: a name of elsewhere that leads here is a page of elsewhere."""
            host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
            if host in ("127.0.0.1", "localhost"):
                return True
            self._problem(403, "it answers to 127.0.0.1 and localhost only")
            return False

        def _problem(self, status: int, text: str) -> None:
            self._answer(status, json.dumps({"error": text}).encode(), JSON)

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)
