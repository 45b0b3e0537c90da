"""How often ``skew`` and ``diagnose`` are wrong, and what they find: days like the reference, and planted faults.

    python -m benchmarks.skew [DAYS [ROWS]]

DAYS (200) logs of 1,000 rows are held to a reference of 20,000; then ROWS (10,000,000) are held to as many, timed.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from candidate.documents.spec import BuildSpec
from candidate.flows.building import build
from candidate.flows.diagnosing import diagnose
from candidate.flows.skewing import skew
from candidate.judgement.intervals import Share

FEATURES = [f"x{number}" for number in range(8)]
SPEC = f"""
[bundle]
name = "small"
version = "1"
[model]
source = "model.joblib"
[data]
train = "train.parquet"
label = "late"
unit = "user"
features = {FEATURES}
[experiment]
seeds = {{ numpy = 1 }}
"""
DAY = 1000
TWENTIETH = 0.05
CITIES = ("city=oslo", "city=bergen", "city=narvik")


def people(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Rows of eight features of unlike shapes, a column that is none, and a label."""
    found = pd.DataFrame({name: rng.normal(size=rows) for name in FEATURES})
    found["x1"], found["x2"] = np.exp(found["x1"]), rng.integers(0, 6, rows).astype(float)
    found["city"] = rng.choice(["oslo", "bergen", "narvik"], rows, p=[0.6, 0.3, 0.1])
    found["user"] = np.arange(rows)
    found["late"] = (rng.random(rows) < 1 / (1 + np.exp(-found["x0"]))).astype("int64")
    return found


def nothing(table: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    """Leave it as it is."""
    return table


def unit(table: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    """A feature arrives a fifth larger."""
    return table.assign(x1=table["x1"] * 1.2)


def default(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """A twentieth of a feature is a default of zero."""
    return table.assign(x3=np.where(rng.random(len(table)) < TWENTIETH, 0.0, table["x3"]))


def moved(table: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    """A feature moves by a quarter of its standard deviation."""
    return table.assign(x4=table["x4"] + 0.25)


def weak(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """A third of the labels of one city are chance."""
    there = (table["city"] == "bergen") & (rng.random(len(table)) < 1 / 3)
    return table.assign(late=np.where(there, rng.integers(0, 2, len(table)), table["late"]))


def told(what: str, caught: int, of: int) -> None:
    """Print a rate with its exact bounds."""
    share = Share(caught, of)
    lower, upper = 100 * share.lower(0.05), 100 * share.upper(0.05)
    print(f"  {what:<36} {caught} of {of} ({lower:.1f} to {upper:.1f} %)", flush=True)


def main() -> None:
    """Print the table."""
    days = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000_000  # noqa: PLR2004 - the second was given
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        train = people(rng, 3000)
        train.to_parquet(root / "train.parquet", index=False)
        joblib.dump(LogisticRegression().fit(train[FEATURES], train["late"]), root / "model.joblib")
        bundle = build(BuildSpec.from_toml(SPEC, where="spec"), root=root, out=root).path
        people(rng, 20_000).to_parquet(root / "reference.parquet", index=False)
        plants: dict[str, Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]] = {
            "equal days called skewed": nothing,
            "a feature a fifth larger, found": unit,
            "a default in a twentieth, found": default,
            "a quarter of a deviation, found": moved,
        }
        print(f"logs of {DAY:,} rows, {len(FEATURES)} features and the score")
        for what, plant in plants.items():
            caught = 0
            for _ in range(days):
                plant(people(rng, DAY), rng).to_parquet(root / "day.parquet", index=False)
                found = skew(bundle, logged=root / "day.parquet", reference=root / "reference.parquet")
                caught += found.outcome == "fail"
            told(what, caught, days)
        print("eyeball sets of 4,000 rows")
        for what, plant in {"equal cities: one named": nothing, "a weak city, named": weak}.items():
            caught = 0
            for _ in range(days):
                plant(people(rng, 4000), rng).to_parquet(root / "eyeball.parquet", index=False)
                groups = diagnose(bundle, data=root / "eyeball.parquet").groups
                named = {group.name for group in groups}
                caught += "city=bergen" in named if plant is weak else any(each in named for each in CITIES)
            told(what, caught, days)
        big = people(rng, rows)
        big.to_parquet(root / "big.parquet", index=False)
        del big
        start = time.perf_counter()
        skew(bundle, logged=root / "big.parquet", reference=root / "big.parquet")
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{rows:,} rows held to as many: {seconds:.1f} s; peak of the process that made them {peak:,.0f} MiB")


if __name__ == "__main__":
    main()
