"""A deploy slot: the state that a host keeps of the bundle it serves."""

from typing import Annotated, Literal

from pydantic import Field

from candidate.document import Digest, Document, Part
from candidate.documents.entry import Channel
from candidate.documents.evidence import BundleRef
from candidate.documents.trust import Timestamp


class Seen(Part):
    """The newest entry of the log that this host has seen: it never follows a log that does not have it."""

    sequence: Annotated[int, Field(ge=0)]
    digest: Digest


class Installed(Part):
    """A release on this host."""

    bundle: BundleRef
    sequence: int
    """Log entry that made it champion."""


class SlotState(Document):
    """``state.0`` and ``state.1``: what this host serves, whether it is on trial, and where it falls back to."""

    kind: Literal["candidate.slot"] = "candidate.slot"
    version: Literal[1] = 1
    generation: Annotated[int, Field(ge=1)]
    """Counts writes; of the two copies the newer whole one is believed."""
    registry: str
    genesis: Digest
    """Of the registry's ``registry.json``, pinned when the slot was made."""
    channel: Channel
    active: Installed | None
    """What is served; null before the first sync."""
    tries_left: Annotated[int, Field(ge=0)] | None
    """Starts that a release on trial has left; null for one that was marked good."""
    good: tuple[Installed, ...]
    """Releases that were marked good, newest first; the first other than the active one is what it falls back to."""
    failed: tuple[Installed, ...]
    """Releases that fell back on this host; only a newer entry of the log brings one back."""
    seen: Seen
    synced: Timestamp
    """When the registry was last followed."""


class SlotStatus(Document):
    """What a host serves, and what it would fall back to."""

    kind: Literal["candidate.slot-status"] = "candidate.slot-status"
    version: Literal[1] = 1
    channel: str
    active: BundleRef | None
    path: str | None
    """Folder of the active release, its name resolved."""
    on_trial: bool
    """Whether nobody marked it good yet."""
    tries_left: int | None
    fallback: BundleRef | None
    failed: tuple[BundleRef, ...]
    sequence: int
    """Newest log entry that was followed."""
    synced: str
    stale: bool
    """Whether the registry was not followed for longer than it should be; serving goes on."""


class Synced(Document):
    """A slot followed its channel."""

    kind: Literal["candidate.synced"] = "candidate.synced"
    version: Literal[1] = 1
    channel: str
    before: BundleRef | None
    active: BundleRef
    path: str
    already: bool
    """Whether it served the champion before, and nothing was installed."""
    on_trial: bool
    fallback: BundleRef | None
    sequence: int


class Started(Document):
    """What to serve now."""

    kind: Literal["candidate.started"] = "candidate.started"
    version: Literal[1] = 1
    active: BundleRef
    path: str
    on_trial: bool
    tries_left: int | None
    fell_back: bool
    """Whether this start gave up a release on trial and returned to one that was good."""
