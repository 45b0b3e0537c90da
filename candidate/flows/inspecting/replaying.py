"""The bundle proves itself: its golden inputs, run on this host, against its golden outputs."""

import json
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from candidate.documents.names import MODEL_PATH
from candidate.documents.view import View
from candidate.errors import IntegrityError, UnavailableError
from candidate.flows.inspecting.bundle import Bundle, golden_feeds, golden_outputs, golden_path
from candidate.flows.replayer import compare_all, pack_request

if TYPE_CHECKING:
    from candidate.adapters.runtime import Session
    from candidate.documents.evidence import Replay

MEMORY_BYTES = 2 << 30
"""Address space of a replay beyond what the runtime takes when it is imported; more for a larger model."""
MEMORY_FACTOR = 4
SECONDS = 60
"""Processor time of a replay; the clock may run twice as long. More for a larger model."""
BYTES_A_SECOND = 20_000_000

_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from candidate.flows.replayer import main; main()"


class Replayer(AbstractContextManager["Replayer"]):
    """A child process that replays one bundle; it starts at once and is ready when the bundle is verified."""

    def __init__(self) -> None:
        """Start the child: isolated, in an empty folder, without our environment."""
        import subprocess  # late, like the next: whoever does not replay needs neither
        import tempfile

        self._folder = tempfile.TemporaryDirectory(prefix="candidate-")
        home = str(Path(__file__).parents[3])
        paths = [home, *(path for path in sys.path if path and Path(path).is_absolute() and path != home)]
        try:
            self._child = subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
                [sys.executable, "-I", "-S", "-c", _START, json.dumps(paths)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=self._folder.name,
                env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
                close_fds=True,
            )
        except OSError as error:
            self._folder.cleanup()
            raise UnavailableError(f"the replay's process cannot start: {error.strerror}", where="replay") from error

    def run(self, bundle: Bundle) -> View:
        """Replay a bundle's golden inputs.

        Returns:
            The fields of a ``Replay``: the largest absolute difference of any number, and whether all
            rows are within tolerance.

        Raises:
            IntegrityError: the graph cannot be loaded, does not run on its own golden rows, or asks
                for more memory or time than a replay may take.
            UnavailableError: there is no runtime, or its process cannot be spoken to.
        """
        import subprocess

        signature, tolerance, size = bundle.views.signature, bundle.views.tolerance, bundle.model_size_bytes
        seconds = SECONDS + size // BYTES_A_SECOND
        files = [golden_path("input", number) for number in range(len(signature.inputs))]
        files += [golden_path("output", number) for number in range(len(signature.outputs))]
        with bundle.weights() as folder:
            request = {
                "tensors": [(t.name, t.dtype, t.shape) for t in (*signature.inputs, *signature.outputs)],
                "inputs": len(signature.inputs),
                "rows": tolerance.rows,
                "absolute": tolerance.absolute,
                "relative": tolerance.relative,
                "folder": str(folder),
                "memory_bytes": MEMORY_BYTES + MEMORY_FACTOR * size,
                "seconds": seconds,
            }
            parts = [bundle.read(name) for name in (MODEL_PATH, *files)]
            try:
                said, _ = self._child.communicate(pack_request(request, parts), timeout=2 * seconds)
            except subprocess.TimeoutExpired as error:
                self.close()
                raise _stopped(f"it was not done after {2 * seconds} s") from error
            except OSError as error:
                raise UnavailableError(f"the replay's process is gone: {error.strerror}", where="replay") from error
        return self._answer(said, tolerance.rows)

    def _answer(self, said: bytes, rows: int) -> View:
        code = self._child.returncode
        if code != 0 or not said:
            raise _stopped(f"its process ended by signal {-code}" if code < 0 else f"its process ended by {code}")
        answer = json.loads(said)
        if "unavailable" in answer:
            raise UnavailableError(answer["unavailable"], where="golden replay", hint="pip install onnxruntime")
        if "integrity" in answer:
            raise IntegrityError(answer["integrity"], where="golden replay")
        return View(rows=rows, max_difference=answer["max_difference"], passed=answer["passed"])

    def close(self) -> None:
        """End the child, whatever it is doing."""
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()
        self._folder.cleanup()

    def __exit__(self, *_: object) -> None:
        """End the child."""
        self.close()


def _stopped(why: str) -> IntegrityError:
    return IntegrityError(
        f"the golden replay was stopped: {why}",
        where="golden replay",
        hint="the graph crashes the runtime, or asks for more memory or time than a replay may take: do not serve it",
    )


def replay(bundle: Bundle, session: "Session | None" = None) -> "Replay":
    """Run the golden inputs through the graph on this host and compare with the golden outputs.

    Args:
        bundle: whose golden rows.
        session: its loaded graph, if it is to run here; by default a child process runs it.

    Returns:
        The largest absolute difference of any number, and whether all rows are within tolerance.

    Raises:
        IntegrityError: the graph cannot be loaded, or does not run on its own golden rows.
        UnavailableError: there is no runtime.
    """
    from candidate.documents.evidence import Replay

    if session is None:
        with Replayer() as replayer:
            return Replay(**vars(replayer.run(bundle)))
    tolerance = bundle.tolerance
    largest, passed = compare_all(
        session.run(golden_feeds(bundle)),
        golden_outputs(bundle),
        absolute=tolerance.absolute,
        relative=tolerance.relative,
    )
    return Replay(rows=tolerance.rows, max_difference=largest, passed=passed)
