"""The rules of robustness: answers that changed with the rows, against a budget."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from candidate.judgement.gate.answers import is_within
from candidate.judgement.gate.case import Case
from candidate.judgement.gate.claims import Claim
from candidate.judgement.gate.measures import Measure, too_few
from candidate.judgement.intervals import Share, design_effect, jackknife
from candidate.judgement.metrics import ratio_of

METRIC = "changed_answers"


def robustness_claims(case: Case) -> Iterator[Claim]:
    """Hold the share of changed rows that were answered otherwise than they may be."""
    rules, found = case.policy.robustness, case.evidence.robustness
    for number, rule in enumerate(rules):
        claim = Claim(f"robustness[{number}]", "satisficing", METRIC, None, blocks=True, otherwise="open", why={})
        label = f"answers that {rule.change} changed"
        if len(found) != len(rules):
            yield replace(claim, why={"open": f"{label}: nobody asked"}, limit=rule.max_failures)
            continue
        rows, failures = (np.array(each, dtype=np.int64) for each in (found[number].rows, found[number].failures))
        n = int(rows.sum())
        if len(rows) != len(failures) or (rows < 0).any() or (failures < 0).any() or (failures > rows).any() or not n:
            yield replace(claim, why={"open": f"{label}: the counts contradict each other"}, limit=rule.max_failures)
            continue
        share = int(failures.sum()) / n
        without = ratio_of(failures.sum() - failures, rows.sum() - rows)
        clustered = jackknife(without, share, rows > 0)
        interval = Share(int(failures.sum()), n, design_effect(clustered, share * (1 - share) / n))
        units = int((rows > 0).sum())
        measure = Measure(label, "1", n, units, interval, too_few(units))
        yield is_within(measure, rule.max_failures, "at most", case.risk, claim)
