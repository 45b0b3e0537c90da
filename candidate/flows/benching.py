"""Bench one bundle, or two in the same rounds: latency, throughput, starts, memory and what a request costs.

Scenario names are MLPerf's (Reddi et al. 2020, "MLPerf inference benchmark"): single stream, server and
offline; starts and idling are ours.
"""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import runtime
from candidate.adapters.archive import Archive
from candidate.documents.benched import Batch, Benchmark, BenchResult, Cost, Memory, OpenLoop, Start
from candidate.documents.decision import Estimate
from candidate.errors import InputError
from candidate.flows.hdr import log_of, paths_for, write_logs
from candidate.flows.latency import (
    LATENCY_SEED,
    QUANTILES,
    RARE,
    RARE_CALLS,
    THREADS,
    Contender,
    play_round,
    timing_rows,
    warm_up,
    workers,
)
from candidate.flows.profiling import profile
from candidate.flows.progress import Progress, silent
from candidate.flows.timing import Worker
from candidate.flows.verifying import Bundle, inspect
from candidate.judgement.intervals import t_quantile
from candidate.judgement.latency import (
    differs_from_itself,
    quantile_estimate,
    quantile_interval,
    ratio_estimate,
    ratio_interval,
)
from candidate.judgement.sequential import MOST_LOOKS, spending

LEAST_ROUNDS = 30
MOST_ROUNDS = 10_000
BLOCK_MS = 10.0
"""With a budget, a block of calls takes about so long."""
MOST_CALLS = 2000
OPEN_GROUPS = 32
"""Successive calls of an open loop are joined into so many groups, which stand for rounds."""
OPEN_SECONDS = 5.0
BATCHES = (1, 16, 256, 4096)
GIB = float(1 << 30)
HOUR = 3600.0

Clock = Callable[[], float]


@dataclass(frozen=True)
class Prices:
    """What a host costs, in any currency.

    Attributes:
        vcpu_hour: one virtual core for an hour.
        gib_hour: one GiB of memory for an hour.
        utilisation: share of the paid processor time that does work, in (0, 1].
    """

    vcpu_hour: float
    gib_hour: float
    utilisation: float = 0.5


@dataclass(frozen=True)
class Timed:
    """Durations, shape (rounds, models, calls), and when and why the timing ended."""

    durations: NDArray[np.int64]
    alpha: float
    stopped: Literal["rounds", "precise", "budget"]
    unsettled: tuple[int, ...]


def is_narrow(durations: NDArray[np.int64], alpha: float, precision: float) -> bool:
    """Return whether the p99 ratio (of one model: its p99) is known to a relative precision at an error rate."""
    if durations.shape[1] > 1:
        ratio = ratio_interval(durations[:, 0], durations[:, 1], 0.99)
        bounds = (math.nan, math.nan) if ratio is None else (ratio.lower(alpha), ratio.upper(alpha))
    else:
        one = quantile_interval(durations[:, 0], 0.99)
        bounds = (math.nan, math.nan) if one is None else (one.lower(alpha), one.upper(alpha))
    return bool(bounds[1] <= bounds[0] * (1 + precision) ** 2)  # NaN is not narrow


def time_until(
    contenders: Sequence[Contender],
    *,
    rounds: int,
    calls: int | None,
    alpha: float,
    budget: float | None,
    precision: float,
    clock: Clock = time.monotonic,
    progress: Progress = silent,
) -> Timed:
    """Time interleaved rounds: a fixed number, or until the answer is precise or the budget is spent.

    Args:
        contenders: one or two.
        rounds: how many, without a budget.
        calls: in each block; by default 100, with a budget as many as take about 10 ms.
        alpha: one-sided error rate of each bound, over all looks.
        budget: seconds; the answer is looked at ten times at most, see ``spending``.
        precision: relative half-width at which to stop.
        clock: monotonic seconds.
        progress: told the share done.
    """
    rng = np.random.default_rng(LATENCY_SEED)
    unsettled = tuple(index for index, contender in enumerate(contenders) if not warm_up(contender))
    done: list[NDArray[np.int64]] = []
    what = "timing single rows" + (", both bundles in turn" if len(contenders) > 1 else "")
    if budget is None:
        for number in range(rounds):
            done.append(play_round(contenders, calls or 100, rng))
            progress(what, (number + 1) / rounds)
        return Timed(np.stack(done), alpha, "rounds", unsettled)
    if calls is None:
        slowest = max(float(np.median(contender.block(np.zeros(10, dtype=np.int64)))) for contender in contenders)
        calls = int(np.clip(BLOCK_MS * 1e6 / max(slowest, 1.0), 10, MOST_CALLS))
    start, level = clock(), alpha
    for look, level in enumerate(spending(alpha, MOST_LOOKS), start=1):
        while len(done) < MOST_ROUNDS and (len(done) < LEAST_ROUNDS or clock() - start < budget * look / MOST_LOOKS):
            done.append(play_round(contenders, calls, rng))
            progress(what, min(1.0, (clock() - start) / budget))
        if is_narrow(np.stack(done), level, precision):
            return Timed(np.stack(done), level, "precise", unsettled)
    return Timed(np.stack(done), level, "budget", unsettled)


def doubts(timed: Timed, names: Sequence[str]) -> tuple[str, ...]:
    """Return why an answer is open: a machine too noisy, or too few calls; empty if it is not.

    Args:
        timed: durations.
        names: of the bundles.
    """
    found = [f"too noisy: {names[index]} never settled while warming up" for index in timed.unsettled]
    for index, name in enumerate(names):
        durations = timed.durations[:, index]
        if differs_from_itself(durations, 0.99):
            found.append(f"too noisy: the p99 of {name} differs between even and odd rounds")
        one = quantile_interval(durations, 0.99)
        if one is None or math.isnan(one.upper(timed.alpha)):
            found.append(f"not enough calls: {durations.size:,} in {len(durations)} rounds bound no p99 of {name}")
    return tuple(found)


def open_loop(worker: Worker, rows: int, rate: float, alpha: float) -> OpenLoop:
    """Time calls that arrive by themselves (Poisson), from their intended starts.

    Args:
        worker: with the bundle.
        rows: to pick from.
        rate: arrivals a second.
        alpha: one-sided error rate of each bound.
    """
    rng = np.random.default_rng(LATENCY_SEED)
    calls = max(10, math.ceil(rate * OPEN_SECONDS / OPEN_GROUPS)) * OPEN_GROUPS
    starts = np.cumsum(rng.exponential(1e9 / rate, calls)).astype(np.int64)
    durations = worker.open(rng.integers(0, rows, calls), starts).reshape(OPEN_GROUPS, -1)
    return OpenLoop(rate=rate, latency={name: quantile_estimate(durations, q, alpha) for name, q in QUANTILES.items()})


def mean_estimate(values: NDArray[np.float64], alpha: float, unit: str, n: int) -> Estimate:
    """Return the mean of some rounds with Student's t."""
    half = t_quantile(1 - alpha, len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values))
    mean = float(values.mean())
    return Estimate(
        value=mean, lower=mean - half, upper=mean + half, n=n, units=len(values), unit=unit, method="Student's t"
    )


def cost_of(cpu_seconds: Estimate, memory_bytes: int, latency_seconds: float, prices: Prices) -> Cost:
    """Return what 1,000 requests cost.

    ``1000 * (cpu_seconds * vcpu_second / utilisation + memory_gib * latency * gib_second)``.
    """

    def total(cpu: float) -> float:
        held = memory_bytes / GIB * latency_seconds * prices.gib_hour / HOUR
        return 1000 * (cpu * prices.vcpu_hour / HOUR / prices.utilisation + held)

    lower, upper = (None if bound is None else total(bound) for bound in (cpu_seconds.lower, cpu_seconds.upper))
    whole = cpu_seconds.model_copy(
        update={"value": total(cpu_seconds.value), "lower": lower, "upper": upper, "unit": "per 1,000 requests"}
    )
    return Cost(
        cpu_seconds=cpu_seconds,
        per_thousand=whole,
        vcpu_hour=prices.vcpu_hour,
        gib_hour=prices.gib_hour,
        utilisation=prices.utilisation,
    )


def bench(
    bundle: Path | str,
    *,
    against: Path | str | None = None,
    data: Path | str | None = None,
    rounds: int = 60,
    calls: int | None = None,
    alpha: float = 0.05,
    budget: float | None = None,
    precision: float = 0.05,
    rate: float | None = None,
    offline: bool = False,
    idle: float | None = None,
    prices: Prices | None = None,
    hdr: Path | str | None = None,
    operators: bool = False,
    progress: Progress = silent,
) -> Benchmark:
    """Time single rows through one bundle, or two in interleaved rounds, each in a process of its own.

    Args:
        bundle: bundle file.
        against: a second bundle, measured in the same rounds.
        data: rows to call with; by default the bundle's own golden rows.
        rounds: interleaved rounds, at least 30, where no budget is given.
        calls: calls of each bundle in a round; by default 100, or with a budget as many as take about 10 ms.
        alpha: one-sided error rate of each bound.
        budget: seconds after which to stop; sooner if the answer is precise.
        precision: relative half-width of the p99 ratio (of one bundle: of its p99) at which to stop.
        rate: also calls that arrive so often a second, timed from their intended start.
        offline: also rows a second in batches of 1 to 4096.
        idle: also one call after so many seconds of nothing.
        prices: also what 1,000 requests cost.
        hdr: also write every round as a log of HdrHistogram, ``NAME-VERSION.hlog`` in this folder.
        operators: also which operators take the time, in a run of its own.
        progress: told the share of the rounds done.

    Raises:
        InputError: an argument is out of range, or there are no rows.
        IntegrityError: a graph cannot be loaded, or fails on its rows.
        UnavailableError: a process cannot be started, or HdrHistogram is not installed.
    """
    for name, value in {"budget": budget, "rate": rate, "precision": precision, "idle": idle}.items():
        if value is not None and not 0 < value < math.inf:
            raise InputError(f"{value} is not more than nothing", where=f"--{name}")
    if prices is not None and not (prices.vcpu_hour >= 0 and prices.gib_hour >= 0 and 0 < prices.utilisation <= 1):
        raise InputError("prices are not below 0, and the utilisation is a share above 0", where="prices")
    paths = [bundle] if against is None else [bundle, against]
    with ExitStack() as stack:
        opened = [inspect(stack.enter_context(Archive.open(Path(path)))) for path in paths]
        logs = [] if hdr is None else paths_for(Path(hdr), [item.ref for item in opened])
        given = timing_rows(opened, None if data is None else Path(data))
        pair = workers(stack, opened, given)
        environment = runtime.fingerprint(THREADS)
        timed = time_until(
            [contender for _, contender in pair],
            rounds=rounds,
            calls=calls,
            alpha=alpha,
            budget=budget,
            precision=precision,
            progress=progress,
        )
        results = []
        for index, (item, (worker, contender), feeds) in enumerate(zip(opened, pair, given, strict=True)):
            progress(f"memory and starts of {item.ref.version}", None)
            result = _result(item, worker, timed, index, prices)
            extra: dict[str, Any] = {
                "open_loop": None if rate is None else open_loop(worker, contender.rows, rate, alpha),
                "offline": tuple(Batch(rows=size, rows_per_second=worker.batch(size)) for size in BATCHES * offline),
            }
            if idle is not None:
                time.sleep(idle)
                late = float(worker.closed(np.zeros(1, dtype=np.int64))[0]) / 1e6
                extra["start"] = result.start.model_copy(update={"after_idle_ms": late, "idle_seconds": idle})
            if operators:
                extra["operators"] = profile(item, feeds)
            results.append(result.model_copy(update=extra))
    durations = timed.durations
    write_logs(logs, [log_of(durations[:, index], item.ref) for index, item in enumerate(opened[: len(logs)])])
    return Benchmark(
        results=tuple(results),
        latency_p99_ratio=ratio_estimate(durations[:, 0], durations[:, 1], 0.99, timed.alpha) if against else None,
        rounds=len(durations),
        calls=durations.shape[2],
        threads=THREADS,
        alpha=timed.alpha,
        stopped=timed.stopped,
        open=doubts(timed, [item.ref.version for item in opened]),
        environment=environment,
    )


def _result(item: Bundle, worker: Worker, timed: Timed, index: int, prices: Prices | None) -> BenchResult:
    durations = timed.durations[:, index]
    asked = QUANTILES | (RARE if durations.size >= RARE_CALLS else {})
    used, ready = worker.memory(), worker.ready
    spent = np.array(worker.cpu_ns[-len(durations) :], dtype=np.float64) / durations.shape[1] / 1e9
    cpu = mean_estimate(spent, timed.alpha, "s", durations.size)
    memory = Memory(before_bytes=ready["before"]["steady_bytes"], **used)
    return BenchResult(
        bundle=item.ref,
        size_bytes=item.size_bytes,
        model_size_bytes=item.model_size_bytes,
        latency={name: quantile_estimate(durations, quantile, timed.alpha) for name, quantile in asked.items()},
        start=Start(
            process_ms=worker.started_ns / 1e6,
            session_ms=ready["session_ns"] / 1e6,
            first_call_ms=ready["first_call_ns"] / 1e6,
        ),
        memory=memory,
        involuntary_switches=worker.involuntary,
        cost=None if prices is None else cost_of(cpu, memory.steady_bytes, float(durations.mean()) / 1e9, prices),
    )
