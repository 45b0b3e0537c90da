"""Laws of a deploy slot: whatever was promoted, started and marked, a host serves something good or on trial."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from candidate.documents.evidence import BundleRef
from candidate.documents.slot import Installed, Seen, SlotState
from candidate.errors import RefusedError
from candidate.judgement import slot as rules

TIME = "2026-11-01T12:00:00Z"
LETTERS = "abcde"


def installed(letter: str, sequence: int) -> Installed:
    """A release called after a hexadecimal digit."""
    return Installed(bundle=BundleRef(name="m", version=letter, digest="sha256:" + letter * 64), sequence=sequence)


class Slots(RuleBasedStateMachine):
    """A host that is offered champions, starts them, and sometimes hears that they serve well."""

    def __init__(self) -> None:
        super().__init__()
        zero = Seen(sequence=0, digest="sha256:" + "0" * 64)
        self.state = SlotState(
            generation=1,
            registry="0" * 32,
            genesis=zero.digest,
            channel="m/prod",
            active=None,
            tries_left=None,
            good=(),
            failed=(),
            seen=zero,
            synced=TIME,
        )
        self.sequence = 0
        self.ever_good: set[str] = set()
        self.failed_at: dict[str, int] = {}
        self.starts_since_offer = 0

    @rule(letter=st.sampled_from(LETTERS), tries=st.integers(1, 3), moved=st.booleans())
    def offer(self, letter: str, tries: int, *, moved: bool) -> None:
        """A new entry brings back what failed; the same entry does not."""
        self.sequence += moved or self.sequence == 0
        champion = installed(letter, self.sequence)
        before, seen = self.state, Seen(sequence=self.sequence, digest="sha256:" + "1" * 64)
        serves = before.active is not None and before.active.bundle == champion.bundle
        if not serves and self.failed_at.get(letter, 0) >= self.sequence:
            try:
                rules.offered(before, champion, seen, tries=tries, time=TIME)
            except RefusedError:
                return
            raise AssertionError("what failed here came back without a new entry")
        self.state = rules.offered(before, champion, seen, tries=tries, time=TIME)
        assert self.state.active == champion
        if not serves:
            assert (self.state.tries_left is None) == (champion.bundle in {each.bundle for each in before.good})
            self.failed_at.pop(letter, None)

    @rule()
    def start(self) -> None:
        """A start costs a try; without one the newest good release serves, and what gave way has failed."""
        before = self.state
        self.state = rules.started(before)
        if before.tries_left == 0 and before.good:
            assert before.active is not None
            assert (self.state.active, self.state.tries_left) == (before.good[0], None)
            self.failed_at[before.active.bundle.version] = before.active.sequence
        elif before.tries_left:
            assert self.state.tries_left == before.tries_left - 1
        else:
            assert self.state == before

    @rule()
    def mark(self) -> None:
        """What serves well is good; marking it again changes nothing."""
        self.state = rules.marked_good(self.state)
        assert rules.marked_good(self.state) == self.state
        if self.state.active is not None:
            assert self.state.tries_left is None

    @invariant()
    def lists_are_sets(self) -> None:
        """No release is good and failed, or listed twice; at most so many are kept; nothing is its own fallback."""
        good = [each.bundle.digest for each in self.state.good]
        failed = [each.bundle.digest for each in self.state.failed]
        assert len({*good, *failed}) == len(good) + len(failed)
        assert len(good) <= rules.KEPT
        back = rules.fallback(self.state)
        assert back is None or back.bundle != (self.state.active and self.state.active.bundle)
        assert {*good} <= rules.needed(self.state)

    @invariant()
    def what_is_off_trial_is_good(self) -> None:
        """What is served without a trial is on the list of what is good."""
        if self.state.active is not None and self.state.tries_left is None:
            assert self.state.active.bundle in {each.bundle for each in self.state.good}


Slots.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestSlots = Slots.TestCase
