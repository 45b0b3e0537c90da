"""1,000 ways to cut, order and merge the same rows, and one State."""

from typing import Any

import numpy as np

from candidate.judgement.state import State, observe
from candidate.judgement.state import counting as module
from tests.judgement.worlds import BOTH

SHARDINGS = 1000
ROWS, SLICES, BUCKETS = 240, 6, 8


def test_a_thousand_random_shardings_have_one_digest() -> None:
    """Rows in any order, in any number of parts, merged as any tree, chunked and blocked at any size."""
    rng = np.random.default_rng(11)
    rows: dict[str, Any] = {
        "positive": rng.random(ROWS) < 0.3,
        "scores": rng.random((ROWS, 2)),
        "first": np.zeros(ROWS, dtype=np.int64),
        "second": rng.integers(-1, 3, ROWS),
        "third": rng.integers(3, SLICES, ROWS),
        "buckets": rng.integers(0, BUCKETS, ROWS),
    }
    rows["second"][rows["second"] == 0] = 2

    def counted(part: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> State:
        return observe(
            positive=rows["positive"][part],
            scores=rows["scores"][part],
            predicted=rows["scores"][part] >= 0.5,
            groups=[rows[name][part] for name in ("first", "second", "third")],
            n_slices=SLICES,
            buckets=rows["buckets"][part],
            n_buckets=BUCKETS,
            models=BOTH,
            bins=4,
            ranked=(0,),
        )

    whole = counted(np.arange(ROWS))
    expected, before = whole.digest, (module.CHUNK_ROWS, module.BLOCK_ROWS)
    assert (whole - counted(np.arange(7))).digest == counted(np.arange(7, ROWS)).digest
    seen = set()
    try:
        for _ in range(SHARDINGS):
            module.CHUNK_ROWS, module.BLOCK_ROWS = int(rng.integers(20, 300)), int(rng.integers(5, 300))
            cuts = np.sort(rng.integers(0, ROWS, int(rng.integers(0, 4))))
            parts = [counted(part) for part in np.split(rng.permutation(ROWS), cuts)]
            while len(parts) > 1:
                first = parts.pop(int(rng.integers(len(parts))))
                other = int(rng.integers(len(parts)))
                parts[other] = parts[other] + first
            seen.add(parts[0].digest)
    finally:
        module.CHUNK_ROWS, module.BLOCK_ROWS = before

    assert seen == {expected}
