"""Weights outside the graph: in a member beside it, the tensor's own bytes and nobody else's, or not at all."""

from collections.abc import Callable

import onnx
import pytest
from onnx import TensorProto

from candidate.adapters.graph import canonical_graph, check_graph, inspect_graph, weight_files
from candidate.errors import IntegrityError
from tests.bundles import tiny_model

SIZES = {"tiny.bin": 64}
Entries = tuple[tuple[str, str], ...]
GOOD: Entries = (("location", "tiny.bin"), ("offset", "16"), ("length", "8"))


def outside(model: onnx.ModelProto, entries: Entries = GOOD, name: str = "weights") -> TensorProto:
    """Say that a tensor of the tiny model lies in a file."""
    tensor: TensorProto = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    tensor.ClearField("float_data")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries:
        tensor.external_data.add(key=key, value=value)
    return tensor


def test_weights_beside_the_graph_are_listed() -> None:
    """The facts name the member, and ONNX's own checker has nothing against such a graph."""
    model = tiny_model()
    outside(model)
    outside(
        model, (("location", "tiny.bin"), ("offset", "24"), ("length", "4")), name="bias"
    )  # touching is not sharing
    data = canonical_graph(model)

    assert inspect_graph(data, SIZES).facts.external_data == ("model/tiny.bin",)
    assert weight_files(model) == ("tiny.bin",)
    check_graph(data)


def test_one_place_is_said_in_one_way() -> None:
    """Offset and length may be left out, a checksum and ``./`` be there: the canonical graph is the same."""
    said, short = tiny_model(), tiny_model()
    outside(said, (("location", "tiny.bin"), ("offset", "0"), ("length", "8")))
    outside(short, (("checksum", "da39a3ee"), ("location", "./tiny.bin")))

    assert canonical_graph(short) == canonical_graph(said)
    assert canonical_graph(onnx.load_from_string(canonical_graph(said))) == canonical_graph(said)


def place(**changes: str) -> Entries:
    """The good place with something else in it."""
    return tuple((key, changes.get(key, value)) for key, value in GOOD)


PLACES: dict[str, Entries] = {
    "parent folder": place(location="../tiny.bin"),
    "folder": place(location="sub/tiny.bin"),
    "absolute": place(location="/etc/passwd"),
    "backslash": place(location="..\\tiny.bin"),
    "hidden": place(location=".env"),
    "empty": place(location=""),
    "memory address": place(location="*/_ORT_MEM_ADDR_/*"),
    "the graph itself": place(location="model.onnx"),
    "no member": place(location="other.bin"),
    "negative offset": place(offset="-8"),
    "offset that is no number": place(offset="0x10"),
    "offset with zeros": place(offset="016"),
    "offset with a sign": place(offset="+16"),
    "other digits": place(offset="१६"),
    "huge offset": place(offset="9" * 30),
    "beyond the end": place(offset="60"),
    "offset that overflows": place(offset=str(2**64 - 8)),
    "too long": place(length="16"),
    "too short": place(length="4"),
    "no length": place(length="0"),
    "unknown key": (*GOOD, ("basepath", "/")),
    "location twice": (*GOOD, ("location", "other.bin")),
    "no location": GOOD[1:],
    "nothing": (),
}


@pytest.mark.parametrize("name", PLACES)
def test_every_other_place_is_refused(name: str) -> None:
    """CVE-2022-25882, CVE-2024-27318, CVE-2026-34445 and the runtime's own memory addresses."""
    model = tiny_model()
    outside(model, PLACES[name])

    with pytest.raises(IntegrityError, match=r"outside the graph|canonical form"):
        inspect_graph(canonical_graph(model), SIZES)
    with pytest.raises(IntegrityError, match=r"outside the graph|canonical form"):
        inspect_graph(model.SerializeToString(), SIZES)


def inside_too(model: onnx.ModelProto) -> None:
    """Bytes in the graph as well."""
    outside(model).raw_data = b"12345678"


def not_marked(model: onnx.ModelProto) -> None:
    """A place that a runtime may or may not look at."""
    outside(model).data_location = TensorProto.DEFAULT


def shared(model: onnx.ModelProto) -> None:
    """Two tensors over the same bytes."""
    outside(model)
    outside(model, place(offset="20", length="4"), name="bias")


def text(model: onnx.ModelProto) -> None:
    """Elements that have no size."""
    outside(model).data_type = TensorProto.STRING


def negative(model: onnx.ModelProto) -> None:
    """Two wrongs that multiply to a right size."""
    outside(model).dims[:] = [-1, -2]


WRONG: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "inside too": (inside_too, "not what its elements take"),
    "not marked": (not_marked, "says it does not use"),
    "shared": (shared, "share bytes"),
    "text": (text, "outside the graph"),
    "negative size": (negative, "outside the graph|cannot lie"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_the_tensor_says_must_fit(name: str) -> None:
    """Data in two places, a range that two tensors share, elements without a size."""
    change, words = WRONG[name]
    model = tiny_model()
    change(model)

    with pytest.raises(IntegrityError, match=words):
        inspect_graph(model.SerializeToString(), SIZES)


@pytest.mark.parametrize("field", [b"tiny.bin", b"16", b"offset"])
def test_a_place_that_is_no_text_is_refused(field: bytes) -> None:
    """The parser hands out raw bytes for what is not UTF-8."""
    model = tiny_model()
    outside(model)
    data = canonical_graph(model).replace(field, b"\xff" + field[1:])

    with pytest.raises(IntegrityError):
        inspect_graph(data, SIZES)
    canonical_graph(onnx.load_from_string(data))


def hollow(tensor: TensorProto) -> None:
    """Dimensions of many elements, and none of them."""
    tensor.dims[:] = [1 << 40]
    tensor.ClearField("float_data")


def short(tensor: TensorProto) -> None:
    """One element fewer."""
    del tensor.float_data[-1]


def raw(tensor: TensorProto) -> None:
    """Bytes of half an element more."""
    tensor.ClearField("float_data")
    tensor.raw_data = bytes(10)


def backwards(tensor: TensorProto) -> None:
    """Two negative dimensions."""
    tensor.dims[:] = [-1, -2]


@pytest.mark.parametrize("change", [hollow, short, raw, backwards], ids=lambda change: change.__name__)
def test_what_is_held_must_fit_too(change: Callable[[TensorProto], None]) -> None:
    """A tensor that promises more than it brings costs whoever believes it, before any runtime says so."""
    model = tiny_model()
    change(next(tensor for tensor in model.graph.initializer if tensor.name == "weights"))

    with pytest.raises(IntegrityError, match=r"does not hold|negative"):
        inspect_graph(canonical_graph(model))
