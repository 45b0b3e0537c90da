"""Policy and evidence of one verdict, as its rules ask of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from candidate.documents.decision import Outcome
from candidate.documents.evidence import Evidence, ModelRole, SliceKey
from candidate.documents.policy import Policy
from candidate.judgement.catalogue import catalogue
from candidate.judgement.classes import with_class_zero_rule
from candidate.judgement.gate.claims import Risk
from candidate.judgement.gate.measures import Measure, gain
from candidate.judgement.holdout import alpha_of
from candidate.judgement.metrics import Metric, with_zero_rule
from candidate.judgement.state import ZERO_RULE, State, Totals

OVERALL = "overall"


def _are_shares(shares: Sequence[float]) -> bool:
    return all(0 <= share <= 1 for share in shares) and math.isclose(sum(shares), 1, abs_tol=1e-6)


@dataclass(frozen=True)
class Case:
    """Policy and evidence of one verdict.

    Attributes:
        policy: what must hold.
        evidence: what was measured.
        state: counts of the rows.
        latency: durations in nanoseconds, shape (rounds, models, calls), if they were measured.
        tainted: counts of the rows that the challenger was trained on, if there are any.
        outcomes: what the other rules say of all rows, and of all but those.
    """

    policy: Policy
    evidence: Evidence
    state: State
    latency: NDArray[np.int64] | None
    tainted: State | None = None
    outcomes: tuple[Outcome, Outcome] | None = None

    @property
    def risk(self) -> Risk:
        """The policy's error rates."""
        return Risk(self.policy.alpha, self.policy.power)

    @property
    def look_risk(self) -> Risk:
        """The error rates of the optimizing metric: a look at a holdout with a budget has its share of alpha."""
        rule, spent = self.policy.holdout, self.evidence.holdout
        if rule is None or spent is None:
            return self.risk
        return Risk(alpha_of(spent.look, self.policy.alpha, rule) or self.policy.alpha, self.policy.power)

    def totals(self, index: int) -> Totals:
        """Return the statistics of a slice by bucket."""
        return self.state.totals(index, self.evidence.state.statistics)

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Every metric that the policy's rules may name."""
        return catalogue(self.policy)

    def over_champion(self, name: str, index: int) -> Measure:
        """Return the challenger's gain over the champion in a slice."""
        return gain(self.totals(index), self.metrics[name], "champion")

    def over_zero_rule(self, name: str) -> Measure:
        """Return the challenger's gain over the zero-rule on all rows."""
        metric, facts, totals = self.metrics[name], self.evidence.challenger, self.totals(0)
        label, rate, shares = f"{metric.label} over the zero-rule", facts.train_label_mean, facts.train_label_shares
        task, unknown = self.policy.kind_of_task, ""
        if task == "binary" and rate is not None and 0 <= rate <= 1:
            totals = with_zero_rule(totals, rate)
        elif task == "multiclass" and len(shares) == len(self.evidence.state.classes) and _are_shares(shares):
            totals = with_class_zero_rule(totals, shares)
        elif not self.evidence.state.zero_rule:
            unknown = {
                "binary": "the bundle does not record the positive rate of its training set",
                "multiclass": "the bundle does not record the shares of the classes in its training set",
                "regression": "the bundle does not record the mean label of its training set",
            }[task]
        if unknown:
            return Measure(label, metric.unit, 0, 0, None, unknown)
        return replace(gain(totals, metric, ZERO_RULE), label=label)

    def over_heuristic(self, name: str) -> Measure:
        """Return the challenger's gain over the heuristic on all rows."""
        metric = self.metrics[name]
        return replace(gain(self.totals(0), metric, "heuristic"), label=f"{metric.label} over the heuristic")

    def over_first(self, name: str) -> Measure:
        """Return the challenger's gain over what a first release has to beat: the heuristic, or the zero-rule."""
        heuristic = self.policy.baselines.heuristic
        must = heuristic is not None and heuristic.require == "must_beat"
        return self.over_heuristic(name) if must else self.over_zero_rule(name)

    def durations(self, model: ModelRole) -> NDArray[np.int64] | None:
        """Return a model's durations, shape (rounds, calls), if it was timed."""
        axes = self.evidence.latency
        if axes is None or self.latency is None or model not in axes.models:
            return None
        timed: NDArray[np.int64] = self.latency[:, axes.models.index(model), :]
        return timed

    def slices(self, *, by: tuple[str, ...], where: str | None) -> list[tuple[int, SliceKey]]:
        """Return the slices that a rule selects, with their positions."""
        keys = enumerate(self.evidence.state.slices)
        if where is not None:
            return [(index, key) for index, key in keys if key.where == where]
        return [(index, key) for index, key in keys if key.where is None and key.by == by]
