"""The hostile corpus: every known way to make a bundle lie, and the leaf it must end in."""

import os
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from candidate.adapters.archive import Archive
from candidate.adapters.attest import Signer, attest
from candidate.adapters.graph import inspect_graph
from candidate.adapters.oci import Content, release_statement
from candidate.documents.evidence import BundleRef
from candidate.documents.names import DECISION_TYPE
from candidate.documents.trust import Revoked, RoleKeys, TrustPolicy
from candidate.errors import CandidateError, IntegrityError, RefusedError
from candidate.flows.deciding import check_decision
from candidate.flows.verifying import verify
from tests.bundles import (
    NAME,
    VERSION,
    Recipe,
    decision_statement,
    go_decision,
    pack,
    release,
)
from tests.hostile.containers import CONTAINERS, LISTINGS, reindexed, remanifested
from tests.hostile.kit import Kit, add, listed
from tests.hostile.members import GRAPHS, MEMBERS, graph


@pytest.fixture
def kit(bundle_bytes: bytes, recipe: Recipe, builder: Signer, approver: Signer, stranger: Signer) -> Kit:
    """A fresh kit."""
    return Kit(data=bundle_bytes, recipe=recipe, builder=builder, approver=approver, stranger=stranger)


def of(content: Content) -> BundleRef:
    """The bundle, named."""
    return BundleRef(name=NAME, version=VERSION, digest=content.digest)


ATTESTATIONS: dict[str, Callable[[Kit], bytes]] = {
    "none": lambda kit: pack(kit.content),
    "by a stranger": lambda kit: kit.statement(release(kit.content), kit.stranger),
    "by the approver": lambda kit: kit.statement(release(kit.content), kit.approver),
    "about another bundle": lambda kit: kit.statement(
        release_statement(NAME, VERSION, "sha256:" + "0" * 64), kit.builder
    ),
    "under another name": lambda kit: kit.statement(
        release_statement("other", VERSION, kit.content.digest), kit.builder
    ),
    "under another version": lambda kit: kit.statement(
        release_statement(NAME, "9.9.9", kit.content.digest), kit.builder
    ),
    "of another predicate": lambda kit: kit.statement(
        release(kit.content).model_copy(update={"predicate_type": "https://slsa.dev/provenance/v1"}), kit.builder
    ),
    "a decision by the builder": lambda kit: kit.statement(
        decision_statement(go_decision(of(kit.content))), kit.builder
    ),
    "about two subjects": lambda kit: kit.statement(
        release(kit.content).model_copy(update={"subject": release(kit.content).subject * 2}), kit.builder
    ),
    "with a larger predicate": lambda kit: kit.statement(
        release(kit.content).model_copy(update={"predicate": {**release(kit.content).predicate, "extra": 1}}),
        kit.builder,
    ),
}


def outcome(path: Path, data: bytes, trust: TrustPolicy, now: datetime) -> type[CandidateError] | None:
    """The leaf that verifying these bytes ends in; null when they pass. Anything else is a bug."""
    path.write_bytes(data)
    try:
        verify(path, trust=trust, now=now, replay=False)
    except CandidateError as error:
        return type(error)
    return None


CORPUS = {
    **{f"container: {name}": (make, IntegrityError) for name, make in CONTAINERS.items()},
    **{f"listing: {name}": (make, IntegrityError) for name, make in LISTINGS.items()},
    **{f"member: {name}": (make, IntegrityError) for name, make in MEMBERS.items()},
    **{f"graph: {name}": (make, IntegrityError) for name, make in GRAPHS.items()},
    **{f"attestation: {name}": (make, RefusedError) for name, make in ATTESTATIONS.items()},
}


@pytest.mark.parametrize(("make", "leaf"), CORPUS.values(), ids=CORPUS)
def test_a_hostile_bundle_is_refused_by_its_leaf(
    make: Callable[[Kit], bytes],
    leaf: type[CandidateError],
    kit: Kit,
    tmp_path: Path,
    trust: TrustPolicy,
    now: datetime,
) -> None:
    """Each entry is one lie; none passes, and none ends in a traceback."""
    assert outcome(tmp_path / "x.candidate", make(kit), trust, now) is leaf


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


DECISIONS: dict[str, Callable[[Kit], bytes]] = {
    "by the builder": lambda kit: attest(decision_statement(go_decision(of(kit.content))), kit.builder).to_bytes(),
    "by a stranger": lambda kit: attest(decision_statement(go_decision(of(kit.content))), kit.stranger).to_bytes(),
    "with another subject": lambda kit: attest(
        decision_statement(go_decision(of(kit.content)), digest="sha256:" + "0" * 64), kit.approver
    ).to_bytes(),
    "of another type": lambda kit: attest(
        decision_statement(go_decision(of(kit.content)), kind=DECISION_TYPE + "x"), kit.approver
    ).to_bytes(),
    "a release by the approver": lambda kit: attest(release(kit.content), kit.approver).to_bytes(),
}


@pytest.mark.parametrize("make", DECISIONS.values(), ids=DECISIONS)
def test_a_forged_decision_is_refused(
    make: Callable[[Kit], bytes], kit: Kit, trust: TrustPolicy, now: datetime
) -> None:
    """A decision counts when an approver signed it as one, about the bundle it decides on."""
    with pytest.raises(RefusedError):
        check_decision(make(kit), trust, now=now)


def test_a_decision_that_does_not_follow_from_its_findings_is_no_decision(
    kit: Kit, trust: TrustPolicy, now: datetime
) -> None:
    """An approver's key cannot turn a failed finding into a go."""
    statement = decision_statement(go_decision(of(kit.content), outcome="no-go"))
    forged = statement.model_copy(update={"predicate": {**statement.predicate, "outcome": "go"}})

    with pytest.raises(IntegrityError, match="does not follow"):
        check_decision(attest(forged, kit.approver).to_bytes(), trust, now=now)


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


def test_a_flipped_bit_anywhere_is_refused(
    bundle_bytes: bytes, tmp_path: Path, trust: TrustPolicy, now: datetime
) -> None:
    """All headers and padding, all of the index and layout, and a sample of every blob."""
    path = tmp_path / "x.candidate"
    path.write_bytes(bundle_bytes)
    chooser = random.Random(20_261_101)
    with Archive.open(path) as archive:
        blobs = [(offset, archive.sizes[digest]) for digest, offset in archive._offsets.items()]
    inside = {place for offset, size in blobs for place in range(offset, offset + size)}
    structure = [place for place in range(len(bundle_bytes)) if place not in inside]
    edges = [place for offset, size in blobs for place in (offset, offset + size - 1)]
    places = [*structure[::3], *edges, *chooser.sample(sorted(inside), 700)]
    descriptor = os.open(path, os.O_RDWR)
    try:
        for place in places:
            os.pwrite(descriptor, bytes([bundle_bytes[place] ^ (1 << chooser.randrange(8))]), place)
            with pytest.raises((IntegrityError, RefusedError)):
                verify(path, trust=trust, now=now, replay=False)
            os.pwrite(descriptor, bundle_bytes[place : place + 1], place)
    finally:
        os.close(descriptor)
    assert verify(path, trust=trust, now=now, replay=False).replay is None


def test_a_file_cut_anywhere_is_refused(bundle_bytes: bytes, tmp_path: Path, trust: TrustPolicy, now: datetime) -> None:
    """Every block boundary, and some places between."""
    for size in [*range(0, len(bundle_bytes), 512), *range(1, len(bundle_bytes), 997)]:
        assert outcome(tmp_path / "x.candidate", bundle_bytes[:size], trust, now) is IntegrityError
