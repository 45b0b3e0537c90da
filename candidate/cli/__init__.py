"""The command line: parse, call one flow, render, exit."""

import sys


def main() -> None:
    """Run a command; the one place where an error becomes an exit code."""
    from candidate.cli.app import run

    sys.exit(run(sys.argv[1:]))
