"""Score bundles on the same rows and count what a verdict needs: the State, and nothing of a row.

The rows are streamed; each batch is scored by every bundle, sliced, hashed into buckets by its
unit, counted, and dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.adapters.runtime import Session, scores_of
from candidate.adapters.trust import keys_for
from candidate.documents.evidence import DataFacts, ModelRole, StateAxes
from candidate.documents.policy import Policy
from candidate.documents.trust import TrustPolicy
from candidate.documents.where import Scalar
from candidate.errors import InputError, RefusedError
from candidate.flows.progress import Progress, silent
from candidate.flows.slicing import Coded, Slicer, coded
from candidate.flows.verifying import Bundle, check_release
from candidate.judgement.state import State, buckets_of, derive_salt, observe, statistics_for

BATCH_ROWS = 65_536


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


def _positives(label: Coded, scorer: Scorer, first_row: int, data: Path) -> NDArray[np.bool_]:
    """Return which rows have the positive class, or say which row has no known class."""
    signature = scorer.bundle.signature
    known: dict[Scalar | None, bool] = {name: name == signature.positive for name in signature.classes}
    for position, value in enumerate(label.values):
        if value not in known:
            row = first_row + int(np.flatnonzero(label.codes == position)[0])
            raise InputError(
                f"label {value!r} is none of the classes {', '.join(map(repr, signature.classes))}",
                where=f"{data.name}, row {row}, column {signature.label}",
            )
    truth = np.array([known[value] for value in label.values], dtype=bool)
    return truth[label.codes]


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
    slicer = Slicer(policy)
    columns = list(policy.columns)
    for scorer in scorers:
        columns += [name for name in scorer.bundle.signature.features if name not in columns]
    bins = policy.calibration.bins if policy.calibration is not None else 15
    models = tuple(scorer.role for scorer in scorers)
    total: State | None = None
    rows, units = 0, set[Any]()
    expected = dataset.row_count(data)
    for batch in dataset.batches(data, columns, rows=BATCH_ROWS):
        read = {name: coded(*dataset.coded_column(batch, name)) for name in policy.columns}
        unit = read[policy.data.unit]
        if None in unit.values:
            row = rows + int(np.flatnonzero(unit.codes == unit.values.index(None))[0])
            raise InputError("a row without a unit", where=f"{data.name}, row {row}, column {policy.data.unit}")
        units.update(unit.values)
        scores, predicted = _score(scorers, batch, first_row=rows, data=data)
        groups = slicer.groups(read, batch.num_rows)
        part = observe(
            positive=_positives(read[policy.data.label], scorers[0], rows, data),
            scores=scores,
            predicted=predicted,
            groups=groups,
            n_slices=len(slicer.keys),
            buckets=buckets_of(np.array(unit.values), salt=salt, buckets=policy.data.buckets)[unit.codes],
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


def _score(
    scorers: Sequence[Scorer], batch: Any, *, first_row: int, data: Path
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return scores and predictions, each of shape (rows, models)."""
    scores = np.empty((batch.num_rows, len(scorers)), dtype=np.float64)
    predicted = np.empty((batch.num_rows, len(scorers)), dtype=bool)
    for column, scorer in enumerate(scorers):
        signature = scorer.bundle.signature
        filled = scorer.bundle.filled
        feeds = dataset.feeds(batch, signature.inputs, first_row=first_row, where=data.name, filled=filled)
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
    many = max(1, len(bundle.attestations))
    keys = keys_for(trust, "builder", now=now, channel=None, signatures=many)
    check_release(bundle, keys, threshold=trust.roles["builder"].threshold)
    return True
