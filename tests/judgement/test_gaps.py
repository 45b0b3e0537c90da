"""Groups are held apart by intervals of pairs, so that many equal groups are not unfair by chance."""

from typing import Any

import numpy as np
import pytest
from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference
from numpy.typing import NDArray

from candidate.documents.decision import Finding
from candidate.documents.evidence import SliceKey
from candidate.judgement.buckets import buckets_of
from candidate.judgement.gate import judge
from candidate.judgement.gate.gaps import gap
from candidate.judgement.intervals import Share, ShareGap
from candidate.judgement.state import Totals, observe, statistics_for
from tests.judgement.worlds import BOTH, keys, policy, world

FAR = {"demographic_parity_gap": demographic_parity_difference, "equalized_odds_gap": equalized_odds_difference}


def groups_of(
    rng: np.random.Generator, sizes: list[int], rates: list[float], unit: int = 1
) -> tuple[Any, NDArray[Any], NDArray[Any], NDArray[Any]]:
    """State, labels, answers and groups; a group's rate is how often it is selected, whatever its label."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    rows = len(group)
    positive = rng.random(rows) < 0.4
    draws = rng.random(-(-rows // unit)).repeat(unit)[:rows]
    answers = draws < np.asarray(rates)[group]
    state = observe(
        positive=positive,
        scores=np.where(answers, 0.8, 0.2)[:, None].repeat(2, axis=1),
        predicted=answers[:, None].repeat(2, axis=1),
        groups=[np.zeros(rows, dtype=np.int64), 1 + group],
        n_slices=1 + len(sizes),
        buckets=buckets_of(np.arange(rows) // unit, salt=5, buckets=64),
        n_buckets=64,
        models=BOTH,
        bins=15,
    )
    return state, positive, answers, group


def found_gap(state: Any, rule: dict[str, Any]) -> Finding:
    """The finding of one gap rule."""
    rules = policy(satisficing=[{"metric": "demographic_parity_gap", "by": "origin", "max": 0.05, **rule}])
    made = world(state, rules=rules)
    verdict = judge(rules, made.evidence, made.arrays)
    return next(finding for finding in verdict.findings if finding.rule == "satisficing[0]")


@pytest.mark.parametrize("metric", sorted(FAR))
def test_the_value_is_fairlearns_difference(metric: str) -> None:
    """To 1e-12, though the rule is not held against it."""
    state, positive, answers, group = groups_of(np.random.default_rng(1), [900, 800, 700], [0.3, 0.4, 0.35])
    pairs = [(key, state.totals(1 + number, statistics_for(BOTH))) for number, key in enumerate(keys(3)[1:])]
    measure, unknown = gap(metric, pairs)

    assert unknown == ""
    assert measure.interval is not None
    expected = FAR[metric](positive, answers, sensitive_features=group)
    assert measure.interval.value == pytest.approx(expected, abs=1e-12)
    assert measure.interval.lower(0.05) < expected < measure.interval.upper(0.05)
    assert measure.interval.below(1.0) < 0.05 < measure.interval.below(-1.0)


def test_equal_groups_pass_a_wide_limit_and_unequal_ones_fail_a_narrow_one() -> None:
    """And what is between stays open."""
    rng = np.random.default_rng(2)
    equal, *_ = groups_of(rng, [4000, 4000], [0.3, 0.3])
    unequal, *_ = groups_of(rng, [4000, 4000], [0.3, 0.5])

    assert found_gap(equal, {"max": 0.1}).status == "pass"
    assert found_gap(unequal, {"max": 0.05}).status == "fail"
    assert found_gap(unequal, {"max": 0.2}).status == "open"
    assert found_gap(unequal, {"max": 0.05, "metric": "equal_opportunity_gap"}).status == "fail"


def test_six_small_equal_groups_are_not_refused() -> None:
    """Their largest difference exceeds 0.05 nearly always; a proof of it would be wrong, and is rare.

    20 runs with an error rate of at most 5 %: more than 4 failures have a probability below 0.3 %.
    """
    rng = np.random.default_rng(3)
    findings = [found_gap(groups_of(rng, [200] * 6, [0.3] * 6)[0], {}) for _ in range(20)]

    assert sum(finding.status == "fail" for finding in findings) <= 4
    assert not any(finding.status == "pass" for finding in findings)
    assert sum(finding.estimate is not None and finding.estimate.value > 0.05 for finding in findings) >= 14


def test_a_group_too_small_to_speak_of_leaves_the_rule_open_but_hides_no_proof() -> None:
    """Eight rows cannot show that they are treated alike; two large groups can show that they are not."""
    rng = np.random.default_rng(4)
    alike, *_ = groups_of(rng, [4000, 4000, 8], [0.3, 0.3, 0.3])
    apart, *_ = groups_of(rng, [4000, 4000, 8], [0.3, 0.5, 0.3])

    finding = found_gap(alike, {"max": 0.3})
    assert finding.status == "open"
    assert "origin=2" in finding.why
    assert found_gap(apart, {"max": 0.05}).status == "fail"


def test_one_group_has_no_gap_and_two_tiny_ones_no_measure() -> None:
    """Absent evidence is open, never a pass."""
    rng = np.random.default_rng(5)

    alone = found_gap(groups_of(rng, [500], [0.3])[0], {})
    tiny = found_gap(groups_of(rng, [9, 9], [0.3, 0.3])[0], {})

    assert (alone.status, tiny.status) == ("open", "open")
    assert "no two groups" in alone.why
    empty = gap("demographic_parity_gap", [(SliceKey(name="a"), Totals(("n",), np.zeros((3, 1), dtype=np.int64)))])
    assert empty[0].claimable is None


def test_rows_of_one_unit_widen_the_gap() -> None:
    """Twenty rows of one unit share a fate."""
    rng = np.random.default_rng(6)
    widths = []
    for unit in (1, 20):
        state, *_ = groups_of(rng, [4000, 4000], [0.3, 0.3], unit)
        finding = found_gap(state, {})
        assert finding.estimate is not None
        assert finding.estimate.upper is not None
        widths.append(finding.estimate.upper - finding.estimate.value)

    assert widths[1] > 2 * widths[0]


def test_a_gap_of_shares_covers_and_its_p_values_agree_with_its_bounds() -> None:
    """One-sided 95 % bounds, 400 draws of 30 rows each: more than 30 misses have a probability below 1 %."""
    rng = np.random.default_rng(7)
    missed = 0
    for _ in range(400):
        first, second = rng.binomial(30, 0.2), rng.binomial(30, 0.1)
        found = ShareGap(Share(int(first), 30), Share(int(second), 30))
        missed += found.lower(0.05) > 0.1
        for limit in (-0.2, 0.0, 0.1):
            assert (found.above(limit) <= 0.05) == (found.lower(0.05) >= limit) or found.lower(0.05) == limit
            assert (found.below(limit) <= 0.05) == (found.upper(0.05) <= limit) or found.upper(0.05) == limit

    assert missed <= 30
