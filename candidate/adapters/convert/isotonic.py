"""Isotonic calibration as scikit-learn computes it: a line between each two knots, not the nearer of them.

The converter's own answer is a step function, off by as much as half a step. This one is put in its
place while a graph is converted; it computes in 64 bits, because the lines may be steep.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def exact_isotonic() -> Iterator[None]:
    """Let the converter interpolate isotonic calibration for as long as this lasts."""
    from skl2onnx.operator_converters import calibrated_classifier_cv as home

    theirs = home._transform_isotonic  # noqa: SLF001 - the function that is mended
    home._transform_isotonic = _interpolated  # noqa: SLF001
    try:
        yield
    finally:
        home._transform_isotonic = theirs  # noqa: SLF001


def _interpolated(scope: Any, container: Any, model: Any, score: str, number: int, _dtype: Any, proto_type: int) -> str:
    """Add the nodes that calibrate a column of scores, shape (batch, 1), and return the name of the result."""
    import numpy as np
    from onnx import TensorProto

    calibrator = model.calibrators[number]
    knots = np.asarray(calibrator.X_thresholds_, dtype=np.float64)
    heights = np.asarray(calibrator.y_thresholds_, dtype=np.float64)
    single = proto_type not in {TensorProto.FLOAT, TensorProto.DOUBLE}

    def constant(word: str, kind: int, shape: list[int], values: Any) -> str:
        name = str(scope.get_unique_variable_name(f"isotonic_{word}"))
        container.add_initializer(name, kind, shape, values)
        return name

    def node(op: str, inputs: list[str], **attributes: Any) -> str:
        name = str(scope.get_unique_variable_name(f"isotonic_{op.lower()}"))
        container.add_node(op, inputs, [name], name=scope.get_unique_operator_name(op), **attributes)
        return name

    column = constant("column", TensorProto.INT64, [2], [-1, 1])
    given = node("Cast", [node("Reshape", [score, column])], to=TensorProto.DOUBLE)
    return node("Cast", [lines(constant, node, given, knots, heights)], to=TensorProto.FLOAT if single else proto_type)


def lines(constant: Callable[..., str], node: Callable[..., str], given: str, knots: Any, heights: Any) -> str:
    """Add the nodes that interpolate between knots, and return the name of the result, shape (batch, 1), in 64 bits.

    Args:
        constant: adds a constant, given a word for its name, its type, shape and values; returns its name.
        node: adds a node, given operator, inputs and attributes; returns the name of its output.
        given: name of the values, shape (batch, 1), in 64 bits.
        knots: float64, shape (knots,), rising.
        heights: float64, shape (knots,).
    """
    import numpy as np
    from onnx import TensorProto

    if len(knots) == 1:
        knots, heights = np.repeat(knots, 2), np.repeat(heights, 2)
    gaps = np.diff(knots)
    slopes = np.divide(np.diff(heights), gaps, out=np.zeros_like(gaps), where=gaps > 0)
    double, whole = TensorProto.DOUBLE, TensorProto.INT64
    low, high = constant("low", double, [], [knots[0]]), constant("high", double, [], [knots[-1]])
    value = node("Min", [node("Max", [given, low]), high])
    # Knots but for the ends: how many are not above the value is the number of the line that it lies on.
    inner = constant("knots", double, [1, len(knots)], [*knots[:-1], np.inf])
    reached = node("Cast", [node("GreaterOrEqual", [value, inner])], to=whole)
    axis = constant("axis", whole, [1], [1])
    count = node("ReduceSum", [reached, axis], keepdims=1)
    line = node("Max", [node("Sub", [count, constant("one", whole, [], [1])]), constant("none", whole, [], [0])])
    start, height, slope = (
        node("Gather", [constant(word, double, [len(slopes)], values), line], axis=0)
        for word, values in (("start", knots[:-1]), ("height", heights[:-1]), ("slope", slopes))
    )
    return node("Add", [height, node("Mul", [node("Sub", [value, start]), slope])])
