"""Inspect a bundle: closure both ways, every digest, every document, the graph, and that they agree."""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from candidate.adapters.attest import unverified_view
from candidate.canonical import MAX_SMALL_BYTES, digest_of
from candidate.documents.names import (
    EXPERIMENT_PATH,
    INPUT_SCHEMA_PATH,
    MANIFEST_PATH,
    MLBOM_PATH,
    MODEL_PATH,
    NAME,
    OUTPUT_SCHEMA_PATH,
    SIGNATURE_PATH,
    TIMESTAMP,
    TOLERANCE_PATH,
    VERSION,
)
from candidate.documents.view import view
from candidate.errors import IntegrityError
from candidate.flows.inspecting.bundle import Blobs, Bundle, Views, golden_path
from candidate.flows.inspecting.members import (
    check_closure,
    check_golden,
    check_magic,
    check_paths,
    check_roles,
    check_tolerance,
    member_of,
    own_file,
)
from candidate.flows.inspecting.outline import Outline, check_size, outline_of, read_blob
from candidate.flows.inspecting.schemas import check_input_schema, check_schema, strict_json

if TYPE_CHECKING:
    from candidate.adapters.graph import Graph

MAX_MODEL_BYTES = (1 << 31) - 1
"""What a protobuf message can hold."""
DOCUMENTS = (
    SIGNATURE_PATH,
    EXPERIMENT_PATH,
    TOLERANCE_PATH,
    INPUT_SCHEMA_PATH,
    OUTPUT_SCHEMA_PATH,
    MLBOM_PATH,
)
"""Members that are read whole, beside the graph."""


_IDENTITY = {
    "name": re.compile(NAME),
    "version": re.compile(VERSION),
    "created_at": re.compile(TIMESTAMP),
}


def _unheard(step: str) -> None:
    """Nobody follows the steps."""


def inspect(blobs: Blobs, *, outline: Outline | None = None, begin: Callable[[str], None] = _unheard) -> Bundle:
    """Check all that can be checked of a bundle without trusting anybody and without running it.

    Args:
        blobs: where the bytes come from.
        outline: what ``outline_of`` returned for the same blobs, if it was called already.
        begin: told the code of each step when it begins: ``layout``, ``closure``, ``schema``, ``graph``, ``golden``.

    Raises:
        IntegrityError: a byte, a digest, a listing, a document or the graph is not what it should be.
    """
    begin("layout")
    shell = outline_of(blobs) if outline is None else outline
    begin("closure")
    _check_predicates(shell)
    metadata, files = _metadata(blobs, shell)
    check_paths(files)
    data = _read_all(blobs, shell, files)
    begin("schema")
    signature = view("model-signature", data[SIGNATURE_PATH], where=SIGNATURE_PATH)
    tolerance = view("tolerance", data[TOLERANCE_PATH], where=TOLERANCE_PATH)
    input_schema = strict_json(data[INPUT_SCHEMA_PATH], where=INPUT_SCHEMA_PATH)
    check_schema(strict_json(data[OUTPUT_SCHEMA_PATH], where=OUTPUT_SCHEMA_PATH), where=OUTPUT_SCHEMA_PATH)
    _check_bill(data[MLBOM_PATH])
    check_tolerance(tolerance)
    check_input_schema(input_schema, signature)
    begin("graph")
    _check_graph(data[MODEL_PATH], metadata, signature, files)
    begin("golden")
    check_golden(files, inputs=len(signature.inputs), outputs=len(signature.outputs))
    bundle = Bundle(
        blobs=blobs,
        digest=shell.digest,
        views=Views(
            manifest=metadata,
            signature=signature,
            experiment=view("experiment-record", data[EXPERIMENT_PATH], where=EXPERIMENT_PATH),
            tolerance=tolerance,
        ),
        input_schema=input_schema,
        index_digest=digest_of(blobs.index),
        size_bytes=blobs.size_bytes,
        model_size_bytes=sum(file.size for file in files if file.role in {"model", "weights"}),
        attestations=shell.attestations,
    )
    _check_tensors(bundle)
    return bundle


def _check_tensors(bundle: Bundle) -> None:
    """Check that the golden files hold the tensors of the model signature; nobody makes arrays of them yet."""
    from candidate.adapters.graph.tensors import parse_tensor

    signature = bundle.views.signature
    for kind, tensors in (("input", signature.inputs), ("output", signature.outputs)):
        for number, tensor in enumerate(tensors):
            path = golden_path(kind, number)
            parse_tensor(
                bundle.read(path),
                name=tensor.name,
                dtype=tensor.dtype,
                shape=tensor.shape,
                rows=bundle.views.tolerance.rows,
                where=path,
            )


def _check_predicates(shell: Outline) -> None:
    """An attestation must say what its referrer says of it, whoever signed it: others search by that."""
    for number, (data, claimed) in enumerate(zip(shell.attestations, shell.predicates, strict=True)):
        said = unverified_view(data, where=f"attestation {number}").predicate_type
        if said != claimed:
            raise IntegrityError(f"listed as {claimed}, but it says {said}", where=f"attestation {number}")


def _metadata(blobs: Blobs, shell: Outline) -> tuple[Any, tuple[Any, ...]]:
    """Return ``candidate.json`` and every member, after holding both against the content manifest."""
    used = set(shell.blobs)
    own = None
    for layer in shell.manifest.layers:
        path, _ = member_of(layer)
        check_size(blobs, layer, where=path)
        used.add(layer.digest)
        own = layer if path == MANIFEST_PATH else own
    if own is None:
        raise IntegrityError("member is missing", where=MANIFEST_PATH)
    raw = read_blob(blobs, shell.manifest.config, limit=MAX_SMALL_BYTES, where="config")
    config = view("model-config", raw, where="config")
    used.add(shell.manifest.config.digest)
    for digest in sorted(blobs.sizes.keys() - used):
        raise IntegrityError("blob that nothing refers to", where=digest)
    data = read_blob(blobs, own, limit=MAX_SMALL_BYTES, where=MANIFEST_PATH)
    metadata = view("bundle-manifest", data, where=MANIFEST_PATH)
    _check_identity(metadata.descriptor, shell.version)
    files = (*metadata.files, own_file(data))
    check_closure(shell.manifest, shell.raw, files, metadata, config.config.precision)
    return metadata, files


def _check_identity(descriptor: Any, version: str) -> None:
    for field, pattern in _IDENTITY.items():
        if not pattern.fullmatch(getattr(descriptor, field)):
            raise IntegrityError(f"descriptor has an unusable {field}", where=MANIFEST_PATH)
    if descriptor.version != version:
        raise IntegrityError(f"version is {descriptor.version}, the index tags {version}", where=MANIFEST_PATH)


def _read_all(blobs: Blobs, shell: Outline, files: tuple[Any, ...]) -> dict[str, bytes]:
    """Hash every blob once, sniff every member, and return those that are parsed."""
    by_path = {file.name: file for file in files}
    data: dict[str, bytes] = {}
    for path in (*DOCUMENTS, MODEL_PATH):
        file = by_path.get(path)
        if file is None:
            raise IntegrityError("member is missing", where=path)
        limit = MAX_MODEL_BYTES if path == MODEL_PATH else MAX_SMALL_BYTES
        if file.size > limit:
            raise IntegrityError(f"member of {file.size} bytes, more than {limit}", where=path)
        data[path] = blobs.read("sha256:" + file.digest.sha256)
        check_magic(data[path], where=path)
    read = shell.blobs | {"sha256:" + by_path[path].digest.sha256 for path in (*data, MANIFEST_PATH)}
    paths: Mapping[str, str] = {"sha256:" + file.digest.sha256: file.name for file in files}

    def sniff(digest: str, first: bytes) -> None:
        if digest in paths:
            check_magic(first, where=paths[digest])

    blobs.check_blobs(skip=read, first=sniff)
    return data


def _check_bill(data: bytes) -> None:
    bill = strict_json(data, where=MLBOM_PATH)
    if bill.get("bomFormat") != "CycloneDX" or bill.get("specVersion") != "1.6":
        raise IntegrityError("not a CycloneDX 1.6 document", where=MLBOM_PATH)


def _check_graph(model: bytes, metadata: Any, signature: Any, files: tuple[Any, ...]) -> None:
    """Inspect the graph, and hold what it is against what the documents say of it."""
    from candidate.adapters.graph import inspect_graph

    folder = MODEL_PATH.rpartition("/")[0] + "/"
    weights = {file.name.removeprefix(folder): file.size for file in files if file.role == "weights"}
    graph = inspect_graph(model, weights)
    check_roles(files, external=graph.said.external_data)
    if metadata.onnx != graph.said:
        raise IntegrityError("what is said of the graph is not what it is made of", where=f"{MANIFEST_PATH}: onnx")
    _check_signature(signature, graph)


CLASSLESS = frozenset({"regression", "anomaly", "transform"})
"""Tasks whose answers are numbers."""


def _check_signature(signature: Any, graph: "Graph") -> None:
    for what, said, found in (
        ("inputs", signature.inputs, graph.reads),
        ("outputs", signature.outputs, graph.answers),
    ):
        if said != found:
            different = next((a.name for a, b in zip(said, found, strict=False) if a != b), "their number")
            raise IntegrityError(f"{what} are not the graph's: {different}", where=SIGNATURE_PATH)
    for tensor in signature.inputs:
        if tensor.shape != ("batch", 1):
            raise IntegrityError(
                f"input {tensor.name} has shape {tensor.shape}, not ('batch', 1)", where=SIGNATURE_PATH
            )
    outputs = {tensor.name: tensor for tensor in signature.outputs}
    named = (
        (signature.label_output,)
        if signature.score_output is None
        else (signature.label_output, signature.score_output)
    )
    for name in named:
        if name not in outputs:
            raise IntegrityError(f"{name!r} is not an output", where=SIGNATURE_PATH)
    classes = signature.classes
    binary = signature.task == "binary"
    if len(set(classes)) != len(classes) or (binary and (len(classes) != 2 or signature.positive not in classes)):  # noqa: PLR2004 - binary
        raise IntegrityError(f"classes {classes!r} do not fit a {signature.task} task", where=SIGNATURE_PATH)
    if (signature.task in CLASSLESS) != (not classes):
        raise IntegrityError(f"classes {classes!r} do not fit a {signature.task} task", where=SIGNATURE_PATH)
