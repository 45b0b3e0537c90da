"""Holm's method equals statsmodels'."""

import gc

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from candidate.judgement.multiplicity import holm


def test_no_claims_prove_nothing() -> None:
    """An empty family is not an error."""
    assert holm([], 0.05) == ()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [1, 2, 7, 40])
def test_holm_equals_statsmodels(seed: int, size: int) -> None:
    """The same claims, ties and zeros included."""
    rng = np.random.default_rng(seed)
    p_values = np.round(rng.random(size) ** 6, 3)

    expected = multipletests(p_values, alpha=0.05, method="holm")[0]

    assert holm(p_values.tolist(), 0.05) == tuple(expected.tolist())


def test_holm_equals_statsmodels_on_ten_thousand_families(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of them with some claims proven and some not, which is where methods differ."""
    monkeypatch.setattr(gc, "collect", lambda: 0)  # statsmodels collects garbage at every call
    rng = np.random.default_rng(10)
    mixed = 0
    for _ in range(10_000):
        p_values = rng.random(int(rng.integers(2, 12))) ** 4
        found = holm(p_values.tolist(), 0.05)
        assert found == tuple(multipletests(p_values, alpha=0.05, method="holm")[0].tolist())
        mixed += any(found) and not all(found)

    assert mixed > 5000
