"""What ``candidate recalibrate`` answers, and what the new bundle records of it."""

from typing import Literal

from candidate.document import Digest, Document, Part
from candidate.documents.evidence import BundleRef
from candidate.documents.manifest import BundleManifest

Method = Literal["platt", "isotonic"]
Keeping = Literal["answers", "threshold"]
CALIBRATION_DATA = "calibration-data"
"""Name of the rows among the dependencies of a bundle."""
CALIBRATED_FROM = "calibrated-from"
"""Name of the older bundle among the dependencies of a bundle."""
RECORD_KEY = "calibration"
"""Where a bundle's experiment record has what follows."""


def calibration_data(manifest: BundleManifest) -> str | None:
    """Return the digest of the rows that a bundle's scores were mapped on, if they were."""
    for each in manifest.dependencies:
        if each.name == CALIBRATION_DATA:
            return f"sha256:{each.digest['sha256']}"
    return None


class Calibration(Part):
    """How the scores of a bundle were mapped, and how faithful the map in the graph is."""

    method: Method
    """``platt``: a sigmoid of the log odds; ``isotonic``: lines between the knots of the rising fit."""
    parent: BundleRef
    """The bundle whose graph gave the scores."""
    data: Digest
    """The rows that the map was fitted on; none of them may judge it."""
    rows: int
    positives: int
    slope: float | None
    """Of the log odds, with ``platt``."""
    offset: float | None
    knots: int | None
    """With ``isotonic``."""
    keeps: Keeping
    """``answers``: the threshold was mapped like the scores; ``threshold``: its number stayed."""
    threshold_before: float
    threshold: float
    answers_changed: int
    """Rows of the data whose answer is another than before."""
    log_loss_before: float
    """Mean over the rows that the map was fitted on, in nats: no measurement of the new bundle."""
    log_loss_after: float
    max_difference: float
    """Largest difference of the map in the graph and of scikit-learn's, over these rows."""
    steepest: float
    """Largest slope of the map over these rows: so many times a difference of the older graph may have grown."""
    library: str
    """Version of scikit-learn that fitted it."""


class Recalibrated(Document):
    """A bundle was made whose graph maps the scores of another."""

    kind: Literal["candidate.recalibrated"] = "candidate.recalibrated"
    version: Literal[1] = 1
    bundle: BundleRef
    path: str
    file_digest: Digest
    size_bytes: int
    calibration: Calibration
    attested: bool
