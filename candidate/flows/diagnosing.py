"""Say where a model loses and what to do next, from eyeball rows: those that may be looked at."""

import csv
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.adapters.archive import Archive
from candidate.documents.diagnosed import Cause, Control, Diagnosis, ErrorGroup, MeanLoss, Reading
from candidate.documents.names import MODEL_PATH
from candidate.documents.policy import Policy
from candidate.documents.trust import TrustPolicy
from candidate.errors import InputError
from candidate.flows.evaluating import policy_for
from candidate.flows.measuring import is_attested
from candidate.flows.observing import Batch, Model, Seen, seen
from candidate.flows.progress import Progress, silent
from candidate.flows.slicing import coded
from candidate.flows.verifying import Bundle, inspect
from candidate.judgement.errors import Column, Group, interval, worst_groups
from candidate.judgement.intervals import Share, t_quantile

SHEET_ROWS = 100
"""So many errors are written down to be annotated, drawn by chance: the worst are not the commonest."""
CAUSE = "cause"
BINS = 5
VALUES = 30
"""Values of a column that are told apart, the commonest first."""
MOST_ROWS = 2_000_000
SEED = 20_180_331
"""Of what is drawn by chance; fixed, so that the same rows give the same sheet."""
SHUFFLES = 20
HALF = 0.5


@dataclass(frozen=True)
class Rows:
    """Rows as a bundle answered them.

    Attributes:
        table: Arrow table of all columns.
        loss: of each row, finite, shape (rows,).
        seen: truth, scores and answers.
    """

    table: Any
    loss: NDArray[np.float64]
    seen: Seen

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Which rows were answered with another class."""
        found: NDArray[np.bool_] = self.seen.answers[:, 0] != self.seen.truth
        return found


def losses(found: Seen, task: str) -> NDArray[np.float64]:
    """Return the loss of each row: log loss in nats, clipped at float64's epsilon, or the absolute error."""
    if task == "regression":
        return np.abs(found.truth - found.scores[:, 0, 0])
    scores = found.scores[:, 0]
    yes = scores[:, 0] if task == "binary" else np.take_along_axis(scores, found.truth[:, None], axis=1)[:, 0]
    chance = np.where(found.truth == 1, yes, 1 - yes) if task == "binary" else yes
    return np.asarray(-np.log(np.clip(chance, np.finfo(np.float64).eps, 1.0)))


def answered(bundle: Bundle, policy: Policy, path: Path, progress: Progress) -> Rows:
    """Return the rows of a file with what the bundle answers, all of them in memory.

    Raises:
        InputError: unreadable, a column is missing, no rows, or too many of them.
    """
    import pyarrow as pa

    expected = dataset.row_count(path)
    if not 0 < expected <= MOST_ROWS:
        raise InputError(f"{expected:,} rows, 1 to {MOST_ROWS:,} are looked at", where=path.name)
    model = Model("challenger", bundle.signature, bundle.filled, bundle.session())
    parts: list[Seen] = []
    batches = []
    for batch in dataset.batches(path, list(dataset.columns_of_file(path))):
        absent = [name for name in (*model.columns, *policy.columns) if name not in batch.schema.names]
        if absent:
            raise InputError(f"no column {', '.join(map(repr, absent))}", where=path.name)
        first = sum(len(part.truth) for part in parts)
        read = {name: coded(*dataset.coded_column(batch, name)) for name in policy.columns}
        parts.append(seen(Batch(batch, read, first, path), [model], policy))
        batches.append(batch)
        progress("asking about rows", (first + batch.num_rows) / expected)
    whole = Seen(
        truth=np.concatenate([part.truth for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        answers=np.concatenate([part.answers for part in parts]),
        weights=None,
        columns={},
    )
    return Rows(pa.Table.from_batches(batches), losses(whole, policy.kind_of_task), whole)


def grouped(table: Any, leave: Sequence[str]) -> dict[str, Column]:
    """Return every column of a table that can tell rows apart, as codes: numbers in five equal parts.

    Args:
        table: Arrow table.
        leave: columns to leave alone, such as the label; so are names of rows, which few rows share.
    """
    import pyarrow.types as pt

    found = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if name in leave or pt.is_nested(column.type):
            continue
        numeric = pt.is_floating(column.type) or pt.is_integer(column.type) or pt.is_decimal(column.type)
        made = _parts(column) if numeric else _values(column)
        if made is not None and len(made.names) > 1:
            found[name] = made
    return found


def _parts(column: Any) -> Column | None:
    values = np.asarray(column.cast("float64").to_numpy(zero_copy_only=False), dtype=np.float64)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    few = np.unique(finite)
    if len(few) <= BINS:
        codes = np.where(np.isfinite(values), np.searchsorted(few, values), len(few))
        return Column(codes.astype(np.int64), [f"{value:g}" for value in few] + ["missing"])
    edges = np.unique(np.quantile(finite, np.arange(1, BINS) / BINS))
    codes = np.where(np.isfinite(values), np.searchsorted(edges, values, side="left"), len(edges) + 1)
    ends = [-math.inf, *edges.tolist(), math.inf]
    names = [f"({low:.4g}, {high:.4g}]" for low, high in pairwise(ends)]
    return Column(codes.astype(np.int64), [*names, "missing"])


def _values(column: Any) -> Column | None:
    import pyarrow as pa

    values, codes = dataset.coded_column(pa.record_batch({"x": column}), "x")
    if len(values) > HALF * len(codes):
        return None
    ranked = np.argsort(-np.bincount(codes, minlength=len(values)), kind="stable")[:VALUES]
    place = np.full(len(values), len(ranked), dtype=np.int64)
    place[ranked] = np.arange(len(ranked))
    names = ["missing" if values[each] is None else str(values[each]) for each in ranked]
    return Column(place[codes], [*names, "any other"])


def _mean(loss: NDArray[np.float64]) -> MeanLoss:
    value, lower, upper = interval(loss)
    return MeanLoss(value=value, lower=lower, upper=upper, rows=len(loss))


def zero_rule(found: Seen, task: str) -> float:
    """Return the mean loss of the best constant answer on these very rows: the shares of the classes, or the median."""
    if task == "regression":
        return float(np.abs(found.truth - np.median(found.truth)).mean())
    shares = np.bincount(found.truth.astype(np.int64)) / len(found.truth)
    there = shares[shares > 0]
    return float(-(there * np.log(there)).sum())


def reading(eyeball: MeanLoss, train: MeanLoss | None, nothing: float, alpha: float = 0.05) -> tuple[Reading, str]:
    """Return whether bias or variance is the larger part of the loss, and what that asks for.

    Bias is what the model loses on rows it has seen, of what knowing nothing loses; variance is what it loses more on
    rows it has not. The larger of the two is named if it is proven: the gap by Welch's interval, the bias by that of
    the training loss.
    """
    if train is None:
        return "unknown", "give the training rows (--train) to tell bias from variance"
    errors = [(each.upper - each.lower) / 2 / t_quantile(1 - alpha / 2, each.rows - 1) for each in (eyeball, train)]
    gap = eyeball.value - train.value
    half = t_quantile(1 - alpha, min(eyeball.rows, train.rows) - 1) * math.hypot(*errors)
    between = f"{gap:.4g} (at least {gap - half:.4g})"
    if gap - half > 0 and gap >= train.value:
        return "variance", (
            f"variance: rows it has not seen lose {between} more than the training rows' {train.value:.4g}; "
            "more rows, a simpler model or stronger regularisation come first"
        )
    if train.lower > HALF * nothing:
        return "bias", (
            f"bias: even its training rows lose {train.value:.4g} of the {nothing:.4g} that a constant answer loses; "
            "better features or a stronger model come first, more rows will not help"
        )
    return "neither", (
        f"neither stands out: training rows lose {train.value:.4g}, others {between} more, a constant answer "
        f"{nothing:.4g}; look at the groups"
    )


def _controls(bundle: Bundle, policy: Policy, rows: Rows) -> tuple[Control, ...]:
    """Return the experiments of which the outcome is known."""
    import onnx
    import onnx.numpy_helper

    rng = np.random.default_rng(SEED)
    task, found = policy.kind_of_task, rows.seen
    shuffled = [
        float(losses(Seen(rng.permutation(found.truth), found.scores, found.answers, None, {}), task).mean())
        for _ in range(SHUFFLES)
    ]
    graph = onnx.load_from_string(bundle.read(MODEL_PATH)).graph
    inside = [tensor for tensor in graph.initializer if not tensor.external_data]
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in inside]
    arrays += [np.array(attribute.floats) for node in graph.node for attribute in node.attribute if attribute.floats]
    weights = sum(int(np.isnan(each).sum()) for each in arrays if each.dtype.kind == "f")
    answers = int((~np.isfinite(found.scores)).sum())
    nothing, own = zero_rule(found, task), float(rows.loss.mean())
    return (
        Control(
            name="labels shuffled",
            found=float(np.mean(shuffled)),
            expected=f"more than the model's {own:.4g}, and no less than a constant answer's {nothing:.4g}",
            passed=min(shuffled) > own and float(np.mean(shuffled)) >= nothing * (1 - 1e-9),
        ),
        Control(
            name="answers differ",
            found=float(np.ptp(found.scores.reshape(len(rows.loss), -1), axis=0).max()),
            expected="more than 0: answers differ with their inputs",
            passed=bool(np.ptp(found.scores.reshape(len(rows.loss), -1), axis=0).max() > 0),
        ),
        Control(name="weights finite", found=float(weights), expected="0 that are no number", passed=weights == 0),
        Control(name="answers finite", found=float(answers), expected="0 that are not", passed=answers == 0),
    )


def _sheet(rows: Rows, bundle: Bundle, groups: Sequence[Group]) -> bytes:
    """Return errors drawn by chance as CSV, with an empty column for their causes."""
    task, signature = bundle.signature.task, bundle.signature
    wrong = np.flatnonzero(rows.wrong) if task != "regression" else np.argsort(-rows.loss)[: len(rows.loss) // 10 or 1]
    picks = np.sort(np.random.default_rng(SEED).permutation(wrong)[:SHEET_ROWS])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = rows.table.column_names
    writer.writerow(["row", CAUSE, "truth", "answer", "score", "loss", "group", *names])
    chosen = rows.table.take(picks).to_pylist()
    for pick, values in zip(picks.tolist(), chosen, strict=True):
        answer = rows.seen.scores[pick, 0, 0] if task == "regression" else rows.seen.answers[pick, 0]
        truth = rows.seen.truth[pick]
        said = (truth, answer) if task == "regression" else (_class(signature, truth), _class(signature, answer))
        group = next((each.name for each in groups if each.mask[pick]), "")
        score = f"{rows.seen.scores[pick, 0].max():.6g}"
        writer.writerow([pick, "", *said, score, f"{rows.loss[pick]:.6g}", group, *(values[name] for name in names)])
    return text.getvalue().encode()


def _class(signature: Any, place: Any) -> Any:
    if signature.task == "binary":
        others = [name for name in signature.classes if name != signature.positive]
        return signature.positive if place == 1 else others[0]
    return signature.classes[int(place)]


def causes_in(path: Path) -> tuple[int, tuple[Cause, ...]]:
    """Return how many errors of a sheet have a cause, and how often each was given, commonest first.

    Several causes of one error are separated by semicolons.

    Raises:
        InputError: not a sheet that was written here.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot be read: {error}", where=str(path)) from error
    if not lines or CAUSE not in lines[0]:
        raise InputError(f"no column {CAUSE!r}", where=path.name, hint="give the file that --sheet wrote, filled in")
    said = [
        {word.strip() for word in (line[CAUSE] or "").split(";") if word.strip()} for line in lines if line.get(CAUSE)
    ]
    said = [each for each in said if each]
    counted = Counter(word for each in said for word in each)
    causes = []
    for name, count in sorted(counted.items(), key=lambda item: (-item[1], item[0])):
        share = Share(count, len(said))
        causes.append(
            Cause(name=name, count=count, share=share.value, lower=share.lower(0.05), upper=share.upper(0.05))
        )
    return len(said), tuple(causes)


def diagnose(
    bundle: Path | str,
    *,
    data: Path | str,
    train: Path | str | None = None,
    sheet: Path | str | None = None,
    annotated: Path | str | None = None,
    trust: TrustPolicy | None = None,
    now: datetime | None = None,
    progress: Progress = silent,
) -> Diagnosis:
    """Say where a model loses on eyeball rows, whether bias or variance is to blame, and what to look at.

    Args:
        bundle: bundle file of a binary, multiclass or regression model.
        data: labelled eyeball rows; columns beside the features are looked at too.
        train: the training rows, to tell bias from variance.
        sheet: CSV file to write about 100 errors to, with a column for their causes; it must not exist.
        annotated: such a sheet, filled in: its causes are counted.
        trust: if given, a trusted builder must have attested the bundle.
        now: time at which the trust is looked at; by default this moment.
        progress: told the share of rows done.

    Raises:
        InputError: a file cannot be read, lacks a column, or the sheet exists already.
        IntegrityError: the bundle is not what it should be.
    """
    path, written = Path(data), None if sheet is None else Path(sheet)
    if written is not None and written.exists():
        raise InputError("exists already", where=str(written), hint="name a file that does not exist yet")
    counted = None if annotated is None else causes_in(Path(annotated))
    with Archive.open(Path(bundle)) as archive:
        opened = inspect(archive)
        is_attested(opened, trust, datetime.now(UTC) if now is None else now)
        policy = policy_for(opened, path)
        rows = answered(opened, policy, path, progress)
        trained = None if train is None else answered(opened, policy, Path(train), progress)
        controls = _controls(opened, policy, rows)
    task = policy.kind_of_task
    groups, looked = worst_groups(rows.loss, grouped(rows.table, (policy.data.label, policy.data.unit)))
    eyeball, nothing = _mean(rows.loss), zero_rule(rows.seen, task)
    known = None if trained is None else _mean(trained.loss)
    read, says = reading(eyeball, known, nothing)
    if written is not None:
        _write(written, _sheet(rows, opened, groups))
    return Diagnosis(
        bundle=opened.ref,
        data=dataset.file_digest(path),
        loss="absolute error" if task == "regression" else "log loss",
        unit="label" if task == "regression" else "nats",
        eyeball=eyeball,
        train=known,
        zero_rule=nothing,
        reading=read,
        says=says,
        groups=tuple(_told(each, len(rows.loss)) for each in groups),
        looked_at=looked,
        controls=controls,
        errors=None if task == "regression" else int(rows.wrong.sum()),
        sheet=None if written is None else str(written),
        annotated=None if counted is None else counted[0],
        causes=() if counted is None else counted[1],
    )


def _told(group: Group, rows: int) -> ErrorGroup:
    fields: Mapping[str, Any] = {name: value for name, value in vars(group).items() if name != "mask"}
    return ErrorGroup(share_of_rows=group.rows / rows, **fields)


def _write(path: Path, data: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(data)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise InputError(f"cannot be written: {error.strerror}", where=str(path)) from error
