"""What the tools of the toolbox are run with, and what their failures mean for people."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from ansible_collections.wavesmith.provision.plugins.module_utils.host import tools
from ansible_collections.wavesmith.provision.plugins.module_utils.host.job import Failed
from ansible_collections.wavesmith.provision.plugins.module_utils.wanted.variables import Wanted

from .conftest import known
from .site import ROOT
from .test_observe import silent

# What the tools really said (uv 0.13.8, pip 23.2), for one cause each.
HASH_UV = """\
error: Failed to download `tinyvoice==1.0`
  cause: Hash mismatch for `tinyvoice==1.0`

         Expected:
           sha256:0000000000000000000000000000000000000000000000000000000000000000

         Computed:
           sha256:613c12604239006c4577ffca6fb227572f7c0eea19852daadcb49fc1e9189462"""
HASH_PIP = """\
ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package versions, please \
update the hashes. Otherwise, examine the package contents carefully; someone may have tampered with them.
    tinyvoice==1.0 from file:///simple/tinyvoice/tinyvoice-1.0-py3-none-any.whl (from -r bad.txt (line 1)):
        Expected sha256 0000000000000000000000000000000000000000000000000000000000000000
             Got        613c12604239006c4577ffca6fb227572f7c0eea19852daadcb49fc1e9189462"""
NO_VERSION = """\
error: No solution found when resolving dependencies
  cause: Because there is no version of tinyvoice==2.0 and you require tinyvoice==2.0, we can conclude that your \
requirements are unsatisfiable."""
REFUSED = """\
error: Request failed after 3 retries in 7.6s
  cause: Failed to fetch: http://127.0.0.1:9/simple/six/
  cause: error sending request for url (http://127.0.0.1:9/simple/six/)
  cause: client error (Connect)
  cause: tcp connect error
  cause: Connection refused (os error 111)"""
NO_NAME = """\
error: Request failed after 3 retries in 5.8s
  cause: Failed to fetch: http://no-such-host.invalid/simple/six/
  cause: error sending request for url (http://no-such-host.invalid/simple/six/)
  cause: client error (Connect)
  cause: dns error
  cause: error resolving DNS
  cause: failed to lookup address information: Name or service not known"""
FULL = (
    "error: Failed to install: torch.whl\n  cause: failed to write to file `x`: No space left on device (os error 28)"
)
SILENT_UV = """\
error: Request failed after 5 retries in 126.4s
  cause: Failed to fetch: http://mirror01:3141/root/simple/numpy/
  cause: error sending request for url (http://mirror01:3141/root/simple/numpy/)
  cause: operation timed out"""
SILENT_PIP = """\
WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection broken by \
'ReadTimeoutError("HTTPConnectionPool(host='mirror01', port=3141): Read timed out. (read timeout=20.0)")': /root/simple/ninja/
ERROR: Could not find a version that satisfies the requirement ninja==1.13.2 (from versions: none)
ERROR: No matching distribution found for ninja==1.13.2"""
SILENT_CONNECT = """\
WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection broken by \
'ConnectTimeoutError(<pip._vendor.urllib3.connection.HTTPSConnection object>, 'Connection to mirror01 timed out. (connect timeout=20.0)')': /simple/ninja/
ERROR: No matching distribution found for ninja==1.13.2"""
NO_VENV = "The virtual environment was not created successfully because ensurepip is not available."


NO_SOLUTION = "error: No solution found when resolving dependencies\n  cause: Because {} and you require {}, we can\n conclude that your requirements are unsatisfiable.\n"


# What uv 0.13 says of them, of an index that has numpy 1.3.0 to 2.5.5.
@pytest.mark.parametrize(
    ("there", "asked", "said"),
    [
        (
            "there is no version of numpy==99.1",
            "numpy==99.1",
            "the package index has no numpy==99.1. Remedy: ask for a release",
        ),
        (
            "only numpy<=2.5.5 is available",
            "numpy>=99",
            "the package index has no numpy>=99, only numpy<=2.5.5. Remedy: ask",
        ),
        (
            "only numpy>=1.3.0 is available",
            "numpy<0.1",
            "the package index has no numpy<0.1, only numpy>=1.3.0. Remedy: ask",
        ),
        (
            "there is no version of\n  numpy[x]==99.1",
            "numpy[x]==99.1",
            "the package index has no numpy[x]==99.1. Remedy: ask",
        ),
    ],
)
def test_a_release_that_no_index_has_is_named_with_what_there_is(there: str, asked: str, said: str) -> None:
    error = Failed("uv failed", (), NO_SOLUTION.format(there, asked))
    assert f"environment small: {said}" in str(tools.explain(error, "environment small", known()))


# A package of a lock that has no wheel for this Python and does not build (uv 0.13.8, Python 3.12).
OLD_ARCHIVE = """\
  × Failed to build `numpy==1.25.2`
  ├─▶ The build backend returned an error
  ╰─▶ Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)

      [stderr]
      Traceback (most recent call last):
        File "/cache/builds-v0/x/lib/python3.12/site-packages/setuptools/build_meta.py", line 10, in <module>
      ModuleNotFoundError: No module named 'distutils'

      hint: This error likely indicates that `numpy@1.25.2` depends on a module that it does not declare"""
OLD_ARCHIVE_PIP = """\
Collecting openai-whisper==20231117
  Using cached openai-whisper-20231117.tar.gz (798 kB)
  Getting requirements to build wheel: finished with status 'error'
  error: subprocess-exited-with-error
  × Getting requirements to build wheel did not run successfully.
  │ exit code: 1
  ╰─> [20 lines of output]
      ModuleNotFoundError: No module named 'pkg_resources'
      [end of output]
ERROR: Failed to build 'openai-whisper' when getting requirements to build wheel"""
NO_CAUSE = """\
  × Failed to build `pyopenjtalk==0.3.4`
  ╰─▶ Call to `setuptools.build_meta:__legacy__.build_wheel` failed (exit status: 1)
      pyopenjtalk/openjtalk.cpp:12:3: error: 'fft_size' was not declared in this scope"""


def explained(text: str) -> Failed:
    return tools.explain(Failed("uv ended with status 1", text.splitlines()), "environment speech", known())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HASH_UV, ["the file of tinyvoice==1.0 is not the one that its lock (or the index) names (wrong sha256)"]),
        (HASH_PIP, ["is not the one that its lock (or the index) names (wrong sha256)"]),
        (NO_VERSION, ["the package index has no tinyvoice==2.0", "ask for a release that it has"]),
        (REFUSED, ["the package index does not answer"]),
        (NO_NAME, ["the package index does not answer"]),
        (SILENT_UV, ["the package index (http://mirror01:3141/root/simple/numpy/) gave no answer in 6 tries of 20 s each", "wavesmith_download_timeout"]),
        (SILENT_PIP, ["the package index (mirror01:3141) gave no answer in 3 tries of 20 s each", "wavesmith_package_index"]),
        (SILENT_CONNECT, ["the package index gave no answer in 3 tries of 20 s each"]),
        (f"{SILENT_PIP}\n{HASH_PIP}", ["wrong sha256"]),
        (FULL, ["the disk is full"]),
        (NO_VENV, ["Python has no venv module", "apt-get install -y python3-venv"]),
        (OLD_ARCHIVE, ["numpy 1.25.2 has no wheel for Python 3.12", "distutils", "override numpy with a release that has a wheel"]),
        (OLD_ARCHIVE_PIP, ["openai-whisper 20231117 has no wheel", "override openai-whisper", "setuptools<82"]),
        (NO_CAUSE, ["pyopenjtalk 0.3.4 has no wheel", "override pyopenjtalk"]),
        ("src/world.cpp:1: fatal error: no Python.h", ["environment speech: uv ended with status 1"]),
        ("", ["environment speech: uv ended with status 1"]),
    ],
    ids=[
        "hash (uv)", "hash (pip)", "no version", "refused", "no name", "silent (uv)", "silent (pip)",
        "silent (connect)", "silent at first", "full disk", "no venv", "distutils", "pkg_resources", "its own error", "unknown",
        "without a word",
    ],
)  # fmt: skip
def test_what_a_tool_said_becomes_a_cause_and_a_remedy(text: str, words: list[str]) -> None:
    said = str(explained(text))
    assert said.startswith("environment speech: ") and ". Remedy: " in said
    assert [word for word in words if word not in said] == [], said
    assert len(said.splitlines()) == 1


def test_the_reason_counts_wherever_it_stands_in_a_long_output() -> None:
    said = "\n".join(
        [
            "error: can't find Rust compiler",
            *("  more" for _ in range(200)),
            "  ERROR: Failed building wheel for tokenizers",
        ]
    )
    error = Failed("pip ended with status 1", said.splitlines()[-25:], said)
    assert "there is no Rust compiler" in str(tools.explain(error, "environment speech", known()))


def test_the_lines_of_the_tool_stay_attached_but_those_that_say_the_same_again() -> None:
    assert explained(HASH_UV).log == HASH_UV.splitlines()
    assert not explained(SILENT_PIP).log


UNKNOWN = "error: Because {} was not found in the package registry and you require {}"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("librosaa", "did you mean librosa? where another index has it, name that in"),
        ("xyzzy", "correct the name; where another index has it, name that in"),
        ("librosa", "name an index that has it in wavesmith_package_index"),
    ],
)
def test_a_package_that_the_index_lacks_is_not_suggested_in_its_own_place(name: str, advice: str) -> None:
    said = tools.explain(Failed(UNKNOWN.format(name, name)), "small", known(), ["librosa", "numpy"])
    assert f"small: the package index has no {name}. Remedy: {advice}" in str(said)


def test_a_tool_gets_nothing_of_the_users_python(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_USER", "UV_INDEX", "VIRTUAL_ENV", "LD_PRELOAD"):
        monkeypatch.setenv(name, "/hostile")
    assert "/hostile" not in tools.environment("/opt/wavesmith", "").values()


def test_a_tool_keeps_the_proxy_and_the_certificates_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"HTTPS_PROXY": "http://proxy:1", "no_proxy": "localhost", "SSL_CERT_FILE": "/etc/ca.pem"}
    for name, value in kept.items():
        monkeypatch.setenv(name, value)
    assert kept.items() <= tools.environment("/opt/wavesmith", "").items()


def test_the_cache_lies_beside_the_generations_so_that_files_are_linked_hard() -> None:
    found = tools.environment("/opt/wavesmith", "")
    assert (found["UV_CACHE_DIR"], found["UV_LINK_MODE"]) == ("/opt/wavesmith/cache/uv", "hardlink")


def test_a_tool_brings_no_python_of_its_own() -> None:
    assert tools.environment("/opt/wavesmith", "")["UV_PYTHON_DOWNLOADS"] == "never"


def test_the_index_reaches_both_tools_and_only_when_there_is_one() -> None:
    found = tools.environment("/r", "https://mirror.example/simple")
    assert {found["UV_DEFAULT_INDEX"], found["PIP_INDEX_URL"]} == {"https://mirror.example/simple"}
    assert not {"UV_DEFAULT_INDEX", "PIP_INDEX_URL"} & set(tools.environment("/r", ""))


@pytest.mark.parametrize(
    ("index", "trusted"),
    [
        ("http://mirror01:3141/root/pypi/+simple/", "mirror01:3141"),
        ("http://ada:secret@mirror01/simple", "mirror01"),
        ("http://[fd00::1]:3141/simple", "[fd00::1]:3141"),
        ("https://mirror01/simple", None),
        ("", None),
    ],
)
def test_pip_takes_an_index_without_tls_that_was_asked_for(index: str, trusted: str | None) -> None:
    assert tools.environment("/r", index).get("PIP_TRUSTED_HOST") == trusted


@pytest.mark.parametrize(("seconds", "pip", "uv"), [(20.0, "20", "20"), (0.3, "0.3", "1"), (90, "90", "90")])
def test_how_long_tools_wait_is_ours_whatever_the_hosts_pip_is_set_to(
    monkeypatch: pytest.MonkeyPatch, seconds: float, pip: str, uv: str
) -> None:
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "180")
    monkeypatch.setenv("WAVESMITH_DOWNLOAD_TIMEOUT", "")
    tools.wait_for(seconds)
    found = tools.environment("/r", "")
    assert (found["PIP_DEFAULT_TIMEOUT"], found["UV_HTTP_TIMEOUT"]) == (pip, uv)
    assert (found["PIP_RETRIES"], found["UV_HTTP_RETRIES"]) == ("2", "5")


def test_the_time_to_wait_is_one_number() -> None:
    assert Wanted.download_timeout == tools.TIMEOUT


@pytest.mark.process
def test_a_toolbox_whose_index_is_silent_ends_soon_with_its_name_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAVESMITH_DOWNLOAD_TIMEOUT", "0.2")
    lock = (ROOT / "requirements" / "toolbox.txt").read_text()
    with silent() as address, pytest.raises(Failed) as found:
        tools.make_toolbox(str(tmp_path), "0123456789abcdef", lock, f"{address}simple", known())
    assert f"toolbox: the package index ({urlsplit(address).netloc}) gave no answer in 3 tries of 0.2 s each" in str(
        found.value
    )
    assert not list((tmp_path / "toolbox").iterdir())


def test_without_a_path_a_tool_finds_the_compiler_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PATH")
    assert "/usr/bin" in tools.environment("/r", "")["PATH"].split(":")


CACHE = "/opt/wavesmith/cache/uv"


@pytest.mark.parametrize(
    ("said", "damaged"),
    [
        ("error: Failed to download `tiny==1.0`\n  cause: Failed to deserialize cache entry\n  cause: unexpected end of file", True),
        (f"error: Could not acquire lock\n  cause: failed to open file `{CACHE}/.lock`: Is a directory (os error 21)", True),
        (f"error: failed to open file `{CACHE}/archive-v0/x/RECORD`: No such file or directory (os error 2)", True),
        (f"error: failed to write to file `{CACHE}/.lock`: No space left on device (os error 28)", False),
        (f"error: failed to open file `{CACHE}/.lock`: Read-only file system (os error 30)", False),
        (f"error: failed to open file `{CACHE}/.lock`: Permission denied (os error 13)", False),
        ("error: Failed to fetch: `https://index.example/simple/tiny/`\n  cause: No such file or directory (os error 2)", False),
        ("error: hash mismatch for tiny==1.0", False),
    ],
)  # fmt: skip
def test_a_cache_that_uv_cannot_read_is_told_from_other_troubles(said: str, damaged: bool) -> None:
    assert tools.cache_is_damaged(said, CACHE) is damaged
