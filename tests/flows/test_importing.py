"""Import from layouts as other tools write them, and as nobody should."""

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from candidate.adapters import layouts
from candidate.adapters.attest import Signer
from candidate.adapters.layouts import Layout
from candidate.errors import CandidateError, InputError, IntegrityError, RefusedError
from candidate.flows import importing
from candidate.flows.importing import import_bundle
from candidate.flows.verifying import verify
from candidate.report.moving import imported_text
from tests.bundles import NAME, VERSION, members_of, sealed, tiny_recipe
from tests.registries import INDEX_TYPE, digest_of

FILE = f"{NAME}-{VERSION}.candidate"
LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'

Members = dict[str, bytes]
Part = tuple[tarfile.TarInfo, bytes]


@pytest.fixture(scope="module")
def bundle(builder: Signer) -> bytes:
    """A bundle with two attestations."""
    return sealed(tiny_recipe(), builder, integrity=True)


@pytest.fixture
def members(bundle: bytes) -> Members:
    """The members of the bundle by name, its index indented as others write it."""
    found = {info.name: data for info, data in members_of(bundle)}
    found["oci-layout"] = LAYOUT
    found["index.json"] = json.dumps(json.loads(found["index.json"]), indent=2).encode()
    return found


def left(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def entries(members: Members) -> list[dict[str, Any]]:
    """Descriptors in the index."""
    return list(json.loads(members["index.json"])["manifests"])


def listing(members: Members, manifests: list[dict[str, Any]]) -> Members:
    """The same layout with another index."""
    return {**members, "index.json": json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()}


def folder_of(members: Members, folder: Path) -> Path:
    """A layout as a folder."""
    for name, data in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def info_of(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    """A member as another tool would write it: with an owner and a time."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname, info.mtime = len(data), kind, link, 1_700_000_000.25
    info.uname, info.mode = "somebody", 0o600
    return info, data


def tar_of(parts: list[Part], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of these members in this order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for info, data in parts:
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def foreign(members: Members, form: int = tarfile.PAX_FORMAT, prefix: str = "./") -> bytes:
    """A layout as a tar with folders, backwards, and a file that is none of a layout's."""
    parts = [info_of(f"{prefix}blobs/", kind=tarfile.DIRTYPE), info_of(f"{prefix}blobs/sha256/", kind=tarfile.DIRTYPE)]
    parts += [info_of(f"{prefix}{name}", members[name]) for name in sorted(members, reverse=True)]
    return tar_of([*parts, info_of("manifest.json", b"[]"), info_of("../../etc/passwd", b"x")], form)


FORMS = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT, "ustar": tarfile.USTAR_FORMAT}


@pytest.mark.parametrize("kind", ["folder", "own", "gzip", *FORMS])
def test_whatever_wrote_it_the_bundle_comes_back(bundle: bytes, members: Members, tmp_path: Path, kind: str) -> None:
    """A folder and tars of every dialect, compressed or not, give the file that was built."""
    source = tmp_path / "source"
    if kind == "folder":
        folder_of(members, source)
    elif kind == "own":
        source.write_bytes(bundle)
    elif kind == "gzip":
        source.write_bytes(gzip.compress(foreign(members)))
    else:
        source.write_bytes(foreign(members, FORMS[kind]))
    result = import_bundle(source, out=tmp_path / "out")
    again = import_bundle(source, out=tmp_path / "out")

    assert (tmp_path / "out" / FILE).read_bytes() == bundle
    assert (result.attestations, result.released, result.ignored, result.already) == (2, True, 0, False)
    assert again.already
    assert left(tmp_path / "out") == [FILE]


def test_lost_attestations_are_told_and_then_refused(members: Members, builder: Signer, tmp_path: Path) -> None:
    """What skopeo copies has no attestations: the identity is the same, the result says so, nobody trusts it."""
    source = folder_of(listing(members, entries(members)[:1]), tmp_path / "source")
    result = import_bundle(source, out=tmp_path)

    assert result.bundle.digest == entries(members)[0]["digest"]
    assert (result.attestations, result.released) == (0, False)
    assert "WARNING: no release attestation" in imported_text(result)
    with pytest.raises(RefusedError):
        verify(tmp_path / FILE, public_key=builder.public_pem)


def nested(members: Members, *, tag: str | None = None) -> Members:
    """A layout whose index names an index, as a copy of everything does."""
    inner = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries(members)}).encode()
    entry: dict[str, Any] = {"mediaType": INDEX_TYPE, "digest": digest_of(inner), "size": len(inner)}
    if tag:
        entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
    blob = {f"blobs/sha256/{digest_of(inner).removeprefix('sha256:')}": inner}
    return {**listing(members, [entry]), **blob}


def test_an_index_inside_an_index_is_searched(bundle: bytes, members: Members, tmp_path: Path) -> None:
    """Tags of the outer index count for what is inside."""
    source = folder_of(nested(members, tag="prod"), tmp_path / "source")
    import_bundle(source, out=tmp_path, tag="prod")

    assert (tmp_path / FILE).read_bytes() == bundle


def test_indexes_in_indexes_end(members: Members, tmp_path: Path) -> None:
    """Deeper than anybody needs is not looked at."""
    deep = members
    for _ in range(importing.MAX_DEPTH + 1):
        deep = nested(deep)

    with pytest.raises(InputError, match="no bundle"):
        import_bundle(folder_of(deep, tmp_path / "source"), out=tmp_path)


@pytest.fixture
def two(members: Members, builder: Signer, tmp_path: Path) -> Path:
    """A layout with two bundles: one tagged as its version, one not tagged at all."""
    recipe = tiny_recipe().copy()
    recipe.members["README.md"] = ("doc", b"# another\n")
    more = {info.name: data for info, data in members_of(sealed(recipe, builder))}
    others = json.loads(more["index.json"])["manifests"]
    others[0]["annotations"] = {"org.opencontainers.image.ref.name": "next"}
    return folder_of(listing({**more, **members}, [*entries(members), *others]), tmp_path / "two")


def test_one_of_several_is_chosen_by_tag_or_digest(two: Path, bundle: bytes, members: Members, tmp_path: Path) -> None:
    """Without a choice both are named; the attestations of the other do not come along."""
    first = entries(members)[0]["digest"]
    with pytest.raises(InputError, match="several bundles") as caught:
        import_bundle(two, out=tmp_path)
    by_digest = import_bundle(two, out=tmp_path / "a", digest=first)
    by_tag = import_bundle(two, out=tmp_path / "b", tag="next")

    assert first in caught.value.message
    assert (by_digest.attestations, by_tag.attestations) == (2, 1)
    assert (tmp_path / "a" / FILE).read_bytes() == bundle
    assert by_tag.bundle.digest != first
    for choice in ({"tag": "nothing"}, {"digest": "sha256:" + "a" * 64}):
        with pytest.raises(InputError, match="no such bundle"):
            import_bundle(two, out=tmp_path, **choice)


Spoil = Callable[[Members], list[Part]]


def plain(members: Members) -> list[Part]:
    """The members as they are."""
    return [info_of(name, data) for name, data in members.items()]


def blob(members: Members) -> str:
    """Name of a blob that the bundle cannot do without: one of its layers."""
    manifest = json.loads(members[f"blobs/sha256/{entries(members)[0]['digest'].removeprefix('sha256:')}"])
    return f"blobs/sha256/{manifest['layers'][0]['digest'].removeprefix('sha256:')}"


def sparse(members: Members) -> list[Part]:
    """A sparse member by an extended header."""
    info, data = info_of(blob(members), members[blob(members)])
    info.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": "99"}
    return [*plain({name: data for name, data in members.items() if name != blob(members)}), (info, data)]


HOSTILE: dict[str, tuple[Spoil, type[CandidateError]]] = {
    "symlink": (lambda m: [info_of(blob(m), kind=tarfile.SYMTYPE, link="/etc/passwd"), *plain(m)], IntegrityError),
    "hard link": (lambda m: [*plain(m), info_of("x", kind=tarfile.LNKTYPE, link=blob(m))], IntegrityError),
    "device": (lambda m: [*plain(m), info_of("null", kind=tarfile.CHRTYPE)], IntegrityError),
    "fifo": (lambda m: [info_of("index.json", kind=tarfile.FIFOTYPE), *plain(m)], IntegrityError),
    "duplicate": (lambda m: [*plain(m), info_of("./" + blob(m), m[blob(m)])], IntegrityError),
    "two indexes": (lambda m: [*plain(m), info_of("index.json", m["index.json"])], IntegrityError),
    "folder for a blob": (lambda m: [info_of(blob(m), kind=tarfile.DIRTYPE), *plain(m)], IntegrityError),
    "wrong bytes": (lambda m: plain({**m, blob(m): m[blob(m)] + b" "}), IntegrityError),
    "missing blob": (lambda m: plain({name: d for name, d in m.items() if name != blob(m)}), IntegrityError),
    "sparse": (sparse, IntegrityError),
    "large index": (lambda m: plain({**m, "index.json": b" " * (5 << 20)}), IntegrityError),
    "index of nonsense": (lambda m: plain({**m, "index.json": b"[" * 9999}), IntegrityError),
    "no layout": (lambda m: plain({name: d for name, d in m.items() if name != "oci-layout"}), InputError),
    "no index": (lambda m: plain({name: d for name, d in m.items() if name != "index.json"}), InputError),
    "no bundle": (lambda m: plain(listing(m, entries(m)[1:])), InputError),
    "empty": (lambda _: [], InputError),
}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("packed", [False, True], ids=["tar", "gzip"])
def test_a_hostile_tar_is_refused_and_leaves_nothing(
    members: Members,
    tmp_path: Path,
    case: str,
    packed: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Links, devices, duplicates, sparse files, lies about digests: an error, and an empty folder."""
    spoil, error = HOSTILE[case]
    data = tar_of(spoil(members))
    source = tmp_path / "source.tar"
    source.write_bytes(gzip.compress(data) if packed else data)

    with pytest.raises(error) as caught:
        import_bundle(source, out=tmp_path / "out")
    assert caught.value.where
    assert left(tmp_path / "out") == []


def extended(size: int) -> bytes:
    """An extended header that says it is this large."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, size
    return info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense" * 1000,
        b"\x1f\x8bnonsense",
        gzip.compress(b"nonsense" * 1000),
        extended(1 << 32),
        extended(1 << 12),
    ],
    ids=["nothing", "nonsense", "no gzip", "gzip of nonsense", "large header", "cut off"],
)
def test_what_is_no_tar_is_refused(tmp_path: Path, data: bytes) -> None:
    """An extended header is refused by the size it claims, before anything of that size is read."""
    (tmp_path / "source").write_bytes(data)

    with pytest.raises((InputError, IntegrityError)):
        import_bundle(tmp_path / "source", out=tmp_path / "out")
    assert left(tmp_path / "out") == []


@pytest.mark.parametrize("packed", [False, True], ids=["tar", "gzip"])
def test_every_cut_is_noticed(members: Members, tmp_path: Path, packed: bool) -> None:  # noqa: FBT001 - a parameter
    """A file that ends too early is never taken for a whole one."""
    data = foreign(members)
    if packed:
        data = gzip.compress(data)
    for share in (0.02, 0.3, 0.5, 0.8):
        (tmp_path / "source").write_bytes(data[: int(len(data) * share)])

        with pytest.raises((InputError, IntegrityError)):
            import_bundle(tmp_path / "source", out=tmp_path / "out")
    assert left(tmp_path / "out") == []


def test_a_bomb_goes_off_early(members: Members, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a small file may unfold to is bounded, even by members that nobody wants."""
    bomb = tar_of([*plain(members), info_of("zeros", bytes(1 << 20))])
    (tmp_path / "source").write_bytes(gzip.compress(bomb))
    monkeypatch.setattr(layouts, "MAX_SOURCE_BYTES", 1 << 20)

    with pytest.raises(IntegrityError, match="more than"):
        import_bundle(tmp_path / "source", out=tmp_path / "out")
    monkeypatch.setattr(layouts, "MAX_SOURCE_BYTES", 1 << 30)
    monkeypatch.setattr(layouts, "MAX_BLOB_BYTES", 100)
    with pytest.raises(IntegrityError, match="more than 100 bytes"):
        import_bundle(tmp_path / "source", out=tmp_path / "out")


@pytest.mark.parametrize("case", ["blob", "folder of blobs", "index", "fifo", "folder for a blob", "wrong bytes"])
def test_a_hostile_folder_is_refused(members: Members, tmp_path: Path, case: str) -> None:
    """No link is followed at any step, and nothing but a regular file is read."""
    source = folder_of(members, tmp_path / "source")
    name = "index.json" if case == "index" else f"blobs/sha256/{entries(members)[0]['digest'].removeprefix('sha256:')}"
    kept = tmp_path / "kept"
    if case == "folder of blobs":
        (source / "blobs" / "sha256").rename(kept)
        (source / "blobs" / "sha256").symlink_to(kept)
    elif case == "wrong bytes":
        (source / name).write_bytes(b"{}")
    else:
        (source / name).rename(kept)
        if case == "fifo":
            os.mkfifo(source / name)
        elif case == "folder for a blob":
            (source / name).mkdir()
        else:
            (source / name).symlink_to(kept)

    with pytest.raises(IntegrityError):
        import_bundle(source, out=tmp_path / "out")
    assert left(tmp_path / "out") == []


def test_a_source_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    """Neither a folder nor a file, or a folder of something else."""
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_bytes(b"")
    for source in ("nowhere", "empty", "fifo"):
        with pytest.raises(InputError):
            import_bundle(tmp_path / source, out=tmp_path / "out")
    with pytest.raises(InputError):
        import_bundle(tmp_path / "empty", out=tmp_path / "file")


def test_too_many_entries_are_not_read(members: Members, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index is bounded, and so are the attestations about a bundle."""
    source = folder_of(members, tmp_path / "source")
    for name in ("MAX_ENTRIES", "MAX_ATTESTATIONS"):
        with monkeypatch.context() as patch:
            patch.setattr(importing, name, 1)
            with pytest.raises(IntegrityError, match="more than 1"):
                import_bundle(source, out=tmp_path / "out")


def test_another_file_of_the_name_stays(members: Members, tmp_path: Path) -> None:
    """Import never overwrites."""
    source = folder_of(members, tmp_path / "source")
    (tmp_path / FILE).write_bytes(b"mine")

    with pytest.raises(InputError, match="another file"):
        import_bundle(source, out=tmp_path)
    assert (tmp_path / FILE).read_bytes() == b"mine"


def test_a_layout_does_not_read_what_is_no_digest(members: Members, tmp_path: Path) -> None:
    """A digest out of a foreign index is a name of a file only if it is one."""
    (tmp_path / "kept").mkdir()
    with Layout(folder_of(members, tmp_path / "source"), tmp_path / "kept") as layout:
        for name in ("sha256:../../index.json", "../index.json", "sha512:" + "a" * 128, ""):
            assert layout.blob(name) is None
