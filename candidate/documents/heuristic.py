"""``rules.toml``: what somebody would do without a model, as rules of which the first that fits answers."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from candidate.document import Document, Part
from candidate.documents.where import Comparison, parse_where
from candidate.errors import InputError

MAX_RULES = 1000


class HeuristicRule(Part):
    """One rule: where the condition holds, and no earlier one did, this is the answer."""

    where: str
    """A condition over columns of the rows, as a slice has it; a missing value fits none."""
    score: float
    """Probability of the positive class, or the number that is predicted."""

    @model_validator(mode="after")
    def _parses(self) -> Self:
        try:
            parse_where(self.where)
        except InputError as error:
            raise ValueError(error.message) from error
        return self

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """What must hold of a row, all of it."""
        return parse_where(self.where)


class HeuristicRules(Document):
    """A heuristic: rules in order, and an answer for the rows that none of them fits."""

    kind: Literal["candidate.heuristic"] = "candidate.heuristic"
    version: Literal[1] = 1
    description: str = ""
    rule: Annotated[tuple[HeuristicRule, ...], Field(min_length=1, max_length=MAX_RULES)]
    otherwise: float
    threshold: float | None = None
    """Score from which the answer is yes; 0.5 unless said. A heuristic that answers a number has none."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that a rule reads, each once, in order."""
        found = (comparison.column for rule in self.rule for comparison in rule.comparisons)
        return tuple(dict.fromkeys(found))

    @property
    def scores(self) -> tuple[float, ...]:
        """Every answer there is, that of no rule last."""
        return (*(rule.score for rule in self.rule), self.otherwise)
