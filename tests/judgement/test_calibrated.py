"""The rules of calibration: in slices, for each class, and in the large; and how often they are wrong."""

from dataclasses import replace
from typing import Any

import numpy as np

from candidate.documents.decision import Finding
from candidate.judgement.calibration import Magnitude
from candidate.judgement.gate import judge
from candidate.judgement.gate.case import Case
from candidate.judgement.intervals import Jackknife
from candidate.judgement.state import Layout, State, observe, observe_numbers
from tests.judgement.worlds import BOTH, World, keys, policy, sigmoid, world


def counted(rng: np.random.Generator, rows: int, *, off: float = 0.0, only: int | None = None) -> State:
    """Rows in two slices; scores are too high by so much, in one slice or in both."""
    truth, group = rng.uniform(0.25, 0.75, rows), rng.integers(1, 3, rows)
    wrong = np.ones(rows, dtype=bool) if only is None else group == only
    scores = np.stack([truth + off * wrong, sigmoid(rng.normal(size=rows))], axis=1)
    return observe(
        positive=rng.random(rows) < truth,
        scores=scores,
        predicted=scores > 0.5,
        groups=[np.zeros(rows, dtype=np.int64), group.astype(np.int64)],
        n_slices=3,
        buckets=np.arange(rows) % 64,
        n_buckets=64,
        models=BOTH,
        bins=15,
        calibrated=(1, 2),
    )


def findings(state: State, **rule: Any) -> dict[tuple[str, str | None], Finding]:
    """Findings of the calibration line, by metric and slice."""
    found = world(state)
    axes = found.evidence.state.model_copy(update={"calibrated": state.calibrated})
    rules = policy(calibration=rule)
    result = judge(rules, found.changed(state=axes).evidence, found.arrays)
    return {(each.metric, each.slice): each for each in result.findings if each.line == "calibration"}


def test_an_error_in_one_slice_is_found_there() -> None:
    """Overall half of it is seen; in the slice all of it, and the other slice passes."""
    found = findings(
        counted(np.random.default_rng(1), 20_000, off=0.1, only=2), max=0.06, by="origin", in_the_large=0.06
    )

    statuses = {place: each.status for place, each in found.items()}
    assert statuses["l2_debiased", "origin=1"] == statuses["in_the_large", "origin=1"] == "fail"
    assert statuses["l2_debiased", "origin=0"] == statuses["in_the_large", "origin=0"] == "pass"
    large = found["in_the_large", "overall"].estimate
    assert large is not None
    assert abs(large.value - 0.05) < 0.015


def test_slices_are_counted_as_if_they_were_alone() -> None:
    """The bins of a slice are those of its rows."""
    state = counted(np.random.default_rng(2), 3000)

    assert np.array_equal(state.bins[1] + state.bins[2], state.bins[0])
    swapped = state.reordered([0, 2, 1])
    assert np.array_equal(swapped.bins[1], state.bins[2])
    assert swapped.calibrated == (1, 2)


def test_a_slice_without_rows_leaves_the_rule_open() -> None:
    """Nothing was seen of it."""
    plain = replace(counted(np.random.default_rng(3), 2000), calibrated=())
    plain = replace(plain, bins=plain.bins[:1])
    found = findings(plain, max=0.3, by="carrier")

    assert found["l2_debiased", "overall"].status == "pass"
    assert found["l2_debiased", None].status == "open"
    assert found["l2_debiased", None].why == "no slice of carrier has rows"


def test_the_size_of_a_difference_is_held_on_both_sides() -> None:
    """At the limit a pass, and a fail, are each at most as likely as the level says: 2,000 drawn differences."""
    rng = np.random.default_rng(4)
    passed = failed = 0
    for shift in rng.normal(size=2000):
        size = Magnitude(Jackknife(0.05 + 0.02 * shift, 0.02, 63))
        passed += size.upper(0.05) <= 0.05
        failed += size.above(0.05) <= 0.05
        assert (size.above(0.05) <= 0.05) == (size.lower(0.05) >= 0.05)
        assert (size.below(0.05) <= 0.05) == (size.upper(0.05) <= 0.05)

    assert passed <= 0.05 * 2000 + 3 * np.sqrt(0.05 * 0.95 * 2000)
    assert failed <= 0.05 * 2000 + 3 * np.sqrt(0.05 * 0.95 * 2000)
    assert Magnitude(Jackknife(-0.3, 0.01, 63)).value == 0.3


def numbers(rng: np.random.Generator, rows: int, bias: float) -> World:
    """Evidence of two models of a number, of which the first is too high by so much."""
    label = rng.gamma(3.0, 2.0, rows)
    state = observe_numbers(
        label=label,
        answers=label[:, np.newaxis] + rng.normal(size=(rows, 2)) + np.array([bias, 0.0]),
        groups=[np.zeros(rows, dtype=np.int64), rng.integers(1, 3, rows)],
        n_slices=3,
        buckets=np.arange(rows) % 64,
        n_buckets=64,
        models=BOTH,
        scale=8.0,
    )
    found = world(state)
    layout = Layout(BOTH, "regression", 0)
    axes = found.evidence.state.model_copy(
        update={"task": "regression", "statistics": layout.statistics, "slices": keys(2)}
    )
    return found.changed(state=axes)


def test_a_bias_of_numbers_is_found_and_its_zero_rule_asked_for() -> None:
    """In the label's own units; without the training mean nothing says that the mean was beaten."""
    rules = policy(
        task="regression",
        data={"label": "late", "unit": "day", "scale": 8.0},
        optimizing={"metric": "mae", "require": "non_inferior", "margin": 0.5},
        slices={},
        satisficing=[],
        calibration={"in_the_large": 0.2, "by": "origin"},
    )
    outcomes = {}
    for bias in (0.0, 0.5):
        found = numbers(np.random.default_rng(5), 4000, bias)
        result = judge(rules, found.evidence, found.arrays)
        outcomes[bias] = {each.slice: each.status for each in result.findings if each.line == "calibration"}
        zero_rule = next(each for each in result.findings if each.rule == "baselines.zero_rule")
        assert zero_rule.why == "the bundle does not record the mean label of its training set"

    assert outcomes[0.0] == {"overall": "pass", "origin=0": "pass", "origin=1": "pass"}
    assert set(outcomes[0.5].values()) == {"fail"}


def test_a_mean_that_was_counted_is_held_against() -> None:
    """The mean of the training labels is one more model beside the others."""
    rng = np.random.default_rng(6)
    label = rng.gamma(3.0, 2.0, 2000)
    state = observe_numbers(
        label=label,
        answers=label[:, np.newaxis] + rng.normal(size=(2000, 2)),
        groups=[np.zeros(2000, dtype=np.int64)],
        n_slices=1,
        buckets=np.arange(2000) % 64,
        n_buckets=64,
        models=BOTH,
        scale=8.0,
        constant=6.0,
    )
    layout = Layout(BOTH, "regression", 0, zero_rule=True)
    found = world(state)
    axes = found.evidence.state.model_copy(
        update={"task": "regression", "statistics": layout.statistics, "zero_rule": True}
    )
    rules = policy(
        task="regression",
        data={"label": "late", "unit": "day", "scale": 8.0},
        optimizing={"metric": "mae", "require": "non_inferior", "margin": 0.5},
        slices={},
        satisficing=[],
        calibration=None,
    )
    measured = Case(rules, found.changed(state=axes).evidence, state, None).over_zero_rule("mae")

    assert not measured.reason
    assert measured.interval is not None
    assert measured.interval.lower(0.05) > 1
