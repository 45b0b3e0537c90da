"""A map of the positive class's probability, put behind a graph that is already there.

It is computed in 64 bits whatever the graph's own precision is, and comes out in that precision.
"""

from dataclasses import dataclass
from typing import Any

from candidate.adapters.convert.answering import constant_of, fresh_name, hide
from candidate.adapters.convert.isotonic import lines
from candidate.errors import InputError

LEAST_OPSET = 13
"""From here on the operators of the map are what they are today."""
CLIP = 1e-9
"""A score this close to 0 or 1 has the log odds of this."""


@dataclass(frozen=True)
class ScoreMap:
    """A monotone map of [0, 1] into itself: a sigmoid of the log odds, or lines between knots.

    Attributes:
        slope: of the log odds, where it is a sigmoid.
        offset: of the log odds.
        knots: scores, rising, where it is lines; empty where it is a sigmoid.
        heights: what each knot is mapped to.
    """

    slope: float = 1.0
    offset: float = 0.0
    knots: tuple[float, ...] = ()
    heights: tuple[float, ...] = ()


def map_scores(model: Any, scores: str, positive: int, by: ScoreMap) -> None:
    """Map the probability of the positive class of a graph; that of the other is what is left of 1.

    Args:
        model: changed in place; its output ``scores`` has shape (batch, 2).
        scores: name of that output.
        positive: column of the positive class.
        by: how scores are mapped.

    Raises:
        InputError: the graph's operator set is too old for the operators of the map, and cannot be brought up.
    """
    import numpy as np
    from onnx import TensorProto, helper

    _bring_up(model)
    graph = model.graph
    output = next(value for value in graph.output if value.name == scores)
    answered = output.type.tensor_type.elem_type

    def constant(word: str, kind: int, shape: list[int], values: Any) -> str:
        array = np.array(values, dtype=helper.tensor_dtype_to_np_dtype(kind))
        return constant_of(graph, f"map_{word}", array.reshape(shape))

    def node(op: str, inputs: list[str], **attributes: Any) -> str:
        name = fresh_name(graph, f"map_{op.lower()}")
        graph.node.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    double = TensorProto.DOUBLE
    inner = hide(graph, output, "uncalibrated")
    column = node("Gather", [inner, constant("positive", TensorProto.INT64, [1], [positive])], axis=1)
    given = node("Cast", [column], to=double)
    if by.knots:
        mapped = lines(constant, node, given, np.array(by.knots), np.array(by.heights))
    else:
        mapped = _sigmoid(constant, node, given, by)
    one = constant("one", double, [], 1.0)
    other = node("Sub", [one, mapped])
    both = node("Concat", [other, mapped] if positive else [mapped, other], axis=1)
    graph.node.append(helper.make_node("Cast", [both], [scores], to=answered))
    output.CopyFrom(helper.make_tensor_value_info(scores, answered, [None, 2]))


def _bring_up(model: Any) -> None:
    """Bring a graph to an operator set that has the operators of the map, where it is older."""
    from onnx import helper, version_converter

    opsets = {opset.domain: opset.version for opset in model.opset_import}
    if "" not in opsets:
        model.opset_import.append(helper.make_opsetid("", LEAST_OPSET))
    elif opsets[""] < LEAST_OPSET:
        try:
            model.CopyFrom(version_converter.convert_version(model, LEAST_OPSET))
        except RuntimeError as error:
            raise InputError(
                f"the graph is of operator set {opsets['']}, a map needs {LEAST_OPSET}",
                where="BUNDLE",
                hint="export the model with a newer operator set, and build it again",
            ) from error


def _sigmoid(constant: Any, node: Any, given: str, by: ScoreMap) -> str:
    """Add the nodes of ``1 / (1 + exp(-(slope * log(p / (1 - p)) + offset)))`` and return the name of the result."""
    from onnx import TensorProto

    double = TensorProto.DOUBLE
    low, high = constant("low", double, [], CLIP), constant("high", double, [], 1.0 - CLIP)
    one = constant("whole", double, [], 1.0)
    clipped = node("Min", [node("Max", [given, low]), high])
    odds = node("Sub", [node("Log", [clipped]), node("Log", [node("Sub", [one, clipped])])])
    slope, offset = constant("slope", double, [], by.slope), constant("offset", double, [], by.offset)
    return str(node("Sigmoid", [node("Add", [node("Mul", [odds, slope]), offset])]))
