"""The application: every group of commands, and how an error leaves."""

import json
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from candidate.cli import bundles, judging, keys, releasing, transport
from candidate.errors import CandidateError

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


for module in (bundles, judging, releasing, keys, transport):
    module.register(app)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; errors go to stderr, and as JSON to stdout if asked for."""
    as_json = "--json" in arguments
    try:
        code = app(list(arguments), prog_name="candidate", standalone_mode=False)
    except CandidateError as error:
        return _fail(str(error), error.message, error.where, error.hint, error.exit_code, as_json=as_json)
    except typer.TyperException as error:
        says = error.format_message() if hasattr(error, "format_message") else str(error)
        hint = "candidate --help lists the commands, candidate COMMAND --help their options"
        return _fail(says, says, "", hint, 2, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("error: interrupted; nothing half done was left behind\n")
        return 130
    except BrokenPipeError:  # the reader of our output went away, which is its own business
        sys.stderr.close()
        return 0
    return int(code or 0)


def _fail(line: str, message: str, where: str, hint: str, code: int, *, as_json: bool) -> int:
    """Say what was wrong, where, and what to do."""
    if as_json:
        document = {"kind": "error", "version": 1, "message": message, "where": where, "hint": hint, "exit_code": code}
        sys.stdout.write(json.dumps(document) + "\n")
    sys.stderr.write(f"error: {line}\n")
    if hint:
        sys.stderr.write(f"hint: {hint}\n")
    return code
