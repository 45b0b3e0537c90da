"""Measure one bundle on some rows: metrics with intervals, overall and by slice. No verdict."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from candidate.adapters import dataset
from candidate.adapters.archive import Archive
from candidate.documents.decision import Estimate
from candidate.documents.policy import DataRules, Directed, Optimizing, Policy
from candidate.documents.results import Evaluation, SliceMetrics
from candidate.documents.trust import TrustPolicy
from candidate.errors import InputError
from candidate.flows.measuring import Measured, Scorer, is_attested, measure, read_policy
from candidate.flows.progress import Progress, silent
from candidate.flows.verifying import Bundle, inspect
from candidate.judgement.calibration import calibration_estimate
from candidate.judgement.catalogue import catalogue
from candidate.judgement.gate import estimate_metric
from candidate.judgement.metrics import Metric

DEFAULTS: dict[str, Directed] = {"binary": "log_loss", "multiclass": "log_loss", "regression": "mae"}
"""The optimizing metric where no policy says one: it is only reported."""


def policy_for(bundle: Bundle, data: Path) -> Policy:
    """Return the policy of an evaluation that was given none: nothing to hold, all to report."""
    unit, task = bundle.experiment.data.unit, bundle.signature.task
    if unit is None:
        raise InputError(
            "neither a policy nor the bundle says which column is the independent unit",
            where=bundle.ref.name,
            hint="give --policy FILE, or set [data] unit in candidate.toml when building",
        )
    if task not in DEFAULTS:
        raise InputError(
            f"a {task} model has no metrics here", where=bundle.ref.name, hint=f"only {', '.join(DEFAULTS)} models have"
        )
    label, scale = bundle.signature.label, None
    if task == "regression":
        scale = dataset.largest(data, label) or 1.0
    return Policy(
        task=task if task in {"multiclass", "regression"} else None,
        data=DataRules(label=label, unit=unit, scale=scale),
        optimizing=Optimizing(metric=DEFAULTS[task], require="non_inferior", margin=0.0),
    )


def _estimates(measured: Measured, metrics: Mapping[str, Metric], index: int, alpha: float) -> dict[str, Estimate]:
    """Return every metric of a slice that is defined there."""
    found: dict[str, Estimate] = {}
    for name, metric in metrics.items():
        estimate = estimate_metric(measured.state, measured.axes, metric, index, "challenger", alpha)
        if estimate is not None:
            found[name] = estimate
    return found


def _calibration(measured: Measured, policy: Policy) -> Estimate | None:
    """Return the calibration error, of the class where it is largest; none of numbers."""
    curves = measured.state.bins.shape[1]
    found = [
        calibration_estimate(measured.state, measured.axes, "challenger", policy.alpha, curve)
        for curve in range(curves)
    ]
    return max((each for each in found if each is not None), key=lambda each: each.value, default=None)


def evaluate(
    bundle: Path | str,
    *,
    data: Path | str,
    policy: Policy | Path | str | None = None,
    trust: TrustPolicy | None = None,
    now: datetime | None = None,
    engine: str = "serial",
    progress: Progress = silent,
) -> Evaluation:
    """Measure one bundle: every metric, overall and for each slice that the policy names.

    Args:
        bundle: bundle file.
        data: labelled rows.
        policy: names label, unit and slices; by default those recorded in the bundle.
        trust: if given, a trusted builder must have attested the bundle.
        now: time at which the trust is looked at; by default this moment.
        engine: where the rows are counted: ``serial``, ``pool[:WORKERS]`` or ``dask[:ADDRESS]``.
        progress: told the share of rows done.

    Raises:
        InputError: data and bundle do not fit together.
        IntegrityError: the bundle is not what it should be.
    """
    rules = read_policy(Path(policy)) if isinstance(policy, Path | str) else policy
    with Archive.open(Path(bundle)) as archive:
        opened = inspect(archive)
        is_attested(opened, trust, datetime.now(UTC) if now is None else now)
        rules = policy_for(opened, Path(data)) if rules is None else rules
        scorer = Scorer("challenger", opened, opened.session())
        measured = measure([scorer], data=Path(data), policy=rules, engine=engine, all_ranked=True, progress=progress)
    metrics = catalogue(rules)
    slices = tuple(
        SliceMetrics(
            slice=key.name,
            rows=int(measured.state.totals(index, measured.axes.statistics).rows.sum()),
            metrics=_estimates(measured, metrics, index, rules.alpha),
        )
        for index, key in enumerate(measured.axes.slices)
    )
    return Evaluation(
        bundle=opened.ref,
        data=measured.data,
        alpha=rules.alpha,
        slices=slices,
        calibration=_calibration(measured, rules),
        definitions={name: metric.definition for name, metric in metrics.items()},
    )
