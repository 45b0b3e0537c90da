"""Time single calls of one graph, or of champion and challenger in interleaved rounds.

The protocol is that of randomised multiple interleaved trials: in every round each bundle gets a
block of calls, in an order drawn anew, on the same rows, so that what the machine does to one it
does to the other. Raw durations are the evidence; quantiles and intervals are derived elsewhere.
Source: Abedi and Brecht, "Conducting repeatable experiments in highly variable cloud computing
environments", ICPE 2017.
"""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset, runtime
from candidate.adapters.archive import Archive
from candidate.documents.evidence import LatencyAxes, ModelRole
from candidate.documents.results import Benchmark, BenchResult
from candidate.errors import InputError
from candidate.flows.measuring import Scorer
from candidate.flows.progress import Progress, silent
from candidate.flows.verifying import golden_feeds, inspect
from candidate.judgement.latency import quantile_estimate, ratio_estimate

LATENCY_SEED = 20_130_101
"""Draws rows and the order within rounds; fixed, so that nobody can try several."""
LATENCY_ROWS = 256
"""Rows of the data that single calls are timed on."""
THREADS = 1
"""Threads of a session, the same that serving uses."""
ROLES: tuple[ModelRole, ...] = ("challenger", "champion")
QUANTILES = {"latency_p50_ms": 0.50, "latency_p90_ms": 0.90, "latency_p95_ms": 0.95, "latency_p99_ms": 0.99}

WARM_UP_WINDOW = 50
"""Calls in one warm-up window."""
WARM_UP_WINDOWS = 40
"""At most so many windows; then timing starts whether or not the machine has settled."""
SETTLED = 0.05
"""Warm-up ends when two successive windows have medians closer than this share."""

Call = Callable[[Mapping[str, NDArray[Any]]], object]


@dataclass(frozen=True)
class Contender:
    """One graph under test: how to call it, and the single rows to call it with."""

    role: ModelRole
    call: Call
    rows: Sequence[Mapping[str, NDArray[Any]]]


def _block(contender: Contender, picks: NDArray[np.int64], clock: Callable[[], int], into: NDArray[np.int64]) -> None:
    """Time one call for each pick; the loop holds nothing but the clock and the call."""
    call, rows = contender.call, contender.rows
    feeds = [rows[pick] for pick in picks]
    durations = [0] * len(feeds)
    for position, feed in enumerate(feeds):
        start = clock()
        call(feed)
        durations[position] = clock() - start
    into[:] = durations


def warm_up(contender: Contender, clock: Callable[[], int]) -> bool:
    """Call until the median duration is stationary; return whether it settled within the cap."""
    picks = np.arange(WARM_UP_WINDOW, dtype=np.int64) % len(contender.rows)
    durations = np.empty(WARM_UP_WINDOW, dtype=np.int64)
    before: float | None = None
    for _ in range(WARM_UP_WINDOWS):
        _block(contender, picks, clock, durations)
        now = float(np.median(durations))
        if before is not None and abs(now - before) <= SETTLED * before:
            return True
        before = now
    return False


def time_rounds(
    contenders: Sequence[Contender],
    *,
    rounds: int,
    calls: int,
    seed: int,
    threads: int,
    clock: Callable[[], int] = time.perf_counter_ns,
    progress: Progress = silent,
) -> tuple[NDArray[np.int64], LatencyAxes]:
    """Return durations in nanoseconds, shape (rounds, models, calls), and what the axes mean.

    Args:
        contenders: one or two graphs; the same number of rows for each, row by row the same.
        rounds: number of interleaved rounds.
        calls: calls of each contender in a round.
        seed: draws the order within rounds and the rows; the same for every contender.
        threads: threads that the sessions use, for the record.
        clock: monotonic, in nanoseconds.
        progress: told the share of rounds done.
    """
    rng = np.random.default_rng(seed)
    durations = np.empty((rounds, len(contenders), calls), dtype=np.int64)
    for contender in contenders:
        warm_up(contender, clock)
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()  # a collection inside a call would be charged to the model
    try:
        for number in range(rounds):
            picks = rng.integers(0, len(contenders[0].rows), calls)
            for index in rng.permutation(len(contenders)):
                _block(contenders[index], picks, clock, durations[number, index])
            progress("timing single rows, champion and challenger in turn", (number + 1) / rounds)
    finally:
        if enabled:
            gc.enable()
    axes = LatencyAxes(
        models=tuple(contender.role for contender in contenders),
        rounds=rounds,
        calls=calls,
        seed=seed,
        threads=threads,
        batch_rows=1,
    )
    return durations, axes


def timing_rows(scorers: Sequence[Scorer], data: Path | None) -> list[Contender]:
    """Build single-row feeds: the same rows of a file for every bundle, or each one's golden rows."""
    if data is None:
        feeds = [golden_feeds(scorer.bundle) for scorer in scorers]
    else:
        columns = list(dict.fromkeys(name for scorer in scorers for name in scorer.bundle.signature.features))
        batch = next(iter(dataset.batches(data, columns, rows=LATENCY_ROWS)), None)
        if batch is None:
            raise InputError("no rows", where=data.name)
        feeds = [dataset.feeds(batch, scorer.bundle.signature.inputs, where=data.name) for scorer in scorers]
    count = min(len(next(iter(feed.values()))) for feed in feeds)
    contenders = []
    for scorer, feed in zip(scorers, feeds, strict=True):
        rows = [{name: values[row : row + 1] for name, values in feed.items()} for row in range(count)]
        contenders.append(Contender(role=scorer.role, call=partial(scorer.session.raw.run, None), rows=rows))
    return contenders


def bench(
    bundle: Path | str,
    *,
    against: Path | str | None = None,
    data: Path | str | None = None,
    rounds: int = 60,
    calls: int = 100,
    alpha: float = 0.05,
    progress: Progress = silent,
) -> Benchmark:
    """Time single rows through one bundle, or two in interleaved rounds.

    Args:
        bundle: bundle file.
        against: a second bundle, measured in the same rounds.
        data: rows to call with; by default the bundle's own golden rows.
        rounds: interleaved rounds, at least 30.
        calls: calls of each bundle in a round.
        alpha: one-sided error rate of each bound.
        progress: told the share of rounds done.
    """
    paths = [bundle] if against is None else [bundle, against]
    with ExitStack() as stack:
        opened = [inspect(stack.enter_context(Archive.open(Path(path)))) for path in paths]
        scorers = [Scorer(role, item, item.session(threads=THREADS)) for role, item in zip(ROLES, opened, strict=False)]
        contenders = timing_rows(scorers, None if data is None else Path(data))
        durations, axes = time_rounds(
            contenders, rounds=rounds, calls=calls, seed=LATENCY_SEED, threads=THREADS, progress=progress
        )
    results = tuple(
        BenchResult(
            bundle=item.ref,
            size_bytes=item.size_bytes,
            model_size_bytes=item.model_size_bytes,
            latency={
                name: quantile_estimate(durations[:, index], quantile, alpha) for name, quantile in QUANTILES.items()
            },
        )
        for index, item in enumerate(opened)
    )
    return Benchmark(
        results=results,
        latency_p99_ratio=ratio_estimate(durations[:, 0], durations[:, 1], 0.99, alpha) if against else None,
        rounds=axes.rounds,
        calls=axes.calls,
        threads=axes.threads,
        environment=runtime.fingerprint(THREADS),
    )
