"""A graph that the user exported: taken as it is, and tried on the training rows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.adapters.convert import Cut, cut_scores, split_table, table_width
from candidate.adapters.graph import (
    Graph,
    canonical_graph,
    check_graph,
    inspect_graph,
    name_batch,
    parse_graph,
    weight_files,
)
from candidate.adapters.runtime import Session
from candidate.documents.manifest import ModelSignature, Tensor
from candidate.errors import InputError, IntegrityError
from candidate.flows.proving.parity import TOLERANCE
from candidate.flows.proving.rows import chosen_rows
from candidate.flows.proving.signing import Proven, signature_of
from candidate.flows.proving.tasks import check_labels
from candidate.flows.proving.telling import EXPORT, SUM_TOLERANCE, told

MAX_OTHER_LABEL = 0.01
"""Largest share of rows in which a given graph may answer another class than its most probable one."""


def _is_batch(tensor: Tensor) -> bool:
    return len(tensor.shape) == 2 and tensor.shape[1] == 1 and isinstance(tensor.shape[0], str)  # noqa: PLR2004


def given_graph(
    data: bytes,
    table: Any,
    *,
    label: str | Sequence[str],
    folder: Path | None = None,
    features: Sequence[str] | None = None,
    threshold: float | None = None,
) -> Proven:
    """Take a graph as it is; the classes are those of the training label, in sorted order.

    There is no estimator to compare with. But the graph runs on the training rows, and its labels
    must be the classes whose probability is the highest: only so is the order of the classes right.
    A graph of probabilities alone, as torch exports it, gets the label that follows from them, and
    one that takes a table gets an input for each column of it.

    Args:
        data: bytes of the ONNX file.
        table: Arrow table of training rows, features and label.
        label: name of the label column; several of a multilabel model or of several values, or none.
        folder: of the ONNX file; weights outside the graph lie beside it. By default there are none.
        features: columns of the table that the graph takes, in order, if it takes one.
        threshold: score from which a binary classifier answers the positive class; by default the
            graph's own labels are taken.

    Raises:
        InputError: not one (batch, 1) input for each feature, outputs that cannot be told apart, or
            the graph fails on the training rows.
    """
    labels = (label,) if isinstance(label, str) else tuple(label)
    proto, weights = _read(data, folder, features)
    home = folder if weights else None
    rows = chosen_rows(table).combine_chunks()
    first = _inspected(proto, weights)
    outputs = _answers(canonical_graph(proto), first, rows, home)
    meaning = told(proto, first, outputs, table, labels)
    check_labels(meaning, labels)
    completed = _inspected(proto, weights)
    signature = signature_of(completed, meaning, labels)
    if meaning.task in {"binary", "multiclass"}:
        _check_order(signature, _answers(canonical_graph(proto), completed, rows, home))
    if threshold is not None:
        if meaning.task != "binary":
            raise InputError(f"a threshold for a {meaning.task} model", where="[model] threshold", hint="leave it out")
        cut_scores(proto.graph, meaning.classes, Cut(threshold, 1))
        name_batch(proto)
        completed = _inspected(proto, weights)
        signature = signature_of(completed, replace(meaning, threshold=threshold), labels)
    return Proven(canonical_graph(proto), completed, signature, None, tuple(weights.values()))


def _read(data: bytes, folder: Path | None, features: Sequence[str] | None) -> tuple[Any, dict[str, Path]]:
    """Return a graph with an input for each feature, and the files of its weights."""
    try:
        proto = parse_graph(data)
        beside = {} if folder is None else {name: folder / name for name in weight_files(proto)}
    except IntegrityError as error:
        raise InputError(error.message, where="[model] source", hint=EXPORT) from error
    if features is not None and table_width(proto) is not None:
        split_table(proto, features)
    return proto, {name: path for name, path in beside.items() if path.is_file()}


def _inspected(proto: Any, weights: Mapping[str, Path]) -> Graph:
    where = "[model] source"
    try:
        name_batch(proto)
        model = canonical_graph(proto)
        graph = inspect_graph(model, {name: path.stat().st_size for name, path in weights.items()})
        check_graph(model)
    except IntegrityError as error:
        raise InputError(error.message, where=where, hint=EXPORT) from error
    odd = [tensor.name for tensor in graph.inputs if not _is_batch(tensor)]
    if odd:
        raise InputError(
            f"input {', '.join(odd)} is not of shape (batch, 1)",
            where=where,
            hint="export one input for each feature, or one table of them whose columns [data] features names",
        )
    return graph


def _answers(model: bytes, graph: Graph, rows: Any, folder: Path | None) -> dict[str, NDArray[Any]]:
    feeds = dataset.feeds(rows, graph.inputs, where="training rows")
    try:
        return Session(model, folder=folder).run(feeds)
    except IntegrityError as error:
        raise InputError(error.message, where="[model] source", hint="run it in ONNX Runtime by itself") from error


def _check_order(signature: ModelSignature, outputs: Mapping[str, NDArray[Any]]) -> None:
    """Refuse scores that are not probabilities of our classes in our order."""
    where = "[model] source"
    scores = np.asarray(outputs[str(signature.score_output)], dtype=np.float64)
    width = scores.shape[1] if scores.ndim == 2 else 0  # noqa: PLR2004 - a table
    if width != len(signature.classes):
        raise InputError(
            f"{width} columns of probabilities, but the training label has {len(signature.classes)} classes",
            where=where,
            hint="export a probability for each class, and train on rows that have them all",
        )
    known = scores[~np.isnan(scores).any(axis=1)]
    if (known < -TOLERANCE).any() or (np.abs(known.sum(axis=1) - 1) > SUM_TOLERANCE).any():
        raise InputError(
            f"{signature.score_output!r} does not hold probabilities", where=where, hint="export predict_proba"
        )
    top = np.sort(scores, axis=1)
    clear = top[:, -1] - top[:, -2] > TOLERANCE
    best = np.array(signature.classes, dtype=object)[scores.argmax(axis=1)]
    answers = np.asarray(outputs[signature.label_output]).reshape(-1)
    wrong = int(((answers.astype(type(signature.classes[0])).astype(object) != best) & clear).sum())
    if wrong > MAX_OTHER_LABEL * max(1, int(clear.sum())):
        raise InputError(
            f"in {wrong} of {int(clear.sum())} rows {signature.label_output!r} is not the class of highest "
            f"probability, if the classes are {', '.join(map(repr, signature.classes))} in this order",
            where=where,
            hint="order the probabilities as the sorted classes, label by the highest, and answer in the label's type",
        )
