"""Commands for those who serve elsewhere: export, and whether callers can move (``show --against``)."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from candidate.cli import output
from candidate.cli.options import Json, Quiet, Trust
from candidate.errors import InputError


class Required(Enum):
    """The worst that ``show --against --require`` lets pass."""

    COMPATIBLE = "compatible"
    WIDENED = "widened"


class Whose(Enum):
    """Whose verdict ``--require`` looks at."""

    ALL = "all"
    RECORDS = "records"
    TENSORS = "tensors"


class Target(Enum):
    """Where an export is to be served."""

    TRITON = "triton"
    MLFLOW = "mlflow"
    KSERVE = "kserve"


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command()(export)


def export(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A .candidate file.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that does not exist yet.")],
    to: Annotated[Target, typer.Option("--to", help="What serves it.")],
    image: Annotated[
        str | None,
        typer.Option("--image", help="With --to kserve: HOST/NAME[:TAG] that the model image will be pushed to."),
    ] = None,
    trust: Trust = None,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", help="Trust only this builder's key (PEM).")
    ] = None,
    replay: Annotated[bool, typer.Option("--replay/--no-replay", help="Run the golden inputs on this host.")] = True,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Verify a bundle and lay it out for another server: a Triton repository, an MLflow model, KServe."""
    from candidate.flows.exporting import export as flow
    from candidate.report.exported import exported_text

    result = flow(
        bundle,
        folder,
        to=to.value,
        image=image,
        trust=None if public_key else output.trust(trust, needed=True),
        public_key=output.read_bytes(public_key).decode("ascii", "replace") if public_key else None,
        replay=replay,
        now=output.now(),
    )
    output.emit(result, exported_text(result), as_json=as_json, quiet=quiet)


def alone(require: Required | None, callers: Whose) -> None:
    """Refuse the options of ``show`` that mean nothing without ``--against``."""
    if require is not None or callers is not Whose.ALL:
        name = "--require" if require is not None else "--callers"
        raise InputError("means nothing without --against", where=name, hint="name the older bundle: --against BUNDLE")


def compared(
    bundle: Path, against: Path, *, require: Required | None, callers: Whose, as_json: bool, quiet: bool
) -> None:
    """Say whether callers of an older bundle can call this one; leave by 3 if that was required and is not so."""
    from candidate.documents.compatible import fulfils
    from candidate.documents.decision import EXIT_CODES
    from candidate.flows.compatible import compatibility as flow
    from candidate.report.compatible import compatibility_text

    found = flow(bundle, against=against)
    output.emit(found, compatibility_text(found), as_json=as_json, quiet=quiet)
    if require is not None and not fulfils(found, require.value, callers.value):
        raise typer.Exit(EXIT_CODES["no-go"])
