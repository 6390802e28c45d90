"""Ask a package index what it has of a project (PEP 503 and 691), a little at a time and each project once."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, TypedDict
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from ansible_collections.wavesmith.provision.plugins.module_utils.observe import sources
from ansible_collections.wavesmith.provision.plugins.module_utils.observe.host import Host, find_user
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.names import normal
from ansible_collections.wavesmith.provision.plugins.module_utils.terms.url import split_url
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

TIMEOUT = 30.0
_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"


class Unreachable(Exception):
    """A source that cannot be asked; the message says why."""


@dataclass(frozen=True)
class File:
    """One file of a release."""

    name: str
    version: Version
    url: str
    sha256: str = ""
    size: int = 0
    yanked: bool = False
    requires_python: str = ""

    @property
    def is_wheel(self) -> bool:
        """Whether it is a wheel."""
        return self.name.endswith(".whl")


@dataclass(frozen=True)
class Project:
    """What an index has of one project; no files where it does not know it."""

    name: str
    files: tuple[File, ...]

    def of(self, version: str) -> list[File]:
        """The files of a release; a local version counts where it is asked for."""
        return [file for file in self.files if file.version == Version(version)]

    def newest(self) -> Version | None:
        """The newest release that is neither withdrawn nor a preview."""
        known = {file.version for file in self.files if not file.yanked and not file.version.is_prerelease}
        return max(known, default=None)


class Index:
    """Package indexes by their address, each project asked once."""

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        self.url = url.rstrip("/")
        self._timeout = timeout
        self._known: dict[tuple[str, str], Project | Unreachable] = {}
        self._locks: dict[tuple[str, str], threading.Lock] = {}
        self._guard = threading.Lock()

    @property
    def shown(self) -> str:
        """Its address without secrets."""
        return split_url(self.url).shown

    def project(self, name: str, url: str = "") -> Project:
        """What it has of a project; `url` names another index.

        Raises:
            Unreachable: it does not answer.
        """
        key = ((url or self.url).rstrip("/"), normal(name))
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._known:
                try:
                    self._known[key] = self._ask(*key)
                except Unreachable as error:
                    self._known[key] = error
            found = self._known[key]
        if isinstance(found, Unreachable):
            raise found
        return found

    def _ask(self, url: str, name: str) -> Project:
        address = f"{url}/{name}/"
        if url.startswith("file:"):
            return Project(name, tuple(_files(name, address, *_local(address))))
        parts = split_url(address)
        request = urllib.request.Request(parts.shown, headers={"User-Agent": "wavesmith", "Accept": _ACCEPT})
        if parts.user is not None:
            pair = f"{parts.user}:{parts.password or ''}".encode("utf-8", "replace")
            request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(pair).decode("ascii"))
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                kind = answer.headers.get_content_type()
                text = answer.read().decode("utf-8", "replace")
                return Project(name, tuple(_files(name, answer.url, text, kind.endswith("json"))))
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (403, 404):  # PyTorch's index says 403 of what it does not have
                return Project(name, ())
            raise Unreachable(f"{split_url(url).shown} answers {error.code}") from error
        except urllib.error.URLError as error:
            raise Unreachable(f"{split_url(url).shown} does not answer ({_reason(error.reason)})") from error
        except (OSError, ValueError) as error:
            raise Unreachable(f"{split_url(url).shown} does not answer ({error})") from error


def _reason(reason: Any) -> str:
    return "its certificate is not trusted" if isinstance(reason, ssl.SSLError) else str(reason)


def _local(address: str) -> tuple[str, bool]:
    """An index in a folder: a file index.json or index.html for each project."""
    folder = unquote(urlsplit(address).path)
    for name in ("index.json", "index.html"):
        try:
            with open(folder + name, encoding="utf-8") as page:
                return page.read(), name.endswith("json")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Unreachable(f"{address} cannot be read ({error.strerror})") from error
    return '{"files": []}', True


def _files(name: str, address: str, text: str, is_json: bool) -> list[File]:
    try:
        found = _of_json(text) if is_json else _of_html(text)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Unreachable(f"{split_url(address).shown} gives no page of an index ({error})") from error
    files = []
    for entry in found:
        version = _version(entry["filename"])
        if version is not None:
            files.append(
                File(
                    name=entry["filename"],
                    version=version,
                    url=urljoin(address, entry["url"]),
                    sha256=entry["sha256"],
                    size=entry["size"],
                    yanked=entry["yanked"],
                    requires_python=entry["requires-python"],
                )
            )
    return files


_Listed = TypedDict(
    "_Listed",
    {"filename": str, "url": str, "sha256": str, "size": int, "yanked": bool, "requires-python": str},
)
"""A file as a page of an index lists it; `size` in bytes, 0 where it does not say."""


def _of_json(text: str) -> list[_Listed]:
    return [
        {
            "filename": file["filename"],
            "url": file["url"],
            "sha256": file.get("hashes", {}).get("sha256", ""),
            "size": file.get("size") or 0,
            "yanked": file.get("yanked", False) not in (False, None),
            "requires-python": file.get("requires-python") or "",
        }
        for file in json.loads(text)["files"]
    ]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[_Listed] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "a" and values.get("href"):
            url, fragment = urldefrag(values["href"] or "")
            self.found.append(
                {
                    "filename": unquote(urlsplit(url).path.rpartition("/")[2]),
                    "url": url,
                    "sha256": fragment.partition("sha256=")[2],
                    "size": 0,
                    "yanked": "data-yanked" in values,
                    "requires-python": values.get("data-requires-python") or "",
                }
            )


def _of_html(text: str) -> list[_Listed]:
    page = _Links()
    page.feed(text)
    return page.found


def _version(name: str) -> Version | None:
    try:
        return parse_wheel_filename(name)[1] if name.endswith(".whl") else parse_sdist_filename(name)[1]
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None


def default_index() -> str:
    """The index that pip and uv are set to use here, else pip's own; empty where there is none."""
    host = Host()
    found, _ = sources.find_package_index(host, find_user(host))
    if found:
        return found
    try:
        from pip._internal.models.index import PyPI
    except ImportError:
        return ""
    return str(PyPI.simple_url)
