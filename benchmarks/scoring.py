"""What serving costs beyond the graph, as ratios to ONNX Runtime in the same run: ``python -m benchmarks.scoring``.

The same rows, the same session options, in turns: ONNX Runtime fed plain arrays at its best batch
size, ``predict`` with everything that it checks, and the scikit-learn pipeline. Each figure is the
median of the ratios of neighbouring turns.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from candidate.documents.spec import BuildSpec
from candidate.flows.building import build
from candidate.flows.serving import Model
from candidate.flows.serving.model import processors

BATCHES = (1024, 4096, 8192, 16384, 65536)
SPEC = """
[bundle]
name = "bench"
version = "1"
[model]
source = "memory:model"
[data]
train = "rows.parquet"
label = "late"
"""


def rows(count: int, *, texts: int, seed: int) -> pd.DataFrame:
    """Twenty columns, some of them text."""
    rng = np.random.default_rng(seed)
    table = {f"x{n}": rng.normal(size=count).astype(np.float32) for n in range(20 - texts)}
    words = np.array([f"word{n}" for n in range(12)], dtype=object)
    table |= {f"w{n}": words[rng.integers(0, 12, count)] for n in range(texts)}
    return pd.DataFrame(table)


def fitted(kind: str, table: pd.DataFrame, label: pd.Series) -> Pipeline:
    """A pipeline that was trained on these rows."""
    texts = [name for name in table.columns if name.startswith("w")]
    numbers = [name for name in table.columns if name.startswith("x")]
    if kind == "boosting":
        return make_pipeline(HistGradientBoostingClassifier(max_iter=100)).fit(table, label)
    parts: list[Any] = [("numbers", StandardScaler(), numbers)]
    if texts:
        parts.append(("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), texts))
    return make_pipeline(ColumnTransformer(parts), LogisticRegression()).fit(table, label)


def built(kind: str, texts: int, folder: Path) -> tuple[Model, Pipeline, str]:
    """A bundle of such a pipeline, loaded."""
    table = rows(20_000, texts=texts, seed=1)
    table["late"] = (table["x0"] + table["x1"] > 0).astype("int64")
    table.to_parquet(folder / "rows.parquet", index=False)
    features = [name for name in table.columns if name != "late"]
    model = fitted(kind, table[features], table["late"])
    made = build(BuildSpec.from_toml(SPEC, where="spec"), model=model, root=folder, out=folder / kind / str(texts))
    return load_unsigned(Path(made.path)), model, made.path


def load_unsigned(path: Path) -> Model:
    """Load a bundle that nobody signed: this is a benchmark of answers, not of trust."""
    from candidate.adapters.archive import Archive
    from candidate.flows.verifying import inspect

    return Model.of(inspect(Archive.open(path)))


def plain(model: Model, table: pd.DataFrame, batch: int, callers: int = 1) -> Callable[[], object]:
    """ONNX Runtime alone, on arrays that are ready, called by so many threads."""
    arrays = {
        tensor.name: table[tensor.name]
        .to_numpy(dtype=object if tensor.dtype == "string" else tensor.dtype)
        .reshape(-1, 1)
        for tensor in model.signature.inputs
    }
    raw = model.graph.raw

    def run(start: int) -> None:
        raw.run(None, {name: array[start : start + batch] for name, array in arrays.items()})

    def all_rows() -> object:
        starts = range(0, len(table), batch)
        if callers > 1:
            with ThreadPoolExecutor(callers) as pool:
                deque(pool.map(run, starts), maxlen=0)
            return None
        for start in starts:
            run(start)
        return None

    return all_rows


def seconds(act: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def line(what: str, found: str, target: str = "") -> None:
    """One row of the table."""
    print(f"| {what} | {found} | {target} |", flush=True)


def throughput(kind: str, texts: int, count: int, turns: int, folder: Path) -> None:
    """Rows a second, of many rows at once."""
    model, pipeline, _ = built(kind, texts, folder)
    table = rows(count, texts=texts, seed=2)
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    best = min(BATCHES, key=lambda batch: min(seconds(plain(model, table, batch)) for _ in range(2)))
    alone, beside = plain(model, table, best), plain(model, table, best, callers=processors())
    ratios, shared, rates = list[float](), list[float](), list[float]()
    for _ in range(turns):
        bare, ours = seconds(alone), seconds(lambda: model.predict(arrow))
        ratios.append(bare / ours)
        shared.append(seconds(beside) / ours)
        rates.append(count / ours)
    small = table.head(min(count, 100_000))
    theirs = [seconds(lambda: model.predict(small)) / seconds(lambda: pipeline.predict_proba(small)) for _ in range(3)]
    name = f"{kind}, {20 - texts} numbers" + (f" and {texts} texts" if texts else "")
    found = f"{statistics.median(ratios):.2f} of the session at its best batch ({best:,})"
    line(f"{name}, {count:,} rows, rate", f"{found}; {statistics.median(rates):,.0f} rows/s", ">= 0.9")
    line(f"{name}, rate", f"{statistics.median(shared):.2f} of the session called by {processors()} threads")
    line(f"{name}, rate", f"{1 / statistics.median(theirs):.1f} of scikit-learn's")


def single(kind: str, texts: int, folder: Path) -> None:
    """Microseconds of one record."""
    model, _, _ = built(kind, texts, folder)
    frame = rows(200, texts=texts, seed=3)
    records: list[dict[str, Any]] = json.loads(frame.to_json(orient="records"))
    feeds = [model.serving_fields.record(record) for record in records]
    raw, ours, bare = model.graph.raw, [], []
    for _ in range(30):
        bare.append(seconds(lambda: [raw.run(None, each) for each in feeds]) / len(feeds))
        ours.append(seconds(lambda: [model.predict(record) for record in records]) / len(records))
    line(
        f"{kind}, one record of 20 fields ({texts} texts)",
        f"{statistics.median(ours) * 1e6:.0f} µs, the session alone {statistics.median(bare) * 1e6:.0f} µs",
    )


PREDICT = """
import sys
from candidate.flows.predicting import predict
done = predict(sys.argv[1], sys.argv[2], out=sys.argv[3])
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(done.rows, int(peak) // 1024)
"""


def memory(millions: int, folder: Path) -> None:
    """Peak memory of predicting a large file."""
    _, _, path = built("logistic", 2, folder)
    source = folder / "large.parquet"
    part = pa.Table.from_pandas(rows(1_000_000, texts=2, seed=4), preserve_index=False)
    with pq.ParquetWriter(source, part.schema) as writer:
        for _ in range(millions):
            writer.write_table(part, row_group_size=250_000)
    start = time.perf_counter()
    command = [sys.executable, "-c", PREDICT, path, str(source), str(folder / "answers.parquet")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own command
    took = time.perf_counter() - start
    count, peak = map(int, done.stdout.split())
    line(f"predicting {count:,} rows from Parquet, peak memory", f"{peak} MB ({count / took:,.0f} rows/s)", "<= 400 MB")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--millions", type=int, default=20)
    options = parser.parse_args()
    print("| what | measured | target |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        for kind, texts in (("logistic", 0), ("logistic", 3), ("boosting", 0)):
            count = options.rows if kind == "logistic" else options.rows // 4
            throughput(kind, texts, count, options.turns, folder)
        for texts in (0, 3):
            single("logistic", texts, folder)
        if options.millions:
            memory(options.millions, folder)


if __name__ == "__main__":
    main()
