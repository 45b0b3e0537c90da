"""Around the corpus: what it is made of passes, and trust that ended refuses what was good."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from candidate.adapters.attest import Signer
from candidate.adapters.graph import inspect_graph
from candidate.documents.trust import Revoked, RoleKeys, TrustPolicy
from candidate.errors import CandidateError, IntegrityError, RefusedError
from candidate.flows.verifying import verify
from tests.bundles import (
    Recipe,
)
from tests.hostile.containers import reindexed, remanifested
from tests.hostile.kit import Kit, add, listed
from tests.hostile.members import graph


@pytest.fixture
def kit(bundle_bytes: bytes, recipe: Recipe, builder: Signer, approver: Signer, stranger: Signer) -> Kit:
    """A fresh kit."""
    return Kit(data=bundle_bytes, recipe=recipe, builder=builder, approver=approver, stranger=stranger)


def outcome(path: Path, data: bytes, trust: TrustPolicy, now: datetime) -> type[CandidateError] | None:
    """The leaf that verifying these bytes ends in; null when they pass. Anything else is a bug."""
    path.write_bytes(data)
    try:
        verify(path, trust=trust, now=now, replay=False)
    except CandidateError as error:
        return type(error)
    return None


def test_the_bundle_the_corpus_is_made_of_passes(kit: Kit, tmp_path: Path, trust: TrustPolicy, now: datetime) -> None:
    """Otherwise the corpus would be refused for the wrong reason."""
    path = tmp_path / "x.candidate"

    assert outcome(path, kit.data, trust, now) is None
    assert outcome(path, kit.signed(lambda _: None), trust, now) is None
    assert outcome(path, kit.signed(add("docs/more.md")), trust, now) is None
    assert outcome(path, remanifested(kit, lambda _: None), trust, now) is None
    assert outcome(path, reindexed(kit, lambda _: None), trust, now) is None
    assert outcome(path, listed("zzz.md")(kit), trust, now) is None
    assert outcome(path, graph(lambda _: None)(kit), trust, now) is None
    assert outcome(path, kit.tar(lambda _: None), trust, now) is None
    assert inspect_graph(kit.recipe.model).facts == kit.recipe.manifest().onnx


def test_a_stale_decision_is_refused(bundle_path: Path, trust: TrustPolicy, now: datetime, signed_go: bytes) -> None:
    """Yesterday's go is not today's."""
    with pytest.raises(RefusedError, match="expired"):
        verify(bundle_path, trust=trust, now=now + timedelta(days=1), decision=signed_go, replay=False)


def limited(trust: TrustPolicy, **fields: object) -> TrustPolicy:
    """The trust policy with a limit on builders."""
    builders = trust.roles["builder"].model_copy(update=fields)
    return trust.model_copy(update={"roles": {**trust.roles, "builder": builders}})


def test_trust_that_ended_is_refused(
    bundle_path: Path, trust: TrustPolicy, now: datetime, builder: Signer, stranger: Signer
) -> None:
    """Expired role, role not begun, revoked key, no such role, no such channel: each refuses."""
    only_approvers = trust.model_copy(update={"roles": {"approver": trust.roles["approver"]}})
    two = RoleKeys(keys=(builder.public_pem, stranger.public_pem))
    revoked = Revoked(keys=(builder.key_id,))
    for spoiled in (
        limited(trust, valid_until="2026-10-31T00:00:00Z"),
        limited(trust, valid_from="2026-12-01T00:00:00Z"),
        limited(trust, channels=("other/*",)),
        trust.model_copy(update={"revoked": revoked}),
        TrustPolicy(roles={"builder": two}, revoked=revoked),
        only_approvers,
    ):
        with pytest.raises(RefusedError):
            verify(bundle_path, trust=spoiled, now=now, channel="tiny/prod", replay=False)


def test_a_file_cut_anywhere_is_refused(bundle_bytes: bytes, tmp_path: Path, trust: TrustPolicy, now: datetime) -> None:
    """Every block boundary, and some places between."""
    for size in [*range(0, len(bundle_bytes), 512), *range(1, len(bundle_bytes), 997)]:
        assert outcome(tmp_path / "x.candidate", bundle_bytes[:size], trust, now) is IntegrityError
