"""What a self-test of the gate found: faults that were planted, and how many of them were caught."""

from typing import Annotated, Literal

from pydantic import Field

from candidate.document import Digest, Document, Part
from candidate.documents.evidence import BundleRef


class Trial(Part):
    """One kind of fault, planted again and again; or equal models, of which nothing may be said."""

    name: str
    """A stable code, for example ``slice-regression``."""
    planted: str
    """What was done to scores, labels, facts or bytes."""
    counts: str
    """What counts as caught; for equal models, as a false alarm."""
    runs: Annotated[int, Field(ge=1)]
    caught: Annotated[int, Field(ge=0)]
    lower: float
    """Lower bound of the rate (Clopper-Pearson), one-sided at 5 %."""
    upper: float
    """Upper bound of the rate, one-sided at 5 %."""
    promise: str
    held: bool
    """Whether the promise was kept; of a rate that is promised, whether it is not proven broken."""
    example: str
    """What the gate said of the last of them, in its own words."""


class SelfTest(Document):
    """The whole gate, held against faults that somebody planted."""

    kind: Literal["candidate.selftest"] = "candidate.selftest"
    version: Literal[1] = 1
    source: Literal["made-up rows", "given rows"]
    bundle: BundleRef | None
    """Whose scores the faults were planted in; null for made-up rows."""
    policy: Digest
    data: Digest | None
    """Of the file; null for made-up rows, which follow from the seed."""
    rows: int
    units: int
    seed: int
    candidate: str
    """Version of this program."""
    trials: Annotated[tuple[Trial, ...], Field(min_length=1)]
    not_tested: tuple[str, ...]
    """What the gate cannot catch, or could not be tried here, and why."""

    @property
    def held(self) -> bool:
        """Whether every promise was kept."""
        return all(trial.held for trial in self.trials)
