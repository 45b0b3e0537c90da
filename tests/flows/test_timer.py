"""The process that times: an open loop hides no stall, rows arrive as they were, and an ended process is said."""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from candidate.adapters.archive import Archive
from candidate.adapters.attest import Signer
from candidate.errors import IntegrityError, UnavailableError
from candidate.flows import timer, timing
from candidate.flows.inspecting import Bundle, golden_feeds, inspect
from candidate.flows.timer import closed_loop, open_loop, pack_feeds, throughput, unpack_feeds
from candidate.flows.timing import Worker
from tests.bundles import sealed, tiny_recipe


class FakeTime:
    """Time that only calls, sleeping and looking at the clock let pass."""

    def __init__(self, *, stall_at: int) -> None:
        self.now = 0
        self.calls = 0
        self.stall_at = stall_at

    def clock(self) -> int:
        """The time in nanoseconds; each look takes 100."""
        self.now += 100
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += int(seconds * 1e9)

    def call(self, feed: Mapping[str, NDArray[Any]]) -> None:  # noqa: ARG002 - a call takes a feed
        """Take 50 microseconds, and once a whole second."""
        self.now += 1_000_000_000 if self.calls == self.stall_at else 50_000
        self.calls += 1


ROWS: list[dict[str, NDArray[Any]]] = [{"x": np.zeros(1)}]


def test_an_open_loop_charges_a_stall_to_every_call_it_delays() -> None:
    """One second's stall at 1,000 calls a second: the closed loop has one slow call of 4,000, the open loop 1,000."""
    picks = np.zeros(4000, dtype=np.int64)
    closed, open_ = FakeTime(stall_at=1000), FakeTime(stall_at=1000)
    starts = np.arange(4000, dtype=np.int64) * 1_000_000

    hidden = closed_loop(closed.call, ROWS, picks, closed.clock)
    seen = open_loop(open_.call, ROWS, picks, starts, open_.clock, open_.sleep)

    assert np.quantile(hidden, 0.99) < 1e5
    assert np.quantile(seen, 0.99) > 9e8
    assert (hidden > 1e6).sum() == 1
    assert 1000 <= (seen > 1e6).sum() <= 1100
    assert np.median(seen) < 1e5  # before the stall and after it has been made up for, calls are quick


def test_a_throughput_counts_whole_batches() -> None:
    """50 microseconds a batch of 20 rows are 400,000 rows a second, less what the clock takes."""
    time = FakeTime(stall_at=-1)

    assert throughput(time.call, ROWS[0], 20, time.clock) == pytest.approx(4e5, rel=0.01)


def test_rows_arrive_as_they_were_sent() -> None:
    """Numbers of every type and texts, NaN and shapes included; nothing is pickled."""
    feeds: dict[str, NDArray[Any]] = {
        "x": np.array([[1.5], [np.nan]], dtype=np.float32),
        "n": np.array([[2**60], [-1]], dtype=np.int64),
        "city": np.array([["Malmö"], [""]], dtype=object),
    }
    head, *parts = pack_feeds(feeds)
    found = unpack_feeds(head, parts)

    assert list(found) == ["x", "n", "city"]
    for name, values in feeds.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


@pytest.fixture
def bundle(builder: Signer, tmp_path: Path) -> Bundle:
    """A small logistic regression."""
    (tmp_path / "tiny.candidate").write_bytes(sealed(tiny_recipe(), builder))
    return inspect(Archive.open(tmp_path / "tiny.candidate"))


def test_a_process_times_a_bundle(bundle: Bundle) -> None:
    """Durations are positive, one for each call; a start, a session and a first call take longer the more they hold."""
    picks = np.arange(12, dtype=np.int64) % 4
    with Worker(bundle, golden_feeds(bundle), threads=1) as worker:
        durations = worker.closed(picks)
        late = worker.open(picks, np.arange(12, dtype=np.int64) * 1_000_000)
        rate = worker.batch(16)
        used = worker.memory()

        assert durations.shape == late.shape == (12,)
        assert durations.min() > 0
        assert rate > 0
        assert len(worker.cpu_ns) == 2
        assert worker.started_ns > worker.ready["session_ns"] + worker.ready["first_call_ns"] > 0
        assert used["peak_bytes"] >= used["steady_bytes"] > worker.ready["before"]["steady_bytes"] // 2 > 0


def test_a_graph_that_fails_on_its_rows_is_refused(bundle: Bundle) -> None:
    """The child says why, and is gone afterwards."""
    with pytest.raises(IntegrityError, match="fails on its input"):
        Worker(bundle, {"age": np.zeros((4, 1), dtype=np.float32)}, threads=1)


def test_a_process_that_ended_is_unavailable(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a child that dies nor one that cannot start is waited for."""
    worker = Worker(bundle, golden_feeds(bundle), threads=1)
    worker.close()
    with pytest.raises(UnavailableError, match="ended"):
        worker.memory()
    monkeypatch.setattr(timing, "_START", "raise SystemExit(3)")
    with pytest.raises(UnavailableError, match="ended"):
        Worker(bundle, golden_feeds(bundle), threads=1)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(UnavailableError, match="cannot start"):
        Worker(bundle, golden_feeds(bundle), threads=1)


def test_memory_that_cannot_be_read_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Off Linux there is no such file."""

    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", partial(missing))

    assert timer.memory() == {"peak_bytes": 0, "steady_bytes": 0, "threads": 0}
