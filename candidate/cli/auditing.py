"""Commands that check what was decided, and whether the gate can be relied on: audit, override, selftest."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from candidate.cli import output
from candidate.cli.judging import DecisionFile
from candidate.cli.options import Engine, Json, Key, Keys, Quiet, Trust
from candidate.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    for command in (audit, override, selftest):
        app.command()(command)


def audit(
    decision: DecisionFile,
    evidence: Annotated[
        Path | None, typer.Option("--evidence", help="Evidence folder; by default beside the decision.")
    ] = None,
    level: Annotated[
        int | None, typer.Option("--level", help="Deepest level to make, 0 to 3; by default what the files allow.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option("--predictions", help="What compare --predictions wrote: level 2.")
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="The rows that were measured: level 3.")] = None,
    challenger: Annotated[Path | None, typer.Option("--challenger", help="Its bundle: level 3.")] = None,
    champion: Annotated[Path | None, typer.Option("--champion", help="Its bundle: level 3.")] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="Say what this policy would have said: exploratory, never a go.")
    ] = None,
    override: Annotated[Path | None, typer.Option("--override", help="Of the decision: check it and show it.")] = None,
    engine: Engine = "serial",
    trust: Trust = None,
    ledger: Annotated[Path | None, typer.Option("--ledger", help="The decision's look must be in it.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Recompute a verdict from its evidence; any difference is an integrity error."""
    if policy is not None:
        other = any(each is not None for each in (predictions, data, challenger, champion, override, level))
        _rejudge(decision, policy, evidence, alone=not other, as_json=as_json, quiet=quiet)
    from candidate.flows.auditing import audit as flow
    from candidate.report.audits import audit_text

    with output.progress(quiet=quiet) as progress:
        result = flow(
            decision,
            evidence=evidence,
            trust=output.trust(trust, needed=False),
            predictions=predictions,
            data=data,
            challenger=challenger,
            champion=champion,
            ledger=ledger,
            override=None if override is None else output.read_bytes(override),
            level=level,
            engine=engine,
            now=output.now(),
            progress=progress,
        )
    output.emit(result, audit_text(result), as_json=as_json, quiet=quiet)


def _rejudge(
    decision: Path, policy: Path, evidence: Path | None, *, alone: bool, as_json: bool, quiet: bool
) -> NoReturn:
    """Say what another policy would have said, and leave."""
    from candidate.flows.rejudging import EXIT_CODES, rejudge
    from candidate.report.audits import exploratory_text

    if not alone:
        raise InputError(
            "what another policy would have said is asked alone", where="--policy", hint="leave the other options out"
        )
    result = rejudge(decision, policy=policy, evidence=evidence)
    output.emit(result, exploratory_text(result), as_json=as_json, quiet=quiet)
    raise typer.Exit(EXIT_CODES[result.would_be])


def override(
    decision: DecisionFile,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is signed and kept for ever.")],
    days: Annotated[int, typer.Option("--days", help="How long it is good for.")],
    key: Keys = None,
    evidence: Annotated[
        Path | None, typer.Option("--evidence", help="Evidence folder; by default beside the decision.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; by default NAME.override.jsonl beside the decision.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Sign that an inconclusive decision may be promoted, where its policy allows it; never a no-go."""
    from candidate.flows.overriding import override as flow
    from candidate.report.audits import override_text

    made = flow(decision, reason=reason, days=days, signer=output.signers(key), evidence=evidence, now=output.now())
    path = decision.with_name(f"{decision.stem}.override.jsonl") if out is None else out
    output.write_new(path, made.data)
    output.emit(made.override, override_text(made.override, str(path)), as_json=as_json, quiet=quiet)


def selftest(
    data: Annotated[
        Path | None, typer.Option("--data", help="Rows to plant faults in; by default made-up ones.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option("--bundle", help="Whose scores of these rows are used.")] = None,
    policy: Annotated[Path | None, typer.Option("--policy", help="By which the rows are judged.")] = None,
    runs: Annotated[
        int | None, typer.Option("--runs", help="How often each fault is planted; by default 200, 40 in given rows.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of everything that is drawn.")] = 0,
    key: Key = None,
    out: Annotated[Path | None, typer.Option("--out", help="File for the result; signed if there is a key.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Plant faults and see whether the gate catches them; exit code 3 if one got through."""
    from candidate.flows.selftesting import selftest as flow
    from candidate.flows.selftesting import signed_selftest
    from candidate.report.audits import selftest_text

    signer = output.signer(key)
    with output.progress(quiet=quiet) as progress:
        result = flow(data=data, bundle=bundle, policy=policy, runs=runs, seed=seed, progress=progress)
    if out is not None:
        output.write_new(out, signed_selftest(result, signer))
    output.emit(result, selftest_text(result), as_json=as_json, quiet=quiet)
    raise typer.Exit(0 if result.held else 3)
