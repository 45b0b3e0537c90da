"""The State: integer counts per slice and bucket of units, which merge exactly and hold no row.

Every row falls into one of K buckets by a hash of its unit, so that the rows of one unit stay
together; per slice and bucket the State keeps counts and fixed-point sums of losses, all int64.
Integer sums do not depend on order, so any sharding of the rows gives the same bytes; leaving one
bucket out is a subtraction, which is what the jackknife of the intervals needs.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from candidate.documents.evidence import ModelRole
from candidate.errors import InputError

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

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


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
    """

    names: tuple[str, ...]
    values: NDArray[np.int64]

    def __getitem__(self, name: str) -> NDArray[np.int64]:
        """Return one statistic, shape (...)."""
        picked: NDArray[np.int64] = self.values[..., self.names.index(name)]
        return picked

    def with_statistics(self, more: dict[str, NDArray[np.int64]]) -> "Totals":
        """Return these totals and some derived ones beside them."""
        columns = [column[..., np.newaxis] for column in more.values()]
        return Totals((*self.names, *more), np.concatenate([self.values, *columns], axis=-1))

    def summed(self) -> "Totals":
        """Return the totals over the first axis."""
        return Totals(self.names, self.values.sum(axis=0))

    def without_each(self) -> "Totals":
        """Return, along the first axis, the totals of all but that one."""
        return Totals(self.names, self.values.sum(axis=0) - self.values)


@dataclass(frozen=True)
class State:
    """What a verdict needs to know of the rows.

    Attributes:
        counts: int64, shape (slices, buckets, statistics); slice 0 is all rows.
        bins: int64, shape (buckets, models, bins, 4): over all rows, per bin of the score, the
            number of rows, the sum of the scores, of the labels and of the squared scores.
    """

    counts: NDArray[np.int64]
    bins: NDArray[np.int64]

    @classmethod
    def zeros(cls, *, slices: int, buckets: int, models: tuple[ModelRole, ...], bins: int) -> Self:
        """Return the State of no rows: the neutral element of addition."""
        statistics = len(statistics_for(models))
        return cls(
            counts=np.zeros((slices, buckets, statistics), dtype=np.int64),
            bins=np.zeros((buckets, len(models), bins, len(BIN_STATISTICS)), dtype=np.int64),
        )

    def _check_same_axes(self, other: "State") -> None:
        if self.counts.shape != other.counts.shape or self.bins.shape != other.bins.shape:
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
        return State(self.counts + other.counts, self.bins + other.bins)

    def __sub__(self, other: "State") -> "State":
        """Return the State of the rows that are not in the other.

        Raises:
            InputError: the two have other axes.
        """
        self._check_same_axes(other)
        return State(self.counts - other.counts, self.bins - other.bins)

    def widened(self, slices: int) -> "State":
        """Return the State with empty slices added behind until there are so many."""
        missing = slices - self.counts.shape[0]
        counts = np.concatenate([self.counts, np.zeros((missing, *self.counts.shape[1:]), dtype=np.int64)])
        return State(counts, self.bins)

    def reordered(self, order: Sequence[int]) -> "State":
        """Return the State with its slices in this order."""
        return State(np.ascontiguousarray(self.counts[list(order)]), self.bins)

    def totals(self, index: int, models: tuple[ModelRole, ...]) -> Totals:
        """Return the statistics of one slice by bucket, shape (buckets, statistics)."""
        return Totals(statistics_for(models), self.counts[index])


def derive_salt(policy: str, data: str) -> int:
    """Return the 64-bit salt of the buckets: BLAKE2b-64 of policy digest and data digest.

    Nobody chooses it, so nobody can try several until the buckets please.
    """
    return int.from_bytes(hashlib.blake2b((policy + data).encode(), digest_size=8).digest(), "big")


def _splitmix64(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix 64 bits so that each depends on all (Steele, Lea and Flood 2014, SplitMix64's finaliser)."""
    mixed = values + _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
    return mixed ^ (mixed >> np.uint64(31))


def _hash_of_text(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def _unit_bits(units: NDArray[Any]) -> NDArray[np.uint64]:
    """Return 64 bits for each unit, equal for equal units."""
    if units.dtype.kind in "iub":
        return units.astype(np.int64).view(np.uint64)
    if units.dtype.kind in "mM":
        return units.view(np.int64).view(np.uint64)
    if units.dtype.kind == "f":
        return (units.astype(np.float64) + 0.0).view(np.uint64)  # + 0.0 makes one zero of two
    texts = [str(unit) for unit in units.tolist()]
    hashes = {text: _hash_of_text(text) for text in set(texts)}
    return np.array([hashes[text] for text in texts], dtype=np.uint64)


def buckets_of(units: NDArray[Any], *, salt: int, buckets: int) -> NDArray[np.int64]:
    """Return the bucket of each row: SplitMix64 of the unit and the salt, modulo K.

    Args:
        units: shape (rows,); whole numbers and dates by value, text and all else by BLAKE2b-64 of
            its UTF-8.
        salt: 64 bits, from ``derive_salt``.
        buckets: K.
    """
    salted = _unit_bits(np.ascontiguousarray(units)) ^ np.uint64(salt)
    return (_splitmix64(salted) % np.uint64(buckets)).astype(np.int64)


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


def _count_bins(
    bins: NDArray[np.int64],
    positive: NDArray[np.bool_],
    scores: NDArray[np.float64],
    buckets: NDArray[np.int64],
) -> None:
    """Add a chunk of rows to the calibration bins, in place."""
    n_buckets, n_models, n_bins, _ = bins.shape
    for model in range(n_models):
        score = np.clip(np.ascontiguousarray(scores[:, model]), 0.0, 1.0)
        place = buckets * n_bins + np.minimum((score * n_bins).astype(np.int64), n_bins - 1)
        size = n_buckets * n_bins
        labels = np.bincount(place * 2 + positive, minlength=size * 2).reshape(n_buckets, n_bins, 2)
        sums = [
            np.bincount(place, weights=_fixed(values), minlength=size).reshape(n_buckets, n_bins).astype(np.int64)
            for values in (score, score * score)
        ]
        bins[:, model] += np.stack([labels.sum(axis=2), sums[0], labels[:, :, 1], sums[1]], axis=-1)


def _count_group(
    counts: NDArray[np.int64],
    group: NDArray[np.int64],
    buckets: NDArray[np.int64],
    cells: tuple[NDArray[np.int64], NDArray[np.int64]],
    losses: dict[int, NDArray[np.float64]],
) -> None:
    """Add a chunk of rows to the slices that one rule gives them, in place."""
    n_buckets = counts.shape[1]
    cell, matrix = cells
    # Only slices that occur are counted; row -1 stands first and is dropped at the end.
    present = np.flatnonzero(np.bincount(group + 1, minlength=counts.shape[0] + 1))
    local = np.zeros(counts.shape[0] + 1, dtype=np.int64)
    local[present] = np.arange(len(present))
    place = local[group + 1] * n_buckets + buckets
    size = len(present) * n_buckets
    joint = np.bincount(place * len(matrix) + cell, minlength=size * len(matrix))
    found = joint.reshape(size, len(matrix)).astype(np.int64) @ matrix
    for column, values in losses.items():
        found[:, column] = np.bincount(place, weights=values, minlength=size).astype(np.int64)
    by_slice = found.reshape(len(present), n_buckets, -1)
    inside = present > 0
    counts[present[inside] - 1] += by_slice[inside]


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
    """
    state = State.zeros(slices=n_slices, buckets=n_buckets, models=models, bins=bins)
    names, matrix = statistics_for(models), _cell_matrix(models)
    for start in range(0, len(positive), CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        label, bucket = positive[rows], buckets[rows]
        cell = label.astype(np.int64)
        losses: dict[int, NDArray[np.float64]] = {}
        for column, model in enumerate(models):
            # contiguous, so that the logarithm takes one code path wherever the rows were cut
            score = np.ascontiguousarray(scores[rows, column], dtype=np.float64)
            cell += predicted[rows, column].astype(np.int64) << (1 + column)
            losses[names.index(f"log_loss.{model}")] = _fixed(log_losses(label, score))
            losses[names.index(f"brier.{model}")] = _fixed((np.clip(score, 0.0, 1.0) - label) ** 2)
        for group in groups:
            _count_group(state.counts, group[rows], bucket, (cell, matrix), losses)
        _count_bins(state.bins, label, scores[rows], bucket)
    return state
