"""Make a new bundle of an old one, whose graph maps the old scores to probabilities.

The map is fitted on rows that neither trained the model nor will judge the new bundle; both are
held to it, by the digests of the files.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from candidate.adapters import dataset
from candidate.adapters.archive import Archive, FileBlob
from candidate.adapters.attest import Signer, signers_of
from candidate.adapters.convert import Cut, cut_scores, map_scores
from candidate.adapters.graph import Graph, canonical_graph, check_graph, inspect_graph, name_batch, parse_graph
from candidate.adapters.graph.tensors import tensor_bytes
from candidate.adapters.oci import LargeMember, Member
from candidate.adapters.runtime import Session, scores_of
from candidate.canonical import canonical, digest_of
from candidate.documents.manifest import (
    BundleManifest,
    Dependency,
    ExperimentRecord,
    ModelSignature,
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
)
from candidate.documents.recalibrated import (
    CALIBRATED_FROM,
    CALIBRATION_DATA,
    RECORD_KEY,
    Calibration,
    Keeping,
    Method,
    Recalibrated,
)
from candidate.documents.spec import BuildSpec, BundleSection, DataSection, ModelSection
from candidate.documents.trust import TrustPolicy
from candidate.errors import InputError, IntegrityError
from candidate.flows import describing, recording
from candidate.flows.billing import bill_of_materials
from candidate.flows.fitting import Fitted, fit, mapped, steepest
from candidate.flows.inspecting import Bundle
from candidate.flows.inspecting.bundle import golden_feeds
from candidate.flows.measuring import is_attested
from candidate.flows.packing import write_bundle
from candidate.flows.progress import Progress, silent
from candidate.flows.proving.parity import TOLERANCE
from candidate.flows.slicing import coded
from candidate.flows.verifying import inspect
from candidate.judgement.state import log_losses

Floats = NDArray[np.float64]


def recalibrate(
    bundle: Path | str,
    *,
    data: Path | str,
    method: Method = "platt",
    version: str | None = None,
    keep: Keeping = "answers",
    out: Path | str = Path(),
    signer: Signer | Sequence[Signer] | None = None,
    trust: TrustPolicy | None = None,
    now: datetime | None = None,
    progress: Progress = silent,
) -> Recalibrated:
    """Fit a map of a bundle's scores and write a new bundle with the map in its graph.

    Nothing is trained again, and nothing of the bundle is executed but its graph. The new bundle is
    a candidate like any other: whether it is calibrated is for ``compare`` to find on other rows.

    Args:
        bundle: of a binary model.
        data: labelled eyeball rows: neither those of the training nor the blackbox.
        method: ``platt``, a sigmoid of the log odds, or ``isotonic``, the best rising fit.
        version: of the new bundle; by default the old one's with the method behind it.
        keep: ``answers`` maps the threshold like the scores, so that rows get the answers they got;
            ``threshold`` keeps its number, so that answers follow the new probabilities.
        out: folder of the new bundle.
        signer: builder's key, or several; without one nobody will trust the bundle.
        trust: if given, a trusted builder must have attested the old bundle.
        now: time at which the trust is looked at; by default this moment.
        progress: told the share of rows scored.

    Raises:
        InputError: the model is not binary, or was mapped already; the rows do not fit, were trained
            on, or are too few; nothing is written.
        IntegrityError: the bundle is not what it should be.
        RefusedError: no trusted builder attested it.
        UnavailableError: the build extra is not installed.
    """
    signers, data = signers_of(signer), Path(data)
    with Archive.open(Path(bundle)) as archive:
        parent = inspect(archive)
        is_attested(parent, trust, datetime.now(UTC) if now is None else now)
        threshold = _check_parent(parent)
        digest = dataset.file_digest(data)
        if digest == parent.experiment.data.digest:
            raise InputError(
                "these are the rows that the model was trained on",
                where=data.name,
                hint="its scores are too good there: take rows that it has not seen",
            )
        scores, positive = _scored(parent, data, progress)
        fitted = fit(scores, positive, method)
        progress("mapping, and comparing the graph with the map", None)
        new = _threshold(parent.signature, fitted, scores, threshold, keep)
        with parent.weights() as folder:
            model, graph, signature = _graph(parent, fitted, new, folder)
            session = Session(model, folder=folder)
            found, _ = _scored(parent, data, silent, session=session, signature=signature)
            did = Calibration(
                method=method,
                parent=parent.ref,
                data=digest,
                rows=len(scores),
                positives=int(positive.sum()),
                slope=None if fitted.by.knots else fitted.by.slope,
                offset=None if fitted.by.knots else fitted.by.offset,
                knots=len(fitted.by.knots) or None,
                keeps=keep,
                threshold_before=threshold,
                threshold=new,
                answers_changed=int(((scores >= threshold) != (found >= new)).sum()),
                log_loss_before=float(log_losses(positive, scores).mean()),
                log_loss_after=float(log_losses(positive, found).mean()),
                max_difference=_parity(fitted, found),
                steepest=steepest(fitted.by, scores),
                library=fitted.library,
            )
            spec = _spec(parent, version or f"{parent.ref.version}-{method}")
            record = _record(parent, did)
            large = [
                LargeMember(name, "weights", FileBlob.whole(folder / name.rpartition("/")[2]))
                for name in parent.manifest.onnx.external_data
            ]
            own = _members(parent, spec, record, did, (model, graph, signature), session)
            replaced = {member.path for member in own} | {member.path for member in large}
            members: list[Member | LargeMember] = [*_kept(parent, replaced)]
            members += [*own, *large]
            manifest = _manifest(parent, spec, graph, did, members)
            built = write_bundle(
                members,
                manifest,
                signature=signature,
                parameters={"method": method, "keep": keep},
                out=Path(out),
                signers=signers,
            )
    return Recalibrated(
        bundle=built.bundle,
        path=built.path,
        file_digest=built.file_digest,
        size_bytes=built.size_bytes,
        calibration=did,
        attested=built.attested,
    )


def _check_parent(parent: Bundle) -> float:
    """Return the threshold of a binary model whose scores nobody has mapped yet."""
    signature, name = parent.signature, f"{parent.ref.name} {parent.ref.version}"
    if signature.task != "binary" or signature.threshold is None or signature.score_output is None:
        raise InputError(
            f"a {signature.task} model: only the scores of binary ones are mapped",
            where=name,
            hint="calibrate it in training, for example with CalibratedClassifierCV",
        )
    if any(each.name == CALIBRATION_DATA for each in parent.manifest.dependencies):
        raise InputError("recalibrated already", where=name, hint="recalibrate the bundle that it was made of")
    return signature.threshold


def _scored(
    parent: Bundle,
    data: Path,
    progress: Progress,
    *,
    session: Session | None = None,
    signature: ModelSignature | None = None,
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the score of each row, and whether it is of the positive class, each of shape (rows,)."""
    signature = parent.signature if signature is None else signature
    session = parent.session() if session is None else session
    expected, scores, positive, rows = dataset.row_count(data), list[Floats](), list[NDArray[np.bool_]](), 0
    for batch in dataset.batches(data, list(dict.fromkeys((*signature.features, signature.label)))):
        label = coded(*dataset.coded_column(batch, signature.label))
        for position, value in enumerate(label.values):
            if value not in signature.classes:
                row = rows + int(np.flatnonzero(label.codes == position)[0])
                raise InputError(
                    f"label {value!r} is none of the classes {', '.join(map(repr, signature.classes))}",
                    where=f"{data.name}, row {row}, column {signature.label}",
                )
        feeds = dataset.feeds(batch, signature.inputs, first_row=rows, where=data.name, filled=parent.filled)
        _, score = scores_of(signature, session.run(feeds))
        if score is None or not np.isfinite(score).all():
            raise InputError(f"the model gives no finite score for some row from {rows} on", where=data.name)
        scores.append(score)
        positive.append(np.array([value == signature.positive for value in label.values], dtype=bool)[label.codes])
        rows += batch.num_rows
        progress("scoring rows", None if not expected else rows / expected)
    if not rows:
        raise InputError("no rows", where=data.name)
    return np.concatenate(scores), np.concatenate(positive)


def _threshold(signature: ModelSignature, fitted: Fitted, scores: Floats, threshold: float, keep: Keeping) -> float:
    """Return the new threshold; a mapped one is rounded as the graph's scores are, so that equal stays equal.

    A rising fit maps scores on both sides of the threshold to one: all these rows get one answer
    then, the one that fewer of them have to change for.
    """
    if keep == "threshold":
        return threshold
    kinds = {tensor.name: tensor.dtype for tensor in signature.outputs}
    kind = np.float32 if kinds[str(signature.score_output)] == "float32" else np.float64
    at, after = (mapped(fitted.by, each).astype(kind).astype(np.float64) for each in (np.array([threshold]), scores))
    said, above = scores >= threshold, after[after > at[0]]
    choices = [float(at[0]), *([float(above.min())] if len(above) else [])]
    return min(choices, key=lambda choice: int(((after >= choice) != said).sum()))


def _graph(parent: Bundle, fitted: Fitted, threshold: float, folder: Path) -> tuple[bytes, Graph, ModelSignature]:
    """Return the graph with the map behind its scores and a label that follows from them, and its signature."""
    before = parent.signature
    proto: Any = parse_graph(parent.read(MODEL_PATH))
    column = before.classes.index(before.positive) if before.positive is not None else 1
    map_scores(proto, str(before.score_output), column, fitted.by)
    cut_scores(proto.graph, before.classes, Cut(threshold, column))
    name_batch(proto)
    model = canonical_graph(proto)
    try:
        graph = inspect_graph(model, {path.name: path.stat().st_size for path in folder.iterdir()})
        check_graph(model)
    except IntegrityError as error:
        raise InputError(f"the map does not fit the graph: {error.message}", where=parent.ref.name) from error
    kinds = [{tensor.name: tensor.dtype for tensor in each} for each in (before.outputs, graph.outputs)]
    if kinds[0] != kinds[1]:
        raise InputError(
            "the graph's answers would be of another type",
            where=parent.ref.name,
            hint="build it anew with classes that are whole numbers or text",
        )
    signature = before.model_copy(update={"outputs": graph.outputs, "threshold": threshold})
    return model, graph, signature


def _parity(fitted: Fitted, found: Floats) -> float:
    """Return the largest difference of the map in the graph, to three digits; a difference that counts is refused."""
    largest = float(np.abs(found - fitted.expected).max())
    if largest > TOLERANCE:
        raise InputError(
            f"the map in the graph is {largest:.2g} off scikit-learn's, more than {TOLERANCE:g}",
            where="recalibration",
            hint="please report this with the bundle",
        )
    return float(f"{largest:.3g}")


def _spec(parent: Bundle, version: str) -> BuildSpec:
    """Return what the new bundle says of itself, as a specification would."""
    who, record = parent.manifest.descriptor, parent.experiment
    bill = json.loads(parent.read(MLBOM_PATH))
    try:
        section = BundleSection(name=who.name, version=version, description=who.description, licenses=who.licenses)
    except ValidationError as error:
        raise InputError(
            f"{version!r} is no version", where="--version", hint="use letters, digits, dots, dashes and plus"
        ) from error
    if version == who.version:
        raise InputError(f"the bundle is version {version} already", where="--version", hint="give a new one")
    data = DataSection(train=str(bill["components"][0]["name"]), snapshot=record.data.snapshot, unit=record.data.unit)
    return BuildSpec(bundle=section, model=ModelSection(source=record.code.source), data=data)


def _record(parent: Bundle, did: Calibration) -> ExperimentRecord:
    """Return the old experiment record with the calibration in it."""
    record = parent.experiment
    found = record.model_copy(update={"record": {**record.record, RECORD_KEY: did.model_dump(mode="json")}})
    return ExperimentRecord.from_bytes(found.to_bytes())


def _members(
    parent: Bundle,
    spec: BuildSpec,
    record: ExperimentRecord,
    did: Calibration,
    made: tuple[bytes, Graph, ModelSignature],
    session: Session,
) -> list[Member]:
    """Return what is another than in the old bundle."""
    model, graph, signature = made
    title = f"{spec.bundle.name} {spec.bundle.version}"
    lock = parent.read(ENVIRONMENT_PATH).decode()
    bill = bill_of_materials(spec, signature, record, digest_of(model), lock=lock, ops=graph.facts.ops)
    answers = session.run(golden_feeds(parent))
    card = recording.model_card(spec, signature, record, parent.manifest.parity).decode()
    card += (
        f"* Recalibrated: {did.method}, on {did.rows:,} rows, `{did.data}`; made of {did.parent.version},"
        f" `{did.parent.digest}`\n"
    )
    return [
        Member(MODEL_PATH, "model", model),
        Member(SIGNATURE_PATH, "signature", signature.to_bytes()),
        Member(INPUT_SCHEMA_PATH, "schema", canonical({**parent.input_schema, "title": title})),
        Member(OUTPUT_SCHEMA_PATH, "schema", describing.output_schema(signature, title)),
        Member(EXPERIMENT_PATH, "experiment", record.to_bytes()),
        Member(MLBOM_PATH, "mlbom", bill),
        Member(CARD_PATH, "doc", card.encode()),
        *(
            Member(f"{GOLDEN_DIRECTORY}/output_{number}.pb", "golden", tensor_bytes(answers[tensor.name], tensor.name))
            for number, tensor in enumerate(signature.outputs)
        ),
    ]


def _kept(parent: Bundle, others: set[str]) -> list[Member]:
    """Return the members that stay as they are."""
    files = (file for file in parent.manifest.files if file.name not in others)
    return [Member(file.name, file.role, parent.read(file.name)) for file in files]


def _manifest(
    parent: Bundle, spec: BuildSpec, graph: Graph, did: Calibration, members: list[Member | LargeMember]
) -> BundleManifest:
    """Return the manifest; the rows and the old bundle are dependencies, so that the provenance names them too."""
    before = parent.manifest
    made_of = [
        Dependency(name=name, digest={"sha256": digest.removeprefix("sha256:")})
        for name, digest in ((CALIBRATION_DATA, did.data), (CALIBRATED_FROM, did.parent.digest))
    ]
    return before.model_copy(
        update={
            "descriptor": before.descriptor.model_copy(update={"version": spec.bundle.version}),
            "files": tuple(sorted((member.file for member in members), key=lambda file: file.name)),
            "onnx": graph.facts,
            "dependencies": (*before.dependencies, *made_of),
        }
    )
