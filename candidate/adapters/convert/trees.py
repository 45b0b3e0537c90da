"""Thresholds of trees in 64 bits, where the graph computes in 64 bits.

At 32 bits the thresholds of histogram boosting are rounded to the nearest number, as its inputs are. That
is right: a threshold often is a value of training, and the row that has it must still go left. At
64 bits skl2onnx rounds every threshold to 32 bits all the same, and says that the answer is of 64
bits, which ONNX Runtime refuses to load. ai.onnx.ml 3 has thresholds and leaf values of 64 bits, as
tensors; the sum that comes out stays of 32 bits by the operator's definition, so a cast follows it.

Source: the definitions of TreeEnsembleClassifier-3 and TreeEnsembleRegressor-3.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from inspect import signature
from typing import Any

TREES = ("TreeEnsembleClassifier", "TreeEnsembleRegressor")
_TENSORS = ("nodes_values", "nodes_hitrates", "base_values", "class_weights", "target_weights")
_VERSION = 3


@contextmanager
def exact_trees() -> Iterator[None]:
    """Let the converter keep what it knows of trees in 64 bits for as long as this lasts."""
    from skl2onnx.common._container import ModelComponentContainer as Container
    from skl2onnx.common._registration import _converter_pool as converters

    theirs = Container.add_node
    rounding = [(each, each._fct) for each in converters.values() if _rounds(each._fct)]  # noqa: SLF001

    def add_node(self: Any, op_type: str, inputs: Any, outputs: Any, **said: Any) -> None:
        values = said.get("nodes_values")
        if op_type not in TREES or getattr(values, "dtype", None) != "float64":
            theirs(self, op_type, inputs, outputs, **said)
            return
        from onnx import TensorProto, numpy_helper

        for name in [name for name in _TENSORS if name in said]:
            array = said.pop(name)
            if len(array):
                said[f"{name}_as_tensor"] = numpy_helper.from_array(array.astype("float64"), name)
        *first, last = [outputs] if isinstance(outputs, str) else outputs
        said["op_version"] = _VERSION
        theirs(self, op_type, inputs, [*first, f"{last}_single"], **said)
        theirs(self, "Cast", [f"{last}_single"], [last], name=f"{last}_widened", to=TensorProto.DOUBLE)

    Container.add_node = add_node
    for each, function in rounding:
        each._fct = partial(function, op_version=_VERSION)  # noqa: SLF001 - the function that is told otherwise
    try:
        yield
    finally:
        Container.add_node = theirs
        for each, function in rounding:
            each._fct = function  # noqa: SLF001


def _rounds(converter: Any) -> bool:
    """Whether a converter of a tree classifier rounds, because it is told to write version 1 of the operator."""
    said = signature(converter).parameters
    return all(name in said for name in ("op_type", "op_version")) and said["op_type"].default == TREES[0]


@contextmanager
def finite_search() -> Iterator[None]:
    """Let thresholds of trees that compare in 32 bits be found by formula for as long as this lasts.

    The converter searches for them, and for ever where a tree splits at infinity, as trees do that
    know missing values.
    """
    from skl2onnx.common import tree_ensemble as home

    theirs = home.sklearn_threshold
    home.sklearn_threshold = last_left
    try:
        yield
    finally:
        home.sklearn_threshold = theirs


def last_left(threshold: Any, dtype: Any, _mode: str) -> Any:
    """Return the largest number of a type that, rounded to 32 bits, is at most a threshold of 64 bits."""
    import numpy as np

    if not np.isfinite(threshold):
        return np.float64(threshold)
    with np.errstate(over="ignore"):
        low = np.float32(threshold)
    if float(low) > float(threshold):
        low = np.nextafter(low, np.float32(-np.inf))
    high = np.nextafter(low, np.float32(np.inf))
    if dtype != np.float64 or not np.isfinite(high) or not np.isfinite(low):
        return np.float64(low)
    middle = (np.float64(low) + np.float64(high)) / 2  # which rounds to whichever of the two is even
    return middle if np.float32(middle) == low else np.nextafter(middle, -np.inf)


def declare_casts(graph: Any) -> None:
    """Let outputs that come out of a cast be of the type that they are cast to.

    Args:
        graph: changed in place.
    """
    casts = {node.output[0]: node.attribute[0].i for node in graph.node if node.op_type == "Cast"}
    for output in graph.output:
        if output.name in casts:
            output.type.tensor_type.elem_type = casts[output.name]
