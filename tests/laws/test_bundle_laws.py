"""Laws of the bundle that hold for all members, not only for the small ones of the examples."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from candidate.adapters.archive import Archive, archive_bytes, write_archive
from candidate.adapters.attest import Signer, attest, check, load_signer, new_key
from candidate.adapters.graph.tensors import array_of, tensor_bytes
from candidate.adapters.oci import Member, content_of
from candidate.canonical import digest_of
from candidate.documents.manifest import Descriptor, ShaDigest, Tensor
from candidate.documents.statement import Statement, Subject
from candidate.documents.trust import RoleKeys, TrustPolicy
from candidate.errors import CandidateError, IntegrityError
from candidate.flows.inspecting.schemas import strict_json
from candidate.flows.verifying import verify

BLOBS = st.lists(st.binary(max_size=2000), max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-1e15, 1e15)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=10,
)
DESCRIPTOR = Descriptor(
    name="tiny", version="1", created_at="2026-01-01T00:00:00Z", description="", licenses=(), revision=None
)
SIGNER = load_signer(new_key(None), None)


def opened(data: bytes) -> Archive:
    """These bytes as an archive, without a name on disk."""
    descriptor = os.memfd_create("bundle")
    os.write(descriptor, data)
    return Archive(descriptor, where="bundle")


@given(blobs=BLOBS, index=st.binary(max_size=2000))
def test_an_archive_gives_back_what_it_was_given(blobs: list[bytes], index: bytes) -> None:
    """Reading inverts writing, and writing what was read gives the same bytes."""
    wanted = {digest_of(blob): blob for blob in blobs}
    data = archive_bytes(index=index, blobs=wanted)
    with opened(data) as archive:
        archive.check_blobs()
        found = {digest: archive.read(digest) for digest in archive.sizes}
        again = archive_bytes(index=archive.index, blobs=found)

    assert found == wanted
    assert again == data
    assert len(data) % 10_240 == 0


@given(blobs=BLOBS, place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_no_changed_bit_goes_unseen_in_an_archive(blobs: list[bytes], place: int, bit: int) -> None:
    """Except in the index, whose digest is elsewhere, every bit of the file is determined."""
    index = b"index"
    data = bytearray(archive_bytes(index=index, blobs={digest_of(blob): blob for blob in blobs}))
    place %= len(data)
    data[place] ^= 1 << bit
    try:
        with opened(bytes(data)) as archive:
            archive.check_blobs()
            assert archive.index != index or archive.layout != b'{"imageLayoutVersion":"1.0.0"}'
    except IntegrityError:
        pass


@given(data=st.binary(max_size=3000), pad=st.booleans())
def test_no_bytes_crash_the_reader(data: bytes, pad: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    """Whatever comes in, an error of ours comes out."""
    padded = data + bytes(-len(data) % 10_240) if pad else data
    with pytest.raises(IntegrityError):
        opened(padded)


@given(bodies=st.dictionaries(st.sampled_from("abcdefgh"), st.binary(max_size=20), min_size=1), data=st.data())
def test_identity_depends_on_content_and_paths_only(bodies: dict[str, bytes], data: st.DataObject) -> None:
    """Order never matters; any change of a byte, a path or a role does."""
    members = [Member(path, "doc", body) for path, body in bodies.items()]
    identity = content_of(members, descriptor=DESCRIPTOR, precision=None).digest
    shuffled = data.draw(st.permutations(members))
    path = data.draw(st.sampled_from(sorted(bodies)))
    others = [
        [Member(m.path, m.role, m.data + b"x" if m.path == path else m.data) for m in members],
        [Member(m.path + "x" if m.path == path else m.path, m.role, m.data) for m in members],
        [Member(m.path, "dataset" if m.path == path else m.role, m.data) for m in members],
        [*members, Member("new", "doc", b"")],
    ]

    assert content_of(shuffled, descriptor=DESCRIPTOR, precision=None).digest == identity
    for changed in others:
        assert content_of(changed, descriptor=DESCRIPTOR, precision=None).digest != identity


@given(
    predicate=st.dictionaries(st.text(st.characters(codec="utf-8")), JSON, max_size=4),
    kind=st.text(st.characters(codec="utf-8"), min_size=1),
)
def test_any_statement_survives_signing(predicate: dict[str, object], kind: str) -> None:
    """What a key signed comes back as it was, twice the same bytes."""
    subject = Subject(name="x", digest=ShaDigest(sha256="a" * 64))
    statement = Statement.model_validate({"subject": (subject,), "predicateType": kind, "predicate": predicate})
    data = attest(statement, SIGNER).to_bytes()

    assert check(data, [SIGNER.public_pem]).statement.to_bytes() == statement.to_bytes()
    assert attest(statement, SIGNER).to_bytes() == data


@given(data=st.binary(max_size=400))
def test_no_bytes_crash_the_checker_of_attestations(data: bytes) -> None:
    """Rubbish is malformed, and says so."""
    with pytest.raises(IntegrityError):
        check(data, [SIGNER.public_pem])


@given(value=st.dictionaries(st.text(st.characters(codec="utf-8")), JSON, max_size=5))
def test_strict_json_accepts_only_the_canonical_form(value: dict[str, object]) -> None:
    """One value has one text."""
    from candidate.canonical import canonical

    data = canonical(value)

    assert canonical(strict_json(data, where="x")) == data
    for spelled in (data + b"\n", b" " + data, data.replace(b":", b": ", 1) + b" "):
        with pytest.raises(IntegrityError):
            strict_json(spelled, where="x")


@given(array=npst.arrays(np.float32, st.tuples(st.integers(1, 6), st.just(1))))
def test_golden_numbers_come_back_bit_by_bit(array: np.ndarray) -> None:
    """NaN payloads and signed zeros included."""
    tensor = Tensor(name="x", dtype="float32", shape=("batch", 1))
    back = array_of(tensor_bytes(array, "x"), tensor, rows=len(array), where="x")

    assert back.tobytes() == array.tobytes()


@example(texts=["", "a\0", "\0"])
@given(texts=st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=6))
def test_golden_texts_come_back(texts: list[str]) -> None:
    """Strings are object arrays here and there."""
    array = np.array(texts, dtype=object).reshape(-1, 1)
    tensor = Tensor(name="x", dtype="string", shape=("batch", 1))

    assert array_of(tensor_bytes(array, "x"), tensor, rows=len(texts), where="x").tolist() == array.tolist()


@given(data=st.binary(max_size=200))
def test_no_bytes_crash_the_reader_of_golden_files(data: bytes) -> None:
    """Protobuf accepts much; what is no tensor of that shape is refused."""
    tensor = Tensor(name="x", dtype="float32", shape=("batch", 1))
    with pytest.raises(IntegrityError):
        array_of(data, tensor, rows=3, where="x")


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.tuples(st.integers(0, 50_000), st.binary(max_size=40)), min_size=1, max_size=3))
def test_no_splice_of_a_bundle_is_accepted(cuts: list[tuple[int, bytes]], bundle_bytes: bytes, builder: Signer) -> None:
    """Bytes overwritten anywhere: refused by one of our errors, unless nothing changed."""
    from datetime import UTC, datetime

    data = bytearray(bundle_bytes)
    for place, piece in cuts:
        start = place % len(data)
        data[start : start + len(piece)] = piece[: len(data) - start]
    trust = TrustPolicy(roles={"builder": RoleKeys(keys=(builder.public_pem,))})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.candidate"
        path.write_bytes(data)
        if bytes(data) == bundle_bytes:
            return
        with pytest.raises(CandidateError):
            verify(path, trust=trust, now=datetime(2026, 11, 1, tzinfo=UTC), replay=False)


@given(blobs=BLOBS)
def test_the_file_on_disk_has_the_bytes_and_digest_that_were_promised(blobs: list[bytes]) -> None:
    """Streaming to disk and building in memory are one thing."""
    wanted = {digest_of(blob): blob for blob in blobs}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.candidate"
        digest = write_archive(path, index=b"{}", blobs=wanted)

        assert path.read_bytes() == archive_bytes(index=b"{}", blobs=wanted)
        assert digest_of(path.read_bytes()) == digest
