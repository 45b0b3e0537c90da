"""Prove that a graph is the model that was trained: on real rows, and say how far it is off."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import convert, dataset
from candidate.adapters.convert import Column
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
from candidate.documents.manifest import ModelSignature, Parity, Tensor
from candidate.errors import InputError, IntegrityError

PARITY_ROWS = 20_000
"""Rows of the training data that a graph is compared on."""
TOLERANCE = 1e-5
"""Largest difference of a probability that counts as equal; 32-bit arithmetic alone stays well below."""
MAX_MISMATCH = 0.001
"""Largest share of rows that may differ by more."""
MAX_OTHER_LABEL = 0.01
"""Largest share of rows in which a given graph may answer another class than its most probable one."""
SUM_TOLERANCE = 1e-3
"""How far from 1 the probabilities of a row may add up; 32-bit arithmetic over many classes stays below."""
GOLDEN_ROWS = 32


@dataclass(frozen=True)
class Proven:
    """A graph, with its model signature and how it compared with the estimator."""

    model: bytes
    graph: Graph
    signature: ModelSignature
    parity: Parity | None
    weights: tuple[Path, ...] = ()
    """Files that the graph keeps weights in, all in one folder."""

    def session(self) -> Session:
        """Load the graph."""
        return Session(self.model, folder=self.weights[0].parent if self.weights else None)


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
            ends = pc.min_max(values).as_py()  # not of the magnitudes: the lowest integer has none
            word, largest = "integer", float(max(abs(ends["min"] or 0), abs(ends["max"] or 0)))
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


def _plain_classes(classes: Sequence[Any]) -> tuple[Any, ...]:
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


def _signature(graph: Graph, classes: Sequence[Any], label: str, names: tuple[str, str | None]) -> ModelSignature:
    plain = _plain_classes(classes)
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
        first = graph.outputs[0]
        if len(graph.outputs) != 1 or first.shape[1:] not in {(), (1,)}:
            raise InputError(
                f"outputs {', '.join(f'{t.name} {t.shape}' for t in graph.outputs)} are not one value for each row",
                where="[model] source",
                hint="a bundle holds a classifier, or a regression of one value",
            )
        return first.name, None
    if len(labels) != 1 or len(scores) != 1:
        raise InputError(
            f"outputs {', '.join(t.name for t in graph.outputs)} are not one label and one table of probabilities",
            where="[model] source",
        )
    return labels[0], scores[0]


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
    signature = _signature(graph, classes, label, _outputs_of(graph, len(classes)))
    feeds = dataset.feeds(_rows(table).combine_chunks(), signature.inputs, where="training rows")
    try:
        outputs = Session(model, folder=folder if weights else None).run(feeds)
    except IntegrityError as error:
        raise InputError(error.message, where=where, hint="run it in ONNX Runtime by itself") from error
    if classes:
        _check_order(signature, outputs)
    return Proven(model, graph, signature, None, tuple(weights.values()))


def _classes_in(labels: Any) -> list[Any]:
    found = set(_plain_classes(labels.unique().drop_null().to_pylist()))
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


def prove(
    estimator: Any, table: Any, columns: Sequence[Column], *, label: str, ladder: Sequence[Literal[32, 64]]
) -> Proven:
    """Convert at the first precision whose graph is the estimator in every row, or else the nearest one.

    Some rows may differ, up to ``MAX_MISMATCH``; but where a later precision has fewer of them, it is taken.

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
    if len(classes) == 1:
        raise InputError(f"the model knows one class only, {classes[0]}", where="[model] source")
    chosen = _rows(table)
    expected = _expected(estimator, chosen, [column.name for column in columns], scored=bool(classes))
    good: list[tuple[int, Proven]] = []
    tried: list[str] = []
    failures: list[InputError] = []
    for bits, single in _rungs(ladder):
        rung = f"{bits} bits" + (" before a 32-bit model" if single else "")
        try:
            model = canonical_graph(convert.convert(estimator, columns, bits, single=single))
            graph = inspect_graph(model)
            check_graph(model)
            signature = _signature(graph, classes, label, _outputs_of(graph, len(classes)))
            parity = _compare(Session(model), signature, chosen, expected, bits)
        except IntegrityError as error:
            tried.append(f"{rung}: the graph cannot be used ({error.message[:120]})")
            continue
        except InputError as error:
            failures.append(error)
            continue
        if parity.mismatches <= MAX_MISMATCH * parity.rows:
            good.append((parity.mismatches, Proven(model, graph, signature, parity)))
            if parity.mismatches == 0:
                break
        tried.append(
            f"{rung}: {parity.mismatches} of {parity.rows} rows differ by more than {TOLERANCE:g}, "
            f"the largest by {parity.max_difference:.3g}, {parity.label_flips} labels flip"
        )
    if not good:
        raise _refusal(tried, failures, ladder)
    return min(good, key=lambda found: found[0])[1]


def _refusal(tried: Sequence[str], failures: Sequence[InputError], ladder: Sequence[Literal[32, 64]]) -> InputError:
    """Return why no precision will do: the figures of each, or what stopped the conversion."""
    if not tried:
        return failures[0]
    wider = "try float = 64, " if 64 not in ladder else ""  # noqa: PLR2004 - bits
    return InputError(
        "the graph is not the model that was trained: " + "; ".join(tried),
        where="[model] float",
        hint=f"{wider}take the scaler out from before a tree model, or export the model to ONNX yourself",
    )


def _rungs(ladder: Sequence[Literal[32, 64]]) -> list[tuple[Literal[32, 64], bool]]:
    """Return what to try in order: each precision, then a 64-bit preparation before a 32-bit model."""
    rungs = [(bits, False) for bits in ladder]
    return [*rungs, (64, True)] if 64 in ladder else rungs  # noqa: PLR2004 - bits


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
    if scored and hasattr(estimator, "predict") and not hasattr(estimator, "predict_proba"):
        raise InputError(
            "the model gives no probabilities",
            where="[model] source",
            hint="put CalibratedClassifierCV around its last step, inside the pipeline",
        )
    from joblib import parallel_config

    try:
        # One after the other: a forest whose trees are added up as they finish answers another last bit each time.
        with warnings.catch_warnings(), parallel_config(backend="sequential"):
            # Fitted on bare arrays: the features are then taken in the order in which they are listed.
            warnings.filterwarnings("ignore", message="X has feature names")
            labels = np.asarray(estimator.predict(frame))
            scores = np.asarray(estimator.predict_proba(frame) if scored else labels.reshape(len(frame), -1))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            f"the model fails on its training rows: {str(error)[:300]}",
            where="[model] source",
            hint="is it fitted, on the columns that [data] features names?",
        ) from error
    return labels.reshape(len(frame), -1)[:, 0], scores.astype(np.float64)


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
        # Three digits: the rest is noise of whichever library adds up in whichever order, and no two builds' the same.
        max_difference=float(f"{np.nan_to_num(difference, nan=1e300, posinf=1e300).max():.3g}"),
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
