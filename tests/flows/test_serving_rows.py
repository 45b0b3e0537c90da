"""Rows whose columns cannot be told apart are the caller's mistake, and said to be."""

import pyarrow as pa
import pytest

from candidate.errors import InputError
from candidate.flows.serving import rows


def test_a_feature_that_is_there_twice_is_refused() -> None:
    """Arrow allows two columns of one name; which of them was meant nobody knows."""
    with pytest.raises(InputError, match="two columns are called 'x'"):
        rows.told_apart(pa.table([[1.0], [2.0]], names=["x", "x"]), ("x",))
