"""Made-up evidence: rows drawn from a known truth, so that a verdict can be held against it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.documents.evidence import (
    BundleFacts,
    BundleRef,
    DataFacts,
    Evidence,
    EvidenceFile,
    LatencyAxes,
    ModelRole,
    Replay,
    SliceKey,
    StateAxes,
)
from candidate.documents.manifest import Parity
from candidate.documents.policy import Policy
from candidate.judgement.buckets import buckets_of
from candidate.judgement.gate import Arrays
from candidate.judgement.state import State, observe, statistics_for

BOTH: tuple[ModelRole, ...] = ("challenger", "champion")
ALONE: tuple[ModelRole, ...] = ("challenger",)


def sha(letter: str) -> str:
    """A digest that is easy to tell from others."""
    return "sha256:" + letter * 64


def facts(letter: str, **changes: Any) -> BundleFacts:
    """Facts of a bundle that nothing is wrong with."""
    whole: dict[str, Any] = {
        "bundle": BundleRef(name="late-flights", version=letter, digest=sha(letter)),
        "size_bytes": 20_000,
        "model_size_bytes": 10_000,
        "features": ("distance", "origin"),
        "promised_features": ("distance", "origin", "hour"),
        "parity": Parity(rows=5000, float_bits=32, max_difference=1e-7, label_flips=0, mismatches=0, tolerance=1e-5),
        "replay": Replay(rows=32, max_difference=0.0, passed=True),
        "commit": "c0ffee" * 6 + "c0ff",
        "dirty": False,
        "train_data": sha("d"),
        "train_label_mean": 0.35,
        "seeds_recorded": True,
        "libraries": 12,
        "attested": True,
    }
    return BundleFacts(**{**whole, **changes})


def policy(**changes: Any) -> Policy:
    """A policy with every kind of rule, which a clearly better challenger meets."""
    table: dict[str, Any] = {
        "data": {"label": "late", "unit": "day"},
        "optimizing": {"metric": "log_loss", "require": "superior", "min_gain": 0.002},
        "satisficing": [{"metric": "size_bytes", "max": 1_000_000.0}, {"metric": "latency_p99_ms", "max": 5.0}],
        "slices": {"guard": [{"by": "origin", "margin": 0.05}]},
        "calibration": {"max": 0.2},
    }
    return Policy.model_validate({**table, **changes}, strict=False)


@dataclass(frozen=True)
class World:
    """Evidence and its arrays, as ``judge`` takes them."""

    evidence: Evidence
    arrays: Arrays

    def changed(self, **changes: Any) -> "World":
        """The same numbers with other facts."""
        return replace(self, evidence=self.evidence.model_copy(update=changes))


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logistic function."""
    return np.asarray(1 / (1 + np.exp(-logits)))


def keys(n_slices: int) -> tuple[SliceKey, ...]:
    """Slice keys of a column ``origin``, after overall."""
    slices = [SliceKey(name=f"origin={i}", by=("origin",), values=(str(i),)) for i in range(n_slices)]
    return (SliceKey(name="overall"), *slices)


def simulate(
    rng: np.random.Generator,
    rows: int,
    *,
    n_slices: int = 3,
    noise: tuple[float, float] = (0.5, 0.5),
    harm: tuple[int, float] | None = None,
    models: tuple[ModelRole, ...] = BOTH,
    buckets: int = 64,
    rows_per_unit: int = 1,
) -> State:
    """Count rows of a world in which both models see the truth through noise.

    Args:
        rng: source of everything.
        rows: how many.
        n_slices: slices that the rows fall into evenly.
        noise: of the challenger's and of the champion's log odds; more is worse.
        harm: a slice, and the share of its rows that the challenger gets wrong on top.
        models: which models are counted.
        buckets: K.
        rows_per_unit: rows of one unit share the same noise and therefore fate.
    """
    unit = np.arange(rows) // rows_per_unit
    truth = rng.normal(-0.6, 1.5, rows)
    positive = rng.random(rows) < sigmoid(truth)
    columns = [truth + spread * rng.normal(size=unit[-1] + 1)[unit] for spread in noise[: len(models)]]
    scores = sigmoid(np.stack(columns, axis=1))
    group = rng.integers(1, 1 + n_slices, rows) if n_slices else np.full(rows, -1)
    predicted = scores >= 0.5
    if harm is not None:
        hit = (group == 1 + harm[0]) & (rng.random(rows) < harm[1]) & (predicted[:, 0] == positive)
        scores[hit, 0], predicted[hit, 0] = 1 - scores[hit, 0], ~predicted[hit, 0]
    return observe(
        positive=positive,
        scores=scores,
        predicted=predicted,
        groups=[np.zeros(rows, dtype=np.int64), group.astype(np.int64)],
        n_slices=1 + n_slices,
        buckets=buckets_of(unit, salt=int(rng.integers(2**62)), buckets=buckets),
        n_buckets=buckets,
        models=models,
        bins=15,
    )


def durations(
    rng: np.random.Generator, *, rounds: int = 40, calls: int = 50, factor: float = 1.0, models: int = 2
) -> NDArray[np.int64]:
    """Nanoseconds around 0.1 ms, the challenger's slower by a factor."""
    drawn = rng.lognormal(0.0, 0.1, (rounds, models, calls)) * 1e5
    drawn[:, 0] *= factor
    return np.rint(drawn).astype(np.int64)


def world(
    state: State,
    *,
    slices: tuple[SliceKey, ...] | None = None,
    models: tuple[ModelRole, ...] = BOTH,
    latency: NDArray[np.int64] | None = None,
    challenger: BundleFacts | None = None,
    champion: BundleFacts | None = None,
    rules: Policy | None = None,
) -> World:
    """Wrap counts into evidence."""
    n_slices, buckets, _ = state.counts.shape
    rows = int(state.counts[0, :, 0].sum())
    timed = None
    if latency is not None:
        rounds, n_models, calls = latency.shape
        timed = LatencyAxes(models=BOTH[:n_models], rounds=rounds, calls=calls, seed=1, threads=1, batch_rows=1)
    names = ("calibration.npy", "latency.npy", "policy.json", "state.npy")
    evidence = Evidence(
        challenger=challenger or facts("a"),
        champion=(champion or facts("b")) if len(models) > 1 else None,
        policy=(rules or policy()).digest,
        data=DataFacts(file=sha("e"), rows=rows, units=rows, label="late", unit="day"),
        state=StateAxes(
            task="binary",
            slices=keys(n_slices - 1) if slices is None else slices,
            buckets=buckets,
            salt="0" * 16,
            statistics=statistics_for(models),
            models=models,
            calibration_bins=state.bins.shape[4],
        ),
        latency=timed,
        environment={},
        files=tuple(EvidenceFile(name=name, digest=sha(str(number)), size=1) for number, name in enumerate(names)),
    )
    return World(evidence, Arrays(state, latency))
