"""DeLong's variance of areas under ROC curves, from the rows themselves.

The verdict does not rest on it: its intervals come from the buckets, which keep the rows of a unit
together. Where every row is a unit of its own the two must agree, and this is the witness.

Sources: DeLong, DeLong and Clarke-Pearson 1988; Sun and Xu 2014 (by midranks, in O(n log n)).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Areas:
    """Areas under the ROC curves of several models on the same rows.

    Attributes:
        values: shape (models,); a tie of a positive and a negative row counts one half.
        covariance: shape (models, models).
    """

    values: Floats
    covariance: Floats

    def gap(self, first: int, second: int) -> tuple[float, float]:
        """Return the difference of two areas, and its standard error.

        Args:
            first: position of the one.
            second: position of the one that is subtracted.
        """
        of = self.covariance
        variance = of[first, first] + of[second, second] - 2 * of[first, second]
        return float(self.values[first] - self.values[second]), float(np.sqrt(max(variance, 0.0)))


def midranks(values: Floats) -> Floats:
    """Return the rank of each value from 1, tied values sharing the mean of theirs.

    Args:
        values: shape (rows,).
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    found: Floats = (last - (counts - 1) / 2.0)[inverse]
    return found


def delong(positive: NDArray[np.bool_], scores: Floats) -> Areas:
    """Return areas and their covariance; NaN without two rows of each class.

    Args:
        positive: shape (rows,).
        scores: shape (rows, models), finite.
    """
    models = scores.shape[1]
    yes, no = int(positive.sum()), int((~positive).sum())
    if min(yes, no) < 2:  # noqa: PLR2004 - a variance takes two
        return Areas(np.full(models, np.nan), np.full((models, models), np.nan))
    # For each positive row the share of negatives below it, and for each negative one of positives above it.
    above, below = np.empty((models, yes)), np.empty((models, no))
    for model, column in enumerate(scores.T):
        ranks = midranks(column)
        above[model] = (ranks[positive] - midranks(column[positive])) / no
        below[model] = 1.0 - (ranks[~positive] - midranks(column[~positive])) / yes
    covariance = np.atleast_2d(np.cov(above)) / yes + np.atleast_2d(np.cov(below)) / no
    return Areas(above.mean(axis=1), covariance)
