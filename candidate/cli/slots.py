"""Commands of a deploy host: follow a channel, start what it says, mark it good, look."""

import os
import shlex
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from candidate.cli import output
from candidate.cli.options import Json, Quiet
from candidate.cli.releasing import ChannelName, RegistryDir
from candidate.errors import InputError, RefusedError

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the slot.")]

slot = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Serve a channel's champion on a deploy host.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(slot, name="slot")


@slot.command("sync")
def slot_sync(
    folder: Folder,
    registry: RegistryDir,
    channel: ChannelName,
    tries: Annotated[int, typer.Option("--tries", help="Starts that a new release gets before it is marked good.")] = 3,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Install the channel's champion, verified and replayed on this host, and serve it from the next start on."""
    from candidate.flows.registry import Registry
    from candidate.flows.slots import slot_sync as flow
    from candidate.report.channels import synced_text

    result = flow(folder, registry=Registry.open(registry), channel=channel, tries=tries, now=output.now())
    output.emit(result, synced_text(result), as_json=as_json, quiet=quiet)


@slot.command("open")
def slot_open(folder: Folder, as_json: Json = False, quiet: Quiet = False) -> None:
    """Begin a start: print the folder to serve. A release on trial has one start less, or gives way."""
    from candidate.flows.slots import slot_start
    from candidate.report.channels import started_text

    result = slot_start(folder, now=output.now())
    output.emit(result, result.path, as_json=as_json, quiet=quiet)
    sys.stderr.write("" if quiet else started_text(result) + "\n")


@slot.command("exec", context_settings={"ignore_unknown_options": True})
def slot_exec(
    folder: Folder,
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND", help="The server, after two dashes.")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Begin a start and become the server, which finds the release in $CANDIDATE_RELEASE."""
    from candidate.flows.slots import slot_open as open_slot
    from candidate.flows.slots import slot_start
    from candidate.report.channels import started_text

    result = slot_start(folder, now=output.now())
    open_slot(folder).pass_on()
    told = result.model_dump_json(by_alias=True) if as_json else started_text(result)
    sys.stderr.write("" if quiet and not as_json else told + "\n")  # stdout is the server's
    sys.stderr.flush()
    environ = {**os.environ, "CANDIDATE_RELEASE": result.path, "CANDIDATE_BUNDLE": result.active.digest}
    try:
        os.execvpe(command[0], command, environ)  # noqa: S606 - what the user asked for
    except OSError as error:
        raise InputError(f"{command[0]!r} cannot be started: {error.strerror}", where="COMMAND") from error


@slot.command("mark-good")
def slot_mark_good(
    folder: Folder,
    probe: Annotated[str | None, typer.Option("--probe", help="A command that must succeed first; no shell.")] = None,
    wait: Annotated[float, typer.Option("--wait", help="Seconds to try the probe again.")] = 0.0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say that what is served serves well: its trial ends, and later releases fall back to it."""
    from candidate.flows.slots import slot_mark_good as flow
    from candidate.report.channels import slot_text

    command = () if probe is None else tuple(shlex.split(probe))
    result = flow(folder, probe=command, wait_seconds=wait, now=output.now())
    output.emit(result, slot_text(result), as_json=as_json, quiet=quiet)


@slot.command("status")
def slot_status(
    folder: Folder,
    max_age_hours: Annotated[
        float | None, typer.Option("--max-age-hours", help="Exit by 7 if the registry was not followed for so long.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what is served, whether it is on trial, and what it would fall back to."""
    from candidate.flows.slots import slot_status as flow
    from candidate.report.channels import slot_text

    age = None if max_age_hours is None else timedelta(hours=max_age_hours)
    result = flow(folder, max_age=age, now=output.now())
    output.emit(result, slot_text(result), as_json=as_json, quiet=quiet)
    if result.stale:
        raise typer.Exit(RefusedError.exit_code)
