"""The faults that are planted, each in a pair of models that is otherwise equal."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from candidate.documents.manifest import Parity
from candidate.flows.selftesting.gate import Pair, with_scores
from candidate.flows.selftesting.rows import Rows, logits, sigmoid

MOVED = 0.75
LOOSE = 0.25
"""Scores moved so far are off by at least 0.375 in the mean."""
HALF = 0.5
CERTAIN = 0.9
LARGE = 0.05
"""A slice with this share of the rows can be planted in."""


@dataclass(frozen=True)
class Fault:
    """A way to make a challenger bad, and the rule that must say so.

    Attributes:
        name: a stable code.
        planted: what is done.
        rules: beginnings of the names of rules, one of which must fail; the verdict must be a no-go.
        plant: does it.
        needs: returns why it cannot be tried under a policy, or nothing.
    """

    name: str
    planted: str
    rules: tuple[str, ...]
    plant: Callable[[Pair, np.random.Generator], Pair]
    needs: Callable[[Rows], str]


def slices_of(rows: Rows) -> list[int]:
    """Return the slices that a policy guards or watches and that are large enough: the largest, if none is."""
    rules = (*rows.policy.slices.guard, *rows.policy.slices.watch)
    held = {(((rule.by,) if isinstance(rule.by, str) else rule.by or ()), rule.where) for rule in rules}
    sizes = {
        number: int(sum((group == number).sum() for group in rows.groups))
        for number, key in enumerate(rows.keys)
        if number and (key.by, key.where) in held
    }
    large = [number for number, size in sizes.items() if size >= LARGE * len(rows.positive)]
    return large or sorted(sizes, key=lambda number: sizes[number])[-1:]


def _wronged(pair: Pair, rng: np.random.Generator) -> Pair:
    """Answer half of one slice's rows wrongly, nine to one."""
    number = int(rng.choice(slices_of(pair.rows)))
    inside = np.any([group == number for group in pair.rows.groups], axis=0)
    scores = pair.scores[:, 0].copy()
    wronged = inside & (rng.random(len(scores)) < HALF)
    scores[wronged] = np.where(pair.rows.positive[wronged], 1 - CERTAIN, CERTAIN)
    return with_scores(pair, scores, pair.rows.keys[number].name)


def _backwards(pair: Pair, _: np.random.Generator) -> Pair:
    return with_scores(pair, 1 - pair.scores[:, 0])


def _miscalibrated(pair: Pair, _: np.random.Generator) -> Pair:
    """Move every score three quarters of the way to the end that fewer rows are at."""
    end = 1.0 if pair.rows.positive.mean() < HALF else 0.0
    scores = pair.scores[:, 0]
    return with_scores(pair, scores + MOVED * (end - scores))


def _calibration_needs(rows: Rows) -> str:
    rule = rows.policy.calibration
    if rule is None or rule.max is None:
        return "the policy limits no calibration error"
    return "" if rule.max <= LOOSE else f"the policy tolerates {rule.max:g}, more than is planted with certainty"


def _seen_before(pair: Pair, rng: np.random.Generator) -> Pair:
    if rng.random() < HALF:
        return replace(pair, champion=pair.champion.model_copy(update={"train_data": pair.data.file}))
    return replace(pair, challenger=pair.challenger.model_copy(update={"train_data": pair.data.file}))


def _leaked(pair: Pair, rng: np.random.Generator) -> Pair:
    """Let the challenger see the label through a column of its own, which serving does not promise."""
    rows, name = pair.rows, f"outcome_{int(rng.integers(1000))}"
    better = sigmoid(logits(pair.scores[:, 0]) + 2.0 * (2 * rows.positive - 1))
    promised = pair.challenger.promised_features or pair.challenger.features
    update = {"features": (*pair.challenger.features, name), "promised_features": promised}
    return replace(with_scores(pair, better), challenger=pair.challenger.model_copy(update=update))


def _skewed(pair: Pair, rng: np.random.Generator) -> Pair:
    rule = pair.rows.policy.skew.parity
    count = max(rule.rows, 5000)
    off = min(count, 20 + math.ceil(count * rule.max_mismatch * float(rng.uniform(3, 10))))
    parity = Parity(rows=count, float_bits=32, max_difference=0.1, label_flips=0, mismatches=off, tolerance=1e-5)
    return replace(pair, challenger=pair.challenger.model_copy(update={"parity": parity}))


def _rotten(pair: Pair, rng: np.random.Generator) -> Pair:
    role = "challenger" if rng.random() < HALF else "champion"
    facts = pair.challenger if role == "challenger" else pair.champion
    bad = facts.model_copy(update={"replay": facts.replay.model_copy(update={"passed": False, "max_difference": 1.0})})
    return replace(pair, challenger=bad) if role == "challenger" else replace(pair, champion=bad)


def _nothing(_: Rows) -> str:
    return ""


FAULTS = (
    Fault(
        "slice-regression",
        "half of one slice's rows answered wrongly, nine to one, and all others as before",
        ("slices.",),
        _wronged,
        lambda rows: "" if slices_of(rows) else "the policy guards and watches no slice",
    ),
    Fault(
        "backwards",
        "all of the challenger's scores turned round",
        ("baselines.zero_rule", "optimizing"),
        _backwards,
        _nothing,
    ),
    Fault(
        "miscalibration",
        "each of the challenger's scores moved three quarters of the way to the wrong end",
        ("calibration",),
        _miscalibrated,
        _calibration_needs,
    ),
    Fault(
        "contamination",
        "the rows are the very file that one of the two was trained on",
        ("contamination",),
        _seen_before,
        _nothing,
    ),
    Fault(
        "leak",
        "the challenger sees the label through a column that serving does not promise, and is far better for it",
        ("availability",),
        _leaked,
        _nothing,
    ),
    Fault(
        "skew",
        "pipeline and graph differ in three to ten times as many rows as the policy tolerates, and 20 more",
        ("skew.parity",),
        _skewed,
        _nothing,
    ),
    Fault(
        "replay",
        "golden rows of one of the two come out otherwise on this host",
        ("packaging", "rollback"),
        _rotten,
        _nothing,
    ),
)
NOT_CAUGHT = (
    "a leak through a column that serving promises: no rule sees it in the rows, only rows of a later time do",
    "rows of the training set in another file: only the very file is told apart",
    "skew between these rows and those that will be served",
    "a slower challenger: durations are not planted",
)
"""What no rule of the gate can catch, said plainly."""
