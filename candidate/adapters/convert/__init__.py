"""Turn a fitted scikit-learn estimator into one ONNX graph. Used at build time only.

Where the converter's graph is not what a bundle needs, it is mended here: inputs get the columns'
own names back, truth values come in as truth values, and missing numbers are filled in 64 bits too.
"""

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal

from candidate.adapters.convert.answering import (
    at_least,
    cut_scores,
    finds_outliers,
    label_scores,
    plain_labels,
    tidy,
    two_columns,
)
from candidate.adapters.convert.boosting import check_native, make_known
from candidate.adapters.convert.columns import Column, ColumnKind, dtype_of
from candidate.adapters.convert.combining import combined
from candidate.adapters.convert.imputing import fill_in_double, fillings
from candidate.adapters.convert.isotonic import exact_isotonic
from candidate.adapters.convert.mapping import CLIP, ScoreMap, map_scores
from candidate.adapters.convert.naming import converter_inputs, name_inputs, split_table, table_width
from candidate.adapters.convert.remedies import check_convertible, no_converter, not_converted
from candidate.adapters.convert.trees import declare_casts, exact_trees, finite_search
from candidate.adapters.convert.unwrapping import (
    Cut,
    cast_before_last,
    members_of,
    takes_columns,
    uncut,
    unwrapped,
    with_threshold,
)
from candidate.errors import UnavailableError

if TYPE_CHECKING:
    import onnx

__all__ = [
    "CLIP",
    "Column",
    "ColumnKind",
    "Cut",
    "ScoreMap",
    "at_least",
    "check_native",
    "combined",
    "convert",
    "cut_scores",
    "dtype_of",
    "finds_outliers",
    "label_scores",
    "map_scores",
    "split_table",
    "table_width",
    "two_columns",
    "uncut",
    "with_threshold",
]


OPSETS = {"": 18, "ai.onnx.ml": 3}
"""Fixed, so that the graph does not depend on the converter's version; double thresholds need ai.onnx.ml 3."""


FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    RuntimeError,
    ValueError,
)
"""What the converter raises where it cannot go on; NotImplementedError is a RuntimeError."""


def convert(
    estimator: Any, columns: Sequence[Column], bits: Literal[32, 64], *, single: bool = False, exact: bool = False
) -> "onnx.ModelProto":
    """Convert a fitted estimator to a graph with one input of shape (batch, 1) for each column.

    Args:
        estimator: fitted.
        columns: the features, in order.
        bits: precision of numeric inputs and of all that follows.
        single: cast to 32 bits before the last step. Trees hold 32-bit thresholds whatever comes
            in, so a 64-bit scaler followed by one rounding is nearer to them than 64 bits are.
        exact: keep thresholds and leaf values of trees in 64 bits, where their input is of 64 bits.

    Raises:
        InputError: some step has no ONNX form; the message names it.
        UnavailableError: the build extra is not installed, or protobuf is too new for the converters.
    """
    check_convertible(estimator)
    plain, cut = uncut(estimator)
    classes = plain_labels(plain)
    with exact_trees() if exact else nullcontext():
        graph = _whole(plain, columns, bits, single=single)
    if exact:
        declare_casts(graph.graph)
    if cut is not None:
        cut_scores(graph.graph, classes, cut)
    return graph


def _whole(plain: Any, columns: Sequence[Column], bits: Literal[32, 64], *, single: bool) -> "onnx.ModelProto":
    """Convert an estimator, or the members of a mean of pipelines one by one."""
    members = members_of(plain)
    if members is not None:
        parts, weights = members
        graphs = [_whole(unwrapped(part), columns, bits, single=single) for part in parts]
        return combined(graphs, weights, classes=plain_labels(plain))
    apart = takes_columns(plain)
    make_known(plain)
    graph = _converted(cast_before_last(plain) if single else plain, columns, bits, apart=apart)
    tidy(graph.graph, plain)
    fill_in_double(graph.graph, list(fillings(plain, set())))
    name_inputs(graph.graph, columns, apart=apart)
    return graph


def _takes_zipmap(estimator: Any) -> bool:
    """Whether the converter of an estimator has the option to answer plain tensors."""
    from skl2onnx._supported_operators import sklearn_operator_name_map
    from skl2onnx.common._registration import get_converter

    alias = sklearn_operator_name_map.get(type(estimator))
    if alias is None or not hasattr(estimator, "classes_"):
        return False
    return "zipmap" in (get_converter(alias).get_allowed_options() or {})


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
        with warnings.catch_warnings(), exact_isotonic(), finite_search():
            warnings.simplefilter("ignore")  # what the converter will have to mend is nothing to its users
            graph: onnx.ModelProto = skl2onnx.convert_sklearn(
                estimator,
                name="model",
                initial_types=converter_inputs(columns, bits, apart=apart),
                options={id(last): {"zipmap": False}} if _takes_zipmap(last) else None,
                target_opset=dict(OPSETS),
            )
    except (MissingConverter, MissingShapeCalculator) as error:
        raise no_converter(estimator, error) from error
    except TypeError as error:
        if "Expected an int, got a boolean" in str(error):
            raise UnavailableError(
                "protobuf 7 breaks the tree converters of skl2onnx",
                hint="pip install 'protobuf<7'",
            ) from error
        raise not_converted(estimator, error) from error
    except FAILURES as error:
        raise not_converted(estimator, error) from error
    return graph
