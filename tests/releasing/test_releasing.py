"""Promote and roll back: what moves, what does not, and what every refusal leaves untouched."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import ParamSpec

import numpy as np
import pytest

from candidate.adapters import attest
from candidate.adapters.attest import Signer, public_key_id
from candidate.adapters.tensors import tensor_bytes
from candidate.document import digest_of
from candidate.documents.evidence import BundleRef
from candidate.documents.statement import ENTRY_TYPE
from candidate.documents.trust import Revoked, RoleKeys, TrustPolicy
from candidate.errors import (
    CandidateError,
    InputError,
    IntegrityError,
    RefusedError,
    StaleError,
    UnavailableError,
)
from candidate.flows.registry import Registry, check_builder
from candidate.flows.releasing import export, promote, rollback
from tests.bundles import decision_statement, go_decision, tiny_recipe
from tests.releasing.conftest import CHANNEL, Release, Stage, sealed

Make = Callable[[Path, TrustPolicy | None], Stage]
P = ParamSpec("P")


def tree(path: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def refused(
    stage: Stage, error: type[CandidateError], says: str, act: Callable[P, object], *args: P.args, **named: P.kwargs
) -> CandidateError:
    """Assert that this is refused with this very leaf, and that not one byte of the registry changed."""
    before = tree(stage.registry.path)
    with pytest.raises(error, match=says) as caught:
        act(*args, **named)
    assert type(caught.value) is error
    assert tree(stage.registry.path) == before
    return caught.value


# --- forward -----------------------------------------------------------------------------------


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
    with pytest.raises(RefusedError, match="is revoked"):
        check_builder(bundle, three.registry.genesis.trust.model_copy(update={"revoked": revoked}), now=three.now)


# --- back --------------------------------------------------------------------------------------


def test_a_rollback_returns_to_the_champion_before(three: Stage) -> None:
    """One step back; the bundle returned from is quarantined, and the entry says who and why."""
    moved = three.back(reason="  late by an hour \n")
    old, new = three.releases["3.0.0"].ref, three.releases["2.0.0"].ref
    assert (moved.from_, moved.to, moved.rollback_target, moved.sequence) == (
        old,
        new,
        three.releases["1.0.0"].ref,
        4,
    )
    [row] = three.registry.status().channels
    assert (row.action, row.reason, row.by) == ("rollback", "late by an hour", three.oncall.key_id)
    assert row.quarantined == (old.digest,)


def test_rolling_back_twice_goes_further(three: Stage) -> None:
    """Twice is two steps back, never there and back again; a third has nowhere to go."""
    assert [three.back().to.version, three.back().to.version] == ["2.0.0", "1.0.0"]
    error = refused(three, UnavailableError, "no earlier champion", three.back)
    assert error.exit_code == 9


def test_a_rollback_to_a_named_bundle(three: Stage, tmp_path: Path) -> None:
    """A version, a digest, and the beginning of one each lead to the very bundle."""
    digest = three.releases["1.0.0"].ref.digest
    for number, to in enumerate(("1.0.0", digest, digest[7:15], digest[:15])):
        copy = three.copy(tmp_path / str(number))
        assert copy.back(to).to.digest == digest
        assert copy.way_back == []


def test_a_rollback_to_the_champion_of_now_is_done_already(three: Stage) -> None:
    """A rollback run twice with the same target is done once."""
    three.back("2.0.0")
    before = tree(three.registry.path)
    again = three.back("2.0.0")
    assert (again.already, again.sequence, again.to.version) == (True, 4, "2.0.0")
    assert again.rollback_target == three.releases["1.0.0"].ref
    assert tree(three.registry.path) == before


def test_a_version_that_the_champion_shares_with_a_target_has_to_be_told_apart(stage: Stage) -> None:
    """Two bundles of one version: the version alone is refused, not taken for done; a digest says which."""
    stage.line("1.0.0", "2.0.0")
    stage.promote("twin", stage.go("twin", "2.0.0"))
    old, new = stage.releases["2.0.0"].ref, stage.releases["twin"].ref
    assert (old.version, new.version) == ("2.0.0", "2.0.0")
    error = refused(stage, InputError, "'2.0.0' is the champion and a rollback target", stage.back, "2.0.0")
    assert (old.digest[7:19] in error.hint, new.digest[7:19] in error.hint) == (True, True)
    assert stage.back(new.digest).already
    assert stage.back(old.digest[7:15]).to == old
    assert stage.back("2.0.0").already, "and now only one is meant"


@pytest.mark.parametrize("to", ["9.9.9", "3.0", "", "abcdef0"])
def test_a_rollback_to_nothing_known_is_refused(three: Stage, to: str) -> None:
    """What names no target is bad input, and the hint says what there is."""
    error = refused(three, InputError, "is no rollback target", three.back, to)
    assert "2.0.0" in error.hint
    assert "1.0.0" in error.hint


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_rollback_needs_a_reason(three: Stage, reason: str) -> None:
    """Whoever reads the log in the morning wants to know why."""
    refused(three, InputError, "needs a reason", three.back, reason=reason)


def test_an_unknown_channel_is_named(three: Stage) -> None:
    """A misspelt channel is answered with those there are, on the way back and in status."""

    def back() -> None:
        rollback(registry=three.registry, channel="tiny/prd", signer=three.oncall, reason="so", now=three.now)

    for act in (back, lambda: three.registry.status("tiny/prd")):
        assert refused(three, InputError, "no channel 'tiny/prd'", act).hint == f"this registry has: {CHANNEL}"


def test_a_broken_champion_does_not_hinder_a_rollback(three: Stage) -> None:
    """The bundle that one leaves need not even be there, nor the decision that made it champion."""
    three.spoil("3.0.0")
    three.blob(three.artifacts["3.0.0"].index).unlink()
    assert three.back().to.version == "2.0.0"


def test_a_broken_target_is_skipped_for_the_next(three: Stage) -> None:
    """The nearest target that works is taken, and what was skipped is said."""
    three.spoil("2.0.0")
    moved = three.back()
    assert (moved.to.version, len(moved.skipped)) == ("1.0.0", 1)
    assert moved.skipped[0].startswith("tiny 2.0.0: ")
    assert three.way_back == []


def test_a_named_target_is_not_skipped(three: Stage) -> None:
    """Who names a target gets that one or none."""
    three.spoil("2.0.0")
    refused(three, UnavailableError, "no rollback target can be relied on: tiny 2.0.0", three.back, "2.0.0")


def test_no_target_that_works_is_said_with_every_reason(three: Stage) -> None:
    """When all are broken, nothing moves, and the message names each."""
    for version in ("1.0.0", "2.0.0"):
        three.spoil(version)
    error = refused(three, UnavailableError, "tiny 2.0.0: .*; tiny 1.0.0: ", three.back)
    assert error.exit_code == 9


def test_promoting_a_bundle_again_mends_its_blobs(three: Stage) -> None:
    """A rotten blob is replaced by the whole one that a promotion of the same bundle brings."""
    three.back()
    three.spoil("3.0.0")
    three.promote("3.0.0", three.go("3.0.0", "2.0.0"))
    assert three.registry.champion(CHANNEL)[0] is not None


def test_an_empty_channel_has_nothing_to_return_to(stage: Stage) -> None:
    """A rollback before any release is bad input; after the first one it is unavailable."""
    refused(stage, InputError, "no channel", stage.back)
    stage.line("1.0.0")
    refused(stage, UnavailableError, "no earlier champion", stage.back)


# --- what is stored ----------------------------------------------------------------------------


def test_losing_the_refs_changes_nothing(three: Stage) -> None:
    """The cache is for other tools; status and history are read from the log, and a rollback works without it."""
    status, history = three.registry.status(), three.registry.history()
    for file in sorted((three.registry.path / "refs").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    (three.registry.path / "refs").rmdir()
    assert (three.registry.status(), three.registry.history()) == (status, history)
    assert three.back().to.version == "2.0.0"
    assert (three.registry.path / "refs" / f"{CHANNEL}.json").is_file()


def test_a_lying_ref_changes_nothing(three: Stage) -> None:
    """Whatever the cache says, the log says who is champion."""
    (three.registry.path / "refs" / f"{CHANNEL}.json").write_bytes(b'{"champion":"1.0.0"}')
    assert three.champion == "3.0.0"


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0", "3.0.0"])
def test_an_export_is_the_very_file(three: Stage, tmp_path: Path, version: str) -> None:
    """What comes out of a registry is byte for byte what went in, and of the size that the store says."""
    out, file = tmp_path / "out.candidate", three.releases[version].path
    artifact = three.artifacts[version]
    assert export(three.registry, artifact, out) == digest_of(file.read_bytes())
    assert out.read_bytes() == file.read_bytes()
    assert three.registry.store.bundle(artifact).size_bytes == file.stat().st_size


def test_a_broken_bundle_is_not_exported(three: Stage, tmp_path: Path) -> None:
    """No partial file is left."""
    three.spoil("2.0.0")
    with pytest.raises(IntegrityError):
        export(three.registry, three.artifacts["2.0.0"], tmp_path / "out.candidate")
    assert [file.name for file in tmp_path.iterdir()] == ["three"]


def test_the_champion_is_read_with_the_entry_that_made_it(three: Stage, stage: Stage) -> None:
    """The champion's bytes are checked on reading; an empty channel has none."""
    bundle, head = three.registry.champion(CHANNEL)
    assert bundle is not None
    assert (bundle.ref, head) == (three.releases["3.0.0"].ref, 3)
    assert stage.registry.champion(CHANNEL) == (None, 0)
    three.spoil("3.0.0")
    with pytest.raises(IntegrityError):
        three.registry.champion(CHANNEL)


def test_history_tells_every_move(three: Stage) -> None:
    """Each move with its from and to, oldest first; another channel has none."""
    three.back()
    rows = three.registry.history(CHANNEL).entries
    assert [(row.from_ and row.from_.version, row.to.version, row.action) for row in rows] == [
        (None, "1.0.0", "promote"),
        ("1.0.0", "2.0.0", "promote"),
        ("2.0.0", "3.0.0", "promote"),
        ("3.0.0", "2.0.0", "rollback"),
    ]
    assert [row.decision is None for row in rows] == [False, False, False, True]
    assert three.registry.history("tiny/staging").entries == ()


def test_a_registry_is_made_once_and_with_usable_trust(stage: Stage, roles: TrustPolicy, tmp_path: Path) -> None:
    """An existing folder with something in it, a missing role and a folder that is no registry are bad input."""
    refused(stage, InputError, "exists already", Registry.create, stage.registry.path, trust=roles)
    few = {role: keys for role, keys in roles.roles.items() if role != "approver"}
    with pytest.raises(InputError, match="no keys for approver"):
        Registry.create(tmp_path / "few", trust=roles.model_copy(update={"roles": few}))
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(InputError, match="cannot be made"):
        Registry.create(file / "below", trust=roles)
    with pytest.raises(InputError, match="no registry"):
        Registry.open(tmp_path / "few")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "registry"]
