"""Graphs that keep tensors in other files: everything there is to refuse about it.

Built so that each has one fault only: the weights are a member with their role, in the folder of the
model, signed by a trusted builder, and ``candidate.json`` says that the graph uses them. A verifier
that lets external data through under rules must refuse each one for its fault; one that lets none
through refuses them all.
"""

import tarfile
from collections.abc import Callable

import onnx
from onnx import helper

from candidate.adapters.graph import canonical_graph
from candidate.canonical import digest_of
from candidate.documents.names import MODEL_PATH
from tests.bundles import members_of, sealed, tar_of, tiny_model
from tests.hostile.kit import Kit

WEIGHTS_PATH = "model/model.weights"
LOCATION = "model.weights"
WEIGHTS = bytes.fromhex("0000003f0000003f") + bytes(4088) + bytes.fromhex("000080be")
"""``weights`` (two floats) at 0, ``bias`` (one float) at 4096."""
OUTSIDE = "outside the graph|external|weights|location|offset|length|overlap|checksum|role|functions of its own"
"""What the refusal speaks of, whether external data is let through under rules or not at all."""

Fields = dict[str, str]
Change = Callable[[onnx.ModelProto], object]


def keep_outside(tensor: onnx.TensorProto, fields: Fields) -> None:
    """Let a tensor keep its data in another file, under these keys."""
    for name in ("float_data", "int64_data", "raw_data"):
        tensor.ClearField(name)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in fields.items():
        tensor.external_data.add(key=key, value=value)


def at(location: str = LOCATION, offset: int | str | None = 0, length: int | str | None = 8, **more: str) -> Fields:
    """The keys of external data; null leaves one out."""
    found = {"location": location}
    found |= {} if offset is None else {"offset": str(offset)}
    found |= {} if length is None else {"length": str(length)}
    return found | more


def bundle_of(change: Change, data: bytes = WEIGHTS, path: str = WEIGHTS_PATH) -> Callable[[Kit], bytes]:
    """A bundle with weights beside its graph, signed by a trusted builder."""

    def spoil(kit: Kit) -> bytes:
        model = onnx.ModelProto()
        model.ParseFromString(canonical_graph(tiny_model()))
        change(model)  # after the graph got its one form: that would put some of these faults right
        facts = kit.recipe.manifest().onnx
        kit.recipe.manifest_changes["onnx"] = facts.model_copy(update={"external_data": (path,)})
        kit.recipe.members[MODEL_PATH] = ("model", bytes(model.SerializeToString(deterministic=True)))
        kit.recipe.members[path] = ("weights", data)
        return sealed(kit.recipe, kit.builder)

    return spoil


def weights_at(**fields: object) -> Callable[[Kit], bytes]:
    """The first initializer outside, under these keys."""
    return bundle_of(lambda model: keep_outside(model.graph.initializer[0], at(**fields)))  # type: ignore[arg-type]  # keys of at


def both_at(first: Fields, second: Fields) -> Callable[[Kit], bytes]:
    """Two initializers outside."""

    def change(model: onnx.ModelProto) -> None:
        keep_outside(model.graph.initializer[0], first)
        keep_outside(model.graph.initializer[1], second)

    return bundle_of(change)


def tensor(fields: Fields, kind: int = onnx.TensorProto.FLOAT, size: int = 2) -> onnx.TensorProto:
    """A tensor that is outside."""
    found = onnx.TensorProto(name="secret", data_type=kind, dims=[size])
    keep_outside(found, fields)
    return found


def constant(fields: Fields) -> onnx.NodeProto:
    """A Constant node whose attribute is outside."""
    return helper.make_node("Constant", [], ["secret"], value=tensor(fields))


def branch(*nodes: onnx.NodeProto, initializers: tuple[onnx.TensorProto, ...] = ()) -> onnx.NodeProto:
    """A node with a graph inside."""
    inner = helper.make_graph(list(nodes), "inner", [], [], list(initializers))
    return helper.make_node("If", ["flag"], ["unused"], then_branch=inner, else_branch=inner)


def sparse(fields: Fields) -> onnx.SparseTensorProto:
    """A sparse tensor whose values are outside."""
    indices = helper.make_tensor("indices", onnx.TensorProto.INT64, [2], [0, 1])
    return onnx.SparseTensorProto(values=tensor(fields), indices=indices, dims=[3])


def in_function(model: onnx.ModelProto, fields: Fields) -> None:
    """A function with a constant that is outside."""
    own = onnx.FunctionProto(name="Own", domain="", output=["secret"])
    own.opset_import.add(domain="", version=17)
    own.node.append(constant(fields))
    model.functions.append(own)


def twice(model: onnx.ModelProto, key: str, value: str) -> None:
    """A key of external data with two values."""
    keep_outside(model.graph.initializer[0], at())
    model.graph.initializer[0].external_data.add(key=key, value=value)


def hidden_in(where: str, fields: Fields) -> Callable[[Kit], bytes]:
    """A bundle whose graph reaches outside from a place other than its initializers."""
    places: dict[str, Change] = {
        "constant": lambda m: m.graph.node.insert(0, constant(fields)),
        "branch": lambda m: m.graph.node.append(branch(constant(fields))),
        "branch's initializer": lambda m: m.graph.node.append(branch(initializers=(tensor(fields),))),
        "sparse initializer": lambda m: m.graph.sparse_initializer.append(sparse(fields)),
        "function": lambda m: in_function(m, fields),
    }
    return bundle_of(places[where])


def linked(kit: Kit) -> bytes:
    """Weights that are a link where their bytes should be."""
    members = members_of(weights_at()(kit))
    name = "blobs/sha256/" + digest_of(WEIGHTS).removeprefix("sha256:")
    for number, (info, _) in enumerate(members):
        if info.name == name:
            info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0
            members[number] = (info, b"")
    return tar_of(members)


MEMORY = "*/_ORT_MEM_ADDR_/*"
PLACES = ("constant", "branch", "branch's initializer", "sparse initializer", "function")

EXTERNAL: dict[str, Callable[[Kit], bytes]] = {
    "path upwards": weights_at(location="../../etc/passwd"),
    "path upwards from a folder": weights_at(location="a/../../x"),
    "path from the root": weights_at(location="/etc/passwd"),
    "path with a drive": weights_at(location="C:\\x"),
    "path to this folder": weights_at(location="./model.weights"),
    "address": weights_at(location="file:///etc/passwd"),
    "path with a zero byte": weights_at(location="model.weights\0.txt"),
    "the graph itself": weights_at(location="model.onnx"),
    "another member": weights_at(location="../candidate.json"),
    "a member of another folder": weights_at(location="../README.md"),
    "no location": bundle_of(lambda m: keep_outside(m.graph.initializer[0], {"offset": "0", "length": "8"})),
    "empty location": weights_at(location=""),
    "folder": weights_at(location="."),
    "a file that is no member": weights_at(location="other.weights"),
    "a file of the working directory": weights_at(location=".env"),
    "a link": linked,
    "an unknown key": weights_at(command="id"),
    "a key of the loader's": weights_at(prepacked_0="0|8"),
    "a key that is an attribute": weights_at(__class__="x"),
    "location twice": bundle_of(lambda m: twice(m, "location", ".env")),
    "offset twice": bundle_of(lambda m: twice(m, "offset", "4")),
    "offset below zero": weights_at(offset=-1),
    "offset beyond the file": weights_at(offset=1 << 40),
    "offset that is no number": weights_at(offset="0x0"),
    "offset with a sign": weights_at(offset="+0"),
    "offset in other digits": weights_at(offset="\u0660"),
    "offset of a thousand digits": weights_at(offset="9" * 1000),
    "length below zero": weights_at(length=-8),
    "length beyond the file": weights_at(length=len(WEIGHTS) + 8),
    "length of exbibytes": weights_at(length=1 << 63),
    "length that is no number": weights_at(length="8 "),
    "shorter than the tensor": weights_at(length=4),
    "longer than the tensor": weights_at(length=16),
    "one byte beyond the end": weights_at(offset=len(WEIGHTS) - 7),
    "tensors over each other": both_at(at(), at(offset=4, length=4)),
    "memory": weights_at(location=MEMORY),
    "memory at an address": weights_at(location=MEMORY, offset=0x7F0000000000),
    **{f"memory in a {place}": hidden_in(place, at(MEMORY)) for place in PLACES},
    **{f"a file in a {place}": hidden_in(place, at(".env")) for place in PLACES},
    **{f"a member in a {place}": hidden_in(place, at()) for place in PLACES},
}

GOOD = both_at(at(), at(offset=4096, length=4))
"""What all of these are, but for their fault."""
