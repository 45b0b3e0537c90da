"""The parent's end of a process that one bundle is timed in."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from candidate.documents.names import MODEL_PATH
from candidate.errors import IntegrityError, UnavailableError
from candidate.flows.inspecting import Bundle
from candidate.flows.replayer import pack_request, read_request
from candidate.flows.timer import pack_feeds

_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from candidate.flows.timer import main; main()"


class Worker(AbstractContextManager["Worker"]):
    """A process with one bundle's graph loaded and its rows built.

    Attributes:
        ready: what loading took: ``session_ns``, ``first_call_ns``, and memory ``before`` the graph.
        started_ns: from the start of the process to its first answer.
        cpu_ns: processor time of each block timed so far.
        involuntary: times that the process was taken off its core while timing.
    """

    def __init__(self, bundle: Bundle, feeds: Mapping[str, NDArray[Any]], *, threads: int) -> None:
        """Start the process and wait for its first answer.

        Args:
            bundle: verified.
            feeds: rows by input, each of shape (rows, ...).
            threads: within an operator.

        Raises:
            IntegrityError: the graph cannot be loaded or run.
            UnavailableError: the process cannot be started or has ended.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="candidate-")
        home = str(Path(__file__).parents[2])
        paths = [home, *(path for path in sys.path if path and Path(path).is_absolute() and path != home)]
        start = time.perf_counter_ns()
        try:
            self._child = subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
                [sys.executable, "-I", "-S", "-c", _START, json.dumps(paths)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=self._folder.name,
                env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            )
        except OSError as error:
            self._folder.cleanup()
            raise UnavailableError(f"the timing's process cannot start: {error.strerror}", where="bench") from error
        self.cpu_ns: list[int] = []
        self.involuntary = 0
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        try:
            with bundle.weights() as folder:
                request = {"threads": threads, "folder": str(folder), "cores": cores}
                self.ready, _ = self.ask(request, [bundle.read(MODEL_PATH), *pack_feeds(feeds)])
        except BaseException:
            self.close()
            raise
        self.started_ns = time.perf_counter_ns() - start

    def ask(self, request: Mapping[str, Any], parts: Sequence[bytes] = ()) -> tuple[dict[str, Any], list[bytes]]:
        """Send a request and return the answer.

        Raises:
            IntegrityError: the graph is refused, or fails on a row.
            UnavailableError: the process has ended.
        """
        if self._child.stdin is None or self._child.stdout is None:
            self._gone()
        try:
            self._child.stdin.write(pack_request(request, list(parts)))
            self._child.stdin.flush()
            head, answer = read_request(self._child.stdout)
        except (OSError, ValueError):  # ValueError: the pipe was closed by us
            self._gone()
        if not head:
            self._gone()
        if "refused" in head:
            error = IntegrityError if head["refused"] == "IntegrityError" else UnavailableError
            raise error(head["message"], where="bench")
        return head, answer

    def _gone(self) -> NoReturn:
        raise UnavailableError("the timing's process has ended", where="bench", hint="is there enough memory?")

    def closed(self, picks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the duration of a call for each pick in nanoseconds, one call in flight."""
        return self._timed({"do": "closed"}, picks)

    def open(self, picks: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how long each call took from its intended start, in nanoseconds; see ``timer.open_loop``."""
        return self._timed({"do": "open"}, picks, starts)

    def _timed(self, request: Mapping[str, Any], *arrays: NDArray[np.int64]) -> NDArray[np.int64]:
        head, parts = self.ask(request, [array.astype("<i8").tobytes() for array in arrays])
        self.cpu_ns.append(head["cpu_ns"])
        self.involuntary += head["involuntary"]
        return np.frombuffer(parts[0], dtype="<i8").astype(np.int64)

    def batch(self, rows: int) -> float:
        """Return rows a second in batches of a size."""
        return float(self.ask({"do": "batch", "rows": rows})[0]["rows_per_second"])

    def memory(self) -> dict[str, int]:
        """Return ``peak_bytes``, ``steady_bytes`` and ``threads`` of the process."""
        answer = self.ask({"do": "memory"})[0]
        return {name: answer[name] for name in ("peak_bytes", "steady_bytes", "threads")}

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was not sent to a process that has ended
                    continue
        self._folder.cleanup()

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self.close()
