"""Whole-process times of the commands that people wait for, as ratios to a bare typer application.

    python -m benchmarks.startup [BUNDLE TRUST]

Each command is timed in turn with the reference, A B A B, so that a change of the machine's speed
hits both; the median of the paired ratios is what counts. A small bundle is made if none is named.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 15
BARE = """
import typer
app = typer.Typer()
@app.command()
def main() -> None: ...
app(["--help"], standalone_mode=False)
"""


def seconds(command: list[str]) -> float:
    """Wall time of one run of a command, which must succeed."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own commands
    return time.perf_counter() - start


def paired(command: list[str], reference: list[str]) -> tuple[float, float]:
    """Median seconds of a command, and median of its ratio to the reference in the same pair."""
    seconds(command), seconds(reference)  # warm the file cache
    pairs = [(seconds(command), seconds(reference)) for _ in range(RUNS)]
    return statistics.median(a for a, _ in pairs), statistics.median(a / b for a, b in pairs)


def small_bundle(folder: Path) -> tuple[Path, Path]:
    """Write a small attested bundle and the trust policy that accepts it."""
    import candidate
    from tests.bundles import sealed, tiny_recipe

    signers = {
        role: candidate.load_signer(candidate.new_key(None), None) for role in ("builder", "approver", "promoter")
    }
    bundle, trust = folder / "tiny-1.0.0.candidate", folder / "trust.toml"
    bundle.write_bytes(sealed(tiny_recipe(), signers["builder"]))
    keys: dict[candidate.RoleName, list[str]] = {
        "builder": [signers["builder"].public_pem],
        "approver": [signers["approver"].public_pem],
        "promoter": [signers["promoter"].public_pem],
    }
    trust.write_text(candidate.write_trust(candidate.trust_of(keys)))
    return bundle, trust


def main() -> None:
    """Print the table."""
    given = [Path(argument) for argument in sys.argv[1:3]]
    with tempfile.TemporaryDirectory() as folder:
        bundle, trust = (given[0], given[1]) if len(given) == 2 else small_bundle(Path(folder))  # noqa: PLR2004
        ours = [sys.executable, "-m", "candidate"]
        reference = [sys.executable, "-c", BARE]
        verify = [*ours, "verify", str(bundle), "--trust", str(trust)]
        commands = {
            "candidate --help": [*ours, "--help"],
            "candidate verify --no-replay": [*verify, "--no-replay"],
            "candidate verify": verify,
        }
        print(f"{'command':<32} {'median s':>9} {'ratio to a bare typer app':>26}")
        for name, command in commands.items():
            middle, ratio = paired(command, reference)
            print(f"{name:<32} {middle:>9.3f} {ratio:>26.2f}")


if __name__ == "__main__":
    main()
