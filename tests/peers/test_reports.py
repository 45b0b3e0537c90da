"""Reports as others read them: a real browser, an accessibility checker, a JUnit reader, the published SARIF schema."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from candidate.documents.decision import Outcome
from candidate.report.html import decision_html
from candidate.report.junit import decision_junit
from candidate.report.sarif import PolicySource, decision_sarif
from tests.report.decisions import DECISIONS, HARMED, HELD, HOSTILE, POLICY, drawn, measured
from tests.report.test_report import decision
from tests.report.test_sarif import TEXT

HERE = Path(__file__).parent
WORK = HERE / ".work"
SCREENS = ("light", "dark", "narrow")
MANY = decision(
    "no-go",
    *HELD,
    HARMED,
    measured("slices.watch[0]", "fail", value=-1.0, slice_=HOSTILE + "x" * 200, why=HOSTILE, blocks=False),
    *(measured("slices.watch[0]", value=0.01 + n / 1e4, slice_=f"store={n:04}", blocks=False) for n in range(400)),
)
PAGES = {**{str(outcome): told for outcome, told in DECISIONS.items()}, "many": MANY}


@pytest.fixture(scope="module", params=PAGES)
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Chromium shows of a page, four ways."""
    folder = tmp_path_factory.mktemp("page")
    told = PAGES[request.param]
    (folder / "report.html").write_text(decision_html(told, drawn()), encoding="utf-8")
    chromium = shutil.which("chromium")
    assert chromium is not None
    command = ["node", str(HERE / "browse.cjs"), chromium, str(folder / "report.html"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    printed = subprocess.run(
        ["pdftotext", "-layout", str(folder / "report.pdf"), "-"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return {"ways": found, "printed": printed.stdout, "findings": told.findings, "outcome": told.outcome}


def test_nothing_is_fetched_and_nothing_complained_about(seen: dict[str, Any]) -> None:
    """One request, for the page itself; no script, no word on the console."""
    for name in (*SCREENS, "print"):
        way = seen["ways"][name]

        assert [address.partition(":")[0] for address in way["requests"]] == ["file"], name
        assert way["complaints"] == [], name
        assert way["scripts"] == 0, name


def test_axe_finds_nothing_wrong(seen: dict[str, Any]) -> None:
    """No violation of any rule, light, dark and narrow, with every fold open."""
    for name in SCREENS:
        assert seen["ways"][name]["violations"] == [], name
        assert seen["ways"][name]["rules"] > 20, name


def test_a_page_never_scrolls_sideways(seen: dict[str, Any]) -> None:
    """From 360 pixels on, with folds closed and open; wide tables scroll in a region of their own."""
    for name in SCREENS:
        way = seen["ways"][name]

        assert way["scrollWidth"] <= way["clientWidth"], name
        assert way["opened"]["scrollWidth"] <= way["clientWidth"], name
        assert all(cut <= 0 for cut in way["hidden"]), name  # a plot is never cut off, not even in a region


def test_the_verdict_is_what_is_seen_first(seen: dict[str, Any]) -> None:
    """The outcome stands in the first heading, in the upper part of the first screen."""
    for name in (*SCREENS, "print"):
        way = seen["ways"][name]

        assert way["headings"][0][0] == 1
        assert way["headings"][0][1].startswith(seen["outcome"].upper())
        assert way["verdict"]["y"] + way["verdict"]["height"] < 200


def test_plots_have_a_size_and_points_lie_on_them(seen: dict[str, Any]) -> None:
    """Every bar is wide enough to be read, has a title, and has its point within it."""
    for name in (*SCREENS, "print"):
        way = seen["ways"][name]

        assert len(way["bars"]) == len(way["points"]) > 5
        for bar, point in zip(way["bars"], way["points"], strict=True):
            middle = point["x"] + point["width"] / 2
            assert bar["width"] >= 90
            assert bar["x"] - 1 <= middle <= bar["x"] + bar["width"] + 1
            assert bar["title"]
        assert [chart["dots"] > 0 for chart in way["charts"]] == [True, True, False]
        assert way["charts"][2]["lines"] == 2
        assert all(chart["width"] > 200 and chart["height"] > 100 for chart in way["charts"])


def test_light_and_dark_differ_and_paper_is_white(seen: dict[str, Any]) -> None:
    """The scheme is the reader's; what is printed is light even for readers in the dark."""
    colours = {name: seen["ways"][name]["background"] for name in (*SCREENS, "print")}

    assert colours["light"] == colours["narrow"] == colours["print"] == "rgb(255, 255, 255)"
    assert colours["dark"] != colours["light"]


def test_everything_is_on_paper(seen: dict[str, Any]) -> None:
    """Folded on a screen, the complete table is printed: the last finding too."""
    assert seen["ways"]["light"]["rows"] == len(seen["findings"])
    assert "How to recompute it" in seen["printed"]
    if len(seen["findings"]) > 400:
        assert all(f"store={n:04}" in seen["printed"] for n in (0, 200, 399))


@pytest.mark.parametrize("outcome", DECISIONS)
def test_a_junit_reader_counts_what_was_found(tmp_path: Path, outcome: Outcome) -> None:
    """The file is read by junitparser, which sees a failure or an error unless it is a go."""
    (tmp_path / "r.xml").write_text(decision_junit(DECISIONS[outcome]), encoding="utf-8")
    script = (
        "import json, sys; from junitparser import JUnitXml; x = JUnitXml.fromfile(sys.argv[1]);"
        "s = list(x)[0]; print(json.dumps([s.tests, s.failures, s.errors, s.skipped, sum(c.is_passed for c in s)]))"
    )
    command = [str(WORK / "venv/bin/python"), "-c", script, str(tmp_path / "r.xml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    tests, failures, errors, skipped, passed = json.loads(done.stdout)

    assert tests == len(DECISIONS[outcome].findings) + 1 == failures + errors + skipped + passed
    assert (failures + errors == 0) == (outcome == "go")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("source", [None, PolicySource("ci/policy.toml", TEXT)], ids=["alone", "with-policy"])
def test_sarif_is_valid_by_its_schema(page: str, source: PolicySource | None) -> None:
    """The schema of SARIF 2.1.0, out of its own package of matchers, takes every log, and refuses a spoiled one."""
    (path,) = (WORK / "node_modules/@microsoft/jest-sarif/lib/schemas").glob("sarif-2.1.0*.json")
    validator = Draft7Validator(json.loads(path.read_text(encoding="utf-8")))
    log = json.loads(decision_sarif(PAGES[page], POLICY, source))

    assert list(validator.iter_errors(log)) == []
    log["runs"][0]["tool"]["driver"]["rules"][0].pop("id")
    assert not validator.is_valid(log)
