"""What a search, a freezer, a calibrator or a threshold wraps, moved to where the converters find it."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from candidate.errors import InputError


@dataclass(frozen=True)
class Cut:
    """A decision threshold: a row is of the positive class if its probability is at least this."""

    threshold: float
    positive: int
    """Position of the positive class among the classes."""


def unwrapped(estimator: Any) -> Any:
    """Return the estimator that predicts the same without what only searched for it or froze it.

    A calibrator around one fitted pipeline moves to the end of that pipeline, where it converts.
    """
    if hasattr(estimator, "best_estimator_"):
        return unwrapped(estimator.best_estimator_)
    if type(estimator).__name__ == "FrozenEstimator":
        return unwrapped(estimator.estimator)
    folds: Sequence[Any] = getattr(estimator, "calibrated_classifiers_", ())
    if len(folds) == 1:
        inner = unwrapped(folds[0].estimator)
        steps = getattr(inner, "steps", None)
        fold, outer = copy.copy(folds[0]), copy.copy(estimator)
        fold.estimator, outer.calibrated_classifiers_ = inner if steps is None else steps[-1][1], [fold]
        return outer if steps is None else _pipeline([*steps[:-1], ("calibrated", outer)])
    if getattr(estimator, "flatten_transform", False):  # which concerns what nobody asks of it
        plain = copy.copy(estimator)
        plain.flatten_transform = False
        return plain
    steps = getattr(estimator, "steps", None)
    if steps:
        name, last = steps[-1]
        inner = unwrapped(last)
        if inner is not last:
            return _pipeline([*steps[:-1], (name, inner)])
    return estimator


def uncut(estimator: Any) -> tuple[Any, Cut | None]:
    """Return an estimator without the decision threshold around it or around its last step, and that threshold.

    Raises:
        InputError: the threshold is one of a decision function, for which no bundle has a scale.
    """
    plain = unwrapped(estimator)
    steps = getattr(plain, "steps", None)
    if steps:
        inner, cut = uncut(steps[-1][1])
        return (plain, None) if cut is None else (_pipeline([*steps[:-1], (steps[-1][0], inner)]), cut)
    if type(plain).__name__ not in {"FixedThresholdClassifier", "TunedThresholdClassifierCV"}:
        return plain, None
    inner = getattr(plain, "estimator_", plain.estimator)
    if plain.response_method == "decision_function" or not hasattr(inner, "predict_proba"):
        raise InputError(
            "the decision threshold is one of a decision function",
            where="[model] source",
            hint="calibrate the classifier, and set response_method='predict_proba'",
        )
    tuned = hasattr(plain, "best_threshold_")
    if not tuned and not hasattr(plain, "threshold"):
        raise InputError("the decision threshold was never tuned", where="[model] source", hint="fit the model")
    threshold = plain.best_threshold_ if tuned else plain.threshold
    label = plain._curve_scorer._get_pos_label() if tuned else plain.pos_label  # noqa: SLF001 - as predict does
    classes = list(inner.classes_)
    positive = len(classes) - 1 if label is None else classes.index(label)
    return unwrapped(inner), Cut(0.5 if threshold == "auto" else float(threshold), positive)


def with_threshold(estimator: Any, threshold: float) -> Any:
    """Return a fitted binary classifier that decides at this threshold.

    Raises:
        InputError: it is none, or decides at a threshold already.
    """
    from sklearn.model_selection import FixedThresholdClassifier

    classes = getattr(estimator, "classes_", ())
    if len(classes) != 2 or not hasattr(estimator, "predict_proba"):  # noqa: PLR2004 - two classes
        raise InputError(
            "a threshold is for a classifier of two classes that gives probabilities", where="[model] threshold"
        )
    if uncut(estimator)[1] is not None:
        raise InputError(
            "the model has a decision threshold of its own", where="[model] threshold", hint="leave one of them out"
        )
    outer = FixedThresholdClassifier(estimator, threshold=threshold, response_method="predict_proba")
    outer.estimator_ = estimator
    if hasattr(estimator, "feature_names_in_"):
        outer.feature_names_in_ = estimator.feature_names_in_
    return outer


def members_of(estimator: Any) -> tuple[list[Any], list[float]] | None:
    """Return the members and weights of a mean of whole pipelines, which is converted one by one.

    That is a soft vote, the mean of regressors, or a calibrator of several folds. Where the members
    take one table, and not columns by name, the converter does it by itself.
    """
    folds: Sequence[Any] = getattr(estimator, "calibrated_classifiers_", ())
    if len(folds) > 1 and any(takes_columns(unwrapped(fold.estimator)) for fold in folds):
        outers = [copy.copy(estimator) for _ in folds]
        for outer, fold in zip(outers, folds, strict=True):
            outer.calibrated_classifiers_ = [fold]
        return outers, [1.0] * len(outers)
    name = type(estimator).__name__
    if name in {"VotingClassifier", "VotingRegressor"} and hasattr(estimator, "estimators_"):
        inner = [unwrapped(each) for each in estimator.estimators_]
        if not any(takes_columns(each) for each in inner):
            return None
        if getattr(estimator, "voting", "soft") != "soft":
            raise InputError(
                "a hard vote of pipelines has no probabilities", where="[model] source", hint="set voting='soft'"
            )
        weights = estimator._weights_not_none  # noqa: SLF001 - those of the members that were not dropped
        return inner, [1.0] * len(inner) if weights is None else [float(weight) for weight in weights]
    return None


def _pipeline(steps: list[tuple[str, Any]]) -> Any:
    from sklearn.pipeline import Pipeline

    return Pipeline(steps)


def cast_before_last(estimator: Any) -> Any:
    """Return a pipeline that rounds to 32 bits before its last step."""
    import numpy as np
    from skl2onnx.sklapi import CastTransformer

    steps = list(getattr(estimator, "steps", [("model", estimator)]))
    return _pipeline([*steps[:-1], ("candidate_cast", CastTransformer(dtype=np.float32)), steps[-1]])


def takes_columns(estimator: Any) -> bool:
    """Whether the estimator begins with a ColumnTransformer, which picks its columns by name."""
    first = estimator.steps[0][1] if getattr(estimator, "steps", None) else estimator
    return hasattr(first, "transformers_") or (first is not estimator and takes_columns(first))
