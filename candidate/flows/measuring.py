"""Score bundles on the same rows and count what a verdict needs: the State, and nothing of a row.

The rows are streamed; each batch is scored by every bundle, sliced, hashed into buckets by its
unit, counted, and dropped, by whichever engine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.adapters.runtime import Session
from candidate.adapters.trust import keys_for
from candidate.documents.evidence import DataFacts, ModelRole, Perturbed, StateAxes
from candidate.documents.names import MODEL_PATH
from candidate.documents.policy import MeasuredTask, Policy
from candidate.documents.trust import TrustPolicy
from candidate.documents.where import Scalar
from candidate.errors import InputError, RefusedError
from candidate.flows.counting import Counted, Part, Portable, Task, counting, merged
from candidate.flows.engines import parse_engine, run
from candidate.flows.heuristics import PortableHeuristic
from candidate.flows.observing import Model, layout_for
from candidate.flows.perturbing import perturb
from candidate.flows.progress import Progress, silent
from candidate.flows.scored import Keeper
from candidate.flows.verifying import Bundle, check_release
from candidate.judgement.buckets import derive_salt
from candidate.judgement.state import State

MAX_CLASSES = 50
"""Pairs of true and answered class are counted in each slice and bucket."""


@dataclass(frozen=True)
class Scorer:
    """A bundle in its role, loaded."""

    role: ModelRole
    bundle: Bundle
    session: Session


@dataclass(frozen=True)
class Measured:
    """The State of some rows, what its axes mean, what the rows were, and how robust the challenger is on them."""

    state: State
    axes: StateAxes
    data: DataFacts
    robustness: tuple[Perturbed, ...] = ()
    tainted: State | None = None
    """State of the rows that were counted by themselves too, on the same axes."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """What was measured with beside the bundles: the heuristic, if there is one."""


def _check_comparable(scorers: Sequence[Scorer], policy: Policy) -> None:
    first, task = scorers[0].bundle.signature, policy.kind_of_task
    for scorer in scorers:
        signature = scorer.bundle.signature
        if signature.task != task or (task == "binary" and signature.threshold is None):
            raise InputError(
                f"{scorer.role} is a {signature.task} model, the policy is about {task}",
                where=str(scorer.bundle.ref.name),
                hint=f"say task = {signature.task!r} in the policy"
                if signature.task in get_args(MeasuredTask)
                else f"a policy may be about {', '.join(get_args(MeasuredTask))}",
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
    if len(first.classes) > MAX_CLASSES:
        raise InputError(f"{len(first.classes)} classes, at most {MAX_CLASSES} are counted", where="challenger")


def _check_sets(scorers: Sequence[Scorer], policy: Policy, digest: str, where: str) -> None:
    """Refuse rows that the policy sets aside for something else."""
    rules, trained = policy.data, scorers[0].bundle.experiment.data.digest
    for name, kept in (("eyeball", rules.eyeball), ("train", rules.train)):
        if digest == kept:
            raise InputError(
                f"this is the file that the policy names as its {name} rows",
                where=where,
                hint="compare on blackbox rows, which nobody trained on or looked at",
            )
    if rules.train is not None and trained != rules.train:
        raise InputError(
            f"the challenger was trained on {trained}, the policy pins {rules.train}", where="policy [data] train"
        )


def _portable(scorer: Scorer) -> Portable:
    """Return a scorer's model as bytes."""
    bundle = scorer.bundle
    with bundle.weights() as folder:
        weights = tuple((path.name, path.read_bytes()) for path in sorted(folder.iterdir()))
    return Portable(scorer.role, bundle.signature.to_bytes(), bundle.filled, bundle.read(MODEL_PATH), weights)


def _parts(
    scorers: Sequence[Scorer],
    heuristic: PortableHeuristic | None,
    task: Task,
    engine: str,
    progress: Progress,
    keeper: Keeper | None = None,
) -> list[Counted]:
    """Return the counts of all rows, in as many parts as the engine made."""
    beside = () if heuristic is None else (heuristic,)
    if parse_engine(engine)[0] != "serial":
        parts = []
        for part, share in run(engine, task, (*(_portable(scorer) for scorer in scorers), *beside)):
            parts.append(part)
            progress("scoring rows", share)
        return parts
    expected, last = dataset.row_count(task.data), None
    models = [Model(each.role, each.bundle.signature, each.bundle.filled, each.session) for each in scorers]
    # The same batches as the other engines': a graph need not answer a row alike beside other rows.
    groups = tuple(range(len(dataset.row_groups(task.data)))) if task.data.suffix == ".parquet" else None
    for last in counting(task, [*models, *(each.load() for each in beside)], Part(groups), keeper=keeper):
        progress("scoring rows", None if not expected else last.rows / expected)
    return [] if last is None else [last]


def measure(
    scorers: Sequence[Scorer],
    *,
    data: Path,
    policy: Policy,
    engine: str = "serial",
    all_ranked: bool = False,
    heuristic: PortableHeuristic | None = None,
    progress: Progress = silent,
    keeper: Keeper | None = None,
    tainted: NDArray[np.int64] | None = None,
) -> Measured:
    """Score every bundle on every row of a file and return the State.

    Args:
        scorers: the challenger, and the champion if there is one.
        data: Parquet, CSV or JSON-lines file; columns it has beyond what is read are not looked at.
        policy: names label, unit and slices, and pins the file if it gives a digest.
        engine: ``serial``, ``pool[:WORKERS]`` or ``dask[:ADDRESS]``; the State is the same.
        all_ranked: whether scores of all rows get histograms even if no rule asks for them.
        heuristic: asked about the same rows, where the policy names one and a verdict is to follow.
        progress: told the share of rows done.
        keeper: shown every batch of scored rows; the engine must be ``serial``.
        tainted: numbers of rows to be counted by themselves too, ascending.

    Raises:
        InputError: unreadable file, missing column, a value that does not fit, no rows, another file
            than the policy pins.
        UnavailableError: the engine is not there, or a worker of it died.
    """
    _check_comparable(scorers, policy)
    digest = dataset.file_digest(data)
    if policy.data.blackbox is not None and digest != policy.data.blackbox:
        raise InputError(
            f"the data is {digest}, the policy pins {policy.data.blackbox}",
            where=str(data.name),
            hint="compare on the blackbox rows that the policy was written for",
        )
    _check_sets(scorers, policy, digest, data.name)
    salt = derive_salt(policy.digest, digest)
    constant = scorers[0].bundle.experiment.data.label_mean if policy.task == "regression" else None
    ranked = all_ranked and policy.task is None
    apart = b"" if tainted is None else tainted.tobytes()
    task = Task(data.absolute(), digest, policy, salt, ranked, constant, apart)
    parts = _parts(scorers, heuristic, task, engine, progress, keeper)
    classes = scorers[0].bundle.signature.classes if policy.task == "multiclass" else ()
    models: tuple[ModelRole, ...] = tuple(scorer.role for scorer in scorers)
    found = assembled(parts, task, models if heuristic is None else (*models, "heuristic"), classes)
    first = scorers[0]
    challenger = Model(first.role, first.bundle.signature, first.bundle.filled, first.session)
    return replace(
        found,
        robustness=perturb(challenger, policy, data, salt=salt, progress=progress),
        files={} if heuristic is None else {heuristic.file: heuristic.data},
    )


def assembled(
    parts: Sequence[Counted], task: Task, models: tuple[ModelRole, ...], classes: tuple[Scalar, ...]
) -> Measured:
    """Return what all parts measure together, its slices in the order that any order of the rows gives.

    Args:
        parts: as they were counted.
        task: which measurement.
        models: whose scores were counted.
        classes: of a multiclass task, in their order.

    Raises:
        InputError: no rows.
    """
    if not parts:
        raise InputError("no rows", where=str(task.data.name))
    policy, total = task.policy, merged(parts, task)
    order = total.slicer.ordering()
    state = total.state.reordered(order)
    layout = layout_for(policy, models, len(classes), constant=task.constant is not None)
    axes = StateAxes(
        task=policy.kind_of_task,
        slices=tuple(total.keys[number] for number in order),
        buckets=policy.data.buckets,
        salt=f"{task.salt:016x}",
        statistics=layout.statistics,
        models=models,
        calibration_bins=task.bins,
        ranked=state.ranked,
        calibrated=state.calibrated,
        classes=classes,
        weighted=layout.weighted,
        columns=layout.columns,
        zero_rule=layout.zero_rule,
        human=layout.human,
    )
    rows, units = total.rows, len(total.units)
    facts = DataFacts(file=task.digest, rows=rows, units=units, label=policy.data.label, unit=policy.data.unit)
    return Measured(state, axes, facts, tainted=None if total.tainted is None else total.tainted.reordered(order))


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
    many = max(1, len(bundle.attestations))
    keys = keys_for(trust, "builder", now=now, channel=None, signatures=many)
    check_release(bundle, keys, threshold=trust.roles["builder"].threshold)
    return True
