"""What a host may follow, and what it returns to."""

import pytest

from candidate.documents.evidence import BundleRef
from candidate.documents.slot import Installed, Seen, SlotState
from candidate.errors import IntegrityError, RefusedError
from candidate.judgement.slot import check_follows, marked_good, offered, started

TIME = "2026-11-01T12:00:00Z"
SEEN = Seen(sequence=4, digest="sha256:" + "4" * 64)
GENESIS = "sha256:" + "0" * 64


def release(letter: str, sequence: int) -> Installed:
    """A release called after a hexadecimal digit."""
    return Installed(bundle=BundleRef(name="m", version=letter, digest="sha256:" + letter * 64), sequence=sequence)


def slot(**changes: object) -> SlotState:
    """A host on which a release is on trial after a good one, with some fields different."""
    made = SlotState(
        generation=7,
        registry="0" * 32,
        genesis=GENESIS,
        channel="m/prod",
        active=release("b", 4),
        tries_left=0,
        good=(release("a", 2),),
        failed=(),
        seen=SEEN,
        synced=TIME,
    )
    return made.model_copy(update=changes)


def test_a_host_follows_the_log_that_it_has_seen() -> None:
    """The same registry with the entry it saw last is followed."""
    check_follows(slot(), "0" * 32, GENESIS, SEEN)


@pytest.mark.parametrize(("registry", "genesis"), [("1" * 32, GENESIS), ("0" * 32, "sha256:" + "1" * 64)])
def test_another_registry_is_refused(registry: str, genesis: str) -> None:
    """Of another name, or of the same name with another beginning."""
    with pytest.raises(RefusedError, match="this is " + registry) as caught:
        check_follows(slot(), registry, genesis, SEEN)
    assert caught.value.where == "--registry"


@pytest.mark.parametrize(
    ("seen", "says"), [(None, "ends before it"), (Seen(sequence=4, digest="sha256:" + "5" * 64), "has another")]
)
def test_a_cut_or_forked_log_is_an_alarm(seen: Seen | None, says: str) -> None:
    """It is not an update."""
    with pytest.raises(IntegrityError, match=says) as caught:
        check_follows(slot(), "0" * 32, GENESIS, seen)
    assert "keeps serving" in (caught.value.hint or "")


def test_what_failed_here_comes_back_by_a_new_entry_only() -> None:
    """The same entry is refused; a later one gives it its tries again and forgets the failure."""
    failed = started(slot())
    assert (failed.active, failed.tries_left) == (release("a", 2), None)
    assert failed.failed == (release("b", 4),)
    with pytest.raises(RefusedError, match="m b failed on this host"):
        offered(failed, release("b", 4), SEEN, tries=3, time=TIME)

    again = offered(failed, release("b", 6), SEEN, tries=3, time=TIME)

    assert (again.active, again.tries_left, again.failed) == (release("b", 6), 3, ())


def test_without_a_good_release_the_one_on_trial_starts_once_more() -> None:
    """Something that may fail is better than nothing that serves."""
    alone = slot(good=())
    assert started(alone) == alone


def test_what_is_off_trial_is_not_marked_again() -> None:
    """Neither a good release nor an empty host changes."""
    for state in (slot(tries_left=None), slot(active=None)):
        assert marked_good(state) == state
    assert marked_good(slot()).good == (release("b", 4), release("a", 2))
