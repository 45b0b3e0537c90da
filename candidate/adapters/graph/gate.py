"""ONNX graphs as files: one canonical form, and a static gate before anything runs.

The gate exists because ``onnx.checker`` accepts unknown operator domains, and because a location
of external data can name any file of the host (CVE-2022-25882, CVE-2024-27318, CVE-2026-34445).
It needs only ONNX's messages, so whoever verifies does not wait for the onnx package.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from candidate.adapters.graph.messages import ELEMENT_TYPES, messages
from candidate.adapters.graph.weights import canonical_location, check_held, check_weights, is_outside, locations
from candidate.documents.names import MODEL_PATH
from candidate.documents.view import View
from candidate.errors import IntegrityError

if TYPE_CHECKING:
    import onnx

    from candidate.documents.manifest import OnnxFacts, Tensor

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""Operator sets that a bundle's graph may use; their operators are all part of ONNX itself."""
PRODUCER = "candidate"
NO_WEIGHTS: Mapping[str, int] = {}
MAX_DEPTH = 32


@dataclass(frozen=True)
class Graph:
    """What a graph is made of, and its inputs and outputs."""

    said: View
    """What ``candidate.json`` says of the graph, as a view."""
    reads: tuple[View, ...]
    """Its inputs, as the model signature has them, as views."""
    answers: tuple[View, ...]
    """Its outputs, the same."""

    @property
    def facts(self) -> "OnnxFacts":
        """What ``candidate.json`` says of the graph."""
        from candidate.documents.manifest import OnnxFacts, OpsetImport

        opsets = tuple(OpsetImport(**vars(opset)) for opset in self.said.opset_import)
        return OnnxFacts(**{**vars(self.said), "opset_import": opsets})

    @property
    def inputs(self) -> "tuple[Tensor, ...]":
        """Its inputs, as the model signature has them."""
        return _documents(self.reads)

    @property
    def outputs(self) -> "tuple[Tensor, ...]":
        """Its outputs, as the model signature has them."""
        return _documents(self.answers)


def _documents(tensors: tuple[View, ...]) -> "tuple[Tensor, ...]":
    from candidate.documents.manifest import Tensor

    return tuple(Tensor(**vars(tensor)) for tensor in tensors)


def canonical_graph(model: "onnx.ModelProto") -> bytes:
    """Return the one byte form of a graph.

    Operator set imports are sorted and each is there once (converters write them in hash order, and
    some twice), names, comments and metadata that say nothing of the computation are fixed or left
    out, and weights outside the graph are said in one way: location, offset, length.
    """
    copy = messages().ModelProto()
    copy.CopyFrom(model)
    opsets = sorted({(opset.domain, opset.version) for opset in copy.opset_import})
    del copy.opset_import[:]
    for domain, version in opsets:
        copy.opset_import.add(domain=domain, version=version)
    copy.producer_name, copy.producer_version, copy.domain, copy.doc_string = PRODUCER, "", "", ""
    copy.model_version = 0
    del copy.metadata_props[:]
    copy.graph.name = "model"
    copy.graph.doc_string = ""
    for tensor in copy.graph.initializer:
        canonical_location(tensor)
    return bytes(copy.SerializeToString(deterministic=True))


def parse_graph(data: bytes) -> "onnx.ModelProto":
    """Return the graph in these bytes, unchecked.

    Raises:
        IntegrityError: not an ONNX graph.
    """
    from google.protobuf.message import DecodeError

    model: onnx.ModelProto = messages().ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise IntegrityError("not an ONNX graph", where="model") from error
    return model


def inspect_graph(data: bytes, weights: Mapping[str, int] = NO_WEIGHTS) -> Graph:
    """Parse a graph and refuse what could reach outside it.

    Whether its operators fit together is for ``check_graph``, and for the runtime that loads it.

    Args:
        data: bytes of the graph.
        weights: size in bytes of each file beside the graph that it may keep weights in, by file name.

    Raises:
        IntegrityError: not a graph, an unknown operator set, weights anywhere but in those files,
            duplicate metadata, or inputs and outputs of a kind that no model signature can state.
    """
    model = parse_graph(data)
    _refuse_reaching_out(model)
    folder = MODEL_PATH.rpartition("/")[0]
    external = tuple(f"{folder}/{name}" for name in check_weights(model.graph.initializer, weights))
    initialised = {tensor.name for tensor in model.graph.initializer}
    inputs = tuple(_tensor(value) for value in model.graph.input if value.name not in initialised)
    outputs = tuple(_tensor(value) for value in model.graph.output)
    if not outputs or len({tensor.name for tensor in (*inputs, *outputs)}) != len(inputs) + len(outputs):
        raise IntegrityError("inputs and outputs are missing or share a name", where="model")
    opsets = tuple(View(domain=o.domain, version=o.version) for o in model.opset_import)
    ops = sorted({_operator(node) for graph in _graphs(model) for node in graph.node})
    said = View(
        ir_version=model.ir_version, opset_import=opsets, ops=tuple(ops), external_data=external, canonical=True
    )
    if canonical_graph(model) != data:
        raise IntegrityError("the graph is not in its canonical form", where="model")
    return Graph(said=said, reads=inputs, answers=outputs)


def check_graph(data: bytes) -> None:
    """Hold a graph against the ONNX specification, with ONNX's own checker.

    Raises:
        IntegrityError: not a valid graph.
    """
    import onnx

    model = parse_graph(data)
    outside = [tensor for tensor in model.graph.initializer if is_outside(tensor)]
    held = [tensor for tensor in model.graph.initializer if not is_outside(tensor)]
    # The checker would look for their file in the working directory: they stand as inputs of their kind.
    for tensor in outside:
        if all(value.name != tensor.name for value in model.graph.input):
            model.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    if outside:
        del model.graph.initializer[:]
        model.graph.initializer.extend(held)
    try:
        onnx.checker.check_model(model, full_check=False)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise IntegrityError(f"not a valid ONNX graph: {str(error)[:300]}", where="model") from error


def _operator(node: Any) -> str:
    return f"{node.domain or 'ai.onnx'}.{node.op_type}"


def _graphs(model: Any) -> Iterator[Any]:
    """Yield the main graph and every graph inside it."""
    pending: list[tuple[Any, int]] = [(model.graph, 0)]
    while pending:
        graph, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise IntegrityError(f"graphs nested deeper than {MAX_DEPTH}", where="model")
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    pending.append((attribute.g, depth + 1))
                pending.extend((inner, depth + 1) for inner in attribute.graphs)


def _tensors(graph: Any, *, main: bool) -> Iterator[Any]:
    """Yield every constant tensor of one graph that must hold its own data: all but the main graph's initializers."""

    def dense(sparse: Iterable[Any]) -> Iterator[Any]:
        for tensor in sparse:
            yield tensor.values
            yield tensor.indices

    if not main:
        yield from graph.initializer
    yield from dense(graph.sparse_initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("sparse_tensor"):
                yield from dense([attribute.sparse_tensor])
            yield from dense(attribute.sparse_tensors)


def _refuse_reaching_out(model: Any) -> None:
    for opset in model.opset_import:
        if opset.domain not in DOMAINS:
            raise IntegrityError(f"operator set {opset.domain!r} is not one of ONNX's own", where="model")
    domains = [opset.domain or "ai.onnx" for opset in model.opset_import]
    if len(set(domains)) != len(domains):
        raise IntegrityError("an operator set in two versions", where="model")
    if len(model.functions):
        # One that is called as an operator of ONNX would take its place, and the list of operators would lie.
        raise IntegrityError("a graph that defines functions of its own", where="model")
    keys = [entry.key for entry in model.metadata_props]
    if len(set(keys)) != len(keys):
        raise IntegrityError("metadata with a repeated key", where="model")
    if len(model.training_info):
        raise IntegrityError("a graph with training information", where="model")
    for number, graph in enumerate(_graphs(model)):
        _check_nodes(graph)
        for tensor in _tensors(graph, main=number == 0):
            if is_outside(tensor):
                raise IntegrityError(f"tensor {tensor.name!r} keeps its data outside the graph", where="model")
            check_held(tensor)
    for tensor in model.graph.initializer:
        if not is_outside(tensor):
            check_held(tensor)


def _check_nodes(graph: Any) -> None:
    for node in graph.node:
        if not isinstance(node.op_type, str):  # not UTF-8: it comes as bytes
            raise IntegrityError("an operator whose name is not text", where="model")
        if node.domain not in DOMAINS:
            raise IntegrityError(f"operator {_operator(node)} is not one of ONNX's own", where="model")


def _tensor(value: Any) -> View:
    names = {number: name for name, number in ELEMENT_TYPES.items()}
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or kind.elem_type not in names:
        raise IntegrityError(f"{value.name!r} is not a tensor of numbers, truth or text", where="model")
    # Names that are no UTF-8 come as bytes; the checker lets them pass.
    said = [value.name, *(dimension.dim_param for dimension in kind.shape.dim)]
    if not all(isinstance(name, str) for name in said):
        raise IntegrityError("a name that is not text", where="model")
    shape: list[int | str] = []
    for position, dimension in enumerate(kind.shape.dim):
        if dimension.HasField("dim_value"):
            shape.append(dimension.dim_value)
        else:
            shape.append(dimension.dim_param or ("batch" if position == 0 else f"dim_{position}"))
    return View(name=value.name, dtype=names[kind.elem_type], shape=tuple(shape))


def input_names(data: bytes) -> tuple[str, ...]:
    """Return the names of a graph's inputs, in order.

    Raises:
        IntegrityError: not an ONNX graph.
    """
    model = parse_graph(data)
    initialised = {tensor.name for tensor in model.graph.initializer}
    return tuple(value.name for value in model.graph.input if value.name not in initialised)


def weight_files(model: "onnx.ModelProto") -> tuple[str, ...]:
    """Return the names of the files that a graph says it keeps weights in, unchecked."""
    return locations(model.graph.initializer)


def name_batch(model: "onnx.ModelProto") -> None:
    """Call the first dimension of every input ``batch``, and what was called the same with it."""
    initialised = {tensor.name for tensor in model.graph.initializer}
    firsts = [
        value.type.tensor_type.shape.dim[0]
        for value in model.graph.input
        if value.name not in initialised and len(value.type.tensor_type.shape.dim)
    ]
    symbols = {dimension.dim_param for dimension in firsts} - {""}
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param in symbols:
                dimension.dim_param = "batch"
