"""Bring a bundle home that came from elsewhere in pieces: in its one canonical form, checked, or not at all.

A registry and a foreign layout hold the same OCI objects as a bundle file, so the file is derived
from them: what belongs to the bundle is kept, its index is computed anew, and the strict reader
looks at the result before it gets its name.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from candidate.adapters.archive import Archive, Blob, write_archive
from candidate.adapters.archive.form import MAX_MEMBERS
from candidate.adapters.attest import MAX_ATTESTATION_BYTES, unverified_statement
from candidate.adapters.oci import attestation_layer, attestation_manifest, index_of, manifest_descriptor
from candidate.canonical import MAX_DOCUMENT_BYTES, digest_of
from candidate.documents.evidence import BundleRef
from candidate.documents.names import (
    ATTESTATION_PREDICATE,
    EMPTY_BYTES,
    MODEL_ARTIFACT_TYPE,
    RELEASE_TYPE,
    SIGSTORE_TYPE,
)
from candidate.documents.oci import ModelConfig, OciDescriptor, OciManifest
from candidate.errors import InputError, IntegrityError, UnavailableError
from candidate.flows.inspecting import inspect


@dataclass(frozen=True)
class Shell:
    """The content manifest of a bundle to come."""

    raw: bytes
    manifest: OciManifest

    @property
    def digest(self) -> str:
        """Identity of the bundle."""
        return digest_of(self.raw)

    @property
    def subject(self) -> OciDescriptor:
        """What attestations about the bundle refer to."""
        return manifest_descriptor(self.raw)


@dataclass(frozen=True)
class Referrer:
    """An attestation about a bundle, in the one form that a bundle file holds."""

    descriptor: OciDescriptor
    raw: bytes
    """Its manifest."""
    data: bytes
    """The attestation."""
    release: bool
    """Whether it says that this very bundle is a release; who says so, nobody checked."""

    @property
    def blobs(self) -> dict[str, bytes]:
        """What it brings into a bundle file."""
        return {
            self.descriptor.digest: self.raw,
            digest_of(self.data): self.data,
            digest_of(EMPTY_BYTES): EMPTY_BYTES,
        }


@dataclass
class Found:
    """What refers to a bundle."""

    referrers: list[Referrer] = field(default_factory=list)
    ignored: int = 0
    """Referrers that are no attestations of our form: they are other people's, and stay where they are."""

    @property
    def released(self) -> bool:
        """Whether somebody says that this is a release; who, is a question for verification."""
        return any(referrer.release for referrer in self.referrers)

    def add(self, shell: Shell, raw: bytes, read: Callable[[OciDescriptor], bytes]) -> None:
        """Take in a manifest that refers to the bundle, or count it as ignored."""
        referrer = referrer_of(shell, raw, read)
        if referrer is None:
            self.ignored += 1
        elif all(referrer.descriptor.digest != other.descriptor.digest for other in self.referrers):
            self.referrers.append(referrer)


def shell_of(raw: bytes, *, where: str) -> Shell:
    """Return the content manifest in these bytes.

    Raises:
        InputError: something else than a bundle.
        IntegrityError: a bundle's manifest in a broken form.
    """
    try:
        kind = json.loads(raw).get("artifactType")
    except (ValueError, AttributeError, RecursionError):
        kind = None
    if kind != MODEL_ARTIFACT_TYPE:
        raise InputError("what is there is no bundle", where=where, hint="name something that candidate push sent")
    manifest = OciManifest.from_bytes(raw, where=where)
    if len(manifest.layers) > MAX_MEMBERS:
        raise IntegrityError(f"{len(manifest.layers)} layers, more than {MAX_MEMBERS}", where=where)
    return Shell(raw, manifest)


def referrer_of(shell: Shell, raw: bytes, read: Callable[[OciDescriptor], bytes]) -> Referrer | None:
    """Return the attestation that a manifest carries; None if it is not one of ours about this bundle.

    Args:
        shell: the bundle.
        raw: bytes of the manifest.
        read: fetches a small blob, checked against its descriptor.
    """
    formed = _formed(shell, raw)
    if formed is None:
        return None
    descriptor, layer, predicate = formed
    data = read(layer)
    try:
        statement = unverified_statement(data)
    except IntegrityError:
        return None
    if statement.predicate_type != predicate or attestation_layer(data) != layer:
        return None
    about = {"sha256:" + subject.digest.sha256 for subject in statement.subject}
    return Referrer(descriptor, raw, data, release=predicate == RELEASE_TYPE and about == {shell.digest})


def _formed(shell: Shell, raw: bytes) -> tuple[OciDescriptor, OciDescriptor, str] | None:
    """Return what a referrer's manifest says, if it says it as ours do: its descriptor, layer and predicate type."""
    try:
        manifest = OciManifest.from_bytes(raw, where="referrer")
    except IntegrityError:
        return None
    predicate = (manifest.annotations or {}).get(ATTESTATION_PREDICATE, "")
    layer = manifest.layers[0] if manifest.layers else manifest.config
    descriptor, expected = attestation_manifest(shell.subject, layer, predicate)
    if raw != expected or layer.media_type != SIGSTORE_TYPE or layer.size > MAX_ATTESTATION_BYTES:
        return None
    return descriptor, layer, predicate


def config_of(shell: Shell, read: Callable[[OciDescriptor], bytes]) -> tuple[str, bytes]:
    """Return the version that a bundle's config names, and the config's bytes.

    Raises:
        IntegrityError: it is not what it should be.
    """
    if shell.manifest.config.size > MAX_DOCUMENT_BYTES:
        raise IntegrityError(f"{shell.manifest.config.size} bytes", where="config")
    raw = read(shell.manifest.config)
    return ModelConfig.from_bytes(raw, where="config").descriptor.version, raw


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Yield a folder of our own in this folder, on the same disk as what will stay; it is gone afterwards.

    Raises:
        InputError: nothing can be written there.
    """
    try:
        made = Path(tempfile.mkdtemp(prefix=".candidate-", dir=folder))
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(folder)) from error
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def fresh(folder: Path) -> Iterator[Path]:
    """Yield a folder to fill that gets this name once all went well; else nothing is left of it.

    Raises:
        InputError: the name is taken, or nothing can be written there.
        UnavailableError: the disk is full.
    """
    if folder.exists() or folder.is_symlink():
        raise InputError("exists already", where=str(folder), hint="name a folder that does not exist yet")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made: {error.strerror}", where=str(folder)) from error
    with scratch(folder.parent) as made:
        filled = made / "filled"
        try:
            filled.mkdir()
            yield filled
            filled.chmod(0o755)
            filled.rename(folder)
        except OSError as error:
            raise UnavailableError(f"cannot be written: {error.strerror}", where=str(folder)) from error


@dataclass(frozen=True)
class Landed:
    """A bundle in its canonical form, in a scratch folder still."""

    path: Path
    bundle: BundleRef
    file_digest: str
    size_bytes: int


def assemble(folder: Path, shell: Shell, version: str, found: Found, blobs: Mapping[str, Blob], *, name: str) -> Landed:
    """Write the canonical bundle into a scratch folder and read it back with the strict reader.

    Args:
        folder: the scratch folder.
        shell: the content manifest.
        version: which the index tags the manifest with.
        found: the attestations.
        blobs: the config and every layer.
        name: of the file, for messages.

    Raises:
        IntegrityError: the pieces are not a bundle.
        UnavailableError: the disk is full.
    """
    every: dict[str, Blob] = {**blobs, shell.digest: shell.raw}
    for referrer in found.referrers:
        every |= referrer.blobs
    path = folder / "made" / name
    path.parent.mkdir()
    index = index_of(shell.subject, version, [referrer.descriptor for referrer in found.referrers])
    digest = write_archive(path, index=index, blobs=every)
    with Archive.open(path) as archive:
        bundle = inspect(archive)
        return Landed(path, bundle.ref, digest, archive.size_bytes)


def place(landed: Landed, target: Path) -> bool:
    """Give a bundle its name; return whether the very same file was there already.

    Raises:
        InputError: another file has the name.
        UnavailableError: it cannot be written there.
    """
    try:
        if _linked(landed.path, target):
            return False
        if target.is_file() and not target.is_symlink() and _digest_of_file(target) == landed.file_digest:
            return True
    except OSError as error:
        raise UnavailableError(f"cannot be written: {error.strerror}", where=str(target)) from error
    raise InputError(
        "exists already, and is another file", where=str(target), hint="choose another name, or move it away"
    )


def _linked(source: Path, target: Path) -> bool:
    """Give a file a second name, unless something has it; without hard links it is moved there."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError:
        if target.exists() or target.is_symlink():
            return False
        source.rename(target)
    descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
