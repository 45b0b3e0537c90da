"""Fuzzing guided by coverage (atheris, libFuzzer): bundles, documents, graphs, and bundles signed after mutation.

    python -m benchmarks.fuzz [--seconds N] [TARGET ...]

Each target runs in a process of its own, from the seeds of the tests and the hostile corpus. Only
errors of ours may leave a target; anything else is a crash, and so is a run of more than thirty seconds
or two gibibytes. Prints runs, coverage, crashes and seconds, and leaves by 1 after a crash; the input
that crashed is then in ``--folder``, and ``python -m benchmarks.fuzz --again FILE TARGET`` repeats it.

Hashes and signatures stop what mutates bytes blindly at the door. So ``sealed`` takes the mutated
bytes for a member (chosen by their first byte), and hashes, lists and signs it anew: what lies
behind the door is what it meets.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

ROOT = Path(__file__).parents[1]
MEMORY_MIB = 2048
SLOWEST = 30
NAMES = ("target", "seeds", "runs", "coverage", "crashes", "seconds")
ROW = "{target:<10}{seeds:>7}{runs:>10}{coverage:>10}{crashes:>9}{seconds:>9}"
ENDS = ("crash", "timeout", "oom", "leak")
INSTRUMENTED = ("candidate.adapters", "candidate.documents", "candidate.flows.inspecting", "candidate.flows.verifying")
"""What is watched, with all that is in it and that it imports of ours."""


def bundle(data: bytes, folder: Path) -> None:
    """Verify a file of these bytes, and open it as an archive by itself."""
    from tests.hostile import harness

    error = harness.try_bundle(data, folder / "x.candidate")
    if error is None and data not in harness.bundles():
        raise AssertionError("accepted")
    harness.try_archive(data, folder / "x.candidate")


def sealed(data: bytes, folder: Path) -> None:
    """Verify a bundle that a trusted builder signed, with one member made of these bytes."""
    from candidate.documents.names import MANIFEST_PATH, MODEL_PATH
    from tests.bundles import tiny_recipe
    from tests.hostile import harness

    recipe = tiny_recipe().copy()
    paths = [*sorted(recipe.members), MANIFEST_PATH]
    path = paths[data[0] % len(paths)] if data else MODEL_PATH
    if path == MANIFEST_PATH:
        recipe.manifest_bytes = data[1:]
    else:
        recipe.members[path] = (recipe.members[path][0], data[1:])
    made = harness.resealed(recipe)
    if made is not None:
        harness.try_bundle(made, folder / "x.candidate")


def document(data: bytes, folder: Path) -> None:
    """Parse these bytes as every kind of document."""
    from tests.hostile import harness

    del folder
    harness.try_document(data)


def graph(data: bytes, folder: Path) -> None:
    """Inspect these bytes as a graph, and as a golden tensor."""
    from candidate.adapters.graph.tensors import array_of
    from candidate.documents.manifest import Tensor
    from candidate.errors import IntegrityError
    from tests.hostile import harness

    del folder
    harness.try_graph(data)
    for kind in ("float32", "string", "int64"):
        tensor = Tensor(name="age", dtype=kind, shape=("batch", 1))
        try:
            array_of(data, tensor, rows=4, where="golden")
        except IntegrityError:
            continue


TARGETS: dict[str, Callable[[bytes, Path], None]] = {
    "bundle": bundle,
    "sealed": sealed,
    "document": document,
    "graph": graph,
}


def write_seeds(target: str, folder: Path) -> int:
    """Write a target's seeds, and return how many there are."""
    from candidate.documents.names import MANIFEST_PATH
    from tests.bundles import tiny_recipe
    from tests.hostile import attacks, harness

    found: list[bytes] = []
    if target == "bundle":
        kinds = ("container", "listing", "attestation")
        cases = [case for name, case in attacks.corpus().items() if name.startswith(kinds)]
        found = [*harness.bundles(), *(case.make(attacks.fresh_kit()) for case in cases)]
        found = [data for data in found if len(data) <= 1 << 17]
    elif target == "sealed":
        recipe = tiny_recipe()
        members = {path: data for path, (_, data) in recipe.members.items()} | {
            MANIFEST_PATH: recipe.manifest().to_bytes()
        }
        paths = [*sorted(recipe.members), MANIFEST_PATH]
        found = [bytes([paths.index(path)]) + data for path, data in members.items()]
    elif target == "document":
        decisions = [case for name, case in attacks.corpus().items() if name.startswith(("decision", "trust"))]
        found = [*harness.document_seeds(), *(case.make(attacks.fresh_kit()) for case in decisions)]
    else:
        tensors = [data for path, (_, data) in tiny_recipe().members.items() if path.endswith(".pb")]
        found = [*harness.graph_seeds(), *tensors]
    for number, data in enumerate(found):
        (folder / f"{number:03}").write_bytes(data)
    return len(found)


def child(target: str, arguments: list[str]) -> None:
    """Be one target's fuzzer."""
    import atheris

    with atheris.instrument_imports(include=["candidate", "rfc8785"]):
        for name in INSTRUMENTED:
            home = import_module(name)
            for inner in walk_packages(getattr(home, "__path__", ()), f"{name}."):
                import_module(inner.name)
    from tests.hostile import harness

    harness.bundles(), harness.document_seeds(), harness.graph_seeds(), harness.kinds(), harness.trust()
    run = TARGETS[target]
    memory = Path("/dev/shm")  # noqa: S108 - a fresh folder in it, for speed
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory if memory.is_dir() else None) as folder:
        place = Path(folder)

        def one(data: bytes) -> None:
            run(data, place)

        atheris.Setup([sys.argv[0], *arguments], one)
        atheris.Fuzz()


def fuzz(target: str, seconds: int, folder: Path, again: Path | None) -> tuple[dict[str, str], int]:
    """Run a target in a process of its own; what libFuzzer said of it, and its exit code."""
    seeds = folder / f"{target}-seeds"
    seeds.mkdir(parents=True, exist_ok=True)
    number = write_seeds(target, seeds)
    (folder / f"{target}-found").mkdir(exist_ok=True)
    inputs = [str(folder / f"{target}-found"), str(seeds)] if again is None else [str(again)]
    command = [
        *(sys.executable, "-m", "benchmarks.fuzz", "--child", target, "--"),
        *(f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY_MIB}", f"-timeout={SLOWEST}", "-print_final_stats=1"),
        *("-max_len=131072", f"-artifact_prefix={folder}/{target}-", "-seed=20261101", *inputs),
    ]
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603 - our own command
    said = done.stderr + done.stdout
    (folder / f"{target}.log").write_text(said)
    covered = re.findall(r"cov: (\d+)", said)
    runs = re.findall(r"number_of_executed_units:\s*(\d+)|Done (\d+) runs", said)
    return {
        "target": target,
        "seeds": str(number),
        "runs": next((one or other for one, other in runs), "?"),
        "coverage": covered[-1] if covered else "?",
        "crashes": str(sum(1 for end in ENDS for _ in folder.glob(f"{target}-{end}-*"))),
        "seconds": f"{time.perf_counter() - begin:.0f}",
    }, done.returncode


def main() -> int:
    """Run the targets in turn and print the table; 1 after a crash."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[4:])
        return 0
    parser = argparse.ArgumentParser(description="fuzz the readers of bundles, documents and graphs")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=20, help="for each target")
    parser.add_argument("--folder", type=Path, help="where inputs that crashed are kept")
    parser.add_argument("--again", type=Path, help="run this one input instead")
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    failed = False
    print(ROW.format(**{name: name for name in NAMES}))
    for target in arguments.targets or TARGETS:
        row, code = fuzz(target, arguments.seconds, folder.resolve(), arguments.again)
        print(ROW.format(**row), flush=True)
        if code or row["crashes"] != "0" or row["runs"] == "?":
            failed = True
            print(f"{target}: exit {code}, see {folder}/{target}.log", file=sys.stderr)
            print("\n".join((folder / f"{target}.log").read_text().splitlines()[-40:]), file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
