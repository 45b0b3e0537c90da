"""How often the gate is wrong: simulations of its error rates, its power and its intervals.

    python -m benchmarks.rates [SHARE]

SHARE (by default 1) scales the number of runs. Every world is drawn from a known truth; the rules
are those of ``candidate.judgement`` and nothing is computed here that a verdict would not compute.
"""

import sys
import time
from collections.abc import Iterator
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from candidate.documents.policy import Policy
from candidate.judgement.buckets import buckets_of
from candidate.judgement.calibration import calibration_of
from candidate.judgement.catalogue import ranking
from candidate.judgement.gate import judge
from candidate.judgement.gate.measures import gain
from candidate.judgement.metrics import METRICS
from candidate.judgement.state import Totals, observe, statistics_for
from tests.judgement.worlds import ALONE, BOTH, facts, keys, policy, sigmoid, simulate, world

ALPHA = 0.05
BUCKETS = 64
THRESHOLD = 0.5
CALIBRATION_LIMIT = 0.03
HARMED, POSITIVES, ACCURACY = 0.046, 0.4, 0.8
"""Of the hidden regression: share of the rows harmed, of positives, and of rows that both get right."""


def slices_policy(margin: float) -> Policy:
    """A policy that watches 20 slices, and asks for no worse a log loss."""
    return policy(
        optimizing={"metric": "error_rate", "require": "non_inferior", "margin": 0.01},
        satisficing=[],
        slices={"watch": [{"by": "origin", "margin": margin}], "max_mde": 0.5},
        calibration=None,
    )


def no_go_of_equals(rng: np.random.Generator, rows: int) -> bool:
    """Whether a challenger exactly as good as the champion is refused: 20 slices, no margin."""
    rules = slices_policy(0.0)
    state = simulate(rng, rows, n_slices=20, noise=(0.35, 0.35))
    made = world(state, slices=keys(20), challenger=facts("a"), champion=facts("b"), rules=rules)
    return judge(rules, made.evidence, made.arrays).outcome == "no-go"


def point_gate_refuses(rng: np.random.Generator, rows: int) -> bool:
    """Whether a gate of point estimates refuses it: some slice of 20 is worse by any amount."""
    state = simulate(rng, rows, n_slices=20, noise=(0.35, 0.35))
    totals = [state.totals(index, statistics_for(BOTH)).summed() for index in range(21)]
    return any(int(each["gained"]) < int(each["lost"]) for each in totals)


def finds_hidden_harm(rng: np.random.Generator, rows: int = 10_000) -> bool:
    """Whether 5 points lost in a slice of 4.6 % of the rows stop a challenger that is better overall by 0.5 points."""
    slices = np.where(rng.random(rows) < HARMED, 1, 2 + rng.integers(0, 19, rows))
    harmed = slices == 1
    positive = rng.random(rows) < POSITIVES
    # Two models that disagree in 6 % of the rows; in the slice the challenger loses 5 points more than it wins.
    draw, right = rng.random(rows), rng.random(rows) < ACCURACY
    more = (0.005 + 0.05 * HARMED) / (1 - HARMED)
    won = np.where(harmed, 0.005, 0.03 + more / 2)
    lost = np.where(harmed, 0.055, 0.03 - more / 2)
    differ = draw < won + lost
    champion = np.where(differ, draw >= won, right)
    challenger = np.where(differ, draw < won, right)
    predicted = np.stack([challenger == positive, champion == positive], axis=1)
    state = observe(
        positive=positive,
        scores=np.where(predicted, 0.7, 0.3),
        predicted=predicted,
        groups=[np.zeros(rows, dtype=np.int64), slices.astype(np.int64)],
        n_slices=21,
        buckets=buckets_of(np.arange(rows), salt=int(rng.integers(2**62)), buckets=BUCKETS),
        n_buckets=BUCKETS,
        models=BOTH,
        bins=15,
    )
    rules = slices_policy(0.0)
    made = world(state, slices=keys(20), rules=rules)
    return judge(rules, made.evidence, made.arrays).outcome == "no-go"


def go_at_the_margin(rng: np.random.Generator, rows: int, discordant: float, margin: float) -> bool:
    """Whether non-inferiority is claimed of a challenger that is worse by exactly the margin."""
    draw = rng.random(rows)
    gained, lost = draw < (discordant - margin) / 2, draw > 1 - (discordant + margin) / 2
    buckets = buckets_of(np.arange(rows), salt=int(rng.integers(2**62)), buckets=BUCKETS)
    found = {"n": np.ones(rows), "tp.champion": ~gained, "tp.challenger": ~lost, "gained": gained, "lost": lost}
    found["n_pos"] = found["n"]
    names = statistics_for(BOTH)
    values = [np.bincount(buckets, weights=found.get(name, np.zeros(rows)), minlength=BUCKETS) for name in names]
    interval = gain(Totals(names, np.stack(values, axis=1).astype(np.int64)), "error_rate", "champion").claimable
    return interval is not None and interval.lower(ALPHA) > -margin


def covers(rng: np.random.Generator, metric: Literal["roc_auc", "log_loss"], unit: int, rows: int = 3000) -> bool:
    """Whether the two-sided 95 % interval of the difference of two equal models holds nought.

    Args:
        rng: source of everything.
        metric: whose difference.
        unit: rows of one unit, which share the noise of both models.
        rows: how many.
    """
    of_unit: NDArray[np.int64] = np.arange(rows) // unit
    truth = rng.normal(-0.6, 1.5, rows)
    positive = rng.random(rows) < sigmoid(truth)
    noise = rng.normal(0, 0.7, (of_unit[-1] + 1, 2))[of_unit]
    scores = sigmoid(truth[:, None] + noise)
    state = observe(
        positive=positive,
        scores=scores,
        predicted=scores >= THRESHOLD,
        groups=[np.zeros(rows, dtype=np.int64)],
        n_slices=1,
        buckets=buckets_of(of_unit, salt=int(rng.integers(2**62)), buckets=BUCKETS),
        n_buckets=BUCKETS,
        models=BOTH,
        bins=15,
        ranked=(0,) if metric == "roc_auc" else (),
    )
    which = METRICS["log_loss"] if metric == "log_loss" else ranking()["roc_auc"]
    interval = gain(state.totals(0, statistics_for(BOTH)), which, "champion").claimable
    return interval is not None and interval.lower(ALPHA / 2) <= 0 <= interval.upper(ALPHA / 2)


def calibrated(rng: np.random.Generator, rows: int, off: float) -> bool:
    """Whether a model passes a limit of 0.03 on its calibration error.

    Args:
        rng: source of everything.
        rows: each its own unit.
        off: root-mean-square distance of its scores from the truth.
    """
    truth = rng.beta(1.5, 3.0, rows)
    tilt = np.sqrt(3) * off  # evenly spread over [-tilt, tilt] along the score: its root mean square is off
    scores = np.clip(truth + tilt * (2 * (np.argsort(np.argsort(truth)) / rows) - 1), 0.0, 1.0)[:, None]
    state = observe(
        positive=rng.random(rows) < truth,
        scores=scores,
        predicted=scores >= THRESHOLD,
        groups=[np.zeros(rows, dtype=np.int64)],
        n_slices=1,
        buckets=buckets_of(np.arange(rows), salt=int(rng.integers(2**62)), buckets=BUCKETS),
        n_buckets=BUCKETS,
        models=ALONE,
        bins=15,
    )
    found = calibration_of(state, world(state, models=ALONE).evidence.state, "challenger").interval
    return found is not None and found.upper(ALPHA) <= CALIBRATION_LIMIT


def _line(name: str, target: str, hits: int, runs: int, start: float) -> str:
    share = hits / runs
    error = sqrt(max(share * (1 - share), 1 / runs) / runs)
    took = time.perf_counter() - start
    return f"| {name} | {target} | {100 * share:.1f} % ± {100 * error:.1f} | {runs:,} | {took:.0f} s |"


def lines(scale: float) -> Iterator[str]:
    """Rows of the table, as they come."""

    def runs(count: int) -> range:
        return range(max(10, round(count * scale)))

    rng = np.random.default_rng(20_261_123)
    for rows, count in ((2000, 1000), (20_000, 400), (200_000, 40)):
        start, trials = time.perf_counter(), runs(count)
        hits = sum(no_go_of_equals(rng, rows) for _ in trials)
        yield _line(f"equal models, 20 slices, {rows:,} rows: no-go", "≤ 5 %", hits, len(trials), start)
    start, trials = time.perf_counter(), runs(100)
    hits = sum(point_gate_refuses(rng, 20_000) for _ in trials)
    yield _line("the same, a gate of point estimates, 20,000 rows", "", hits, len(trials), start)
    start, trials = time.perf_counter(), runs(500)
    hits = sum(finds_hidden_harm(rng) for _ in trials)
    yield _line("5 points lost in 4.6 % of 10,000 rows, overall +0.5: no-go", "≥ 95 %", hits, len(trials), start)
    for discordant, margin in ((0.04, 0.02), (0.20, 0.05)):
        for rows in (20, 50, 100, 300, 1000):
            start, trials = time.perf_counter(), runs(2000)
            hits = sum(go_at_the_margin(rng, rows, discordant, margin) for _ in trials)
            name = f"worse by exactly the margin, {rows:,} rows, {100 * discordant:g} % disagree: passes"
            yield _line(name, "≤ 5 %", hits, len(trials), start)
    for off, target in ((0.0, ">= 90 %"), (0.037, "≤ 5 %")):
        for rows in (5000, 20_000):
            start, trials = time.perf_counter(), runs(1000)
            hits = sum(calibrated(rng, rows, off) for _ in trials)
            yield _line(
                f"calibration off by {off:g}, limit 0.03, {rows:,} rows: passes", target, hits, len(trials), start
            )
    metrics: tuple[Literal["roc_auc", "log_loss"], ...] = ("log_loss", "roc_auc")
    for metric in metrics:
        for unit in (1, 10):
            start, trials = time.perf_counter(), runs(1500 if metric == "log_loss" else 500)
            hits = sum(covers(rng, metric, unit) for _ in trials)
            name = f"95 % interval of the {metric} difference, {unit} rows a unit: covers"
            yield _line(name, "94 to 96 %", hits, len(trials), start)


def main() -> None:
    """Print the table."""
    print("| what | target | found | runs | time |\n|---|---|---|---|---|", flush=True)
    for line in lines(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0):
        print(line, flush=True)


if __name__ == "__main__":
    main()
