"""A formula is arithmetic over counts and nothing else."""

import pytest

from candidate.documents.formula import parse_formula
from candidate.errors import InputError


def test_steps_come_operands_first() -> None:
    """What a stack machine needs."""
    assert parse_formula("2 * tp / (tp + -fn)") == (2.0, "tp", "*", "tp", "fn", "negate", "+", "/")
    assert parse_formula(" sqrt(tp) - 0.5 ") == ("tp", "sqrt", 0.5, "-")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('x')",
        "tp.real",
        "tp ** 2",
        "tp if fp else fn",
        "lambda: tp",
        "[tp]",
        "abs(tp)",
        "sqrt(tp, fp)",
        "sqrt(x=tp)",
        "tp > fp",
        "True * tp",
        "'tp'",
        "1e400 * tp",
        "1j * tp",
        "auk",
        "+tp",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """By name, with what may be said."""
    with pytest.raises(InputError, match="may not say"):
        parse_formula(text)


@pytest.mark.parametrize("text", ["", "tp +", "tp; fp", "(" * 301, "tp" + " + tp" * 60, "\0"])
def test_what_does_not_parse_is_no_formula(text: str) -> None:
    """Empty, broken or too long."""
    with pytest.raises(InputError, match="not a formula"):
        parse_formula(text)


def test_a_constant_is_no_metric() -> None:
    """It would be the same for every model."""
    with pytest.raises(InputError, match="counts nothing"):
        parse_formula("1 / 2")
