"""Predict rows exactly as serving does: the input schema enforced, the graph's own transforms."""

import contextlib
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from candidate.adapters import dataset
from candidate.adapters.archive import Archive
from candidate.adapters.runtime import scores_of
from candidate.documents.results import Predicted
from candidate.documents.trust import TrustPolicy
from candidate.errors import InputError
from candidate.flows.measuring import is_attested
from candidate.flows.progress import Progress, silent
from candidate.flows.verifying import Bundle, inspect

BATCH_ROWS = 65_536


def predictions(bundle: Bundle, session: Any, batch: Any, *, first_row: int = 0, where: str = "") -> dict[str, Any]:
    """Return the label and, for a classifier, the score of every row of an Arrow batch."""
    feeds = dataset.feeds(batch, bundle.signature.inputs, first_row=first_row, where=where, filled=bundle.filled)
    labels, scores = scores_of(bundle.signature, session.run(feeds))
    columns: dict[str, Any] = {"prediction": list(labels) if labels.ndim > 1 else labels}
    if scores is not None:
        columns["score"] = scores
    return columns


def predict(
    bundle: Path | str,
    rows: Path | str,
    *,
    out: Path | str | None = None,
    each: Callable[[str], object] | None = None,
    trust: TrustPolicy | None = None,
    now: datetime | None = None,
    progress: Progress = silent,
) -> Predicted:
    """Predict a file of rows into a Parquet file, or line by line.

    Args:
        bundle: bundle file.
        rows: Parquet, CSV or JSON lines with the bundle's feature columns.
        out: Parquet file with the columns ``prediction`` and ``score``, in the order of the rows.
        each: called with every row's answer as a line of JSON, in the order of the rows.
        trust: if given, a trusted builder must have attested the bundle.
        now: time at which the trust is looked at; by default this moment.
        progress: told the share of rows done.

    Raises:
        InputError: a column is missing, or a value does not fit the input schema.
        IntegrityError: the bundle is not what it should be.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, out = Path(rows), None if out is None else Path(out)
    with Archive.open(Path(bundle)) as archive:
        opened = inspect(archive)
        attested = is_attested(opened, trust, datetime.now(UTC) if now is None else now)
        session = opened.session()
    if out is not None and out.exists():
        raise InputError("exists already", where=str(out), hint="name a file that does not exist yet")
    partial = None if out is None else out.with_name(f".{out.name}.{os.getpid()}.partial")
    writer, count, expected = None, 0, dataset.row_count(rows)
    try:
        for batch in dataset.batches(rows, opened.signature.features, rows=BATCH_ROWS):
            columns = predictions(opened, session, batch, first_row=count, where=rows.name)
            table = pa.table(columns)
            if each is not None:
                for row in table.to_pylist():
                    each(json.dumps(row) + "\n")
            if partial is not None:
                writer = writer or pq.ParquetWriter(partial, table.schema)
                writer.write_table(table)
            count += batch.num_rows
            progress("predicting", None if not expected else count / expected)
        if writer is not None and partial is not None and out is not None:
            writer.close()
            partial.rename(out)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", where=str(out)) from error
    finally:
        if writer is not None:
            writer.close()
        if partial is not None:
            with contextlib.suppress(OSError):
                partial.unlink()
    return Predicted(bundle=opened.ref, rows=count, path=None if out is None else str(out), attested=attested)
