"""The rows that lose more than the others are named, each once, and equal rows are rarely told apart."""

import numpy as np
import pytest
from scipy import stats

from candidate.judgement.errors import Column, interval, worst_groups


def columns(rng: np.random.Generator, rows: int) -> dict[str, Column]:
    """A city, a size and a copy of the city under another name."""
    city = rng.integers(0, 3, rows)
    return {
        "city": Column(city, ["oslo", "bergen", "narvik"]),
        "size": Column(rng.integers(0, 4, rows), ["s", "m", "l", "xl"]),
        "place": Column(city, ["O", "B", "N"]),
    }


def test_the_worst_group_comes_first_and_once() -> None:
    """A city that loses twice as much, and one combination that loses more still; a copy of a column adds nothing."""
    rng = np.random.default_rng(1)
    found = columns(rng, 6000)
    loss = rng.exponential(1.0, 6000)
    narvik = found["city"].codes == 2
    corner = (found["city"].codes == 0) & (found["size"].codes == 3)
    loss[narvik] *= 2
    loss[corner] *= 3
    groups, looked = worst_groups(loss, found)

    assert groups[0].name == "city=narvik"
    assert {"city=oslo and size=xl", "size=xl and place=O"} & {each.name for each in groups}
    assert not {"place=N", "city=narvik and place=N"} & {each.name for each in groups}
    assert looked == 3 + 4 + 3 + 12 + 9 - 6 + 12
    excess = loss[narvik].mean() - loss[~narvik].mean()
    assert groups[0].reducible == pytest.approx(excess * narvik.sum() / loss.sum())
    bound = stats.ttest_ind(loss[narvik], loss[~narvik], equal_var=False).confidence_interval(0.90).low
    assert groups[0].reducible_at_least == pytest.approx(bound * narvik.sum() / loss.sum())
    assert groups[0].share_of_loss == pytest.approx(loss[narvik].sum() / loss.sum())


def test_rows_that_lose_alike_are_rarely_told_apart() -> None:
    """Of 200 tables without any difference, no more than a few name a group."""
    rng = np.random.default_rng(2)
    named = [bool(worst_groups(rng.normal(5, 1, 800), columns(rng, 800))[0]) for _ in range(200)]

    assert sum(named) <= 0.05 * 200 + 3 * np.sqrt(0.05 * 0.95 * 200)


def test_small_groups_and_constant_losses_are_left_alone() -> None:
    """Nineteen rows are not looked at; without a spread nothing is proven."""
    few = Column(np.array([1] * 19 + [0] * 400), ["many", "few"])
    loss = np.concatenate([np.full(19, 9.0), np.ones(400)])

    assert worst_groups(loss, {"x": few}) == ((), 0)
    many = Column(np.array([1] * 200 + [0] * 219), ["many", "few"])
    assert worst_groups(np.ones(419), {"x": many})[0] == ()


def test_no_more_are_named_than_asked_for() -> None:
    """The ones with the most to gain."""
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 6, 6000)
    loss = rng.exponential(1.0, 6000) * (1 + codes)
    groups, _ = worst_groups(loss, {"x": Column(codes, list("abcdef"))}, most=2)

    assert [each.name for each in groups] == ["x=f", "x=e"]


def test_a_mean_has_students_interval() -> None:
    """SciPy's."""
    loss = np.random.default_rng(4).normal(2, 1, 50)
    expected = stats.ttest_1samp(loss, 0).confidence_interval(0.95)

    assert interval(loss) == pytest.approx((loss.mean(), expected.low, expected.high))
