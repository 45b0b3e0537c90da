"""Members, graphs and documents that lie, signed by a trusted builder."""

import json
import zlib
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
    "path of another host": listed("\\\\host\\share"),
    "path with a stream": listed("zzz.md:evil"),
    "path in two normal forms": listed("zze\u0301.md"),
    "path that folds to another": listed("zz\u00df.md"),
    "path with a mark of no width": listed("zz\u200b.md"),
    "path with a trailing space": listed("zzz.md "),
    "path of secrets": listed("zzz/.env"),
    "oldest pickle in a dataset": lambda kit: kit.signed(
        add("rows.bin", b"(dp0\nVa\np1\ncos\nsystem\n(S'id'\ntRs.", "dataset")
    ),
    "pickle of numbers in a dataset": lambda kit: kit.signed(add("rows.bin", b"}q\x00.", "dataset")),
    "joblib in its default compression": lambda kit: kit.signed(
        add("rows.bin", zlib.compress(b"\x80\x04\x95", 3), "dataset")
    ),
    "lzma in a dataset": lambda kit: kit.signed(add("rows.bin", b"\x5d\x00\x00\x80\x00", "dataset")),
    "lz4 in a dataset": lambda kit: kit.signed(add("rows.bin", b"\x04\x22\x4d\x18\x64", "dataset")),
    "tar in a dataset": lambda kit: kit.signed(add("rows.bin", kit.data, "dataset")),
    "name of the claims": lambda kit: kit.signed(add("claims.jsonl", b"{}\n")),
    "name of the model signature": lambda kit: kit.signed(add("Model.sig", b"{}\n")),
    "newest pickle in a dataset": lambda kit: kit.signed(add("rows.bin", b"\x80\x05\x95", "dataset")),
    "Keras archive": lambda kit: kit.signed(add("model.keras", b"PK\x03\x04" + bytes(30))),
    "joblib under its name": lambda kit: kit.signed(add("estimator.joblib", b"text")),
    "bzip2 in a dataset": lambda kit: kit.signed(add("rows.bin", b"BZh91AY&SY", "dataset")),
    "zstd in a dataset": lambda kit: kit.signed(add("rows.bin", b"\x28\xb5\x2f\xfd\x00", "dataset")),
    "skops under another name": lambda kit: kit.signed(add("estimator.txt", b"PK\x03\x04" + b"schema.json")),
    "library for operators": lambda kit: kit.signed(add("libops.so", b"text", "dataset")),
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
    "metadata with a lone surrogate": set_metadata(
        lambda data: data.replace(b'"description":""', b'"description":"\\ud800"')
    ),
    "metadata nested deeply": set_metadata(lambda _: b'{"files":' * 100_000),
    "metadata with a key in capitals": set_metadata(lambda data: data.replace(b'"files"', b'"Files"')),
    "metadata that says an exbibyte": set_metadata(
        lambda data: canonical(
            {
                **json.loads(data),
                "files": [{**file, "size": 2**53 - 1} for file in json.loads(data)["files"]],
            }
        )
    ),
    "experiment nested deeply": set_member(
        EXPERIMENT_PATH, lambda data: data.replace(b'"params":{}', b'"params":' + b'{"a":' * 5000 + b"1" + b"}" * 5000)
    ),
    "experiment with an exponent too far": set_member(
        EXPERIMENT_PATH, lambda data: data.replace(b'"rows":100', b'"rows":1e999')
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


def context_node(model: onnx.ModelProto) -> None:
    """A node that hands its work to an execution provider's own binary."""
    model.graph.node.insert(
        0, helper.make_node("EPContext", ["age"], ["c"], domain="com.microsoft", ep_cache_context="evil.bin")
    )


def own_function(model: onnx.ModelProto) -> None:
    """A function that takes the place of an operator of ONNX."""
    own = onnx.FunctionProto(name="Sigmoid", domain="", input=["x"], output=["y"])
    own.opset_import.add(domain="", version=17)
    own.node.append(helper.make_node("Neg", ["x"], ["y"]))
    model.functions.append(own)


def metadata(key: str, value: str) -> Callable[[onnx.ModelProto], None]:
    """A note in the graph that some readers believe."""

    def change(model: onnx.ModelProto) -> None:
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value

    return change


def field(number: int, data: bytes) -> bytes:
    """A length-delimited field of a protobuf message (below 2**28 bytes)."""
    size = len(data)
    length = bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([number << 3 | 2]) + bytes([*length, size]) + data


def nested(kit: Kit) -> bytes:
    """Branches in branches, deeper than any converter writes: graph, node, attribute, graph, and so on."""
    graph = b""
    for _ in range(2000):
        graph = field(1, field(4, b"If") + field(5, field(1, b"then_branch") + field(6, graph)))
    data = kit.recipe.model + field(7, graph)
    kit.recipe.members[MODEL_PATH] = ("model", data)
    return sealed(kit.recipe, kit.builder)


def runs(*nodes: onnx.NodeProto, initializers: tuple[onnx.TensorProto, ...]) -> Callable[[Kit], bytes]:
    """A bundle whose graph is valid, says what it is, and costs more than it should; ``one`` is its product."""

    def spoil(kit: Kit) -> bytes:
        model = tiny_model()
        model.graph.initializer[2].name = "plain"
        model.graph.initializer.extend(initializers)
        for node in reversed(nodes):
            model.graph.node.insert(0, node)
        kit.recipe.model = canonical_graph(model)
        kit.recipe.members[MODEL_PATH] = ("model", kit.recipe.model)
        return sealed(kit.recipe, kit.builder)

    return spoil


def altered_answer(kit: Kit) -> bytes:
    """A golden output that the graph does not give."""
    data = tensor_bytes(np.array([1, 1, 1, 1], dtype=np.int64), "label")
    return kit.signed(add("golden/test_data_set_0/output_0.pb", data, "golden"))


ENDLESS = helper.make_graph(
    [helper.make_node("Identity", ["go"], ["again"]), helper.make_node("Identity", ["before"], ["after"])],
    "body",
    [
        helper.make_tensor_value_info("round", onnx.TensorProto.INT64, []),
        helper.make_tensor_value_info("go", onnx.TensorProto.BOOL, []),
        helper.make_tensor_value_info("before", onnx.TensorProto.FLOAT, [1]),
    ],
    [
        helper.make_tensor_value_info("again", onnx.TensorProto.BOOL, []),
        helper.make_tensor_value_info("after", onnx.TensorProto.FLOAT, [1]),
    ],
)
"""The body of a loop that does nothing."""

REPLAYS: dict[str, Callable[[Kit], bytes]] = {
    "golden answers that are not the graph's": altered_answer,
    "another weight than was run": graph(lambda model: model.graph.initializer[1].float_data.__setitem__(0, 9.0)),
    "a constant of tebibytes": runs(
        helper.make_node("Expand", ["plain", "shape"], ["big"]),
        helper.make_node("ReduceMax", ["big"], ["one"], keepdims=0),
        initializers=(helper.make_tensor("shape", onnx.TensorProto.INT64, [2], [1 << 22, 1 << 22]),),
    ),
    "a loop of a quintillion rounds": runs(
        helper.make_node("Loop", ["rounds", "begin", "plain"], ["one"], body=ENDLESS),
        initializers=(
            helper.make_tensor("rounds", onnx.TensorProto.INT64, [], [1 << 60]),
            helper.make_tensor("begin", onnx.TensorProto.BOOL, [], [True]),
        ),
    ),
    "a tile of tebibytes": runs(
        helper.make_node("Tile", ["age", "shape"], ["big"]),
        helper.make_node("ReduceMax", ["big"], ["one"], keepdims=0),
        initializers=(helper.make_tensor("shape", onnx.TensorProto.INT64, [2], [1 << 22, 1 << 22]),),
    ),
}
"""Valid on paper; running the golden rows tells."""


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
    "tensor without its numbers": graph(
        lambda model: model.graph.initializer.add(
            name="huge", data_type=onnx.TensorProto.FLOAT, dims=[1 << 30, 1 << 30]
        )
    ),
    "metadata twice": graph(twice_metadata, canonical_form=False),
    "work for another provider": graph(context_node),
    "function of its own": graph(own_function),
    "library named in its metadata": graph(metadata("ort.custom_ops", "./libops.so"), canonical_form=False),
    "hash named in its metadata": graph(metadata("model_hash", "0" * 64), canonical_form=False),
    "written by somebody else": graph(
        lambda model: model.__setattr__("producer_name", "converter 2"), canonical_form=False
    ),
    "operator set twice": graph(lambda model: model.opset_import.add(domain="", version=16), canonical_form=False),
    "branches in branches": nested,
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
