"""That somebody may have an undecided challenger promoted all the same: who, why, which rules, until when."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from candidate.document import Digest, Document
from candidate.documents.entry import Channel
from candidate.documents.evidence import BundleRef
from candidate.documents.policy import Policy
from candidate.documents.trust import Timestamp

MAX_REASON = 2000


class Override(Document):
    """What an overrider signs. It never rewrites the verdict: whoever reads it reads the decision too."""

    kind: Literal["candidate.override"] = "candidate.override"
    version: Literal[1] = 1
    decision: Digest
    """Digest of the signed decision's bytes."""
    challenger: BundleRef
    registry: str
    channel: Channel
    rules: Annotated[tuple[str, ...], Field(min_length=1)]
    """Everything that a go lacked: rules with their slices, and lines of the checklist."""
    reason: Annotated[str, StringConstraints(min_length=1, max_length=MAX_REASON)]
    issued: Timestamp
    expires: Timestamp
    policy: Policy
    """The policy that was decided by, whole: it says what may be overridden, and its digest is the decision's."""
