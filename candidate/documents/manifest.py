"""What a bundle holds: its members, model signature, metadata manifest and experiment record."""

from typing import Annotated, ClassVar, Literal

from pydantic import FailFast, Field, JsonValue, StringConstraints, model_validator

from candidate.canonical import MAX_SMALL_BYTES
from candidate.document import Digest, Document, Grown, Part
from candidate.documents.spec import ServingFeature

# A member's path: ASCII-safe segments, none of them hidden, relative or reserved by Windows.
MemberPath = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$", max_length=255),
]
Role = Literal[
    "model",
    "weights",
    "schema",
    "signature",
    "golden",
    "manifest",
    "experiment",
    "environment",
    "mlbom",
    "doc",
    "dataset",
]
TensorType = Literal["float32", "float64", "int64", "int32", "bool", "string"]
Task = Literal["binary", "multiclass", "multilabel", "regression", "anomaly", "transform"]


class Tensor(Part):
    """One input or output of the graph."""

    name: str
    dtype: TensorType
    shape: Annotated[tuple[int | str, ...], FailFast()]
    """A string is a symbolic dimension; ``batch`` is the number of rows."""


class ModelSignature(Document):
    """The model signature: names, dtypes and shapes of inputs and outputs, and what they mean."""

    max_bytes: ClassVar[int] = MAX_SMALL_BYTES
    kind: Literal["candidate.signature"] = "candidate.signature"
    version: Literal[1] = 1
    task: Task
    inputs: Annotated[tuple[Tensor, ...], Field(min_length=1), FailFast()]
    """One tensor of shape (batch, 1) for each feature, in feature order."""
    outputs: Annotated[tuple[Tensor, ...], Field(min_length=1), FailFast()]
    label_output: str
    """Output with the answer: a class for each row, shape (batch,) or (batch, 1); 1 or -1 of an anomaly
    detector; the value or values of a regression or a transformer, shape (batch, values); for
    multilabel 0 or 1 of each label, shape (batch, labels)."""
    score_output: str | None
    """Output with class or label probabilities, shape (batch, classes), or the anomaly score, shape
    (batch, 1), lower for rows that are more abnormal; null for a regression and a transformer."""
    classes: Annotated[tuple[int | str | bool, ...], FailFast()]
    """Class, or label, of each column of the scores; empty for a regression, an anomaly detector, a transformer."""
    positive: int | str | bool | None
    """The class whose probability is the score of a binary task."""
    threshold: float | None
    """A row is predicted positive when its score is at least this."""
    label: str
    """Name of the label column in training and evaluation data."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the input features, in order."""
        return tuple(tensor.name for tensor in self.inputs)


class Tolerance(Document):
    """How far a replay of the golden inputs may be from the golden outputs."""

    max_bytes: ClassVar[int] = MAX_SMALL_BYTES
    kind: Literal["candidate.tolerance"] = "candidate.tolerance"
    version: Literal[1] = 1
    absolute: float
    relative: float
    rows: int
    """Number of golden rows."""


ChallengeKind = Literal[
    "fuzzed", "missing", "unseen", "empty", "extreme", "threshold", "between", "one-row", "zero-row"
]
"""Rows that were made to find a difference: see ``docs/decisions/0016-parity.md``."""
RungName = Literal["32", "64", "64 then 32"]


class ChallengeRecord(Part):
    """How the graph compared with the estimator on rows of one kind that were made to find a difference."""

    kind: ChallengeKind
    rows: int
    """Rows compared; of ``zero-row`` the batches."""
    mismatches: int
    label_flips: int
    max_difference: float
    refused: int
    """Further rows at which the pipeline raises an error, and which the input schema refuses as well."""
    unguarded: int
    """Further rows at which the pipeline raises an error, and which the graph would answer."""


class Rung(Part):
    """One precision that was tried."""

    name: RungName
    taken: bool
    mismatches: int | None
    """Real rows that differ; null if the graph could not be used at all, for the reason under ``why``."""
    label_flips: int | None
    max_difference: float | None
    challenged: int | None
    """Made rows that differ, of the kinds that decide."""
    step: str | None
    """The step of the pipeline at which the first difference enters, if there is one and it could be told."""
    why: str


class Parity(Part):
    """How the graph compared with the fitted estimator, on real rows and on rows made to find a difference."""

    rows: int
    float_bits: Literal[32, 64]
    max_difference: float
    """Largest absolute difference of any probability (or predicted value), to three significant digits."""
    label_flips: int
    """Rows whose predicted label differs, exact ties of the score left out."""
    mismatches: int
    """Rows with a difference above the tolerance, or a flipped label."""
    tolerance: float
    mismatch_share: float = 0.0
    """Mismatches by rows."""
    label_flips_at_most: float | None = None
    """Upper 95 % confidence bound of the share of rows whose label flips (Clopper and Pearson, one-sided)."""
    challenges: Annotated[tuple[ChallengeRecord, ...], FailFast()] = ()
    thresholds: int = 0
    """Different thresholds of trees that were found in the graph."""
    thresholds_tried: int = 0
    """Those of them that rows were made for: a spread of at most 2,000, of features that a number decides."""
    rungs: Annotated[tuple[Rung, ...], FailFast()] = ()
    """Precisions that were tried, in order."""


class ShaDigest(Part):
    """A digest set as in-toto writes it."""

    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class MemberFile(Part):
    """One member of the bundle (names of in-toto's ResourceDescriptor)."""

    name: MemberPath
    digest: ShaDigest
    size: Annotated[int, Field(ge=0)]
    role: Role


class OpsetImport(Part):
    """One operator set the graph imports."""

    domain: str
    version: int


class OnnxFacts(Part):
    """What the graph is made of."""

    ir_version: Annotated[int, Field(alias="irVersion")]
    opset_import: Annotated[tuple[OpsetImport, ...], Field(alias="opsetImport"), FailFast()]
    ops: Annotated[tuple[str, ...], FailFast()]
    external_data: Annotated[tuple[MemberPath, ...], Field(alias="externalData"), FailFast()]
    canonical: Literal[True]


class Dependency(Part):
    """Something the build used, resolved (SLSA ``resolvedDependencies``)."""

    name: str
    uri: str | None = None
    digest: dict[str, str]


class Descriptor(Part):
    """Who the model is (names of ModelPack's descriptor)."""

    name: str
    version: str
    created_at: Annotated[str, Field(alias="createdAt")]
    """RFC 3339 time of the source revision, never of the build."""
    description: str
    licenses: Annotated[tuple[str, ...], FailFast()]
    revision: str | None
    """Source commit."""


class BundleManifest(Document):
    """``candidate.json``: the metadata manifest of a bundle."""

    max_bytes: ClassVar[int] = MAX_SMALL_BYTES
    kind: Literal["candidate.manifest"] = "candidate.manifest"
    version: Literal[1] = 1
    descriptor: Descriptor
    files: Annotated[tuple[MemberFile, ...], FailFast()]
    """Every member but this one, sorted by name."""
    onnx: OnnxFacts
    parity: Parity | None
    """Null when the source already was an ONNX graph."""
    serving_features: tuple[ServingFeature, ...] | None
    """What serving promises to provide; null when nobody said."""
    dependencies: Annotated[tuple[Dependency, ...], FailFast()]

    @model_validator(mode="after")
    def _sorted_and_unique(self) -> "BundleManifest":
        names = [file.name for file in self.files]
        if names != sorted(names) or len({name.casefold() for name in names}) != len(names):
            raise ValueError("files must be sorted by name, and no two may differ only in case")
        return self


class DataRecord(Grown):
    """The training data."""

    later: ClassVar[tuple[str, ...]] = ("label_shares",)

    digest: Digest
    rows: int
    label: str
    label_mean: float | None
    """Mean of a numeric or binary label: the zero-rule's prediction."""
    label_shares: Annotated[tuple[float, ...], Field(min_length=1)] | None = None
    """Share of each class, in the model signature's order: the zero-rule's prediction where there are several."""
    features: Annotated[tuple[str, ...], FailFast()]
    unit: str | None
    time: str | None
    feature_set: str | None
    snapshot: str | None


class CodeRecord(Part):
    """The source that trained the model."""

    commit: str | None
    dirty: bool | None
    """Whether the checkout had uncommitted changes; null where there is no checkout."""
    source: str
    source_digest: Digest | None
    """Digest of the script or model file that the model came from."""


class HostRecord(Part):
    """The machine that built the bundle: no host name, no user, no path."""

    system: str
    machine: str
    python: str
    implementation: str


class ExperimentRecord(Document):
    """``experiment.json``: all that is needed to train the model again."""

    max_bytes: ClassVar[int] = MAX_SMALL_BYTES
    kind: Literal["candidate.experiment"] = "candidate.experiment"
    version: Literal[1] = 1
    code: CodeRecord
    data: DataRecord
    params: dict[str, JsonValue]
    seeds: dict[str, int]
    curves: dict[str, JsonValue]
    record: dict[str, JsonValue]
    libraries: dict[str, str]
    """Version of each library that took part in training and conversion."""
    host: HostRecord
