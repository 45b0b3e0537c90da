"""Estimators beyond scikit-learn's plain ones: boosted trees, means of pipelines, thresholds, and every task."""

from collections.abc import Callable
from functools import cache
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xgboost
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDOneClassSVM
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, LocalOutlierFactor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from candidate.adapters import dataset
from candidate.errors import InputError
from candidate.flows.proving import Proven, columns_of, prove

NUMBERS = ["mean radius", "mean texture", "mean smoothness", "worst area"]
LABELS = ["malignant", "rough", "large"]
QUIET: dict[str, Any] = {"n_estimators": 15, "min_child_samples": 5, "verbose": -1, "n_jobs": 1}
FEW: dict[str, Any] = {"n_estimators": 15, "max_depth": 4, "n_jobs": 1}


@cache
def tumours() -> pd.DataFrame:
    """Real tumours: four measurements, two with holes, a text, and labels of every kind."""
    rows: pd.DataFrame = load_breast_cancer(as_frame=True).frame[[*NUMBERS, "target"]].copy()
    rng = np.random.default_rng(0)
    rows["size"] = pd.cut(rows["mean radius"], 3, labels=["small", "middle", "large"]).astype(str).astype(object)
    rows["kind"] = np.where(rows["target"] == 1, "benign", "malignant")
    rows["malignant"] = 1 - rows["target"]
    rows["rough"] = (rows["mean texture"] > 19).astype("int64")
    rows["large"] = (rows["worst area"] > 700).astype("int64")
    rows.loc[rng.random(len(rows)) < 0.06, "mean texture"] = np.nan
    rows.loc[rng.random(len(rows)) < 0.06, "worst area"] = np.nan
    return rows


@cache
def wines() -> pd.DataFrame:
    """Real wines of three growers."""
    rows: pd.DataFrame = load_wine(as_frame=True).frame
    return rows


@cache
def patients() -> pd.DataFrame:
    """Real patients and how far their disease went on, with a second value to predict."""
    rows: pd.DataFrame = load_diabetes(as_frame=True, scaled=False).frame
    return rows


def prepared(*, fill: bool = False) -> ColumnTransformer:
    """Numbers, filled where the next step needs it, and one column for each word."""
    steps = [SimpleImputer(strategy="median"), StandardScaler()] if fill else [StandardScaler()]
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(*steps), NUMBERS),
            ("words", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["size"]),
        ]
    )


def on_tumours(model: Any, label: Any = "target", *, words: bool = True, fill: bool = False) -> Any:
    """The model, fitted behind the preparation or on numbers alone."""
    rows = tumours()
    if words:
        return make_pipeline(prepared(fill=fill), model).fit(rows[[*NUMBERS, "size"]], rows[label])
    return model.fit(rows[NUMBERS], rows[label])


def whole() -> list[str]:
    """Columns of the tumours that a pipeline takes."""
    return [*NUMBERS, "size"]


def proven(model: Any, rows: pd.DataFrame, features: list[str], label: Any, *ladder: Any) -> Proven:
    """The graph of a model, compared with it on these rows."""
    table = pa.Table.from_pandas(rows, preserve_index=False)
    return prove(model, table, columns_of(table, features), label=label, ladder=ladder or (32, 64))


def answers(found: Proven, rows: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """What the proven graph answers to rows."""
    batch = pa.Table.from_pandas(rows, preserve_index=False).combine_chunks()
    return found.session().run(dataset.feeds(batch, found.signature.inputs))


def check(found: Proven, task: str) -> None:
    """Not one row is off, and the task is what it should be."""
    assert found.signature.task == task
    assert found.parity is not None
    assert found.parity.mismatches == 0
    assert found.parity.label_flips == 0


def wine_model(model: Any) -> Any:
    """A model of three growers."""
    return model.fit(wines().drop(columns="target"), wines()["target"])


def patient_model(model: Any) -> Any:
    """A regression of one value."""
    return model.fit(patients().drop(columns="target"), patients()["target"])


BOOSTED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "lightgbm binary": (lambda: on_tumours(lightgbm.LGBMClassifier(**QUIET), words=False), "tumours", "binary"),
    "lightgbm words": (lambda: on_tumours(lightgbm.LGBMClassifier(**QUIET), "kind", words=False), "tumours", "binary"),
    "lightgbm piped": (lambda: on_tumours(lightgbm.LGBMClassifier(**QUIET), "kind"), "tumours piped", "binary"),
    "lightgbm multiclass": (lambda: wine_model(lightgbm.LGBMClassifier(**QUIET)), "wines", "multiclass"),
    "lightgbm regression": (lambda: patient_model(lightgbm.LGBMRegressor(**QUIET)), "patients", "regression"),
    "xgboost binary": (lambda: on_tumours(xgboost.XGBClassifier(**FEW), words=False), "tumours", "binary"),
    "xgboost base score": (
        lambda: on_tumours(xgboost.XGBClassifier(base_score=0.3, **FEW), words=False),
        "tumours",
        "binary",
    ),
    "xgboost piped": (lambda: on_tumours(xgboost.XGBClassifier(**FEW)), "tumours piped", "binary"),
    "xgboost multiclass": (lambda: wine_model(xgboost.XGBClassifier(**FEW)), "wines", "multiclass"),
    "xgboost regression": (lambda: patient_model(xgboost.XGBRegressor(**FEW)), "patients", "regression"),
    "xgboost forest": (lambda: on_tumours(xgboost.XGBRFClassifier(**FEW), words=False), "tumours", "binary"),
    "xgboost counts": (
        lambda: patient_model(xgboost.XGBRegressor(objective="count:poisson", **FEW)),
        "patients",
        "regression",
    ),
}
ROWS: dict[str, Callable[[], tuple[pd.DataFrame, list[str]]]] = {
    "tumours": lambda: (tumours(), NUMBERS),
    "tumours piped": lambda: (tumours(), whole()),
    "wines": lambda: (wines(), [name for name in wines().columns if name != "target"]),
    "patients": lambda: (patients(), [name for name in patients().columns if name != "target"]),
}


@pytest.mark.parametrize("name", BOOSTED)
def test_boosted_trees_of_others_are_converted_and_compared(name: str) -> None:
    """LightGBM's and XGBoost's own classes, alone and behind a preparation, with missing values as they are."""
    make, where, task = BOOSTED[name]
    rows, features = ROWS[where]()

    check(proven(make(), rows, features, "target"), task)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "zeros as missing": (
        lambda: on_tumours(lightgbm.LGBMClassifier(zero_as_missing=True, **QUIET), words=False),
        "zero_as_missing=True",
    ),
    "linear trees": (
        lambda: on_tumours(lightgbm.LGBMClassifier(linear_tree=True, **QUIET), words=False),
        "linear_tree=True",
    ),
    "dropped trees": (lambda: on_tumours(xgboost.XGBClassifier(booster="dart", **FEW), words=False), "booster='dart'"),
    "another missing value": (
        lambda: on_tumours(xgboost.XGBClassifier(missing=-1.0, **FEW), words=False),
        "missing=-1.0",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_converters_would_drop_is_refused(name: str) -> None:
    """A parameter that changes the answers and that no graph keeps: named, before anything is converted."""
    make, words = REFUSED[name]
    with pytest.raises(InputError, match=words) as refused:
        proven(make(), tumours(), NUMBERS, "target")
    assert refused.value.hint


UNFAITHFUL: dict[str, tuple[Callable[[], Any], list[str], Any]] = {
    "a forest of lightgbm": (
        lambda: on_tumours(
            lightgbm.LGBMClassifier(boosting_type="rf", subsample=0.6, subsample_freq=1, **QUIET), words=False
        ),
        NUMBERS,
        "target",
    ),
    "a tree of several labels": (
        lambda: on_tumours(DecisionTreeClassifier(max_depth=4, random_state=0), LABELS, fill=True),
        [*NUMBERS, "size"],
        LABELS,
    ),
}


@pytest.mark.parametrize("name", UNFAITHFUL)
def test_what_is_converted_wrongly_is_found(name: str) -> None:
    """The converters say nothing; the comparison refuses with its figures."""
    make, features, label = UNFAITHFUL[name]
    with pytest.raises(InputError, match=r"32 bits: \d+ of 569 rows differ"):
        proven(make(), tumours(), features, label)


def vote(**more: Any) -> VotingClassifier:
    """Two whole pipelines that vote."""
    return VotingClassifier(
        [
            ("linear", make_pipeline(prepared(fill=True), LogisticRegression())),
            ("naive", make_pipeline(prepared(fill=True), GaussianNB())),
        ],
        **more,
    )


def fitted(model: Any, label: Any = "target") -> Any:
    """The model, fitted on what a pipeline takes."""
    return model.fit(tumours()[whole()], tumours()[label])


MEANS: dict[str, Callable[[], Any]] = {
    "a soft vote of pipelines": lambda: fitted(vote(voting="soft")),
    "a weighted vote of words": lambda: fitted(vote(voting="soft", weights=[3, 1]), "kind"),
    "a vote inside a pipeline": lambda: on_tumours(
        VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], voting="soft"), fill=True
    ),
    "a stack inside a pipeline": lambda: on_tumours(
        StackingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], cv=3), fill=True
    ),
    "folds of a calibrated pipeline": lambda: fitted(
        CalibratedClassifierCV(make_pipeline(prepared(fill=True), GaussianNB()), cv=3)
    ),
    "isotonic folds": lambda: fitted(
        CalibratedClassifierCV(make_pipeline(prepared(fill=True), GaussianNB()), cv=3, method="isotonic")
    ),
    "folds inside a pipeline": lambda: on_tumours(CalibratedClassifierCV(GaussianNB(), cv=3), fill=True),
    "a calibrated frozen pipeline": lambda: fitted(
        CalibratedClassifierCV(FrozenEstimator(on_tumours(GaussianNB(), fill=True)), method="sigmoid")
    ),
}


@pytest.mark.parametrize("name", MEANS)
def test_a_mean_of_models_is_one_graph(name: str) -> None:
    """Votes and calibrators, whether they stand inside a pipeline or around several."""
    check(proven(MEANS[name](), tumours(), whole(), "target"), "binary")


def test_a_mean_of_regressions_is_one_graph() -> None:
    """Each pipeline is converted by itself, and its value counts by its weight."""
    names = [name for name in patients().columns if name != "target"]
    pick = ColumnTransformer([("all", StandardScaler(), names)])
    model = VotingRegressor(
        [("a", make_pipeline(pick, Ridge())), ("b", make_pipeline(pick, LinearRegression()))], weights=[1, 4]
    )
    check(proven(patient_model(model), patients(), names, "target"), "regression")


def test_a_hard_vote_of_pipelines_is_refused() -> None:
    """It has no probabilities to average."""
    with pytest.raises(InputError, match="no probabilities"):
        proven(fitted(vote(voting="hard")), tumours(), whole(), "target")


def linear() -> Any:
    """A pipeline that is not sure of everything."""
    return make_pipeline(prepared(fill=True), LogisticRegression(C=0.02))


THRESHOLDS: dict[str, tuple[Callable[[], Any], str]] = {
    "fixed around": (lambda: FixedThresholdClassifier(linear(), threshold=0.8), "target"),
    "fixed inside": (
        lambda: make_pipeline(prepared(fill=True), FixedThresholdClassifier(LogisticRegression(C=0.02), threshold=0.2)),
        "target",
    ),
    "the other class": (lambda: FixedThresholdClassifier(linear(), threshold=0.3, pos_label="benign"), "kind"),
    "tuned around": (lambda: TunedThresholdClassifierCV(linear(), cv=3), "target"),
    "tuned in a search": (
        lambda: GridSearchCV(
            make_pipeline(prepared(fill=True), TunedThresholdClassifierCV(LogisticRegression(), cv=2)),
            {"tunedthresholdclassifiercv__estimator__C": [0.01, 0.02]},
            cv=2,
        ),
        "target",
    ),
    "fixed around a vote": (lambda: FixedThresholdClassifier(vote(voting="soft"), threshold=0.9), "target"),
}


@pytest.mark.parametrize("name", THRESHOLDS)
def test_a_decision_threshold_is_in_the_graph(name: str) -> None:
    """The graph's label is the estimator's, and the signature says from which score on."""
    make, label = THRESHOLDS[name]
    model = fitted(make(), label)
    found = proven(model, tumours(), whole(), label)
    check(found, "binary")
    given = answers(found, tumours())
    signature = found.signature
    scores = np.asarray(given[str(signature.score_output)], dtype=float)
    assert signature.positive is not None
    column = list(signature.classes).index(signature.positive)
    other = signature.classes[1 - column]

    assert signature.threshold != 0.5
    expected = np.where(scores[:, column] >= signature.threshold, np.array(signature.positive), np.array(other))
    np.testing.assert_array_equal(given[signature.label_output], expected)
    assert (given[signature.label_output] == model.predict(tumours()[whole()])).mean() == 1


def test_a_threshold_of_a_decision_function_is_refused() -> None:
    """A bundle's scores are probabilities; the hint says how to get them."""
    model = fitted(FixedThresholdClassifier(linear(), threshold=0.4, response_method="decision_function"))
    with pytest.raises(InputError, match="one of a decision function") as refused:
        proven(model, tumours(), whole(), "target")
    assert "calibrate" in refused.value.hint


MULTILABEL: dict[str, Callable[[], Any]] = {
    "one linear model each": lambda: on_tumours(MultiOutputClassifier(LogisticRegression()), LABELS, fill=True),
    "one tree each": lambda: on_tumours(MultiOutputClassifier(DecisionTreeClassifier(max_depth=3)), LABELS, fill=True),
    "one against the rest": lambda: on_tumours(OneVsRestClassifier(LogisticRegression()), LABELS, fill=True),
    "a network": lambda: on_tumours(MLPClassifier((6,), max_iter=400, random_state=0), LABELS, fill=True),
    "neighbours": lambda: on_tumours(KNeighborsClassifier(5), LABELS, fill=True),
    "a forest": lambda: on_tumours(RandomForestClassifier(8, max_depth=4, random_state=0), LABELS, fill=True),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", MULTILABEL)
def test_several_labels_have_a_column_each(name: str) -> None:
    """Answers and probabilities are tables with a column for each label, called as the label is."""
    model = MULTILABEL[name]()
    found = proven(model, tumours(), whole(), LABELS)
    check(found, "multilabel")
    given = answers(found, tumours())

    assert found.signature.classes == tuple(LABELS)
    assert found.signature.label == "malignant, rough, large"
    np.testing.assert_array_equal(given[found.signature.label_output], model.predict(tumours()[whole()]))
    assert given[str(found.signature.score_output)].shape == (len(tumours()), len(LABELS))


OUTLIERS: dict[str, Callable[[], Any]] = {
    "isolation": lambda: IsolationForest(n_estimators=20, random_state=0),
    "one class": lambda: OneClassSVM(nu=0.1),
    "one class, linear": lambda: SGDOneClassSVM(random_state=0),
    "neighbours": lambda: LocalOutlierFactor(10, novelty=True),
}


@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize("name", OUTLIERS)
def test_an_anomaly_detector_needs_no_label(name: str, piped: bool) -> None:  # noqa: FBT001
    """Its answer is 1 or -1, and its score the decision function, below zero for what is abnormal."""
    rows = wines().drop(columns="target")
    model = make_pipeline(StandardScaler(), OUTLIERS[name]()) if piped else OUTLIERS[name]()
    found = proven(model.fit(rows), rows, list(rows.columns), ())
    check(found, "anomaly")
    given = answers(found, rows)

    assert found.signature.classes == ()
    assert set(given[found.signature.label_output].reshape(-1)) <= {1, -1}
    assert given[str(found.signature.score_output)].shape == (len(rows), 1)


def test_a_transformer_answers_a_table() -> None:
    """Scaling and projection alone, from numbers and words: values, and neither label nor score."""
    model = make_pipeline(prepared(fill=True), PCA(3)).fit(tumours()[whole()])
    found = proven(model, tumours(), whole(), ())
    check(found, "transform")

    assert found.signature.score_output is None
    assert answers(found, tumours())[found.signature.label_output].shape == (len(tumours()), 3)


@pytest.mark.parametrize(
    "model",
    [LinearRegression(), RandomForestRegressor(5, max_depth=4, random_state=0), MultiOutputRegressor(Ridge())],
    ids=lambda model: type(model).__name__,
)
def test_a_regression_of_several_values(model: Any) -> None:
    """The signature states as many columns as there are values."""
    features = ["age", "bmi", "bp", "s1", "s2"]
    found = proven(
        model.fit(patients()[features], patients()[["target", "s5"]]), patients(), features, ["target", "s5"]
    )
    check(found, "regression")

    assert found.signature.outputs[0].shape == ("batch", 2)


def test_a_task_that_has_a_label_needs_its_name() -> None:
    """Only what is learnt without a label may have none."""
    with pytest.raises(InputError, match="a binary model without a label") as refused:
        proven(on_tumours(LogisticRegression(), fill=True), tumours(), whole(), ())
    assert refused.value.where == "[data] label"
