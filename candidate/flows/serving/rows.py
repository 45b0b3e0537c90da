"""Rows in whatever form a caller has them: records, lines of JSON, frames, tables, arrays."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from candidate.errors import InputError

Records = list[Mapping[str, Any]]
TAKES = "a dict, a list of dicts, lines of JSON, a pandas or polars frame, an Arrow table or batch, or a NumPy array"


def told_apart(rows: Any, features: Sequence[str]) -> "Records | Any":
    """Return rows as records or as an Arrow table.

    Args:
        rows: see ``TAKES``; a two-dimensional array has the features in their order.
        features: names in order.

    Returns:
        A list of mappings where rows came one by one, else an Arrow table.

    Raises:
        InputError: it is nothing of the kind.
    """
    if isinstance(rows, str | bytes | bytearray):
        return _lines(list(rows.splitlines()))
    if isinstance(rows, np.ndarray):
        return _array(rows, features)
    if isinstance(rows, Mapping):  # of columns: one record was dealt with before
        return _columns(rows)
    if (table := _frame(rows)) is not None:
        twice = [name for name in features if table.column_names.count(name) > 1]
        if twice:
            raise InputError(f"two columns are called {twice[0]!r}", where="rows", hint="name each feature once")
        return table
    if isinstance(rows, Iterable):
        each = list(rows)
        if all(isinstance(row, Mapping) for row in each):
            return each
        if all(isinstance(row, str | bytes) for row in each):
            return _lines(each)
    raise InputError(f"{type(rows).__name__} holds no rows", where="rows", hint=f"give {TAKES}")


def is_record(rows: Any) -> bool:
    """Whether this is one record rather than columns, which are lists or arrays all of them."""
    return isinstance(rows, Mapping) and not (
        rows
        and all(
            isinstance(value, list | tuple | np.ndarray) or hasattr(value, "__arrow_c_array__")
            for value in rows.values()
        )
    )


def _lines(lines: Sequence[Any]) -> Records:
    found: Records = []
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"not JSON: {error}", where=f"rows, line {number + 1}") from error
        if not isinstance(record, dict):
            raise InputError(f"a {type(record).__name__}, not an object", where=f"rows, line {number + 1}")
        found.append(record)
    return found


def _frame(rows: Any) -> Any:
    """Return an Arrow table of a frame, a table or a batch, without importing what made it."""
    import pyarrow as pa

    if isinstance(rows, pa.Table):
        return rows
    if isinstance(rows, pa.RecordBatch):
        return pa.Table.from_batches([rows])
    home = type(rows).__module__.partition(".")[0]
    try:
        if home == "pandas":
            return pa.Table.from_pandas(rows, preserve_index=False)
        if home == "polars":
            return (rows.collect() if hasattr(rows, "collect") else rows).to_arrow()
        if hasattr(rows, "__arrow_c_stream__"):
            return pa.table(rows)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise InputError(f"the frame cannot be read: {str(error).splitlines()[0]}", where="rows") from error
    return None


def _array(rows: Any, features: Sequence[str]) -> Any:
    if rows.dtype.names is not None:
        return _columns({name: rows[name] for name in rows.dtype.names})
    if rows.ndim == 2 and rows.shape[1] == len(features):  # noqa: PLR2004 - a table
        return _columns({name: rows[:, number] for number, name in enumerate(features)})
    raise InputError(
        f"an array of shape {rows.shape}", where="rows", hint=f"give (rows, {len(features)}): {', '.join(features)}"
    )


def _columns(columns: Mapping[str, Any]) -> Any:
    import pyarrow as pa

    try:
        return pa.table({str(name): pa.array(values) for name, values in columns.items()})
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, ValueError) as error:
        raise InputError(f"the columns cannot be read: {str(error).splitlines()[0]}", where="rows") from error
