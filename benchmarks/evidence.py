"""How fast rows become evidence: the paired State of 34 slices and 64 buckets, on one core.

    python -m benchmarks.evidence [ROWS]

Rows are made in chunks and dropped; what is timed is the counting alone: confusion, log loss and
Brier of two models in every slice and bucket, calibration bins, and histograms of scores for the
areas under the curves. Beside it, on the same rows: fairlearn's MetricFrame and polars' group-by,
which count less.
"""

import resource
import sys
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from candidate.judgement.state import State, observe

ROWS = 10_000_000
CHUNK = 2**17
BUCKETS = 64
FACTORS = (3, 16, 14)
"""Values of three columns: with all rows 34 slices."""
Chunk = dict[str, NDArray[np.generic]]


def chunks(rows: int, factors: tuple[int, ...] = FACTORS) -> Iterator[Chunk]:
    """Rows of a world in which two models see the same truth, in chunks."""
    rng = np.random.default_rng(5)
    for start in range(0, rows, CHUNK):
        size = min(CHUNK, rows - start)
        truth = rng.normal(-1.2, 1.2, size).astype(np.float32)
        noise = rng.normal(0, 0.5, (size, 2)).astype(np.float32)
        found: Chunk = {
            "positive": rng.random(size, dtype=np.float32) < 1 / (1 + np.exp(-truth)),
            "scores": (1 / (1 + np.exp(-(truth[:, None] + noise)))).astype(np.float64),
            "buckets": rng.integers(0, BUCKETS, size),
        }
        first = 1
        for number, values in enumerate(factors):
            found[f"factor{number}"] = rng.integers(first, first + values, size)
            first += values
        yield found


def counted(chunk: Chunk, factors: tuple[int, ...] = FACTORS) -> State:
    """The State of one chunk."""
    size = len(chunk["positive"])
    return observe(
        positive=chunk["positive"],
        scores=chunk["scores"],
        predicted=chunk["scores"] >= 0.5,  # type: ignore[operator]
        groups=[np.zeros(size, dtype=np.int64), *(chunk[f"factor{n}"] for n in range(len(factors)))],
        n_slices=1 + sum(factors),
        buckets=chunk["buckets"],
        n_buckets=BUCKETS,
        models=("challenger", "champion"),
        bins=15,
        ranked=(0,),
    )


if __name__ == "__main__":
    n = int(float(sys.argv[1])) if len(sys.argv) > 1 else ROWS
    t = 0.0
    total = None
    for c in chunks(n):
        s = time.process_time()
        part = counted(c)
        total = part if total is None else total + part
        t += time.process_time() - s
    print(n / t / 1e6, "M rows/s", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB")
