"""The report command: a form for each ending, evidence found or named, and nothing told that does not follow."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import candidate

Answer = Callable[..., tuple[int, dict[str, Any]]]
GO = "decisions/go.json"


def test_markdown_goes_to_stdout(project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --out a report is Markdown, as the gate's job summary reads it."""
    assert project.run("report", GO) == 0
    assert capsys.readouterr().out.startswith("## GO: small 2.0.0 may replace small 1.0.0")


@pytest.mark.parametrize(
    ("ending", "first"),
    [(".md", "## GO"), (".html", "<!DOCTYPE html>"), (".xml", "<?xml version"), (".sarif", '{\n "$schema"')],
)
def test_a_report_has_the_form_of_its_ending(
    answer: Answer, project: Any, tmp_path: Path, ending: str, first: str
) -> None:
    """The command writes what the Python function returns; --json is the decision as ever."""
    code, found = answer("report", GO, "--out", tmp_path / f"r{ending}")
    text = (tmp_path / f"r{ending}").read_text()

    assert (code, found["kind"]) == (0, "candidate.decision")
    assert text.startswith(first)
    assert text == candidate.render(project.root / GO, ending).text


def test_another_ending_is_refused(answer: Answer, tmp_path: Path) -> None:
    """The endings there are are named."""
    code, found = answer("report", GO, "--out", tmp_path / "r.pdf")

    assert (code, found["where"], list(tmp_path.iterdir())) == (2, "--out", [])
    assert ".html" in found["hint"]


def test_plots_come_from_the_evidence_beside_the_decision_or_from_where_it_is_said_to_be(
    answer: Answer, project: Any, tmp_path: Path
) -> None:
    """A decision moved away from its evidence still has a page, and all of it once the folder is named."""
    alone = shutil.copy(project.root / GO, tmp_path / "alone.json")
    folder = project.root / "decisions" / "go.evidence"

    assert answer("report", alone, "--out", tmp_path / "without.html")[0] == 0
    assert answer("report", alone, "--out", tmp_path / "with.html", "--evidence", folder)[0] == 0
    assert "need the evidence" in (tmp_path / "without.html").read_text()
    assert (tmp_path / "with.html").read_text() == candidate.render(project.root / GO, ".html").text
    assert "Reliability diagram of the champion" in (tmp_path / "with.html").read_text()


def test_nothing_is_drawn_of_evidence_that_the_decision_does_not_follow_from(
    answer: Answer, project: Any, tmp_path: Path
) -> None:
    """Another decision's evidence, or none where some is named, leaves no file."""
    other = project.root / "decisions" / "first.evidence"

    assert answer("report", GO, "--out", tmp_path / "r.html", "--evidence", other)[0] == 6
    assert answer("report", GO, "--out", tmp_path / "r.html", "--evidence", tmp_path / "no")[0] == 2
    assert list(tmp_path.iterdir()) == []


def test_sarif_points_to_the_policy_that_was_decided_by(answer: Answer, project: Any, tmp_path: Path) -> None:
    """The file is named as it was given; another policy is refused."""
    assert answer("report", GO, "--out", tmp_path / "r.sarif", "--policy", "policy.toml")[0] == 0
    assert answer("report", GO, "--out", tmp_path / "s.sarif", "--policy", "first.toml")[0] == 2
    assert not (tmp_path / "s.sarif").exists()

    (run,) = json.loads((tmp_path / "r.sarif").read_text())["runs"]
    lines = (project.root / "policy.toml").read_text().splitlines()
    for result in run["results"]:
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "policy.toml"
        assert lines[place["region"]["startLine"] - 1].strip("[]").split(".")[0] in result["ruleId"]
