"""Structured mutations of bundles, documents and graphs: each passes or ends in an error of ours, and soon."""

import copy
import json
import re
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto

from candidate.adapters.graph import canonical_graph
from candidate.canonical import canonical
from candidate.documents.names import MODEL_PATH
from candidate.errors import IntegrityError, RefusedError
from tests.bundles import members_of, tar_of, tiny_recipe
from tests.hostile import harness
from tests.hostile.harness import bundles, document_seeds, graph_seeds

SECONDS = 20.0
"""For one example, on a machine that has other things to do; a hang is far longer."""
PATIENT = settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
FEWER = settings(PATIENT, max_examples=120)

PLACE = st.integers(0, 10**6)
SCALARS: st.SearchStrategy[object] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["", "../x", "/etc/passwd", "a\0b", "\ud800", "\u202e", "sha256:" + "0" * 64, "1e999", "x" * 5000, 2**53, -0.0]
    ),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@contextmanager
def soon() -> Iterator[None]:
    """Fails when what it surrounds took too long."""
    begin = time.perf_counter()
    yield
    assert time.perf_counter() - begin < SECONDS


Tar = list[tuple[tarfile.TarInfo, bytes]]


def change_members(draw: st.DrawFn, members: Tar, others: Tar) -> None:
    """Move, drop, double or borrow a member, or spoil its header."""
    here, there = draw(PLACE) % len(members), draw(PLACE) % len(others)
    info, data = copy.copy(members[here][0]), members[here][1]
    change = draw(st.sampled_from(["swap", "drop", "double", "borrow", "exchange", "retype", "rename"]))
    if change == "swap":
        members[here], members[here - 1] = members[here - 1], members[here]
    elif change == "drop" and len(members) > 1:
        members.pop(here)
    elif change == "double":
        members.insert(here, members[here])
    elif change == "borrow":  # another bundle's member, under its own name
        members.insert(here, others[there])
    elif change == "exchange":  # another bundle's bytes, under this one's name
        info.size = len(others[there][1])
        members[here] = (info, others[there][1])
    elif change == "retype":
        info.type, info.linkname = draw(st.sampled_from([b"1", b"2", b"3", b"5", b"6", b"7", b"S"])), "/x"
        members[here] = (info, data)
    else:
        info.name = draw(st.sampled_from(["../x", "index.json", "oci-layout", others[there][0].name, "x"]))
        members[here] = (info, data)


def change_bytes(draw: st.DrawFn, data: bytearray) -> None:
    """Overwrite, insert, cut or append bytes, or a field of a header."""
    start, piece = draw(PLACE) % max(1, len(data)), draw(st.binary(max_size=16))
    change = draw(st.sampled_from(["overwrite", "insert", "delete", "truncate", "append", "header"]))
    if change == "overwrite":
        data[start : start + len(piece)] = piece
    elif change == "insert":
        data[start:start] = piece
    elif change == "delete":
        del data[start : start + 512]
    elif change == "truncate":
        del data[start:]
    elif change == "append":
        data += piece + bytes(-len(data + piece) % 10_240)
    else:
        field = draw(st.sampled_from([0, 100, 108, 116, 124, 136, 148, 156, 157, 257, 265, 329, 345]))
        header = start // 512 * 512 + field
        data[header : header + 8] = draw(st.binary(min_size=8, max_size=8))


@st.composite
def spoiled_bundles(draw: st.DrawFn) -> bytes:
    """Members of two valid bundles, shuffled, dropped, doubled, mixed; then headers and bytes."""
    one, other = draw(st.permutations(bundles()))[:2]
    members, others = members_of(one), members_of(other)
    for _ in range(draw(st.integers(0, 3))):
        change_members(draw, members, others)
    data = bytearray(tar_of(members))
    for _ in range(draw(st.integers(0, 2))):
        change_bytes(draw, data)
    return bytes(data)


@FEWER
@given(data=spoiled_bundles())
def test_a_mutated_bundle_is_refused_or_the_same(data: bytes) -> None:
    """Mix-and-match of bundles by one builder included: nothing but the very bundles that were signed passes."""
    with tempfile.TemporaryDirectory() as folder, soon():
        before = harness.descriptors()
        error = harness.try_bundle(data, Path(folder) / "x.candidate")
        assert data in bundles() if error is None else isinstance(error, IntegrityError | RefusedError)
        assert [path.name for path in Path(folder).iterdir()] == ["x.candidate"]
        assert harness.descriptors() <= before


def respelled(draw: st.DrawFn, value: object) -> bytes:
    """A JSON value in its one form, or in another."""
    try:
        data = canonical(value)
    except IntegrityError:
        data = json.dumps(value).encode()
    spelling = draw(st.sampled_from(["canonical"] * 4 + ["spaced", "doubled", "escaped", "cut", "nested", "number"]))
    text = data.decode("utf-8", "surrogatepass")
    if spelling == "spaced":
        text = json.dumps(value, indent=1)
    elif spelling == "doubled":
        keys = re.findall(r'"[a-zA-Z_]+":', text)
        if keys:
            key = draw(st.sampled_from(keys))
            text = text.replace(key, f"{key}1,{key}", 1)
    elif spelling == "escaped":
        text = re.sub(r'"([a-z])', lambda found: f'"\\u{ord(found[1]):04x}', text, count=1)
    elif spelling == "cut":
        text = text[: draw(PLACE) % (len(text) + 1)]
    elif spelling == "nested":
        depth = draw(st.sampled_from([10, 200, 5000]))
        text = text.replace(":", ":" + "[" * depth, 1)
    elif spelling == "number":
        other = draw(st.sampled_from(["1e999", "-0", "1.0", "01", "NaN", "Infinity", "9" * 5000, "1E2"]))
        text = re.sub(r":\d+", f":{other}", text, count=1)
    return text.encode("utf-8", "surrogatepass")


def mutate(draw: st.DrawFn, value: object) -> object:
    """Change something somewhere in a JSON value."""
    value = copy.deepcopy(value)
    spot: Any = value
    while isinstance(spot, dict | list) and spot and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(spot) if isinstance(spot, dict) else range(len(spot))))
        if not isinstance(spot[key], dict | list) or not spot[key] or draw(st.booleans()):
            change = draw(st.sampled_from(["replace", "remove", "wrap", "repeat"]))
            if change == "replace":
                spot[key] = draw(VALUES)
            elif change == "remove":
                del spot[key]
            elif change == "wrap":
                spot[key] = [spot[key]]
            elif isinstance(spot, list):
                spot.append(spot[key])
            else:
                spot[draw(st.sampled_from([str(key).upper(), f"{key} ", "extra", "__class__"]))] = spot[key]
            return value
        spot = spot[key]
    return value


@st.composite
def spoiled_documents(draw: st.DrawFn, seed: bytes | None = None) -> bytes:
    """A valid document with values changed, removed, wrapped, repeated; in its one spelling or another."""
    value = json.loads(draw(st.sampled_from(document_seeds())) if seed is None else seed)
    for _ in range(draw(st.integers(0, 2))):
        value = mutate(draw, value)
    return respelled(draw, value)


@PATIENT
@given(data=spoiled_documents() | st.binary(max_size=200))
def test_a_mutated_document_is_refused_or_writes_the_same_bytes(data: bytes) -> None:
    """Whatever it is read as."""
    with soon():
        harness.try_document(data)


def test_every_seed_is_a_document() -> None:
    """Otherwise nothing valid would have been mutated."""
    for seed in document_seeds():
        name = str(json.loads(seed).get("kind"))
        plain = name == "None" or name.startswith("candidate.")
        assert plain
    taken = {kind for seed in document_seeds() for kind in harness.try_document(seed)}
    assert taken >= {"OciIndex", "OciManifest", "BundleManifest", "Attestation", "Statement", "Decision", "Policy"}
    assert all(harness.try_graph(seed) for seed in graph_seeds())


@st.composite
def resealed_bundles(draw: st.DrawFn) -> bytes:
    """A bundle whose members were mutated before a trusted builder hashed, listed and signed them."""
    recipe = tiny_recipe().copy()
    paths = st.lists(st.sampled_from(sorted(recipe.members)), min_size=1, max_size=2, unique=True)
    for path in draw(paths):
        role, data = recipe.members[path]
        if path == MODEL_PATH:
            data = draw(spoiled_graphs())
        elif data.startswith(b"{"):
            data = draw(spoiled_documents(data))
        else:
            start = draw(PLACE) % (len(data) + 1)
            data = data[:start] + draw(st.binary(max_size=8)) + data[start + draw(st.integers(0, 8)) :]
        recipe.members[path] = (role, data)
    if draw(st.booleans()):
        recipe.manifest_bytes = draw(spoiled_documents(recipe.manifest().to_bytes()))
    found = harness.resealed(recipe)
    assume(found is not None)
    return found or b""


@FEWER
@given(data=resealed_bundles())
def test_what_a_builder_signs_by_mistake_is_refused_or_passes(data: bytes) -> None:
    """Behind the signature every reader meets bytes that nobody meant."""
    with tempfile.TemporaryDirectory() as folder, soon():
        error = harness.try_bundle(data, Path(folder) / "x.candidate")
        assert error is None or isinstance(error, IntegrityError | RefusedError)


def pick(draw: st.DrawFn, items: Any) -> Any:
    """One of a repeated field."""
    return items[draw(PLACE) % len(items)] if len(items) else None


NUMBERS = st.sampled_from([-(2**63), -1, 0, 1, 7, 17, 99, 2**31 - 1, 2**31, 2**62, 2**63 - 1])
SMALL = st.sampled_from([-(2**31), -1, 0, 1, 2, 3, 8, 16, 99, 2**31 - 1])
TEXTS = st.sampled_from(["", "age", "x", "../x", "a\0", "\u202e", "ai.onnx", "com.microsoft", "Loop", "If", "y" * 999])


def change_graph(draw: st.DrawFn, model: onnx.ModelProto) -> None:
    """Change one thing through the API of ONNX."""
    graph = model.graph
    node, tensor = pick(draw, graph.node), pick(draw, graph.initializer)
    value = pick(draw, [*graph.input, *graph.output])
    changes: list[Callable[[], object]] = [
        lambda: setattr(model, "ir_version", draw(NUMBERS)),
        lambda: model.opset_import.add(domain=draw(TEXTS), version=draw(NUMBERS)),
        lambda: model.metadata_props.add(key=draw(TEXTS), value=draw(TEXTS)),
        lambda: graph.node.extend([copy.deepcopy(node)] if node is not None else []),
        lambda: graph.value_info.extend([copy.deepcopy(value)] if value is not None else []),
        lambda: graph.ClearField(draw(st.sampled_from(["node", "input", "output", "initializer", "name"]))),
    ]
    if node is not None:
        changes += [
            lambda: setattr(node, "op_type", draw(TEXTS)),
            lambda: setattr(node, "domain", draw(TEXTS)),
            lambda: node.input.append(draw(TEXTS)),
            lambda: node.output.append(draw(TEXTS)),
            lambda: node.attribute.add(name=draw(TEXTS), type=AttributeProto.INT, i=draw(NUMBERS)),
            lambda: node.attribute.add(name="g", type=AttributeProto.GRAPH, g=copy.deepcopy(graph)),
            lambda: node.attribute.add(name="t", type=AttributeProto.TENSOR, t=copy.deepcopy(tensor)),
            lambda: node.attribute.add(name=draw(TEXTS), type=draw(st.integers(0, 14))),
        ]
    if tensor is not None:
        changes += [
            lambda: setattr(tensor, "data_type", draw(SMALL)),
            lambda: tensor.dims.append(draw(NUMBERS)),
            lambda: setattr(tensor, "raw_data", draw(st.binary(max_size=20))),
            lambda: setattr(tensor, "name", draw(TEXTS)),
            lambda: tensor.external_data.add(key=draw(TEXTS), value=draw(TEXTS)),
            lambda: setattr(tensor, "data_location", TensorProto.EXTERNAL),
        ]
    if value is not None:
        changes += [
            lambda: setattr(value.type.tensor_type, "elem_type", draw(SMALL)),
            lambda: value.type.tensor_type.shape.dim.add(dim_value=draw(NUMBERS)),
            lambda: value.type.tensor_type.shape.dim.add(dim_param=draw(TEXTS)),
            lambda: value.type.sequence_type.elem_type.CopyFrom(copy.deepcopy(value.type)),
            lambda: setattr(value, "name", draw(TEXTS)),
        ]
    draw(st.sampled_from(changes))()


@st.composite
def spoiled_graphs(draw: st.DrawFn) -> bytes:
    """A valid graph changed through the API of ONNX, then in its bytes."""
    model = onnx.ModelProto()
    model.ParseFromString(draw(st.sampled_from(graph_seeds())))
    for _ in range(draw(st.integers(0, 3))):
        change_graph(draw, model)
    data = canonical_graph(model) if draw(st.booleans()) else bytes(model.SerializeToString())
    if draw(st.integers(0, 3)) == 0 and data:
        start = draw(PLACE) % len(data)
        data = data[:start] + draw(st.binary(max_size=6)) + data[start + draw(st.integers(0, 6)) :]
    return data


@PATIENT
@given(data=spoiled_graphs())
def test_a_mutated_graph_is_refused_or_passes(data: bytes) -> None:
    """By the static gate: nothing is run."""
    with soon():
        harness.try_graph(data)
