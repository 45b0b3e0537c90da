"""KServe: the model tree, its V2 metadata, an InferenceService, and an OCI image that carries the tree.

KServe's runtime for ONNX is Triton, so ``models/`` is a Triton repository. The image holds that tree and
nothing else: a Kubernetes image volume mounts it as it is, while KServe's modelcar container also wants a
shell inside, which a base image brings (``Containerfile``).

Source: KServe v1beta1 InferenceService, "Serving Models with OCI Images"; OCI image-spec v1.1.
"""

import hashlib
import tarfile
from pathlib import Path
from shlex import quote
from typing import Any

from candidate.adapters.transport.reference import Reference
from candidate.canonical import canonical, digest_of
from candidate.documents.exported import NOTE_FILE
from candidate.documents.names import INDEX_TYPE, LAYOUT_BYTES, MANIFEST_TYPE, REF_NAME
from candidate.flows.exporting.block import yaml_bytes
from candidate.flows.exporting.layout import REQUEST_FILE, RESPONSE_FILE, Layout
from candidate.flows.exporting.protocol import exchange, json_bytes, metadata
from candidate.flows.exporting.triton import asking, repository
from candidate.flows.inspecting import Bundle

BUNDLE_NOTE = "dev.candidate.bundle"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
_BASE = "docker.io/library/busybox:stable"
_CONTAINERFILE = f"""# A base with a shell, for KServe's modelcar container; an image volume needs none.
FROM {_BASE}
COPY models /models
"""


def service_name(name: str) -> str:
    """Return a bundle's name as Kubernetes takes it: a letter first, and no hyphen last."""
    word = name if name[0].isalpha() else f"m-{name}"
    return word[:63].rstrip("-")


def tag_of(version: str) -> str:
    """Return a version as a tag; a tag has no plus sign."""
    return version.replace("+", "_")


def _service(bundle: Bundle, image: str) -> dict[str, Any]:
    """Return the InferenceService that serves the image."""
    ref = bundle.ref
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": service_name(ref.name),
            "annotations": {"candidate.dev/bundle": ref.digest, "candidate.dev/version": ref.version},
        },
        "spec": {
            "predictor": {
                "model": {
                    "modelFormat": {"name": "onnx", "version": "1"},
                    "protocolVersion": "v2",
                    "runtime": "kserve-tritonserver",
                    "storageUri": f"oci://{image}",
                }
            }
        },
    }


def _tar(source: Path, target: Path) -> None:
    """Write a tree as a tar whose bytes follow from names and contents alone: sorted, no times, no owners."""
    with tarfile.open(target, "x", format=tarfile.PAX_FORMAT) as tar:
        for path in [source, *sorted(source.rglob("*"))]:
            info = tarfile.TarInfo(path.relative_to(source.parent).as_posix())
            if path.is_dir():
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            else:
                info.size, info.mode = path.stat().st_size, 0o644
                with path.open("rb") as file:
                    tar.addfile(info, file)


def _image(bundle: Bundle, layout: Layout) -> None:
    """Write the OCI image layout: one layer, the tar of ``models/``."""
    draft = layout.path("image/blobs/sha256/layer")
    _tar(layout.root / "models", draft)
    with draft.open("rb") as file:
        layer = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    size = draft.stat().st_size
    draft.rename(draft.with_name(layer.removeprefix("sha256:")))
    ref = bundle.ref
    notes = {
        BUNDLE_NOTE: ref.digest,
        "org.opencontainers.image.created": bundle.manifest.descriptor.created_at,
        "org.opencontainers.image.title": ref.name,
        "org.opencontainers.image.version": ref.version,
    }
    config = canonical(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": bundle.manifest.descriptor.created_at,
            "config": {"Labels": notes},
            "rootfs": {"type": "layers", "diff_ids": [layer]},
            "history": [{"created": bundle.manifest.descriptor.created_at, "comment": "candidate export"}],
        }
    )
    manifest = canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": _CONFIG_TYPE, "digest": digest_of(config), "size": len(config)},
            "layers": [{"mediaType": _LAYER_TYPE, "digest": layer, "size": size}],
            "annotations": notes,
        }
    )
    descriptor = {
        "mediaType": MANIFEST_TYPE,
        "digest": digest_of(manifest),
        "size": len(manifest),
        "platform": {"architecture": "amd64", "os": "linux"},
        "annotations": {REF_NAME: tag_of(ref.version)},
    }
    for blob in (config, manifest):
        layout.put(f"image/blobs/sha256/{digest_of(blob).removeprefix('sha256:')}", blob)
    layout.put("image/oci-layout", LAYOUT_BYTES)
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [descriptor]}
    layout.put("image/index.json", canonical(index))


def image_of(bundle: Bundle, image: str | None) -> str:
    """Return the reference that the image will have in a registry.

    Raises:
        InputError: what was given is no reference.
    """
    version = tag_of(bundle.ref.version)
    if image is None:
        return f"registry.example/{bundle.ref.name}:{version}"
    reference = Reference.parse(image)
    return str(reference if reference.tag or reference.digest else reference.with_tag(version))


def write(bundle: Bundle, layout: Layout, image: str) -> tuple[int, str]:
    """Write the export.

    Returns:
        Number of golden rows in the request, and where the note belongs.
    """
    repository(bundle, layout, "models/")
    _image(bundle, layout)
    layout.put("metadata.json", json_bytes(metadata(bundle)))
    layout.put("inferenceservice.yaml", yaml_bytes(_service(bundle, image)))
    layout.put("Containerfile", _CONTAINERFILE.encode())
    layout.golden(bundle, "golden/")
    rows, request, response = exchange(bundle)
    if rows:
        layout.put(f"golden/{REQUEST_FILE}", request)
        layout.put(f"golden/{RESPONSE_FILE}", response)
    return rows, NOTE_FILE


def guide(bundle: Bundle, folder: str, rows: int, image: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return how to serve the export, and how to test it."""
    serve = (
        f"skopeo copy {quote(f'oci:{folder}/image:{tag_of(bundle.ref.version)}')} docker://{image}",
        f"kubectl apply -f {quote(f'{folder}/inferenceservice.yaml')}",
    )
    return serve, asking(bundle.ref.name, f"{folder}/golden", rows)
