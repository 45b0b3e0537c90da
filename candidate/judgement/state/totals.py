"""Statistics by name, over slices, buckets, or all rows but those of one bucket."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from candidate.judgement.state.layout import SQUARE_STEP, WEIGHT_STEP


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

    @property
    def weighted(self) -> bool:
        """Whether counts are weights rather than rows."""
        return "w2" in self.names

    @property
    def classes(self) -> int:
        """Number of classes that are counted each; 0 where the answer is yes or no, or a number."""
        return sum(name[0] == "n" and name[1:].isdecimal() for name in self.names)

    @property
    def rows(self) -> NDArray[np.int64]:
        """Number of rows, whatever they weigh, shape (...)."""
        return self["rows"] if self.weighted else self["n"]

    @property
    def grain(self) -> float:
        """How much weight tells as much as one row would: 1 without weights (Kish 1965)."""
        weight = float(self["n"].sum()) / WEIGHT_STEP
        return float(self["w2"].sum()) / SQUARE_STEP / weight if self.weighted and weight > 0 else 1.0

    @property
    def unevenness(self) -> float:
        """How much wider uneven weights make a variance than even ones: 1 without weights."""
        weight = float(self["n"].sum()) / WEIGHT_STEP
        return max(1.0, float(self.rows.sum()) * self.grain / weight) if self.weighted and weight > 0 else 1.0

    def stacked(self, kind: str, suffix: str, count: int) -> NDArray[np.int64]:
        """Return a statistic of each class along a last axis, shape (..., count)."""
        return np.stack([self[f"{kind}{number}{suffix}"] for number in range(count)], axis=-1)

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
