"""A deploy host: it follows its channel, tries what is new, falls back by itself, and never follows a fork."""

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

import candidate
from candidate.adapters.stores.slot import SlotFolder
from candidate.documents.slot import Started
from candidate.errors import InputError, IntegrityError, RefusedError, UnavailableError
from candidate.flows.registry import Registry
from candidate.flows.slots import slot_mark_good, slot_open, slot_start, slot_status, slot_sync
from tests.releasing.conftest import CHANNEL, Make, Stage, tree
from tests.releasing.test_upkeep import rot


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the slot is."""
    return tmp_path / "srv"


def follow(stage: Stage, home: Path, *, tries: int = 2) -> str:
    """Sync, and return the version that is served."""
    return slot_sync(home, registry=stage.registry, channel=CHANNEL, tries=tries, now=stage.now).active.version


def start(home: Path) -> Started:
    """Begin a start."""
    return slot_start(home)


def events(home: Path) -> list[str]:
    """What happened, in order."""
    return [json.loads(line)["event"] for line in (home / "events.ndjson").read_text().splitlines()]


def test_a_host_follows_its_channel(three: Stage, home: Path) -> None:
    """The first sync installs the champion on trial, whole and read-only; again there is nothing to do."""
    done = slot_sync(home, registry=three.registry, channel=CHANNEL, now=three.now)
    new = three.releases["3.0.0"].ref
    assert (done.active, done.before, done.already, done.on_trial, done.fallback) == (new, None, False, True, None)
    release = Path(done.path)
    assert (release / "bundle.candidate").read_bytes() == three.releases["3.0.0"].path.read_bytes()
    assert (home / "current").resolve() == release.resolve()
    assert not any(os.access(file, os.W_OK) for file in release.rglob("*") if file.is_file() and os.geteuid() != 0)
    assert {oct(file.stat().st_mode & 0o777) for file in release.rglob("*") if file.is_file()} == {"0o444"}
    again = slot_sync(home, registry=three.registry, channel=CHANNEL, now=three.now)
    assert (again.already, again.active) == (True, new)
    assert events(home) == ["installed"]


def test_what_is_marked_good_is_what_the_next_falls_back_to(three: Stage, home: Path) -> None:
    """A promotion is tried; never marked good, it gives way after its tries, with no registry at all."""
    follow(three, home)
    assert slot_mark_good(home).on_trial is False
    three.line("4.0.0")
    assert follow(three, home) == "4.0.0"
    assert (home / "previous").resolve().name == three.releases["3.0.0"].ref.digest[7:]
    three.registry.path.rename(three.registry.path.with_name("unreachable"))

    left = [start(home) for _ in range(3)]

    assert [(each.active.version, each.tries_left, each.fell_back) for each in left] == [
        ("4.0.0", 1, False),
        ("4.0.0", 0, False),
        ("3.0.0", None, True),
    ]
    assert start(home).fell_back is False
    status = slot_status(home)
    assert (status.active, status.on_trial) == (three.releases["3.0.0"].ref, False)
    assert status.failed == (three.releases["4.0.0"].ref,)
    assert events(home) == ["installed", "marked good", "installed", "fell back"]
    assert (home / "current").resolve().name == three.releases["3.0.0"].ref.digest[7:]


def test_what_failed_here_comes_back_only_with_a_new_entry(three: Stage, home: Path) -> None:
    """The fleet does not flap: a sync refuses what fell back; after a rollback and a new promotion it is tried anew."""
    follow(three, home)
    slot_mark_good(home)
    three.line("4.0.0")
    follow(three, home, tries=1)
    start(home)
    assert start(home).fell_back
    before = tree(home)
    with pytest.raises(RefusedError, match="failed on this host"):
        follow(three, home)
    assert tree(home) == before
    three.back()
    assert follow(three, home) == "3.0.0"
    three.line("4.0.0")
    assert follow(three, home) == "4.0.0"
    assert slot_status(home).on_trial


def test_a_rollback_to_what_was_good_needs_no_trial(three: Stage, home: Path) -> None:
    """At three in the morning nobody should have to mark it good again."""
    follow(three, home)
    slot_mark_good(home)
    three.line("4.0.0")
    follow(three, home)
    slot_mark_good(home)
    three.back()
    done = slot_sync(home, registry=three.registry, channel=CHANNEL, now=three.now)
    assert (done.active.version, done.on_trial) == ("3.0.0", False)
    assert done.fallback == three.releases["4.0.0"].ref


def test_with_nothing_to_fall_back_to_it_keeps_trying(three: Stage, home: Path) -> None:
    """Something that may fail is better than nothing that serves, and the events say so."""
    follow(three, home, tries=1)
    assert [start(home).tries_left for _ in range(3)] == [0, 0, 0]
    assert events(home) == ["installed", "no fallback", "no fallback"]


def test_a_cut_or_forked_log_is_not_followed(three: Stage, home: Path, tmp_path: Path) -> None:
    """A registry restored from last week, and one that went another way: an alarm, and the host keeps what it has."""
    old, fork = three.copy(tmp_path / "old"), three.copy(tmp_path / "fork")
    three.line("4.0.0")
    fork.back()
    fork.line("5.0.0")
    follow(three, home)
    before = tree(home)
    for other, says in ((old, "ends before it"), (fork, "has another")):
        with pytest.raises(IntegrityError, match=says):
            follow(other, home)
        assert tree(home) == before


def test_another_registry_or_channel_is_not_followed(three: Stage, home: Path, new_stage: Make, tmp_path: Path) -> None:
    """A slot is of one registry and one channel."""
    follow(three, home)
    other = new_stage(tmp_path / "other", None)
    other.line("1.0.0")
    with pytest.raises(RefusedError, match="follows registry"):
        follow(other, home)
    with pytest.raises(InputError, match="nothing was promoted"):
        slot_sync(home, registry=three.registry, channel="tiny/test", now=three.now)
    with pytest.raises(InputError, match="tries"):
        follow(three, home, tries=0)


def test_a_champion_that_rotted_is_not_installed(three: Stage, home: Path) -> None:
    """What is served goes on, and nothing half-made is left."""
    follow(three, home)
    three.line("4.0.0")
    three.spoil("4.0.0")
    before = tree(home)
    with pytest.raises(IntegrityError):
        follow(three, home)
    assert tree(home) == before
    assert sorted(path.name for path in (home / "releases").iterdir()) == [three.releases["3.0.0"].ref.digest[7:]]


def test_a_host_keeps_few_releases(three: Stage, home: Path) -> None:
    """Three good ones and what is on trial."""
    for version in ("4.0.0", "5.0.0", "6.0.0"):
        follow(three, home)
        slot_mark_good(home)
        three.line(version)
    follow(three, home)
    names = {path.name for path in (home / "releases").iterdir()}
    assert names == {three.releases[version].ref.digest[7:] for version in ("3.0.0", "4.0.0", "5.0.0", "6.0.0")}
    slot_mark_good(home)
    names = {path.name for path in (home / "releases").iterdir()}
    assert names == {three.releases[version].ref.digest[7:] for version in ("4.0.0", "5.0.0", "6.0.0")}


def test_a_release_whose_files_are_gone_gives_way(three: Stage, home: Path) -> None:
    """Somebody tidied up by hand: the host falls back, and the next sync installs it anew."""
    follow(three, home)
    slot_mark_good(home)
    three.line("4.0.0")
    follow(three, home)
    (SlotFolder(home).release(three.releases["4.0.0"].ref.digest) / "bundle.candidate").unlink()
    assert start(home).fell_back
    folder = SlotFolder(home).release(three.releases["3.0.0"].ref.digest)
    (folder / "bundle.candidate").unlink()
    with pytest.raises(UnavailableError, match="gone"):
        start(home)
    three.back()
    assert follow(three, home) == "3.0.0"
    assert (folder / "bundle.candidate").is_file()


def test_a_broken_copy_of_the_state_is_survived(three: Stage, home: Path) -> None:
    """Every byte of the newer copy flipped: the older one is believed; both broken is an error, not a guess."""
    follow(three, home)
    slot_mark_good(home)
    newer = max((home / "state.0", home / "state.1"), key=lambda path: path.stat().st_mtime_ns)
    whole = newer.read_bytes()
    for place in range(len(whole)):
        newer.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert slot_status(home).on_trial, "the older state"
    other = home / ("state.1" if newer.name == "state.0" else "state.0")
    rot(other)
    with pytest.raises(IntegrityError, match="neither copy"):
        slot_status(home)
    newer.write_bytes(whole)
    assert not slot_status(home).on_trial


def test_without_a_slot_there_is_nothing_to_start(home: Path) -> None:
    """The hint says how to make one."""
    for act in (slot_start, slot_status, slot_mark_good, slot_open):
        with pytest.raises(InputError, match="no slot") as caught:
            act(home)
        assert "slot sync" in str(caught.value.hint)
    assert not home.exists()


def test_a_host_that_heard_nothing_for_long_says_so(three: Stage, home: Path) -> None:
    """It is told, and serving goes on."""
    follow(three, home)
    age = timedelta(hours=24)
    assert not slot_status(home, max_age=age, now=three.now + age).stale
    late = three.now + age + timedelta(seconds=1)
    assert slot_status(home, max_age=age, now=late).stale
    assert start(home).active.version == "3.0.0"


def test_mark_good_asks_first(three: Stage, home: Path) -> None:
    """A probe that fails, that hangs, or that is none leaves the trial as it is."""
    follow(three, home)
    with pytest.raises(RefusedError, match="ends by 3"):
        slot_mark_good(home, probe=(sys.executable, "-c", "raise SystemExit(3)"))
    with pytest.raises(RefusedError, match="takes too long"):
        slot_mark_good(home, probe=(sys.executable, "-c", "import time; time.sleep(60)"))
    with pytest.raises(InputError, match="cannot be run"):
        slot_mark_good(home, probe=("/no/such/probe",))
    assert slot_status(home).on_trial
    mark = home / "once"
    once = (
        f"import pathlib, sys; p = pathlib.Path({str(mark)!r}); sys.exit(0) if p.exists() else (p.touch(), sys.exit(1))"
    )
    assert not slot_mark_good(home, probe=(sys.executable, "-c", once), wait_seconds=30).on_trial


def test_a_mark_is_for_what_was_probed(three: Stage, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was switched to meanwhile is not marked good by somebody else's probe."""
    follow(three, home)
    three.line("4.0.0")
    monkeypatch.setattr("candidate.flows.slots._probe", lambda *_: follow(three, home))
    with pytest.raises(RefusedError, match="something else is served"):
        slot_mark_good(home, probe=("x",))
    assert slot_status(home).on_trial


def test_a_reader_holds_one_version(three: Stage, home: Path) -> None:
    """What was opened stays what it is, also after the slot moved on and tidied it away; and it predicts."""
    follow(three, home)
    with candidate.slot.open(home) as release:
        three.line("4.0.0")
        follow(three, home)
        assert json.loads(release.read("candidate.json"))["descriptor"]["version"] == "3.0.0"
        assert release.digest == three.releases["3.0.0"].ref.digest
    with candidate.slot.open(home) as release, release.load(trust=three.registry.genesis.trust) as bundle:
        assert bundle.ref.version == "4.0.0"
        assert release.path == home / "releases" / release.digest[7:]


@pytest.mark.parametrize("name", ["../state.0", "/etc/passwd", "model/../candidate.json", "", "model", "no.json"])
def test_a_reader_reads_members_only(three: Stage, home: Path, name: str) -> None:
    """Nothing beside the bundle, by whatever name."""
    follow(three, home)
    with slot_open(home) as release, pytest.raises(InputError):
        release.read(name)


def test_readers_never_see_two_versions_at_once(three: Stage, home: Path) -> None:
    """While the slot switches to and fro, every reader's two reads are of one version."""
    follow(three, home)
    slot_mark_good(home)
    three.line("4.0.0")
    stop, mixed, reads = threading.Event(), list[tuple[bytes, bytes]](), [0]
    folder = SlotFolder(home)
    follow(three, home)
    slot_mark_good(home)
    state = folder.read()
    assert state is not None

    def read() -> None:
        while not stop.is_set():
            with slot_open(home) as release:
                pair = (release.read("candidate.json"), release.read("candidate.json"))
                said = json.loads(pair[0])["descriptor"]["version"]
                want = next(key for key, each in three.releases.items() if each.ref.digest == release.digest)
                reads[0] += 1
                if pair[0] != pair[1] or said != want:
                    mixed.append(pair)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(200):
        good = state.good[number % 2]
        state_now = state.model_copy(update={"generation": state.generation + 1 + number, "active": good})
        folder.write(state_now)
        folder.link(good.bundle.digest)
    stop.set()
    for reader in readers:
        reader.join()
    assert reads[0] > 50
    assert mixed == []


def test_a_disk_that_fails_leaves_a_slot_that_serves(three: Stage, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At whichever call a sync fails, the host starts the old release or the new one, and the next sync settles it."""
    follow(three, home)
    slot_mark_good(home)
    three.line("4.0.0")
    for name in ("fsync", "mkdir", "rename", "replace", "symlink"):
        uses = 0
        while True:
            uses += 1
            with monkeypatch.context() as patch:
                failing = _Failing(getattr(os, name), uses)
                patch.setattr(os, name, failing)
                try:
                    follow(three, home)
                except (UnavailableError, IntegrityError, InputError):
                    failed = True
                else:
                    failed = False
            status = slot_status(home)
            assert status.active in {three.releases["3.0.0"].ref, three.releases["4.0.0"].ref}
            with slot_open(home) as release:
                assert release.read("candidate.json")
            if not failed and failing.left > 0:
                break
            _undo(three, home)
    assert follow(three, home) == "4.0.0"


class _Failing:
    """A system call that fails at its n-th use."""

    def __init__(self, real: object, at: int) -> None:
        self.real, self.left = real, at

    def __call__(self, *args: object, **named: object) -> object:
        """Do it, or not."""
        self.left -= 1
        if self.left == 0:
            raise OSError(28, "No space left on device")
        return self.real(*args, **named)  # type: ignore[operator]  # a function of os


def _undo(stage: Stage, home: Path) -> None:
    """Return to the good release, as after a fallback, with the failure forgotten."""
    folder = SlotFolder(home)
    state = folder.read()
    assert state is not None
    folder.write(
        state.model_copy(
            update={"generation": state.generation + 1, "active": state.good[0], "tries_left": None, "failed": ()}
        )
    )
    folder.link(state.good[0].bundle.digest)
    folder.tidy({state.good[0].bundle.digest})
    assert stage.registry.state().head == 4


KILLED = """
import os, sys
from candidate.flows.registry import Registry
from candidate.flows.slots import slot_sync
name, at, home, registry, channel = sys.argv[1], int(sys.argv[2]), *sys.argv[3:]
real, count = getattr(os, name), 0
def counted(*args, **named):
    global count
    count += 1
    if count == at:
        os.kill(os.getpid(), 9)
    return real(*args, **named)
setattr(os, name, counted)
slot_sync(home, registry=Registry.open(registry), channel=channel)
"""


@pytest.mark.parametrize("name", ["fsync", "rename", "replace"])
def test_a_sync_that_is_killed_leaves_a_slot_that_serves(three: Stage, home: Path, name: str) -> None:
    """Killed before its first, a middle and the last such call: the old or the new release, and a sync settles it."""
    follow(three, home)
    slot_mark_good(home)
    three.line("4.0.0")
    for at in (1, 2, 4):
        command = [sys.executable, "-c", KILLED, name, str(at), str(home), str(three.registry.path), CHANNEL]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode in {0, -signal.SIGKILL}, done.stderr
        with slot_open(home) as release:
            assert json.loads(release.read("candidate.json"))["descriptor"]["version"] in {"3.0.0", "4.0.0"}
        assert start(home).active.version in {"3.0.0", "4.0.0"}
    assert follow(three, home) == "4.0.0"


def test_a_registry_may_move(three: Stage, home: Path, tmp_path: Path) -> None:
    """What a slot follows is the log, wherever it lies."""
    moved = three.copy(tmp_path / "mounted")
    follow(three, home)
    moved.line("4.0.0")
    assert follow(moved, home) == "4.0.0"
    with pytest.raises(IntegrityError, match="ends before it"):
        slot_sync(home, registry=Registry.open(three.registry.path), channel=CHANNEL, now=three.now)
