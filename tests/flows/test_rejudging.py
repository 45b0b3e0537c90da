"""What another policy would have said of the same evidence: exploratory, and never a go."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from candidate.adapters.attest import Signer, attest
from candidate.documents.trust import TrustPolicy
from candidate.errors import InputError, IntegrityError
from candidate.flows.deciding import check_decision
from candidate.flows.rejudging import EXIT_CODES, rejudge
from candidate.flows.showing import read_decision
from candidate.report.audits import exploratory_text
from tests.bundles import decision_statement
from tests.decided import decided
from tests.judgement.worlds import policy, simulate

GREEDY: dict[str, Any] = {"metric": "log_loss", "require": "superior", "min_gain": 0.5}
MODEST: dict[str, Any] = {"metric": "log_loss", "require": "superior", "min_gain": 0.001}


@pytest.fixture(scope="module")
def decision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A no-go under a policy that asks for half a nat more, of a challenger that is much better."""
    state = simulate(np.random.default_rng(1), 20_000, noise=(0.2, 0.8))
    return decided(tmp_path_factory.mktemp("decided"), policy(optimizing=GREEDY), state)


def test_a_softer_policy_would_have_said_go_and_that_is_all(decision: Path) -> None:
    """It is told, and leaves by the code of an inconclusive verdict; the decision stands."""
    found = rejudge(decision, policy=policy(optimizing=MODEST))

    assert (found.was, found.would_be, found.not_measured) == ("no-go", "go", ())
    assert EXIT_CODES[found.would_be] == 4
    assert found.decision == read_decision(decision).digest
    assert found.policy == policy(optimizing=MODEST).digest
    assert exploratory_text(found).startswith("WOULD BE GO (exploratory): the decision says no-go, and stands")


def test_the_policy_itself_says_what_it_said(decision: Path) -> None:
    """The same findings, number for number."""
    found, said = rejudge(decision, policy=policy(optimizing=GREEDY)), read_decision(decision)

    assert (found.findings, found.checklist, found.risks) == (said.findings, said.checklist, said.risks)
    assert (found.would_be, EXIT_CODES[found.would_be]) == ("no-go", 3)


@pytest.mark.parametrize(
    ("rules", "missing"),
    [
        ({"slices": {"watch": [{"by": "carrier", "margin": 0.05}]}}, "slices of carrier"),
        ({"slices": {"guard": [{"where": "hour > 5", "margin": 0.05}]}}, "slices of hour > 5"),
        ({"satisficing": [{"metric": "brier", "max": 0.9, "by": ["origin", "hour"]}]}, "slices of origin & hour"),
        ({"satisficing": [{"metric": "roc_auc", "min": 0.1}]}, "the order of scores in all rows"),
        (
            {"satisficing": [{"metric": "demographic_parity_gap", "max": 0.5, "by": "sex"}]},
            "slices of sex",
        ),
        ({"calibration": {"max": 0.2, "by": "origin"}}, "calibration in slices of origin"),
    ],
    ids=["watch", "guard", "limit", "order", "gap", "calibration"],
)
def test_what_was_not_measured_is_open_and_named(decision: Path, rules: dict[str, Any], missing: str) -> None:
    """The other findings are told all the same, and it would not be a go."""
    found = rejudge(decision, policy=policy(optimizing=MODEST, **rules))

    assert found.not_measured == (missing,)
    assert found.would_be == "inconclusive"
    assert any(finding.rule == "optimizing" and finding.status == "pass" for finding in found.findings)


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"data": {"label": "late", "unit": "hour"}}, "data.unit = 'hour', measured was 'day'"),
        ({"data": {"label": "early", "unit": "day", "buckets": 128}}, "data.label = 'early'.*data.buckets = 128"),
        ({"data": {"label": "late", "unit": "day", "blackbox": "sha256:" + "0" * 64}}, "data.blackbox"),
        ({"calibration": {"max": 0.2, "bins": 20}}, "calibration.bins = 20, measured was 15"),
        (
            {
                "metrics": [{"name": "loss", "formula": "fare[fp] / n", "direction": "min", "definition": "d"}],
                "satisficing": [{"metric": "custom.loss", "max": 5.0}],
            },
            r"columns that metrics sum = .'fare',., measured was",
        ),
        ({"champion": "none", "rollback": {"target": "none"}}, "the evidence has a champion"),
    ],
    ids=["unit", "label", "blackbox", "bins", "column", "champion"],
)
def test_a_policy_that_reads_the_rows_otherwise_is_refused(decision: Path, rules: dict[str, Any], says: str) -> None:
    """Nothing of it can be answered from these counts, and every key is named."""
    with pytest.raises(InputError, match=says):
        rejudge(decision, policy=policy(**rules))


def test_a_decision_that_does_not_follow_is_not_judged_anew(decision: Path, tmp_path: Path) -> None:
    """Whoever asks about other evidence is told."""
    state = simulate(np.random.default_rng(2), 500)
    other = decided(tmp_path, policy(), state)
    with pytest.raises(IntegrityError, match="the decision cites"):
        rejudge(decision, policy=policy(), evidence=other.parent / "evidence")


def test_nothing_is_promoted_by_it(decision: Path, trust: TrustPolicy, approver: Signer, now: datetime) -> None:
    """It is no decision: whoever reads decisions refuses its bytes, and what an approver might sign of them."""
    found = rejudge(decision, policy=policy(optimizing=MODEST))
    said = read_decision(decision)
    statement = decision_statement(said).model_copy(update={"predicate": found.model_dump(mode="json")})
    with pytest.raises(IntegrityError):
        check_decision(found.to_bytes(), trust, now=now)
    with pytest.raises(IntegrityError, match="kind"):
        check_decision(attest(statement, approver).to_bytes(), trust, now=now)
