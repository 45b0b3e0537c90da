"""Looking after a registry: find damage, take away what nothing needs, keep copies, mend from them."""

import os
from pathlib import Path

import pytest

from candidate.documents.oci import OciIndex
from candidate.errors import InputError, IntegrityError, RefusedError, UnavailableError
from candidate.flows.collecting import gc
from candidate.flows.explaining import why
from candidate.flows.fsck import fsck
from candidate.flows.holding import quarantine
from candidate.flows.mending import mirror, repair
from candidate.flows.registry import Registry
from tests.releasing.conftest import CHANNEL, Make, Stage, refused, tree

DAY = 24 * 3600


def aged(folder: Path) -> None:
    """Make every file of a folder two days older."""
    for file in folder.rglob("*"):
        if file.is_file():
            found = file.stat()
            os.utime(file, (found.st_atime - 2 * DAY, found.st_mtime - 2 * DAY))


def rot(path: Path) -> None:
    """Flip one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def blobs(stage: Stage) -> set[str]:
    """Digests of the blobs that lie where they belong."""
    return {f"sha256:{file.name}" for file in (stage.registry.path / "blobs").rglob("*") if file.is_file()}


def test_a_sound_registry_is_said_to_be(three: Stage) -> None:
    """Every depth finds nothing, and says how much it looked at."""
    before = tree(three.registry.path)
    log, live, every = (fsck(three.registry, depth=depth) for depth in ("log", "live", "all"))
    for found in (log, live, every):
        assert (found.sound, found.findings) == (True, ())
    assert (log.entries, log.head, log.replayed, live.replayed) == (3, 3, 0, 3)
    assert log.blobs < live.blobs <= every.blobs == len(blobs(three))
    assert live.head_digest == three.registry.state().head_digest
    assert tree(three.registry.path) == before


def test_fsck_names_a_rotten_target_and_who_needs_it(three: Stage) -> None:
    """The finding says which blob, and for what; the others are still replayed."""
    three.spoil("2.0.0")
    found = fsck(three.registry)
    assert not found.sound
    [damage] = [each for each in found.findings if each.severity == "damage"]
    assert damage.where == three.releases["2.0.0"].ref.digest
    assert "rollback target of tiny/prod: tiny 2.0.0" in damage.what
    assert "repair" in damage.hint
    assert found.replayed == 2


def test_fsck_names_every_rotten_blob_of_a_bundle(three: Stage) -> None:
    """Not only the first: whoever mends wants the list."""
    store, artifacts = three.registry.store, three.artifacts
    index = OciIndex.from_bytes(store.read_blob(artifacts["3.0.0"].index), where="index")
    manifests = {descriptor.digest for descriptor in index.manifests}  # without one of these the rest is not found
    others = {digest for version in ("1.0.0", "2.0.0") for digest in store.bundle(artifacts[version]).sizes}
    own = sorted(store.bundle(artifacts["3.0.0"]).sizes.keys() - manifests - others)[:2]
    for digest in own:
        rot(three.blob(digest))
    assert len(own) == 2
    assert {each.where for each in fsck(three.registry).findings} == set(own)


def test_fsck_says_how_far_the_log_is_sound(three: Stage) -> None:
    """A flipped bit in entry 2: entry 1 holds, the third cannot be believed."""
    rot(three.log.file(2))
    found = fsck(three.registry)
    assert (found.head, found.entries) == (1, 3)
    assert found.findings[0].where == "log entry 2"
    assert "1 entries after it" in found.findings[1].what


def test_fsck_names_a_missing_decision(three: Stage) -> None:
    """A promotion whose decision is gone is damage, and the log behind it is still read."""
    decision = next(move.decision for _, logged in three.registry.log() for move in logged.entry.moves)
    assert decision is not None
    three.blob(decision).unlink()
    found = fsck(three.registry)
    assert (found.head, found.sound) == (3, False)


def test_fsck_notices_what_lies_around(three: Stage) -> None:
    """What an interrupted write left is in nobody's way; a rotten blob that nothing needs neither."""
    shard = three.registry.path / "blobs" / "sha256" / "00"
    (shard / ".left.1.abc").write_bytes(b"half")
    (three.registry.path / "log" / ".left").write_bytes(b"half")
    stray = three.registry.store.put_blob(b"nobody's")
    rot(three.blob(stray))
    found = fsck(three.registry, depth="all")
    assert found.sound
    assert {each.where for each in found.findings} == {"blobs/sha256/00/.left.1.abc", "log/.left", stray}


def test_gc_says_first_and_then_does_in_two_steps(three: Stage) -> None:
    """Garbage is told, moved, and only a grace later deleted; what is needed stays to the byte."""
    needed = blobs(three)
    stray = three.registry.store.put_blob(b"nobody's")
    assert (gc(three.registry).young, gc(three.registry).trashed) == (1, ())
    aged(three.registry.path)
    told = gc(three.registry)
    assert (told.dry_run, told.trashed, told.live) == (True, (stray,), len(needed))
    assert stray in blobs(three)

    done = gc(three.registry, apply=True)
    assert (done.trashed, done.deleted, done.waiting) == ((stray,), (), 1)
    assert blobs(three) == needed
    assert three.registry.store.read_blob(stray) == b"nobody's", "until it is deleted it is still read"
    assert gc(three.registry, apply=True).deleted == ()

    aged(three.registry.path / "trash")
    last = gc(three.registry, apply=True)
    assert (last.deleted, last.freed_bytes) == ((stray,), len(b"nobody's"))
    assert blobs(three) == needed
    assert fsck(three.registry, depth="all").findings == ()


def test_gc_never_takes_what_a_way_back_needs(three: Stage) -> None:
    """However old: champion, every target, every decision stay; a quarantined target goes, its decision stays."""
    aged(three.registry.path)
    before = blobs(three)
    assert gc(three.registry, apply=True).trashed == ()
    assert blobs(three) == before
    quarantine("1.0.0", registry=three.registry, channel=CHANNEL, signer=three.oncall, now=three.now, reason="x")
    gone = set(gc(three.registry, apply=True).trashed)
    assert three.releases["1.0.0"].ref.digest in gone
    decisions = {move.decision for _, logged in three.registry.log() for move in logged.entry.moves}
    assert not gone & decisions
    assert three.back().to.version == "2.0.0"


def test_what_is_needed_again_comes_back_from_the_trash(three: Stage) -> None:
    """A promotion stores its blobs anew, or the next collection puts them back; either way nothing is lost."""
    quarantine("1.0.0", registry=three.registry, channel=CHANNEL, signer=three.oncall, now=three.now, reason="x")
    aged(three.registry.path)
    gone = gc(three.registry, apply=True).trashed
    assert gone
    digest = three.releases["3.0.0"].ref.digest
    three.registry.store.trash(digest).write_bytes(three.blob(digest).read_bytes())
    three.blob(digest).unlink()  # as if it was moved while somebody promoted it
    assert fsck(three.registry).sound
    done = gc(three.registry, apply=True)
    assert done.restored == (digest,)
    assert three.blob(digest).is_file()
    assert not three.registry.store.trash(digest).exists()


def test_gc_leaves_a_damaged_registry_alone(three: Stage) -> None:
    """Who knows what is live in it?"""
    aged(three.registry.path)
    three.registry.store.put_blob(b"nobody's")
    three.blob(three.releases["1.0.0"].ref.digest).unlink()
    error = refused(three, IntegrityError, "nothing is collected", gc, three.registry, apply=True)
    assert "fsck" in str(error.hint)


@pytest.mark.parametrize("hours", [0.0, 0.5, -1.0, float("nan"), float("inf")])
def test_no_grace_is_too_short(three: Stage, hours: float) -> None:
    """No flag makes it take what somebody may be about to need."""
    refused(three, InputError, "too few", gc, three.registry, apply=True, grace_hours=hours)


def test_gc_takes_old_leavings(three: Stage) -> None:
    """What an interrupted write left, when it is old enough."""
    left = three.registry.path / "blobs" / "sha256" / "00" / ".left.1.abc"
    left.write_bytes(b"half")
    gc(three.registry, apply=True)
    assert left.exists()
    aged(left.parent)
    gc(three.registry, apply=True)
    assert not left.exists()


def test_a_mirror_is_the_same_registry(three: Stage, tmp_path: Path) -> None:
    """Made, then brought up to date, then there is nothing to do; it reads and rolls back like the original."""
    copy = tmp_path / "copies" / "one"
    first = mirror(three.registry, copy)
    assert (first.entries, first.head) == (3, 3)
    three.line("4.0.0")
    assert mirror(three.registry, copy).entries == 1
    last = mirror(three.registry, copy)
    assert (last.entries, last.blobs) == (0, 0)
    twin = Registry.open(copy)
    assert twin.status() == three.registry.status()
    assert fsck(twin, depth="all").findings == ()


def test_a_mirror_refuses_another_registry_and_a_fork(three: Stage, new_stage: Make, tmp_path: Path) -> None:
    """Neither is written to."""
    other = new_stage(tmp_path / "other", None)
    with pytest.raises(RefusedError, match="another registry"):
        mirror(three.registry, other.registry.path)
    copy = three.copy(tmp_path / "fork")
    copy.back()
    three.line("4.0.0")
    before = tree(copy.registry.path)
    with pytest.raises(IntegrityError, match="its source has not"):
        mirror(three.registry, copy.registry.path)
    assert tree(copy.registry.path) == before


def test_repair_mends_whatever_rotted(three: Stage, tmp_path: Path) -> None:
    """An entry, a blob of the champion and a missing target, from a mirror; what was broken is set aside."""
    copy = tmp_path / "copy"
    mirror(three.registry, copy)
    whole = {name: data for name, data in tree(three.registry.path).items() if not name.startswith("refs/")}
    rot(three.log.file(2))
    rot(three.blob(three.releases["3.0.0"].ref.digest))
    three.blob(three.releases["1.0.0"].ref.digest).unlink()
    done = repair(three.registry, source=copy)
    assert (done.entries, done.blobs, len(done.set_aside), done.left) == (1, 2, 2, ())
    now = {
        name: data for name, data in tree(three.registry.path).items() if not name.startswith(("refs/", "quarantine/"))
    }
    assert now == whole
    assert three.back().to.version == "2.0.0"


def test_repair_never_takes_back_what_was_promoted(three: Stage, tmp_path: Path) -> None:
    """A copy that is behind does not shorten the log: what is sound stays, what is broken is left and named."""
    copy = tmp_path / "copy"
    mirror(three.registry, copy)
    three.line("4.0.0", "5.0.0")
    assert repair(three.registry, source=copy).head == 5
    rot(three.log.file(4))
    kept = three.log.bytes()
    done = repair(three.registry, source=copy)
    assert (done.head, done.entries) == (3, 0)
    assert [each.severity for each in done.left][:1] == ["damage"]
    assert three.log.bytes() == kept


def test_repair_from_a_fork_or_a_stranger_is_refused(three: Stage, new_stage: Make, tmp_path: Path) -> None:
    """Two sound logs that contradict each other are nothing that a tool decides."""
    other = new_stage(tmp_path / "other", None)
    refused(three, RefusedError, "another registry", repair, three.registry, source=other.registry.path)
    copy = three.copy(tmp_path / "fork")
    copy.back()
    three.line("4.0.0")
    refused(three, IntegrityError, "not the same", repair, three.registry, source=copy.registry.path)
    rot(copy.log.file(1))
    before = tree(three.registry.path)
    with pytest.raises((IntegrityError, RefusedError)):
        repair(three.registry, source=copy.registry.path)
    assert tree(three.registry.path) == before


def test_repair_says_what_no_copy_has(three: Stage, tmp_path: Path) -> None:
    """What is broken in both is left, named."""
    copy = tmp_path / "copy"
    mirror(three.registry, copy)
    three.spoil("3.0.0")
    rot(copy / "blobs" / "sha256" / three.artifacts["3.0.0"].bundle[7:9] / three.artifacts["3.0.0"].bundle[7:])
    done = repair(three.registry, source=copy)
    assert (done.blobs, len(done.left)) == (0, 1)


def test_why_tells_what_became_of_a_bundle(three: Stage) -> None:
    """Events in order, and what it is now; by version, digest, or its beginning."""
    three.back()
    new, old = three.releases["3.0.0"].ref, three.releases["2.0.0"].ref
    for name in ("3.0.0", new.digest, new.digest[7:17]):
        found = why(name, registry=three.registry)
        assert (found.bundle, found.about) == (new, new.digest)
        assert [(event.action, event.sequence) for event in found.events] == [("promote", 3), ("rollback", 4)]
        assert [(each.channel, each.role) for each in found.standings] == [(CHANNEL, "quarantined")]
    assert why("2.0.0", registry=three.registry).standings[0].role == "champion"
    assert why("1.0.0", registry=three.registry).standings[0].role == "rollback target"
    three.back()
    assert why("2.0.0", registry=three.registry).bundle == old
    error = refused(three, InputError, "is no bundle of this registry", lambda: why("9.9.9", registry=three.registry))
    assert "3.0.0" in str(error.hint)


def test_why_knows_a_former_champion_and_a_stranger(three: Stage) -> None:
    """One that was skipped over is former; one that was only ever barred has a digest and no name."""
    three.back("1.0.0")
    assert why("2.0.0", registry=three.registry).standings[0].role == "former"
    quarantine("e" * 64, registry=three.registry, channel=CHANNEL, signer=three.oncall, now=three.now, reason="x")
    found = why("e" * 64, registry=three.registry)
    assert (found.bundle, found.about, len(found.events)) == (None, "sha256:" + "e" * 64, 1)


def test_a_disk_that_refuses_is_said(three: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Moving to the trash and deleting: unavailable, and the next run goes on."""
    stray = three.registry.store.put_blob(b"nobody's")
    aged(three.registry.path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", full)
        with pytest.raises(UnavailableError, match="No space"):
            gc(three.registry, apply=True)
    assert gc(three.registry, apply=True).trashed == (stray,)
    aged(three.registry.path / "trash")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", full)
        with pytest.raises(UnavailableError, match="No space"):
            gc(three.registry, apply=True)
    assert gc(three.registry, apply=True).deleted == (stray,)
