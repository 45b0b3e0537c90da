"""The commands that look at rows and judge nothing: skew, diagnose."""

from pathlib import Path
from typing import Annotated

import typer

from candidate.cli import output
from candidate.cli.options import Json, Quiet


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command()(skew)
    app.command()(diagnose)


def skew(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A .candidate file.")],
    logged: Annotated[Path, typer.Option("--logged", help="What was served: a log by --log, or a table.")],
    reference: Annotated[
        Path | None, typer.Option("--reference", help="Features recomputed, or the rows the model was judged on.")
    ] = None,
    row_id: Annotated[
        str | None, typer.Option("--id", help="Column that names a row: compare row by row with the reference.")
    ] = None,
    max_mismatch: Annotated[float, typer.Option("--max-mismatch", help="Share of rows that may disagree.")] = 0.001,
    alpha: Annotated[
        float, typer.Option("--alpha", help="Error rate of each bound, and of all shifts together.")
    ] = 0.05,
    trust: Annotated[
        Path | None, typer.Option("--trust", help="Take only a bundle that a trusted builder attested.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Hold what was served to what the model was judged on: none (0), skew (3), or too few rows to tell (4)."""
    from candidate.flows.skewing import skew as flow
    from candidate.report.skewed import skew_text

    with output.progress(quiet=quiet) as progress:
        found = flow(
            bundle,
            logged=logged,
            reference=reference,
            row_id=row_id,
            max_mismatch=max_mismatch,
            alpha=alpha,
            trust=None if trust is None else output.trust(trust, needed=True),
            now=output.now(),
            progress=progress,
        )
    output.emit(found, skew_text(found), as_json=as_json, quiet=quiet)
    raise typer.Exit({"pass": 0, "fail": 3, "open": 4}[found.outcome])


def diagnose(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A .candidate file.")],
    data: Annotated[Path, typer.Option("--data", help="Labelled eyeball rows; never the blackbox.")],
    train: Annotated[
        Path | None, typer.Option("--train", help="The training rows, to tell bias from variance.")
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", help="CSV file to write about 100 errors to, for their causes.")
    ] = None,
    annotated: Annotated[Path | None, typer.Option("--annotated", help="Such a sheet, filled in.")] = None,
    trust: Annotated[
        Path | None, typer.Option("--trust", help="Take only a bundle that a trusted builder attested.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say where a model loses, whether bias or variance is to blame, and what to look at first."""
    from candidate.flows.diagnosing import diagnose as flow
    from candidate.report.diagnosed import diagnosis_text

    with output.progress(quiet=quiet) as progress:
        found = flow(
            bundle,
            data=data,
            train=train,
            sheet=sheet,
            annotated=annotated,
            trust=None if trust is None else output.trust(trust, needed=True),
            now=output.now(),
            progress=progress,
        )
    output.emit(found, diagnosis_text(found), as_json=as_json, quiet=quiet)
