"""Score some of the rows and count them: the part of a measurement that any worker may do.

A part is a range of a Parquet file's row groups, or a whole file. Which worker counts it, when, and
beside which others leaves no trace: the State is whole numbers, and slices are numbered anew when
parts are put together.
"""

import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import add
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.adapters.runtime import Session
from candidate.documents.evidence import ModelRole, SliceKey
from candidate.documents.manifest import ModelSignature
from candidate.documents.policy import Policy
from candidate.errors import InputError
from candidate.flows.heuristics import Heuristic, PortableHeuristic
from candidate.flows.observing import Batch, Model, Placing, Seen, observed, seen
from candidate.flows.scored import Keeper
from candidate.flows.slicing import Coded, Slicer, coded
from candidate.judgement.buckets import buckets_of
from candidate.judgement.state import WEIGHT_STEP, State
from candidate.judgement.state.layout import MOST_ROWS, MOST_WEIGHT

BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Portable:
    """A model as bytes, which another process can load."""

    role: ModelRole
    signature: bytes
    filled: frozenset[str]
    graph: bytes
    weights: tuple[tuple[str, bytes], ...]

    def load(self) -> Model:
        """Return the model, loaded; it runs in one thread."""
        with tempfile.TemporaryDirectory(prefix="candidate-") as folder:
            for name, data in self.weights:
                Path(folder, name).write_bytes(data)
            session = Session(self.graph, folder=Path(folder))
        return Model(self.role, ModelSignature.from_bytes(self.signature), self.filled, session)


Scored = tuple[Portable | PortableHeuristic, ...]
"""Everyone who is asked about the rows."""


@dataclass(frozen=True)
class Task:
    """What every part of one measurement has in common.

    Attributes:
        data: the file; every worker must see it at this path.
        digest: what the file must be.
        policy: names label, unit and slices.
        salt: of the buckets.
        all_ranked: whether scores of all rows get histograms even if no rule asks for them.
        constant: the zero-rule's answer, of numbers; None where nobody recorded it.
        tainted: numbers of the rows that are counted by themselves too: int64, ascending, as bytes.
    """

    data: Path
    digest: str
    policy: Policy
    salt: int
    all_ranked: bool
    constant: float | None = None
    tainted: bytes = b""

    @property
    def bins(self) -> int:
        """Calibration bins; numbers have none."""
        if self.policy.kind_of_task == "regression":
            return 0
        return self.policy.calibration.bins if self.policy.calibration is not None else 15


@dataclass(frozen=True)
class Part:
    """Some row groups of a file, in order; None for all there is.

    Attributes:
        groups: numbers of the row groups.
        first_row: number of the part's first row in its file, for messages.
    """

    groups: tuple[int, ...] | None = None
    first_row: int = 0


@dataclass(frozen=True)
class Counted:
    """The State of some rows, and what its slices are.

    Attributes:
        state: slices as they were first seen, not yet in their final order.
        slicer: knows what each of them is.
        rows: how many were counted.
        units: different values of the unit column.
        tainted: State of the rows among them that the task counts by themselves.
    """

    state: State
    slicer: Slicer
    rows: int
    units: frozenset[Any]
    tainted: State | None = None

    @property
    def keys(self) -> tuple[SliceKey, ...]:
        """What each slice of the State is."""
        return tuple(self.slicer.keys)


def merged(parts: Sequence[Counted], task: Task) -> Counted:
    """Return what all the parts count together; their order does not matter.

    Args:
        parts: at least one.
        task: which they were counted for.
    """
    slicer = Slicer(task.policy, all_ranked=task.all_ranked)
    numbers = [slicer.absorb(part.keys) for part in parts]
    ranked = slicer.ranked
    slices, calibrated = len(slicer.keys), slicer.calibrated
    totals: list[State] = []
    for states in ([part.state for part in parts], [part.tainted for part in parts]):
        placed = [
            state.placed(moved, slices, ranked, calibrated)
            for state, moved in zip(states, numbers, strict=True)
            if state is not None
        ]
        totals += [reduce(add, placed)] if placed else []
    _check_size(totals[0], task)
    units: frozenset[Any] = frozenset().union(*(part.units for part in parts))
    return Counted(totals[0], slicer, sum(part.rows for part in parts), units, *totals[1:])


def _check_size(state: State, task: Task) -> None:
    """Refuse more rows, or more weight, than whole numbers of 64 bits can sum the largest losses of."""
    weighted, counted = task.policy.data.weight is not None, float(state.counts[0, :, 0].sum(dtype=np.float64))
    if counted > (MOST_WEIGHT * WEIGHT_STEP if weighted else MOST_ROWS):
        what, most = ("the weights sum to", MOST_WEIGHT) if weighted else ("there are", MOST_ROWS)
        raise InputError(
            f"{what} more than {most:,}",
            where=task.data.name,
            hint="divide all weights by one number" if weighted else "measure a random part of the units",
        )


def _units(unit: Coded, first_row: int, task: Task) -> NDArray[np.int64]:
    """Return the bucket of each row's unit."""
    rules = task.policy.data
    if None in unit.values:
        row = first_row + int(np.flatnonzero(unit.codes == unit.values.index(None))[0])
        raise InputError("a row without a unit", where=f"{task.data.name}, row {row}, column {rules.unit}")
    return buckets_of(np.array(unit.values), salt=task.salt, buckets=rules.buckets)[unit.codes]


class Scorers(Protocol):
    """Where the answers to a batch of rows come from: models that run, or a file that they were written to."""

    @property
    def roles(self) -> tuple[ModelRole, ...]:
        """Whose answers they are."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the file that are needed beside the policy's."""

    def see(self, batch: Batch) -> Seen:
        """Return all that is counted of a batch of rows."""

    def numbers(self, batch: Batch) -> NDArray[np.int64]:
        """Return the number of each row of a batch in the file that was compared on."""


@dataclass(frozen=True)
class Running:
    """Models that are run on every batch."""

    policy: Policy
    models: Sequence[Model | Heuristic]

    @property
    def roles(self) -> tuple[ModelRole, ...]:
        """Of each model."""
        return tuple(model.role for model in self.models)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every feature that a model reads, each once."""
        return tuple(dict.fromkeys(name for model in self.models for name in model.columns))

    def see(self, batch: Batch) -> Seen:
        """Run every model on a batch."""
        return seen(batch, self.models, self.policy)

    def numbers(self, batch: Batch) -> NDArray[np.int64]:
        """Count on from the batch's first row."""
        return np.arange(batch.first_row, batch.first_row + batch.rows.num_rows, dtype=np.int64)


def counting(
    task: Task, models: Sequence[Model | Heuristic], part: Part, *, keeper: Keeper | None = None
) -> Iterator[Counted]:
    """Count a part batch by batch, yielding the State of all rows up to there; constant memory.

    Args:
        task: which measurement.
        models: the challenger, the champion if there is one, and the heuristic if there is one.
        part: which rows.
        keeper: shown every batch.

    Raises:
        InputError: unreadable file, missing column, or a value that does not fit.
    """
    return count_scored(task, Running(task.policy, models), part, keeper=keeper)


def count_scored(task: Task, scorers: Scorers, part: Part, *, keeper: Keeper | None = None) -> Iterator[Counted]:
    """Count a part as ``counting`` does, whoever has scored its rows."""
    policy, slicer = task.policy, Slicer(task.policy, all_ranked=task.all_ranked)
    columns = list(dict.fromkeys((*policy.columns, *policy.numbers, *scorers.columns)))
    total: State | None = None
    tainted: State | None = None
    rows, units = 0, set[Any]()
    for batch in dataset.batches(task.data, columns, rows=BATCH_ROWS, groups=part.groups):
        first_row = part.first_row + rows
        read = {name: coded(*dataset.coded_column(batch, name)) for name in policy.columns}
        buckets = _units(read[policy.data.unit], first_row, task)
        units.update(read[policy.data.unit].values)
        groups = slicer.groups(read, batch.num_rows)
        total, tainted = _widened(total, slicer), _widened(tainted, slicer)
        at = Placing(
            groups, len(slicer.keys), buckets, policy.data.buckets, task.bins, slicer.ranked, slicer.calibrated
        )
        here = Batch(batch, read, first_row, task.data)
        scored = scorers.see(here)
        if keeper is not None:
            keeper.keep(here, scored)
        total = observed(scored, scorers.roles, policy, at, constant=task.constant, into=total)
        known = _known(task, scorers.numbers(here))
        if known.any():
            apart = scored.only(known), scorers.roles, policy, at.only(known)
            tainted = observed(*apart, constant=task.constant, into=tainted)
        rows += batch.num_rows
        _check_size(total, task)
        yield Counted(total, slicer, rows, frozenset(), tainted)
    if total is not None:
        yield Counted(total, slicer, rows, frozenset(units), tainted)


def _widened(state: State | None, slicer: Slicer) -> State | None:
    """Return a State with room for the slices that were found since."""
    if state is None:
        return None
    return state.placed(range(len(state.counts)), len(slicer.keys), slicer.ranked, slicer.calibrated)


def _known(task: Task, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which rows of a batch are counted by themselves too."""
    tainted = np.frombuffer(task.tainted, dtype=np.int64)
    if not len(tainted):
        return np.zeros(len(numbers), dtype=bool)
    places = np.minimum(np.searchsorted(tainted, numbers), len(tainted) - 1)
    found: NDArray[np.bool_] = tainted[places] == numbers
    return found


@lru_cache(maxsize=8)
def _loaded(models: Scored) -> tuple[Model | Heuristic, ...]:
    return tuple(model.load() for model in models)


@lru_cache(maxsize=8)
def _digest(path: Path, _size: int, _changed: int) -> str:
    return dataset.file_digest(path)


def count_part(task: Task, models: Scored, part: Part) -> Counted | None:
    """Count a part in another process; None if it has no rows.

    Raises:
        InputError: as ``counting``; or this process sees another file than the measurement is of.
    """
    try:
        seen = task.data.stat()
    except OSError as error:
        hint = "put the data where every worker sees it under the same path"
        raise InputError(f"a worker cannot read it: {error.strerror}", where=str(task.data), hint=hint) from error
    if _digest(task.data, seen.st_size, seen.st_mtime_ns) != task.digest:
        raise InputError("a worker sees another file at this path", where=str(task.data))
    return next(iter(deque(counting(task, _loaded(models), part), maxlen=1)), None)
