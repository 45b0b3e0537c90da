"""The verdict: each statistical rule in each of its answers, and what they force together."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from candidate.documents.decision import Finding, Verdict
from candidate.documents.evidence import SliceKey
from candidate.documents.policy import CHECKLIST, Policy
from candidate.errors import InputError, IntegrityError
from candidate.judgement.gate import Arrays, estimate_metric, judge
from candidate.judgement.state import Layout, State
from tests.judgement.worlds import (
    ALONE,
    BOTH,
    World,
    durations,
    facts,
    policy,
    simulate,
    world,
)


@cache
def better() -> World:
    """A challenger that sees far more clearly than the champion, with everything measured."""
    rng = np.random.default_rng(1)
    return world(simulate(rng, 6000, noise=(0.2, 1.2)), latency=durations(rng))


@cache
def equal(rows: int = 3000) -> World:
    """A challenger that is as good as the champion."""
    rng = np.random.default_rng(2)
    return world(simulate(rng, rows), latency=durations(rng))


@cache
def first_release() -> World:
    """A good challenger and no champion."""
    rng = np.random.default_rng(3)
    state = simulate(rng, 6000, noise=(0.2, 0.2), models=ALONE)
    return world(state, models=ALONE, latency=durations(rng, models=1))


def verdict(found: World, rules: Policy | None = None) -> Verdict:
    """Judge a world by a policy."""
    return judge(rules or policy(), found.evidence, found.arrays)


def by_rule(result: Verdict, rule: str, slice_name: str | None = None) -> Finding:
    """The one finding of a rule (in a slice)."""
    found = [f for f in result.findings if f.rule == rule and slice_name in {None, f.slice}]
    assert len(found) == 1
    return found[0]


def test_a_clearly_better_challenger_is_a_go() -> None:
    """Every line of the checklist has evidence and holds."""
    result = verdict(better())

    assert result.outcome == "go"
    assert [item.status for item in result.checklist] == ["pass"] * 9
    assert all(item.evidence and item.required for item in result.checklist)
    assert result.risks.no_go_claims == sum(finding.p_value is not None for finding in result.findings)
    assert (result.risks.false_go, result.risks.false_no_go, result.risks.power) == (0.05, 0.05, 0.8)


@pytest.mark.parametrize("ranked", [(0,), (7,), (-1,)])
def test_histograms_of_other_slices_are_refused(ranked: tuple[int, ...]) -> None:
    """Evidence names the slices whose areas were counted."""
    found = better()
    named = found.changed(state=found.evidence.state.model_copy(update={"ranked": ranked}))
    with pytest.raises(IntegrityError, match="histograms are not those"):
        verdict(named)


def test_the_same_evidence_gives_the_same_bytes() -> None:
    """No clock, no randomness, no order of a set in it."""
    first = verdict(better()).to_bytes()

    assert verdict(better()).to_bytes() == first
    assert Verdict.from_bytes(first).outcome == "go"


def test_too_little_data_is_inconclusive_and_says_how_much_is_missing() -> None:
    """The rows needed are those at which the rule is decided with the policy's power."""
    rng = np.random.default_rng(5)
    small = world(simulate(rng, 300, noise=(0.4, 0.6)), latency=durations(rng))
    result = verdict(small, policy(slices={}, checklist={"require": []}))
    finding = by_rule(result, "optimizing")

    assert result.outcome == "inconclusive"
    assert finding.status == "open"
    assert finding.n_needed is not None
    assert finding.n_needed > 300
    assert "needs about" in finding.why
    assert "has 300" in finding.why
    enough = world(simulate(rng, 2 * finding.n_needed, noise=(0.4, 0.6)), latency=durations(rng))
    assert by_rule(verdict(enough), "optimizing").status == "pass"


def test_no_gain_at_all_is_proven_futile() -> None:
    """With enough rows, "not enough better" is an answer and not a wish for more rows."""
    result = verdict(equal(20_000), policy(optimizing={"metric": "brier", "require": "superior", "min_gain": 0.05}))
    finding = by_rule(result, "optimizing")

    assert result.outcome == "no-go"
    assert finding.status == "fail"
    assert "at most" in finding.why
    assert finding.n_needed is None


def test_an_equal_challenger_is_not_inferior() -> None:
    """A cheaper model that is as good may replace its champion."""
    rules = policy(optimizing={"metric": "log_loss", "require": "non_inferior", "margin": 0.05})
    finding = by_rule(verdict(equal(), rules), "optimizing")

    assert finding.status == "pass"
    assert finding.limit == -0.05
    assert finding.estimate is not None
    assert finding.estimate.units == 64


def test_a_policy_and_evidence_must_agree_on_the_champion() -> None:
    """Neither may a first release be waved through, nor a champion be forgotten."""
    none = policy(champion="none", rollback={"target": "none"})

    with pytest.raises(InputError, match="the evidence has a champion"):
        verdict(better(), none)
    with pytest.raises(InputError, match="the evidence has no champion"):
        verdict(first_release())


def test_a_first_release_is_compared_with_the_zero_rule() -> None:
    """No rubber stamp: the mandatory baseline takes the champion's place."""
    none = policy(
        champion="none",
        rollback={"target": "none"},
        satisficing=[{"metric": "latency_p99_ratio", "max": 1.2}, {"metric": "latency_p50_ms", "max": 1.0}],
    )
    result = verdict(first_release(), none)

    assert result.outcome == "go"
    assert "over the zero-rule" in by_rule(result, "optimizing").why
    slices = by_rule(result, "slices")
    assert (slices.status, slices.blocks, slices.why) == ("pass", False, "no champion: nothing to regress from")
    ratio = by_rule(result, "satisficing[0]")
    assert (ratio.status, ratio.blocks, ratio.why) == ("pass", False, "no champion to compare with")
    assert "nothing to return to" in by_rule(result, "rollback").why


def test_a_first_release_without_slice_rules_has_no_slice_line() -> None:
    """What a policy does not ask for is absent, not fine."""
    none = policy(champion="none", rollback={"target": "none"}, slices={})
    result = verdict(first_release(), none)

    assert result.outcome == "inconclusive"
    assert {item.line: item.status for item in result.checklist}["slices"] == "absent"


@pytest.mark.parametrize("rate", [None, -0.1, 1.5])
def test_without_a_training_rate_the_zero_rule_stays_open(rate: float | None) -> None:
    """A baseline that cannot be computed is not a baseline that was beaten."""
    unknown = better().changed(challenger=facts("a", train_label_mean=rate))
    finding = by_rule(verdict(unknown), "baselines.zero_rule")

    assert (finding.status, finding.estimate, finding.n_needed) == ("open", None, None)
    assert "does not record" in finding.why


def test_a_model_that_does_not_beat_the_zero_rule_is_stopped_unless_only_reported() -> None:
    """A champion may be worse still; that is no reason to release."""
    rng = np.random.default_rng(6)
    poor = world(simulate(rng, 6000, noise=(4.0, 6.0)), latency=durations(rng))
    must, report = policy(calibration=None), policy(calibration=None, baselines={"zero_rule": "report"})

    assert by_rule(verdict(poor, must), "baselines.zero_rule").status == "fail"
    reported = by_rule(verdict(poor, report), "baselines.zero_rule")
    assert (reported.status, reported.blocks, reported.p_value) == ("open", False, None)


@pytest.mark.parametrize(
    ("limit", "status", "words"),
    [
        ({"metric": "size_bytes", "max": 20_000}, "pass", "may have at most 20,000"),
        ({"metric": "size_bytes", "max": 19_999}, "fail", "the bundle has 20,000 bytes"),
        ({"metric": "model_size_bytes", "min": 1}, "pass", "must have at least 1"),
        ({"metric": "latency_p99_ms", "max": 5.0}, "pass", "at most"),
        ({"metric": "latency_p99_ms", "max": 0.05}, "fail", "at least"),
        ({"metric": "latency_p50_ms", "max": 0.1}, "open", "needs about"),
        ({"metric": "latency_p95_ms", "min": 0.01}, "pass", "must be at least 0.01 ms"),
        ({"metric": "latency_p99_ratio", "max": 1.2}, "pass", "challenger over champion"),
        ({"metric": "latency_p99_ratio", "max": 0.5}, "fail", "may be at most 0.5"),
        ({"metric": "accuracy", "min": 0.5}, "pass", "must be at least 0.5"),
        ({"metric": "accuracy", "min": 0.99}, "fail", "at most"),
        ({"metric": "log_loss", "max": 0.3}, "fail", "nats"),
        ({"metric": "mcc", "min": 0.2}, "pass", "Matthews"),
    ],
)
def test_a_satisficing_limit_is_held_by_its_bound(limit: dict[str, Any], status: str, words: str) -> None:
    """Pass if the bound keeps the limit, fail if the other bound breaks it, else open."""
    finding = by_rule(verdict(better(), policy(satisficing=[limit])), "satisficing[0]")

    assert finding.status == status
    assert words in finding.why
    assert finding.limit == limit.get("max", limit.get("min"))
    assert finding.estimate is not None


def test_a_limit_by_slice_holds_in_every_slice() -> None:
    """Overall first, then each value of the column."""
    result = verdict(better(), policy(satisficing=[{"metric": "recall", "min": 0.3, "by": "origin"}]))
    found = [finding for finding in result.findings if finding.rule == "satisficing[0]"]

    assert [finding.slice for finding in found] == ["overall", "origin=0", "origin=1", "origin=2"]
    assert {finding.status for finding in found} == {"pass"}


def test_a_limit_by_a_column_without_rows_stays_open() -> None:
    """A slice that matched nothing has proven nothing."""
    result = verdict(better(), policy(satisficing=[{"metric": "recall", "min": 0.3, "by": ["carrier", "dest"]}]))
    found = [finding for finding in result.findings if finding.rule == "satisficing[0]"]

    assert [finding.status for finding in found] == ["open", "pass"]
    assert found[0].why == "no slice of carrier & dest has rows"


def test_a_machine_too_noisy_to_tell_leaves_the_ratio_open() -> None:
    """A champion three times as slow in every second round as in the others is no measure of a challenger."""
    rng = np.random.default_rng(24)
    timed = durations(rng, calls=100)
    timed[::2, 1] *= 3
    rules = policy(satisficing=[{"metric": "latency_p99_ratio", "max": 1.2}])
    state = simulate(rng, 3000)
    finding = by_rule(verdict(world(state, latency=timed), rules), "satisficing[0]")
    calm = by_rule(verdict(world(state, latency=durations(rng, calls=100)), rules), "satisficing[0]")

    assert (finding.status, calm.status) == ("open", "pass")
    assert "too noisy" in finding.why


def test_latency_that_was_not_measured_stays_open() -> None:
    """For lack of the whole measurement, or of the champion's half of it."""
    state = better().arrays.state
    alone = durations(np.random.default_rng(7), models=1)
    rules = policy(satisficing=[{"metric": "latency_p99_ms", "max": 5.0}, {"metric": "latency_p99_ratio", "max": 2.0}])

    unmeasured = verdict(world(state), rules)
    half = verdict(world(state, latency=alone), rules)

    assert by_rule(unmeasured, "satisficing[0]").why == "latency was not measured"
    assert by_rule(half, "satisficing[0]").status == "pass"
    assert by_rule(half, "satisficing[1]").status == "open"


def test_too_few_calls_or_rounds_say_how_many_are_needed() -> None:
    """A bound of the 99th percentile at 95 % needs 299 calls; a claim needs 20 rounds."""
    state = better().arrays.state
    rng = np.random.default_rng(8)
    rules = policy(satisficing=[{"metric": "latency_p99_ms", "max": 5.0}])

    calls = by_rule(verdict(world(state, latency=durations(rng, rounds=25, calls=10)), rules), "satisficing[0]")
    rounds = by_rule(verdict(world(state, latency=durations(rng, rounds=10, calls=50)), rules), "satisficing[0]")
    still = by_rule(verdict(world(state, latency=np.zeros((40, 2, 50), dtype=np.int64)), rules), "satisficing[0]")

    assert (calls.status, calls.n_needed) == ("open", 299)
    assert "no bound at that confidence" in calls.why
    assert "needs about 299 calls, has 250 (lacks 49)" in calls.why
    assert (rounds.status, rounds.n_needed) == ("open", 1000)
    assert "only 10 rounds" in rounds.why
    assert (still.status, still.why) == ("open", "the durations allow no interval")


def test_a_guard_passes_fails_or_stays_open() -> None:
    """Proof of no harm, proof of harm, or neither."""
    rng = np.random.default_rng(9)
    harmed = world(simulate(rng, 6000, harm=(1, 0.3)), latency=durations(rng))
    rules = policy(slices={"guard": [{"by": "origin", "margin": 0.04}]})
    result = verdict(harmed, rules)

    assert result.outcome == "no-go"
    guards = {f.slice: f for f in result.findings if f.line == "slices"}
    assert {name: guard.status for name, guard in guards.items()} == {
        "origin=0": "pass",
        "origin=1": "fail",
        "origin=2": "pass",
    }
    assert guards["origin=1"].why.startswith("log loss got worse by ")
    assert guards["origin=1"].why.endswith("tolerated 0.04")
    assert "worse by at most" in guards["origin=0"].why
    line = {item.line: item for item in result.checklist}["slices"]
    assert line.why.startswith("origin=1: log loss got worse by ")


@pytest.mark.parametrize("margin", [0.004, 0.0])
def test_an_open_guard_plans_for_no_effect_if_what_was_seen_is_beyond_its_margin(margin: float) -> None:
    """With a margin of nothing no number of rows would do, and it says so."""
    result = verdict(equal(), policy(slices={"guard": [{"by": "origin", "margin": margin}]}))
    guards = [finding for finding in result.findings if finding.line == "slices"]

    beyond = [guard for guard in guards if guard.estimate is not None and guard.estimate.value < -margin]
    assert {guard.status for guard in guards} == {"open"}
    assert beyond
    for guard in beyond:
        assert (guard.n_needed is None) == (margin == 0)
        assert ("it is not known how many would" in guard.why) == (margin == 0)


def test_a_small_slice_gives_no_claim() -> None:
    """Below 20 groups of units a guard is open and a watch is blind; neither joins the family."""
    rng = np.random.default_rng(10)
    tiny = world(simulate(rng, 3000, n_slices=400), latency=durations(rng))
    rules = policy(
        slices={"guard": [{"by": "origin", "margin": 0.5}], "watch": [{"by": "origin", "margin": 0.5}]},
    )
    result = verdict(tiny, rules)
    found = [finding for finding in result.findings if finding.slice == "origin=7"]

    assert [(finding.status, finding.p_value) for finding in found] == [("open", None), ("blind", None)]
    assert all("groups of units, at least 20 are needed" in finding.why for finding in found)
    assert all(finding.n_needed is not None and finding.n_needed >= 20 for finding in found)
    assert found[0].estimate is not None
    assert (found[0].estimate.lower, found[0].estimate.upper) == (None, None)
    assert found[0].blocks
    assert not found[1].blocks


def test_a_slice_that_matched_no_row_is_open_for_a_guard_and_blind_for_a_watch() -> None:
    """By a column or by a condition; also a slice that is listed but empty."""
    empty = State(
        np.concatenate([better().arrays.state.counts[:1], np.zeros((1, 64, 12), np.int64)]), better().arrays.state.bins
    )
    found = world(
        empty,
        slices=(SliceKey(name="overall"), SliceKey(name="x > 3", where="x > 3")),
        latency=better().arrays.latency,
    )
    rule = {"where": "x > 3", "margin": 0.1}
    other = {"where": "x > 4", "margin": 0.1}
    result = verdict(found, policy(slices={"guard": [rule, {"by": "dest", "margin": 0.1}], "watch": [rule, other]}))

    assert [(f.rule, f.slice, f.status, f.why) for f in result.findings if f.line == "slices"] == [
        ("slices.guard[0]", "x > 3", "open", "no rows"),
        ("slices.guard[1]", None, "open", "no slice of dest has rows"),
        ("slices.watch[0]", "x > 3", "blind", "no rows"),
        ("slices.watch[1]", "x > 4", "blind", "no slice of x > 4 has rows"),
    ]


def test_a_watch_fails_only_on_proof_and_else_says_what_it_could_have_seen() -> None:
    """Clear with its smallest detectable effect, or blind if that is larger than asked for."""
    rng = np.random.default_rng(11)
    harmed = world(simulate(rng, 6000, harm=(0, 0.25)), latency=durations(rng))
    watch = {"by": "origin", "margin": 0.005, "metric": "error_rate"}
    loose = verdict(harmed, policy(slices={"watch": [watch], "max_mde": 0.2}))
    tight = verdict(harmed, policy(slices={"watch": [watch], "max_mde": 0.01}))

    assert [f.status for f in loose.findings if f.line == "slices"] == ["fail", "pass", "pass"]
    assert [f.status for f in tight.findings if f.line == "slices"] == ["fail", "blind", "blind"]
    clear = by_rule(loose, "slices.watch[0]", "origin=1")
    blind = by_rule(tight, "slices.watch[0]", "origin=1")
    assert "would have been seen" in clear.why
    assert "0.01 was asked for: needs about" in blind.why
    assert blind.n_needed is not None
    assert clear.n_needed is None


def test_a_watch_is_clear_where_harm_beyond_the_margin_is_excluded() -> None:
    """However small a change it could have seen: the bound says that there is no such harm."""
    result = verdict(better(), policy(slices={"watch": [{"by": "origin", "margin": 0.001}]}))
    found = [finding for finding in result.findings if finding.line == "slices"]

    assert {finding.status for finding in found} == {"pass"}
    assert all("better by at least" in finding.why for finding in found)


def test_a_line_of_which_nothing_could_be_seen_is_open() -> None:
    """All watches blind is not "no slice hides a regression"."""
    result = verdict(equal(), policy(slices={"watch": [{"by": "origin", "margin": 0.0001}]}))

    assert {f.status for f in result.findings if f.line == "slices"} == {"blind"}
    assert {item.line: item.status for item in result.checklist}["slices"] == "open"
    assert result.outcome == "inconclusive"


def test_many_reasons_are_counted_and_not_all_told() -> None:
    """A line of the checklist is read in the night."""
    rng = np.random.default_rng(12)
    many = world(simulate(rng, 6000, n_slices=10, noise=(2.5, 0.2)), latency=durations(rng))
    result = verdict(many, policy(slices={"guard": [{"by": "origin", "margin": 0.01}]}))
    line = {item.line: item for item in result.checklist}["slices"]

    assert line.status == "fail"
    assert "; and " in line.why
    assert line.why.endswith(" more")


def test_calibration_passes_fails_or_stays_open() -> None:
    """The limit is held against bounds of the debiased error."""
    statuses = {
        limit: by_rule(verdict(better(), policy(calibration={"max": limit})), "calibration").status
        for limit in (0.2, 0.01)
    }
    rng = np.random.default_rng(13)
    off = world(simulate(rng, 6000, noise=(2.5, 2.5)), latency=durations(rng))
    few = world(simulate(rng, 600, buckets=16), latency=durations(rng))

    assert statuses == {0.2: "pass", 0.01: "open"}
    assert by_rule(verdict(off, policy(calibration={"max": 0.03})), "calibration").status == "fail"
    assert "only 16 groups of units" in by_rule(verdict(few), "calibration").why
    without = replace(
        better(), arrays=Arrays(replace(better().arrays.state, bins=better().arrays.state.bins * 0), None)
    )
    nothing = verdict(without.changed(latency=None))
    assert by_rule(nothing, "calibration").why == "the calibration error is undefined"


def test_a_policy_without_calibration_has_no_such_line() -> None:
    """Absent, and a go if the policy does not require it."""
    rest = [line for line in CHECKLIST if line != "calibration"]

    assert verdict(better(), policy(calibration=None)).outcome == "inconclusive"
    assert verdict(better(), policy(calibration=None, checklist={"require": rest})).outcome == "go"


def test_an_undefined_metric_is_open_and_says_why() -> None:
    """Precision of a zero-rule that never answers positive is 0/0."""
    rules = policy(optimizing={"metric": "precision", "require": "superior", "min_gain": 0.0})
    finding = by_rule(verdict(better(), rules), "baselines.zero_rule")

    assert (finding.status, finding.estimate) == ("open", None)
    assert "undefined here (0/0)" in finding.why


@pytest.mark.parametrize(
    "spoil",
    [
        lambda counts: counts * -1,
        lambda counts: counts * 2**50,
        lambda counts: np.where(np.arange(12) == 1, counts[..., :1] + 1, counts),
    ],
    ids=["negative", "too large", "more positives than rows"],
)
def test_counts_that_no_rows_can_give_are_open(spoil: Any) -> None:
    """Contradictory evidence never passes, and never crashes."""
    state = replace(better().arrays.state, counts=spoil(better().arrays.state.counts))
    result = judge(policy(), better().evidence, Arrays(state, better().arrays.latency))

    assert result.outcome == "inconclusive"
    assert by_rule(result, "optimizing").why == "the counts contradict each other"


def test_arrays_that_the_evidence_does_not_describe_are_refused() -> None:
    """Shape by shape, and the meaning of the axes."""
    found = better()
    state, latency = found.arrays.state, found.arrays.latency
    assert latency is not None
    wrong = {
        "state": Arrays(replace(state, counts=state.counts[:-1]), latency),
        "calibration": Arrays(replace(state, bins=state.bins[:-1]), latency),
        "latency": Arrays(state, latency[:-1]),
    }
    for name, arrays in wrong.items():
        with pytest.raises(IntegrityError, match="the evidence says") as caught:
            judge(policy(), found.evidence, arrays)
        assert caught.value.where == name
    with pytest.raises(IntegrityError, match="the evidence says None"):
        judge(policy(), found.evidence.model_copy(update={"latency": None}), found.arrays)
    axes = found.evidence.state
    for counted in ({"weighted": True, "statistics": Layout(BOTH, weighted=True).statistics}, {"columns": ("x",)}):
        with pytest.raises(IntegrityError):
            verdict(found.changed(state=axes.model_copy(update=counted)))
    with pytest.raises(IntegrityError, match="not counted as the policy asks"):
        judge(policy(data={"label": "late", "unit": "day", "weight": "w"}), found.evidence, found.arrays)
    with pytest.raises(IntegrityError, match="bins are not those"):
        verdict(found.changed(state=axes.model_copy(update={"calibrated": (1,)})))
    with pytest.raises(IntegrityError, match="axes of the state"):
        verdict(found.changed(state=axes.model_copy(update={"task": "anomaly"})))
    for change in ({"models": BOTH[::-1]}, {"statistics": axes.statistics[::-1]}, {"slices": ()}):
        with pytest.raises(IntegrityError, match="axes of the state"):
            verdict(found.changed(state=axes.model_copy(update=change)))


def test_a_metric_is_reported_with_bounds_where_units_allow() -> None:
    """What ``evaluate`` prints is what the gate would hold a limit against."""
    found = better()
    estimate = estimate_metric(found.arrays.state, found.evidence.state, "log_loss", 1, "champion", 0.05)
    empty = State.zeros(Layout(BOTH), slices=1, buckets=64, bins=15)

    assert estimate is not None
    assert estimate.lower is not None
    assert estimate.upper is not None
    assert estimate.lower < estimate.value < estimate.upper
    assert estimate.unit == "nats"
    assert estimate_metric(empty, world(empty).evidence.state, "log_loss", 0, "champion", 0.05) is None
