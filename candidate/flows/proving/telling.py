"""What a graph that somebody exported means: told from its outputs, the training label and what it answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters.convert import at_least, label_scores, two_columns
from candidate.adapters.graph import Graph
from candidate.errors import InputError
from candidate.flows.proving.tasks import Meaning, classified, labelled, plain_classes

EXPORT = "export plain tensors (zipmap off) in ONNX's own operators, weights inside or in files beside it"
LOGITS = "end the exported module with Softmax(dim=1), or with Sigmoid for one column: docs/sources.md has the recipe"
SUM_TOLERANCE = 1e-3
"""How far from 1 the probabilities of a row may add up; 32-bit arithmetic over many classes stays below."""
_WHERE = "[model] source"


def told(proto: Any, graph: Graph, outputs: Mapping[str, NDArray[Any]], table: Any, labels: Sequence[str]) -> Meaning:
    """Return what a graph means; where it gives probabilities only, the label that follows is added to it.

    Args:
        proto: the graph, changed in place where an output is missing.
        graph: the same, inspected.
        outputs: what it answers to training rows.
        table: training rows.
        labels: names of the label columns.

    Raises:
        InputError: the outputs do not fit the label, or are no probabilities where they should be.
    """
    floats = [t for t in graph.outputs if t.dtype.startswith("float")]
    if len(graph.outputs) == 1 and len(floats) == 1 and len(floats[0].shape) in {1, 2}:
        values = np.asarray(outputs[floats[0].name], dtype=np.float64)
        return _told_by_one(proto, floats[0].name, values.reshape(len(values), -1), table, labels)
    scores = [t for t in floats if len(t.shape) == 2]  # noqa: PLR2004 - a table
    rest = [t for t in graph.outputs if t not in scores]
    if len(scores) != 1 or len(rest) != 1:
        said = ", ".join(f"{t.name} {t.shape}" for t in graph.outputs)
        raise InputError(f"outputs {said} are not one label and one table of probabilities", where=_WHERE, hint=EXPORT)
    if len(labels) > 1:
        return labelled(len(labels), labels)
    if labels:
        return classified(classes_in(table.column(labels[0])))
    answers = set(np.unique(np.asarray(outputs[rest[0].name])).tolist())
    if not answers <= {-1, 1}:
        raise InputError(
            "a classifier without a label", where="[data] label", hint="name the column that holds its classes"
        )
    return Meaning("anomaly")


def _told_by_one(proto: Any, name: str, values: NDArray[np.float64], table: Any, labels: Sequence[str]) -> Meaning:
    """Return what a graph means that has one output of floats."""
    if not labels:
        return Meaning("transform")
    width = values.shape[1]
    known = values[~np.isnan(values).any(axis=1)]
    within = bool(((known >= 0) & (known <= 1)).all())
    if len(labels) > 1:
        if len(labels) != width:
            raise InputError(f"{width} columns of answers for {len(labels)} labels", where="[data] label")
        if not all(_is_indicator(table.column(label)) for label in labels):
            return Meaning("regression")
        if not within:
            raise InputError(f"{name!r} does not hold probabilities", where=_WHERE, hint=LOGITS)
        at_least(proto.graph, name, width)
        return labelled(width, labels)
    if width == 1 and not _is_two(table.column(labels[0])):
        return Meaning("regression")
    classes = classes_in(table.column(labels[0]))
    if width not in {1, len(classes)}:
        raise InputError(
            f"{width} columns of probabilities, but the training label has {len(classes)} classes",
            where=_WHERE,
            hint="export a probability for each class, and train on rows that have them all",
        )
    if not within or (width > 1 and (np.abs(known.sum(axis=1) - 1) > SUM_TOLERANCE).any()):
        raise InputError(f"{name!r} does not hold probabilities", where=_WHERE, hint=LOGITS)
    if width == 1:
        two_columns(proto.graph, name)
    label_scores(proto.graph, classes, scores=name, label="label")
    return classified(classes)


def classes_in(labels: Any) -> list[Any]:
    """Return the classes of a label column, sorted.

    Raises:
        InputError: fewer than two, or of several types.
    """
    found = set(plain_classes(labels.unique().drop_null().to_pylist()))
    if len({type(value) for value in found}) != 1 or len(found) == 1:
        raise InputError(
            f"holds {', '.join(sorted(map(repr, found))[:5])}: not two classes or more of one type",
            where="[data] label",
        )
    return sorted(found)


def _is_two(values: Any) -> bool:
    """Whether a label has exactly two values, and both can be classes."""
    found = values.unique().drop_null().to_pylist()
    return len(found) == 2 and all(not isinstance(value, float) or value.is_integer() for value in found)  # noqa: PLR2004


def _is_indicator(values: Any) -> bool:
    """Whether a label is 0 or 1, or true or false."""
    return set(values.unique().drop_null().to_pylist()) <= {0, 1}
