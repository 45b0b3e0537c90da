"""Commands about a registry: create, promote, roll back, status, history."""

from pathlib import Path
from typing import Annotated

import typer

from candidate.cli import output
from candidate.cli.options import Json, Key, Quiet, Trust

RegistryDir = Annotated[Path, typer.Option("--registry", help="Folder of the registry.")]
ChannelName = Annotated[str, typer.Option("--channel", help="MODEL/ENVIRONMENT, for example late-flights/prod.")]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, write nothing.")]

registry = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Create, copy and mend a registry.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    for command in (promote, rollback, status, history):
        app.command()(command)
    app.add_typer(registry, name="registry")


@registry.command("new")
def registry_new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that does not exist yet.")],
    trust: Trust = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Create an empty registry that trusts the keys of trust.toml."""
    from candidate.flows.releasing import Registry
    from candidate.report.channels import status_text

    policy = output.trust(trust, needed=True)
    created = Registry.create(folder, trust=policy, now=output.now())  # type: ignore[arg-type]  # needed: never None
    result = created.status()
    output.emit(result, status_text(result), as_json=as_json, quiet=quiet)


def promote(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The challenger that got the go.")],
    decision: Annotated[Path, typer.Option("--decision", help="The signed go.")],
    registry: RegistryDir,
    channel: ChannelName,
    override: Annotated[
        Path | None, typer.Option("--override", help="Of a decision that is inconclusive: who lets it pass.")
    ] = None,
    key: Key = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a challenger the champion, on a signed go for this champion; the way back is checked first."""
    from candidate.flows.releasing import Registry
    from candidate.flows.releasing import promote as flow
    from candidate.report.words import moved_text

    result = flow(
        bundle,
        decision=output.read_bytes(decision),
        registry=Registry.open(registry),
        channel=channel,
        signer=output.needed_signer(key),
        override=None if override is None else output.read_bytes(override),
        now=output.now(),
        dry_run=dry_run,
    )
    output.emit(result, moved_text(result), as_json=as_json, quiet=quiet)


def rollback(
    registry: RegistryDir,
    channel: ChannelName,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is signed and kept.")],
    to: Annotated[
        str | None, typer.Option("--to", help="Digest or version; by default the last good champion.")
    ] = None,
    steps: Annotated[int, typer.Option("--steps", help="How many good champions back.")] = 1,
    key: Key = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Replay the target even if the log says that it was lately.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Return to the last good champion, or to the one named; it is verified first, and was replayed."""
    from candidate.cli import quick

    quick.rollback(
        registry=registry,
        channel=channel,
        reason=reason,
        to=to,
        steps=steps,
        key=key,
        replay=replay,
        dry_run=dry_run,
        as_json=as_json,
        quiet=quiet,
    )


def status(
    registry: RegistryDir,
    channel: Annotated[str | None, typer.Option("--channel", help="Only this channel.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say which champion each channel has, since when, and where a rollback would return to."""
    from candidate.flows.releasing import Registry
    from candidate.report.channels import status_text

    result = Registry.open(registry).status(channel)
    output.emit(result, status_text(result), as_json=as_json, quiet=quiet)


def history(
    registry: RegistryDir,
    channel: Annotated[str | None, typer.Option("--channel", help="Only this channel.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List every promotion and rollback, with who and why."""
    from candidate.flows.releasing import Registry
    from candidate.report.channels import history_text

    result = Registry.open(registry).history(channel)
    output.emit(result, history_text(result), as_json=as_json, quiet=quiet)
