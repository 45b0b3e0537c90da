"""``candidate.toml``: what to build a bundle from."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from candidate.document import Document, Part

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,62}$")]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
FeatureType = Literal["number", "integer", "string", "boolean"]


class BundleSection(Part):
    """Who the bundle is."""

    name: Name
    """Lower-case letters, digits and dashes; with the version it names the file."""
    version: Version
    description: str = ""
    """One or two sentences for the model card."""
    licenses: tuple[str, ...] = ()
    """SPDX identifiers."""


class ModelSection(Part):
    """Where the trained model comes from."""

    source: str | Annotated[tuple[str, ...], Field(min_length=2)]
    """``model.onnx``, ``module:object``, ``script.py:object``, ``model.skops`` or ``model.joblib``; or a list of
    ONNX files, of which one graph is made that answers their mean.
    All but ONNX files execute code, at build time only."""
    combine: Literal["mean"] = "mean"
    """How the answers of several graphs become one: the mean of their probabilities, or of their values. Labels
    follow from the mean."""
    weights: Annotated[tuple[Weight, ...], Field(min_length=2)] | None = None
    """Weight of each graph in the mean; by default all count the same."""
    threshold: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    """Score from which a binary classifier answers the positive class; by default 0.5, or the model's own."""
    trusted: tuple[str, ...] = ()
    """Types, as ``module.Type``, that ``model.skops`` may hold beside those that skops trusts."""
    float: Literal["auto", "32", "64", 32, 64] = "auto"
    """Precision of the graph; ``auto`` takes 32 bits if parity holds, then 64, else refuses."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The source, or each file of an ensemble."""
        return (self.source,) if isinstance(self.source, str) else self.source


class ColumnSection(Part):
    """What a feature's values must be: serving refuses a record that does not keep to it."""

    unit: str | None = None
    """For people and for later versions, for example ``mile``."""
    minimum: float | int | None = None
    maximum: float | int | None = None
    categories: tuple[str | int, ...] | None = None
    """The only values there are."""
    description: str = ""


class DataSection(Part):
    """The rows the model was trained on, and what their columns mean."""

    train: str
    """Parquet file of the training rows (or a sample of them), relative to this file."""
    label: str | Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    """Column of what is predicted; several of a multilabel model or of a regression of several values; left
    out only for an anomaly detector or a transformer."""
    features: tuple[str, ...] | None = None
    """Feature columns in order; by default those the model says it was fitted on."""
    columns: dict[str, ColumnSection] = Field(default_factory=dict)
    """What is declared of features, by name: ``[data.columns.distance]``."""
    unit: str | None = None
    """Column of the independent sampling unit."""
    time: str | None = None
    """Column of the time of a row."""
    feature_set: str | None = None
    """Version of the feature set."""
    snapshot: str | None = None
    """Identifier of the data snapshot in its store."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the label columns: none, one or several."""
        if self.label is None:
            return ()
        return (self.label,) if isinstance(self.label, str) else self.label


class ServingFeature(Part):
    """One feature that the serving side promises to provide."""

    name: str
    type: FeatureType
    source: str
    """Where serving reads it from."""
    max_age: str | None = None
    """How old the value may be, for example ``1h``."""
    default: str | int | float | bool | None = None


class ServingSection(Part):
    """What serving can provide."""

    features: str | tuple[ServingFeature, ...]
    """The features themselves, or the path of a TOML lock file with ``[[features]]``."""


class FeatureLock(Document):
    """A serving feature lock: the file that ``[serving] features`` may name."""

    features: tuple[ServingFeature, ...]


class ExperimentSection(Part):
    """What is needed to train it again; each a table, or the path of a JSON file."""

    params: dict[str, JsonValue] | str = Field(default_factory=dict)
    seeds: dict[str, int] = Field(default_factory=dict)
    curves: dict[str, JsonValue] | str = Field(default_factory=dict)
    record: dict[str, JsonValue] | str = Field(default_factory=dict)


MemberRole = Literal["doc", "schema", "dataset"]


class BuildSpec(Document):
    """What to build: the content of ``candidate.toml``."""

    bundle: BundleSection
    model: ModelSection
    data: DataSection
    serving: ServingSection | None = None
    experiment: ExperimentSection = Field(default_factory=ExperimentSection)
    members: dict[MemberRole, tuple[str, ...]] = Field(default_factory=dict)
    """Extra files by role, relative to this file."""
