"""The rule about blackbox rows that the challenger was trained on: how many, and whether the verdict stands without."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from candidate.judgement.gate.answers import is_within
from candidate.judgement.gate.case import Case
from candidate.judgement.gate.claims import Claim, exact
from candidate.judgement.gate.measures import Measure, too_few
from candidate.judgement.gate.wording import number
from candidate.judgement.intervals import Share, design_effect, jackknife
from candidate.judgement.metrics import ratio_of
from candidate.judgement.state import State

RULE, RATE_RULE, METRIC = "contamination.verdict", "contamination.rate", "tainted_rows"


def tainted_claims(case: Case) -> Iterator[Claim]:
    """Hold that the verdict does not rest on rows that the challenger has seen."""
    rule, found = case.policy.contamination, case.evidence.contamination
    if rule is None:
        return
    if found is None:
        why = "nobody looked for training rows among these: give --train"
        yield exact(RULE, "optimizing", METRIC, "open", why)
        return
    if found.train != case.evidence.challenger.train_data:
        why = f"looked for among the rows {found.train}, the challenger was trained on others"
        yield exact(RULE, "optimizing", METRIC, "open", why)
        return
    if rule.max_rate is not None:
        yield _rate(case, rule.max_rate)
    n = case.evidence.data.rows
    if case.outcomes is None:
        why = f"none of the {n:,} rows is among the {found.train_rows:,} training rows"
        yield exact(RULE, "optimizing", METRIC, "pass", why)
        return
    whole, clean = case.outcomes
    share = f"{found.rows:,} of {n:,} rows ({number(100 * found.rows / n)} %) are among the training rows"
    if whole == clean:
        yield exact(RULE, "optimizing", METRIC, "pass", f"{share}; without them the verdict is {clean} too")
    else:
        flips = {whole, clean} == {"go", "no-go"}
        why = f"{share}; with them the verdict is {whole}, without them {clean}"
        yield exact(RULE, "optimizing", METRIC, "fail" if flips else "open", why)


def _rows_by_bucket(state: State) -> NDArray[np.int64]:
    """Return how many rows of a State are in each bucket."""
    counted: NDArray[np.int64] = state.counts[0, :, 0]
    return counted


def _rate(case: Case, limit: float) -> Claim:
    """Hold the share of these rows, whole units of which may be the same."""
    claim = Claim(RATE_RULE, "optimizing", METRIC, None, blocks=True, otherwise="open", why={})
    rows = _rows_by_bucket(case.state)
    same = np.zeros_like(rows) if case.tainted is None else _rows_by_bucket(case.tainted)
    n, found = int(rows.sum()), int(same.sum())
    share = found / n
    clustered = jackknife(ratio_of(same.sum() - same, rows.sum() - rows), share, rows > 0)
    units = int((rows > 0).sum())
    interval = Share(found, n, design_effect(clustered, share * (1 - share) / n))
    label = "share of rows that are among the training rows"
    measure = Measure(label, "1", n, units, interval, too_few(units))
    return is_within(measure, limit, "at most", case.risk, claim)
