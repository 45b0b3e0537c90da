"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors, and the JSON if asked for.")]
Engine = Annotated[
    str, typer.Option("--engine", help="Where rows are counted: serial, pool[:WORKERS], dask[:ADDRESS]; one result.")
]
Key = Annotated[
    Path | None,
    typer.Option(
        "--key",
        help="Private key (PEM) or key file, its passphrase read as `candidate key --help` says; or `keyless`.",
    ),
]
Keys = Annotated[
    list[Path] | None,
    typer.Option(
        "--key",
        help="Private key (PEM) or key file, its passphrase read as `candidate key --help` says; or `keyless`. "
        "Give it again to attest by a second key too.",
    ),
]
Trust = Annotated[Path | None, typer.Option("--trust", help="trust.toml; by default $CANDIDATE_TRUST or ./trust.toml.")]
