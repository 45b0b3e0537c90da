"""The container: one byte sequence, and nothing else accepted."""

import hashlib
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from candidate.adapters.archive import (
    Archive,
    Blob,
    FileBlob,
    archive_bytes,
    archive_size,
    header_of,
    reader,
    write_archive,
    writer,
)
from candidate.canonical import digest_of
from candidate.errors import InputError, IntegrityError

BLOBS = {digest_of(data): data for data in (b"", b"one", b"x" * 512, b"y" * 5000)}
INDEX = b'{"any":"bytes"}'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A small archive."""
    path = tmp_path / "a.candidate"
    write_archive(path, index=INDEX, blobs=BLOBS)
    return path


@pytest.mark.parametrize("size", [0, 1, 511, 512, 8**11 - 1])
def test_a_header_is_the_one_that_tarfile_writes(size: int) -> None:
    """Other people's tools read our archives because the header is plain ustar."""
    info = tarfile.TarInfo("blobs/sha256/" + "a" * 64)
    info.size = size

    assert header_of(info.name, size) == info.tobuf(tarfile.USTAR_FORMAT)


def test_what_was_written_is_read_back(file: Path) -> None:
    """Index, sizes and every blob come back as they went in."""
    with Archive.open(file) as archive:
        assert archive.index == INDEX
        assert archive.sizes == {digest: len(data) for digest, data in BLOBS.items()}
        assert {digest: archive.read(digest) for digest in archive.sizes} == BLOBS
        assert archive.size_bytes == file.stat().st_size


def test_tarfile_reads_the_same_members(file: Path) -> None:
    """A foreign reader sees the layout, the index and the blobs, as regular files."""
    with tarfile.open(file) as tar:
        assert all(info.isreg() and info.mode == 0o644 and info.mtime == 0 for info in tar.getmembers())
        assert tar.getnames()[:2] == ["oci-layout", "index.json"]


def test_writing_what_was_read_gives_the_same_bytes(file: Path, tmp_path: Path) -> None:
    """There is one archive for one content, in whatever order the blobs are given."""
    with Archive.open(file) as archive:
        blobs = {digest: archive.read(digest) for digest in reversed(list(archive.sizes))}
        again = write_archive(tmp_path / "b.candidate", index=archive.index, blobs=blobs)

    assert (tmp_path / "b.candidate").read_bytes() == file.read_bytes()
    assert again == "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_missing_file_is_the_users_mistake(tmp_path: Path) -> None:
    """There is nothing to be said about integrity when there is no file."""
    with pytest.raises(InputError, match="No such file"):
        Archive.open(tmp_path / "none.candidate")


@pytest.mark.parametrize("kind", ["folder", "fifo"])
def test_only_regular_files_are_opened(kind: str, tmp_path: Path) -> None:
    """A folder or a pipe is refused at once; a pipe does not make us wait."""
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)

    with pytest.raises(InputError, match="regular file"):
        Archive.open(path)


def test_a_blob_is_hashed_whenever_it_is_read(file: Path) -> None:
    """A byte that changes after the archive was opened is found."""
    with Archive.open(file) as archive:
        data = file.read_bytes()
        place = data.index(b"y" * 5000)
        file.write_bytes(data[:place] + b"z" + data[place + 1 :])

        with pytest.raises(IntegrityError, match="has digest"):
            archive.read(digest_of(b"y" * 5000))
        with pytest.raises(IntegrityError, match="has digest"):
            archive.check_blobs()


def test_a_file_that_shrinks_while_it_is_read_is_found(file: Path) -> None:
    """Truncation after opening is an integrity error, not a short answer."""
    with Archive.open(file) as archive:
        os.truncate(file, 2000)

        with pytest.raises(IntegrityError, match="ends too early"):
            archive.check_blobs()


def test_a_blob_that_is_not_there_is_an_integrity_error(file: Path) -> None:
    """Whoever asks got the digest from a document that lies."""
    with Archive.open(file) as archive, pytest.raises(IntegrityError, match="missing"):
        archive.read("sha256:" + "0" * 64)


def test_a_closed_archive_says_so(file: Path) -> None:
    """A closed descriptor number may belong to another file by now; it is never read."""
    archive = Archive.open(file)
    archive.close()

    with pytest.raises(InputError, match="closed"):
        archive.read(digest_of(b"one"))


def test_check_blobs_tells_every_byte_once(file: Path) -> None:
    """A progress bar reaches its end."""
    told: list[int] = []
    with Archive.open(file) as archive:
        archive.check_blobs(told.append)

    assert sum(told) == sum(map(len, BLOBS.values()))


def test_check_blobs_uses_threads_and_still_finds_the_bad_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parallel hashing raises what sequential hashing would."""
    monkeypatch.setattr(reader, "_PARALLEL_BYTES", 1)
    path = tmp_path / "c.candidate"
    write_archive(path, index=INDEX, blobs=BLOBS)
    path.write_bytes(path.read_bytes().replace(b"y" * 5000, b"z" + b"y" * 4999))

    with Archive.open(path) as archive, pytest.raises(IntegrityError, match="has digest"):
        archive.check_blobs()


def test_check_blobs_skips_what_the_caller_reads(file: Path) -> None:
    """Nothing is hashed twice."""
    told: list[int] = []
    with Archive.open(file) as archive:
        archive.check_blobs(told.append, skip={digest_of(b"y" * 5000)})

    assert sum(told) == 3 + 512


def test_a_failed_write_leaves_nothing_and_keeps_the_old_file(file: Path) -> None:
    """The name holds the old bundle or the new one, never a part."""
    before = file.read_bytes()

    with pytest.raises(IntegrityError):
        write_archive(file, index=INDEX, blobs={"sha256:" + "0" * 64: b"other"})
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_writing_into_no_folder_is_the_users_mistake(tmp_path: Path) -> None:
    """The message names the folder."""
    with pytest.raises(InputError, match="no such folder"):
        write_archive(tmp_path / "no" / "a.candidate", index=INDEX, blobs={})


def test_a_blob_of_eight_gibibytes_is_refused() -> None:
    """The header cannot say its size, and we do not switch to another format in silence."""
    with pytest.raises(InputError, match="split the weights") as caught:
        raise_for(lambda: header_of("blobs/sha256/" + "a" * 64, 8 * 1024**3))
    assert caught.value.where.startswith("blobs/")


def raise_for(call: Callable[[], object]) -> None:
    """Call, and put the hint into the message."""
    try:
        call()
    except InputError as error:
        raise InputError(f"{error.message}: {error.hint}", where=error.where) from error


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """The count is capped while it is read, before anything grows."""
    for module in (reader, writer):
        monkeypatch.setattr(module, "MAX_MEMBERS", 4)

    with pytest.raises(IntegrityError, match="more than 4 members"):
        Archive.open(file)
    with pytest.raises(InputError, match="more than 2"):
        archive_bytes(index=INDEX, blobs=BLOBS)


def test_an_index_too_large_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """The size in the header decides, not the data."""
    for module in (reader, writer):
        monkeypatch.setattr(module, "MAX_INDEX_BYTES", 3)

    with pytest.raises(IntegrityError, match="more than 3"):
        Archive.open(file)
    with pytest.raises(InputError, match="more than 3"):
        archive_bytes(index=INDEX, blobs={})


def test_streamed_blobs_make_the_same_file(tmp_path: Path) -> None:
    """From memory, from a part of a file, and from another bundle: the same bytes, of the size that was foretold."""
    data = os.urandom(3_000_001)
    (tmp_path / "weights").write_bytes(b"before" + data + b"after")
    small, digest = b"small", digest_of(data)
    held = {digest: data, digest_of(small): small}
    streamed: dict[str, Blob] = {digest: FileBlob(tmp_path / "weights", 6, len(data)), digest_of(small): small}
    told: list[int] = []
    first, second, third = tmp_path / "1", tmp_path / "2", tmp_path / "3"
    whole = write_archive(first, index=b"{}", blobs=held)
    assert write_archive(second, index=b"{}", blobs=streamed, progress=told.append) == whole
    assert sum(told) == second.stat().st_size == archive_size(b"{}", streamed)
    with Archive.open(second) as archive:
        assert write_archive(third, index=b"{}", blobs={name: archive.source(name) for name in archive.sizes}) == whole
    assert first.read_bytes() == second.read_bytes() == third.read_bytes()
    assert FileBlob.whole(tmp_path / "weights").digest() == digest_of(b"before" + data + b"after")


@pytest.mark.parametrize(
    ("offset", "size", "says"), [(0, 10, "has digest"), (1, 10, "became shorter"), (0, 11, "became shorter")]
)
def test_a_file_that_changed_meanwhile_leaves_nothing(tmp_path: Path, offset: int, size: int, says: str) -> None:
    """Other bytes or fewer of them than were named: an error, and no bundle."""
    (tmp_path / "weights").write_bytes(b"0123456789")
    blobs = {digest_of(b"something"): FileBlob(tmp_path / "weights", offset, size)}
    with pytest.raises((InputError, IntegrityError), match=says):
        write_archive(tmp_path / "bundle", index=b"{}", blobs=blobs)
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Streaming from a missing file says which."""
    with pytest.raises(InputError, match="cannot be read") as caught:
        FileBlob.whole(tmp_path / "nowhere")
    assert caught.value.where.endswith("nowhere")
