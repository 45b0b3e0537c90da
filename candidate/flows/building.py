"""Build a bundle: convert, prove, describe, pack, attest. The same inputs give the same bytes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue, ValidationError

from candidate.adapters import dataset, provenance
from candidate.adapters.archive import FileBlob
from candidate.adapters.attest import Signer, signers_of
from candidate.adapters.convert import Column
from candidate.adapters.graph.tensors import tensor_bytes
from candidate.adapters.oci import LargeMember, Member
from candidate.canonical import canonical, digest_of
from candidate.documents.manifest import (
    BundleManifest,
    Dependency,
    Descriptor,
    ExperimentRecord,
    ModelSignature,
    Tolerance,
)
from candidate.documents.names import (
    CARD_PATH,
    ENVIRONMENT_PATH,
    EXPERIMENT_PATH,
    GOLDEN_DIRECTORY,
    INPUT_SCHEMA_PATH,
    MLBOM_PATH,
    MODEL_PATH,
    OUTPUT_SCHEMA_PATH,
    SIGNATURE_PATH,
    TOLERANCE_PATH,
)
from candidate.documents.results import Built
from candidate.documents.spec import BuildSpec, MemberRole
from candidate.errors import InputError
from candidate.flows import describing, recording
from candidate.flows.billing import bill_of_materials
from candidate.flows.packing import write_bundle
from candidate.flows.progress import Progress, silent
from candidate.flows.proving import Proven, columns_of, given_graph, golden_rows, prove
from candidate.flows.serving.fields import Fields
from candidate.flows.sourcing import Source, features_of, find_source

LADDER: dict[object, tuple[Literal[32, 64], ...]] = {
    "auto": (32, 64),
    32: (32,),
    "32": (32,),
    64: (64,),
    "64": (64,),
}
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
MODEL_FOLDER = MODEL_PATH.rpartition("/")[0]
SECRETS = (b"PRIVATE KEY-----", b"AWS_SECRET_ACCESS_KEY", b"aws_secret_access_key")


@dataclass(frozen=True)
class _Inputs:
    """What a build starts from, read."""

    spec: BuildSpec
    root: Path
    source: Source
    table: Any
    data_digest: str
    columns: tuple[Column, ...]
    label_mean: float | None


def read_spec(path: Path) -> BuildSpec:
    """Read ``candidate.toml``.

    Raises:
        InputError: unreadable, or with a key or value that a specification does not have.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"specification cannot be read: {error}", where=str(path), hint="`candidate init` writes one to start from"
        ) from error
    return BuildSpec.from_toml(text, where=path.name)


def build(
    spec: Path | str | BuildSpec,
    *,
    model: object | None = None,
    root: Path | str | None = None,
    out: Path | str = Path(),
    signer: Signer | Sequence[Signer] | None = None,
    environ: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> Built:
    """Build a bundle and write it to ``OUT/NAME-VERSION.candidate``.

    Unless the source is an ONNX file, this executes the code that trains or unpickles the model:
    build only what you trust. Nothing of it reaches the bundle but its graph.

    Args:
        spec: ``candidate.toml``, or its content.
        model: a fitted estimator, in place of the one that the specification's source names.
        root: folder that the specification's paths are relative to; by default its own.
        out: folder of the bundle.
        signer: builder's key, or several that each attest the same; without one nobody will trust the bundle.
        environ: where SOURCE_DATE_EPOCH is looked up; by default nowhere, and the commit's time is taken.
        progress: told what is being done.

    Raises:
        InputError: something that the specification names is missing, does not fit, cannot be
            converted, or the graph is not the model; nothing is written.
        UnavailableError: the build extra is not installed.
    """
    signers = signers_of(signer)
    path = None if isinstance(spec, BuildSpec) else Path(spec)
    read = read_spec(path) if path is not None else spec
    if not isinstance(read, BuildSpec):
        raise InputError("not a specification", where=str(spec))
    home = Path(root) if root is not None else path.parent if path is not None else Path()
    inputs = _read(read, home, model, progress)
    progress("converting, and comparing the graph with the model", None)
    proven = _proven(inputs)
    _check_promised(read, proven)
    progress("packing", None)
    created = provenance.commit_time(home, {} if environ is None else environ)
    return _pack(inputs, proven, out=Path(out), signers=signers, created=created)


def _read(spec: BuildSpec, root: Path, model: object | None, progress: Progress) -> _Inputs:
    train = root / spec.data.train
    known = dataset.columns_of_file(train)
    labels = spec.data.labels
    for label in labels:
        if label not in known:
            raise InputError(f"no label column {label!r}", where=f"[data] train: {spec.data.train}")

    @cache
    def table(columns: tuple[str, ...]) -> Any:
        return dataset.whole_table(train, columns)

    progress("training or loading the model", None)
    source = find_source(spec, root, model=model, train=lambda: table(tuple(known)).to_pandas())
    features = features_of(source, spec, known)
    rows = table((*features, *labels))
    return _Inputs(
        spec=spec,
        root=root,
        source=source,
        table=rows,
        data_digest=dataset.file_digest(train),
        columns=columns_of(rows, features),
        label_mean=_label_mean(rows.column(labels[0])) if len(labels) == 1 else None,
    )


def _label_mean(values: Any) -> float | None:
    """Return the mean of a numeric or true/false label, which is what the zero-rule predicts."""
    import pyarrow.compute as pc
    import pyarrow.types as pt

    if not (pt.is_integer(values.type) or pt.is_floating(values.type) or pt.is_boolean(values.type)):
        return None
    mean = pc.mean(values.cast("float64")).as_py()
    return None if mean is None else float(mean)


def _label_shares(inputs: _Inputs, signature: ModelSignature) -> tuple[float, ...] | None:
    """Return the share of each of several classes, which is what the zero-rule predicts."""
    if signature.task != "multiclass":
        return None
    values = inputs.table.column(signature.label).to_pylist()
    counts = Counter(values)
    return tuple(counts[name] / len(values) for name in signature.classes)


def _proven(inputs: _Inputs) -> Proven:
    label = inputs.spec.data.labels
    if inputs.source.onnx is not None:
        folder = inputs.root if inputs.source.file is None else inputs.source.file.parent
        features = inputs.spec.data.features
        threshold = inputs.spec.model.threshold
        return given_graph(
            inputs.source.onnx, inputs.table, label=label, folder=folder, features=features, threshold=threshold
        )
    return prove(
        inputs.source.estimator,
        inputs.table,
        inputs.columns,
        label=label,
        ladder=LADDER[inputs.spec.model.float],
    )


def _check_promised(spec: BuildSpec, proven: Proven) -> None:
    if spec.data.features is not None and set(spec.data.features) != set(proven.signature.features):
        raise InputError(
            f"the graph reads {', '.join(proven.signature.features)}", where="[data] features", hint="list the same"
        )


def _golden(inputs: _Inputs, proven: Proven) -> list[Member]:
    """Run real rows through the graph itself: what it answers here, it must answer wherever it is deployed."""
    rows = golden_rows(inputs.table, inputs.columns)
    feeds = dataset.feeds(rows, proven.signature.inputs, where="golden rows")
    answers = proven.session().run(feeds)
    members = [
        Member(f"{GOLDEN_DIRECTORY}/input_{number}.pb", "golden", tensor_bytes(feeds[tensor.name], tensor.name))
        for number, tensor in enumerate(proven.signature.inputs)
    ]
    members += [
        Member(f"{GOLDEN_DIRECTORY}/output_{number}.pb", "golden", tensor_bytes(answers[tensor.name], tensor.name))
        for number, tensor in enumerate(proven.signature.outputs)
    ]
    tolerance = Tolerance(absolute=1e-5, relative=1e-4, rows=rows.num_rows)
    return [*members, Member(TOLERANCE_PATH, "golden", tolerance.to_bytes())]


def _extra(spec: BuildSpec, root: Path) -> list[Member]:
    """Read the extra members; nothing that could be executed or should stay at home goes in."""
    members = []
    for role, names in spec.members.items():
        for name in names:
            where = f"[members] {role}: {name}"
            try:
                data = (root / name).read_bytes()
            except OSError as error:
                raise InputError(f"cannot be read: {error.strerror}", where=where) from error
            if data.startswith(PICKLES) or (data.startswith(b"PK") and b"data.pkl" in data) or data[:6] == b"\x93NUMPY":
                raise InputError(
                    "a pickle, or an array file that could hold one, never goes into a bundle", where=where
                )
            if any(secret in data for secret in SECRETS) or Path(name).name.startswith(".env"):
                raise InputError("looks like a secret", where=where, hint="a bundle is published: take it out")
            members.append(_member(f"{role}/{Path(name).name}", role, data, where))
            if members[-1].path.casefold() in (INPUT_SCHEMA_PATH, OUTPUT_SCHEMA_PATH):
                raise InputError("every bundle has a member of that name", where=where, hint="rename the file")
            if len({member.path.casefold() for member in members}) != len(members):
                raise InputError("two members of the same name", where=where, hint="rename one of the files")
    return members


def _member(path: str, role: MemberRole, data: bytes, where: str) -> Member:
    """Return a member whose path can be one."""
    member = Member(path, role, data)
    try:
        member.file  # noqa: B018 - it is checked when it is made
    except ValidationError as error:
        raise InputError(
            "the name cannot be a member's", where=where, hint="use letters, digits, dots, dashes and underscores"
        ) from error
    return member


def _members(inputs: _Inputs, proven: Proven, record: ExperimentRecord) -> list[Member | LargeMember]:
    spec, signature = inputs.spec, proven.signature
    title = f"{spec.bundle.name} {spec.bundle.version}"
    lock = provenance.lock_text()
    bill = bill_of_materials(spec, signature, record, digest_of(proven.model), lock=lock, ops=proven.graph.facts.ops)
    return [
        Member(MODEL_PATH, "model", proven.model),
        *(LargeMember(f"{MODEL_FOLDER}/{path.name}", "weights", FileBlob.whole(path)) for path in proven.weights),
        Member(SIGNATURE_PATH, "signature", signature.to_bytes()),
        Member(INPUT_SCHEMA_PATH, "schema", canonical(_input_schema(inputs, proven, title))),
        Member(OUTPUT_SCHEMA_PATH, "schema", describing.output_schema(signature, title)),
        Member(EXPERIMENT_PATH, "experiment", record.to_bytes()),
        Member(ENVIRONMENT_PATH, "environment", lock.encode()),
        Member(MLBOM_PATH, "mlbom", bill),
        Member(CARD_PATH, "doc", recording.model_card(spec, signature, record, proven.parity)),
        *_golden(inputs, proven),
        *_extra(spec, inputs.root),
    ]


def _input_schema(inputs: _Inputs, proven: Proven, title: str) -> dict[str, Any]:
    """Describe one serving record; the rows the model was trained on must be such records themselves."""
    schema = describing.input_schema(
        proven.signature,
        inputs.columns,
        title,
        declared=inputs.spec.data.columns,
        table=inputs.table,
        estimator=inputs.source.estimator,
    )
    if inputs.spec.data.columns:
        where = f"[data] train: {inputs.spec.data.train}"
        Fields.of(proven.signature, schema).batch(inputs.table.combine_chunks(), where=where)
    return schema


def _manifest(
    inputs: _Inputs, proven: Proven, record: ExperimentRecord, members: list[Member | LargeMember], created: str
) -> BundleManifest:
    spec = inputs.spec
    data = Dependency(name="training-data", digest={"sha256": record.data.digest.removeprefix("sha256:")})
    code = [] if record.code.commit is None else [Dependency(name="source", digest={"gitCommit": record.code.commit})]
    return BundleManifest(
        descriptor=Descriptor(
            name=spec.bundle.name,
            version=spec.bundle.version,
            created_at=created,
            description=spec.bundle.description,
            licenses=spec.bundle.licenses,
            revision=record.code.commit,
        ),
        files=tuple(sorted((member.file for member in members), key=lambda file: file.name)),
        onnx=proven.graph.facts,
        parity=proven.parity,
        serving_features=recording.serving_features(spec, inputs.root),
        dependencies=(*code, data),
    )


def _pack(inputs: _Inputs, proven: Proven, *, out: Path, signers: Sequence[Signer], created: str) -> Built:
    spec = inputs.spec
    record = recording.experiment(
        spec,
        inputs.root,
        inputs.source,
        data_digest=inputs.data_digest,
        rows=inputs.table.num_rows,
        label_mean=inputs.label_mean,
        label_shares=_label_shares(inputs, proven.signature),
        features=proven.signature.features,
    )
    members = _members(inputs, proven, record)
    manifest = _manifest(inputs, proven, record, members, created)
    parameters: dict[str, JsonValue] = {"source": recording.shown(*spec.model.sources), "float": spec.model.float}
    return write_bundle(members, manifest, signature=proven.signature, parameters=parameters, out=out, signers=signers)
