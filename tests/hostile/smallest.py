"""The smallest bundle that is valid: one feature, one node, one golden row."""

from functools import cache

import numpy as np
import onnx
from onnx import TensorProto, helper

from candidate.adapters.graph import canonical_graph
from candidate.adapters.graph.tensors import tensor_bytes
from candidate.canonical import canonical
from candidate.documents.manifest import (
    CodeRecord,
    DataRecord,
    ExperimentRecord,
    HostRecord,
    ModelSignature,
    Tensor,
    Tolerance,
)
from candidate.documents.names import (
    CARD_PATH,
    ENVIRONMENT_PATH,
    EXPERIMENT_PATH,
    GOLDEN_DIRECTORY,
    INPUT_SCHEMA_PATH,
    MLBOM_PATH,
    MODEL_PATH,
    OUTPUT_SCHEMA_PATH,
    SIGNATURE_PATH,
    TOLERANCE_PATH,
)
from tests.bundles import DIALECT, Recipe, input_schema


def smallest_model() -> onnx.ModelProto:
    """A regression that answers its one feature: from (batch, 1) to (batch,)."""
    graph = helper.make_graph(
        [helper.make_node("ReduceMax", ["x"], ["y"], axes=[1], keepdims=0)],
        "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch"])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@cache
def smallest_recipe() -> Recipe:
    """Its members; copy them before changing them."""
    model = canonical_graph(smallest_model())
    signature = ModelSignature(
        task="regression",
        inputs=(Tensor(name="x", dtype="float32", shape=("batch", 1)),),
        outputs=(Tensor(name="y", dtype="float32", shape=("batch",)),),
        label_output="y",
        score_output=None,
        classes=(),
        positive=None,
        threshold=None,
        label="y",
    )
    experiment = ExperimentRecord(
        code=CodeRecord(commit=None, dirty=None, source="m", source_digest=None),
        data=DataRecord(
            digest="sha256:" + "d" * 64,
            rows=1,
            label="y",
            label_mean=None,
            features=("x",),
            unit=None,
            time=None,
            feature_set=None,
            snapshot=None,
        ),
        params={},
        seeds={},
        curves={},
        record={},
        libraries={},
        host=HostRecord(system="", machine="", python="", implementation=""),
    )
    value = np.array([[0.5]], dtype=np.float32)
    return Recipe(
        members={
            MODEL_PATH: ("model", model),
            SIGNATURE_PATH: ("signature", signature.to_bytes()),
            INPUT_SCHEMA_PATH: ("schema", canonical(input_schema(("x",)))),
            OUTPUT_SCHEMA_PATH: ("schema", canonical({"$schema": DIALECT})),
            TOLERANCE_PATH: ("golden", Tolerance(absolute=0.0, relative=0.0, rows=1).to_bytes()),
            EXPERIMENT_PATH: ("experiment", experiment.to_bytes()),
            ENVIRONMENT_PATH: ("environment", b"\n"),
            CARD_PATH: ("doc", b"#\n"),
            MLBOM_PATH: ("mlbom", canonical({"bomFormat": "CycloneDX", "specVersion": "1.6"})),
            f"{GOLDEN_DIRECTORY}/input_0.pb": ("golden", tensor_bytes(value, "x")),
            f"{GOLDEN_DIRECTORY}/output_0.pb": ("golden", tensor_bytes(value[:, 0], "y")),
        },
        model=model,
    )
