"""Answers of the commands that look after a registry."""

from typing import Literal

from candidate.document import Digest, Document, Part
from candidate.documents.evidence import BundleRef
from candidate.documents.results import HistoryEntry

Role = Literal["champion", "rollback target", "quarantined", "former"]
Depth = Literal["log", "live", "all"]
"""How far to look: the log alone; also what champions, ways back and decisions need; also every other blob."""


class Damage(Part):
    """Something in a registry that is not as it should be."""

    severity: Literal["damage", "notice"]
    """``damage`` is in the way of a promotion or a rollback, or will be; a ``notice`` is not."""
    where: str
    """Log entry, digest or file."""
    what: str
    hint: str


class Fsck(Document):
    """What was looked at in a registry, and what was found."""

    kind: Literal["candidate.fsck"] = "candidate.fsck"
    version: Literal[1] = 1
    registry: str
    depth: Depth
    head: int
    """Number of the last entry up to which the log is sound."""
    head_digest: Digest
    entries: int
    """Entries that there are."""
    blobs: int
    """Blobs that were read to their end."""
    bytes: int
    replayed: int
    """Champions and rollback targets that were verified, loaded and replayed."""
    findings: tuple[Damage, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged."""
        return all(found.severity == "notice" for found in self.findings)


class Collected(Document):
    """What the garbage collection did, or would do."""

    kind: Literal["candidate.gc"] = "candidate.gc"
    version: Literal[1] = 1
    registry: str
    dry_run: bool
    live: int
    """Blobs that a champion, a way back or a decision needs."""
    young: int
    """Blobs that nothing needs, kept because they are younger than the grace."""
    trashed: tuple[Digest, ...]
    """Moved out of the way; still readable until they are deleted."""
    restored: tuple[Digest, ...]
    """Put back, because something needs them again."""
    deleted: tuple[Digest, ...]
    """Deleted for good: they had waited in the trash for the grace."""
    waiting: int
    """Blobs in the trash that will be deleted later."""
    freed_bytes: int


class Copied(Document):
    """What a mirror received, or what was mended from one."""

    kind: Literal["candidate.copied"] = "candidate.copied"
    version: Literal[1] = 1
    action: Literal["mirror", "repair"]
    registry: str
    source: str
    target: str
    entries: int
    """Log entries that were written."""
    blobs: int
    """Blobs that were written."""
    set_aside: tuple[str, ...]
    """Broken files, now under ``quarantine/``."""
    head: int
    left: tuple[Damage, ...]
    """What could not be mended."""


class Standing(Part):
    """What a bundle is to a channel now."""

    channel: str
    role: Role


class Why(Document):
    """All that a registry's log says of one bundle."""

    kind: Literal["candidate.why"] = "candidate.why"
    version: Literal[1] = 1
    registry: str
    bundle: BundleRef | None
    """Null where the log knows no more than its digest."""
    about: Digest
    """Its identity."""
    standings: tuple[Standing, ...]
    events: tuple[HistoryEntry, ...]
    """Oldest first: what moved to it, away from it, or was said of it."""
