"""Scored rows in a file of their own, and the one digest that commits to each of them.

A leaf is made of everything that the State counts of a row: its number, its class, each model's score
to the last bit and answer, and the columns that the policy reads. The leaves of all rows, in the order
of the rows' numbers and not of the file, are the leaves of a Merkle tree, whose root stands in the
evidence: whoever has the file later can show that not one score in it was changed.

Source: RFC 6962, section 2.1 (tree hash, with SHA-256 and its prefixes).
"""

import hashlib
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from candidate.documents.evidence import ModelRole, Predictions
from candidate.documents.policy import Policy
from candidate.documents.where import Scalar
from candidate.errors import InputError, IntegrityError
from candidate.flows.observing import Batch, Integers, Seen

PREFIX = "candidate."
ROW = PREFIX + "row"
"""Number of the row in the file that was measured, from 0 on."""
TRUTH = PREFIX + "truth"
"""1 for the positive class and else 0, the position of the class, or the number."""


def score_columns(role: ModelRole, values: int) -> tuple[str, ...]:
    """Return the names of the columns with a model's scores, float64 as the State saw them: one for each class.

    Args:
        role: whose.
        values: how many scores a row has.
    """
    name = f"{PREFIX}score.{role}"
    return (name,) if values == 1 else tuple(f"{name}.{number}" for number in range(values))


def answer_column(role: ModelRole) -> str:
    """Return the name of the column with a model's answers, as the truth has them; zeros where it answers numbers."""
    return f"{PREFIX}answer.{role}"


class Keeper(Protocol):
    """Somebody who is shown every batch of rows that is counted."""

    def keep(self, batch: Batch, scored: Seen) -> None:
        """Look at one batch of rows, and at what is counted of it."""


def _value_digest(value: Scalar | None) -> bytes:
    """Return the digest of a value with its type, so that 1, 1.0, "1" and true are four values."""
    text = value.hex() if isinstance(value, float) else str(value)
    return hashlib.sha256(f"{type(value).__name__}:{text}".encode("utf-8", "surrogatepass")).digest()


class Leaves:
    """The leaves of some rows, and the root of their tree."""

    def __init__(self, policy: Policy) -> None:
        self.told, self.numbers = policy.columns, policy.numbers
        self._rows: list[Integers] = []
        self._digests: list[bytes] = []

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the data that a leaf holds, each once: values that are told apart, then numbers."""
        return tuple(dict.fromkeys((*self.told, *self.numbers)))

    def add(self, rows: Integers, batch: Batch, scored: Seen) -> None:
        """Add the leaves of a batch of rows.

        Args:
            rows: shape (rows,): number of each row in the file that was measured.
            batch: the rows.
            scored: what is counted of them.
        """
        whole = scored.truth.dtype.kind == "i"
        parts = [_bytes(rows, "<i8"), _bytes(scored.truth, "<i8" if whole else "<f8")]
        for model in range(scored.scores.shape[1]):
            parts += [_bytes(scored.scores[:, model], "<f8"), _bytes(scored.answers[:, model], "<i8")]
        for name in self.told:
            column = batch.read[name]
            values = b"".join(_value_digest(value) for value in column.values)
            parts.append(np.frombuffer(values, dtype=np.uint8).reshape(-1, 32)[column.codes])
        parts += [_bytes(batch.numbers(name), "<f8") for name in self.numbers]
        records, sha256 = np.concatenate(parts, axis=1), hashlib.sha256
        data, width = records.tobytes(), records.shape[1]
        self._rows.append(rows)
        self._digests.append(
            b"".join(sha256(b"\0" + data[start : start + width]).digest() for start in range(0, len(data), width))
        )

    def root(self) -> Predictions:
        """Return what the evidence says of all rows.

        Raises:
            IntegrityError: the rows are not numbered from 0 on, each once.
        """
        numbers = np.concatenate(self._rows) if self._rows else np.zeros(0, dtype=np.int64)
        order = np.argsort(numbers, kind="stable")
        if not np.array_equal(numbers[order], np.arange(len(numbers))):
            raise IntegrityError(
                f"the {len(numbers)} rows are not numbered from 0 on, each once",
                where=f"column {ROW}",
                hint="fetch the file as it was written",
            )
        leaves = np.frombuffer(b"".join(self._digests), dtype=np.uint8).reshape(-1, 32)[order].tobytes()
        root = "sha256:" + merkle_root(leaves).hex()
        return Predictions(rows=len(numbers), columns=self.columns, root=root)


def _bytes(values: NDArray[Any], kind: str) -> NDArray[np.uint8]:
    """Return the bytes of numbers, shape (rows, bytes): to the last bit, little endian."""
    exact = np.ascontiguousarray(values, dtype=kind)
    return exact.view(np.uint8).reshape(len(values), -1)


def merkle_root(leaves: bytes) -> bytes:
    """Return the root of the tree over leaves that are already hashed, 32 bytes each; RFC 6962's, of none too."""
    sha256 = hashlib.sha256
    if not leaves:
        return sha256(b"").digest()
    while len(leaves) > 32:  # noqa: PLR2004 - one digest
        whole = len(leaves) // 64 * 64
        pairs = (sha256(b"\1" + leaves[start : start + 64]).digest() for start in range(0, whole, 64))
        leaves = b"".join(pairs) + leaves[whole:]
    return leaves


class Writer:
    """Write every scored row to a Parquet file, which is there only once it is published."""

    def __init__(self, path: Path, policy: Policy, roles: tuple[ModelRole, ...]) -> None:
        """Refuse a file that is there already, or columns that have our names.

        Raises:
            InputError: it is, or they have.
        """
        if path.exists() or path.suffix != ".parquet":
            problem = "exists already" if path.exists() else "predictions are written as Parquet"
            raise InputError(problem, where=str(path), hint="name a .parquet file that does not exist yet")
        self.path, self.roles, self.leaves = path, roles, Leaves(policy)
        taken = [name for name in self.leaves.columns if name.startswith(PREFIX)]
        if taken:
            raise InputError(f"columns must not begin with {PREFIX!r}", where=f"column {taken[0]}")
        self._partial = path.with_name(f".{path.name}.partial")
        self._writer: Any = None

    def __enter__(self) -> Self:
        """Return the writer; what was not published when it is left is deleted."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file, and delete it unless it was published."""
        if self._writer is not None:
            self._writer.close()
        self._partial.unlink(missing_ok=True)

    def keep(self, batch: Batch, scored: Seen) -> None:
        """Write a batch of rows.

        Raises:
            InputError: the file cannot be written.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = np.arange(batch.first_row, batch.first_row + len(scored.truth), dtype=np.int64)
        self.leaves.add(rows, batch, scored)
        columns = {ROW: pa.array(rows), TRUTH: pa.array(scored.truth)}
        for place, role in enumerate(self.roles):
            for value, name in enumerate(score_columns(role, scored.scores.shape[2])):
                columns[name] = pa.array(np.ascontiguousarray(scored.scores[:, place, value]))
            columns[answer_column(role)] = pa.array(np.ascontiguousarray(scored.answers[:, place]))
        columns |= {name: batch.rows.column(name) for name in self.leaves.columns}
        table = pa.table(columns)
        try:
            if self._writer is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._writer = pq.ParquetWriter(self._partial, table.schema, compression="zstd")
            self._writer.write_table(table)
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", where=str(self.path)) from error

    def root(self) -> Predictions:
        """Return what the evidence says of all rows."""
        return self.leaves.root()

    def publish(self) -> None:
        """Give the file its name.

        Raises:
            InputError: it cannot be written to its end.
        """
        try:
            self._writer.close()
            self._writer = None
            self._partial.rename(self.path)
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", where=str(self.path)) from error
