"""What a specification says of its model reaches the bundle, and everybody who reads it agrees."""

import json
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import skops.io
import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from candidate.adapters.archive import Archive
from candidate.documents.names import CARD_PATH
from candidate.documents.policy import Policy
from candidate.documents.spec import BuildSpec
from candidate.errors import InputError
from candidate.flows.building import build
from candidate.flows.evaluating import evaluate
from candidate.flows.inspecting import golden_feeds
from candidate.flows.predicting import predict
from candidate.flows.sourcing import find_source
from candidate.flows.verifying import inspect

NUMBERS = ["mean radius", "mean texture"]
SPEC = """
[bundle]
name = "m"
version = "1"
[model]
source = "model.joblib"
{model}
[data]
train = "t.parquet"
{data}
"""


class Doubled(Ridge):  # type: ignore[misc]
    """A type of ours, which skops does not know."""

    def predict(self, X: Any) -> Any:  # noqa: N803 - as scikit-learn calls it
        """Return twice the value."""
        return 2 * super().predict(X)


@pytest.fixture(scope="module")
def tumours() -> pd.DataFrame:
    """Real tumours, numbered."""
    rows: pd.DataFrame = load_breast_cancer(as_frame=True).frame
    rows["patient"] = np.arange(len(rows))
    return rows


def spec(model: str = "", data: str = 'label = "target"') -> BuildSpec:
    """A specification."""
    return BuildSpec.from_toml(SPEC.format(model=model, data=data), where="candidate.toml")


def unsure(tumours: pd.DataFrame) -> Any:
    """A model whose scores lie on both sides of any threshold."""
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(tumours[NUMBERS], tumours["target"])


POLICY = """
[data]
label = "target"
unit = "patient"
[optimizing]
metric = "accuracy"
require = "non_inferior"
margin = 0.01
"""


@pytest.mark.parametrize("own", [True, False])
def test_everybody_agrees_on_a_threshold(tmp_path: Path, tumours: pd.DataFrame, own: bool) -> None:  # noqa: FBT001
    """The signature, the graph, the golden outputs, the predictions and the evaluation: one threshold."""
    tumours.to_parquet(tmp_path / "t.parquet", index=False)
    model = unsure(tumours)
    if own:
        model = FixedThresholdClassifier(model, threshold=0.9).fit(tumours[NUMBERS], tumours["target"])
    made = build(spec("" if own else "threshold = 0.9"), model=model, root=tmp_path, out=tmp_path)
    path = Path(made.path)
    predicted = tmp_path / "answers.parquet"
    predict(path, tmp_path / "t.parquet", out=predicted)
    answers = pd.read_parquet(predicted)
    plain = unsure(tumours).predict_proba(tumours[NUMBERS])[:, 1]

    with Archive.open(path) as archive:
        bundle = inspect(archive)
        assert bundle.signature.threshold == 0.9
        got = bundle.session().run(golden_feeds(bundle))
        scores = got[str(bundle.signature.score_output)][:, 1]
        np.testing.assert_array_equal(got[bundle.signature.label_output], (scores >= 0.9).astype(int))
        assert b"0.9" in bundle.read(CARD_PATH)
    np.testing.assert_array_equal(answers["prediction"], (answers["score"] >= 0.9).astype(int))
    np.testing.assert_array_equal(answers["prediction"], (plain >= 0.9).astype(int))
    found = evaluate(path, data=tmp_path / "t.parquet", policy=Policy.from_toml(POLICY, where="policy.toml"))
    accuracy = ((plain >= 0.9).astype(int) == tumours["target"]).mean()
    assert _value(json.loads(found.to_bytes()), "accuracy") == pytest.approx(accuracy, abs=1e-9)


def _value(document: Any, metric: str) -> float:
    """The value of a metric in an evaluation."""
    return float(document["slices"][0]["metrics"][metric]["value"])


def test_a_threshold_is_for_one_classifier(tmp_path: Path, tumours: pd.DataFrame) -> None:
    """A regression has none, and a model that has one of its own keeps it."""
    tumours.to_parquet(tmp_path / "t.parquet", index=False)
    own = FixedThresholdClassifier(unsure(tumours), threshold=0.9).fit(tumours[NUMBERS], tumours["target"])
    for model, words in (
        (Ridge().fit(tumours[NUMBERS], tumours["target"]), "for a classifier of two classes"),
        (own, "of its own"),
    ):
        with pytest.raises(InputError, match=words) as refused:
            build(spec("threshold = 0.3"), model=model, root=tmp_path, out=tmp_path)
        assert refused.value.where == "[model] threshold"


def test_a_detector_is_built_without_a_label(tmp_path: Path, tumours: pd.DataFrame) -> None:
    """And nobody measures it as a classifier."""
    tumours.to_parquet(tmp_path / "t.parquet", index=False)
    joblib.dump(IsolationForest(n_estimators=5, random_state=0).fit(tumours[NUMBERS]), tmp_path / "model.joblib")
    made = build(spec(data=""), root=tmp_path, out=tmp_path)

    with Archive.open(Path(made.path)) as archive:
        signature = inspect(archive).signature
    assert (signature.task, signature.label, signature.classes) == ("anomaly", "", ())
    lines: list[str] = []
    predict(made.path, tmp_path / "t.parquet", each=lines.append)
    answers = [json.loads(line) for line in lines]
    assert {each["prediction"] for each in answers} == {1, -1}
    assert all((each["score"] >= 0) == (each["prediction"] == 1) for each in answers)
    with pytest.raises(InputError, match="anomaly model") as refused:
        evaluate(Path(made.path), data=tmp_path / "t.parquet", policy=Policy.from_toml(POLICY, where="policy.toml"))
    assert refused.value.hint


def test_several_labels_are_predicted_row_by_row(tmp_path: Path, tumours: pd.DataFrame) -> None:
    """A row has a list of answers, in the order of the labels."""
    rows = tumours[[*NUMBERS, "target"]].assign(rough=(tumours["mean texture"] > 19).astype("int64"))
    rows.to_parquet(tmp_path / "t.parquet", index=False)
    model = OneVsRestClassifier(LogisticRegression(max_iter=1000)).fit(rows[NUMBERS], rows[["target", "rough"]])
    made = build(spec(data='label = ["target", "rough"]'), model=model, root=tmp_path, out=tmp_path)
    lines: list[str] = []
    result = predict(made.path, tmp_path / "t.parquet", each=lines.append)

    assert result.rows == len(lines) == len(rows)
    np.testing.assert_array_equal([json.loads(line)["prediction"] for line in lines], model.predict(rows[NUMBERS]))


def test_types_of_a_skops_file_are_trusted_by_name(tmp_path: Path, tumours: pd.DataFrame) -> None:
    """Refused with the key to set, and loaded once every type is listed."""
    skops.io.dump(Doubled().fit(tumours[NUMBERS], tumours["target"]), tmp_path / "model.skops")
    text = SPEC.replace("model.joblib", "model.skops")
    name = f"{Doubled.__module__}.Doubled"

    def find(trusted: str) -> Any:
        read = BuildSpec.from_toml(text.format(model=trusted, data='label = "target"'), where="candidate.toml")
        return find_source(read, tmp_path, model=None, train=lambda: tumours).estimator

    with pytest.raises(InputError, match="Doubled") as refused:
        find("")
    assert "[model] trusted" in refused.value.hint
    with pytest.raises(InputError, match="Doubled"):
        find('trusted = ["some.OtherType"]')
    assert type(find(f'trusted = ["{name}"]')).__name__ == "Doubled"


def boosters(tumours: pd.DataFrame) -> dict[str, Any]:
    """The libraries' own objects."""
    rows, label = tumours[NUMBERS], tumours["target"]
    return {
        "LGBMClassifier": lightgbm.train(
            {"verbose": -1, "num_threads": 1}, lightgbm.Dataset(rows, label), num_boost_round=2
        ),
        "XGBClassifier": xgboost.train({"nthread": 1}, xgboost.DMatrix(rows, label), num_boost_round=2),
    }


@pytest.mark.parametrize("wrapper", ["LGBMClassifier", "XGBClassifier"])
def test_a_bare_booster_is_told_which_class_to_train(tmp_path: Path, tumours: pd.DataFrame, wrapper: str) -> None:
    """It knows neither its classes nor its task; the libraries' own scikit-learn classes do."""
    joblib.dump(boosters(tumours)[wrapper], tmp_path / "model.joblib")
    with pytest.raises(InputError, match="does not know its task") as refused:
        find_source(spec(), tmp_path, model=None, train=lambda: tumours)
    assert wrapper in refused.value.hint
