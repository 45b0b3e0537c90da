"""Ask the challenger again about rows that were changed a little, and count the answers that changed with them."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.documents.evidence import Perturbed
from candidate.documents.policy import Policy
from candidate.documents.policy.robust import RobustnessRule
from candidate.errors import InputError, IntegrityError
from candidate.flows.observing import Batch, Model, Seen, seen
from candidate.flows.progress import Progress, silent
from candidate.flows.slicing import coded
from candidate.judgement.buckets import buckets_of


def _spread(batch: Any, first_row: int, every: int) -> Any:
    """Return each so manieth row of a batch, counted over the whole file."""
    start = -first_row % every
    return batch.take(np.arange(start, batch.num_rows, every)) if every > 1 else batch


def _typo(text: str, draw: float) -> str:
    """Return a text with two neighbouring letters swapped; one that has no two is doubled."""
    if len(text) < 2:  # noqa: PLR2004 - no neighbours
        return text * 2
    place = int(draw * (len(text) - 1))
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


def changed(column: Any, rule: RobustnessRule, rng: np.random.Generator) -> Any:
    """Return a column as a rule changes it.

    Args:
        column: Arrow array of at least one value.
        rule: what to do to it.
        rng: source of what is drawn; every value takes one draw.

    Raises:
        InputError: the column does not hold what can be changed so.
    """
    import pyarrow as pa
    import pyarrow.types as pt

    kind, draws = column.type, rng.random(len(column))
    if pt.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if rule.missing:
        return pa.nulls(len(column), kind)
    if rule.swap:
        return column.take(np.minimum((draws * len(column)).astype(np.int64), len(column) - 1))
    text = pt.is_string(kind) or pt.is_large_string(kind)
    if text != (rule.typo is not None):
        raise InputError(
            f"holds {kind}: {rule.change} is for {'numbers' if text else 'text'}",
            where=f"policy [[robustness]], column {rule.column}",
        )
    if rule.typo:
        texts = column.to_pylist()
        return pa.array(
            [None if word is None else _typo(word, at) for word, at in zip(texts, draws, strict=True)], kind
        )
    values = np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    if rule.noise is not None:
        values = values * (1 + rule.noise * (2 * draws - 1))
    values = values * (rule.scale or 1.0) + (rule.add or 0.0)
    if pt.is_integer(kind) or pt.is_boolean(kind):
        whole = pa.array(np.rint(values), mask=np.isnan(values))
        return whole.cast(pa.int64())
    return pa.array(values, mask=np.isnan(values)).cast(kind) if pt.is_floating(kind) else pa.array(values)


def _failed(rule: RobustnessRule, before: Seen, after: Seen) -> NDArray[np.bool_]:
    """Return which rows were answered otherwise than the rule lets."""
    value, now = (each.scores[:, 0, 0] for each in (before, after))
    moved, tolerance = now - value, rule.tolerance or 0.0
    if rule.expect == "not less":
        return np.asarray(moved < -tolerance)
    if rule.expect == "not more":
        return np.asarray(moved > tolerance)
    if rule.tolerance is not None or not before.answers.any() | after.answers.any() | (before.scores.shape[2] > 1):
        return np.asarray(np.abs(after.scores - before.scores).max(axis=(1, 2)) > tolerance)
    return np.asarray(before.answers[:, 0] != after.answers[:, 0])


def _batches(data: Path, policy: Policy, model: Model, every: int) -> Iterator[Batch]:
    columns = list(dict.fromkeys((*policy.columns, *policy.numbers, *model.signature.features)))
    first = 0
    for batch in dataset.batches(data, columns):
        some = _spread(batch, first, every)
        first += batch.num_rows
        if some.num_rows:
            read = {name: coded(*dataset.coded_column(some, name)) for name in policy.columns}
            yield Batch(some, read, first - batch.num_rows, data)


def perturb(
    model: Model, policy: Policy, data: Path, *, salt: int, progress: Progress = silent
) -> tuple[Perturbed, ...]:
    """Count, for each rule of robustness, the rows that are answered otherwise once they are changed.

    Args:
        model: the challenger's.
        policy: its ``[[robustness]]``.
        data: the rows.
        salt: of the buckets; what is drawn follows from it, so that nobody chooses it.
        progress: told the share of rules done.

    Raises:
        InputError: a column is no feature, cannot be changed so, or its change is refused by the input schema.
    """
    found, total = list[Perturbed](), dataset.row_count(data) if policy.robustness else 0
    for number, rule in enumerate(policy.robustness):
        if rule.column not in model.signature.features:
            raise InputError(
                f"{rule.column!r} is no feature of the challenger",
                where=f"policy [[robustness]], rule {number + 1}",
                hint=f"its features: {', '.join(model.signature.features)}",
            )
        rng = np.random.default_rng([salt, number])
        buckets = policy.data.buckets
        counts = np.zeros((2, buckets), dtype=np.int64)
        for batch in _batches(data, policy, model, max(1, total // rule.rows)):
            before = seen(batch, [model], policy)
            place = batch.rows.schema.names.index(rule.column)
            column = changed(batch.rows.column(place), rule, rng)
            rows = batch.rows.set_column(place, rule.column, column)
            try:
                after = seen(dataclasses.replace(batch, rows=rows), [model], policy)
            except IntegrityError as error:
                raise InputError(
                    f"{error.message}, once there is {rule.change}",
                    where=f"policy [[robustness]], rule {number + 1}",
                    hint="train it to take what it has never seen, or do not ask",
                ) from error
            failed = _failed(rule, before, after)
            unit = batch.read[policy.data.unit]
            at = buckets_of(np.array(unit.values), salt=salt, buckets=buckets)[unit.codes]
            counts[0] += np.bincount(at, minlength=buckets)
            counts[1] += np.bincount(at[failed], minlength=buckets)
        found.append(Perturbed(rows=tuple(counts[0].tolist()), failures=tuple(counts[1].tolist())))
        progress("asking about changed rows", (number + 1) / len(policy.robustness))
    return tuple(found)
