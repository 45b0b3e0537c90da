"""What ``candidate skew`` answers: how what was served differs from what the model was judged on."""

from typing import Annotated, Literal

from pydantic import Field

from candidate.document import Digest, Document, Part
from candidate.documents.evidence import BundleRef

Held = Literal["pass", "fail", "open"]


class RowParity(Part):
    """Rows on which two ways to the same value disagree."""

    what: str
    """A feature, ``prediction`` or ``score``."""
    rows: int
    """Compared."""
    mismatches: int
    lower: float
    """Bounds of the share (Clopper-Pearson), each one-sided."""
    upper: float
    status: Held
    example: str
    """Where the first of them is, and both values; empty without any."""


class Shift(Part):
    """How far a column's values lie from those of the reference; distances of the same bins."""

    column: str
    kind: Literal["number", "category"]
    bins: int
    psi: float
    """Population stability index, in nats; half a row is added to each bin."""
    js: float
    """Jensen-Shannon distance: the root of the divergence, in bits; 0 to 1."""
    linf: float
    """Largest difference of a value's share."""
    ks: float | None
    """Kolmogorov-Smirnov: largest difference of the cumulated shares at the edges of the bins; of numbers."""
    wasserstein: float | None
    """Area between the cumulated shares, in standard deviations of the reference; of numbers."""
    missing_before: float
    """Share of missing values in the reference."""
    missing_after: float
    floor: float
    """The largest ``js`` between a stretch of the reference and the rest of it: what it does by itself."""
    p_value: float
    """That both have one distribution (chi-squared, of the bins with enough rows)."""
    shifted: bool
    """Proven among all columns (Holm), and beyond the floor."""


class SkewReport(Document):
    """Training-serving skew of a bundle, as far as a log of what was served shows it."""

    kind: Literal["candidate.skew"] = "candidate.skew"
    version: Literal[1] = 1
    bundle: BundleRef
    logged: Digest
    logged_rows: int
    """Rows in the log that this bundle answered, or that nobody says who answered."""
    other_rows: int
    """Rows in the log that another bundle answered; they are left out."""
    reference: Digest | None
    reference_rows: int
    joined_rows: int | None
    """Rows of the log that the reference has too; null where no ids were named."""
    alpha: float
    max_mismatch: float
    parity: tuple[RowParity, ...]
    """Of each feature, logged against recomputed; null rows where nothing was joined."""
    answers: tuple[RowParity, ...]
    """Of what was served, against this bundle on the logged features."""
    shifts: tuple[Shift, ...]
    outcome: Held
    """``fail``: a disagreement or a shift is proven; ``open``: too few rows to rule a disagreement out."""
    why: Annotated[str, Field(min_length=1)]
