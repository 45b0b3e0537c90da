"""``policy.toml``: what must hold, fixed before the run."""

from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from candidate.document import Digest, Document, Grown, Part
from candidate.documents.formula import parse_formula
from candidate.documents.where import parse_where
from candidate.errors import InputError

QualityMetric = Literal[
    "log_loss", "brier", "error_rate", "accuracy", "balanced_accuracy", "precision", "recall", "f1", "mcc"
]
"""Metrics of a binary task, each defined in ``candidate.judgement.metrics``."""
RankingMetric = Literal["roc_auc", "pr_auc", "ks", "precision_at_k", "lift_at_k"]
"""Metrics of how a binary model orders the rows; they need histograms of the scores."""
RateMetric = Literal["selection_rate", "true_positive_rate", "false_positive_rate"]
"""Shares that a limit may be set on, and of which groups may differ."""
GapMetric = Literal["demographic_parity_gap", "equal_opportunity_gap", "equalized_odds_gap"]
"""Largest difference between any two groups: of selection rates, of true positive rates, of true
and of false positive rates."""
CustomMetric = Annotated[str, Field(pattern=r"^custom\.[a-z][a-z0-9_]{0,40}$")]
"""A metric that the policy defines itself, under ``[[metrics]]``."""
Directed = Literal[QualityMetric, RankingMetric, "expected_cost"] | CustomMetric
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

ChecklistLine = Literal[
    "optimizing",
    "satisficing",
    "slices",
    "calibration",
    "availability",
    "skew",
    "reproducibility",
    "packaging",
    "rollback",
]
CHECKLIST: tuple[ChecklistLine, ...] = (
    "optimizing",
    "satisficing",
    "slices",
    "calibration",
    "availability",
    "skew",
    "reproducibility",
    "packaging",
    "rollback",
)
"""The nine lines of a model candidate, in order."""

Columns = Annotated[tuple[str, ...], Field(min_length=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Margin = Annotated[float, Field(ge=0)]
Cost = Annotated[float, Field(ge=-1e9, le=1e9)]


class DataRules(Part):
    """Which columns of the blackbox rows mean what, and which rows are meant."""

    label: str
    unit: str
    """Column of the independent sampling unit; rows of one unit are not independent."""
    time: str | None = None
    blackbox: Digest | None = None
    """If given, the data file must have exactly this digest."""
    buckets: Annotated[int, Field(ge=32, le=4096)] = 64
    """Number of buckets that units are hashed into; no claim is made on fewer than 20 occupied ones."""


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
    """Arithmetic over ``tp fp fn tn n positive negative selected``, for example ``fp / negative``."""
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


class Optimizing(Part):
    """The one metric to improve."""

    metric: Directed
    require: Literal["superior", "non_inferior"]
    min_gain: Margin | None = None
    """With ``superior``: the gain that must be exceeded, in units of the metric."""
    margin: Margin | None = None
    """With ``non_inferior``: the loss that is tolerated, in units of the metric."""

    @model_validator(mode="after")
    def _one_threshold(self) -> Self:
        wanted, other = ("min_gain", "margin") if self.require == "superior" else ("margin", "min_gain")
        if getattr(self, wanted) is None or getattr(self, other) is not None:
            raise ValueError(f"require = {self.require!r} takes {wanted} and not {other}")
        return self


class Limit(Part):
    """A satisficing limit: good enough is enough."""

    metric: Literal[QualityMetric, RankingMetric, "expected_cost", RateMetric, GapMetric, SystemMetric] | CustomMetric
    max: float | None = None
    min: float | None = None
    by: str | Columns | None = None
    """Quality metrics only: hold the limit in every value of this column too."""

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.max is None) == (self.min is None):
            raise ValueError("give exactly one of max and min")
        if self.by is not None and self.metric in get_args(SystemMetric):
            raise ValueError(f"{self.metric} has no slices")
        if self.metric in get_args(GapMetric) and (self.by is None or self.max is None):
            raise ValueError(f"{self.metric} takes by (the column of the groups) and max")
        return self


class SliceRule(Part):
    """Named subsets of the rows that must not get worse."""

    by: str | Columns | None = None
    """One slice for each value of this column (or combination of these columns)."""
    where: str | None = None
    """One slice: the rows for which this condition holds."""
    margin: Margin
    """The loss that is tolerated, in units of the metric."""
    metric: Directed | None = None
    """By default the optimizing metric."""

    @model_validator(mode="after")
    def _one_selector(self) -> Self:
        if (self.by is None) == (self.where is None):
            raise ValueError("give exactly one of by and where")
        if self.where is not None:
            try:
                parse_where(self.where)
            except InputError as error:
                raise ValueError(error.message) from error
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the rule reads."""
        if self.where is not None:
            return tuple(comparison.column for comparison in parse_where(self.where))
        return columns_of(self.by)


def columns_of(by: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the columns of a ``by`` key, which may be one name, several or none."""
    if by is None:
        return ()
    return (by,) if isinstance(by, str) else by


class Slices(Part):
    """Slices: a guard must be proven unharmed for a go, a watch stops only on proven harm."""

    guard: tuple[SliceRule, ...] = ()
    watch: tuple[SliceRule, ...] = ()
    max_mde: Annotated[float, Field(gt=0)] | None = None
    """A watch slice that could not have seen a change of this size is blind; by default its margin."""


class CalibrationRule(Part):
    """How far predicted probabilities may be from observed frequencies."""

    metric: Literal["l2_debiased"] = "l2_debiased"
    bins: Annotated[int, Field(ge=2, le=100)] = 15
    """Equal-width bins of the score over [0, 1]."""
    max: Annotated[float, Field(gt=0, lt=1)]
    """Largest root-mean-square difference, after the bias of finite bins is taken out."""


class Baselines(Part):
    """The mandatory reference points."""

    zero_rule: Literal["must_beat", "report"] = "must_beat"
    """Predict the training set's positive rate for every row."""


class ParityRule(Part):
    """Row parity between the fitted pipeline and the graph in the bundle."""

    rows: Annotated[int, Field(ge=1)] = 3000
    """At least so many rows must have been compared."""
    max_mismatch: Share = 0.001
    """Largest share of rows that differ, held against an exact upper bound."""


class Skew(Part):
    """Training-serving skew."""

    parity: ParityRule = Field(default_factory=ParityRule)


class Reproduce(Part):
    """What must be on record so that the model can be trained again."""

    require_clean: bool = True
    """The commit must be known and without uncommitted changes; else the source's digest may stand in for it."""


class Rollback(Part):
    """Where to return to."""

    target: Literal["champion", "none"] = "champion"
    """``none`` is allowed only for a first release, and must be said."""


class Bench(Part):
    """How latency is measured: single rows, one thread, interleaved rounds."""

    rounds: Annotated[int, Field(ge=30, le=10_000)] = 40
    calls: Annotated[int, Field(ge=10, le=100_000)] = 100
    """Calls in each round for each bundle."""


class Checklist(Part):
    """Which of the nine lines must have evidence and hold."""

    require: tuple[ChecklistLine, ...] = CHECKLIST


class Policy(Grown, Document):
    """What must hold for a go; every key that is not known here is refused."""

    later: ClassVar[tuple[str, ...]] = ("metrics", "costs", "top")

    kind: Literal["candidate.policy"] = "candidate.policy"
    version: Literal[1] = 1
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """One-sided error rate of each bound, and of the whole family of no-go claims."""
    power: Annotated[float, Field(gt=0.5, lt=1)] = 0.8
    """Power at which the rows still needed are planned."""
    champion: Literal["required", "none"] = "required"
    """``none`` says that this is a first release: the zero-rule becomes the comparator."""
    data: DataRules
    metrics: tuple[CustomRule, ...] = ()
    """Metrics of one's own; the key is written only where there are any, as the next two are."""
    costs: Costs | None = None
    """Needed by ``expected_cost``."""
    top: Share | None = None
    """k of ``precision_at_k`` and ``lift_at_k``: the share of all rows with the highest scores."""
    optimizing: Optimizing
    satisficing: tuple[Limit, ...] = ()
    slices: Slices = Field(default_factory=Slices)
    calibration: CalibrationRule | None = None
    baselines: Baselines = Field(default_factory=Baselines)
    skew: Skew = Field(default_factory=Skew)
    reproduce: Reproduce = Field(default_factory=Reproduce)
    rollback: Rollback = Field(default_factory=Rollback)
    bench: Bench = Field(default_factory=Bench)
    checklist: Checklist = Field(default_factory=Checklist)

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
        """Every column of the data that the policy reads, each once, in order."""
        names = [self.data.label, self.data.unit]
        if self.data.time is not None:
            names.append(self.data.time)
        for limit in self.satisficing:
            names.extend(columns_of(limit.by))
        for rule in (*self.slices.guard, *self.slices.watch):
            names.extend(rule.columns)
        return tuple(dict.fromkeys(names))
