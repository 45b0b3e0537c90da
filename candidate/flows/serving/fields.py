"""The input schema as serving enforces it: one record by JSON Schema, many at once by column, with the same answers.

What the schema of a bundle may say of a feature is a closed list (see ``inspecting.schemas``); each
of it has one meaning here, for a record, for a column of Python values and for a column of Arrow.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.documents.manifest import ModelSignature, Tensor
from candidate.errors import InputError

SHOWN = 20
"""So many violations are named; the rest are counted."""
FILL = "fill it as the training data was filled"
MISSING = "missing value in a column that may not have one"
_INTEGERS = {"int64": (-(1 << 63), (1 << 63) - 1), "int32": (-(1 << 31), (1 << 31) - 1)}
_PYTHON = {"number": (int, float), "integer": (int,), "string": (str,), "boolean": (bool,)}


@dataclass(frozen=True)
class Violation:
    """One value that does not fit."""

    row: int
    field: str
    what: str


def refuse(found: Sequence[Violation], *, total: int, where: str = "", hint: str = "") -> InputError:
    """Return the error that names row and field of violations.

    Args:
        found: the first of them, at least one.
        total: how many there are.
        where: the file, for the message.
        hint: what to do.
    """
    first, rest = found[0], found[1:SHOWN]
    more = "".join(f"; row {each.row}, column {each.field}: {each.what}" for each in rest)
    left = total - 1 - len(rest)
    more += f"; and {left:,} more" if left > 0 else ""
    place = f"{where}, column {first.field}, row {first.row}".removeprefix(", ")
    return InputError(first.what + more, where=place, hint=hint or (FILL if first.what == MISSING else ""))


@dataclass(frozen=True)
class Field:
    """What one feature's values must be.

    Attributes:
        tensor: the graph's input.
        kind: JSON type.
        nullable: whether a number may be missing.
        minimum: least value, or minus infinity.
        maximum: largest value, or infinity.
        enum: the only values there are, or None.
    """

    tensor: Tensor
    kind: str
    nullable: bool
    minimum: float
    maximum: float
    enum: frozenset[Any] | None

    @property
    def name(self) -> str:
        """The feature's name."""
        return self.tensor.name

    @cached_property
    def dtype(self) -> Any:
        """NumPy's type of the tensor."""
        return np.dtype(object if self.tensor.dtype == "string" else self.tensor.dtype)

    @cached_property
    def _types(self) -> frozenset[type]:
        return frozenset((*_PYTHON[self.kind], *((type(None),) if self.nullable else ())))

    @cached_property
    def _bounded(self) -> bool:
        return self.minimum > -math.inf or self.maximum < math.inf

    def why_not(self, value: Any) -> str | None:
        """Return why a value as JSON has it does not fit, or None if it does.

        NaN counts as missing, as in every table; infinity fits nowhere.
        """
        if isinstance(value, float) and math.isnan(value):
            value = None
        if value is None:
            return None if self.nullable else MISSING
        if isinstance(value, bool) != (self.kind == "boolean") or not isinstance(value, _PYTHON[self.kind] + (float,)):
            return f"{_said(value)} is no {self.kind}"
        if self.kind == "integer" and isinstance(value, float) and not value.is_integer():
            return f"{_said(value)} is no integer"
        if self.kind in {"string", "boolean"} and type(value) is float:
            return f"{_said(value)} is no {self.kind}"
        return self._outside(value)

    def _outside(self, value: Any) -> str | None:
        if self.enum is not None and value not in self.enum:
            near = difflib.get_close_matches(str(value), sorted(map(str, self.enum)), n=1)
            known = f"; did you mean {near[0]!r}?" if near else ""
            return f"{_said(value)} is none of the {len(self.enum)} values that the model knows{known}"
        if self.kind in {"number", "integer"}:
            if not self.minimum <= value <= self.maximum:
                bound = f"less than {self.minimum:g}" if value < self.minimum else f"more than {self.maximum:g}"
                return f"{_said(value)} is {bound}"
            if self.tensor.dtype in _INTEGERS:
                least, most = _INTEGERS[self.tensor.dtype]
                return None if least <= value <= most else f"{_said(value)} is beyond {self.tensor.dtype}"
            with np.errstate(over="ignore"):
                endless = math.isinf(value) if isinstance(value, float) else False
                if endless or np.isinf(self.dtype.type(float(value) if abs(value) < 1e308 else math.inf)):  # noqa: PLR2004 - of float64
                    return f"infinite, or beyond what {self.tensor.dtype} holds"
        return None

    @cached_property
    def _limits(self) -> tuple[float, float]:
        """Least and largest value that the tensor holds and the schema allows."""
        most = float(np.finfo(self.dtype).max) if self.dtype.kind == "f" else math.inf
        return max(self.minimum, -most), min(self.maximum, most)

    def one(self, value: Any) -> NDArray[Any] | None:
        """Return the tensor of one value, shape (1, 1), if it plainly fits; None on any doubt."""
        if type(value) not in self._types or (self.enum is not None and value not in self.enum):
            return None
        if value is None:
            value = math.nan
        elif self.kind in {"number", "integer"}:
            least, most = self._limits
            if not least <= value <= most:
                return None
        try:
            return np.array(((value,),), dtype=self.dtype)
        except OverflowError:
            return None

    def many(self, values: list[Any]) -> NDArray[Any] | None:
        """Return the tensor of a list of values, shape (rows, 1), if all plainly fit; None on any doubt."""
        if not self._types.issuperset(map(type, values)):
            return None
        if self.enum is not None and not self.enum.issuperset(values):
            return None
        try:
            with np.errstate(over="ignore"):
                found = np.array([math.nan if value is None else value for value in values], dtype=self.dtype)
        except (OverflowError, ValueError):
            return None
        return found.reshape(-1, 1) if self._fits(found) else None

    def _fits(self, values: NDArray[Any]) -> bool:
        """Whether numbers are within bounds, finite, and missing only where they may be."""
        if values.dtype.kind == "f":
            with np.errstate(over="ignore", invalid="ignore"):
                total = float(np.add.reduce(values, axis=None))
            if not math.isfinite(total):  # something is missing or infinite, or all of it is large: look which
                if np.isinf(values).any() or (not self.nullable and np.isnan(values).any()):
                    return False
                if self._bounded:
                    known = values[~np.isnan(values)]
                    return bool(((known >= self.minimum) & (known <= self.maximum)).all())
                return True
        return (
            not self._bounded or not values.size or bool(values.min() >= self.minimum and values.max() <= self.maximum)
        )

    def column(self, column: Any) -> NDArray[Any] | None:
        """Return the tensor of an Arrow array, shape (rows, 1), if all of it plainly fits; None on any doubt."""
        import pyarrow.types as pt

        if pt.is_dictionary(column.type):
            column = column.dictionary_decode()
        kind = column.type
        if pt.is_null(kind) and not len(column):  # nobody can say of nothing what type it is
            return np.empty((0, 1), self.dtype)
        if self.dtype.kind == "f":
            if not (pt.is_floating(kind) or pt.is_integer(kind) or pt.is_decimal(kind) or pt.is_boolean(kind)):
                return np.full((len(column), 1), math.nan, self.dtype) if pt.is_null(kind) and self.nullable else None
            if column.null_count and not self.nullable:
                return None
            with np.errstate(over="ignore"):
                values = np.asarray(column.to_numpy(zero_copy_only=False)).astype(self.dtype, copy=False)
            return values.reshape(-1, 1) if self._fits(values) else None
        if column.null_count:
            return None
        return self._exact(column)

    def _exact(self, column: Any) -> NDArray[Any] | None:
        """Return the tensor of text, truth values or whole numbers."""
        import pyarrow as pa
        import pyarrow.types as pt

        kind = column.type
        if not _may_fit(self, kind) or pt.is_null(kind) or pt.is_decimal(kind):
            return None
        if self.kind == "integer":
            try:
                column = column.cast({"int64": pa.int64(), "int32": pa.int32()}[self.tensor.dtype])
            except pa.ArrowInvalid:
                return None
        if self.enum is not None and not self.enum.issuperset(column.unique().to_pylist()):
            return None
        values = np.asarray(column.to_numpy(zero_copy_only=False), dtype=self.dtype)
        return values.reshape(-1, 1) if self.kind != "integer" or self._fits(values) else None


def _said(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - enough to find it


@dataclass(frozen=True)
class Fields:
    """All features of a bundle, in the order of the graph's inputs."""

    fields: tuple[Field, ...]
    schema: Mapping[str, Any]

    @classmethod
    def of(cls, signature: ModelSignature, schema: Mapping[str, Any]) -> "Fields":
        """Compile the input schema of a bundle, which was checked against its signature."""
        found = []
        for tensor in signature.inputs:
            said = schema["properties"][tensor.name]
            types = said["type"] if isinstance(said["type"], list) else [said["type"]]
            found.append(
                Field(
                    tensor=tensor,
                    kind=types[0],
                    nullable="null" in types,
                    minimum=float(said.get("minimum", -math.inf)),
                    maximum=float(said.get("maximum", math.inf)),
                    enum=frozenset(said["enum"]) if "enum" in said else None,
                )
            )
        return cls(tuple(found), schema)

    @cached_property
    def names(self) -> frozenset[str]:
        """Every feature."""
        return frozenset(field.name for field in self.fields)

    @cached_property
    def _validator(self) -> Any:
        import jsonschema

        return jsonschema.Draft202012Validator(dict(self.schema))

    def record(self, record: Mapping[str, Any], *, row: int = 0, where: str = "") -> dict[str, NDArray[Any]]:
        """Return the feeds of one record, each of shape (1, 1).

        Raises:
            InputError: it does not fit the schema; names every field that does not.
        """
        if len(record) == len(self.fields):
            feeds = {}
            for field in self.fields:
                tensor = field.one(record.get(field.name))
                if tensor is None or field.name not in record:
                    break
                feeds[field.name] = tensor
            else:
                return feeds
        found = self.violations(record, row)
        if found:
            raise refuse(found, total=len(found), where=where)
        return {field.name: self._lenient(field, record[field.name]) for field in self.fields}

    def _lenient(self, field: Field, value: Any) -> NDArray[Any]:
        """Return the tensor of a value that fits, but not plainly: 3.0 for an integer, a NumPy number."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            value = math.nan
        return np.array([[value]]).astype(field.dtype)

    def violations(self, record: Mapping[str, Any], row: int) -> list[Violation]:
        """Return what of a record does not fit, as JSON Schema and the graph's types have it."""
        plain = {name: _plain(value) for name, value in record.items()}
        found = [Violation(row, name, "is no feature of this model") for name in sorted(plain.keys() - self.names)]
        for field in self.fields:
            if field.name not in plain:
                near = difflib.get_close_matches(field.name, plain.keys() - self.names, n=1)
                found.append(Violation(row, field.name, f"is missing{f'; is it {near[0]!r}?' if near else ''}"))
            elif (why := field.why_not(plain[field.name])) is not None:
                found.append(Violation(row, field.name, why))
        if not found:
            without = {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in plain.items()}
            # the schema itself has the last word
            found = [
                Violation(row, ".".join(map(str, error.path)) or "record", error.message[:200])
                for error in self._validator.iter_errors(without)
            ]
        return found

    def records(
        self, records: Sequence[Mapping[str, Any]], *, first_row: int = 0, where: str = ""
    ) -> dict[str, NDArray[Any]]:
        """Return the feeds of records, each of shape (rows, 1).

        Raises:
            InputError: some do not fit; names row and field of each, up to ``SHOWN``.
        """
        wanted = self.names
        if all(record.keys() == wanted for record in records):
            feeds = {}
            for field in self.fields:
                tensor = field.many([record[field.name] for record in records])
                if tensor is None:
                    break
                feeds[field.name] = tensor
            else:
                return feeds
        found, total = list[Violation](), 0
        for number, record in enumerate(records):
            here = self.violations(record, first_row + number)
            total += len(here)
            found += here[: SHOWN - len(found)]
        if found:
            raise refuse(found, total=total, where=where)
        each = [self.record(record) for record in records]
        return {field.name: np.concatenate([feeds[field.name] for feeds in each]) for field in self.fields}

    def batch(self, batch: Any, *, first_row: int = 0, where: str = "") -> dict[str, NDArray[Any]]:
        """Return the feeds of an Arrow batch, each of shape (rows, 1); columns that are no feature are not looked at.

        Raises:
            InputError: a column is not there or of a type that cannot fit, or values do not fit; names
                row and field of each, up to ``SHOWN``.
        """
        feeds = {}
        for field in self.fields:
            tensor = field.column(batch.column(field.name))
            if tensor is None:
                raise self._refuse_batch(batch, first_row, where)
            feeds[field.name] = tensor
        return feeds

    def _refuse_batch(self, batch: Any, first_row: int, where: str) -> InputError:
        found, total = list[Violation](), 0
        for field in self.fields:
            column = batch.column(field.name)
            if not _may_fit(field, column.type):
                return InputError(
                    f"holds {column.type}, the model takes {field.tensor.dtype}",
                    where=f"{where}, column {field.name}".removeprefix(", "),
                )
            for number, value in enumerate(column.to_pylist()):
                if (why := field.why_not(_told(field, value))) is not None:
                    total += 1
                    if len(found) < SHOWN:
                        found.append(Violation(first_row + number, field.name, why))
        return refuse(found, total=total, where=where)


def _told(field: Field, value: Any) -> Any:
    """Return a value of a table as the same value of a record: tables hold truth as numbers, and decimals."""
    if field.kind != "boolean" and isinstance(value, bool):
        return int(value)
    return value if isinstance(value, str | int | float) or value is None else float(value)


def _plain(value: Any) -> Any:
    """Return a NumPy scalar as Python's own."""
    return value.item() if isinstance(value, np.generic) else value


def _may_fit(field: Field, kind: Any) -> bool:
    import pyarrow.types as pt

    if pt.is_dictionary(kind):
        kind = kind.value_type
    if pt.is_null(kind):
        return True
    if field.kind == "string":
        return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))
    if field.kind == "boolean":
        return bool(pt.is_boolean(kind))
    return bool(pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind) or pt.is_boolean(kind))
