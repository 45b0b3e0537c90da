"""Laws of the verdict: what must hold of any evidence, and the error rates that it promises."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from candidate.documents.policy import CHECKLIST, Policy
from candidate.judgement.buckets import buckets_of
from candidate.judgement.gate import Arrays, judge
from candidate.judgement.gate.measures import gain, level
from candidate.judgement.metrics import METRICS
from candidate.judgement.multiplicity import holm
from candidate.judgement.state import Layout, State, observe, statistics_for
from tests.judgement.worlds import (
    BOTH,
    durations,
    facts,
    policy,
    simulate,
    world,
)

FAST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def counted(rows: NDArray[np.int64], seed: int) -> State:
    """The State of some rows of one fixed data set, which the seed draws."""
    rng = np.random.default_rng(seed)
    size = 400
    positive, scores = rng.random(size) < 0.4, rng.random((size, 2))
    group, unit = rng.integers(-1, 5, size), rng.integers(0, 90, size)
    group[group == 0] = -1
    return observe(
        positive=positive[rows],
        scores=scores[rows],
        predicted=scores[rows] >= 0.5,
        groups=[np.zeros(len(rows), dtype=np.int64), group[rows]],
        n_slices=5,
        buckets=buckets_of(unit[rows], salt=77, buckets=32),
        n_buckets=32,
        models=BOTH,
        bins=10,
    )


@FAST
@given(
    seed=st.integers(0, 2**32 - 1),
    order=st.permutations(list(range(400))),
    cuts=st.lists(st.integers(0, 400), max_size=9),
    merge=st.randoms(use_true_random=False),
)
def test_any_sharding_in_any_order_gives_the_same_bytes(seed: int, order: list[int], cuts: list[int], merge) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - random.Random, by hypothesis
    """However rows are cut, ordered and merged, the State is identical bit by bit."""
    whole = counted(np.arange(400), seed)
    edges = sorted({0, 400, *cuts})
    shards = [counted(np.array(order[start:end]), seed) for start, end in pairwise(edges)]
    merge.shuffle(shards)
    total = State.zeros(Layout(BOTH), slices=5, buckets=32, bins=10)
    for shard in shards:
        total += shard

    assert total.counts.tobytes() == whole.counts.tobytes()
    assert total.bins.tobytes() == whole.bins.tobytes()


@FAST
@given(seed=st.integers(0, 2**32 - 1), renaming=st.permutations(list(range(1, 5))))
def test_the_order_of_slices_changes_no_finding(seed: int, renaming: list[int]) -> None:
    """Slices are found by what they are, not by where they stand."""
    state = counted(np.arange(400), seed)
    plain = world(state)
    order = [0, *renaming]
    moved = world(state.reordered(order), slices=tuple(plain.evidence.state.slices[number] for number in order))
    rules = policy(slices={"guard": [{"by": "origin", "margin": 0.1}]})

    first = judge(rules, plain.evidence, plain.arrays)
    second = judge(rules, moved.evidence, moved.arrays)

    assert first.outcome == second.outcome
    assert sorted(str(finding) for finding in first.findings) == sorted(str(finding) for finding in second.findings)


RULES = [
    policy(
        optimizing={"metric": name, "require": "superior", "min_gain": 0.01},
        satisficing=[{"metric": name, "min": 0.4, "by": "origin"}, {"metric": "latency_p99_ratio", "max": 1.1}],
        slices={
            "guard": [{"by": "origin", "margin": 0.02, "metric": "error_rate"}],
            "watch": [{"by": "origin", "margin": 0.01}, {"where": "x > 1", "margin": 0.0}],
        },
    )
    for name in METRICS
]


@FAST
@given(
    counts=hnp.arrays(np.int64, (3, 24, 12), elements=st.integers(-3, 60) | st.integers(-(2**63), 2**63 - 1)),
    bins=hnp.arrays(np.int64, (1, 1, 24, 2, 4, 4), elements=st.integers(-1, 60) | st.integers(-(2**63), 2**63 - 1)),
    latency=hnp.arrays(np.int64, (5, 2, 7), elements=st.integers(-5, 2**62)),
    rules=st.sampled_from(RULES),
)
def test_any_counts_get_a_verdict(
    counts: NDArray[np.int64], bins: NDArray[np.int64], latency: NDArray[np.int64], rules: Policy
) -> None:
    """Judging is total: nonsense is inconclusive or a no-go, never a crash and never a go."""
    found = world(State(counts, bins), latency=latency)

    assert judge(rules, found.evidence, found.arrays).outcome in {"no-go", "inconclusive"}


OTHERS = {
    "multiclass": policy(task="multiclass", optimizing={"metric": "f1_macro", "require": "superior", "min_gain": 0.01}),
    "regression": policy(
        task="regression",
        quantile=0.9,
        data={"label": "late", "unit": "day", "scale": 1.0, "weight": "w"},
        optimizing={"metric": "r2", "require": "non_inferior", "margin": 0.01},
        satisficing=[{"metric": name, "max": 0.5, "by": "origin"} for name in ("mape", "pinball", "rmse")],
        calibration={"in_the_large": 0.1, "by": "origin"},
    ),
}


@FAST
@given(st.data())
def test_any_counts_of_classes_and_numbers_get_a_verdict(data: st.DataObject) -> None:
    """Judging is total for every task: nonsense is never a crash and never a go."""
    task = data.draw(st.sampled_from(sorted(OTHERS)))
    layout = Layout(BOTH, "multiclass", 3) if task == "multiclass" else Layout(BOTH, "regression", 0, weighted=True)
    small = st.integers(-3, 60) | st.integers(0, 2**40) | st.integers(-(2**63), 2**63 - 1)
    counts = data.draw(hnp.arrays(np.int64, (3, 24, len(layout.statistics)), elements=small))
    bins = data.draw(hnp.arrays(np.int64, (1, layout.curves, 24, 2, 4, 4), elements=small))
    found = world(State(counts, bins))
    axes = found.evidence.state.model_copy(
        update={
            "task": task,
            "statistics": layout.statistics,
            "classes": ("a", "b", "c") if task == "multiclass" else (),
            "weighted": layout.weighted,
        }
    )

    assert judge(OTHERS[task], found.changed(state=axes).evidence, found.arrays).outcome in {"no-go", "inconclusive"}


@FAST
@given(
    plain=hnp.arrays(np.int64, (2, 24, 9), elements=st.integers(0, 4)),
    latency=hnp.arrays(np.int64, (25, 2, 13), elements=st.integers(0, 2**40)),
    rules=st.sampled_from(RULES),
)
def test_any_rows_get_a_verdict(plain: NDArray[np.int64], latency: NDArray[np.int64], rules: Policy) -> None:
    """Sound but odd counts (empty buckets, one class only, equal models) are judged too, in bounds."""
    wins, misses, extra = plain[..., 0:2], plain[..., 2:4], plain[..., 4:6]
    positive = wins.max(axis=-1) + plain[..., 6]
    negative = misses.max(axis=-1) + plain[..., 7]
    n = positive + negative
    right = wins + negative[..., None] - misses
    ahead, behind = np.maximum(right[..., 0] - right[..., 1], 0), np.maximum(right[..., 1] - right[..., 0], 0)
    models = [
        column
        for model in range(2)
        for column in (wins[..., model], misses[..., model], n * extra[..., model] * 2**28, n * extra[..., model])
    ]
    counts = np.stack([n, positive, *models, ahead, behind], axis=-1)
    found = world(State(counts, np.zeros((1, 1, 24, 2, 4, 4), dtype=np.int64)), latency=latency)
    result = judge(rules, found.evidence, found.arrays)

    assert type(result).from_bytes(result.to_bytes()) == result
    for finding in result.findings:
        assert finding.p_value is None or 0 <= finding.p_value <= 1
        known = finding.estimate
        if known is not None and known.lower is not None and known.upper is not None:
            assert known.lower <= known.value + 1e-9
            assert known.value <= known.upper + 1e-9


@FAST
@given(
    seed=st.integers(0, 2**32 - 1),
    worse=st.floats(0.05, 0.9),
    margin=st.floats(0.001, 0.3),
    name=st.sampled_from(sorted(METRICS)),
)
def test_a_worse_challenger_never_passes_where_a_better_one_failed(
    seed: int, worse: float, margin: float, name: str
) -> None:
    """Take right answers away from a challenger: no guard and no limit gets better by it."""
    rng = np.random.default_rng(seed)
    rules = policy(
        optimizing={"metric": name, "require": "non_inferior", "margin": margin},
        satisficing=[{"metric": name, "min" if METRICS[name].sign > 0 else "max": 0.5}],  # type: ignore[index]  # drawn from its keys
        slices={"guard": [{"by": "origin", "margin": margin}]},
        calibration=None,
    )
    good = simulate(rng, 1200, noise=(float(rng.uniform(0.2, 3)), 0.5))
    spoiled = good.counts.copy()
    # Turn a share of the right positive answers of every bucket into wrong negative ones.
    lost = np.floor(spoiled[..., 2] * worse).astype(np.int64)
    spoiled[..., 2] -= lost
    spoiled[..., 4] = np.minimum(spoiled[..., 4] + lost * 2**30, spoiled[..., 0] * 2**35)
    spoiled[..., 5] = np.minimum(spoiled[..., 5] + lost * 2**28, spoiled[..., 0] * 2**30)
    both_right = spoiled[..., 0] - spoiled[..., 10] - spoiled[..., 11]
    from_gained = np.minimum(lost, spoiled[..., 10])
    spoiled[..., 10] -= from_gained
    spoiled[..., 11] += np.minimum(lost - from_gained, both_right)
    outcomes = []
    for counts in (good.counts, spoiled):
        found = world(State(counts, good.bins))
        outcomes.append(judge(rules, found.evidence, found.arrays).findings)

    for better, after in zip(*outcomes, strict=True):
        if better.status == "fail" and better.line in {"optimizing", "satisficing", "slices"}:
            assert after.status != "pass", (better, after)


@FAST
@given(st.lists(st.floats(0, 1), max_size=30), st.floats(0.001, 0.2))
def test_holm_claims_no_more_than_each_alone_and_no_less_than_bonferroni(p_values: list[float], alpha: float) -> None:
    """Step-down: never more than uncorrected, never less than alpha divided among all."""
    proven = holm(p_values, alpha)

    for p_value, claimed in zip(p_values, proven, strict=True):
        assert not claimed or p_value <= alpha
        assert claimed or p_value > alpha / len(p_values)


@FAST
@given(st.sets(st.sampled_from(CHECKLIST)))
def test_a_required_line_without_evidence_is_never_a_go(required: set[str]) -> None:
    """Slices, satisficing and calibration are absent here; a go needs that they were not asked for."""
    rules = policy(slices={}, satisficing=[], calibration=None, checklist={"require": sorted(required)})
    found = world(GOOD)
    absent = {"slices", "satisficing", "calibration"}
    result = judge(rules, found.evidence, found.arrays)

    assert {item.line for item in result.checklist if item.status == "absent"} == absent
    assert result.outcome == ("inconclusive" if required & absent else "go")


GOOD = simulate(np.random.default_rng(0), 4000, noise=(0.2, 1.2))

WATCHING = policy(
    optimizing={"metric": "log_loss", "require": "superior", "min_gain": 0.0},
    slices={
        "guard": [{"by": "origin", "margin": 0.0, "metric": "brier"}],
        "watch": [{"by": "origin", "margin": 0.0, "metric": "error_rate"}],
    },
    satisficing=[],
    calibration=None,
)


def test_equal_models_are_a_no_go_no_more_often_than_alpha() -> None:
    """A/A with margins of nothing, 20 slices and 42 claims at once: the hardest case.

    250 runs: 5 % and two standard errors are 7.8 %. A point gate refuses nearly all of them.
    """
    rng = np.random.default_rng(2013)
    refused = pointed = 0
    for _ in range(250):
        found = world(simulate(rng, 2500, n_slices=20))
        result = judge(WATCHING, found.evidence, found.arrays)
        refused += result.outcome == "no-go"
        gains = [f.estimate.value for f in result.findings if f.line == "slices" and f.estimate is not None]
        pointed += min(gains) < 0

    assert refused / 250 <= 0.078
    assert pointed / 250 > 0.99


def test_equal_models_in_clusters_are_a_no_go_no_more_often_than_alpha() -> None:
    """Ten rows share a unit and its fate; intervals of independent rows would refuse far more."""
    rng = np.random.default_rng(2014)
    refused = 0
    for _ in range(200):
        found = world(simulate(rng, 4000, n_slices=3, rows_per_unit=10))
        refused += judge(WATCHING, found.evidence, found.arrays).outcome == "no-go"

    assert refused / 200 <= 0.08


def hidden(rng: np.random.Generator, rows: int) -> State:
    """A challenger half a point better overall and five points worse in slice 1, which has 463 rows."""
    inside = np.arange(rows) < 463
    group = np.where(inside, 1, rng.integers(2, 21, rows))
    positive, right = rng.random(rows) < 0.4, rng.random(rows) < 0.9
    won = ~right & (rng.random(rows) < np.where(inside, 0.05, 0.345))
    lost = right & (rng.random(rows) < np.where(inside, 0.061, 0.0285))
    predicted = np.stack([positive ^ ~((right | won) & ~lost), positive ^ ~right], axis=1)
    return observe(
        positive=positive,
        scores=np.where(predicted, 0.9, 0.1),
        predicted=predicted,
        groups=[np.zeros(rows, dtype=np.int64), group],
        n_slices=21,
        buckets=buckets_of(np.arange(rows), salt=int(rng.integers(2**62)), buckets=64),
        n_buckets=64,
        models=BOTH,
        bins=15,
    )


def test_a_hidden_regression_of_a_small_slice_is_found() -> None:
    """Six percent of answers differ, 20 slices, 10,000 rows: the harmed slice is named nearly always."""
    rng = np.random.default_rng(2015)
    rules = policy(
        optimizing={"metric": "error_rate", "require": "superior", "min_gain": 0.0},
        slices={"watch": [{"by": "origin", "margin": 0.0}]},
        satisficing=[],
        calibration=None,
    )
    found = better_overall = 0
    for _ in range(100):
        made = world(hidden(rng, 10_000))
        result = judge(rules, made.evidence, made.arrays)
        found += "origin=0" in {finding.slice for finding in result.findings if finding.status == "fail"}
        overall = result.findings[0].estimate
        better_overall += overall is not None and overall.value > 0

    assert found >= 93
    assert better_overall >= 93


def test_a_go_at_the_margin_is_no_more_likely_than_alpha() -> None:
    """Consumer risk: a challenger that is exactly as much worse as is tolerated gets its proof 5 % of the time."""
    rng = np.random.default_rng(2016)
    passed = 0
    for _ in range(300):
        state = simulate(rng, 1500, n_slices=0)
        # Shift each bucket's loss so that the truth lies exactly on the margin of 0.1 nats.
        counts = state.counts.copy()
        counts[..., 4] += counts[..., 0] * round(0.1 * 2**30)
        measure = gain(State(counts, state.bins).totals(0, statistics_for(BOTH)), "log_loss", "champion")
        assert measure.interval is not None
        passed += measure.interval.lower(0.05) > -0.1

    assert passed / 300 <= 0.076


@pytest.mark.parametrize("name", sorted(METRICS))
def test_the_jackknife_of_every_metric_covers(name: str) -> None:
    """90 % two-sided of one model's metric, against the truth of a million rows."""
    rng = np.random.default_rng(2017)
    truth = level(simulate(rng, 400_000, n_slices=0).totals(0, statistics_for(BOTH)), name, "challenger")  # type: ignore[arg-type]  # drawn from its keys
    assert truth.interval is not None
    held = 0
    for _ in range(150):
        measure = level(simulate(rng, 800, n_slices=0).totals(0, statistics_for(BOTH)), name, "challenger")  # type: ignore[arg-type]  # the same
        assert measure.claimable is not None
        held += measure.claimable.lower(0.05) <= truth.interval.value <= measure.claimable.upper(0.05)

    assert held / 150 >= 0.84


def test_latency_alone_can_stop_a_release() -> None:
    """A/A passes a ratio of 1.2; twice as slow is a no-go, whatever else is better."""
    rng = np.random.default_rng(2018)
    rules = policy(satisficing=[{"metric": "latency_p99_ratio", "max": 1.2}])
    same = world(GOOD, latency=durations(rng))
    slow = world(GOOD, latency=durations(rng, factor=2.0))

    assert judge(rules, same.evidence, same.arrays).outcome == "go"
    assert judge(rules, slow.evidence, slow.arrays).outcome == "no-go"


def test_nothing_but_the_challenger_decides_a_first_release() -> None:
    """The same rows judged with and without a champion differ in the comparator, not in the counts."""
    alone = simulate(np.random.default_rng(0), 4000, noise=(0.2, 1.2), models=("challenger",))
    rules = policy(champion="none", rollback={"target": "none"}, slices={}, satisficing=[], calibration=None)
    found = world(alone, models=("challenger",), challenger=facts("a"))
    with_champion = replace(world(GOOD), arrays=Arrays(GOOD, None))

    first = judge(rules, found.evidence, found.arrays).findings
    second = judge(policy(slices={}, satisficing=[], calibration=None), with_champion.evidence, with_champion.arrays)
    baseline = {finding.rule: finding.estimate for finding in first}["baselines.zero_rule"]
    again = {finding.rule: finding.estimate for finding in second.findings}["baselines.zero_rule"]
    assert baseline is not None
    assert again is not None
    assert baseline.value > 0
    assert again.value > 0
