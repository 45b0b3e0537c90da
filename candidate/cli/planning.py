"""Commands before the blackbox is opened: plan, calibrate."""

from pathlib import Path
from typing import Annotated

import typer

from candidate.cli import output
from candidate.cli.options import Engine, Json, Quiet

PolicyFile = Annotated[Path, typer.Option("--policy", help="What must hold, fixed before the run.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    for command in (plan, calibrate):
        app.command()(command)


def plan(
    policy: PolicyFile,
    pilot: Annotated[Path, typer.Option("--pilot", help="Eyeball rows, or the evidence folder of a comparison.")],
    challenger: Annotated[Path | None, typer.Option("--challenger", help="With rows: a bundle to plan for.")] = None,
    champion: Annotated[str | None, typer.Option("--champion", help="With rows: the other bundle, or none.")] = None,
    rows: Annotated[int | None, typer.Option("--rows", help="Of the blackbox; by default as the pilot.")] = None,
    ledger: Annotated[Path | None, typer.Option("--ledger", help="Write the plan's digest there.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write the plan to, for compare --plan.")] = None,
    engine: Engine = "serial",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what a comparison could tell before the blackbox is opened: power, rows needed, blind slices."""
    from candidate.flows.planning import plan as flow
    from candidate.report.planned import plan_text

    with output.progress(quiet=quiet) as progress:
        made = flow(
            policy,
            pilot=pilot,
            challenger=challenger,
            champion=champion,
            rows=rows,
            ledger=ledger,
            engine=engine,
            progress=progress,
        )
    if out is not None:
        output.write_new(out, made.to_bytes() + b"\n")
    output.emit(made, plan_text(made), as_json=as_json, quiet=quiet)


def calibrate(
    bundles: Annotated[list[Path], typer.Argument(metavar="BUNDLE...", help="Five or more retrains of one recipe.")],
    policy: PolicyFile,
    data: Annotated[Path, typer.Option("--data", help="Eyeball rows.")],
    engine: Engine = "serial",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say how far retrains of one recipe differ by each rule: a smaller margin stops good models."""
    from candidate.flows.planning import calibrate as flow
    from candidate.report.planned import noise_text

    with output.progress(quiet=quiet) as progress:
        found = flow(bundles, policy=policy, data=data, engine=engine, progress=progress)
    output.emit(found, noise_text(found), as_json=as_json, quiet=quiet)
