"""The nine lines of a model candidate, and what a policy asks for those that are not about metrics alone."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from candidate.document import Digest, Grown, Part
from candidate.documents.where import Scalar

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
Share = Annotated[float, Field(gt=0, lt=1)]


class CalibrationRule(Grown):
    """How far predicted probabilities may be from observed frequencies, or predicted numbers from true ones."""

    later: ClassVar[tuple[str, ...]] = ("by", "in_the_large")

    metric: Literal["l2_debiased"] = "l2_debiased"
    bins: Annotated[int, Field(ge=2, le=100)] = 15
    """Equal-width bins of the score over [0, 1]."""
    max: Share | None = None
    """Largest root-mean-square difference, after the bias of finite bins is taken out; of each class where there
    are several. Needed but for a regression, which has none."""
    by: tuple[str, ...] | str | None = None
    """Hold it in every value of this column (or combination of these columns) too."""
    in_the_large: Annotated[float, Field(gt=0)] | None = None
    """Largest difference of the mean prediction and the mean outcome, over all rows and in each slice."""


Beat = Literal["must_beat", "report"]


class HeuristicLevel(Part):
    """What is done without a model: a file, fixed before the run."""

    ref: Annotated[str, Field(pattern=r"\.(toml|onnx)$")]
    """Rules (TOML) or a graph (ONNX), relative to the policy's folder."""
    digest: Digest
    """Of the file; another file is refused."""
    require: Beat = "must_beat"
    threshold: Share | None = None
    """Of a graph: score from which its answer is yes, 0.5 unless said; rules have their own."""

    @model_validator(mode="after")
    def _one_threshold(self) -> Self:
        if self.threshold is not None and not self.ref.endswith(".onnx"):
            raise ValueError("threshold is for a graph: rules say their own")
        return self


class HumanLevel(Part):
    """How well people do it: a share of wrong answers with its number of rows, or their answer to each row."""

    error: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of rows that people answered wrongly, elsewhere."""
    n: Annotated[int, Field(ge=1, le=2**40)] | None = None
    """On so many rows, independent of each other."""
    column: str | None = None
    """Column of the blackbox with a person's answer to the row, in the words of the label."""
    missing: Scalar | None = None
    """The answer that a row without one stands for; unsaid, such a row is an error."""
    require: Beat = "report"

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        figure = (self.error is not None, self.n is not None)
        if figure not in {(True, True), (False, False)} or figure[0] == (self.column is not None):
            raise ValueError("give error and n, or column")
        if self.missing is not None and self.column is None:
            raise ValueError("missing goes with column")
        return self


class Baselines(Grown):
    """The mandatory reference points."""

    later: ClassVar[tuple[str, ...]] = ("heuristic", "human")

    zero_rule: Beat = "must_beat"
    """Predict the training set's positive rate for every row."""
    heuristic: HeuristicLevel | None = None
    human: HumanLevel | None = None


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


class HoldoutRule(Part):
    """How often the blackbox rows may be looked at; ``compare`` then needs a ledger."""

    budget: Annotated[int, Field(ge=1, le=100_000)] = 20
    """Looks at the same rows, whatever their file is called: comparisons of another pair, or by another policy."""
    spend: Literal["alpha/T", "open"] = "alpha/T"
    """``alpha/T``: every look may claim superiority at alpha over the budget; after that the verdict is at most
    inconclusive. ``open``: look t may at 6 alpha / (pi t)^2, without end."""


class ContaminationRule(Part):
    """Blackbox rows that also stand among the rows the challenger was trained on; ``compare`` then needs those.

    If there are any, the verdict is also drawn without them, and must be the same.
    """

    match: Literal["features", "rows"] = "features"
    """Which rows are the same: those with the same features, or with the same features and label."""
    columns: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Instead of the challenger's features, these columns: an identity, or all but what differs in near duplicates."""
    max_rate: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Largest share of such rows, held against an exact bound; null: any, as long as the verdict stands without."""


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
