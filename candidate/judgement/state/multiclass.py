"""Count rows that are answered by one of several classes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from candidate.documents.evidence import ModelRole
from candidate.judgement.state import counting
from candidate.judgement.state.counting import Chunk, Curve, add
from candidate.judgement.state.layout import HUMAN, LOSS_CAP, Layout
from candidate.judgement.state.weighing import fixed, squares, steps, weighed
from candidate.judgement.state.whole import State

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def class_losses(label: Integers, probabilities: Floats) -> tuple[Floats, Floats]:
    """Return the log loss of each row in nats, capped, and its Brier score, in [0, 2].

    The log loss is of the probability given to the true class; the Brier score is the sum of squared
    differences over the classes.

    Args:
        label: shape (rows,), the true class's position.
        probabilities: shape (rows, classes), finite.

    Source: Brier 1950; scikit-learn's ``log_loss`` and ``brier_score_loss``.
    """
    smallest = np.finfo(np.float64).eps
    rows = np.arange(len(label))
    clipped = np.clip(probabilities, smallest, 1.0 - smallest)
    losses = np.minimum(-np.log(np.ascontiguousarray(clipped[rows, label])), LOSS_CAP)
    kept = np.clip(probabilities, 0.0, 1.0)
    true = kept[rows, label]
    brier = np.zeros(len(label))
    for column in kept.T:  # one order of summation, however the rows were cut
        brier += column * column
    return losses, np.clip(brier - 2.0 * true + 1.0, 0.0, 2.0)


def _matrix(layout: Layout, model: str) -> Integers:
    """Return which pair of label and answer counts for what of a model, or of a person."""
    names, classes = layout.statistics, layout.classes
    label, answer = np.divmod(np.arange(classes * classes), classes)
    matrix = np.zeros((classes * classes, len(names)), dtype=np.int64)
    for number in range(classes):
        matrix[:, names.index(f"tp{number}.{model}")] = (label == number) & (answer == number)
        matrix[:, names.index(f"answered{number}.{model}")] = answer == number
        if model == layout.models[0]:
            matrix[:, names.index(f"n{number}")] = label == number
    if model == layout.models[0]:
        matrix[:, names.index("n")] = 1
    return matrix


def _pair_matrix(layout: Layout, suffix: str) -> Integers:
    """Return which pair of right answers (bit 0 the challenger's, bit 1 the other's) counts for what."""
    matrix = np.zeros((4, len(layout.statistics)), dtype=np.int64)
    matrix[1, layout.statistics.index(f"gained{suffix}")] = 1
    matrix[2, layout.statistics.index(f"lost{suffix}")] = 1
    return matrix


def _chunk(
    layout: Layout, label: Integers, probabilities: Floats, answers: Integers, *, bins: int, weights: Floats | None
) -> Chunk:
    names, codes, curves = layout.statistics, list[tuple[Integers, Integers]](), list[Curve]()
    sums = squares(layout, weights)
    for position, model in enumerate(layout.models):
        codes.append((label * layout.classes + answers[:, position], _matrix(layout, model)))
        losses, brier = class_losses(label, probabilities[:, position])
        sums[names.index(f"log_loss.{model}")] = weighed(fixed(losses), weights)
        sums[names.index(f"brier.{model}")] = weighed(fixed(brier), weights)
        for number in range(layout.classes):
            score = np.clip(np.ascontiguousarray(probabilities[:, position, number]), 0.0, 1.0)
            place = np.minimum((score * bins).astype(np.int64), bins - 1) * 2 + (label == number)
            both = (weighed(fixed(score), weights), weighed(fixed(score * score), weights))
            curves.append(Curve(number, position, place, both))
    if layout.human:
        codes.append((label * layout.classes + answers[:, -1], _matrix(layout, HUMAN)))
    right = (answers == label[:, np.newaxis]).astype(np.int64)
    for position, (_, suffix) in enumerate(layout.rivals, start=1):
        codes.append((right[:, 0] + 2 * right[:, position], _pair_matrix(layout, suffix)))
    return Chunk(
        codes=codes,
        sums=sums,
        curves=curves,
        weight=None if weights is None else steps(weights),
        plain=None if weights is None else names.index("rows"),
    )


def observe_classes(
    *,
    label: Integers,
    probabilities: Floats,
    answers: Integers,
    groups: Sequence[Integers],
    n_slices: int,
    buckets: Integers,
    n_buckets: int,
    models: tuple[ModelRole, ...],
    bins: int,
    calibrated: tuple[int, ...] = (),
    weights: Floats | None = None,
    into: State | None = None,
) -> State:
    """Count rows of one of several classes.

    Args:
        label: shape (rows,): position of the true class.
        probabilities: shape (rows, models, classes), finite.
        answers: shape (rows, models): position of the class that each model answers; a last column more is a
            person's answers.
        groups: for each rule that makes slices, shape (rows,): the row's slice, or -1.
        n_slices: number of slices over all rules.
        buckets: shape (rows,), from ``buckets_of``.
        n_buckets: K.
        models: role of each model.
        bins: equal-width calibration bins over [0, 1], for each class.
        calibrated: slices that have calibration bins beside those of all rows.
        weights: shape (rows,), in [0, ``WEIGHT_CAP``]; None where each row counts as one.
        into: a State with these axes that nobody else holds: its own arrays are added to, and it is returned.
    """
    layout = Layout(
        models, "multiclass", probabilities.shape[2], weighted=weights is not None, human=answers.shape[1] > len(models)
    )
    state = into or State.zeros(layout, slices=n_slices, buckets=n_buckets, bins=bins, calibrated=calibrated)
    for start in range(0, len(label), counting.CHUNK_ROWS):
        rows = slice(start, start + counting.CHUNK_ROWS)
        weight = None if weights is None else weights[rows]
        chunk = _chunk(layout, label[rows], probabilities[rows], answers[rows], bins=bins, weights=weight)
        add(state, chunk, buckets[rows], [group[rows] for group in groups])
    return state
