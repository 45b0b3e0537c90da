"""The registry's log: the genesis document and the entries that follow it."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from candidate.document import Digest, Document, Grown, Part
from candidate.documents.names import MOVING, Action
from candidate.documents.trust import Timestamp, TrustPolicy

Channel = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9-]{0,62}$")]
"""``MODEL/ENVIRONMENT``, for example ``late-flights/prod``."""


class Genesis(Document):
    """``registry.json``: written once; the first log entry chains to its digest."""

    kind: Literal["candidate.registry"] = "candidate.registry"
    version: Literal[1] = 1
    registry: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    """Random identity of this registry."""
    created: Timestamp
    trust: TrustPolicy


class Artifact(Part):
    """Where the bytes of a bundle are: its content manifest and the index that it came with."""

    bundle: Digest
    """Digest of the content manifest: the bundle's identity."""
    index: Digest
    """Digest of ``index.json``, which names the manifest and its attestations."""
    name: str
    version: str


class Preflight(Part):
    """That a rollback target was verified, loaded and replayed before the entry was written."""

    bundle: Digest
    rows: int
    max_difference: float


class Move(Grown):
    """One channel's pointer moving from one champion to the next."""

    later: ClassVar[tuple[str, ...]] = ("override",)

    channel: Channel
    from_: Annotated[Digest | None, Field(alias="from")]
    """Champion before; null when the channel was empty."""
    to: Artifact
    rollback: tuple[Artifact, ...]
    """Where to return to, nearest first, the nearest eight of it; empty for a first release."""
    decision: Digest | None
    """Digest of the decision's attestation blob; null for a rollback."""
    preflight: tuple[Preflight, ...]
    override: Digest | None = None
    """Digest of the override that stood in for a go; null where the decision was one."""


class Mark(Part):
    """What a hold or a quarantine is about."""

    channel: Channel
    bundle: Digest | None
    """The bundle that is kept off the channel, or let on again; null for a hold."""
    until: Timestamp | None
    """When a hold ends by itself; null if only ``unhold`` ends it, and for everything else."""


class Entry(Grown, Document):
    """One entry of the log. Order is ``sequence``; ``time`` only informs."""

    later: ClassVar[tuple[str, ...]] = ("marks",)

    kind: Literal["candidate.entry"] = "candidate.entry"
    version: Literal[1] = 1
    registry: str
    sequence: Annotated[int, Field(ge=1)]
    previous: Digest
    """Digest of the exact bytes of the entry before, or of the genesis document."""
    time: Timestamp
    action: Action
    moves: tuple[Move, ...]
    """Of a promotion or a rollback; one entry may move several channels."""
    marks: tuple[Mark, ...] = ()
    """Of every other action."""
    reason: str
    idempotency: str
    """Equal for two attempts at the same thing."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> "Entry":
        wanted, other = (self.moves, self.marks) if self.action in MOVING else (self.marks, self.moves)
        if not wanted or other:
            raise ValueError(f"a {self.action} has {'moves' if self.action in MOVING else 'marks'}, and nothing else")
        about = self.action in {"quarantine", "release"}
        if any((mark.bundle is not None) != about or (mark.until and self.action != "hold") for mark in self.marks):
            raise ValueError(f"these are not the marks of a {self.action}")
        return self
