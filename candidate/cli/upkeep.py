"""Commands that look after a registry: hold, quarantine, why, fsck, gc, mirror, repair."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from candidate.cli import output
from candidate.cli.options import Json, Key, Quiet
from candidate.cli.releasing import ChannelName, DryRun, RegistryDir, registry
from candidate.errors import InputError, IntegrityError

Reason = Annotated[str, typer.Option("--reason", help="Why; it is signed and kept.")]
BundleName = Annotated[str, typer.Argument(metavar="BUNDLE", help="Digest, the beginning of one, or version.")]


class Depth(StrEnum):
    """How far ``fsck`` looks."""

    LOG = "log"
    LIVE = "live"
    ALL = "all"


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    for command in (hold, unhold, quarantine, why, fsck, gc):
        app.command()(command)
    registry.command()(mirror)
    registry.command()(repair)


def _moment(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text!r} is no time", where="--until", hint="for example 2026-11-02T09:00:00Z") from error


def hold(
    registry: RegistryDir,
    channel: ChannelName,
    reason: Reason,
    until: Annotated[str | None, typer.Option("--until", help="When it ends by itself (RFC 3339).")] = None,
    key: Key = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Stop promotions to a channel; a rollback stays possible."""
    from candidate.flows.holding import hold as flow
    from candidate.flows.registry import Registry
    from candidate.report.channels import marked_text

    result = flow(
        registry=Registry.open(registry),
        channel=channel,
        signer=output.needed_signer(key),
        reason=reason,
        until=_moment(until),
        now=output.now(),
        dry_run=dry_run,
    )
    output.emit(result, marked_text(result), as_json=as_json, quiet=quiet)


def unhold(
    registry: RegistryDir,
    channel: ChannelName,
    reason: Reason,
    key: Key = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Let promotions to a channel go on."""
    from candidate.flows.holding import unhold as flow
    from candidate.flows.registry import Registry
    from candidate.report.channels import marked_text

    result = flow(
        registry=Registry.open(registry),
        channel=channel,
        signer=output.needed_signer(key),
        reason=reason,
        now=output.now(),
        dry_run=dry_run,
    )
    output.emit(result, marked_text(result), as_json=as_json, quiet=quiet)


def quarantine(
    bundle: BundleName,
    registry: RegistryDir,
    channel: ChannelName,
    reason: Reason,
    release: Annotated[bool, typer.Option("--release", help="End the quarantine; a promoter's key does.")] = False,
    key: Key = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Keep a bundle off a channel: nobody promotes it there, no rollback returns to it."""
    from candidate.flows import holding
    from candidate.flows.registry import Registry
    from candidate.report.channels import marked_text

    flow = holding.release if release else holding.quarantine
    result = flow(
        bundle,
        registry=Registry.open(registry),
        channel=channel,
        signer=output.needed_signer(key),
        reason=reason,
        now=output.now(),
        dry_run=dry_run,
    )
    output.emit(result, marked_text(result), as_json=as_json, quiet=quiet)


def why(
    bundle: BundleName,
    registry: RegistryDir,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what became of a bundle: where it is champion or was, since when, by whom and why."""
    from candidate.flows.explaining import why as flow
    from candidate.flows.registry import Registry
    from candidate.report.channels import why_text

    result = flow(bundle, registry=Registry.open(registry))
    output.emit(result, why_text(result), as_json=as_json, quiet=quiet)


def fsck(
    registry: RegistryDir,
    depth: Annotated[Depth, typer.Option("--depth", help="How far to look.")] = Depth.LIVE,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look a registry through for damage; exit code 6 if there is any. Nothing is changed."""
    from candidate.flows.fsck import fsck as flow
    from candidate.flows.registry import Registry
    from candidate.report.channels import fsck_text

    with output.progress(quiet=quiet) as progress:
        result = flow(Registry.open(registry), depth=depth.value, progress=progress)
    output.emit(result, fsck_text(result), as_json=as_json, quiet=quiet)
    if not result.sound:
        raise typer.Exit(IntegrityError.exit_code)


def gc(
    registry: RegistryDir,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; by default only say what would be done.")] = False,
    grace_hours: Annotated[
        float, typer.Option("--grace-hours", help="Hours before moving, and again before deleting.")
    ] = 24.0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take away what no champion, no way back and no decision needs."""
    from candidate.flows.collecting import gc as flow
    from candidate.flows.registry import Registry
    from candidate.report.channels import collected_text

    result = flow(Registry.open(registry), apply=apply, grace_hours=grace_hours)
    output.emit(result, collected_text(result), as_json=as_json, quiet=quiet)


def mirror(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The copy; made if there is none.")],
    registry: RegistryDir,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a copy of a registry, or bring one up to date."""
    from candidate.flows.mending import mirror as flow
    from candidate.flows.registry import Registry
    from candidate.report.channels import copied_text

    with output.progress(quiet=quiet) as progress:
        result = flow(Registry.open(registry), folder, progress=progress)
    output.emit(result, copied_text(result), as_json=as_json, quiet=quiet)


def repair(
    registry: RegistryDir,
    source: Annotated[Path, typer.Option("--from", help="A copy of the registry: a mirror or a backup.")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Mend a registry from a copy; exit code 6 if something is left that the copy does not have."""
    from candidate.flows.mending import repair as flow
    from candidate.flows.registry import Registry
    from candidate.report.channels import copied_text

    with output.progress(quiet=quiet) as progress:
        result = flow(Registry.open(registry), source=source, progress=progress)
    output.emit(result, copied_text(result), as_json=as_json, quiet=quiet)
    if any(found.severity == "damage" for found in result.left):
        raise typer.Exit(IntegrityError.exit_code)
