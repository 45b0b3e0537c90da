"""Nobody changes a registry's past unnoticed: each byte, each entry and their order is held by the chain."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from candidate.adapters import attest
from candidate.adapters.attest import Signer
from candidate.adapters.stores import directory
from candidate.canonical import canonical
from candidate.documents.entry import Entry
from candidate.documents.names import DECISION_TYPE
from candidate.errors import CandidateError, IntegrityError, RefusedError, UnavailableError
from candidate.flows.registry import Registry
from tests.bundles import go_decision
from tests.releasing.conftest import CHANNEL, Stage, entry_of, entry_statement

Make = Callable[[Path], Stage]
LIARS = (IntegrityError, RefusedError)


def reading(path: Path) -> type[CandidateError] | None:
    """Which leaf reading the whole registry raises; any other exception goes through."""
    try:
        Registry.open(path).status()
    except CandidateError as error:
        return type(error)
    return None


def flips(data: bytes, step: int) -> Iterator[tuple[int, bytes]]:
    """The data with one bit flipped, at every ``step``-th byte; the bit goes round."""
    for place in range(0, len(data), step):
        changed = bytearray(data)
        changed[place] ^= 1 << (place % 8)
        yield place, bytes(changed)


@pytest.fixture
def two(three: Stage) -> Stage:
    """A registry with two promotions and a rollback."""
    del three.log[3]
    three.back()
    return three


def test_no_bit_of_the_genesis_can_be_flipped(two: Stage) -> None:
    """Every byte of the genesis, with the trust in it, is held by the first entry's chain."""
    path = two.registry.path / "registry.json"
    data, slipped = path.read_bytes(), []
    path.chmod(0o644)
    for place, changed in flips(data, 1):
        path.write_bytes(changed)
        if reading(two.registry.path) not in LIARS:
            slipped.append((place, data[max(0, place - 20) : place + 20]))
    assert slipped == []


@pytest.mark.parametrize("sequence", [1, 3])
def test_no_bit_of_an_entry_can_be_flipped(two: Stage, sequence: int) -> None:
    """Every byte of an entry is signed, follows from what is signed, or is not canonical: refused by itself.

    So the last entry is held too, to which nothing chains yet.
    """
    data, slipped = two.log[sequence], []
    for place, changed in flips(data, 1):
        try:
            two.registry._checked(sequence, changed)
        except (IntegrityError, RefusedError):
            continue
        slipped.append((place, data[max(0, place - 20) : place + 20]))
    assert slipped == []


@pytest.mark.parametrize("sequence", [1, 2, 3])
def test_a_flipped_bit_spoils_the_whole_log(two: Stage, sequence: int) -> None:
    """What one entry is refused for, the log is."""
    for _, changed in flips(two.log[sequence], 97):
        two.log[sequence] = changed
        assert reading(two.registry.path) in LIARS


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_no_entry_can_be_cut_short(two: Stage, cut: int) -> None:
    """An empty or half-written last entry is broken, not absent."""
    two.log[3] = two.log[3][:cut]
    assert reading(two.registry.path) is IntegrityError


def test_a_longer_entry_is_refused(two: Stage) -> None:
    """Not a single byte may follow."""
    two.log[3] = two.log[3] + b"\n"
    assert reading(two.registry.path) is IntegrityError


def test_a_dropped_tail_is_a_shorter_log(two: Stage) -> None:
    """The last entries can be taken away unseen: the state is an older one, and the head says which.

    Who has seen a later head (a backup, a deploy host) notices; the log alone cannot.
    """
    del two.log[3]
    assert (two.champion, two.registry.state().head) == ("2.0.0", 2)
    del two.log[2]
    assert (two.champion, two.registry.state().head) == ("1.0.0", 1)
    del two.log[1]
    assert (two.champion, two.registry.state().head) == (None, 0)


@pytest.mark.parametrize("sequence", [1, 2])
def test_a_dropped_entry_is_noticed(two: Stage, sequence: int) -> None:
    """With an entry missing in the middle, or at the start, nothing is read; nor once the rest moved up."""
    del two.log[sequence]
    assert reading(two.registry.path) is IntegrityError
    for later in range(sequence + 1, 4):
        two.log.file(later).rename(two.log.file(later - 1))
    assert reading(two.registry.path) is IntegrityError


def test_swapped_entries_are_noticed(two: Stage) -> None:
    """Order is part of the chain."""
    one, other = two.log[2], two.log[3]
    two.log[2], two.log[3] = other, one
    assert reading(two.registry.path) is IntegrityError


@pytest.mark.parametrize("sequence", [1, 2, 3])
def test_a_repeated_entry_is_noticed(two: Stage, sequence: int) -> None:
    """An entry cannot be played again at the end."""
    two.log[4] = two.log[sequence]
    assert reading(two.registry.path) is IntegrityError


def test_an_entry_of_another_registry_is_noticed(two: Stage, new_stage: Make, tmp_path: Path) -> None:
    """The same keys sign in two registries; an entry of one is none of the other, on its own or in a row."""
    other = new_stage(tmp_path / "other")
    other.line("1.0.0", "2.0.0", "3.0.0", "4.0.0")
    two.log[4] = other.log[4]
    assert reading(two.registry.path) is IntegrityError
    for sequence in (1, 2, 3):
        two.log[sequence] = other.log[sequence]
    assert reading(two.registry.path) is IntegrityError


def test_the_genesis_of_another_registry_is_noticed(two: Stage, new_stage: Make, tmp_path: Path) -> None:
    """Other trust cannot be put under a log."""
    other = new_stage(tmp_path / "other")
    (two.registry.path / "registry.json").unlink()
    shutil.copy(other.registry.path / "registry.json", two.registry.path)
    assert reading(two.registry.path) is IntegrityError


@pytest.mark.parametrize("name", ["5", "0000000000000005", "0000000000000004.bak", "entry", "0000000000000000"])
def test_a_file_that_is_no_entry_is_noticed(two: Stage, name: str) -> None:
    """A gap, another name, a number too low: the log is entries 1 to n and nothing else."""
    (two.registry.path / "log" / name).write_bytes(two.log[3])
    assert reading(two.registry.path) is IntegrityError


def test_a_hidden_file_is_no_entry(two: Stage) -> None:
    """What a dead writer left behind is not read."""
    (two.registry.path / "log" / ".0000000000000004.1.abc").write_bytes(b"half an ent")
    assert (two.registry.state().head, two.champion) == (3, "1.0.0")
    two.promote("3.0.0", two.go("3.0.0", "1.0.0"))
    assert two.champion == "3.0.0"


def last(stage: Stage) -> Entry:
    """The last entry."""
    *_, (_, logged) = stage.registry.log()
    return entry_of(logged.entry)


@pytest.mark.parametrize("who", ["oncall", "approver", "builder", "stranger"])
def test_a_promotion_signed_by_another_role_is_refused_on_reading(
    two: Stage, who: str, request: pytest.FixtureRequest
) -> None:
    """A writer with a bug, or without scruples, cannot talk a reader into a promotion."""
    signer: Signer = request.getfixturevalue(who)
    two.promote("3.0.0", two.go("3.0.0", "1.0.0"))
    entry = last(two)
    two.log[4] = attest.attest(entry_statement(entry), signer).to_bytes()
    assert reading(two.registry.path) is RefusedError
    two.log[4] = attest.attest(entry_statement(entry), two.promoter).to_bytes()
    assert reading(two.registry.path) is None, "the entry itself was fine"


def signed(entry: Entry, signer: Signer, **other: object) -> bytes:
    """An entry as a liar attests it."""
    statement = entry_statement(entry).model_copy(update=other)
    return attest.attest(statement, signer).to_bytes()


def test_an_attestation_of_another_kind_is_no_entry(two: Stage) -> None:
    """The predicate type and the subjects have to be those of this entry."""
    entry, subject = last(two), entry_statement(last(two)).subject
    assert reading(two.registry.path) is None
    two.log[3] = signed(entry, two.oncall, predicate_type=DECISION_TYPE)
    assert reading(two.registry.path) is RefusedError
    two.log[3] = signed(entry, two.oncall, subject=subject * 2)
    assert reading(two.registry.path) is IntegrityError
    two.log[3] = signed(entry, two.oncall, predicate={**entry.model_dump(mode="json"), "extra": 1})
    assert reading(two.registry.path) is IntegrityError


def test_a_rightly_signed_entry_that_breaks_a_rule_is_refused_on_reading(two: Stage) -> None:
    """Forth again after a rollback, without a decision, from another champion: readers check it too."""
    entry = last(two)
    move = entry.moves[0]
    state = two.registry.state()
    base = entry.model_copy(update={"sequence": 4, "previous": state.head_digest})
    forth = move.model_copy(update={"from_": move.to.bundle, "to": two.artifacts["2.0.0"]})
    for changed, error in (
        (base.model_copy(update={"moves": (forth,)}), RefusedError),
        (base.model_copy(update={"moves": (forth,), "action": "promote"}), RefusedError),
        (base, IntegrityError),
        (base.model_copy(update={"sequence": 5}), IntegrityError),
        (base.model_copy(update={"registry": "1" * 32}), IntegrityError),
    ):
        two.log[4] = attest.attest(entry_statement(changed), two.promoter).to_bytes()
        assert reading(two.registry.path) is error


@pytest.mark.parametrize("lie", ["bundle", "index", "name", "version"])
def test_an_entry_that_names_a_bundle_wrongly_serves_none(three: Stage, lie: str) -> None:
    """A rightly signed entry whose digest, index, name and version are not of one bundle leads nowhere."""
    other, entry = three.artifacts["1.0.0"], last(three)
    said = {"name": "other"}.get(lie) or getattr(other, lie)
    move = entry.moves[0].model_copy(update={"to": entry.moves[0].to.model_copy(update={lie: said})})
    if lie == "bundle":  # else the log refuses a way back to itself
        move = move.model_copy(update={"rollback": move.rollback[:1]})
    three.log[3] = signed(entry.model_copy(update={"moves": (move,)}), three.promoter)
    with pytest.raises((IntegrityError, RefusedError), match=r"the log names|does not say so"):
        three.registry.champion(CHANNEL)
    assert three.back().to.version == "2.0.0", "and it does not hinder a rollback"


@pytest.mark.parametrize("lie", ["no-go", "other bundle", "other channel", "other champion", "no decision", "stranger"])
def test_a_promotion_without_a_go_is_noticed_by_every_reader(three: Stage, lie: str, stranger: Signer) -> None:
    """A promoter's key alone makes nobody champion: the cited decision is read again, and must say so."""
    entry = last(three)
    decision = three.decision("3.0.0", "2.0.0")
    changed = {
        "no-go": go_decision(decision.challenger, outcome="no-go", champion=decision.champion, channel=CHANNEL),
        "other bundle": three.decision("1.0.0", "2.0.0"),
        "other channel": decision.model_copy(update={"channel": "tiny/staging"}),
        "other champion": three.decision("3.0.0", "1.0.0"),
    }.get(lie, decision)
    changed = changed.model_copy(update={"registry": entry.registry})
    data = three.signed(changed, stranger if lie == "stranger" else None)
    if lie == "no decision":
        data = signed(entry, three.promoter)
    digest = three.registry.store.put_blob(data)
    move = entry.moves[0].model_copy(update={"decision": digest})
    three.log[3] = signed(entry.model_copy(update={"moves": (move,)}), three.promoter)

    assert reading(three.registry.path) is RefusedError
    assert three.back().to.version == "2.0.0"


def test_a_decision_that_rotted_does_not_keep_anybody_from_going_back(three: Stage) -> None:
    """Status says that the decision is gone; a rollback works all the same."""
    decision = last(three).moves[0].decision
    assert decision is not None
    three.blob(decision).unlink()

    assert reading(three.registry.path) is UnavailableError
    assert three.back().to.version == "2.0.0"


def test_a_log_that_cannot_be_read_is_unavailable(two: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in an entry's place, an entry that vanishes, one that is far too large, and no log at all."""
    folder = two.log.file(4)
    folder.mkdir()
    assert reading(two.registry.path) is UnavailableError
    folder.rmdir()
    monkeypatch.setattr(directory, "MAX_ENTRY_BYTES", 100)
    assert reading(two.registry.path) is IntegrityError
    monkeypatch.undo()
    assert two.registry.store.read_entry(4) is None
    entries = two.registry.store.entries()
    next(entries)
    del two.log[2]
    with pytest.raises(IntegrityError, match="vanished"):
        next(entries)
    shutil.rmtree(two.log.path)
    assert reading(two.registry.path) is UnavailableError


def test_a_missing_blob_is_unavailable(two: Stage) -> None:
    """Its size and its bytes are asked for in vain."""
    store, digest = two.registry.store, two.registry.store.put_blob(b"a blob")
    assert (store.has_blob(digest), store.blob_size(digest)) == (True, 6)
    two.blob(digest).unlink()
    assert not store.has_blob(digest)
    for ask in (store.blob_size, store.read_blob):
        with pytest.raises(UnavailableError, match="cannot be read"):
            ask(digest)


def test_an_unusable_trust_in_a_genesis_is_broken_not_bad_input(two: Stage) -> None:
    """Whoever reads a registry did not write its trust: a key that is none is an integrity error."""
    path = two.registry.path / "registry.json"
    made = json.loads(two.registry.genesis.to_bytes())
    made["trust"]["roles"]["promoter"]["keys"] = ["no key"]
    path.chmod(0o644)
    path.write_bytes(canonical(made))
    assert reading(two.registry.path) is IntegrityError


def test_a_broken_log_moves_nothing(two: Stage) -> None:
    """On a log that cannot be read nothing is promoted and nothing rolled back."""
    go = two.go("3.0.0", "1.0.0")
    two.log[2] = two.log[1]
    before = two.log.bytes()
    with pytest.raises(IntegrityError):
        two.promote("3.0.0", go)
    with pytest.raises(IntegrityError):
        two.back()
    assert two.log.bytes() == before
