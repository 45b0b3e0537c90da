"""Add a chunk of rows to the arrays of a State: each row is counted once, however many slices it is in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from candidate.judgement.histograms import count_histograms
from candidate.judgement.state.scratch import scratch
from candidate.judgement.state.whole import State

CHUNK_ROWS = 2**17
"""So many whole numbers of up to 2**36 each sum to at most 2**53, which float64 holds exactly."""
BLOCK_ROWS = 2**12
"""What is computed of so many rows stays in the processor's cache."""
NEAR = 64
"""So many slices in a row are all taken to occur: to look costs more than to count nothing."""
_HALF = 2.0**26

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Curve:
    """What each row of a chunk adds to one reliability diagram of one model.

    Attributes:
        curve: position of the class.
        model: position of the model.
        place: shape (rows,): calibration bin and label (0 or 1) as one number.
        sums: score and squared score in fixed point, each of shape (rows,), whole numbers.
    """

    curve: int
    model: int
    place: Integers
    sums: tuple[Floats, Floats]


@dataclass(frozen=True)
class Chunk:
    """What each row of a chunk adds.

    Attributes:
        codes: pairs of an outcome of each row, shape (rows,), and which outcome counts for what, shape
            (outcomes, statistics).
        sums: for each statistic that is a sum, shape (rows,), whole numbers of at most 2**36 in size; where rows
            have weights, of at most 2**62.
        curves: for the calibration bins.
        ranks: for each model, shape (rows,): class and bin of the histogram as one number; none without.
        weight: shape (rows,): what each row counts, in whole steps; None where each counts as one. The
            sums are of weighted values already; the others are not.
        plain: statistic that counts rows as such, where they have weights.
    """

    codes: Sequence[tuple[Integers, Integers]]
    sums: dict[int, Floats]
    curves: Sequence[Curve] = ()
    ranks: Sequence[Integers] = ()
    weight: Floats | None = None
    plain: int | None = None


def exact_sums(place: Integers, values: Floats, size: int, *, halved: bool) -> Integers:
    """Return the sum of whole numbers at each place, exactly, shape (size,).

    Args:
        place: shape (rows,), at most ``CHUNK_ROWS`` of them.
        values: shape (rows,), whole numbers of at most 2**36 in size, or halved of at most 2**62.
        size: number of places.
        halved: whether to sum an upper and a lower half, where float64 would round the whole.
    """
    if not halved:
        return np.bincount(place, weights=values, minlength=size).astype(np.int64)
    high = np.floor(values / _HALF)
    summed = [np.bincount(place, weights=part, minlength=size) for part in (high, values - high * _HALF)]
    whole: Integers = summed[0].astype(np.int64) * int(_HALF) + summed[1].astype(np.int64)
    return whole


def _tally(place: Integers, weight: Floats | None, size: int) -> Integers:
    """Return how many rows, or how much weight, is at each place, shape (size,)."""
    if weight is None:
        counted: Integers = np.bincount(place, minlength=size)
        return counted
    return exact_sums(place, weight, size, halved=True)


@dataclass
class _Cube:
    """Rules whose slices are counted together: the cells are all combinations of their slices that fit.

    Attributes:
        present: for each rule, which slices occur, where 0 stands for none.
        place: shape (rows,): the row's combination, as one number.
        size: number of combinations.
    """

    present: list[NDArray[np.intp]]
    place: Integers
    size: int


def _cubes(groups: Sequence[Integers], n_slices: int, most: int) -> list[_Cube]:
    """Return the rules in as few cubes as fit into so many cells."""
    cubes: list[_Cube] = []
    for group in groups:
        lowest, highest = (int(group.min()), int(group.max())) if len(group) else (0, 0)
        if highest - lowest < NEAR:  # a column's slices are numbered one after the other, so nearly all occur
            present, place = np.arange(lowest + 1, highest + 2), group - lowest
        else:
            present = np.flatnonzero(np.bincount(group + 1, minlength=n_slices + 1))
            local = np.zeros(n_slices + 1, dtype=np.int64)
            local[present] = np.arange(len(present))
            place = local[group + 1]
        if cubes and cubes[-1].size * len(present) <= most:
            last = cubes[-1]
            if last.size > 1 and len(present) > 1:
                last.place = last.place * len(present) + place
            elif len(present) > 1:
                last.place = place
            last.size *= len(present)
            last.present.append(present)
        else:
            cubes.append(_Cube([present], place, len(present)))
    return cubes


def _joined(place: Integers, size: int, inner: Integers) -> Integers:
    """Return two places as one number: ``place * size + inner``."""
    joined: Integers = scratch("joined", len(place), dtype=np.int64)
    np.multiply(place, size, out=joined)
    joined += inner
    return joined


def _count_cube(counts: Integers, cube: _Cube, buckets: Integers, rows: Chunk) -> None:
    """Add a chunk of rows to the slices of some rules, in place.

    A row is counted once, in its combination of slices; what each slice counts is then the sum over
    the other rules' slices, which is exact because all are whole numbers.
    """
    n_buckets = counts.shape[1]
    place: Integers = scratch("place", len(buckets), dtype=np.int64)
    np.multiply(cube.place, n_buckets, out=place)
    place += buckets
    shape, size = (*(len(present) for present in cube.present), n_buckets), cube.size * n_buckets
    halved = rows.weight is not None
    joint = [
        _tally(_joined(place, len(matrix), cell), rows.weight, size * len(matrix)).reshape(*shape, len(matrix))
        for cell, matrix in rows.codes
    ]
    sums = {
        column: exact_sums(place, values, size, halved=halved).reshape(shape) for column, values in rows.sums.items()
    }
    if rows.plain is not None:
        sums[rows.plain] = np.bincount(place, minlength=size).reshape(shape)
    for axis, present in enumerate(cube.present):
        others = tuple(other for other in range(len(cube.present)) if other != axis)
        found = np.zeros((len(present), n_buckets, counts.shape[2]), dtype=np.int64)
        for outcomes, (_, matrix) in zip(joint, rows.codes, strict=True):
            found += outcomes.sum(axis=others) @ matrix
        for column, values in sums.items():
            found[:, :, column] += values.sum(axis=others)
        inside = present > 0
        counts[present[inside] - 1] += found[inside]


def _count_curve(bins: Integers, curve: Curve, buckets: Integers, weight: Floats | None) -> None:
    """Add rows to the calibration bins of one slice, in place."""
    n_buckets, n_bins = bins.shape[1], bins.shape[3]
    place, size = _joined(buckets, 2 * n_bins, curve.place), n_buckets * n_bins * 2
    labels = _tally(place, weight, size).reshape(n_buckets, n_bins, 2)
    into = bins[curve.curve, :, curve.model]
    into[..., 0] += labels.sum(axis=2)
    into[..., 2] += labels[..., 1]
    for statistic, values in zip((1, 3), curve.sums, strict=True):
        summed = exact_sums(place, values, size, halved=weight is not None)
        into[..., statistic] += summed.reshape(n_buckets, n_bins, 2).sum(axis=2)


def _count_curves(state: State, rows: Chunk, buckets: Integers, groups: Sequence[Integers]) -> None:
    """Add a chunk of rows to the calibration bins of all rows, and of each slice that has its own, in place."""
    for curve in rows.curves:
        _count_curve(state.bins[0], curve, buckets, rows.weight)
    for position, number in enumerate(state.calibrated, start=1):
        for group in groups:
            inside = np.flatnonzero(group == number)
            if not len(inside):
                continue
            weight = None if rows.weight is None else rows.weight[inside]
            for curve in rows.curves:
                sums = (curve.sums[0][inside], curve.sums[1][inside])
                some = Curve(curve.curve, curve.model, curve.place[inside], sums)
                _count_curve(state.bins[position], some, buckets[inside], weight)


def add(state: State, rows: Chunk, buckets: Integers, groups: Sequence[Integers]) -> None:
    """Add a chunk of rows to a State that nobody else holds.

    Args:
        state: its own arrays are added to.
        rows: at most ``CHUNK_ROWS`` of them.
        buckets: shape (rows,).
        groups: for each rule that makes slices, shape (rows,): the row's slice, or -1.
    """
    n_slices, n_buckets = state.counts.shape[:2]
    outcomes = max((len(matrix) for _, matrix in rows.codes), default=1)
    most = max(1, 4 * len(buckets) // (n_buckets * max(8, outcomes)))
    for cube in _cubes(groups, n_slices, most):
        _count_cube(state.counts, cube, buckets, rows)
    _count_curves(state, rows, buckets, groups)
    if state.ranked:
        width = 2 * state.histograms.shape[-1]
        for model, rank in enumerate(rows.ranks):
            cell = _joined(buckets, width, rank)
            count_histograms(state.histograms[:, :, model], state.ranked, cell, groups, rows.weight)
