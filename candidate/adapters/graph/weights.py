"""Weights outside the graph: only in files that are members of the same bundle, and only their own bytes.

A location of external data is a path that a runtime opens. Here it is one file name beside the
graph, the range is said in full, it is as long as the tensor, and no two tensors share a byte.

Sources: ONNX "External Data" specification; CVE-2022-25882, CVE-2024-27318, CVE-2026-34445 (GHSA-538c-55jv-c5g9).
"""

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from math import prod
from typing import Any

from candidate.adapters.graph.messages import messages
from candidate.errors import IntegrityError

LOCATION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
KEYS = ("location", "offset", "length")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 14: 8, 15: 16, 16: 2}
"""Bytes of one element by ``TensorProto.DataType``; text and types below a byte stay in the graph."""


def is_outside(tensor: Any) -> bool:
    """Return whether a TensorProto keeps its data in another file, or says anything of one."""
    return bool(tensor.external_data) or tensor.data_location != messages().TensorProto.DEFAULT


def tensor_bytes_of(tensor: Any) -> int:
    """Return how many bytes the elements of a TensorProto take.

    Raises:
        IntegrityError: a negative dimension, or a type that has no fixed size.
    """
    size = _BYTES.get(tensor.data_type)
    if size is None or any(dimension < 0 for dimension in tensor.dims):
        raise IntegrityError(f"tensor {tensor.name!r} cannot lie outside the graph", where="model")
    return size * int(prod(tensor.dims))


_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")
_COMPLEX, _HALF_BYTES = frozenset({14, 15}), frozenset({21, 22, 23})


def check_held(tensor: Any) -> None:
    """Check that a tensor inside the graph has as many bytes or elements as its dimensions say.

    Raises:
        IntegrityError: it has more or fewer.
    """
    count = int(prod(tensor.dims))
    if count < 0 or any(dimension < 0 for dimension in tensor.dims):
        raise IntegrityError(f"tensor {tensor.name!r} has a negative dimension", where="model")
    if tensor.HasField("raw_data"):
        size = _BYTES.get(tensor.data_type)
        packed = (count + 1) // 2 if tensor.data_type in _HALF_BYTES else None
        fits = len(tensor.raw_data) == (packed if size is None else count * size) or (size is None and packed is None)
    else:
        elements = count * 2 if tensor.data_type in _COMPLEX else count
        elements = (count + 1) // 2 if tensor.data_type in _HALF_BYTES else elements
        fits = sum(len(getattr(tensor, field)) for field in _FIELDS) == elements
    if not fits:
        raise IntegrityError(f"tensor {tensor.name!r} does not hold what its dimensions say", where="model")


def canonical_location(tensor: Any) -> None:
    """Say where a tensor's bytes lie in the one way: location, offset and length; a checksum is dropped.

    What makes no sense is left as it is, for the gate to refuse.
    """
    said = {entry.key: entry.value for entry in tensor.external_data}
    if "location" not in said or len(said) != len(tensor.external_data) or tensor.data_type not in _BYTES:
        return
    if not all(isinstance(word, str) for word in (*said, *said.values())):  # not UTF-8: it comes as bytes
        return
    said.setdefault("offset", "0")
    said.setdefault("length", str(tensor_bytes_of(tensor)))
    if said.keys() - {*KEYS, "checksum"}:
        return
    del tensor.external_data[:]
    for key in KEYS:
        tensor.external_data.add(key=key, value=said[key].removeprefix("./") if key == "location" else said[key])


def locations(tensors: Iterable[Any]) -> tuple[str, ...]:
    """Return the file names that tensors keep their data in, sorted, unchecked."""
    said = {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}
    return tuple(sorted(name.removeprefix("./") for name in said if isinstance(name, str)))


def _range(tensor: Any, weights: Mapping[str, int]) -> tuple[str, int, int]:
    """Return file name, begin and end of a tensor's bytes."""

    def bad(what: str) -> IntegrityError:
        return IntegrityError(f"tensor {tensor.name!r} keeps its data outside the graph: {what}", where="model")

    if tensor.data_location != messages().TensorProto.EXTERNAL:
        raise bad("in a file that it says it does not use")
    if tuple(entry.key for entry in tensor.external_data) != KEYS:
        raise bad(f"not said by {', '.join(KEYS)}, once each")
    location, *numbers = (entry.value for entry in tensor.external_data)
    if not all(isinstance(word, str) for word in (location, *numbers)):
        raise bad("at a place that is no text")
    if not LOCATION.fullmatch(location) or location not in weights:
        raise bad(f"in {location[:80]!r}, which is no member of the bundle beside the graph")
    if not all(_NUMBER.fullmatch(number) for number in numbers):
        raise bad("at a place that is no number")
    offset, length = map(int, numbers)
    if tensor.HasField("raw_data") or length != tensor_bytes_of(tensor) or not length:
        raise bad(f"{length} bytes, which is not what its elements take")
    if offset + length > weights[location]:
        raise bad(f"bytes {offset} to {offset + length} of a file of {weights[location]}")
    return location, offset, offset + length


def check_weights(tensors: Iterable[Any], weights: Mapping[str, int]) -> tuple[str, ...]:
    """Check every tensor of the main graph that lies outside it.

    Args:
        tensors: the main graph's initializers.
        weights: size in bytes of each file that may be used, by its name beside the graph.

    Returns:
        The names of the files that are used, sorted.

    Raises:
        IntegrityError: another file, a range that is not the tensor's, or two tensors that share bytes.
    """
    ranges = sorted(_range(tensor, weights) for tensor in tensors if is_outside(tensor))
    for (name, _, end), (other, begin, _) in pairwise(ranges):
        if name == other and begin < end:
            raise IntegrityError(f"two tensors share bytes of {name}", where="model")
    return tuple(sorted({name for name, _, _ in ranges}))
