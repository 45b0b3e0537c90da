"""What must not change an answer, and what may change it only one way."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from candidate.document import Part

CHANGES = ("noise", "scale", "add", "missing", "swap", "typo")
"""Ways to change a column, of which a rule has one."""


class RobustnessRule(Part):
    """One change to one column of the rows, and what the challenger's answers must do."""

    column: str
    """A feature of the challenger."""
    noise: Annotated[float, Field(gt=0, le=10)] | None = None
    """Each number times 1 plus or minus at most this share, evenly."""
    scale: Annotated[float, Field(gt=0)] | None = None
    """Each number times this, as if somebody took another unit."""
    add: float | None = None
    """This added to each number."""
    missing: Literal[True] | None = None
    """Each value taken away."""
    swap: Literal[True] | None = None
    """Each value replaced by one of another row."""
    typo: Literal[True] | None = None
    """Two neighbouring letters of each text swapped."""
    expect: Literal["same", "not less", "not more"] = "same"
    """``same``: the class stays, or the number stays within ``tolerance``. The others are about the score of the
    positive class, or the number: it may not fall, or not rise, by more than ``tolerance``."""
    tolerance: Annotated[float, Field(ge=0)] | None = None
    """With ``same`` and a score or number, how far it may move; without, the class alone counts."""
    max_failures: Annotated[float, Field(gt=0, lt=1)]
    """Largest share of rows that may answer otherwise, held against an exact upper bound."""
    rows: Annotated[int, Field(ge=1, le=1_000_000)] = 5000
    """So many rows are asked, evenly spread over the file."""

    @model_validator(mode="after")
    def _one_change(self) -> Self:
        if sum(getattr(self, name) is not None for name in CHANGES) != 1:
            raise ValueError(f"give exactly one of {', '.join(CHANGES)}")
        return self

    @property
    def change(self) -> str:
        """What is done to the column, in a few words."""
        name = next(name for name in CHANGES if getattr(self, name) is not None)
        value = getattr(self, name)
        return f"{name} of {self.column}" if value is True else f"{name} {value:g} of {self.column}"
