"""Fit, build, and compare with the estimator on fuzzed rows: the outcome for one class that the converter supports."""

import tempfile
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from candidate.adapters.archive import Archive
from candidate.documents.results import Built
from candidate.documents.spec import BuildSpec
from candidate.errors import CandidateError
from candidate.flows.building import build
from candidate.flows.serving import Model
from candidate.flows.verifying import inspect
from tests.breadth.recipes import LABEL, Recipe, recipe

TOLERANCE = 1e-5
SPEC = """
[bundle]
name = "breadth"
version = "1"
[model]
source = "memory:model"
[data]
train = "rows.parquet"
features = {features}
{label}
"""


@dataclass(frozen=True)
class Outcome:
    """What became of one class."""

    name: str
    outcome: str
    """``32 bits``, ``64 bits``, ``another model`` (refused: the graph is not the model), ``no conversion``."""
    difference: float
    """Largest difference on fuzzed rows, relative where values are beyond 1."""
    off: int
    """Fuzzed rows beyond the tolerance."""
    note: str


def fuzzed(rows: pd.DataFrame, count: int, seed: int = 11) -> pd.DataFrame:
    """Rows whose columns were drawn independently of each other from those of training."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({name: rows[name].to_numpy()[rng.integers(0, len(rows), count)] for name in rows.columns})


def fitted(plan: Recipe) -> tuple[Any, pd.DataFrame, Any]:
    """The estimator, fitted, with its rows and labels."""
    rows, target = plan.rows()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = plan.make()
        estimator.fit(rows, target)
    return estimator, rows, target


def expected(estimator: Any, rows: pd.DataFrame) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    """What scikit-learn answers, written without a look at how the package does it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not hasattr(estimator, "predict"):
            found = estimator.transform(rows)
            return np.asarray(found.toarray() if hasattr(found, "toarray") else found), None
        labels = np.asarray(estimator.predict(rows))
        if hasattr(estimator, "predict_proba") and hasattr(estimator, "classes_"):
            chances = estimator.predict_proba(rows)
            if isinstance(chances, list):
                return labels, np.stack([each[:, 1] for each in chances], axis=1)
            return labels, np.asarray(chances)
        if estimator.__sklearn_tags__().estimator_type == "outlier_detector":
            return labels, np.asarray(estimator.decision_function(rows))
    return labels, None


def compare(model: Model, estimator: Any, rows: pd.DataFrame) -> tuple[float, int]:
    """Return the largest difference, and how many rows differ by more than the tolerance or in their label."""
    found = model.predict(rows)
    labels, scores = expected(estimator, rows)
    numbers = found.predictions if scores is None else found.scores
    assert numbers is not None
    theirs = np.asarray(labels if scores is None else scores, dtype=np.float64).reshape(len(rows), -1)
    ours = np.asarray(numbers, dtype=np.float64).reshape(len(rows), -1)
    if ours.shape[1] == 1 and theirs.shape[1] == 2:
        theirs = theirs[:, 1:]
    scale = np.maximum(1.0, np.abs(theirs))
    if estimator.__sklearn_tags__().estimator_type == "outlier_detector":
        scale = np.maximum(1.0, np.abs(theirs).max())  # such a score is a difference of large sums
    apart = np.abs(ours - theirs) / scale
    difference = np.where(np.isnan(ours) & np.isnan(theirs), 0.0, apart).max(axis=1)
    wrong = ~(difference <= TOLERANCE)
    if scores is not None:
        flips = np.asarray(found.predictions).reshape(len(rows), -1) != labels.reshape(len(rows), -1)
        wrong |= flips.any(axis=1) & ~_tied(scores, estimator)
    return float(np.nan_to_num(difference, nan=np.inf).max()), int(wrong.sum())


def _tied(scores: np.ndarray[Any, Any], estimator: Any) -> np.ndarray[Any, Any]:
    """Rows whose label hangs on a tie of the scores, which has no right answer."""
    if scores.ndim == 1:
        return np.asarray(np.abs(scores) <= TOLERANCE)
    if getattr(estimator, "best_threshold_", None) is not None:
        return np.asarray(np.abs(scores[:, 1] - estimator.best_threshold_) <= TOLERANCE)
    if isinstance(getattr(estimator, "classes_", None), list) or getattr(estimator, "multilabel_", False):
        return np.asarray((np.abs(scores - 0.5) <= TOLERANCE).any(axis=1))
    top = np.sort(scores, axis=1)
    return np.asarray(top[:, -1] - top[:, -2] <= TOLERANCE)


def built(estimator: Any, rows: pd.DataFrame, target: Any, labels: tuple[str, ...], folder: Path) -> Built:
    """Build the bundle."""
    table = rows.copy()
    if labels:
        named = target if isinstance(target, pd.DataFrame) else pd.DataFrame({LABEL: np.asarray(target)})
        for name in labels:
            table[name] = named[name].to_numpy()
    table.to_parquet(folder / "rows.parquet", index=False)
    written = f"[{', '.join(map(repr, labels))}]" if len(labels) > 1 else repr(labels[0]) if labels else ""
    text = SPEC.format(features=[str(name) for name in rows.columns], label=f"label = {written}" if labels else "")
    return build(BuildSpec.from_toml(text, where="spec"), model=estimator, root=folder, out=folder)


def outcomes(kind: type, *, count: int) -> list[Outcome]:
    """Say what becomes of a class: with missing values where it takes them, and if that fails without them too.

    Args:
        kind: listed by the converter.
        count: how many fuzzed rows to compare on.
    """
    first = _outcome(kind, recipe(kind), count)
    if not recipe(kind).gaps:
        return [first]
    whole = _outcome(kind, recipe(kind, gaps=False), count)
    return [whole, replace(first, name=f"{first.name}, missing values")]


def _outcome(kind: type, plan: Recipe, count: int) -> Outcome:
    name = kind.__name__
    try:
        estimator, rows, target = fitted(plan)
    except (TypeError, ValueError, AttributeError) as error:
        return Outcome(name, "not rows", 0.0, 0, f"takes no table of rows: {' '.join(str(error).split())[:60]}")
    with tempfile.TemporaryDirectory() as home:
        try:
            made = built(estimator, rows, target, plan.labels, Path(home))
        except CandidateError as error:
            refused = "the graph is not the model" in error.message
            return Outcome(name, "another model" if refused else "no conversion", 0.0, 0, _phrase(error.message))
        with Archive.open(Path(made.path)) as archive:
            model = Model.of(inspect(archive))
            difference, off = compare(model, estimator, fuzzed(rows, count))
            bits = "64 bits" if any(t.dtype == "float64" for t in model.signature.inputs) else "32 bits"
    return Outcome(name, bits, difference, off, plan.note)


def _phrase(text: str) -> str:
    """The beginning of an error, on one line."""
    plain = " ".join(text.replace("|", "/").split())
    return plain if len(plain) <= 150 else f"{plain[:147]}..."
