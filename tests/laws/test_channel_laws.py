"""Laws of the channel: whatever was promoted and rolled back before, the log agrees with a plain stack."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from candidate.documents.entry import Artifact, Entry, Genesis, Mark, Move
from candidate.documents.names import Action
from candidate.documents.trust import RoleKeys, TrustPolicy
from candidate.errors import RefusedError, StaleError, UnavailableError
from candidate.judgement.channel import extend, plan_rollback, start

CHANNELS = ("model/prod", "model/staging")
LETTERS = "abcde"
TIME = "2026-11-01T12:00:00Z"
GENESIS = Genesis(registry="0" * 32, created=TIME, trust=TrustPolicy(roles={"promoter": RoleKeys(keys=("a key",))}))


def artifact(letter: str) -> Artifact:
    """A bundle called after a hexadecimal digit."""
    return Artifact(bundle="sha256:" + letter * 64, index="sha256:" + "0" * 64, name="model", version=letter)


class Channels(RuleBasedStateMachine):
    """The fold beside a model of letters: per channel a stack whose top is champion, and a set of bad ones."""

    def __init__(self) -> None:
        super().__init__()
        self.state = start(GENESIS)
        self.stacks: dict[str, list[str]] = {channel: [] for channel in CHANNELS}
        self.bad: dict[str, set[str]] = {channel: set() for channel in CHANNELS}
        self.barred: dict[str, set[str]] = {channel: set() for channel in CHANNELS}
        self.held: set[str] = set()
        self.used: list[str] = []

    def move(self, channel: str, to: str, way: list[str], decision: str | None) -> Move:
        """The move to a letter, with the way back that the model says."""
        stack = self.stacks[channel]
        return Move(
            channel=channel,
            from_=artifact(stack[-1]).bundle if stack else None,
            to=artifact(to),
            rollback=tuple(artifact(letter) for letter in way),
            decision=decision,
            preflight=(),
        )

    def entry(self, action: Action, *parts: Move | Mark) -> Entry:
        """The next entry."""
        return Entry(
            registry=GENESIS.registry,
            sequence=self.state.head + 1,
            previous=self.state.head_digest,
            time=TIME,
            action=action,
            moves=tuple(part for part in parts if isinstance(part, Move)),
            marks=tuple(part for part in parts if isinstance(part, Mark)),
            reason="so",
            idempotency="once",
        )

    def commit(self, action: Action, *parts: Move | Mark) -> None:
        """Extend the log, as a writer or a reader does."""
        made = self.entry(action, *parts)
        self.state = extend(self.state, made, made.digest)

    def decision(self) -> str:
        """A decision that was never used."""
        return f"sha256:{len(self.used):064x}"

    def way_forward(self, channel: str, to: str) -> list[str]:
        """Where a newly promoted letter returns to: the stack from its top, each letter once, without itself."""
        return [letter for letter in reversed(self.stacks[channel]) if letter != to]

    @rule(channel=st.sampled_from(CHANNELS), to=st.sampled_from(LETTERS))
    def promote(self, channel: str, to: str) -> None:
        """A promotion pushes, moves a letter that is below to the top, and ends a quarantine."""
        decision = self.decision()
        move = self.move(channel, to, self.way_forward(channel, to), decision)
        if channel in self.held or to in self.barred[channel]:
            with pytest.raises(RefusedError):
                self.commit("promote", move)
            return
        self.commit("promote", move)
        self.stacks[channel] = [*(letter for letter in self.stacks[channel] if letter != to), to]
        self.bad[channel].discard(to)
        self.used.append(decision)

    @rule(channel=st.sampled_from(CHANNELS), depth=st.integers(1, len(LETTERS)))
    def roll_back(self, channel: str, depth: int) -> None:
        """A rollback pops down to the target and quarantines the top; with nothing below it is refused."""
        stack = self.stacks[channel]
        if len(stack) <= 1:
            if stack:
                with pytest.raises(UnavailableError):
                    plan_rollback(self.state, channel, None)
            return
        planned = plan_rollback(self.state, channel, None)
        assert [each.version for each in planned] == stack[-2::-1], "the plan is the stack below the top"
        target = planned[min(depth, len(planned)) - 1].version
        below = stack[: stack.index(target)]
        self.commit("rollback", self.move(channel, target, below[::-1], None))
        self.bad[channel].add(stack[-1])
        self.stacks[channel] = [*below, target]

    @rule(channel=st.sampled_from(CHANNELS), letter=st.sampled_from(LETTERS))
    def bar(self, channel: str, letter: str) -> None:
        """A quarantine takes a bundle off the way back; the champion is not barred; what is barred is let on again."""
        mark = Mark(channel=channel, bundle=artifact(letter).bundle, until=None)
        if letter in self.barred[channel]:
            self.commit("release", mark)
            self.barred[channel].remove(letter)
        elif self.stacks[channel][-1:] == [letter]:
            with pytest.raises(RefusedError, match="is champion"):
                self.commit("quarantine", mark)
        else:
            self.commit("quarantine", mark)
            self.barred[channel].add(letter)
            self.stacks[channel] = [each for each in self.stacks[channel] if each != letter]

    @rule(channel=st.sampled_from(CHANNELS))
    def hold_or_let_go(self, channel: str) -> None:
        """A hold stands until it is ended."""
        mark = Mark(channel=channel, bundle=None, until=None)
        self.commit("unhold" if channel in self.held else "hold", mark)
        self.held ^= {channel}

    @rule(channel=st.sampled_from(CHANNELS), to=st.sampled_from(LETTERS))
    def never_forth(self, channel: str, to: str) -> None:
        """A rollback to what is not below the top, whatever way back it states, is refused."""
        stack = self.stacks[channel]
        if to not in stack[:-1]:
            for way in ([], stack[::-1], self.way_forward(channel, to)):
                with pytest.raises(RefusedError):
                    self.commit("rollback", self.move(channel, to, way, None))

    @rule(channel=st.sampled_from(CHANNELS), to=st.sampled_from(LETTERS), number=st.integers(0))
    @precondition(lambda self: self.used)
    def never_twice(self, channel: str, to: str, number: int) -> None:
        """A decision that was used, on whatever channel, is refused."""
        used = self.used[number % len(self.used)]
        with pytest.raises(RefusedError, match="was used before"):
            self.commit("promote", self.move(channel, to, self.way_forward(channel, to), used))

    @rule(channel=st.sampled_from(CHANNELS), to=st.sampled_from(LETTERS), seen=st.sampled_from(LETTERS))
    def never_stale(self, channel: str, to: str, seen: str) -> None:
        """A move from another champion than that of now is stale."""
        if self.stacks[channel][-1:] != [seen]:
            move = self.move(channel, to, self.way_forward(channel, to), self.decision())
            with pytest.raises(StaleError):
                self.commit("promote", move.model_copy(update={"from_": artifact(seen).bundle}))

    @invariant()
    def agrees(self) -> None:
        """Champion, way back and quarantine are the model's."""
        assert self.state.decisions == frozenset(self.used)
        for channel, stack in self.stacks.items():
            found = self.state.channel(channel)
            assert [each.version for each in found.rollback] == stack[-2::-1]
            assert (found.champion.version if found.champion else None) == (stack[-1] if stack else None)
            assert found.quarantined == {artifact(letter).bundle for letter in self.bad[channel]}
            assert found.barred == {artifact(letter).bundle for letter in self.barred[channel]}
            assert (found.hold is not None) == (channel in self.held)

    @invariant()
    def never_returns_to_bad(self) -> None:
        """No way back leads to the champion itself, to one bundle twice, or to one that was rolled back from."""
        for channel in CHANNELS:
            found = self.state.channel(channel)
            line = [each.bundle for each in found.rollback]
            line += [found.champion.bundle] if found.champion else []
            assert len(set(line)) == len(line)
            assert not (found.quarantined | found.barred) & set(line)


Channels.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestChannels = Channels.TestCase
