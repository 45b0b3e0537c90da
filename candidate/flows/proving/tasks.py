"""What a model answers: its task, and its answers and scores in the shapes that a model signature has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import convert
from candidate.documents.manifest import ModelSignature, Task
from candidate.errors import InputError, IntegrityError

LABELLESS = frozenset({"anomaly", "transform"})
"""Tasks that are learnt without a label."""


@dataclass(frozen=True)
class Meaning:
    """What a graph's answers mean."""

    task: Task
    classes: tuple[int | str | bool, ...] = ()
    positive: int | str | bool | None = None
    threshold: float | None = None


def plain_classes(classes: Sequence[Any]) -> tuple[Any, ...]:
    """Return classes in Python's own types; 0.0 and 1.0, as a column with a hole has them, are 0 and 1."""
    plain = [value.item() if isinstance(value, np.generic) else value for value in classes]
    plain = [int(value) if isinstance(value, float) and value.is_integer() else value for value in plain]
    odd = [value for value in plain if not isinstance(value, bool | int | str)]
    if odd:
        raise InputError(
            f"{odd[0]!r} is no class: a class is a whole number, a truth value or text",
            where="[data] label",
            hint="train on a label of another type, or train a regression",
        )
    return tuple(plain)


def named(labels: Sequence[str]) -> str:
    """Return the name of the label, or the names of several, as documents have it; empty if there is none."""
    return ", ".join(labels)


def classified(classes: Sequence[Any], *, positive: int = -1, threshold: float = 0.5) -> Meaning:
    """Return what a classifier of these classes means.

    Args:
        classes: in the order of the columns of the scores.
        positive: position of the positive class, if there are two.
        threshold: from which a score means the positive class.
    """
    plain = plain_classes(classes)
    if len(plain) == 2:  # noqa: PLR2004 - two classes
        return Meaning("binary", plain, plain[positive], threshold)
    return Meaning("multiclass", plain)


def labelled(count: int, labels: Sequence[str]) -> Meaning:
    """Return what a multilabel classifier means: a probability for each label."""
    names: tuple[int | str | bool, ...] = tuple(labels) if len(labels) == count else tuple(range(count))
    return Meaning("multilabel", names)


def check_labels(meaning: Meaning, labels: Sequence[str]) -> None:
    """Refuse a task that is learnt from a label, if there is none.

    Raises:
        InputError: nobody names the label.
    """
    if not labels and meaning.task not in LABELLESS:
        raise InputError(
            f"a {meaning.task} model without a label",
            where="[data] label",
            hint="name the column that it predicts; only anomaly detectors and transformers have none",
        )


def meaning_of(estimator: Any, labels: Sequence[str]) -> Meaning:
    """Return what a fitted estimator answers.

    Args:
        estimator: fitted.
        labels: names of the label columns, if there are any.

    Raises:
        InputError: one class, outputs of more than two classes each, no label where the task has one,
            or neither predictions nor a transformation.
    """
    meaning = _meaning_of(estimator, labels)
    check_labels(meaning, labels)
    return meaning


def _meaning_of(estimator: Any, labels: Sequence[str]) -> Meaning:
    where = "[model] source"
    plain, cut = convert.uncut(estimator)
    last = plain.steps[-1][1] if getattr(plain, "steps", None) else plain
    if not hasattr(last, "predict"):
        if not hasattr(last, "transform"):
            raise InputError(f"{type(last).__name__} neither predicts nor transforms", where=where)
        return Meaning("transform")
    if convert.finds_outliers(last):
        return Meaning("anomaly")
    classes = getattr(last, "classes_", None)
    if classes is None:
        return Meaning("regression")
    if isinstance(classes, list) and len(classes) > 1:
        if any(list(plain_classes(each)) not in ([0, 1], [False, True]) for each in classes):
            raise InputError(
                "several labels that are not each 0 or 1", where=where, hint="build a bundle for each of the labels"
            )
        return labelled(len(classes), labels)
    binarizer = getattr(last, "_label_binarizer", None)
    indicator = getattr(binarizer, "y_type_", "") == "multilabel-indicator"
    if getattr(last, "multilabel_", False) or indicator:
        return labelled(len(classes), labels)
    if len(classes) == 1:
        raise InputError(f"the model knows one class only, {classes[0]}", where=where)
    return (
        classified(list(classes))
        if cut is None
        else classified(list(classes), positive=cut.positive, threshold=cut.threshold)
    )


def answers_of(estimator: Any, frame: Any, meaning: Meaning) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return an estimator's labels and its scores or values, each with a row for each row of the frame.

    Labels are of shape (rows,), or (rows, labels) of a multilabel model; scores of shape (rows,
    classes), (rows, labels), (rows, 1) of an anomaly detector (its ``decision_function``), or
    (rows, values) of a regression or a transformer.
    """
    if meaning.task == "transform":
        values = estimator.transform(frame)
        values = np.asarray(values.toarray() if hasattr(values, "toarray") else values).reshape(len(frame), -1)
        return values[:, 0], values.astype(np.float64)
    labels = np.asarray(estimator.predict(frame))
    if meaning.task == "regression":
        values = labels.reshape(len(frame), -1)
        return values[:, 0], values.astype(np.float64)
    if meaning.task == "anomaly":
        return labels, np.asarray(estimator.decision_function(frame), dtype=np.float64).reshape(-1, 1)
    scores = estimator.predict_proba(frame)
    if isinstance(scores, list):  # for each label the probabilities of no and yes
        scores = np.stack([each[:, 1] for each in scores], axis=1)
    if meaning.task != "multilabel":
        labels = labels.reshape(len(frame), -1)[:, 0]
    return labels, np.asarray(scores, dtype=np.float64)


def found_in(signature: ModelSignature, outputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Return a graph's scores or values, shape (rows, columns).

    Raises:
        IntegrityError: an output does not have the shape that the graph states.
    """
    for tensor in signature.outputs:
        shape = np.asarray(outputs[tensor.name]).shape
        fits = len(shape) == len(tensor.shape) and all(
            isinstance(said, str) or said == size for said, size in zip(tensor.shape, shape, strict=True)
        )
        if not fits or len({size for said, size in zip(tensor.shape, shape, strict=True) if said == "batch"}) > 1:
            raise IntegrityError(f"{tensor.name!r} is stated as {tensor.shape} and comes as {shape}", where="model")
    found = np.asarray(outputs[signature.score_output or signature.label_output], dtype=np.float64)
    return found.reshape(len(found), -1)


def distances(
    signature: ModelSignature, found: NDArray[np.float64], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far off each row is: absolute for probabilities, relative for values where they exceed 1.

    The scale of an anomaly score is that of all its rows: it is a difference of large numbers.
    """
    if len(scores) == 0:
        return np.zeros(0)
    if found.shape != scores.shape:
        return np.full(len(scores), np.inf)
    # What a transformer passes on as missing is the same missing value, and what overflows in both has overflown.
    same = (found == scores) | (np.isnan(found) & np.isnan(scores))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(found - scores)).max(axis=1)
    scores = np.where(same & ~np.isfinite(scores), 0.0, scores)
    if signature.task in {"regression", "transform"}:
        difference = difference / np.maximum(1.0, np.abs(scores).max(axis=1))
    return np.asarray(difference / _scale(scores) if signature.task == "anomaly" else difference, dtype=np.float64)


def _scale(scores: NDArray[np.float64]) -> float:
    return max(1.0, float(np.abs(scores).max(initial=0.0)))


def flipped(
    signature: ModelSignature,
    outputs: Mapping[str, NDArray[Any]],
    labels: NDArray[Any],
    scores: NDArray[np.float64],
    tolerance: float,
) -> NDArray[np.bool_]:
    """Return which rows get another label than the estimator gives them; a tie has no right answer to flip."""
    if signature.score_output is None:
        return np.zeros(len(labels), dtype=bool)
    answers = np.asarray(outputs[signature.label_output]).reshape(labels.shape).astype(labels.dtype)
    if signature.task == "multilabel":
        clear = np.abs(scores - 0.5) > tolerance  # one half is every label's threshold
        return np.asarray(((answers != labels) & clear).any(axis=1))
    if signature.task == "anomaly":
        tied = np.abs(scores[:, 0]) <= tolerance * _scale(scores)
    elif signature.threshold is not None and signature.threshold != 0.5:  # noqa: PLR2004 - the middle
        column = signature.classes.index(signature.positive) if signature.positive is not None else 0
        tied = np.abs(scores[:, column] - signature.threshold) <= tolerance
    else:
        top = np.sort(scores, axis=1)
        tied = top[:, -1] - top[:, -2] <= tolerance
    return np.asarray((answers != labels) & ~tied)
