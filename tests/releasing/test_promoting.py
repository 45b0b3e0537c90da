"""Forward: a promotion, and everything that keeps one from happening."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from candidate.adapters import attest
from candidate.adapters.attest import Signer
from candidate.adapters.graph.tensors import tensor_bytes
from candidate.canonical import digest_of
from candidate.documents.entry import Genesis
from candidate.documents.evidence import BundleRef
from candidate.documents.names import ENTRY_TYPE
from candidate.documents.publickey import public_key_id
from candidate.documents.trust import Revoked, RoleKeys, TrustPolicy
from candidate.errors import (
    InputError,
    IntegrityError,
    RefusedError,
    StaleError,
    UnavailableError,
)
from candidate.flows.registry import check_builder
from candidate.flows.releasing import promote
from tests.bundles import decision_statement, go_decision, tiny_recipe
from tests.releasing.conftest import CHANNEL, Make, Release, Stage, refused, sealed, tree


def test_a_first_release_moves_from_nothing(stage: Stage) -> None:
    """The first promotion says so, and leaves no rollback target."""
    moved = stage.promote("1.0.0", stage.go("1.0.0", None))
    assert (moved.from_, moved.to, moved.rollback_target) == (None, stage.releases["1.0.0"].ref, None)
    assert (moved.sequence, moved.already, moved.skipped) == (1, False, ())
    assert (stage.champion, stage.way_back) == ("1.0.0", [])


def test_a_promotion_names_its_way_back(stage: Stage) -> None:
    """The champion before becomes the rollback target; both were replayed, and the entry says it."""
    stage.line("1.0.0")
    moved = stage.promote("2.0.0", stage.go("2.0.0", "1.0.0"))
    old, new = stage.releases["1.0.0"].ref, stage.releases["2.0.0"].ref
    assert (moved.from_, moved.to, moved.rollback_target, moved.sequence) == (old, new, old, 2)
    *_, (_, logged) = stage.registry.log()
    assert [each.bundle for each in logged.entry.moves[0].preflight] == [old.digest, new.digest]
    assert all(each.rows == 4 for each in logged.entry.moves[0].preflight)
    assert logged.key_id == stage.promoter.key_id


def test_the_decision_itself_is_kept(stage: Stage) -> None:
    """The entry cites the decision by a digest under which its very bytes are stored."""
    decision = stage.go("1.0.0", None)
    stage.promote("1.0.0", decision)
    [(_, logged)] = stage.registry.log()
    assert logged.entry.moves[0].decision == digest_of(decision)
    assert stage.registry.store.read_blob(digest_of(decision)) == decision


def test_the_same_decision_again_changes_nothing(stage: Stage) -> None:
    """A promotion that was done is said to be done, even once the decision has expired."""
    decision = stage.go("1.0.0", None)
    stage.promote("1.0.0", decision)
    before = tree(stage.registry.path)
    again = stage.promote("1.0.0", decision)
    assert (again.already, again.sequence, again.to) == (True, 1, stage.releases["1.0.0"].ref)
    late = promote(
        stage.releases["1.0.0"].path,
        decision=decision,
        registry=stage.registry,
        channel=CHANNEL,
        signer=stage.promoter,
        now=stage.now + timedelta(days=400),
    )
    assert late.already
    assert tree(stage.registry.path) == before


def test_a_used_decision_does_not_bring_its_bundle_back(three: Stage, stage: Stage) -> None:
    """After a rollback, or a further promotion, the old decision is refused, and a new one is not."""
    first, second = stage.go("1.0.0", None), stage.go("2.0.0", "1.0.0")
    stage.promote("1.0.0", first)
    stage.promote("2.0.0", second)
    refused(stage, RefusedError, "was used in entry 1", stage.promote, "1.0.0", first)
    stage.back()
    refused(stage, RefusedError, "was used in entry 2", stage.promote, "2.0.0", second)
    assert not stage.promote("2.0.0", stage.go("2.0.0", "1.0.0")).already
    assert stage.registry.status().channels[0].quarantined == ()
    assert three.champion == "3.0.0", "another registry is not touched"


def test_a_decision_against_an_older_champion_is_stale(three: Stage) -> None:
    """What was compared with 2.0.0, or with nothing, cannot replace 3.0.0: exit code 5."""
    for against in ("2.0.0", None):
        go = three.go("4.0.0", against)
        error = refused(three, StaleError, "the champion is tiny 3.0.0", three.promote, "4.0.0", go)
        assert error.exit_code == 5
    assert three.way_back == ["2.0.0", "1.0.0"]


def test_a_decision_against_a_champion_on_an_empty_channel_is_stale(stage: Stage) -> None:
    """A channel without a champion takes only a decision that was made without one."""
    go = stage.go("2.0.0", "1.0.0")
    refused(stage, StaleError, "the champion is none", stage.promote, "2.0.0", go)


@pytest.mark.parametrize("outcome", ["no-go", "inconclusive"])
def test_only_a_go_is_promoted(stage: Stage, outcome: str) -> None:
    """A signed no-go and a signed inconclusive are refused."""
    made = go_decision(stage.releases["1.0.0"].ref, outcome="no-go" if outcome == "no-go" else "inconclusive")
    bound = made.model_copy(update={"registry": stage.registry.genesis.registry})
    refused(stage, RefusedError, f"is {outcome}, not go", stage.promote, "1.0.0", stage.signed(bound))


def test_a_decision_has_to_be_signed_by_an_approver(stage: Stage, stranger: Signer, builder: Signer) -> None:
    """A stranger, the builder and the promoter cannot decide; nor does an unsigned decision."""
    decision = stage.decision("1.0.0", None)
    for signer in (stranger, builder, stage.promoter, stage.oncall):
        refused(stage, RefusedError, "not by a trusted one", stage.promote, "1.0.0", stage.signed(decision, signer))
    refused(stage, RefusedError, "nobody signed", stage.promote, "1.0.0", decision.to_bytes())
    signed = attest.attest(decision_statement(decision, kind=ENTRY_TYPE), stage.approver).to_bytes()
    refused(stage, RefusedError, "attestation says", stage.promote, "1.0.0", signed)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"expires": "2026-11-01T12:00:00Z"}, "expired"),
        ({"issued": "2026-11-01T12:06:00Z"}, "in the future"),
        ({"issued": "2026-10-31T12:00:00Z"}, "more than 24 h ago"),
        ({"channel": "tiny/staging"}, "decided for tiny/staging"),
        ({"registry": "1" * 32}, "of registry 1{32}, not for"),
        ({"registry": None}, "of registry None, not for"),
        ({"channel": None}, "is for no channel"),
        ({"channel": None, "registry": None}, "is for no channel"),
    ],
)
def test_a_decision_has_to_be_fresh_and_for_here(stage: Stage, change: dict[str, str | None], says: str) -> None:
    """Expired, from the future, too old, or bound to another channel, another registry or none: refused."""
    made = stage.signed(stage.decision("1.0.0", None, **change))
    error = refused(stage, RefusedError, says, stage.promote, "1.0.0", made)
    assert error.exit_code == 7


def test_a_go_for_one_bundle_is_not_one_for_another(stage: Stage) -> None:
    """The decision names the bundle by digest."""
    go = stage.go("1.0.0", None)
    refused(stage, RefusedError, "the go is for sha256", stage.promote, "2.0.0", go)


def test_a_key_without_the_role_is_refused_before_anything_is_written(
    stage: Stage, stranger: Signer, builder: Signer
) -> None:
    """On-call cannot promote; approver, builder and strangers can neither promote nor roll back."""
    go = stage.go("1.0.0", None)
    for signer in (stage.oncall, stage.approver, builder, stranger):
        refused(stage, RefusedError, "may not promote", stage.promote, "1.0.0", go, signer=signer)
    stage.line("1.0.0", "2.0.0")
    for signer in (stage.approver, builder, stranger):
        refused(stage, RefusedError, "may not rollback", stage.back, signer=signer)
    assert stage.back(signer=stage.promoter).to.version == "1.0.0", "a promoter may roll back too"


def test_roles_are_limited_to_their_channels_and_times(
    new_stage: Make, roles: TrustPolicy, tmp_path: Path, promoter: Signer
) -> None:
    """A promoter of other channels, one whose time is over, and one who is revoked are refused."""
    keys = (promoter.public_pem,)
    for number, (change, revoked, says) in enumerate(
        [
            (RoleKeys(keys=keys, channels=("other/*",)), Revoked(), "may not promote on tiny/prod"),
            (RoleKeys(keys=keys, valid_until="2026-11-01T12:00:00Z"), Revoked(), "was valid until"),
            (RoleKeys(keys=keys, valid_from="2026-11-01T12:00:01Z"), Revoked(), "valid only from"),
            (RoleKeys(keys=keys), Revoked(keys=(promoter.key_id,)), "may not promote"),
        ]
    ):
        trust = roles.model_copy(update={"roles": {**roles.roles, "promoter": change}, "revoked": revoked})
        stage = new_stage(tmp_path / str(number), trust)
        refused(stage, RefusedError, says, stage.promote, "1.0.0", stage.go("1.0.0", None))


def test_one_valid_role_of_two_is_enough_to_roll_back(
    new_stage: Make, roles: TrustPolicy, tmp_path: Path, promoter: Signer
) -> None:
    """A key that is promoter now may roll back, though its time on call is over."""
    over = RoleKeys(keys=(promoter.public_pem,), valid_until="2026-10-01T00:00:00Z")
    trust = roles.model_copy(update={"roles": {**roles.roles, "oncall": over}, "distinct_roles": False})
    for number, now in enumerate((over, RoleKeys(keys=over.keys))):
        both = {**roles.roles, "oncall": now}
        stage = new_stage(tmp_path / str(number), trust.model_copy(update={"roles": both}))
        stage.line("1.0.0", "2.0.0")
        assert stage.back(signer=promoter).to.version == "1.0.0"


def test_a_role_that_ran_out_does_not_take_the_way_back(new_stage: Make, roles: TrustPolicy, tmp_path: Path) -> None:
    """The builder's time ends after two promotions: nothing new is promoted, and rolling back still works."""
    ends = RoleKeys(keys=roles.roles["builder"].keys, valid_until="2026-11-01T13:00:00Z")
    stage = new_stage(tmp_path / "ends", roles.model_copy(update={"roles": {**roles.roles, "builder": ends}}))
    stage.line("1.0.0", "2.0.0")
    later = replace(stage, now=stage.now + timedelta(hours=2))
    refused(later, RefusedError, "was valid until", later.promote, "3.0.0", later.go("3.0.0", "2.0.0"))

    assert later.back().to.version == "1.0.0"


def test_a_revoked_builder_is_no_way_back(new_stage: Make, roles: TrustPolicy, tmp_path: Path) -> None:
    """A key that is revoked vouches for nothing, not even for what it vouched for before."""
    stage = new_stage(tmp_path / "r", roles)
    stage.line("1.0.0", "2.0.0")
    ids = tuple(public_key_id(pem) for pem in roles.roles["builder"].keys)
    barred = roles.model_copy(update={"revoked": Revoked(keys=ids)})
    registry = replace(stage.registry, genesis=stage.registry.genesis.model_copy(update={"trust": barred}))

    with pytest.raises(RefusedError, match="no standing key"):
        registry.preflight(stage.artifacts["1.0.0"])


def test_a_bundle_of_an_untrusted_builder_or_a_revoked_one_is_not_promoted(
    new_stage: Make, roles: TrustPolicy, tmp_path: Path, stranger: Signer, stage: Stage
) -> None:
    """A go does not stand in for the builder's attestation, nor against a revocation."""
    other = {**roles.roles, "builder": RoleKeys(keys=(stranger.public_pem,))}
    apart = new_stage(tmp_path / "apart", roles.model_copy(update={"roles": other}))
    refused(apart, RefusedError, "not by a trusted one", apart.promote, "1.0.0", apart.go("1.0.0", None))
    revoked = Revoked(digests=(stage.releases["1.0.0"].ref.digest,))
    barred = new_stage(tmp_path / "barred", roles.model_copy(update={"revoked": revoked}))
    refused(barred, RefusedError, "is revoked", barred.promote, "1.0.0", barred.go("1.0.0", None))


def test_a_promotion_without_a_readable_way_back_is_refused(three: Stage) -> None:
    """With a champion that cannot be returned to nothing is promoted: exit code 9, log as it was."""
    three.spoil("3.0.0")
    go = three.go("4.0.0", "3.0.0")
    error = refused(three, UnavailableError, "could not be returned to", three.promote, "4.0.0", go)
    assert (error.exit_code, error.where) == (9, "tiny 3.0.0")


def test_a_broken_or_absent_file_is_not_promoted(stage: Stage, tmp_path: Path) -> None:
    """A bundle with a changed byte is broken, one that is not there is bad input; the registry stays as it was."""
    go = stage.go("1.0.0", None)
    data = bytearray(stage.releases["1.0.0"].path.read_bytes())
    data[len(data) // 2] ^= 1
    broken = tmp_path / "broken.candidate"
    broken.write_bytes(data)
    for path, error, says in ((broken, IntegrityError, "sha256"), (tmp_path / "none", InputError, "No such file")):
        refused(
            stage,
            error,
            says,
            promote,
            path,
            decision=go,
            registry=stage.registry,
            channel=CHANNEL,
            signer=stage.promoter,
            now=stage.now,
        )


def test_a_bundle_that_answers_otherwise_here_is_not_promoted(
    stage: Stage, builder: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signed go and a signed bundle, but its golden outputs are not what the graph says: nothing is logged."""
    recipe = tiny_recipe().copy()
    path = "golden/test_data_set_0/output_1.pb"
    recipe.members[path] = ("golden", tensor_bytes(np.zeros((4, 2), np.float32), "probabilities"))
    file = tmp_path / "other.candidate"
    file.write_bytes(sealed(recipe, "1.0.0", builder))
    ref = BundleRef(name="tiny", version="1.0.0", digest=recipe.content().digest)
    monkeypatch.setitem(stage.releases, "lying", Release(file, ref))
    with pytest.raises(IntegrityError, match="golden outputs differ by"):
        stage.promote("lying", stage.go("lying", None))
    assert stage.log.bytes() == {}


def test_a_revoked_bundle_is_no_way_back_either(three: Stage) -> None:
    """The builder's check refuses what is revoked, whoever attested it."""
    bundle, _ = three.registry.champion(CHANNEL)
    assert bundle is not None
    revoked = Revoked(digests=(bundle.ref.digest,))
    check_builder(bundle, three.registry.genesis.trust, now=three.now)
    trust = Genesis.from_bytes(three.registry.genesis.to_bytes()).trust
    with pytest.raises(RefusedError, match="is revoked"):
        check_builder(bundle, trust.model_copy(update={"revoked": revoked}), now=three.now)
