"""Bundles that would cost memory or time: claims of size, counts, depth. ``python -m tests.hostile.bounds FOLDER``.

Run as a process of its own under a limit of address space; prints one line of JSON for each bundle:
its name, the exit code it ends in, seconds, and the largest resident size so far in KiB.
"""

import hashlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from candidate.adapters.archive import archive_bytes
from candidate.adapters.archive.form import BLOB_PREFIX, INDEX_NAME, LAYOUT_NAME, RECORD, header_of
from candidate.adapters.oci import index_of, manifest_descriptor
from candidate.canonical import digest_of
from candidate.documents.oci import OciDescriptor, OciLayout, OciManifest
from candidate.errors import CandidateError
from candidate.flows.verifying import verify
from tests.hostile import attacks
from tests.hostile.containers import index_text, repacked
from tests.hostile.kit import Kit

ADDRESS_SPACE = 1536 << 20
TEBIBYTE = 1 << 40
MANY = 100_100
ROOM = 4_194_200
"""What an index may take, with something around it."""


def padded(data: bytes) -> bytes:
    """Filled up to a block."""
    return data + bytes(-len(data) % 512)


def start(index: bytes) -> bytes:
    """The first two members of a bundle."""
    layout = OciLayout().to_bytes()
    return b"".join(
        header_of(name, len(data)) + padded(data) for name, data in ((LAYOUT_NAME, layout), (INDEX_NAME, index))
    )


def sparse(path: Path, head: bytes, size: int) -> None:
    """A file that is mostly a hole."""
    path.write_bytes(head)
    os.truncate(path, size // RECORD * RECORD)


def many(kit: Kit, path: Path) -> None:
    """More members than are allowed, all of them there, all empty."""
    with path.open("wb") as file:
        file.write(start(index_text(kit)))
        for number in range(MANY):
            file.write(header_of(f"{BLOB_PREFIX}{number:064x}", 0))
        file.write(bytes(1024))
        file.write(bytes(-file.tell() % RECORD))


def unlisted(kit: Kit, path: Path) -> None:
    """Fifty thousand blobs that nothing refers to."""
    blobs = {digest_of(data): data for data in (str(number).encode() for number in range(50_000))}
    path.write_bytes(repacked(kit, {**kit.content.blobs, **blobs}))


def with_index(index: Callable[[Kit], bytes]) -> Callable[[Kit, Path], None]:
    """The good bundle's blobs under another index."""

    def make(kit: Kit, path: Path) -> None:
        path.write_bytes(archive_bytes(index=index(kit), blobs=kit.content.blobs))

    return make


def wide_index(kit: Kit) -> bytes:
    """As many attestations as fit into an index."""
    first = kit.content.descriptor
    return index_of(
        kit.content,
        "1.0.0",
        [first.model_copy(update={"digest": "sha256:" + hashlib.sha256(b"%d" % n).hexdigest()}) for n in range(18_000)],
    )


def with_manifest(manifest: bytes) -> Callable[[Kit, Path], None]:
    """A content manifest that nobody signed: it is read before the attestations are, because they are about it."""

    def make(_: Kit, path: Path) -> None:
        index = index_of(manifest_descriptor(manifest), "1.0.0")
        path.write_bytes(archive_bytes(index=index, blobs={digest_of(manifest): manifest}))

    return make


def wide_manifest(layers: int) -> bytes:
    """A content manifest, canonical, with this many layers."""
    layer = OciDescriptor(media_type="text/plain", digest="sha256:" + "0" * 64, size=0, annotations={"a": "b"})
    return OciManifest(artifact_type="x", config=layer, layers=(layer,) * layers).to_bytes()


BUNDLES: dict[str, Callable[[Kit, Path], None]] = {
    "four tebibytes of nothing": lambda _, path: sparse(path, b"", 4 * TEBIBYTE),
    "four tebibytes behind a bundle": lambda kit, path: sparse(path, kit.data, 4 * TEBIBYTE),
    "an index that says eight gibibytes": lambda kit, path: sparse(
        path, start(index_text(kit))[:1024] + header_of(INDEX_NAME, (8 << 30) - 1), 4 * TEBIBYTE
    ),
    "a layout that says eight gibibytes": lambda _, path: sparse(
        path, header_of(LAYOUT_NAME, (8 << 30) - 1), 4 * TEBIBYTE
    ),
    "members without end": many,
    "blobs that nothing refers to": unlisted,
    "an index of brackets": with_index(lambda _: b"[" * ROOM),
    "an index of objects": with_index(lambda _: b'{"a":' * 800_000),
    "an index of one number": with_index(lambda _: b'{"schemaVersion":' + b"9" * ROOM + b"}"),
    "an index of one text": with_index(lambda _: b'{"mediaType":"' + b"a" * ROOM + b'"}'),
    "an index of empty lists": with_index(lambda _: b'{"manifests":[' + b"[]," * 1_300_000 + b"[]]}"),
    "an index of attestations": with_index(wide_index),
    "a manifest of brackets": with_manifest(b"[" * (32 << 20)),
    "a manifest of empty lists": with_manifest(b'{"layers":[' + b"[]," * 1_000_000 + b"[]]}"),
    "a manifest of layers": with_manifest(wide_manifest(25_000)),
}


def peak() -> int:
    """Return the largest resident size of this program so far, in KiB.

    Linux says it of the program; ``ru_maxrss`` would begin with the peak of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def results(folder: Path) -> Iterator[dict[str, object]]:
    """Try each bundle."""
    kit = attacks.fresh_kit()
    trust, path = attacks.trust_in(kit), folder / "x.candidate"
    for name, make in BUNDLES.items():
        make(attacks.fresh_kit(), path)
        begin = time.perf_counter()
        try:
            verify(path, trust=trust, now=attacks.NOW, replay=False)
            code = 0
        except CandidateError as error:
            code = error.exit_code
        seconds = time.perf_counter() - begin
        yield {"name": name, "code": code, "seconds": round(seconds, 3), "peak": peak()}
        path.unlink()


def main() -> None:
    """Print what each bundle cost."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    for result in results(Path(sys.argv[1])):
        sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
