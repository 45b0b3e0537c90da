"""The command that makes a bundle of a bundle: recalibrate."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from candidate.cli import output
from candidate.cli.options import Json, Keys, Quiet


class Map(Enum):
    """How scores are mapped."""

    PLATT = "platt"
    ISOTONIC = "isotonic"


class Keep(Enum):
    """What of the decision stays."""

    ANSWERS = "answers"
    THRESHOLD = "threshold"


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command()(recalibrate)


def recalibrate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A .candidate file of a binary model.")],
    data: Annotated[
        Path, typer.Option("--data", help="Labelled eyeball rows: neither the training's nor the blackbox.")
    ],
    method: Annotated[
        Map, typer.Option("--method", help="A sigmoid of the log odds, or the best rising fit.")
    ] = Map.PLATT,
    version: Annotated[
        str | None, typer.Option("--version", help="Of the new bundle; by default the old one's, then -METHOD.")
    ] = None,
    keep: Annotated[
        Keep, typer.Option("--keep", help="Map the threshold too, so that answers stay; or keep its number.")
    ] = Keep.ANSWERS,
    out: Annotated[Path, typer.Option("--out", help="Folder of the new bundle.")] = Path(),
    key: Keys = None,
    trust: Annotated[
        Path | None, typer.Option("--trust", help="Take only a bundle that a trusted builder attested.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Map a bundle's scores to probabilities on eyeball rows, and make a new bundle with the map in its graph."""
    from candidate.flows.recalibrating import recalibrate as flow
    from candidate.report.recalibrated import recalibrated_text

    with output.progress(quiet=quiet) as progress:
        made = flow(
            bundle,
            data=data,
            method=method.value,
            version=version,
            keep=keep.value,
            out=out,
            signer=output.signers(key),
            trust=None if trust is None else output.trust(trust, needed=True),
            now=output.now(),
            progress=progress,
        )
    output.emit(made, recalibrated_text(made), as_json=as_json, quiet=quiet)
