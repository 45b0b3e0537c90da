"""One tree of errors, each with the exit code that the command line leaves by."""

import pytest

from candidate import errors
from candidate.errors import (
    CandidateError,
    IndeterminateError,
    InputError,
    IntegrityError,
    RefusedError,
    StaleError,
    UnavailableError,
)

CODES = {
    InputError: 2,
    StaleError: 5,
    IntegrityError: 6,
    RefusedError: 7,
    IndeterminateError: 8,
    UnavailableError: 9,
}


@pytest.mark.parametrize(("leaf", "code"), CODES.items(), ids=lambda value: getattr(value, "__name__", value))
def test_each_leaf_has_its_exit_code(leaf: type[CandidateError], code: int) -> None:
    """Scripts depend on these numbers; 0, 3 and 4 are verdicts and 1 is a bug of ours."""
    assert leaf.exit_code == code
    assert issubclass(leaf, CandidateError)


def test_there_are_no_other_leaves_and_no_two_share_a_code() -> None:
    """A new leaf is a change of the contract."""
    leaves = [
        member
        for member in vars(errors).values()
        if isinstance(member, type) and issubclass(member, CandidateError) and member is not CandidateError
    ]

    assert set(leaves) == set(CODES)
    assert len({leaf.exit_code for leaf in leaves}) == len(leaves)
    assert CandidateError.exit_code == 1


def test_an_error_says_what_where_and_what_next() -> None:
    """The place stands in parentheses, the hint apart."""
    error = InputError("no such column", where="policy.toml", hint="name one of a, b")

    assert str(error) == "no such column (policy.toml)"
    assert (error.message, error.where, error.hint) == ("no such column", "policy.toml", "name one of a, b")
    assert str(StaleError("the champion moved")) == "the champion moved"
