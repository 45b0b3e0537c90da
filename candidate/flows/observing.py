"""Turn a batch of rows and what models answer into counts, for each kind of task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.adapters.runtime import Session, scores_of
from candidate.documents.evidence import ModelRole
from candidate.documents.manifest import ModelSignature
from candidate.documents.policy import Policy
from candidate.documents.where import Scalar
from candidate.errors import InputError
from candidate.flows.heuristics import Heuristic
from candidate.flows.slicing import Coded
from candidate.judgement.state import (
    COLUMN_CAP,
    LOSS_CAP,
    WEIGHT_CAP,
    Layout,
    State,
    observe,
    observe_classes,
    observe_numbers,
)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
MEDIAN = 0.5


@dataclass(frozen=True)
class Model:
    """A graph in its role, loaded, and what is needed to feed it."""

    role: ModelRole
    signature: ModelSignature
    filled: frozenset[str]
    session: Session

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the rows that are read."""
        return self.signature.features


@dataclass(frozen=True)
class Batch:
    """Some rows, read.

    Attributes:
        rows: Arrow record batch with the columns of the features and those read as numbers.
        read: columns whose values are told apart.
        first_row: number of the first row in its file, for messages.
        data: the file.
    """

    rows: Any
    read: Mapping[str, Coded]
    first_row: int
    data: Path

    def place(self, column: str, where: NDArray[np.bool_]) -> str:
        """Return where in the file the first of some rows is."""
        return f"{self.data.name}, row {self.first_row + int(np.flatnonzero(where)[0])}, column {column}"

    def numbers(self, column: str) -> Floats:
        """Return a column as finite float64, shape (rows,).

        Raises:
            InputError: it holds something else, or a row misses its value.
        """
        return dataset.numbers(self.rows, column, first_row=self.first_row, where=self.data.name)


@dataclass(frozen=True)
class Placing:
    """Where a batch's rows are counted.

    Attributes:
        groups: for each rule that makes slices, shape (rows,): the row's slice, or -1.
        n_slices: number of slices over all rules.
        buckets: shape (rows,).
        n_buckets: K.
        bins: calibration bins.
        ranked: slices whose scores are counted in histograms.
        calibrated: slices that have calibration bins beside those of all rows.
    """

    groups: Sequence[Integers]
    n_slices: int
    buckets: Integers
    n_buckets: int
    bins: int
    ranked: tuple[int, ...]
    calibrated: tuple[int, ...]

    def only(self, rows: NDArray[np.bool_]) -> "Placing":
        """Return where some of the rows are counted."""
        return replace(self, groups=[group[rows] for group in self.groups], buckets=self.buckets[rows])


def layout_for(policy: Policy, models: Sequence[ModelRole], classes: int, *, constant: bool) -> Layout:
    """Return what is counted under a policy.

    Args:
        policy: names task, weight and columns.
        models: roles, the challenger first.
        classes: number of classes, if the task has several.
        constant: whether the bundle records the mean label, the zero-rule of numbers.
    """
    task = policy.kind_of_task
    count = {"binary": 2, "regression": 0}.get(task, classes)
    zero_rule = constant and task == "regression"
    weighted, reviewed = policy.data.weight is not None, policy.reviewed is not None
    return Layout(tuple(models), task, count, weighted, policy.summed, zero_rule, reviewed)


@dataclass(frozen=True)
class Seen:
    """All that is counted of some rows, beside their slices.

    Attributes:
        truth: shape (rows,): 1 for the positive class and else 0, the position of the class, or the number.
        scores: shape (rows, models, values), finite: one probability, that of each class, or the number.
        answers: shape (rows, models): what each model answers, as the truth has it; zeros where it answers numbers.
            A last column more is a person's answers.
        weights: shape (rows,); None where each row counts as one.
        columns: numbers to be summed by outcome, each of shape (rows,).
    """

    truth: NDArray[Any]
    scores: Floats
    answers: Integers
    weights: Floats | None
    columns: Mapping[str, Floats]

    def only(self, rows: NDArray[np.bool_]) -> "Seen":
        """Return some of the rows."""
        weights = None if self.weights is None else self.weights[rows]
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Seen(self.truth[rows], self.scores[rows], self.answers[rows], weights, columns)


def seen(batch: Batch, models: Sequence[Model | Heuristic], policy: Policy) -> Seen:
    """Score some rows.

    Args:
        batch: the rows.
        models: the challenger first, the heuristic, if there is one, last.
        policy: names task, label, weight and columns.

    Raises:
        InputError: a value does not fit, or a model gives no finite answer.
    """
    weights, columns = weights_and_columns(batch, policy)
    if policy.kind_of_task == "regression":
        truth = _true_numbers(batch, policy.data.label, policy.data.scale or 1.0)
        numbers = _answered_numbers(batch, models)
        return Seen(truth, numbers[:, :, np.newaxis], np.zeros(numbers.shape, dtype=np.int64), weights, columns)
    bundles = [model for model in models if isinstance(model, Model)]
    signature = bundles[0].signature
    label = _classes_in(batch, signature.label, signature)
    people = [] if policy.reviewed is None else [_reviewed(batch, signature, policy.reviewed, policy)]
    if policy.kind_of_task == "multiclass":
        probabilities, answers = _answered_classes(batch, bundles)
        return Seen(label, probabilities, np.column_stack([answers, *people]), weights, columns)
    scores, predicted = _answered(batch, models)
    yes = signature.classes.index(signature.positive)
    answers = np.column_stack([predicted, *(each == yes for each in people)]).astype(np.int64)
    return Seen((label == yes).astype(np.int64), scores[:, :, np.newaxis], answers, weights, columns)


def weights_and_columns(batch: Batch, policy: Policy) -> tuple[Floats | None, dict[str, Floats]]:
    """Return the weight of each row, if there are any, and the columns that are summed."""
    task = policy.kind_of_task
    columns = {name: _bounded(batch, name, COLUMN_CAP) for name in (policy.summed if task == "binary" else ())}
    return _weights(batch, policy), columns


def observed(
    rows: Seen,
    models: tuple[ModelRole, ...],
    policy: Policy,
    at: Placing,
    *,
    constant: float | None,
    into: State | None,
) -> State:
    """Count some rows.

    Args:
        rows: as they were scored, now or before.
        models: roles, the challenger first.
        policy: names task and scale.
        at: where they are counted.
        constant: the zero-rule's answer, of numbers.
        into: a State that nobody else holds, to be added to.
    """
    common: dict[str, Any] = {
        "groups": at.groups,
        "n_slices": at.n_slices,
        "buckets": at.buckets,
        "n_buckets": at.n_buckets,
        "models": models,
        "weights": rows.weights,
        "into": into,
    }
    if policy.kind_of_task == "regression":
        return observe_numbers(
            label=rows.truth,
            answers=rows.scores[:, :, 0],
            scale=policy.data.scale or 1.0,
            quantile=policy.quantile or MEDIAN,
            constant=constant,
            **common,
        )
    common |= {"bins": at.bins, "calibrated": at.calibrated}
    if policy.kind_of_task == "multiclass":
        return observe_classes(label=rows.truth, probabilities=rows.scores, answers=rows.answers, **common)
    positive, predicted = rows.truth == 1, rows.answers == 1
    return observe(
        positive=positive,
        scores=rows.scores[:, :, 0],
        predicted=predicted,
        ranked=at.ranked,
        columns=rows.columns,
        **common,
    )


def _weights(batch: Batch, policy: Policy) -> Floats | None:
    """Return the weight of each row, if the policy names a column of them."""
    column = policy.data.weight
    if column is None:
        return None
    found = _bounded(batch, column, WEIGHT_CAP)
    if (found < 0).any():
        raise InputError("a weight below 0", where=batch.place(column, found < 0))
    return found


def _bounded(batch: Batch, column: str, most: float) -> Floats:
    found = batch.numbers(column)
    beyond = np.abs(found) > most
    if beyond.any():
        raise InputError(
            f"larger than {most:,.0f}, which is the most that is counted exactly",
            where=batch.place(column, beyond),
            hint="divide the whole column, for example by its mean",
        )
    return found


def _reviewed(batch: Batch, signature: ModelSignature, column: str, policy: Policy) -> Integers:
    """Return the position of the class that a person answers to each row."""
    rule = policy.baselines.human
    stands_for = None if rule is None else rule.missing
    if stands_for is None:
        hint = "say what a row without an answer stands for: [baselines.human] missing = ..."
        return _classes_in(batch, column, signature, hint=hint)
    if stands_for not in signature.classes:
        raise InputError(
            f"{stands_for!r} is none of the classes {', '.join(map(repr, signature.classes))}",
            where="[baselines.human] missing",
        )
    return _classes_in(batch, column, signature, missing=signature.classes.index(stands_for))


def _classes_in(
    batch: Batch, column: str, signature: ModelSignature, *, missing: int | None = None, hint: str = ""
) -> Integers:
    """Return the position of the class that each row has in a column, or say which row has no known class."""
    label, what = batch.read[column], "label" if column == signature.label else "answer"
    known: dict[Scalar | None, int] = {name: position for position, name in enumerate(signature.classes)}
    if missing is not None:
        known[None] = missing
    for position, value in enumerate(label.values):
        if value not in known:
            raise InputError(
                f"{what} {value!r} is none of the classes {', '.join(map(repr, signature.classes))}",
                where=batch.place(column, label.codes == position),
                hint=hint if value is None else "",
            )
    return np.array([known[value] for value in label.values], dtype=np.int64)[label.codes]


def _true_numbers(batch: Batch, column: str, scale: float) -> Floats:
    found = batch.numbers(column)
    beyond = (found / scale) ** 2 > LOSS_CAP
    if beyond.any():
        raise InputError(
            f"a label of {found[beyond][0]:g} is more than {LOSS_CAP**0.5:.3g} times [data] scale = {scale:g}",
            where=batch.place(column, beyond),
            hint="give about the largest label as the scale",
        )
    return found


def _run(batch: Batch, model: Model) -> tuple[NDArray[Any], Floats | None, Mapping[str, NDArray[Any]]]:
    """Return labels, the score if there is one, and all outputs of a graph."""
    signature = model.signature
    feeds = dataset.feeds(
        batch.rows, signature.inputs, first_row=batch.first_row, where=batch.data.name, filled=model.filled
    )
    outputs = model.session.run(feeds)
    return (*scores_of(signature, outputs), outputs)


def _not_finite(batch: Batch, model: Model, what: str) -> InputError:
    return InputError(
        f"the {model.role} gives no finite {what} for some row from {batch.first_row} on", where=batch.data.name
    )


def _asked(batch: Batch, heuristic: Heuristic) -> Floats:
    return heuristic.answers(batch.rows, first_row=batch.first_row, where=batch.data.name)


def _answered(batch: Batch, models: Sequence[Model | Heuristic]) -> tuple[Floats, NDArray[np.bool_]]:
    """Return scores and predictions of yes or no, each of shape (rows, models)."""
    scores = np.empty((batch.rows.num_rows, len(models)), dtype=np.float64)
    predicted = np.empty(scores.shape, dtype=bool)
    for column, model in enumerate(models):
        if not isinstance(model, Model):
            scores[:, column] = _asked(batch, model)
            predicted[:, column] = scores[:, column] >= model.threshold
            continue
        _, score, _ = _run(batch, model)
        if score is None or model.signature.threshold is None or not np.isfinite(score).all():
            raise _not_finite(batch, model, "score")
        scores[:, column] = score
        predicted[:, column] = score >= model.signature.threshold
    return scores, predicted


def _answered_classes(batch: Batch, models: Sequence[Model]) -> tuple[Floats, Integers]:
    """Return probabilities, shape (rows, models, classes), and positions of the answers, shape (rows, models)."""
    rows, classes = batch.rows.num_rows, models[0].signature.classes
    probabilities = np.empty((rows, len(models), len(classes)), dtype=np.float64)
    answers = np.full((rows, len(models)), -1, dtype=np.int64)
    for column, model in enumerate(models):
        labels, _, outputs = _run(batch, model)
        found = outputs.get(model.signature.score_output or "")
        if found is None or found.shape != (rows, len(classes)) or not np.isfinite(found).all():
            raise _not_finite(batch, model, "probability of each class")
        probabilities[:, column] = found
        for position, name in enumerate(classes):
            answers[labels == name, column] = position
        if (answers[:, column] < 0).any():
            raise _not_finite(batch, model, "answer that is one of its classes")
    return probabilities, answers


def _answered_numbers(batch: Batch, models: Sequence[Model | Heuristic]) -> Floats:
    """Return the answers, shape (rows, models)."""
    found = np.empty((batch.rows.num_rows, len(models)), dtype=np.float64)
    for column, model in enumerate(models):
        if not isinstance(model, Model):
            found[:, column] = _asked(batch, model)
            continue
        labels, _, _ = _run(batch, model)
        if labels.shape != (len(found),) or not np.isfinite(labels.astype(np.float64)).all():
            raise _not_finite(batch, model, "number")
        found[:, column] = labels
    return found
