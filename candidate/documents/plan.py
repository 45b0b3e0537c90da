"""What a comparison will be able to tell, known before the blackbox is opened; and how far retrains differ."""

from typing import Annotated, Literal

from pydantic import Field

from candidate.document import Digest, Document, Part
from candidate.documents.evidence import BundleRef, DataFacts

Aim = Literal["gain", "no harm", "harm seen", "limit"]
"""What a rule asks for: proof of a gain, proof of no harm, to see harm, to keep a limit."""


class PlanLine(Part):
    """What one rule could tell of one slice."""

    rule: str
    metric: str
    slice: str | None
    aim: Aim
    pilot_rows: int
    rows: int
    """Expected in the blackbox."""
    effect: float
    """As the pilot saw it: a gain, or the value that is limited."""
    limit: float
    spread: float
    """Standard deviation of one row's share in the estimate, units of clustered rows included."""
    discordance: float | None = None
    """Share of the rows in which exactly one of the two is right; of rates of error only."""
    design_effect: float | None = None
    """How much wider clusters make the variance; of rates of error only."""
    detects: float
    """Smallest true difference from the limit that is told from none with the policy's power."""
    power: float
    """Chance that the rule passes: of a gain or a limit if the effect is as seen, of no harm if there is none."""
    n_needed: int | None
    """Rows of the slice at which that chance is what the policy asks for; null if no number of rows would do."""
    blind: bool
    """Whether it could not see what the policy says it must."""


class Plan(Document):
    """``candidate plan``: its digest, written down before the comparison, says that the policy came first."""

    kind: Literal["candidate.plan"] = "candidate.plan"
    version: Literal[1] = 1
    policy: Digest
    challenger: BundleRef
    champion: BundleRef | None
    pilot: DataFacts
    rows: Annotated[int, Field(ge=1)]
    """Of the blackbox, as planned."""
    alpha: float
    look_alpha: float
    """Error rate of the optimizing metric: with a budget, its share at the first look."""
    power: float
    guard_power: float
    """Power that each guard is planned with, so that all together have the policy's."""
    no_go_claims: int
    lines: tuple[PlanLine, ...]
    undecidable: tuple[str, ...]
    """Rules of which the pilot says nothing, each with why."""
    go_power: float
    """Lower bound of the chance of a go if every gain and limit is as seen and nothing is harmed."""


class NoiseLine(Part):
    """How far models of one recipe differ by one rule."""

    rule: str
    metric: str
    differences: int
    """Pairs of retrains times slices."""
    median: float
    noise: float
    """The 95th percentile of the sizes of the differences."""
    largest: float
    worst: str | None
    """Slice of the largest difference."""
    margin: float
    """As the policy has it."""
    enough: bool
    """Whether the margin is at least the noise."""


class RetrainNoise(Document):
    """``candidate calibrate``: what retraining alone moves, so that a margin can be larger than it."""

    kind: Literal["candidate.retrain-noise"] = "candidate.retrain-noise"
    version: Literal[1] = 1
    policy: Digest
    data: DataFacts
    bundles: tuple[BundleRef, ...]
    pairs: int
    lines: tuple[NoiseLine, ...]
