"""What the converter cannot do, said by the step that is in the way and by what to do about it."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from candidate.errors import InputError

WHERE = "[model] source"
REMEDIES: dict[str, str] = {
    "FunctionTransformer": "put the function's work into a step that converts, or into the feature itself",
    "TfidfVectorizer": "use analyzer='word' with a plain token_pattern, and no preprocessor or tokenizer of your own",
    "CountVectorizer": "use analyzer='word' with a plain token_pattern, and no preprocessor or tokenizer of your own",
    "OneHotEncoder": "leave min_frequency and max_categories out, and let the categories be text or whole numbers",
    "OrdinalEncoder": "let the categories be text or whole numbers",
    "KBinsDiscretizer": "use encode='onehot-dense' or encode='ordinal'",
    "SimpleImputer": "fill missing text before training, with a word of its own; impute numbers only here",
    "SVC": "train it with probability by CalibratedClassifierCV around it",
    "NuSVC": "train it with probability by CalibratedClassifierCV around it",
    "LinearSVC": "put CalibratedClassifierCV around it",
    "HistGradientBoostingClassifier": "encode categories by OrdinalEncoder, not by categorical_features",
    "HistGradientBoostingRegressor": "encode categories by OrdinalEncoder, not by categorical_features",
}
"""What helps with a step, by its class."""
ELSEWHERE = "replace the step by one that skl2onnx supports, or export the model to ONNX yourself and name that file"


def steps_of(estimator: Any, path: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Any]]:
    """Yield every fitted estimator inside an estimator with its path, the outer ones first.

    A path reads as scikit-learn's parameters do: ``columns__city__encoder``.
    """
    seen = set() if seen is None else seen
    if id(estimator) in seen or isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        return
    seen.add(id(estimator))
    yield path or type(estimator).__name__, estimator
    for name, part in _parts(estimator):
        yield from steps_of(part, f"{path}__{name}" if path else name, seen)


def _parts(estimator: Any) -> Iterator[tuple[str, Any]]:
    for attribute in ("steps", "transformers_", "transformer_list", "named_estimators_"):
        found = getattr(estimator, attribute, None)
        if isinstance(found, dict):
            yield from found.items()
        elif isinstance(found, list):
            yield from ((str(each[0]), each[1]) for each in found)
    for attribute in ("estimator_", "final_estimator_", "best_estimator_", "estimator"):
        if (found := getattr(estimator, attribute, None)) is not None:
            yield attribute.rstrip("_"), found
    for attribute in ("estimators_", "calibrated_classifiers_"):
        found = getattr(estimator, attribute, None)
        if isinstance(found, list | tuple | np.ndarray):
            for number, each in enumerate(np.asarray(found, dtype=object).ravel()[:1]):
                yield f"{attribute.rstrip('_')}[{number}]", getattr(each, "estimator", each)


def check_convertible(estimator: Any) -> None:
    """Refuse what the converter would make into something else, or never come back from.

    Raises:
        InputError: a step is of that kind; names it.
    """
    for path, step in steps_of(estimator):
        members = np.asarray(getattr(step, "estimators_", [step]), dtype=object).ravel()
        trees = [member.tree_ for member in members if hasattr(member, "tree_")]
        if any(not np.isfinite(tree.threshold[tree.feature >= 0]).all() for tree in trees):
            raise InputError(
                f"step {path!r} ({type(step).__name__}) splits on whether a value is missing, which has no ONNX form",
                where=WHERE,
                hint="put SimpleImputer before it, or use HistGradientBoosting, LightGBM or XGBoost, which convert",
            )


def no_converter(estimator: Any, error: Exception) -> InputError:
    """Return the error for a step that no converter knows."""
    text = " ".join(str(error).split())
    named = re.search(r"type '<class '(?:[\w.]*\.)?(\w+)'>'", text) or re.search(r"alias '(\w+)'", text)
    kind = named[1] if named else ""
    path = next((path for path, step in steps_of(estimator) if type(step).__name__ == kind), "")
    what = f"step {path!r} ({kind})" if path else (kind or "a step of the pipeline")
    return InputError(f"{what} has no ONNX form", where=WHERE, hint=REMEDIES.get(kind, ELSEWHERE))


def _at(error: Exception) -> set[int]:
    """Return which estimators the converter was at when it failed: its own frames say so."""
    found, trace = set[int](), error.__traceback__
    while trace is not None:
        for value in list(trace.tb_frame.f_locals.values()):
            if (operator := getattr(value, "raw_operator", None)) is not None:
                found.add(id(operator))
        trace = trace.tb_next
    return found


def not_converted(estimator: Any, error: Exception) -> InputError:
    """Return the error for a conversion that failed: the step that it failed in, as far as it can be told.

    Args:
        estimator: what was converted.
        error: of the converter.
    """
    text, at = " ".join(str(error).split())[:300], _at(error)
    inside = [(path, step) for path, step in steps_of(estimator) if id(step) in at]
    if not inside:
        inside = [(path, step) for path, step in steps_of(estimator) if type(step).__name__ in text]
    where, hint = "", "every step must be fitted, and what wraps a whole pipeline goes around its last step"
    if inside:
        path, step = inside[-1]
        kind = type(step).__name__
        where, hint = f"step {path!r} ({kind}) ", REMEDIES.get(kind, hint)
    return InputError(f"{where}cannot be converted: {type(error).__name__}: {text}", where=WHERE, hint=hint)
