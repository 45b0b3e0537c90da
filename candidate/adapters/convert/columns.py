"""A feature as the training rows hold it, and the tensor it becomes."""

from dataclasses import dataclass
from typing import Literal

from candidate.documents.manifest import TensorType

EXACT = {32: 1 << 24, 64: 1 << 53}
"""Whole numbers beyond this are not exact in floats of this many bits, so such a column stays int64."""
ColumnKind = Literal["number", "integer", "string", "boolean"]


@dataclass(frozen=True)
class Column:
    """A feature as the training rows hold it."""

    name: str
    kind: ColumnKind
    nulls: bool
    largest: float
    """Largest magnitude of a whole number; 0 for other columns."""


def dtype_of(column: Column, bits: Literal[32, 64]) -> TensorType:
    """Return the dtype of a feature's tensor in a graph of this precision.

    Whole numbers come in as floats, as most steps of a pipeline take them, wherever that is exact.
    """
    if column.kind == "string":
        return "string"
    if column.kind == "boolean" and not column.nulls:
        return "bool"
    if column.kind == "integer" and not column.nulls and column.largest > EXACT[bits]:
        return "int64"
    return "float32" if bits == 32 else "float64"  # noqa: PLR2004 - bits
