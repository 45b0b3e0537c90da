"""Missing numbers, filled in 64 bits too."""

from collections.abc import Iterator, Sequence
from typing import Any

_DOUBLE = 11
"""ONNX's ``TensorProto.DOUBLE``."""


def fillings(part: Any, seen: set[int]) -> Iterator[tuple[float, ...]]:
    """Yield what each imputer of an estimator fills in, from anywhere inside the estimator."""
    if isinstance(part, list | tuple):
        for inner in part:
            yield from fillings(inner, seen)
    if id(part) in seen or not hasattr(part, "get_params"):
        return
    seen.add(id(part))
    statistics = getattr(part, "statistics_", None)
    if statistics is not None and statistics.dtype.kind == "f":
        yield tuple(statistics.tolist())
    for inner in vars(part).values():
        yield from fillings(inner, seen)


def fill_in_double(graph: Any, fillings: Sequence[tuple[float, ...]]) -> None:
    """Write every Imputer of doubles in operators that there are of doubles.

    ONNX Runtime has no Imputer of doubles; ``Where(IsNaN(x), filling, x)`` is the same function. The
    node's own values are rounded to 32 bits, and histogram boosting splits at values of its training
    rows, of which the filling is the most frequent: so it is taken from the estimator, exactly.

    Args:
        graph: changed in place.
        fillings: values in 64 bits that imputers of the estimator fill in.
    """
    import numpy as np
    from onnx import helper, numpy_helper

    kinds = _element_types(graph)
    nodes: list[Any] = []
    for number, node in enumerate(list(graph.node)):
        values = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        source = node.input[0] if node.input else ""
        if node.op_type != "Imputer" or kinds.get(source) != _DOUBLE or "imputed_value_floats" not in values:
            nodes.append(node)
            continue
        filling, missing, mask = (f"{node.output[0]}_{part}{number}" for part in ("filling", "missing", "mask"))
        rounded = np.array(values["imputed_value_floats"], dtype=np.float32)
        with np.errstate(over="ignore"):
            exact = {one for one in fillings if np.array_equal(np.array(one).astype(np.float32), rounded)}
        array = np.array(exact.pop() if len(exact) == 1 else rounded, dtype=np.float64).reshape(1, -1)
        graph.initializer.append(numpy_helper.from_array(array, filling))
        marker = float(values.get("replaced_value_float", np.nan))
        if np.isnan(marker):
            nodes.append(helper.make_node("IsNaN", [source], [mask]))
        else:
            graph.initializer.append(numpy_helper.from_array(np.array([marker], dtype=np.float64), missing))
            nodes.append(helper.make_node("Equal", [source, missing], [mask]))
        nodes.append(helper.make_node("Where", [mask, filling, source], list(node.output)))
    del graph.node[:]
    graph.node.extend(nodes)


def _element_types(graph: Any) -> dict[str, int]:
    """Return the element type of tensors, as far as it follows from inputs through what only moves values."""
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.input}
    for node in graph.node:
        if node.op_type == "Cast":
            kinds[node.output[0]] = next(attribute.i for attribute in node.attribute if attribute.name == "to")
        elif node.input and node.input[0] in kinds:
            for output in node.output:
                kinds.setdefault(output, kinds[node.input[0]])
    return kinds
