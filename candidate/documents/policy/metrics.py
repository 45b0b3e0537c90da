"""Which metrics a rule may name, and those that a policy defines itself."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from candidate.document import Part
from candidate.documents.formula import parse_formula
from candidate.errors import InputError

QualityMetric = Literal[
    "log_loss", "brier", "error_rate", "accuracy", "balanced_accuracy", "precision", "recall", "f1", "mcc"
]
"""Metrics of a binary task, each defined in ``candidate.judgement.metrics``."""
ClassMetric = Literal[
    "precision_macro", "recall_macro", "f1_macro", "precision_weighted", "recall_weighted", "f1_weighted"
]
"""Averages over the classes of a multiclass task: each class alike, or by its number of rows."""
SharedMetric = Literal["log_loss", "brier", "error_rate", "accuracy", "balanced_accuracy", "mcc"]
"""Metrics of a binary task that a multiclass task has too."""
NumberMetric = Literal["mae", "mse", "rmse", "r2", "pinball", "mape", "smape"]
"""Metrics of a regression, each defined in ``candidate.judgement.numbers``."""
MeasuredTask = Literal["binary", "multiclass", "regression"]
"""Tasks that a policy may be about."""
RankingMetric = Literal["roc_auc", "pr_auc", "ks", "precision_at_k", "lift_at_k"]
"""Metrics of how a binary model orders the rows; they need histograms of the scores."""
RateMetric = Literal["selection_rate", "true_positive_rate", "false_positive_rate"]
"""Shares that a limit may be set on, and of which groups may differ."""
GapMetric = Literal["demographic_parity_gap", "equal_opportunity_gap", "equalized_odds_gap"]
"""Largest difference between any two groups: of selection rates, of true positive rates, of true
and of false positive rates."""
CustomMetric = Annotated[str, Field(pattern=r"^custom\.[a-z][a-z0-9_]{0,40}$")]
"""A metric that the policy defines itself, under ``[[metrics]]``."""
Directed = Literal[QualityMetric, ClassMetric, NumberMetric, RankingMetric, "expected_cost"] | CustomMetric
"""Metrics of which it is known whether more or less is better."""
SystemMetric = Literal[
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "latency_p99_ratio",
    "size_bytes",
    "model_size_bytes",
]
"""What serving costs; ``latency_p99_ratio`` is challenger over champion."""

Cost = Annotated[float, Field(ge=-1e9, le=1e9)]


METRICS_OF: dict[MeasuredTask, tuple[str, ...]] = {
    "binary": (*get_args(QualityMetric), *get_args(RankingMetric), *get_args(RateMetric), *get_args(GapMetric)),
    "multiclass": (*get_args(SharedMetric), *get_args(ClassMetric)),
    "regression": get_args(NumberMetric),
}
"""Which metrics of quality each task has; a binary one has ``expected_cost`` and a policy's own besides."""


class Costs(Part):
    """What each of the four outcomes of a row costs; a gain is below zero."""

    true_positive: Cost = 0.0
    false_positive: Cost
    false_negative: Cost
    true_negative: Cost = 0.0
    unit: Annotated[str, Field(min_length=1, max_length=20)] = "1"
    """Of the cost, for example ``EUR``."""


class CustomRule(Part):
    """A metric of one's own, over the counts of the confusion matrix."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
    """Rules refer to it as ``custom.NAME``."""
    formula: str
    """Arithmetic over ``tp fp fn tn n positive negative selected``, for example ``fp / negative``; ``amount[fn]``
    is the sum of the column ``amount`` over the rows that are false negatives."""
    direction: Literal["min", "max"]
    unit: Annotated[str, Field(min_length=1, max_length=20)] = "1"
    definition: Annotated[str, Field(min_length=1, max_length=300)]
    """What it is, in one sentence."""

    @model_validator(mode="after")
    def _parses(self) -> Self:
        try:
            parse_formula(self.formula)
        except InputError as error:
            raise ValueError(f"{error.message}; {error.hint}") from error
        return self
