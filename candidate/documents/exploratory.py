"""What another policy would have said of the same evidence: for thinking, never for promoting."""

from typing import Annotated, Literal

from pydantic import Field

from candidate.document import Digest, Document
from candidate.documents.decision import ChecklistItem, Finding, Outcome, Risks


class Exploratory(Document):
    """A verdict under a policy that was written after the rows were seen.

    It is no decision: it names no channel, nobody signs it, and it is never a go, or policies would be shopped for.
    """

    kind: Literal["candidate.exploratory"] = "candidate.exploratory"
    version: Literal[1] = 1
    would_be: Outcome
    """What the verdict would have been, had this policy been fixed before the run."""
    was: Outcome
    """What the decision says."""
    decision: Digest
    """Digest of the decision's canonical bytes."""
    evidence: Digest
    policy: Digest
    """The other policy's."""
    not_measured: tuple[str, ...]
    """What the policy asks for and the evidence does not hold; the findings about it are open."""
    findings: tuple[Finding, ...]
    checklist: Annotated[tuple[ChecklistItem, ...], Field(min_length=9, max_length=9)]
    risks: Risks
