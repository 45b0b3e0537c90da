"""A line of the ledger says what it must, and nothing else."""

from typing import Any

import pytest
from pydantic import ValidationError

from candidate.documents.ledger import HoldoutRows, LedgerEntry

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
ROWS = HoldoutRows(digest=A, rows=3, columns=("late",), sketch=("0" * 16,))
LOOK: dict[str, Any] = {
    "number": 0,
    "previous": None,
    "what": "look",
    "holdout": ROWS,
    "policy": A,
    "challenger": B,
    "look": 1,
    "alpha": 0.0025,
}
VERDICT: dict[str, Any] = {"number": 1, "previous": A, "what": "verdict", "policy": A, "of": B, "outcome": "go"}
PLAN: dict[str, Any] = {"number": 1, "previous": A, "what": "plan", "policy": A, "of": B}


@pytest.mark.parametrize("fields", [LOOK, VERDICT, PLAN])
def test_each_kind_of_line_is_read_as_it_was_written(fields: dict[str, Any]) -> None:
    """And is its own line in the file."""
    entry = LedgerEntry(**fields)

    assert LedgerEntry.from_bytes(entry.to_bytes()) == entry
    assert b"\n" not in entry.to_bytes()


@pytest.mark.parametrize(
    ("fields", "change", "message"),
    [
        (LOOK, {"number": 1}, "the first line, and no other"),
        (VERDICT, {"previous": None}, "the first line, and no other"),
        (LOOK, {"holdout": None}, "a look names rows"),
        (LOOK, {"of": A}, "a look names rows"),
        (LOOK, {"outcome": "go"}, "a look names rows"),
        (VERDICT, {"challenger": A}, "names what it is of"),
        (VERDICT, {"champion": A}, "names what it is of"),
        (VERDICT, {"of": None}, "names what it is of"),
        (VERDICT, {"outcome": None}, "has an outcome"),
        (PLAN, {"outcome": "go"}, "has an outcome"),
    ],
)
def test_a_line_that_says_too_little_or_too_much_is_refused(
    fields: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    """A ledger that can be read in two ways counts nothing."""
    with pytest.raises(ValidationError, match=message):
        LedgerEntry(**{**fields, **change})
