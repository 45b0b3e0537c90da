"""Commands that move a bundle between places: push, pull, import."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from candidate.cli import output
from candidate.cli.options import Json, Quiet, Trust

if TYPE_CHECKING:
    from candidate.adapters.transport.reference import Credentials

USER = "CANDIDATE_REGISTRY_USER"
PASSWORD = "CANDIDATE_REGISTRY_PASSWORD"  # noqa: S105 - the name of a variable, not a secret

Place = Annotated[str, typer.Argument(metavar="REFERENCE", help="HOST[:PORT]/NAME[:TAG][@sha256:…].")]
Insecure = Annotated[bool, typer.Option("--insecure", help="Speak plain HTTP to a host that is not this one.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command()(push)
    app.command()(pull)
    app.command("import")(import_)


def credentials() -> "Credentials | None":
    """Return user and password from the environment, if both are there; never from argv."""
    user, password = os.environ.get(USER), os.environ.get(PASSWORD)
    if not user or not password:
        return None
    from candidate.adapters.transport.reference import Credentials

    return Credentials(user, password)


def push(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A .candidate file.")],
    reference: Place,
    move_tag: Annotated[bool, typer.Option("--move-tag", help="Let the tag leave another bundle.")] = False,
    insecure: Insecure = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Send a bundle with its attestations to an OCI registry; the tag is by default its version."""
    from candidate.flows.transporting import push as flow
    from candidate.report.moving import pushed_text

    with output.progress(quiet=quiet) as progress:
        result = flow(
            bundle,
            reference,
            move_tag=move_tag,
            insecure=insecure,
            credentials=credentials(),
            progress=progress,
        )
    output.emit(result, pushed_text(result), as_json=as_json, quiet=quiet)


def pull(
    reference: Place,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The .candidate file to write.")],
    trust: Trust = None,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", help="Trust only this builder's key (PEM).")
    ] = None,
    allow_unattested: Annotated[
        bool, typer.Option("--allow-unattested", help="Take it although no release attestation came with it.")
    ] = False,
    insecure: Insecure = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch a bundle with its attestations; verified before the file appears, if keys to trust are named."""
    from candidate.flows.transporting import pull as flow
    from candidate.report.moving import pulled_text

    with output.progress(quiet=quiet) as progress:
        result = flow(
            reference,
            path,
            trust=None if public_key else output.trust(trust, needed=False),
            public_key=output.read_bytes(public_key).decode("ascii", "replace") if public_key else None,
            now=output.now(),
            allow_unattested=allow_unattested,
            insecure=insecure,
            credentials=credentials(),
            progress=progress,
        )
    output.emit(result, pulled_text(result), as_json=as_json, quiet=quiet)


def import_(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="An OCI layout: a folder, a .tar or a .tar.gz.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle.")] = Path(),
    tag: Annotated[str | None, typer.Option("--tag", help="Which bundle, by its tag or version.")] = None,
    digest: Annotated[str | None, typer.Option("--digest", help="Which bundle, by its identity.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take a bundle out of a layout that another tool wrote, and write it in its canonical form."""
    from candidate.flows.importing import import_bundle as flow
    from candidate.report.moving import imported_text

    result = flow(source, out=out, tag=tag, digest=digest)
    output.emit(result, imported_text(result), as_json=as_json, quiet=quiet)
