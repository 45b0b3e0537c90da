"""The application: every group of commands, and how an error leaves."""

from collections.abc import Sequence
from typing import Annotated

import typer

from candidate.cli import (
    auditing,
    bundles,
    exports,
    judging,
    keys,
    output,
    planning,
    recalibrating,
    releasing,
    skewing,
    slots,
    transport,
    upkeep,
)
from candidate.errors import InputError

EXITS = (
    "Exit codes: 0 go, verified, done or already so; 1 a bug of ours; 2 usage or input that cannot be used; "
    "3 no-go; 4 inconclusive; 5 stale, compare again; 6 integrity; 7 refused; "
    "8 indeterminate, run again; 9 unavailable."
)

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Decide whether a trained model may replace the one in production, and prove it.",
    epilog=EXITS,
)


def _version(value: bool) -> None:
    if value:
        from candidate import __version__

        typer.echo(f"candidate {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Decide whether a trained model may replace the one in production, and prove it."""


for module in (
    bundles,
    exports,
    recalibrating,
    skewing,
    planning,
    judging,
    auditing,
    releasing,
    upkeep,
    slots,
    keys,
    transport,
):
    module.register(app)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; errors go to stderr, and as JSON to stdout if asked for."""
    as_json = "--json" in arguments

    def command() -> int:
        try:
            return int(app(list(arguments), prog_name="candidate", standalone_mode=False) or 0)
        except typer.Abort as error:
            raise KeyboardInterrupt from error
        except typer.TyperException as error:
            says = error.format_message() if hasattr(error, "format_message") else str(error)
            hint = "candidate --help lists the commands, candidate COMMAND --help their options"
            raise InputError(says, hint=hint) from error

    return output.run(command, as_json=as_json)
