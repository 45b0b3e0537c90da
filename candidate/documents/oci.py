"""The OCI image layout and ModelPack documents inside a bundle, closed to what we write.

Sources: OCI image-spec v1.1 (image-layout, index, manifest, descriptor), CNCF ModelPack
model-spec v1 (artifact, layer and config media types).
"""

from typing import Annotated, ClassVar, Literal

from pydantic import FailFast, Field

from candidate.canonical import MAX_SMALL_BYTES
from candidate.document import Digest, Document, Part


class OciDocument(Document):
    """A foreign JSON format, in which an absent field is left out."""

    omit_none: ClassVar[bool] = True
    max_bytes: ClassVar[int] = MAX_SMALL_BYTES


class OciLayout(OciDocument):
    """The ``oci-layout`` file."""

    image_layout_version: Annotated[Literal["1.0.0"], Field(alias="imageLayoutVersion")] = "1.0.0"


class OciDescriptor(Part):
    """A reference to a blob."""

    media_type: Annotated[str, Field(alias="mediaType")]
    digest: Digest
    size: Annotated[int, Field(ge=0)]
    artifact_type: Annotated[str | None, Field(alias="artifactType")] = None
    annotations: dict[str, str] | None = None


class OciManifest(OciDocument):
    """The content manifest of a bundle, or the manifest of an attestation about it."""

    schema_version: Annotated[Literal[2], Field(alias="schemaVersion")] = 2
    media_type: Annotated[Literal["application/vnd.oci.image.manifest.v1+json"], Field(alias="mediaType")] = (
        "application/vnd.oci.image.manifest.v1+json"
    )
    artifact_type: Annotated[str, Field(alias="artifactType")]
    config: OciDescriptor
    layers: Annotated[tuple[OciDescriptor, ...], FailFast()]
    subject: OciDescriptor | None = None
    annotations: dict[str, str] | None = None


class OciIndex(OciDocument):
    """``index.json``: entry 0 is the content manifest, all others are attestations about it."""

    schema_version: Annotated[Literal[2], Field(alias="schemaVersion")] = 2
    media_type: Annotated[Literal["application/vnd.oci.image.index.v1+json"], Field(alias="mediaType")] = (
        "application/vnd.oci.image.index.v1+json"
    )
    manifests: Annotated[tuple[OciDescriptor, ...], Field(min_length=1), FailFast()]


class ModelDescriptor(Part):
    """ModelPack's descriptor."""

    name: str
    version: str
    created_at: Annotated[str, Field(alias="createdAt")]
    licenses: tuple[str, ...] | None = None
    revision: str | None = None


class ModelDetails(Part):
    """ModelPack's config."""

    format: Literal["onnx"] = "onnx"
    precision: str | None = None


class ModelFs(Part):
    """ModelPack's list of layer digests; ours are raw, so they equal the layers' own."""

    type: Literal["layers"] = "layers"
    diff_ids: Annotated[tuple[Digest, ...], Field(alias="diffIds"), FailFast()]


class ModelConfig(OciDocument):
    """ModelPack's config blob."""

    descriptor: ModelDescriptor
    config: ModelDetails
    modelfs: ModelFs
