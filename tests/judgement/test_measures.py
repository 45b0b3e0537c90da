"""When a measured gain or level may carry a claim, and when it may not."""

from typing import Any

import numpy as np
import pytest

from candidate.documents.evidence import ModelRole
from candidate.judgement.gate.claims import Risk, bound_text, hold, missing, needed
from candidate.judgement.gate.measures import Measure, gain, level
from candidate.judgement.gate.wording import about, moved, number, worst
from candidate.judgement.intervals import Jackknife, PairedShare, Share
from candidate.judgement.metrics import METRICS
from candidate.judgement.state import FIXED_POINT, Totals, statistics_for
from tests.judgement.worlds import ALONE, BOTH, simulate

RISK = Risk(0.05, 0.8)


def totals(models: tuple[ModelRole, ...] = BOTH, buckets: int = 40, **columns: Any) -> Totals:
    """Totals by bucket; statistics that are not given are 0."""
    names = statistics_for(models)
    given = {name.replace("__", "."): value for name, value in columns.items()}
    values = [np.broadcast_to(np.asarray(given.get(name, 0)), buckets) for name in names]
    return Totals(names, np.stack(values, axis=1).astype(np.int64))


def test_one_and_the_same_model_gains_exactly_nothing() -> None:
    """Every metric: equal counts everywhere are proof enough, without any spread."""
    both: dict[str, Any] = {"n": 10, "n_pos": 4}
    for model in BOTH:
        both |= {f"tp__{model}": 3, f"fp__{model}": 1, f"log_loss__{model}": FIXED_POINT, f"brier__{model}": 1}
    same = totals(**both)

    for name in METRICS:
        measure = gain(same, name, "champion")
        assert measure.reason == "", name
        assert measure.interval is not None
        assert measure.interval.value == 0
        assert measure.interval.lower(0.05) > -0.02


@pytest.mark.parametrize(("differing", "allowed"), [(19, False), (20, True)])
@pytest.mark.parametrize("name", ["log_loss", "recall"])
def test_a_claim_needs_twenty_groups_that_differ(name: Any, differing: int, *, allowed: bool) -> None:
    """A spread from a handful of differences is far too small."""
    hit = np.arange(40) < differing
    few = totals(
        n=10,
        n_pos=4,
        tp__challenger=2 + hit,
        tp__champion=2,
        gained=hit,
        log_loss__challenger=np.where(hit, 0, FIXED_POINT),
        log_loss__champion=FIXED_POINT,
    )
    measure = gain(few, name, "champion")

    assert (measure.claimable is not None) == allowed
    if not allowed:
        assert "differ in only 19 groups" in measure.reason


def test_few_discordant_rows_are_enough_for_a_score_interval() -> None:
    """Error rate and accuracy use Tango's interval, which knows what few differences mean."""
    few = totals(n=10, n_pos=4, tp__challenger=2 + (np.arange(40) == 0), tp__champion=2, gained=np.arange(40) == 0)

    for name in ("error_rate", "accuracy"):
        interval = gain(few, name, "champion").claimable
        assert isinstance(interval, PairedShare)
        assert interval.value == 1 / 400


def test_clusters_widen_the_score_interval() -> None:
    """Ten rows of one unit that go the same way are one observation, not ten."""
    rng = np.random.default_rng(1)
    apart = gain(simulate(rng, 4000).totals(0, statistics_for(BOTH)), "error_rate", "champion").interval
    joined = gain(
        simulate(rng, 4000, rows_per_unit=20, noise=(1.5, 1.5)).totals(0, statistics_for(BOTH)),
        "error_rate",
        "champion",
    )

    assert isinstance(apart, PairedShare)
    assert isinstance(joined.interval, PairedShare)
    assert joined.interval.deff > max(1.5, apart.deff)


def test_a_metric_that_vanishes_with_one_group_carries_no_claim() -> None:
    """All positive rows in one bucket: recall exists, its jackknife does not."""
    lone = totals(n=10, n_pos=np.where(np.arange(40) == 3, 5, 0), tp__challenger=np.where(np.arange(40) == 3, 4, 0))

    measure = gain(lone, "recall", "champion")

    assert measure.claimable is None
    assert "groups" in measure.reason
    spread = totals(
        n=10,
        n_pos=np.where(np.arange(40) == 3, 5, 0),
        tp__challenger=np.where(np.arange(40) == 3, 4, 0),
        fp__challenger=3,
        lost=3,
    )
    assert "as soon as one group of units is left out" in gain(spread, "recall", "champion").reason


def test_a_proportion_has_exact_bounds() -> None:
    """Perfect recall in 40 rows is not proof of perfect recall."""
    perfect = totals(ALONE, n=5, n_pos=1, tp__challenger=1)
    measure = level(perfect, "recall", "challenger")

    assert isinstance(measure.interval, Share)
    assert measure.interval.lower(0.05) == pytest.approx(0.05 ** (1 / 40))
    assert measure.claimable is not None


@pytest.mark.parametrize("name", ["f1", "mcc", "balanced_accuracy"])
def test_few_errors_carry_no_claim_about_a_compound_metric(name: Any) -> None:
    """F1 of a faultless model has no spread; that is not certainty."""
    perfect = totals(ALONE, n=5, n_pos=1, tp__challenger=1)
    faulty = totals(ALONE, n=5, n_pos=2, tp__challenger=1, fp__challenger=np.arange(40) % 2)

    assert "errors in only 0 groups" in level(perfect, name, "challenger").reason
    assert level(faulty, name, "challenger").claimable is not None


def test_an_undefined_level_has_no_estimate() -> None:
    """Precision without a positive answer."""
    never = totals(ALONE, n=5, n_pos=1)
    measure = level(never, "precision", "challenger")

    assert measure.estimate(0.05) is None
    assert "0/0" in measure.reason


def test_rows_needed_follow_the_square_of_the_half_width() -> None:
    """Half the slack needs four times the rows."""
    measure = Measure("x", "1", 1000, 64, Jackknife(0.1, 0.05, 63))
    once, twice = needed(measure, 0.1, 0.1, RISK), needed(measure, 0.1, 0.05, RISK)

    assert once is not None
    assert twice is not None
    assert twice == pytest.approx(4 * once, rel=1e-3)
    assert once == pytest.approx(1000 * RISK.reach**2, abs=1)
    assert pytest.approx((1.6449 + 0.8416) / 1.6449, abs=1e-4) == RISK.reach


@pytest.mark.parametrize(("half", "slack"), [(0.1, 0.0), (0.1, -1.0), (float("nan"), 0.1), (0.01, 1.0), (1e30, 1e-30)])
def test_rows_needed_are_not_guessed(half: float, slack: float) -> None:
    """No slack, no width, enough rows already, or beyond all reason."""
    assert needed(Measure("x", "1", 1000, 64, None), half, slack, RISK) is None


def test_the_words_of_a_missing_claim() -> None:
    """The reason first, then what is missing, if that is known."""
    open_ = Measure("x", "1", 3100, 64, None)

    assert missing(open_, 12_345) == "needs about 12,400 rows, has 3,100 (lacks 9,300)"
    assert missing(open_, None) == "3,100 rows do not decide it, and it is not known how many would"
    assert "100 times the 3,100 rows would not decide it" in missing(open_, 310_001)
    reasoned = Measure("x", "1", 30, 3, None, "only 3 units")
    assert missing(reasoned, 200) == "only 3 units; needs about 200 rows, has 30 (lacks 170)"
    assert missing(reasoned, None) == "only 3 units"


def test_a_bound_that_is_not_a_number_holds_nothing() -> None:
    """NaN is on no side of a limit."""
    nothing = Jackknife(0.3, float("nan"), 0)

    for truth in ("above", "at least", "at most"):
        found = hold(nothing, 0.1, truth=truth, alpha=0.05)
        assert (found.held, found.p_value) == (False, None)
    assert bound_text("at most", float("nan"), 0.05) == "no bound at that confidence"
    assert worst(float("nan"), 0.05) == "no bound at that confidence"


def test_above_is_strict_and_at_least_is_not() -> None:
    """A gain of exactly the minimum is not more than it."""
    exact = Jackknife(0.1, 0.0, 63)

    assert not hold(exact, 0.1, truth="above", alpha=0.05).held
    assert hold(exact, 0.1, truth="at least", alpha=0.05).held
    assert hold(exact, 0.1, truth="at most", alpha=0.05).held


def test_numbers_are_written_for_people() -> None:
    """Four digits, thousands apart, no exponents for what can be counted."""
    assert [number(value) for value in (0.021312, 1.914, 12345.6, 0.0)] == ["0.02131", "1.914", "12,346", "0"]
    assert [about(count) for count in (7, 999, 12_345, 1_000_001)] == [7, 999, 12_400, 1_010_000]
    assert [moved(value) for value in (0.01, -0.01, 0.0)] == ["got better by 0.01", "got worse by 0.01", "unchanged"]
    assert worst(0.01, 0.05) == "better by at least 0.01 with 95 % confidence"
    assert worst(-0.01, 0.025) == "worse by at most 0.01 with 97.5 % confidence"
