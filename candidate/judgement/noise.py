"""How far models of one recipe differ: the least margin that training's own noise does not exceed."""

from collections.abc import Iterator, Sequence

import numpy as np

from candidate.documents.evidence import StateAxes
from candidate.documents.plan import NoiseLine
from candidate.documents.policy import Policy, SliceRule, columns_of
from candidate.judgement.catalogue import catalogue
from candidate.judgement.gate.measures import gain
from candidate.judgement.state import State

SHARE = 0.95
"""Of the differences of retrains, so many are within the noise."""
Pair = tuple[State, StateAxes]


def _places(rule: SliceRule, axes: StateAxes) -> list[int]:
    keys = enumerate(axes.slices)
    if rule.where is not None:
        return [index for index, key in keys if key.where == rule.where]
    return [index for index, key in keys if key.where is None and key.by == columns_of(rule.by)]


def _rules(policy: Policy, axes: StateAxes) -> Iterator[tuple[str, str, float, list[int]]]:
    """Yield each rule that has a margin: its name, metric, margin and slices."""
    best = policy.optimizing
    yield "optimizing", best.metric, best.margin if best.margin is not None else best.min_gain or 0.0, [0]
    for kind, rules in (("guard", policy.slices.guard), ("watch", policy.slices.watch)):
        for position, rule in enumerate(rules):
            name = f"slices.{kind}[{position}]"
            yield name, rule.metric or best.metric, rule.margin, _places(rule, axes)


def noise_of(policy: Policy, pairs: Sequence[Pair]) -> tuple[NoiseLine, ...]:
    """Return, for each rule with a margin, how far pairs of retrains differ.

    A difference counts by its size, whichever of the two is the better; the noise is the 95th percentile
    over all pairs and slices, the smallest difference that so many do not exceed.

    Args:
        policy: whose rules.
        pairs: each measured for this policy, one of the pair as challenger; at least one.
    """
    metrics, found = catalogue(policy), list[NoiseLine]()
    for position, (name, metric, margin, _) in enumerate(_rules(policy, pairs[0][1])):
        sizes: dict[float, str] = {}
        every = list[float]()
        for state, axes in pairs:
            places = list(_rules(policy, axes))[position][3]
            for index in places:
                interval = gain(state.totals(index, axes.statistics), metrics[metric], "champion").interval
                if interval is not None:
                    every.append(abs(interval.value))
                    sizes[every[-1]] = axes.slices[index].name
        if not every:
            continue
        noise = float(np.quantile(every, SHARE, method="inverted_cdf"))
        found.append(
            NoiseLine(
                rule=name,
                metric=metric,
                differences=len(every),
                median=float(np.median(every)),
                noise=noise,
                largest=max(every),
                worst=sizes[max(every)],
                margin=margin,
                enough=margin >= noise,
            )
        )
    return tuple(found)
