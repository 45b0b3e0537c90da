"""Prove that a graph is the model that was trained: on real rows, and say how far it is off."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import convert, dataset
from candidate.adapters.convert import Column
from candidate.adapters.graph import Graph, canonical_graph, inspect_graph
from candidate.adapters.runtime import Session
from candidate.documents.manifest import ModelSignature, Parity, Tensor
from candidate.errors import InputError, IntegrityError

PARITY_ROWS = 20_000
"""Rows of the training data that a graph is compared on."""
TOLERANCE = 1e-5
"""Largest difference of a probability that counts as equal; 32-bit arithmetic alone stays well below."""
MAX_MISMATCH = 0.001
"""Largest share of rows that may differ by more."""
GOLDEN_ROWS = 32


@dataclass(frozen=True)
class Proven:
    """A graph, with its model signature and how it compared with the estimator."""

    model: bytes
    graph: Graph
    signature: ModelSignature
    parity: Parity | None


def columns_of(table: Any, features: Sequence[str]) -> tuple[Column, ...]:
    """Return what the training rows hold in each feature.

    Raises:
        InputError: text with missing values, or a type that no tensor has.
    """
    import pyarrow.compute as pc
    import pyarrow.types as pt

    found = []
    for name in features:
        values = table.column(name)
        kind, nulls, largest = values.type, values.null_count > 0, 0.0
        place = f"[data] train, column {name}"
        if pt.is_dictionary(kind):
            kind = kind.value_type
        if pt.is_boolean(kind):
            word: Literal["number", "integer", "string", "boolean"] = "boolean"
        elif pt.is_integer(kind):
            word, largest = "integer", float(pc.max(pc.abs(values)).as_py() or 0)
        elif pt.is_floating(kind) or pt.is_decimal(kind):
            word, nulls = "number", nulls or bool(pc.any(pc.is_nan(values.cast("float64"))).as_py())
        elif pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind):
            word = "string"
            if nulls:
                raise InputError(
                    "text with missing values",
                    where=place,
                    hint="fill them with a word of their own before training, for example 'missing'",
                )
        else:
            raise InputError(f"holds {kind}, which no model input can be", where=place)
        found.append(Column(name=name, kind=word, nulls=nulls, largest=largest))
    return tuple(found)


def _signature(graph: Graph, classes: Sequence[Any], label: str, names: tuple[str, str | None]) -> ModelSignature:
    plain = tuple(value.item() if isinstance(value, np.generic) else value for value in classes)
    task: Literal["binary", "multiclass", "regression"] = (
        "regression" if not plain else "binary" if len(plain) == 2 else "multiclass"  # noqa: PLR2004 - two classes
    )
    return ModelSignature(
        task=task,
        inputs=graph.inputs,
        outputs=graph.outputs,
        label_output=names[0],
        score_output=names[1],
        classes=plain,
        positive=plain[-1] if task == "binary" else None,
        threshold=0.5 if task == "binary" else None,
        label=label,
    )


def _outputs_of(graph: Graph, classes: int) -> tuple[str, str | None]:
    """Return the label output and the score output of a graph, told apart by dtype and shape."""
    scores = [t.name for t in graph.outputs if t.dtype.startswith("float") and len(t.shape) == 2]  # noqa: PLR2004
    labels = [t.name for t in graph.outputs if t.name not in scores]
    if not classes:
        return graph.outputs[0].name, None
    if len(labels) != 1 or len(scores) != 1:
        raise InputError(
            f"outputs {', '.join(t.name for t in graph.outputs)} are not one label and one table of probabilities",
            where="[model] source",
        )
    return labels[0], scores[0]


def _is_batch(tensor: Tensor) -> bool:
    return len(tensor.shape) == 2 and tensor.shape[1] == 1 and isinstance(tensor.shape[0], str)  # noqa: PLR2004


def given_graph(data: bytes, *, label: str, labels: Sequence[Any]) -> Proven:
    """Take a graph as it is; the classes are those of the training label, in sorted order.

    Raises:
        InputError: not one (batch, 1) input for each feature, or outputs that cannot be told apart.
    """
    import onnx
    from google.protobuf.message import DecodeError

    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise InputError("not an ONNX graph", where="[model] source") from error
    model = canonical_graph(proto)
    try:
        graph = inspect_graph(model)
    except IntegrityError as error:
        raise InputError(error.message, where="[model] source") from error
    odd = [tensor.name for tensor in graph.inputs if not _is_batch(tensor)]
    if odd:
        raise InputError(
            f"input {', '.join(odd)} is not of shape (batch, 1)",
            where="[model] source",
            hint="export one input for each feature, so that records can be checked by name",
        )
    scored = any(t.dtype.startswith("float") and len(t.shape) == 2 for t in graph.outputs)  # noqa: PLR2004
    classes = sorted(set(labels)) if scored and len(graph.outputs) > 1 else []
    return Proven(model, graph, _signature(graph, classes, label, _outputs_of(graph, len(classes))), None)


def prove(
    estimator: Any, table: Any, columns: Sequence[Column], *, label: str, ladder: Sequence[Literal[32, 64]]
) -> Proven:
    """Convert at the first precision whose graph is the estimator, row by row.

    Args:
        estimator: fitted.
        table: Arrow table of training rows with the feature columns.
        columns: the features, in order.
        label: name of the label column.
        ladder: precisions to try, in order.

    Raises:
        InputError: no precision holds; the message has the figures.
    """
    classes = list(getattr(estimator, "classes_", []))
    chosen = _rows(table)
    expected = _expected(estimator, chosen, [column.name for column in columns], scored=bool(classes))
    tried = []
    for bits in ladder:
        try:
            model = canonical_graph(convert.convert(estimator, columns, bits))
            graph = inspect_graph(model)
            signature = _signature(graph, classes, label, _outputs_of(graph, len(classes)))
            parity = _compare(Session(model), signature, chosen, expected, bits)
        except IntegrityError as error:
            tried.append(f"{bits} bits: the graph cannot be used ({error.message})")
            continue
        if parity.mismatches <= MAX_MISMATCH * parity.rows:
            return Proven(model, graph, signature, parity)
        tried.append(
            f"{bits} bits: {parity.mismatches} of {parity.rows} rows differ by more than {TOLERANCE:g}, "
            f"the largest by {parity.max_difference:.3g}, {parity.label_flips} labels flip"
        )
    raise InputError(
        "the graph is not the model that was trained: " + "; ".join(tried),
        where="[model] float",
        hint="try float = 64, take the scaler out from before a tree model, or export the model to ONNX yourself",
    )


def _rows(table: Any) -> Any:
    """Return the rows to compare on: evenly spread, so that every part of the file takes part."""
    if table.num_rows <= PARITY_ROWS:
        return table
    return table.take(np.linspace(0, table.num_rows - 1, PARITY_ROWS).astype(np.int64))


def _expected(
    estimator: Any, table: Any, features: list[str], *, scored: bool
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the estimator's labels, shape (rows,), and probabilities or values, shape (rows, columns)."""
    frame = table.select(features).to_pandas()
    try:
        labels = np.asarray(estimator.predict(frame)).reshape(-1)
        scores = np.asarray(estimator.predict_proba(frame) if scored else labels.reshape(-1, 1), dtype=np.float64)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            f"the model fails on its training rows: {str(error)[:300]}",
            where="[model] source",
            hint="is it fitted, on the columns that [data] features names?",
        ) from error
    return labels, scores


def _compare(
    session: Session,
    signature: ModelSignature,
    table: Any,
    expected: tuple[NDArray[Any], NDArray[np.float64]],
    bits: Literal[32, 64],
) -> Parity:
    outputs = session.run(dataset.feeds(table.combine_chunks(), signature.inputs, where="training rows"))
    labels, scores = expected
    found = np.asarray(outputs[signature.score_output or signature.label_output], dtype=np.float64)
    difference = np.abs(found.reshape(scores.shape) - scores).max(axis=1)
    if signature.score_output is None:
        flips = np.zeros(len(labels), dtype=bool)
        difference = difference / np.maximum(1.0, np.abs(scores).max(axis=1))
    else:
        top = np.sort(scores, axis=1)
        tied = top[:, -1] - top[:, -2] <= TOLERANCE  # a tie has no right answer to flip
        answers = np.asarray(outputs[signature.label_output]).reshape(-1)
        flips = (answers.astype(labels.dtype) != labels) & ~tied
    mismatches = int(((difference > TOLERANCE) | flips | ~np.isfinite(difference)).sum())
    return Parity(
        rows=len(labels),
        float_bits=bits,
        max_difference=float(np.nan_to_num(difference, nan=1e300, posinf=1e300).max()),
        label_flips=int(flips.sum()),
        mismatches=mismatches,
        tolerance=TOLERANCE,
    )


def golden_rows(table: Any, columns: Sequence[Column]) -> Any:
    """Return some real rows: 32 evenly spread, and for each column with missing values one that misses it."""
    import pyarrow.compute as pc

    picks = set(np.linspace(0, table.num_rows - 1, min(GOLDEN_ROWS, table.num_rows)).astype(int).tolist())
    for column in columns:
        if column.nulls:
            missing = pc.is_null(table.column(column.name), nan_is_null=True)
            picks.add(pc.index(missing, value=True).as_py())
    return table.take(np.array(sorted(picks), dtype=np.int64)).combine_chunks()
