"""Several graphs as one: inputs are fed once, probabilities or values are averaged."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from candidate.adapters.convert.answering import fresh_name, label_scores
from candidate.errors import InputError

if TYPE_CHECKING:
    import onnx

_WHERE = "[model] source"
_FLOATS = {1: "float32", 11: "float64"}


def _scores(model: Any, number: int) -> Any:
    """Return the one output of a graph that is a table of floats: probabilities, or values."""
    found = [
        value
        for value in model.graph.output
        if value.type.tensor_type.elem_type in _FLOATS and len(value.type.tensor_type.shape.dim) in {1, 2}
    ]
    if len(found) != 1 or len(model.graph.output) > 2:  # noqa: PLR2004 - a label and scores
        raise InputError(
            f"graph {number} of the ensemble does not have one output of probabilities or values",
            where=_WHERE,
            hint="export a label and probabilities of every class, or one table of values",
        )
    return found[0]


def _width(value: Any) -> int:
    dims = value.type.tensor_type.shape.dim
    return dims[1].dim_value if len(dims) > 1 else 1


def combined(
    models: Sequence["onnx.ModelProto"], weights: Sequence[float], *, classes: Sequence[Any] = ()
) -> "onnx.ModelProto":
    """Return one graph that answers the weighted mean of several.

    Args:
        models: graphs that each answer a label and probabilities, or values; operator sets alike.
        weights: of each graph; they need not add up to 1.
        classes: in the order of the columns; without them the answer is a table of values.

    Raises:
        InputError: they do not answer the same question, an input of one name has two types, or the
            operator sets differ.
    """
    import numpy as np
    from onnx import compose, helper, numpy_helper

    tables = [_scores(model, number) for number, model in enumerate(models, start=1)]
    _check_alike(models, tables)
    prefixed = [compose.add_prefix(model, f"member{number}_") for number, model in enumerate(models, start=1)]
    _share_opsets(prefixed)
    whole = prefixed[0]
    for model in prefixed[1:]:
        whole = compose.merge_models(whole, model, io_map=[])
    graph = whole.graph
    shared: dict[str, Any] = {}
    for number, model in enumerate(models, start=1):
        held = {tensor.name for tensor in model.graph.initializer}
        for value in model.graph.input:
            if value.name in held:
                continue
            shared.setdefault(value.name, value)
            _rewire(graph, f"member{number}_{value.name}", value.name)
    del graph.input[:]
    graph.input.extend(shared.values())
    share = np.array(weights, dtype=np.float64) / float(np.sum(weights))
    kind = max(table.type.tensor_type.elem_type for table in tables)
    terms = []
    for number, table in enumerate(tables, start=1):
        source, factor = f"member{number}_{table.name}", fresh_name(graph, f"weight{number}")
        wide, flat, term = (f"mean{number}_{word}" for word in ("wide", "flat", "term"))
        shape = fresh_name(graph, f"shape{number}")
        graph.initializer.append(numpy_helper.from_array(np.array(share[number - 1]), factor))
        graph.initializer.append(numpy_helper.from_array(np.array([-1, _width(table) or 1], dtype=np.int64), shape))
        graph.node.extend(
            [
                helper.make_node("Cast", [source], [wide], to=11),
                helper.make_node("Reshape", [wide, shape], [flat]),
                helper.make_node("Mul", [flat, factor], [term]),
            ]
        )
        terms.append(term)
    del graph.output[:]
    answer = "probabilities" if classes else "variable"
    answer = fresh_name(graph, answer)
    total = fresh_name(graph, "mean")
    graph.node.append(helper.make_node("Sum", terms, [total]))
    graph.node.append(helper.make_node("Cast", [total], [answer], to=kind))
    graph.output.append(helper.make_tensor_value_info(answer, kind, [None, _width(tables[0]) or 1]))
    if classes:
        label_scores(graph, classes, scores=answer, label=fresh_name(graph, "label"))
    return whole


def _check_alike(models: Sequence[Any], tables: Sequence[Any]) -> None:
    if len({_width(table) for table in tables}) > 1:
        said = ", ".join(str(_width(table)) for table in tables)
        raise InputError(
            f"the graphs of the ensemble answer {said} columns",
            where=_WHERE,
            hint="only graphs of the same classes, or of the same values, have a mean",
        )
    if len({len(model.graph.output) for model in models}) > 1:
        raise InputError("some graphs of the ensemble answer a label and some none", where=_WHERE)
    kinds: dict[str, int] = {}
    for model in models:
        held = {tensor.name for tensor in model.graph.initializer}
        for value in model.graph.input:
            kind = value.type.tensor_type.elem_type
            if value.name not in held and kinds.setdefault(value.name, kind) != kind:
                raise InputError(
                    f"input {value.name!r} has one type in one graph of the ensemble and another in the next",
                    where=_WHERE,
                    hint="export them all with the same input types",
                )


def _share_opsets(models: Sequence[Any]) -> None:
    """Bring every graph to the newest operator sets among them, where a converter of versions can."""
    from onnx import version_converter

    newest: dict[str, int] = {}
    for model in models:
        for opset in model.opset_import:
            newest[opset.domain] = max(newest.get(opset.domain, 0), opset.version)
    for model in models:
        own = {opset.domain: opset.version for opset in model.opset_import}
        if own.get("", newest.get("", 0)) != newest.get("", 0):
            try:
                model.CopyFrom(version_converter.convert_version(model, newest[""]))
            except RuntimeError as error:
                raise InputError(
                    f"the graphs of the ensemble use operator sets {own['']} and {newest['']}",
                    where=_WHERE,
                    hint="export them all with the same operator set",
                ) from error
        if any(newest[domain] != version for domain, version in own.items() if domain):
            raise InputError(
                "the graphs of the ensemble use different operator sets",
                where=_WHERE,
                hint="export them all with the same operator set",
            )
        model.ir_version = max(each.ir_version for each in models)


def _rewire(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                _rewire(inner, old, new)
