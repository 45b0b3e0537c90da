"""How far two samples of a column lie apart, and how far one of them lies from itself.

Sources: Jensen-Shannon distance (Endres and Schindelin 2003); the population stability index is the symmetric
Kullback-Leibler divergence (Jeffreys 1946); L-infinity as in TensorFlow Data Validation.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST = 5
"""Rows that a bin needs in both samples, were they alike, for the chi-squared distribution to hold."""

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Distances:
    """Distances of two samples over the same bins; see ``Shift`` of the report for each."""

    psi: float
    js: float
    linf: float
    ks: float | None
    wasserstein: float | None


def distances(before: Counts, after: Counts, *, widths: NDArray[np.float64] | None = None) -> Distances:
    """Return how far two samples lie apart.

    Args:
        before: rows of the reference in each bin, shape (bins,).
        after: rows of the other sample.
        widths: of numbers, in order: width of the step from each bin to the next, shape (bins - 1,), in whatever
            unit; of categories, None.
    """
    p, q = before / before.sum(), after / after.sum()
    smooth = [(each + 0.5) / (each.sum() + 0.5 * len(each)) for each in (before, after)]
    psi = float(((smooth[0] - smooth[1]) * np.log(smooth[0] / smooth[1])).sum())
    steps = None if widths is None else np.abs(np.cumsum(p - q))[:-1]
    return Distances(
        psi=psi,
        js=jensen_shannon(p, q),
        linf=float(np.abs(p - q).max()),
        ks=None if steps is None else float(steps.max(initial=0.0)),
        wasserstein=None if steps is None or widths is None else float((steps * widths).sum()),
    )


def jensen_shannon(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    """Return the Jensen-Shannon distance of two distributions: the root of the divergence to base 2, 0 to 1."""
    middle = (p + q) / 2
    total = 0.0
    for each in (p, q):
        there = each > 0
        total += float((each[there] * np.log2(each[there] / middle[there])).sum()) / 2
    return math.sqrt(max(total, 0.0))


def homogeneity(before: Counts, after: Counts) -> float:
    """Return the p-value of the claim that two samples come from one distribution (chi-squared).

    Bins that are too small for it are taken together; with fewer than two left there is nothing to tell.
    """
    from scipy.special import gammaincc

    both = (before + after).astype(np.float64)
    sizes = np.array([before.sum(), after.sum()], dtype=np.float64)
    expected = np.outer(sizes / sizes.sum(), both)
    small = expected.min(axis=0) < LEAST
    rows = np.stack([before, after]).astype(np.float64)
    kept = [rows[:, ~small], rows[:, small].sum(axis=1, keepdims=True)]
    table = np.concatenate(kept, axis=1)
    wanted = np.outer(sizes / sizes.sum(), table.sum(axis=0))
    table, wanted = table[:, wanted.min(axis=0) >= LEAST], wanted[:, wanted.min(axis=0) >= LEAST]
    freedom = table.shape[1] - 1
    if freedom < 1:
        return 1.0
    statistic = float(((table - wanted) ** 2 / wanted).sum())
    return float(gammaincc(freedom / 2, statistic / 2))


def floor(stretches: Counts) -> float:
    """Return the largest Jensen-Shannon distance between a stretch of a sample and all the rest of it.

    What a sample does by itself, by chance or with time, is no reason to distrust another.

    Args:
        stretches: rows in each bin by stretch, shape (stretches, bins).
    """
    whole = stretches.sum(axis=0)
    found = [0.0]
    for stretch in stretches:
        rest = whole - stretch
        if stretch.sum() and rest.sum():
            found.append(jensen_shannon(stretch / stretch.sum(), rest / rest.sum()))
    return max(found)


def stretches_for(reference: int, logged: int) -> int:
    """Return into how many stretches a reference is cut: each about as long as the log, so that noise is alike."""
    return max(4, min(50, reference // max(logged, 1)))
