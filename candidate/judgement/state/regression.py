"""Count rows that are answered by a number."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from candidate.documents.evidence import ModelRole
from candidate.judgement.state import counting
from candidate.judgement.state.counting import Chunk, add
from candidate.judgement.state.layout import LOSS_CAP, Layout
from candidate.judgement.state.weighing import fixed, squares, steps, weighed
from candidate.judgement.state.whole import State

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
MEDIAN = 0.5


def number_losses(label: Floats, answer: Floats, *, scale: float, quantile: float = MEDIAN) -> dict[str, Floats]:
    """Return the losses of each row, none above the cap, and which of them were cut off there.

    Args:
        label: shape (rows,), the true numbers, finite.
        answer: shape (rows,), finite.
        scale: unit of the absolute, signed and pinball errors; its square is that of the squared one.
        quantile: of the pinball loss.

    Source: scikit-learn's ``mean_absolute_error``, ``mean_squared_error``, ``mean_pinball_loss`` and
    ``mean_absolute_percentage_error``; symmetric: 2 |y - f| / (|y| + |f|), 0 where both are 0 (Makridakis 1993).
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        error = (answer - label) / scale
        size = np.abs(error)
        share = np.abs(answer - label) / np.maximum(np.abs(label), np.finfo(np.float64).eps)
        both = np.abs(answer) + np.abs(label)
        symmetric = np.where(both > 0, 2 * np.abs(answer - label) / np.where(both > 0, both, 1.0), 0.0)
        losses = {
            "abs_error": size,
            "squared_error": error * error,
            "percent_error": share,
            "symmetric_error": symmetric,
            "pinball": np.where(error < 0, quantile * size, (1 - quantile) * size),
        }
    cut = {name: np.minimum(np.nan_to_num(values, nan=np.inf), LOSS_CAP) for name, values in losses.items()}
    return {
        **cut,
        "sum_error": np.clip(np.nan_to_num(error), -LOSS_CAP, LOSS_CAP),
        "cut": (cut["squared_error"] >= LOSS_CAP).astype(np.float64),
        "cut_percent": (cut["percent_error"] >= LOSS_CAP).astype(np.float64),
    }


def _chunk(
    layout: Layout, label: Floats, answers: Floats, *, scale: float, quantile: float, weights: Floats | None
) -> Chunk:
    names = layout.statistics
    unit = label / scale
    sums = squares(layout, weights)
    sums[names.index("y")] = weighed(fixed(unit), weights)
    sums[names.index("y2")] = weighed(fixed(unit * unit), weights)
    for position, model in enumerate(layout.counted):
        for name, values in number_losses(label, answers[:, position], scale=scale, quantile=quantile).items():
            whole = values if name.startswith("cut") else weighed(fixed(values), weights)
            sums[names.index(f"{name}.{model}")] = whole
    everyone = np.zeros((1, len(names)), dtype=np.int64)
    everyone[0, names.index("n")] = 1
    return Chunk(
        codes=[(np.zeros(len(label), dtype=np.int64), everyone)],
        sums=sums,
        weight=None if weights is None else steps(weights),
        plain=None if weights is None else names.index("rows"),
    )


def observe_numbers(
    *,
    label: Floats,
    answers: Floats,
    groups: Sequence[Integers],
    n_slices: int,
    buckets: Integers,
    n_buckets: int,
    models: tuple[ModelRole, ...],
    scale: float,
    quantile: float = MEDIAN,
    constant: float | None = None,
    weights: Floats | None = None,
    into: State | None = None,
) -> State:
    """Count rows of a number.

    Args:
        label: shape (rows,): the true number, at most the root of ``LOSS_CAP`` times the scale in size.
        answers: shape (rows, models), finite.
        groups: for each rule that makes slices, shape (rows,): the row's slice, or -1.
        n_slices: number of slices over all rules.
        buckets: shape (rows,), from ``buckets_of``.
        n_buckets: K.
        models: role of each column of answers.
        scale: the unit in which errors are summed.
        quantile: of the pinball loss.
        constant: the zero-rule's answer to every row, if it is counted.
        weights: shape (rows,), in [0, ``WEIGHT_CAP``]; None where each row counts as one.
        into: a State with these axes that nobody else holds: its own arrays are added to, and it is returned.
    """
    layout = Layout(models, "regression", 0, weighted=weights is not None, zero_rule=constant is not None)
    state = into or State.zeros(layout, slices=n_slices, buckets=n_buckets, bins=0)
    if constant is not None:
        answers = np.column_stack([answers, np.full(len(label), constant)])
    for start in range(0, len(label), counting.CHUNK_ROWS):
        rows = slice(start, start + counting.CHUNK_ROWS)
        weight = None if weights is None else weights[rows]
        chunk = _chunk(layout, label[rows], answers[rows], scale=scale, quantile=quantile, weights=weight)
        add(state, chunk, buckets[rows], [group[rows] for group in groups])
    return state
