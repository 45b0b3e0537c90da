"""Find the blackbox rows that also stand among the training rows, in memory that does not grow with either.

Both files are read once. Rows go by 128 bits of their values into partitions on the disk, and each
partition is joined by itself: whatever the sizes, at most one partition is in memory.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.documents.evidence import Contaminated
from candidate.documents.policy import Policy
from candidate.errors import InputError, UnavailableError
from candidate.flows.holdouts import bits_of
from candidate.flows.progress import Progress, silent
from candidate.flows.verifying import Bundle
from candidate.judgement.holdout import hashes_of

PARTITION_ROWS = 2_000_000
"""About so many rows of the larger file are joined at a time: some 100 MB."""

_HASHED = np.dtype([("first", "<u8"), ("second", "<u8"), ("row", "<i8")])
Hashed = NDArray[np.void]


@dataclass(frozen=True)
class Tainted:
    """What was found.

    Attributes:
        rows: numbers of the blackbox rows that stand among the training rows too, ascending.
        facts: the same for the evidence.
    """

    rows: NDArray[np.int64]
    facts: Contaminated


def compared_columns(bundle: Bundle, policy: Policy) -> tuple[str, ...]:
    """Return the columns in which two rows must agree to be the same."""
    rule = policy.contamination
    chosen = bundle.signature.features if rule is None or rule.columns is None else rule.columns
    label = (policy.data.label,) if rule is not None and rule.match == "rows" else ()
    return tuple(dict.fromkeys((*chosen, *label)))


def look_for_training_rows(
    bundle: Bundle, policy: Policy, *, train: Path | None, data: Path, progress: Progress = silent
) -> Tainted | None:
    """Return the blackbox rows that the challenger was trained on; None where the policy does not ask.

    Args:
        bundle: the challenger, which names the file it was trained on.
        policy: its ``[contamination]`` says when two rows are the same.
        train: the training rows; without them nothing can be found, which the verdict will say.
        data: the blackbox rows.
        progress: told the share of rows done.

    Raises:
        InputError: the policy does not ask, these are not the training rows, or a file cannot be read.
        UnavailableError: the disk is full.
    """
    if policy.contamination is None:
        if train is not None:
            hint = "add [contamination] to the policy, before the blackbox is opened"
            raise InputError("the policy does not ask for training rows among these", where="--train", hint=hint)
        return None
    if train is None:
        return None
    digest = dataset.file_digest(train)
    if digest != bundle.experiment.data.digest:
        raise InputError(
            f"this is {digest}, the challenger was trained on {bundle.experiment.data.digest}",
            where=train.name,
            hint="give the very file that its build specification named",
        )
    columns = compared_columns(bundle, policy)
    rows, train_rows = rows_among(train, data, columns, progress=progress)
    return Tainted(rows, Contaminated(train=digest, train_rows=train_rows, columns=columns, rows=len(rows)))


def rows_among(
    train: Path,
    data: Path,
    columns: Sequence[str],
    *,
    progress: Progress = silent,
    partition_rows: int = PARTITION_ROWS,
) -> tuple[NDArray[np.int64], int]:
    """Return the numbers of the rows of one file that have the same values as some row of the other.

    Numbers are compared by their value as float64, all else by its text; what is missing equals what is missing.
    Two rows of which none is the other have the same 128 bits with probability below 1e-20 in a billion rows.

    Args:
        train: the file to look in.
        data: the file whose rows are looked for.
        columns: in which they must agree; both files have them.
        progress: told the share of rows done.
        partition_rows: about how many rows are joined at a time.

    Returns:
        Row numbers, ascending, and the number of rows looked in.

    Raises:
        InputError: a file cannot be read, lacks a column, or has no rows.
        UnavailableError: the disk is full.
    """
    sizes = [dataset.row_count(path) or partition_rows for path in (train, data)]
    partitions = 1 << max(0, (max(sizes) // partition_rows)).bit_length()
    try:
        with tempfile.TemporaryDirectory(prefix="candidate-") as folder:
            written = [
                _partitioned(path, columns, Path(folder, name), partitions, progress)
                for name, path in (("train", train), ("data", data))
            ]
            found = [_joined(Path(folder), number) for number in range(partitions)]
    except OSError as error:
        raise UnavailableError(
            f"rows cannot be sorted on the disk: {error.strerror}", where=tempfile.gettempdir(), hint="make room there"
        ) from error
    return np.sort(np.concatenate(found)), written[0]


def _partitioned(path: Path, columns: Sequence[str], stem: Path, partitions: int, progress: Progress) -> int:
    """Write the hashes of a file's rows into partitions; return how many there are."""
    rows, expected = 0, dataset.row_count(path)
    with ExitStack() as stack:
        files = [stack.enter_context(Path(f"{stem}-{number}").open("wb")) for number in range(partitions)]
        for batch in dataset.batches(path, list(columns)):
            first, second = hashes_of({name: bits_of(batch, name) for name in columns})
            hashed = np.empty(batch.num_rows, dtype=_HASHED)
            hashed["first"], hashed["second"] = first, second
            hashed["row"] = np.arange(rows, rows + batch.num_rows)
            for number, part in _split(hashed, partitions):
                _write(files[number], part)
            rows += batch.num_rows
            progress("looking for training rows", None if not expected else rows / expected)
    if not rows:
        raise InputError("no rows", where=path.name)
    return rows


def _split(hashed: Hashed, partitions: int) -> Iterator[tuple[int, Hashed]]:
    if partitions == 1:
        yield 0, hashed
        return
    chosen = (hashed["second"] % np.uint64(partitions)).astype(np.int64)
    order = np.argsort(chosen, kind="stable")
    borders = np.searchsorted(chosen[order], np.arange(partitions + 1))
    for number in range(partitions):
        if borders[number] < borders[number + 1]:
            yield number, hashed[order[borders[number] : borders[number + 1]]]


def _write(file: IO[bytes], part: Hashed) -> None:
    file.write(part.tobytes())


def _joined(folder: Path, number: int) -> NDArray[np.int64]:
    """Return the rows of one partition that are in the other file's too."""
    train, data = (np.fromfile(folder / f"{name}-{number}", dtype=_HASHED) for name in ("train", "data"))
    known, where = np.unique(train["first"], return_index=True)
    if not len(known) or not len(data):
        return np.zeros(0, dtype=np.int64)
    places = np.minimum(np.searchsorted(known, data["first"]), len(known) - 1)
    same = (known[places] == data["first"]) & (train["second"][where[places]] == data["second"])
    found: NDArray[np.int64] = data["row"][same].astype(np.int64)
    return found
