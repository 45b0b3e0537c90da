"""Rows on which two ways to one value are compared, joined by their ids in bounded memory."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.documents.skewed import Held, RowParity
from candidate.errors import InputError
from candidate.flows.holdouts import bits_of
from candidate.flows.skewing.columns import numbers_of
from candidate.flows.skewing.log import Log, answered_by
from candidate.judgement.holdout import hashes_of
from candidate.judgement.intervals import Share

RELATIVE = 1e-6
"""Two numbers are the same if they differ by no more than so much of themselves: 32-bit copies do."""
PARTITION_ROWS = 500_000
"""About so many rows are joined at a time."""


@dataclass
class Agreement:
    """Rows on which two ways to one value were compared."""

    what: str
    rows: int = 0
    mismatches: int = 0
    example: str = ""

    def add(self, same: NDArray[np.bool_], values: tuple[Any, Any], places: Any) -> None:
        """Count some rows; ``places`` names each for the example."""
        self.rows += len(same)
        off = np.flatnonzero(~same)
        self.mismatches += len(off)
        if len(off) and not self.example:
            first, second = (_plain(each[int(off[0])]) for each in values)
            self.example = f"{_plain(places[int(off[0])])}: {first!r} was served, {second!r} is expected"

    def held(self, most: float, alpha: float) -> RowParity:
        """Hold the share of rows that disagree to a limit."""
        if not self.rows:
            return RowParity(
                what=self.what, rows=0, mismatches=0, lower=0.0, upper=1.0, status="open", example=self.example
            )
        share = Share(self.mismatches, self.rows)
        lower, upper = share.lower(alpha), share.upper(alpha)
        status: Held = "pass" if upper <= most else "fail" if lower > most else "open"
        return RowParity(
            what=self.what,
            rows=self.rows,
            mismatches=self.mismatches,
            lower=lower,
            upper=upper,
            status=status,
            example=self.example,
        )


def _plain(value: Any) -> Any:
    value = value.as_py() if hasattr(value, "as_py") else value
    return value.item() if isinstance(value, np.generic) else value


def alike(said: Any, expected: Any) -> bool:
    """Return whether two answers are the same, numbers to within 32-bit copies."""
    if isinstance(said, int | float) and isinstance(expected, int | float):
        return abs(said - expected) <= RELATIVE * max(abs(said), abs(expected))
    return bool(said == expected)


def close(one: NDArray[np.float64], other: NDArray[np.float64], absolute: float = 0.0) -> NDArray[np.bool_]:
    """Return which numbers are the same to within 32-bit copies; what is missing is the same as what is missing."""
    near = np.abs(one - other) <= absolute + RELATIVE * np.maximum(np.abs(one), np.abs(other))
    found: NDArray[np.bool_] = near | (np.isnan(one) & np.isnan(other))
    return found


def joined(
    log: Log, table: Path, row_id: str, digest: str, names: Sequence[str], most: float, alpha: float
) -> tuple[tuple[RowParity, ...], int]:
    """Hold every logged feature to the reference's row of the same id, a partition of the ids at a time."""
    agreements = [Agreement(name) for name in names]
    rows = max(dataset.row_count(table), dataset.row_count(log.path))
    partitions = 1 << max(0, (rows // PARTITION_ROWS)).bit_length()
    found = 0
    with tempfile.TemporaryDirectory(prefix="candidate-") as folder:
        named = "id" if log.ours else row_id
        _spread(answered_by(digest, log.batches()), named, names, Path(folder, "logged"), partitions)
        _spread(dataset.batches(table, [*names, row_id]), row_id, names, Path(folder, "table"), partitions)
        for number in range(partitions):
            found += _held(Path(folder), number, agreements)
    return tuple(each.held(most, alpha) for each in agreements), found


def _spread(batches: Iterator[Any], row_id: str, names: Sequence[str], stem: Path, partitions: int) -> None:
    """Write rows with the hash of their id into partitions, Arrow files."""
    import pyarrow as pa

    writers: dict[int, Any] = {}
    schema: Any = None
    try:
        for batch in batches:
            if not batch.num_rows:
                continue
            if row_id not in batch.schema.names:
                raise InputError(f"no column {row_id!r}", where=stem.name, hint="name the column of the ids: --id")
            if batch.column(row_id).null_count:
                hint = "log an id with every row, or leave --id out"
                raise InputError("a row without an id", where=f"column {row_id}", hint=hint)
            first, second = hashes_of({"id": bits_of(batch, row_id)})
            kept = {name: batch.column(name) for name in names}
            whole = pa.table({**kept, "_first": first, "_second": second, "_id": batch.column(row_id)})
            part = (second % np.uint64(partitions)).astype(np.int64)
            for number in np.unique(part).tolist():
                chosen = whole.filter(pa.array(part == number))
                if number not in writers:
                    schema = chosen.schema if schema is None else schema
                    writers[number] = pa.ipc.new_file(f"{stem}-{number}", schema)
                writers[number].write_table(chosen.cast(schema))
    finally:
        for writer in writers.values():
            writer.close()


def _held(folder: Path, number: int, agreements: Sequence[Agreement]) -> int:
    """Join one partition; return how many rows of the log the reference has."""
    import pyarrow as pa

    paths = [folder / f"{name}-{number}" for name in ("logged", "table")]
    if not all(path.exists() for path in paths):
        return 0
    tables = []
    for path in paths:
        with pa.memory_map(str(path)) as source:
            tables.append(pa.ipc.open_file(source).read_all().combine_chunks())
    logged, table = tables
    firsts, seconds = ([each.column(name).to_numpy() for each in tables] for name in ("_first", "_second"))
    known, where = np.unique(firsts[1], return_index=True)
    if len(known) < len(firsts[1]):
        raise InputError("an id stands twice in the reference", where="--id", hint="give each id one row")
    places = np.minimum(np.searchsorted(known, firsts[0]), len(known) - 1)
    there = (known[places] == firsts[0]) & (seconds[1][where[places]] == seconds[0])
    rows = np.flatnonzero(there)
    if not len(rows):
        return 0
    mine = logged.take(pa.array(rows)).combine_chunks()
    theirs = table.take(pa.array(where[places[rows]])).combine_chunks()
    for agreement in agreements:
        one, other = (each.column(agreement.what).combine_chunks() for each in (mine, theirs))
        agreement.add(_same(one, other), (one, other), mine.column("_id"))
    return len(rows)


def _same(one: Any, other: Any) -> NDArray[np.bool_]:
    numbers = numbers_of(one), numbers_of(other)
    if numbers[0] is not None and numbers[1] is not None:
        return close(numbers[0], numbers[1])
    return np.array([a == b for a, b in zip(one.to_pylist(), other.to_pylist(), strict=True)], dtype=bool)
