"""How a graph compares with the estimator that it was made from, row by row."""

import warnings
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.adapters.runtime import Session
from candidate.documents.manifest import ModelSignature, Parity
from candidate.errors import InputError

TOLERANCE = 1e-5
"""Largest difference of a probability that counts as equal; 32-bit arithmetic alone stays well below."""
MAX_MISMATCH = 0.001
"""Largest share of rows that may differ by more."""


def expected_of(
    estimator: Any, table: Any, features: list[str], *, scored: bool
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the estimator's labels, shape (rows,), and probabilities or values, shape (rows, columns)."""
    frame = table.select(features).to_pandas()
    if scored and hasattr(estimator, "predict") and not hasattr(estimator, "predict_proba"):
        raise InputError(
            "the model gives no probabilities",
            where="[model] source",
            hint="put CalibratedClassifierCV around its last step, inside the pipeline",
        )
    from joblib import parallel_config

    try:
        # One after the other: a forest whose trees are added up as they finish answers another last bit each time.
        with warnings.catch_warnings(), parallel_config(backend="sequential"):
            # Fitted on bare arrays: the features are then taken in the order in which they are listed.
            warnings.filterwarnings("ignore", message="X has feature names")
            labels = np.asarray(estimator.predict(frame))
            scores = np.asarray(estimator.predict_proba(frame) if scored else labels.reshape(len(frame), -1))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            f"the model fails on its training rows: {str(error)[:300]}",
            where="[model] source",
            hint="is it fitted, on the columns that [data] features names?",
        ) from error
    return labels.reshape(len(frame), -1)[:, 0], scores.astype(np.float64)


def compare(
    session: Session,
    signature: ModelSignature,
    table: Any,
    expected: tuple[NDArray[Any], NDArray[np.float64]],
    bits: Literal[32, 64],
) -> Parity:
    """Return how a loaded graph differs from what the estimator answers for the same rows."""
    outputs = session.run(dataset.feeds(table.combine_chunks(), signature.inputs, where="training rows"))
    labels, scores = expected
    found = np.asarray(outputs[signature.score_output or signature.label_output], dtype=np.float64)
    difference = np.abs(found.reshape(scores.shape) - scores).max(axis=1)
    if signature.score_output is None:
        flips = np.zeros(len(labels), dtype=bool)
        difference = difference / np.maximum(1.0, np.abs(scores).max(axis=1))
    else:
        top = np.sort(scores, axis=1)
        tied = top[:, -1] - top[:, -2] <= TOLERANCE  # a tie has no right answer to flip
        answers = np.asarray(outputs[signature.label_output]).reshape(-1)
        flips = (answers.astype(labels.dtype) != labels) & ~tied
    mismatches = int(((difference > TOLERANCE) | flips | ~np.isfinite(difference)).sum())
    return Parity(
        rows=len(labels),
        float_bits=bits,
        # Three digits: the rest is noise of whichever library adds up in whichever order, and no two builds' the same.
        max_difference=float(f"{np.nan_to_num(difference, nan=1e300, posinf=1e300).max():.3g}"),
        label_flips=int(flips.sum()),
        mismatches=mismatches,
        tolerance=TOLERANCE,
    )
