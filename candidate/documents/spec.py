"""``candidate.toml``: what to build a bundle from."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from candidate.document import Document, Part

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,62}$")]
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

    source: str
    """``model.onnx``, ``module:object``, ``script.py:object``, ``model.skops`` or ``model.joblib``.
    All but the first execute code, at build time only."""
    float: Literal["auto", "32", "64", 32, 64] = "auto"
    """Precision of the graph; ``auto`` takes 32 bits if parity holds, then 64, else refuses."""


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
    label: str
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
