"""What is undecided may be promoted by who may, for a time, on record for ever; a no-go never is."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import candidate
from candidate.adapters.attest import Signer, attest, load_signer, new_key
from candidate.adapters.verdicts import claims_bytes
from candidate.canonical import digest_of
from candidate.documents.decision import Decision
from candidate.documents.entry import Entry, Move
from candidate.documents.names import DECISION_TYPE
from candidate.documents.override import Override
from candidate.documents.policy import Policy
from candidate.documents.results import Moved
from candidate.documents.statement import Statement
from candidate.documents.trust import RoleKeys, TrustPolicy
from candidate.errors import InputError, RefusedError, UnavailableError
from candidate.flows.collecting import gc
from candidate.flows.explaining import why
from candidate.flows.fsck import fsck
from candidate.flows.overridden import open_rules, override_statement
from candidate.flows.releasing import promote
from candidate.flows.slots import slot_sync
from candidate.report.channels import history_text
from candidate.report.words import moved_text
from tests.bundles import go_decision
from tests.releasing.conftest import CHANNEL, Make, Stage, entry_of, entry_statement, refused

POLICY = """
{override}
[data]
label = "late"
unit = "day"
[optimizing]
metric = "log_loss"
require = "superior"
min_gain = 0.002
"""
ALLOWS = Policy.from_toml(POLICY.format(override="[override]\nmax_days = 3"), where="policy")
SILENT = Policy.from_toml(POLICY.format(override=""), where="policy")


@pytest.fixture(scope="module")
def manager() -> Signer:
    """A key that may override."""
    return load_signer(new_key(None), None)


@pytest.fixture(scope="module")
def second() -> Signer:
    """Another one."""
    return load_signer(new_key(None), None)


@pytest.fixture
def trusting(roles: TrustPolicy, manager: Signer, second: Signer) -> TrustPolicy:
    """Each role with its own key, two that may override, one of which is enough."""
    keys = RoleKeys(keys=(manager.public_pem, second.public_pem))
    return roles.model_copy(update={"roles": {**roles.roles, "overrider": keys}})


@pytest.fixture
def stage(new_stage: Make, trusting: TrustPolicy, tmp_path: Path) -> Stage:
    """A registry with overriders in which 1.0.0 was promoted."""
    made = new_stage(tmp_path / "registry", trusting)
    made.line("1.0.0")
    return made


def undecided(stage: Stage, version: str = "2.0.0", *, policy: Policy = ALLOWS, **changes: Any) -> Decision:
    """An inconclusive decision about a version, against the champion."""
    champion = stage.releases[str(stage.champion)].ref
    made = go_decision(stage.releases[version].ref, outcome="inconclusive", champion=champion, channel=CHANNEL)
    return made.model_copy(update={"registry": stage.registry.genesis.registry, "policy": policy.digest, **changes})


def overrides(stage: Stage, about: Decision, signed: bytes, **changes: Any) -> Override:
    """What an overrider would sign of this decision, or something else."""
    whole: dict[str, Any] = {
        "decision": digest_of(signed),
        "challenger": about.challenger,
        "registry": stage.registry.genesis.registry,
        "channel": CHANNEL,
        "rules": open_rules(about),
        "reason": "the fair starts tomorrow; I carry the risk",
        "issued": "2026-11-01T11:30:00Z",
        "expires": "2026-11-03T11:30:00Z",
        "policy": ALLOWS,
    }
    return Override.model_validate({**whole, **changes})


def signed_by(override: Override | Statement, *signers: Signer) -> bytes:
    """The override's file."""
    statement = override_statement(override) if isinstance(override, Override) else override
    return claims_bytes([attest(statement, signer).to_bytes() for signer in signers])


def go_on(stage: Stage, signed: bytes, override: bytes | None, **more: Any) -> Moved:
    """Promote 2.0.0 by an override."""
    path = stage.releases["2.0.0"].path
    given = {"decision": signed, "override": override, "registry": stage.registry, "channel": CHANNEL}
    return promote(path, **{**given, "signer": stage.promoter, "now": stage.now, **more})


def test_an_override_promotes_what_is_undecided_and_stays_on_record(
    stage: Stage, manager: Signer, tmp_path: Path
) -> None:
    """Whoever reads the registry later sees by whom and why, and checks it again."""
    decision = undecided(stage)
    signed = stage.signed(decision)
    data = signed_by(overrides(stage, decision, signed), manager)
    tried = go_on(stage, signed, data, dry_run=True)
    done = go_on(stage, signed, data)
    entry = stage.registry.history().entries[-1]

    assert (tried.override, tried.dry_run, done.override) == (digest_of(data), True, digest_of(data))
    assert (stage.champion, entry.override, entry.decision) == ("2.0.0", digest_of(data), digest_of(signed))
    assert entry.reason.startswith("inconclusive by ")
    assert f"overridden by {manager.key_id[:12]}: the fair starts tomorrow" in entry.reason
    assert f"BY OVERRIDE {digest_of(data)[7:19]}" in history_text(stage.registry.history())
    assert "by the override" in moved_text(done)
    assert why("2.0.0", registry=stage.registry).events[-1].override == digest_of(data)
    assert (
        slot_sync(tmp_path / "srv", registry=stage.registry, channel=CHANNEL, now=stage.now).active.version == "2.0.0"
    )
    assert go_on(stage, signed, data).already
    stage.line("3.0.0")
    assert stage.registry.history().entries[1].override == digest_of(data)


def test_what_an_override_says_is_kept_and_read_again(stage: Stage, manager: Signer) -> None:
    """Garbage collection keeps it, fsck reads it, and without it nobody believes the log."""
    decision = undecided(stage)
    signed = stage.signed(decision)
    data = signed_by(overrides(stage, decision, signed), manager)
    go_on(stage, signed, data)
    blob = stage.blob(digest_of(data))
    os.utime(blob, (0, 0))  # old enough for anything that nothing needs
    kept = gc(stage.registry, apply=True)

    assert fsck(stage.registry).sound
    assert digest_of(data) not in {*kept.trashed, *kept.deleted}
    assert blob.is_file()
    blob.unlink()
    assert not fsck(stage.registry).sound
    with pytest.raises(UnavailableError):
        stage.registry.state()


def test_without_one_nothing_undecided_is_promoted(stage: Stage) -> None:
    """As ever; the refusal says what may be done."""
    signed = stage.signed(undecided(stage))
    error = refused(stage, RefusedError, "the decision is inconclusive, not go", go_on, stage, signed, None)

    assert "candidate override" in error.hint


def test_a_go_needs_no_override(stage: Stage, manager: Signer) -> None:
    """One beside a go is a slip, and not put on record."""
    signed = stage.go("2.0.0", "1.0.0")
    decision = undecided(stage)
    data = signed_by(overrides(stage, decision, signed), manager)
    refused(stage, InputError, "a go, which needs no override", go_on, stage, signed, data)


Change = dict[str, Any]
OTHERS: dict[str, tuple[Change, str]] = {
    "decision": ({"decision": "sha256:" + "9" * 64}, "another decision"),
    "registry": ({"registry": "f" * 32}, "another registry"),
    "channel": ({"channel": "tiny/staging"}, "another channel"),
    "rules": ({"rules": ("optimizing", "calibration")}, "another rules"),
    "policy": ({"policy": SILENT}, "another policy"),
    "expired": ({"issued": "2026-10-30T12:00:00Z", "expires": "2026-11-01T12:00:00Z"}, "expired 2026-11-01T12:00:00Z"),
    "future": ({"issued": "2026-11-01T12:06:00Z"}, "in the future"),
    "too long": ({"expires": "2026-11-04T11:30:01Z"}, "its policy allows 3 days"),
    "backwards": ({"expires": "2026-11-01T11:29:59Z"}, "its policy allows 3 days"),
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_an_override_that_does_not_fit_is_refused(stage: Stage, manager: Signer, change: tuple[Change, str]) -> None:
    """About something else, not good now, or for longer than the policy allows."""
    decision = undecided(stage)
    signed = stage.signed(decision)
    data = signed_by(overrides(stage, decision, signed, **change[0]), manager)
    refused(stage, RefusedError, change[1], go_on, stage, signed, data)


def test_a_policy_that_is_silent_allows_nothing(stage: Stage, manager: Signer) -> None:
    """Whoever decided by it cannot be overruled, whatever an override says."""
    decision = undecided(stage, policy=SILENT)
    signed = stage.signed(decision)
    data = signed_by(overrides(stage, decision, signed, policy=SILENT), manager)
    refused(stage, RefusedError, "allows to override nothing", go_on, stage, signed, data)


def test_a_no_go_is_never_overridden(stage: Stage, manager: Signer) -> None:
    """By nobody, under no policy."""
    champion = stage.releases["1.0.0"].ref
    decision = go_decision(stage.releases["2.0.0"].ref, outcome="no-go", champion=champion).model_copy(
        update={"registry": stage.registry.genesis.registry, "policy": ALLOWS.digest}
    )
    signed = stage.signed(decision)
    data = signed_by(overrides(stage, decision, signed), manager)
    refused(stage, RefusedError, "the decision is no-go", go_on, stage, signed, data)


def test_only_an_overrider_overrides(stage: Stage, stranger: Signer) -> None:
    """Not the approver, not the promoter, not a stranger; and a registry without the role knows none."""
    decision = undecided(stage)
    signed = stage.signed(decision)
    for signer in (stage.approver, stage.promoter, stage.oncall, stranger):
        data = signed_by(overrides(stage, decision, signed), signer)
        refused(stage, RefusedError, "not by a trusted one", go_on, stage, signed, data)


def test_a_registry_without_overriders_knows_no_override(
    new_stage: Make, roles: TrustPolicy, manager: Signer, tmp_path: Path
) -> None:
    """The role is not given to anybody by default."""
    stage = new_stage(tmp_path / "registry", roles)
    stage.line("1.0.0")
    decision = undecided(stage)
    signed = stage.signed(decision)
    data = signed_by(overrides(stage, decision, signed), manager)
    refused(stage, RefusedError, "no key is trusted as overrider", go_on, stage, signed, data)


def test_a_role_that_needs_two_is_not_content_with_one(
    new_stage: Make, trusting: TrustPolicy, manager: Signer, second: Signer, tmp_path: Path
) -> None:
    """Two different keys under one statement; the same key twice is one, and two statements are none."""
    keys = trusting.roles["overrider"].model_copy(update={"threshold": 2})
    trust = trusting.model_copy(update={"roles": {**trusting.roles, "overrider": keys}})
    stage = new_stage(tmp_path / "two", trust)
    stage.line("1.0.0")
    decision = undecided(stage)
    signed = stage.signed(decision)
    said = overrides(stage, decision, signed)
    other = overrides(stage, decision, signed, reason="because")
    for data, says in (
        (signed_by(said, manager), "needs 2 signatures, 1 can be given"),
        (signed_by(said, manager, manager), "1 trusted keys signed, the role needs 2"),
        (signed_by(said, manager) + signed_by(other, second), "do not all say the same"),
    ):
        refused(stage, RefusedError, says, go_on, stage, signed, data)
    assert go_on(stage, signed, signed_by(said, manager, second)).to.version == "2.0.0"


def test_another_statement_is_no_override(stage: Stage, manager: Signer) -> None:
    """An overrider's signature under something else, and under an override about another bundle."""
    decision = undecided(stage)
    signed = stage.signed(decision)
    said = override_statement(overrides(stage, decision, signed))
    other = said.model_copy(update={"predicate_type": DECISION_TYPE})
    about = override_statement(overrides(stage, decision, signed, challenger=stage.releases["3.0.0"].ref)).subject
    for statement, says in (
        (other, "attestation says"),
        (said.model_copy(update={"subject": about}), "do not all say the same"),
    ):
        refused(stage, RefusedError, says, go_on, stage, signed, signed_by(statement, manager))


def forged(stage: Stage, signed: bytes, data: bytes | None, change: Callable[[Move], Move]) -> None:
    """Write the entry of a promotion by an override as a promoter with a bug would."""
    copy = stage.copy(stage.registry.path.with_name("scratch"))
    go_on(copy, signed, data)
    entry = entry_of(list(copy.registry.log())[-1][1].entry)
    moves = tuple(change(move) for move in entry.moves)
    wrong = Entry.model_validate({**{name: getattr(entry, name) for name in Entry.model_fields}, "moves": moves})
    for blob in copy.registry.path.glob("blobs/sha256/*/*"):
        target = stage.registry.path / blob.relative_to(copy.registry.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.write_bytes(blob.read_bytes())
    stage.registry.store.put_entry(entry.sequence, attest(entry_statement(wrong), stage.promoter).to_bytes())


def test_every_reader_checks_the_override_again(stage: Stage, manager: Signer, tmp_path: Path) -> None:
    """An entry that leaves it out, or cites one that ran out before, is not believed."""
    decision = undecided(stage)
    signed = stage.signed(decision)
    data = signed_by(overrides(stage, decision, signed), manager)
    late = signed_by(overrides(stage, decision, signed, expires="2026-11-01T11:40:00Z"), manager)
    stage.registry.store.put_blob(late)
    first = stage.copy(tmp_path / "without")
    forged(first, signed, data, lambda move: move.model_copy(update={"override": None}))
    (tmp_path / "scratch").rename(tmp_path / "used")
    second = stage.copy(tmp_path / "late")
    forged(second, signed, data, lambda move: move.model_copy(update={"override": digest_of(late)}))

    with pytest.raises(RefusedError, match="does not say so: it is a inconclusive"):
        first.registry.state()
    with pytest.raises(RefusedError, match="expired 2026-11-01T11:40:00Z"):
        second.registry.status()
    with pytest.raises(RefusedError, match="expired"):
        slot_sync(tmp_path / "srv", registry=second.registry, channel=CHANNEL, now=stage.now)


def test_an_override_that_ran_out_since_does_not_unmake_a_promotion(
    stage: Stage, manager: Signer, tmp_path: Path
) -> None:
    """It was good when it was used: the champion stands, and can be rolled back as any other."""
    decision = undecided(stage)
    signed = stage.signed(decision)
    go_on(stage, signed, signed_by(overrides(stage, decision, signed), manager))
    later = stage.now + timedelta(days=300)
    done = slot_sync(tmp_path / "srv", registry=stage.registry, channel=CHANNEL, now=later)

    assert done.active.version == "2.0.0"
    assert stage.back().to.version == "1.0.0"


def test_a_role_may_be_bound_to_channels(
    new_stage: Make, trusting: TrustPolicy, manager: Signer, tmp_path: Path
) -> None:
    """An overrider of staging does not override for production, at the promotion or in the log."""
    keys = trusting.roles["overrider"].model_copy(update={"channels": ("tiny/staging",)})
    narrow = trusting.model_copy(update={"roles": {**trusting.roles, "overrider": keys}})
    stage = new_stage(tmp_path / "narrow", narrow)
    stage.line("1.0.0")
    decision = undecided(stage)
    signed = stage.signed(decision)
    data = signed_by(overrides(stage, decision, signed), manager)
    refused(stage, RefusedError, r"may act on tiny/staging", go_on, stage, signed, data)


def test_a_verifier_takes_an_override_with_its_decision(stage: Stage, trusting: TrustPolicy, manager: Signer) -> None:
    """`verify --decision --override` holds the same; neither an override alone nor one of a go is taken."""
    decision = undecided(stage)
    signed = stage.signed(decision)
    data = signed_by(overrides(stage, decision, signed), manager)
    path = stage.releases["2.0.0"].path
    given: dict[str, Any] = {"trust": trusting, "now": stage.now, "channel": CHANNEL, "replay": False}
    found = candidate.verify(path, decision=signed, override=data, **given)

    assert found.checks[-1].detail.startswith("inconclusive, signed by ")
    assert found.checks[-1].detail.endswith("until 2026-11-03T11:30:00Z")
    with pytest.raises(RefusedError, match="not go"):
        candidate.verify(path, decision=signed, **given)
    with pytest.raises(InputError, match="an override of no decision"):
        candidate.verify(path, override=data, **given)
    with pytest.raises(RefusedError, match="expired"):
        candidate.verify(path, decision=signed, override=data, **{**given, "now": stage.now + timedelta(days=3)})
