"""A deploy slot's folder: two copies of its state, its releases, and two links for people to look at."""

import fcntl
import json
import os
import shutil
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from candidate.adapters.stores.directory import fsync_folder
from candidate.canonical import digest_of
from candidate.documents.slot import SlotState
from candidate.errors import CandidateError, InputError, IntegrityError, UnavailableError

BUNDLE_FILE = "bundle.candidate"
FILES_FOLDER = "files"
MAX_STATE_BYTES = 1 << 20


class SlotFolder:
    """The folder of a slot; it holds no state but its path.

    ::

        state.0 state.1          the state twice, each with its own digest; the newer whole one is believed
        releases/<digest>/       bundle.candidate, and its members under files/; read-only
        current previous         links for people and for servers that need a path; never believed
        events.ndjson            what happened, a line each
    """

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is read yet."""
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes of this host out while the state changes; the lock goes with its process.

        Raises:
            UnavailableError: the folder cannot be written to.
        """
        try:
            (self.path / "releases").mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise UnavailableError(f"cannot be written to: {error.strerror}", where=str(self.path)) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def read(self) -> SlotState | None:
        """Return the newest whole state; None if there never was one.

        Raises:
            IntegrityError: there is a state, and no copy of it is whole.
        """
        found, broken = list[SlotState](), list[CandidateError]()
        for number in (0, 1):
            try:
                state = self._copy(number)
            except (IntegrityError, UnavailableError) as error:
                broken.append(error)
            else:
                found += [state] if state is not None else []
        if found:
            return max(found, key=lambda state: state.generation)
        if broken:
            raise IntegrityError(
                f"neither copy of the slot's state is whole: {broken[0].message}",
                where=str(self.path),
                hint="what is served goes on; make a new slot and sync it, then point the server there",
            )
        return None

    def _copy(self, number: int) -> SlotState | None:
        path = self.path / f"state.{number}"
        try:
            with path.open("rb") as file:
                data = file.read(MAX_STATE_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnavailableError(f"cannot be read: {error.strerror}", where=str(path)) from error
        digest, _, document = data.partition(b"\n")
        if digest != digest_of(document).encode():
            raise IntegrityError("its bytes are not what its first line says", where=path.name)
        return SlotState.from_bytes(document, where=path.name)

    def write(self, state: SlotState) -> None:
        """Write a state over the older copy, and have it on the disk before returning.

        Raises:
            UnavailableError: the disk refuses; the newer copy is as it was.
        """
        document = state.to_bytes()
        target = self.path / f"state.{state.generation % 2}"
        temporary = self.path / f".state.{os.getpid()}"
        try:
            with temporary.open("wb") as file:
                file.write(digest_of(document).encode() + b"\n" + document)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
            fsync_folder(self.path)
        except OSError as error:
            raise UnavailableError(f"cannot be written: {error.strerror}", where=str(target)) from error
        finally:
            with suppress(OSError):
                temporary.unlink()

    def release(self, digest: str) -> Path:
        """Return the folder of a release, whether it is there or not."""
        return self.path / "releases" / digest.removeprefix("sha256:")

    @contextmanager
    def installing(self, digest: str) -> Iterator[Path]:
        """Yield an empty folder that becomes a release, read-only and on the disk, unless something fails.

        Raises:
            UnavailableError: the disk refuses.
        """
        target = self.release(digest)
        staging = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            _remove(staging)
            staging.mkdir()
            yield staging
            _settle(staging)
            _remove(target)
            staging.rename(target)
            fsync_folder(target.parent)
        except OSError as error:
            raise UnavailableError(f"cannot be installed: {error.strerror}", where=str(target)) from error
        finally:
            _remove(staging)

    def tidy(self, needed: Container[str]) -> None:
        """Remove every release that is neither needed nor open, and what interrupted installations left."""
        with suppress(OSError):
            for folder in (self.path / "releases").iterdir():
                if f"sha256:{folder.name}" not in needed and not _is_open(folder):
                    _remove(folder)

    def link(self, digest: str) -> None:
        """Point ``current`` at a release, and ``previous`` at what it pointed at before.

        Raises:
            UnavailableError: the disk refuses.
        """
        current, goal = self.path / "current", f"releases/{digest.removeprefix('sha256:')}"
        try:
            before = str(current.readlink()) if current.is_symlink() else None
            if before == goal:
                return
            if before is not None:
                self._swap("previous", before)
            self._swap("current", goal)
            fsync_folder(self.path)
        except OSError as error:
            raise UnavailableError(f"cannot be linked: {error.strerror}", where=str(current)) from error

    def _swap(self, name: str, goal: str) -> None:
        temporary = self.path / f".{name}.{os.getpid()}"
        with suppress(FileNotFoundError):
            temporary.unlink()
        temporary.symlink_to(goal)
        temporary.replace(self.path / name)

    def tell(self, time: str, event: str, **said: str | int | None) -> None:
        """Add a line to the events; that it cannot be written stops nothing."""
        line = json.dumps({"time": time, "event": event, **said}, sort_keys=True) + "\n"
        with suppress(OSError), (self.path / "events.ndjson").open("a", encoding="utf-8") as file:
            file.write(line)


def _settle(folder: Path) -> None:
    """Make a tree read-only and have all of it on the disk."""
    for home, _, names in os.walk(folder, topdown=False):
        for name in names:
            file = Path(home, name)
            file.chmod(0o444)
            descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        fsync_folder(Path(home))
        if Path(home) != folder:
            Path(home).chmod(0o555)


def _remove(folder: Path) -> None:
    """Remove a tree, read-only or not."""
    if not folder.exists():
        return
    for home, _, _ in os.walk(folder):
        Path(home).chmod(0o755)
    shutil.rmtree(folder)


def _is_open(folder: Path) -> bool:
    """Whether somebody serves from a release; see ``Release``."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class Release:
    """A release, opened once: whatever the slot moves to meanwhile, all its files are of this one."""

    def __init__(self, path: Path, digest: str) -> None:
        """Open the folder.

        Raises:
            UnavailableError: it is not there.
        """
        self.path, self.digest = path, digest
        try:
            self._home = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            fcntl.flock(self._home, fcntl.LOCK_SH)  # while it is open nobody tidies it away
        except OSError as error:
            raise UnavailableError(f"release cannot be opened: {error.strerror}", where=str(path)) from error

    def read(self, name: str) -> bytes:
        """Return a member of the bundle, for example ``signature.json``.

        Raises:
            InputError: there is no such member.
        """
        parts = name.split("/")
        if "" in parts or "." in parts or ".." in parts:
            raise InputError(f"{name!r} is no member's name", where=str(self.path))
        home = self._home
        try:
            for part in (FILES_FOLDER, *parts[:-1]):
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=home)
                if home != self._home:
                    os.close(home)
                home = inner
            descriptor = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW, dir_fd=home)
            with os.fdopen(descriptor, "rb") as file:
                return file.read()
        except OSError as error:
            raise InputError(f"no member {name!r}: {error.strerror}", where=str(self.path)) from error
        finally:
            if home != self._home:
                os.close(home)

    def bundle_path(self) -> Path:
        """Return a path of the bundle file that stays this release's while it is open."""
        own = Path(f"/proc/self/fd/{self._home}")
        return (own if own.exists() else self.path) / BUNDLE_FILE

    def pass_on(self) -> None:
        """Leave the folder open for the program that this process becomes."""
        os.set_inheritable(self._home, True)  # noqa: FBT003 - takes no name

    def close(self) -> None:
        """Close the folder."""
        os.close(self._home)
