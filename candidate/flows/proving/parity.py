"""How a graph compares with the estimator that it was made from, row by row."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.adapters.runtime import Session
from candidate.documents.manifest import ModelSignature
from candidate.errors import InputError
from candidate.flows.proving.tasks import Meaning, answers_of, distances, flipped, found_in

TOLERANCE = 1e-5
"""Largest difference of a probability that counts as equal; 32-bit arithmetic alone stays well below."""
MAX_MISMATCH = 0.001
"""Largest share of rows that may differ by more."""
CONFIDENCE = 0.95
FAILURES = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What an estimator raises at rows that it does not take."""
Expected = tuple[NDArray[Any], NDArray[np.float64]]


@dataclass(frozen=True)
class Difference:
    """How the graph's answers for some rows differ from the estimator's.

    Attributes:
        distance: how far off each row is, shape (rows,).
        flips: whether its label is another one, shape (rows,).
    """

    distance: NDArray[np.float64]
    flips: NDArray[np.bool_]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.flips)

    @property
    def off(self) -> NDArray[np.bool_]:
        """Rows that differ by more than the tolerance, or in their label, shape (rows,)."""
        return (self.distance > TOLERANCE) | self.flips | ~np.isfinite(self.distance)

    @property
    def mismatches(self) -> int:
        """Number of rows that differ."""
        return int(self.off.sum())

    @property
    def label_flips(self) -> int:
        """Number of rows whose label differs, ties left out."""
        return int(self.flips.sum())

    @property
    def largest(self) -> float:
        """Largest difference. Three digits: the rest is noise of whichever library adds up in whichever order."""
        return float(f"{np.nan_to_num(self.distance, nan=1e300, posinf=1e300).max(initial=0.0):.3g}")


@contextmanager
def quietly() -> Iterator[None]:
    """Let an estimator answer one row after the other, and without what it says of names.

    A forest whose trees are added up as they finish answers another last bit each time, and so does
    a product of matrices that is shared out among as many threads as a machine happens to have.
    """
    from joblib import parallel_config
    from threadpoolctl import threadpool_limits

    with warnings.catch_warnings(), parallel_config(backend="sequential"), threadpool_limits(1):
        # Fitted on bare arrays: the features are then taken in the order in which they are listed.
        warnings.filterwarnings("ignore", message="X (has|does not have valid) feature names")
        yield


def answers(estimator: Any, table: Any, features: list[str], meaning: Meaning) -> Expected:
    """Return what an estimator answers for made rows, as ``answers_of`` says; it may raise one of ``FAILURES``."""
    with quietly(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of words never seen, of values that overflow: that is what they are made for
        return answers_of(estimator, table.select(features).to_pandas(), meaning)


def expected_of(estimator: Any, table: Any, features: list[str], meaning: Meaning) -> Expected:
    """Return the estimator's labels and its scores or values, as ``answers_of`` says."""
    frame = table.select(features).to_pandas()
    if meaning.classes and not hasattr(estimator, "predict_proba"):
        raise InputError(
            "the model gives no probabilities",
            where="[model] source",
            hint="put CalibratedClassifierCV around its last step, inside the pipeline",
        )
    try:
        with quietly():
            return answers_of(estimator, frame, meaning)
    except FAILURES as error:
        raise InputError(
            f"the model fails on its training rows: {str(error)[:300]}",
            where="[model] source",
            hint="is it fitted, on the columns that [data] features names?",
        ) from error


def compare(session: Session, signature: ModelSignature, table: Any, expected: Expected) -> Difference:
    """Return how a loaded graph differs from what the estimator answers for the same rows."""
    outputs = session.run(dataset.feeds(table.combine_chunks(), signature.inputs, where="training rows"))
    labels, scores = expected
    return Difference(
        distances(signature, found_in(signature, outputs), scores),
        flipped(signature, outputs, labels, scores, TOLERANCE),
    )


def at_most(count: int, rows: int) -> float:
    """Return the upper one-sided 95 % confidence bound of a share, to three significant digits, rounded up.

    Source: Clopper and Pearson 1934: the share at which so few are as unlikely as 1 in 20.
    """
    from scipy.stats import beta

    if count >= rows:
        return 1.0
    exact = float(beta.ppf(CONFIDENCE, count + 1, rows - count))
    unit = 10.0 ** (math.floor(math.log10(exact)) - 2)
    return min(1.0, float(f"{math.ceil(exact / unit * (1 - 1e-12)) * unit:.3g}"))
