"""Rows that faults are planted in: made up from a seed, or a bundle's scores of somebody's own rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from candidate.adapters.archive import Archive
from candidate.documents.evidence import BundleFacts, BundleRef, DataFacts, Replay, SliceKey
from candidate.documents.manifest import Parity
from candidate.documents.policy import Policy
from candidate.documents.where import Scalar
from candidate.errors import InputError
from candidate.flows.comparing import facts_of
from candidate.flows.latency import THREADS
from candidate.flows.measuring import Scorer, measure
from candidate.flows.observing import Batch, Seen
from candidate.flows.progress import Progress
from candidate.flows.slicing import Slicer
from candidate.flows.verifying import inspect

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MADE_ROWS = 4000
MADE_UNITS = 2000
MADE_SLICES = 6
MOST_ROWS = 10_000
"""Of more rows, some units are drawn: a run must not take long, and needs no more to show what it shows."""
MADE_POLICY = """
[data]
label = "positive"
unit = "unit"
[optimizing]
metric = "log_loss"
require = "non_inferior"
margin = 0.02
[[slices.watch]]
by = "group"
margin = 0.0
[calibration]
max = 0.1
"""


@dataclass(frozen=True)
class Rows:
    """Rows with one model's scores.

    Attributes:
        policy: by which they are judged.
        positive: shape (rows,): whether the row has the positive class.
        scores: shape (rows,): probability of the positive class.
        units: shape (rows,): number of the row's unit, from 0 on without gaps.
        groups: for each rule that makes slices, shape (rows,): the row's slice, or -1.
        keys: what each slice is.
        ranked: slices whose scores are counted in histograms.
        calibrated: slices with calibration bins of their own.
        threshold: score from which a model answers the positive class.
        facts: of the bundle.
        data: of the file.
    """

    policy: Policy
    positive: NDArray[np.bool_]
    scores: Floats
    units: Integers
    groups: tuple[Integers, ...]
    keys: tuple[SliceKey, ...]
    ranked: tuple[int, ...]
    calibrated: tuple[int, ...]
    threshold: float
    facts: BundleFacts
    data: DataFacts

    def taken(self, places: Integers, units: Integers) -> "Rows":
        """Return the rows at these places, with other unit numbers."""
        groups = tuple(group[places] for group in self.groups)
        return Rows(
            self.policy,
            self.positive[places],
            self.scores[places],
            units,
            groups,
            self.keys,
            self.ranked,
            self.calibrated,
            self.threshold,
            self.facts,
            self.data,
        )

    def drawn(self, rng: np.random.Generator, units: int | None = None) -> "Rows":
        """Return the rows of units drawn with replacement, each draw a unit of its own: another sample like this one.

        Args:
            rng: source of the draw.
            units: how many; by default as many as there are.
        """
        order = np.argsort(self.units, kind="stable")
        sizes = np.bincount(self.units)
        starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
        picked = rng.integers(0, len(sizes), units or len(sizes))
        lengths = sizes[picked]
        firsts = np.repeat(np.cumsum(lengths) - lengths, lengths)
        places = np.repeat(starts[picked], lengths) + np.arange(int(lengths.sum())) - firsts
        return self.taken(order[places], np.repeat(np.arange(len(picked)), lengths))


def sigmoid(logits: Floats) -> Floats:
    """Return the logistic function."""
    return np.asarray(1 / (1 + np.exp(-logits)))


def logits(scores: Floats) -> Floats:
    """Return the log odds of probabilities, those near 0 and 1 taken in a little."""
    safe = np.clip(scores, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(safe / (1 - safe)))


def made_up(seed: int) -> Rows:
    """Return rows of a world whose truth is known: two rows a unit, six groups, scores that are the true chance."""
    rng = np.random.default_rng(seed)
    units = np.arange(MADE_ROWS) % MADE_UNITS
    scores = sigmoid(rng.normal(-0.5, 1.5, MADE_ROWS))
    keys = [SliceKey(name=f"group={name}", by=("group",), values=(name,)) for name in "abcdef"[:MADE_SLICES]]
    zero = "sha256:" + "0" * 64
    return Rows(
        policy=Policy.from_toml(MADE_POLICY, where="policy"),
        positive=rng.random(MADE_ROWS) < scores,
        scores=scores,
        units=units,
        groups=(np.zeros(MADE_ROWS, dtype=np.int64), rng.integers(1, 1 + MADE_SLICES, MADE_ROWS)),
        keys=(SliceKey(name="overall"), *keys),
        ranked=(),
        calibrated=(),
        threshold=0.5,
        facts=BundleFacts(
            bundle=BundleRef(name="made-up", version="1", digest=zero),
            size_bytes=1,
            model_size_bytes=1,
            features=("x",),
            promised_features=("x",),
            parity=Parity(rows=5000, float_bits=32, max_difference=0.0, label_flips=0, mismatches=0, tolerance=1e-5),
            replay=Replay(rows=1, max_difference=0.0, passed=True),
            commit="0" * 40,
            dirty=False,
            train_data="sha256:" + "1" * 64,
            train_label_mean=0.4,
            seeds_recorded=True,
            libraries=1,
            attested=False,
        ),
        data=DataFacts(file="sha256:" + "2" * 64, rows=MADE_ROWS, units=MADE_UNITS, label="positive", unit="unit"),
    )


@dataclass
class _Collected:
    """Keeps every batch's scores, units and slices; it is shown them as they are counted."""

    policy: Policy
    slicer: Slicer
    numbers: dict[tuple[type, Scalar | None], int] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    units: list[Integers] = field(default_factory=list)
    groups: list[Sequence[Integers]] = field(default_factory=list)

    def keep(self, batch: Batch, scored: Seen) -> None:
        """Keep a batch."""
        unit = batch.read[self.policy.data.unit]
        codes = [self.numbers.setdefault((type(value), value), len(self.numbers)) for value in unit.values]
        self.units.append(np.array(codes, dtype=np.int64)[unit.codes])
        self.groups.append(self.slicer.groups(batch.read, batch.rows.num_rows))
        self.seen.append(scored)


def scored_rows(data: Path, bundle: Path, policy: Policy, *, seed: int, progress: Progress) -> Rows:
    """Return somebody's rows with their bundle's scores.

    Args:
        data: rows with the label.
        bundle: whose scores the faults are planted in.
        policy: by which they are judged.
        seed: of the draw, if the rows are too many.
        progress: told how far the scoring is.

    Raises:
        InputError: they do not belong together, or the task is not one of yes or no.
    """
    if policy.kind_of_task != "binary" or policy.data.weight is not None:
        raise InputError(
            "faults are planted in scores of yes or no, without weights",
            where="--policy",
            hint="run the self-test on the made-up rows: candidate selftest",
        )
    # Faults are planted beside a champion, which is this bundle too; and any rows may be used to try them on.
    told = policy.model_dump(mode="json")
    told["data"] |= {"blackbox": None, "eyeball": None, "train": None}
    told |= {"champion": "required", "rollback": {"target": "champion"}}
    rules = Policy.model_validate(told, strict=False)
    collected = _Collected(rules, Slicer(rules))
    with Archive.open(bundle) as archive:
        opened = inspect(archive)
        scorer = Scorer("challenger", opened, opened.session(threads=THREADS))
        measured = measure([scorer], data=data, policy=rules, progress=progress, keeper=collected)
        facts = facts_of(scorer, attested=False)
    slicer = collected.slicer
    rows = Rows(
        policy=rules,
        positive=np.concatenate([each.truth == 1 for each in collected.seen]),
        scores=np.clip(np.concatenate([each.scores[:, 0, 0] for each in collected.seen]), 0.0, 1.0),
        units=np.concatenate(collected.units),
        groups=tuple(np.concatenate(parts) for parts in zip(*collected.groups, strict=True)),
        keys=tuple(slicer.keys),
        ranked=slicer.ranked,
        calibrated=slicer.calibrated,
        threshold=opened.signature.threshold or 0.5,
        facts=facts,
        data=measured.data,
    )
    if len(rows.positive) <= MOST_ROWS:
        return rows
    share = MOST_ROWS / len(rows.positive)
    return rows.drawn(np.random.default_rng(seed), max(1, int(share * len(collected.numbers))))
