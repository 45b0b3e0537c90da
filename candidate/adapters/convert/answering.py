"""A graph's outputs: one label and one table of scores, or one table of values, whatever the converter left."""

from collections.abc import Sequence
from typing import Any

from candidate.adapters.convert.unwrapping import Cut
from candidate.errors import InputError

_WIDTH = 2
"""Dimensions of a table."""


def fresh_name(graph: Any, name: str) -> str:
    """Return a name that nothing in the graph has."""
    taken = {value.name for part in (graph.input, graph.output, graph.initializer) for value in part}
    taken |= {one for node in graph.node for part in (node.input, node.output) for one in part}
    while name in taken:
        name += "_"
    return name


def hide(graph: Any, output: Any, suffix: str) -> str:
    """Rename what computes an output, so that another node may take its name."""
    old, new = output.name, fresh_name(graph, f"{output.name}_{suffix}")
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    return new


def constant_of(graph: Any, name: str, values: Any) -> str:
    """Add a constant and return the name it got."""
    from onnx import numpy_helper

    name = fresh_name(graph, name)
    graph.initializer.append(numpy_helper.from_array(values, name))
    return name


def reshape_output(graph: Any, output: Any, width: int) -> None:
    """Make an output a table of this width, shape (batch, width)."""
    import numpy as np
    from onnx import helper

    kind = output.type.tensor_type.elem_type
    inner = hide(graph, output, "flat")
    shape = constant_of(graph, f"{output.name}_shape", np.array([-1, width], dtype=np.int64))
    graph.node.append(helper.make_node("Reshape", [inner, shape], [output.name]))
    output.CopyFrom(helper.make_tensor_value_info(output.name, kind, [None, width]))


def stack_labels(graph: Any, output: Any, labels: int) -> None:
    """Turn two probabilities for each label and row into the probability of each label, shape (batch, labels).

    The converter gives a sequence of tables, or one tensor of shape (labels, batch, 2).
    """
    import numpy as np
    from onnx import helper

    inner = hide(graph, output, "each")
    one = constant_of(graph, f"{output.name}_yes", np.array(1, dtype=np.int64))
    if output.type.HasField("sequence_type"):
        kind = output.type.sequence_type.elem_type.tensor_type.elem_type
        joined = fresh_name(graph, f"{output.name}_joined")
        graph.node.append(helper.make_node("ConcatFromSequence", [inner], [joined], axis=0, new_axis=1))
        inner = joined
    else:
        kind = output.type.tensor_type.elem_type
    yes = fresh_name(graph, f"{output.name}_of_yes")
    graph.node.append(helper.make_node("Gather", [inner, one], [yes], axis=2))
    graph.node.append(helper.make_node("Transpose", [yes], [output.name], perm=[1, 0]))
    output.CopyFrom(helper.make_tensor_value_info(output.name, kind, [None, labels]))


def tidy(graph: Any, estimator: Any) -> None:
    """Give outputs the shapes that a model signature knows: tables of one row for each row.

    Args:
        graph: changed in place.
        estimator: fitted, which the graph was made of.
    """
    last = estimator.steps[-1][1] if getattr(estimator, "steps", None) else estimator
    floats = {1, 11}
    widths = getattr(last, "n_outputs_", 1)
    for output in list(graph.output):
        tensor = output.type.tensor_type
        rank = len(tensor.shape.dim)
        if output.type.HasField("sequence_type") or rank == _WIDTH + 1:
            labels: Sequence[Any] = getattr(last, "classes_", getattr(last, "estimators_", ()))
            stack_labels(graph, output, len(labels))
        elif finds_outliers(last) and tensor.elem_type in floats and rank == 1:
            reshape_output(graph, output, 1)
        elif finds_outliers(last) and tensor.elem_type not in floats:
            _to_sign(graph, output)
        elif _answers_labels(last) and tensor.elem_type not in floats and rank == 1:
            output.CopyFrom(_table(output, len(last.classes_)))  # the converter says one label, and gives each
        elif type(last).__name__ == "QuadraticDiscriminantAnalysis" and tensor.elem_type not in floats:
            _flatten(graph, output)  # its converter answers one row of labels, and says a column
        elif (
            len(graph.output) == 1 and tensor.elem_type in floats and widths > 1 and not hasattr(last, "classes_")
        ):  # the converter of trees says one value, and gives as many as there are
            output.CopyFrom(_table(output, widths))


def _answers_labels(estimator: Any) -> bool:
    """Whether a network was fitted on several labels at once."""
    binarizer = getattr(estimator, "_label_binarizer", None)
    return getattr(binarizer, "y_type_", "") == "multilabel-indicator"


def _flatten(graph: Any, output: Any) -> None:
    import numpy as np
    from onnx import helper

    kind, inner = output.type.tensor_type.elem_type, hide(graph, output, "row")
    shape = constant_of(graph, f"{output.name}_shape", np.array([-1], dtype=np.int64))
    graph.node.append(helper.make_node("Reshape", [inner, shape], [output.name]))
    output.CopyFrom(helper.make_tensor_value_info(output.name, kind, [None]))


def finds_outliers(estimator: Any) -> bool:
    """Whether this is an anomaly detector."""
    from sklearn.base import is_outlier_detector

    return bool(is_outlier_detector(estimator))


def _to_sign(graph: Any, output: Any) -> None:
    """Let a label be 1 or -1: the converter of one-class machines gives 0 where the score is exactly 0."""
    import numpy as np
    from onnx import helper

    inner, above = hide(graph, output, "sign"), fresh_name(graph, f"{output.name}_above")
    zero, inlier, outlier = (
        constant_of(graph, f"{output.name}_{word}", np.array(value, dtype=np.int64))
        for word, value in (("zero", 0), ("inlier", 1), ("outlier", -1))
    )
    graph.node.append(helper.make_node("Greater", [inner, zero], [above]))
    graph.node.append(helper.make_node("Where", [above, inlier, outlier], [output.name]))


def _table(output: Any, width: int) -> Any:
    from onnx import helper

    return helper.make_tensor_value_info(output.name, output.type.tensor_type.elem_type, [None, width])


def label_scores(graph: Any, classes: Sequence[Any], *, scores: str, label: str) -> None:
    """Add an output with the class of the highest probability.

    Args:
        graph: changed in place; has an output called ``scores``, shape (batch, classes).
        classes: in the order of the columns.
        scores: name of the output with probabilities.
        label: name of the output that is added.
    """
    from onnx import helper

    best = fresh_name(graph, f"{label}_position")
    graph.node.append(helper.make_node("ArgMax", [scores], [best], axis=1, keepdims=0))
    _pick(graph, classes, best, label)


def _pick(graph: Any, classes: Sequence[Any], position: str, label: str) -> None:
    """Add an output with the class at a position."""
    import numpy as np
    from onnx import TensorProto, helper

    text = all(isinstance(value, str) for value in classes)
    values = np.array(list(classes), dtype=object if text else np.int64)
    names = constant_of(graph, f"{label}_classes", values)
    graph.node.append(helper.make_node("Gather", [names, position], [label], axis=0))
    graph.output.insert(
        0, helper.make_tensor_value_info(label, TensorProto.STRING if text else TensorProto.INT64, [None])
    )


def cut_scores(graph: Any, classes: Sequence[Any], cut: Cut) -> None:
    """Let the label of a binary classifier follow from its score: positive where it is at least the threshold.

    The comparison is made in 64 bits, as whoever measures the score makes it.

    Args:
        graph: changed in place; has a label and probabilities, shape (batch, 2).
        classes: the two, in the order of the columns.
        cut: where to decide.

    Raises:
        InputError: the graph has no probabilities of two classes.
    """
    import numpy as np
    from onnx import TensorProto, helper

    scored = [value for value in graph.output if len(value.type.tensor_type.shape.dim) == _WIDTH]
    scored = [value for value in scored if value.type.tensor_type.elem_type in {1, 11}]
    labels = [value for value in graph.output if value not in scored]
    if len(scored) != 1 or len(labels) != 1 or len(classes) != _WIDTH:
        raise InputError("a threshold is for probabilities of two classes", where="[model] threshold")
    label = labels[0]
    hide(graph, label, "of_highest")
    graph.output.remove(label)
    column = constant_of(graph, "threshold_column", np.array(cut.positive, dtype=np.int64))
    limit = constant_of(graph, "threshold", np.array(cut.threshold, dtype=np.float64))
    ends = [
        constant_of(graph, f"threshold_{word}", np.array(value, dtype=np.int64))
        for word, value in (("yes", cut.positive), ("no", 1 - cut.positive))
    ]
    score, wide, above, position = (
        fresh_name(graph, f"threshold_{word}") for word in ("score", "wide", "above", "position")
    )
    graph.node.extend(
        [
            helper.make_node("Gather", [scored[0].name, column], [score], axis=1),
            helper.make_node("Cast", [score], [wide], to=TensorProto.DOUBLE),
            helper.make_node("GreaterOrEqual", [wide, limit], [above]),
            helper.make_node("Where", [above, *ends], [position]),
        ]
    )
    _pick(graph, classes, position, label.name)


def plain_labels(estimator: Any) -> list[Any]:
    """Return the classes of a classifier as plain values, whole where they are whole; empty if it has none."""
    found = getattr(estimator, "classes_", None)
    if found is None or isinstance(found, list):
        return []
    values = [value.item() if hasattr(value, "item") else value for value in found]
    return [int(value) if isinstance(value, float) and value.is_integer() else value for value in values]


def two_columns(graph: Any, scores: str) -> None:
    """Turn the probability of the positive class, one for each row, into those of both, shape (batch, 2)."""
    import numpy as np
    from onnx import helper

    output = next(value for value in graph.output if value.name == scores)
    kind = output.type.tensor_type.elem_type
    inner = hide(graph, output, "of_positive")
    column, other = fresh_name(graph, f"{scores}_yes"), fresh_name(graph, f"{scores}_no")
    shape = constant_of(graph, f"{scores}_shape", np.array([-1, 1], dtype=np.int64))
    one = constant_of(graph, f"{scores}_one", np.array(1, dtype=helper.tensor_dtype_to_np_dtype(kind)))
    graph.node.extend(
        [
            helper.make_node("Reshape", [inner, shape], [column]),
            helper.make_node("Sub", [one, column], [other]),
            helper.make_node("Concat", [other, column], [scores], axis=1),
        ]
    )
    output.CopyFrom(helper.make_tensor_value_info(scores, kind, [None, 2]))


def at_least(graph: Any, scores: str, labels: int) -> None:
    """Add an output with 0 or 1 of each label, shape (batch, labels): 1 where its probability is at least one half."""
    import numpy as np
    from onnx import TensorProto, helper

    output = next(value for value in graph.output if value.name == scores)
    kind = helper.tensor_dtype_to_np_dtype(output.type.tensor_type.elem_type)
    half = constant_of(graph, "half", np.array(0.5, dtype=kind))
    above, label = fresh_name(graph, "above"), fresh_name(graph, "label")
    graph.node.append(helper.make_node("GreaterOrEqual", [scores, half], [above]))
    graph.node.append(helper.make_node("Cast", [above], [label], to=TensorProto.INT64))
    graph.output.insert(0, helper.make_tensor_value_info(label, TensorProto.INT64, [None, labels]))
