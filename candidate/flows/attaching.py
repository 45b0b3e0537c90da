"""Put attestations into a bundle: as further referrers, so that it stays the same bundle."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from candidate.adapters.archive import Archive, write_archive
from candidate.adapters.attest import MAX_ATTESTATION_BYTES, unverified_signer, unverified_statement
from candidate.adapters.oci import Member, attestation_blobs, index_of, manifest_descriptor, release_statement
from candidate.adapters.statements import integrity_statement
from candidate.adapters.verdicts import claims_in
from candidate.canonical import canonical, digest_of
from candidate.document import Document
from candidate.documents.decision import Decision
from candidate.documents.names import (
    DECISION_TYPE,
    ENTRY_TYPE,
    ENVIRONMENT_PATH,
    EVALUATION_TYPE,
    INTEGRITY_TYPE,
    MANIFEST_PATH,
    OVERRIDE_TYPE,
    PREDICATE_TYPES,
    RELEASE_TYPE,
    REPRODUCED_TYPE,
    SELFTEST_TYPE,
    TEST_RESULT_TYPE,
    VSA_TYPE,
)
from candidate.documents.predicates import (
    EvaluationPredicate,
    ReproducedPredicate,
    SummaryPredicate,
    TestResultPredicate,
)
from candidate.documents.results import Attached, AttachedItem
from candidate.documents.selftest import SelfTest
from candidate.documents.statement import Statement
from candidate.documents.trust import TrustPolicy
from candidate.errors import InputError, IntegrityError
from candidate.flows.inspecting import Bundle, inspect
from candidate.flows.inspecting.outline import MAX_ATTESTATIONS, outline_of
from candidate.flows.trusting import check_said

KINDS = frozenset(PREDICATE_TYPES.values()) - {ENTRY_TYPE, OVERRIDE_TYPE}
"""What can be said of a bundle; entries and overrides stand in a registry."""
PREDICATES: dict[str, type[Document]] = {
    DECISION_TYPE: Decision,
    EVALUATION_TYPE: EvaluationPredicate,
    REPRODUCED_TYPE: ReproducedPredicate,
    SELFTEST_TYPE: SelfTest,
    TEST_RESULT_TYPE: TestResultPredicate,
    VSA_TYPE: SummaryPredicate,
}
MAX_CLAIMS_BYTES = 4 * MAX_ATTESTATION_BYTES


@dataclass(frozen=True)
class _Found:
    """One attestation that was asked for, and where it was read."""

    data: bytes
    where: str

    @property
    def statement(self) -> Statement:
        return unverified_statement(self.data, where=self.where)

    @property
    def key_id(self) -> str:
        return unverified_signer(self.data, where=self.where)


def attach(
    bundle: Path | str,
    attestations: Sequence[Path | str | bytes],
    *,
    out: Path | str | None = None,
    trust: TrustPolicy | None = None,
    now: datetime | None = None,
) -> Attached:
    """Put attestations into a bundle, as referrers of its content manifest; its identity does not change.

    Attaching what is there already changes nothing. Without a trust policy it is not asked who signed:
    an attestation by a key that a reader does not trust says nothing to that reader.

    Args:
        bundle: bundle file; replaced in one step unless ``out`` is given.
        attestations: files (a signed ``decision.json``, a ``claims.jsonl``, or one attestation each), or
            the bytes of an attestation.
        out: another file to write; the bundle stays as it is.
        trust: if given, each must be signed by a key of the role that may say such a thing.
        now: the time to judge validity at, aware; by default this moment.

    Raises:
        InputError: a file is no attestation, of a kind that says nothing of a bundle, or about another
            bundle; there are too many; or ``out`` is another file that exists.
        IntegrityError: the bundle or an attestation is not what it should be.
        RefusedError: no key of the role signed it.
    """
    path = Path(bundle)
    found = list(dict.fromkeys(each for source in attestations for each in _read(source)))
    now = datetime.now(UTC) if now is None else now
    with Archive.open(path) as archive:
        opened = inspect(archive)
        for each in found:
            _check(opened, each)
            if trust is not None:
                _check_signed(each, trust, now)
        wanted = list(dict.fromkeys(each.data for each in found))
        have = set(opened.attestations)
        merged = [*opened.attestations, *(data for data in wanted if data not in have)]
        if len(merged) > MAX_ATTESTATIONS:
            raise InputError(
                f"{len(merged)} attestations would be more than {MAX_ATTESTATIONS}",
                where=str(path),
                hint="keep the older ones in a claims.jsonl beside the bundle",
            )
        target = _write(archive, merged, path=path, out=None if out is None else Path(out))
    seen = {each.data: each for each in found}
    return Attached(
        bundle=opened.ref,
        path=str(target),
        attestations=tuple(
            AttachedItem(
                predicate_type=seen[data].statement.predicate_type,
                digest=digest_of(data),
                key_id=seen[data].key_id,
                already=data in have,
            )
            for data in wanted
        ),
        checked=trust is not None,
        size_bytes=target.stat().st_size,
    )


def _read(source: Path | str | bytes) -> Iterable[_Found]:
    """Return the attestations in a file: one, or one a line."""
    if isinstance(source, bytes):
        return [_Found(source, "attestation")]
    path = Path(source)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CLAIMS_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if len(data) > MAX_CLAIMS_BYTES:
        raise InputError(f"more than {MAX_CLAIMS_BYTES} bytes", where=str(path), hint="attach the lines one by one")
    if b'"dsseEnvelope"' not in data[:200]:
        unsigned = b'"kind":"candidate.decision"' in data
        raise InputError(
            "nobody signed the decision" if unsigned else "not an attestation",
            where=str(path),
            hint="compare again with --key APPROVER" if unsigned else "name a signed decision.json or a claims.jsonl",
        )
    if not data.endswith(b"\n"):
        return [_Found(data, path.name)]
    lines = claims_in(data, where=path.name)
    return [_Found(line, f"{path.name}, line {number}") for number, line in enumerate(lines, start=1)]


def _check(bundle: Bundle, found: _Found) -> None:
    """Refuse what is malformed, of an unknown kind, or not about this bundle."""
    statement, where = found.statement, found.where
    kind = statement.predicate_type
    if kind not in KINDS:
        raise InputError(
            f"an attestation of type {kind} says nothing of a bundle",
            where=where,
            hint=f"it takes: {', '.join(sorted(KINDS))}",
        )
    expected = _expected(bundle, kind)
    if expected is not None and statement.to_bytes() != expected.to_bytes():
        raise InputError(f"not what {kind} must say of {_named(bundle)}", where=where, hint="it is of another build")
    about = ["sha256:" + subject.digest.sha256 for subject in statement.subject]
    if expected is None and about != [bundle.ref.digest]:
        raise InputError(
            f"about {', '.join(about)}, not about {_named(bundle)}",
            where=where,
            hint="name the bundle that it is about",
        )
    if kind in PREDICATES:
        predicate = PREDICATES[kind].from_bytes(canonical(statement.predicate), where=where)
        _check_predicate(bundle, predicate, where)


def _expected(bundle: Bundle, kind: str) -> Statement | None:
    """Return the one statement of a kind that can be made of a bundle, for the kinds that have one."""
    name, version = bundle.ref.name, bundle.ref.version
    if kind == RELEASE_TYPE:
        return release_statement(name, version, bundle.ref.digest)
    if kind == INTEGRITY_TYPE:
        own = Member(MANIFEST_PATH, "manifest", bundle.manifest.to_bytes()).file
        return integrity_statement(name, version, [*bundle.manifest.files, own])
    return None


def _check_predicate(bundle: Bundle, predicate: Document, where: str) -> None:
    """Hold what a predicate says of the bundle itself against the bundle."""
    if isinstance(predicate, SelfTest) and predicate.bundle != bundle.ref:
        raise IntegrityError("its subject is this bundle, its self-test is of another's scores", where=where)
    if isinstance(predicate, Decision) and predicate.challenger != bundle.ref:
        other = predicate.challenger
        raise IntegrityError(
            f"its subject is this bundle, its decision is on {other.name} {other.version}", where=where
        )
    if isinstance(predicate, EvaluationPredicate) and "sha256:" + predicate.model.digest.sha256 != bundle.ref.digest:
        raise IntegrityError("its subject is this bundle, its evaluation is of another", where=where)
    if isinstance(predicate, ReproducedPredicate):
        lock = digest_of(bundle.read(ENVIRONMENT_PATH))
        if (predicate.content, predicate.environment) != (bundle.ref.digest, lock):
            raise IntegrityError("its subject is this bundle, but another was built again", where=where)


def _check_signed(found: _Found, trust: TrustPolicy, now: datetime) -> None:
    """Refuse an attestation that no key of a role that may say it has signed; a decision, for its channel."""
    statement = found.statement
    channel = statement.predicate.get("channel") if statement.predicate_type == DECISION_TYPE else None
    place = channel if isinstance(channel, str) else None
    check_said(found.data, trust, now=now, channel=place, where=found.where)


def _named(bundle: Bundle) -> str:
    return f"{bundle.ref.name} {bundle.ref.version}"


def _write(archive: Archive, attestations: Sequence[bytes], *, path: Path, out: Path | None) -> Path:
    """Write the bundle with these attestations, unless it is there already; return the file that now is it."""
    shell = outline_of(archive)
    subject = manifest_descriptor(shell.raw)
    referrers, more = [], dict[str, bytes]()
    for data in attestations:
        referrer, blobs = attestation_blobs(subject, data, unverified_statement(data).predicate_type)
        referrers.append(referrer)
        more |= blobs
    index = index_of(subject, shell.version, referrers)
    target = path.resolve() if out is None else out
    if out is None and index == archive.index:
        return path
    if out is not None and out.exists():
        if out.resolve() != path.resolve() and not _is_same(out, index):
            raise InputError("exists already, and is another file", where=str(out), hint="name another file")
        if index == archive.index or _is_same(out, index):
            return out
    held = {digest: archive.source(digest) for digest in archive.sizes}
    write_archive(target, index=index, blobs={**held, **more})
    return path if out is None else out


def _is_same(path: Path, index: bytes) -> bool:
    """Whether a file is the bundle with this index; every blob follows from it."""
    try:
        with Archive.open(path) as archive:
            archive.check_blobs()
            return archive.index == index
    except (InputError, IntegrityError):
        return False
