"""What a policy asks of the rows: which they are, the one metric to improve, limits, and slices."""

from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from candidate.document import Digest, Grown, Part
from candidate.documents.policy.metrics import Directed, GapMetric, RateMetric, SystemMetric
from candidate.documents.where import parse_where
from candidate.errors import InputError

Columns = Annotated[tuple[str, ...], Field(min_length=1)]
Margin = Annotated[float, Field(ge=0)]


class DataRules(Grown):
    """Which columns of the blackbox rows mean what, and which rows are meant."""

    later: ClassVar[tuple[str, ...]] = ("weight", "scale", "eyeball", "train")

    label: str
    unit: str
    """Column of the independent sampling unit; rows of one unit are not independent."""
    time: str | None = None
    blackbox: Digest | None = None
    """If given, the data file must have exactly this digest."""
    eyeball: Digest | None = None
    """Rows that were looked at while developing: the data file may not be this one."""
    train: Digest | None = None
    """If given, the challenger must have been trained on exactly this file, and the data file may not be it."""
    buckets: Annotated[int, Field(ge=32, le=4096)] = 64
    """Number of buckets that units are hashed into; no claim is made on fewer than 20 occupied ones."""
    weight: str | None = None
    """Column that says how much each row counts, at least 0; every metric is then weighted by it."""
    scale: Annotated[float, Field(gt=0, le=1e12)] | None = None
    """Regression only: about the largest value of the label. Errors are summed in steps of ``scale / 2**30``, and
    no label may be larger than 5.6 times it."""


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

    metric: Directed | Literal[RateMetric, GapMetric, SystemMetric]
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


class SliceRule(Grown):
    """Named subsets of the rows that must not get worse."""

    later: ClassVar[tuple[str, ...]] = ("noise",)

    by: str | Columns | None = None
    """One slice for each value of this column (or combination of these columns)."""
    where: str | None = None
    """One slice: the rows for which this condition holds."""
    margin: Margin
    """The loss that is tolerated, in units of the metric."""
    metric: Directed | None = None
    """By default the optimizing metric."""
    noise: Margin | None = None
    """How far mere retrains differ, from ``candidate calibrate``; a smaller margin is said to be below it."""

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
