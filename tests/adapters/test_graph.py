"""The static gate: one byte form for a graph, and nothing in it that reaches outside."""

from collections.abc import Callable
from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, helper

from candidate.adapters.graph import canonical_graph, check_graph, input_names, inspect_graph, name_batch, parse_graph
from candidate.errors import IntegrityError
from tests.bundles import tiny_model

Change = Callable[[onnx.ModelProto], object]


def outside(name: str = "secret") -> TensorProto:
    """A tensor whose bytes are said to be in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=".env")
    return tensor


def constant(value: TensorProto) -> onnx.NodeProto:
    """A node that puts a tensor into the graph by its attribute."""
    return helper.make_node("Constant", [], ["secret"], value=value)


def branch(*nodes: onnx.NodeProto, initializers: tuple[TensorProto, ...] = ()) -> onnx.NodeProto:
    """A node with a graph inside."""
    inner = helper.make_graph(list(nodes), "inner", [], [], list(initializers))
    return helper.make_node("If", ["flag"], ["unused"], then_branch=inner, else_branch=inner)


def sparse(*, values: bool) -> onnx.SparseTensorProto:
    """A sparse tensor whose values or indices are in another file."""
    here = helper.make_tensor("here", TensorProto.INT64, [1], [0])
    whole = helper.make_tensor("there", TensorProto.FLOAT, [1], [1.0])
    if values:
        return onnx.SparseTensorProto(values=outside(), indices=here, dims=[3])
    away = outside("indices")
    away.data_type = TensorProto.INT64
    return onnx.SparseTensorProto(values=whole, indices=away, dims=[3])


def with_attribute(kind: Any, **fields: Any) -> onnx.NodeProto:
    """A node with one attribute, set field by field."""
    node = helper.make_node("Constant", [], ["secret"])
    node.attribute.append(AttributeProto(name="value", type=kind, **fields))
    return node


def function(model: onnx.ModelProto) -> None:
    """A function that takes the place of an operator of ONNX."""
    own = onnx.FunctionProto(name="Sigmoid", domain="", input=["x"], output=["y"])
    own.opset_import.add(domain="", version=17)
    own.node.append(helper.make_node("Neg", ["x"], ["y"]))
    model.functions.append(own)


def hidden_domain(model: onnx.ModelProto) -> None:
    """An operator of somebody's library in a branch of a branch."""
    model.graph.node.append(branch(branch(helper.make_node("Evil", [], ["b"], domain="evil"))))


INVALID = "not a valid ONNX graph"
REFUSED: dict[str, tuple[Change, str]] = {
    "initializer": (lambda m: m.graph.initializer.append(outside()), "outside the graph"),
    "attribute": (lambda m: m.graph.node.insert(0, constant(outside())), "outside the graph"),
    "list of tensors": (
        lambda m: m.graph.node.append(with_attribute(AttributeProto.TENSORS, tensors=[outside()])),
        "outside the graph",
    ),
    "sparse attribute": (
        lambda m: m.graph.node.append(with_attribute(AttributeProto.SPARSE_TENSOR, sparse_tensor=sparse(values=True))),
        "outside the graph",
    ),
    "list of sparse tensors": (
        lambda m: m.graph.node.append(
            with_attribute(AttributeProto.SPARSE_TENSORS, sparse_tensors=[sparse(values=False)])
        ),
        "outside the graph",
    ),
    "sparse values": (lambda m: m.graph.sparse_initializer.append(sparse(values=True)), "outside the graph"),
    "sparse indices": (lambda m: m.graph.sparse_initializer.append(sparse(values=False)), "outside the graph"),
    "constant in a branch": (lambda m: m.graph.node.append(branch(constant(outside()))), "outside the graph"),
    "initializer in a branch": (
        lambda m: m.graph.node.append(branch(initializers=(outside(),))),
        "outside the graph",
    ),
    "initializer in a branch of a branch": (
        lambda m: m.graph.node.append(branch(branch(initializers=(outside(),)))),
        "outside the graph",
    ),
    "graph in a list": (
        lambda m: m.graph.node.append(
            with_attribute(AttributeProto.GRAPHS, graphs=[helper.make_graph([constant(outside())], "g", [], [])])
        ),
        "outside the graph",
    ),
    "operator": (lambda m: setattr(m.graph.node[2], "domain", "com.microsoft"), "com.microsoft.Sigmoid"),
    "operator in a branch": (hidden_domain, "evil.Evil"),
    "operator set": (lambda m: m.opset_import.add(domain="com.microsoft", version=1), "com.microsoft"),
    "operator set twice": (lambda m: m.opset_import.add(domain="", version=16), "two versions"),
    "operator set under two names": (lambda m: m.opset_import.add(domain="ai.onnx", version=16), "two versions"),
    "function": (function, "functions of its own"),
    "training": (lambda m: m.training_info.add(), "training information"),
    "newer format": (lambda m: setattr(m, "ir_version", 99), INVALID),
    "unknown operator": (lambda m: setattr(m.graph.node[2], "op_type", "Sigmoidal"), INVALID),
    "sequence": (
        lambda m: m.graph.output[0].CopyFrom(helper.make_tensor_sequence_value_info("label", TensorProto.INT64, None)),
        "not a tensor",
    ),
    "complex numbers": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.COMPLEX64),
        "not a tensor of numbers",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_reaches_outside_is_refused(name: str) -> None:
    """External data wherever a tensor can hide, foreign operators however deep, and functions that shadow."""
    change, words = REFUSED[name]
    model = tiny_model()
    change(model)

    with pytest.raises(IntegrityError, match=words):
        check_graph(canonical_graph(model)) if words == INVALID else inspect_graph(canonical_graph(model))


def test_graphs_nested_without_end_are_refused() -> None:
    """Depth has a limit of its own, or the format's reader has one first; either way it is an error of the bundle."""
    model = tiny_model()
    node = branch(helper.make_node("Identity", ["flag"], ["same"]))
    for _ in range(20):
        outer = onnx.NodeProto(op_type="If", input=["flag"], output=["unused"])
        outer.attribute.append(
            AttributeProto(name="then_branch", type=AttributeProto.GRAPH, g=onnx.GraphProto(name="inner", node=[node]))
        )
        node = outer
    model.graph.node.append(node)

    with pytest.raises(IntegrityError):
        inspect_graph(model.SerializeToString())


def test_a_graph_is_described_as_it_is() -> None:
    """Operators, versions, and inputs and outputs with their dtypes and shapes."""
    found = inspect_graph(canonical_graph(tiny_model()))

    assert found.facts.ops == ("ai.onnx.ArgMax", "ai.onnx.Concat", "ai.onnx.Gemm", "ai.onnx.Sigmoid", "ai.onnx.Sub")
    assert [(o.domain, o.version) for o in found.facts.opset_import] == [("", 17)]
    assert [(t.name, t.dtype, t.shape) for t in found.inputs] == [
        ("age", "float32", ("batch", 1)),
        ("income", "float32", ("batch", 1)),
    ]
    assert [(t.name, t.dtype, t.shape) for t in found.outputs] == [
        ("label", "int64", ("batch",)),
        ("probabilities", "float32", ("batch", 2)),
    ]


def test_an_initializer_with_an_inputs_name_is_no_input() -> None:
    """Old exporters list constants among the inputs."""
    model = tiny_model()
    model.graph.input.append(helper.make_tensor_value_info("weights", TensorProto.FLOAT, [2, 1]))

    assert input_names(model.SerializeToString()) == ("age", "income")
    assert [tensor.name for tensor in inspect_graph(canonical_graph(model)).inputs] == ["age", "income"]


def test_the_canonical_form_forgets_who_wrote_it_and_in_what_order() -> None:
    """Producer, comments, metadata and the order of operator sets leave no trace; a second pass changes nothing."""
    plain, noisy = tiny_model(), tiny_model()
    plain.opset_import.add(domain="ai.onnx.ml", version=3)
    del noisy.opset_import[:]
    for domain, version in (("ai.onnx.ml", 3), ("", 17), ("ai.onnx.ml", 3)):
        noisy.opset_import.add(domain=domain, version=version)
    noisy.producer_name, noisy.producer_version, noisy.doc_string = "somebody", "7", "on a Tuesday"
    noisy.graph.name, noisy.graph.doc_string, noisy.model_version = "g-2026", "x", 9
    noisy.metadata_props.add(key="author", value="somebody")
    data = canonical_graph(noisy)

    assert data == canonical_graph(plain)
    assert canonical_graph(parse_graph(data)) == data
    assert noisy.producer_name == "somebody"  # the argument is left alone


def test_a_graph_in_another_byte_form_is_refused() -> None:
    """The same graph has one file, so a comment is not a second one."""
    model = tiny_model()
    model.doc_string = "x"
    with pytest.raises(IntegrityError, match="canonical form"):
        inspect_graph(model.SerializeToString())
    model.metadata_props.add(key="a", value="1")
    model.metadata_props.add(key="a", value="2")
    with pytest.raises(IntegrityError, match="repeated key"):
        inspect_graph(model.SerializeToString())


@pytest.mark.parametrize("data", [b"", b"nonsense", canonical_graph(tiny_model())[:-5]])
def test_what_is_no_graph_is_refused(data: bytes) -> None:
    """Nothing, something else, and half of one."""
    with pytest.raises(IntegrityError):
        inspect_graph(data)


@pytest.mark.parametrize("name", [b"income", b"batch", b"Sigmoid", b"label"])
def test_names_that_are_no_text_are_refused(name: bytes) -> None:
    """The parser hands out raw bytes for names that are not UTF-8; nobody downstream has to meet them."""
    data = canonical_graph(tiny_model())
    assert name in data

    with pytest.raises(IntegrityError):
        inspect_graph(data.replace(name, b"\xff" + name[1:]))


def test_the_first_dimension_gets_its_one_name() -> None:
    """However an exporter called the number of rows, a bundle calls it ``batch``; other symbols stay."""
    model = tiny_model()
    for number, value in enumerate(model.graph.input):
        value.type.tensor_type.shape.dim[0].dim_param = f"N{number}"
    label, probabilities = model.graph.output
    label.type.tensor_type.shape.dim[0].dim_param = "N1"
    probabilities.type.tensor_type.shape.dim[0].dim_param = "M"
    name_batch(model)
    found = inspect_graph(canonical_graph(model))

    assert {tensor.shape for tensor in found.inputs} == {("batch", 1)}
    assert [tensor.shape for tensor in found.outputs] == [("batch",), ("M", 2)]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
def test_no_damage_is_more_than_an_error_of_the_bundle(damage: list[tuple[float, int]]) -> None:
    """Whatever bytes change, the gate accepts the graph or raises the one error that it has."""
    data = bytearray(canonical_graph(tiny_model()))
    for place, value in damage:
        data[int(place * len(data))] = value
    try:
        found = inspect_graph(bytes(data))
    except IntegrityError:
        return
    assert canonical_graph(parse_graph(bytes(data))) == bytes(data)
    assert found.inputs
