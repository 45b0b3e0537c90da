"""Builds as people have them: awkward names, every kind of column, trees behind a scaler, a checkout of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from candidate.adapters.archive import Archive
from candidate.adapters.attest import Signer
from candidate.documents.spec import BuildSpec
from candidate.errors import InputError
from candidate.flows.building import build
from candidate.flows.predicting import predict
from candidate.flows.verifying import inspect, verify

SPEC = """
[bundle]
name = "census"
version = "3.1.0"
[model]
source = "{source}"
[data]
train = "census.parquet"
label = "income>50k"
"""
NUMBERS = ["age", "capital.gain", "hours-per-week"]
WORDS = ["marital status", "label"]
FEATURES = [*NUMBERS, "fnlwgt", "citizen", *WORDS]


def census(count: int = 5000, seed: int = 0) -> pd.DataFrame:
    """Rows with the names of the census's columns: dots, dashes, spaces, an id, a truth value, holes."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "age": rng.integers(170, 900, count) / 10.0,
            "capital.gain": np.where(rng.random(count) < 0.1, rng.lognormal(8, 1, count), 0.0),
            "hours-per-week": rng.normal(40, 9, count),
            "fnlwgt": 2_000_000_000 + rng.integers(0, 5, count),
            "citizen": rng.random(count) < 0.8,
            "marital status": rng.choice(["single", "married", "widowed"], count),
            "label": rng.choice(["a", "b"], count),
        }
    )
    logit = np.sin(rows["age"] / 6) * 2 + (rows["marital status"] == "married") + rows["citizen"] - 1
    logit += rows["fnlwgt"] % 2
    rows["income>50k"] = np.where(rng.random(count) < 1 / (1 + np.exp(-logit)), ">50K", "<=50K")
    rows.loc[rng.random(count) < 0.05, "hours-per-week"] = np.nan
    return rows


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """The training rows."""
    return census()


@pytest.fixture(scope="module")
def model(rows: pd.DataFrame) -> Pipeline:
    """Everything that goes wrong in 32 bits, and with awkward names, in one pipeline."""
    prepare = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
            ("words", OneHotEncoder(handle_unknown="ignore", sparse_output=False), [*WORDS, "fnlwgt"]),
            ("truths", "passthrough", ["citizen"]),
        ]
    )
    trees = HistGradientBoostingClassifier(max_iter=60, random_state=0)
    return make_pipeline(prepare, trees).fit(rows[FEATURES], rows["income>50k"])


@pytest.mark.parametrize("calibrated", [False, True])
def test_a_hard_model_is_served_as_it_was_trained(
    rows: pd.DataFrame,
    model: Pipeline,
    calibrated: bool,  # noqa: FBT001 - a parameter
    builder: Signer,
    tmp_path: Path,
) -> None:
    """Built, verified with its golden replay, and predicting rows it never saw to within 32-bit arithmetic."""
    whole = model
    if calibrated:
        whole = CalibratedClassifierCV(FrozenEstimator(model), method="sigmoid").fit(rows[FEATURES], rows["income>50k"])
    rows.to_parquet(tmp_path / "census.parquet", index=False)
    spec = BuildSpec.from_toml(SPEC.format(source="models:census"), where="candidate.toml")
    built = build(spec, model=whole, root=tmp_path, out=tmp_path, signer=builder)
    unseen = census(seed=1)
    unseen.loc[:20, "marital status"] = "divorced"
    unseen.to_parquet(tmp_path / "unseen.parquet", index=False)
    predict(built.path, tmp_path / "unseen.parquet", out=tmp_path / "answers.parquet")
    answers = pd.read_parquet(tmp_path / "answers.parquet")
    expected = whole.predict_proba(unseen[FEATURES])

    assert verify(built.path, public_key=builder.public_pem).key_id == builder.key_id
    assert built.parity is not None
    assert (built.parity.float_bits, built.parity.mismatches, built.parity.label_flips) == (64, 0, 0)
    assert np.abs(answers["score"] - expected[:, 1]).max() < 1e-5
    assert (answers["prediction"] == whole.predict(unseen[FEATURES])).mean() > 0.999
    with Archive.open(Path(built.path)) as archive:
        bundle = inspect(archive)
    assert list(bundle.signature.features) == FEATURES
    assert bundle.signature.positive == ">50K"
    assert bundle.input_schema["properties"]["citizen"]["type"] == "boolean"
    assert bundle.input_schema["properties"]["hours-per-week"]["type"] == ["number", "null"]
    assert bundle.filled == set(FEATURES) - {"hours-per-week"}


def test_a_number_that_training_always_had_is_asked_for(rows: pd.DataFrame, model: Pipeline, tmp_path: Path) -> None:
    """The schema says so, and predicting holds the rows to it, by column and row."""
    rows.to_parquet(tmp_path / "census.parquet", index=False)
    spec = BuildSpec.from_toml(SPEC.format(source="models:census"), where="candidate.toml")
    built = build(spec, model=model, root=tmp_path, out=tmp_path)
    holes = rows[:100].copy()
    holes.loc[42, "age"] = np.nan
    holes.to_parquet(tmp_path / "holes.parquet", index=False)

    with pytest.raises(InputError, match="missing value") as refused:
        predict(built.path, tmp_path / "holes.parquet")
    assert refused.value.where == "holes.parquet, column age, row 42"


MODULE = """
from sklearn.linear_model import LogisticRegression
def fit(train):
    return LogisticRegression().fit(train[["age", "capital.gain"]], train["income>50k"])
"""


def test_building_in_a_checkout_twice_gives_the_same_bytes(rows: pd.DataFrame, tmp_path: Path) -> None:
    """A module that is imported leaves a cache, and the first bundle lies there: the source is as clean as before."""
    rows.to_parquet(tmp_path / "census.parquet", index=False)
    (tmp_path / "training.py").write_text(MODULE)
    (tmp_path / "candidate.toml").write_text(SPEC.format(source="training:fit"))
    git = shutil.which("git")
    assert git, "git is what made this checkout"
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "first"]):
        subprocess.run([git, "-C", str(tmp_path), *command], check=True, env={"HOME": str(tmp_path)})
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    made = []
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-m", "candidate", "build", "candidate.toml", "--out", "dist", "--quiet"],
            check=True,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
        )
        made.append((tmp_path / "dist" / "census-3.1.0.candidate").read_bytes())
    with Archive.open(tmp_path / "dist" / "census-3.1.0.candidate") as archive:
        record = inspect(archive).experiment

    assert (tmp_path / "__pycache__").is_dir()
    assert made[0] == made[1]
    assert record.code.dirty is False
    assert record.code.commit
