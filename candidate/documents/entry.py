"""The registry's log: the genesis document and the entries that follow it."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from candidate.document import Digest, Document, Part
from candidate.documents.trust import Timestamp, TrustPolicy

Channel = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9-]{0,62}$")]
"""``MODEL/ENVIRONMENT``, for example ``late-flights/prod``."""

Action = Literal["promote", "rollback"]


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


class Move(Part):
    """One channel's pointer moving from one champion to the next."""

    channel: Channel
    from_: Annotated[Digest | None, Field(alias="from")]
    """Champion before; null when the channel was empty."""
    to: Artifact
    rollback: tuple[Artifact, ...]
    """Where to return to, nearest first; empty for a first release."""
    decision: Digest | None
    """Digest of the decision's attestation blob; null for a rollback."""
    preflight: tuple[Preflight, ...]


class Entry(Document):
    """One entry of the log. Order is ``sequence``; ``time`` only informs."""

    kind: Literal["candidate.entry"] = "candidate.entry"
    version: Literal[1] = 1
    registry: str
    sequence: Annotated[int, Field(ge=1)]
    previous: Digest
    """Digest of the exact bytes of the entry before, or of the genesis document."""
    time: Timestamp
    action: Action
    moves: Annotated[tuple[Move, ...], Field(min_length=1)]
    reason: str
    idempotency: str
    """Equal for two attempts at the same thing."""
