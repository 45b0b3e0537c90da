"""The bytes of a bundle's OCI objects, each a pure function of what it says.

Writer and strict reader share them: the reader derives what it can from what it read and compares
bytes. Descriptors and files come as documents or as views of them, whoever has which; only their
fields are looked at, so a reader needs no pydantic.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from candidate.canonical import canonical, digest_of
from candidate.documents.names import (
    ATTESTATION_CONTENT,
    ATTESTATION_PREDICATE,
    EMPTY_BYTES,
    EMPTY_TYPE,
    FILEPATH,
    INDEX_TYPE,
    LAYER_TYPES,
    MANIFEST_TYPE,
    MODEL_ARTIFACT_TYPE,
    MODEL_CONFIG_TYPE,
    REF_NAME,
    RELEASE_TYPE,
    ROLE,
    SIGSTORE_TYPE,
    STATEMENT_TYPE,
    TITLE,
)
from candidate.documents.view import View

if TYPE_CHECKING:
    from candidate.documents.manifest import Descriptor, MemberFile
    from candidate.documents.oci import OciDescriptor

    Reference: TypeAlias = OciDescriptor | View
    File: TypeAlias = MemberFile | View

ATTESTATION_CONTENT_VALUE = "dsse-envelope"


def reference(
    media_type: str,
    digest: str,
    size: int,
    artifact_type: str | None = None,
    annotations: dict[str, str] | None = None,
) -> View:
    """Return a descriptor."""
    return View(media_type=media_type, digest=digest, size=size, artifact_type=artifact_type, annotations=annotations)


def _json(descriptor: "Reference") -> dict[str, Any]:
    found: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    }
    if descriptor.artifact_type is not None:
        found["artifactType"] = descriptor.artifact_type
    if descriptor.annotations is not None:
        found["annotations"] = descriptor.annotations
    return found


def manifest_reference(manifest: bytes) -> View:
    """Return the descriptor of a content manifest, without annotations."""
    return reference(MANIFEST_TYPE, digest_of(manifest), len(manifest), MODEL_ARTIFACT_TYPE)


def _layer(file: "File") -> dict[str, Any]:
    """Return the layer that carries a member, raw."""
    notes = {FILEPATH: file.name, TITLE: file.name, ROLE: file.role}
    return _json(reference(LAYER_TYPES[file.role], "sha256:" + file.digest.sha256, file.size, annotations=notes))


def manifest_of(
    files: "Iterable[File]", *, descriptor: "Descriptor | View", precision: str | None
) -> tuple[bytes, bytes]:
    """Return the bytes of the content manifest and of the config blob for these members.

    Args:
        files: every member, ``candidate.json`` among them, in any order.
        descriptor: who the model is.
        precision: of the graph's numbers, for example ``float32``; ModelPack's field.

    Returns:
        The content manifest (layers sorted by path) and the config it refers to.
    """
    layers = [_layer(file) for file in sorted(files, key=lambda file: str(file.name))]
    who: dict[str, Any] = {
        "name": descriptor.name,
        "version": descriptor.version,
        "createdAt": descriptor.created_at,
    }
    if descriptor.licenses:
        who["licenses"] = list(descriptor.licenses)
    if descriptor.revision is not None:
        who["revision"] = descriptor.revision
    details = {"format": "onnx"} if precision is None else {"format": "onnx", "precision": precision}
    diffs = {"type": "layers", "diffIds": [layer["digest"] for layer in layers]}
    config = canonical({"descriptor": who, "config": details, "modelfs": diffs})
    manifest = canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": MODEL_ARTIFACT_TYPE,
            "config": _json(reference(MODEL_CONFIG_TYPE, digest_of(config), len(config))),
            "layers": layers,
        }
    )
    return manifest, config


def attestation_reference(attestation: bytes) -> View:
    """Return the descriptor of an attestation's bytes."""
    return reference(SIGSTORE_TYPE, digest_of(attestation), len(attestation))


def referrer_of(subject: "Reference", attestation: "Reference", predicate_type: str) -> tuple[View, bytes]:
    """Return the referrer manifest for an attestation: its descriptor in the index, and its bytes."""
    notes = {ATTESTATION_CONTENT: ATTESTATION_CONTENT_VALUE, ATTESTATION_PREDICATE: predicate_type}
    about = {key: value for key, value in _json(subject).items() if key != "annotations"}
    manifest = canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": SIGSTORE_TYPE,
            "config": _json(reference(EMPTY_TYPE, digest_of(EMPTY_BYTES), len(EMPTY_BYTES))),
            "layers": [_json(attestation)],
            "subject": about,
            "annotations": notes,
        }
    )
    return reference(MANIFEST_TYPE, digest_of(manifest), len(manifest), SIGSTORE_TYPE, notes), manifest


def index_bytes(content: "Reference", version: str, referrers: "Sequence[Reference]" = ()) -> bytes:
    """Return ``index.json``: the content manifest tagged with the version, then the referrers by digest."""
    tagged = {**_json(content), "annotations": {REF_NAME: version}}
    others = [_json(descriptor) for descriptor in sorted(referrers, key=lambda descriptor: str(descriptor.digest))]
    return canonical({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [tagged, *others]})


def package_url(name: str, version: str, digest: str) -> str:
    """Return the package URL (purl, type ``oci``) of a bundle."""
    return f"pkg:oci/{quote(name, safe='')}@{quote(digest, safe='')}?tag={quote(version, safe='')}"


def release_bytes(name: str, version: str, digest: str) -> bytes:
    """Return the statement a builder signs: this name and version is that content manifest.

    Args:
        name: of the bundle.
        version: of the bundle.
        digest: of the content manifest, ``sha256:…``.
    """
    return canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": f"{name}-{version}", "digest": {"sha256": digest.removeprefix("sha256:")}}],
            "predicateType": RELEASE_TYPE,
            "predicate": {"purl": package_url(name, version, digest), "packageId": name},
        }
    )
