"""The Open Inference Protocol (V2): what Triton and KServe say of a model, and one request with its answer.

Source: Open Inference Protocol, REST; Triton's model configuration for how batches are counted.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from candidate.documents.manifest import ModelSignature, Tensor, TensorType
from candidate.flows.inspecting import Bundle
from candidate.flows.inspecting.bundle import golden_feeds, golden_outputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

DATATYPES: dict[TensorType, str] = {
    "float32": "FP32",
    "float64": "FP64",
    "int64": "INT64",
    "int32": "INT32",
    "bool": "BOOL",
    "string": "BYTES",
}
PLATFORM = "onnx_onnxv1"
MAX_BATCH = 8192
"""Rows in one batch: where throughput is best for the graphs that we measured (docs/benchmarks.md)."""
REQUEST_ID = "golden"
"""A server repeats it in its answer."""
VERSION = "1"
"""Of the model in its repository. A bundle's own version is no number; the note beside the model has it."""


def batched(signature: ModelSignature) -> bool:
    """Whether every tensor's first dimension is the number of rows, so that requests can be put together."""
    return all(tensor.shape and isinstance(tensor.shape[0], str) for tensor in (*signature.inputs, *signature.outputs))


def dims(tensor: Tensor, *, batches: bool) -> list[int]:
    """Return a tensor's dimensions as a model configuration has them.

    With batches the first is left out, and one of length 1 stands for none: a tensor of shape (batch,)
    is then served as (batch, 1), by a reshape.
    """
    sizes = [-1 if isinstance(size, str) else size for size in tensor.shape]
    return (sizes[1:] or [1]) if batches else sizes


def shape(tensor: Tensor, *, batches: bool, rows: int = -1) -> list[int]:
    """Return the shape that a client sees; -1 where only the request says."""
    found = dims(tensor, batches=batches)
    return [rows, *found] if batches else [rows if number == 0 else size for number, size in enumerate(found)]


def metadata(bundle: Bundle) -> dict[str, Any]:
    """Return the model metadata that a server answers to ``GET /v2/models/NAME``."""
    batches = batched(bundle.signature)

    def tensors(side: tuple[Tensor, ...]) -> list[dict[str, Any]]:
        return [
            {"name": tensor.name, "datatype": DATATYPES[tensor.dtype], "shape": shape(tensor, batches=batches)}
            for tensor in side
        ]

    return {
        "name": bundle.ref.name,
        "versions": [VERSION],
        "platform": PLATFORM,
        "inputs": tensors(bundle.signature.inputs),
        "outputs": tensors(bundle.signature.outputs),
    }


def plain_rows(bundle: Bundle) -> "tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]":
    """Return the golden inputs and outputs of those rows that JSON can say: nothing missing, nothing infinite."""
    import numpy as np

    feeds, answers = golden_feeds(bundle), golden_outputs(bundle)
    count = bundle.tolerance.rows
    sayable = np.ones(count, dtype=bool)
    for array in (*feeds.values(), *answers.values()):
        if array.dtype.kind == "f":
            sayable &= np.isfinite(array.reshape(count, -1)).all(axis=1)
    kept = np.flatnonzero(sayable)[:MAX_BATCH]
    return {name: array[kept] for name, array in feeds.items()}, {name: array[kept] for name, array in answers.items()}


def _tensors(
    side: tuple[Tensor, ...], arrays: "Mapping[str, NDArray[Any]]", *, batches: bool, rows: int
) -> list[dict[str, Any]]:
    return [
        {
            "name": tensor.name,
            "datatype": DATATYPES[tensor.dtype],
            "shape": shape(tensor, batches=batches, rows=rows),
            "data": arrays[tensor.name].reshape(-1).tolist(),
        }
        for tensor in side
    ]


def exchange(bundle: Bundle) -> tuple[int, bytes, bytes]:
    """Return a request made of golden rows, how many they are, and the answer that a server owes to it.

    Returns:
        Number of rows, body of ``POST /v2/models/NAME/infer``, and its answer.
    """
    feeds, answers = plain_rows(bundle)
    rows = len(next(iter(feeds.values())))
    batches = batched(bundle.signature)
    request = {"id": REQUEST_ID, "inputs": _tensors(bundle.signature.inputs, feeds, batches=batches, rows=rows)}
    response = {
        "id": REQUEST_ID,
        "model_name": bundle.ref.name,
        "model_version": VERSION,
        "outputs": _tensors(bundle.signature.outputs, answers, batches=batches, rows=rows),
    }
    return rows, json_bytes(request), json_bytes(response)


def json_bytes(value: object) -> bytes:
    """Return JSON as it always comes out; whole numbers may pass 2^53, which canonical JSON forbids."""
    return (json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n").encode()
