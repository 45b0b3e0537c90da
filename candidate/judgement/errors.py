"""Where a loss is: groups of rows that lose more than the others, each once.

Groups are rows of one value of a column, or of one value in each of two; what is said of them is corrected for how many
were looked at. Sources: Welch 1947 (two means); Holm 1979; the ranking is error analysis as Ng 2018 ("Machine Learning
Yearning") teaches it, by the share of the loss that a fix could take away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from candidate.judgement.intervals import t_quantile, t_share_below
from candidate.judgement.multiplicity import holm

LEAST_ROWS = 20
"""Smaller groups are not looked at."""
OVERLAP = 0.5
"""A group that shares more of the rows of both with one before it is told there."""
MOST_PAIRED = 12
"""So many columns, those whose values explain most of the loss, are also looked at in pairs."""


@dataclass(frozen=True)
class Column:
    """A column as codes.

    Attributes:
        codes: value of each row, shape (rows,).
        names: of each value.
    """

    codes: NDArray[np.int64]
    names: Sequence[str]


@dataclass(frozen=True)
class Group:
    """A group and its loss; see ``ErrorGroup`` of the report."""

    name: str
    rows: int
    share_of_loss: float
    mean_loss: float
    reducible: float
    reducible_at_least: float
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class _Seen:
    name: str
    rows: int
    mean: float
    rest: float
    error: float
    df: float
    columns: tuple[str, ...]
    codes: tuple[int, ...]

    @property
    def excess(self) -> float:
        return self.mean - self.rest


def worst_groups(
    loss: NDArray[np.float64], columns: Mapping[str, Column], *, alpha: float = 0.05, most: int = 10
) -> tuple[tuple[Group, ...], int]:
    """Return the groups that are proven to lose more than all other rows, by what could be gained there.

    Args:
        loss: of each row, finite, shape (rows,).
        columns: by name.
        alpha: error rate of all that is said together.
        most: how many to return.

    Returns:
        The groups, and how many were looked at.
    """
    alone = [each for name, column in columns.items() for each in _looked(loss, {name: column})]
    best = sorted(columns, key=lambda name: -_explained(loss, columns[name]))[:MOST_PAIRED]
    pairs = [
        each
        for first, second in combinations(sorted(best), 2)
        for each in _looked(loss, {first: columns[first], second: columns[second]})
    ]
    seen = [*alone, *pairs]
    p_values = [1 - t_share_below(each.excess / each.error, each.df) if each.error > 0 else 1.0 for each in seen]
    proven = [each for each, sure in zip(seen, holm(p_values, alpha), strict=True) if sure]
    total = float(loss.sum())
    found: list[Group] = []
    for each in sorted(proven, key=lambda each: (-each.excess * each.rows, len(each.columns))):
        mask = np.logical_and.reduce(
            [columns[name].codes == code for name, code in zip(each.columns, each.codes, strict=True)]
        )
        if any((mask & other.mask).sum() > OVERLAP * (mask | other.mask).sum() for other in found):
            continue
        least = max(0.0, each.excess - t_quantile(1 - alpha, each.df) * each.error)
        found.append(
            Group(
                name=each.name,
                rows=each.rows,
                share_of_loss=float(loss[mask].sum()) / total,
                mean_loss=each.mean,
                reducible=each.excess * each.rows / total,
                reducible_at_least=least * each.rows / total,
                mask=mask,
            )
        )
        if len(found) == most:
            break
    return tuple(found), len(seen)


def _sums(loss: NDArray[np.float64], codes: NDArray[np.int64], size: int) -> tuple[NDArray[np.float64], ...]:
    """Return rows, losses and squared losses by code."""
    weights = (np.ones(len(loss)), loss, loss**2)
    return tuple(np.bincount(codes, each, size).astype(np.float64) for each in weights)


def _explained(loss: NDArray[np.float64], column: Column) -> float:
    """Return how much of the loss's sum of squares lies between the values of a column."""
    n, total, _ = _sums(loss, column.codes, len(column.names))
    there = n > 0
    return float((total[there] ** 2 / n[there]).sum())


def _looked(loss: NDArray[np.float64], columns: Mapping[str, Column]) -> list[_Seen]:
    """Return every group of one value in each of these columns that is large enough, against all other rows."""
    names = tuple(columns)
    sizes = [len(columns[name].names) for name in names]
    codes = np.ravel_multi_index([columns[name].codes for name in names], sizes)
    n, total, squares = _sums(loss, np.asarray(codes, dtype=np.int64), int(np.prod(sizes)))
    rows, whole, squared = len(loss), float(loss.sum()), float((loss**2).sum())
    found = []
    for code in np.flatnonzero((n >= LEAST_ROWS) & (rows - n >= LEAST_ROWS)).tolist():
        places = [int(place) for place in np.unravel_index(code, sizes)]
        mine = _mean(n[code], total[code], squares[code])
        others = _mean(rows - n[code], whole - total[code], squared - squares[code])
        error = float(np.sqrt(mine[1] + others[1]))
        df = (mine[1] + others[1]) ** 2 / max(
            mine[1] ** 2 / (n[code] - 1) + others[1] ** 2 / (rows - n[code] - 1), 1e-300
        )
        said = [f"{name}={columns[name].names[place]}" for name, place in zip(names, places, strict=True)]
        found.append(
            _Seen(
                name=" and ".join(said),
                rows=int(n[code]),
                mean=mine[0],
                rest=others[0],
                error=error,
                df=max(1.0, float(df)),
                columns=names,
                codes=tuple(places),
            )
        )
    return found


def _mean(n: float, total: float, squares: float) -> tuple[float, float]:
    """Return a mean and the square of its standard error."""
    mean = total / n
    return float(mean), float(max(0.0, squares - n * mean**2) / (n - 1) / n)


def interval(loss: NDArray[np.float64], alpha: float = 0.05) -> tuple[float, float, float]:
    """Return a mean with its two-sided interval (Student's t over rows)."""
    mean, variance = _mean(len(loss), float(loss.sum()), float((loss**2).sum()))
    half = t_quantile(1 - alpha / 2, len(loss) - 1) * float(np.sqrt(variance))
    return mean, mean - half, mean + half
