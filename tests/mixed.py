"""A bundle with a feature of every dtype, odd names, text for answers, and its weights in a file of their own."""

from pathlib import Path

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper

from candidate.adapters.attest import Signer
from candidate.documents.spec import BuildSpec
from candidate.flows.building import build

CITY = 'city "ä"\n'
INPUTS = {
    "age": TensorProto.FLOAT,
    "income": TensorProto.DOUBLE,
    "visits": TensorProto.INT64,
    "rank": TensorProto.INT32,
    "member": TensorProto.BOOL,
    CITY: TensorProto.STRING,
}
SPEC = """
[bundle]
name = "7-mixed"
version = "1.0.0+a"
[model]
source = "mixed.onnx"
[data]
train = "{train}"
label = "late"
"""


def mixed_model() -> onnx.ModelProto:
    """A logistic regression that fills missing ages by zero and answers in German."""
    weights = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[6, 1])
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "mixed.data"), ("offset", "0"), ("length", "24")):
        weights.external_data.add(key=key, value=value)
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    casts = [
        helper.make_node("Cast", [name], [f"as_float_{number}"], to=TensorProto.FLOAT)
        for number, name in enumerate(INPUTS)
        if name not in {"age", CITY}
    ]
    nodes = [
        *casts,
        helper.make_node("IsNaN", ["age"], ["no_age"]),
        helper.make_node("Where", ["no_age", "zero", "age"], ["as_float_0"]),
        helper.make_node(
            "LabelEncoder", [CITY], ["as_float_5"], domain="ai.onnx.ml",
            keys_strings=["oslo", "tromsø"], values_floats=[0.5, -0.5], default_float=0.0,
        ),
        helper.make_node("Concat", [f"as_float_{number}" for number in range(6)], ["row"], axis=1),
        helper.make_node("MatMul", ["row", "weights"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["yes"]),
        helper.make_node("Sub", ["one", "yes"], ["no"]),
        helper.make_node("Concat", ["no", "yes"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["number"], axis=1, keepdims=0),
        helper.make_node(
            "LabelEncoder", ["number"], ["label"], domain="ai.onnx.ml",
            keys_int64s=[0, 1], values_strings=["pünktlich", "spät"],
        ),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "mixed",
        [helper.make_tensor_value_info(name, kind, ["batch", 1]) for name, kind in INPUTS.items()],
        [
            helper.make_tensor_value_info("label", TensorProto.STRING, ["batch"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2]),
        ],
        [weights, zero, one],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 2)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def rows(*, ages: bool = True) -> pd.DataFrame:
    """Some people; one age in ten is missing, or every one."""
    rng = np.random.default_rng(0)
    age = rng.normal(size=300).astype("float32")
    age[:: 10 if ages else 1] = np.nan
    table = pd.DataFrame(
        {
            "age": age,
            "income": rng.normal(size=300),
            "visits": rng.integers(0, 5, 300),
            "rank": rng.integers(0, 5, 300).astype("int32"),
            "member": rng.random(300) < 0.5,
            CITY: rng.choice(["oslo", "tromsø", "bergen"], 300),
        }
    )
    table["late"] = np.where(rng.random(300) < 0.5, "spät", "pünktlich")
    return table


def mixed_bundle(folder: Path, signer: Signer, *, ages: bool = True) -> Path:
    """Build the bundle in this folder."""
    (folder / "mixed.onnx").write_bytes(mixed_model().SerializeToString())
    (folder / "mixed.data").write_bytes(np.array([0.3, -0.2, 0.1, 0.05, 0.4, 1.0], dtype="<f4").tobytes())
    train = f"train-{ages}.parquet"
    rows(ages=ages).to_parquet(folder / train, index=False)
    spec = BuildSpec.from_toml(SPEC.format(train=train), where="candidate.toml")
    return Path(build(spec, root=folder, out=folder / f"bundles-{ages}", signer=signer).path)
