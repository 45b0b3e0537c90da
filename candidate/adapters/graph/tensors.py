"""Golden tensors: one ONNX ``TensorProto`` per file, as ONNX's backend tests store them.

Source: ONNX IR specification (TensorProto), onnx/backend/test layout.
"""

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from candidate.adapters.graph.messages import ELEMENT_TYPES, messages
from candidate.errors import IntegrityError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from candidate.documents.manifest import Tensor, TensorType

_SIZES = {"float32": 4, "float64": 8, "int32": 4, "int64": 8, "bool": 1}


def tensor_bytes(array: "NDArray[Any]", name: str) -> bytes:
    """Return an array as the bytes of a TensorProto; strings come as an object array."""
    from onnx import numpy_helper

    proto = numpy_helper.from_array(array, name)
    return bytes(proto.SerializeToString(deterministic=True))


def parse_tensor(
    data: bytes, *, name: str, dtype: "TensorType", shape: Sequence[int | str], rows: int, where: str
) -> Any:
    """Return the TensorProto in a golden file, which must be this tensor with this many rows.

    Args:
        data: bytes of the file.
        name: of the tensor, in the model signature.
        dtype: of its elements, the same.
        shape: the same; a dimension named ``batch`` is the number of rows.
        rows: number of golden rows.
        where: the member, for the message.

    Raises:
        IntegrityError: no TensorProto, external data, or another name, dtype, shape or size.
    """
    from google.protobuf.message import DecodeError

    proto = messages().TensorProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise IntegrityError("not a tensor file", where=where) from error
    if proto.external_data or proto.data_location != proto.DEFAULT:
        raise IntegrityError("tensor keeps its data in another file", where=where)
    if proto.name not in {"", name}:
        raise IntegrityError(f"tensor is named {proto.name!r}, not {name!r}", where=where)
    if proto.data_type != ELEMENT_TYPES[dtype]:
        raise IntegrityError(f"tensor has element type {proto.data_type}, not {dtype}", where=where)
    found = tuple(proto.dims)
    wanted = tuple(rows if size == "batch" else size for size in shape)
    fits = len(found) == len(wanted) and all(
        have >= 0 and (isinstance(want, str) or have == want) for have, want in zip(found, wanted, strict=True)
    )
    if not fits:
        raise IntegrityError(f"tensor has shape {found}, not {wanted}", where=where)
    text = dtype == "string"
    full = len(proto.string_data) == prod(found) if text else len(proto.raw_data) == prod(found) * _SIZES[dtype]
    if not full or (dtype == "bool" and proto.raw_data.translate(None, b"\0\1")):
        raise IntegrityError("tensor's data does not fit its shape", where=where)
    try:
        for word in proto.string_data:
            word.decode("utf-8")
    except UnicodeDecodeError as error:
        raise IntegrityError("tensor holds text that is not UTF-8", where=where) from error
    return proto


def array_in(proto: Any) -> "NDArray[Any]":
    """Return the array of a TensorProto that ``parse_tensor`` let pass; an object array of text for strings."""
    import numpy as np

    if proto.data_type == ELEMENT_TYPES["string"]:
        return np.array([word.decode("utf-8") for word in proto.string_data], dtype=object).reshape(tuple(proto.dims))
    dtype = next(name for name, number in ELEMENT_TYPES.items() if number == proto.data_type)
    little = np.dtype(dtype).newbyteorder("<")
    return np.frombuffer(proto.raw_data, dtype=little).astype(dtype).reshape(tuple(proto.dims))


def array_of(data: bytes, tensor: "Tensor", *, rows: int, where: str) -> "NDArray[Any]":
    """Return the array in a golden file; arguments and errors are those of ``parse_tensor``."""
    name, dtype, shape = tensor.name, tensor.dtype, tensor.shape
    return array_in(parse_tensor(data, name=name, dtype=dtype, shape=shape, rows=rows, where=where))
