"""Which training rows take part: what they hold, those to compare on, and the golden ones."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from candidate.adapters.convert import Column
from candidate.errors import InputError

PARITY_ROWS = 20_000
"""Rows of the training data that a graph is compared on."""
GOLDEN_ROWS = 32


def columns_of(table: Any, features: Sequence[str]) -> tuple[Column, ...]:
    """Return what the training rows hold in each feature.

    Raises:
        InputError: text with missing values, or a type that no tensor has.
    """
    import pyarrow.compute as pc
    import pyarrow.types as pt

    found = []
    for name in features:
        values = table.column(name)
        kind, nulls, largest = values.type, values.null_count > 0, 0.0
        place = f"[data] train, column {name}"
        if pt.is_dictionary(kind):
            kind = kind.value_type
        if pt.is_boolean(kind):
            word: Literal["number", "integer", "string", "boolean"] = "boolean"
        elif pt.is_integer(kind):
            ends = pc.min_max(values).as_py()  # not of the magnitudes: the lowest integer has none
            word, largest = "integer", float(max(abs(ends["min"] or 0), abs(ends["max"] or 0)))
        elif pt.is_floating(kind) or pt.is_decimal(kind):
            word, nulls = "number", nulls or bool(pc.any(pc.is_nan(values.cast("float64"))).as_py())
        elif pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind):
            word = "string"
            if nulls:
                raise InputError(
                    "text with missing values",
                    where=place,
                    hint="fill them with a word of their own before training, for example 'missing'",
                )
        else:
            raise InputError(f"holds {kind}, which no model input can be", where=place)
        found.append(Column(name=name, kind=word, nulls=nulls, largest=largest))
    return tuple(found)


def chosen_rows(table: Any) -> Any:
    """Return the rows to compare on: evenly spread, so that every part of the file takes part."""
    if table.num_rows <= PARITY_ROWS:
        return table
    return table.take(np.linspace(0, table.num_rows - 1, PARITY_ROWS).astype(np.int64))


def golden_rows(table: Any, columns: Sequence[Column]) -> Any:
    """Return some real rows: 32 evenly spread, and for each column with missing values one that misses it."""
    import pyarrow.compute as pc

    picks = set(np.linspace(0, table.num_rows - 1, min(GOLDEN_ROWS, table.num_rows)).astype(int).tolist())
    for column in columns:
        if column.nulls:
            missing = pc.is_null(table.column(column.name), nan_is_null=True)
            picks.add(pc.index(missing, value=True).as_py())
    return table.take(np.array(sorted(picks), dtype=np.int64)).combine_chunks()
