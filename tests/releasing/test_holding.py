"""Holds and quarantines: to stop things takes one word, and it holds for whoever reads the log."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from pydantic import ValidationError

from candidate.documents.entry import Entry, Mark
from candidate.errors import InputError, IntegrityError, RefusedError, UnavailableError
from candidate.flows.holding import hold, quarantine, release, unhold
from candidate.flows.releasing import promote, rollback
from tests.releasing.conftest import CHANNEL, Stage, refused, tree

WHY = "frozen for the weekend"


def held(stage: Stage, until: datetime | None = None) -> None:
    """Hold the channel, as on-call does."""
    hold(registry=stage.registry, channel=CHANNEL, signer=stage.oncall, until=until, now=stage.now, reason=WHY)


def test_a_held_channel_takes_no_promotion(three: Stage) -> None:
    """A go is refused while the hold stands, with its reason; status says so; after unhold the same go works."""
    held(three)
    go = three.go("4.0.0", "3.0.0")
    error = refused(three, RefusedError, "is held since entry 4: frozen", three.promote, "4.0.0", go)
    assert error.exit_code == 7
    [row] = three.registry.status().channels
    assert row.hold is not None
    assert (row.hold.sequence, row.hold.reason, row.hold.until) == (4, "frozen for the weekend", None)
    assert row.champion == three.releases["3.0.0"].ref, "a hold moves nobody"

    unhold(registry=three.registry, channel=CHANNEL, signer=three.promoter, now=three.now, reason="monday")

    assert three.promote("4.0.0", go).to.version == "4.0.0"
    assert three.registry.status().channels[0].hold is None


def test_a_held_channel_still_goes_back(three: Stage) -> None:
    """The way back is never closed, and the hold stays."""
    held(three)
    assert three.back().to.version == "2.0.0"
    assert three.registry.state().channel(CHANNEL).hold is not None


def test_a_hold_ends_by_itself(three: Stage) -> None:
    """Up to the second it holds; from then on it does not."""
    until = three.now + timedelta(hours=2)
    held(three, until)
    go = three.go("4.0.0", "3.0.0")
    act = partial(promote, three.releases["4.0.0"].path, decision=go, registry=three.registry, channel=CHANNEL)
    early = until - timedelta(seconds=1)
    refused(three, RefusedError, "is held until 2026", act, signer=three.promoter, now=early)
    assert act(signer=three.promoter, now=until).to.version == "4.0.0"


def test_a_hold_may_come_before_the_first_release(stage: Stage) -> None:
    """A channel that nothing was promoted to can be held; status has it without a champion."""
    held(stage)
    [row] = stage.registry.status().channels
    assert (row.champion, row.action, row.by, row.rollback_chain) == (None, None, None, ())
    refused(stage, RefusedError, "is held", stage.promote, "1.0.0", stage.go("1.0.0", None))


def test_a_hold_twice_is_once(three: Stage) -> None:
    """The same hold again writes nothing; another end is another hold; unhold where none is writes nothing."""
    held(three)
    before = tree(three.registry.path)
    again = hold(registry=three.registry, channel=CHANNEL, signer=three.oncall, now=three.now, reason=WHY)
    assert (again.already, again.sequence) == (True, 4)
    assert tree(three.registry.path) == before
    held(three, three.now + timedelta(hours=1))
    assert three.registry.state().head == 5
    undo = partial(unhold, registry=three.registry, channel=CHANNEL, signer=three.oncall, now=three.now, reason="over")
    assert (undo().already, undo().already) == (False, True)


@pytest.mark.parametrize(
    "until",
    [datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1)],  # noqa: DTZ001 - that is what is refused
    ids=["over", "without a zone"],
)
def test_a_hold_until_no_time_is_refused(three: Stage, until: datetime) -> None:
    """A time that is over, or that nobody knows where."""
    refused(three, InputError, "is over, or has no time zone", held, three, until)


def test_a_barred_bundle_is_neither_promoted_nor_returned_to(three: Stage) -> None:
    """After a quarantine of the target the way back goes past it, and no decision brings it back before its release."""
    said = quarantine(
        "2.0.0", registry=three.registry, channel=CHANNEL, signer=three.oncall, now=three.now, reason="leaks"
    )
    bad = three.releases["2.0.0"].ref
    assert (said.bundle, said.sequence, said.already) == (bad.digest, 4, False)
    assert three.way_back == ["1.0.0"]
    refused(three, RefusedError, "under quarantine", three.promote, "2.0.0", three.go("2.0.0", "3.0.0"))
    assert three.registry.status().channels[0].quarantined == (bad.digest,)

    undo = partial(release, bad.digest, registry=three.registry, channel=CHANNEL, now=three.now, reason="mended")
    refused(three, RefusedError, "may not release", undo, signer=three.oncall)
    undo(signer=three.promoter)

    assert three.way_back == ["1.0.0"], "a release lets it be promoted; it does not put it back on the way"
    three.promote("2.0.0", three.go("2.0.0", "3.0.0"))
    assert three.way_back == ["3.0.0", "1.0.0"]


def test_the_champion_is_not_barred_but_rolled_back(three: Stage) -> None:
    """Whoever wants it gone is told what does that."""
    act = partial(quarantine, registry=three.registry, channel=CHANNEL, signer=three.oncall, now=three.now, reason="x")
    error = refused(three, RefusedError, "is champion", act, "3.0.0")
    assert "roll back" in str(error.hint)
    assert refused(three, RefusedError, "is champion", act, "3.0.0", dry_run=True).where == "log entry 4"


def test_a_bundle_that_was_never_here_can_be_barred_by_its_digest(three: Stage) -> None:
    """By digest anything; by another name only what the channel knows, and only one."""
    act = partial(quarantine, registry=three.registry, channel=CHANNEL, signer=three.oncall, now=three.now, reason="x")
    assert act("sha256:" + "e" * 64).bundle == "sha256:" + "e" * 64
    assert act("e" * 64).already
    assert act("e" * 10).already, "what is barred is known"
    refused(three, InputError, "is no bundle of tiny/prod", act, "9.9.9")


def test_a_dry_run_writes_nothing(three: Stage) -> None:
    """Every writer can be tried first, and says what it would do."""
    before = tree(three.registry.path)
    common = {"registry": three.registry, "channel": CHANNEL, "now": three.now, "dry_run": True}
    tried = hold(signer=three.oncall, reason="x", **common)  # type: ignore[arg-type]  # of one dict
    assert (tried.dry_run, tried.already, tried.sequence) == (True, False, 4)
    back = rollback(signer=three.oncall, reason="x", **common)  # type: ignore[arg-type]  # the same
    assert (back.dry_run, back.to.version) == (True, "2.0.0")
    go = three.go("4.0.0", "3.0.0")
    ahead = promote(three.releases["4.0.0"].path, decision=go, signer=three.promoter, **common)  # type: ignore[arg-type]  # the same
    assert (ahead.dry_run, ahead.to.version, ahead.rollback_target) == (True, "4.0.0", three.releases["3.0.0"].ref)
    assert tree(three.registry.path) == before
    assert three.promote("4.0.0", go).to.version == "4.0.0", "and then it works"


def test_a_rollback_by_steps(three: Stage) -> None:
    """Two steps back at once; more than there are is an error that names them; nor with a name, nor none."""
    refused(three, UnavailableError, "can go back 2 steps, not 3", _steps, three, 3)
    refused(three, InputError, "how many champions back", _steps, three, 0)
    refused(three, InputError, "how many champions back", _steps, three, 2, "1.0.0")
    assert _steps(three, 2) == "1.0.0"


def _steps(stage: Stage, steps: int, to: str | None = None) -> str:
    moved = rollback(
        registry=stage.registry,
        channel=CHANNEL,
        signer=stage.oncall,
        reason="x",
        to=to,
        steps=steps,
        now=stage.now,
    )
    return moved.to.version


def test_without_a_reason_nothing_is_held(three: Stage) -> None:
    """A reason of blanks is none."""
    act = partial(hold, registry=three.registry, channel=CHANNEL, signer=three.oncall, now=three.now)
    refused(three, InputError, "needs a reason", act, reason=" ")


@pytest.mark.parametrize("role", ["builder", "approver"])
def test_who_builds_or_approves_holds_nothing(three: Stage, role: str, request: pytest.FixtureRequest) -> None:
    """Only who may move a channel may stop it."""
    act = partial(hold, registry=three.registry, channel=CHANNEL, reason="x", now=three.now)
    refused(three, RefusedError, "may not hold", act, signer=request.getfixturevalue(role))


def test_history_tells_holds_too(three: Stage) -> None:
    """With what they are about, and nothing that they are not."""
    held(three, three.now + timedelta(hours=1))
    quarantine("1.0.0", registry=three.registry, channel=CHANNEL, signer=three.oncall, now=three.now, reason="leaks")
    rows = three.registry.history(CHANNEL).entries[3:]
    assert [(row.action, row.to, row.bundle) for row in rows] == [
        ("hold", None, None),
        ("quarantine", None, three.releases["1.0.0"].ref.digest),
    ]
    assert rows[0].until is not None


@pytest.mark.parametrize(
    ("action", "mark"),
    [
        ("hold", Mark(channel=CHANNEL, bundle="sha256:" + "a" * 64, until=None)),
        ("quarantine", Mark(channel=CHANNEL, bundle=None, until=None)),
        ("unhold", Mark(channel=CHANNEL, bundle=None, until="2026-11-02T09:00:00Z")),
        ("promote", Mark(channel=CHANNEL, bundle=None, until=None)),
        ("hold", None),
    ],
    ids=["hold of a bundle", "quarantine of nothing", "unhold until", "promote with a mark", "hold of nothing"],
)
def test_an_entry_says_one_thing(action: str, mark: Mark | None) -> None:
    """Moves or marks, and marks that fit."""
    with pytest.raises(ValidationError, match=r"marks|moves"):
        Entry(
            registry="0" * 32,
            sequence=1,
            previous="sha256:" + "0" * 64,
            time="2026-11-01T12:00:00Z",
            action=action,  # type: ignore[arg-type]  # a parameter
            moves=(),
            marks=() if mark is None else (mark,),
            reason="x",
            idempotency="x",
        )


def test_a_writer_with_a_bug_cannot_promote_past_a_hold(three: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule is the log's: a writer that does not look is stopped at the commit, and a reader would stop too."""
    held(three)
    monkeypatch.setattr("candidate.flows.releasing.check_open", lambda *_: None)
    before = three.log.bytes()
    with pytest.raises(RefusedError, match="is held"):
        three.promote("4.0.0", three.go("4.0.0", "3.0.0"))
    assert three.log.bytes() == before
    monkeypatch.setattr("candidate.judgement.channel.check_open", lambda *_: None)
    three.promote("4.0.0", three.go("4.0.0", "3.0.0"))
    monkeypatch.undo()
    with pytest.raises((RefusedError, IntegrityError), match="is held"):
        three.registry.state()
