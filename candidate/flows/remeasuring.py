"""Measure again what an evidence folder says was measured: from the predictions, or with both bundles.

Who has the predictions needs no model: their root shows that they are those of the comparison, and the
State must come out of them to the last bit. Who has the bundles and the rows needs nobody's word.
"""

import re
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.adapters.archive import Archive
from candidate.documents.audited import AuditLevel
from candidate.documents.decision import Verdict
from candidate.documents.evidence import BundleFacts, Evidence, ModelRole
from candidate.documents.policy import Policy
from candidate.errors import InputError, IntegrityError
from candidate.flows.comparing import facts_of
from candidate.flows.counting import Part, Task, count_scored
from candidate.flows.heuristics import PortableHeuristic
from candidate.flows.latency import ROLES, THREADS
from candidate.flows.measuring import Measured, Scorer, assembled, measure
from candidate.flows.observing import Batch, Seen, weights_and_columns
from candidate.flows.progress import Progress, silent
from candidate.flows.scored import ROW, TRUTH, Leaves, answer_column, score_columns
from candidate.flows.verifying import inspect
from candidate.judgement.buckets import derive_salt
from candidate.judgement.gate import Arrays, judge

Basis = tuple[Evidence, Policy, Arrays]
"""Evidence, the policy that it was measured for, and the arrays beside it."""
COUNTED = re.compile(r"(n|tp|answered)[0-9]*|n_pos|fp|gained|lost|rows")
"""Statistics that count rows and answers: another processor's rounding moves none of them."""
OWN = {"attested", "replay", "size_bytes"}
"""Facts of a bundle that are its reader's, or change as attestations are attached to it."""


@dataclass(frozen=True)
class Written:
    """Answers that were written to a file of predictions."""

    policy: Policy
    roles: tuple[ModelRole, ...]
    values: int
    """How many scores a row has of each model."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Our own columns of the file."""
        scores = (name for role in self.roles for name in score_columns(role, self.values))
        return (ROW, TRUTH, *scores, *map(answer_column, self.roles))

    def see(self, batch: Batch) -> Seen:
        """Return what was written of a batch of rows."""
        numbers = self.policy.kind_of_task == "regression"
        each = [[_column(batch, name, "double") for name in score_columns(role, self.values)] for role in self.roles]
        scores = np.stack([np.stack(of_model, axis=1) for of_model in each], axis=1)
        answers = np.stack([_column(batch, answer_column(role), "int64") for role in self.roles], axis=1)
        truth = _column(batch, TRUTH, "double" if numbers else "int64")
        classes = max(2, self.values)
        known = all(((found >= 0) & (found < classes)).all() for found in (answers, *(() if numbers else (truth,))))
        if not np.isfinite(scores).all() or not np.isfinite(truth).all() or not known:
            raise InputError(
                f"no score, or a class that is none, from row {batch.first_row} on", where=batch.data.name, hint=HINT
            )
        return Seen(truth, scores, answers, *weights_and_columns(batch, self.policy))

    def numbers(self, batch: Batch) -> NDArray[np.int64]:
        """Return the numbers that the file gives its rows, whose order is anybody's."""
        return _column(batch, ROW, "int64")


HINT = "give the file that compare --predictions wrote"


def _column(batch: Batch, name: str, kind: str) -> NDArray[Any]:
    found = batch.rows.column(name)
    if str(found.type) != kind or found.null_count:
        missing = f", with {found.null_count} missing" if found.null_count else ""
        raise InputError(
            f"holds {found.type}{missing}, not {kind}", where=f"{batch.data.name}, column {name}", hint=HINT
        )
    return np.asarray(found.to_numpy(zero_copy_only=False))


class _Rehashed:
    """Makes the leaves of rows as they are read again."""

    def __init__(self, policy: Policy) -> None:
        self.leaves = Leaves(policy)

    def keep(self, batch: Batch, scored: Seen) -> None:
        """Add a batch by the numbers that the file gives its rows."""
        self.leaves.add(_column(batch, ROW, "int64"), batch, scored)


def rows_again(predictions: Path, basis: Basis, *, name: str, tainted: NDArray[np.int64] | None = None) -> AuditLevel:
    """Hold the State to the predictions that the evidence commits to: level 2.

    Args:
        predictions: the file that ``compare --predictions`` wrote; its rows in any order.
        basis: evidence, policy and arrays.
        name: of the level.
        tainted: numbers of the rows that the evidence says are training rows.

    Raises:
        InputError: the comparison kept no predictions, or this is no file of them.
        IntegrityError: these are other predictions, or the State does not come out of them.
    """
    evidence, policy, arrays = basis
    said = evidence.predictions
    if said is None:
        raise InputError(
            "the comparison kept no predictions",
            where="--predictions",
            hint="measure again instead: --data, --challenger and --champion; or compare with --predictions next time",
        )
    axes = evidence.state
    constant = evidence.challenger.train_label_mean if axes.zero_rule else None
    salt, apart = int(axes.salt, 16), b"" if tainted is None else tainted.tobytes()
    task = Task(
        predictions.absolute(), evidence.data.file, policy, salt, all_ranked=False, constant=constant, tainted=apart
    )
    rehashed = _Rehashed(policy)
    written = Written(policy, axes.models, max(1, len(axes.classes)))
    counted = count_scored(task, written, Part(), keeper=rehashed)
    parts = list(deque(counted, maxlen=1))
    if rehashed.leaves.root() != said:
        raise IntegrityError(
            f"their root is not {said.root}: these are not the predictions that the evidence commits to",
            where=predictions.name,
            hint="fetch the file that compare --predictions wrote, or do not believe this decision",
        )
    measured = assembled(parts, task, axes.models, axes.classes)
    _check_axes(measured, evidence)
    off, of = _apart(measured, arrays)
    if off:
        raise IntegrityError(f"{off:,} of the {of:,} numbers of the State do not follow", where=predictions.name)
    return AuditLevel(
        level=2,
        name=name,
        establishes=(
            f"the scores of {said.rows:,} rows are those that the evidence commits to, to the last bit",
            f"all {of:,} numbers of the State recomputed from them, equal",
            "the buckets' salt follows from policy and data: nobody chose it",
        ),
        does_not=(
            "that the bundles gave these scores, and the data these labels (level 3 runs the bundles)",
            "anything about latency: no duration was measured again",
        ),
    )


def bundles_again(
    basis: Basis,
    *,
    data: Path,
    challenger: Path,
    champion: Path | None,
    name: str,
    engine: str = "serial",
    heuristic: PortableHeuristic | None = None,
    tainted: NDArray[np.int64] | None = None,
    progress: Progress = silent,
) -> AuditLevel:
    """Run both bundles on the rows again, on this host, and hold the State to it: level 3.

    Equal numbers are the rule. Where this processor's floats differ, sums of losses and bins of scores may be
    off, which is told; but every answer must be the same, and so must every finding's status.

    Args:
        basis: evidence, policy and arrays.
        data: the rows, of the digest that the evidence names.
        challenger: its bundle, of the digest that the evidence names.
        champion: the same; null for a first release.
        name: of the level.
        engine: where the rows are counted.
        heuristic: that of the evidence, if the policy names one.
        tainted: numbers of the rows that the evidence says are training rows.
        progress: told how far it is.

    Raises:
        InputError: a champion too many or too few.
        IntegrityError: other bundles or rows than were measured, or the verdict does not come out again.
    """
    evidence, policy, arrays = basis
    if (champion is None) != (evidence.champion is None):
        problem = "was measured and is missing here" if champion is None else "was not measured"
        raise InputError(f"the champion {problem}", where="--champion", hint="give the bundles that were compared")
    if dataset.file_digest(data) != evidence.data.file:
        raise IntegrityError(f"not the rows that were measured, which are {evidence.data.file}", where=data.name)
    facts: list[BundleFacts] = [evidence.challenger, *([evidence.champion] if evidence.champion else [])]
    notes: list[str] = []
    with ExitStack() as stack:
        scorers = []
        paths = [path for path in (challenger, champion) if path is not None]
        for role, path, known in zip(ROLES, paths, facts, strict=False):
            bundle = inspect(stack.enter_context(Archive.open(path)))
            scorers.append(Scorer(role, bundle, bundle.session(threads=THREADS)))
            if bundle.ref != known.bundle:
                found = f"{bundle.ref.name} {bundle.ref.version} {bundle.ref.digest}"
                raise IntegrityError(f"is {found}, measured was {known.bundle.digest}", where=path.name)
            notes += _check_facts(facts_of(scorers[-1], attested=known.attested), known)
        measured = measure(
            scorers, data=data, policy=policy, engine=engine, heuristic=heuristic, progress=progress, tainted=tainted
        )
    _check_axes(measured, evidence)
    off, of = _apart(measured, arrays)
    same = f"all {of:,} numbers of the State measured again, equal"
    if off:
        notes.append(_rounded(measured, basis, off, of))
        same = "every row counted and every answer of both bundles, measured again, equal; so is every finding"
    return AuditLevel(
        level=3,
        name=name,
        establishes=(f"the bundles and the rows are those that were measured, {evidence.data.rows:,} rows", same),
        does_not=(
            "latency: durations do not repeat, and are taken as they were written",
            "that the rows are a fair sample, and which of them a model has seen before",
        ),
        notes=tuple(notes),
    )


def _check_axes(measured: Measured, evidence: Evidence) -> None:
    """The slices, the units and the rows must be those of the evidence, and its salt nobody's choice."""
    if int(evidence.state.salt, 16) != derive_salt(evidence.policy, evidence.data.file):
        raise IntegrityError("the salt of the buckets does not follow from policy and data", where="state.salt")
    if measured.data != evidence.data:
        raise IntegrityError(
            f"{measured.data.rows:,} rows of {measured.data.units:,} units, "
            f"the evidence says {evidence.data.rows:,} of {evidence.data.units:,}",
            where="data",
        )
    if measured.axes != evidence.state:
        raise IntegrityError("the rows fall into other slices than the evidence says", where="state.slices")


def _apart(measured: Measured, arrays: Arrays) -> tuple[int, int]:
    """Return how many numbers of the State differ, and how many there are."""
    pairs = []
    for again, said in ((measured.state, arrays.state), (measured.tainted, arrays.tainted)):
        if again is not None and said is not None:
            pairs += [(again.counts, said.counts), (again.bins, said.bins), (again.histograms, said.histograms)]
    return sum(int((a != b).sum()) for a, b in pairs), sum(a.size for a, _ in pairs)


def _status(verdict: Verdict) -> list[tuple[str, str | None, str]]:
    return [(finding.rule, finding.slice, finding.status) for finding in verdict.findings]


def _rounded(measured: Measured, basis: Basis, off: int, of: int) -> str:
    """Say how far another processor's sums are off; refuse another answer, and another verdict.

    Raises:
        IntegrityError: more differs than rounding explains.
    """
    evidence, policy, arrays = basis
    hint = "do not act on this decision; ask for a new comparison on this host"
    rows = [place for place, name in enumerate(evidence.state.statistics) if COUNTED.fullmatch(name.split(".")[0])]
    flips = int((measured.state.counts[..., rows] != arrays.state.counts[..., rows]).sum())
    if flips:
        raise IntegrityError(f"{flips:,} counts of rows and answers differ on this host", where="state", hint=hint)
    said = judge(policy, evidence, arrays)
    again = judge(policy, evidence, Arrays(measured.state, arrays.latency, measured.tainted))
    if _status(again) != _status(said) or again.outcome != said.outcome:
        raise IntegrityError(
            f"measured again on this host the verdict is {again.outcome}, with other findings than the decision's",
            where="state",
            hint=hint,
        )
    apart = np.abs(measured.state.counts - arrays.state.counts) / np.maximum(np.abs(arrays.state.counts), 1)
    return (
        f"{off:,} of {of:,} numbers of the State differ by this host's rounding, sums by at most "
        f"{apart.max():.1g} of themselves; the verdict recomputed from them is the same: {again.outcome}"
    )


def _check_facts(found: BundleFacts, known: BundleFacts) -> list[str]:
    """Hold what the evidence says of a bundle to what the bundle says, and return what is worth a note."""
    again, said = found.model_dump(exclude=OWN), known.model_dump(exclude=OWN)
    wrong = [name for name in again if again[name] != said[name]]
    if wrong:
        raise IntegrityError(f"the evidence says otherwise of {', '.join(wrong)}", where=known.bundle.name)
    if not found.replay.passed:
        raise IntegrityError("its golden rows come out otherwise on this host", where=known.bundle.name)
    if found.size_bytes == known.size_bytes:
        return []
    return [f"{known.bundle.name} {known.bundle.version} has {found.size_bytes:,} bytes, then {known.size_bytes:,}"]
