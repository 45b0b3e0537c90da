"""How a graph compares with the estimator that it was made from, row by row."""

import warnings
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.adapters.runtime import Session
from candidate.documents.manifest import ModelSignature, Parity
from candidate.errors import InputError
from candidate.flows.proving.tasks import Meaning, answers_of, distances, flipped, found_in

TOLERANCE = 1e-5
"""Largest difference of a probability that counts as equal; 32-bit arithmetic alone stays well below."""
MAX_MISMATCH = 0.001
"""Largest share of rows that may differ by more."""


def expected_of(
    estimator: Any, table: Any, features: list[str], meaning: Meaning
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the estimator's labels and its scores or values, as ``answers_of`` says."""
    frame = table.select(features).to_pandas()
    if meaning.classes and not hasattr(estimator, "predict_proba"):
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
            warnings.filterwarnings("ignore", message="X (has|does not have valid) feature names")
            return answers_of(estimator, frame, meaning)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            f"the model fails on its training rows: {str(error)[:300]}",
            where="[model] source",
            hint="is it fitted, on the columns that [data] features names?",
        ) from error


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
    difference = distances(signature, found_in(signature, outputs), scores)
    flips = flipped(signature, outputs, labels, scores, TOLERANCE)
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
