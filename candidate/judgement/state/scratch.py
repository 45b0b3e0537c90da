"""Memory that is used again: to be given fresh pages takes longer than the sums that are made in them."""

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class _Held(threading.local):
    """What each thread keeps, by name."""

    def __init__(self) -> None:
        self.buffers: dict[str, NDArray[np.uint8]] = {}


_held = _Held()


def scratch(name: str, *shape: int, dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """Return an array to write to; what it holds is whatever was last written there.

    It is the caller's until the same name is asked for again in the same thread.

    Args:
        name: whose memory.
        shape: of the array.
        dtype: of the array.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = _held.buffers.get(name)
    if buffer is None or buffer.size < size:
        buffer = _held.buffers[name] = np.empty(size, dtype=np.uint8)
    return buffer[:size].view(dtype).reshape(shape)
