"""Archives and listings that lie: the tar, the index, the content manifest."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable

from candidate.adapters.archive import archive_bytes
from candidate.adapters.archive.form import RECORD
from candidate.adapters.attest import attest
from candidate.adapters.oci import Content, attestation_blobs, index_of
from candidate.canonical import canonical, digest_of
from tests.bundles import (
    VERSION,
    members_of,
    pack,
    release,
)
from tests.hostile.kit import Kit


def info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    """A tar member."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size, member.mode = kind, target, size, 0o644
    return member


Tar = list[tuple[tarfile.TarInfo, bytes]]
LINK = "blobs/sha256/" + "0" * 64


def swap(members: Tar, one: int, other: int) -> None:
    """Swap two members."""
    members[one], members[other] = members[other], members[one]


def swap_data(members: Tar) -> None:
    """Give two blobs each other's bytes, under each other's size."""
    (first, one), (second, two) = members[3], members[4]
    first.size, second.size = len(two), len(one)
    members[3], members[4] = (first, two), (second, one)


def retouch(**fields: object) -> Callable[[Tar], None]:
    """Change a field in the header of the third member."""

    def change(members: Tar) -> None:
        for key, value in fields.items():
            setattr(members[2][0], key, value)

    return change


def insert(*members: tuple[tarfile.TarInfo, bytes]) -> Callable[[Kit], bytes]:
    """The good bundle with these members after its index."""

    def change(found: Tar) -> None:
        found[2:2] = list(members)

    return lambda kit: kit.tar(change)


def recorded(data: bytes) -> bytes:
    """Bytes filled up to a whole record, so that their size alone does not give them away."""
    return data + bytes(-len(data) % RECORD)


def blob_as_link(kit: Kit) -> bytes:
    """The first blob is a link to a file of the host instead of its bytes."""

    def change(members: Tar) -> None:
        members[2] = (info(members[2][0].name, tarfile.SYMTYPE, "/etc/passwd"), b"")

    return kit.tar(change)


def zipped(name: str = "index.json") -> bytes:
    """A zip archive whose local header and directory name different files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), b"{}")
    return buffer.getvalue().replace(name.encode(), b"setup.py".ljust(len(name), b"x"), 1)


CONTAINERS: dict[str, Callable[[Kit], bytes]] = {
    "empty file": lambda _: b"",
    "zero bytes": lambda _: bytes(10_240),
    "not a tar": lambda _: b"PK\x03\x04" + bytes(20_476),
    "truncated to a record": lambda kit: kit.data[:-10_240],
    "truncated in a block": lambda kit: kit.data[:-1],
    "one byte appended": lambda kit: kit.data + b"\0",
    "a zero record appended": lambda kit: kit.data + bytes(10_240),
    "a second archive appended": lambda kit: kit.data + kit.data,
    "data after the last member": lambda kit: kit.data[:-1] + b"x",
    "members swapped": lambda kit: kit.tar(lambda members: swap(members, 3, 4)),
    "index before layout": lambda kit: kit.tar(lambda members: swap(members, 0, 1)),
    "blobs swapped": lambda kit: kit.tar(swap_data),
    "no layout": lambda kit: kit.tar(lambda members: members.pop(0)),
    "no index": lambda kit: kit.tar(lambda members: members.pop(1)),
    "duplicate index": lambda kit: kit.tar(lambda members: members.insert(2, members[1])),
    "duplicate blob": lambda kit: kit.tar(lambda members: members.insert(4, members[3])),
    "symbolic link": lambda kit: kit.tar(
        lambda members: members.insert(2, (info(LINK, tarfile.SYMTYPE, "/etc/passwd"), b""))
    ),
    "hard link": lambda kit: kit.tar(
        lambda members: members.insert(2, (info(LINK, tarfile.LNKTYPE, "index.json"), b""))
    ),
    "device": lambda kit: kit.tar(lambda members: members.insert(2, (info(LINK, tarfile.CHRTYPE), b""))),
    "pipe": lambda kit: kit.tar(lambda members: members.insert(2, (info(LINK, tarfile.FIFOTYPE), b""))),
    "folder": lambda kit: kit.tar(lambda members: members.insert(2, (info("blobs", tarfile.DIRTYPE), b""))),
    "path upwards": lambda kit: kit.tar(lambda members: members.insert(2, (info("../x"), b""))),
    "absolute path": lambda kit: kit.tar(lambda members: members.insert(2, (info("/etc/cron.d/x"), b""))),
    "unknown member": lambda kit: kit.tar(lambda members: members.insert(2, (info("setup.py"), b""))),
    "digest in capitals": lambda kit: kit.tar(
        lambda members: members.insert(2, (info("blobs/sha256/" + "A" * 64), b""))
    ),
    "PAX header": lambda kit: kit.tar(retouch(pax_headers={"comment": "x"}), tarfile.PAX_FORMAT),
    "GNU header": lambda kit: kit.tar(lambda _: None, tarfile.GNU_FORMAT),
    "owner": lambda kit: kit.tar(retouch(uname="root")),
    "user id": lambda kit: kit.tar(retouch(uid=1)),
    "executable": lambda kit: kit.tar(retouch(mode=0o755)),
    "time": lambda kit: kit.tar(retouch(mtime=1)),
    "link name": lambda kit: kit.tar(retouch(linkname="x")),
    "size in another base": lambda kit: kit.data.replace(kit.data[124:136], b"\x80" + kit.data[125:136], 1),
    "size beyond the file": lambda kit: kit.data.replace(kit.data[124:135], b"77777777777", 1),
    "checksum with a space": lambda kit: kit.data[:154] + b" \0" + kit.data[156:],
    "path of another host": insert((info("\\\\host\\share\\x"), b"")),
    "path with a drive": insert((info("C:/x"), b"")),
    "link with no name": insert((info("", tarfile.SYMTYPE, "/etc"), b"")),
    "link and then a file through it": insert(
        (info(LINK, tarfile.SYMTYPE, "../../x"), b""), (info(LINK, size=1), b"x")
    ),
    "blob that is a link": blob_as_link,
    "sparse file": insert((info(LINK, tarfile.GNUTYPE_SPARSE), b"")),
    "long name before a member": insert((info("././@LongLink", tarfile.GNUTYPE_LONGNAME, size=5), b"../x\0")),
    "extended header with a path": insert((info("x", tarfile.XHDTYPE, size=14), b"14 path=../x\n\n")),
    "global extended header": insert((info("x", tarfile.XGLTYPE, size=14), b"14 path=../x\n\n")),
    "zip archive": lambda _: recorded(zipped()),
    "zip archive appended": lambda kit: recorded(kit.data + zipped()),
    "gzip of a bundle": lambda kit: recorded(gzip.compress(kit.data, mtime=0)),
    "size of exbibytes": lambda kit: kit.data.replace(kit.data[124:136], b"\x80\0\0\0\x7f" + b"\xff" * 7, 1),
    "negative size": lambda kit: kit.data.replace(kit.data[124:136], b"\xff" * 12, 1),
    "index of eight mebibytes": lambda kit: kit.tar(
        lambda members: members.__setitem__(1, (info("index.json", size=1 << 23), bytes(1 << 23)))
    ),
    "layout of a mebibyte": lambda kit: kit.tar(
        lambda members: members.__setitem__(0, (info("oci-layout", size=1 << 20), bytes(1 << 20)))
    ),
    "header of ones": lambda kit: kit.data[:1024] + b"\xff" * 512 + kit.data[1536:],
}


def drop_blob(kit: Kit, blob: bytes | None = None) -> bytes:
    """The good bundle without one of its blobs."""
    content = kit.content
    blobs = dict(content.blobs)
    del blobs[content.digest if blob is None else digest_of(blob)]
    return repacked(kit, blobs)


def stripped(kit: Kit) -> bytes:
    """The good bundle after a copy that lost its attestations' bytes."""
    members = members_of(kit.data)
    layers = {digest_of(data) for _, data in members[2:] if b'"dsseEnvelope"' in data}
    blobs = {"sha256:" + member.name.split("/")[-1]: data for member, data in members[2:]}
    kept = {digest: data for digest, data in blobs.items() if digest not in layers}
    return archive_bytes(index=members[1][1], blobs=kept)


def repacked(kit: Kit, blobs: dict[str, bytes]) -> bytes:
    """These blobs under the good bundle's index, with its attestation."""
    content = kit.content
    attestation = attest(release(content), kit.builder).to_bytes()
    descriptor, more = attestation_blobs(content.descriptor, attestation, release(content).predicate_type)
    return archive_bytes(index=index_of(content, VERSION, [descriptor]), blobs={**blobs, **more})


def reindexed(kit: Kit, change: Callable[[dict[str, object]], object]) -> bytes:
    """The good bundle under a changed index, canonical again."""
    members = members_of(kit.data)
    index = json.loads(members[1][1])
    change(index)
    blobs = {"sha256:" + member.name.split("/")[-1]: data for member, data in members[2:]}
    return archive_bytes(index=canonical(index), blobs=blobs)


def raw_index(kit: Kit, index: bytes) -> bytes:
    """The good bundle under these bytes of an index."""
    blobs = {"sha256:" + member.name.split("/")[-1]: data for member, data in members_of(kit.data)[2:]}
    return archive_bytes(index=index, blobs=blobs)


def remanifested(kit: Kit, change: Callable[[dict[str, object]], object], *, raw: bytes | None = None) -> bytes:
    """A changed content manifest that a trusted builder signed: layers and listing disagree."""
    content = kit.content
    manifest = json.loads(content.manifest)
    change(manifest)
    data = canonical(manifest) if raw is None else raw
    digest = digest_of(data)
    blobs = {key: value for key, value in content.blobs.items() if key != content.digest}
    changed = Content(manifest=data, digest=digest, blobs={**blobs, digest: data})
    return pack(changed, (attest(release(changed), kit.builder).to_bytes(),))


def entries(index: dict[str, object]) -> list[dict[str, object]]:
    """The manifests of an index, or the layers of a manifest."""
    found = index.get("manifests", index.get("layers"))
    assert isinstance(found, list)
    return found


def index_text(kit: Kit) -> bytes:
    """The good bundle's index."""
    return members_of(kit.data)[1][1]


def notes(entry: dict[str, object]) -> dict[str, str]:
    """Annotations of a descriptor."""
    found = entry["annotations"]
    assert isinstance(found, dict)
    return found


LISTINGS: dict[str, Callable[[Kit], bytes]] = {
    "manifest blob missing": drop_blob,
    "member blob missing": lambda kit: drop_blob(kit, b"# tiny\n"),
    "unlisted blob": lambda kit: repacked(kit, {**kit.content.blobs, digest_of(b"stowaway"): b"stowaway"}),
    "index with white space": lambda kit: raw_index(kit, index_text(kit) + b"\n"),
    "index with a repeated key": lambda kit: raw_index(kit, index_text(kit).replace(b"{", b'{"schemaVersion":2,', 1)),
    "index with an escaped key": lambda kit: raw_index(
        kit, index_text(kit).replace(b'"manifests"', b'"manifest\\u0073"', 1)
    ),
    "index with a byte order mark": lambda kit: raw_index(kit, b"\xef\xbb\xbf" + index_text(kit)),
    "index nested deeply": lambda kit: raw_index(kit, b"[" * 100_000),
    "index with an unknown field": lambda kit: reindexed(kit, lambda index: index.update(extra=1)),
    "index without entries": lambda kit: reindexed(kit, lambda index: index.update(manifests=[])),
    "index of another version": lambda kit: reindexed(
        kit, lambda index: notes(entries(index)[0]).update({"org.opencontainers.image.ref.name": "2.0.0"})
    ),
    "index with a wrong size": lambda kit: reindexed(kit, lambda index: entries(index)[0].update(size=1)),
    "index with a number beyond 2**53": lambda kit: raw_index(
        kit, index_text(kit).replace(b'"size":', b'"size":9007199254740993', 1)
    ),
    "index entries swapped": lambda kit: reindexed(kit, lambda index: entries(index).reverse()),
    "attestation listed twice": lambda kit: reindexed(kit, lambda index: entries(index).append(entries(index)[1])),
    "attestation under another type": lambda kit: reindexed(
        kit, lambda index: notes(entries(index)[1]).update({"dev.sigstore.bundle.predicateType": "x"})
    ),
    "attestation listed as another": lambda kit: pack(
        kit.content, (attest(release(kit.content), kit.builder).to_bytes(),), listed_as="https://slsa.dev/provenance/v1"
    ),
    "attestation blob missing": stripped,
    "attestation no longer listed": lambda kit: reindexed(kit, lambda index: entries(index).pop(1)),
    "index that says an exbibyte": lambda kit: reindexed(kit, lambda index: entries(index)[0].update(size=2**53 - 1)),
    "index with a key in capitals": lambda kit: raw_index(
        kit, index_text(kit).replace(b'"manifests"', b'"Manifests"', 1)
    ),
    "index with a lone surrogate": lambda kit: raw_index(kit, index_text(kit).replace(b'"1.0.0"', b'"1.0.\\ud800"', 1)),
    "index with a number that is none": lambda kit: raw_index(
        kit, index_text(kit).replace(b'"size":', b'"size":NaN', 1)
    ),
    "index with an endless exponent": lambda kit: raw_index(
        kit, index_text(kit).replace(b'"schemaVersion":2', b'"schemaVersion":2e999', 1)
    ),
    "index with a fraction": lambda kit: raw_index(
        kit, index_text(kit).replace(b'"schemaVersion":2', b'"schemaVersion":2.0', 1)
    ),
    "index with many attestations": lambda kit: reindexed(
        kit, lambda index: entries(index).extend(entries(index)[1:] * 100)
    ),
    "layer that says an exbibyte": lambda kit: remanifested(
        kit, lambda manifest: entries(manifest)[0].update(size=2**53 - 1)
    ),
    "layer whose path steers a terminal": lambda kit: remanifested(
        kit,
        lambda manifest: notes(entries(manifest)[0]).update(
            {"org.cncf.model.filepath": "\x1b]0;x\x07\x9b2J", "org.opencontainers.image.title": "\x1b]0;x\x07\x9b2J"}
        ),
    ),
    "layer dropped": lambda kit: remanifested(kit, lambda manifest: entries(manifest).pop(0)),
    "layer added": lambda kit: remanifested(
        kit,
        lambda manifest: entries(manifest).append(
            {
                **entries(manifest)[0],
                "annotations": {
                    **notes(entries(manifest)[0]),
                    "org.cncf.model.filepath": "z.md",
                    "org.opencontainers.image.title": "z.md",
                },
            }
        ),
    ),
    "layer twice": lambda kit: remanifested(kit, lambda manifest: entries(manifest).append(entries(manifest)[0])),
    "layers swapped": lambda kit: remanifested(kit, lambda manifest: entries(manifest).reverse()),
    "layer with two paths": lambda kit: remanifested(
        kit, lambda manifest: notes(entries(manifest)[0]).update({"org.opencontainers.image.title": "other.md"})
    ),
    "layer with another role": lambda kit: remanifested(
        kit, lambda manifest: notes(entries(manifest)[0]).update({"dev.candidate.role": "dataset"})
    ),
    "layer with another type": lambda kit: remanifested(
        kit, lambda manifest: entries(manifest)[0].update(mediaType="application/x-executable")
    ),
    "layer of another member": lambda kit: remanifested(
        kit,
        lambda manifest: entries(manifest)[0].update(
            digest=entries(manifest)[1]["digest"], size=entries(manifest)[1]["size"]
        ),
    ),
    "layer without annotations": lambda kit: remanifested(
        kit, lambda manifest: entries(manifest)[0].pop("annotations")
    ),
    "layer with an address": lambda kit: remanifested(
        kit, lambda manifest: entries(manifest)[0].update(urls=["https://example.com/"])
    ),
    "manifest not canonical": lambda kit: remanifested(kit, lambda _: None, raw=kit.content.manifest + b" "),
    "manifest with annotations": lambda kit: remanifested(
        kit, lambda manifest: manifest.update(annotations={"a": "b"})
    ),
    "manifest of another kind": lambda kit: remanifested(kit, lambda manifest: manifest.update(artifactType="x")),
}
