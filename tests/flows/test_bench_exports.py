"""What ``bench`` leaves for other tools: logs that HdrHistogram reads, and the operators that take the time."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from candidate.documents.evidence import BundleRef
from candidate.errors import InputError, UnavailableError
from candidate.flows.benching import bench
from candidate.flows.hdr import log_of, paths_for, write_logs
from candidate.flows.profiling import operators
from candidate.report.text import benchmark_text

REF = BundleRef(name="m", version="1", digest="sha256:" + "a" * 64)


def test_a_log_is_read_back_round_by_round(tmp_path: Path) -> None:
    """Every call is there; quantiles are those of the durations within a thousandth."""
    durations = np.random.default_rng(1).lognormal(11, 0.5, (12, 500)).astype(np.int64)
    path = tmp_path / "m-1.hlog"
    path.write_bytes(log_of(durations, REF))
    whole, rounds = HdrHistogram(1, 3_600_000_000_000, 3), []
    reader = HistogramLogReader(str(path), whole)
    while (interval := reader.get_next_interval_histogram()) is not None:
        rounds.append(interval.get_total_count())
        whole.add(interval)
    reader.close()

    assert rounds == [500] * 12
    for quantile in (50, 90, 99, 99.9):
        expected = np.sort(durations, axis=None)[round(quantile * durations.size / 100) - 1]
        assert whole.get_value_at_percentile(quantile) == pytest.approx(expected, rel=1e-3)
    assert whole.get_max_value() == pytest.approx(durations.max(), rel=1e-3)


def test_nothing_is_overwritten_and_all_are_written_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bundles of one name, a file that is there, a disk that fails, a library that is not installed."""
    other = REF.model_copy(update={"version": "2"})
    assert [path.name for path in paths_for(tmp_path, [REF, other])] == ["m-1.hlog", "m-2.hlog"]
    with pytest.raises(InputError, match="exists already"):
        paths_for(tmp_path, [REF, REF])
    (tmp_path / "m-2.hlog").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        paths_for(tmp_path, [REF, other])
    with pytest.raises(UnavailableError, match="cannot be written"):
        write_logs([tmp_path / "m-1.hlog", tmp_path / "m-2.hlog"], [b"1", b"2"])
    assert [path.name for path in tmp_path.iterdir()] == ["m-2.hlog"]
    monkeypatch.setitem(sys.modules, "hdrh.histogram", None)
    with pytest.raises(UnavailableError, match="not installed"):
        paths_for(tmp_path / "new", [REF])


def test_operators_are_counted_by_their_kernels() -> None:
    """Not by what surrounds them; a kind that runs twice in a call is one line."""
    events = [
        {"cat": "Session", "name": "model_run", "dur": 900},
        {"cat": "Node", "name": "Scaler_fence_before", "dur": 500, "args": {"op_name": "Scaler"}},
        {"cat": "Node", "name": "a_kernel_time", "dur": 30, "args": {"op_name": "Scaler"}},
        {"cat": "Node", "name": "b_kernel_time", "dur": 10, "args": {"op_name": "Scaler"}},
        {"cat": "Node", "name": "c_kernel_time", "dur": 60, "args": {"op_name": "TreeEnsembleClassifier"}},
    ]
    first, second = operators(events, calls=2)

    assert (first.name, first.per_call, first.microseconds, first.share) == ("TreeEnsembleClassifier", 0.5, 30, 0.6)
    assert (second.name, second.per_call, second.microseconds, second.share) == ("Scaler", 1.0, 20, 0.4)
    assert operators([], calls=1) == ()


def test_a_bench_tells_the_tail_the_operators_and_every_round(bundle_path: Path, tmp_path: Path) -> None:
    """The p99.9 only where there are calls enough to bound it."""
    few = bench(bundle_path, rounds=30, calls=20)
    many = bench(bundle_path, rounds=30, calls=120, hdr=tmp_path, operators=True)
    (one,) = many.results

    assert "latency_p99_9_ms" not in few.results[0].latency
    assert few.results[0].operators == ()
    assert one.latency["latency_p99_9_ms"].n == 3600
    assert one.latency["latency_p99_9_ms"].value >= one.latency["latency_p99_ms"].value
    assert sum(each.share for each in one.operators) == pytest.approx(1)
    assert f"{one.operators[0].name} " in benchmark_text(many)
    (log,) = tmp_path.glob("*.hlog")
    assert sum(line[:1].isdigit() for line in log.read_text().splitlines()) == 30
