"""Back: a rollback finds a way that works, and never forth again."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from candidate.errors import (
    InputError,
    UnavailableError,
)
from candidate.flows.releasing import rollback
from tests.releasing.conftest import CHANNEL, Stage, refused, tree


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


def test_a_target_that_was_replayed_lately_is_not_replayed_again(three: Stage) -> None:
    """The promotions replayed it, and say so; after 30 days, or if it is asked for, it is done again."""
    given: dict[str, Any] = {"registry": three.registry, "channel": CHANNEL, "signer": three.oncall, "reason": "x"}

    def replays(**other: Any) -> list[str]:
        """Bundles that the entry of a rollback says were replayed before it."""
        three.log.file(4).unlink(missing_ok=True)
        rollback(**given, **other)
        [*_, (_, logged)] = three.registry.log(decisions=False)
        return [each.bundle for each in logged.entry.moves[0].preflight]

    target = three.releases["2.0.0"].ref.digest
    assert replays(now=three.now) == []
    assert replays(now=three.now + timedelta(days=30)) == []
    assert replays(now=three.now + timedelta(days=31)) == [target]
    assert replays(now=three.now, replay=True) == [target]


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
