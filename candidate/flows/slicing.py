"""Find the slices of a policy in the data: every row's slice in every rule, named by their values."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.documents.evidence import SliceKey
from candidate.documents.policy import Policy, columns_of
from candidate.documents.where import Comparison, Operator, Scalar, parse_where
from candidate.errors import InputError

MAX_SLICES = 4096
MAX_RANKED = 24
"""Each takes 8 MB with 64 buckets and two models."""
MAX_CALIBRATED = 256
"""Each takes 61 kB with 64 buckets, 15 bins and two models, for each class."""


@dataclass(frozen=True)
class Coded:
    """A column as its distinct values and, for each row, the position of its value.

    Attributes:
        values: text, number or truth; a missing value is None.
        codes: shape (rows,).
    """

    values: tuple[Scalar | None, ...]
    codes: NDArray[np.int64]


def coded(distinct: Sequence[object], codes: NDArray[np.int64]) -> Coded:
    """Return a column whose distinct values are plain, each once; dates become text, NaN is missing."""
    numbers: dict[tuple[type, Scalar | None], int] = {}
    values = [_plain(value) for value in distinct]
    positions = [numbers.setdefault((type(value), value), len(numbers)) for value in values]
    return Coded(tuple(value for _, value in numbers), np.array(positions, dtype=np.int64)[codes])


def _plain(value: object) -> Scalar | None:
    """Return a column's value as text, number or truth; a missing one as None."""
    if value is None or value != value:  # noqa: PLR0124 - NaN is the one value unequal to itself
        return None
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, str | int | float | bool) else str(value)


def _order(key: SliceKey) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    return key.by, tuple((type(value).__name__, str(value)) for value in key.values)


class Slicer:
    """Give every row its slice in each rule, numbering slices as they are first seen."""

    def __init__(self, policy: Policy, *, all_ranked: bool = False) -> None:
        rules = (*policy.slices.guard, *policy.slices.watch)
        selectors = [(columns_of(rule.by), rule.where) for rule in rules]
        selectors += [(columns_of(limit.by), None) for limit in policy.satisficing if limit.by is not None]
        rule = policy.calibration
        self._calibrated = None if rule is None or policy.task == "regression" else columns_of(rule.by) or None
        if rule is not None and rule.by is not None:
            selectors.append((columns_of(rule.by), None))
        self.keys: list[SliceKey] = [SliceKey(name="overall")]
        self._ranked = {*policy.ranked, ((), None)} if all_ranked else set(policy.ranked)
        self._by = list(dict.fromkeys(columns for columns, where in selectors if where is None))
        self._where: list[tuple[int, tuple[Comparison, ...]]] = []
        for text in dict.fromkeys(where for _, where in selectors if where is not None):
            self._where.append((len(self.keys), parse_where(text)))
            self.keys.append(SliceKey(name=text, where=text))
        self._seen: dict[tuple[tuple[str, ...], tuple[Scalar | None, ...]], int] = {}

    def _number(self, columns: tuple[str, ...], values: tuple[Scalar | None, ...]) -> int:
        number = self._seen.get((columns, values))
        if number is None:
            if len(self.keys) >= MAX_SLICES:
                raise InputError(
                    f"more than {MAX_SLICES} slices",
                    where=f"column {' & '.join(columns)}",
                    hint="slice by a column with fewer values, or name the slices that matter with where = ...",
                )
            number = self._seen[columns, values] = len(self.keys)
            name = " & ".join(
                f"{column}={'(missing)' if value is None else value}"
                for column, value in zip(columns, values, strict=True)
            )
            self.keys.append(SliceKey(name=name, by=columns, values=values))
        return number

    def groups(self, columns: Mapping[str, Coded], rows: int) -> list[NDArray[np.int64]]:
        """Return for each rule an array of shape (rows,): the row's slice, or -1."""
        result = [np.zeros(rows, dtype=np.int64)]
        for by in self._by:
            factors = [columns[name] for name in by]
            joint = np.zeros(rows, dtype=np.int64)
            for factor in factors:
                joint = joint * len(factor.values) + factor.codes
            present, inverse = np.unique(joint, return_inverse=True)
            places = np.unravel_index(present, [len(factor.values) for factor in factors])
            numbers = np.array(
                [
                    self._number(by, tuple(f.values[p] for f, p in zip(factors, place, strict=True)))
                    for place in zip(*places, strict=True)
                ],
                dtype=np.int64,
            )
            result.append(numbers[inverse])
        for number, comparisons in self._where:
            fits = np.ones(rows, dtype=bool)
            for comparison in comparisons:
                fits &= holds(columns[comparison.column], comparison)
            result.append(np.where(fits, number, -1).astype(np.int64))
        return result

    @property
    def ranked(self) -> tuple[int, ...]:
        """Numbers of the slices whose scores are counted in histograms.

        Raises:
            InputError: they are more than fit into memory.
        """
        found = tuple(number for number, key in enumerate(self.keys) if (key.by, key.where) in self._ranked)
        if len(found) > MAX_RANKED:
            raise InputError(
                f"more than {MAX_RANKED} slices with histograms of scores",
                where="policy",
                hint="guard fewer slices by a metric of order such as roc_auc, or guard them by log_loss",
            )
        return found

    @property
    def calibrated(self) -> tuple[int, ...]:
        """Numbers of the slices that have calibration bins of their own.

        Raises:
            InputError: they are more than fit into memory.
        """
        found = tuple(number for number, key in enumerate(self.keys) if number and key.by == self._calibrated)
        if len(found) > MAX_CALIBRATED:
            raise InputError(
                f"more than {MAX_CALIBRATED} slices with calibration bins",
                where="policy [calibration] by",
                hint="slice by a column with fewer values",
            )
        return found

    def absorb(self, keys: Sequence[SliceKey]) -> list[int]:
        """Return the numbers of slices that another slicer of the same policy found, in its order."""
        fixed = 1 + len(self._where)
        return [*range(fixed), *(self._number(key.by, key.values) for key in keys[fixed:])]

    def ordering(self) -> list[int]:
        """Return slice numbers in the order that does not depend on the order of the rows."""
        fixed = 1 + len(self._where)
        return [*range(fixed), *sorted(range(fixed, len(self.keys)), key=lambda n: _order(self.keys[n]))]


def holds(column: Coded, comparison: Comparison) -> NDArray[np.bool_]:
    """Return for each row whether the comparison holds; a missing value is in no such slice."""
    truth = [value is not None and compares(value, comparison) for value in column.values]
    return np.array(truth, dtype=bool)[column.codes]


_TESTS: dict[Operator, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda value, values: value in values,
}


def compares(value: Scalar, comparison: Comparison) -> bool:
    """Return whether a value fits a comparison.

    Raises:
        InputError: text is held against a number, or a number against text.
    """
    for literal in comparison.values:
        if isinstance(value, str) != isinstance(literal, str):
            raise InputError(
                f"column {comparison.column} holds {type(value).__name__}, the condition has {literal!r}",
                where="where",
            )
    first: Any = comparison.values[0]
    left: Any = value
    return bool(_TESTS[comparison.operator](left, first if comparison.operator != "in" else comparison.values))
