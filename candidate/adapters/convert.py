"""Turn a fitted scikit-learn estimator into one ONNX graph. Used at build time only."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from candidate.documents.manifest import TensorType
from candidate.errors import InputError, UnavailableError

if TYPE_CHECKING:
    import onnx

OPSETS = {"": 18, "ai.onnx.ml": 3}
"""Fixed, so that the graph does not depend on the converter's version; double thresholds need ai.onnx.ml 3."""
EXACT_IN_FLOAT32 = 1 << 24
"""Whole numbers beyond this are not exact in 32 bits, so such a column stays int64."""

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
    """Return the dtype of a feature's tensor in a graph of this precision."""
    if column.kind == "string":
        return "string"
    if column.kind == "integer" and not column.nulls and column.largest >= EXACT_IN_FLOAT32:
        return "int64"
    return "float32" if bits == 32 else "float64"  # noqa: PLR2004 - bits


def convert(estimator: Any, columns: Sequence[Column], bits: Literal[32, 64]) -> "onnx.ModelProto":
    """Convert a fitted estimator to a graph with one input of shape (batch, 1) for each column.

    Raises:
        InputError: some step has no ONNX form; the message names it.
        UnavailableError: the build extra is not installed, or protobuf is too new for the converters.
    """
    try:
        import skl2onnx
        from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
    except ImportError as error:
        raise UnavailableError(
            f"the converter is not installed: {error}", hint="pip install 'candidate[build]'"
        ) from error
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    options = {id(last): {"zipmap": False}} if hasattr(last, "classes_") else None
    apart = _takes_columns(estimator)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the converter will have to mend is nothing to its users
            graph: onnx.ModelProto = skl2onnx.convert_sklearn(
                estimator,
                name="model",
                initial_types=_inputs(columns, bits, apart=apart),
                options=options,
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
            hint="check that every step was fitted, on the columns that [data] names",
        ) from error
    return graph if apart else _joined(graph, columns)


def _takes_columns(estimator: Any) -> bool:
    """Whether the estimator begins with a ColumnTransformer, which picks its columns by name."""
    first = estimator.steps[0][1] if getattr(estimator, "steps", None) else estimator
    return hasattr(first, "transformers_") or (first is not estimator and _takes_columns(first))


def _inputs(columns: Sequence[Column], bits: Literal[32, 64], *, apart: bool) -> list[tuple[str, Any]]:
    """Return the converter's inputs: a tensor for each column, or one for all of them side by side."""
    from skl2onnx.common import data_types as types

    tensors = {
        "string": types.StringTensorType,
        "int64": types.Int64TensorType,
        "float32": types.FloatTensorType,
        "float64": types.DoubleTensorType,
    }
    if apart:
        return [(column.name, tensors[dtype_of(column, bits)]([None, 1])) for column in columns]
    kinds = {dtype_of(column, bits) for column in columns}
    if len(kinds) > 1:
        raise InputError(
            f"the model takes all its columns as one table, and they hold {' and '.join(sorted(kinds))}",
            where="[model] source",
            hint="begin the pipeline with a ColumnTransformer, which treats each kind as it needs",
        )
    return [(JOINED, tensors[kinds.pop()]([None, len(columns)]))]


def _joined(graph: "onnx.ModelProto", columns: Sequence[Column]) -> "onnx.ModelProto":
    """Put an input for each column, and their concatenation, before a graph that takes one table."""
    from onnx import helper

    names = [column.name for column in columns]
    element = graph.graph.input[0].type.tensor_type.elem_type
    del graph.graph.input[:]
    graph.graph.input.extend(helper.make_tensor_value_info(name, element, [None, 1]) for name in names)
    graph.graph.node.insert(0, helper.make_node("Concat", names, [JOINED], axis=1))
    return graph


def _first_sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:300]
