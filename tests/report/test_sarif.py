"""SARIF: a rule for each rule of the policy, a result for each finding that does not pass, each at its line.

That it is valid by the published schema is checked in tests/peers, where the schema comes from its own package.
"""

import json
from typing import Any

import pytest

from candidate.documents.decision import Decision, Outcome
from candidate.report.sarif import PolicySource, decision_sarif, line_of
from tests.report.decisions import BLIND, DECISIONS, HARMED, HELD, HOSTILE, OPEN, POLICY, measured
from tests.report.test_report import decision

TEXT = """alpha = 0.05
[optimizing]  # the one
metric = "log_loss"
[[satisficing]]
metric = "accuracy"
[[satisficing]]
metric = "recall"
[slices]
watch = []
[[slices.guard]]
by = "origin"
  [[ slices.guard ]]
by = "carrier"
[baselines]
zero_rule = "report"
# [rollback]
[skew.parity]
rows = 3000
"""


def run_of(told: Decision, source: PolicySource | None = None) -> dict[str, Any]:
    """Return the one run of a log."""
    log = json.loads(decision_sarif(told, POLICY, source))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    assert all(rule["help"]["text"] for rule in rules)
    return dict(run)


@pytest.mark.parametrize(
    ("outcome", "levels"),
    [
        ("go", [("slices.watch[0]", "note"), ("slices.watch[0]", "note")]),
        ("no-go", [("slices.watch[0]", "note"), ("slices.watch[0]", "error"), ("verdict", "error")]),
        ("inconclusive", [("optimizing", "warning"), ("slices.watch[0]", "note"), ("verdict", "warning")]),
    ],
)
def test_levels_say_what_a_finding_means(outcome: Outcome, levels: list[tuple[str, str]]) -> None:
    """Broken is an error, needed but undecided a warning, the rest a note; only a go has no verdict among them."""
    results = run_of(DECISIONS[outcome])["results"]

    assert [(result["ruleId"], result["level"]) for result in results] == levels


def test_fingerprints_tell_findings_apart_and_survive_a_new_measurement() -> None:
    """The same rule on the same slice is the same alert tomorrow; another slice is another."""
    other = HARMED.model_copy(update={"slice": "carrier=AA"})
    today = run_of(decision("no-go", *HELD, HARMED, other))["results"]
    tomorrow = run_of(decision("no-go", HARMED.model_copy(update={"why": "worse by 0.07"})))["results"]
    prints = [result["partialFingerprints"]["candidateFinding/v1"] for result in today]

    assert len(set(prints)) == len(prints) == 3
    assert tomorrow[0]["partialFingerprints"] == today[0]["partialFingerprints"]


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("optimizing", 2),
        ("satisficing[0]", 4),
        ("satisficing[1]", 6),
        ("satisficing[2]", None),
        ("slices.guard[1]", 12),
        ("slices.watch[0]", 8),
        ("baselines.zero_rule", 14),
        ("skew.parity", 17),
        ("rollback", None),
        ("verdict", None),
    ],
)
def test_a_rule_is_found_at_its_line(rule: str, line: int | None) -> None:
    """Tables are counted as TOML counts them; a comment is no table, and a default has no line."""
    assert line_of(rule, TEXT) == line


def test_results_point_to_the_policy_file() -> None:
    """With the file its line, without it the policy beside the evidence."""
    told = decision("inconclusive", OPEN, BLIND)
    places = [
        result["locations"][0]["physicalLocation"]
        for result in run_of(told, PolicySource("ci/policy.toml", TEXT))["results"]
    ]

    assert [(each["artifactLocation"]["uri"], each["region"]["startLine"]) for each in places] == [
        ("ci/policy.toml", 2),
        ("ci/policy.toml", 8),
        ("ci/policy.toml", 1),
    ]
    assert run_of(told)["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "policy.json"}


def test_help_says_on_which_side_of_its_limit_a_value_must_be() -> None:
    """Read off the policy for limits, off the rule for the rest."""
    rules = {rule["id"]: rule["help"]["text"] for rule in run_of(DECISIONS["go"])["tool"]["driver"]["rules"]}

    assert "at least 0.002" in rules["optimizing"]
    assert "at most 0.1" in rules["satisficing[0]"]
    assert "at least 0.5" in rules["satisficing[1]"]
    assert "at most 0.08" in rules["calibration"]
    assert "must be a" not in rules["packaging"].removeprefix("The bundle must be whole")


def test_what_comes_out_of_files_steers_nothing() -> None:
    """Control and bidirectional characters are replaced in every text."""
    text = decision_sarif(
        decision("no-go", measured("slices.watch[0]", "fail", value=-1.0, slice_=HOSTILE, why=HOSTILE))
    )

    assert "\u202e" not in text
    assert "\\u0000" not in text
    assert json.loads(text)["runs"][0]["results"][0]["message"]["text"].count("<script>") == 2
