"""A Triton model repository: ``NAME/config.pbtxt`` and ``NAME/1/model.onnx``.

Source: NVIDIA Triton's model_config.proto, model configuration and model repository pages; the ONNX
Runtime backend's own completion of a configuration, which reshapes (batch,) to (batch, 1) as we do.
"""

from shlex import quote

from candidate.documents.exported import NOTE_FILE
from candidate.documents.manifest import Tensor
from candidate.flows.exporting.layout import REQUEST_FILE, RESPONSE_FILE, Layout
from candidate.flows.exporting.protocol import DATATYPES, MAX_BATCH, VERSION, batched, dims, exchange
from candidate.flows.inspecting import Bundle


def _text(value: str) -> str:
    """Return a string of protobuf's text format: plain ASCII as it is, all else in octal bytes."""
    plain = "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\' else f"\\{byte:03o}"  # noqa: PLR2004 - printable ASCII
        for byte in value.encode()
    )
    return f'"{plain}"'


def _tensor(kind: str, tensor: Tensor, *, batches: bool) -> list[str]:
    word = "STRING" if tensor.dtype == "string" else DATATYPES[tensor.dtype]
    lines = [
        f"{kind} {{",
        f"  name: {_text(tensor.name)}",
        f"  data_type: TYPE_{word}",
        f"  dims: [ {', '.join(map(str, dims(tensor, batches=batches)))} ]",
    ]
    if batches and len(tensor.shape) == 1:
        lines.append("  reshape { shape: [ ] }")
    return [*lines, "}"]


def config(bundle: Bundle) -> bytes:
    """Return ``config.pbtxt``: names, types and dimensions, batches, the processor, and which bundle this is.

    The processor is the CPU, because that is where parity was proven and the golden outputs were made.
    """
    signature = bundle.signature
    batches = batched(signature)
    facts = {
        "candidate.bundle": bundle.ref.digest,
        "candidate.name": bundle.ref.name,
        "candidate.version": bundle.ref.version,
    }
    lines = [
        f"name: {_text(bundle.ref.name)}",
        'platform: "onnxruntime_onnx"',
        'backend: "onnxruntime"',
        'default_model_filename: "model.onnx"',
        f"max_batch_size: {MAX_BATCH if batches else 0}",
    ]
    for tensor in signature.inputs:
        lines += _tensor("input", tensor, batches=batches)
    for tensor in signature.outputs:
        lines += _tensor("output", tensor, batches=batches)
    lines.append("instance_group { kind: KIND_CPU count: 1 }")
    lines += ["dynamic_batching { }"] if batches else []
    lines += [f"parameters {{ key: {_text(key)} value {{ string_value: {_text(facts[key])} }} }}" for key in facts]
    return ("\n".join(lines) + "\n").encode()


def repository(bundle: Bundle, layout: Layout, folder: str = "") -> None:
    """Write the model into a repository: its configuration, and the graph as version 1."""
    name = bundle.ref.name
    layout.put(f"{folder}{name}/config.pbtxt", config(bundle))
    layout.model(bundle, f"{folder}{name}/{VERSION}/")


def write(bundle: Bundle, layout: Layout) -> tuple[int, str]:
    """Write the export: a repository of one model, whose tests lie in its folder, where Triton ignores them.

    Returns:
        Number of golden rows in the request, and where the note belongs.
    """
    repository(bundle, layout)
    golden = f"{bundle.ref.name}/golden/"
    layout.golden(bundle, golden)
    rows, request, response = exchange(bundle)
    if rows:
        layout.put(golden + REQUEST_FILE, request)
        layout.put(golden + RESPONSE_FILE, response)
    return rows, f"{bundle.ref.name}/{NOTE_FILE}"


def guide(bundle: Bundle, folder: str, rows: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return how to serve the export, and how to test it."""
    name = bundle.ref.name
    return (f"tritonserver --model-repository={quote(folder)}",), asking(name, f"{folder}/{name}/golden", rows)


def asking(name: str, golden: str, rows: int) -> tuple[str, ...]:
    """Return how to ask a server of this protocol for the golden rows."""
    if not rows:
        return (
            f"send the tensors in {golden}/test_data_set_0: every golden row has missing values, which JSON has not",
        )
    return (
        f"curl -s localhost:8000/v2/models/{name}/infer -d {quote(f'@{golden}/{REQUEST_FILE}')}",
        f"its outputs are those of {golden}/{RESPONSE_FILE}, within tolerance.json",
    )
