"""The container of a bundle: one canonical form, a strict reader and a streaming writer of it."""

from candidate.adapters.archive.form import header_of
from candidate.adapters.archive.reader import Archive
from candidate.adapters.archive.writer import (
    Blob,
    FileBlob,
    Streamed,
    archive_bytes,
    archive_size,
    size_of,
    write_archive,
)

__all__ = [
    "Archive",
    "Blob",
    "FileBlob",
    "Streamed",
    "archive_bytes",
    "archive_size",
    "header_of",
    "size_of",
    "write_archive",
]
