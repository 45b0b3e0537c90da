"""The State: integer counts per slice and bucket of units, which merge exactly and hold no row.

Every row falls into one of K buckets by a hash of its unit, so that the rows of one unit stay
together; per slice and bucket the State keeps counts and fixed-point sums of losses, all int64.
Integer sums do not depend on order, so any sharding of the rows gives the same bytes; leaving one
bucket out is a subtraction, which is what the jackknife of the intervals needs.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from candidate.documents.evidence import ModelRole
from candidate.errors import InputError
from candidate.judgement.histograms import RANK_BINS, count_histograms, place_of

ROW_STATISTICS = ("n", "n_pos")
"""Rows, and rows of the positive class."""
MODEL_STATISTICS = ("tp", "fp", "log_loss", "brier")
"""Per model: rows rightly and wrongly predicted positive, and two sums of losses in fixed point."""
PAIR_STATISTICS = ("gained", "lost")
"""Rows that only the challenger, and that only the champion, predicts rightly."""
BIN_STATISTICS = ("n", "sum_p", "sum_y", "sum_p2")
"""Last axis of the calibration bins; sums of scores are in fixed point."""

FIXED_POINT = 2**30
"""Losses and scores are stored as ``round(value * FIXED_POINT)``."""
LOSS_CAP = 2.0**5
"""No single loss counts for more than this, in nats."""
CHUNK_ROWS = 2**17
"""So many capped losses of 2**35 each sum to at most 2**52, which float64 holds exactly."""
BLOCK_ROWS = 2**13
"""What is computed of so many rows stays in the processor's cache."""


def statistics_for(models: tuple[ModelRole, ...]) -> tuple[str, ...]:
    """Return the names along the last axis of the counts, in order."""
    per_model = tuple(f"{name}.{model}" for model in models for name in MODEL_STATISTICS)
    pair = PAIR_STATISTICS if len(models) > 1 else ()
    return (*ROW_STATISTICS, *per_model, *pair)


@dataclass(frozen=True)
class Totals:
    """Statistics by name; the last axis of the values runs over the names.

    Attributes:
        names: name of each statistic.
        values: int64, shape (..., statistics).
        histograms: int64, shape (..., models, 2, RANK_BINS), rows of each class by score; None where
            the State has none for these rows.
    """

    names: tuple[str, ...]
    values: NDArray[np.int64]
    histograms: NDArray[np.int64] | None = None

    def __getitem__(self, name: str) -> NDArray[np.int64]:
        """Return one statistic, shape (...)."""
        picked: NDArray[np.int64] = self.values[..., self.names.index(name)]
        return picked

    def with_statistics(self, more: dict[str, NDArray[np.int64]]) -> "Totals":
        """Return these totals and some derived ones beside them."""
        columns = [column[..., np.newaxis] for column in more.values()]
        return Totals((*self.names, *more), np.concatenate([self.values, *columns], axis=-1), self.histograms)

    def summed(self) -> "Totals":
        """Return the totals over the first axis."""
        scores = None if self.histograms is None else self.histograms.sum(axis=0)
        return Totals(self.names, self.values.sum(axis=0), scores)

    def without_each(self) -> "Totals":
        """Return, along the first axis, the totals of all but that one."""
        scores = None if self.histograms is None else self.histograms.sum(axis=0) - self.histograms
        return Totals(self.names, self.values.sum(axis=0) - self.values, scores)


def _no_histograms(ranked: tuple[int, ...] = (), buckets: int = 0, models: int = 0) -> NDArray[np.int64]:
    """Return empty histograms of some slices; those of no slice have no other axes either."""
    axes = (len(ranked), buckets, models) if ranked else (0, 0, 0)
    return np.zeros((*axes, 2, RANK_BINS), dtype=np.int64)


@dataclass(frozen=True)
class State:
    """What a verdict needs to know of the rows.

    Attributes:
        counts: int64, shape (slices, buckets, statistics); slice 0 is all rows.
        bins: int64, shape (buckets, models, bins, 4): over all rows, per bin of the score, the
            number of rows, the sum of the scores, of the labels and of the squared scores.
        histograms: int64, shape (ranked slices, buckets, models, 2, RANK_BINS): rows of the negative
            and of the positive class by score.
        ranked: which slice each of the histograms counts.
    """

    counts: NDArray[np.int64]
    bins: NDArray[np.int64]
    histograms: NDArray[np.int64] = field(default_factory=_no_histograms)
    ranked: tuple[int, ...] = ()

    @classmethod
    def zeros(
        cls, *, slices: int, buckets: int, models: tuple[ModelRole, ...], bins: int, ranked: tuple[int, ...] = ()
    ) -> Self:
        """Return the State of no rows: the neutral element of addition."""
        statistics = len(statistics_for(models))
        return cls(
            counts=np.zeros((slices, buckets, statistics), dtype=np.int64),
            bins=np.zeros((buckets, len(models), bins, len(BIN_STATISTICS)), dtype=np.int64),
            histograms=_no_histograms(ranked, buckets, len(models)),
            ranked=ranked,
        )

    @property
    def digest(self) -> str:
        """The sha256 over the axes and the little-endian numbers: the same for the same rows in any order."""
        hashed = hashlib.sha256(repr(self.ranked).encode())
        for array in (self.counts, self.bins, self.histograms):
            hashed.update(repr(array.shape).encode())
            hashed.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
        return "sha256:" + hashed.hexdigest()

    def _check_same_axes(self, other: "State") -> None:
        mine, theirs = ((each.counts.shape, each.bins.shape, each.ranked) for each in (self, other))
        if mine != theirs:
            raise InputError(
                f"states of shapes {other.counts.shape} and {self.counts.shape} do not merge",
                where="state",
                hint="measure every shard with the same policy and the same bundles",
            )

    def __add__(self, other: "State") -> "State":
        """Return the State of both sets of rows; exact, associative and commutative.

        Raises:
            InputError: the two have other axes.
        """
        self._check_same_axes(other)
        scores = self.histograms + other.histograms
        return State(self.counts + other.counts, self.bins + other.bins, scores, self.ranked)

    def __sub__(self, other: "State") -> "State":
        """Return the State of the rows that are not in the other.

        Raises:
            InputError: the two have other axes.
        """
        self._check_same_axes(other)
        scores = self.histograms - other.histograms
        return State(self.counts - other.counts, self.bins - other.bins, scores, self.ranked)

    def placed(self, numbers: Sequence[int], slices: int, ranked: tuple[int, ...]) -> "State":
        """Return the State with other slice numbers and perhaps more slices, which are empty.

        Args:
            numbers: the new number of each slice.
            slices: how many there are then.
            ranked: which of the new numbers have histograms, at least all that have one here.
        """
        counts = np.zeros((slices, *self.counts.shape[1:]), dtype=np.int64)
        counts[list(numbers)] = self.counts
        whole = State(counts, self.bins, self.histograms, self.ranked)
        moved = tuple(numbers[number] for number in self.ranked)
        if moved != ranked:
            histograms = _no_histograms(ranked, self.counts.shape[1], self.bins.shape[1])
            histograms[[ranked.index(number) for number in moved]] = self.histograms
            whole = replace(whole, histograms=histograms)
        return replace(whole, ranked=ranked)

    def widened(self, slices: int) -> "State":
        """Return the State with empty slices added behind until there are so many."""
        return self.placed(range(len(self.counts)), slices, self.ranked)

    def reordered(self, order: Sequence[int]) -> "State":
        """Return the State with its slices in this order."""
        positions = {number: position for position, number in enumerate(order)}
        ranked = tuple(sorted(positions[number] for number in self.ranked))
        return self.placed([positions[number] for number in range(len(order))], len(order), ranked)

    def totals(self, index: int, models: tuple[ModelRole, ...]) -> Totals:
        """Return the statistics of one slice by bucket, shape (buckets, statistics)."""
        histograms = self.histograms[self.ranked.index(index)] if index in self.ranked else None
        return Totals(statistics_for(models), self.counts[index], histograms)


def _fixed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return whole multiples of 2**-30, as float64 that ``bincount`` then sums without rounding."""
    return np.rint(values * FIXED_POINT)


def log_losses(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log loss of each row in nats, clipped at float64's epsilon and capped."""
    smallest = np.finfo(np.float64).eps
    likelihood = np.clip(np.where(positive, scores, 1.0 - scores), smallest, 1.0 - smallest)
    losses: NDArray[np.float64] = np.minimum(-np.log(likelihood), LOSS_CAP)
    return losses


def _cell_matrix(models: tuple[ModelRole, ...]) -> NDArray[np.int64]:
    """Return which joint outcome (bit 0 the label, bit 1+i model i's answer) counts for what."""
    names = statistics_for(models)
    cells = np.arange(2 ** (1 + len(models)))
    label = cells & 1
    answers = {model: (cells >> (1 + position)) & 1 for position, model in enumerate(models)}
    matrix = np.zeros((len(cells), len(names)), dtype=np.int64)
    matrix[:, names.index("n")] = 1
    matrix[:, names.index("n_pos")] = label
    for model, answer in answers.items():
        matrix[:, names.index(f"tp.{model}")] = label & answer
        matrix[:, names.index(f"fp.{model}")] = (1 - label) & answer
    if len(models) > 1:
        right, other = (answers[role] == label for role in ("challenger", "champion"))
        matrix[:, names.index("gained")] = right & ~other
        matrix[:, names.index("lost")] = other & ~right
    return matrix


@dataclass(frozen=True)
class _Rows:
    """What each row of a chunk adds, computed block by block so that it stays in the processor's cache.

    Attributes:
        cell: shape (rows,): joint outcome, as the rows of ``_cell_matrix``.
        losses: for each column of the counts that sums losses, shape (rows,), whole numbers.
        bins: for each model, shape (rows,): bucket, calibration bin and class as one number.
        sums: for each model, score and squared score in fixed point, each of shape (rows,).
        ranks: for each model, shape (rows,): bucket, class and bin of the histogram as one number.
        matrix: which joint outcome counts for what.
    """

    matrix: NDArray[np.int64]
    cell: NDArray[np.int64]
    losses: dict[int, NDArray[np.float64]]
    bins: NDArray[np.int64]
    sums: NDArray[np.float64]
    ranks: NDArray[np.int64]


def _row_values(
    positive: NDArray[np.bool_],
    scores: NDArray[np.float64],
    predicted: NDArray[np.bool_],
    buckets: NDArray[np.int64],
    models: tuple[ModelRole, ...],
    *,
    bins: int,
    ranked: bool,
) -> _Rows:
    """Return what each row of a chunk adds."""
    rows, names = len(positive), statistics_for(models)
    found = _Rows(
        matrix=_cell_matrix(models),
        cell=positive.astype(np.int64),
        losses={names.index(f"{loss}.{model}"): np.empty(rows) for model in models for loss in ("log_loss", "brier")},
        bins=np.empty((len(models), rows), dtype=np.int64),
        sums=np.empty((len(models), 2, rows)),
        ranks=np.empty((len(models), rows if ranked else 0), dtype=np.int64),
    )
    for column, model in enumerate(models):
        found.cell[:] += predicted[:, column].astype(np.int64) << (1 + column)
        log_loss, brier = (found.losses[names.index(f"{loss}.{model}")] for loss in ("log_loss", "brier"))
        for start in range(0, rows, BLOCK_ROWS):
            here = slice(start, start + BLOCK_ROWS)
            label, bucket = positive[here], buckets[here]
            # contiguous, so that the logarithm takes one code path wherever the rows were cut
            score = np.ascontiguousarray(scores[here, column], dtype=np.float64)
            log_loss[here] = _fixed(log_losses(label, score))
            np.clip(score, 0.0, 1.0, out=score)
            brier[here] = _fixed((score - label) ** 2)
            found.sums[column, 0, here] = _fixed(score)
            found.sums[column, 1, here] = _fixed(score * score)
            place = np.minimum((score * bins).astype(np.int64), bins - 1)
            found.bins[column, here] = (bucket * bins + place) * 2 + label
            if ranked:
                found.ranks[column, here] = (bucket * 2 + label) * RANK_BINS + place_of(score)
    return found


def _count_bins(bins: NDArray[np.int64], rows: _Rows) -> None:
    """Add a chunk of rows to the calibration bins, in place."""
    n_buckets, n_models, n_bins, _ = bins.shape
    size = n_buckets * n_bins
    for model in range(n_models):
        place = rows.bins[model]
        labels = np.bincount(place, minlength=size * 2).reshape(n_buckets, n_bins, 2)
        sums = [
            np.bincount(place, weights=values, minlength=size * 2).reshape(n_buckets, n_bins, 2).sum(axis=2)
            for values in rows.sums[model]
        ]
        bins[:, model, :, 0] += labels.sum(axis=2)
        bins[:, model, :, 1] += sums[0].astype(np.int64)
        bins[:, model, :, 2] += labels[:, :, 1]
        bins[:, model, :, 3] += sums[1].astype(np.int64)


@dataclass
class _Cube:
    """Rules whose slices are counted together: the cells are all combinations of their slices that fit.

    Attributes:
        present: for each rule, which slices occur, where 0 stands for none.
        place: shape (rows,): the row's combination, as one number.
        size: number of combinations.
    """

    present: list[NDArray[np.intp]]
    place: NDArray[np.int64]
    size: int


def _cubes(groups: Sequence[NDArray[np.int64]], n_slices: int, most: int) -> list[_Cube]:
    """Return the rules in as few cubes as fit into so many cells."""
    cubes: list[_Cube] = []
    for group in groups:
        present = np.flatnonzero(np.bincount(group + 1, minlength=n_slices + 1))
        local = np.zeros(n_slices + 1, dtype=np.int64)
        local[present] = np.arange(len(present))
        place = local[group + 1] if len(present) > 1 else np.zeros(len(group), dtype=np.int64)
        if cubes and cubes[-1].size * len(present) <= most:
            last = cubes[-1]
            last.place = last.place * len(present) + place if last.size > 1 else place
            last.size *= len(present)
            last.present.append(present)
        else:
            cubes.append(_Cube([present], place, len(present)))
    return cubes


def _count_cube(counts: NDArray[np.int64], cube: _Cube, buckets: NDArray[np.int64], rows: _Rows) -> None:
    """Add a chunk of rows to the slices of some rules, in place.

    A row is counted once, in its combination of slices; what each slice counts is then the sum over
    the other rules' slices, which is exact because all are whole numbers below 2**53.
    """
    n_buckets, outcomes = counts.shape[1], len(rows.matrix)
    place = cube.place * n_buckets + buckets
    shape = (*(len(present) for present in cube.present), n_buckets)
    size = cube.size * n_buckets
    joint = np.bincount(place * outcomes + rows.cell, minlength=size * outcomes).reshape(*shape, outcomes)
    losses = {
        column: np.bincount(place, weights=values, minlength=size).reshape(shape)
        for column, values in rows.losses.items()
    }
    for axis, present in enumerate(cube.present):
        others = tuple(other for other in range(len(cube.present)) if other != axis)
        found = joint.sum(axis=others) @ rows.matrix
        for column, values in losses.items():
            found[:, :, column] = values.sum(axis=others).astype(np.int64)
        inside = present > 0
        counts[present[inside] - 1] += found[inside]


def observe(
    *,
    positive: NDArray[np.bool_],
    scores: NDArray[np.float64],
    predicted: NDArray[np.bool_],
    groups: Sequence[NDArray[np.int64]],
    n_slices: int,
    buckets: NDArray[np.int64],
    n_buckets: int,
    models: tuple[ModelRole, ...],
    bins: int,
    ranked: tuple[int, ...] = (),
    into: State | None = None,
) -> State:
    """Count rows.

    Args:
        positive: shape (rows,): whether the row has the positive class.
        scores: shape (rows, models): probability of the positive class, finite.
        predicted: shape (rows, models): whether the model answers positive.
        groups: for each rule that makes slices, shape (rows,): the row's slice, or -1.
        n_slices: number of slices over all rules.
        buckets: shape (rows,), from ``buckets_of``.
        n_buckets: K.
        models: role of each column of scores and predictions.
        bins: equal-width calibration bins over [0, 1].
        ranked: slices whose scores are counted in histograms.
        into: a State with these axes that nobody else holds: its own arrays are added to, and it is returned.
    """
    state = into or State.zeros(slices=n_slices, buckets=n_buckets, models=models, bins=bins, ranked=ranked)
    for start in range(0, len(positive), CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        bucket, here = buckets[rows], [group[rows] for group in groups]
        added = _row_values(
            positive[rows], scores[rows], predicted[rows], bucket, models, bins=bins, ranked=bool(ranked)
        )
        for cube in _cubes(here, n_slices, max(1, len(bucket) // (2 * n_buckets))):
            _count_cube(state.counts, cube, bucket, added)
        _count_bins(state.bins, added)
        if ranked:
            count_histograms(state.histograms, ranked, list(added.ranks), here)
    return state
