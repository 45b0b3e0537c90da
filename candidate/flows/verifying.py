"""Verify a bundle: whole, self-consistent, attested by a trusted builder, and working on this host.

Every step fails closed and the first failure is raised. Attestations are checked before anything
inside the bundle is parsed beyond layout, index and content manifest.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from candidate.adapters.archive import Archive
from candidate.adapters.attest import Attested, check
from candidate.adapters.oci import Member, release_statement
from candidate.adapters.statements import integrity_statement
from candidate.adapters.trust import keys_for
from candidate.canonical import canonical, digest_of
from candidate.documents.decision import Decision
from candidate.documents.evidence import Replay
from candidate.documents.names import DECISION_TYPE, INTEGRITY_TYPE, MANIFEST_PATH, RELEASE_TYPE
from candidate.documents.publickey import public_key_pem
from candidate.documents.results import Check, Verification
from candidate.documents.trust import RoleName, TrustPolicy
from candidate.errors import InputError, IntegrityError, RefusedError
from candidate.flows.inspecting import (
    Blobs,
    Bundle,
    Outline,
    Replayer,
    golden_feeds,
    golden_outputs,
    inspect,
    outline_of,
    replay,
)
from candidate.flows.trusting import check_enough, check_required

BUILDER: RoleName = "builder"
APPROVER: RoleName = "approver"
CLOCK_SKEW = timedelta(minutes=5)
"""How far ahead of ours the clock of whoever issued a decision may be."""

__all__ = [
    "Blobs",
    "Bundle",
    "SignedDecision",
    "Verification",
    "check_decision",
    "check_fresh",
    "check_release",
    "golden_feeds",
    "golden_outputs",
    "inspect",
    "load",
    "outline_of",
    "replay",
    "verify",
]


@dataclass(frozen=True)
class SignedDecision:
    """A decision that a trusted approver signed."""

    decision: Decision
    digest: str
    """Digest of the attestation's bytes, as a registry entry cites it."""
    data: bytes
    """The attestation's bytes."""
    key_id: str


def _releases(attestations: Iterable[bytes], digest: str, pems: Iterable[str]) -> dict[str, Attested]:
    """Return, by key id, the release attestations about this content manifest that trusted keys made.

    Raises:
        IntegrityError: an attestation is malformed.
        RefusedError: none is what it should be; the message says of each why not.
    """
    keys, reasons, held = tuple(pems), [], {}
    for number, data in enumerate(attestations):
        try:
            attested = check(data, keys, where=f"attestation {number}")
        except RefusedError as error:
            reasons.append(error.message)
            continue
        statement = attested.statement
        about = [subject.digest.sha256 for subject in statement.subject]
        if statement.predicate_type != RELEASE_TYPE:
            reasons.append(f"signed, but as {statement.predicate_type}, not {RELEASE_TYPE}")
        elif about != [digest.removeprefix("sha256:")]:
            reasons.append(f"signed, but about {', '.join(each[:12] for each in about)}, not about this bundle")
        else:
            held[attested.key_id] = attested
    if not held:
        raise RefusedError(
            "; ".join(reasons) or "the bundle has no attestation",
            where="release attestation",
            hint="ask the builder to sign it: candidate build --key KEY; or check whose key you trust",
        )
    return held


def _check_predicate(bundle: Bundle, attested: Attested) -> None:
    """The whole statement must be the one that follows from the bundle, not only its digest."""
    expected = release_statement(bundle.ref.name, bundle.ref.version, bundle.ref.digest)
    if attested.statement.to_bytes() != expected.to_bytes():
        raise RefusedError(
            f"the attestation does not say that this is {bundle.ref.name} {bundle.ref.version}",
            where="release attestation",
            hint="build the bundle again; its name and version must be the ones that were signed",
        )


def _check_integrity(bundle: Bundle, pems: Iterable[str]) -> None:
    """A model signature by a trusted builder must list exactly this bundle's files; one by others says nothing."""
    own = Member(MANIFEST_PATH, "manifest", bundle.manifest.to_bytes()).file
    expected = integrity_statement(bundle.ref.name, bundle.ref.version, [*bundle.manifest.files, own])
    keys = tuple(pems)
    for number, data in enumerate(bundle.attestations):
        try:
            statement = check(data, keys, where=f"attestation {number}").statement
        except RefusedError:
            continue
        if statement.predicate_type == INTEGRITY_TYPE and statement.to_bytes() != expected.to_bytes():
            raise RefusedError(
                "the model signature lists other files than the bundle holds",
                where=f"attestation {number}",
                hint="build the bundle again",
            )


def check_release(bundle: Bundle, pems: Iterable[str], *, threshold: int = 1) -> str:
    """Return the id of the trusted key that attested this bundle's name, version and digest.

    Args:
        bundle: as ``inspect`` returned it.
        pems: public keys that may attest bundles.
        threshold: how many different ones of them must have.

    Raises:
        IntegrityError: an attestation is malformed.
        RefusedError: no release attestation about this bundle holds under enough of the keys.
    """
    keys = tuple(pems)
    held = _releases(bundle.attestations, bundle.ref.digest, keys)
    check_enough(held, threshold, role=BUILDER)
    for attested in held.values():
        _check_predicate(bundle, attested)
    _check_integrity(bundle, keys)
    return min(held)


def check_decision(data: bytes, trust: TrustPolicy, *, now: datetime, channel: str | None = None) -> SignedDecision:
    """Return the decision in an attestation that a trusted approver signed.

    Whether it is a go and still fresh is for the caller: see ``check_fresh``.

    Args:
        data: bytes of ``decision.json``, untrusted.
        trust: who may decide.
        now: the time to judge the role's validity at, aware.
        channel: where it is to be used; null where no channel is concerned.

    Raises:
        IntegrityError: malformed, or no decision inside.
        RefusedError: not signed by an approver for that channel, about another bundle than it
            decides on, for another channel, or the bundle is revoked.
    """
    where = "decision"
    keys = keys_for(trust, APPROVER, now=now, channel=channel)
    if b'"dsseEnvelope"' not in data and b'"kind":"candidate.decision"' in data:
        raise RefusedError("nobody signed the decision", where=where, hint="compare again with --key APPROVER")
    attested = check(data, keys, where=where)
    statement = attested.statement
    if statement.predicate_type != DECISION_TYPE:
        raise RefusedError(f"attestation says {statement.predicate_type}, not {DECISION_TYPE}", where=where)
    decision = Decision.from_bytes(canonical(statement.predicate), where=where)
    about = ["sha256:" + subject.digest.sha256 for subject in statement.subject]
    if about != [decision.challenger.digest]:
        raise RefusedError(
            f"attestation is about {', '.join(about)}, the decision about {decision.challenger.digest}", where=where
        )
    if decision.channel is not None:
        if channel is not None and channel != decision.channel:
            raise RefusedError(
                f"decided for {decision.channel}, not for {channel}",
                where=where,
                hint="compare against the champion of the channel it is meant for",
            )
        allowed = keys_for(trust, APPROVER, now=now, channel=decision.channel)
        check(data, allowed, where=where)
    _check_revoked(trust, decision.challenger.digest)
    return SignedDecision(decision=decision, digest=digest_of(data), data=data, key_id=attested.key_id)


def check_fresh(decision: Decision, now: datetime, *, max_age_hours: int | None = None) -> None:
    """Refuse a decision that is not valid yet, has expired, or is older than a trust policy allows.

    Raises:
        RefusedError: it is.
    """
    issued, expires = _time(decision.issued), _time(decision.expires)
    hint = "compare again: candidate compare"
    if now + CLOCK_SKEW < issued:
        raise RefusedError(
            f"issued {decision.issued}, which is in the future", where="decision", hint="check the clocks"
        )
    if now >= expires:
        raise RefusedError(f"expired {decision.expires}", where="decision", hint=hint)
    if max_age_hours is not None and now >= issued + timedelta(hours=max_age_hours):
        raise RefusedError(f"issued {decision.issued}, more than {max_age_hours} h ago", where="decision", hint=hint)


def _time(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise IntegrityError(f"{text!r} is no time", where="decision") from error


def _check_revoked(trust: TrustPolicy, digest: str) -> None:
    if digest in trust.revoked.digests:
        raise RefusedError(
            f"bundle {digest} is revoked", where="revoked.digests", hint="roll back, or release another version"
        )


class _Verifier:
    """One verification: the steps in their order, and a note of each."""

    def __init__(self, trust: TrustPolicy | None, public_key: str | None, now: datetime, channel: str | None) -> None:
        if (trust is None) == (public_key is None):
            what = (
                "neither a trust policy nor a public key" if trust is None else "both a trust policy and a public key"
            )
            raise InputError(f"{what} was given", where="verify", hint="name the keys you trust: one of the two")
        self.trust, self.now, self.channel = trust, now, channel
        self.pinned = None if public_key is None else public_key_pem(public_key, where="public key")
        self.keys: tuple[str, ...] = ()
        self.checks: list[Check] = []
        self.key_id = ""
        self.replay: Replay | None = None
        self.decision: SignedDecision | None = None

    def passed(self, name: str, detail: str) -> None:
        """Note a step that held."""
        self.checks.append(Check(name=name, status="pass", detail=detail))

    def _release(self, shell: Outline) -> dict[str, Attested]:
        """Check the release attestations against keys, role, validity, channel and threshold."""
        if self.pinned is not None:
            self.keys = (self.pinned,)
            return _releases(shell.attestations, shell.digest, self.keys)
        trust = self.trust
        if trust is None:  # pragma: no cover - one of the two was given
            raise InputError("no trust policy", where="verify")
        many = max(1, len(shell.attestations))
        self.keys = keys_for(trust, BUILDER, now=self.now, channel=self.channel, signatures=many)
        held = _releases(shell.attestations, shell.digest, self.keys)
        check_enough(held, trust.roles[BUILDER].threshold, role=BUILDER)
        _check_revoked(trust, shell.digest)
        return held

    def open(self, blobs: Blobs) -> Bundle:
        """Check container, attestation, content, graph and schemas."""
        self.passed("archive", f"canonical tar of {len(blobs.sizes)} blobs, {blobs.size_bytes} bytes")
        shell = outline_of(blobs)
        self.passed("layout", f"content manifest {shell.digest}")
        held = self._release(shell)
        self.key_id = min(held)
        self.passed("attestation", f"release signed by {', '.join(key[:12] for key in sorted(held))}")
        bundle = inspect(blobs, outline=shell)
        for attested in held.values():
            _check_predicate(bundle, attested)
        _check_integrity(bundle, self.keys)
        said = check_required(bundle.attestations, bundle.ref.digest, self.trust, now=self.now, channel=self.channel)
        if said:
            self.passed("required", f"also attested by a role that may: {', '.join(said)}")
        members = len(bundle.manifest.files) + 1
        self.passed("closure", f"{members} members, every byte hashed, none missing and none extra")
        ops = len(bundle.manifest.onnx.ops)
        self.passed("graph", f"{ops} kinds of operators, known domains, no external data, as the signature says")
        self.passed("schema", f"{len(bundle.signature.features)} features, as the graph reads them")
        return bundle

    def run(self, bundle: Bundle, replayer: Replayer | None) -> None:
        """Replay the golden inputs, if that is wanted."""
        if replayer is None:
            self.checks.append(Check(name="replay", status="skipped", detail="the golden inputs were not run"))
            return
        self.replay = replayer.run(bundle)
        if not self.replay.passed:
            raise IntegrityError(
                f"golden outputs differ by {self.replay.max_difference:g} or in a label on this host",
                where="golden replay",
                hint="do not serve it here: compare runtime and processor with those it was built on",
            )
        rows, largest = self.replay.rows, self.replay.max_difference
        self.passed("replay", f"{rows} golden rows, largest difference {largest:g}")

    def decide(self, bundle: Bundle, data: bytes | None) -> None:
        """Check that a decision says go, about this bundle, now."""
        if data is None:
            return
        if self.trust is None:
            raise InputError(
                "a public key of a builder says nothing of who may decide",
                where="--decision",
                hint="give a trust policy: --trust trust.toml",
            )
        signed = check_decision(data, self.trust, now=self.now, channel=self.channel)
        if signed.decision.challenger != bundle.ref:
            other = signed.decision.challenger
            raise RefusedError(f"decided on {other.name} {other.version}, {other.digest}", where="decision")
        if signed.decision.outcome != "go":
            raise RefusedError(f"outcome is {signed.decision.outcome}, not go", where="decision")
        check_fresh(signed.decision, self.now, max_age_hours=self.trust.max_decision_age_hours)
        self.decision = signed
        self.passed("decision", f"go signed by {signed.key_id[:12]}, valid until {signed.decision.expires}")

    def verification(self, bundle: Bundle) -> Verification:
        """Return what was established."""
        return Verification(
            bundle=bundle.ref,
            checks=tuple(self.checks),
            key_id=self.key_id,
            decision=None if self.decision is None else self.decision.digest,
            replay=self.replay,
        )


def verify(
    path: Path | str,
    *,
    trust: TrustPolicy | None = None,
    public_key: str | None = None,
    decision: bytes | None = None,
    replay: bool = True,
    now: datetime | None = None,
    channel: str | None = None,
) -> Verification:
    """Verify a bundle file, and say what was established.

    Args:
        path: the bundle.
        trust: who may build and decide; or else ``public_key``.
        public_key: PEM of the only builder to trust.
        decision: bytes of a signed decision that must say go about this bundle.
        replay: whether to run the golden inputs on this host.
        now: the time to judge validity at, aware; by default this moment.
        channel: where it is to be used, ``MODEL/ENVIRONMENT``.

    Raises:
        InputError: no such file; not exactly one of trust and public key.
        IntegrityError: the bundle is not whole, not consistent, or answers differently here.
        RefusedError: no trusted key attests it, or no trusted approver says go.
        UnavailableError: there is no runtime to replay with.
    """
    verifier = _Verifier(trust, public_key, datetime.now(UTC) if now is None else now, channel)
    with Archive.open(Path(path)) as archive, _replayer(wanted=replay) as replayer:
        bundle = verifier.open(archive)
        verifier.run(bundle, replayer)
        verifier.decide(bundle, decision)
    return verifier.verification(bundle)


def _replayer(*, wanted: bool) -> AbstractContextManager[Replayer | None]:
    """Start the replay's process early: it imports its runtime while the bundle is verified."""
    return Replayer() if wanted else nullcontext()


def load(
    path: Path | str,
    *,
    trust: TrustPolicy | None = None,
    public_key: str | None = None,
    decision: bytes | None = None,
    replay: bool = True,
    now: datetime | None = None,
    channel: str | None = None,
) -> Bundle:
    """Return a verified bundle to serve from; close it, or use it as a context manager.

    Arguments and errors are those of ``verify``.
    """
    verifier = _Verifier(trust, public_key, datetime.now(UTC) if now is None else now, channel)
    archive = Archive.open(Path(path))
    try:
        with _replayer(wanted=replay) as replayer:
            bundle = verifier.open(archive)
            verifier.run(bundle, replayer)
        verifier.decide(bundle, decision)
    except BaseException:
        archive.close()
        raise
    return bundle
