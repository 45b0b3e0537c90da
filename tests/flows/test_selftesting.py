"""The gate is held against planted faults: what is caught is counted, and what slips through is told."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import candidate.flows.selftesting as flow
from candidate.adapters.attest import Signer, check
from candidate.documents.decision import Decision
from candidate.documents.names import SELFTEST_TYPE
from candidate.documents.policy import Policy
from candidate.documents.selftest import SelfTest
from candidate.documents.trust import TrustPolicy
from candidate.errors import InputError
from candidate.flows.progress import silent
from candidate.flows.selftesting import selftest, signed_selftest, tampering
from candidate.flows.selftesting.faults import FAULTS, NOT_CAUGHT, slices_of
from candidate.flows.selftesting.gate import Pair, equal_pair, with_scores
from candidate.flows.selftesting.rows import Rows, made_up, scored_rows
from candidate.flows.trusting import check_said
from candidate.judgement import gate
from candidate.report.audits import selftest_text

RUNS = 8


@pytest.fixture(scope="module")
def found() -> SelfTest:
    """A short self-test on made-up rows."""
    return selftest(runs=RUNS)


def test_every_planted_fault_is_caught_and_equal_models_are_left_alone(found: SelfTest) -> None:
    """Each with its bounds; what no rule can catch is said."""
    trials = {trial.name: trial for trial in found.trials}

    assert set(trials) == {"equal", "tampering", *(fault.name for fault in FAULTS)}
    assert found.held
    assert {trial.caught for name, trial in trials.items() if name != "equal"} == {RUNS}
    assert all(trial.runs == RUNS and trial.lower <= trial.caught / RUNS <= trial.upper for trial in found.trials)
    assert found.not_tested == NOT_CAUGHT
    assert "log loss got worse" in trials["slice-regression"].example
    assert selftest_text(found).startswith("self-test on 4,000 made-up rows, seed 0: every promise was kept")


def test_the_same_seed_finds_the_same(found: SelfTest) -> None:
    """But for the key that tampering makes for itself and forgets."""
    again, other = (selftest(runs=RUNS, seed=seed).trials[:-1] for seed in (0, 1))

    assert again == found.trials[:-1]
    assert [trial.example for trial in other] != [trial.example for trial in again]


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("slice_claims", "slice-regression"),
        ("calibration_claims", "miscalibration"),
        ("contamination_claims", "contamination"),
        ("availability_claims", "leak"),
        ("skew_claims", "skew"),
        ("packaging_claims", "replay"),
        ("optimizing_claims", "backwards"),
    ],
)
def test_a_gate_without_a_rule_does_not_pass(monkeypatch: pytest.MonkeyPatch, rule: str, fault: str) -> None:
    """The self-test would notice if one of the rules were gone."""
    rules = tuple(each for each in gate._RULES if each.__name__ != rule)
    assert len(rules) == len(gate._RULES) - 1
    monkeypatch.setattr(gate, "_RULES", rules)
    result = selftest(runs=6)

    assert fault in [trial.name for trial in result.trials if not trial.held]
    assert not result.held
    assert "NOT KEPT" in selftest_text(result)


def test_an_audit_that_notices_nothing_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor one that looks at signatures alone: one way in four."""

    def believe(decision: Decision, *, evidence: Path, attested: bool) -> None:
        assert evidence.is_dir()
        assert isinstance(decision, Decision)
        assert not attested

    monkeypatch.setattr(tampering, "judge_again", believe)
    trial = selftest(runs=8).trials[-1]

    assert (trial.name, trial.caught, trial.held) == ("tampering", 2, False)


def test_alarms_about_equal_models_do_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """If models that are said to be equal were not, every run would be an alarm."""

    def unequal(rows: Rows, rng: np.random.Generator) -> Pair:
        pair = equal_pair(rows, rng)
        return with_scores(pair, 1 - pair.scores[:, 0])

    monkeypatch.setattr(flow, "equal_pair", unequal)
    trial = selftest(runs=4).trials[0]

    assert (trial.name, trial.caught, trial.held) == ("equal", 4, False)


def test_what_a_policy_does_not_ask_for_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No slice, no calibration: said, and not counted as caught."""
    table = made_up(0).policy.model_dump(mode="json") | {"calibration": None, "slices": {}}
    bare = Policy.model_validate(table, strict=False)
    monkeypatch.setattr(flow, "made_up", lambda seed: replace(made_up(seed), policy=bare))
    result = selftest(runs=2)

    assert {"slice-regression", "miscalibration"}.isdisjoint(trial.name for trial in result.trials)
    assert result.not_tested[:2] == (
        "slice-regression: the policy guards and watches no slice",
        "miscalibration: the policy limits no calibration error",
    )


def test_units_stay_together_when_rows_are_drawn() -> None:
    """Each draw of a unit is a unit of its own, with all the rows of the one that was drawn."""
    rows = made_up(0)
    drawn = rows.drawn(np.random.default_rng(3))
    few = rows.drawn(np.random.default_rng(3), 10)

    assert set(np.bincount(drawn.units)) == {2}
    assert (len(drawn.scores), len(few.scores)) == (len(rows.scores), 20)
    first = np.sort(drawn.scores[drawn.units == 0])
    assert any(np.array_equal(first, np.sort(rows.scores[rows.units == unit])) for unit in range(2000))


def test_a_fault_is_planted_where_there_are_rows() -> None:
    """Of slices that are all small it is the largest."""
    rows = made_up(0)
    place = np.arange(4000)
    tiny = (rows.groups[0], np.where(place < 30, 2, np.where(place < 50, 1, -1)))

    assert slices_of(rows) == [1, 2, 3, 4, 5, 6]
    assert slices_of(replace(rows, groups=tiny)) == [2]


def test_a_self_test_can_be_signed(found: SelfTest, approver: Signer, trust: TrustPolicy, now: datetime) -> None:
    """By an approver, about the policy; without a key it is the plain document."""
    data = signed_selftest(found, approver)
    statement = check(data, [approver.public_pem], where="selftest").statement

    assert statement.predicate_type == SELFTEST_TYPE
    assert "sha256:" + statement.subject[0].digest.sha256 == found.policy
    assert statement.predicate == found.model_dump(mode="json")
    assert check_said(data, trust, now=now, channel=None, where="selftest").key_id == approver.key_id
    assert SelfTest.from_bytes(signed_selftest(found, None)) == found


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"data": "rows.parquet"}, "go together"),
        ({"bundle": "b", "policy": "p"}, "go together"),
        ({"runs": 0}, "0 runs"),
        ({"seed": -1}, "seed -1"),
    ],
    ids=["data", "bundle", "runs", "seed"],
)
def test_half_of_what_is_needed_is_refused(given: dict[str, Any], says: str) -> None:
    """Before anything is drawn."""
    with pytest.raises(InputError, match=says):
        selftest(**given)


def test_only_scores_of_yes_or_no_are_planted_in() -> None:
    """Numbers and weights are told so."""
    table = made_up(0).policy.model_dump(mode="json")
    table["data"]["weight"] = "w"
    weighted = Policy.model_validate(table, strict=False)
    with pytest.raises(InputError, match="yes or no, without weights"):
        scored_rows(Path("r"), Path("b"), weighted, seed=0, progress=silent)
