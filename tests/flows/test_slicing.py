"""Slices are found in the data, named, and independent of the order of the rows."""

import datetime as dt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from candidate.documents.policy import Policy
from candidate.documents.where import Comparison
from candidate.errors import InputError
from candidate.flows.slicing import Coded, Slicer, coded, compares

POLICY = """
[data]
label = "late"
unit = "day"
[optimizing]
metric = "log_loss"
require = "superior"
min_gain = 0.0
[[slices.guard]]
by = ["carrier", "origin"]
margin = 0.01
[[slices.guard]]
where = "distance > 500 and carrier in ['AA', 'UA']"
margin = 0.01
[[slices.watch]]
by = "carrier"
margin = 0.01
"""


def column(values: list[Any]) -> Coded:
    """A column as the data reader gives it."""
    distinct = list(dict.fromkeys(values))
    return coded(distinct, np.array([distinct.index(value) for value in values], dtype=np.int64))


def rows(carriers: list[Any], origins: list[Any], distances: list[float]) -> dict[str, Coded]:
    """Columns of flights."""
    return {"carrier": column(carriers), "origin": column(origins), "distance": column(distances)}


def slicer() -> Slicer:
    """A slicer of the policy above."""
    return Slicer(Policy.from_toml(POLICY, where="policy.toml"))


def test_a_row_is_in_its_slice_of_every_rule() -> None:
    """One array for each rule: the row's slice, or -1 where it has none."""
    found = slicer()
    overall, crossed, single, condition = found.groups(
        rows(["AA", "UA", "AA", None], ["JFK", "JFK", "JFK", "EWR"], [600.0, 100.0, 400.0, 900.0]), 4
    )
    names = [key.name for key in found.keys]

    assert overall.tolist() == [0, 0, 0, 0]
    assert [names[n] for n in crossed] == [
        "carrier=AA & origin=JFK",
        "carrier=UA & origin=JFK",
        "carrier=AA & origin=JFK",
        "carrier=(missing) & origin=EWR",
    ]
    assert [names[n] for n in single] == ["carrier=AA", "carrier=UA", "carrier=AA", "carrier=(missing)"]
    assert condition.tolist() == [1, -1, -1, -1]


@given(st.permutations(list(range(6))), st.integers(1, 5))
def test_the_order_of_slices_does_not_depend_on_the_order_of_rows(order: list[int], cut: int) -> None:
    """Any order and any batching of the rows gives the same axes."""
    carriers, origins = ["AA", "UA", None, "AA", "B6", "UA"], ["JFK", "EWR", "JFK", "LGA", "JFK", "EWR"]
    distances = [1.0, 2.0, 3.0, 600.0, 700.0, 800.0]
    whole, pieces = slicer(), slicer()
    whole.groups(rows(carriers, origins, distances), 6)
    for part in (order[:cut], order[cut:]):
        chosen = rows([carriers[i] for i in part], [origins[i] for i in part], [distances[i] for i in part])
        pieces.groups(chosen, len(part))

    assert [whole.keys[n] for n in whole.ordering()] == [pieces.keys[n] for n in pieces.ordering()]


@pytest.mark.parametrize(
    ("operator", "values", "holds"),
    [
        ("==", (5,), True),
        ("!=", (5,), False),
        ("<", (6,), True),
        ("<=", (5,), True),
        (">", (5,), False),
        (">=", (5,), True),
        ("in", (4, 5), True),
    ],
)
def test_a_comparison_means_what_it_says(operator: Any, values: tuple[int, ...], holds: bool) -> None:  # noqa: FBT001 - expected
    """Each operator is Python's own."""
    assert compares(5, Comparison(column="x", operator=operator, values=values)) is holds


def test_text_is_not_compared_with_numbers() -> None:
    """A condition on the wrong type is an error, not an empty slice."""
    with pytest.raises(InputError, match="holds str"):
        compares("5", Comparison(column="x", operator="==", values=(5,)))


def test_missing_values_are_one_value() -> None:
    """None and NaN are the same missing value; true and 1 stay apart; a date becomes text."""
    found = coded([None, 1, float("nan"), True, dt.date(2013, 1, 2)], np.array([0, 2, 1, 3, 4, 2]))

    assert found.values == (None, 1, True, "2013-01-02")
    assert [type(value) for value in found.values] == [type(None), int, bool, str]
    assert found.codes.tolist() == [0, 0, 1, 2, 3, 0]
