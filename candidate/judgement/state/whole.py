"""The State: arrays of whole numbers that add, subtract and move, and hold no row."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from candidate.errors import InputError
from candidate.judgement.histograms import RANK_BINS
from candidate.judgement.state.layout import BIN_STATISTICS, Layout
from candidate.judgement.state.totals import Totals


def _no_histograms(ranked: tuple[int, ...] = (), buckets: int = 0, models: int = 0) -> NDArray[np.int64]:
    """Return empty histograms of some slices; those of no slice have no other axes either."""
    axes = (len(ranked), buckets, models) if ranked else (0, 0, 0)
    return np.zeros((*axes, 2, RANK_BINS), dtype=np.int64)


def _moved(
    array: NDArray[np.int64], held: Sequence[int], wanted: Sequence[int], empty: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return an array whose first axis runs over other numbers, at least all that it has."""
    if tuple(held) == tuple(wanted):
        return array
    if held:
        empty[[wanted.index(number) for number in held]] = array
    return empty


@dataclass(frozen=True)
class State:
    """What a verdict needs to know of the rows.

    Attributes:
        counts: int64, shape (slices, buckets, statistics); slice 0 is all rows.
        bins: int64, shape (1 + calibrated slices, curves, buckets, models, bins, 4): over all rows, then
            over each calibrated slice, for each class (one for yes or no), per bin of the score, the
            number of rows, the sum of the scores, of the labels and of the squared scores.
        histograms: int64, shape (ranked slices, buckets, models, 2, RANK_BINS): rows of the negative
            and of the positive class by score.
        ranked: which slice each of the histograms counts.
        calibrated: which slice each of the bins after the first counts.
    """

    counts: NDArray[np.int64]
    bins: NDArray[np.int64]
    histograms: NDArray[np.int64] = field(default_factory=_no_histograms)
    ranked: tuple[int, ...] = ()
    calibrated: tuple[int, ...] = ()

    @classmethod
    def zeros(
        cls,
        layout: Layout,
        *,
        slices: int,
        buckets: int,
        bins: int,
        ranked: tuple[int, ...] = (),
        calibrated: tuple[int, ...] = (),
    ) -> Self:
        """Return the State of no rows: the neutral element of addition."""
        axes = (1 + len(calibrated), layout.curves, buckets, len(layout.models), bins, len(BIN_STATISTICS))
        return cls(
            counts=np.zeros((slices, buckets, len(layout.statistics)), dtype=np.int64),
            bins=np.zeros(axes, dtype=np.int64),
            histograms=_no_histograms(ranked, buckets, len(layout.models)),
            ranked=ranked,
            calibrated=calibrated,
        )

    @property
    def digest(self) -> str:
        """The sha256 over the axes and the little-endian numbers: the same for the same rows in any order."""
        hashed = hashlib.sha256(repr((self.ranked, self.calibrated)).encode())
        for array in (self.counts, self.bins, self.histograms):
            hashed.update(repr(array.shape).encode())
            hashed.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
        return "sha256:" + hashed.hexdigest()

    def _check_same_axes(self, other: "State") -> None:
        mine, theirs = ((each.counts.shape, each.bins.shape, each.ranked, each.calibrated) for each in (self, other))
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
        arrays = (self.counts + other.counts, self.bins + other.bins, self.histograms + other.histograms)
        return State(*arrays, self.ranked, self.calibrated)

    def __sub__(self, other: "State") -> "State":
        """Return the State of the rows that are not in the other.

        Raises:
            InputError: the two have other axes.
        """
        self._check_same_axes(other)
        arrays = (self.counts - other.counts, self.bins - other.bins, self.histograms - other.histograms)
        return State(*arrays, self.ranked, self.calibrated)

    def placed(
        self, numbers: Sequence[int], slices: int, ranked: tuple[int, ...], calibrated: tuple[int, ...] = ()
    ) -> "State":
        """Return the State with other slice numbers and perhaps more slices, which are empty.

        Args:
            numbers: the new number of each slice.
            slices: how many there are then.
            ranked: which of the new numbers have histograms, at least all that have one here.
            calibrated: which of them have calibration bins, likewise.
        """
        counts = np.zeros((slices, *self.counts.shape[1:]), dtype=np.int64)
        counts[list(numbers)] = self.counts
        buckets, models = self.bins.shape[2:4]
        histograms = _moved(
            self.histograms,
            [numbers[number] for number in self.ranked],
            ranked,
            _no_histograms(ranked, buckets, models),
        )
        bins = _moved(
            self.bins,
            [0, *(numbers[number] for number in self.calibrated)],
            (0, *calibrated),
            np.zeros((1 + len(calibrated), *self.bins.shape[1:]), dtype=np.int64),
        )
        return State(counts, bins, histograms, ranked, calibrated)

    def reordered(self, order: Sequence[int]) -> "State":
        """Return the State with its slices in this order; the first stays."""
        positions = {number: position for position, number in enumerate(order)}
        ranked, calibrated = (
            tuple(sorted(positions[number] for number in held)) for held in (self.ranked, self.calibrated)
        )
        return self.placed([positions[number] for number in range(len(order))], len(order), ranked, calibrated)

    def totals(self, index: int, names: tuple[str, ...]) -> Totals:
        """Return the statistics of one slice by bucket, shape (buckets, statistics), under their names."""
        histograms = self.histograms[self.ranked.index(index)] if index in self.ranked else None
        return Totals(names, self.counts[index], histograms)
