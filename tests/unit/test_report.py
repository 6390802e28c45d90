"""The report on a fleet: its rows, the texts made of them, and the page, also in a browser."""

from __future__ import annotations

import base64
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.wavesmith.provision.plugins.module_utils.failures.match import recognise
from ansible_collections.wavesmith.provision.plugins.module_utils.records import shape
from ansible_collections.wavesmith.provision.plugins.module_utils.records.generation import Health, Verdict
from ansible_collections.wavesmith.provision.plugins.module_utils.records.host import KeptEnvironment
from ansible_collections.wavesmith.provision.plugins.module_utils.records.report import Fleet
from ansible_collections.wavesmith.provision.plugins.module_utils.report import texts
from ansible_collections.wavesmith.provision.plugins.module_utils.report.fleet import changes, fleet, outliers
from ansible_collections.wavesmith.provision.plugins.module_utils.report.wheels import ALONE, NONE, UNRECORDED
from ansible_collections.wavesmith.provision.plugins.plugin_utils import artifacts
from ansible_collections.wavesmith.provision.plugins.plugin_utils.ledger import Ledger, worked
from ansible_collections.wavesmith.provision.plugins.plugin_utils.page import page
from axe_playwright_python.sync_playwright import Axe

from wavesmith.cli import main

from .conftest import known, make_manifest
from .fleets import kept, name_of, wheels

MADE = "2026-11-28 10:00 UTC"


@pytest.fixture(scope="module")
def fifty() -> Fleet:
    return fleet(kept(50), wheels(50))


def test_the_rows_are_the_record_that_they_should_be(fifty: Fleet) -> None:
    assert shape.problems(fifty, Fleet) == []
    assert len(fifty["hosts"]) == 50


@pytest.mark.parametrize("left", [(), ("plan",), ("observed",), ("report",), ("plan", "observed")])
def test_a_host_of_which_little_is_kept_has_a_row(left: tuple[str, ...]) -> None:
    one = {name: parts for name, parts in kept(1)["thor000"].items() if name in left}
    found = fleet({"thor000": one})
    assert shape.problems(found, Fleet) == []
    (host,) = found["hosts"]
    assert {row["verdict"] for row in host["environments"]} <= {"unknown", "healthy"}


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ({"torch": "2.10"}, {"torch": "2.11"}, ["torch 2.10 → 2.11"]),
        ({}, {"numpy": "2"}, ["numpy 2 is new"]),
        ({"numpy": "2", "soxr": "1"}, {"soxr": "1"}, ["numpy 2 is gone"]),
        ({"a": "1"}, {"a": "1"}, []),
    ],
)
def test_what_changed_between_generations_is_said(
    before: dict[str, str], after: dict[str, str], lines: list[str]
) -> None:
    assert changes(before, after) == lines


def test_generations_say_what_changed_since_the_one_before(fifty: Fleet) -> None:
    rows = fifty["hosts"][0]["environments"][0]["generations"]
    assert [row["changes"] for row in rows] == [[], ["torch 2.9.0 → 2.10.0"], ["torch 2.10.0 → 2.11.0"]]
    assert [row["current"] for row in rows] == [False, False, True]


def test_a_machine_far_below_its_siblings_is_named(fifty: Fleet) -> None:
    found = outliers(fifty)
    assert {line.split(",")[0] for line in found} == {"thor008", "spark049"}
    assert len(set(found)) == len(found) and {line.split(": ")[0].split(", ")[1] for line in found} >= {"speech"}
    assert any("TFLOP/s" in line and "machines with NVIDIA Thor (SM 11.0)" in line for line in found)
    assert outliers(fleet(dict(list(kept(50).items())[:2]))) == []


def test_the_wheelhouse_says_who_built_what_how_long_and_how_often_it_was_saved(fifty: Fleet, tmp_path: Path) -> None:
    made = fifty["wheelhouse"]
    assert (made["note"], made["needed"], made["there"]) == ("", 200, 192)
    (row,) = [
        one
        for one in made["wheels"]
        if (one["wheel"], one["variant"]) == ("pyworld 0.3.5", "python312-cuda13_0-sm110-armv9")
    ]
    assert (row["built"], row["seconds"], row["needed"], row["there"]) == (["thor000"], 40.0, 26, 25)
    assert len(row["hosts"]) == 13
    assert "needed 200 times, built 8 times (96% hits)" in texts.terminal(fifty)
    assert "\nwavesmith_wheels_hit 192\n" in texts.prometheus(fifty)
    shown = page(fifty, MADE, tmp_path, known().data)
    assert "<b>96% hits</b>" in shown and "<td>thor000</td><td>40 s</td><td>26</td><td>96%</td>" in shown


@pytest.mark.parametrize(
    ("hosts", "recorded", "planned", "said"),
    [(50, 0, False, NONE), (50, 0, True, UNRECORDED), (1, 1, True, ALONE), (2, 2, True, "")],
)
def test_a_fleet_without_a_wheelhouse_says_why(
    hosts: int, recorded: int, planned: bool, said: str, tmp_path: Path
) -> None:
    parts = kept(hosts)
    for host in parts.values():
        for one in host["plan"]["environments"]:
            one["wheels"] = one["wheels"] if planned else []
    rows = fleet(parts, wheels(recorded))
    assert rows["wheelhouse"]["note"] == said
    assert said in page(rows, MADE, tmp_path, known().data)
    assert shape.problems(rows, Fleet) == []


def test_the_table_has_every_environment_and_the_remedies(fifty: Fleet) -> None:
    shown = texts.terminal(fifty)
    assert shown.splitlines()[-1] == "50 hosts: 97 healthy, 1 failed, 1 unjudged"
    assert "    torch.computes: <script>" in shown
    assert "    → update the driver" in shown


def test_junit_is_xml_with_a_case_for_each_check(fifty: Fleet) -> None:
    suites = ElementTree.fromstring(texts.junit(fifty))
    assert len(suites) == 99
    total = {kind: len(suites.findall(f".//{kind}")) for kind in ("failure", "error")}
    assert total == {"failure": 1, "error": 1}
    assert "remedy: update the driver" in [one.text for one in suites.findall(".//failure")]
    odd: Any = {"id": "x", "verdict": "fail", "detail": "\x1b[31mred\x00", "remedy": "", "seconds": 1.0}
    bad = json.loads(json.dumps(fifty))
    bad["hosts"][0]["environments"][0]["checks"] = [odd]
    ElementTree.fromstring(texts.junit(bad))


def test_prometheus_reads_the_textfile(fifty: Fleet) -> None:
    text = texts.prometheus(fifty)
    pattern = re.compile(r'^[a-z_]+(?:\{(?:[a-z]+="(?:[^"\\\\]|\\\\.)*",?)*\})? -?[0-9.e+-]+$')
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(pattern.match(line) for line in lines)
    assert len([line for line in lines if line.startswith("wavesmith_verdict")]) == 99
    assert text.count("# TYPE wavesmith_checks gauge") == 1


@pytest.mark.parametrize(
    ("started", "damaged", "said", "drift"),
    [
        ("2026-11-28T16:06:00Z", 0, 1795881960, 0),
        ("1970-01-01T00:00:10Z", 3, 10, 3),
        ("", 1, None, 1),
    ],
)
def test_prometheus_is_told_when_a_verdict_was_made_and_what_drifted(
    started: str, damaged: int, said: int | None, drift: int
) -> None:
    hosts = kept(1)
    (parts,) = hosts.values()
    (name, *_) = parts["observed"]["environments"]
    for row in parts["report"]["environments"]:
        row["verdict"]["started"] = started
    parts["observed"]["environments"][name]["current"]["damaged"] = damaged
    text = texts.prometheus(fleet(hosts, []))
    times = {
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("wavesmith_verdict_timestamp_seconds{")
    }
    assert times == ({float(said)} if said is not None else set())
    assert any(
        line.startswith("wavesmith_drift{") and f'environment="{name}"' in line and line.endswith(f" {drift}")
        for line in text.splitlines()
    )


def data(text: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_page_holds_its_data_and_nothing_from_elsewhere(fifty: Fleet, tmp_path: Path) -> None:
    text = page(fifty, MADE, tmp_path, known().data)
    assert len(data(text)["hosts"]) == 50
    assert data(text)["whole"] is True
    assert "<script>alert" not in text
    own = re.sub(r'<script type="application/json".*?</script>', "", text, flags=re.DOTALL)
    assert not re.search(r"(?:src|href)=[\"']?https?:|@import|url\(", own)
    assert "default-src 'none'" in text


def test_500_hosts_weigh_less_than_3_mb(tmp_path: Path) -> None:
    text = page(fleet(kept(500), wheels(500)), MADE, tmp_path, known().data)
    assert len(text.encode()) < 3_000_000
    assert data(text)["whole"] is False


def test_small_sounds_are_held_and_large_ones_linked(tmp_path: Path) -> None:
    folder = tmp_path / "thor000/evidence/speech"
    folder.mkdir(parents=True)
    (tmp_path / "thor000/report.json").write_text(json.dumps(kept(1)["thor000"]["report"]))
    (folder / "spoken.wav").write_bytes(b"RIFF" * 10)
    (folder / "long.wav").write_bytes(bytes(700_000))
    (folder / "notes.txt").touch()
    rows = fleet(artifacts.read(tmp_path))
    assert rows["hosts"][0]["environments"][0]["evidence"] == [
        f"thor000/evidence/speech/{n}.wav" for n in ("long", "spoken")
    ]
    text = page(rows, MADE, tmp_path, known().data)
    assert '"thor000/evidence/speech/spoken.wav":"data:audio/wav;base64,UklGR' in text
    assert "long.wav" in text
    assert '"thor000/evidence/speech/long.wav":"data:' not in text


def test_what_a_generation_has_is_remembered_and_what_is_damaged_is_not_read(tmp_path: Path) -> None:
    for number in range(15):
        current = {"generation": f"g{number}", "manifest": {"packages": {"torch": str(number)}}}
        artifacts.remember(tmp_path / "h", {"speech": {"current": current}, "new": {"current": None}})
    history = json.loads((tmp_path / "h/history.json").read_text())
    assert list(history["speech"]) == [f"g{number}" for number in range(3, 15)]
    (tmp_path / "h/plan.json").write_text("{")
    assert set(artifacts.read(tmp_path)["h"]) == {"history", "evidence"}
    (tmp_path / "h/history.json").write_text("{")
    artifacts.remember(tmp_path / "h", {})
    assert artifacts.read(tmp_path) == {}


def judged(outcome: Health, generation: str) -> Verdict:
    return {"schema": 1, "verdict": outcome, "exit": int(outcome != "healthy"), "checks": [], "generation": generation}


def on_disk(generation: str, outcome: Health = "healthy", others: tuple[str, ...] = ()) -> KeptEnvironment:
    manifest = make_manifest(generation=generation)
    current = {
        "generation": generation,
        "damage": [],
        "damaged": 0,
        "manifest": manifest,
        "verdict": judged(outcome, generation),
    }
    return {"current": current, "generations": [{"name": name, "exit": 0} for name in (*others, generation)]}  # type: ignore[typeddict-item]


def shown(folder: Path, host: str = "h") -> dict[str, tuple[str, str, list[str]]]:
    """By environment what a report shows as current, its verdict, and which generations it marks as current."""
    (found,) = [one for one in fleet(artifacts.read(folder))["hosts"] if one["name"] == host]
    return {
        row["name"]: (row["generation"], row["verdict"], [one["name"] for one in row["generations"] if one["current"]])
        for row in found["environments"]
    }


def test_a_newer_verdict_of_what_is_current_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    plan = {**kept(1)[name_of(0)]["plan"], "refusals": []}
    plan["environments"] = [{**plan["environments"][0], "name": name} for name in ("speech", "voice")]
    artifacts.write(tmp_path / "h/plan.json", json.dumps(plan))
    artifacts.switched(tmp_path / "h", {"speech": on_disk("one"), "voice": on_disk("two")})
    artifacts.judged(tmp_path / "h", {"speech": judged("failed", "one"), "voice": judged("failed", "next")})
    assert shown(tmp_path) == {"speech": ("one", "failed", ["one"]), "voice": ("two", "healthy", ["two"])}
    artifacts.judged(tmp_path / "nothing", {"speech": judged("failed", "one")})
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("after", ["two", "three", "one"], ids=["new", "newest", "back"])
def test_a_report_shows_what_is_current_after_the_last_switch(tmp_path: Path, after: str) -> None:
    parts = kept(1)[name_of(0)]
    plan = {**parts["plan"], "refusals": []}
    plan["environments"] = [{**plan["environments"][0], "name": "speech"}]
    row = {
        "environment": "speech",
        "generation": "one",
        "stack": "cpu",
        "verdict": judged("failed", "one"),
        "changes": [],
        "overrides": [],
    }
    report = {**parts["report"], "environments": [row, {**row, "environment": "trial"}]}
    for part, value in (
        ("plan", plan),
        ("report", report),
        ("observed", {"environments": {"speech": on_disk("one", "failed")}}),
    ):
        artifacts.write(tmp_path / f"h/{part}.json", json.dumps(value))
    assert shown(tmp_path)["speech"][:2] == ("one", "failed")
    artifacts.switched(tmp_path / "h", {"speech": on_disk(after, "healthy", others=("zero",))})
    assert shown(tmp_path) == {"speech": (after, "healthy", [after])}, "trial is no longer wanted, and not shown"


def test_the_command_writes_what_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--artifacts", str(tmp_path / "none")]) == 2
    assert "Remedy: run wavesmith plan" in capsys.readouterr().err
    for name, parts in kept(4).items():
        for part in ("plan", "observed", "report"):
            artifacts.write(tmp_path / "kept" / name / f"{part}.json", json.dumps(parts[part]))
    files = [tmp_path / name for name in ("page.html", "x.xml", "x.prom")]
    options = [
        word for pair in zip(("--html", "--junit", "--prometheus"), map(str, files), strict=True) for word in pair
    ]
    assert main(["report", "--artifacts", str(tmp_path / "kept"), *options]) == 0
    assert all(path.stat().st_size > 500 for path in files)
    assert "4 hosts: 7 healthy" in capsys.readouterr().out
    assert main(["report", "--artifacts", str(tmp_path / "kept"), "--json"]) == 0
    assert shape.problems(json.loads(capsys.readouterr().out), Fleet) == []


@pytest.mark.parametrize(
    ("left", "code", "said"),
    [
        (("plan",), 2, "not judged yet: rack002 ears, rack002 speech, rack002 voice and 3 more. Remedy: "),
        (("observed",), 2, "no environment was judged. Remedy: provision the hosts"),
        (("plan", "observed"), 0, ""),
        (("plan", "report"), 0, ""),
        (("plan", "observed", "report"), 0, ""),
    ],
)  # fmt: skip
def test_the_command_does_not_end_well_in_silence_where_nothing_was_judged(
    left: tuple[str, ...], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, parts in kept(3).items():
        for part in left:
            artifacts.write(tmp_path / name / f"{part}.json", json.dumps(parts[part]))
    assert main(["report", "--artifacts", str(tmp_path)]) == code
    complaint = capsys.readouterr().err
    assert said in complaint and bool(said) == bool(complaint)


@pytest.mark.parametrize(
    ("option", "path", "said"),
    [
        ("--html", "nowhere/x.html", "there is no folder"),
        ("--junit", "nowhere/deep/x.xml", "there is no folder"),
        ("--prometheus", "", "it is a folder"),
    ],
)
def test_the_command_makes_no_folder_that_nobody_asked_for(
    option: str, path: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("plan", "observed", "report"):
        artifacts.write(tmp_path / "kept" / "thor000" / f"{part}.json", json.dumps(kept(1)["thor000"][part]))
    assert main(["report", "--artifacts", str(tmp_path / "kept"), option, str(tmp_path / path)]) == 2
    complaint = capsys.readouterr()
    assert said in complaint.err and "Remedy: name a file" in complaint.err and complaint.out == ""
    assert [one.name for one in tmp_path.iterdir()] == ["kept"]


def test_the_command_reads_how_wheels_were_had_from_the_record_of_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("plan", "observed", "report"):
        artifacts.write(tmp_path / "thor000" / f"{part}.json", json.dumps(kept(1)["thor000"][part]))
    ledger = Ledger(tmp_path / "runs.sqlite")
    for run in ("one", "two"):
        ledger.begin(run, "site", "ada", "desk", 1.0, {})
    first, second = wheels(1)[:2]
    answers: list[tuple[str, list[dict[str, Any]]]] = [
        ("wheels", [{**first, "how": "built", "seconds": 61.5}]),
        ("wheelhouse", [{**second, "how": "brought"}]),
        ("packages", [{**first, "how": "there"}, {**second, "how": "there"}]),  # what was just built is there
    ]
    for action, rows in answers:
        worked(ledger, "one", "thor000", action, {"wheels": rows}, 2.0)
    worked(ledger, "two", "thor000", *answers[2][:1], {"wheels": answers[2][1]}, 3.0)
    main(["report", "--artifacts", str(tmp_path), "--json"])
    made = json.loads(capsys.readouterr().out)["wheelhouse"]
    assert (made["needed"], made["there"], made["note"]) == (4, 3, ALONE)
    assert [row["seconds"] for row in made["wheels"] if row["built"]] == [61.5]


# In a browser: Chromium of the system


@pytest.fixture(scope="module")
def browser() -> Any:
    from playwright import sync_api as playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no Chromium here")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    found = {}
    for hosts in (50, 500):
        found[hosts] = tmp_path_factory.mktemp("page") / "report.html"
        found[hosts].write_text(
            page(fleet(kept(hosts), wheels(hosts)), MADE, found[hosts].parent, known().data), encoding="utf-8"
        )
    return found


def opened(browser: Any, path: Path, width: int = 1200, scheme: str = "light", link: str = "") -> Any:
    view = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    view.problems, view.asked = [], []
    view.on("pageerror", lambda error: view.problems.append(str(error)))
    view.on("console", lambda message: view.problems.append(message.text) if message.type == "error" else None)
    view.on("request", lambda request: view.asked.append(request.url))
    view.goto(f"{path.as_uri()}{link}")
    view.wait_for_selector("body[data-ready]", state="attached")
    return view


@pytest.mark.slow
@pytest.mark.parametrize("hosts", [50, 500])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [380, 900, 1500])
def test_it_is_accessible_asks_nobody_and_fits(
    browser: Any, pages: dict[int, Path], hosts: int, scheme: str, width: int
) -> None:
    axe = Axe()
    view = opened(browser, pages[hosts], width, scheme)
    assert view.problems == []
    assert len(view.asked) == 1
    assert view.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(axe, view) == []
    looked_at(view, f"{hosts}-{width}-{scheme}")
    view.click("#table .name >> nth=1")
    assert view.evaluate(SIDEWAYS) == []
    assert violations(axe, view) == []
    looked_at(view, f"{hosts}-{width}-{scheme}-host")
    view.close()


SIDEWAYS = """() => [document.documentElement, ...document.querySelectorAll('dialog, dialog .scroll')]
  .filter((part) => part.scrollWidth > part.clientWidth + 1).map((part) => part.tagName + '.' + part.className)"""
"""What of a page with an open dialog would have to be scrolled sideways."""


def violations(axe: Axe, view: Any) -> list[str]:
    """What axe-core finds wrong, each with the first place."""
    found = axe.run(view).response["violations"]
    return [f"{one['id']}: {one['help']} ({one['nodes'][0]['html'][:200]})" for one in found]


def looked_at(view: Any, name: str) -> None:
    """A screenshot for people, below .cache; and that it shows text of this scheme's colors, not an empty page."""
    folder = Path(__file__).resolve().parents[2] / ".cache" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.png").write_bytes(view.screenshot())
    color = view.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(map(int, re.findall(r"\d+", color)[:3])) / 3 / 255
    assert light > 0.8 if "-light" in name else light < 0.2, color
    shown = "[...document.querySelectorAll('td, th, dd, li, p, h1, h2')].filter((cell) => cell.getBoundingClientRect().top < innerHeight).length"
    assert view.evaluate(shown) > 10
    pixels = view.evaluate(_COLORS, base64.b64encode((folder / f"{name}.png").read_bytes()).decode())
    assert pixels > 30, "nothing is drawn"


_COLORS = """async (data) => {
  const image = await createImageBitmap(new Blob([Uint8Array.from(atob(data), (byte) => byte.charCodeAt(0))]));
  const context = new OffscreenCanvas(image.width, image.height).getContext('2d');
  context.drawImage(image, 0, 0);
  const found = new Set(new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer));
  return found.size;
}"""
"""How many colors a picture has."""


@pytest.mark.slow
def test_search_links_and_keys_work(browser: Any, pages: dict[int, Path]) -> None:
    view = opened(browser, pages[500])
    assert view.locator("tbody tr[data-n]").count() == 500
    view.keyboard.press("/")
    view.keyboard.type("gb10 spark001")
    assert view.inner_text("#shown") == "1 of 500 hosts"
    assert view.locator("#table tbody tr:visible").count() == 1
    assert "q=gb10" in view.url
    linked = opened(browser, pages[500], link="#v=failed&host=thor016")
    assert linked.locator("dialog[open]").inner_text().startswith("thor016")
    linked.keyboard.press("Escape")
    assert linked.locator("dialog[open]").count() == 0
    assert {"✗ failed"} == set(linked.locator("#table tbody tr:visible td:nth-child(2)").all_inner_texts())
    view.emulate_media(media="print")
    assert not view.is_visible("#search")
    view.close()
    linked.close()


def texts_of_failures() -> list[str]:
    """Examples and counter-examples of all entries, the texts that were kept aside, and what is healthy."""
    root = Path(__file__).resolve().parents[2]
    entries = [yaml.safe_load(path.read_text()) for path in sorted((root / "catalog" / "failures").glob("*.yml"))]
    found = [said for entry in entries for said in (*entry["examples"], *entry["counter_examples"])]
    for path in sorted((Path(__file__).parent / "failures").glob("*.yml")):
        found += [one["said"] for one in yaml.safe_load(path.read_text())]
    return found


@pytest.mark.slow
def test_the_page_recognises_what_the_program_does(browser: Any, pages: dict[int, Path]) -> None:
    view = opened(browser, pages[50])
    ours = ["/opt/wavesmith/envs/ears/current/", "/x/envs/my_voice/0a628c1c5e9706fe-r1/", "/opt/conda/envs/ears/"]
    said = [*texts_of_failures(), *(f'  File "{path}lib/x.py", line 1\n_ARRAY_API not found\n' for path in ours)]
    assert len(said) > 400
    heard = view.evaluate("(texts) => texts.map((text) => recognise(text).map((one) => [one.id, one.because, one.cause, one.remedy, one.command]))", said)  # fmt: skip
    wanted = [
        [[one.id, one.because_of, one.answer.cause, one.answer.remedy, one.answer.command] for one in recognise(text, known())]
        for text in said
    ]  # fmt: skip
    different = [(text, here, there) for text, here, there in zip(said, heard, wanted, strict=True) if here != there]
    assert different == []
    view.fill("#pasted", "Traceback (most recent call last):\nRuntimeError: espeak not installed on your system\n")
    view.wait_for_selector("#means .problem")
    assert "deadly: espeak-ng is not found" in view.inner_text("#means")
    assert violations(Axe(), view) == []
    view.fill("#pasted", "all is well")
    view.locator("#means", has_text="Not recognised").wait_for()
    assert len(view.asked) == 1
    view.close()
