"""Two models on some rows, through the whole gate: State, evidence, verdict."""

from dataclasses import dataclass, replace

import numpy as np

from candidate.documents.decision import Finding, Verdict
from candidate.documents.evidence import BundleFacts, DataFacts, Evidence, ModelRole, StateAxes
from candidate.flows.selftesting.rows import Floats, Rows, logits, sigmoid
from candidate.judgement.buckets import buckets_of
from candidate.judgement.gate import Arrays, judge
from candidate.judgement.state import Layout, State, observe

BOTH: tuple[ModelRole, ...] = ("challenger", "champion")
NOISE = 0.3
"""Standard deviation of what is added to each model's log odds: two models that are equally good and not the same."""


@dataclass(frozen=True)
class Pair:
    """A challenger and a champion on the same rows, and what is known of them.

    Attributes:
        rows: the rows.
        scores: shape (rows, 2), the challenger's first.
        challenger: facts of it.
        champion: facts of it.
        data: facts of the rows.
        target: name of the slice that a fault was planted in.
    """

    rows: Rows
    scores: Floats
    challenger: BundleFacts
    champion: BundleFacts
    data: DataFacts
    target: str = ""


def equal_pair(rows: Rows, rng: np.random.Generator) -> Pair:
    """Return two models of which neither is better: each sees the same scores through its own noise."""
    drawn = rows.drawn(rng)
    seen = logits(drawn.scores)[:, np.newaxis] + NOISE * rng.normal(size=(len(drawn.scores), 2))
    return Pair(drawn, sigmoid(seen), rows.facts, rows.facts, rows.data)


def with_scores(pair: Pair, challenger: Floats, target: str = "") -> Pair:
    """Return the pair with other scores of the challenger."""
    return replace(pair, scores=np.column_stack([challenger, pair.scores[:, 1]]), target=target)


def counted(pair: Pair, rng: np.random.Generator) -> State:
    """Return the State of a pair, with a salt of its own."""
    rows = pair.rows
    buckets = rows.policy.data.buckets
    bins = 15 if rows.policy.calibration is None else rows.policy.calibration.bins
    columns = {name: np.zeros(len(rows.positive)) for name in rows.policy.summed}
    return observe(
        positive=rows.positive,
        scores=pair.scores,
        predicted=pair.scores >= rows.threshold,
        groups=rows.groups,
        n_slices=len(rows.keys),
        buckets=buckets_of(rows.units, salt=int(rng.integers(2**62)), buckets=buckets),
        n_buckets=buckets,
        models=BOTH,
        bins=bins,
        ranked=rows.ranked,
        calibrated=rows.calibrated,
        columns=columns,
    )


def evidence_of(pair: Pair, state: State) -> Evidence:
    """Return evidence that describes a State; without latency and without files."""
    rows = pair.rows
    axes = StateAxes(
        task="binary",
        slices=rows.keys,
        buckets=state.counts.shape[1],
        salt="0" * 16,
        statistics=Layout(BOTH, columns=rows.policy.summed).statistics,
        models=BOTH,
        calibration_bins=state.bins.shape[-2],
        ranked=state.ranked,
        calibrated=state.calibrated,
        columns=rows.policy.summed,
    )
    return Evidence(
        challenger=pair.challenger,
        champion=pair.champion,
        policy=rows.policy.digest,
        data=pair.data,
        state=axes,
        latency=None,
        environment={},
        files=(),
    )


def judged(pair: Pair, rng: np.random.Generator) -> Verdict:
    """Return what the gate says of a pair."""
    state = counted(pair, rng)
    return judge(pair.rows.policy, evidence_of(pair, state), Arrays(state, None))


def failed(verdict: Verdict, rule: str, place: str | None = None) -> Finding | None:
    """Return the finding that says that a rule is broken, if there is one.

    Args:
        verdict: of the gate.
        rule: beginning of the rule's name.
        place: the slice; null for any.
    """
    for finding in verdict.findings:
        if finding.rule.startswith(rule) and finding.status == "fail" and place in {None, finding.slice}:
            return finding
    return None
