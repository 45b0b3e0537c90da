"""Points to draw: reliability diagrams and distributions of latency. Nothing is judged by them."""

import numpy as np
from numpy.typing import NDArray

from candidate.documents.evidence import LatencyAxes, StateAxes
from candidate.documents.plotted import LatencyCurve, Reliability, ScoreBin
from candidate.judgement.latency import NS_PER_MS
from candidate.judgement.state import FIXED_POINT, WEIGHT_STEP, State

SHARES = (0.001, *(each / 100 for each in range(1, 100)), 0.995, 0.999)
"""Shares of the calls at which a distribution of latency is drawn; p50, p95 and p99 are among them."""


def reliability_of(state: State, axes: StateAxes) -> tuple[Reliability, ...]:
    """Return, for each class and model, mean score and share of positives in every occupied bin of the score.

    Args:
        state: counts of the rows.
        axes: what the State's axes mean.
    """
    width, weight = 1 / max(1, axes.calibration_bins), WEIGHT_STEP if axes.weighted else 1
    found = []
    places = [(curve, position) for curve in range(state.bins.shape[1]) for position in range(len(axes.models))]
    for curve, position in places:
        bins = state.bins[0, curve, :, position].sum(axis=0)
        occupied = tuple(
            ScoreBin(
                lower=number * width,
                upper=(number + 1) * width,
                rows=max(1, round(rows / weight)),
                predicted=float(score / FIXED_POINT / rows * weight),
                observed=float(positive / rows),
            )
            for number, (rows, score, positive, _) in enumerate(bins)
            if rows > 0
        )
        of = axes.classes[curve] if axes.classes else None
        found.append(Reliability(model=axes.models[position], of=of, bins=occupied))
    return tuple(found)


def latency_of(durations: NDArray[np.int64], axes: LatencyAxes) -> tuple[LatencyCurve, ...]:
    """Return the distribution of each model's calls over all rounds; each point is a call that was made.

    Args:
        durations: nanoseconds, shape (rounds, models, calls).
        axes: what the axes mean.
    """
    found = []
    for position, model in enumerate(axes.models):
        calls = durations[:, position].ravel()
        if not calls.size:
            continue
        values = np.quantile(calls, SHARES, method="inverted_cdf")
        points = tuple((share, float(value) / NS_PER_MS) for share, value in zip(SHARES, values, strict=True))
        found.append(LatencyCurve(model=model, calls=int(calls.size), points=points))
    return tuple(found)
