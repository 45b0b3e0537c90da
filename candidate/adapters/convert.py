"""Turn a fitted scikit-learn estimator into one ONNX graph. Used at build time only."""

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
        from skl2onnx.common import data_types as types
        from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
    except ImportError as error:
        raise UnavailableError(
            f"the converter is not installed: {error}", hint="pip install 'candidate[build]'"
        ) from error
    tensors = {
        "string": types.StringTensorType,
        "int64": types.Int64TensorType,
        "float32": types.FloatTensorType,
        "float64": types.DoubleTensorType,
    }
    inputs = [(column.name, tensors[dtype_of(column, bits)]([None, 1])) for column in columns]
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    options = {id(last): {"zipmap": False}} if hasattr(last, "classes_") else None
    try:
        graph: onnx.ModelProto = skl2onnx.convert_sklearn(
            estimator, name="model", initial_types=inputs, options=options, target_opset=dict(OPSETS)
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
    return graph


def _first_sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:300]
