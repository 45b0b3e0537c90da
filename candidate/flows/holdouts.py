"""Know the blackbox again whatever its file is called, and count how often it was looked at."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.adapters import ledger as file
from candidate.document import Digest
from candidate.documents.decision import Decision, Verdict
from candidate.documents.evidence import Evidence, HoldoutFacts
from candidate.documents.ledger import HoldoutRows, LedgerEntry, LedgerView
from candidate.documents.policy import Policy
from candidate.errors import InputError, IntegrityError
from candidate.flows.progress import Progress, silent
from candidate.judgement.buckets import unit_bits
from candidate.judgement.holdout import Ledger, Rows, asked_look, fingerprint, fold, overlap, rows_of, spent

_MISSING = 0x9E3779B97F4A7C15


def bits_of(batch: Any, name: str) -> NDArray[np.uint64]:
    """Return 64 bits of each value of a column, equal for equal values whatever type holds them."""
    import pyarrow as pa
    import pyarrow.types as pt

    column = batch.column(name)
    if pt.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    missing = np.asarray(column.is_null(nan_is_null=True))
    if pt.is_floating(kind) or pt.is_integer(kind) or pt.is_boolean(kind) or pt.is_decimal(kind):
        values = np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
        bits = unit_bits(values)
    else:
        coded = column.cast(pa.string()).dictionary_encode(null_encoding="encode")
        words = [word or "" for word in coded.dictionary.to_pylist()]
        places = coded.indices.to_numpy(zero_copy_only=False)
        bits = unit_bits(np.array(words))[places]
        missing |= np.array([not word for word in words])[places]  # CSV does not tell empty text from none
    found: NDArray[np.uint64] = np.where(missing, np.uint64(_MISSING), bits)
    return found


def fingerprint_of(data: Path | str, *, progress: Progress = silent) -> HoldoutRows:
    """Return the fingerprint of a file's rows: the same in any order, format, compression and under any name.

    Numbers count by their value as float64 and all else by its text, so a CSV file and a Parquet file of
    the same values have one fingerprint. Columns go by name; one more, or one less, makes other rows.

    Args:
        data: Parquet, CSV or JSON-lines file, read once in constant memory.
        progress: told the share of rows done.

    Raises:
        InputError: it cannot be read, or has no rows.
    """
    path = Path(data)
    names = list(dataset.columns_of_file(path))
    total, expected = Rows(), dataset.row_count(path)
    for batch in dataset.batches(path, names):
        total = total + rows_of({name: bits_of(batch, name) for name in names})
        progress("reading the holdout", None if not expected else total.count / expected)
    if not total.count:
        raise InputError("no rows", where=path.name)
    return fingerprint(total, names)


def check_apart(data: Path, other: Path, *, progress: Progress = silent) -> None:
    """Refuse blackbox rows that are among the rows somebody developed with.

    Args:
        data: the blackbox.
        other: the eyeball rows.
        progress: told the share of rows done.

    Raises:
        InputError: one of them cannot be read, or they share rows.
    """
    shared = overlap(fingerprint_of(data, progress=progress), fingerprint_of(other, progress=progress))
    if shared > 0:
        raise InputError(
            f"about {100 * shared:.0f} % of the rows of both are in both files",
            where=f"{data.name}, {other.name}",
            hint="split the rows anew; what was looked at while developing proves nothing",
        )


def look(
    ledger: Path,
    policy: Policy,
    data: Path,
    *,
    challenger: Digest,
    champion: Digest | None,
    progress: Progress = silent,
) -> HoldoutFacts | None:
    """Count a look at the blackbox before it is taken; the same look again is free.

    The line is on the disk before anything is scored: a comparison that fails after it has still cost it.

    Args:
        ledger: the file; a new one is begun.
        policy: its ``[holdout]`` is the budget; without one nothing is counted.
        data: the blackbox.
        challenger: digest of the bundle.
        champion: digest of the bundle, if there is one.
        progress: told the share of rows done.

    Raises:
        InputError: ledger or rows cannot be read.
        IntegrityError: the ledger was altered.
        UnavailableError: the disk refuses.
    """
    if policy.holdout is None:
        return None
    rows = fingerprint_of(data, progress=progress)
    with file.locked(ledger, create=True) as opened:
        known = fold(opened.lines, where=ledger.name)
        asked = asked_look(
            known,
            rows,
            policy=policy.digest,
            challenger=challenger,
            champion=champion,
            alpha=policy.alpha,
            rule=policy.holdout,
        )
        before = known.found(asked)
        if before is None:
            opened.append(asked.to_bytes())
            before = (asked.digest, asked)
    digest, entry = before
    return HoldoutFacts(digest=rows.digest, look=entry.look or 1, alpha=entry.alpha or 0.0, entry=digest)


def record(ledger: Path, taken: HoldoutFacts, policy: Digest, verdict: Verdict) -> None:
    """Write down what a look saw, once.

    Raises:
        InputError: the ledger cannot be read.
        IntegrityError: it was altered.
        UnavailableError: the disk refuses.
    """
    with file.locked(ledger, create=False) as opened:
        known = fold(opened.lines, where=ledger.name)
        if any(entry.of == taken.entry for entry in known.entries):
            return
        entry = LedgerEntry(
            number=0, previous=None, what="verdict", policy=policy, of=taken.entry, outcome=verdict.outcome
        )
        opened.append(known.followed_by(entry).to_bytes())


def read_ledger(path: Path | str) -> Ledger:
    """Return what a ledger says, every line and count of it checked.

    Raises:
        InputError: it cannot be read.
        IntegrityError: it was altered.
    """
    return fold(file.read(Path(path)), where=Path(path).name)


def view(path: Path | str) -> LedgerView:
    """Return what was spent of each holdout that a ledger counts the looks at.

    Raises:
        InputError: it cannot be read.
        IntegrityError: it was altered.
    """
    known = read_ledger(path)
    return LedgerView(entries=len(known.entries), head=known.head, holdouts=spent(known))


def is_ledger(path: Path) -> bool:
    """Return whether a file begins as a ledger does."""
    with path.open("rb") as opened:
        return b'"kind":"candidate.ledger-entry"' in opened.readline(1 << 16)


def check_look(path: Path, decision: Decision, evidence: Evidence) -> None:
    """Hold a decision against the ledger: its look is in it, as the evidence says, about these bundles.

    Raises:
        InputError: the ledger cannot be read, or the policy had no budget.
        IntegrityError: the ledger was altered, or the look is not in it.
    """
    taken, known = evidence.holdout, read_ledger(path)
    if taken is None:
        raise InputError("the policy has no [holdout], so no ledger counts its looks", where="--ledger")
    lines = dict(zip(known.digests, known.entries, strict=True))
    entry = lines.get(taken.entry)
    champion = None if decision.champion is None else decision.champion.digest
    said = (decision.policy, decision.challenger.digest, champion, taken.look, taken.alpha, taken.digest)
    if entry is None or entry.holdout is None:
        raise IntegrityError("the decision's look is not in the ledger", where=path.name)
    if (entry.policy, entry.challenger, entry.champion, entry.look, entry.alpha, entry.holdout.digest) != said:
        raise IntegrityError("the ledger's line speaks of another look", where=f"{path.name}, line {entry.number + 1}")
