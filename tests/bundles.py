"""A small valid bundle to start from, and ways to make a hostile one out of it."""

import base64
import copy
import io
import json
import tarfile
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import onnx
from onnx import TensorProto, helper

from candidate.adapters.archive import archive_bytes
from candidate.adapters.attest import Signer, attest
from candidate.adapters.graph import canonical_graph, inspect_graph
from candidate.adapters.graph.tensors import tensor_bytes
from candidate.adapters.oci import Content, Member, attestation_blobs, content_of, index_of, release_statement
from candidate.adapters.runtime import Session
from candidate.adapters.statements import integrity_statement
from candidate.canonical import canonical
from candidate.documents.decision import ChecklistItem, Decision, Finding, Outcome, Risks
from candidate.documents.evidence import BundleRef, DataFacts
from candidate.documents.manifest import (
    BundleManifest,
    CodeRecord,
    DataRecord,
    Descriptor,
    ExperimentRecord,
    HostRecord,
    MemberFile,
    ModelSignature,
    Role,
    ShaDigest,
    Tensor,
    Tolerance,
)
from candidate.documents.names import (
    CARD_PATH,
    DECISION_TYPE,
    ENVIRONMENT_PATH,
    EXPERIMENT_PATH,
    INPUT_SCHEMA_PATH,
    MANIFEST_PATH,
    MLBOM_PATH,
    MODEL_PATH,
    OUTPUT_SCHEMA_PATH,
    SIGNATURE_PATH,
    TOLERANCE_PATH,
)
from candidate.documents.oci import OciDescriptor
from candidate.documents.policy import CHECKLIST
from candidate.documents.statement import Statement, Subject

NAME = "tiny"
VERSION = "1.0.0"
ROWS = 4
DIALECT = "https://json-schema.org/draft/2020-12/schema"
NOW_TEXT = "2026-11-01T12:00:00Z"


def tiny_model(*, names: tuple[str, ...] = ("age", "income"), weight: float = 0.5) -> onnx.ModelProto:
    """A logistic regression over float columns: label (batch,) and probabilities (batch, 2)."""
    width = len(names)
    constants = [
        helper.make_tensor("weights", TensorProto.FLOAT, [width, 1], [weight] * width),
        helper.make_tensor("bias", TensorProto.FLOAT, [1], [-0.25]),
        helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]),
    ]
    nodes = [
        helper.make_node("Concat", list(names), ["row"], axis=1),
        helper.make_node("Gemm", ["row", "weights", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["yes"]),
        helper.make_node("Sub", ["one", "yes"], ["no"]),
        helper.make_node("Concat", ["no", "yes"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 1]) for name in names],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2]),
        ],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def tiny_signature(names: tuple[str, ...] = ("age", "income")) -> ModelSignature:
    """What the tiny model says of itself."""
    return ModelSignature(
        task="binary",
        inputs=tuple(Tensor(name=name, dtype="float32", shape=("batch", 1)) for name in names),
        outputs=(
            Tensor(name="label", dtype="int64", shape=("batch",)),
            Tensor(name="probabilities", dtype="float32", shape=("batch", 2)),
        ),
        label_output="label",
        score_output="probabilities",
        classes=(0, 1),
        positive=1,
        threshold=0.5,
        label="late",
    )


def input_schema(names: tuple[str, ...] = ("age", "income")) -> dict[str, object]:
    """The schema of one serving record."""
    return {
        "$schema": DIALECT,
        "type": "object",
        "title": f"{NAME} {VERSION}",
        "properties": {name: {"type": ["number", "null"]} for name in names},
        "required": sorted(names),
        "additionalProperties": False,
    }


@dataclass
class Recipe:
    """Members by path; whatever is changed here is what a builder then signs."""

    members: dict[str, tuple[Role, bytes]]
    model: bytes
    descriptor: Descriptor = field(
        default_factory=lambda: Descriptor(
            name=NAME, version=VERSION, created_at="2026-01-01T00:00:00Z", description="", licenses=(), revision=None
        )
    )
    manifest_changes: dict[str, object] = field(default_factory=dict)
    manifest_bytes: bytes | None = None

    def copy(self) -> "Recipe":
        """A recipe that can be spoiled."""
        return copy.deepcopy(self)

    def files(self) -> tuple[MemberFile, ...]:
        """The members as the metadata lists them."""
        return tuple(Member(path, role, data).file for path, (role, data) in sorted(self.members.items()))

    def manifest(self) -> BundleManifest:
        """The metadata manifest of these members."""
        manifest = BundleManifest(
            descriptor=self.descriptor,
            files=self.files(),
            onnx=inspect_graph(self.model).facts,
            parity=None,
            serving_features=None,
            dependencies=(),
        )
        return manifest.model_copy(update=self.manifest_changes)

    def content(self) -> Content:
        """Content manifest and blobs."""
        data = self.manifest().to_bytes() if self.manifest_bytes is None else self.manifest_bytes
        members = [Member(path, role, data) for path, (role, data) in self.members.items()]
        return content_of(
            [*members, Member(MANIFEST_PATH, "manifest", data)], descriptor=self.descriptor, precision="float32"
        )

    def set_json(self, path: str, value: object) -> None:
        """Replace a JSON member, keeping its role."""
        self.members[path] = (self.members[path][0], canonical(value))


@cache
def tiny_recipe() -> Recipe:
    """The members of the small bundle; copy it before changing it."""
    model = canonical_graph(tiny_model())
    signature = tiny_signature()
    feeds = {
        "age": np.array([[1.0], [-2.0], [np.nan], [0.125]], dtype=np.float32),
        "income": np.array([[0.5], [0.25], [1.0], [-4.0]], dtype=np.float32),
    }
    answers = Session(model).run(feeds)
    members: dict[str, tuple[Role, bytes]] = {
        MODEL_PATH: ("model", model),
        SIGNATURE_PATH: ("signature", signature.to_bytes()),
        INPUT_SCHEMA_PATH: ("schema", canonical(input_schema())),
        OUTPUT_SCHEMA_PATH: ("schema", canonical({"$schema": DIALECT, "type": "object"})),
        TOLERANCE_PATH: ("golden", Tolerance(absolute=1e-6, relative=1e-5, rows=ROWS).to_bytes()),
        EXPERIMENT_PATH: ("experiment", _experiment().to_bytes()),
        ENVIRONMENT_PATH: ("environment", b"numpy==2.0.0\n"),
        CARD_PATH: ("doc", b"# tiny\n"),
        MLBOM_PATH: ("mlbom", canonical({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1})),
    }
    for number, tensor in enumerate(signature.inputs):
        path = f"golden/test_data_set_0/input_{number}.pb"
        members[path] = ("golden", tensor_bytes(feeds[tensor.name], tensor.name))
    for number, tensor in enumerate(signature.outputs):
        path = f"golden/test_data_set_0/output_{number}.pb"
        members[path] = ("golden", tensor_bytes(answers[tensor.name], tensor.name))
    return Recipe(members=members, model=model)


def _experiment() -> ExperimentRecord:
    return ExperimentRecord(
        code=CodeRecord(commit=None, dirty=None, source="model.onnx", source_digest=None),
        data=DataRecord(
            digest="sha256:" + "d" * 64,
            rows=100,
            label="late",
            label_mean=0.5,
            features=("age", "income"),
            unit="day",
            time=None,
            feature_set=None,
            snapshot=None,
        ),
        params={},
        seeds={"numpy": 0},
        curves={},
        record={},
        libraries={"onnx": onnx.__version__},
        host=HostRecord(system="Linux", machine="x86_64", python="3.11", implementation="CPython"),
    )


def release(content: Content, *, name: str = NAME, version: str = VERSION) -> Statement:
    """The statement that a builder signs of this content."""
    return release_statement(name, version, content.digest)


def pack(content: Content, attestations: tuple[bytes, ...] = (), *, listed_as: str | None = None) -> bytes:
    """The bytes of a bundle file; every attestation is listed as what it says it is, or as something else."""
    blobs = dict(content.blobs)
    referrers: list[OciDescriptor] = []
    for data in attestations:
        kind = listed_as or predicate_type(data)
        descriptor, more = attestation_blobs(content.descriptor, data, kind)
        referrers.append(descriptor)
        blobs |= more
    return archive_bytes(index=index_of(content, VERSION, referrers), blobs=blobs)


def predicate_type(attestation: bytes) -> str:
    """The predicate type in an attestation, read without any check."""
    payload = json.loads(attestation)["dsseEnvelope"]["payload"]
    return str(json.loads(base64.b64decode(payload))["predicateType"])


def _integrity(recipe: Recipe) -> Statement:
    """The model signature that a builder makes of these members."""
    data = recipe.manifest().to_bytes() if recipe.manifest_bytes is None else recipe.manifest_bytes
    own = Member(MANIFEST_PATH, "manifest", data).file
    return integrity_statement(recipe.descriptor.name, recipe.descriptor.version, [*recipe.files(), own])


def sealed(recipe: Recipe, *signers: Signer, integrity: bool = False) -> bytes:
    """A bundle file that a builder signed by each key, whatever is in it; for other people's tools too if asked."""
    content = recipe.content()
    statements = [release(content), *([_integrity(recipe)] if integrity else [])]
    return pack(content, tuple(attest(statement, signer).to_bytes() for signer in signers for statement in statements))


def tar_of(members: list[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.USTAR_FORMAT) -> bytes:
    """A tar as Python writes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def members_of(data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    """The members of a tar as Python reads them."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = []
        for info in tar.getmembers():
            file = tar.extractfile(info)
            found.append((info, b"" if file is None else file.read()))
        return found


def go_decision(
    challenger: BundleRef,
    *,
    outcome: Outcome = "go",
    channel: str | None = "tiny/prod",
    issued: str = "2026-11-01T11:00:00Z",
    expires: str = "2026-11-02T11:00:00Z",
    champion: BundleRef | None = None,
) -> Decision:
    """A decision with one finding, and a checklist that fits the outcome."""
    passing = outcome == "go"
    finding = Finding(
        rule="optimizing",
        line="optimizing",
        metric="log_loss",
        status="pass" if passing else "fail" if outcome == "no-go" else "open",
        blocks=True,
        why="so",
    )
    return Decision(
        outcome=outcome,
        challenger=challenger,
        champion=champion,
        rollback_target=champion,
        policy="sha256:" + "1" * 64,
        evidence="sha256:" + "2" * 64,
        data=DataFacts(file="sha256:" + "3" * 64, rows=100, units=10, label="late", unit="day"),
        registry=None,
        channel=channel,
        sequence=None,
        issued=issued,
        expires=expires,
        findings=(finding,),
        checklist=tuple(
            ChecklistItem(number=number, line=line, claim=line, status="pass", required=True, evidence=(), why="so")
            for number, line in enumerate(CHECKLIST, start=1)
        ),
        risks=Risks(false_go=0.05, false_no_go=0.05, power=0.8, no_go_claims=1),
    )


def decision_statement(decision: Decision, *, digest: str | None = None, kind: str = DECISION_TYPE) -> Statement:
    """The statement that an approver signs."""
    subject = (digest or decision.challenger.digest).removeprefix("sha256:")
    return Statement(
        subject=(Subject(name=decision.challenger.name, digest=ShaDigest(sha256=subject)),),
        predicate_type=kind,
        predicate=decision.model_dump(mode="json"),
    )
