"""A slice's condition is parsed, never evaluated, and nothing outside its small grammar is accepted."""

import pytest

from candidate.documents.where import Comparison, Operator, parse_where
from candidate.errors import InputError


@pytest.mark.parametrize("operator", ["==", "!=", "<", "<=", ">", ">="])
def test_each_comparison_is_read(operator: Operator) -> None:
    """A column, an operator, a literal."""
    assert parse_where(f"distance {operator} -2.5") == (
        Comparison(column="distance", operator=operator, values=(-2.5,)),
    )


def test_comparisons_are_joined_by_and() -> None:
    """All must hold; lists go with ``in``."""
    assert parse_where(" carrier in ['AA', 'EV'] and late == True and hour < 6 ") == (
        Comparison(column="carrier", operator="in", values=("AA", "EV")),
        Comparison(column="late", operator="==", values=(True,)),
        Comparison(column="hour", operator="<", values=(6,)),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "carrier",
        "carrier ==",
        "carrier = 'AA'",
        "'AA' == carrier",
        "carrier == 'AA' or hour < 6",
        "not hour < 6",
        "0 < hour < 6",
        "carrier is 'AA'",
        "carrier not in ['AA']",
        "(hour < 6) < 7",
        "f(hour) < 6",
        "x.y == 1",
        "__import__('os').system('true') == 0",
        "(" * 500 + "x",
        "x == 1\x00",
    ],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    """With a hint that shows one."""
    with pytest.raises(InputError, match="not a condition") as caught:
        parse_where(text)
    assert "write it like" in caught.value.hint


@pytest.mark.parametrize(
    "value",
    ["other", "open('x')", "1 + 'a'", "f'{x}'", "{[]: 1}", "-'a'"],
)
def test_only_literals_are_compared(value: str) -> None:
    """Nothing of it is run, whatever it is."""
    with pytest.raises(InputError, match="not a literal value"):
        parse_where(f"carrier == {value}")


@pytest.mark.parametrize("value", ["None", "1j", "b'AA'", "{'AA'}", "{'a': 1}", "1e999", "-1e999"])
def test_only_text_finite_numbers_and_truth_are_compared(value: str) -> None:
    """What a document cannot hold is no literal of ours."""
    with pytest.raises(InputError, match="only text, numbers and true/false"):
        parse_where(f"carrier == {value}")


@pytest.mark.parametrize("value", ["[]", "[None]", "[[1]]", "(1, None)"])
def test_a_list_holds_at_least_one_plain_value(value: str) -> None:
    """An empty list would be a slice that nothing can be in."""
    with pytest.raises(InputError, match="only text, numbers and true/false"):
        parse_where(f"carrier in {value}")


@pytest.mark.parametrize("text", ["carrier in 'AA'", "carrier == ['AA']", "hour < (1, 2)"])
def test_in_takes_a_list_and_nothing_else_does(text: str) -> None:
    """``in`` with text would be a search for letters."""
    with pytest.raises(InputError, match="'in' takes a list and only 'in' does"):
        parse_where(text)
