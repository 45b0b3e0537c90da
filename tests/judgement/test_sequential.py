"""Looks share one error rate."""

import numpy as np
import pytest

from candidate.judgement.intervals import t_quantile
from candidate.judgement.sequential import MOST_LOOKS, spending


@pytest.mark.parametrize("looks", [1, 2, MOST_LOOKS])
def test_all_looks_together_spend_what_was_asked(looks: int) -> None:
    """And the last has most of it."""
    levels = spending(0.05, looks)

    assert len(levels) == looks
    assert sum(levels) == pytest.approx(0.05)
    assert list(levels) == sorted(levels)
    assert looks == 1 or levels[0] < 0.01


def test_looking_often_does_not_claim_more_often() -> None:
    """A walk without drift, looked at ten times: at 5 % each it is called a drift much more often, here it is not."""
    rng = np.random.default_rng(21)
    walks = rng.normal(size=(2000, MOST_LOOKS)).cumsum(axis=1) / np.sqrt(np.arange(1, MOST_LOOKS + 1))
    bounds = np.array([t_quantile(1 - level, None) for level in spending(0.05, MOST_LOOKS)])

    assert (walks > t_quantile(0.95, None)).any(axis=1).mean() > 0.12
    assert (walks > bounds).any(axis=1).mean() <= 0.06
