"""What a bundle predicts, and what is measured of it, agree with scikit-learn row by row and to 1e-9."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from candidate.documents.policy import Policy
from candidate.documents.spec import BuildSpec
from candidate.errors import InputError
from candidate.flows.building import build
from candidate.flows.evaluating import evaluate
from candidate.flows.predicting import predict

SPEC = """
[bundle]
name = "small"
version = "1"
[model]
source = "memory:model"
[data]
train = "rows.parquet"
label = "late"
unit = "user"
"""
POLICY = """
[data]
label = "late"
unit = "user"
[optimizing]
metric = "log_loss"
require = "superior"
min_gain = 0.0
[[slices.watch]]
by = "city"
margin = 0.1
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, pd.DataFrame, Pipeline]:
    """A bundle, its rows' file, the rows, and the pipeline it came from."""
    root = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(5)
    rows = pd.DataFrame({"x": rng.normal(size=3000), "city": rng.choice(["a", "b"], 3000)})
    rows["user"] = rng.integers(0, 300, 3000)
    rows["late"] = (rng.random(3000) < 1 / (1 + np.exp(-2 * rows["x"]))).astype("int64")
    rows.to_parquet(root / "rows.parquet", index=False)
    prepare = ColumnTransformer(
        [("city", OneHotEncoder(sparse_output=False), ["city"])],
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    model = make_pipeline(prepare, LogisticRegression()).fit(rows[["x", "city"]], rows["late"])
    built = build(BuildSpec.from_toml(SPEC, where="spec"), model=model, root=root, out=root)
    return Path(built.path), root / "rows.parquet", rows, model


def test_predictions_are_the_pipelines_own(world: tuple[Path, Path, pd.DataFrame, Pipeline], tmp_path: Path) -> None:
    """Label and score of every row, in order."""
    bundle, path, rows, model = world
    result = predict(bundle, path, out=tmp_path / "out.parquet")
    found = pd.read_parquet(tmp_path / "out.parquet")

    assert result.rows == len(rows)
    np.testing.assert_array_equal(found["prediction"], model.predict(rows[["x", "city"]]))
    np.testing.assert_allclose(found["score"], model.predict_proba(rows[["x", "city"]])[:, 1], atol=1e-6)


def test_nothing_is_left_of_predictions_that_fail(
    world: tuple[Path, Path, pd.DataFrame, Pipeline], tmp_path: Path
) -> None:
    """A missing value in the last batch leaves no file, whole or partial; an existing file stays as it is."""
    bundle, _, rows, _ = world
    broken = pd.concat([rows] * 30, ignore_index=True)
    broken.loc[len(broken) - 1, "city"] = None
    broken.to_parquet(tmp_path / "broken.parquet", index=False)
    with pytest.raises(InputError, match="missing value") as refused:
        predict(bundle, tmp_path / "broken.parquet", out=tmp_path / "out.parquet")
    (tmp_path / "there.parquet").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        predict(bundle, tmp_path / "broken.parquet", out=tmp_path / "there.parquet")

    assert f"row {len(broken) - 1}" in refused.value.where
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.parquet", "there.parquet"]
    assert (tmp_path / "there.parquet").read_text() == "mine"


def test_metrics_equal_scikit_learns(world: tuple[Path, Path, pd.DataFrame, Pipeline], tmp_path: Path) -> None:
    """Each metric, overall and in a slice, on the graph's own scores, to 1e-9."""
    bundle, path, rows, _ = world
    predict(bundle, path, out=tmp_path / "out.parquet")
    score = pd.read_parquet(tmp_path / "out.parquet")["score"].to_numpy()
    found = evaluate(bundle, data=path, policy=Policy.from_toml(POLICY, where="policy"))
    everywhere = np.ones(len(rows), dtype=bool)
    where = {"overall": everywhere, "city=a": (rows["city"] == "a").to_numpy()}

    assert [part.slice for part in found.slices] == ["overall", "city=a", "city=b"]
    for part in found.slices[:2]:
        y, p = rows["late"].to_numpy()[where[part.slice]], score[where[part.slice]]
        answer = p >= 0.5
        expected = {
            "log_loss": sk.log_loss(y, p),
            "brier": sk.brier_score_loss(y, p),
            "accuracy": sk.accuracy_score(y, answer),
            "error_rate": 1 - sk.accuracy_score(y, answer),
            "balanced_accuracy": sk.balanced_accuracy_score(y, answer),
            "precision": sk.precision_score(y, answer),
            "recall": sk.recall_score(y, answer),
            "f1": sk.f1_score(y, answer),
            "mcc": sk.matthews_corrcoef(y, answer),
        }
        values = {name: estimate.value for name, estimate in part.metrics.items()}
        assert {name: values[name] for name in expected} == pytest.approx(expected, abs=1e-9)
        assert values["true_positive_rate"] == values["recall"]
        assert ("roc_auc" in values) == (part.slice == "overall"), "other slices have no histogram unless a rule asks"
    assert found.slices[0].metrics["roc_auc"].value == pytest.approx(sk.roc_auc_score(rows["late"], score), abs=1e-4)
    assert set(found.definitions) >= set(found.slices[0].metrics)


def test_without_a_policy_the_bundle_says_what_its_unit_is(
    world: tuple[Path, Path, pd.DataFrame, Pipeline], tmp_path: Path
) -> None:
    """Unit and label are on record; a bundle without a unit asks for a policy."""
    bundle, path, rows, model = world
    assert evaluate(bundle, data=path).data.units == rows["user"].nunique()
    (tmp_path / "rows.parquet").write_bytes(path.read_bytes())
    spec = BuildSpec.from_toml(SPEC.replace('unit = "user"', ""), where="spec")
    other = build(spec, model=model, root=tmp_path, out=tmp_path)
    with pytest.raises(InputError, match="independent unit"):
        evaluate(other.path, data=path)
