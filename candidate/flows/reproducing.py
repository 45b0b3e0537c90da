"""Build a bundle again and say whether it came out the same; if not, in what it differs.

Source: reproducible-builds.org, the definition: same source, same environment, bit for bit the same.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from candidate.adapters.archive import Archive
from candidate.adapters.attest import Signer, attest, signers_of
from candidate.adapters.differences import graph_differences, json_differences, lock_differences, named
from candidate.adapters.statements import BUILDER_ID
from candidate.canonical import digest_of
from candidate.documents.manifest import ShaDigest
from candidate.documents.names import ENVIRONMENT_PATH, MANIFEST_PATH, MODEL_PATH, REPRODUCED_TYPE
from candidate.documents.predicates import Evaluator, ReproducedPredicate
from candidate.documents.results import Reproduced
from candidate.documents.spec import BuildSpec
from candidate.documents.statement import Statement, Subject
from candidate.errors import InputError, IntegrityError, UnavailableError
from candidate.flows.attaching import attach
from candidate.flows.building import build
from candidate.flows.inspecting import Bundle, inspect
from candidate.flows.progress import Progress, silent

LISTED = ("/files", "/onnx")
"""What the metadata manifest repeats of other members, which are explained themselves."""


def reproduced_statement(bundle: Bundle) -> Statement:
    """Return what is attested of a bundle that came out the same. No time, so that it can be repeated."""
    code = bundle.experiment.code
    predicate = ReproducedPredicate(
        content=bundle.ref.digest,
        environment=digest_of(bundle.read(ENVIRONMENT_PATH)),
        commit=code.commit,
        source_digest=code.source_digest,
        builder=Evaluator(id=BUILDER_ID),
    )
    subject = Subject(
        name=f"{bundle.ref.name}-{bundle.ref.version}",
        digest=ShaDigest(sha256=bundle.ref.digest.removeprefix("sha256:")),
    )
    return Statement(subject=(subject,), predicate_type=REPRODUCED_TYPE, predicate=predicate.model_dump(mode="json"))


def reproduce(
    spec: Path | str | BuildSpec,
    bundle: Path | str,
    *,
    model: object | None = None,
    root: Path | str | None = None,
    out: Path | str | None = None,
    signer: Signer | Sequence[Signer] | None = None,
    environ: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> Reproduced:
    """Build from a specification into a scratch folder, and compare with a bundle.

    This executes the code that trains the model, as ``build`` does; nothing out of the bundle is executed.

    Args:
        spec: ``candidate.toml``, or its content.
        bundle: the bundle that should come out.
        model: a fitted estimator, in place of the one that the specification's source names.
        root: folder that the specification's paths are relative to; by default its own.
        out: file to write the attestation to, instead of into the bundle.
        signer: key of whoever built again; without it nothing is attested.
        environ: where SOURCE_DATE_EPOCH is looked up; by default nowhere, and the commit's time is taken.
        progress: told what is being done.

    Raises:
        InputError: the specification cannot be built, or ``out`` exists.
        IntegrityError: the bundle is broken, or something else came out; the message says what differs.
        UnavailableError: the build extra is not installed, or ``out`` cannot be written.
    """
    path, target = Path(bundle), None if out is None else Path(out)
    signers = signers_of(signer)
    if len(signers) > 1:
        raise InputError(
            f"{len(signers)} keys, where one says that it was built again", where="--key", hint="run it once for each"
        )
    if target is not None and not signers:
        raise InputError("there is nothing to write without a key", where="--out", hint="give --key KEY")
    if target is not None and target.exists():
        raise InputError("exists already", where=str(target), hint="name a file that does not exist yet")
    with Archive.open(path) as archive, tempfile.TemporaryDirectory(prefix="candidate-") as scratch:
        wanted = inspect(archive)
        built = build(spec, model=model, root=root, out=scratch, environ=environ, progress=progress)
        if built.bundle.digest != wanted.ref.digest:
            with Archive.open(Path(built.path)) as again:
                raise _different(wanted, inspect(again))
        lock = digest_of(wanted.read(ENVIRONMENT_PATH))
        members = len(wanted.manifest.files) + 1
        statement = reproduced_statement(wanted)
    attestation = attest(statement, signers[0]).to_bytes() if signers else None
    if attestation is not None:
        if target is None:
            attach(path, [attestation])
        else:
            _write(target, attestation)
    return Reproduced(
        bundle=built.bundle,
        members=members,
        environment=lock,
        attestation=None if attestation is None else digest_of(attestation),
        path=None if attestation is None else str(path if target is None else target),
    )


def _write(target: Path, data: bytes) -> None:
    try:
        with target.open("xb") as file:
            file.write(data)
    except OSError as error:
        raise UnavailableError(f"cannot be written: {error.strerror}", where=str(target)) from error


def _different(wanted: Bundle, found: Bundle) -> IntegrityError:
    """Return the error that says in what a build differs from the bundle that should have come out."""
    told = list(_differences(wanted, found))
    said = "; ".join(told) or "the same members, described otherwise"
    return IntegrityError(
        f"{found.ref.name} {found.ref.version} came out as {found.ref.digest}, not as {wanted.ref.digest} "
        f"(the bundle against what came out now): {said}",
        where=wanted.ref.name,
        hint=_hint(told),
    )


def _hint(told: list[str]) -> str:
    text = "; ".join(told)
    if f"{ENVIRONMENT_PATH}: " in text:
        return "install the versions of the bundle's env/requirements.lock, then build again"
    if "/descriptor/createdAt" in text:
        return "check the same commit out, or set SOURCE_DATE_EPOCH to what the bundle was built with"
    return "build from the same commit, data and specification, on the same kind of machine"


def _differences(wanted: Bundle, found: Bundle) -> Iterator[str]:
    """Yield, member by member, in what two bundles differ."""
    mine, theirs = _digests(wanted), _digests(found)
    for name in sorted(mine.keys() | theirs.keys()):
        if name not in theirs:
            yield f"{name}: did not come out"
        elif name not in mine:
            yield f"{name}: is not in the bundle"
        elif mine[name] != theirs[name]:
            inside = _inside(name, wanted, found)
            yield f"{name}: {named(inside) if inside else 'other bytes'}"
    own = json_differences(wanted.read(MANIFEST_PATH), found.read(MANIFEST_PATH))
    own = [each for each in own if not each.startswith(LISTED)]
    if own:
        yield f"{MANIFEST_PATH}: {named(own)}"


def _digests(bundle: Bundle) -> dict[str, str]:
    return {file.name: file.digest.sha256 for file in bundle.manifest.files}


def _inside(name: str, wanted: Bundle, found: Bundle) -> list[str]:
    """Return in what a member differs; weights and golden tensors are not read for that."""
    explain = {ENVIRONMENT_PATH: lock_differences, MODEL_PATH: graph_differences}.get(name)
    if explain is None and name.endswith(".json"):
        explain = json_differences
    return [] if explain is None else explain(wanted.read(name), found.read(name))
