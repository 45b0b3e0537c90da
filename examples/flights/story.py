"""The main job on real flights: build, compare, promote, refuse, roll back.

Run it with ``make demo``. Every verdict follows from what is measured here; nothing is scripted
but the order of events and one planted fault (see train.py).
"""

import argparse
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import candidate
from candidate.report.text import decision_summary
from examples.flights import data

HERE = Path(__file__).parent
CHANNEL = "late-flights/prod"


def chapter(number: int, title: str) -> None:
    """Print the heading of a chapter."""
    print(f"\n{number}. {title}\n{'-' * (len(title) + 3)}", flush=True)


def progress(what: str, share: float | None) -> None:
    """Show how far a long step is, where there is a terminal to show it on."""
    if sys.stderr.isatty():
        done = "" if share is None else f" {share:4.0%}"
        sys.stderr.write(f"\r\033[K   ... {what}{done}")
        sys.stderr.flush()


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say what was done and how long it took."""
    start = time.monotonic()
    yield
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    print(f"   {what} ({time.monotonic() - start:.1f} s)", flush=True)


def tell(decision: candidate.Decision) -> None:
    """Print a decision in short, indented; ``candidate show`` tells all of it."""
    print("\n".join(f"   {line}" for line in decision_summary(decision).splitlines()), flush=True)


class Keys:
    """Four people's keys, each allowed one thing; the private halves stay in their own folder."""

    def __init__(self, folder: Path) -> None:
        """Make the keys, encrypted under one passphrase that is kept beside them."""
        folder.mkdir(mode=0o700)
        passphrase = secrets.token_hex(16).encode()
        (folder / "passphrase").write_bytes(passphrase)
        (folder / "passphrase").chmod(0o600)
        self.signers: dict[candidate.RoleName, candidate.Signer] = {}
        roles: tuple[candidate.RoleName, ...] = ("builder", "approver", "promoter", "oncall")
        for role in roles:
            pem = candidate.new_key(passphrase)
            (folder / f"{role}.pem").write_bytes(pem)
            (folder / f"{role}.pem").chmod(0o600)
            self.signers[role] = candidate.load_signer(pem, passphrase)
            (folder / f"{role}.pub.pem").write_text(self.signers[role].public_pem)

    def trust(self) -> candidate.TrustPolicy:
        """Return which key may say what."""
        return candidate.trust_of({role: [signer.public_pem] for role, signer in self.signers.items()})


def first_rows(source: Path, target: Path, days: int) -> Path:
    """Write the rows of the first days of a file."""
    table = pq.read_table(source)
    wanted = sorted(set(table["day"].to_pylist()))[:days]
    pq.write_table(table.filter(pc.is_in(table["day"], value_set=pa.array(wanted))), target)
    return target


def prepare(out: Path) -> tuple[Keys, dict[str, Path], dict[str, Path]]:
    """Fix the rules, split the data, build three bundles; return keys, data files and bundles."""
    chapter(1, "The rules come first")
    for name in ("policy.toml", "first.policy.toml", "features.toml"):
        shutil.copy(HERE / name, out / name)
    keys = Keys(out / "keys")
    (out / "trust.toml").write_text(candidate.write_trust(keys.trust()))
    print("   policy.toml is fixed, before anyone sees the blackbox rows;")
    print("   trust.toml says whose key may build, approve, promote and roll back.")
    with timed("336,776 flights read and split by time: train to August, eyeball September, blackbox from October"):
        rows = data.write(out)

    chapter(2, "Three models become bundles")
    bundles: dict[str, Path] = {}
    for version in ("v1", "v2", "v3"):
        spec = candidate.BuildSpec.from_toml((HERE / f"{version}.toml").read_text(), where=f"{version}.toml")
        with timed(f"late-flights {spec.bundle.version}: {spec.bundle.description}"):
            built = candidate.build(
                spec, root=out, out=out / "bundles", signer=keys.signers["builder"], progress=progress
            )
        bundles[version] = Path(built.path)
        if built.parity is not None:
            print(
                f"     one ONNX graph, {built.size_bytes:,} bytes signed; {built.parity.rows:,} real rows differ from "
                f"scikit-learn by at most {built.parity.max_difference:.1e}"
            )
    return keys, rows, bundles


def judge(out: Path, keys: Keys, rows: dict[str, Path], bundles: dict[str, Path]) -> candidate.Registry:
    """Install a champion, then challenge it three times."""
    chapter(3, "The first champion has only the baselines to beat")
    print(
        "   There is nothing in production yet, and the policy says so; predicting the average is what must be beaten."
    )
    registry = candidate.Registry.create(out / "registry", trust=keys.trust())
    first = candidate.compare(
        bundles["v1"],
        champion="none",
        registry=out / "registry",
        channel=CHANNEL,
        policy=out / "first.policy.toml",
        data=rows["blackbox"],
        out=out / "decisions",
        name="first",
        signer=keys.signers["approver"],
        progress=progress,
    )
    tell(first.decision)
    promote(registry, bundles["v1"], first, keys)

    chapter(4, "A challenger, measured on too few rows")
    print("   Version 2 also knows the weather. On 25 days it looks better, but days are not independent flights.")
    few = first_rows(rows["blackbox"], out / "few.parquet", 25)
    tell(compare(out, bundles["v2"], few, "inconclusive", keys).decision)

    chapter(5, "The same challenger, on the whole blackbox")
    print("   Three months decide it.")
    go = compare(out, bundles["v2"], rows["blackbox"], "go", keys)
    tell(go.decision)
    promote(registry, bundles["v2"], go, keys)

    chapter(6, "A third model knows more, and yet")
    print("   Version 3 also knows how late flights have been leaving. One carrier's training data broke on the way.")
    no_go = compare(out, bundles["v3"], rows["blackbox"], "no-go", keys)
    tell(no_go.decision)
    try:
        promote(registry, bundles["v3"], no_go, keys)
    except candidate.CandidateError as error:
        print(f"\n   promoting it all the same is refused, exit code {error.exit_code}: {error}")
    return registry


def defend(out: Path, keys: Keys, registry: candidate.Registry, bundle: Path) -> None:
    """Refuse a tampered bundle, and go back at night."""
    chapter(7, "Someone changes one byte of a bundle")
    tampered = bytearray(bundle.read_bytes())
    tampered[len(tampered) // 2] ^= 1
    (out / "tampered.candidate").write_bytes(bytes(tampered))
    try:
        candidate.verify(out / "tampered.candidate", trust=keys.trust())
    except candidate.CandidateError as error:
        print(f"   refused, exit code {error.exit_code}: {error}")
    with timed("the bundle itself verifies, golden inputs replayed"):
        candidate.verify(bundle, trust=keys.trust())

    chapter(8, "At night the champion misbehaves: one command back")
    with timed("rolled back"):
        moved = candidate.rollback(
            registry=registry,
            channel=CHANNEL,
            signer=keys.signers["oncall"],
            reason="predictions look wrong since the weather feed changed",
        )
    print(f"   {CHANNEL} serves {moved.to.name} {moved.to.version} again; it was verified and replayed first")
    print(f"   and the log keeps all of it:\n{indented(out)}")


def tell_story(out: Path) -> None:
    """Run the story and leave its files in the folder."""
    started = time.monotonic()
    keys, rows, bundles = prepare(out)
    registry = judge(out, keys, rows, bundles)
    defend(out, keys, registry, bundles["v2"])
    print(f"\nThe story took {time.monotonic() - started:.0f} s. Everything it left is in {out.name}/; look at it with")
    print(f"   .venv/bin/candidate show {out.name}/decisions/no-go.json")
    print(f"   .venv/bin/candidate audit {out.name}/decisions/go.json --trust {out.name}/trust.toml")
    print(f"   .venv/bin/candidate history --registry {out.name}/registry")


def indented(out: Path) -> str:
    """Return the registry's history as text, indented."""
    from candidate.report.channels import history_text

    history = candidate.Registry.open(out / "registry").history()
    return "\n".join(f"     {line}" for line in history_text(history).splitlines())


def compare(out: Path, challenger: Path, rows: Path, name: str, keys: Keys) -> candidate.Comparison:
    """Compare a challenger with the champion of the channel."""
    return candidate.compare(
        challenger,
        champion=f"{out / 'registry'}#{CHANNEL}",
        policy=out / "policy.toml",
        data=rows,
        out=out / "decisions",
        name=name,
        signer=keys.signers["approver"],
        progress=progress,
    )


def promote(registry: candidate.Registry, bundle: Path, comparison: candidate.Comparison, keys: Keys) -> None:
    """Promote on the signed decision, and say what happened."""
    moved = candidate.promote(
        bundle,
        decision=comparison.signed,
        registry=registry,
        channel=CHANNEL,
        signer=keys.signers["promoter"],
    )
    print(f"\n   promoted: {CHANNEL} serves {moved.to.name} {moved.to.version} (log entry {moved.sequence})")


def main() -> None:
    """Run the story in a fresh folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder to write; its old content is replaced")
    out: Path = parser.parse_args().out
    if out.exists() and any(out.iterdir()) and not (out / "policy.toml").exists():
        raise SystemExit(f"error: {out} exists and is no earlier demo\nhint: give another --out")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    tell_story(out)


if __name__ == "__main__":
    main()
