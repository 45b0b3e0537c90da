"""Commands that decide, and that tell what was decided: compare, report."""

from pathlib import Path
from typing import Annotated

import typer

from candidate.cli import output
from candidate.cli.options import Engine, Json, Key, Quiet, Trust

DecisionFile = Annotated[Path, typer.Argument(metavar="DECISION", help="A decision.json.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    for command in (compare, report):
        app.command()(command)


def compare(
    challenger: Annotated[Path, typer.Argument(metavar="CHALLENGER", help="A .candidate file.")],
    champion: Annotated[str, typer.Option("--champion", help="A bundle, REGISTRY#CHANNEL, or none.")],
    policy: Annotated[Path, typer.Option("--policy", help="What must hold, fixed before the run.")],
    data: Annotated[Path, typer.Option("--data", help="Blackbox rows, Parquet.")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the decision and its evidence.")] = None,
    name: Annotated[str, typer.Option("--name", help="Name of the decision's file, without .json.")] = "decision",
    key: Key = None,
    trust: Trust = None,
    registry: Annotated[
        str | None, typer.Option("--registry", help="With --champion none: where it is meant for.")
    ] = None,
    channel: Annotated[str | None, typer.Option("--channel", help="With --champion none: which channel.")] = None,
    engine: Engine = "serial",
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="Counts the looks at these rows, where the policy has [holdout].")
    ] = None,
    eyeball: Annotated[
        Path | None, typer.Option("--eyeball", help="Rows looked at while developing: none may be in --data.")
    ] = None,
    train: Annotated[
        Path | None, typer.Option("--train", help="Rows the challenger was trained on, where the policy asks for them.")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option("--plan", help="What candidate plan wrote: the policy may not have changed since.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option("--predictions", help="Parquet file to keep every row's scores in, for an audit.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a challenger beside the champion and answer go (0), no-go (3) or inconclusive (4)."""
    from candidate.documents.decision import EXIT_CODES
    from candidate.flows.comparing import compare as flow
    from candidate.flows.planning import read_plan
    from candidate.report.text import decision_text

    with output.progress(quiet=quiet) as progress:
        result = flow(
            challenger,
            champion=champion,
            policy=policy,
            data=data,
            out=out,
            name=name,
            signer=output.signer(key),
            trust=output.trust(trust, needed=False),
            registry=registry,
            channel=channel,
            now=output.now(),
            engine=engine,
            ledger=ledger,
            eyeball=eyeball,
            train=train,
            planned=None if plan is None else read_plan(plan),
            predictions=predictions,
            progress=progress,
        )
    output.emit(result.decision, decision_text(result.decision), as_json=as_json, quiet=quiet)
    raise typer.Exit(EXIT_CODES[result.decision.outcome])


def report(
    decision: DecisionFile,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="A .html, .md, .xml (JUnit) or .sarif file; by default Markdown on stdout."),
    ] = None,
    evidence: Annotated[
        Path | None, typer.Option("--evidence", help="Evidence folder, for the plots; by default beside the decision.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="The policy file, so that SARIF points to its lines.")
    ] = None,
    verdict_only: Annotated[
        bool, typer.Option("--verdict-only", help="Without any number that was measured: for those who train.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Tell a decision: a page for people, a job summary, a test report or a list for code scanning."""
    from candidate.flows.reporting import render

    form = ".md" if out is None else out.suffix
    told = render(decision, form, evidence=evidence, policy=policy, verdict_only=verdict_only)
    text = told.text
    if out is not None:
        output.write_new(out, text.encode())
        text = f"wrote {out}"
    output.emit(told.decision, text, as_json=as_json, quiet=quiet)
