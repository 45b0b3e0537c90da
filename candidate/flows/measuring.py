"""Score bundles on the same rows and count what a verdict needs: the State, and nothing of a row.

The rows are streamed; each batch is scored by every bundle, sliced, hashed into buckets by its
unit, counted, and dropped.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.adapters.runtime import Session, scores_of
from candidate.adapters.trust import keys_for
from candidate.documents.evidence import DataFacts, ModelRole, SliceKey, StateAxes
from candidate.documents.policy import Policy, columns_of
from candidate.documents.trust import TrustPolicy
from candidate.documents.where import Comparison, Operator, Scalar, parse_where
from candidate.errors import InputError, RefusedError
from candidate.flows.progress import Progress, silent
from candidate.flows.verifying import Bundle, check_release
from candidate.judgement.state import State, buckets_of, derive_salt, observe, statistics_for

BATCH_ROWS = 65_536
MAX_SLICES = 4096


@dataclass(frozen=True)
class Scorer:
    """A bundle in its role, loaded."""

    role: ModelRole
    bundle: Bundle
    session: Session


@dataclass(frozen=True)
class Measured:
    """The State of some rows, what its axes mean, and what the rows were."""

    state: State
    axes: StateAxes
    data: DataFacts


def _plain(value: object) -> Scalar | None:
    """Return a column's value as text, number or truth; a missing one as None."""
    if value is None or value != value:  # noqa: PLR0124 - NaN is the one value unequal to itself
        return None
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, str | int | float | bool) else str(value)


def _order(key: SliceKey) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    return key.by, tuple((type(value).__name__, str(value)) for value in key.values)


class _Slicer:
    """Give every row its slice in each rule, numbering slices as they are first seen."""

    def __init__(self, policy: Policy) -> None:
        rules = (*policy.slices.guard, *policy.slices.watch)
        selectors = [(columns_of(rule.by), rule.where) for rule in rules]
        selectors += [(columns_of(limit.by), None) for limit in policy.satisficing if limit.by is not None]
        self.keys: list[SliceKey] = [SliceKey(name="overall")]
        self._by = list(dict.fromkeys(columns for columns, where in selectors if where is None))
        self._where: list[tuple[int, tuple[Comparison, ...]]] = []
        for text in dict.fromkeys(where for _, where in selectors if where is not None):
            self._where.append((len(self.keys), parse_where(text)))
            self.keys.append(SliceKey(name=text, where=text))
        self._seen: dict[tuple[tuple[str, ...], tuple[Scalar | None, ...]], int] = {}

    def _number(self, columns: tuple[str, ...], values: tuple[Scalar | None, ...]) -> int:
        number = self._seen.get((columns, values))
        if number is None:
            if len(self.keys) >= MAX_SLICES:
                raise InputError(
                    f"more than {MAX_SLICES} slices",
                    where=f"column {' & '.join(columns)}",
                    hint="slice by a column with fewer values, or name the slices that matter with where = ...",
                )
            number = self._seen[columns, values] = len(self.keys)
            name = " & ".join(
                f"{column}={'(missing)' if value is None else value}"
                for column, value in zip(columns, values, strict=True)
            )
            self.keys.append(SliceKey(name=name, by=columns, values=values))
        return number

    def groups(self, columns: Mapping[str, NDArray[Any]], rows: int) -> list[NDArray[np.int64]]:
        """Return for each rule an array of shape (rows,): the row's slice, or -1."""
        result = [np.zeros(rows, dtype=np.int64)]
        for by in self._by:
            factors = [_factorize(columns[name]) for name in by]
            codes = np.zeros(rows, dtype=np.int64)
            for values, inverse in factors:
                codes = codes * len(values) + inverse
            present, inverse = np.unique(codes, return_inverse=True)
            shape = [len(values) for values, _ in factors]
            places = np.unravel_index(present, shape)
            numbers = np.array(
                [
                    self._number(by, tuple(f[0][p] for f, p in zip(factors, place, strict=True)))
                    for place in zip(*places, strict=True)
                ],
                dtype=np.int64,
            )
            result.append(numbers[inverse])
        for number, comparisons in self._where:
            holds = np.ones(rows, dtype=bool)
            for comparison in comparisons:
                holds &= _holds(columns[comparison.column], comparison)
            result.append(np.where(holds, number, -1).astype(np.int64))
        return result

    def ordering(self) -> list[int]:
        """Return slice numbers in the order that does not depend on the order of the rows."""
        fixed = 1 + len(self._where)
        return [*range(fixed), *sorted(range(fixed, len(self.keys)), key=lambda n: _order(self.keys[n]))]


def _factorize(values: NDArray[Any]) -> tuple[list[Scalar | None], NDArray[np.int64]]:
    """Return the distinct values and for each row the position of its value."""
    if values.dtype != object:
        distinct, inverse = np.unique(values, return_inverse=True)
        return [_plain(value) for value in distinct], inverse.astype(np.int64)
    numbers: dict[Scalar | None, int] = {}
    codes = [numbers.setdefault(_plain(value), len(numbers)) for value in values]
    return list(numbers), np.array(codes, dtype=np.int64)


def _holds(values: NDArray[Any], comparison: Comparison) -> NDArray[np.bool_]:
    """Return for each row whether the comparison holds; a missing value is in no such slice."""
    distinct, inverse = _factorize(values)
    truth = [value is not None and _compare(value, comparison) for value in distinct]
    return np.array(truth, dtype=bool)[inverse]


_TESTS: dict[Operator, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda value, values: value in values,
}


def _compare(value: Scalar, comparison: Comparison) -> bool:
    for literal in comparison.values:
        if isinstance(value, str) != isinstance(literal, str):
            raise InputError(
                f"column {comparison.column} holds {type(value).__name__}, the condition has {literal!r}",
                where="where",
            )
    first: Any = comparison.values[0]
    left: Any = value
    return bool(_TESTS[comparison.operator](left, first if comparison.operator != "in" else comparison.values))


def _positives(values: NDArray[Any], scorer: Scorer, first_row: int, data: Path) -> NDArray[np.bool_]:
    """Return which rows have the positive class, or say which row has no known class."""
    signature = scorer.bundle.signature
    known = {_plain(name): name == signature.positive for name in signature.classes}
    distinct, inverse = _factorize(values)
    for position, value in enumerate(distinct):
        if value not in known:
            row = first_row + int(np.flatnonzero(inverse == position)[0])
            raise InputError(
                f"label {value!r} is none of the classes {', '.join(map(repr, signature.classes))}",
                where=f"{data.name}, row {row}, column {signature.label}",
            )
    return np.array([known[value] for value in distinct], dtype=bool)[inverse]


def _check_comparable(scorers: Sequence[Scorer], policy: Policy) -> None:
    first = scorers[0].bundle.signature
    for scorer in scorers:
        signature = scorer.bundle.signature
        if signature.task != "binary" or signature.threshold is None:
            raise InputError(
                f"{scorer.role} is a {signature.task} model",
                where=str(scorer.bundle.ref.name),
                hint="this version measures binary classifiers",
            )
        if (signature.classes, signature.positive) != (first.classes, first.positive):
            raise InputError(
                f"classes {signature.classes} of the {scorer.role} are not {first.classes}",
                hint="champion and challenger must answer the same question",
            )
        if signature.label != policy.data.label:
            raise InputError(
                f"the {scorer.role} was trained on the label {signature.label!r}, not {policy.data.label!r}",
                where="policy [data] label",
            )


def measure(scorers: Sequence[Scorer], *, data: Path, policy: Policy, progress: Progress = silent) -> Measured:
    """Score every bundle on every row of a file and return the State.

    Args:
        scorers: the challenger, and the champion if there is one.
        data: Parquet, CSV or JSON-lines file; columns it has beyond what is read are not looked at.
        policy: names label, unit and slices, and pins the file if it gives a digest.
        progress: told the share of rows done.

    Raises:
        InputError: unreadable file, missing column, a value that does not fit, no rows, another file
            than the policy pins.
    """
    _check_comparable(scorers, policy)
    digest = dataset.file_digest(data)
    if policy.data.blackbox is not None and digest != policy.data.blackbox:
        raise InputError(
            f"the data is {digest}, the policy pins {policy.data.blackbox}",
            where=str(data.name),
            hint="compare on the blackbox rows that the policy was written for",
        )
    salt = derive_salt(policy.digest, digest)
    slicer = _Slicer(policy)
    columns = list(policy.columns)
    for scorer in scorers:
        columns += [name for name in scorer.bundle.signature.features if name not in columns]
    bins = policy.calibration.bins if policy.calibration is not None else 15
    models = tuple(scorer.role for scorer in scorers)
    total: State | None = None
    rows, units = 0, set[Any]()
    expected = dataset.row_count(data)
    for batch in dataset.batches(data, columns, rows=BATCH_ROWS):
        read = {name: dataset.numpy_column(batch, name) for name in policy.columns}
        if any(value is None for value in units_of(read[policy.data.unit], units)):
            raise InputError("a row without a unit", where=f"{data.name}, column {policy.data.unit}")
        scores, predicted = _score(scorers, batch, first_row=rows, data=data)
        groups = slicer.groups(read, batch.num_rows)
        part = observe(
            positive=_positives(read[policy.data.label], scorers[0], rows, data),
            scores=scores,
            predicted=predicted,
            groups=groups,
            n_slices=len(slicer.keys),
            buckets=buckets_of(read[policy.data.unit], salt=salt, buckets=policy.data.buckets),
            n_buckets=policy.data.buckets,
            models=models,
            bins=bins,
        )
        total = part if total is None else total.widened(len(slicer.keys)) + part
        rows += batch.num_rows
        progress("scoring rows", None if not expected else rows / expected)
    if total is None or rows == 0:
        raise InputError("no rows", where=str(data.name))
    order = slicer.ordering()
    axes = StateAxes(
        task="binary",
        slices=tuple(slicer.keys[number] for number in order),
        buckets=policy.data.buckets,
        salt=f"{salt:016x}",
        statistics=statistics_for(models),
        models=models,
        calibration_bins=bins,
    )
    facts = DataFacts(file=digest, rows=rows, units=len(units), label=policy.data.label, unit=policy.data.unit)
    return Measured(total.widened(len(slicer.keys)).reordered(order), axes, facts)


def units_of(values: NDArray[Any], seen: set[Any]) -> list[Scalar | None]:
    """Add a batch's distinct units to those seen, and return them."""
    distinct, _ = _factorize(values)
    seen.update(distinct)
    return distinct


def _score(
    scorers: Sequence[Scorer], batch: Any, *, first_row: int, data: Path
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return scores and predictions, each of shape (rows, models)."""
    scores = np.empty((batch.num_rows, len(scorers)), dtype=np.float64)
    predicted = np.empty((batch.num_rows, len(scorers)), dtype=bool)
    for column, scorer in enumerate(scorers):
        signature = scorer.bundle.signature
        feeds = dataset.feeds(batch, signature.inputs, first_row=first_row, where=data.name)
        _, score = scores_of(signature, scorer.session.run(feeds))
        if score is None or signature.threshold is None or not np.isfinite(score).all():
            raise InputError(
                f"the {scorer.role} gives no finite score for some row from {first_row} on", where=data.name
            )
        scores[:, column] = score
        predicted[:, column] = score >= signature.threshold
    return scores, predicted


def read_policy(path: Path) -> Policy:
    """Read ``policy.toml``.

    Raises:
        InputError: unreadable, or with a key or value that a policy does not have.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"policy cannot be read: {error}", where=str(path)) from error
    return Policy.from_toml(text, where=path.name)


def is_attested(bundle: Bundle, trust: TrustPolicy | None, now: datetime) -> bool:
    """Return whether a trusted builder attested the bundle; False only where no trust was given.

    Raises:
        RefusedError: there is a trust policy, and it does not accept the bundle.
    """
    if trust is None:
        return False
    if bundle.ref.digest in trust.revoked.digests:
        raise RefusedError(f"bundle {bundle.ref.digest} is revoked", where=f"{bundle.ref.name}-{bundle.ref.version}")
    check_release(bundle, keys_for(trust, "builder", now=now, channel=None))
    return True
