"""The State counts rows exactly and merges exactly."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from candidate.documents.evidence import ModelRole
from candidate.errors import InputError
from candidate.judgement import buckets as bucketing
from candidate.judgement.buckets import buckets_of, derive_salt
from candidate.judgement.state import FIXED_POINT, LOSS_CAP, Layout, State, log_losses, observe, statistics_for
from candidate.judgement.state import counting as module
from tests.judgement.worlds import ALONE, BOTH, simulate


def test_statistics_are_named_per_model_and_per_pair() -> None:
    """The names are the last axis of ``state.npy``: changing them changes the format."""
    assert statistics_for(ALONE) == (
        "n",
        "n_pos",
        "tp.challenger",
        "fp.challenger",
        "log_loss.challenger",
        "brier.challenger",
    )
    assert statistics_for(BOTH)[-6:] == (
        "tp.champion",
        "fp.champion",
        "log_loss.champion",
        "brier.champion",
        "gained",
        "lost",
    )


@pytest.mark.parametrize("models", [ALONE, BOTH])
@pytest.mark.parametrize("chunk", [7, 10_000])
def test_counts_equal_a_loop_over_the_rows(
    models: tuple[ModelRole, ...], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectorised counting is only a faster way to write one line per row."""
    monkeypatch.setattr(module, "CHUNK_ROWS", chunk)
    rng = np.random.default_rng(5)
    rows, bins = 300, 5
    positive = rng.random(rows) < 0.4
    scores = rng.random((rows, len(models)))
    scores[:4, 0] = [0.0, 1.0, 0.2, 0.999999]
    predicted = scores > 0.5
    groups = [np.zeros(rows, dtype=np.int64), rng.integers(-1, 4, rows)]
    groups[1][groups[1] == 0] = -1
    buckets = rng.integers(0, 3, rows)
    found = observe(
        positive=positive,
        scores=scores,
        predicted=predicted,
        groups=groups,
        n_slices=5,
        buckets=buckets,
        n_buckets=3,
        models=models,
        bins=bins,
    )

    names = statistics_for(models)
    counts = np.zeros((5, 3, len(names)), dtype=np.int64)
    table = np.zeros((3, len(models), bins, 4), dtype=np.int64)
    for row in range(rows):
        values = {"n": 1, "n_pos": int(positive[row])}
        for column, model in enumerate(models):
            score, answer = scores[row, column], predicted[row, column]
            likelihood = score if positive[row] else 1 - score
            loss = min(-np.log(np.clip(likelihood, 2.0**-52, 1 - 2.0**-52)), LOSS_CAP)
            values[f"tp.{model}"] = int(answer and positive[row])
            values[f"fp.{model}"] = int(answer and not positive[row])
            values[f"log_loss.{model}"] = round(loss * FIXED_POINT)
            values[f"brier.{model}"] = round((score - positive[row]) ** 2 * FIXED_POINT)
            place = min(int(score * bins), bins - 1)
            table[buckets[row], column, place] += [
                1,
                round(score * FIXED_POINT),
                int(positive[row]),
                round(score * score * FIXED_POINT),
            ]
        if len(models) > 1:
            right = predicted[row] == positive[row]
            values |= {"gained": int(right[0] and not right[1]), "lost": int(right[1] and not right[0])}
        for group in groups:
            if group[row] >= 0:
                counts[group[row], buckets[row]] += [values[name] for name in names]

    assert np.array_equal(found.counts, counts)
    assert np.array_equal(found.bins[0, 0], table)
    assert found.counts.dtype == found.bins.dtype == np.int64


def test_a_loss_is_capped_and_a_score_outside_its_range_is_clipped() -> None:
    """One row can never outweigh all others, and float32 scores just above 1 are 1."""
    assert log_losses(np.array([True]), np.array([0.0]))[0] == LOSS_CAP

    found = observe(
        positive=np.array([False]),
        scores=np.array([[1.0000001]]),
        predicted=np.array([[True]]),
        groups=[np.zeros(1, dtype=np.int64)],
        n_slices=1,
        buckets=np.zeros(1, dtype=np.int64),
        n_buckets=1,
        models=ALONE,
        bins=2,
    )

    assert found.totals(0, statistics_for(ALONE))["brier.challenger"].tolist() == [FIXED_POINT]
    assert found.bins[0, 0, 0, 0].tolist() == [[0, 0, 0, 0], [1, FIXED_POINT, 0, FIXED_POINT]]


def test_no_rows_are_the_state_zero() -> None:
    """Observing nothing is the neutral element."""
    empty = observe(
        positive=np.zeros(0, dtype=bool),
        scores=np.zeros((0, 2)),
        predicted=np.zeros((0, 2), dtype=bool),
        groups=[np.zeros(0, dtype=np.int64)],
        n_slices=2,
        buckets=np.zeros(0, dtype=np.int64),
        n_buckets=4,
        models=BOTH,
        bins=3,
    )

    assert not empty.counts.any()
    assert not empty.bins.any()


def test_states_add_subtract_widen_and_reorder() -> None:
    """Slices are numbered as they are first seen; a wider State keeps what it has."""
    rng = np.random.default_rng(1)
    first, second = simulate(rng, 200), simulate(rng, 100)
    both = first + second

    assert np.array_equal((both - second).counts, first.counts)
    assert np.array_equal((both - second).bins, first.bins)
    wide = first.placed(range(4), 6, ())
    assert wide.counts.shape[0] == 6
    assert np.array_equal(wide.counts[:4], first.counts)
    assert not wide.counts[4:].any()
    ranked = first.placed(range(4), 6, (1, 5), (3,))
    assert (ranked.histograms.shape[0], ranked.bins.shape[0]) == (2, 2)
    assert not ranked.histograms.any()
    assert np.array_equal(first.reordered([2, 0, 1, 3]).counts, first.counts[[2, 0, 1, 3]])


def test_states_of_other_shapes_do_not_merge() -> None:
    """A silent broadcast would invent rows."""
    one = State.zeros(Layout(BOTH), slices=2, buckets=16, bins=3)

    with pytest.raises(InputError, match="do not merge"):
        one + State.zeros(Layout(BOTH), slices=3, buckets=16, bins=3)
    with pytest.raises(InputError, match="do not merge"):
        one - State.zeros(Layout(BOTH), slices=2, buckets=16, bins=4)


def test_the_salt_follows_from_policy_and_data() -> None:
    """Golden value: nobody may choose the buckets, and nobody may change how they come about."""
    assert derive_salt("sha256:" + "0" * 64, "sha256:" + "1" * 64) == 0xB604435F639A9494
    assert derive_salt("a", "b") != derive_salt("b", "a")


def test_splitmix64_gives_its_published_sequence() -> None:
    """Source: the reference implementation's first outputs for the seed 1234567."""
    seeds = np.array([1234567], dtype=np.uint64) + np.arange(3, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)

    assert bucketing.splitmix64(seeds).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


@pytest.mark.parametrize(
    "units",
    [
        np.arange(5000),
        np.arange(5000, dtype=np.int32),
        np.arange("2013-01-01", "2026-09-10", dtype="datetime64[D]"),
        np.arange(5000).astype(np.float64),
        np.array([f"user-{number}" for number in range(5000)], dtype=object),
        np.array([f"user-{number}" for number in range(5000)]),
    ],
    ids=lambda units: str(units.dtype),
)
def test_units_spread_evenly_whatever_they_are(units: NDArray[Any]) -> None:
    """Chi-square over 64 buckets stays below its 99.9 % quantile, and equal units share a bucket."""
    buckets = buckets_of(units, salt=0xFFFF_FFFF_FFFF_FFFF, buckets=64)
    counts = np.bincount(buckets, minlength=64)
    expected = len(units) / 64

    assert counts.shape == (64,)
    assert float(((counts - expected) ** 2 / expected).sum()) < 103.4
    assert np.array_equal(buckets, buckets_of(units[::-1], salt=0xFFFF_FFFF_FFFF_FFFF, buckets=64)[::-1])
    assert not np.array_equal(buckets, buckets_of(units, salt=1, buckets=64))


def test_odd_units_have_a_bucket_too() -> None:
    """Zeros of both signs are one unit; text with a lone surrogate and mixed objects do not crash."""
    zeros = buckets_of(np.array([0.0, -0.0]), salt=3, buckets=4096)
    odd = buckets_of(np.array(["\ud800", 3, None, True, "ü"], dtype=object), salt=3, buckets=16)

    assert zeros[0] == zeros[1]
    assert ((odd >= 0) & (odd < 16)).all()


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.bool_])
def test_whole_numbers_are_hashed_by_value(dtype: type) -> None:
    """The width of the column's type does not move a unit to another bucket."""
    expected = buckets_of(np.array([0, 1]), salt=9, buckets=4096)

    assert buckets_of(np.array([0, 1]).astype(dtype), salt=9, buckets=4096).tolist() == expected.tolist()
