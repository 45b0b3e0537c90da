"""What was measured, before anybody judged it: small, row-free, canonical."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from candidate.document import Digest, Document, Grown, Part
from candidate.documents.manifest import Parity, Task
from candidate.documents.where import Scalar

STATE_FILE = "state.npy"
BINS_FILE = "calibration.npy"
HISTOGRAMS_FILE = "histograms.npy"
TAINTED_FILE = "tainted.npy"
TAINTED_BINS_FILE = "taintedbins.npy"
TAINTED_HISTOGRAMS_FILE = "taintedhistograms.npy"
TAINTED_ROWS_FILE = "taintedrows.npy"
LATENCY_FILE = "latency.npy"
EVIDENCE_FILE = "evidence.json"
POLICY_FILE = "policy.json"
HEURISTIC_FILE = "heuristic"
"""Followed by the suffix of the file that the policy names."""

ModelRole = Literal["challenger", "champion", "heuristic"]


class BundleRef(Part):
    """A bundle, named; only the digest identifies it."""

    name: str
    version: str
    digest: Digest


class Replay(Part):
    """A golden replay: the bundle's own inputs run through its graph on this host."""

    rows: int
    max_difference: float
    passed: bool


class BundleFacts(Grown):
    """What is known of a bundle after it was verified, loaded and replayed."""

    later: ClassVar[tuple[str, ...]] = ("train_label_shares", "calibration_data")

    bundle: BundleRef
    size_bytes: int
    """The whole file."""
    model_size_bytes: int
    """Graph and weights."""
    features: tuple[str, ...]
    """Columns the graph reads."""
    promised_features: tuple[str, ...] | None
    """Columns that serving promised to provide when the bundle was built; null if nobody said."""
    parity: Parity | None
    replay: Replay
    commit: str | None
    dirty: bool | None
    source_digest: Digest | None = None
    """Digest of the script or model file; it stands in for a commit where the policy does not ask for a clean one."""
    train_data: Digest
    train_label_mean: float | None
    train_label_shares: tuple[float, ...] = ()
    """Share of each class in the training set, in the model signature's order; only for several classes."""
    calibration_data: Digest | None = None
    """Rows that its scores were mapped on after the training, if they were."""
    seeds_recorded: bool
    libraries: int
    """How many library versions are on record."""
    attested: bool
    """Whether the builder's attestation was checked against a trust policy."""


class DataFacts(Part):
    """The blackbox rows."""

    file: Digest
    rows: int
    units: int
    """Different values of the unit column."""
    label: str
    unit: str


class SliceKey(Part):
    """Which rows a slice of the State counts."""

    name: str
    """``overall``, ``COLUMN=VALUE`` or the condition."""
    by: tuple[str, ...] = ()
    values: tuple[Scalar | None, ...] = ()
    where: str | None = None


class StateAxes(Grown):
    """The axes of ``state.npy``, shape (slices, buckets, statistics), int64."""

    later: ClassVar[tuple[str, ...]] = ("ranked", "calibrated", "classes", "weighted", "columns", "zero_rule", "human")

    task: Task
    slices: tuple[SliceKey, ...]
    buckets: int
    salt: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    """Derived from the policy and the data, so that nobody can choose it."""
    statistics: tuple[str, ...]
    models: tuple[ModelRole, ...]
    calibration_bins: int
    """``calibration.npy`` has shape (1 + calibrated slices, curves, buckets, models, bins, 4), int64: all rows first;
    one curve for yes or no, one for each of several classes, none for numbers."""
    ranked: tuple[int, ...] = ()
    """Positions of the slices of ``histograms.npy``, shape (these slices, buckets, models, 2, 4096), int64:
    rows of the negative and of the positive class by score. The key and the file are absent without any."""
    calibrated: tuple[int, ...] = ()
    """Positions of the slices of ``calibration.npy`` after all rows."""
    classes: tuple[Scalar, ...] = ()
    """Of a multiclass task, in the order of the statistics."""
    weighted: bool = False
    """Whether rows have weights: then every count but ``rows`` is in steps of 2**-20."""
    columns: tuple[str, ...] = ()
    """Columns that are summed by outcome, in steps of 2**-20."""
    zero_rule: bool = False
    """Of a regression: whether the mean of the training labels is counted beside the models."""
    human: bool = False
    """Whether a person's answer to each row is counted beside the models', as a class without a score."""


class LatencyAxes(Part):
    """The axes of ``latency.npy``, shape (rounds, models, calls), int64 nanoseconds."""

    models: tuple[ModelRole, ...]
    rounds: int
    calls: int
    seed: int
    threads: int
    batch_rows: int


class HoldoutFacts(Part):
    """What the look at these rows cost."""

    digest: Digest
    """Of the rows, in whatever file they are."""
    look: int
    """The how-manieth look at them."""
    alpha: float
    """Error rate that superiority may be claimed at; 0 where the budget is spent."""
    entry: Digest
    """The look's line in the ledger; it names all lines before it."""


class Perturbed(Part):
    """Of one rule of robustness, by bucket: rows asked about again, and those answered otherwise than they may be."""

    rows: tuple[int, ...]
    failures: tuple[int, ...]


class Contaminated(Part):
    """Blackbox rows that also stand among the training rows.

    ``tainted.npy``, ``taintedbins.npy`` and ``taintedhistograms.npy`` are the State of these rows alone, on the axes of
    the State of all; ``taintedrows.npy`` (int64, ascending) says which they are. The files are absent without any.
    """

    train: Digest
    """Of the file of training rows."""
    train_rows: int
    columns: tuple[str, ...]
    """Rows with the same values here count as the same."""
    rows: int
    """Blackbox rows with a match among the training rows."""


class EvidenceFile(Part):
    """A file of the evidence folder."""

    name: Annotated[str, Field(pattern=r"^[a-z]+\.(npy|json|toml|onnx)$")]
    digest: Digest
    size: int


class Predictions(Part):
    """What commits to the score of every row, in a file that is not part of the evidence."""

    rows: int
    columns: tuple[str, ...]
    """Columns of the data that are kept beside the scores, in the order of the leaves."""
    root: Digest
    """Root of the Merkle tree (RFC 6962) over the rows in the order of their numbers."""


class Evidence(Grown, Document):
    """``evidence.json``: what was measured, with the digest of every array beside it."""

    later: ClassVar[tuple[str, ...]] = ("holdout", "plan", "predictions", "robustness", "contamination")

    kind: Literal["candidate.evidence"] = "candidate.evidence"
    version: Literal[1] = 1
    challenger: BundleFacts
    champion: BundleFacts | None
    policy: Digest
    data: DataFacts
    state: StateAxes
    holdout: HoldoutFacts | None = None
    """The look's place in the ledger, where the policy has a budget."""
    plan: Digest | None = None
    """The plan that was made before, by this policy."""
    robustness: tuple[Perturbed, ...] = ()
    """For each rule of the policy, in its order."""
    contamination: Contaminated | None = None
    """Null where nobody looked for training rows."""
    latency: LatencyAxes | None
    environment: dict[str, str]
    """Fingerprint of the machine and of the options that were measured with."""
    files: tuple[EvidenceFile, ...]
    predictions: Predictions | None = None
    """Null where no predictions were kept."""
