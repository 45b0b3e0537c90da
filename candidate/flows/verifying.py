"""Verify a bundle: whole, self-consistent, attested by a trusted builder, and working on this host.

Every step fails closed and the first failure is raised. Attestations are checked before anything
inside the bundle is parsed beyond layout, index and content manifest.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candidate.adapters.archive import Archive
from candidate.adapters.attest import Attested, check
from candidate.adapters.oci.wire import release_bytes
from candidate.adapters.statements import integrity_bytes
from candidate.documents.names import INTEGRITY_TYPE, RELEASE_TYPE
from candidate.documents.publickey import public_key_pem
from candidate.documents.view import View
from candidate.errors import CandidateError, InputError, IntegrityError, RefusedError
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
from candidate.flows.inspecting.members import own_file
from candidate.flows.trusting import check_enough, check_required, check_revoked

if TYPE_CHECKING:  # whoever trusts one key waits for none of these
    from candidate.documents.identity import Party
    from candidate.documents.names import RoleName
    from candidate.documents.results import Verification
    from candidate.documents.trust import TrustPolicy
    from candidate.flows.deciding import SignedDecision

BUILDER: "RoleName" = "builder"

__all__ = [
    "Blobs",
    "Bundle",
    "Verified",
    "check_release",
    "golden_feeds",
    "golden_outputs",
    "inspect",
    "load",
    "outline_of",
    "replay",
    "verified",
    "verify",
]


@dataclass(frozen=True)
class Verified:
    """What was established of a bundle: the fields of a ``Verification``, as views."""

    bundle: View
    checks: tuple[View, ...]
    key_id: str
    decision: str | None
    replay: View | None

    def json(self) -> dict[str, Any]:
        """Return the fields as the document writes them."""
        return {
            "kind": "candidate.verification",
            "version": 1,
            "bundle": vars(self.bundle),
            "checks": [vars(check) for check in self.checks],
            "key_id": self.key_id,
            "decision": self.decision,
            "replay": None if self.replay is None else vars(self.replay),
        }

    def document(self) -> "Verification":
        """Return the document."""
        from candidate.documents.evidence import BundleRef, Replay
        from candidate.documents.results import Check, Verification

        return Verification(
            bundle=BundleRef(**vars(self.bundle)),
            checks=tuple(Check(**vars(check)) for check in self.checks),
            key_id=self.key_id,
            decision=self.decision,
            replay=None if self.replay is None else Replay(**vars(self.replay)),
        )


def _releases(attestations: Iterable[bytes], digest: str, parties: "Iterable[Party]") -> dict[str, Attested]:
    """Return, by id, the release attestations about this content manifest that trusted keys or identities made.

    Raises:
        IntegrityError: an attestation is malformed.
        RefusedError: none is what it should be; the message says of each why not.
    """
    keys, reasons, held = tuple(parties), [], {}
    for number, data in enumerate(attestations):
        try:
            attested = check(data, keys, where=f"attestation {number}")
        except RefusedError as error:
            reasons.append(error.message)
            continue
        statement = attested.said
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
    who = bundle.views.manifest.descriptor
    if attested.said.to_bytes() != release_bytes(who.name, who.version, bundle.digest):
        raise RefusedError(
            f"the attestation does not say that this is {who.name} {who.version}",
            where="release attestation",
            hint="build the bundle again; its name and version must be the ones that were signed",
        )


def _check_integrity(bundle: Bundle, parties: "Iterable[Party]") -> None:
    """A model signature by a trusted builder must list exactly this bundle's files; one by others says nothing."""
    manifest = bundle.views.manifest
    files = [*manifest.files, own_file(manifest.to_bytes())]
    expected = integrity_bytes(manifest.descriptor.name, manifest.descriptor.version, files)
    keys = tuple(parties)
    for number, data in enumerate(bundle.attestations):
        try:
            statement = check(data, keys, where=f"attestation {number}").said
        except RefusedError:
            continue
        if statement.predicate_type == INTEGRITY_TYPE and statement.to_bytes() != expected:
            raise RefusedError(
                "the model signature lists other files than the bundle holds",
                where=f"attestation {number}",
                hint="build the bundle again",
            )


def check_release(bundle: Bundle, parties: "Iterable[Party]", *, threshold: int = 1) -> str:
    """Return the id of the trusted key or identity that attested this bundle's name, version and digest.

    Args:
        bundle: as ``inspect`` returned it.
        parties: public keys and identities that may attest bundles.
        threshold: how many different ones of them must have.

    Raises:
        IntegrityError: an attestation is malformed.
        RefusedError: no release attestation about this bundle holds under enough of the keys.
    """
    keys = tuple(parties)
    held = _releases(bundle.attestations, bundle.digest, keys)
    check_enough(held, threshold, role=BUILDER)
    for attested in held.values():
        _check_predicate(bundle, attested)
    _check_integrity(bundle, keys)
    return min(held)


class _Verifier:
    """One verification: the steps in their order, and a note of each."""

    def __init__(self, trust: "TrustPolicy | None", public_key: str | None, now: datetime, channel: str | None) -> None:
        if (trust is None) == (public_key is None):
            what = (
                "neither a trust policy nor a public key" if trust is None else "both a trust policy and a public key"
            )
            raise InputError(f"{what} was given", where="verify", hint="name the keys you trust: one of the two")
        self.trust, self.now, self.channel = trust, now, channel
        self.pinned = None if public_key is None else public_key_pem(public_key, where="public key")
        self.keys: tuple[Party, ...] = ()
        self.checks: list[View] = []
        self.step = "archive"
        self.key_id = ""
        self.replay: View | None = None
        self.decision: SignedDecision | None = None

    def begin(self, step: str) -> None:
        """Note which step comes now."""
        self.step = step

    def passed(self, name: str, detail: str) -> None:
        """Note a step that held."""
        self.checks.append(View(name=name, status="pass", detail=detail))

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Let an error say at which step it arose."""
        try:
            yield
        except CandidateError as error:
            error.check = self.step
            raise

    def _release(self, shell: Outline) -> dict[str, Attested]:
        """Check the release attestations against keys, role, validity, channel and threshold."""
        if self.pinned is not None:
            self.keys = (self.pinned,)
            return _releases(shell.attestations, shell.digest, self.keys)
        trust = self.trust
        if trust is None:  # pragma: no cover - one of the two was given
            raise InputError("no trust policy", where="verify")
        from candidate.adapters.trust import keys_for

        many = max(1, len(shell.attestations))
        self.keys = keys_for(trust, BUILDER, now=self.now, channel=self.channel, signatures=many)
        held = _releases(shell.attestations, shell.digest, self.keys)
        check_enough(held, trust.roles[BUILDER].threshold, role=BUILDER)
        check_revoked(trust, shell.digest)
        return held

    def open(self, blobs: Blobs) -> Bundle:
        """Check container, attestation, content, graph and schemas."""
        self.passed("archive", f"canonical tar of {len(blobs.sizes)} blobs, {blobs.size_bytes} bytes")
        self.begin("layout")
        shell = outline_of(blobs)
        self.passed("layout", f"content manifest {shell.digest}")
        self.begin("attestation")
        held = self._release(shell)
        self.key_id = min(held)
        self.passed("attestation", f"release signed by {', '.join(held[key].signer for key in sorted(held))}")
        bundle = inspect(blobs, outline=shell, begin=self.begin)
        self.begin("attestation")
        for attested in held.values():
            _check_predicate(bundle, attested)
        _check_integrity(bundle, self.keys)
        self.begin("required")
        said = check_required(bundle.attestations, bundle.digest, self.trust, now=self.now, channel=self.channel)
        if said:
            self.passed("required", f"also attested by a role that may: {', '.join(said)}")
        members = len(bundle.views.manifest.files) + 1
        self.passed("closure", f"{members} members, every byte hashed, none missing and none extra")
        ops = len(bundle.views.manifest.onnx.ops)
        weights = ", ".join(bundle.views.manifest.onnx.external_data)
        weights = f"weights in {weights}" if weights else "weights inside"
        self.passed("schema", f"{len(bundle.views.signature.inputs)} features, as the graph reads them")
        self.passed("graph", f"{ops} kinds of operators, known domains, {weights}, as the signature says")
        self.passed("golden", f"{bundle.views.tolerance.rows} rows for every input and output")
        return bundle

    def run(self, bundle: Bundle, replayer: Replayer | None) -> None:
        """Replay the golden inputs, if that is wanted."""
        if replayer is None:
            self.checks.append(View(name="replay", status="skipped", detail="the golden inputs were not run"))
            return
        self.begin("replay")
        self.replay = replayer.run(bundle)
        if not self.replay.passed:
            raise IntegrityError(
                f"golden outputs differ by {self.replay.max_difference:g} or in a label on this host",
                where="golden replay",
                hint="do not serve it here: compare runtime and processor with those it was built on",
            )
        rows, largest = self.replay.rows, self.replay.max_difference
        self.passed("replay", f"{rows} golden rows, largest difference {largest:g}")

    def decide(self, bundle: Bundle, data: bytes | None, override: bytes | None) -> None:
        """Check that a decision says go, about this bundle, now; or is undecided and overridden."""
        self.begin("decision")
        if data is None:
            if override is not None:
                raise InputError("an override of no decision", where="--override", hint="give the decision too")
            return
        if self.trust is None:
            raise InputError(
                "a public key of a builder says nothing of who may decide",
                where="--decision",
                hint="give a trust policy: --trust trust.toml",
            )
        from candidate.flows.overridden import decided

        self.decision, said = decided(
            data, self.trust, bundle.ref, now=self.now, channel=self.channel, override=override
        )
        self.passed("decision", said)

    def verified(self, bundle: Bundle) -> Verified:
        """Return what was established."""
        who = bundle.views.manifest.descriptor
        return Verified(
            bundle=View(name=who.name, version=who.version, digest=bundle.digest),
            checks=tuple(self.checks),
            key_id=self.key_id,
            decision=None if self.decision is None else self.decision.digest,
            replay=self.replay,
        )


def verified(
    path: Path | str,
    *,
    trust: "TrustPolicy | None" = None,
    public_key: str | None = None,
    decision: bytes | None = None,
    override: bytes | None = None,
    replay: bool = True,
    now: datetime | None = None,
    channel: str | None = None,
) -> Verified:
    """Verify a bundle file, and say what was established.

    Args:
        path: the bundle.
        trust: who may build and decide; or else ``public_key``.
        public_key: PEM of the only builder to trust.
        decision: bytes of a signed decision that must say go about this bundle.
        override: bytes of the override of a decision that is inconclusive.
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
    with verifier.naming(), Archive.open(Path(path)) as archive, _replayer(wanted=replay) as replayer:
        bundle = verifier.open(archive)
        verifier.run(bundle, replayer)
        verifier.decide(bundle, decision, override)
    return verifier.verified(bundle)


def verify(
    path: Path | str,
    *,
    trust: "TrustPolicy | None" = None,
    public_key: str | None = None,
    decision: bytes | None = None,
    override: bytes | None = None,
    replay: bool = True,
    now: datetime | None = None,
    channel: str | None = None,
) -> "Verification":
    """Verify a bundle file, and return the document of what was established.

    Arguments and errors are those of ``verified``.
    """
    given = {"public_key": public_key, "decision": decision, "override": override, "channel": channel}
    return verified(path, trust=trust, replay=replay, now=now, **given).document()  # type: ignore[arg-type]  # as above


def _replayer(*, wanted: bool) -> AbstractContextManager[Replayer | None]:
    """Start the replay's process early: it imports its runtime while the bundle is verified."""
    return Replayer() if wanted else nullcontext()


def load(
    path: Path | str,
    *,
    trust: "TrustPolicy | None" = None,
    public_key: str | None = None,
    decision: bytes | None = None,
    override: bytes | None = None,
    replay: bool = True,
    now: datetime | None = None,
    channel: str | None = None,
) -> Bundle:
    """Return a verified bundle to serve from; close it, or use it as a context manager.

    Arguments and errors are those of ``verify``.
    """
    verifier = _Verifier(trust, public_key, datetime.now(UTC) if now is None else now, channel)
    with verifier.naming():
        archive = Archive.open(Path(path))
    try:
        with verifier.naming(), _replayer(wanted=replay) as replayer:
            bundle = verifier.open(archive)
            verifier.run(bundle, replayer)
            verifier.decide(bundle, decision, override)
    except BaseException:
        archive.close()
        raise
    return bundle
