"""What a bundle may hold: paths that mean one thing on every system, known roles, no code.

Members are let in by role; looking for the magic of pickles and containers comes on top.
Sources: the path rules are those of OCI and Windows file systems together; pickle protocols of
PEP 307, PEP 3154 and PEP 574; NumPy's format 1.0 to 3.0.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from candidate.adapters.oci.wire import manifest_of
from candidate.canonical import digest_of
from candidate.documents.names import (
    CARD_PATH,
    ENVIRONMENT_PATH,
    EXPERIMENT_PATH,
    FILEPATH,
    IGNORED_FILES,
    INPUT_SCHEMA_PATH,
    MANIFEST_PATH,
    MLBOM_PATH,
    MODEL_PATH,
    OUTPUT_SCHEMA_PATH,
    ROLE,
    SIGNATURE_PATH,
    TITLE,
    TOLERANCE_PATH,
)
from candidate.documents.view import View
from candidate.errors import IntegrityError
from candidate.flows.inspecting.bundle import golden_path

if TYPE_CHECKING:
    from candidate.documents.manifest import MemberFile, Role, Tolerance
    from candidate.documents.oci import OciDescriptor

REQUIRED: "dict[str, Role]" = {
    CARD_PATH: "doc",
    ENVIRONMENT_PATH: "environment",
    EXPERIMENT_PATH: "experiment",
    INPUT_SCHEMA_PATH: "schema",
    MANIFEST_PATH: "manifest",
    MLBOM_PATH: "mlbom",
    MODEL_PATH: "model",
    OUTPUT_SCHEMA_PATH: "schema",
    SIGNATURE_PATH: "signature",
    TOLERANCE_PATH: "golden",
}
"""The role of each member that every bundle has."""
SINGLE: "frozenset[Role]" = frozenset({"environment", "experiment", "manifest", "mlbom", "model", "signature"})
"""Roles that only the required member has."""

_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
_PICKLE = re.compile(rb"\x80[\x02-\x05]|c[A-Za-z_][\w.]*\n[A-Za-z_][\w.]*\n(\(|p[0-9]+\n|q|\))")
_CONTAINERS: dict[bytes, str] = {
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "a zip archive",
    b"\x1f\x8b": "a gzip file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ\x00": "an xz file",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"\x7fELF": "machine code",
    b"\x5d\x00\x00": "an lzma file",
    b"\x04\x22\x4d\x18": "an lz4 file",
}
_OPENERS = frozenset(b"(])}cilNIJKLMSTUVXBCFGPQ012")
"""First bytes of pickles without a protocol number that could do something; JSON, ONNX and Markdown begin otherwise."""
_NAMES = re.compile(r"[A-Za-z_][\w.]* [A-Za-z_][\w.]*")
_SNIFFED_BYTES = 4096
_CODE_ENDINGS = (".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth", ".skops", ".keras", ".h5", ".so", ".dll", ".pyc")
_NUMPY_HEADER_BYTES = 4096


def check_path(path: str) -> None:
    """Refuse a path that some file system reads in its own way; the charset was checked before.

    Raises:
        IntegrityError: a reserved name, a trailing dot, or the ending of a file that runs code.
    """
    for part in path.split("/"):
        if _RESERVED.fullmatch(part.casefold()) or part.endswith("."):
            raise IntegrityError(f"path segment {part!r} means something else on some systems", where=path)
    if path.casefold() in IGNORED_FILES:
        raise IntegrityError("name is kept for the attestations that `unpack` lays beside the members", where=path)
    if path.casefold().endswith(_CODE_ENDINGS):
        raise IntegrityError("files that run code when loaded have no place in a bundle", where=path)


def check_paths(files: "Iterable[MemberFile | View]") -> None:
    """Refuse paths that collide: equal but for case in any folder, or a file that is also a folder.

    Raises:
        IntegrityError: two paths cannot both be written to disk.
    """
    spelled: dict[str, str] = {}
    kinds: dict[str, bool] = {}
    for file in files:
        check_path(file.name)
        parts = file.name.split("/")
        for depth in range(1, len(parts) + 1):
            prefix, is_file = "/".join(parts[:depth]), depth == len(parts)
            key = prefix.casefold()
            if spelled.setdefault(key, prefix) != prefix:
                raise IntegrityError(f"differs only in case from {spelled[key]!r}", where=prefix)
            if key in kinds and (is_file or kinds[key]):
                raise IntegrityError("is there twice, or both a file and a folder", where=prefix)
            kinds[key] = is_file


def check_roles(files: "Iterable[MemberFile | View]", *, external: Iterable[str]) -> None:
    """Check that required members are there in their role, and that no role is misused.

    Args:
        files: every member.
        external: members that the graph keeps weights in.

    Raises:
        IntegrityError: a member is missing, has the wrong role, or is there without a use.
    """
    roles = {file.name: file.role for file in files}
    for path, role in REQUIRED.items():
        if roles.get(path) != role:
            what = "is missing" if path not in roles else f"has the role {roles[path]}, not {role}"
            raise IntegrityError(f"member {what}", where=path)
    for path, role in roles.items():
        if role in SINGLE and REQUIRED.get(path) != role:
            raise IntegrityError(f"a second member with the role {role}", where=path)
    weights = {path for path, role in roles.items() if role == "weights"}
    if weights != set(external):
        odd = min(weights ^ set(external))
        raise IntegrityError("weights and the graph's external data do not name the same members", where=odd)


def check_golden(files: "Iterable[MemberFile | View]", *, inputs: int, outputs: int) -> None:
    """Check that there is one golden file for each input and output, and no other.

    Raises:
        IntegrityError: a golden file is missing or stands alone.
    """
    wanted = {golden_path("input", number) for number in range(inputs)}
    wanted |= {golden_path("output", number) for number in range(outputs)} | {TOLERANCE_PATH}
    found = {file.name for file in files if file.role == "golden"}
    if found != wanted:
        odd = min(found ^ wanted)
        raise IntegrityError("golden file is missing" if odd in wanted else "golden file without a tensor", where=odd)


MAX_GOLDEN_ROWS = 65_536
MAX_TOLERANCE = 0.01


def check_tolerance(tolerance: "Tolerance | View") -> None:
    """Refuse a tolerance that would let any replay pass.

    Raises:
        IntegrityError: out of bounds.
    """
    if not 1 <= tolerance.rows <= MAX_GOLDEN_ROWS:
        raise IntegrityError(f"{tolerance.rows} golden rows, not 1 to {MAX_GOLDEN_ROWS}", where=TOLERANCE_PATH)
    for name, value in (("absolute", tolerance.absolute), ("relative", tolerance.relative)):
        if not 0 <= value <= MAX_TOLERANCE:
            raise IntegrityError(f"{name} tolerance {value}, not 0 to {MAX_TOLERANCE}", where=TOLERANCE_PATH)


def _is_old_pickle(first: bytes) -> bool:
    """Whether these bytes are a pickle of protocol 0 or 1: valid operations up to a name to call, or to the end.

    Weights and rows are bytes of any kind, so an operation that calls is not enough: it needs a name to call.
    """
    if not first or first[0] not in _OPENERS:
        return False
    import pickletools  # late: nothing of ours begins like one; it reads and never runs

    count = 0
    try:
        for operation, argument, place in pickletools.genops(first):
            count += 1
            if operation.name in {"GLOBAL", "INST"} and not _NAMES.fullmatch(str(argument)):
                return False  # two lines of plain text read like a name, but for their characters
            if operation.name in {"GLOBAL", "INST"}:
                return True
            if operation.name == "STOP":
                return count > 1 and place == len(first) - 1
    except ValueError:
        return False
    return False


def _is_zlib(first: bytes) -> bool:
    """Whether these bytes begin a zlib stream (RFC 1950), which is how joblib compresses by default."""
    if first[:1] != b"x" or int.from_bytes(first[:2]) % 31:
        return False
    import zlib

    try:
        return bool(zlib.decompressobj().decompress(first, 64))
    except zlib.error:
        return False


def check_magic(first: bytes, *, where: str) -> None:
    """Refuse pickles, containers that may hide one, machine code and NumPy object arrays.

    Args:
        first: the first bytes of a member, at least 4096 of them if it has as many.
        where: its path.

    Raises:
        IntegrityError: the bytes begin like one of these.
    """
    kind = next((name for magic, name in _CONTAINERS.items() if first.startswith(magic)), None)
    first = first[:_SNIFFED_BYTES]
    if _PICKLE.match(first) or _is_old_pickle(first):
        kind = "a pickle"
    if _is_zlib(first):
        kind = "a zlib stream"
    if first[257:262] == b"ustar":
        kind = "a tar archive"
    if first.startswith(b"\x93NUMPY") and re.search(rb"\|?O\d*'", first[:_NUMPY_HEADER_BYTES]):
        kind = "an array of Python objects"
    if kind is not None:
        raise IntegrityError(
            f"member begins like {kind}", where=where, hint="it was never loaded; find out how it came into the bundle"
        )


def member_of(layer: "OciDescriptor | View") -> tuple[str, str]:
    """Return path and role that a layer carries in its annotations.

    Raises:
        IntegrityError: it has other annotations, or its two paths differ.
    """
    notes = layer.annotations or {}
    path, role = notes.get(FILEPATH), notes.get(ROLE)
    if path is None or role is None or notes.get(TITLE) != path:
        raise IntegrityError("layer does not say one path and one role", where=path or layer.digest)
    return path, role


def own_file(data: bytes) -> View:
    """Return the metadata manifest itself as a member; it cannot list its own digest."""
    digest = View(sha256=digest_of(data).removeprefix("sha256:"))
    return View(name=MANIFEST_PATH, digest=digest, size=len(data), role="manifest")


def check_closure(
    manifest: Any, raw: bytes, files: "Sequence[MemberFile | View]", metadata: Any, precision: str | None
) -> None:
    """Hold the layers of the content manifest against the members that the metadata lists.

    Args:
        manifest: the content manifest.
        raw: its bytes.
        files: every member, the metadata manifest among them.
        metadata: ``candidate.json``.
        precision: as the config says it.

    Raises:
        IntegrityError: a layer nobody lists, a member without its layer, or any other difference.
    """
    layers: Mapping[str, Any] = {member_of(layer)[0]: layer for layer in manifest.layers}
    listed = {file.name: file for file in files}
    for path in sorted(layers.keys() - listed.keys()):
        raise IntegrityError(f"layer is not listed in {MANIFEST_PATH}", where=path)
    for path in sorted(listed.keys() - layers.keys()):
        raise IntegrityError(f"{MANIFEST_PATH} lists a member that has no layer", where=path)
    for path, file in listed.items():
        layer = layers[path]
        if layer.digest != "sha256:" + file.digest.sha256:
            raise IntegrityError(f"layer is {layer.digest}, {MANIFEST_PATH} says {file.digest.sha256}", where=path)
        if layer.size != file.size:
            raise IntegrityError(f"layer has {layer.size} bytes, {MANIFEST_PATH} says {file.size}", where=path)
        if member_of(layer)[1] != file.role:
            raise IntegrityError(f"layer has the role {member_of(layer)[1]}, not {file.role}", where=path)
    expected, config = manifest_of(files, descriptor=metadata.descriptor, precision=precision)
    if digest_of(config) != manifest.config.digest:
        raise IntegrityError(f"config does not follow from {MANIFEST_PATH}", where="content manifest")
    if expected != raw:
        raise IntegrityError(f"does not follow from {MANIFEST_PATH}", where="content manifest")
