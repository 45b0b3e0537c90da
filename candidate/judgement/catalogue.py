"""Every metric a policy may name: those of plain counts, of order, of cost, and its own."""

from collections.abc import Callable

import numpy as np

from candidate.documents.formula import Step, parse_formula, summed_columns
from candidate.documents.policy import Costs, CustomRule, Policy
from candidate.judgement import histograms
from candidate.judgement.classes import CLASS_METRICS
from candidate.judgement.metrics import METRICS, Counts, Floats, Formula, Metric
from candidate.judgement.metrics import cells_of as cells
from candidate.judgement.metrics import ratio_of as ratio
from candidate.judgement.numbers import number_metrics
from candidate.judgement.state import COLUMN_STEP, WEIGHT_STEP, ZERO_RULE, Totals
from candidate.judgement.state.layout import CELLS

DEFAULT_TOP = 0.1
"""k of ``precision_at_k`` and ``lift_at_k`` where a policy does not say."""

_BINNED = f"from {histograms.RANK_BINS} bins of the score"


def _selected(totals: Totals, model: str) -> tuple[Counts, Counts]:
    return totals[f"tp.{model}"] + totals[f"fp.{model}"], totals["n"]


def _false_alarms(totals: Totals, model: str) -> tuple[Counts, Counts]:
    return totals[f"fp.{model}"], totals["n"] - totals["n_pos"]


def _of_share(share: Callable[[Totals, str], tuple[Counts, Counts]]) -> Formula:
    def formula(totals: Totals, model: str) -> Floats:
        return ratio(*share(totals, model))

    return formula


RATES: dict[str, Metric] = {
    "selection_rate": Metric(
        "selection rate",
        "share of rows that are predicted positive; neither more nor less is better",
        "max",
        "1",
        "fairlearn selection_rate",
        _of_share(_selected),
        _selected,
    ),
    "true_positive_rate": Metric(
        "true positive rate",
        METRICS["recall"].definition,
        "max",
        "1",
        "fairlearn true_positive_rate",
        METRICS["recall"].formula,
        METRICS["recall"].share,
    ),
    "false_positive_rate": Metric(
        "false positive rate",
        "share of the negative rows that are predicted positive; undefined without negative rows",
        "min",
        "1",
        "fairlearn false_positive_rate",
        _of_share(_false_alarms),
        _false_alarms,
    ),
}
"""Rates that a limit may be set on, and of which groups may differ."""


def _ranked(of: Callable[[Counts], Floats], constant: Callable[[Totals], Floats]) -> Formula:
    """Return a metric of the histograms; of a constant score, which has none, it is known."""

    def formula(totals: Totals, model: str) -> Floats:
        if model == ZERO_RULE:
            both = (totals["n_pos"] > 0) & (totals["n"] > totals["n_pos"])
            return np.where(both, constant(totals), np.nan)
        if totals.histograms is None:
            return np.full(totals.values.shape[:-1], np.nan)
        models = [name.removeprefix("tp.") for name in totals.names if name.startswith("tp.")]
        return of(totals.histograms[..., models.index(model), :, :])

    return formula


def _share_of_positives(totals: Totals) -> Floats:
    shares: Floats = totals["n_pos"] / np.maximum(totals["n"], 1)
    return shares


def _always(value: float) -> Callable[[Totals], Floats]:
    return lambda totals: np.full(totals["n"].shape, value)


def ranking(top: float = DEFAULT_TOP) -> dict[str, Metric]:
    """Return the metrics of how a model orders the rows.

    Args:
        top: k of those at k, a share of all rows.
    """
    best = f"the {100 * top:g} % of rows with the highest scores"
    return {
        "roc_auc": Metric(
            "ROC AUC",
            "chance that a positive row has a higher score than a negative one, ties counting one half; " + _BINNED,
            "max",
            "1",
            "scikit-learn roc_auc_score; Hanley and McNeil 1982",
            _ranked(histograms.roc_auc, _always(0.5)),
            of_scores=True,
        ),
        "pr_auc": Metric(
            "PR AUC",
            "average precision: precision at every threshold, weighted by the recall it adds; " + _BINNED,
            "max",
            "1",
            "scikit-learn average_precision_score",
            _ranked(histograms.pr_auc, _share_of_positives),
            of_scores=True,
        ),
        "ks": Metric(
            "KS distance",
            "largest distance of the distributions of scores of positive and of negative rows; " + _BINNED,
            "max",
            "1",
            "SciPy ks_2samp",
            _ranked(histograms.kolmogorov_smirnov, _always(0.0)),
            of_scores=True,
        ),
        "precision_at_k": Metric(
            f"precision at {100 * top:g} %",
            f"share of positives among {best}, tied rows in proportion; {_BINNED}",
            "max",
            "1",
            "scikit-learn precision_score at the quantile of the scores",
            _ranked(lambda found: histograms.precision_at(found, top), _share_of_positives),
            of_scores=True,
        ),
        "lift_at_k": Metric(
            f"lift at {100 * top:g} %",
            f"share of positives among {best}, over their share among all rows; {_BINNED}",
            "max",
            "1",
            "precision at k over prevalence",
            _ranked(lambda found: histograms.lift_at(found, top), _always(1.0)),
            of_scores=True,
        ),
    }


def cost(costs: Costs) -> Metric:
    """Return the expected cost of a row by a policy's cost matrix."""

    def formula(totals: Totals, model: str) -> Floats:
        tp, fp, fn, tn = cells(totals, model)
        spent = (
            tp * costs.true_positive + fp * costs.false_positive + fn * costs.false_negative + tn * costs.true_negative
        )
        return ratio(spent, totals["n"])

    return Metric(
        "expected cost",
        f"mean cost of a row: {costs.true_positive:g} for a true and {costs.false_positive:g} for a false positive, "
        f"{costs.false_negative:g} for a false and {costs.true_negative:g} for a true negative",
        "min",
        costs.unit,
        "scikit-learn confusion_matrix times the policy's costs; Elkan 2001",
        formula,
    )


def _applied(step: Step, stack: list[Floats]) -> Floats:
    """Return what an operator makes of the topmost values, which it takes off the stack."""
    top = stack.pop()
    if step == "negate":
        return -top
    if step == "sqrt":
        root: Floats = np.sqrt(np.where(top >= 0, top, np.nan))
        return root
    left = stack.pop()
    if step == "/":
        return ratio(left, top)
    operators: dict[Step, Callable[[Floats, Floats], Floats]] = {"+": np.add, "-": np.subtract, "*": np.multiply}
    return operators[step](left, top)


def _named(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> dict[str, Floats]:
    """Return every name of a formula with its value."""
    found = {"tp": tp, "fp": fp, "fn": fn, "tn": tn, "positive": tp + fn, "negative": fp + tn, "selected": tp + fp}
    return {**found, "n": found["positive"] + found["negative"]}


def custom(rule: CustomRule) -> Metric:
    """Return a policy's own metric. What divides by nothing, or is the root of less, is NaN."""
    steps, columns = parse_formula(rule.formula), summed_columns(rule.formula)

    def formula(totals: Totals, model: str) -> Floats:
        unit = WEIGHT_STEP if totals.weighted else 1
        tp, fp, fn, tn = (cell / unit for cell in cells(totals, model))
        names = _named(tp, fp, fn, tn)
        for column in columns:
            sums = [totals[f"{cell}:{column}.{model}"] / COLUMN_STEP for cell in CELLS]
            names |= {f"{name}:{column}": values for name, values in _named(*sums).items()}
        stack: list[Floats] = []
        with np.errstate(over="ignore", invalid="ignore"):
            for step in steps:
                if isinstance(step, float):
                    stack.append(np.full(tp.shape, step))
                elif step in names:
                    stack.append(names[step])
                else:
                    stack.append(_applied(step, stack))
        return np.where(np.isfinite(stack[0]), stack[0], np.nan)

    return Metric(rule.name, rule.definition, rule.direction, rule.unit, f"the policy: {rule.formula}", formula)


def catalogue(policy: Policy) -> dict[str, Metric]:
    """Return every metric that may be measured under a policy, by the name that its rules use."""
    if policy.kind_of_task == "multiclass":
        return {str(name): metric for name, metric in CLASS_METRICS.items()}
    if policy.kind_of_task == "regression":
        return {str(name): metric for name, metric in number_metrics(policy.data.scale or 1.0, policy.quantile).items()}
    found: dict[str, Metric] = {
        **{str(name): metric for name, metric in METRICS.items()},
        **RATES,
        **ranking(policy.top or DEFAULT_TOP),
    }
    if policy.costs is not None:
        found["expected_cost"] = cost(policy.costs)
    found.update({f"custom.{rule.name}": custom(rule) for rule in policy.metrics})
    return found
