"""``policy.toml``: what must hold, fixed before the run."""

from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from candidate.document import Document, Grown
from candidate.documents.formula import summed_columns
from candidate.documents.policy.lines import (
    CHECKLIST,
    Baselines,
    Bench,
    CalibrationRule,
    Checklist,
    ChecklistLine,
    ContaminationRule,
    HeuristicLevel,
    HoldoutRule,
    HumanLevel,
    ParityRule,
    Reproduce,
    Rollback,
    Share,
    Skew,
)
from candidate.documents.policy.metrics import (
    METRICS_OF,
    ClassMetric,
    Costs,
    CustomMetric,
    CustomRule,
    Directed,
    GapMetric,
    MeasuredTask,
    NumberMetric,
    QualityMetric,
    RankingMetric,
    RateMetric,
    SharedMetric,
    SystemMetric,
)
from candidate.documents.policy.override import OverrideRule
from candidate.documents.policy.robust import RobustnessRule
from candidate.documents.policy.rules import (
    DataRules,
    Limit,
    Optimizing,
    SliceRule,
    Slices,
    columns_of,
)

__all__ = [
    "CHECKLIST",
    "METRICS_OF",
    "Baselines",
    "Bench",
    "CalibrationRule",
    "Checklist",
    "ChecklistLine",
    "ClassMetric",
    "ContaminationRule",
    "Costs",
    "CustomMetric",
    "CustomRule",
    "DataRules",
    "Directed",
    "GapMetric",
    "HeuristicLevel",
    "HoldoutRule",
    "HumanLevel",
    "Limit",
    "MeasuredTask",
    "NumberMetric",
    "Optimizing",
    "OverrideRule",
    "ParityRule",
    "Policy",
    "QualityMetric",
    "RankingMetric",
    "RateMetric",
    "Reproduce",
    "RobustnessRule",
    "Rollback",
    "Share",
    "SharedMetric",
    "Skew",
    "SliceRule",
    "Slices",
    "SystemMetric",
    "columns_of",
]


class Policy(Grown, Document):
    """What must hold for a go; every key that is not known here is refused."""

    later: ClassVar[tuple[str, ...]] = (
        "task",
        "metrics",
        "costs",
        "top",
        "quantile",
        "holdout",
        "override",
        "robustness",
        "contamination",
    )

    kind: Literal["candidate.policy"] = "candidate.policy"
    version: Literal[1] = 1
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """One-sided error rate of each bound, and of the whole family of no-go claims."""
    power: Annotated[float, Field(gt=0.5, lt=1)] = 0.8
    """Power at which the rows still needed are planned."""
    champion: Literal["required", "none"] = "required"
    """``none`` says that this is a first release: the zero-rule becomes the comparator."""
    task: Literal["multiclass", "regression"] | None = None
    """What the models answer; unsaid, it is yes or no."""
    data: DataRules
    metrics: tuple[CustomRule, ...] = ()
    """Metrics of one's own; the key is written only where there are any, as the next two are."""
    costs: Costs | None = None
    """Needed by ``expected_cost``."""
    top: Share | None = None
    """k of ``precision_at_k`` and ``lift_at_k``: the share of all rows with the highest scores."""
    quantile: Share | None = None
    """Which quantile ``pinball`` is the loss of."""
    optimizing: Optimizing
    satisficing: tuple[Limit, ...] = ()
    slices: Slices = Field(default_factory=Slices)
    calibration: CalibrationRule | None = None
    baselines: Baselines = Field(default_factory=Baselines)
    skew: Skew = Field(default_factory=Skew)
    reproduce: Reproduce = Field(default_factory=Reproduce)
    holdout: HoldoutRule | None = None
    """Written only where it is limited."""
    robustness: tuple[RobustnessRule, ...] = ()
    """Changes to the rows that may change few answers; written only where there are any."""
    contamination: ContaminationRule | None = None
    """Written only where training rows are looked for among the blackbox rows."""
    rollback: Rollback = Field(default_factory=Rollback)
    bench: Bench = Field(default_factory=Bench)
    checklist: Checklist = Field(default_factory=Checklist)
    override: OverrideRule | None = None
    """Null: nothing is ever overridden."""

    @model_validator(mode="after")
    def _first_release_is_said(self) -> Self:
        if (self.champion == "none") != (self.rollback.target == "none"):
            raise ValueError(
                "champion = 'none' and [rollback] target = 'none' go together: a first release has nothing to return to"
            )
        return self

    @property
    def named(self) -> tuple[str, ...]:
        """Every metric that a rule names, each once."""
        rules = (*self.slices.guard, *self.slices.watch)
        names = [self.optimizing.metric, *(limit.metric for limit in self.satisficing)]
        names += [rule.metric for rule in rules if rule.metric is not None]
        return tuple(dict.fromkeys(names))

    @property
    def kind_of_task(self) -> MeasuredTask:
        """What the models answer."""
        return self.task or "binary"

    @model_validator(mode="after")
    def _metrics_fit_the_task(self) -> Self:
        task = self.kind_of_task
        everywhere = get_args(SystemMetric)
        for name in self.named:
            own = task == "binary" and (name.startswith("custom.") or name == "expected_cost")
            if not own and name not in (*METRICS_OF[task], *everywhere):
                raise ValueError(f"{name} is no metric of a {task} task; it has {', '.join(METRICS_OF[task])}")
        if (self.data.scale is not None) != (task == "regression"):
            raise ValueError("[data] scale is for task = 'regression', which needs it: about the largest label")
        if (self.quantile is not None) != ("pinball" in self.named):
            raise ValueError("pinball and quantile go together")
        rule = self.calibration
        if rule is not None and (rule.max is None) != (task == "regression"):
            raise ValueError("[calibration] takes max, but for a regression, which takes in_the_large alone")
        if rule is not None and rule.max is None and rule.in_the_large is None:
            raise ValueError("[calibration] of a regression takes in_the_large")
        return self

    @model_validator(mode="after")
    def _metrics_are_whole(self) -> Self:
        own = [f"custom.{rule.name}" for rule in self.metrics]
        if len(set(own)) < len(own):
            raise ValueError("two [[metrics]] have one name")
        for name in self.named:
            if name.startswith("custom.") and name not in own:
                raise ValueError(f"{name} is not defined under [[metrics]]")
            if name == "expected_cost" and self.costs is None:
                raise ValueError("expected_cost needs [costs] false_positive and false_negative")
            if name in {"precision_at_k", "lift_at_k"} and self.top is None:
                raise ValueError(f"{name} needs top, the share of the rows with the highest scores")
        if self.baselines.heuristic is not None and self.task == "multiclass":
            raise ValueError("[baselines.heuristic] answers yes or no, or a number, not one of several classes")
        if self.baselines.human is not None and self.task == "regression":
            raise ValueError("[baselines.human] is about wrong answers, which a regression does not have")
        ranking = get_args(RankingMetric)
        if any((rule.metric or self.optimizing.metric) in ranking for rule in self.slices.watch):
            raise ValueError("a watched slice has no histogram of scores: guard it, or watch another metric")
        return self

    @property
    def ranked(self) -> tuple[tuple[tuple[str, ...], str | None], ...]:
        """Columns or condition of the slices whose scores need a histogram; ``((), None)`` is all rows."""
        ranking = get_args(RankingMetric)
        found: list[tuple[tuple[str, ...], str | None]] = [((), None)] if set(ranking) & set(self.named) else []
        limits = [limit for limit in self.satisficing if limit.metric in ranking and limit.by is not None]
        found += [(columns_of(limit.by), None) for limit in limits]
        guards = [rule for rule in self.slices.guard if (rule.metric or self.optimizing.metric) in ranking]
        found += [(columns_of(rule.by), rule.where) for rule in guards]
        return tuple(dict.fromkeys(found))

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the data whose values the policy tells apart, each once, in order."""
        names = [self.data.unit] if self.task == "regression" else [self.data.label, self.data.unit]
        if self.data.time is not None:
            names.append(self.data.time)
        if self.reviewed is not None:
            names.append(self.reviewed)
        for limit in self.satisficing:
            names.extend(columns_of(limit.by))
        if self.calibration is not None:
            names.extend(columns_of(self.calibration.by))
        for rule in (*self.slices.guard, *self.slices.watch):
            names.extend(rule.columns)
        return tuple(dict.fromkeys(names))

    @property
    def reviewed(self) -> str | None:
        """Column with a person's answer to each row, if there is one."""
        return None if self.baselines.human is None else self.baselines.human.column

    @property
    def summed(self) -> tuple[str, ...]:
        """Every column that a metric of the policy's own sums, each once."""
        return tuple(dict.fromkeys(column for rule in self.metrics for column in summed_columns(rule.formula)))

    @property
    def numbers(self) -> tuple[str, ...]:
        """Every column of the data that the policy reads as numbers, each once."""
        label = (self.data.label,) if self.task == "regression" else ()
        weight = () if self.data.weight is None else (self.data.weight,)
        return tuple(dict.fromkeys((*label, *weight, *self.summed)))
