"""How to fit everything that the converter says it supports: on real data, with gaps and words where they are taken."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from sklearn import (
    compose,
    datasets,
    ensemble,
    feature_extraction,
    feature_selection,
    linear_model,
    model_selection,
    multiclass,
    multioutput,
    pipeline,
    preprocessing,
    svm,
    tree,
)

from examples.flights.data import table

LABEL = "label"
NOT_ESTIMATORS = {
    "skl2onnx.sklapi.cast_regressor.CastRegressor": "the converter's own helper",
    "skl2onnx.sklapi.cast_transformer.CastTransformer": "the converter's own helper",
    "skl2onnx.sklapi.replace_transformer.ReplaceTransformer": "the converter's own helper",
    "sklearn.multiclass._ConstantPredictor": "private to scikit-learn",
}
"""What the converter lists and nobody trains."""

Rows = tuple[pd.DataFrame, Any]


@cache
def _breast() -> pd.DataFrame:
    rows: pd.DataFrame = datasets.load_breast_cancer(as_frame=True).frame
    return rows


BREAST = ["mean radius", "mean texture", "mean smoothness", "mean concavity", "mean symmetry", "radius error"]


@cache
def tumours() -> Rows:
    """569 real tumours, six measurements, two classes."""
    return _breast()[BREAST], _breast()["target"]


@cache
def wines() -> Rows:
    """178 real wines of three kinds."""
    found = datasets.load_wine(as_frame=True)
    return found.data[["alcohol", "malic_acid", "flavanoids", "color_intensity"]], found.target


@cache
def patients() -> Rows:
    """442 real patients, and how their diabetes went on."""
    found = datasets.load_diabetes(as_frame=True, scaled=False)
    return found.data[["age", "bmi", "bp", "s1", "s5"]], found.target


@cache
def patients_two() -> Rows:
    """The same with two values to predict."""
    rows, target = patients()
    return rows[["age", "bmi", "s1", "s5"]], pd.DataFrame({"label": target, "second": rows["bp"]})


@cache
def tumours_two() -> Rows:
    """Tumours with two labels."""
    rows, target = tumours()
    return rows, pd.DataFrame({"label": target, "second": (_breast()["mean area"] > 600).astype("int64")})


@cache
def positive() -> Rows:
    """Counts: the same measurements in whole steps, none negative."""
    rows, target = tumours()
    return (rows * 10).round().astype("int64").clip(lower=0), target


@cache
def words() -> Rows:
    """2,000 real flights by carrier and origin, and whether they were late."""
    flights = table("flights.csv.zip")
    rows = flights.dropna(subset=["arr_delay"]).iloc[:: len(flights) // 2000][:2000]
    return rows[["carrier", "origin"]].astype(object).reset_index(drop=True), (rows["arr_delay"] > 15).astype(
        "int64"
    ).reset_index(drop=True)


@cache
def texts() -> Rows:
    """Names of 800 real airports, and whether each is called an airport's."""
    rows = table("airports.csv")[["name"]].astype(object).iloc[:800].reset_index(drop=True)
    return rows, rows["name"].str.contains("Airport").astype("int64")


@dataclass(frozen=True)
class Recipe:
    """What to fit on what."""

    make: Callable[[], Any]
    rows: Callable[[], Rows]
    labels: tuple[str, ...] = (LABEL,)
    note: str = ""
    gaps: bool = False
    """Whether some of the values are missing."""


@dataclass(frozen=True)
class Given:
    """What an estimator needs that its defaults do not say."""

    arguments: dict[str, Any] = field(default_factory=dict)
    rows: Callable[[], Rows] | None = None
    make: Callable[[], Any] | None = None
    """Makes it, where its class and arguments do not."""
    labels: tuple[str, ...] | None = None


def _logistic() -> Any:
    return linear_model.LogisticRegression(max_iter=2000)


def _then(selector: Any) -> Any:
    """A selection of columns and a model on what is left: alone the converter takes it for the selection only."""
    return pipeline.make_pipeline(selector, _logistic())


def _votes() -> list[tuple[str, Any]]:
    return [("one", _logistic()), ("two", tree.DecisionTreeClassifier(max_depth=3, random_state=0))]


def _values() -> list[tuple[str, Any]]:
    return [("one", linear_model.Ridge()), ("two", tree.DecisionTreeRegressor(max_depth=3, random_state=0))]


def _of_text(vectorizer: Any) -> Callable[[], Any]:
    return lambda: pipeline.make_pipeline(compose.ColumnTransformer([("text", vectorizer, "name")]), _logistic())


SMALL = {"n_estimators": 8, "max_depth": 4}
GIVEN: dict[str, Given] = {
    "ARDRegression": Given(),
    "AdaBoostClassifier": Given({"n_estimators": 10}),
    "AdaBoostRegressor": Given({"n_estimators": 10}),
    "BaggingClassifier": Given({"n_estimators": 5}),
    "BaggingRegressor": Given({"n_estimators": 5}),
    "CalibratedClassifierCV": Given(
        make=lambda: __import__("sklearn.calibration").calibration.CalibratedClassifierCV(_logistic(), cv=3)
    ),
    "CategoricalNB": Given(
        {"min_categories": 12}, lambda: (tumours()[0].rank(pct=True).mul(9).round().astype("int64"), tumours()[1])
    ),
    "ColumnTransformer": Given(
        make=lambda: compose.ColumnTransformer(
            [("scaled", preprocessing.StandardScaler(), BREAST[:3]), ("kept", "passthrough", BREAST[3:])]
        )
    ),
    "ComplementNB": Given(rows=positive),
    "CountVectorizer": Given(make=_of_text(feature_extraction.text.CountVectorizer()), rows=texts),
    "DictVectorizer": Given(),
    "ExtraTreesClassifier": Given(SMALL),
    "ExtraTreesRegressor": Given(SMALL),
    "FeatureHasher": Given({"n_features": 8, "input_type": "string"}, words),
    "FeatureUnion": Given(
        make=lambda: pipeline.FeatureUnion([("a", preprocessing.StandardScaler()), ("b", preprocessing.MinMaxScaler())])
    ),
    "FunctionTransformer": Given(),
    "GammaRegressor": Given({"max_iter": 1000}),
    "GaussianProcessClassifier": Given(rows=wines),
    "GaussianProcessRegressor": Given({"alpha": 1.0}, lambda: (patients()[0].head(120), patients()[1].head(120))),
    "GaussianRandomProjection": Given({"n_components": 3}),
    "GenericUnivariateSelect": Given({"mode": "k_best", "param": 3}),
    "GradientBoostingClassifier": Given({"n_estimators": 10}),
    "GradientBoostingRegressor": Given({"n_estimators": 10}),
    "GridSearchCV": Given(make=lambda: model_selection.GridSearchCV(_logistic(), {"C": [0.1, 1.0]}, cv=3)),
    "HistGradientBoostingClassifier": Given({"max_iter": 15}),
    "HistGradientBoostingRegressor": Given({"max_iter": 15}),
    "IsolationForest": Given({"n_estimators": 10}),
    "KBinsDiscretizer": Given({"encode": "ordinal", "quantile_method": "averaged_inverted_cdf"}),
    "KMeans": Given({"n_clusters": 3, "n_init": 1}),
    "KNeighborsTransformer": Given(),
    "LabelBinarizer": Given(),
    "LabelEncoder": Given(),
    "LinearSVC": Given(
        make=lambda: __import__("sklearn.calibration").calibration.CalibratedClassifierCV(svm.LinearSVC(), cv=3)
    ),
    "LogisticRegressionCV": Given({"Cs": 2, "cv": 2, "max_iter": 500}),
    "LocalOutlierFactor": Given({"novelty": True}),
    "MLPClassifier": Given({"hidden_layer_sizes": (8,), "max_iter": 400}),
    "MLPRegressor": Given({"hidden_layer_sizes": (8,), "max_iter": 400}),
    "MiniBatchKMeans": Given({"n_clusters": 3, "n_init": 1}),
    "MultiOutputClassifier": Given(
        make=lambda: multioutput.MultiOutputClassifier(_logistic()), rows=tumours_two, labels=(LABEL, "second")
    ),
    "MultiOutputRegressor": Given(
        make=lambda: multioutput.MultiOutputRegressor(linear_model.Ridge()), rows=patients_two, labels=(LABEL, "second")
    ),
    "MultiTaskElasticNet": Given(rows=patients_two, labels=(LABEL, "second")),
    "MultiTaskElasticNetCV": Given(rows=patients_two, labels=(LABEL, "second")),
    "MultiTaskLasso": Given(rows=patients_two, labels=(LABEL, "second")),
    "MultiTaskLassoCV": Given(rows=patients_two, labels=(LABEL, "second")),
    "MultinomialNB": Given(rows=positive),
    "NeighborhoodComponentsAnalysis": Given({"n_components": 2}),
    "NuSVC": Given(
        make=lambda: __import__("sklearn.calibration").calibration.CalibratedClassifierCV(svm.NuSVC(), cv=3)
    ),
    "OneHotEncoder": Given({"handle_unknown": "ignore", "sparse_output": False}, words),
    "OneVsOneClassifier": Given(make=lambda: multiclass.OneVsOneClassifier(_logistic()), rows=wines),
    "OneVsRestClassifier": Given(make=lambda: multiclass.OneVsRestClassifier(_logistic()), rows=wines),
    "OrdinalEncoder": Given({"handle_unknown": "use_encoded_value", "unknown_value": -1}, words),
    "PCA": Given({"n_components": 3}),
    "Pipeline": Given(make=lambda: pipeline.make_pipeline(preprocessing.StandardScaler(), _logistic())),
    "QuadraticDiscriminantAnalysis": Given({"reg_param": 0.1}),
    "QuantileTransformer": Given({"n_quantiles": 10}),
    "RANSACRegressor": Given(make=lambda: linear_model.RANSACRegressor(random_state=0)),
    "RFE": Given(make=lambda: _then(feature_selection.RFE(_logistic(), n_features_to_select=3))),
    "RFECV": Given(make=lambda: _then(feature_selection.RFECV(_logistic(), cv=3))),
    "RadiusNeighborsClassifier": Given({"radius": 400.0}, wines),
    "RadiusNeighborsRegressor": Given({"radius": 400.0}),
    "RandomForestClassifier": Given(SMALL),
    "RandomForestRegressor": Given(SMALL),
    "RandomTreesEmbedding": Given({"n_estimators": 4, "max_depth": 3, "sparse_output": False}),
    "SVC": Given(make=lambda: __import__("sklearn.calibration").calibration.CalibratedClassifierCV(svm.SVC(), cv=3)),
    "SelectFromModel": Given(make=lambda: feature_selection.SelectFromModel(_logistic())),
    "SelectKBest": Given({"k": 3}),
    "SelectPercentile": Given({"percentile": 50}),
    "SGDClassifier": Given({"loss": "log_loss"}),
    "StackingClassifier": Given(make=lambda: ensemble.StackingClassifier(_votes(), cv=3)),
    "StackingRegressor": Given(make=lambda: ensemble.StackingRegressor(_values(), cv=3)),
    "TargetEncoder": Given(rows=words),
    "TfidfTransformer": Given({}, positive),
    "TfidfVectorizer": Given(make=_of_text(feature_extraction.text.TfidfVectorizer()), rows=texts),
    "TruncatedSVD": Given({"n_components": 3}),
    "TunedThresholdClassifierCV": Given(make=lambda: model_selection.TunedThresholdClassifierCV(_logistic(), cv=3)),
    "VotingClassifier": Given(make=lambda: ensemble.VotingClassifier(_votes(), voting="soft")),
    "VotingRegressor": Given(make=lambda: ensemble.VotingRegressor(_values())),
    "BernoulliNB": Given(rows=positive),
}


def listed() -> dict[str, type]:
    """Every class that the converter has a converter for, by its dotted name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skl2onnx._supported_operators import sklearn_operator_name_map
    return {f"{kind.__module__}.{kind.__name__}": kind for kind in sklearn_operator_name_map}


def recipe(kind: type, *, gaps: bool = True) -> Recipe:
    """How to fit a class: as ``GIVEN`` says, else by its defaults on the rows that suit what it is.

    Args:
        kind: the class.
        gaps: whether to leave values out, where it takes that.
    """
    given = GIVEN.get(kind.__name__, Given())
    arguments = dict(given.arguments)
    if "random_state" in _parameters(kind):
        arguments.setdefault("random_state", 0)
    made = given.make or (lambda: kind(**arguments))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that will go
        sample = made()
    tags = sample.__sklearn_tags__()
    rows: Callable[[], Rows] = given.rows or (patients if tags.estimator_type == "regressor" else tumours)
    labels = given.labels or (() if _is_labelless(sample, tags) else (LABEL,))
    if gaps and given.rows is None and tags.input_tags.allow_nan:
        return Recipe(made, lambda: _with_gaps(*rows()), labels, gaps=True)
    return Recipe(made, rows, labels, _about(given.rows))


def _about(rows: Callable[[], Rows] | None) -> str:
    return {words: "on words", texts: "on text", positive: "on counts"}.get(rows, "") if rows is not None else ""  # type: ignore[call-overload]  # functions are keys


def _is_labelless(sample: Any, tags: Any) -> bool:
    return tags.estimator_type == "outlier_detector" or not (
        tags.estimator_type in {"classifier", "regressor"} or hasattr(sample, "predict")
    )


def _parameters(kind: type) -> set[str]:
    return set(getattr(kind, "_get_param_names", list)())


def _with_gaps(rows: pd.DataFrame, target: Any) -> Rows:
    """The same rows with one value in twenty missing."""
    gaps = np.random.default_rng(7).random(rows.shape) < 0.05
    return rows.astype("float64").mask(gaps), target
