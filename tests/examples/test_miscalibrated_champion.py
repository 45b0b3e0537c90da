"""A miscalibrated champion on real flights: it fails, its scores are mapped on eyeball rows, and it passes on others.

A logistic regression with balanced class weights orders flights well and says far too large
probabilities, as every such model does.
"""

from pathlib import Path

import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import candidate
from candidate.documents.decision import Finding
from examples.flights import data

SPEC = """
[bundle]
name = "late-flights"
version = "1.0.0"
[model]
source = "memory:model"
[data]
train = "sample.parquet"
label = "late"
unit = "day"
features = {features}
"""
POLICY = """
champion = "none"
[data]
label = "late"
unit = "day"
[optimizing]
metric = "log_loss"
require = "superior"
min_gain = 0.0
[calibration]
max = 0.08
[rollback]
target = "none"
[bench]
rounds = 30
calls = 10
"""


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle, and the days from October to December in two halves: one to look at, one to judge by."""
    root = tmp_path_factory.mktemp("flights")
    files = data.write(root)
    train = pd.read_parquet(files["train"]).sample(20_000, random_state=1)
    train.to_parquet(root / "sample.parquet", index=False)
    features = [*data.SCHEDULE, *data.WEATHER, *data.CATEGORIES]
    prepare = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), [*data.SCHEDULE, *data.WEATHER]),
        (OneHotEncoder(handle_unknown="ignore"), data.CATEGORIES),
    )
    model = make_pipeline(prepare, LogisticRegression(class_weight="balanced", max_iter=500))
    model.fit(train[features], train["late"])
    spec = candidate.BuildSpec.from_toml(SPEC.format(features=features), where="spec")
    candidate.build(spec, model=model, root=root, out=root)
    later = pd.read_parquet(files["blackbox"])
    odd = later["day"].rank(method="dense") % 2 == 1
    later[odd].to_parquet(root / "looked-at.parquet", index=False)
    later[~odd].to_parquet(root / "judged-by.parquet", index=False)
    return root


def findings(root: Path, version: str, rows: str = "judged-by") -> dict[str, Finding]:
    """Findings of a first release, by rule."""
    policy = candidate.Policy.from_toml(POLICY, where="policy")
    bundle = root / f"late-flights-{version}.candidate"
    done = candidate.compare(bundle, champion="none", policy=policy, data=root / f"{rows}.parquet")
    return {each.rule: each for each in done.decision.findings}


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_recalibrated_on_eyeball_rows_it_passes_on_the_blackbox(flights: Path, method: str) -> None:
    """Its probabilities are made right, its order of the flights and its answers stay."""
    before = findings(flights, "1.0.0")
    assert before["calibration"].status == "fail"
    assert before["optimizing"].status == "fail"

    made = candidate.recalibrate(
        flights / "late-flights-1.0.0.candidate",
        data=flights / "looked-at.parquet",
        method=method,  # type: ignore[arg-type]  # one of the two
        out=flights,
    )
    after = findings(flights, made.bundle.version)

    assert after["calibration"].status == "pass"
    assert after["optimizing"].status == "pass"
    assert made.calibration.max_difference < 1e-6
    assert made.calibration.answers_changed <= (0 if method == "platt" else 0.03 * made.calibration.rows)
    refused = findings(flights, made.bundle.version, "looked-at")["contamination"]
    assert (refused.status, "scores were calibrated on" in refused.why) == ("fail", True)


def test_rows_of_another_season_do_not_make_it_pass(flights: Path) -> None:
    """In September every eighth flight was late, afterwards more than every fifth: no map of one fits the other."""
    made = candidate.recalibrate(
        flights / "late-flights-1.0.0.candidate", data=flights / "eyeball.parquet", version="september", out=flights
    )

    assert made.bundle.version == "september"
    assert findings(flights, "september")["calibration"].status == "open"
