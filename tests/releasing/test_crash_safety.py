"""A disk that fails at any moment, and writers at the same moment: the log is the old one or the new one."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Literal

import pytest

from candidate.adapters.attest import Signer
from candidate.adapters.stores.directory import DirectoryStore
from candidate.canonical import digest_of
from candidate.documents.entry import Entry
from candidate.documents.results import Moved
from candidate.errors import CandidateError, IndeterminateError, StaleError, UnavailableError
from candidate.flows.registry import Registry
from candidate.judgement.channel import LogState
from tests.releasing.conftest import CHANNEL, Stage

Call = Literal["link", "fsync", "write", "unlink", "replace"]
LEAVES = (UnavailableError, IndeterminateError)


class Disk:
    """One of the system calls, failing at its ``at``-th use: before or after it took effect, once or ever after."""

    def __init__(self, name: Call, patch: pytest.MonkeyPatch) -> None:
        self.real: Callable[..., object] = getattr(os, name)
        self.count = self.at = 0
        self.late = self.forever = False
        patch.setattr(os, name, self)

    def fail(self, at: int, *, late: bool = False, forever: bool = False) -> None:
        """Count anew, and fail at this use."""
        self.count, self.at, self.late, self.forever = 0, at, late, forever

    def __call__(self, *args: object, **named: object) -> object:
        """Do it, or not."""
        self.count += 1
        fails = self.at and (self.count >= self.at if self.forever else self.count == self.at)
        result = self.real(*args, **named) if self.late or not fails else None
        if fails:
            raise OSError(5, "Input/output error")
        return result


def files(path: Path) -> set[Path]:
    """Every file of a registry, hidden ones too."""
    return {file for file in path.rglob("*") if file.is_file()}


def put_back(path: Path, before: set[Path]) -> None:
    """Remove what came since; nothing that was there is ever changed."""
    now = files(path)
    assert before <= now
    for file in now - before:
        file.unlink()


def champion(path: Path) -> tuple[str, int]:
    """Who is champion, read by somebody who just came, and the number of the last entry."""
    state = Registry.open(path).state()
    found = state.channel(CHANNEL).champion
    assert found is not None
    return found.version, state.head


@pytest.mark.parametrize(
    ("call", "late"), [("link", False), ("link", True), ("write", False), ("write", True), ("fsync", False)]
)
@pytest.mark.parametrize("action", ["promote", "rollback"])
def test_a_failing_disk_leaves_the_old_state_or_the_new_one(
    three: Stage, monkeypatch: pytest.MonkeyPatch, action: str, call: Call, *, late: bool
) -> None:
    """At whichever use a call fails: a leaf of ours, the old or the new state, and the same again settles it.

    Unavailable means that nothing was committed. A rollback is run again as its hint says.
    """
    path, go = three.registry.path, three.go("4.0.0", "3.0.0")
    (path / "refs" / f"{CHANNEL}.json").unlink()  # a cache, rewritten at will
    before, new = files(path), ("4.0.0" if action == "promote" else "2.0.0", 4)

    def act(to: str | None = None) -> Moved:
        return three.promote("4.0.0", go) if action == "promote" else three.back(to)

    disk = Disk(call, monkeypatch)
    act()
    uses = disk.count
    assert uses > 0
    for at in range(1, uses + 1):
        put_back(path, before)
        disk.fail(at, late=late)
        with pytest.raises(LEAVES) as caught:
            act()
        disk.fail(0)
        found, unclear = champion(path), caught.type is IndeterminateError
        assert found in (("3.0.0", 3), new)
        assert unclear or found == ("3.0.0", 3)
        to = caught.value.hint.partition("run it again with --to ")[2].partition(" ")[0]
        assert bool(to) == (unclear and action == "rollback")
        moved = act(to or None)
        assert moved.already == (found == new)
        assert (moved.to.version, moved.sequence) == new == champion(path)


@pytest.mark.parametrize("call", ["link", "write", "fsync"])
@pytest.mark.parametrize("action", ["promote", "rollback"])
def test_a_disk_that_fails_for_good_leaves_nothing_that_is_read(
    three: Stage, monkeypatch: pytest.MonkeyPatch, action: str, call: Call
) -> None:
    """Even when cleaning up fails too, what is left behind is no entry, and readers go on."""
    path, go = three.registry.path, three.go("4.0.0", "3.0.0")
    disk = Disk(call, monkeypatch)
    disk.fail(1, forever=True)
    with pytest.raises(LEAVES):
        three.promote("4.0.0", go) if action == "promote" else three.back()
    assert champion(path) == ("3.0.0", 3)
    assert [name for name in three.log.bytes() if not name.startswith(".")] == [f"{n:016d}" for n in (1, 2, 3)]


@pytest.mark.parametrize("action", ["promote", "rollback"])
def test_a_temporary_that_cannot_be_removed_hinders_nobody(
    three: Stage, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """What was committed is committed; a name that is left over is never read as an entry or a blob."""
    disk = Disk("unlink", monkeypatch)
    disk.fail(1, forever=True)
    moved = three.promote("4.0.0", three.go("4.0.0", "3.0.0")) if action == "promote" else three.back()
    assert champion(three.registry.path) == (moved.to.version, 4)
    assert sum(name.startswith(".") for name in three.log.bytes()) == 1
    assert three.back().sequence == 5


def test_a_rotten_blob_that_cannot_be_mended_is_said(three: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mending a blob can fail as writing one can."""
    digest = three.registry.store.put_blob(b"a blob")
    three.blob(digest).chmod(0o644)
    three.blob(digest).write_bytes(b"rotten")
    Disk("replace", monkeypatch).fail(1)
    with pytest.raises(UnavailableError, match="Input/output error"):
        three.registry.store.put_blob(b"a blob")
    assert three.registry.store.put_blob(b"a blob") == digest
    assert three.registry.store.read_blob(digest) == b"a blob"


def test_an_entry_is_on_the_disk_before_its_name_and_its_name_before_the_answer(
    three: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order that survives a loss of power: all before it, its bytes, its name, the folder with the name."""
    steps: list[tuple[str, str]] = []
    fsync, link = os.fsync, os.link

    def synced(descriptor: int) -> None:
        steps.append(("fsync", Path(f"/proc/self/fd/{descriptor}").readlink().name.split(".")[-3:][0]))
        fsync(descriptor)

    def linked(source: Path, target: Path) -> None:
        steps.append(("link", target.name))
        link(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", linked)
    three.registry.store.put_entry(4, b"an entry")
    before, here = "0000000000000003", "0000000000000004"
    assert steps == [("fsync", before), ("fsync", "log"), ("fsync", here), ("link", here), ("fsync", "log")]
    steps.clear()
    digest = three.registry.store.put_blob(b"a blob").removeprefix("sha256:")
    assert steps == [("fsync", digest), ("link", digest), ("fsync", digest[:2])]


def test_an_answer_of_already_is_on_the_disk(three: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is told that it was done can rely on it: the entry is made durable before it is said."""
    go = three.go("4.0.0", "3.0.0")
    three.promote("4.0.0", go)
    disk = Disk("fsync", monkeypatch)
    assert three.promote("4.0.0", go).already
    assert three.back("4.0.0").already
    assert disk.count == 4
    disk.fail(1)
    with pytest.raises(IndeterminateError):
        three.promote("4.0.0", go)
    disk.fail(1)
    with pytest.raises(IndeterminateError):
        three.back("4.0.0")


def test_a_registry_that_cannot_be_made_leaves_nothing(three: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Creating is all or nothing, whichever call fails."""
    target = three.registry.path.parent / "new"
    for call in ("fsync", "write"):
        disk = Disk("fsync" if call == "fsync" else "write", monkeypatch)
        disk.fail(1)
        with pytest.raises(CandidateError):
            DirectoryStore.create(target, three.registry.genesis)
        assert not target.exists()
        assert sorted(file.name for file in target.parent.iterdir()) == ["three"]
        monkeypatch.undo()


# --- at the same moment --------------------------------------------------------------------------


class Overwriting(DirectoryStore):
    """What a store must not be: it writes an entry wherever it was told to."""

    def put_entry(self, sequence: int, data: bytes) -> None:
        """Write without asking whether somebody was first."""
        path = self.entry_path(sequence)
        temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
        temporary.write_bytes(data)
        temporary.replace(path)


def committed(store: DirectoryStore, sequence: int, many: int) -> int:
    """How many of so many writers at once are told that the same entry is theirs."""
    barrier = Barrier(many)

    def write(number: int) -> bool:
        barrier.wait()
        try:
            store.put_entry(sequence, b"entry of %d" % number)
        except StaleError:
            return False
        return True

    with ThreadPoolExecutor(many) as pool:
        return sum(pool.map(write, range(many)))


def test_of_many_writers_at_once_one_commits(three: Stage) -> None:
    """For each of many numbers exactly one writer wins; a store that overwrites is caught by the same count."""
    store = DirectoryStore(three.registry.path)
    assert [committed(store, 4 + number, 8) for number in range(20)] == [1] * 20
    careless = Overwriting(three.registry.path)
    assert committed(careless, 24, 8) > 1


@pytest.mark.parametrize("careless", [False, True])
def test_a_promotion_in_the_last_moment_is_not_lost(three: Stage, *, careless: bool) -> None:
    """Somebody commits after our last look and before our write: we are stale, and theirs stands.

    With a store that overwrites, theirs would be gone without a word.
    """
    ours, theirs = three.go("4.0.0", "3.0.0"), three.go("1.0.0", "3.0.0")
    rival = Stage(three.registry, three.releases, three.approver, three.promoter, three.oncall, three.now)
    kind = Overwriting if careless else DirectoryStore

    class Late(kind):  # type: ignore[misc, valid-type]  # the class under test is chosen above
        """Somebody is always a little faster."""

        def put_entry(self, sequence: int, data: bytes) -> None:
            rival.promote("1.0.0", theirs)
            super().put_entry(sequence, data)

    registry = Registry(three.registry.path, Late(three.registry.path), three.registry.genesis)
    mine = Stage(registry, three.releases, three.approver, three.promoter, three.oncall, three.now)
    if careless:
        mine.promote("4.0.0", ours)
        assert champion(three.registry.path) == ("4.0.0", 4)
    else:
        with pytest.raises(StaleError, match="somebody else wrote entry 4 first"):
            mine.promote("4.0.0", ours)
        assert champion(three.registry.path) == ("1.0.0", 4)


@pytest.mark.parametrize("action", ["promote", "rollback"])
def test_a_promotion_between_reading_and_committing_is_stale(
    three: Stage, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """Somebody commits while we replay: a lost race, not a broken log."""
    ours, theirs = three.go("4.0.0", "3.0.0"), three.go("1.0.0", "3.0.0")
    real = Registry.commit

    def rushed(registry: Registry, entry: Entry, signer: Signer, *, state: LogState) -> None:
        monkeypatch.setattr(Registry, "commit", real)
        three.promote("1.0.0", theirs)
        real(registry, entry, signer, state=state)

    monkeypatch.setattr(Registry, "commit", rushed)
    with pytest.raises(StaleError, match="somebody else wrote entry 4 first"):
        three.promote("4.0.0", ours) if action == "promote" else three.back()
    assert champion(three.registry.path) == ("1.0.0", 4)


def test_the_same_entry_twice_is_written_once(three: Stage) -> None:
    """A writer whose answer was lost, and who writes the same bytes again, is not stale."""
    store = three.registry.store
    store.put_entry(3, three.log[3])
    assert len(three.log) == 3
    with pytest.raises(StaleError):
        store.put_entry(3, b"other")


@pytest.mark.parametrize("rotten", [False, True])
def test_the_same_blob_is_stored_by_many_at_once(three: Stage, *, rotten: bool) -> None:
    """Promotions share most of their blobs; storing one twice at the same moment is nothing, mending one neither."""
    store, many = three.registry.store, 8
    for number in range(20):
        data, barrier = b"blob %d" % number, Barrier(many)
        if rotten:
            three.blob(digest_of(data)).write_bytes(b"rotten")

        def put(_: int, data: bytes = data, barrier: Barrier = barrier) -> str:
            barrier.wait()
            return store.put_blob(data)

        with ThreadPoolExecutor(many) as pool:
            assert set(pool.map(put, range(many))) == {digest_of(data)}
        assert store.read_blob(digest_of(data)) == data


def test_a_blob_that_somebody_else_spoils_meanwhile_is_said(three: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other bytes under the name that we are about to link are not taken for ours."""
    store, data = three.registry.store, b"a new blob"
    real = os.link

    def link(source: Path, target: Path) -> None:
        target.write_bytes(b"other bytes")
        real(source, target)

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(UnavailableError, match="somebody writes other bytes"):
        store.put_blob(data)
    monkeypatch.undo()
    assert store.read_blob(store.put_blob(data)) == data
