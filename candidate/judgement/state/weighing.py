"""Weights of rows, and columns that are summed: real numbers made whole ones."""

from typing import cast

import numpy as np
from numpy.typing import NDArray

from candidate.judgement.state.layout import FIXED_POINT, SQUARE_STEP, WEIGHT_STEP, Layout

Floats = NDArray[np.float64]


def fixed(values: Floats) -> Floats:
    """Return whole multiples of 2**-30, as float64 that is then summed without rounding."""
    scaled = values * FIXED_POINT
    return np.rint(scaled, out=scaled)


def steps(weights: Floats) -> Floats:
    """Return weights in whole steps of ``1 / WEIGHT_STEP``.

    Args:
        weights: shape (rows,), at least 0 and at most ``WEIGHT_CAP``.
    """
    return cast("Floats", np.rint(weights * WEIGHT_STEP))


def weighed(values: Floats, weights: Floats | None) -> Floats:
    """Return whole numbers times weights, whole again."""
    return values if weights is None else cast("Floats", np.rint(values * weights))


def squares(layout: Layout, weights: Floats | None) -> dict[int, Floats]:
    """Return the sums that weights need beside themselves, by position of the statistic."""
    if weights is None:
        return {}
    return {layout.statistics.index("w2"): np.rint(weights * weights * SQUARE_STEP)}
