"""What the commands answer: one document each, printed as JSON or told as text."""

from typing import Annotated, Literal

from pydantic import Field

from candidate.document import Digest, Document, Part
from candidate.documents.decision import Estimate
from candidate.documents.evidence import BundleRef, DataFacts, Replay
from candidate.documents.manifest import BundleManifest, ExperimentRecord, MemberFile, ModelSignature, Parity
from candidate.documents.names import Action
from candidate.documents.publickey import Algorithm


class Built(Document):
    """A bundle was built."""

    kind: Literal["candidate.built"] = "candidate.built"
    version: Literal[1] = 1
    bundle: BundleRef
    path: str
    file_digest: Digest
    size_bytes: int
    parity: Parity | None
    attested: bool


class BundleView(Document):
    """A bundle, as it says of itself; nothing of it was verified beyond its own digests."""

    kind: Literal["candidate.bundle"] = "candidate.bundle"
    version: Literal[1] = 1
    bundle: BundleRef
    manifest: BundleManifest
    signature: ModelSignature
    experiment: ExperimentRecord
    size_bytes: int
    attestations: tuple[str, ...]
    """Predicate types of the attestations inside; who made them was not checked."""


class Unpacked(Document):
    """The members of a bundle were written to a folder."""

    kind: Literal["candidate.unpacked"] = "candidate.unpacked"
    version: Literal[1] = 1
    bundle: BundleRef
    folder: str
    files: tuple[MemberFile, ...]


class Pushed(Document):
    """A bundle is in a registry."""

    kind: Literal["candidate.pushed"] = "candidate.pushed"
    version: Literal[1] = 1
    bundle: BundleRef
    reference: str
    """``HOST/NAME:TAG@DIGEST``: what to pull."""
    sent: int
    """Blobs that were sent."""
    already: int
    """Blobs that were there before."""
    attestations: int
    referrers: Literal["api", "tag", "none"]
    """How the registry lists the attestations: by its own account, in the index that stands in for one, or not."""


class Pulled(Document):
    """A bundle was fetched from a registry."""

    kind: Literal["candidate.pulled"] = "candidate.pulled"
    version: Literal[1] = 1
    bundle: BundleRef
    reference: str
    path: str
    file_digest: Digest
    size_bytes: int
    attestations: int
    released: bool
    """Whether a release attestation is among them; ``verified`` says whether a trusted key made it."""
    ignored: int
    """Referrers that are no attestations of ours, and were left in the registry."""
    verified: bool
    already: bool
    """Whether the very same file was there before."""


class Imported(Document):
    """A bundle was found in a foreign layout and written in its canonical form; nobody checked who made it."""

    kind: Literal["candidate.imported"] = "candidate.imported"
    version: Literal[1] = 1
    bundle: BundleRef
    source: str
    path: str
    file_digest: Digest
    size_bytes: int
    attestations: int
    released: bool
    """Whether a release attestation survived the way; without one verification refuses the bundle."""
    ignored: int
    """Manifests about the bundle that are no attestations of ours, and were left out."""
    already: bool
    """Whether the very same file was there before."""


class Check(Part):
    """One step of a verification."""

    name: str
    """A stable code, for example ``attestation``."""
    status: Literal["pass", "skipped"]
    """There is no ``fail``: the first failure is an error, not an answer."""
    detail: str


class Verification(Document):
    """A bundle was verified."""

    kind: Literal["candidate.verification"] = "candidate.verification"
    version: Literal[1] = 1
    bundle: BundleRef
    checks: tuple[Check, ...]
    """In the order they were made."""
    key_id: str
    """The builder's key that the release attestation held under."""
    decision: Digest | None
    """Digest of the signed go that was checked; null when none was asked for."""
    replay: Replay | None
    """Null when the golden inputs were not run."""


class Predicted(Document):
    """Rows were predicted."""

    kind: Literal["candidate.predicted"] = "candidate.predicted"
    version: Literal[1] = 1
    bundle: BundleRef
    rows: int
    path: str | None
    attested: bool


class KeyInfo(Document):
    """A key."""

    kind: Literal["candidate.key"] = "candidate.key"
    version: Literal[1] = 1
    key_id: str
    """sha256 of the public key's SPKI PEM, in hexadecimal."""
    public_key: str
    """SPKI PEM."""
    algorithm: Algorithm
    model_signing: bool
    """Whether OpenSSF's model_signing reads signatures of this key: it knows elliptic curves alone."""
    files: tuple[str, ...]


class Written(Document):
    """Files were written to start from."""

    kind: Literal["candidate.written"] = "candidate.written"
    version: Literal[1] = 1
    files: tuple[str, ...]


class SliceMetrics(Part):
    """The metrics of one slice."""

    slice: str
    rows: int
    metrics: dict[str, Estimate]


class Evaluation(Document):
    """One bundle on some rows."""

    kind: Literal["candidate.evaluation"] = "candidate.evaluation"
    version: Literal[1] = 1
    bundle: BundleRef
    data: DataFacts
    alpha: float
    slices: tuple[SliceMetrics, ...]
    """The first is ``overall``."""
    calibration: Estimate | None
    """Root-mean-square calibration error, the bias of finite bins taken out; of several classes, the largest."""
    definitions: dict[str, str]


class HoldStatus(Part):
    """That nothing is promoted to a channel for now."""

    sequence: int
    """Log entry that says so."""
    reason: str
    until: str | None
    """When it ends by itself."""


class ChannelStatus(Part):
    """Who is champion of a channel, and where a rollback would return to."""

    channel: str
    champion: BundleRef | None
    """Null where nothing was promoted yet."""
    since: str
    sequence: int
    """Log entry that made it champion."""
    action: Action | None
    reason: str
    by: str | None
    """Id of the key that signed the entry."""
    rollback_target: BundleRef | None
    rollback_chain: tuple[BundleRef, ...]
    quarantined: tuple[Digest, ...]
    hold: HoldStatus | None


class Status(Document):
    """What a registry's log says."""

    kind: Literal["candidate.status"] = "candidate.status"
    version: Literal[1] = 1
    registry: str
    head: int
    """Number of the last log entry."""
    head_digest: Digest
    channels: tuple[ChannelStatus, ...]


class HistoryEntry(Part):
    """What one entry of the log says of one channel."""

    sequence: int
    time: str
    action: Action
    channel: str
    from_: Annotated[BundleRef | None, Field(alias="from")]
    """Champion before; null for a first release, and where nothing moved."""
    to: BundleRef | None
    """Champion after; null where nothing moved."""
    bundle: Digest | None
    """The bundle that it is about; null for a hold."""
    until: str | None
    """When a hold ends by itself."""
    reason: str
    by: str
    decision: Digest | None
    digest: Digest
    """Digest of the entry's bytes."""
    override: Digest | None = None
    """The override that stood in for a go."""


class History(Document):
    """Every promotion, rollback, hold and quarantine, oldest first."""

    kind: Literal["candidate.history"] = "candidate.history"
    version: Literal[1] = 1
    registry: str
    entries: tuple[HistoryEntry, ...]


class Moved(Document):
    """A channel's champion was moved, or was there already."""

    kind: Literal["candidate.moved"] = "candidate.moved"
    version: Literal[1] = 1
    action: Action
    channel: str
    from_: Annotated[BundleRef | None, Field(alias="from")]
    to: BundleRef
    rollback_target: BundleRef | None
    sequence: int
    already: bool
    """Whether it was so before, and nothing was written."""
    skipped: tuple[str, ...]
    """Rollback targets that could not be verified, loaded or replayed, and why."""
    dry_run: bool = False
    """Whether it was only tried: nothing was written."""
    override: Digest | None = None
    """The override that stood in for a go."""


class Marked(Document):
    """A channel was held, a bundle put under quarantine, or one of these ended; or it was so already."""

    kind: Literal["candidate.marked"] = "candidate.marked"
    version: Literal[1] = 1
    action: Action
    channel: str
    bundle: Digest | None
    until: str | None
    reason: str
    sequence: int
    """Log entry that says so; 0 where none had to."""
    already: bool
    """Whether it was so before, and nothing was written."""
    dry_run: bool
    """Whether it was only tried: nothing was written."""


class AttachedItem(Part):
    """One attestation of a bundle."""

    predicate_type: str
    digest: Digest
    """Of the attestation's bytes."""
    key_id: str
    """Whose signature it says it carries; it was checked only if a trust policy was given."""
    already: bool
    """Whether the bundle carried it before."""


class Attached(Document):
    """Attestations were put into a bundle, which is still the same bundle."""

    kind: Literal["candidate.attached"] = "candidate.attached"
    version: Literal[1] = 1
    bundle: BundleRef
    path: str
    attestations: tuple[AttachedItem, ...]
    """Those that were asked for, each once."""
    checked: bool
    """Whether each was held against a trust policy."""
    size_bytes: int


class Reproduced(Document):
    """A bundle was built again, and came out the same."""

    kind: Literal["candidate.reproduction"] = "candidate.reproduction"
    version: Literal[1] = 1
    bundle: BundleRef
    members: int
    """Members that were built again, each equal in every byte."""
    environment: Digest
    """Of the environment lock."""
    attestation: Digest | None
    """Of the signed ``reproduced`` attestation; null when no key was given."""
    path: str | None
    """Where that attestation is: the bundle, or a file of its own."""
