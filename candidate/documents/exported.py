"""A bundle laid out for another server: the note that leads back to it, and what ``candidate export`` answers."""

from typing import ClassVar, Literal

from candidate.canonical import MAX_SMALL_BYTES
from candidate.document import Digest, Document, Part
from candidate.documents.evidence import BundleRef
from candidate.documents.manifest import Tolerance

Server = Literal["triton", "mlflow", "kserve"]
NOTE_FILE = "candidate-export.json"


class ExportedFile(Part):
    """One file of an export."""

    name: str
    """Path inside the folder."""
    digest: Digest
    size: int


class ExportNote(Document):
    """``candidate-export.json``: which bundle this was, and every other file by its digest."""

    max_bytes: ClassVar[int] = MAX_SMALL_BYTES
    kind: Literal["candidate.export"] = "candidate.export"
    version: Literal[1] = 1
    bundle: BundleRef
    to: Server
    model: str
    """Name that it is served under."""
    golden_rows: int
    """Golden rows in the request that tests the server: those without missing or infinite values, which JSON cannot
    say."""
    tolerance: Tolerance
    """How far the server's answers may be from the golden outputs."""
    files: tuple[ExportedFile, ...]
    """All but this one, sorted by name."""


class Exported(Document):
    """A bundle was verified and laid out for another server."""

    kind: Literal["candidate.exported"] = "candidate.exported"
    version: Literal[1] = 1
    bundle: BundleRef
    to: Server
    folder: str
    model: str
    golden_rows: int
    files: tuple[ExportedFile, ...]
    """All of them, sorted by name; the note included."""
    serve: tuple[str, ...]
    """Commands that serve it."""
    test: tuple[str, ...]
    """What to do to hold the server's answers against the golden outputs."""
