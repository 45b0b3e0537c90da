"""What an audit answers: level by level, what it establishes and what it leaves open."""

from typing import Annotated, Literal

from pydantic import Field

from candidate.document import Digest, Document, Part
from candidate.documents.decision import Outcome


class AuditLevel(Part):
    """One level of an audit; each rests on more than the one before, and leaves less open."""

    level: Annotated[int, Field(ge=0, le=3)]
    name: str
    establishes: tuple[str, ...]
    does_not: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What is worth knowing and changes nothing: how far another processor's sums are off, for example."""


class Audit(Document):
    """What an audit established."""

    kind: Literal["candidate.audit"] = "candidate.audit"
    version: Literal[1] = 1
    outcome: Outcome
    decision: Digest
    """Digest of the decision's canonical bytes."""
    evidence: Digest
    policy: Digest
    levels: tuple[AuditLevel, ...]
    """The levels that were made, lowest first."""
    establishes: tuple[str, ...]
    """Of all levels."""
    does_not: tuple[str, ...]
    """What is open after the deepest of them."""
