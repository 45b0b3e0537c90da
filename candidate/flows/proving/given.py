"""A graph that the user exported: taken as it is, and tried on the training rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.adapters.graph import canonical_graph, check_graph, inspect_graph, name_batch, parse_graph, weight_files
from candidate.adapters.runtime import Session
from candidate.documents.manifest import ModelSignature, Tensor
from candidate.errors import InputError, IntegrityError
from candidate.flows.proving.parity import TOLERANCE
from candidate.flows.proving.rows import chosen_rows
from candidate.flows.proving.signing import Proven, outputs_of, plain_classes, signature_of

MAX_OTHER_LABEL = 0.01
"""Largest share of rows in which a given graph may answer another class than its most probable one."""
SUM_TOLERANCE = 1e-3
"""How far from 1 the probabilities of a row may add up; 32-bit arithmetic over many classes stays below."""


def _is_batch(tensor: Tensor) -> bool:
    return len(tensor.shape) == 2 and tensor.shape[1] == 1 and isinstance(tensor.shape[0], str)  # noqa: PLR2004


def given_graph(data: bytes, table: Any, *, label: str, folder: Path | None = None) -> Proven:
    """Take a graph as it is; the classes are those of the training label, in sorted order.

    There is no estimator to compare with. But the graph runs on the training rows, and its labels
    must be the classes whose probability is the highest: only so is the order of the classes right.

    Args:
        data: bytes of the ONNX file.
        table: Arrow table of training rows, features and label.
        label: name of the label column.
        folder: of the ONNX file; weights outside the graph lie beside it. By default there are none.

    Raises:
        InputError: not one (batch, 1) input for each feature, outputs that cannot be told apart, or
            the graph fails on the training rows.
    """
    where = "[model] source"
    try:
        proto = parse_graph(data)
        name_batch(proto)
        model = canonical_graph(proto)
        beside = {} if folder is None else {name: folder / name for name in weight_files(proto)}
        weights = {name: path for name, path in beside.items() if path.is_file()}
        graph = inspect_graph(model, {name: path.stat().st_size for name, path in weights.items()})
        check_graph(model)
    except IntegrityError as error:
        raise InputError(
            error.message,
            where=where,
            hint="export plain tensors (zipmap off) in ONNX's own operators, weights inside or in files beside it",
        ) from error
    odd = [tensor.name for tensor in graph.inputs if not _is_batch(tensor)]
    if odd:
        raise InputError(
            f"input {', '.join(odd)} is not of shape (batch, 1)",
            where=where,
            hint="export one input for each feature, so that records can be checked by name",
        )
    scored = any(t.dtype.startswith("float") and len(t.shape) == 2 for t in graph.outputs)  # noqa: PLR2004
    classes = _classes_in(table.column(label)) if scored and len(graph.outputs) > 1 else []
    signature = signature_of(graph, classes, label, outputs_of(graph, len(classes)))
    feeds = dataset.feeds(chosen_rows(table).combine_chunks(), signature.inputs, where="training rows")
    try:
        outputs = Session(model, folder=folder if weights else None).run(feeds)
    except IntegrityError as error:
        raise InputError(error.message, where=where, hint="run it in ONNX Runtime by itself") from error
    if classes:
        _check_order(signature, outputs)
    return Proven(model, graph, signature, None, tuple(weights.values()))


def _classes_in(labels: Any) -> list[Any]:
    found = set(plain_classes(labels.unique().drop_null().to_pylist()))
    if len({type(value) for value in found}) != 1 or len(found) == 1:
        raise InputError(
            f"holds {', '.join(sorted(map(repr, found))[:5])}: not two classes or more of one type",
            where="[data] label",
        )
    return sorted(found)


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
