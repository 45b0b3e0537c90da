"""The process that a golden replay runs in: shut off, bounded, and gone afterwards.

A graph is a program. Nothing that it may hold opens a file or a socket, but it can ask for all
memory and all time there are. So it runs in a child without environment, in an empty folder, with
no right to write a file or start a process, and with bounds on memory, processor time and the clock.
This module is what the child imports: it must stay small, because everybody who verifies waits for it.
"""

import json
import os
import sys
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

from candidate.errors import IntegrityError, UnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

LENGTH_BYTES = 8
OPEN_FILES = 64


def compare(found: "NDArray[Any]", golden: "NDArray[Any]", *, absolute: float, relative: float) -> tuple[float, bool]:
    """Return the largest difference (of numbers) and whether every element is within tolerance.

    Labels, whole numbers and texts must be equal; other numbers may differ by
    ``absolute + relative * |golden|``. NaN equals NaN.

    Args:
        found: what the graph answered.
        golden: what it answered when the bundle was built; the same shape, or nothing passes.
        absolute: allowed difference.
        relative: allowed share of the golden value.
    """
    import numpy as np

    if found.shape != golden.shape:
        return 0.0, False
    if golden.dtype.kind != "f" or found.dtype.kind != "f":
        return 0.0, bool(np.array_equal(found, golden))
    ours, theirs = found.astype(np.float64), golden.astype(np.float64)
    finite = np.isfinite(ours) & np.isfinite(theirs)
    alike = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    gap = np.abs(np.where(finite, ours, 0.0) - np.where(finite, theirs, 0.0))
    allowed = absolute + relative * np.abs(np.where(finite, theirs, 0.0))
    within = alike | (finite & (gap <= allowed))
    return float(gap.max(initial=0.0)), bool(within.all())


def compare_all(
    answers: "Mapping[str, NDArray[Any]]", golden: "Mapping[str, NDArray[Any]]", *, absolute: float, relative: float
) -> tuple[float, bool]:
    """Return the largest difference over all outputs, and whether all are within tolerance; see ``compare``.

    Raises:
        IntegrityError: the graph did not answer one of them.
    """
    largest, passed = 0.0, True
    for name, wanted in golden.items():
        if name not in answers:
            raise IntegrityError(f"the graph did not answer {name!r}", where="golden replay")
        difference, within = compare(answers[name], wanted, absolute=absolute, relative=relative)
        largest, passed = max(largest, difference), passed and within
    return largest, passed


def confine(memory_bytes: int, seconds: int) -> None:
    """Give up what a replay does not need; what was imported stays usable.

    Args:
        memory_bytes: address space beyond what is in use now.
        seconds: of processor time.
    """
    import resource

    def lower(what: int, limit: int) -> None:
        _, hard = resource.getrlimit(what)
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (limit, limit))

    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_FSIZE, 0)
    lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    lower(resource.RLIMIT_NPROC, 0)
    lower(resource.RLIMIT_CPU, seconds)
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - pathlib is one import more
            used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux: the clock and the processor time still bound it
        return
    lower(resource.RLIMIT_AS, used + memory_bytes)


def play(request: Mapping[str, Any], parts: list[bytes]) -> dict[str, Any]:
    """Replay one bundle.

    Args:
        request: ``tensors`` (name, dtype, shape of inputs and then outputs), ``inputs`` (how many are
            inputs), ``rows``, ``absolute``, ``relative``, ``folder`` (of weights).
        parts: the graph, then the golden file of each tensor.

    Returns:
        ``max_difference`` and ``passed``.

    Raises:
        IntegrityError: the graph cannot be loaded or does not run on its golden rows.
        UnavailableError: there is no runtime.
    """
    from pathlib import Path

    from candidate.adapters.graph.tensors import array_in, parse_tensor
    from candidate.adapters.runtime import Session

    model, *files = parts
    arrays = []
    for (name, dtype, shape), data in zip(request["tensors"], files, strict=True):
        proto = parse_tensor(data, name=name, dtype=dtype, shape=shape, rows=request["rows"], where=name)
        arrays.append((name, array_in(proto)))
    count = request["inputs"]
    answers = Session(model, folder=Path(request["folder"])).run(dict(arrays[:count]))
    largest, passed = compare_all(
        answers, dict(arrays[count:]), absolute=request["absolute"], relative=request["relative"]
    )
    return {"max_difference": largest, "passed": passed}


def pack_request(request: Mapping[str, Any], parts: list[bytes]) -> bytes:
    """Return a request as the child reads it: its length, itself, and the parts."""
    head = json.dumps({**request, "sizes": [len(part) for part in parts]}).encode()
    return b"".join([len(head).to_bytes(LENGTH_BYTES, "big"), head, *parts])


def read_request(stream: IO[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """Return what ``pack_request`` packed; nothing where the other end is closed."""
    length = stream.read(LENGTH_BYTES)
    if len(length) < LENGTH_BYTES:
        return {}, []
    head = json.loads(stream.read(int.from_bytes(length, "big")))
    return head, [stream.read(size) for size in head["sizes"]]


def main() -> None:
    """Be the child: import the runtime while the parent still verifies, read one request, answer, and end."""
    import numpy as np  # noqa: F401 - before the bounds are set
    import onnxruntime  # noqa: F401 - the same
    from google.protobuf import message  # noqa: F401 - the same

    from candidate.adapters.graph import messages

    messages.messages()
    request, parts = read_request(sys.stdin.buffer)
    if not parts:
        return
    confine(request["memory_bytes"], request["seconds"])
    try:
        answer: dict[str, Any] = play(request, parts)
    except IntegrityError as error:
        answer = {"integrity": error.message}
    except UnavailableError as error:
        answer = {"unavailable": error.message}
    except MemoryError:
        answer = {"integrity": "the graph asks for more memory than a replay may use"}
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)  # nothing to tidy up, and the runtime takes its time
