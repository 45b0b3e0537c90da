"""Hold what was served to what the model was judged on: row by row where ids join them, and as distributions."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.adapters.archive import Archive
from candidate.adapters.runtime import Session, scores_of
from candidate.documents.manifest import ModelSignature
from candidate.documents.skewed import Held, RowParity, Shift, SkewReport
from candidate.documents.trust import TrustPolicy
from candidate.errors import InputError
from candidate.flows.measuring import is_attested
from candidate.flows.progress import Progress, silent
from candidate.flows.skewing.agreement import Agreement, alike, close, joined
from candidate.flows.skewing.columns import Column, numbers_of
from candidate.flows.skewing.log import PREDICTION, SCORE, Log, answered_by
from candidate.flows.verifying import Bundle, inspect
from candidate.judgement.drift import stretches_for
from candidate.judgement.multiplicity import holm

JOINED = 0.9
"""With fewer of the log's rows in the reference, those that are there say too little of the others."""
SAMPLE = 100_000
"""So many rows of the reference, evenly spread, say where the bins are."""


def skew(
    bundle: Path | str,
    *,
    logged: Path | str,
    reference: Path | str | None = None,
    row_id: str | None = None,
    max_mismatch: float = 0.001,
    alpha: float = 0.05,
    trust: TrustPolicy | None = None,
    now: datetime | None = None,
    progress: Progress = silent,
) -> SkewReport:
    """Say how what was served differs from what the model was judged on.

    Answers are held to this bundle on the very features that were logged. With ids, each logged feature is held to
    the reference's row of the same id. With a reference, the distribution of each feature, and of the score, is held
    to what the reference does by itself.

    Args:
        bundle: bundle file.
        logged: what ``--log`` wrote; or a table of the features as served, with ``prediction`` and ``score``
            if they were logged, and ``bundle`` if several answered.
        reference: a table of the features as they were recomputed, or of the rows the model was judged on.
        row_id: column of the reference that names a row, as the log's ``id`` does (a table: its own of that name).
        max_mismatch: largest share of rows that may disagree.
        alpha: error rate of each bound, and of all shifts together.
        trust: if given, a trusted builder must have attested the bundle.
        now: time at which the trust is looked at; by default this moment.
        progress: told the share of rows done.

    Raises:
        InputError: a file cannot be read, lacks a column, or has no rows.
        IntegrityError: the bundle is not what it should be.
    """
    log_path, table = Path(logged), None if reference is None else Path(reference)
    if not 0 < max_mismatch < 1 or not 0 < alpha < 0.5:  # noqa: PLR2004 - a one-sided error rate
        raise InputError("a share and an error rate between 0 and 1", where="--max-mismatch, --alpha")
    if row_id is not None and table is None:
        raise InputError("ids of nothing to join with", where="--id", hint="give --reference FILE")
    with Archive.open(Path(bundle)) as archive:
        opened = inspect(archive)
        is_attested(opened, trust, datetime.now(UTC) if now is None else now)
        session = opened.session()
    log = Log.at(log_path, opened.signature.inputs, row_id)
    looked = _Looked(opened, session, log)
    columns = [] if table is None else _columns(table, looked, log_path, progress)
    looked.read(columns, progress)
    if not looked.rows:
        raise InputError("no rows that this bundle answered", where=log_path.name)
    shifts, hidden = _shifts(columns, alpha)
    parity: tuple[RowParity, ...] = ()
    found: int | None = None
    if table is not None and row_id is not None:
        names = [tensor.name for tensor in opened.signature.inputs]
        parity, found = joined(log, table, row_id, opened.ref.digest, names, max_mismatch, alpha)
    answers = tuple(each.held(max_mismatch, alpha) for each in looked.agreements if each.rows)
    outcome, why = _outcome(parity, answers, shifts, _doubts(looked.rows, columns, hidden, found))
    return SkewReport(
        bundle=opened.ref,
        logged=dataset.file_digest(log_path),
        logged_rows=looked.rows,
        other_rows=looked.others,
        reference=None if table is None else dataset.file_digest(table),
        reference_rows=0 if not columns else int(columns[0].before.sum()),
        joined_rows=found,
        alpha=alpha,
        max_mismatch=max_mismatch,
        parity=parity,
        answers=answers,
        shifts=shifts,
        outcome=outcome,
        why=why,
    )


class _Looked:
    """One reading of the log: answers held to the graph's, values counted."""

    def __init__(self, bundle: Bundle, session: Session, log: Log) -> None:
        self.bundle, self.session, self.log = bundle, session, log
        self.signature: ModelSignature = bundle.signature
        self.agreements = [Agreement(PREDICTION), Agreement(SCORE)]
        self.rows = self.others = 0

    def answered(self, batch: Any, where: str) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
        """Return this bundle's labels and scores of some rows."""
        feeds = dataset.feeds(batch, self.signature.inputs, where=where, filled=self.bundle.filled)
        return scores_of(self.signature, self.session.run(feeds))

    def read(self, columns: Sequence[Column], progress: Progress) -> None:
        """Read the log once."""
        expected = dataset.row_count(self.log.path)
        for batch in answered_by(self.bundle.digest, self.log.batches()):
            if batch.num_rows:
                self._count(batch, columns)
                self.rows += batch.num_rows
                progress("reading the log", self.rows / expected)
        self.others = expected - self.rows

    def _count(self, batch: Any, columns: Sequence[Column]) -> None:
        labels, scores = self.answered(batch, self.log.path.name)
        row_id, names = self.log.row_id, batch.schema.names
        ids = batch.column(row_id) if row_id in names else np.arange(self.rows, self.rows + batch.num_rows)
        if PREDICTION in names:
            said = batch.column(PREDICTION)
            same = np.array([alike(a, b) for a, b in zip(said.to_pylist(), labels.tolist(), strict=True)], dtype=bool)
            self.agreements[0].add(same, (said, labels), ids)
        if SCORE in names and scores is not None:
            said = numbers_of(batch.column(SCORE))
            if said is None:
                raise InputError("holds no numbers", where=f"{self.log.path.name}, column {SCORE}")
            self.agreements[1].add(close(said, scores, self.bundle.tolerance.absolute), (said, scores), ids)
        for column in columns:
            values = _scores(scores) if column.name == SCORE else batch.column(column.name)
            column.after += np.bincount(column.places(values), minlength=column.bins)


def _scores(scores: NDArray[np.float64] | None) -> Any:
    import pyarrow as pa

    return pa.array(np.zeros(0) if scores is None else scores)


def _columns(table: Path, looked: _Looked, logged: Path, progress: Progress) -> list[Column]:
    """Return each feature, and the score, with the reference counted."""
    import pyarrow as pa

    names = [tensor.name for tensor in looked.signature.inputs]
    rows = dataset.row_count(table)
    if not rows:
        raise InputError("no rows", where=table.name)
    cut = stretches_for(rows, dataset.row_count(logged))
    every, first, sampled = max(1, rows // SAMPLE), 0, []
    for batch in dataset.batches(table, names):
        sampled.append(batch.take(pa.array(np.arange(-first % every, batch.num_rows, every))))
        first += batch.num_rows
    sample = pa.Table.from_batches(sampled).combine_chunks().to_batches()[0]
    columns = [Column.of(name, sample.column(name), cut) for name in names]
    _, scores = looked.answered(sample, table.name)
    if scores is not None:
        columns.append(Column.of(SCORE, pa.array(scores), cut))
    done = 0
    for batch in dataset.batches(table, names):
        stretches = (np.arange(done, done + batch.num_rows) * cut) // rows
        _, scores = looked.answered(batch, table.name)
        for column in columns:
            places = column.places(_scores(scores) if column.name == SCORE else batch.column(column.name))
            np.add.at(column.before, (stretches, places), 1)
        done += batch.num_rows
        progress("reading the reference", done / rows)
    return columns


def _shifts(columns: Sequence[Column], alpha: float) -> tuple[tuple[Shift, ...], list[str]]:
    """Return every shift, and the columns of which one is proven that the floor hides."""
    found = [column.shift() for column in columns]
    proven = holm([each["p_value"] for each in found], alpha)
    shifts = [
        Shift(**each, shifted=sure and each["js"] > each["floor"]) for each, sure in zip(found, proven, strict=True)
    ]
    hidden = [each.column for each, sure in zip(shifts, proven, strict=True) if sure and not each.shifted]
    return tuple(sorted(shifts, key=lambda shift: (not shift.shifted, -shift.js))), hidden


def _doubts(logged: int, columns: Sequence[Column], hidden: Sequence[str], joined: int | None) -> str:
    """Return why what was found says too little; empty if it does not.

    A reference is cut into no fewer than four stretches: of a longer log its floor is noisier than what it guards.
    """
    if joined == 0:
        return "no row of the log is in the reference: are these the same ids?"
    if joined is not None and joined < JOINED * logged:
        return f"only {joined:,} of {logged:,} rows of the log are in the reference"
    if hidden and logged > int(columns[0].before.sum()) // 4:
        return f"{', '.join(hidden)} differ, and the reference is too short to say whether it does so by itself"
    return ""


def _outcome(
    parity: Sequence[RowParity], answers: Sequence[RowParity], shifts: Sequence[Shift], doubt: str
) -> tuple[Held, str]:
    broken = [each.what for each in (*answers, *parity) if each.status == "fail"]
    moved = [each.column for each in shifts if each.shifted]
    if broken or moved:
        parts = [f"{', '.join(broken)} disagree row by row"] if broken else []
        parts += [f"{', '.join(moved)} shifted"] if moved else []
        return "fail", "; ".join(parts)
    if doubt:
        return "open", doubt
    undecided = [each.what for each in (*answers, *parity) if each.status == "open"]
    if undecided:
        return "open", f"too few rows to rule out that {', '.join(undecided)} disagree"
    if not answers and not parity and not shifts:
        return "open", "nothing was compared: the log has no answers, and no reference was given"
    return "pass", "no disagreement beyond the limit, and no shift beyond what the reference does by itself"
