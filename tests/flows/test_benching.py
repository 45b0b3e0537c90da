"""Benching stops when the answer is precise or the time is spent, says why it is open, and counts the cost."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from candidate.documents.decision import Estimate
from candidate.errors import InputError
from candidate.flows.benching import Prices, Timed, bench, cost_of, doubts, is_narrow, mean_estimate, time_until
from candidate.flows.latency import Contender
from tests.judgement.worlds import durations


class Seconds:
    """A clock on which every block of calls takes a tenth of a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The time, in seconds."""
        return self.now


def pair(clock: Seconds, spread: float) -> list[Contender]:
    """Two models whose durations are spread around 0.1 ms."""
    rng = np.random.default_rng(3)

    def block(picks: NDArray[np.int64]) -> NDArray[np.int64]:
        clock.now += 0.1
        return np.rint(rng.lognormal(0, spread, len(picks)) * 1e5).astype(np.int64)

    return [Contender("challenger", block, 4), Contender("champion", block, 4)]


def test_a_calm_machine_needs_less_than_the_budget() -> None:
    """The answer is precise after some looks; its bounds have the error rate of that look."""
    clock = Seconds()
    timed = time_until(pair(clock, 0.02), rounds=30, calls=200, alpha=0.05, budget=100.0, precision=0.05, clock=clock)

    assert timed.stopped == "precise"
    assert clock.now < 100
    assert 0 < timed.alpha < 0.05
    assert is_narrow(timed.durations, timed.alpha, 0.05)


def test_a_restless_machine_spends_the_budget_and_no_more() -> None:
    """What is not precise by then is reported with the interval it has."""
    clock = Seconds()
    timed = time_until(pair(clock, 1.0), rounds=30, calls=20, alpha=0.05, budget=20.0, precision=0.01, clock=clock)

    assert timed.stopped == "budget"
    assert 20 <= clock.now <= 40
    assert len(timed.durations) >= 30
    assert not is_narrow(timed.durations, timed.alpha, 0.01)


def test_a_block_takes_about_ten_milliseconds() -> None:
    """With a budget and no number of calls, their number follows from their duration: 0.1 ms makes 100."""
    clock = Seconds()
    timed = time_until(pair(clock, 0.01), rounds=30, calls=None, alpha=0.05, budget=5.0, precision=0.5, clock=clock)

    assert 90 <= timed.durations.shape[2] <= 110


def test_one_model_is_precise_when_its_p99_is() -> None:
    """Without a second bundle there is no ratio."""
    timed = durations(np.random.default_rng(4), calls=200, models=1)

    assert is_narrow(timed, 0.05, 0.05)
    assert not is_narrow(timed[:1], 0.05, 0.05)
    assert not is_narrow(durations(np.random.default_rng(4))[:1], 0.05, 0.05)


def test_doubts_are_said() -> None:
    """A machine that alternates, one that never settled, too few calls; and none on a calm one."""
    rng = np.random.default_rng(5)
    calm = durations(rng, calls=100)
    alternating = calm.copy()
    alternating[::2, 1] *= 3

    def said(values: NDArray[np.int64], unsettled: tuple[int, ...] = ()) -> list[str]:
        found = doubts(Timed(values, 0.05, "rounds", unsettled), ["2.0.0", "1.0.0"])
        return [reason.split(":")[0] + " " + ("2.0.0" if "2.0.0" in reason else "1.0.0") for reason in found]

    assert said(calm) == []
    assert said(calm, (0,)) == ["too noisy 2.0.0"]
    assert "too noisy 1.0.0" in said(alternating)
    assert said(calm[:, :, :5]) == ["not enough calls 2.0.0", "not enough calls 1.0.0"]


def test_a_cost_is_what_the_formula_says() -> None:
    """0.01 s of processor at 3.6 an hour, half used, and 2 GiB for 0.1 s at 7.2 an hour."""
    cpu = Estimate(value=0.01, lower=0.005, upper=None, n=10, units=2, unit="s", method="x")
    cost = cost_of(cpu, 2 << 30, 0.1, Prices(vcpu_hour=3.6, gib_hour=7.2, utilisation=0.5))

    assert cost.per_thousand.value == pytest.approx(1000 * (0.01 * 0.001 / 0.5 + 2 * 0.1 * 0.002))
    assert cost.per_thousand.lower == pytest.approx(1000 * (0.005 * 0.001 / 0.5 + 2 * 0.1 * 0.002))
    assert cost.per_thousand.upper is None


def test_a_mean_has_students_interval() -> None:
    """Four rounds of 1, 2, 3, 4: 2.5 and 2.353 standard errors of 0.6455 to either side."""
    found = mean_estimate(np.array([1.0, 2.0, 3.0, 4.0]), 0.05, "s", 40)

    assert (found.value, found.n, found.units) == (2.5, 40, 4)
    assert found.upper == pytest.approx(2.5 + 2.353363 * 0.6454972, abs=1e-5)


@pytest.mark.parametrize("flag", ["budget", "rate", "precision", "idle"])
def test_numbers_out_of_range_are_refused_before_anything_starts(flag: str) -> None:
    """The file need not even exist."""
    wrong: dict[str, Any] = {flag: 0.0}
    with pytest.raises(InputError, match="not more than nothing"):
        bench("nowhere.candidate", **wrong)
    with pytest.raises(InputError, match="utilisation"):
        bench("nowhere.candidate", prices=Prices(1.0, 1.0, 0.0))
