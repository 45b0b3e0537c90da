"""What ``candidate diagnose`` answers: where the loss is, and what would reduce it."""

from typing import Annotated, Literal

from pydantic import Field

from candidate.document import Digest, Document, Part
from candidate.documents.evidence import BundleRef

Reading = Literal["bias", "variance", "neither", "unknown"]


class MeanLoss(Part):
    """A mean loss with a two-sided interval (Student's t over rows)."""

    value: float
    lower: float
    upper: float
    rows: int


class ErrorGroup(Part):
    """Rows that are alike, and lose more than the others."""

    name: str
    """``column=value``, joined by ``and``."""
    rows: int
    share_of_rows: float
    share_of_loss: float
    mean_loss: float
    reducible: float
    """Share of all loss that would go if these rows lost no more than all others."""
    reducible_at_least: float
    """One-sided lower bound of it (Welch's t)."""


class Cause(Part):
    """A cause that people wrote into the sheet of errors."""

    name: str
    count: int
    share: float
    lower: float
    """Bounds of the share among the annotated (Clopper-Pearson), each one-sided at 5 %."""
    upper: float


class Control(Part):
    """An experiment of which the outcome is known if all is well."""

    name: Literal["labels shuffled", "answers differ", "weights finite", "answers finite"]
    found: float
    expected: str
    passed: bool


class Diagnosis(Document):
    """Where a model loses on eyeball rows. None of it is evidence: a gate looks at other rows."""

    kind: Literal["candidate.diagnosis"] = "candidate.diagnosis"
    version: Literal[1] = 1
    bundle: BundleRef
    data: Digest
    loss: Literal["log loss", "absolute error"]
    unit: str
    eyeball: MeanLoss
    train: MeanLoss | None
    """On the training rows, where they were given."""
    zero_rule: float
    """Mean loss of always answering what is commonest, or the median, on the eyeball rows."""
    reading: Reading
    says: Annotated[str, Field(min_length=1)]
    """The reading as a sentence, with what to do next."""
    groups: tuple[ErrorGroup, ...]
    """Largest reducible share first; none overlaps one before it by more than half."""
    looked_at: int
    """Groups that were looked at: what is said of one is corrected for all of them (Holm)."""
    controls: tuple[Control, ...]
    errors: int | None
    """Rows answered wrong; null for numbers."""
    sheet: str | None
    """File with the errors to annotate."""
    annotated: int | None
    """Rows of the sheet with a cause."""
    causes: tuple[Cause, ...]
