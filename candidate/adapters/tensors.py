"""Golden tensors: one ONNX ``TensorProto`` per file, as ONNX's backend tests store them.

Source: ONNX IR specification (TensorProto), onnx/backend/test layout.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.documents.manifest import Tensor, TensorType
from candidate.errors import IntegrityError

ELEMENT_TYPES: dict[TensorType, int] = {"float32": 1, "int32": 6, "int64": 7, "string": 8, "bool": 9, "float64": 11}
"""ONNX's ``TensorProto.DataType`` of each dtype."""


def tensor_bytes(array: NDArray[Any], name: str) -> bytes:
    """Return an array as the bytes of a TensorProto; strings come as an object array."""
    from onnx import numpy_helper

    proto = numpy_helper.from_array(array, name)
    return bytes(proto.SerializeToString(deterministic=True))


def array_of(data: bytes, tensor: Tensor, *, rows: int, where: str) -> NDArray[Any]:
    """Return the array in a golden file, which must be this tensor with this many rows.

    Args:
        data: bytes of the file.
        tensor: what the model signature says; a named dimension ``batch`` is the number of rows.
        rows: number of golden rows.
        where: the member, for the message.

    Returns:
        Shape as the tensor's; an object array of text for strings.

    Raises:
        IntegrityError: no TensorProto, external data, or another name, dtype or shape.
    """
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import numpy_helper

    proto = onnx.TensorProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise IntegrityError("not a tensor file", where=where) from error
    if proto.external_data or proto.data_location == onnx.TensorProto.EXTERNAL:
        raise IntegrityError("tensor keeps its data in another file", where=where)
    if proto.name not in {"", tensor.name}:
        raise IntegrityError(f"tensor is named {proto.name!r}, not {tensor.name!r}", where=where)
    if proto.data_type != ELEMENT_TYPES[tensor.dtype]:
        raise IntegrityError(f"tensor has element type {proto.data_type}, not {tensor.dtype}", where=where)
    found = tuple(proto.dims)
    wanted = tuple(rows if size == "batch" else size for size in tensor.shape)
    fits = len(found) == len(wanted) and all(
        have >= 0 and (isinstance(want, str) or have == want) for have, want in zip(found, wanted, strict=True)
    )
    if not fits:
        raise IntegrityError(f"tensor has shape {found}, not {wanted}", where=where)
    try:
        if tensor.dtype == "string":
            # By hand: to_array passes through a fixed-width dtype, which strips trailing zero characters.
            return np.array([text.decode("utf-8") for text in proto.string_data], dtype=object).reshape(found)
        return np.asarray(numpy_helper.to_array(proto))
    except (ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
        raise IntegrityError("tensor's data does not fit its shape", where=where) from error
