"""Time single calls of one graph, or of champion and challenger in interleaved rounds.

The protocol is that of randomised multiple interleaved trials: in every round each bundle gets a
block of calls, in an order drawn anew, on the same rows, so that what the machine does to one it
does to the other. Each bundle has a process of its own; this one only schedules. Raw durations are
the evidence; quantiles and intervals are derived elsewhere.
Source: Abedi and Brecht, "Conducting repeatable experiments in highly variable cloud computing
environments", ICPE 2017.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.documents.evidence import LatencyAxes, ModelRole
from candidate.errors import InputError
from candidate.flows.progress import Progress, silent
from candidate.flows.timing import Worker
from candidate.flows.verifying import Bundle, golden_feeds

LATENCY_SEED = 20_130_101
"""Draws rows and the order within rounds; fixed, so that nobody can try several."""
LATENCY_ROWS = 256
"""Rows of the data that single calls are timed on."""
THREADS = 1
"""Threads of a session, the same that serving uses."""
ROLES: tuple[ModelRole, ...] = ("challenger", "champion")
RARE = {"latency_p99_9_ms": 0.999}
"""Told only where there are calls enough to bound it."""
RARE_CALLS = 2995
"""Fewest calls of which the largest bounds the p99.9 with 95 % confidence: 0.999**2995 < 0.05."""
QUANTILES = {"latency_p50_ms": 0.50, "latency_p90_ms": 0.90, "latency_p95_ms": 0.95, "latency_p99_ms": 0.99}

WARM_UP_WINDOW = 50
"""Calls in one warm-up window."""
WARM_UP_WINDOWS = 40
"""At most so many windows; then timing starts whether or not the machine has settled."""
SETTLED = 0.05
"""Warm-up ends when two successive windows have medians closer than this share."""

Block = Callable[[NDArray[np.int64]], NDArray[np.int64]]
"""Calls with the rows picked, one after the other, and returns nanoseconds."""
Feeds = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Contender:
    """One graph under test: how to time a block of calls of it, and how many rows there are to pick from."""

    role: ModelRole
    block: Block
    rows: int


def warm_up(contender: Contender) -> bool:
    """Call until the median duration is stationary; return whether it settled within the cap."""
    picks = np.arange(WARM_UP_WINDOW, dtype=np.int64) % contender.rows
    before: float | None = None
    for _ in range(WARM_UP_WINDOWS):
        now = float(np.median(contender.block(picks)))
        if before is not None and abs(now - before) <= SETTLED * before:
            return True
        before = now
    return False


def play_round(contenders: Sequence[Contender], calls: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the durations of one round, shape (models, calls): the same rows for all, the order drawn."""
    durations = np.empty((len(contenders), calls), dtype=np.int64)
    picks = rng.integers(0, contenders[0].rows, calls)
    for index in rng.permutation(len(contenders)):
        durations[index] = contenders[index].block(picks)
    return durations


def time_rounds(
    contenders: Sequence[Contender],
    *,
    rounds: int,
    calls: int,
    seed: int,
    threads: int,
    progress: Progress = silent,
) -> tuple[NDArray[np.int64], LatencyAxes]:
    """Return durations in nanoseconds, shape (rounds, models, calls), and what the axes mean.

    Args:
        contenders: one or two graphs; the same number of rows for each, row by row the same.
        rounds: number of interleaved rounds.
        calls: calls of each contender in a round.
        seed: draws the order within rounds and the rows; the same for every contender.
        threads: threads that the sessions use, for the record.
        progress: told the share of rounds done.
    """
    rng = np.random.default_rng(seed)
    durations = np.empty((rounds, len(contenders), calls), dtype=np.int64)
    for contender in contenders:
        warm_up(contender)
    for number in range(rounds):
        durations[number] = play_round(contenders, calls, rng)
        progress("timing single rows, champion and challenger in turn", (number + 1) / rounds)
    axes = LatencyAxes(
        models=tuple(contender.role for contender in contenders),
        rounds=rounds,
        calls=calls,
        seed=seed,
        threads=threads,
        batch_rows=1,
    )
    return durations, axes


def timing_rows(bundles: Sequence[Bundle], data: Path | None) -> list[Feeds]:
    """Return rows for each bundle: the same rows of a file for all, or each one's golden rows; as many of each."""
    if data is None:
        feeds = [golden_feeds(bundle) for bundle in bundles]
    else:
        columns = list(dict.fromkeys(name for bundle in bundles for name in bundle.signature.features))
        batch = next(iter(dataset.batches(data, columns, rows=LATENCY_ROWS)), None)
        if batch is None:
            raise InputError("no rows", where=data.name)
        feeds = [dataset.feeds(batch, bundle.signature.inputs, where=data.name) for bundle in bundles]
    count = min(len(next(iter(feed.values()))) for feed in feeds)
    return [{name: values[:count] for name, values in feed.items()} for feed in feeds]


def workers(
    stack: ExitStack, bundles: Sequence[Bundle], given: Sequence[Mapping[str, NDArray[Any]]]
) -> list[tuple[Worker, Contender]]:
    """Start a process for each bundle, challenger first; the stack ends them."""
    found = []
    for role, bundle, feeds in zip(ROLES, bundles, given, strict=False):
        worker = stack.enter_context(Worker(bundle, feeds, threads=THREADS))
        rows = len(next(iter(feeds.values())))
        found.append((worker, Contender(role=role, block=worker.closed, rows=rows)))
    return found


def time_bundles(
    bundles: Sequence[Bundle], *, data: Path | None, rounds: int, calls: int, progress: Progress = silent
) -> tuple[NDArray[np.int64], LatencyAxes]:
    """Return what ``time_rounds`` does of one or two bundles, challenger first, each in a process of its own."""
    with ExitStack() as stack:
        pair = [contender for _, contender in workers(stack, bundles, timing_rows(bundles, data))]
        return time_rounds(pair, rounds=rounds, calls=calls, seed=LATENCY_SEED, threads=THREADS, progress=progress)
