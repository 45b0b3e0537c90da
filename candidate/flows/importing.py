"""Take a bundle out of an OCI layout that another tool wrote, and write it in its one canonical form.

Sources: OCI image-spec v1.1 (image layout, image index).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from candidate.adapters.archive import Blob, FileBlob
from candidate.adapters.layouts import MAX_INDEX_BYTES, Layout
from candidate.adapters.transport.remote import entries_of
from candidate.canonical import MAX_DOCUMENT_BYTES, digest_of
from candidate.documents.names import INDEX_TYPE, MANIFEST_TYPE, REF_NAME
from candidate.documents.oci import OciDescriptor
from candidate.documents.results import Imported
from candidate.errors import InputError, IntegrityError
from candidate.flows import landing
from candidate.flows.inspecting.outline import MAX_ATTESTATIONS

MAX_DEPTH = 4
MAX_ENTRIES = 1000


@dataclass(frozen=True)
class _Entry:
    """A manifest that the layout's index names, itself or through an index inside it."""

    digest: str
    tags: frozenset[str]
    raw: bytes


def import_bundle(
    source: Path | str, *, out: Path | str = ".", tag: str | None = None, digest: str | None = None
) -> Imported:
    """Find a bundle in a foreign OCI layout and write ``NAME-VERSION.candidate``; its identity stays.

    What it comes without is told, not refused: verification refuses a bundle without attestations.

    Args:
        source: a folder, or a tar, as other tools write them.
        out: folder of the file; it is made if need be.
        tag: which bundle, by the tag in the layout or by its version, where there are several.
        digest: which bundle, by its content manifest.

    Raises:
        InputError: not a layout; no bundle in it, or several; another file has the name.
        IntegrityError: a link, a duplicate, too much, or bytes that are not what refers to them says.
        UnavailableError: the disk is full.
    """
    source, out = Path(source), Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made: {error.strerror}", where=str(out)) from error
    with landing.scratch(out) as folder:
        blobs = folder / "blobs"
        blobs.mkdir()
        with Layout(source, blobs) as layout:
            entries = list(_entries(layout, layout.index, frozenset(), MAX_DEPTH))
            shell, version, config = _chosen(layout, entries, tag, digest, where=str(source))
            found = _attestations(layout, shell, entries)
            layers: dict[str, Blob] = {layer.digest: _layer(layout, layer) for layer in shell.manifest.layers}
        landed = landing.assemble(
            folder, shell, version, found, {**layers, digest_of(config): config}, name=source.name or "bundle"
        )
        path = out / f"{landed.bundle.name}-{landed.bundle.version}.candidate"
        already = landing.place(landed, path)
    return Imported(
        bundle=landed.bundle,
        source=str(source),
        path=str(path),
        file_digest=landed.file_digest,
        size_bytes=landed.size_bytes,
        attestations=len(found.referrers),
        released=found.released,
        ignored=found.ignored,
        already=already,
    )


def _entries(layout: Layout, index: bytes, tags: frozenset[str], depth: int) -> Iterator[_Entry]:
    """Yield every manifest that an index names and the layout has, with the tags it is reached by."""
    listed: list[dict[str, Any]] = entries_of(index, where="index")
    if len(listed) > MAX_ENTRIES:
        raise IntegrityError(f"{len(listed)} entries, more than {MAX_ENTRIES}", where="index")
    for entry in listed:
        notes = entry.get("annotations")
        name = notes.get(REF_NAME) if isinstance(notes, dict) else None
        reached = tags | {name} if isinstance(name, str) else tags
        if entry.get("mediaType") == MANIFEST_TYPE:
            raw = layout.read(entry["digest"], limit=MAX_DOCUMENT_BYTES)
            if raw is not None:
                yield _Entry(entry["digest"], reached, raw)
        elif entry.get("mediaType") == INDEX_TYPE and depth:
            raw = layout.read(entry["digest"], limit=MAX_INDEX_BYTES)
            if raw is not None:
                yield from _entries(layout, raw, reached, depth - 1)


def _chosen(
    layout: Layout, entries: list[_Entry], tag: str | None, digest: str | None, *, where: str
) -> tuple[landing.Shell, str, bytes]:
    """Return the one bundle that is meant, with its version and config."""
    found: dict[str, tuple[landing.Shell, str, bytes]] = {}
    tags: dict[str, set[str]] = {}
    for entry in entries:
        if entry.digest not in tags:
            try:
                shell = landing.shell_of(entry.raw, where=where)
            except InputError:
                continue
            found[entry.digest] = (shell, *landing.config_of(shell, lambda part: _small(layout, part)))
        tags.setdefault(entry.digest, {found[entry.digest][1]}).update(entry.tags)
    meant = [each for each in found if digest in {None, each} and (tag is None or tag in tags[each])]
    if len(meant) == 1:
        return found[meant[0]]
    there = "; ".join(f"{', '.join(sorted(tags[each]))} is {each}" for each in sorted(found))
    if not found:
        raise InputError("there is no bundle in it", where=where, hint="name a layout that holds what candidate built")
    what = "several bundles" if meant else "no such bundle"
    raise InputError(f"{what}: {there}", where=where, hint="choose one with --tag or --digest")


def _attestations(layout: Layout, shell: landing.Shell, entries: list[_Entry]) -> landing.Found:
    """Return what the layout holds about a bundle."""
    found, about = landing.Found(), f'"{shell.digest}"'.encode()
    for raw in {entry.digest: entry.raw for entry in entries}.values():
        if raw != shell.raw and b'"subject"' in raw and about in raw:
            found.add(shell, raw, lambda part: _small(layout, part))
    if len(found.referrers) > MAX_ATTESTATIONS:
        raise IntegrityError(f"{len(found.referrers)} attestations, more than {MAX_ATTESTATIONS}", where="index")
    return found


def _missing(part: OciDescriptor) -> IntegrityError:
    return IntegrityError(f"blob {part.digest} is missing", where="layout", hint="copy it again, whole")


def _small(layout: Layout, part: OciDescriptor) -> bytes:
    """Return the bytes of a small blob."""
    data = layout.read(part.digest, limit=part.size)
    if data is None:
        raise _missing(part)
    return data


def _layer(layout: Layout, part: OciDescriptor) -> FileBlob:
    """Return a layer's scratch file; the strict reader checks its size against the descriptor."""
    path = layout.blob(part.digest)
    if path is None:
        raise _missing(part)
    return FileBlob.whole(path)
