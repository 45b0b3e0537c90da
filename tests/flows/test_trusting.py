"""What a trust policy demands: enough different keys, each within its rights, and nothing stripped on the way."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from candidate.adapters.archive import Archive
from candidate.adapters.attest import Signer, attest, load_signer, new_key
from candidate.adapters.oci import Content
from candidate.adapters.statements import provenance_statement
from candidate.documents.evidence import BundleRef
from candidate.documents.manifest import ShaDigest
from candidate.documents.names import PREDICATE_TYPES, RIGHTS, PredicateName, RoleName
from candidate.documents.publickey import algorithm_of
from candidate.documents.statement import Statement, Subject
from candidate.documents.trust import Revoked, RoleKeys, TrustPolicy
from candidate.errors import RefusedError
from candidate.flows.deciding import check_decision
from candidate.flows.measuring import is_attested
from candidate.flows.registry import check_builder
from candidate.flows.trusting import check_required
from candidate.flows.verifying import Bundle, check_release, inspect, verify
from tests.bundles import NAME, VERSION, decision_statement, go_decision, pack, release


@pytest.fixture(scope="module")
def quantum() -> Signer:
    """A builder's second key, of another algorithm."""
    return load_signer(new_key(None, "ml-dsa-65"), None)


@pytest.fixture(scope="module")
def edwards() -> Signer:
    """A key of a third algorithm."""
    return load_signer(new_key(None, "ed25519"), None)


@pytest.fixture(scope="module")
def hybrid(builder: Signer, quantum: Signer) -> TrustPolicy:
    """Both keys of the builder must have signed: one algorithm may be broken one day."""
    keys = RoleKeys(keys=(builder.public_pem, quantum.public_pem), threshold=2)
    return TrustPolicy(roles={"builder": keys})


def stored(folder: Path, content: Content, statements: Sequence[tuple[Statement, Signer]]) -> Path:
    """A bundle file with these statements attested."""
    path = folder / "x.candidate"
    path.write_bytes(pack(content, tuple(attest(statement, signer).to_bytes() for statement, signer in statements)))
    return path


def said(name: PredicateName, digest: str, *, note: str = "") -> Statement:
    """Any statement of this kind about a bundle."""
    subject = Subject(name="x", digest=ShaDigest(sha256=digest.removeprefix("sha256:")))
    return Statement(subject=(subject,), predicate_type=PREDICATE_TYPES[name], predicate={"note": note})


def test_two_attestations_of_two_algorithms_are_verified(
    tmp_path: Path, content: Content, hybrid: TrustPolicy, builder: Signer, quantum: Signer, now: datetime
) -> None:
    """Hybrid: the same statement by an elliptic curve and by a lattice, on every path that accepts a bundle."""
    path = stored(tmp_path, content, [(release(content), builder), (release(content), quantum)])
    result = verify(path, trust=hybrid, now=now, replay=False)

    assert {algorithm_of(pem) for pem in hybrid.roles["builder"].keys} == {"ecdsa-p256", "ml-dsa-65"}
    assert builder.key_id[:12] in result.checks[2].detail
    assert quantum.key_id[:12] in result.checks[2].detail
    with opened(path) as bundle:
        assert is_attested(bundle, hybrid, now)
        check_builder(bundle, hybrid, now=now)
        check_builder(bundle, hybrid, now=None)


@contextmanager
def opened(path: Path) -> Iterator[Bundle]:
    """The bundle in a file."""
    with Archive.open(path) as archive:
        yield inspect(archive)


@pytest.mark.parametrize("left", ["the curve", "the lattice", "the curve twice"])
def test_stripping_one_attestation_is_refused(
    left: str, tmp_path: Path, content: Content, hybrid: TrustPolicy, builder: Signer, quantum: Signer, now: datetime
) -> None:
    """The downgrade: whoever breaks one algorithm removes the other's attestation. Nothing accepts the rest."""
    release_again = release(content).model_copy(update={"predicate": {**release(content).predicate, "packageId": "y"}})
    kept = {
        "the curve": [(release(content), builder)],
        "the lattice": [(release(content), quantum)],
        "the curve twice": [(release(content), builder), (release_again, builder)],
    }[left]
    path = stored(tmp_path, content, kept)

    with pytest.raises(RefusedError, match="needs 2"):
        verify(path, trust=hybrid, now=now, replay=False)
    with opened(path) as bundle:
        for accept in (
            lambda: is_attested(bundle, hybrid, now),
            lambda: check_builder(bundle, hybrid, now=now),
            lambda: check_builder(bundle, hybrid, now=None),
        ):
            with pytest.raises(RefusedError, match="needs 2"):
                accept()


def test_a_threshold_is_not_reached_by_one_key_under_two_ids(
    tmp_path: Path, content: Content, hybrid: TrustPolicy, builder: Signer, quantum: Signer, now: datetime
) -> None:
    """A key id in a file decides nothing: the curve's mark under the lattice's name is nobody's."""
    posing = dataclasses.replace(builder, key_id=quantum.key_id)
    path = stored(tmp_path, content, [(release(content), builder), (release(content), posing)])

    with pytest.raises(RefusedError, match="1 trusted keys signed, the role needs 2"):
        verify(path, trust=hybrid, now=now, replay=False)


def test_a_revoked_key_no_longer_counts_towards_a_threshold(
    tmp_path: Path, content: Content, hybrid: TrustPolicy, builder: Signer, quantum: Signer, now: datetime
) -> None:
    """The bundle was accepted before; with one of its keys revoked it is not, by rollback neither."""
    path = stored(tmp_path, content, [(release(content), builder), (release(content), quantum)])
    revoked = hybrid.model_copy(update={"revoked": Revoked(keys=(quantum.key_id,))})

    with pytest.raises(RefusedError, match="revoked"):
        verify(path, trust=revoked, now=now, replay=False)
    with opened(path) as bundle, pytest.raises(RefusedError, match="needs 2"):
        check_builder(bundle, revoked, now=None)


def test_check_release_counts_different_keys(
    tmp_path: Path, content: Content, builder: Signer, quantum: Signer, stranger: Signer
) -> None:
    """The function that the registry stands on: one key in two spellings is one."""
    path = stored(tmp_path, content, [(release(content), builder), (release(content), quantum)])
    twice = [builder.public_pem, "\n" + builder.public_pem.replace("\n", "\r\n"), stranger.public_pem]

    with opened(path) as bundle:
        check_release(bundle, [builder.public_pem, quantum.public_pem], threshold=2)
        with pytest.raises(RefusedError, match="1 trusted keys signed, the role needs 2"):
            check_release(bundle, twice, threshold=2)


DECIDERS = ("apart", "together", "together, may not")


@pytest.mark.parametrize("roles", DECIDERS)
def test_a_builders_key_decides_only_where_it_is_an_approvers_too(
    roles: str, builder: Signer, approver: Signer, bundle_ref: BundleRef, now: datetime
) -> None:
    """Without distinct roles a key has the rights of every role it holds, which is what giving them up means."""
    deciding: dict[str, RoleKeys] = {
        "apart": RoleKeys(keys=(approver.public_pem,)),
        "together": RoleKeys(keys=(approver.public_pem, builder.public_pem)),
        "together, may not": RoleKeys(keys=(builder.public_pem,), predicates=("vsa",)),
    }
    trust = TrustPolicy(
        roles={"builder": RoleKeys(keys=(builder.public_pem,)), "approver": deciding[roles]}, distinct_roles=False
    )
    data = attest(decision_statement(go_decision(bundle_ref)), builder).to_bytes()

    if roles == "together":
        assert check_decision(data, trust, now=now).key_id == builder.key_id
    else:
        with pytest.raises(
            RefusedError, match="not by a trusted one" if roles == "apart" else "may say vsa, not decision"
        ):
            check_decision(data, trust, now=now)


def test_an_approvers_key_releases_nothing(
    tmp_path: Path, content: Content, trust: TrustPolicy, approver: Signer, now: datetime
) -> None:
    """The other way round: whoever decides does not build."""
    path = stored(tmp_path, content, [(release(content), approver)])

    with pytest.raises(RefusedError, match="not by a trusted one"):
        verify(path, trust=trust, now=now, replay=False)


def test_a_builder_who_may_not_release_releases_nothing(
    tmp_path: Path, content: Content, builder: Signer, now: datetime
) -> None:
    """A key that is kept for provenance is not tried for anything else."""
    keys = RoleKeys(keys=(builder.public_pem,), predicates=("provenance",))
    trust = TrustPolicy(roles={"builder": keys})
    path = stored(tmp_path, content, [(release(content), builder)])

    with pytest.raises(RefusedError, match="may say provenance, not release"):
        verify(path, trust=trust, now=now, replay=False)


def demanding(trust: TrustPolicy, *names: PredicateName, **roles: RoleKeys) -> TrustPolicy:
    """The policy, with more demanded and some roles replaced."""
    return trust.model_copy(update={"required": ("release", *names), "roles": {**trust.roles, **roles}})


def provenance(content: Content) -> Statement:
    """Where the bundle came from."""
    return provenance_statement(NAME, VERSION, content.digest, parameters={}, dependencies=())


def test_what_is_required_must_be_there(
    tmp_path: Path, content: Content, trust: TrustPolicy, builder: Signer, now: datetime
) -> None:
    """A copy tool that takes the first attestation and leaves the rest is noticed; with all of them it is a step."""
    policy = demanding(trust, "provenance")
    whole = stored(tmp_path, content, [(release(content), builder), (provenance(content), builder)])
    steps = {check.name: check.detail for check in verify(whole, trust=policy, now=now, replay=False).checks}
    stripped = stored(tmp_path, content, [(release(content), builder)])

    assert "provenance" in steps["required"]
    with pytest.raises(RefusedError, match="lacks an attestation of provenance") as caught:
        verify(stripped, trust=policy, now=now, replay=False)
    assert caught.value.where == "required"
    assert "required" not in [check.name for check in verify(stripped, trust=trust, now=now, replay=False).checks]


SAID = sorted({name for role in ("builder", "approver") for name in RIGHTS[role]} - {"release", "integrity"})


@pytest.mark.parametrize("name", SAID)
def test_what_is_required_counts_only_from_a_role_that_may_say_it(
    name: PredicateName,
    content: Content,
    trust: TrustPolicy,
    builder: Signer,
    approver: Signer,
    stranger: Signer,
    now: datetime,
) -> None:
    """Another role's key, a stranger, another bundle and another kind of statement do not count."""
    policy = demanding(trust, name)
    signers: dict[RoleName, Signer] = {"builder": builder, "approver": approver}
    right = [signer for role, signer in signers.items() if name in RIGHTS[role]]
    wrong = [signer for role, signer in signers.items() if name not in RIGHTS[role]] + [stranger]
    other: PredicateName = "vsa" if name != "vsa" else "decision"

    for signer in right:
        good = attest(said(name, content.digest), signer).to_bytes()
        assert check_required([good], content.digest, policy, now=now, channel=None) == (name,)
        bad = [
            *(attest(said(name, content.digest), each).to_bytes() for each in wrong),
            attest(said(name, "sha256:" + "9" * 64), signer).to_bytes(),
            attest(said(other, content.digest), signer).to_bytes(),
        ]
        with pytest.raises(RefusedError, match=f"lacks an attestation of {name}"):
            check_required(bad, content.digest, policy, now=now, channel=None)
    with pytest.raises(RefusedError, match=f"lacks an attestation of {name}"):
        check_required([], content.digest, policy, now=now, channel=None)


def test_what_is_required_obeys_threshold_validity_channel_and_revocation(
    content: Content, trust: TrustPolicy, approver: Signer, edwards: Signer, now: datetime
) -> None:
    """A summary by two approvers: both, the same one, now, here, and by keys that still stand."""
    both = RoleKeys(keys=(approver.public_pem, edwards.public_pem), threshold=2, channels=("tiny/prod",))
    policy = demanding(trust, "vsa", approver=both)
    one, two = (attest(said("vsa", content.digest), signer).to_bytes() for signer in (approver, edwards))
    differs = attest(said("vsa", content.digest, note="other"), edwards).to_bytes()

    def required(
        *attestations: bytes, policy: TrustPolicy = policy, channel: str | None = "tiny/prod"
    ) -> tuple[str, ...]:
        return check_required(attestations, content.digest, policy, now=now, channel=channel)

    assert required(one, two) == ("vsa",)
    late = both.model_copy(update={"valid_from": "2027-01-01T00:00:00Z"})
    revoked = policy.model_copy(update={"revoked": Revoked(keys=(edwards.key_id,))})
    refused: dict[str, Callable[[], object]] = {
        "1 trusted keys signed, the role needs 2": lambda: required(one, differs),
        "needs 2 signatures, 1": lambda: required(one),
        "valid only from": lambda: required(one, two, policy=demanding(trust, "vsa", approver=late)),
        "not on tiny/staging": lambda: required(one, two, channel="tiny/staging"),
        "revoked": lambda: required(one, two, policy=revoked),
    }
    for says, attempt in refused.items():
        with pytest.raises(RefusedError, match=says):
            attempt()
