"""Rows in files: Parquet, CSV and JSON lines, streamed as Arrow batches and turned into tensors."""

import difflib
import hashlib
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.documents.manifest import Tensor
from candidate.errors import InputError

CHUNK_BYTES = 1 << 20
BATCH_ROWS = 65_536
MISSING = "missing value in a column that may not have one"
FILL = "fill it as the training data was filled"


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, read once in chunks.

    Raises:
        InputError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    return "sha256:" + digest.hexdigest()


def _dataset(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.dataset as ds

    formats = {".parquet": "parquet", ".csv": "csv", ".jsonl": "json", ".ndjson": "json"}
    if path.suffix not in formats:
        raise InputError(
            f"no rows are read from {path.suffix!r}", where=str(path), hint="give a .parquet, .csv or .jsonl file"
        )
    if not path.is_file():
        raise InputError("no such file", where=str(path))
    try:
        return ds.dataset(path, format=formats[path.suffix])
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
        raise InputError(
            f"not a readable {formats[path.suffix]} file: {_first_line(error)}", where=str(path)
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def columns_of_file(path: Path) -> dict[str, str]:
    """Return the columns of a file: name to Arrow type, as text.

    Raises:
        InputError: the file cannot be read as what its suffix says.
    """
    return {field.name: str(field.type) for field in _dataset(path).schema}


def row_count(path: Path) -> int:
    """Return the number of rows of a file; free for Parquet.

    Raises:
        InputError: the file cannot be read as what its suffix says.
    """
    import pyarrow as pa

    dataset = _dataset(path)
    try:
        return int(dataset.count_rows())
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
        raise InputError(f"cannot be read to its end: {_first_line(error)}", where=path.name) from error


def row_groups(path: Path) -> list[int]:
    """Return the number of rows of each row group of a Parquet file.

    Raises:
        InputError: not a Parquet file, or unreadable.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix != ".parquet":
        raise InputError(
            f"no parts are read from {path.suffix!r}", where=path.name, hint="write the rows as Parquet, or use serial"
        )
    try:
        found = pq.read_metadata(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"not a readable parquet file: {_first_line(error)}", where=str(path)) from error
    return [found.row_group(number).num_rows for number in range(found.num_row_groups)]


def whole_table(path: Path, columns: Sequence[str]) -> Any:
    """Return the columns of a file as one Arrow table.

    Raises:
        InputError: unreadable, without one of the columns, or without rows.
    """
    import pyarrow as pa

    found = list(batches(path, columns))
    if not found:
        raise InputError("no rows", where=path.name)
    return pa.Table.from_batches(found)


def batches(
    path: Path, columns: Sequence[str], *, rows: int = BATCH_ROWS, groups: Sequence[int] | None = None
) -> Iterator[Any]:
    """Stream the columns of a file as Arrow record batches, in order of the rows.

    Args:
        path: Parquet, CSV or JSON-lines file.
        columns: to be read.
        rows: at most so many in a batch.
        groups: of a Parquet file, only these row groups, and no batch over the border of two.

    Raises:
        InputError: unreadable, or without one of the columns; the message names the nearest ones.
    """
    import pyarrow as pa

    dataset = _dataset(path)
    present = dataset.schema.names
    missing = [name for name in columns if name not in present]
    if missing:
        near = [close for name in missing for close in difflib.get_close_matches(name, present, n=1)]
        raise InputError(
            f"no column {', '.join(map(repr, missing))}",
            where=path.name,
            hint=f"did you mean {', '.join(map(repr, near))}?" if near else f"it has: {', '.join(present)}",
        )
    try:
        for batch in _streamed(path, dataset, list(columns), rows, groups):
            if batch.num_rows:
                yield batch
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
        raise InputError(f"cannot be read to its end: {_first_line(error)}", where=path.name) from error


def _streamed(
    path: Path, dataset: Any, columns: list[str], rows: int, groups: Sequence[int] | None = None
) -> Iterator[Any]:
    """Yield batches in constant memory: a scanner of datasets reads row groups ahead without end.

    Where row groups are named, no batch has rows of two of them: it is the same whoever reads them.
    """
    if path.suffix != ".parquet":
        yield from dataset.to_batches(columns=columns, batch_size=rows, batch_readahead=2, fragment_readahead=1)
        return
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False, buffer_size=CHUNK_BYTES) as file:
        for group in [None] if groups is None else [[number] for number in groups]:
            for batch in file.iter_batches(batch_size=rows, columns=columns, row_groups=group):
                yield batch.select(columns)


def coded_column(batch: Any, name: str) -> tuple[list[Any], NDArray[np.int64]]:
    """Return a column's distinct values, and for each row the position of its value; a missing one is None.

    Arrow does it without touching a row in Python, which is what streaming needs.
    """
    import pyarrow.compute as pc
    import pyarrow.types as pt

    column = batch.column(name)
    if pt.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pt.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    coded = column.dictionary_encode(null_encoding="encode")
    return coded.dictionary.to_pylist(), np.asarray(coded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)


def numbers(batch: Any, name: str, *, first_row: int = 0, where: str = "") -> NDArray[np.float64]:
    """Return a column as finite numbers, shape (rows,).

    Args:
        batch: Arrow record batch that has the column.
        name: of the column.
        first_row: number of the batch's first row in its file, for the message.
        where: the file, for the message.

    Raises:
        InputError: it holds no numbers, or a row misses its value or has an infinite one.
    """
    import pyarrow.types as pt

    column, place = batch.column(name), f"{where}, column {name}".removeprefix(", ")
    kind = column.type
    if not (pt.is_floating(kind) or pt.is_integer(kind) or pt.is_boolean(kind) or pt.is_decimal(kind)):
        raise InputError(f"holds {kind}, numbers are asked for", where=place)
    found = np.asarray(column.cast("float64").to_numpy(zero_copy_only=False), dtype=np.float64)
    absent = ~np.isfinite(found)
    if absent.any():
        raise InputError(
            "a missing or infinite number", where=_row(place, first_row, absent), hint="give every row one"
        )
    return found


def largest(path: Path, name: str) -> float:
    """Return the largest size of a number in a column of a file, read once.

    Raises:
        InputError: unreadable, no such column, or no numbers in it.
    """
    found, rows = 0.0, 0
    for batch in batches(path, [name]):
        found = max(found, float(np.abs(numbers(batch, name, first_row=rows, where=path.name)).max()))
        rows += batch.num_rows
    return found


def feeds(
    batch: Any, inputs: Sequence[Tensor], *, first_row: int = 0, where: str = "", filled: Container[str] = ()
) -> dict[str, NDArray[Any]]:
    """Return the input tensors of a batch, each of shape (rows, 1) in the graph's own dtype.

    A missing number is NaN where the tensor holds floats; elsewhere a missing value is refused, and
    so is a number that the tensor cannot hold or that is infinite: a graph would make something of
    it that nobody meant, where the pipeline that was trained would have raised an error.

    Args:
        batch: Arrow record batch with a column for each input.
        inputs: the model signature's inputs.
        first_row: number of the batch's first row in its file, for the message.
        where: the file, for the message.
        filled: inputs in which a missing number is refused as well: no row of training missed it.

    Raises:
        InputError: a value does not fit the input; names column and row.
    """
    found = {}
    for tensor in inputs:
        values = _tensor(batch, tensor, first_row=first_row, where=where)
        if tensor.name in filled and tensor.dtype in {"float32", "float64"} and np.isnan(values).any():
            place = f"{where}, column {tensor.name}".removeprefix(", ")
            raise InputError(MISSING, where=_row(place, first_row, np.isnan(values)), hint=FILL)
        found[tensor.name] = values.reshape(-1, 1)
    return found


def _tensor(batch: Any, tensor: Tensor, *, first_row: int, where: str) -> NDArray[Any]:
    import pyarrow as pa
    import pyarrow.types as pt

    column = batch.column(tensor.name)
    if pt.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    text = pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind)
    fits = {
        "string": text,
        "bool": pt.is_boolean(kind),
        "float32": pt.is_floating(kind) or pt.is_integer(kind) or pt.is_boolean(kind) or pt.is_decimal(kind),
        "float64": pt.is_floating(kind) or pt.is_integer(kind) or pt.is_boolean(kind) or pt.is_decimal(kind),
        "int64": pt.is_integer(kind) or pt.is_boolean(kind),
        "int32": pt.is_integer(kind) or pt.is_boolean(kind),
    }[tensor.dtype]
    place = f"{where}, column {tensor.name}".removeprefix(", ")
    if pt.is_null(kind) and tensor.dtype in {"float32", "float64"}:
        return np.full(batch.num_rows, np.nan, dtype=tensor.dtype)
    if not fits:
        raise InputError(f"holds {kind}, the model takes {tensor.dtype}", where=place)
    if column.null_count and tensor.dtype not in {"float32", "float64"}:
        raise InputError(
            MISSING,
            where=_row(place, first_row, column.is_null()),
            hint=FILL,
        )
    if tensor.dtype == "string":
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=object)
    if tensor.dtype in {"float32", "float64"}:
        with np.errstate(over="ignore"):  # found below, with its row
            floats = np.asarray(column.to_numpy(zero_copy_only=False)).astype(tensor.dtype)
        return _finite(floats, place, first_row)
    try:
        return np.asarray(column.cast(_arrow_type(tensor)).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid as error:
        raise InputError(f"holds a number beyond {tensor.dtype}: {_first_line(error)}", where=place) from error


def _arrow_type(tensor: Tensor) -> Any:
    import pyarrow as pa

    return {"int64": pa.int64(), "int32": pa.int32(), "bool": pa.bool_()}[tensor.dtype]


def _finite(values: NDArray[Any], place: str, first_row: int) -> NDArray[Any]:
    endless = np.isinf(values)
    if endless.any():
        raise InputError(
            f"infinite, or beyond what {values.dtype} holds",
            where=_row(place, first_row, endless),
            hint="leave it out if it is missing; a graph would answer where the trained pipeline refuses",
        )
    return values


def _row(place: str, first_row: int, found: Any) -> str:
    """Return the place with the first row for which ``found`` is true."""
    return f"{place}, row {first_row + int(np.flatnonzero(np.asarray(found))[0])}"
