"""Identities in a trust policy: a role, a threshold and a log count them as they count keys."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from candidate.adapters.attest import Signer, attest
from candidate.adapters.oci import Content
from candidate.adapters.trust import read_trust, write_trust
from candidate.documents.evidence import BundleRef
from candidate.documents.names import RoleName
from candidate.documents.statement import Statement
from candidate.documents.trust import Revoked, RoleKeys, TrustPolicy
from candidate.errors import RefusedError
from candidate.flows.attaching import attach
from candidate.flows.deciding import check_decision
from candidate.flows.registry import Registry
from candidate.flows.releasing import promote, rollback
from candidate.flows.verifying import verify
from tests.bundles import decision_statement, go_decision, pack, release
from tests.sigstores import SHIP, LocalSigstore, ship

APPROVE = SHIP.replace("ship", "approve")
PROMOTE = SHIP.replace("ship", "promote")


@pytest.fixture(scope="module")
def local() -> LocalSigstore:
    """A sigstore of our own."""
    return LocalSigstore()


@pytest.fixture(scope="module")
def workflow(local: LocalSigstore) -> Signer:
    """The builder's workflow."""
    return local.signer()


@pytest.fixture(scope="module")
def trust(local: LocalSigstore) -> TrustPolicy:
    """Each role is a workflow's; nobody has a key."""
    roles: dict[RoleName, RoleKeys] = {
        "builder": RoleKeys(identities=(ship(),)),
        "approver": RoleKeys(identities=(ship(APPROVE),)),
        "promoter": RoleKeys(identities=(ship(PROMOTE),)),
    }
    return TrustPolicy(roles=roles, sigstore=local.pinned)


def with_builder(trust: TrustPolicy, keys: RoleKeys) -> TrustPolicy:
    """The policy with another builder."""
    return trust.model_copy(update={"roles": {**trust.roles, "builder": keys}})


def stored(folder: Path, content: Content, signed: Sequence[tuple[Statement, Signer]]) -> Path:
    """A bundle file with these statements attested."""
    path = folder / "x.candidate"
    path.write_bytes(pack(content, tuple(attest(statement, signer).to_bytes() for statement, signer in signed)))
    return path


def test_a_bundle_is_verified_by_the_workflow_that_built_it(
    tmp_path: Path, content: Content, trust: TrustPolicy, workflow: Signer, now: datetime
) -> None:
    """The answer says which workflow; under a key alone the same file is nobody's."""
    path = stored(tmp_path, content, [(release(content), workflow)])
    result = verify(path, trust=trust, now=now, replay=False)

    assert result.key_id == workflow.key_id
    assert [each.detail for each in result.checks if each.name == "attestation"] == [f"release signed by {SHIP}"]


def test_under_a_public_key_a_certificate_is_somebody_elses(
    tmp_path: Path, content: Content, workflow: Signer, builder: Signer, now: datetime
) -> None:
    """And with an attestation by the key beside it, it is not in the way."""
    path = stored(tmp_path, content, [(release(content), workflow)])
    with pytest.raises(RefusedError, match="not by a trusted key"):
        verify(path, public_key=builder.public_pem, now=now, replay=False)

    both = stored(tmp_path, content, [(release(content), workflow), (release(content), builder)])
    assert verify(both, public_key=builder.public_pem, now=now, replay=False).key_id == builder.key_id


def test_a_role_without_identities_trusts_no_certificate(
    tmp_path: Path, content: Content, trust: TrustPolicy, workflow: Signer, builder: Signer, now: datetime
) -> None:
    """Whatever other roles trust, and although the root is pinned."""
    path = stored(tmp_path, content, [(release(content), workflow)])
    for keys in (RoleKeys(keys=(builder.public_pem,)), RoleKeys(identities=(ship(SHIP + "2"),))):
        with pytest.raises(RefusedError, match=f"signed by {SHIP}"):
            verify(path, trust=with_builder(trust, keys), now=now, replay=False)


def test_key_and_identity_are_counted_together(
    tmp_path: Path,
    content: Content,
    trust: TrustPolicy,
    workflow: Signer,
    local: LocalSigstore,
    builder: Signer,
    now: datetime,
) -> None:
    """Two of two: neither the workflow alone, nor the workflow twice, nor the key alone."""
    two = with_builder(trust, RoleKeys(keys=(builder.public_pem,), identities=(ship(),), threshold=2))
    said = release(content)
    verify(stored(tmp_path, content, [(said, workflow), (said, builder)]), trust=two, now=now, replay=False)

    for signers in ([workflow], [workflow, local.signer()], [builder]):
        path = stored(tmp_path, content, [(said, signer) for signer in signers])
        with pytest.raises(RefusedError, match="the role needs 2"):
            verify(path, trust=two, now=now, replay=False)


def test_what_is_required_may_be_said_by_an_identity(
    tmp_path: Path, content: Content, trust: TrustPolicy, workflow: Signer, builder: Signer, now: datetime
) -> None:
    """Provenance by the workflow counts; with the right taken away it does not."""
    said = [(release(content), builder), (release(content), workflow)]
    provenance = Statement(
        subject=release(content).subject, predicate_type="https://slsa.dev/provenance/v1", predicate={}
    )
    wanted = trust.model_copy(update={"required": ("release", "provenance")})
    path = stored(tmp_path, content, [*said, (provenance, workflow)])
    assert verify(path, trust=wanted, now=now, replay=False).key_id == workflow.key_id

    narrow = RoleKeys(keys=(builder.public_pem,), identities=(ship(),), predicates=("release",))
    with pytest.raises(RefusedError, match="lacks an attestation of provenance"):
        verify(path, trust=with_builder(wanted, narrow), now=now, replay=False)
    with pytest.raises(RefusedError, match="lacks an attestation of provenance"):
        verify(stored(tmp_path, content, said), trust=wanted, now=now, replay=False)


def test_a_revoked_identity_is_not_trusted(
    tmp_path: Path, content: Content, trust: TrustPolicy, workflow: Signer, builder: Signer, now: datetime
) -> None:
    """Issuer and subject together: the same subject of another issuer revokes nothing."""
    path = stored(tmp_path, content, [(release(content), workflow)])
    either = with_builder(trust, RoleKeys(keys=(builder.public_pem,), identities=(ship(),)))
    gone = {"revoked": Revoked(identities=(ship(),))}
    other = {"revoked": Revoked(identities=(ship(issuer="https://example.com"),))}

    verify(path, trust=either.model_copy(update=other), now=now, replay=False)
    with pytest.raises(RefusedError, match="not by a trusted key"):
        verify(path, trust=either.model_copy(update=gone), now=now, replay=False)
    with pytest.raises(RefusedError, match="keys are revoked"):
        verify(path, trust=trust.model_copy(update=gone), now=now, replay=False)


def test_a_role_that_ran_out_or_acts_elsewhere_has_no_identities(
    tmp_path: Path, content: Content, trust: TrustPolicy, workflow: Signer, now: datetime
) -> None:
    """Validity and channels hold for them as for keys."""
    path = stored(tmp_path, content, [(release(content), workflow)])
    past = RoleKeys(identities=(ship(),), valid_until="2026-01-01T00:00:00Z")
    away = RoleKeys(identities=(ship(),), channels=("tiny/staging",))

    with pytest.raises(RefusedError, match="valid until"):
        verify(path, trust=with_builder(trust, past), now=now, replay=False)
    with pytest.raises(RefusedError, match="not on tiny/prod"):
        verify(path, trust=with_builder(trust, away), now=now, replay=False, channel="tiny/prod")


def test_only_the_approvers_identity_decides(
    trust: TrustPolicy, workflow: Signer, local: LocalSigstore, bundle_ref: BundleRef, now: datetime
) -> None:
    """A builder's workflow that signs a go has decided nothing."""
    statement = decision_statement(go_decision(bundle_ref))
    assert check_decision(attest(statement, local.signer(APPROVE)).to_bytes(), trust, now=now).decision.outcome == "go"

    with pytest.raises(RefusedError, match=f"signed by {SHIP}"):
        check_decision(attest(statement, workflow).to_bytes(), trust, now=now)


def test_a_certified_attestation_is_attached_like_any_other(
    tmp_path: Path,
    content: Content,
    trust: TrustPolicy,
    workflow: Signer,
    local: LocalSigstore,
    builder: Signer,
    now: datetime,
) -> None:
    """It is named by the identity's id; whoever may not say it is refused where a policy is given."""
    path = stored(tmp_path, content, [(release(content), builder)])
    certified = attest(release(content), workflow).to_bytes()
    with pytest.raises(RefusedError, match="not by a trusted identity"):
        attach(path, [attest(release(content), local.signer(APPROVE)).to_bytes()], trust=trust, now=now)

    attached = attach(path, [certified], trust=trust, now=now)
    assert [each.key_id for each in attached.attestations] == [workflow.key_id]
    assert verify(path, trust=trust, now=now, replay=False).key_id == workflow.key_id


def test_a_registry_of_identities_needs_nothing_but_itself(
    tmp_path: Path,
    content: Content,
    trust: TrustPolicy,
    workflow: Signer,
    local: LocalSigstore,
    bundle_ref: BundleRef,
    now: datetime,
) -> None:
    """Its genesis holds the root. Promoted and rolled back by workflows, read again by whoever opens it."""
    (tmp_path / "root.json").write_text(local.root)
    (tmp_path / "trust.toml").write_text(write_trust(trust).replace(quoted(local.root), '"root.json"'))
    registry = Registry.create(tmp_path / "registry", trust=read_trust(tmp_path / "trust.toml"), now=now)
    (tmp_path / "root.json").unlink()
    path = stored(tmp_path, content, [(release(content), workflow)])
    made = go_decision(bundle_ref).model_copy(update={"registry": registry.genesis.registry})
    go = attest(decision_statement(made), local.signer(APPROVE)).to_bytes()
    promoter = local.signer(PROMOTE)

    def forward(signer: Signer) -> int:
        moved = promote(path, decision=go, registry=registry, channel="tiny/prod", signer=signer, now=now)
        return moved.sequence

    with pytest.raises(RefusedError, match="may not promote"):
        forward(workflow)
    assert forward(promoter) == 1
    again = Registry.open(tmp_path / "registry")
    assert [logged.key_id for _, logged in again.log()] == [promoter.key_id]
    assert again.genesis.trust.sigstore is not None
    assert again.genesis.trust.sigstore.trusted_root == local.pinned.trusted_root
    with pytest.raises(RefusedError, match="may not rollback"):
        rollback(registry=again, channel="tiny/prod", signer=workflow, reason="x", now=now)


def quoted(text: str) -> str:
    """A string as the policy's TOML has it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def test_a_log_does_not_follow_a_revoked_identity(
    tmp_path: Path,
    content: Content,
    trust: TrustPolicy,
    workflow: Signer,
    local: LocalSigstore,
    bundle_ref: BundleRef,
    now: datetime,
) -> None:
    """What it signs from then on is refused when it is signed."""
    revoked = trust.model_copy(update={"revoked": Revoked(identities=(ship(PROMOTE),))})
    registry = Registry.create(tmp_path / "registry", trust=revoked, now=now)
    made = go_decision(bundle_ref).model_copy(update={"registry": registry.genesis.registry})
    go = attest(decision_statement(made), local.signer(APPROVE)).to_bytes()
    path = stored(tmp_path, content, [(release(content), workflow)])

    with pytest.raises(RefusedError, match="may not promote"):
        promote(path, decision=go, registry=registry, channel="tiny/prod", signer=local.signer(PROMOTE), now=now)
