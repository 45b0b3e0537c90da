"""Rows that are made to find a difference between a graph and the estimator that it was made from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters.convert import Column
from candidate.documents.manifest import ChallengeKind
from candidate.flows.describing import closed_categories
from candidate.flows.proving.parity import FAILURES, Expected, answers
from candidate.flows.proving.tasks import Meaning
from candidate.flows.proving.thresholds import Crossings, neighbours

FUZZED_ROWS = 10_000
"""Rows whose every value was seen in training, but not together."""
SEED = 20_161_123
BASES = 64
"""Real rows in which a value is changed."""
EDGE_BASES = 4
PLACES = (0, 1, -1, 2, -2, 4, -4)
"""Places from a threshold, in numbers of 32 bits, and of 64."""
UNSEEN = ("candidate: never seen", "\N{GREEK SMALL LETTER OMEGA}", "0")
_TINY = (0.0, -0.0, 1e-45, -1e-45, 5e-324, 1.1754942e-38)
"""Zeros, and the smallest numbers of 32 and of 64 bits."""
_WHOLE = 1 << 24


@dataclass(frozen=True)
class Challenge:
    """Made rows of one kind, and what the estimator answers for them."""

    kind: ChallengeKind
    table: Any
    expected: Expected
    refused: int
    unguarded: int


Made = tuple[str | None, Any]
"""The column that was changed, if it was one, and the rows."""


def challenges_of(
    estimator: Any, meaning: Meaning, columns: Sequence[Column], table: Any, crossings: Crossings
) -> list[Challenge]:
    """Return made rows of every kind that this model may meet, with the estimator's answers.

    Args:
        estimator: fitted.
        meaning: of its answers.
        columns: the features.
        table: Arrow table of training rows with the feature columns.
        crossings: where its trees change their mind.
    """
    features = [column.name for column in columns]
    table = table.select(features).combine_chunks()
    closed = {name for name, _ in closed_categories(estimator)}
    found = []
    kinds: list[tuple[ChallengeKind, Iterator[Made]]] = [
        ("fuzzed", _fuzzed(table)),
        ("missing", _missing(columns, table)),
        ("unseen", _words(columns, table, UNSEEN)),
        ("empty", _words(columns, table, ("",))),
        ("extreme", _extreme(columns, table)),
        ("threshold", _at(crossings, columns, np.dtype(np.float32))),
        ("between", _at(crossings, columns, np.dtype(np.float64))),
    ]
    for kind, made in kinds:
        parts = list(made)
        if parts:
            found += _answered(kind, parts, estimator, meaning, features, closed)
    return found


def _answered(
    kind: ChallengeKind, parts: list[Made], estimator: Any, meaning: Meaning, features: list[str], closed: set[str]
) -> list[Challenge]:
    """Ask the estimator: for all rows at once, or column by column where it raises an error at some."""
    import pyarrow as pa

    whole = pa.concat_tables([rows for _, rows in parts])
    try:
        return [Challenge(kind, whole, answers(estimator, whole, features, meaning), 0, 0)]
    except FAILURES:
        pass
    good, refused, unguarded = [], 0, 0
    for name, rows in parts:
        try:
            good.append((rows, answers(estimator, rows, features, meaning)))
        except FAILURES:
            guarded = name in closed and kind in {"unseen", "empty"}
            refused, unguarded = refused + guarded * rows.num_rows, unguarded + (not guarded) * rows.num_rows
    rows = pa.concat_tables([rows for rows, _ in good]) if good else whole.slice(0, 0)
    labels = np.concatenate([labels for _, (labels, _) in good]) if good else np.zeros(0)
    scores = np.concatenate([scores for _, (_, scores) in good]) if good else np.zeros((0, 1))
    return [Challenge(kind, rows, (labels, scores), refused, unguarded)]


def _spread(table: Any, count: int) -> Any:
    return table.take(np.linspace(0, table.num_rows - 1, min(count, table.num_rows)).astype(np.int64))


def _with(table: Any, name: str, values: Any) -> Any:
    """Return a table with other values in a column, of the type that the column has."""
    import pyarrow as pa
    import pyarrow.types as pt

    number = table.schema.get_field_index(name)
    field = table.schema.field(number)
    inner = field.type.value_type if pt.is_dictionary(field.type) else field.type
    array = pa.array(values) if isinstance(values, np.ndarray) else pa.array(values, type=inner)
    array = array.cast(inner, safe=False)
    if pt.is_dictionary(field.type):
        array = array.dictionary_encode().cast(field.type)
    return table.set_column(number, field, array)


def _fuzzed(table: Any) -> Iterator[Made]:
    """Yield rows drawn column by column: each value was seen, their company was not."""
    draw = np.random.default_rng(SEED)
    made = table.slice(0, 0)
    for number, name in enumerate(table.schema.names):
        values = table.column(name).take(draw.integers(0, table.num_rows, FUZZED_ROWS))
        made = (
            table.select([name]).take(np.zeros(FUZZED_ROWS, np.int64))
            if number == 0
            else made.append_column(table.schema.field(name), values)
        )
        if number == 0:
            made = made.set_column(0, table.schema.field(name), values)
    yield None, made


def _missing(columns: Sequence[Column], table: Any) -> Iterator[Made]:
    """Yield rows that miss a value, in each column that may miss one, and in all of these."""
    rows = _spread(table, BASES)
    names = [column.name for column in columns if column.nulls and column.kind != "string"]
    every = rows
    for name in names:
        yield name, _with(rows, name, [None] * rows.num_rows)
        every = _with(every, name, [None] * rows.num_rows)
    if len(names) > 1:
        yield None, every


def _words(columns: Sequence[Column], table: Any, words: Sequence[str]) -> Iterator[Made]:
    """Yield rows with words in text columns that were never seen there."""
    rows = _spread(table, BASES)
    for column in columns:
        if column.kind == "string":
            known = set(table.column(column.name).unique().to_pylist())
            new = [word for word in words if word not in known]
            if new:
                yield column.name, _with(rows, column.name, [new[n % len(new)] for n in range(rows.num_rows)])


def _extreme(columns: Sequence[Column], table: Any) -> Iterator[Made]:
    """Yield rows with a value beyond what was seen, or at an edge of what 32 and 64 bits hold."""
    import pyarrow as pa
    import pyarrow.types as pt

    rows = _spread(table, EDGE_BASES)
    for column in columns:
        kind = table.schema.field(column.name).type
        if column.kind not in {"number", "integer"} or pt.is_decimal(kind) or pt.is_dictionary(kind):
            continue
        seen = np.asarray(table.column(column.name).drop_null().to_numpy(), dtype=np.float64)
        seen = seen[np.isfinite(seen)]
        if not len(seen):
            continue
        ends = [float(seen.min()), float(seen.max())]
        values = [*ends, *(10 * end for end in ends)]
        edges = _TINY if pt.is_floating(kind) else (0.0,)
        values += [*edges, *(_WHOLE + way for way in (-1, 0, 1))]
        most = float(np.finfo(np.float32).max)
        if not pt.is_floating(kind):
            most = min(most, 2.0 ** (kind.bit_width - 2))
        values = [value for value in values if abs(value) <= most and (value >= 0 or not pt.is_unsigned_integer(kind))]
        for value in dict.fromkeys(values):
            plain = pa.array(np.full(rows.num_rows, value if pt.is_floating(kind) else int(value)))
            yield column.name, _with(rows, column.name, plain.to_numpy())


def _at(crossings: Crossings, columns: Sequence[Column], precision: np.dtype[Any]) -> Iterator[Made]:
    """Yield rows at a few numbers of this precision around each threshold.

    Whole numbers stay whole. In rows of 32 bits everything else is of 32 bits too, so that a graph
    of 32 bits is given the very row that the estimator is given.
    """
    kinds = {column.name: column.kind for column in columns}
    order = np.array(crossings.column)
    narrow = precision == np.float32
    for name in dict.fromkeys(crossings.column):
        whole = kinds[name] == "integer"
        if whole and not narrow:
            continue
        here = order == name
        rows = crossings.bases.select([column.name for column in columns]).take(crossings.base[here])
        rows = _narrowed(rows) if narrow else rows
        low = np.floor(crossings.low[here]) if whole else crossings.low[here].astype(precision)
        for away in PLACES:
            values: NDArray[Any] = low + away if whole else neighbours(low, away)
            yield name, _with(rows, name, values.astype(np.int64) if whole else values.astype(np.float64))


def _narrowed(rows: Any) -> Any:
    """Return rows whose fractions 32 bits hold."""
    import pyarrow.types as pt

    for field in rows.schema:
        if pt.is_float64(field.type):
            values = rows.column(field.name).to_numpy()
            with np.errstate(over="ignore"):
                narrow = values.astype(np.float32).astype(np.float64)
            rows = _with(rows, field.name, np.where(np.isfinite(narrow), narrow, values))
    return rows
