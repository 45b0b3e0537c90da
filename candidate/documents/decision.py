"""What follows from the evidence: findings, the checklist, and the outcome they force."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from candidate.document import Digest, Document, Part
from candidate.documents.evidence import BundleRef, DataFacts
from candidate.documents.policy import CHECKLIST, ChecklistLine
from candidate.documents.trust import Timestamp

Outcome = Literal["go", "no-go", "inconclusive"]
Status = Literal["pass", "fail", "open", "blind"]
LineStatus = Literal["pass", "fail", "open", "absent"]

EXIT_CODES: dict[Outcome, int] = {"go": 0, "no-go": 3, "inconclusive": 4}


class Estimate(Part):
    """A measured value with its uncertainty."""

    value: float
    lower: float | None
    """One-sided lower confidence bound at the policy's alpha; null where there is none."""
    upper: float | None
    """One-sided upper confidence bound at the policy's alpha; null where there is none."""
    n: int
    """Number of observations."""
    units: int | None
    """Number of independent groups behind the interval: occupied buckets of units, or rounds of calls; null for an
    exact value."""
    unit: str
    """Unit of measurement of the value."""
    method: str


class Finding(Part):
    """One rule's answer."""

    rule: str
    """For example ``optimizing``, ``slices.guard[0]`` or ``satisficing[1]``."""
    line: ChecklistLine
    """The line of the checklist that it bears on."""
    metric: str
    slice: str | None = None
    status: Status
    blocks: bool
    """Whether a go needs this finding to pass."""
    estimate: Estimate | None = None
    """For paired metrics: the gain of the challenger, larger is better."""
    limit: float | None = None
    """What the bound was held against."""
    p_value: float | None = None
    """Of the claim that the rule is broken; the whole family is corrected by Holm's method."""
    n_needed: int | None = None
    """Rows at which this rule would be decided with the policy's power, if the effect is as seen."""
    why: str


class ChecklistItem(Part):
    """One of the nine lines of a model candidate."""

    number: Annotated[int, Field(ge=1, le=9)]
    line: ChecklistLine
    claim: str
    status: LineStatus
    """``absent``: there is no evidence at all."""
    required: bool
    evidence: tuple[Digest, ...]
    why: str


class Risks(Part):
    """The error rates the verdict is made with."""

    false_go: float
    """Largest probability of a go if one guarded property is worse than its margin."""
    false_no_go: float
    """Largest probability of a no-go if no rule is broken."""
    power: float
    no_go_claims: int
    """Size of the family that shares the false no-go rate."""


def outcome_of(findings: tuple[Finding, ...], checklist: tuple[ChecklistItem, ...]) -> Outcome:
    """Return the outcome that the findings force; nothing found is never a go."""
    if any(finding.status == "fail" for finding in findings):
        return "no-go"
    held = bool(findings) and all(finding.status == "pass" for finding in findings if finding.blocks)
    listed = bool(checklist) and all(item.status == "pass" for item in checklist if item.required)
    return "go" if held and listed else "inconclusive"


class Judged(Document):
    """Findings, checklist and the outcome that they force; a document with another outcome is refused."""

    outcome: Outcome
    findings: tuple[Finding, ...]
    checklist: Annotated[tuple[ChecklistItem, ...], Field(min_length=9, max_length=9)]
    risks: Risks

    @model_validator(mode="after")
    def _follows(self) -> Self:
        if tuple(item.line for item in self.checklist) != CHECKLIST:
            raise ValueError("the checklist must have its nine lines in order")
        if self.outcome != outcome_of(self.findings, self.checklist):
            raise ValueError("outcome does not follow from the findings")
        return self


class Verdict(Judged):
    """The pure part of a decision: what the policy says of the evidence. It has no clock."""

    kind: Literal["candidate.verdict"] = "candidate.verdict"
    version: Literal[1] = 1


class Decision(Judged):
    """A verdict bound to bundles, policy, evidence, data, channel and time: what is signed."""

    kind: Literal["candidate.decision"] = "candidate.decision"
    version: Literal[1] = 1
    challenger: BundleRef
    champion: BundleRef | None
    """Null for a first release."""
    rollback_target: BundleRef | None
    """Where ``candidate rollback`` returns to; null for a first release."""
    policy: Digest
    evidence: Digest
    data: DataFacts
    registry: str | None
    """Identity of the registry the champion was read from."""
    channel: str | None
    sequence: int | None
    """Number of the last log entry that was seen; the champion is the one as of that entry."""
    issued: Timestamp
    expires: Timestamp

    @model_validator(mode="after")
    def _returns_to_its_champion(self) -> Self:
        if self.rollback_target != self.champion:
            raise ValueError("the rollback target is the champion the challenger was compared with")
        return self

    @property
    def verdict(self) -> Verdict:
        """The part of the decision that anyone can recompute from policy and evidence."""
        return Verdict(outcome=self.outcome, findings=self.findings, checklist=self.checklist, risks=self.risks)
