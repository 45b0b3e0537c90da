"""An MLflow model directory with the onnx flavor, and pyfunc through it. Nothing of MLflow is needed to write it.

The signature is of tensors, not of columns: with columns MLflow would feed rank 1 where the graph takes
(rows, 1), and flatten a table of probabilities. With tensors ``predict`` takes a DataFrame or a dict of
arrays, and answers with every output in its own shape.

Source: MLflow 3, "MLmodel" format, mlflow.onnx and mlflow.models.signature.
"""

import json
from shlex import quote
from typing import Any

from candidate.documents.exported import NOTE_FILE
from candidate.documents.manifest import Tensor
from candidate.flows.exporting.block import yaml_bytes
from candidate.flows.exporting.layout import Layout
from candidate.flows.exporting.protocol import json_bytes, plain_rows
from candidate.flows.inspecting import Bundle

EXAMPLE_ROWS = 5
EXAMPLE_FILE = "input_example.json"
SERVING_FILE = "serving_input_example.json"
_MLFLOW = "mlflow>=3,<4"
_NEEDED = ("numpy", "onnx", "onnxruntime")


def _schema(tensors: tuple[Tensor, ...]) -> str:
    """Return tensors as MLflow's ``TensorSpec`` list, which is JSON inside YAML."""
    specs = [
        {
            "name": tensor.name,
            "type": "tensor",
            "tensor-spec": {
                "dtype": "str" if tensor.dtype == "string" else tensor.dtype,
                "shape": [-1 if isinstance(size, str) else size for size in tensor.shape],
            },
        }
        for tensor in tensors
    ]
    return json.dumps(specs, ensure_ascii=False)


def _requirements(bundle: Bundle) -> list[str]:
    """Return what serving needs, at the versions that the bundle was proven with."""
    versions = bundle.experiment.libraries
    return [_MLFLOW, *(f"{name}=={versions[name]}" if name in versions else name for name in _NEEDED)]


def _example(bundle: Bundle) -> dict[str, Any] | None:
    """Return a few golden rows as MLflow stores a DataFrame; None if JSON can say none of them."""
    feeds, _ = plain_rows(bundle)
    columns = list(bundle.signature.features)
    lists = [feeds[name][:EXAMPLE_ROWS].reshape(-1).tolist() for name in columns]
    rows = [list(row) for row in zip(*lists, strict=True)]
    return {"columns": columns, "data": rows} if rows else None


def mlmodel(bundle: Bundle, *, example: bool) -> dict[str, Any]:
    """Return the ``MLmodel`` file: flavors, signature, and which bundle this is."""
    who, signature = bundle.manifest.descriptor, bundle.signature
    versions = bundle.experiment.libraries
    facts: dict[str, Any] = {
        "flavors": {
            "onnx": {
                "code": None,
                "data": "model.onnx",
                "onnx_session_options": None,
                "onnx_version": versions.get("onnx"),
                "providers": ["CPUExecutionProvider"],
            },
            "python_function": {
                "data": "model.onnx",
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.onnx",
                "python_version": bundle.experiment.host.python,
            },
        },
        "metadata": {
            "candidate.bundle": bundle.ref.digest,
            "candidate.name": bundle.ref.name,
            "candidate.version": bundle.ref.version,
        },
        "model_uuid": bundle.ref.digest.removeprefix("sha256:")[:32],
        "signature": {"inputs": _schema(signature.inputs), "outputs": _schema(signature.outputs), "params": None},
        "utc_time_created": who.created_at.replace("T", " ").removesuffix("Z") + ".000000",
    }
    if example:
        facts["saved_input_example_info"] = {
            "artifact_path": EXAMPLE_FILE,
            "pandas_orient": "split",
            "serving_input_path": SERVING_FILE,
            "type": "dataframe",
        }
    return facts


def write(bundle: Bundle, layout: Layout) -> tuple[int, str]:
    """Write the export.

    Returns:
        Number of golden rows without missing values, and where the note belongs.
    """
    needed, python = _requirements(bundle), bundle.experiment.host.python
    example = _example(bundle)
    layout.put("MLmodel", yaml_bytes(mlmodel(bundle, example=example is not None)))
    layout.put("requirements.txt", "".join(f"{line}\n" for line in needed).encode())
    layout.put("python_env.yaml", yaml_bytes({"python": python, "dependencies": ["-r requirements.txt"]}))
    environment = {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": needed}],
    }
    layout.put("conda.yaml", yaml_bytes(environment))
    if example is not None:
        layout.put(EXAMPLE_FILE, json_bytes(example))
        layout.put(SERVING_FILE, json_bytes({"dataframe_split": example}))
    layout.model(bundle, "")
    layout.golden(bundle, "golden/")
    feeds, _ = plain_rows(bundle)
    return len(next(iter(feeds.values()))), NOTE_FILE


def guide(_bundle: Bundle, folder: str, rows: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return how to serve the export, and how to test it."""
    told = "-H 'Content-Type: application/json'"
    asked = f"curl -s localhost:5000/invocations {told} -d {quote(f'@{folder}/{SERVING_FILE}')}"
    golden = f"mlflow.pyfunc.load_model({folder!r}).predict(golden inputs) equals the outputs in {folder}/golden"
    return (f"mlflow models serve -m {quote(folder)}",), (*((asked,) if rows else ()), golden)
