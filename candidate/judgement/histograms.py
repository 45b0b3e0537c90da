"""Histograms of scores: what is needed to know how a model orders the rows, in constant memory.

The 4096 bins are equally wide in a stretched score, ``sqrt(p / 2)`` up to one half and its mirror
image above, so that rare classes, whose scores all lie near 0, still fall into many bins. Only
roots and products are taken, which IEEE 754 rounds the same everywhere. Rows of one bin count as
ties; ``tied_share`` says how far that can move an area under a curve.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RANK_BINS = 4096
"""Bins of the stretched score."""
NEGATIVE, POSITIVE = 0, 1
"""Positions of the classes along their axis."""

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def place_of(scores: Floats, bins: int = RANK_BINS) -> Counts:
    """Return the bin of each score; scores outside [0, 1] fall into the outermost bins.

    Args:
        scores: finite, any shape.
        bins: an even number.
    """
    clipped = np.clip(scores, 0.0, 1.0)
    root = np.minimum(clipped, 1.0 - clipped)
    root *= 0.5
    np.sqrt(root, out=root)
    root *= bins
    np.minimum(root, bins // 2 - 1, out=root)
    place = root.astype(np.int64)
    mirrored: Counts = np.where(clipped > 0.5, bins - 1 - place, place)  # noqa: PLR2004 - one half
    return mirrored


def count_histograms(
    histograms: Counts,
    ranked: Sequence[int],
    cell: Counts,
    groups: Sequence[Counts],
    weight: Floats | None = None,
) -> None:
    """Add a chunk of rows to the histograms of one model, in place.

    Args:
        histograms: shape (ranked slices, buckets, 2, RANK_BINS).
        ranked: which slice each of them counts.
        cell: shape (rows,), the row's place in (buckets, 2, RANK_BINS), as one number.
        groups: for each rule, shape (rows,), the row's slice or -1.
        weight: shape (rows,): what each row counts, in whole numbers that sum to less than 2**53; None for one each.
    """
    shape = histograms.shape[1:]
    size = math.prod(shape)
    for group in groups:
        # Most rules have none of these slices, which the smallest and the largest number tell.
        lowest, highest = (int(group.min()), int(group.max())) if len(group) else (0, -1)
        for position, number in enumerate(ranked):
            if not lowest <= number <= highest:
                continue
            here = None if lowest == highest else group == number
            weights = weight if here is None or weight is None else weight[here]
            counted = np.bincount(cell if here is None else cell[here], weights=weights, minlength=size)
            histograms[position] += counted.reshape(shape).astype(np.int64, copy=False)


def _divided(above: Floats, below: Floats) -> Floats:
    result = np.full(np.broadcast(above, below).shape, np.nan)
    np.divide(above, below, out=result, where=below != 0)
    return result


def roc_auc(histogram: Counts) -> Floats:
    """Return the area under the ROC curve, ties counting one half; NaN without rows of both classes.

    Args:
        histogram: shape (..., 2, bins).
    """
    negative = histogram[..., NEGATIVE, :].astype(np.float64)
    positive = histogram[..., POSITIVE, :].astype(np.float64)
    below = np.cumsum(negative, axis=-1) - negative / 2
    pairs = positive.sum(axis=-1) * negative.sum(axis=-1)
    return _divided((positive * below).sum(axis=-1), pairs)


def tied_share(histogram: Counts) -> Floats:
    """Return the share of pairs of a positive and a negative row that fall into one bin.

    Half of it bounds how far the area of the binned scores is from that of the scores themselves.

    Args:
        histogram: shape (..., 2, bins).
    """
    negative = histogram[..., NEGATIVE, :].astype(np.float64)
    positive = histogram[..., POSITIVE, :].astype(np.float64)
    pairs = positive.sum(axis=-1) * negative.sum(axis=-1)
    return _divided((positive * negative).sum(axis=-1), pairs)


def _from_the_top(histogram: Counts) -> tuple[Floats, Floats]:
    """Return rows of the negative and of the positive class with at least a bin's score, best bin first."""
    summed = np.cumsum(histogram[..., ::-1].astype(np.float64), axis=-1)
    return summed[..., NEGATIVE, :], summed[..., POSITIVE, :]


def pr_auc(histogram: Counts) -> Floats:
    """Return the average precision: precision at each bin's score, weighted by the recall it adds.

    NaN without positive rows.

    Args:
        histogram: shape (..., 2, bins).
    """
    false, true = _from_the_top(histogram)
    precision = np.divide(true, true + false, out=np.zeros_like(true), where=true + false > 0)
    gained = np.diff(true, axis=-1, prepend=0.0)
    return _divided((precision * gained).sum(axis=-1), true[..., -1])


def kolmogorov_smirnov(histogram: Counts) -> Floats:
    """Return the largest distance of the two classes' distributions of scores.

    NaN without rows of both classes.

    Args:
        histogram: shape (..., 2, bins).
    """
    false, true = _from_the_top(histogram)
    apart = np.abs(_divided(true, true[..., -1:]) - _divided(false, false[..., -1:]))
    largest: Floats = apart.max(axis=-1)
    return largest


def precision_at(histogram: Counts, share: float) -> Floats:
    """Return the share of positives among the rows with the highest scores.

    Rows of the bin in which the border falls are taken in proportion: the expectation over all
    orders of tied rows. NaN without rows.

    Args:
        histogram: shape (..., 2, bins).
        share: of all rows, in (0, 1).
    """
    false, true = _from_the_top(histogram)
    rows = true + false
    wanted = share * rows[..., -1:]
    positive = np.diff(true, axis=-1, prepend=0.0)
    in_bin = np.diff(rows, axis=-1, prepend=0.0)
    taken = np.clip(wanted - (rows - in_bin), 0.0, in_bin)
    caught = (np.divide(taken, in_bin, out=np.zeros_like(taken), where=in_bin > 0) * positive).sum(axis=-1)
    return _divided(caught, wanted[..., 0])


def prevalence(histogram: Counts) -> Floats:
    """Return the share of positive rows; NaN without rows.

    Args:
        histogram: shape (..., 2, bins).
    """
    rows = histogram.sum(axis=-1).astype(np.float64)
    return _divided(rows[..., POSITIVE], rows.sum(axis=-1))


def lift_at(histogram: Counts, share: float) -> Floats:
    """Return ``precision_at`` over the share of positives among all rows; NaN without positives.

    Args:
        histogram: shape (..., 2, bins).
        share: of all rows, in (0, 1).
    """
    return _divided(precision_at(histogram, share), prevalence(histogram))
