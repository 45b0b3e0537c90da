"""The process that one bundle is timed in: its session, its rows, a clock, and nothing else that runs.

The parent only says what to do next; everything that is timed is timed here. Each command is a message
with parts of bytes, as a replay's request is (``pack_request``), and each answer is one too.
"""

import gc
import io
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candidate.errors import IntegrityError, UnavailableError
from candidate.flows.replayer import pack_request, read_request

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Feed = Mapping[str, NDArray[Any]]
    Durations = NDArray[Any]

Call = Callable[["Feed"], object]
Clock = Callable[[], int]
NEAR_NS = 200_000
"""An open loop sleeps until so near the next start, and then watches the clock."""
BATCH_SECONDS = 0.2
"""A throughput is measured for at least so long."""


def closed_loop(call: Call, rows: "Sequence[Feed]", picks: "NDArray[Any]", clock: Clock) -> "Durations":
    """Return the duration of one call for each pick, in nanoseconds, one call in flight; shape (picks,)."""
    import numpy as np

    feeds = [rows[pick] for pick in picks]
    durations = [0] * len(feeds)
    for position, feed in enumerate(feeds):  # the loop holds nothing but the clock and the call
        start = clock()
        call(feed)
        durations[position] = clock() - start
    return np.array(durations, dtype=np.int64)


def open_loop(
    call: Call,
    rows: "Sequence[Feed]",
    picks: "NDArray[Any]",
    starts: "NDArray[Any]",
    clock: Clock,
    sleep: Callable[[float], None],
) -> "Durations":
    """Return how long each call took from when it was *meant* to start, in nanoseconds.

    A call that had to wait for a stalled one is charged for waiting: nothing is omitted because the
    clients would have coordinated with the server.

    Args:
        call: the graph.
        rows: single-row feeds.
        picks: a row for each call.
        starts: intended starts in nanoseconds after the first, ascending.
        clock: monotonic, nanoseconds.
        sleep: seconds.
    """
    import numpy as np

    durations = [0] * len(picks)
    begin = clock()
    for position, (pick, start) in enumerate(zip(picks, starts, strict=True)):
        meant = begin + int(start)
        while (left := meant - clock()) > 0:
            if left > NEAR_NS:
                sleep((left - NEAR_NS) / 1e9)
        call(rows[pick])
        durations[position] = clock() - meant
    return np.array(durations, dtype=np.int64)


def throughput(call: Call, feed: "Feed", size: int, clock: Clock) -> float:
    """Return rows a second of batches of one size, over at least ``BATCH_SECONDS`` after one batch to warm up."""
    call(feed)
    start, batches = clock(), 0
    while (spent := clock() - start) < BATCH_SECONDS * 1e9:
        call(feed)
        batches += 1
    return size * batches / (spent / 1e9)


def pack_feeds(feeds: "Feed") -> list[bytes]:
    """Return tensors as bytes: names and texts as JSON, numbers as ``.npy``; nothing is pickled."""
    import numpy as np

    names, parts = [], []
    for name, values in feeds.items():
        text = values.dtype.kind in "OU"
        names.append([name, list(values.shape), text])
        if text:
            parts.append(json.dumps([str(value) for value in values.reshape(-1)]).encode())
        else:
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, values, allow_pickle=False)
            parts.append(buffer.getvalue())
    return [json.dumps(names).encode(), *parts]


def unpack_feeds(head: bytes, parts: Sequence[bytes]) -> "dict[str, NDArray[Any]]":
    """Return the tensors that ``pack_feeds`` packed."""
    import numpy as np

    feeds: dict[str, NDArray[Any]] = {}
    for (name, shape, text), data in zip(json.loads(head), parts, strict=True):
        if text:
            feeds[name] = np.array(json.loads(data), dtype=object).reshape(shape)
        else:
            feeds[name] = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return feeds


def memory() -> dict[str, int]:
    """Return the peak and the present resident memory of this process in bytes, and its threads; Linux only."""
    found = {"peak_bytes": 0, "steady_bytes": 0, "threads": 0}
    keys = {"VmHWM": ("peak_bytes", 1024), "VmRSS": ("steady_bytes", 1024), "Threads": ("threads", 1)}
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        key, _, value = line.partition(":")
        if key in keys:
            name, unit = keys[key]
            found[name] = int(value.split()[0]) * unit
    return found


class Timer:
    """The graph under test, and what it can be asked."""

    def __init__(self, request: Mapping[str, Any], parts: Sequence[bytes]) -> None:
        """Load the graph, build the rows and make the first call, each timed.

        Args:
            request: ``threads``, ``folder`` (of weights), ``cores`` to run on (may be empty).
            parts: the graph, then the rows as ``pack_feeds`` packs them.
        """
        from candidate.adapters.runtime import Session

        if request["cores"] and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, request["cores"])
        feeds = unpack_feeds(parts[1], parts[2:])
        count = len(next(iter(feeds.values())))
        self.feeds = feeds
        self.rows = [{name: values[row : row + 1] for name, values in feeds.items()} for row in range(count)]
        before, start = memory(), time.perf_counter_ns()
        session = Session(parts[0], threads=request["threads"], folder=Path(request["folder"]))
        loaded = time.perf_counter_ns()
        session.run(self.rows[0])
        self.ready = {
            "session_ns": loaded - start,
            "first_call_ns": time.perf_counter_ns() - loaded,
            "before": before,
        }
        self.call: Call = partial(session.raw.run, None)
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection inside a call would be charged to the model

    def answer(self, request: Mapping[str, Any], parts: Sequence[bytes]) -> tuple[dict[str, Any], list[bytes]]:
        """Do what is asked and return what came of it."""
        import resource

        import numpy as np

        arrays = [np.frombuffer(part, dtype="<i8") for part in parts]
        what = request["do"]
        if what == "memory":
            return memory(), []
        if what == "batch":
            size, count = request["rows"], len(self.rows)
            feed = {name: values[np.arange(size) % count] for name, values in self.feeds.items()}
            return {"rows_per_second": throughput(self.call, feed, size, time.perf_counter_ns)}, []
        before, cpu = resource.getrusage(resource.RUSAGE_SELF), time.process_time_ns()
        if what == "open":
            durations = open_loop(self.call, self.rows, arrays[0], arrays[1], time.perf_counter_ns, time.sleep)
        else:
            durations = closed_loop(self.call, self.rows, arrays[0], time.perf_counter_ns)
        spent, after = time.process_time_ns() - cpu, resource.getrusage(resource.RUSAGE_SELF)
        head = {"cpu_ns": spent, "involuntary": after.ru_nivcsw - before.ru_nivcsw}
        return head, [durations.astype("<i8").tobytes()]


def main() -> None:
    """Be the child: load what is sent, then answer one request after another until nothing more comes."""

    def say(head: Mapping[str, Any], parts: Sequence[bytes] = ()) -> None:
        sys.stdout.buffer.write(pack_request(head, list(parts)))
        sys.stdout.buffer.flush()

    import onnxruntime  # noqa: F401 - imported before the session's time and memory are taken

    try:
        timer = Timer(*read_request(sys.stdin.buffer))
        say(timer.ready)
        while True:
            request, parts = read_request(sys.stdin.buffer)
            if not request:
                return
            say(*timer.answer(request, parts))
    except (IntegrityError, UnavailableError) as error:
        say({"refused": type(error).__name__, "message": error.message})
