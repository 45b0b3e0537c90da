"""Fit a map of scores on rows that neither trained the model nor will judge it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters.convert import CLIP, ScoreMap
from candidate.documents.recalibrated import Method
from candidate.errors import InputError, UnavailableError

Floats = NDArray[np.float64]
LEAST_ROWS: dict[Method, int] = {"platt": 20, "isotonic": 200}
"""Of each class: a sigmoid has two parameters, a rising fit as many as it finds steps."""


@dataclass(frozen=True)
class Fitted:
    """A map, fitted.

    Attributes:
        by: the map, for a graph.
        expected: what scikit-learn maps each row's score to, shape (rows,).
        library: version of scikit-learn.
    """

    by: ScoreMap
    expected: Floats
    library: str


def log_odds(scores: Floats) -> Floats:
    """Return the log odds of scores, which are first brought away from 0 and 1."""
    clipped = np.clip(scores, CLIP, 1.0 - CLIP)
    found: Floats = np.log(clipped) - np.log(1.0 - clipped)
    return found


def fit(scores: Floats, positive: NDArray[np.bool_], method: Method) -> Fitted:
    """Fit a map with scikit-learn.

    Args:
        scores: shape (rows,), in [0, 1].
        positive: shape (rows,).
        method: ``platt`` is a sigmoid of the log odds, so that leaving scores as they are is one of
            its choices, with Platt's smoothed targets; ``isotonic`` is the best rising fit.

    Raises:
        InputError: too few rows of a class, or scores that fall where outcomes rise.
        UnavailableError: scikit-learn is not installed.

    Sources: Platt 1999; Zadrozny and Elkan 2002.
    """
    try:
        import sklearn
    except ImportError as error:
        raise UnavailableError("scikit-learn is not installed", hint="pip install 'candidate[build]'") from error
    counts = {"positive": int(positive.sum()), "negative": int((~positive).sum())}
    for name, count in counts.items():
        if count < LEAST_ROWS[method]:
            raise InputError(
                f"{count} {name} rows, {method} is fitted on at least {LEAST_ROWS[method]} of each class",
                where="--data",
                hint="give more rows" if method == "platt" else "give more rows, or take --method platt",
            )
    by, expected = (_platt if method == "platt" else _isotonic)(scores, positive)
    return Fitted(by, expected, str(sklearn.__version__))


def _rises(slope: float) -> None:
    if not slope > 0:
        raise InputError(
            "the scores do not rise with the outcomes: no map of them makes probabilities",
            where="--data",
            hint="look whether the label of these rows means what it meant in training",
        )


def _platt(scores: Floats, positive: NDArray[np.bool_]) -> tuple[ScoreMap, Floats]:
    from sklearn.linear_model import LogisticRegression

    yes, no = int(positive.sum()), int((~positive).sum())
    odds = log_odds(scores).reshape(-1, 1)
    # Each row counts as positive by its smoothed target, and as negative by the rest of it.
    targets = np.where(positive, (yes + 1) / (yes + 2), 1 / (no + 2))
    model: Any = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    model.fit(
        np.concatenate([odds, odds]),
        np.repeat([True, False], len(odds)),
        sample_weight=np.concatenate([targets, 1.0 - targets]),
    )
    slope, offset = float(model.coef_[0, 0]), float(model.intercept_[0])
    _rises(slope)
    return ScoreMap(slope=slope, offset=offset), model.predict_proba(odds)[:, 1]


def _isotonic(scores: Floats, positive: NDArray[np.bool_]) -> tuple[ScoreMap, Floats]:
    from sklearn.isotonic import IsotonicRegression

    yes, no = int(positive.sum()), int((~positive).sum())
    # So many rows never prove a probability of 0 or 1, and one such row would have an endless log loss.
    low, high = 1 / (no + 2), (yes + 1) / (yes + 2)
    model: Any = IsotonicRegression(y_min=low, y_max=high, increasing=True, out_of_bounds="clip")
    model.fit(scores, positive.astype(np.float64))
    found = (model.X_thresholds_, model.y_thresholds_)
    knots, heights = (tuple(np.asarray(each, dtype=np.float64).tolist()) for each in found)
    _rises(heights[-1] - heights[0])
    expected: Floats = np.asarray(model.predict(scores), dtype=np.float64)
    return ScoreMap(knots=knots, heights=heights), expected


def mapped(by: ScoreMap, scores: Floats) -> Floats:
    """Return what a map makes of scores, shape (rows,), as the graph computes it."""
    if by.knots:
        return np.interp(scores, by.knots, by.heights)
    found: Floats = 1.0 / (1.0 + np.exp(-(by.slope * log_odds(scores) + by.offset)))
    return found


def steepest(by: ScoreMap, scores: Floats) -> float:
    """Return the largest slope of a map over the scores that occur."""
    if by.knots:
        gaps = np.diff(by.knots)
        slopes = np.divide(np.diff(by.heights), gaps, out=np.zeros_like(gaps), where=gaps > 0)
        return float(slopes.max(initial=0.0))
    clipped, after = np.clip(scores, CLIP, 1.0 - CLIP), mapped(by, scores)
    return float((by.slope * after * (1.0 - after) / (clipped * (1.0 - clipped))).max())
