"""The rules by which one log entry may follow another, each with an entry that breaks only that rule."""

from dataclasses import replace

import pytest

from candidate.documents.entry import Artifact, Entry, Genesis, Mark, Move
from candidate.documents.names import Action
from candidate.documents.trust import RoleKeys, TrustPolicy
from candidate.errors import CandidateError, InputError, IntegrityError, RefusedError, StaleError, UnavailableError
from candidate.judgement.channel import (
    ChannelState,
    LogState,
    chain_after_promotion,
    chain_after_rollback,
    cited_by,
    extend,
    fitting,
    plan_rollback,
    same_target,
    start,
)

CHANNEL = "late-flights/prod"
REGISTRY = "0" * 32
TIME = "2026-11-01T12:00:00Z"


def digest(letter: str) -> str:
    """A digest that a reader recognises."""
    return "sha256:" + letter * 64


def artifact(letter: str, version: str | None = None) -> Artifact:
    """A bundle called after a hexadecimal digit."""
    return Artifact(bundle=digest(letter), index=digest("0"), name="late-flights", version=version or f"1.{letter}")


A, B, C, D = (artifact(letter) for letter in "abcd")


@pytest.fixture
def empty() -> LogState:
    """The state of a registry that nothing was promoted in."""
    trust = TrustPolicy(roles={"promoter": RoleKeys(keys=("a key",))})
    return start(Genesis(registry=REGISTRY, created=TIME, trust=trust))


def move(state: LogState, to: Artifact, action: Action = "promote", decision: str | None = "", **other: object) -> Move:
    """A move that keeps every rule, but for what is given."""
    before = state.channel(CHANNEL)
    forward = action == "promote"
    way = chain_after_promotion(before, to)
    if not forward:
        way = chain_after_rollback(before, to) if to in before.rollback else ()
    made = Move(
        channel=CHANNEL,
        from_=None if before.champion is None else before.champion.bundle,
        to=to,
        rollback=way,
        decision=(f"sha256:{state.head:064x}" if forward else None) if decision == "" else decision,
        preflight=(),
    )
    return made.model_copy(update=other)


def entry(
    state: LogState, *moves: Move, action: Action = "promote", marks: tuple[Mark, ...] = (), **other: object
) -> Entry:
    """An entry that keeps every rule, but for what is given."""
    made = Entry(
        registry=state.registry,
        sequence=state.head + 1,
        previous=state.head_digest,
        time=TIME,
        action=action,
        moves=moves,
        marks=marks,
        reason="so",
        idempotency="once",
    )
    return made.model_copy(update=other)


def after(state: LogState, to: Artifact, action: Action = "promote") -> LogState:
    """The state after one more rightful move."""
    made = entry(state, move(state, to, action), action=action)
    return extend(state, made, made.digest)


def promoted(state: LogState, *line: Artifact) -> LogState:
    """The state after these were promoted one after the other."""
    for each in line:
        state = after(state, each)
    return state


def refused(state: LogState, made: Entry, error: type[CandidateError], says: str) -> None:
    """Assert that this entry may not follow, and that the message says why and where."""
    with pytest.raises(error, match=says) as caught:
        extend(state, made, made.digest)
    assert type(caught.value) is error
    assert caught.value.where == f"log entry {made.sequence}"


@pytest.mark.parametrize(
    ("action", "moves", "marks", "says"),
    [
        ("promote", 0, (), "a promote has moves, and nothing else"),
        ("rollback", 1, (Mark(channel=CHANNEL, bundle=None, until=None),), "a rollback has moves"),
        ("hold", 1, (), "a hold has marks, and nothing else"),
        ("hold", 0, (Mark(channel=CHANNEL, bundle=digest("a"), until=None),), "not the marks of a hold"),
        ("quarantine", 0, (Mark(channel=CHANNEL, bundle=None, until=None),), "not the marks of a quarantine"),
        ("release", 0, (Mark(channel=CHANNEL, bundle=digest("a"), until=TIME),), "not the marks of a release"),
    ],
)
def test_an_entry_says_one_thing(
    empty: LogState, action: Action, moves: int, marks: tuple[Mark, ...], says: str
) -> None:
    """Moves or marks, and the marks of its action."""
    with pytest.raises(ValueError, match=says):
        entry(empty, *[move(empty, A)] * moves, action=action, marks=marks)


def test_a_move_cites_what_allowed_it(empty: LogState) -> None:
    """The decision, and the override that stood in for a go."""
    made = move(empty, A)
    assert made.decision is not None
    assert cited_by(made) == (made.decision,)
    assert cited_by(made.model_copy(update={"override": digest("e")})) == (made.decision, digest("e"))
    assert cited_by(made.model_copy(update={"decision": None})) == ()


def test_a_first_release_has_no_way_back(empty: LogState) -> None:
    """A first champion returns nowhere, and the head is the entry that made it one."""
    made = entry(empty, move(empty, A))
    state = extend(empty, made, made.digest)
    assert state.channel(CHANNEL) == ChannelState(champion=A, sequence=1, time=TIME)
    assert (state.head, state.head_digest) == (1, made.digest)
    assert empty.channel(CHANNEL) == ChannelState(), "the state before is as it was"


def test_each_promotion_puts_the_old_champion_on_the_way_back(empty: LogState) -> None:
    """The way back is the champions in reverse."""
    assert promoted(empty, A, B, C).channel(CHANNEL).rollback == (B, A)


def test_promoting_an_earlier_champion_again_leaves_no_way_back_to_itself(empty: LogState) -> None:
    """A, B, A: A can return to B, never to A."""
    assert promoted(empty, A, B, A).channel(CHANNEL).rollback == (B,)


def test_a_bundle_stands_once_on_the_way_back_at_its_nearest(empty: LogState) -> None:
    """A, B, A, C: from C first to A and then to B."""
    assert promoted(empty, A, B, A, C).channel(CHANNEL).rollback == (A, B)


def test_the_same_bundle_with_another_index_is_one_bundle(empty: LogState) -> None:
    """Only the content digest identifies a bundle, so another attestation makes no second target."""
    other = A.model_copy(update={"index": digest("9")})
    assert promoted(empty, A, B, other).channel(CHANNEL).rollback == (B,)
    assert promoted(empty, A, B, other, C).channel(CHANNEL).rollback == (other, B)


def test_rolling_back_twice_goes_further_and_never_forth(empty: LogState) -> None:
    """After C, B and A are returned to in turn; C and B are quarantined, and nothing is left."""
    state = after(promoted(empty, A, B, C), B, "rollback")
    assert state.channel(CHANNEL).rollback == (A,)
    state = after(state, A, "rollback")
    now = state.channel(CHANNEL)
    assert (now.champion, now.rollback, now.quarantined) == (A, (), frozenset({B.bundle, C.bundle}))
    with pytest.raises(UnavailableError, match="no earlier champion") as caught:
        plan_rollback(state, CHANNEL, None)
    assert caught.value.where == "late-flights 1.a"


def test_rolling_back_further_leaves_out_what_is_between(empty: LogState) -> None:
    """From C to A: B is not returned to any more, but nobody rolled back from it."""
    now = after(promoted(empty, A, B, C), A, "rollback").channel(CHANNEL)
    assert (now.champion, now.rollback, now.quarantined) == (A, (), frozenset({C.bundle}))


def test_only_a_new_decision_ends_a_quarantine(empty: LogState) -> None:
    """After a rollback from B, promoting B on a new decision takes it out of quarantine."""
    state = after(promoted(empty, A, B), A, "rollback")
    assert state.channel(CHANNEL).quarantined == {B.bundle}
    assert promoted(state, C).channel(CHANNEL).quarantined == {B.bundle}
    assert promoted(state, B).channel(CHANNEL) == ChannelState(B, 4, TIME, (A,), frozenset())


def test_channels_are_apart(empty: LogState) -> None:
    """Moving one channel leaves the other alone, and one entry may move two."""
    other = "late-flights/staging"
    state = promoted(empty, A)
    made = entry(state, move(state, B), move(empty, C, channel=other, decision=digest("e")))
    both = extend(state, made, made.digest)
    assert both.channel(CHANNEL).champion == B
    assert both.channel(other) == ChannelState(C, 2, TIME)
    assert promoted(both, D).channel(other) == both.channel(other)


def test_an_entry_of_another_registry_is_refused(empty: LogState) -> None:
    """An entry copied from another registry is no entry here."""
    refused(empty, entry(empty, move(empty, A), registry="1" * 32), IntegrityError, "is of registry 1{32}, not 0{32}")


@pytest.mark.parametrize("sequence", [1, 3, 4])
def test_an_entry_with_another_number_is_refused(empty: LogState, sequence: int) -> None:
    """Numbers neither repeat nor leave a gap."""
    state = promoted(empty, A)
    refused(state, entry(state, move(state, B), sequence=sequence), IntegrityError, "follows entry 1")


def test_an_entry_that_chains_elsewhere_is_refused(empty: LogState) -> None:
    """The entry before is named by the digest of its exact bytes."""
    state = promoted(empty, A)
    refused(state, entry(state, move(state, B), previous=digest("e")), IntegrityError, "chains to sha256:e{64}")


def test_an_entry_may_not_move_a_channel_twice(empty: LogState) -> None:
    """Two moves of a channel in one entry would leave its champion to their order."""
    refused(empty, entry(empty, move(empty, A), move(empty, B)), RefusedError, "twice")


@pytest.mark.parametrize("claimed", [None, digest("e")])
def test_an_entry_from_another_champion_is_stale(empty: LogState, claimed: str | None) -> None:
    """What was compared with another champion than that of now must be compared again."""
    state = promoted(empty, A)
    refused(state, entry(state, move(state, B, from_=claimed)), StaleError, f"from {claimed or 'none'}")
    refused(empty, entry(empty, move(empty, B, from_=digest("e"))), StaleError, "has champion none")


def test_a_promotion_needs_a_decision_and_a_rollback_cites_none(empty: LogState) -> None:
    """Forward only on a decision; back without one."""
    refused(empty, entry(empty, move(empty, A, decision=None)), RefusedError, "without a decision")
    state = promoted(empty, A, B)
    back = move(state, A, "rollback", decision=digest("e"))
    refused(state, entry(state, back, action="rollback"), RefusedError, "cites a decision")
    overridden = back.model_copy(update={"decision": None, "override": digest("e")})
    refused(state, entry(state, overridden, action="rollback"), RefusedError, "cites an override")


def test_a_decision_is_good_for_one_promotion(empty: LogState) -> None:
    """A decision that was used cannot bring its bundle back after a rollback, nor move a second channel."""
    state = promoted(empty, A, B)
    used = f"sha256:{1:064x}"
    assert used in state.decisions
    state = after(state, A, "rollback")
    refused(state, entry(state, move(state, B, decision=used)), RefusedError, "was used before")
    moves = (move(empty, A), move(empty, A, channel="late-flights/staging"))
    refused(empty, entry(empty, *moves), RefusedError, "was used before")


@pytest.mark.parametrize("way", [(), (A,), (B, A, C), (A, B)])
def test_a_promotion_that_names_another_way_back_is_refused(empty: LogState, way: tuple[Artifact, ...]) -> None:
    """The way back that an entry states is the one that follows from the log."""
    state = promoted(empty, A, B)
    refused(state, entry(state, move(state, C, rollback=way)), RefusedError, "another way back")


def test_a_rollback_that_names_another_way_back_is_refused(empty: LogState) -> None:
    """A rollback cannot keep the way forth open."""
    state = promoted(empty, A, B, C)
    back = move(state, B, "rollback", rollback=(C, A))
    refused(state, entry(state, back, action="rollback"), RefusedError, "another way back")


def test_a_rollback_goes_only_to_an_earlier_champion(empty: LogState) -> None:
    """Never to a stranger, to the champion of now, to what was rolled back from, nor on an empty channel."""
    state = after(promoted(empty, A, B, C), B, "rollback")
    for target in (D, B, C, A.model_copy(update={"index": digest("9")})):
        made = entry(state, move(state, target, "rollback"), action="rollback")
        refused(state, made, RefusedError, "never a good champion")
    refused(empty, entry(empty, move(empty, A, "rollback"), action="rollback"), RefusedError, "never a good champion")


def test_a_plan_without_a_target_tries_all_of_the_way_back(empty: LogState) -> None:
    """Nearest first, so that one that cannot be relied on is passed over."""
    assert plan_rollback(promoted(empty, A, B, C), CHANNEL, None) == (B, A)


@pytest.mark.parametrize("to", ["1.a", "a" * 8, "sha256:" + "a" * 8, digest("a")])
def test_a_target_is_named_by_version_digest_or_its_beginning(empty: LogState, to: str) -> None:
    """Each of the ways to name a bundle finds exactly it."""
    assert plan_rollback(promoted(empty, A, B, C), CHANNEL, to) == (A,)


@pytest.mark.parametrize("to", ["a" * 7, "1.c", "1.", "", "sha256:", "A" * 8, "sha256:" + "a" * 7])
def test_what_names_no_target_is_refused_with_those_there_are(empty: LogState, to: str) -> None:
    """Too short, the champion itself, half a version, nothing: refused, and the hint says what there is."""
    with pytest.raises(InputError, match="is no rollback target") as caught:
        plan_rollback(promoted(empty, A, B, C), CHANNEL, to)
    assert caught.value.hint == "it can return to: 1.b (bbbbbbbbbbbb), 1.a (aaaaaaaaaaaa)"


def test_a_name_that_fits_two_targets_is_refused(empty: LogState) -> None:
    """Two bundles of one version: the digest has to say which."""
    state = promoted(empty, artifact("a", "1"), artifact("b", "1"), C)
    with pytest.raises(InputError, match="is more than one rollback target"):
        plan_rollback(state, CHANNEL, "1")


def test_a_first_release_says_that_it_can_return_to_nothing(empty: LogState) -> None:
    """The hint is not an empty list."""
    with pytest.raises(InputError) as caught:
        plan_rollback(promoted(empty, A), CHANNEL, "1.b")
    assert caught.value.hint == "it can return to: nothing"


def test_a_channel_that_is_not_there_is_named_with_those_that_are(empty: LogState) -> None:
    """A misspelt channel is answered with the channels of this registry."""
    with pytest.raises(InputError) as caught:
        plan_rollback(empty, CHANNEL, None)
    assert caught.value.hint == "this registry has: none"
    with pytest.raises(InputError) as caught:
        plan_rollback(promoted(empty, A), "late-flights/prd", "1.a")
    assert caught.value.hint == f"this registry has: {CHANNEL}"


def test_a_state_does_not_share_its_channels_with_the_next(empty: LogState) -> None:
    """Extending a state never changes it, whatever its mapping is."""
    state = replace(promoted(empty, A), channels={CHANNEL: ChannelState(A, 1, TIME)})
    assert after(state, B) != state
    assert state.channel(CHANNEL).champion == A


def test_the_same_target_is_meant_by_version_or_digits() -> None:
    """A version is compared whole, a digest by eight digits or more."""
    assert same_target(A, "1.a")
    assert not same_target(A, "1")
    assert same_target(A, "a" * 64)
    assert not same_target(A, "a" * 65)


def marked(state: LogState, action: Action, bundle: Artifact | None = None, until: str | None = None) -> Entry:
    """The next entry, which holds the channel or says something of a bundle."""
    mark = Mark(channel=CHANNEL, bundle=None if bundle is None else bundle.bundle, until=until)
    return entry(state, action=action, marks=(mark,))


def test_what_is_not_held_or_barred_cannot_be_let_go(empty: LogState) -> None:
    """An end without a beginning is refused."""
    state = promoted(empty, A, B)
    refused(state, marked(state, "unhold"), RefusedError, "is not held")
    refused(state, marked(state, "release", A), RefusedError, "is not under quarantine")


def test_an_entry_names_a_channel_once(empty: LogState) -> None:
    """Two marks of one channel contradict each other."""
    mark = Mark(channel=CHANNEL, bundle=None, until=None)
    refused(empty, entry(empty, action="hold", marks=(mark, mark)), RefusedError, "twice")


def test_a_hold_that_is_over_does_not_outlive_the_next_promotion(empty: LogState) -> None:
    """A promotion after its end clears it."""
    made = marked(empty, "hold", until="2026-11-01T11:00:00Z")
    state = promoted(extend(empty, made, made.digest), A)
    assert state.channel(CHANNEL) == ChannelState(champion=A, sequence=2, time=TIME)


def test_what_a_person_may_mean(empty: LogState) -> None:
    """The champion, the way back, and what is under quarantine, each by version or by 8 digits of its digest."""
    assert fitting(empty.channel(CHANNEL), "1.a") == ()
    state = promoted(empty, A, B)
    barred = marked(state, "quarantine", D)
    now = extend(state, barred, barred.digest).channel(CHANNEL)
    assert [fitting(now, name) for name in ("1.a", "1.b", "a" * 8, "sha256:" + "d" * 9)] == [
        (A.bundle,),
        (B.bundle,),
        (A.bundle,),
        (D.bundle,),
    ]
    assert fitting(now, "d" * 7) == fitting(now, "1.d") == ()


def test_what_is_barred_is_not_promoted_and_a_champion_is_not_barred(empty: LogState) -> None:
    """A quarantine keeps a bundle off until its release; what serves is rolled back, not barred."""
    state = promoted(empty, A)
    barring = entry(state, action="quarantine", marks=(Mark(channel=CHANNEL, bundle=B.bundle, until=None),))
    barred = extend(state, barring, barring.digest)

    refused(barred, entry(barred, move(barred, B)), RefusedError, "is under quarantine on")
    own = entry(state, action="quarantine", marks=(Mark(channel=CHANNEL, bundle=A.bundle, until=None),))
    refused(state, own, RefusedError, "is champion of")
