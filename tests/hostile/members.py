"""Members, graphs and documents that lie, signed by a trusted builder."""

import json
from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper

from candidate.adapters.graph import canonical_graph
from candidate.adapters.graph.tensors import tensor_bytes
from candidate.canonical import canonical, digest_of
from candidate.documents.names import (
    CARD_PATH,
    EXPERIMENT_PATH,
    INPUT_SCHEMA_PATH,
    MODEL_PATH,
    SIGNATURE_PATH,
    TOLERANCE_PATH,
)
from tests.bundles import (
    sealed,
    tiny_model,
    tiny_recipe,
    tiny_signature,
)
from tests.hostile.kit import Kit, add, listed, numpy_objects, renamed, set_fields, set_member, set_metadata, without

PICKLE = b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94."


MEMBERS: dict[str, Callable[[Kit], bytes]] = {
    "pickle in a doc": lambda kit: kit.signed(add("notes.md", PICKLE)),
    "old pickle in a dataset": lambda kit: kit.signed(add("rows.bin", b"cos\nsystem\n(S'id'\ntR.", "dataset")),
    "pickle as the card": set_member(CARD_PATH, lambda data: PICKLE + data),
    "pickle as the graph": lambda kit: kit.signed(add(MODEL_PATH, PICKLE, "model")),
    "zip in a doc": lambda kit: kit.signed(add("notes.md", b"PK\x03\x04" + bytes(30))),
    "gzip in a dataset": lambda kit: kit.signed(add("rows.bin", b"\x1f\x8b\x08" + bytes(30), "dataset")),
    "HDF5 in a dataset": lambda kit: kit.signed(add("rows.bin", b"\x89HDF\r\n\x1a\n", "dataset")),
    "machine code in a doc": lambda kit: kit.signed(add("notes.md", b"\x7fELF\x02")),
    "object array": lambda kit: kit.signed(add("rows.npy", numpy_objects(), "dataset")),
    "ending of a pickle": lambda kit: kit.signed(add("model/extra.PKL", b"text", "dataset")),
    "ending of skops": lambda kit: kit.signed(add("estimator.skops", b"text")),
    "Windows device": lambda kit: kit.signed(add("docs/con.md")),
    "Windows printer": lambda kit: kit.signed(add("LPT1")),
    "trailing dot": lambda kit: kit.signed(add("docs./a.md")),
    "folder in another case": lambda kit: kit.signed(add("Model/notes.md")),
    "file that is a folder": lambda kit: kit.signed(add("model")),
    "path upwards": listed("zzz/../../x"),
    "path from the root": listed("/zzz.md"),
    "path with a drive": listed("z:zzz.md"),
    "path with a backslash": listed("zzz\\..\\x"),
    "path with an empty segment": listed("zzz//x"),
    "hidden path": listed("zzz/.ssh"),
    "path with a line end": listed("zzz.md\n"),
    "path with a space": listed("zzz .md"),
    "path in another script": listed("zz\u0456.md"),
    "path with a turning mark": listed("zz\u202eg.md"),
    "second graph": lambda kit: kit.signed(add("model/second.onnx", tiny_recipe().model, "model")),
    "second signature": lambda kit: kit.signed(add("other.json", tiny_signature().to_bytes(), "signature")),
    "weights nobody reads": lambda kit: kit.signed(add("model/w.data", b"1234", "weights")),
    "golden file nobody reads": lambda kit: kit.signed(add("golden/test_data_set_0/input_9.pb", b"", "golden")),
    "no graph": without(MODEL_PATH),
    "no signature": without(SIGNATURE_PATH),
    "no card": without(CARD_PATH),
    "no experiment": without(EXPERIMENT_PATH),
    "no tolerance": without(TOLERANCE_PATH),
    "no golden input": without("golden/test_data_set_0/input_1.pb"),
    "no golden output": without("golden/test_data_set_0/output_0.pb"),
    "name that steers a terminal": renamed(name="a\x1b[2J"),
    "name that is a path": renamed(name="../a"),
    "time that is none": renamed(created_at="yesterday"),
    "metadata not canonical": set_metadata(lambda data: data + b" "),
    "metadata with a repeated key": set_metadata(lambda data: data.replace(b"{", b'{"kind":"candidate.manifest",', 1)),
    "metadata with an unknown field": set_metadata(lambda data: canonical({**json.loads(data), "extra": 1})),
    "metadata of another kind": set_metadata(lambda data: data.replace(b"candidate.manifest", b"candidate.magazine")),
    "metadata with another role": set_metadata(lambda data: data.replace(b'"role":"doc"', b'"role":"golden"')),
    "metadata with another digest": set_metadata(
        lambda data: data.replace(digest_of(b"# tiny\n")[7:].encode(), b"0" * 64)
    ),
    "metadata without a file": set_metadata(
        lambda data: canonical({**json.loads(data), "files": json.loads(data)["files"][1:]})
    ),
    "metadata with files out of order": set_metadata(
        lambda data: canonical({**json.loads(data), "files": json.loads(data)["files"][::-1]})
    ),
    "metadata that is a list": set_metadata(lambda _: b"[]"),
    "experiment with a number that is none": set_member(
        EXPERIMENT_PATH, lambda data: data.replace(b'"numpy":0', b'"numpy":NaN')
    ),
    "experiment with an endless number": set_member(
        EXPERIMENT_PATH, lambda data: data.replace(b'"numpy":0', b'"numpy":' + b"1" * 5000)
    ),
    "tolerance that lets all pass": set_fields(TOLERANCE_PATH, absolute=1.0),
    "tolerance below zero": set_fields(TOLERANCE_PATH, absolute=-1.0),
    "tolerance with no rows": set_fields(TOLERANCE_PATH, rows=0),
    "tolerance with other rows": set_fields(TOLERANCE_PATH, rows=5),
    "bill of materials that is none": set_fields("mlbom.cdx.json", bomFormat="SPDX"),
}


def graph(change: Callable[[onnx.ModelProto], object], *, canonical_form: bool = True) -> Callable[[Kit], bytes]:
    """A bundle with another graph, signed; facts are those of the good one unless it passes."""

    def spoil(kit: Kit) -> bytes:
        model = tiny_model()
        change(model)
        data = canonical_graph(model) if canonical_form else model.SerializeToString()
        kit.recipe.members[MODEL_PATH] = ("model", data)
        return sealed(kit.recipe, kit.builder)

    return spoil


def outside(tensor: onnx.TensorProto, location: str) -> None:
    """Let a tensor keep its data in another file."""
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location


def constant_outside(model: onnx.ModelProto) -> None:
    """A Constant node whose attribute keeps its data in another file."""
    tensor = helper.make_tensor("secret", onnx.TensorProto.FLOAT, [1], [0.0])
    outside(tensor, ".env")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["secret"], value=tensor))


def foreign_operator(model: onnx.ModelProto) -> None:
    """An operator of somebody's library."""
    model.graph.node[2].domain = "com.microsoft"
    model.opset_import.add(domain="com.microsoft", version=1)


def hidden_operator(model: onnx.ModelProto) -> None:
    """An operator of somebody's library inside a subgraph."""
    branch = helper.make_graph(
        [helper.make_node("Evil", [], ["branch"], domain="evil")],
        "branch",
        [],
        [helper.make_tensor_value_info("branch", onnx.TensorProto.FLOAT, [1])],
    )
    flag = helper.make_tensor("flag", onnx.TensorProto.BOOL, [1], [True])
    model.graph.initializer.append(flag)
    node = helper.make_node("If", ["flag"], ["unused"], then_branch=branch, else_branch=branch)
    model.graph.node.append(node)


def twice_metadata(model: onnx.ModelProto) -> None:
    """One metadata key with two values."""
    for value in ("a", "b"):
        entry = model.metadata_props.add()
        entry.key, entry.value = "model_hash", value


def schema(**changes: object) -> Callable[[Kit], bytes]:
    """A bundle with a changed input schema."""
    return set_fields(INPUT_SCHEMA_PATH, **changes)


GRAPHS: dict[str, Callable[[Kit], bytes]] = {
    "not a graph": set_member(MODEL_PATH, lambda _: b"\xff" * 100),
    "graph cut short": set_member(MODEL_PATH, lambda data: data[:-3]),
    "graph not canonical": graph(lambda model: model.graph.__setattr__("doc_string", "x"), canonical_form=False),
    "external data": graph(lambda model: outside(model.graph.initializer[0], "w.data")),
    "external data upwards": graph(lambda model: outside(model.graph.initializer[0], "../../etc/passwd")),
    "external data in memory": graph(lambda model: outside(model.graph.initializer[0], "*/_ORT_MEM_ADDR_/*")),
    "external data in a constant": graph(constant_outside),
    "foreign operator": graph(foreign_operator),
    "foreign operator in a branch": graph(hidden_operator),
    "metadata twice": graph(twice_metadata, canonical_form=False),
    "another graph than the facts say": graph(lambda model: model.graph.node[2].__setattr__("op_type", "Tanh")),
    "signature with another name": set_fields(
        SIGNATURE_PATH,
        inputs=[{"name": name, "dtype": "float32", "shape": ["batch", 1]} for name in ("age", "wealth")],
    ),
    "signature with another type": set_member(SIGNATURE_PATH, lambda data: data.replace(b'"float32"', b'"float64"')),
    "signature in another order": set_fields(
        SIGNATURE_PATH,
        inputs=[{"name": name, "dtype": "float32", "shape": ["batch", 1]} for name in ("income", "age")],
    ),
    "signature without an input": set_fields(
        SIGNATURE_PATH, inputs=[{"name": "age", "dtype": "float32", "shape": ["batch", 1]}]
    ),
    "signature with an output that is none": set_fields(SIGNATURE_PATH, score_output="elsewhere"),
    "signature with another class": set_fields(SIGNATURE_PATH, positive=7),
    "signature with three classes": set_fields(SIGNATURE_PATH, classes=[0, 1, 2]),
    "schema without a feature": schema(properties={"age": {"type": "number"}}, required=["age"]),
    "schema with another feature": schema(
        properties={name: {"type": "number"} for name in ("age", "income", "name")}, required=["age", "income", "name"]
    ),
    "schema with another type": schema(properties={"age": {"type": "string"}, "income": {"type": "number"}}),
    "schema with nothing required": schema(required=[]),
    "schema open to more": schema(additionalProperties=True),
    "schema in another dialect": schema(**{"$schema": "http://json-schema.org/draft-07/schema#"}),
    "schema that refers elsewhere": schema(
        properties={"age": {"$ref": "https://example.com/"}, "income": {"type": "number"}}
    ),
    "schema that is not valid": schema(properties={"age": {"type": "real"}, "income": {"type": "number"}}),
    "schema not canonical": set_member(INPUT_SCHEMA_PATH, lambda data: json.dumps(json.loads(data), indent=1).encode()),
    "golden input of another type": lambda kit: kit.signed(
        add("golden/test_data_set_0/input_0.pb", tensor_bytes(np.zeros((4, 1)), "age"), "golden")
    ),
    "golden input of another shape": lambda kit: kit.signed(
        add("golden/test_data_set_0/input_0.pb", tensor_bytes(np.zeros((4, 2), dtype=np.float32), "age"), "golden")
    ),
    "golden input with another name": lambda kit: kit.signed(
        add("golden/test_data_set_0/input_0.pb", tensor_bytes(np.zeros((4, 1), dtype=np.float32), "x"), "golden")
    ),
    "golden input that is rubbish": set_member("golden/test_data_set_0/input_0.pb", lambda _: b"\xff\xff\xff"),
    "golden input cut short": set_member("golden/test_data_set_0/input_0.pb", lambda _: golden_short()),
    "golden input in another file": set_member("golden/test_data_set_0/input_0.pb", lambda _: golden_outside()),
}


def golden_short() -> bytes:
    """A tensor with fewer bytes than its shape needs."""
    tensor = onnx.TensorProto(dims=[4, 1], data_type=onnx.TensorProto.FLOAT, raw_data=b"\0" * 7, name="age")
    return bytes(tensor.SerializeToString())


def golden_outside() -> bytes:
    """A tensor that keeps its data in another file."""
    tensor = onnx.TensorProto(dims=[4, 1], data_type=onnx.TensorProto.FLOAT, name="age")
    outside(tensor, "../../.env")
    return bytes(tensor.SerializeToString())
