"""Say what a file is, and lay a bundle's members out as files; neither trusts what it reads."""

import shutil
import tempfile
from pathlib import Path

from candidate.adapters.archive import Archive
from candidate.adapters.attest import looks_like_ecdsa, unverified_statement
from candidate.canonical import MAX_DOCUMENT_BYTES, canonical
from candidate.document import Document
from candidate.documents.decision import Decision
from candidate.documents.evidence import EVIDENCE_FILE, Evidence
from candidate.documents.names import CLAIMS_FILE, DECISION_TYPE, INTEGRITY_FILE, INTEGRITY_TYPE, MANIFEST_PATH
from candidate.documents.results import BundleView, Unpacked
from candidate.errors import InputError, IntegrityError
from candidate.flows.holdouts import is_ledger, view
from candidate.flows.releasing import Registry
from candidate.flows.verifying import inspect


def show(path: Path | str) -> Document:
    """Return the document that a path holds: a bundle, a decision, evidence, a ledger or a registry's status.

    Raises:
        InputError: it is none of these.
        IntegrityError: it is one of these, and broken.
    """
    path = Path(path)
    if path.is_dir():
        if (path / "registry.json").is_file():
            return Registry.open(path).status()
        if (path / EVIDENCE_FILE).is_file():
            return Evidence.from_bytes((path / EVIDENCE_FILE).read_bytes(), where=EVIDENCE_FILE)
        raise InputError("neither a registry nor an evidence folder", where=str(path))
    try:
        with path.open("rb") as file:
            head = file.read(1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if head == b"{":
        return view(path) if is_ledger(path) else read_decision(path)
    with Archive.open(path) as archive:
        bundle = inspect(archive)
        return BundleView(
            bundle=bundle.ref,
            manifest=bundle.manifest,
            signature=bundle.signature,
            experiment=bundle.experiment,
            size_bytes=bundle.size_bytes,
            attestations=tuple(unverified_statement(data).predicate_type for data in bundle.attestations),
        )


def read_decision(path: Path) -> Decision:
    """Return the decision in a file, signed or not, without checking who signed it.

    Raises:
        InputError: unreadable, or not a decision.
        IntegrityError: a decision in a broken form.
    """
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= MAX_DOCUMENT_BYTES else b""
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if size > MAX_DOCUMENT_BYTES:
        raise InputError(f"{size} bytes is no decision", where=str(path))
    return decision_in(data, where=path.name)


def decision_in(data: bytes, *, where: str) -> Decision:
    """Return the decision in these bytes, signed or not, without checking who signed it."""
    if b'"dsseEnvelope"' not in data[:200]:
        return Decision.from_bytes(data, where=where)
    statement = unverified_statement(data, where=where)
    if statement.predicate_type != DECISION_TYPE:
        raise InputError(f"an attestation of type {statement.predicate_type}, not a decision", where=where)
    return Decision.from_bytes(canonical(statement.predicate), where=where)


def unpack(bundle: Path | str, folder: Path | str) -> Unpacked:
    """Write a bundle's members into a new folder: all of them, or nothing.

    Every digest is checked first. No link is followed or made.

    Raises:
        InputError: the folder exists, or cannot be made.
        IntegrityError: the bundle is not what it should be.
    """
    folder = Path(folder)
    if folder.exists() or folder.is_symlink():
        raise InputError("exists already", where=str(folder), hint="name a folder that does not exist yet")
    with Archive.open(Path(bundle)) as archive:
        opened = inspect(archive)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        except OSError as error:
            raise InputError(f"cannot be made: {error.strerror}", where=str(folder)) from error
        try:
            for name in (MANIFEST_PATH, *(file.name for file in opened.manifest.files)):
                target = staging / name
                target.parent.mkdir(parents=True, exist_ok=True)
                opened.write(name, target)
            _write_attestations(staging, opened.attestations)
            staging.chmod(0o755)
            staging.rename(folder)
        except OSError as error:
            raise IntegrityError(f"cannot be written: {error.strerror}", where=str(folder)) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return Unpacked(bundle=opened.ref, folder=str(folder), files=opened.manifest.files)


def _write_attestations(folder: Path, attestations: tuple[bytes, ...]) -> None:
    """Lay a bundle's attestations beside its files, where other people's verifiers look for them."""
    if attestations:
        (folder / CLAIMS_FILE).write_bytes(b"".join(data + b"\n" for data in attestations))
    listing = [data for data in attestations if unverified_statement(data).predicate_type == INTEGRITY_TYPE]
    if listing:  # of several keys' the one that model_signing can read
        (folder / INTEGRITY_FILE).write_bytes(max(listing, key=looks_like_ecdsa))
