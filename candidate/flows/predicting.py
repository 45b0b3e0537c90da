"""Predict a file of rows exactly as serving does, in constant memory."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from candidate.adapters import dataset
from candidate.adapters.archive import Archive
from candidate.documents.results import Predicted
from candidate.documents.trust import TrustPolicy
from candidate.errors import InputError
from candidate.flows.measuring import is_attested
from candidate.flows.progress import Progress, silent
from candidate.flows.serving.answers import Columns, Predictions, table_of
from candidate.flows.serving.model import READ_ROWS, Model, side_by_side
from candidate.flows.serving.served import ServingLog
from candidate.flows.verifying import inspect

WRITE_ROWS = 262_144
"""Rows of answers that are written at once."""


class _Writer(Protocol):
    def write_table(self, table: Any) -> None:
        """Append rows."""

    def close(self) -> None:
        """Finish the file."""


class _Lines:
    """Writes rows as lines of JSON."""

    def __init__(self, path: Path, _: Any) -> None:
        self._file = path.open("w", encoding="utf-8")

    def write_table(self, table: Any) -> None:
        """Append rows."""
        self._file.writelines(json.dumps(row) + "\n" for row in table.to_pylist())

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


def _writer(suffix: str, path: Path, schema: Any) -> _Writer:
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        found: _Writer = pq.ParquetWriter(path, schema)
        return found
    if suffix == ".csv":
        import pyarrow.csv as pc

        lines: _Writer = pc.CSVWriter(path, schema)
        return lines
    return _Lines(path, schema)


FORMATS = (".parquet", ".csv", ".jsonl", ".ndjson")


def predict(
    bundle: Path | str,
    rows: Path | str,
    *,
    out: Path | str | None = None,
    each: Callable[[str], object] | None = None,
    keep: Sequence[str] = (),
    log: Path | str | None = None,
    trust: TrustPolicy | None = None,
    now: datetime | None = None,
    progress: Progress = silent,
) -> Predicted:
    """Predict a file of rows into another, or line by line.

    Args:
        bundle: bundle file.
        rows: Parquet, CSV or JSON lines with the bundle's feature columns.
        out: Parquet, CSV or JSON-lines file, as its suffix says, with the kept columns, ``prediction``,
            and ``score`` or ``scores``, in the order of the rows.
        each: called with every row's answer as a line of JSON, in the order of the rows.
        keep: columns of the rows that are passed on, to join answers with what they are about.
        log: file that what is served is appended to; its ids are the first kept column.
        trust: if given, a trusted builder must have attested the bundle.
        now: time at which the trust is looked at; by default this moment.
        progress: told the share of rows done.

    Raises:
        InputError: a column is missing, or values do not fit the input schema; nothing is left of ``out``.
        IntegrityError: the bundle is not what it should be.
    """
    rows, out = Path(rows), None if out is None else Path(out)
    with Archive.open(Path(bundle)) as archive:
        opened = inspect(archive)
        attested = is_attested(opened, trust, datetime.now(UTC) if now is None else now)
        model = Model.of(opened)
        model.graph  # noqa: B018 - loaded while its bytes are at hand
    if out is not None and out.exists():
        raise InputError("exists already", where=str(out), hint="name a file that does not exist yet")
    if out is not None and out.suffix not in FORMATS:
        raise InputError(f"no rows are written to {out.suffix!r}", where=str(out), hint=f"one of {', '.join(FORMATS)}")
    _check_kept(keep, rows)
    with _Output(out) as output, contextlib.ExitStack() as stack:
        served = None if log is None else stack.enter_context(ServingLog(log))
        count, expected = 0, dataset.row_count(rows)
        for batch, found in side_by_side(_read(model, rows, keep), partial(_answered, model, rows.name)):
            kept = {name: batch.column(name) for name in keep}
            if served is not None:
                asked = batch.select(list(model.signature.features)).to_pylist()
                served.write(model.digest, asked, list(Predictions(found)), _ids(kept))
            _pass_on({**kept, **found}, output, each)
            count += batch.num_rows
            progress("predicting", None if not expected else count / expected)
        output.finish()
    return Predicted(bundle=opened.ref, rows=count, path=None if out is None else str(out), attested=attested)


def _check_kept(keep: Sequence[str], rows: Path) -> None:
    known = dataset.columns_of_file(rows)
    for name in keep:
        if name not in known:
            raise InputError(f"no column {name!r} to keep", where=rows.name, hint=f"it has: {', '.join(known)}")
        if name in {"prediction", "score", "scores"}:
            raise InputError(f"{name!r} is what an answer is called", where="--keep", hint="rename the column")


def _read(model: Model, rows: Path, keep: Sequence[str]) -> Iterator[tuple[int, Any]]:
    """Yield batches of rows, each with the number of its first."""
    names, count = list(dict.fromkeys([*model.signature.features, *keep])), 0
    for batch in dataset.batches(rows, names, rows=READ_ROWS):
        yield count, batch
        count += batch.num_rows


def _answered(model: Model, where: str, part: tuple[int, Any]) -> tuple[Any, Columns]:
    """Return a batch and the answers to it."""
    first_row, batch = part
    return batch, model.answered(model.serving_fields.batch(batch, first_row=first_row, where=where))


def _ids(kept: Mapping[str, Any]) -> list[Any] | None:
    return next((column.to_pylist() for column in kept.values()), None)


def _pass_on(columns: Mapping[str, Any], output: "_Output", each: Callable[[str], object] | None) -> None:
    table = table_of(columns)
    if each is not None:
        for row in table.to_pylist():
            each(json.dumps(row, default=str) + "\n")
    output.write(table)


class _Output(contextlib.AbstractContextManager["_Output"]):
    """A file that appears whole, or not at all; or none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._partial = None if path is None else path.with_name(f".{path.name}.{os.getpid()}.partial")
        self._writer: _Writer | None = None
        self._waiting: list[Any] = []

    def write(self, table: Any) -> None:
        """Append rows."""
        if self._path is not None:
            self._waiting.append(table)
            if sum(part.num_rows for part in self._waiting) >= WRITE_ROWS:
                self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._path is None or self._partial is None or not self._waiting:
            return
        with self._ours():
            table = pa.concat_tables(self._waiting)
            self._waiting.clear()
            self._writer = self._writer or _writer(self._path.suffix, self._partial, table.schema)
            self._writer.write_table(table)

    def finish(self) -> None:
        """Give the file its name."""
        self._flush()
        if self._writer is not None and self._path is not None and self._partial is not None:
            with self._ours():
                self._writer.close()
                self._partial.rename(self._path)

    @contextlib.contextmanager
    def _ours(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror or error}", where=str(self._path)) from error
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise InputError(
                f"cannot be written as {self._path and self._path.suffix}: {error}",
                where=str(self._path),
                hint="several values a row go into .parquet or .jsonl",
            ) from error

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()
        if self._partial is not None:
            with contextlib.suppress(OSError):
                self._partial.unlink()
