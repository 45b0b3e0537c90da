"""What a report draws beside a decision: read off the arrays of the evidence, not judged, and never stored."""

from typing import Annotated

from pydantic import Field

from candidate.document import Part
from candidate.documents.evidence import Evidence, ModelRole
from candidate.documents.policy import Policy
from candidate.documents.where import Scalar


class ScoreBin(Part):
    """The rows whose score fell into one bin."""

    lower: float
    upper: float
    rows: Annotated[int, Field(gt=0)]
    predicted: float
    """Mean score."""
    observed: float
    """Share of the positive class."""


class Reliability(Part):
    """The reliability diagram of one model: its occupied bins, in order of the score."""

    model: ModelRole
    of: Scalar | None = None
    """The class whose probability it is, where there are several."""
    bins: tuple[ScoreBin, ...]


class LatencyCurve(Part):
    """How long single rows took one model."""

    model: ModelRole
    calls: int
    points: tuple[tuple[float, float], ...]
    """Share of the calls, and the milliseconds within which so many were done; both ascend."""


class Plotted(Part):
    """Policy, evidence and what is drawn of them."""

    policy: Policy
    evidence: Evidence
    reliability: tuple[Reliability, ...]
    latency: tuple[LatencyCurve, ...]
