"""What a bundle says of its members."""

import pytest

from candidate.documents.manifest import (
    BundleManifest,
    Descriptor,
    MemberFile,
    ModelSignature,
    OnnxFacts,
    OpsetImport,
    ShaDigest,
    Tensor,
)


def member(name: str) -> MemberFile:
    """A member of this name."""
    return MemberFile(name=name, digest=ShaDigest(sha256="a" * 64), size=1, role="doc")


def manifest(*names: str) -> BundleManifest:
    """A manifest that lists these members."""
    return BundleManifest(
        descriptor=Descriptor(
            name="late-flights",
            version="1.0.0",
            created_at="2026-11-23T00:00:00Z",
            description="",
            licenses=(),
            revision=None,
        ),
        files=tuple(member(name) for name in names),
        onnx=OnnxFacts(
            ir_version=10,
            opset_import=(OpsetImport(domain="", version=21),),
            ops=("Identity",),
            external_data=(),
            canonical=True,
        ),
        parity=None,
        serving_features=None,
        dependencies=(),
    )


def test_a_manifest_is_read_back_as_it_was() -> None:
    """With the names that other formats use for the same things."""
    written = manifest("README.md", "model/model.onnx").to_bytes()

    assert BundleManifest.from_bytes(written).to_bytes() == written
    assert b'"createdAt"' in written
    assert b'"opsetImport"' in written


@pytest.mark.parametrize("names", [("b", "a"), ("a", "a"), ("A", "a")])
def test_members_are_sorted_and_unlike(names: tuple[str, ...]) -> None:
    """One order, and no two that a file system might take for one."""
    with pytest.raises(ValueError, match="sorted by name"):
        manifest(*names)


@pytest.mark.parametrize("name", ["../a", "/a", ".a", "a//b", "a/", "a b", "a\\b", "", "x" * 256, "a\n"])
def test_a_member_stays_inside_its_folder(name: str) -> None:
    """Paths are plain segments: nothing hidden, relative or absolute."""
    with pytest.raises(ValueError, match="name"):
        member(name)


def test_a_signature_knows_its_features() -> None:
    """The names of the inputs, in order."""
    tensors = tuple(Tensor(name=name, dtype="float32", shape=("batch", 1)) for name in ("b", "a"))
    signature = ModelSignature(
        task="binary",
        inputs=tensors,
        outputs=tensors,
        label_output="label",
        score_output="probabilities",
        classes=(0, 1),
        positive=1,
        threshold=0.5,
        label="late",
    )

    assert signature.features == ("b", "a")
