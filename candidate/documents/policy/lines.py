"""The nine lines of a model candidate, and what a policy asks for those that are not about metrics alone."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from candidate.document import Grown, Part

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


class HoldoutRule(Part):
    """How often the blackbox rows may be looked at; ``compare`` then needs a ledger."""

    budget: Annotated[int, Field(ge=1, le=100_000)] = 20
    """Looks at the same rows, whatever their file is called: comparisons of another pair, or by another policy."""
    spend: Literal["alpha/T", "open"] = "alpha/T"
    """``alpha/T``: every look may claim superiority at alpha over the budget; after that the verdict is at most
    inconclusive. ``open``: look t may at 6 alpha / (pi t)^2, without end."""


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
