"""Convert at the first precision whose graph is the model that was trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from candidate.adapters import convert, dataset
from candidate.adapters.convert import Column
from candidate.adapters.graph import Graph, canonical_graph, check_graph, inspect_graph
from candidate.adapters.runtime import Session
from candidate.documents.manifest import ChallengeRecord, ModelSignature, Parity, Rung, RungName
from candidate.errors import CandidateError, InputError, IntegrityError
from candidate.flows.proving.adversarial import Challenge, challenges_of
from candidate.flows.proving.parity import MAX_MISMATCH, TOLERANCE, Difference, at_most, compare, expected_of
from candidate.flows.proving.rows import chosen_rows
from candidate.flows.proving.signing import Proven, signature_of
from candidate.flows.proving.steps import first_difference
from candidate.flows.proving.tasks import Meaning, distances, flipped, found_in, meaning_of
from candidate.flows.proving.thresholds import Crossings, crossings_of

DECIDING = ("fuzzed", "missing", "unseen", "empty")
"""Made rows that must agree as real rows must: serving will see their like."""
RANKING = (*DECIDING, "threshold")
"""Made rows that speak for another precision."""
ALONE = 8
"""Real rows that are asked one by one."""


@dataclass(frozen=True)
class _Case:
    """What is to be converted, and what it must answer."""

    estimator: Any
    table: Any
    rows: Any
    columns: tuple[Column, ...]
    labels: tuple[str, ...]
    meaning: Meaning
    expected: Any

    def model(self, bits: Literal[32, 64], *, single: bool = False, exact: bool = False) -> Any:
        """Convert."""
        return convert.convert(self.estimator, self.columns, bits, single=single, exact=exact)

    @cached_property
    def crossings(self) -> Crossings:
        """Where the trees change their mind, out of a graph of 64 bits if there is one that runs."""
        found = Crossings(0, (), np.zeros(0, np.int64), np.zeros(0), self.table.slice(0, 0))
        ways: tuple[tuple[Literal[32, 64], bool], ...] = ((64, True), (64, False), (32, False))
        for bits, exact in ways:
            try:
                found = crossings_of(self.model(bits, exact=exact), self.columns, self.table)
            except CandidateError:
                continue
            if found.column or not found.found:
                break
        return found

    @cached_property
    def challenges(self) -> list[Challenge]:
        """Rows that are made to find a difference; the same for every precision."""
        return challenges_of(self.estimator, self.meaning, self.columns, self.table, self.crossings)


@dataclass(frozen=True)
class Tried:
    """A precision whose graph runs."""

    name: RungName
    bits: Literal[32, 64]
    model: bytes
    graph: Graph
    signature: ModelSignature
    real: Difference
    made: tuple[ChallengeRecord, ...]
    step: str | None

    @property
    def rank(self) -> tuple[int, int]:
        """How many rows differ that decide, and how many that only speak for another precision."""
        deciding = [each for each in self.made if each.kind in DECIDING]
        decide = sum(each.mismatches for each in deciding)
        # Within the tolerance on these rows, but not by much: on others it would be beyond it.
        near = max([self.real.largest, *(each.max_difference for each in deciding)]) > TOLERANCE / 2
        return self.real.mismatches + decide, self.challenged + near

    @property
    def challenged(self) -> int:
        """How many rows differ that do not decide, but speak for another precision."""
        return sum(each.mismatches for each in self.made if each.kind in RANKING)

    @property
    def holds(self) -> bool:
        """Whether so few rows differ that it may be built."""
        shares = [(each.mismatches, each.rows) for each in self.made if each.kind in DECIDING]
        return all(off <= MAX_MISMATCH * rows for off, rows in [(self.real.mismatches, self.real.rows), *shares])

    def said(self) -> str:
        """Return its figures as a sentence."""
        text = (
            f"{_named(self.name)}: {self.real.mismatches} of {self.real.rows} rows differ by more than {TOLERANCE:g}, "
            f"the largest by {self.real.largest:.3g}, {self.real.label_flips} labels flip"
        )
        for each in self.made:
            if each.mismatches and each.kind in RANKING:
                text += f", {each.mismatches} of {each.rows} {each.kind} rows differ"
        return text + (f", first at step {self.step}" if self.step else "")


@dataclass(frozen=True)
class Climbed:
    """What became of each precision.

    Attributes:
        case: what was converted.
        found: precisions whose graph runs.
        rungs: all that were tried, in order.
        failures: why some could not be tried.
    """

    case: _Case
    found: list[Tried]
    rungs: list[Rung]
    failures: list[InputError]


def prove(
    estimator: Any,
    table: Any,
    columns: Sequence[Column],
    *,
    label: str | Sequence[str],
    ladder: Sequence[Literal[32, 64]],
) -> Proven:
    """Convert at the first precision whose graph is the estimator in every row, or else the nearest one.

    Some rows may differ, up to ``MAX_MISMATCH`` of the real ones and of each kind of made ones; but
    where a later precision has fewer of them, it is taken.

    Args:
        estimator: fitted.
        table: Arrow table of training rows with the feature columns.
        columns: the features, in order.
        label: name of the label column; several of a multilabel model, or none.
        ladder: precisions to try, in order.

    Raises:
        InputError: no precision holds; the message has the figures.
    """
    climbed = climb(estimator, table, columns, label=label, ladder=ladder)
    good = [tried for tried in climbed.found if tried.holds]
    if not good:
        raise _refusal(climbed, ladder)
    best = min(good, key=lambda tried: tried.rank)
    return Proven(best.model, best.graph, best.signature, _parity(climbed, best))


def climb(
    estimator: Any,
    table: Any,
    columns: Sequence[Column],
    *,
    label: str | Sequence[str],
    ladder: Sequence[Literal[32, 64]],
    every: bool = False,
) -> Climbed:
    """Try precisions one after the other, up to the first at which no row differs, or every one.

    Args:
        estimator: fitted.
        table: Arrow table of training rows with the feature columns.
        columns: the features, in order.
        label: name of the label column; several of a multilabel model, or none.
        ladder: precisions to try, in order.
        every: whether to go on where no row differs.

    Raises:
        InputError: the estimator fails on its training rows, or answers nothing that a signature can state.
    """
    labels = (label,) if isinstance(label, str) else tuple(label)
    meaning = meaning_of(estimator, labels)
    chosen = chosen_rows(table)
    expected = expected_of(estimator, chosen, [column.name for column in columns], meaning)
    case = _Case(estimator, table, chosen, tuple(columns), labels, meaning, expected)
    found: list[Tried] = []
    failures: list[InputError] = []
    rungs: list[Rung] = []
    for name, bits, single in _rungs(ladder):
        try:
            tried = _try(case, name, bits, single=single)
        except (InputError, IntegrityError) as error:
            failures += [error] if isinstance(error, InputError) else []
            rungs.append(_unusable(name, error))
            continue
        found.append(tried)
        rungs.append(_rung(tried))
        if tried.rank == (0, 0) and not every:
            break
    return Climbed(case, found, rungs, failures)


def _try(case: _Case, name: RungName, bits: Literal[32, 64], *, single: bool) -> Tried:
    model, graph, signature, session = _loaded(case, bits, single=single)
    real = compare(session, signature, case.rows, case.expected)
    differences = [
        (each, compare(session, signature, each.table, each.expected))
        for each in case.challenges
        if each.table.num_rows
    ]
    made = [_record(each, difference) for each, difference in differences]
    made += [
        ChallengeRecord(
            kind=each.kind,
            rows=0,
            mismatches=0,
            label_flips=0,
            max_difference=0.0,
            refused=each.refused,
            unguarded=each.unguarded,
        )
        for each in case.challenges
        if not each.table.num_rows
    ]
    made += _batches(case, session, signature)
    wrong = [(case.rows, real), *((each.table, found) for each, found in differences if each.kind in RANKING)]
    step = None
    for rows, difference in wrong:
        if difference.mismatches and step is None:
            off = rows.filter(difference.off)
            step = first_difference(
                case.estimator, case.columns, off, signature, case.meaning, bits=bits, single=single
            )
    return Tried(name, bits, model, graph, signature, real, tuple(made), step)


def _loaded(case: _Case, bits: Literal[32, 64], *, single: bool) -> tuple[bytes, Graph, ModelSignature, Session]:
    """Convert and load; at 64 bits with thresholds of 64 bits, or without where that gives no graph that runs."""
    wide = bits == 64 and not single  # noqa: PLR2004 - bits
    for exact in (True, False) if wide else (False,):
        try:
            model = canonical_graph(case.model(bits, single=single, exact=exact))
            graph = inspect_graph(model)
            check_graph(model)
            signature = signature_of(graph, case.meaning, case.labels)
            session = Session(model)
        except CandidateError:
            if exact:
                continue
            raise
        return model, graph, signature, session
    raise AssertionError("one of them returns or raises")


def _record(challenge: Challenge, difference: Difference) -> ChallengeRecord:
    return ChallengeRecord(
        kind=challenge.kind,
        rows=difference.rows,
        mismatches=difference.mismatches,
        label_flips=difference.label_flips,
        max_difference=difference.largest,
        refused=challenge.refused,
        unguarded=challenge.unguarded,
    )


def _rung(tried: Tried) -> Rung:
    return Rung(
        name=tried.name,
        taken=False,
        mismatches=tried.real.mismatches,
        label_flips=tried.real.label_flips,
        max_difference=tried.real.largest,
        challenged=tried.challenged,
        step=tried.step,
        why="",
    )


def _unusable(name: RungName, error: CandidateError) -> Rung:
    return Rung(
        name=name,
        taken=False,
        mismatches=None,
        label_flips=None,
        max_difference=None,
        challenged=None,
        step=None,
        why=f"the graph cannot be used ({error.message[:200]})",
    )


def _batches(case: _Case, session: Session, signature: ModelSignature) -> list[ChallengeRecord]:
    """Ask a few rows one by one, and for none at all: what a service does, and no batch of rows shows."""
    few = case.rows.slice(0, ALONE)
    feeds = dataset.feeds(few.combine_chunks(), signature.inputs)
    together = session.run(feeds)
    alone = [
        session.run({name: values[row : row + 1] for name, values in feeds.items()}) for row in range(few.num_rows)
    ]
    joined = {name: np.concatenate([each[name] for each in alone]) for name in together}
    labels = np.asarray(together[signature.label_output])
    labels = labels if signature.task == "multilabel" else labels.reshape(few.num_rows, -1)[:, 0]
    difference = Difference(
        distances(signature, found_in(signature, joined), found_in(signature, together)),
        flipped(signature, joined, labels, found_in(signature, together), TOLERANCE)
        if signature.score_output is not None
        else np.zeros(few.num_rows, dtype=bool),
    )
    try:
        none = session.run({name: values[:0] for name, values in feeds.items()}, quiet=True)
        empty = all(len(values) == 0 for values in none.values())
    except IntegrityError:
        empty = False
    plain = {"label_flips": 0, "refused": 0, "unguarded": 0}
    return [
        ChallengeRecord(
            kind="one-row",
            rows=difference.rows,
            mismatches=difference.mismatches,
            label_flips=difference.label_flips,
            max_difference=difference.largest,
            refused=0,
            unguarded=0,
        ),
        ChallengeRecord(kind="zero-row", rows=1, mismatches=int(not empty), max_difference=0.0, **plain),
    ]


def _parity(climbed: Climbed, best: Tried) -> Parity:
    real, crossings = best.real, climbed.case.crossings
    return Parity(
        rows=real.rows,
        float_bits=best.bits,
        max_difference=real.largest,
        label_flips=real.label_flips,
        mismatches=real.mismatches,
        tolerance=TOLERANCE,
        mismatch_share=float(f"{real.mismatches / real.rows:.3g}"),
        label_flips_at_most=None if best.signature.score_output is None else at_most(real.label_flips, real.rows),
        challenges=best.made,
        thresholds=crossings.found,
        thresholds_tried=len(crossings.column),
        rungs=tuple(rung.model_copy(update={"taken": rung.name == best.name}) for rung in climbed.rungs),
    )


def _refusal(climbed: Climbed, ladder: Sequence[Literal[32, 64]]) -> InputError:
    """Return why no precision will do: the figures of each, or what stopped the conversion."""
    if len(climbed.failures) == len(climbed.rungs):
        return climbed.failures[0]
    wider = "try float = 64, " if 64 not in ladder else ""  # noqa: PLR2004 - bits
    said = {tried.name: tried.said() for tried in climbed.found}
    tried = [said.get(rung.name, f"{_named(rung.name)}: {rung.why}") for rung in climbed.rungs]
    return InputError(
        "the graph is not the model that was trained: " + "; ".join(tried),
        where="[model] float",
        hint=f"{wider}take the scaler out from before a tree model, or export the model to ONNX yourself",
    )


def _rungs(ladder: Sequence[Literal[32, 64]]) -> list[tuple[RungName, Literal[32, 64], bool]]:
    """Return what to try in order: each precision, then a 64-bit preparation before a 32-bit model."""
    names: dict[Literal[32, 64], RungName] = {32: "32", 64: "64"}
    rungs: list[tuple[RungName, Literal[32, 64], bool]] = [(names[bits], bits, False) for bits in ladder]
    return [*rungs, ("64 then 32", 64, True)] if 64 in ladder else rungs  # noqa: PLR2004 - bits


def _named(name: RungName) -> str:
    return "64 bits before a 32-bit model" if name == "64 then 32" else f"{name} bits"
