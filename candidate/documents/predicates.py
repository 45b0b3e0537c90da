"""What follows from a decision, in the words of formats that other people's tools read.

Sources: in-toto's eval-result draft (the field names of an evaluation; numbers as decimal strings),
in-toto test-result v0.1, SLSA verification summary v1 (v1.1 of its text).
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from candidate.document import Digest, Document, Part
from candidate.documents.manifest import ShaDigest
from candidate.documents.trust import Timestamp

Decimal = Annotated[str, StringConstraints(pattern=r"^-?[0-9]+([.][0-9]+)?$")]
Uri = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:\S+$")]


class Predicate(Document):
    """A predicate of somebody else's type, in which an absent field is left out."""

    omit_none: ClassVar[bool] = True


class Resource(Part):
    """An in-toto ResourceDescriptor: something named, with its digest."""

    name: str | None = None
    uri: Uri | None = None
    digest: ShaDigest
    media_type: Annotated[str | None, Field(alias="mediaType")] = None


class Evaluator(Part):
    """Who ran an evaluation; whether to believe it is a matter of the key."""

    id: Uri


class Named(Part):
    """Something with a version."""

    name: str
    version: str


class Bounds(Part):
    """One-sided confidence bounds at the policy's alpha."""

    lower_bound: Annotated[Decimal | None, Field(alias="lowerBound")] = None
    upper_bound: Annotated[Decimal | None, Field(alias="upperBound")] = None


class EvaluationClaim(Part):
    """One number that was held against one threshold."""

    rule: str
    """The policy's rule, for example ``satisficing[1]``."""
    metric: str
    slice: str | None = None
    comparator: Literal[">=", ">", "<=", "<"]
    threshold: Decimal
    passed: bool
    """Whether the policy's rule passed, which looks at the bound and not at the value."""
    value: Decimal | None = None
    """For paired metrics the gain over the champion; larger is better."""
    unit: str | None = None
    confidence_interval: Annotated[Bounds | None, Field(alias="confidenceInterval")] = None
    method: str | None = None
    sample_size: Annotated[int | None, Field(alias="sampleSize", ge=0)] = None


class PreRegistration(Part):
    """The digest of what was fixed before the evaluation was run: the policy."""

    alg: Literal["sha256"] = "sha256"
    value: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class EvaluationPredicate(Predicate):
    """What was measured of one bundle under one policy, with the field names of in-toto's eval-result draft."""

    evaluator: Evaluator
    evaluated_at: Annotated[Timestamp, Field(alias="evaluatedAt")]
    suite: Named
    claims: Annotated[tuple[EvaluationClaim, ...], Field(min_length=1)]
    sample_size: Annotated[int, Field(alias="sampleSize", ge=0)]
    model: Resource
    dataset: Resource
    assurance_level: Annotated[Literal["self_attested"], Field(alias="assuranceLevel")] = "self_attested"
    subject_profile: Annotated[Literal["public-model"], Field(alias="subjectProfile")] = "public-model"
    pre_registration: Annotated[PreRegistration, Field(alias="preRegistration")]
    evidence: Annotated[tuple[Resource, ...], Field(min_length=1)]
    harness: Named | None = None


class TestResultPredicate(Predicate):
    """Which rules held, for tools that know nothing but tests."""

    __test__: ClassVar[bool] = False
    """pytest would take the name for a test's."""
    result: Literal["PASSED", "WARNED", "FAILED"]
    configuration: Annotated[tuple[Resource, ...], Field(min_length=1)]
    """The policy and the evidence."""
    passed_tests: Annotated[tuple[str, ...], Field(alias="passedTests")]
    warned_tests: Annotated[tuple[str, ...], Field(alias="warnedTests")]
    """Rules that are neither proven to hold nor proven broken."""
    failed_tests: Annotated[tuple[str, ...], Field(alias="failedTests")]


class Verifier(Part):
    """What made a verification summary."""

    id: Uri
    version: dict[str, str] | None = None


class PolicyResource(Part):
    """The policy of a verification summary; its format wants a URI."""

    uri: Uri
    digest: ShaDigest


class SummaryPredicate(Predicate):
    """The verdict as a SLSA verification summary, for tools that know nothing of us."""

    verifier: Verifier
    time_verified: Annotated[Timestamp, Field(alias="timeVerified")]
    resource_uri: Annotated[Uri, Field(alias="resourceUri")]
    """``candidate:MODEL/ENVIRONMENT`` of the channel, so that a verdict for staging is none for production."""
    policy: PolicyResource
    input_attestations: Annotated[tuple[Resource, ...], Field(alias="inputAttestations")]
    """Digests of the statements that it sums up: of what was signed, not of the signature."""
    verification_result: Annotated[Literal["PASSED", "FAILED"], Field(alias="verificationResult")]
    """``PASSED`` for a go alone."""
    verified_levels: Annotated[tuple[Literal["CANDIDATE_GO", "FAILED"], ...], Field(alias="verifiedLevels")]


class ReproducedPredicate(Document):
    """A bundle was built again from its specification, and every byte of its content came out the same."""

    kind: Literal["candidate.reproduced"] = "candidate.reproduced"
    version: Literal[1] = 1
    content: Digest
    """Of the content manifest, which names every member by digest."""
    environment: Digest
    """Of the environment lock that it was built with, both times."""
    commit: str | None
    """Source commit; null where there was no checkout."""
    source_digest: Annotated[Digest | None, Field(alias="sourceDigest")]
    """Of the script or model file."""
    builder: Evaluator
