"""LightGBM and XGBoost: their converters, made known to skl2onnx when an estimator holds such a step."""

from collections.abc import Iterator
from typing import Any

from candidate.errors import InputError, UnavailableError

_PROBABILITIES = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
_REFUSED = {"zero_as_missing": (True, "true"), "linear_tree": (True, "true")}
"""Parameters of LightGBM whose meaning the converter drops."""
WRAPPERS = {
    "lightgbm": "LGBMClassifier or LGBMRegressor",
    "xgboost": "XGBClassifier or XGBRegressor",
}


def library_of(part: Any) -> str | None:
    """Return which boosting library an object is of, if it is of one."""
    homes = {base.__module__.split(".")[0] for base in type(part).__mro__}
    return next((name for name in WRAPPERS if name in homes), None)


def check_native(part: Any) -> None:
    """Refuse a library's own booster, which knows neither its classes nor its columns.

    Raises:
        InputError: it is one; the hint names the scikit-learn class to train with.
    """
    library = library_of(part)
    if library is not None and not hasattr(part, "get_params"):
        raise InputError(
            f"a {library} {type(part).__name__} does not know its task or its classes",
            where="[model] source",
            hint=f"train with {library}'s {WRAPPERS[library]}",
        )


def parts_of(part: Any, seen: set[int]) -> Iterator[Any]:
    """Yield an estimator and every estimator inside it."""
    if isinstance(part, list | tuple):
        for inner in part:
            yield from parts_of(inner, seen)
    if id(part) in seen or not hasattr(part, "get_params"):
        return
    seen.add(id(part))
    yield part
    if library_of(part) is None:
        for inner in vars(part).values():
            yield from parts_of(inner, seen)


def make_known(estimator: Any) -> None:
    """Register the converters of the boosting libraries that an estimator uses, and no others.

    Raises:
        InputError: a parameter that the converter would drop without a word.
        UnavailableError: onnxmltools is not installed.
    """
    steps = [(library_of(part), part) for part in parts_of(estimator, set())]
    for library, part in steps:
        if library is None:
            continue
        _check_parameters(library, part)
        try:
            _register(library, type(part))
        except ImportError as error:
            raise UnavailableError(
                f"the converter of {library} is not installed: {error}", hint="pip install 'candidate[build]'"
            ) from error


def _check_parameters(library: str, part: Any) -> None:
    parameters = part.get_params()
    odd = [name for name, values in _REFUSED.items() if library == "lightgbm" and parameters.get(name) in values]
    missing = parameters.get("missing")
    if library == "xgboost" and missing is not None and missing == missing:  # noqa: PLR0124 - not NaN
        odd.append("missing")
    if library == "xgboost" and parameters.get("booster") in {"gblinear", "dart"}:
        odd.append("booster")
    if odd:
        raise InputError(
            f"{type(part).__name__}({odd[0]}={parameters[odd[0]]!r}) has no ONNX form",
            where="[model] source",
            hint=f"leave {odd[0]} as it is by default; a missing value is NaN",
        )


def _register(library: str, kind: type) -> None:
    """Register the converter of one class; the library itself was imported by whoever made the estimator."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator as shapes

    if library == "lightgbm":
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm as convert
    else:
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost as theirs

        def convert(scope: Any, operator: Any, container: Any) -> None:
            """Convert by position: columns called otherwise than f0, f1 and so on are beyond the converter."""
            booster = operator.raw_operator.get_booster()
            names, booster.feature_names = booster.feature_names, None
            try:
                theirs(scope, operator, container)
            finally:
                booster.feature_names = names

    if hasattr(kind, "predict_proba"):
        shape, options = shapes.calculate_linear_classifier_output_shapes, _PROBABILITIES
    else:
        shape, options = shapes.calculate_linear_regressor_output_shapes, {"split": None}
    update_registered_converter(kind, f"Candidate{kind.__name__}", shape, convert, options=options)
