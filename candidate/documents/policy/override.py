"""What a policy allows people to overrule: never a no-go."""

from typing import Annotated, Literal

from pydantic import Field

from candidate.document import Part


class OverrideRule(Part):
    """Whether a person may have promoted what the verdict left open; without this table nobody may."""

    allowed: Annotated[tuple[Literal["inconclusive"], ...], Field(min_length=1, max_length=1)] = ("inconclusive",)
    """Outcomes that may be overridden. There is one: a no-go is proven harm."""
    max_days: Annotated[int, Field(ge=1, le=90)] = 14
    """How long an override may be good for."""
