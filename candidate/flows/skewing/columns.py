"""Values of a column counted in bins, before and after."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.errors import InputError
from candidate.judgement.drift import distances, floor, homogeneity

BINS = 20
"""Bins of numbers: about so many equal parts of the reference."""
CATEGORIES = 50
"""The commonest values of the reference are told apart; all others are one."""


@dataclass
class Column:
    """A column whose values are counted in bins, before and after.

    Attributes:
        name: of the column.
        edges: of numbers, ascending; None for categories.
        known: of categories, the bin of each value.
        before: rows of the reference by stretch and bin.
        after: rows of the log by bin.
        spread: standard deviation of the numbers in the reference.
    """

    name: str
    edges: NDArray[np.float64] | None
    known: dict[Any, int]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    spread: float = 1.0

    @classmethod
    def of(cls, name: str, sample: Any, stretches: int) -> "Column":
        """Return an empty column whose bins follow from a sample of the reference, an Arrow array."""
        numbers = numbers_of(sample)
        if numbers is None:
            values, codes = coded_values(sample)
            ranked = np.argsort(-np.bincount(codes, minlength=len(values)), kind="stable")
            common = [values[place] for place in ranked if values[place] is not None][:CATEGORIES]
            known = {value: place for place, value in enumerate(common)}
            bins = len(known) + 2  # any other value, and none
            return cls(name, None, known, np.zeros((stretches, bins), np.int64), np.zeros(bins, np.int64))
        finite = numbers[np.isfinite(numbers)]
        edges = np.unique(np.quantile(finite, np.arange(1, BINS) / BINS)) if len(finite) else np.zeros(0)
        bins = len(edges) + 2
        spread = float(finite.std()) if len(finite) else 0.0
        return cls(name, edges, {}, np.zeros((stretches, bins), np.int64), np.zeros(bins, np.int64), spread or 1.0)

    @property
    def bins(self) -> int:
        """Number of bins, the last of which is of what is missing."""
        return len(self.after)

    def places(self, values: Any) -> NDArray[np.int64]:
        """Return the bin of each value of an Arrow array."""
        if self.edges is None:
            found, codes = coded_values(values)
            other = len(self.known)
            bins = [other + 1 if value is None else self.known.get(value, other) for value in found]
            return np.array(bins, dtype=np.int64)[codes]
        numbers = numbers_of(values)
        if numbers is None:
            raise InputError(f"holds {values.type}, the reference has numbers", where=f"column {self.name}")
        placed = np.searchsorted(self.edges, numbers, side="left")
        return np.where(np.isnan(numbers), self.bins - 1, placed).astype(np.int64)

    def shift(self) -> dict[str, Any]:
        """Return all that the report says of it, but whether it is proven among all."""
        before = self.before.sum(axis=0)
        widths = None
        if self.edges is not None:  # missing values are no number: they count at the end, at no distance
            widths = np.append(np.diff(self.edges), [0.0, 0.0])[: self.bins - 1] / self.spread
        found = distances(before, self.after, widths=widths)
        return {
            "column": self.name,
            "kind": "category" if self.edges is None else "number",
            "bins": self.bins,
            **vars(found),
            "missing_before": float(before[-1] / before.sum()),
            "missing_after": float(self.after[-1] / self.after.sum()),
            "floor": floor(self.before),
            "p_value": homogeneity(before, self.after),
        }


def numbers_of(values: Any) -> NDArray[np.float64] | None:
    """Return an Arrow array as numbers, NaN where one is missing; None if it holds none."""
    import pyarrow.types as pt

    kind = values.type
    if not (pt.is_floating(kind) or pt.is_integer(kind) or pt.is_decimal(kind)):
        return None
    return np.asarray(values.cast("float64").to_numpy(zero_copy_only=False), dtype=np.float64)


def coded_values(values: Any) -> tuple[list[Any], NDArray[np.int64]]:
    """Return the distinct values of an Arrow array, and for each row the position of its value."""
    import pyarrow as pa

    return dataset.coded_column(pa.record_batch({"x": values}), "x")
