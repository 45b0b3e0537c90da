"""The names that the formats fix: members, media types, annotations, predicate types.

Sources: OCI image-spec v1.1, CNCF ModelPack model-spec v1, cosign's bundle specification, in-toto
attestation framework v1 and its predicates, SLSA v1, OpenSSF model signing v1.
"""

from typing import Literal

SIGNATURE_PATH = "signature.json"
INPUT_SCHEMA_PATH = "schema/input.schema.json"
OUTPUT_SCHEMA_PATH = "schema/output.schema.json"
MODEL_PATH = "model/model.onnx"
MANIFEST_PATH = "candidate.json"
EXPERIMENT_PATH = "experiment.json"
ENVIRONMENT_PATH = "env/requirements.lock"
MLBOM_PATH = "mlbom.cdx.json"
CARD_PATH = "README.md"
GOLDEN_DIRECTORY = "golden/test_data_set_0"
TOLERANCE_PATH = "golden/tolerance.json"

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY_BYTES = b"{}"
MODEL_ARTIFACT_TYPE = "application/vnd.cncf.model.manifest.v1+json"
MODEL_CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
SIGSTORE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
REF_NAME = "org.opencontainers.image.ref.name"
TITLE = "org.opencontainers.image.title"
FILEPATH = "org.cncf.model.filepath"
ROLE = "dev.candidate.role"
ATTESTATION_CONTENT = "dev.sigstore.bundle.content"
ATTESTATION_PREDICATE = "dev.sigstore.bundle.predicateType"

LAYER_TYPES: dict[str, str] = {
    "model": "application/vnd.cncf.model.weight.v1.raw",
    "weights": "application/vnd.cncf.model.weight.v1.raw",
    "schema": "application/vnd.cncf.model.weight.config.v1.raw",
    "signature": "application/vnd.cncf.model.weight.config.v1.raw",
    "manifest": "application/vnd.cncf.model.weight.config.v1.raw",
    "experiment": "application/vnd.cncf.model.weight.config.v1.raw",
    "environment": "application/vnd.cncf.model.weight.config.v1.raw",
    "mlbom": "application/vnd.cncf.model.doc.v1.raw",
    "doc": "application/vnd.cncf.model.doc.v1.raw",
    "golden": "application/vnd.cncf.model.dataset.v1.raw",
    "dataset": "application/vnd.cncf.model.dataset.v1.raw",
}
"""Media type of the raw layer that carries a member of each role."""

OUR_PREDICATES = "https://candidate.dev/attestation/"
RELEASE_TYPE = "https://in-toto.io/attestation/release/v0.1"
PROVENANCE_TYPE = "https://slsa.dev/provenance/v1"
DECISION_TYPE = OUR_PREDICATES + "decision/v1"
ENTRY_TYPE = OUR_PREDICATES + "entry/v1"
EVALUATION_TYPE = OUR_PREDICATES + "evaluation/v1"
REPRODUCED_TYPE = OUR_PREDICATES + "reproduced/v1"
OVERRIDE_TYPE = OUR_PREDICATES + "override/v1"
SELFTEST_TYPE = OUR_PREDICATES + "selftest/v1"
TEST_RESULT_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
VSA_TYPE = "https://slsa.dev/verification_summary/v1"

INTEGRITY_TYPE = "https://model_signing/signature/v1.0"

PredicateName = Literal[
    "release",
    "integrity",
    "provenance",
    "reproduced",
    "decision",
    "evaluation",
    "test-result",
    "vsa",
    "entry",
    "override",
    "selftest",
]
"""What can be said of a bundle, as people write it in trust.toml."""

PREDICATE_TYPES: dict[PredicateName, str] = {
    "release": RELEASE_TYPE,
    "integrity": INTEGRITY_TYPE,
    "provenance": PROVENANCE_TYPE,
    "reproduced": REPRODUCED_TYPE,
    "decision": DECISION_TYPE,
    "evaluation": EVALUATION_TYPE,
    "test-result": TEST_RESULT_TYPE,
    "vsa": VSA_TYPE,
    "entry": ENTRY_TYPE,
    "override": OVERRIDE_TYPE,
    "selftest": SELFTEST_TYPE,
}

RoleName = Literal["builder", "approver", "promoter", "oncall", "overrider"]
"""builder signs bundles, approver signs decisions, promoter and oncall sign registry entries, overrider signs that an
undecided verdict may be promoted all the same."""

RIGHTS: dict[RoleName, tuple[PredicateName, ...]] = {
    "builder": ("release", "integrity", "provenance", "reproduced"),
    "approver": ("decision", "evaluation", "test-result", "vsa", "reproduced", "selftest"),
    "promoter": ("entry",),
    "oncall": ("entry",),
    "overrider": ("override",),
}
"""All that a role may ever say, its own word first; a trust policy can only narrow it."""

Action = Literal["promote", "rollback", "hold", "unhold", "quarantine", "release"]
"""``promote`` and ``rollback`` move champions; ``hold`` stops promotions until ``unhold``; ``quarantine`` keeps
one bundle off a channel until ``release``."""
MOVING: frozenset[Action] = frozenset({"promote", "rollback"})

Service = Literal["github", "gitlab", "none"]
"""Whose CI a project is built by."""
Host = Literal["systemd", "kubernetes"]
"""What keeps a server running."""

CLAIMS_FILE = "claims.jsonl"
INTEGRITY_FILE = "model.sig"
IGNORED_FILES = (CLAIMS_FILE, INTEGRITY_FILE)
"""What `candidate unpack` lays beside the members, and no integrity statement can list."""

LAYOUT_BYTES = b'{"imageLayoutVersion":"1.0.0"}'
"""``oci-layout``, the same in every bundle."""
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"

NAME = r"[a-z0-9][a-z0-9-]{0,62}"
VERSION = r"[0-9A-Za-z][0-9A-Za-z.+-]{0,62}"
TIMESTAMP = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
