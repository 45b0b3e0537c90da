"""At which step of a pipeline the first difference enters.

For each step the graph of all up to it is made, and what it answers is given to the rest of the
fitted pipeline. The first step after which most of the rows that differ in the end differ already is
the one; a ColumnTransformer is looked into, one of its transformers at a time.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import convert, dataset
from candidate.adapters.convert import Column
from candidate.adapters.graph import canonical_graph, inspect_graph
from candidate.adapters.runtime import Session
from candidate.documents.manifest import ModelSignature
from candidate.errors import CandidateError
from candidate.flows.proving.parity import TOLERANCE, quietly
from candidate.flows.proving.tasks import Meaning, answers_of, distances

ROWS = 256
"""So many of the rows that differ are followed."""
_MOST = 0.5
_UNABLE = (CandidateError, ValueError, TypeError, AttributeError, KeyError, IndexError)
"""What can go wrong when part of a pipeline is run by itself; then that part is not told apart."""
Steps = list[tuple[str, Any]]


@dataclass(frozen=True)
class _Search:
    bits: Literal[32, 64]
    single: bool
    off: Callable[[NDArray[np.float64]], bool]
    """Whether most rows with these scores differ."""


def first_difference(
    estimator: Any,
    columns: Sequence[Column],
    table: Any,
    signature: ModelSignature,
    meaning: Meaning,
    *,
    bits: Literal[32, 64],
    single: bool,
) -> str | None:
    """Return the step at which most of these rows begin to differ, or None where it cannot be told.

    Args:
        estimator: fitted.
        columns: the features.
        table: Arrow table of rows that the graph answers otherwise than the estimator.
        signature: of the graph.
        meaning: of the answers.
        bits: precision of the graph.
        single: whether it rounds to 32 bits before its last step.
    """
    plain, _ = convert.uncut(estimator)
    steps: Steps = list(getattr(plain, "steps", None) or [(type(plain).__name__.lower(), plain)])
    table = table.select([column.name for column in columns]).slice(0, ROWS)

    def scores(rest: Steps, values: Any) -> NDArray[np.float64]:
        return answers_of(_pipeline(rest), values, meaning)[1]

    try:
        with quietly(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = table.to_pandas()
            right = scores(steps, frame)
            search = _Search(bits, single, lambda found: _most(distances(signature, found, right)))
            if bits == 32 and search.off(scores(steps, _narrowed(frame, columns))):  # noqa: PLR2004 - bits
                return "inputs rounded to 32 bits"
            found = _locate(steps[:-1], columns, table, lambda out: scores(steps[-1:], out), search)
            if found is not None:
                return found
            if single and len(steps) > 1:
                before = _pipeline(steps[:-1]).transform(frame)
                rounded = np.asarray(before, dtype=np.float32).astype(np.float64)
                if search.off(scores(steps[-1:], rounded)):
                    return f"rounding to 32 bits before {steps[-1][0]}"
            return steps[-1][0]
    except _UNABLE:
        return None


def _most(distance: NDArray[np.float64]) -> bool:
    return bool(((distance > TOLERANCE) | ~np.isfinite(distance)).mean() >= _MOST)


def _pipeline(steps: Steps) -> Any:
    from sklearn.pipeline import Pipeline

    return Pipeline(steps) if len(steps) != 1 else steps[0][1]


def _narrowed(frame: Any, columns: Sequence[Column]) -> Any:
    """Return a frame whose fractions 32 bits hold."""
    names = [column.name for column in columns if column.kind == "number"]
    return frame.assign(**{name: frame[name].astype("float32").astype("float64") for name in names})


def _locate(
    steps: Steps, columns: Sequence[Column], table: Any, finish: Callable[[Any], NDArray[np.float64]], search: _Search
) -> str | None:
    """Return the first of some steps whose graph, finished by the fitted rest, differs; None if none does.

    Args:
        steps: transformers.
        columns: what they take.
        table: Arrow table of these columns.
        finish: scores of what the last of them gives.
        search: what to look for.
    """
    for count in range(1, len(steps) + 1):
        name, part = steps[count - 1]
        rest = steps[count:]
        found = _answered(_pipeline(steps[:count]), columns, table, search)
        if found is None or not _differs(found, _finished(rest, finish), search):
            continue
        inner = None
        if count == 1 and hasattr(part, "transformers_"):
            inner = _within(part, columns, table, _finished(rest, finish), search)
        return name if inner is None else f"{name}.{inner}"
    return None


def _differs(found: Any, finish: Callable[[Any], NDArray[np.float64]], search: _Search) -> bool:
    """Whether most rows differ when the rest of the pipeline goes on with this; a table of other width does."""
    try:
        return search.off(finish(found))
    except ValueError:
        return True


def _finished(rest: Steps, finish: Callable[[Any], NDArray[np.float64]]) -> Callable[[Any], NDArray[np.float64]]:
    return lambda out: finish(_pipeline(rest).transform(out) if rest else out)


def _answered(part: Any, columns: Sequence[Column], table: Any, search: _Search) -> NDArray[np.float64] | None:
    """Return what the graph of transformers gives, shape (rows, columns); None if it cannot be made."""
    try:
        model = canonical_graph(convert.convert(part, columns, search.bits))
        inputs = inspect_graph(model).inputs
        (found,) = Session(model).run(dataset.feeds(table.combine_chunks(), inputs)).values()
    except _UNABLE:
        return None
    return np.asarray(found, dtype=np.float64).reshape(table.num_rows, -1)


def _within(
    part: Any, columns: Sequence[Column], table: Any, finish: Callable[[Any], NDArray[np.float64]], search: _Search
) -> str | None:
    """Return the transformer of a ColumnTransformer, and its step, that differs by itself; None if none does."""
    exact = _dense(part.transform(table.to_pandas()))
    for name, inner, chosen in part.transformers_:
        where = part.output_indices_[name]
        names = _names(chosen, [column.name for column in columns])
        if where.stop == where.start or names is None or isinstance(inner, str):
            continue

        def hybrid(out: Any, where: slice = where) -> NDArray[np.float64]:
            mixed = exact.copy()
            mixed[:, where] = _dense(out)
            return finish(mixed)

        by_name = {column.name: column for column in columns}
        steps = list(getattr(inner, "steps", None) or [(name, inner)])
        found = _locate(steps, [by_name[each] for each in names], table.select(names), hybrid, search)
        if found is not None:
            of = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")  # noqa: PLR2004
            return f"{name if found == name else f'{name}.{found}'} ({of})"
    return None


def _dense(values: Any) -> NDArray[np.float64]:
    values = values.toarray() if hasattr(values, "toarray") else values
    return np.array(values, dtype=np.float64)


def _names(chosen: Any, columns: Sequence[str]) -> list[str] | None:
    """Return the names that a ColumnTransformer's choice stands for; None where it cannot be told."""
    listed = [chosen] if isinstance(chosen, str) else list(chosen) if not isinstance(chosen, slice) else None
    if listed is None or any(isinstance(each, bool | np.bool_) for each in listed):
        return None
    names = [columns[int(each)] if isinstance(each, int | np.integer) else each for each in listed]
    return names if all(name in columns for name in names) else None
