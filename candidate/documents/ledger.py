"""A line of the holdout ledger: who looked at which rows, and what the look was allowed to prove."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from candidate.document import Digest, Document, Part
from candidate.documents.decision import Outcome

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]

SKETCH_ROWS = 128
"""Least row hashes that are kept of a holdout, to know it again when some of its rows are gone."""


class HoldoutRows(Part):
    """Which rows a holdout has, without a row of it."""

    digest: Digest
    """Of the multiset of the rows: the same in any order, file, format and compression."""
    rows: Annotated[int, Field(ge=1)]
    columns: tuple[str, ...]
    sketch: Annotated[tuple[Hash, ...], Field(max_length=SKETCH_ROWS)]
    """The least hashes of different rows, ascending."""


class LedgerEntry(Document):
    """One line of a ledger; each names the line before it by digest."""

    kind: Literal["candidate.ledger-entry"] = "candidate.ledger-entry"
    version: Literal[1] = 1
    number: Annotated[int, Field(ge=0)]
    previous: Digest | None
    """Digest of the line before; null for the first."""
    what: Literal["look", "verdict", "plan"]
    holdout: HoldoutRows | None = None
    """Of a look: the rows."""
    policy: Digest
    challenger: Digest | None = None
    champion: Digest | None = None
    look: Annotated[int, Field(ge=1)] | None = None
    """Of a look: the how-manieth at these rows, from 1."""
    alpha: Annotated[float, Field(ge=0, lt=0.5)] | None = None
    """Of a look: error rate that superiority may be claimed at; 0 where nothing may be claimed any more."""
    of: Digest | None = None
    """Of a verdict: the digest of its look. Of a plan: the digest of the plan."""
    outcome: Outcome | None = None
    """Of a verdict."""

    @model_validator(mode="after")
    def _says_what_it_must(self) -> Self:
        if (self.number == 0) != (self.previous is None):
            raise ValueError("the first line, and no other, has none before it")
        look = (self.holdout, self.challenger, self.look, self.alpha)
        if self.what == "look" and (None in look or self.of is not None or self.outcome is not None):
            raise ValueError("a look names rows, challenger, number and alpha, and nothing else")
        if self.what != "look" and (any(part is not None for part in (*look, self.champion)) or self.of is None):
            raise ValueError("a verdict, or a plan, names what it is of, and no rows")
        if (self.what == "verdict") != (self.outcome is not None):
            raise ValueError("a verdict, and nothing else, has an outcome")
        return self


class HoldoutSpent(Part):
    """What was spent of one set of rows."""

    digest: Digest
    rows: int
    looks: int
    alpha: float
    """Error rate of the last look; 0 where the budget is spent."""
    outcomes: dict[Outcome, int]
    """How its looks ended; looks that never came to a verdict are in none."""


class LedgerView(Document):
    """What a ledger says, each line and count of it checked."""

    kind: Literal["candidate.ledger"] = "candidate.ledger"
    version: Literal[1] = 1
    entries: int
    head: Digest | None
    holdouts: tuple[HoldoutSpent, ...]
