"""Attaching: the same bundle with more said about it; nothing that is not about it, and nothing that counts unasked."""

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from candidate.adapters.archive import Archive
from candidate.adapters.attest import Signer, attest
from candidate.adapters.oci import Content
from candidate.adapters.statements import provenance_statement
from candidate.canonical import canonical, digest_of
from candidate.documents.evidence import BundleRef
from candidate.documents.manifest import ShaDigest
from candidate.documents.names import (
    DECISION_TYPE,
    ENTRY_TYPE,
    ENVIRONMENT_PATH,
    EVALUATION_TYPE,
    REPRODUCED_TYPE,
    TEST_RESULT_TYPE,
    VSA_TYPE,
    PredicateName,
)
from candidate.documents.results import BundleView
from candidate.documents.statement import Statement, Subject
from candidate.documents.trust import RoleKeys, TrustPolicy
from candidate.errors import CandidateError, InputError, IntegrityError, RefusedError
from candidate.flows import attaching
from candidate.flows.attaching import attach
from candidate.flows.inspecting import inspect
from candidate.flows.inspecting.outline import MAX_ATTESTATIONS
from candidate.flows.selftesting import selftest, selftest_statement
from candidate.flows.showing import show, unpack
from candidate.flows.verifying import verify
from tests.adapters.test_verdicts import said
from tests.bundles import Recipe, _integrity, decision_statement, go_decision, release, sealed, tiny_recipe


@pytest.fixture
def bundle(bundle_path: Path, tmp_path: Path) -> Path:
    """The small bundle, to be written to."""
    return Path(shutil.copy(bundle_path, tmp_path / "tiny.candidate"))


def about(digest: str, statement: Statement) -> Statement:
    """The same said of another bundle."""
    subject = Subject(name="tiny-1.0.0", digest=ShaDigest(sha256=digest.removeprefix("sha256:")))
    return statement.model_copy(update={"subject": (subject,)})


def reproduced(ref: BundleRef, **changes: Any) -> Statement:
    """What is attested of a bundle that was built again."""
    lock = digest_of(tiny_recipe().members[ENVIRONMENT_PATH][1])
    fields = {
        "kind": "candidate.reproduced",
        "version": 1,
        "content": ref.digest,
        "environment": lock,
        "commit": None,
        "sourceDigest": None,
        "builder": {"id": "https://candidate.dev/builder/local"},
    }
    return about(
        ref.digest,
        Statement.model_validate(
            {
                "subject": (Subject(name="x", digest=ShaDigest(sha256="0" * 64)),),
                "predicateType": REPRODUCED_TYPE,
                "predicate": {**fields, **changes},
            }
        ),
    )


def opened(path: Path) -> tuple[str, tuple[bytes, ...]]:
    """Identity and attestations of a bundle."""
    with Archive.open(path) as archive:
        found = inspect(archive)
        return found.ref.digest, found.attestations


def test_attaching_changes_what_is_said_and_not_what_it_is(
    bundle: Path, signed_go: bytes, trust: TrustPolicy, now: datetime, bundle_ref: BundleRef
) -> None:
    """The identity stays, the decision is listed, verification holds, and no decision counts that was not asked for."""
    before = opened(bundle)
    result = attach(bundle, [signed_go], trust=trust, now=now)
    after = opened(bundle)

    assert (result.bundle, after[0], before[0]) == (bundle_ref, bundle_ref.digest, bundle_ref.digest)
    assert set(after[1]) == {*before[1], signed_go}
    assert result.size_bytes == bundle.stat().st_size
    view = show(bundle)
    assert isinstance(view, BundleView)
    assert DECISION_TYPE in view.attestations
    assert verify(bundle, trust=trust, now=now).decision is None
    assert verify(bundle, trust=trust, now=now, decision=signed_go).decision == digest_of(signed_go)


def test_order_and_repetition_do_not_matter(bundle: Path, signed_go: bytes, builder: Signer, tmp_path: Path) -> None:
    """Any order, one by one or at once, twice or once: one file."""
    ref = BundleRef(name="tiny", version="1.0.0", digest=opened(bundle)[0])
    again = attest(reproduced(ref), builder).to_bytes()
    one, other = (Path(shutil.copy(bundle, tmp_path / name)) for name in ("one", "other"))
    attach(one, [signed_go, again, signed_go])
    attach(other, [again])
    attach(other, [signed_go])
    stamp = other.stat()
    result = attach(other, [signed_go, again])

    assert one.read_bytes() == other.read_bytes()
    assert [item.already for item in result.attestations] == [True, True]
    assert (other.stat().st_mtime_ns, other.stat().st_ino) == (stamp.st_mtime_ns, stamp.st_ino)


def test_another_file_may_be_named_and_is_never_overwritten(bundle: Path, signed_go: bytes, tmp_path: Path) -> None:
    """The bundle stays; the other file is new, or already exactly what would be written, or refused."""
    data, out = bundle.read_bytes(), tmp_path / "more.candidate"
    attach(bundle, [signed_go], out=out)
    written = out.read_bytes()
    assert (bundle.read_bytes(), opened(out)[1]) != (written, opened(bundle)[1])
    attach(bundle, [signed_go], out=out)
    assert out.read_bytes() == written
    for content in (data, b"mine"):
        out.write_bytes(content)
        with pytest.raises(InputError, match="exists already"):
            attach(bundle, [signed_go], out=out)
        assert out.read_bytes() == content
    assert bundle.read_bytes() == data
    attach(bundle, [signed_go], out=bundle)
    assert bundle.read_bytes() == written
    attach(bundle, [signed_go], out=tmp_path / "copy.candidate")
    assert (tmp_path / "copy.candidate").read_bytes() == written


def test_a_link_to_a_bundle_stays_a_link(bundle: Path, signed_go: bytes, tmp_path: Path) -> None:
    """What it points to is replaced, not the link."""
    link = tmp_path / "link.candidate"
    link.symlink_to(bundle)
    attach(link, [signed_go])

    assert link.is_symlink()
    assert signed_go in opened(bundle)[1]


def test_unpack_lays_all_of_them_out(bundle: Path, signed_go: bytes, tmp_path: Path) -> None:
    """``claims.jsonl`` holds what came with the build and what came later."""
    attach(bundle, [signed_go])
    unpack(bundle, tmp_path / "tree")

    assert set((tmp_path / "tree/claims.jsonl").read_bytes().splitlines()) == set(opened(bundle)[1])


def test_a_stranger_says_nothing_and_breaks_nothing(
    bundle: Path, bundle_ref: BundleRef, stranger: Signer, trust: TrustPolicy, now: datetime
) -> None:
    """A go that nobody trusted signed: attached without being asked, ignored by verify, never counted as a go."""
    forged = attest(decision_statement(go_decision(bundle_ref)), stranger).to_bytes()
    with pytest.raises(RefusedError):
        attach(bundle, [forged], trust=trust, now=now)
    result = attach(bundle, [forged])

    assert (result.checked, result.attestations[0].key_id) == (False, stranger.key_id)
    assert verify(bundle, trust=trust, now=now).decision is None
    with pytest.raises(RefusedError, match="not by a trusted one"):
        verify(bundle, trust=trust, now=now, decision=forged)


def test_a_builder_cannot_decide_by_attaching(
    bundle: Path,
    bundle_ref: BundleRef,
    builder: Signer,
    approver: Signer,
    stranger: Signer,
    trust: TrustPolicy,
    now: datetime,
) -> None:
    """Each kind has its roles; the wrong role's key is refused in both directions; either may have built again."""
    for statement, signer in (
        (decision_statement(go_decision(bundle_ref)), builder),
        (reproduced(bundle_ref), stranger),
        (release(tiny_recipe().content()), approver),
    ):
        with pytest.raises(RefusedError, match="not by a trusted one"):
            attach(bundle, [attest(statement, signer).to_bytes()], trust=trust, now=now)
    for signer in (builder, approver):
        attach(bundle, [attest(reproduced(bundle_ref), signer).to_bytes()], trust=trust, now=now)


def test_an_approver_of_staging_does_not_attach_for_production(
    bundle: Path, signed_go: bytes, approver: Signer, trust: TrustPolicy, now: datetime
) -> None:
    """The decision's own channel is asked for."""
    narrow = {**trust.roles, "approver": RoleKeys(keys=(approver.public_pem,), channels=("tiny/staging",))}
    with pytest.raises(RefusedError, match="not on tiny/prod"):
        attach(bundle, [signed_go], trust=trust.model_copy(update={"roles": narrow}), now=now)


def test_a_role_that_may_say_less_attaches_less(
    bundle: Path, bundle_ref: BundleRef, signed_go: bytes, approver: Signer, trust: TrustPolicy, now: datetime
) -> None:
    """An approver that the policy lets decide, but not say that something was built again, and the other way round."""
    again = attest(reproduced(bundle_ref), approver).to_bytes()

    def narrowed(*names: PredicateName) -> TrustPolicy:
        role = RoleKeys(keys=(approver.public_pem,), predicates=names)
        return trust.model_copy(update={"roles": {**trust.roles, "approver": role}})

    with pytest.raises(RefusedError, match="not by a trusted one"):
        attach(bundle, [again], trust=narrowed("decision"), now=now)
    with pytest.raises(RefusedError, match="no role here may say"):
        attach(bundle, [signed_go], trust=narrowed("reproduced"), now=now)
    attach(bundle, [signed_go], trust=narrowed("decision"), now=now)
    attach(bundle, [again], trust=narrowed("reproduced"), now=now)

    assert {signed_go, again} <= set(opened(bundle)[1])


def test_what_a_policy_requires_can_be_attached(
    bundle: Path, bundle_ref: BundleRef, builder: Signer, stranger: Signer, trust: TrustPolicy, now: datetime
) -> None:
    """What must have been built again is refused, also when a stranger says it was, until a builder says so."""
    strict = trust.model_copy(update={"required": ("release", "reproduced")})
    for signer in (None, stranger):
        if signer is not None:
            attach(bundle, [attest(reproduced(bundle_ref), signer).to_bytes()])
        with pytest.raises(RefusedError, match="lacks an attestation of reproduced"):
            verify(bundle, trust=strict, now=now)
    attach(bundle, [attest(reproduced(bundle_ref), builder).to_bytes()], trust=strict, now=now)

    assert verify(bundle, trust=strict, now=now).bundle == bundle_ref


def test_a_second_builder_can_add_what_a_threshold_asks_for(
    bundle: Path, content: Content, builder: Signer, stranger: Signer, now: datetime
) -> None:
    """Two signatures over the same statement, the second attached later, by a builder of a role that needs both."""
    both = TrustPolicy(roles={"builder": RoleKeys(keys=(builder.public_pem, stranger.public_pem), threshold=2)})
    with pytest.raises(RefusedError):
        verify(bundle, trust=both, now=now)
    extra = [attest(each, stranger).to_bytes() for each in (release(content), _integrity(tiny_recipe()))]
    attach(bundle, extra, trust=both, now=now)

    assert verify(bundle, trust=both, now=now).key_id in {builder.key_id, stranger.key_id}


def _other_release(recipe: Recipe) -> Statement:
    return release(recipe.content(), version="2.0.0")


def _other_files(recipe: Recipe) -> Statement:
    other = recipe.copy()
    other.members["doc/NOTES.md"] = ("doc", b"other")
    return _integrity(other)


REFUSED: dict[str, tuple[Callable[[BundleRef], Statement], type[CandidateError], str]] = {
    "another bundle's decision": (
        lambda ref: decision_statement(go_decision(ref), digest="sha256:" + "0" * 64),
        InputError,
        "not about tiny 1.0.0",
    ),
    "two subjects": (
        lambda ref: about(ref.digest, decision_statement(go_decision(ref))).model_copy(
            update={"subject": decision_statement(go_decision(ref)).subject * 2}
        ),
        InputError,
        "not about tiny 1.0.0",
    ),
    "a decision on another bundle under this subject": (
        lambda ref: decision_statement(go_decision(ref.model_copy(update={"version": "9"}))),
        IntegrityError,
        "its decision is on tiny 9",
    ),
    "an evaluation of another bundle": (
        lambda ref: about(ref.digest, said("go")[EVALUATION_TYPE]),
        IntegrityError,
        "evaluation is of another",
    ),
    "another content was built again": (
        lambda ref: reproduced(ref, content="sha256:" + "0" * 64),
        IntegrityError,
        "another was built again",
    ),
    "another environment": (
        lambda ref: reproduced(ref, environment="sha256:" + "0" * 64),
        IntegrityError,
        "another was built again",
    ),
    "a field too many": (lambda ref: reproduced(ref, more=1), IntegrityError, "unknown key"),
    "a broken decision": (
        lambda ref: about(ref.digest, said("go")[DECISION_TYPE]).model_copy(update={"predicate": {"kind": "x"}}),
        IntegrityError,
        "/outcome",
    ),
    "another version": (lambda _: _other_release(tiny_recipe()), InputError, "not what"),
    "other files": (lambda _: _other_files(tiny_recipe()), InputError, "not what"),
    "an entry of a log": (
        lambda ref: decision_statement(go_decision(ref), kind=ENTRY_TYPE),
        InputError,
        "says nothing of a bundle",
    ),
    "a kind of nobody's": (
        lambda ref: decision_statement(go_decision(ref), kind="https://example.com/x"),
        InputError,
        "says nothing of a bundle",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_about_this_bundle_is_refused(
    bundle: Path, bundle_ref: BundleRef, approver: Signer, case: str
) -> None:
    """By subject, by what the predicate says, by kind; nothing is written."""
    make, error, words = REFUSED[case]
    data = bundle.read_bytes()
    with pytest.raises(error, match=words):
        attach(bundle, [attest(make(bundle_ref), approver).to_bytes()])
    assert bundle.read_bytes() == data


def test_a_self_test_of_other_scores_is_refused(bundle: Path, bundle_ref: BundleRef, approver: Signer) -> None:
    """Of made-up rows it is about a policy; and nobody calls it another bundle's by its subject alone."""
    made_up = selftest_statement(selftest(runs=1))
    with pytest.raises(InputError, match="not about tiny"):
        attach(bundle, [attest(made_up, approver).to_bytes()])
    with pytest.raises(IntegrityError, match="another's scores"):
        attach(bundle, [attest(about(bundle_ref.digest, made_up), approver).to_bytes()])


def test_every_kind_that_says_something_of_a_bundle_is_taken(
    bundle: Path, bundle_ref: BundleRef, builder: Signer, approver: Signer, trust: TrustPolicy, now: datetime
) -> None:
    """Builder's and approver's, all with the role's signature; the bundle still verifies."""
    digest = bundle_ref.digest
    made = said("go")
    evaluation = made[EVALUATION_TYPE].predicate
    model = {"name": "tiny-1.0.0", "digest": {"sha256": digest.removeprefix("sha256:")}}
    evaluated = made[EVALUATION_TYPE].model_copy(update={"predicate": {**evaluation, "model": model}})
    tested = selftest(runs=1).model_copy(update={"bundle": bundle_ref})
    by_approver = [
        selftest_statement(tested),
        evaluated,
        made[TEST_RESULT_TYPE],
        made[VSA_TYPE],
        decision_statement(go_decision(bundle_ref)),
    ]
    by_builder = [
        _integrity(tiny_recipe()),
        reproduced(bundle_ref),
        provenance_statement("tiny", "1.0.0", digest, parameters={}, dependencies=()),
    ]
    data = [attest(about(digest, each), approver).to_bytes() for each in by_approver]
    data += [attest(each, builder).to_bytes() for each in by_builder]
    result = attach(bundle, data, trust=trust, now=now)

    assert {item.predicate_type for item in result.attestations} == attaching.KINDS - {
        release(tiny_recipe().content()).predicate_type
    }
    assert verify(bundle, trust=trust, now=now).bundle == bundle_ref


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"", InputError, "not an attestation"),
        (b"[]", InputError, "not an attestation"),
        (canonical({"kind": "candidate.decision"}), InputError, "nobody signed the decision"),
        (b'{"dsseEnvelope":{}}', IntegrityError, "/verificationMaterial"),
        (b'{"dsseEnvelope":{}}\n\n', IntegrityError, "one attestation on each line"),
        (b'{"dsseEnvelope":{}}\n{}', IntegrityError, "trailing characters"),
        (None, InputError, "cannot be read"),
    ],
    ids=["empty", "no object", "unsigned", "no material", "empty line", "two documents", "absent"],
)
def test_a_file_that_is_no_attestation_is_refused(
    bundle: Path, tmp_path: Path, content: bytes | None, error: type[CandidateError], words: str
) -> None:
    """Absent, something else, unsigned, or malformed."""
    path = tmp_path / "claims.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=words) as refused:
        attach(bundle, [path])
    assert "claims.jsonl" in refused.value.where


def test_an_attestation_that_is_not_canonical_is_refused(bundle: Path, signed_go: bytes, tmp_path: Path) -> None:
    """One space more is another file with the same meaning: there is one form."""
    (tmp_path / "go.json").write_bytes(signed_go.replace(b'"dsseEnvelope":', b'"dsseEnvelope": ', 1))
    with pytest.raises(IntegrityError, match="canonical"):
        attach(bundle, [tmp_path / "go.json"])


def test_a_file_that_is_too_large_is_not_read(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signed_go: bytes
) -> None:
    """The limit is looked at before anything is parsed."""
    monkeypatch.setattr(attaching, "MAX_CLAIMS_BYTES", 100)
    (tmp_path / "go.json").write_bytes(signed_go)
    with pytest.raises(InputError, match="more than 100 bytes"):
        attach(bundle, [tmp_path / "go.json"])


def test_no_more_is_attached_than_a_reader_takes(bundle: Path, bundle_ref: BundleRef, approver: Signer) -> None:
    """A bundle that nobody could open is not written."""
    many = [
        attest(decision_statement(go_decision(bundle_ref, issued=f"2026-11-01T10:{n:02d}:00Z")), approver).to_bytes()
        for n in range(MAX_ATTESTATIONS)
    ]
    attach(bundle, many[1:])
    assert len(opened(bundle)[1]) == MAX_ATTESTATIONS
    with pytest.raises(InputError, match=f"more than {MAX_ATTESTATIONS}"):
        attach(bundle, many[:1])


def test_a_broken_bundle_takes_nothing(recipe: Recipe, builder: Signer, tmp_path: Path, signed_go: bytes) -> None:
    """It is inspected before anything is added."""
    data = bytearray(sealed(recipe, builder))
    data[3000] ^= 1
    (tmp_path / "broken.candidate").write_bytes(data)
    with pytest.raises(IntegrityError):
        attach(tmp_path / "broken.candidate", [signed_go])
