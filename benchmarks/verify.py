"""What verifying and writing a bundle cost, as ratios to named references in the same run.

    python -m benchmarks.verify [--model-signing PATH] [--large-gib 2] [--memory-gib 5] [--scratch DIR]

Every pair is run in turn, A B A B, so that a change of the machine's speed hits both; the median of
the paired ratios counts. ``model_signing`` is OpenSSF's reference verifier (`make test-peers`
installs one into an environment of its own); the large bundles are ONNX graphs with external data.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from onnx import TensorProto

import candidate
from benchmarks.startup import BARE
from candidate.adapters.archive import Archive, write_archive
from candidate.adapters.attest import Signer
from candidate.documents.spec import BuildSpec
from tests.bundles import sealed, tiny_model, tiny_recipe

PEER = Path("tests/peers/.work/venv/bin/model_signing")
MIB = 1 << 20
SPEC = """
[bundle]
name = "large"
version = "1.0.0"
[model]
source = "large.onnx"
[data]
train = "train.parquet"
label = "late"
"""
ARGPARSE = """
import argparse, sys
from cryptography.hazmat.primitives.asymmetric import ec
argparse.ArgumentParser().parse_args([])
"""


@dataclass(frozen=True)
class Run:
    """One process: how long it took and how much memory it had at most."""

    seconds: float
    peak_bytes: int


LAUNCH = """
import os, resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""A child starts with the peak of whoever started it: so something small does."""


def run(command: list[str]) -> Run:
    """Run a command, which must succeed."""
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCH, *command]
    done = subprocess.run(launcher, check=True, capture_output=True, text=True)  # noqa: S603 - our own commands
    seconds, peak = done.stdout.split()
    return Run(float(seconds), int(peak) * 1024)


def paired(ours: Callable[[], float], reference: Callable[[], float], *, runs: int) -> tuple[float, float, float]:
    """Median seconds of both, and median of their paired ratios."""
    ours(), reference()  # warm the file cache
    pairs = [(ours(), reference()) for _ in range(runs)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


def line(what: str, figure: str, target: str) -> None:
    """Print one row of the table."""
    print(f"| {what:<66} | {figure:>44} | {target:>12} |", flush=True)


def candidate_command(*words: str) -> list[str]:
    """Return the installed command line, as people start it."""
    return [str(Path(sys.executable).with_name("candidate")), *words]


def small(folder: Path, signer: Signer, peer: Path) -> None:
    """A small bundle, whole process, against the reference verifier on the same tree."""
    bundle, key, tree = folder / "tiny-1.0.0.candidate", folder / "key.pub.pem", folder / "tree"
    bundle.write_bytes(sealed(tiny_recipe(), signer, integrity=True))
    key.write_text(signer.public_pem)
    candidate.unpack(bundle, tree)
    verify = candidate_command("verify", str(bundle), "--public-key", str(key))
    reference = [str(peer), "verify", "key", str(tree), "--signature", str(tree / "model.sig")]
    reference += ["--public_key", str(key), "--ignore-paths", str(tree / "claims.jsonl")]
    reference += ["--ignore-paths", str(tree / "model.sig")]
    rows = {
        "small bundle, `verify --no-replay`": ([*verify, "--no-replay"], "<= 0.35"),
        "small bundle, `verify` with golden replay": (verify, "<= 1"),
        "a bare typer application": ([sys.executable, "-c", BARE], ""),
        "argparse and cryptography": ([sys.executable, "-c", ARGPARSE], ""),
    }
    for what, (command, target) in rows.items():
        ours, theirs, ratio = paired(
            lambda command=command: run(command).seconds,  # type: ignore[misc]  # bound now
            lambda: run(reference).seconds,
            runs=15,
        )
        line(what, f"{ratio:.2f} x model_signing ({ours * 1e3:.0f} / {theirs * 1e3:.0f} ms)", target)


def graph_with_weights(folder: Path, sizes: list[int], *, sparse: bool = False) -> None:
    """Write a model whose weights lie in files of these sizes, and rows that it takes."""
    folder.mkdir()
    model = tiny_model()
    block = np.random.default_rng(0).bytes(MIB)
    for number, size in enumerate(sizes):
        path = folder / f"weights_{number}.bin"
        with path.open("wb") as file:
            if sparse:
                file.truncate(size)
            else:
                for _ in range(size // MIB):
                    file.write(block)
                file.seek(0)
                file.write(number.to_bytes(8, "little"))
        tensor = TensorProto(name=f"w{number}", data_type=TensorProto.UINT8, dims=[size])
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", path.name), ("offset", "0"), ("length", str(size))):
            tensor.external_data.add(key=key, value=value)
        model.graph.initializer.append(tensor)
    (folder / "large.onnx").write_bytes(model.SerializeToString())
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"age": rng.normal(size=200), "income": rng.normal(size=200)}).astype("float32")
    rows["late"] = (rows["age"] + rows["income"] > 0).astype("int64")
    rows.to_parquet(folder / "train.parquet", index=False)


def large_bundle(folder: Path, sizes: list[int], signer: Signer, *, sparse: bool = False) -> Path:
    """Build a bundle with weights of these sizes."""
    graph_with_weights(folder, sizes, sparse=sparse)
    spec = BuildSpec.from_toml(SPEC, where="candidate.toml")
    return Path(candidate.build(spec, root=folder, out=folder, signer=signer).path)


def rate(folder: Path, signer: Signer, gib: float) -> Path:
    """One large blob: its rate against openssl's."""
    bundle = large_bundle(folder / "one", [int(gib * 1024) * MIB], signer)
    (folder / "key.pem").write_text(signer.public_pem)
    verify = candidate_command("verify", str(bundle), "--public-key", str(folder / "key.pem"), "--no-replay")
    openssl = ["openssl", "dgst", "-sha256", str(bundle)]
    ours, theirs, ratio = paired(lambda: run(verify).seconds, lambda: run(openssl).seconds, runs=5)
    speed = bundle.stat().st_size / 1e9
    figure = f"{1 / ratio:.2f} x openssl ({speed / ours:.2f} / {speed / theirs:.2f} GB/s)"
    line(f"{gib:g} GiB in one blob, `verify --no-replay`, rate", figure, ">= 0.9")
    line("  its peak memory", f"{run(verify).peak_bytes / 1e6:.0f} MB", "<= 150 MB")
    return bundle


def parallel(folder: Path, signer: Signer) -> None:
    """Twenty blobs: two cores against one."""
    bundle = large_bundle(folder / "twenty", [100 * MIB] * 20, signer)
    verify = candidate_command("verify", str(bundle), "--public-key", str(folder / "key.pem"), "--no-replay")
    cores = sorted(os.sched_getaffinity(0))[:2]
    one = ["taskset", "-c", str(cores[0]), *verify]
    two = ["taskset", "-c", ",".join(map(str, cores)), *verify]
    ours, theirs, ratio = paired(lambda: run(two).seconds, lambda: run(one).seconds, runs=5)
    figure = f"{1 / ratio:.2f} x one core ({ours:.2f} / {theirs:.2f} s)"
    line(f"20 x 100 MiB on {len(cores)} cores, `verify --no-replay`, rate", figure, ">= 1.6")
    shutil.rmtree(folder / "twenty")


def writing(folder: Path, bundle: Path) -> None:
    """Write a large bundle, against copying it and hashing it."""

    def synced(command: list[str]) -> float:
        target = folder / "copy"
        start = time.perf_counter()
        subprocess.run([*command, str(bundle), str(target)], check=True)  # noqa: S603 - cp
        with target.open("rb") as file:
            os.fsync(file.fileno())
        subprocess.run(["sha256sum", str(target)], check=True, stdout=subprocess.DEVNULL)  # noqa: S603, S607
        took = time.perf_counter() - start
        target.unlink()
        return took

    def ours() -> float:
        target = folder / "written"
        start = time.perf_counter()
        with Archive.open(bundle) as archive:
            write_archive(
                target, index=archive.index, blobs={digest: archive.source(digest) for digest in archive.sizes}
            )
        took = time.perf_counter() - start
        target.unlink()
        return took

    mine, theirs, ratio = paired(ours, lambda: synced(["cp"]), runs=3)
    size = bundle.stat().st_size / (1 << 30)
    line(
        f"writing {size:.1f} GiB, hashed and on the disk",
        f"{ratio:.2f} x cp, fsync, sha256sum ({mine:.1f} / {theirs:.1f} s)",
        "<= 1.3",
    )


WRITE = """
import sys, tempfile
from pathlib import Path
from candidate.adapters.archive import Archive, write_archive
source, target = map(Path, sys.argv[1:])
with Archive.open(source) as archive:
    write_archive(target, index=archive.index, blobs={digest: archive.source(digest) for digest in archive.sizes})
"""


def memory(folder: Path, signer: Signer, gib: float) -> None:
    """The largest bundle: memory of whoever writes and of whoever verifies it."""
    bundle = large_bundle(folder / "five", [int(gib * 512) * MIB] * 2, signer, sparse=True)
    written = folder / "written"
    peak = run([sys.executable, "-c", WRITE, str(bundle), str(written)]).peak_bytes
    line(f"writing {gib:g} GiB, peak memory of the process", f"{peak / 1e6:.0f} MB", "<= 150 MB")
    verify = candidate_command("verify", str(written), "--public-key", str(folder / "key.pem"), "--no-replay")
    line(f"verifying {gib:g} GiB, peak memory of the process", f"{run(verify).peak_bytes / 1e6:.0f} MB", "<= 150 MB")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-signing", type=Path, default=PEER)
    parser.add_argument("--large-gib", type=float, default=2)
    parser.add_argument("--memory-gib", type=float, default=5)
    parser.add_argument("--scratch", type=Path, default=None, help="folder with room for four times the largest")
    options = parser.parse_args()
    signer = candidate.load_signer(candidate.new_key(None), None)
    line("what", "measured", "target")
    line("-" * 66, "-" * 44, "-" * 12)
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        folder = Path(name)
        if options.model_signing.is_file():
            small(folder, signer, options.model_signing)
        else:
            line("small bundle", f"no {options.model_signing}: make test-peers", "")
        if options.large_gib:
            bundle = rate(folder, signer, options.large_gib)
            writing(folder, bundle)
            shutil.rmtree(folder / "one")
            parallel(folder, signer)
        if options.memory_gib:
            memory(folder, signer, options.memory_gib)


if __name__ == "__main__":
    main()
