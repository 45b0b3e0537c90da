"""Read an export as its server does, and compare with the golden rows: ``read_export.py triton|mlflow|kserve FOLDER``.

Runs in the environment of tests/peers/serving.txt, without candidate; prints one line of JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper


def golden(folder: Path, kind: str) -> dict[str, Any]:
    """The golden inputs or outputs by name; text as text."""
    found = {}
    for path in sorted((folder / "test_data_set_0").glob(f"{kind}_*.pb")):
        proto = onnx.TensorProto.FromString(path.read_bytes())
        array = numpy_helper.to_array(proto)
        found[proto.name] = array.astype(str) if array.dtype.kind == "O" else array
    return found


def check(answers: dict[str, Any], wanted: dict[str, Any], tolerance: dict[str, Any]) -> None:
    """Hold answers against golden outputs: shapes, dtypes, and values within the bundle's tolerance."""
    assert set(answers) == set(wanted)
    for name, array in wanted.items():
        found = np.asarray(answers[name])
        assert found.shape == array.shape, (name, found.shape, array.shape)
        if array.dtype.kind == "U":
            assert found.astype(str).tolist() == array.tolist(), name
        else:
            assert found.dtype == array.dtype, (name, found.dtype)
            np.testing.assert_allclose(found, array, rtol=tolerance["relative"], atol=tolerance["absolute"])


def tolerance_in(folder: Path) -> dict[str, Any]:
    """The bundle's tolerance."""
    found: dict[str, Any] = json.loads((folder / "tolerance.json").read_bytes())
    return found


def read_mlflow(folder: Path) -> dict[str, Any]:
    """Load the model by both flavors, predict a DataFrame and a dict, and ask the scoring server."""
    import mlflow
    import pandas as pd
    from fastapi.testclient import TestClient
    from mlflow.pyfunc import scoring_server

    feeds, wanted = golden(folder / "golden", "input"), golden(folder / "golden", "output")
    tolerance = tolerance_in(folder / "golden")
    loaded = mlflow.pyfunc.load_model(str(folder))
    frame = pd.DataFrame({name: array.reshape(-1) for name, array in feeds.items()})
    check(loaded.predict(frame), wanted, tolerance)
    check(loaded.predict(feeds), wanted, tolerance)
    graph = mlflow.onnx.load_model(str(folder))
    served = None
    if (folder / "serving_input_example.json").exists():
        example = loaded.input_example
        direct = loaded.predict(example)
        body = (folder / "serving_input_example.json").read_bytes()
        client = TestClient(scoring_server.init(loaded))
        response = client.post("/invocations", content=body, headers={"Content-Type": "application/json"})
        assert response.status_code == 200, response.text
        served = response.json()["predictions"]
        for name, array in direct.items():
            assert np.asarray(served[name]).tolist() == array.tolist(), name
    return {
        "rows": len(frame),
        "served": None if served is None else len(next(iter(served.values()))),
        "metadata": loaded.metadata.metadata,
        "inputs": loaded.metadata.get_input_schema().input_names(),
        "graph": [value.name for value in graph.graph.input],
    }


def read_triton(folder: Path) -> dict[str, Any]:
    """Parse the configuration by Triton's own schema, and hold the graph against it as the backend does."""
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    (model,) = (path for path in folder.iterdir() if path.is_dir())
    text = (model / "config.pbtxt").read_text()
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert config.name == model.name
    session = onnxruntime.InferenceSession(str(model / "1" / config.default_model_filename))
    kinds = {
        "TYPE_FP32": "tensor(float)",
        "TYPE_FP64": "tensor(double)",
        "TYPE_INT64": "tensor(int64)",
        "TYPE_INT32": "tensor(int32)",
        "TYPE_BOOL": "tensor(bool)",
        "TYPE_STRING": "tensor(string)",
    }
    for stated, actual in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
        assert {tensor.name for tensor in stated} == {tensor.name for tensor in actual}
        by_name = {tensor.name: tensor for tensor in actual}
        for tensor in stated:
            kind = model_config_pb2.DataType.Name(tensor.data_type)
            assert kinds[kind] == by_name[tensor.name].type
            dims = list(tensor.reshape.shape) if tensor.HasField("reshape") else list(tensor.dims)
            whole = [-1, *dims] if config.max_batch_size else dims
            assert whole == [-1 if isinstance(size, str) else size for size in by_name[tensor.name].shape]
    if (model / "golden").is_dir():
        feeds = golden(model / "golden", "input")
        answers = dict(
            zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True),
        )
        check(answers, golden(model / "golden", "output"), tolerance_in(model / "golden"))
    return {
        "name": config.name,
        "max_batch_size": config.max_batch_size,
        "parameters": {key: value.string_value for key, value in sorted(config.parameters.items())},
        "kind": [config.instance_group[0].Kind.Name(group.kind) for group in config.instance_group],
    }


def parsed(client: Any, said: dict[str, Any], kind: str) -> Any:
    """Read JSON as an object of a published model; a field that the model does not know would be lost."""

    class Answer:
        data = json.dumps(said)

    found = client.deserialize(Answer, kind)
    assert filled(client.sanitize_for_serialization(found)) == said, kind
    return found


def filled(value: Any) -> Any:
    """A value without the empty words that a model fills in."""
    return {key: filled(inner) for key, inner in value.items() if inner != ""} if isinstance(value, dict) else value


def read_kserve(folder: Path) -> dict[str, Any]:
    """Read every part by KServe's own classes; decode the request with them, and answer it by the graph."""
    import yaml
    from kserve import InferRequest, V1beta1InferenceService
    from kserve.api_client import ApiClient
    from kserve.protocol.rest.v2_datamodels import InferenceRequest, InferenceResponse, ModelMetadataResponse
    from kubernetes.client import V1ObjectMeta

    metadata = ModelMetadataResponse.model_validate_json((folder / "metadata.json").read_bytes())
    said = yaml.safe_load((folder / "inferenceservice.yaml").read_text())
    assert set(said) <= set(V1beta1InferenceService.attribute_map.values())
    spec = parsed(ApiClient(), said["spec"], "V1beta1InferenceServiceSpec")
    assert set(said["metadata"]) <= set(V1ObjectMeta.attribute_map.values())
    rows = None
    if (folder / "golden/request.json").exists():
        body = (folder / "golden/request.json").read_bytes()
        InferenceRequest.model_validate_json(body)
        request = InferRequest.from_bytes(body, len(body), metadata.name)
        feeds = {
            tensor.name: np.vectorize(lambda word: word.decode() if isinstance(word, bytes) else word, otypes=[object])(
                tensor.as_numpy()
            )
            if tensor.datatype == "BYTES"
            else tensor.as_numpy()
            for tensor in request.inputs
        }
        session = onnxruntime.InferenceSession(str(folder / f"models/{metadata.name}/1/model.onnx"))
        answers = session.run(None, feeds)
        response = InferenceResponse.model_validate_json((folder / "golden/response.json").read_bytes())
        tolerance = tolerance_in(folder / "golden")
        for stated, name, array in zip(response.outputs, [o.name for o in session.get_outputs()], answers, strict=True):
            assert stated.name == name
            said_values = np.asarray(stated.data).reshape(stated.shape).reshape(array.shape)
            if array.dtype.kind == "O":
                assert said_values.tolist() == array.tolist()
            else:
                np.testing.assert_allclose(said_values, array, rtol=tolerance["relative"], atol=tolerance["absolute"])
        rows = request.inputs[0].shape[0]
    return {
        "name": metadata.name,
        "inputs": [tensor.name for tensor in metadata.inputs],
        "rows": rows,
        "storage": spec.predictor.model.storage_uri,
    }


READERS = {"mlflow": read_mlflow, "triton": read_triton, "kserve": read_kserve}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(READERS[sys.argv[1]](Path(sys.argv[2]))) + "\n")
