"""The command line: parse, call one flow, render, exit."""

import sys


def main() -> None:
    """Run a command and leave with its exit code."""
    from candidate.cli import quick

    code = quick.answer(sys.argv[1:])
    if code is None:
        from candidate.cli.app import run

        code = run(sys.argv[1:])
    sys.exit(code)
