"""Every task is served: answers are the estimator's, and keep to the bundle's own schema of an answer."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from candidate.adapters.archive import Archive
from candidate.documents.spec import BuildSpec
from candidate.flows.building import build
from candidate.flows.inspecting.schemas import check_schema
from candidate.flows.predicting import predict
from candidate.flows.serving import Model
from candidate.flows.verifying import inspect

NUMBERS = ["mean radius", "mean texture", "mean smoothness"]
SPEC = """
[bundle]
name = "m"
version = "1"
[model]
source = "memory:model"
[data]
train = "t.parquet"
{label}
"""


def cancer() -> pd.DataFrame:
    """Real tumours, with a second label."""
    rows: pd.DataFrame = load_breast_cancer(as_frame=True).frame
    rows["large"] = (rows["mean area"] > 600).astype("int64")
    return rows


def flowers() -> pd.DataFrame:
    """Real flowers, of three kinds by name."""
    found = load_iris(as_frame=True)
    rows: pd.DataFrame = found.frame
    rows["kind"] = found.target_names[rows["target"]]
    return rows


CANCER, IRIS = cancer(), flowers()
PETALS = ["petal length (cm)", "petal width (cm)"]
CASES: dict[str, tuple[pd.DataFrame, list[str], list[str], Any]] = {
    "binary": (CANCER, NUMBERS, ["target"], make_pipeline(StandardScaler(), LogisticRegression())),
    "multiclass": (IRIS, PETALS, ["kind"], LogisticRegression(max_iter=500)),
    "multilabel": (CANCER, NUMBERS, ["target", "large"], MultiOutputClassifier(LogisticRegression(max_iter=500))),
    "multilabel forest": (CANCER, NUMBERS, ["target", "large"], RandomForestClassifier(5, max_depth=4, random_state=0)),
    "regression": (CANCER, NUMBERS, ["mean area"], Ridge()),
    "several values": (CANCER, NUMBERS, ["mean area", "mean perimeter"], LinearRegression()),
    "anomaly": (CANCER, NUMBERS, [], IsolationForest(n_estimators=20, random_state=0)),
    "transform": (CANCER, NUMBERS, [], StandardScaler()),
}


@pytest.mark.parametrize("case", CASES)
def test_every_task_is_served(tmp_path: Path, case: str) -> None:
    """One record, a frame and a file get the same answers, which are valid by the output schema."""
    rows, features, labels, estimator = CASES[case]
    rows.to_parquet(tmp_path / "t.parquet", index=False)
    fitted = estimator.fit(rows[features], *([rows[labels] if len(labels) > 1 else rows[labels[0]]] if labels else []))
    named = f"label = {json.dumps(labels if len(labels) > 1 else labels[0])}" if labels else ""
    listed = f"features = {json.dumps(features)}\n{named}"
    spec = BuildSpec.from_toml(SPEC.format(label=listed), where="spec")
    made = build(spec, model=fitted, root=tmp_path, out=tmp_path)
    predict(made.path, tmp_path / "t.parquet", out=tmp_path / "answers.parquet")
    written = pd.read_parquet(tmp_path / "answers.parquet")
    with Archive.open(Path(made.path)) as archive:
        model = Model.of(inspect(archive))
        schema = json.loads(model.read("schema/output.schema.json"))
        found = model.predict(rows[features])
        one = model.predict(dict(rows[features].iloc[7]))
    check_schema(schema, where="output")
    valid = jsonschema.Draft202012Validator(schema)

    assert [error.message for answer in found for error in valid.iter_errors(answer)] == []
    assert [error.message for error in valid.iter_errors(one)] == []
    assert one.keys() == found[7].keys() == set(written.columns)
    if case == "transform":
        np.testing.assert_allclose(found.predictions, fitted.transform(rows[features]), rtol=1e-4, atol=1e-5)
    elif case in {"regression", "several values"}:
        np.testing.assert_allclose(found.predictions, fitted.predict(rows[features]), rtol=1e-4)
    else:
        np.testing.assert_array_equal(found.predictions, np.asarray(fitted.predict(rows[features])))
    if case == "anomaly":
        np.testing.assert_allclose(np.asarray(found.scores), fitted.decision_function(rows[features]), atol=1e-5)
    if case == "multiclass":
        np.testing.assert_allclose(np.asarray(found.scores), fitted.predict_proba(rows[features]), atol=1e-5)
