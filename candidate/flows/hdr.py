"""Write durations as HdrHistogram's logs, which other people's tools read and plot.

Source: HdrHistogram's log format 1.2, written by its Python library; one interval for each round.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.documents.evidence import BundleRef
from candidate.errors import InputError, UnavailableError

LARGEST_NS = 3_600_000_000_000
"""An hour; longer calls are counted as that."""
DIGITS = 3
"""Significant digits: durations are off by at most a thousandth."""


def _library() -> tuple[Any, Any]:
    try:
        from hdrh.histogram import HdrHistogram
        from hdrh.log import HistogramLogWriter
    except ImportError as error:
        raise UnavailableError(
            "HdrHistogram is not installed", where="--hdr", hint='pip install "candidate[hdr]"'
        ) from error
    return HdrHistogram, HistogramLogWriter


def paths_for(folder: Path, bundles: Sequence[BundleRef]) -> list[Path]:
    """Return where the log of each bundle will be, if nothing is there yet and there is who writes it.

    Raises:
        InputError: a file has the name, or both bundles would have one.
        UnavailableError: HdrHistogram is not installed.
    """
    _library()
    paths = [folder / f"{bundle.name}-{bundle.version}.hlog" for bundle in bundles]
    for path in paths:
        if path.exists() or paths.count(path) > 1:
            raise InputError("exists already", where=str(path), hint="name another folder with --hdr")
    return paths


def log_of(durations: NDArray[np.int64], bundle: BundleRef) -> bytes:
    """Return a log of one bundle's durations.

    Args:
        durations: nanoseconds, shape (rounds, calls).
        bundle: which one, for a comment.
    """
    histogram_of, writer_of = _library()
    text = io.StringIO()
    writer = writer_of(text)
    writer.output_comment(f"[{bundle.name} {bundle.version} {bundle.digest}; single stream, nanoseconds]")
    writer.output_log_format_version()
    writer.output_legend()
    begin = 0.0
    for calls in durations:
        found = histogram_of(1, LARGEST_NS, DIGITS)
        for duration in np.clip(calls, 1, LARGEST_NS).tolist():
            found.record_value(duration)
        end = begin + float(calls.sum()) / 1e9
        # A zero start would be taken for "not given"; intervals are as long as their calls together.
        writer.output_interval_histogram(found, begin or 1e-9, end)
        begin = end
    return text.getvalue().encode()


def write_logs(paths: Sequence[Path], logs: Sequence[bytes]) -> None:
    """Write every log, or none.

    Raises:
        UnavailableError: the disk refuses.
    """
    made: list[Path] = []
    try:
        for path, data in zip(paths, logs, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                made.append(path)
                file.write(data)
    except OSError as error:
        for path in made:
            path.unlink(missing_ok=True)
        raise UnavailableError(f"cannot be written: {error.strerror}", where=str(paths[0].parent)) from error
