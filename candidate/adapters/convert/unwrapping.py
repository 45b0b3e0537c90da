"""What a search, a freezer or a calibrator wraps, moved to where the converters find it."""

import copy
from collections.abc import Sequence
from typing import Any


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
    return estimator


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
