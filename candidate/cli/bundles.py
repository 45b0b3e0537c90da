"""Commands about one bundle: build, show, verify, unpack, attach, predict, evaluate, bench."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from candidate.cli import exports, output, quick
from candidate.cli.options import Engine, Json, Keys, Quiet, Trust

BundleFile = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A .candidate file.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    for command in (build, show, verify, unpack, attach, predict, evaluate, bench):
        app.command()(command)


def build(
    spec: Annotated[Path, typer.Argument(metavar="[SPEC]", help="What to build.")] = Path("candidate.toml"),
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the bundle; with --check, a file for the attestation.")
    ] = None,
    check: Annotated[
        Path | None, typer.Option("--check", help="Build again and compare with this bundle; with --key, attest it.")
    ] = None,
    root: Annotated[
        Path | None, typer.Option("--root", help="Folder of the paths in SPEC; by default its own.")
    ] = None,
    key: Keys = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make the bundle: convert, prove parity, infer schema and signature, record provenance, sign."""
    from candidate.report.text import built_text, reproduced_text

    signers = output.signers(key)
    with output.progress(quiet=quiet) as progress:
        if check is None:
            from candidate.flows.building import build as flow

            built = flow(spec, root=root, out=out or Path(), signer=signers, environ=os.environ, progress=progress)
            return output.emit(built, built_text(built), as_json=as_json, quiet=quiet)
        from candidate.flows.reproducing import reproduce

        again = reproduce(spec, check, root=root, out=out, signer=signers, environ=os.environ, progress=progress)
    return output.emit(again, reproduced_text(again), as_json=as_json, quiet=quiet)


def show(
    path: Annotated[Path, typer.Argument(help="A bundle, decision, evidence folder, ledger or registry.")],
    against: Annotated[
        Path | None, typer.Option("--against", help="An older bundle: say whether its callers can call this one.")
    ] = None,
    require: Annotated[
        exports.Required | None, typer.Option("--require", help="With --against: leave by 3 if it is worse than this.")
    ] = None,
    callers: Annotated[
        exports.Whose, typer.Option("--callers", help="With --against and --require: whose verdict counts.")
    ] = exports.Whose.ALL,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what this file is, without trusting it; or whether callers of another bundle can call it."""
    if against is not None:
        return exports.compared(path, against, require=require, callers=callers, as_json=as_json, quiet=quiet)
    exports.alone(require, callers)
    from candidate.flows.showing import show as flow
    from candidate.report.text import document_text

    document = flow(path)
    return output.emit(document, document_text(document), as_json=as_json, quiet=quiet)


def verify(
    bundle: BundleFile,
    trust: Trust = None,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", help="Trust only this builder's key (PEM).")
    ] = None,
    decision: Annotated[Path | None, typer.Option("--decision", help="Also require this signed go.")] = None,
    override: Annotated[
        Path | None, typer.Option("--override", help="Of a decision that is inconclusive: who let it pass.")
    ] = None,
    replay: Annotated[bool, typer.Option("--replay/--no-replay", help="Run the golden inputs on this host.")] = True,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check form, digests, closure, attestation and schema of a bundle, and replay its golden inputs."""
    quick.verify(
        bundle,
        trust=trust,
        public_key=public_key,
        decision=decision,
        override=override,
        replay=replay,
        as_json=as_json,
        quiet=quiet,
    )


def unpack(
    bundle: BundleFile,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that does not exist yet.")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the members of a bundle into a new folder."""
    from candidate.flows.showing import unpack as flow
    from candidate.report.text import unpacked_text

    result = flow(bundle, folder)
    output.emit(result, unpacked_text(result), as_json=as_json, quiet=quiet)


def attach(
    bundle: BundleFile,
    attestations: Annotated[
        list[Path],
        typer.Argument(metavar="ATTESTATIONS...", help="Signed decisions, claims.jsonl files, or single attestations."),
    ],
    out: Annotated[Path | None, typer.Option("--out", help="File to write; by default the bundle itself.")] = None,
    trust: Annotated[Path | None, typer.Option("--trust", help="Take only what a trusted role signed.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Put attestations into a bundle; it stays the same bundle."""
    from candidate.flows.attaching import attach as flow
    from candidate.report.text import attached_text

    policy = None if trust is None else output.trust(trust, needed=True)
    result = flow(bundle, attestations, out=out, trust=policy, now=output.now())
    output.emit(result, attached_text(result), as_json=as_json, quiet=quiet)


def predict(
    bundle: BundleFile,
    rows: Annotated[Path, typer.Argument(metavar="ROWS", help="Parquet, CSV or JSON lines.")],
    out: Annotated[
        Path | None, typer.Option("--out", help=".parquet, .csv or .jsonl to write; by default JSON lines on stdout.")
    ] = None,
    keep: Annotated[list[str] | None, typer.Option("--keep", help="Column to pass on; may be given again.")] = None,
    log: Annotated[Path | None, typer.Option("--log", help="Append what was asked and answered to this file.")] = None,
    trust: Trust = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Predict rows by the serving code path: schema enforced, shared transforms."""
    from candidate.flows.predicting import predict as flow
    from candidate.report.text import predicted_text

    lines = None if as_json or out is not None else sys.stdout.write
    with output.progress(quiet=quiet or lines is not None) as progress:
        result = flow(
            bundle,
            rows,
            out=out,
            each=lines,
            keep=tuple(keep or ()),
            log=log,
            trust=output.trust(trust, needed=False),
            now=output.now(),
            progress=progress,
        )
    if lines is None:
        output.emit(result, predicted_text(result), as_json=as_json, quiet=quiet)


def evaluate(
    bundle: BundleFile,
    data: Annotated[Path, typer.Option("--data", help="Labelled rows.")],
    policy: Annotated[Path | None, typer.Option("--policy", help="Names label, unit and slices.")] = None,
    trust: Trust = None,
    engine: Engine = "serial",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure one bundle: metrics, slices and calibration, each with its interval. No verdict."""
    from candidate.flows.evaluating import evaluate as flow
    from candidate.report.text import evaluation_text

    with output.progress(quiet=quiet) as progress:
        result = flow(
            bundle,
            data=data,
            policy=policy,
            trust=output.trust(trust, needed=False),
            now=output.now(),
            engine=engine,
            progress=progress,
        )
    output.emit(result, evaluation_text(result), as_json=as_json, quiet=quiet)


def bench(
    bundle: BundleFile,
    against: Annotated[Path | None, typer.Option("--against", help="A second bundle, in the same rounds.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Rows to call with; by default the golden rows.")] = None,
    rounds: Annotated[int, typer.Option(min=30, max=10_000, help="Interleaved rounds, without a budget.")] = 60,
    calls: Annotated[
        int | None, typer.Option(min=10, max=100_000, help="Calls of each bundle in a round; by default 100.")
    ] = None,
    budget: Annotated[float | None, typer.Option(help="Seconds; stops sooner where the answer is precise.")] = None,
    precision: Annotated[float, typer.Option(help="With a budget: relative half-width to stop at.")] = 0.05,
    rate: Annotated[float | None, typer.Option(help="Also calls that arrive so often a second.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Also rows a second in batches.")] = False,
    idle: Annotated[float | None, typer.Option(help="Also one call after so many idle seconds.")] = None,
    vcpu_hour: Annotated[float | None, typer.Option(help="Price of a core for an hour: also tell the cost.")] = None,
    gib_hour: Annotated[float, typer.Option(help="Price of a GiB of memory for an hour.")] = 0.0,
    utilisation: Annotated[float, typer.Option(help="Share of the paid time that does work.")] = 0.5,
    hdr: Annotated[Path | None, typer.Option("--hdr", help="Folder for every round as a log of HdrHistogram.")] = None,
    operators: Annotated[bool, typer.Option("--operators", help="Also which operators take the time.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Time single rows: quantiles with intervals, starts, memory, size; by flags throughput, open loop and cost."""
    from candidate.flows.benching import Prices
    from candidate.flows.benching import bench as flow
    from candidate.report.text import benchmark_text

    prices = None if vcpu_hour is None else Prices(vcpu_hour, gib_hour, utilisation)
    with output.progress(quiet=quiet) as progress:
        result = flow(
            bundle,
            against=against,
            data=data,
            rounds=rounds,
            calls=calls,
            budget=budget,
            precision=precision,
            rate=rate,
            offline=offline,
            idle=idle,
            prices=prices,
            hdr=hdr,
            operators=operators,
            progress=progress,
        )
    output.emit(result, benchmark_text(result), as_json=as_json, quiet=quiet)
