"""Turn a fitted scikit-learn estimator into one ONNX graph. Used at build time only.

Where the converter's graph is not what a bundle needs, it is mended here: inputs get the columns'
own names back, truth values come in as truth values, and missing numbers are filled in 64 bits too.
"""

import copy
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from candidate.documents.manifest import TensorType
from candidate.errors import InputError, UnavailableError

if TYPE_CHECKING:
    import onnx

OPSETS = {"": 18, "ai.onnx.ml": 3}
"""Fixed, so that the graph does not depend on the converter's version; double thresholds need ai.onnx.ml 3."""
EXACT = {32: 1 << 24, 64: 1 << 53}
"""Whole numbers beyond this are not exact in floats of this many bits, so such a column stays int64."""

JOINED = "candidate_columns"
"""Name of the table inside a graph whose estimator takes all columns at once."""

ColumnKind = Literal["number", "integer", "string", "boolean"]


@dataclass(frozen=True)
class Column:
    """A feature as the training rows hold it."""

    name: str
    kind: ColumnKind
    nulls: bool
    largest: float
    """Largest magnitude of a whole number; 0 for other columns."""


def dtype_of(column: Column, bits: Literal[32, 64]) -> TensorType:
    """Return the dtype of a feature's tensor in a graph of this precision.

    Whole numbers come in as floats, as most steps of a pipeline take them, wherever that is exact.
    """
    if column.kind == "string":
        return "string"
    if column.kind == "boolean" and not column.nulls:
        return "bool"
    if column.kind == "integer" and not column.nulls and column.largest > EXACT[bits]:
        return "int64"
    return "float32" if bits == 32 else "float64"  # noqa: PLR2004 - bits


def convert(
    estimator: Any, columns: Sequence[Column], bits: Literal[32, 64], *, single: bool = False
) -> "onnx.ModelProto":
    """Convert a fitted estimator to a graph with one input of shape (batch, 1) for each column.

    Args:
        estimator: fitted.
        columns: the features, in order.
        bits: precision of numeric inputs and of all that follows.
        single: cast to 32 bits before the last step. Trees hold 32-bit thresholds whatever comes
            in, so a 64-bit scaler followed by one rounding is nearer to them than 64 bits are.

    Raises:
        InputError: some step has no ONNX form; the message names it.
        UnavailableError: the build extra is not installed, or protobuf is too new for the converters.
    """
    plain = _unwrapped(estimator)
    apart = _takes_columns(plain)
    graph = _converted(_cast_before_last(plain) if single else plain, columns, bits, apart=apart)
    _fill_in_double(graph.graph, list(_fillings(plain, set())))
    _name_inputs(graph.graph, columns, apart=apart)
    return graph


def _converted(estimator: Any, columns: Sequence[Column], bits: Literal[32, 64], *, apart: bool) -> "onnx.ModelProto":
    try:
        import skl2onnx
        from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
    except ImportError as error:
        raise UnavailableError(
            f"the converter is not installed: {error}", hint="pip install 'candidate[build]'"
        ) from error
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the converter will have to mend is nothing to its users
            graph: onnx.ModelProto = skl2onnx.convert_sklearn(
                estimator,
                name="model",
                initial_types=_inputs(columns, bits, apart=apart),
                options={id(last): {"zipmap": False}} if hasattr(last, "classes_") else None,
                target_opset=dict(OPSETS),
            )
    except (MissingConverter, MissingShapeCalculator) as error:
        raise InputError(
            f"a step of the pipeline has no ONNX form: {_first_sentence(error)}",
            where="[model] source",
            hint="replace the step by one that skl2onnx supports, or export the model to ONNX and name that file",
        ) from error
    except TypeError as error:
        if "Expected an int, got a boolean" in str(error):
            raise UnavailableError(
                "protobuf 7 breaks the tree converters of skl2onnx",
                hint="pip install 'protobuf<7'",
            ) from error
        raise InputError(f"cannot be converted: {_first_sentence(error)}", where="[model] source") from error
    except (ValueError, RuntimeError, NotImplementedError, AttributeError, KeyError, IndexError) as error:
        raise InputError(
            f"cannot be converted: {type(error).__name__}: {_first_sentence(error)}",
            where="[model] source",
            hint="what wraps a whole pipeline goes inside it, around its last step; and every step must be fitted",
        ) from error
    return graph


def _unwrapped(estimator: Any) -> Any:
    """Return the estimator that predicts the same without what only searched for it or froze it.

    A calibrator around one fitted pipeline moves to the end of that pipeline, where it converts.
    """
    if hasattr(estimator, "best_estimator_"):
        return _unwrapped(estimator.best_estimator_)
    if type(estimator).__name__ == "FrozenEstimator":
        return _unwrapped(estimator.estimator)
    folds: Sequence[Any] = getattr(estimator, "calibrated_classifiers_", ())
    if len(folds) == 1:
        inner = _unwrapped(folds[0].estimator)
        steps = getattr(inner, "steps", None)
        fold, outer = copy.copy(folds[0]), copy.copy(estimator)
        fold.estimator, outer.calibrated_classifiers_ = inner if steps is None else steps[-1][1], [fold]
        return outer if steps is None else _pipeline([*steps[:-1], ("calibrated", outer)])
    return estimator


def _pipeline(steps: list[tuple[str, Any]]) -> Any:
    from sklearn.pipeline import Pipeline

    return Pipeline(steps)


def _cast_before_last(estimator: Any) -> Any:
    import numpy as np
    from skl2onnx.sklapi import CastTransformer

    steps = list(getattr(estimator, "steps", [("model", estimator)]))
    return _pipeline([*steps[:-1], ("candidate_cast", CastTransformer(dtype=np.float32)), steps[-1]])


def _takes_columns(estimator: Any) -> bool:
    """Whether the estimator begins with a ColumnTransformer, which picks its columns by name."""
    first = estimator.steps[0][1] if getattr(estimator, "steps", None) else estimator
    return hasattr(first, "transformers_") or (first is not estimator and _takes_columns(first))


def _inputs(columns: Sequence[Column], bits: Literal[32, 64], *, apart: bool) -> list[tuple[str, Any]]:
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


def _name_inputs(graph: Any, columns: Sequence[Column], *, apart: bool) -> None:
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


def _fillings(part: Any, seen: set[int]) -> Iterator[tuple[float, ...]]:
    """Yield what each imputer of an estimator fills in, from anywhere inside the estimator."""
    if isinstance(part, list | tuple):
        for inner in part:
            yield from _fillings(inner, seen)
    if id(part) in seen or not hasattr(part, "get_params"):
        return
    seen.add(id(part))
    statistics = getattr(part, "statistics_", None)
    if statistics is not None and statistics.dtype.kind == "f":
        yield tuple(statistics.tolist())
    for inner in vars(part).values():
        yield from _fillings(inner, seen)


def _fill_in_double(graph: Any, fillings: Sequence[tuple[float, ...]]) -> None:
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


_DOUBLE = 11
"""ONNX's ``TensorProto.DOUBLE``."""


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


def _first_sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:300]
