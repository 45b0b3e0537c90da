"""1,000 ways to cut, order and merge the same rows, and one State."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from candidate.judgement.state import State, observe, observe_classes, observe_numbers
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


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_classes_and_numbers_have_one_digest_too(task: str, *, weighted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows in any order, in any number of parts, chunked at any size; calibration bins of a slice included."""
    rng = np.random.default_rng(12)
    rows, number = 300, task == "regression"
    shares = rng.dirichlet(np.ones(4), (rows, 2))
    table: dict[str, Any] = {"group": rng.integers(-1, 3, rows), "bucket": rng.integers(0, 16, rows)}
    table["label"] = rng.normal(size=rows) if number else rng.integers(0, 4, rows)
    table["answers"] = rng.normal(size=(rows, 2)) if number else shares.argmax(axis=2)
    table["group"][table["group"] == 0] = 2
    weights = rng.gamma(1.0, 50.0, rows)

    def counted(part: NDArray[np.int64]) -> State:
        common: dict[str, Any] = {
            "label": table["label"][part],
            "answers": table["answers"][part],
            "groups": [np.zeros(len(part), dtype=np.int64), table["group"][part]],
            "n_slices": 3,
            "buckets": table["bucket"][part],
            "n_buckets": 16,
            "models": BOTH,
            "weights": weights[part] if weighted else None,
        }
        if number:
            return observe_numbers(**common, scale=2.0, quantile=0.8, constant=0.1)
        return observe_classes(**common, probabilities=shares[part], bins=5, calibrated=(1, 2))

    expected = counted(np.arange(rows)).digest
    for _ in range(60):
        monkeypatch.setattr(module, "CHUNK_ROWS", int(rng.integers(20, 400)))
        order = rng.permutation(rows)
        parts = [counted(part) for part in np.split(order, np.sort(rng.integers(0, rows, 4)))]
        while len(parts) > 1:
            one, other = parts.pop(int(rng.integers(len(parts)))), parts.pop()
            parts.append(other + one)
        assert parts[0].digest == expected
