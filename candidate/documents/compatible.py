"""Whether callers of one bundle can call another: the answer to ``candidate show A --against B``."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from candidate.document import Document, Part
from candidate.documents.evidence import BundleRef

Effect = Literal["compatible", "widened", "breaking"]
EFFECTS: tuple[Effect, ...] = ("compatible", "widened", "breaking")
"""From the best to the worst."""
Callers = Literal["all", "records", "tensors"]


class FieldChange(Part):
    """One thing that the newer bundle takes or answers otherwise."""

    side: Literal["input", "output"]
    field: str
    """Name of the feature or of the output; ``*`` for the record as a whole."""
    what: str
    """A keyword of JSON Schema, or a field of the model signature."""
    from_: Annotated[JsonValue, Field(alias="from")]
    """As the older bundle has it; null where it has nothing."""
    to: JsonValue
    """As the newer bundle has it; null where it has nothing."""
    records: Effect
    """For callers that send and read JSON records by name."""
    tensors: Effect
    """For callers that feed and fetch the graph's tensors themselves."""
    why: str

    @property
    def effect(self) -> Effect:
        """The worse of the two."""
        return worst(self.records, self.tensors)


class Compatibility(Document):
    """Whether what calls one bundle can call another in its place."""

    kind: Literal["candidate.compatibility"] = "candidate.compatibility"
    version: Literal[1] = 1
    bundle: BundleRef
    """The newer one, which would be called."""
    against: BundleRef
    """The older one, which the callers were written for."""
    verdict: Effect
    """The worst of both kinds of callers."""
    records: Effect
    tensors: Effect
    changes: tuple[FieldChange, ...]
    """Every difference, those that change nothing for callers included; sorted by side and field."""


def worst(*effects: Effect) -> Effect:
    """Return the worst of these effects; of none, that nothing changed."""
    return EFFECTS[max((EFFECTS.index(effect) for effect in effects), default=0)]


def fulfils(found: Compatibility, required: Effect, callers: Callers = "all") -> bool:
    """Whether the verdict for some callers, or for all, is no worse than what is required."""
    verdict = {"all": found.verdict, "records": found.records, "tensors": found.tensors}[callers]
    return EFFECTS.index(verdict) <= EFFECTS.index(required)
