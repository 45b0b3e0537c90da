"""A graph's inputs: one for each column, under the column's own name and in its own type."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from candidate.adapters.convert.columns import Column, dtype_of
from candidate.errors import InputError

JOINED = "candidate_columns"
"""Name of the table inside a graph whose estimator takes all columns at once."""


def converter_inputs(columns: Sequence[Column], bits: Literal[32, 64], *, apart: bool) -> list[tuple[str, Any]]:
    """Return the converter's inputs: a tensor for each column, or one for all of them side by side."""
    from skl2onnx.common import data_types as types

    numbers = types.FloatTensorType if bits == 32 else types.DoubleTensorType  # noqa: PLR2004 - bits
    tensors = {"string": types.StringTensorType, "int64": types.Int64TensorType}
    if apart:
        return [(column.name, tensors.get(dtype_of(column, bits), numbers)([None, 1])) for column in columns]
    kinds = {dtype_of(column, bits) for column in columns}
    classes = {tensors.get(kind, numbers) for kind in kinds}
    if len(classes) > 1:
        raise InputError(
            f"the model takes all its columns as one table, and they hold {' and '.join(sorted(kinds))}",
            where="[model] source",
            hint="begin the pipeline with a ColumnTransformer, and put what wraps the pipeline around its last step",
        )
    return [(JOINED, classes.pop()([None, len(columns)]))]


def _every_graph(graph: Any) -> Iterator[Any]:
    """Yield a graph and every graph inside it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _every_graph(attribute.g)
            for inner in attribute.graphs:
                yield from _every_graph(inner)


def _names_in(graph: Any) -> set[str]:
    """Return every name that a tensor has in a graph or inside it."""
    names: set[str] = set()
    for each in _every_graph(graph):
        names.update(value.name for part in (each.input, each.output, each.value_info) for value in part)
        names.update(tensor.name for tensor in each.initializer)
        names.update(name for node in each.node for part in (node.input, node.output) for name in part)
    return names


def _rename(graph: Any, new: dict[str, str]) -> None:
    for each in _every_graph(graph):
        for value in (*each.input, *each.output, *each.value_info, *each.initializer):
            value.name = new.get(value.name, value.name)
        for node in each.node:
            node.input[:] = [new.get(name, name) for name in node.input]
            node.output[:] = [new.get(name, name) for name in node.output]


def name_inputs(graph: Any, columns: Sequence[Column], *, apart: bool) -> None:
    """Give the graph an input for each column, under its own name and in its own type.

    The converter changes names that are no identifiers, and a column may be called as some tensor
    inside is. So the inside makes way, and the converter's inputs are told by their position.
    """
    from onnx import TensorProto, helper

    taken = _names_in(graph) | {column.name for column in columns}

    def fresh(name: str) -> str:
        while name in taken:
            name += "_"
        taken.add(name)
        return name

    given, names = list(graph.input), [column.name for column in columns]
    element = given[0].type.tensor_type.elem_type
    new = {name: fresh(name) for name in _names_in(graph) & set(names)}
    truths = {column.name: fresh(f"{column.name}_number") for column in columns if _is_truth(column)}
    if apart:
        new |= {value.name: truths.get(name, name) for value, name in zip(given, names, strict=True)}
    _rename(graph, new)
    types = [value.type.tensor_type.elem_type for value in given] if apart else [element] * len(names)
    nodes = [
        helper.make_node("Cast", [column.name], [truths[column.name]], to=kind)
        for column, kind in zip(columns, types, strict=True)
        if column.name in truths
    ]
    if not apart:
        nodes.append(helper.make_node("Concat", [truths.get(name, name) for name in names], [given[0].name], axis=1))
    del graph.input[:]
    graph.input.extend(
        helper.make_tensor_value_info(name, TensorProto.BOOL if name in truths else kind, [None, 1])
        for name, kind in zip(names, types, strict=True)
    )
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])


def _is_truth(column: Column) -> bool:
    return dtype_of(column, 32) == "bool"


def table_width(model: Any) -> int | None:
    """Return how many columns a graph's one input takes side by side; None if it takes them one by one."""
    held = {tensor.name for tensor in model.graph.initializer}
    given = [value for value in model.graph.input if value.name not in held]
    dims: Sequence[Any] = given[0].type.tensor_type.shape.dim if len(given) == 1 else ()
    if len(dims) != 2 or dims[1].dim_value < 2:  # noqa: PLR2004 - a table of columns
        return None
    return int(dims[1].dim_value)


def split_table(model: Any, names: Sequence[str]) -> None:
    """Give a graph that takes one table an input for each of its columns.

    Args:
        model: changed in place; ``table_width`` is not None.
        names: of the columns, in order.

    Raises:
        InputError: there are more or fewer than the table has.
    """
    from onnx import helper

    graph, width = model.graph, table_width(model)
    if len(names) != width:
        raise InputError(
            f"{len(names)} features, but the graph's table has {width} columns",
            where="[data] features",
            hint="list the columns in the order in which the model takes them",
        )
    held = {tensor.name for tensor in graph.initializer}
    table = next(value for value in graph.input if value.name not in held)
    kind = table.type.tensor_type.elem_type
    taken = _names_in(graph) | set(names)
    new = {}
    for name in sorted(_names_in(graph) & set(names)):
        fresh = name
        while fresh in taken:
            fresh += "_"
        taken.add(fresh)
        new[name] = fresh
    _rename(graph, new)
    joined = new.get(table.name, table.name)
    others = [value for value in graph.input if value.name in held]
    nodes = [helper.make_node("Concat", list(names), [joined], axis=1), *graph.node]
    del graph.input[:]
    graph.input.extend([*(helper.make_tensor_value_info(name, kind, [None, 1]) for name in names), *others])
    del graph.node[:]
    graph.node.extend(nodes)
