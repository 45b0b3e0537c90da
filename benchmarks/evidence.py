"""How fast rows become evidence: the paired State of 34 slices and 64 buckets, on one core.

    python -m benchmarks.evidence [ROWS]

Rows are made in chunks and dropped; what is timed is the counting alone: confusion, log loss and
Brier of two models in every slice and bucket, calibration bins, and histograms of scores for the
areas under the curves. Beside it, on the same rows: polars' group-by of the same sums (no areas, no
calibration), and fairlearn's MetricFrame on the slices of one column (point values of four metrics
of one model).
"""

import resource
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from candidate.judgement.state import State, observe

ROWS = 10_000_000
CHUNK = 2**17
BUCKETS = 64
FACTORS = (3, 16, 14)
"""Values of three columns: with all rows 34 slices."""
THRESHOLD = 0.5
PEERS_ROWS = 1_000_000
Chunk = dict[str, Any]


def chunks(rows: int, factors: tuple[int, ...] = FACTORS, seed: int = 5) -> Iterator[Chunk]:
    """Rows of a world in which two models see the same truth, in chunks."""
    rng = np.random.default_rng(seed)
    for start in range(0, rows, CHUNK):
        size = min(CHUNK, rows - start)
        truth = rng.standard_normal(size, dtype=np.float32) * 1.2 - 1.2
        seen = truth[:, None] + rng.standard_normal((size, 2), dtype=np.float32) * 0.5
        found: Chunk = {
            "positive": rng.random(size, dtype=np.float32) < 1 / (1 + np.exp(-truth)),
            "scores": (1 / (1 + np.exp(-seen))).astype(np.float64),
            "buckets": rng.integers(0, BUCKETS, size),
            "groups": [np.zeros(size, dtype=np.int64)],
        }
        first = 1
        for values in factors:
            found["groups"].append(rng.integers(first, first + values, size))
            first += values
        yield found


def counted(chunk: Chunk, factors: tuple[int, ...] = FACTORS, into: State | None = None) -> State:
    """The State of one chunk, or another with it."""
    return observe(
        positive=chunk["positive"],
        scores=chunk["scores"],
        predicted=chunk["scores"] >= THRESHOLD,
        groups=chunk["groups"],
        n_slices=1 + sum(factors),
        buckets=chunk["buckets"],
        n_buckets=BUCKETS,
        models=("challenger", "champion"),
        bins=15,
        ranked=(0,),
        into=into,
    )


def seconds(rows: int, factors: tuple[int, ...] = FACTORS, seed: int = 5) -> float:
    """Processor time of counting so many rows, in this process."""
    spent, total = 0.0, counted(next(chunks(2, factors)), factors)
    for chunk in chunks(rows, factors, seed):
        start = time.process_time()
        counted(chunk, factors, total)
        spent += time.process_time() - start
    return spent


def _work(seed: int) -> float:
    start = time.perf_counter()
    total = counted(WORK[0])
    for chunk in WORK[1:]:
        counted(chunk, into=total)
    return time.perf_counter() - start + 0 * seed


WORK: list[Chunk] = []


def _prepare() -> None:
    WORK.extend(chunks(8 * CHUNK))


def by_workers(workers: int) -> float:
    """Rows a second by the clock, all workers together; rows are made before the clock starts."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_prepare) as pool:
        list(pool.map(_work, range(workers)))  # everyone is up and warm
        slowest = max(pool.map(_work, range(workers)))
    return workers * 8 * CHUNK / slowest


def polars_seconds(parts: list[Chunk]) -> float:
    """Processor time of polars' group-by of the same paired sums, rule by rule and bucket."""
    import polars as pl

    column: Callable[[str], pl.Expr] = pl.col
    spent = 0.0
    for chunk in parts:
        y, s = chunk["positive"], chunk["scores"]
        frame = pl.DataFrame(
            {"y": y, "a": s[:, 0], "b": s[:, 1], "k": chunk["buckets"]}
            | {f"g{number}": group for number, group in enumerate(chunk["groups"])}
        )
        start = time.process_time()
        lazy = frame.lazy().with_columns(
            *(
                (-pl.when(column("y")).then(column(m)).otherwise(1 - column(m)).log() * 2**30)
                .round()
                .cast(pl.Int64)
                .alias(f"log_{m}")
                for m in "ab"
            ),
            *(
                ((column(m) - column("y").cast(pl.Float64)).pow(2) * 2**30).round().cast(pl.Int64).alias(f"brier_{m}")
                for m in "ab"
            ),
            *((column(m) >= THRESHOLD).alias(f"said_{m}") for m in "ab"),
        )
        sums = [
            pl.len(),
            column("y").sum(),
            *(column(f"{name}_{m}").sum() for name in ("log", "brier") for m in "ab"),
            *((column(f"said_{m}") & column("y")).sum().alias(f"tp_{m}") for m in "ab"),
            *(column(f"said_{m}").sum() for m in "ab"),
            ((column("said_a") == column("y")) & (column("said_b") != column("y"))).sum().alias("gained"),
        ]
        lazy_parts = [lazy.group_by(f"g{number}", "k").agg(*sums) for number in range(len(chunk["groups"]))]
        pl.collect_all(lazy_parts)
        spent += time.process_time() - start
    return spent


def fairlearn_seconds(parts: list[Chunk]) -> float:
    """Processor time of fairlearn's MetricFrame of four metrics of one model, over one column."""
    from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate
    from sklearn.metrics import accuracy_score

    metrics: dict[str, Any] = {
        "accuracy": accuracy_score,
        "selected": selection_rate,
        "tpr": true_positive_rate,
        "fpr": false_positive_rate,
    }
    y = np.concatenate([chunk["positive"] for chunk in parts])
    said = np.concatenate([chunk["scores"][:, 0] >= THRESHOLD for chunk in parts])
    group = np.concatenate([chunk["groups"][2] for chunk in parts])
    start = time.process_time()
    frame = MetricFrame(metrics=metrics, y_true=y, y_pred=said, sensitive_features=group)
    frame.by_group  # noqa: B018 - computed when asked for
    return time.process_time() - start


def main() -> None:
    """Print the table."""
    rows = int(float(sys.argv[1])) if len(sys.argv) > 1 else ROWS
    rate = rows / seconds(rows) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{rows:,} rows, 34 slices x {BUCKETS} buckets, one core: {rate:.2f} M rows/s, peak {peak:.0f} MB")
    for few in (rows // 100, rows // 10):
        print(f"  {few:,} rows: {few / seconds(few) / 1e6:.2f} M rows/s")
    for factors in ((), (3,), FACTORS, (*FACTORS, 100), (*FACTORS, 100, 366)):
        fewer = PEERS_ROWS
        print(f"  {1 + sum(factors)} slices: {fewer / seconds(fewer, factors) / 1e6:.2f} M rows/s")
    for workers in (1, 2):
        print(f"  {workers} workers, by the clock: {by_workers(workers) / 1e6:.2f} M rows/s")
    parts = list(chunks(PEERS_ROWS))
    print(
        f"  polars group-by, the same sums: {PEERS_ROWS / polars_seconds(parts) / 1e6:.2f} M rows/s of processor time"
    )
    print(f"  fairlearn MetricFrame, four metrics: {PEERS_ROWS / fairlearn_seconds(parts) / 1e6:.2f} M rows/s")


if __name__ == "__main__":
    main()
