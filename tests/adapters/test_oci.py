"""The OCI objects: one manifest for one set of members."""

import json

import pytest

from candidate.adapters.oci import Member, attestation_blobs, content_of, index_of, release_statement
from candidate.adapters.oci.wire import package_url
from candidate.canonical import digest_of
from candidate.documents.manifest import Descriptor
from candidate.documents.oci import OciIndex, OciManifest
from candidate.errors import InputError

DESCRIPTOR = Descriptor(
    name="tiny", version="1.0.0+b", created_at="2026-01-01T00:00:00Z", description="", licenses=("MIT",), revision="c"
)
MEMBERS = [
    Member("signature.json", "signature", b"{}"),
    Member("model/model.onnx", "model", b"onnx"),
    Member("candidate.json", "manifest", b'{"a":1}'),
]


def test_the_order_of_members_does_not_matter() -> None:
    """Two builds list files in different order and give the same identity."""
    one = content_of(MEMBERS, descriptor=DESCRIPTOR, precision="float32")
    assert one == content_of(MEMBERS[::-1], descriptor=DESCRIPTOR, precision="float32")


def test_layers_are_sorted_by_path_and_carry_it_twice() -> None:
    """Title and file path agree, because different tools read different ones."""
    content = content_of(MEMBERS, descriptor=DESCRIPTOR, precision=None)
    manifest = OciManifest.from_bytes(content.manifest)
    notes = [layer.annotations or {} for layer in manifest.layers]

    assert [note["org.cncf.model.filepath"] for note in notes] == sorted(member.path for member in MEMBERS)
    assert all(note["org.cncf.model.filepath"] == note["org.opencontainers.image.title"] for note in notes)
    assert json.loads(content.blobs[manifest.config.digest])["modelfs"]["diffIds"] == [
        layer.digest for layer in manifest.layers
    ]


def test_paths_that_differ_only_in_case_are_refused() -> None:
    """They would be one file on some systems."""
    with pytest.raises(InputError, match="share the path"):
        content_of([*MEMBERS, Member("Signature.json", "doc", b"")], descriptor=DESCRIPTOR, precision=None)


def test_an_attestation_refers_to_the_manifest_and_the_index_lists_it() -> None:
    """A referrer is found from the index, and says what it is about."""
    content = content_of(MEMBERS, descriptor=DESCRIPTOR, precision=None)
    descriptor, blobs = attestation_blobs(content.descriptor, b"attestation", "kind")
    referrer = OciManifest.from_bytes(blobs[descriptor.digest])
    index = OciIndex.from_bytes(index_of(content, "1.0.0+b", [descriptor]))

    assert referrer.subject is not None
    assert referrer.subject.digest == content.digest == digest_of(content.manifest)
    assert blobs[referrer.layers[0].digest] == b"attestation"
    assert [entry.digest for entry in index.manifests] == [content.digest, descriptor.digest]
    assert index_of(content.descriptor, "1.0.0+b", [descriptor]) == index.to_bytes()


def test_a_package_url_escapes_what_it_must() -> None:
    """A plus in a version would mean a space to whoever decodes it."""
    assert package_url("tiny", "1.0.0+b", "sha256:ab") == "pkg:oci/tiny@sha256%3Aab?tag=1.0.0%2Bb"
    assert release_statement("tiny", "1", "sha256:" + "a" * 64).subject[0].digest.sha256 == "a" * 64
