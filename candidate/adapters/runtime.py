"""ONNX Runtime: open a graph with everything closed that could reach outside it, and run it."""

import os
import platform
import tempfile
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from candidate.errors import IntegrityError, UnavailableError

if TYPE_CHECKING:
    from candidate.documents.manifest import ModelSignature

PROVIDER = "CPUExecutionProvider"


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UnavailableError("ONNX Runtime is not installed", hint="pip install onnxruntime") from error
    return onnxruntime


class Session:
    """A graph, loaded: on the CPU, with external data pointing at an empty folder."""

    def __init__(
        self, model: bytes, *, threads: int = 1, folder: Path | None = None, profile: str | None = None
    ) -> None:
        """Load the graph.

        Args:
            model: bytes of the graph.
            threads: threads within an operator.
            folder: where the weights outside the graph lie; by default an empty folder.
            profile: how the files of the runtime's profiler begin; by default it is off.

        Raises:
            IntegrityError: ONNX Runtime refuses the graph.
            UnavailableError: ONNX Runtime is not installed.
        """
        runtime = _onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if profile is not None:
            options.enable_profiling, options.profile_file_prefix = True, profile
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        refusals = (
            state.Fail,
            state.InvalidGraph,
            state.InvalidArgument,
            state.InvalidProtobuf,
            state.NotImplemented,
            state.RuntimeException,
            state.NoSuchFile,
            state.EPFail,
            ValueError,
            RuntimeError,
        )
        given = tempfile.TemporaryDirectory(prefix="candidate-") if folder is None else nullcontext(str(folder))
        with given as home:
            # A graph loaded from bytes would otherwise look for external data in the working directory.
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", home)
            try:
                self.raw = runtime.InferenceSession(model, sess_options=options, providers=[PROVIDER])
            except refusals as error:
                raise IntegrityError(f"ONNX Runtime refuses the graph: {str(error)[:300]}", where="model") from error
        self._refusals = refusals
        self.outputs = [output.name for output in self.raw.get_outputs()]

    def run(self, feeds: Mapping[str, NDArray[Any]], *, quiet: bool = False) -> dict[str, NDArray[Any]]:
        """Run the graph.

        Args:
            feeds: its inputs.
            quiet: keep ONNX Runtime from writing to standard error, where a failure is an answer.

        Raises:
            IntegrityError: the graph fails on this input.
        """
        options = None
        if quiet:
            options = _onnxruntime().RunOptions()
            options.log_severity_level = 4
        try:
            results = self.raw.run(None, dict(feeds), options)
        except self._refusals as error:
            raise IntegrityError(f"the graph fails on its input: {str(error)[:300]}", where="model") from error
        return dict(zip(self.outputs, results, strict=True))


def scores_of(
    signature: "ModelSignature", outputs: Mapping[str, NDArray[Any]]
) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
    """Return labels and the score, shape (rows,), if there is one.

    Labels are of shape (rows,), or (rows, values) where a model answers several. The score is the
    probability of the positive class, or how normal a row is to an anomaly detector.
    """
    labels = np.asarray(outputs[signature.label_output])
    if labels.ndim != 2 or labels.shape[1] == 1:  # noqa: PLR2004 - a table
        labels = labels.reshape(-1)
    if signature.task == "anomaly" and signature.score_output is not None:
        return labels, np.asarray(outputs[signature.score_output], dtype=np.float64).reshape(-1)
    if signature.score_output is None or signature.positive is None:
        return labels, None
    scores = np.asarray(outputs[signature.score_output], dtype=np.float64)
    return labels, scores[:, signature.classes.index(signature.positive)]


def _first(path: str, key: str) -> str | None:
    try:
        for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(key):
                return line.split(":", 1)[-1].strip()
    except OSError:
        return None
    return None


def _steal() -> str:
    """Return the share of processor time since the system started that other guests of its host took."""
    words = (_first("/proc/stat", "cpu ") or "").split()[1:9]
    times = [int(word) for word in words]
    total = sum(times)
    return f"{times[7] / total:.4f}" if len(times) == 8 and total else "unknown"  # noqa: PLR2004 - its place


def fingerprint(threads: int) -> dict[str, str]:
    """Return what a timing depends on: machine, limits, versions, session options. No name of host or user."""
    runtime = _onnxruntime()
    quota = Path("/sys/fs/cgroup/cpu.max")
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    affinity = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    limit = Path("/sys/fs/cgroup/memory.max")
    facts = {
        "cpu_model": _first("/proc/cpuinfo", "model name") or platform.processor() or "unknown",
        "cpu_count": str(os.cpu_count()),
        "cpu_affinity": ",".join(map(str, affinity)) or "unknown",
        "cpu_quota": quota.read_text().strip() if quota.is_file() else "none",
        "cpu_governor": governor.read_text().strip() if governor.is_file() else "unknown",
        "memory_limit": limit.read_text().strip() if limit.is_file() else "none",
        "cpu_steal": _steal(),
        "load_average": f"{os.getloadavg()[0]:.2f}",
        "kernel": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "onnxruntime": str(runtime.__version__),
        "onnxruntime_build": str(runtime.get_build_info()),
        "provider": PROVIDER,
        "intra_op_threads": str(threads),
        "inter_op_threads": "1",
        "spinning": "off",
        "graph_optimization": "all",
        "execution_mode": "sequential",
        "memory_arena": "on",
        "memory_pattern": "on",
        "denormals_as_zero": "off",
        "clock_resolution_ns": str(round(time.get_clock_info("perf_counter").resolution * 1e9)),
    }
    return dict(sorted(facts.items()))
