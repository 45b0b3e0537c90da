"""Rows out of files: streamed, typed as the graph wants them, and every misfit named by column and row."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from candidate.adapters.dataset import (
    batches,
    coded_column,
    columns_of_file,
    feeds,
    file_digest,
    row_count,
    whole_table,
)
from candidate.documents.manifest import Tensor, TensorType
from candidate.errors import InputError


def tensor(name: str, dtype: TensorType) -> Tensor:
    """An input of the graph."""
    return Tensor(name=name, dtype=dtype, shape=("batch", 1))


def batch(**columns: pa.Array) -> pa.RecordBatch:
    """Some rows."""
    return pa.RecordBatch.from_pydict(columns)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_three_formats_give_the_same_rows(tmp_path: Path, suffix: str) -> None:
    """Parquet, CSV and JSON lines, told by their suffix."""
    rows = pd.DataFrame({"a": [1.5, 2.5, np.nan], "b": ["x", "y", "z"]})
    path = tmp_path / f"rows{suffix}"
    if suffix == ".parquet":
        rows.to_parquet(path, index=False)
    elif suffix == ".csv":
        rows.to_csv(path, index=False)
    else:
        rows.to_json(path, orient="records", lines=True)
    (only,) = batches(path, ["b", "a"])
    found = feeds(only, [tensor("a", "float32"), tensor("b", "string")])

    assert row_count(path) == 3
    assert set(columns_of_file(path)) == {"a", "b"}
    np.testing.assert_array_equal(found["a"], np.array([[1.5], [2.5], [np.nan]], dtype=np.float32))
    assert found["b"].tolist() == [["x"], ["y"], ["z"]]


def test_rows_come_in_order_and_in_batches(tmp_path: Path) -> None:
    """A file larger than a batch keeps the order of its rows."""
    pq.write_table(pa.table({"n": np.arange(10_000)}), tmp_path / "n.parquet", row_group_size=1500)
    parts = [part.column("n").to_numpy() for part in batches(tmp_path / "n.parquet", ["n"], rows=1024)]

    assert max(map(len, parts)) <= 1024
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(10_000))


@pytest.mark.parametrize(
    ("column", "dtype", "words"),
    [
        (pa.array(["1", "2"]), "float32", "holds string, the model takes float32"),
        (pa.array([1.0, 2.0]), "string", "holds double, the model takes string"),
        (pa.array([1.5, 2.5]), "int64", "holds double, the model takes int64"),
        (pa.array([1, None]), "int64", "missing value"),
        (pa.array(["x", None]), "string", "missing value"),
        (pa.array([True, None]), "bool", "missing value"),
        (pa.array(["a", None]).dictionary_encode(), "string", "missing value"),
        (pa.array([1.0, np.inf]), "float32", "infinite, or beyond what float32 holds"),
        (pa.array([1.0, -np.inf]), "float64", "infinite, or beyond what float64 holds"),
        (pa.array([1.0, 1e300]), "float32", "infinite, or beyond what float32 holds"),
        (pa.array([0, 1 << 40]), "int32", "beyond int32"),
        (pa.array([0, 1 << 63], pa.uint64()), "int64", "beyond int64"),
        (pa.array([1, 2], pa.timestamp("s")), "float32", "the model takes float32"),
        (pa.array([None, None], pa.null()), "string", "holds null"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(column: pa.Array, dtype: TensorType, words: str) -> None:
    """The message names the file and the column, and the row of a missing or infinite value."""
    with pytest.raises(InputError, match=words) as refused:
        feeds(batch(c=column), [tensor("c", dtype)], first_row=100, where="rows.parquet")

    assert refused.value.where.startswith("rows.parquet, column c")
    assert not words.startswith(("missing", "infinite")) or refused.value.where.endswith("row 101")


@pytest.mark.parametrize(
    ("column", "dtype", "expected"),
    [
        (pa.array([1, None, 3]), "float32", [1.0, np.nan, 3.0]),
        (pa.array([True, False]), "float64", [1.0, 0.0]),
        (pa.array([2**24 + 1, 2**40 + 1]), "int64", [2**24 + 1, 2**40 + 1]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), "string", ["a", "b", "a"]),
        (pa.array([None, None], type=pa.null()), "float32", [np.nan, np.nan]),
        (pa.array([True, None]), "float32", [1.0, np.nan]),
        (pa.array([Decimal("1.5"), None]), "float64", [1.5, np.nan]),
        (pa.array([1.5, None]).dictionary_encode(), "float32", [1.5, np.nan]),
        (pa.array([True, False]), "int64", [1, 0]),
        (pa.array([True, False]), "bool", [True, False]),
        (pa.array([7, -7], pa.int8()), "int32", [7, -7]),
        (pa.array(["a", "ø"], pa.large_string()), "string", ["a", "ø"]),
    ],
)
def test_a_value_that_fits_becomes_its_tensor(column: pa.Array, dtype: TensorType, expected: list[object]) -> None:
    """A missing number is NaN; whole numbers stay exact; dictionaries are text."""
    found = feeds(batch(c=column), [tensor("c", dtype)])["c"]

    assert found.shape == (len(expected), 1)
    if dtype == "string":
        assert found[:, 0].tolist() == expected
    else:
        assert found.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(found[:, 0], np.array(expected, dtype=dtype))


def test_a_missing_column_is_told_with_the_nearest_one(tmp_path: Path) -> None:
    """A misspelt name comes with the name it was meant to be."""
    pd.DataFrame({"carrier": ["AA"], "origin": ["JFK"]}).to_parquet(tmp_path / "r.parquet")
    with pytest.raises(InputError, match="no column 'carier'") as refused:
        next(iter(batches(tmp_path / "r.parquet", ["carier"])))

    assert refused.value.hint == "did you mean 'carrier'?"
    with pytest.raises(InputError) as refused:
        next(iter(batches(tmp_path / "r.parquet", ["zzz"])))
    assert "it has: carrier, origin" in refused.value.hint


@pytest.mark.parametrize("name", ["none.parquet", "text.parquet", "half.parquet", "rows.xlsx"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    """Absent, not Parquet, cut off, or of a kind that nobody reads: one clear error."""
    pd.DataFrame({"a": range(5000)}).to_parquet(tmp_path / "whole.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    (tmp_path / "half.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:3000])
    (tmp_path / "rows.xlsx").write_bytes(b"PK")

    with pytest.raises(InputError):
        list(batches(tmp_path / name, ["a"]))
    with pytest.raises(InputError):
        file_digest(tmp_path / "none.parquet")


def test_a_page_that_rotted_is_refused(tmp_path: Path) -> None:
    """Bytes that change inside the file come out as an error, not as other numbers."""
    path = tmp_path / "r.parquet"
    pq.write_table(pa.table({"a": np.arange(50_000) % 77}), path, compression="zstd")
    data = bytearray(path.read_bytes())
    data[200:260] = bytes(60)
    path.write_bytes(data)

    with pytest.raises(InputError, match="cannot be read"):
        list(batches(path, ["a"]))


def test_a_coded_column_has_each_value_once() -> None:
    """NaN and null are one missing value; a dictionary column is what it stands for."""
    values, codes = coded_column(batch(c=pa.array([1.0, None, float("nan"), 1.0])), "c")
    assert [values[code] for code in codes] == [1.0, None, None, 1.0]
    values, codes = coded_column(batch(c=pa.array(["a", None, "b"]).dictionary_encode()), "c")
    assert [values[code] for code in codes] == ["a", None, "b"]


def test_a_file_that_breaks_off_is_refused_by_whatever_reads_it(tmp_path: Path) -> None:
    """A CSV with a ragged row far from its beginning; counting and streaming both say so."""
    path = tmp_path / "ragged.csv"
    path.write_text("a,b\n" + "1,2\n" * 600_000 + "1,2,3\n")

    with pytest.raises(InputError, match="cannot be read to its end"):
        row_count(path)
    with pytest.raises(InputError, match="cannot be read to its end"):
        list(batches(path, ["a"]))


def test_a_number_that_training_never_missed_may_not_be_missing() -> None:
    """The trained pipeline would have raised an error; the graph would have answered."""
    rows = batch(a=pa.array([1.0, None, float("nan")]), b=pa.array([1, None, 3]))
    inputs = [tensor("a", "float32"), tensor("b", "float64")]
    assert np.isnan(feeds(rows, inputs)["a"]).sum() == 2

    for name in ("a", "b"):
        with pytest.raises(InputError, match="missing value") as refused:
            feeds(rows, inputs, first_row=10, where="r.parquet", filled={name})
        assert refused.value.where == f"r.parquet, column {name}, row 11"


def test_a_whole_table_has_rows(tmp_path: Path) -> None:
    """All batches as one, and a file without rows is refused."""
    pd.DataFrame({"a": range(100_000)}).to_parquet(tmp_path / "full.parquet")
    pd.DataFrame({"a": [1.0]})[:0].to_parquet(tmp_path / "empty.parquet")

    assert whole_table(tmp_path / "full.parquet", ["a"]).num_rows == 100_000
    with pytest.raises(InputError, match="no rows"):
        whole_table(tmp_path / "empty.parquet", ["a"])
