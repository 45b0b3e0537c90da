"""Test reports: well formed, counted right, and green for a go only."""

from xml.etree import ElementTree as ET

import pytest

from candidate.documents.decision import Decision, Outcome
from candidate.report.junit import decision_junit
from tests.report.decisions import BLIND, DECISIONS, HELD, HOSTILE, OPEN, measured
from tests.report.test_report import decision


def suite(told: Decision) -> ET.Element:
    """Parse a report and return its one suite, after its totals were held against its cases."""
    root = ET.fromstring(decision_junit(told))  # noqa: S314 - written by us a moment ago
    (found,) = root.findall("testsuite")
    cases = found.findall("testcase")
    counted = {tag: sum(case.find(tag) is not None for case in cases) for tag in ("failure", "error", "skipped")}

    assert root.tag == "testsuites"
    assert found.get("tests") == root.get("tests") == str(len(cases))
    assert found.get("failures") == root.get("failures") == str(counted["failure"])
    assert found.get("errors") == root.get("errors") == str(counted["error"])
    assert found.get("skipped") == str(counted["skipped"])
    assert all(len(case) <= 1 for case in cases)
    return found


@pytest.mark.parametrize(("outcome", "tag"), [("go", None), ("no-go", "failure"), ("inconclusive", "error")])
def test_only_a_go_is_green(outcome: Outcome, tag: str | None) -> None:
    """One case a finding and one for the verdict; a go has neither failures nor errors, anything else has."""
    told = DECISIONS[outcome]
    found = suite(told)
    cases = found.findall("testcase")

    assert len(cases) == len(told.findings) + 1
    assert (cases[-1].get("name"), [child.tag for child in cases[-1]]) == ("verdict", [tag] if tag else [])
    assert (found.get("failures") == found.get("errors") == "0") == (outcome == "go")
    assert {each.get("name"): each.get("value") for each in found.iter("property")}["decision"] == told.digest


def test_a_decision_that_only_the_checklist_stops_is_not_green() -> None:
    """Every finding passes, and still the verdict is an error."""
    held = decision("go", *HELD)
    items = tuple(item.model_copy(update={"status": "open"}) if item.number == 1 else item for item in held.checklist)
    stopped = Decision.model_validate({**dict(held), "outcome": "inconclusive", "checklist": items})

    assert suite(stopped).get("errors") == "1"


def test_undecided_is_an_error_if_needed_and_skipped_if_not() -> None:
    """What a go waits for is an error; a watched slice with too few rows is skipped, with its reason."""
    cases = suite(decision("inconclusive", OPEN, BLIND)).findall("testcase")

    assert [[child.tag for child in case] for case in cases] == [["error"], ["skipped"], ["error"]]
    assert [child.get("message") for case in cases[:2] for child in case] == ["needs more rows", "few rows"]


def test_what_comes_out_of_files_is_text() -> None:
    """Markup, control characters and quotes in names and reasons leave the report well formed."""
    finding = measured("slices.watch[0]", "fail", value=-1.0, slice_=HOSTILE, why=HOSTILE + "]]>")
    found = suite(decision("no-go", finding))

    assert {element.tag for element in found.iter()} == {"testsuite", "properties", "property", "testcase", "failure"}
    assert "<script>alert(1)</script>" in (found.findall("testcase")[0].get("name") or "")


def test_the_same_decision_makes_the_same_bytes() -> None:
    """No clock is read: the time in the report is the decision's."""
    assert decision_junit(DECISIONS["go"]) == decision_junit(DECISIONS["go"])
    assert 'timestamp="2026-11-23T06:00:00"' in decision_junit(DECISIONS["go"])
