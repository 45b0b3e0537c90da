"""Conversion: one input for each column, under its own name, and the estimator's own answers."""

import sys
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from candidate.adapters.convert import Column, ColumnKind, convert, dtype_of, naming
from candidate.adapters.dataset import feeds
from candidate.adapters.graph import Graph, canonical_graph, inspect_graph
from candidate.adapters.runtime import Session
from candidate.errors import InputError, UnavailableError

Bits = Literal[32, 64]


def columns(rows: pd.DataFrame, names: Sequence[str]) -> list[Column]:
    """What the rows hold in each of the columns."""
    kinds: dict[str, ColumnKind] = {"f": "number", "i": "integer", "b": "boolean"}
    found = []
    for name in names:
        kind = kinds.get(rows[name].dtype.kind, "string")
        largest = float(rows[name].abs().max()) if kind == "integer" else 0.0
        found.append(Column(name, kind, bool(rows[name].isna().any()), largest))
    return found


def converted(
    estimator: Any, rows: pd.DataFrame, names: Sequence[str], bits: Bits = 32, *, single: bool = False
) -> tuple[Graph, dict[str, NDArray[Any]]]:
    """The graph, and its answers for the rows."""
    data = canonical_graph(convert(estimator, columns(rows, names), bits, single=single))
    graph = inspect_graph(data)
    batch = pa.RecordBatch.from_pandas(rows[list(names)])
    return graph, Session(data).run(feeds(batch, graph.inputs))


def furthest(
    estimator: Any, rows: pd.DataFrame, names: Sequence[str], bits: Bits = 32, *, single: bool = False
) -> float:
    """The largest difference of a probability between graph and estimator."""
    graph, answers = converted(estimator, rows, names, bits, single=single)
    scores = next(t.name for t in graph.outputs if t.dtype.startswith("float"))
    return float(np.abs(answers[scores] - estimator.predict_proba(rows[list(names)])).max())


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    """Numbers with holes, text and a truth value."""
    rng = np.random.default_rng(5)
    count = 1500
    rows = pd.DataFrame(
        {
            "age": rng.integers(180, 900, count) / 10.0,
            "income": rng.lognormal(8, 1, count),
            "city": rng.choice(["oslo", "bergen", "tromsø"], count),
            "member": rng.random(count) < 0.4,
        }
    )
    chance = 1 / (1 + np.exp(-(np.sin(rows["age"] / 7) * 3 + (rows["city"] == "oslo") - rows["member"])))
    rows["late"] = (rng.random(count) < chance).astype("int64")
    rows.loc[rng.random(count) < 0.1, "age"] = np.nan
    return rows


def prepared(*last: Any) -> Pipeline:
    """Impute, scale, one-hot, then the given steps."""
    prepare = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["age", "income"]),
            ("words", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["city"]),
            ("truths", "passthrough", ["member"]),
        ]
    )
    return make_pipeline(prepare, *last)


FEATURES = ("age", "income", "city", "member")


@pytest.mark.parametrize("bits", [32, 64])
def test_each_column_is_an_input_of_its_own_type(people: pd.DataFrame, bits: Bits) -> None:
    """Numbers in the asked precision, text as text, truth as truth; label and probabilities come out."""
    model = prepared(LogisticRegression()).fit(people[list(FEATURES)], people["late"])
    graph, answers = converted(model, people, FEATURES, bits)
    number = f"float{bits}"

    assert [(t.name, t.dtype, t.shape) for t in graph.inputs] == [
        ("age", number, ("batch", 1)),
        ("income", number, ("batch", 1)),
        ("city", "string", ("batch", 1)),
        ("member", "bool", ("batch", 1)),
    ]
    assert [(t.name, t.dtype, t.shape) for t in graph.outputs] == [
        ("label", "int64", ("batch",)),
        ("probabilities", number, ("batch", 2)),
    ]
    expected = model.predict_proba(people[list(FEATURES)])
    np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-6 if bits == 32 else 1e-12)
    np.testing.assert_array_equal(answers["label"], model.predict(people[list(FEATURES)]))


TREES = {
    "histogram boosting": HistGradientBoostingClassifier(max_iter=40, random_state=0),
    "boosting": GradientBoostingClassifier(n_estimators=20, random_state=0),
    "forest": RandomForestClassifier(15, max_depth=8, random_state=0),
    "extra trees": ExtraTreesClassifier(10, max_depth=8, random_state=0),
}


@pytest.mark.parametrize("name", TREES)
def test_trees_behind_an_imputer_and_a_scaler_are_exact_once_prepared_in_64_bits(
    people: pd.DataFrame, name: str
) -> None:
    """A scaled value rounded twice can fall on the other side of a split; rounded once it does not."""
    model = prepared(TREES[name]).fit(people[list(FEATURES)], people["late"])

    assert furthest(model, people, FEATURES, 64, single=True) < 1e-6


def test_the_loss_that_64_bits_cure_is_real(people: pd.DataFrame) -> None:
    """In 32 bits throughout, the same model moves by far more than arithmetic explains."""
    model = prepared(TREES["histogram boosting"]).fit(people[list(FEATURES)], people["late"])

    assert furthest(model, people, FEATURES, 32) > 1e-3


def test_a_bare_tree_model_can_be_cast_as_well() -> None:
    """An estimator that is no pipeline gets its cast, too."""
    frame = load_breast_cancer(as_frame=True).frame
    names = list(frame.columns[:6])
    model = HistGradientBoostingClassifier(max_iter=15).fit(frame[names], frame["target"])

    assert furthest(model, frame, names, 64, single=True) < 1e-6


@pytest.mark.parametrize("marker", [np.nan, -1.0])
@pytest.mark.parametrize("strategy", ["mean", "constant"])
def test_missing_numbers_are_filled_in_64_bits(marker: float, strategy: str) -> None:
    """The runtime has no filling of doubles, so it is written in plain operators; a marker other than NaN, too."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"a": rng.normal(size=400), "b": rng.normal(size=400)})
    late = (rows["a"] > 0).astype(int)
    rows.loc[::7, "a"] = marker
    filling = SimpleImputer(strategy=strategy, missing_values=marker, fill_value=0.25)
    model = make_pipeline(filling, LogisticRegression()).fit(rows, late)

    assert furthest(model, rows, ["a", "b"], 64) < 1e-7


def test_the_filling_is_exact_to_the_last_bit() -> None:
    """Histogram boosting splits at values of its rows, and the filling is the most frequent of them."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"a": rng.integers(0, 300, 3000) / 7.0})
    late = (np.sin(rows["a"]) > 0).astype(int)
    rows.loc[::5, "a"] = np.nan
    for nested in (False, True):
        imputer = SimpleImputer(strategy="median")
        first = ColumnTransformer([("n", make_pipeline(imputer, StandardScaler()), ["a"])]) if nested else imputer
        model = make_pipeline(first, HistGradientBoostingClassifier(max_iter=30)).fit(rows, late)
        graph = convert(model, columns(rows, ["a"]), 64, single=True).graph
        (filling,) = [numpy_helper.to_array(t) for t in graph.initializer if "_filling" in t.name]

        assert filling.dtype == np.float64
        assert filling.ravel().tolist() == [rows["a"].median()]
        assert furthest(model, rows, ["a"], 64, single=True) < 1e-6


ODD = ["hours-per-week", "capital.gain", "my col", "a/b", "1st", "größe", "label", "probabilities", "variable"]


@pytest.mark.parametrize("name", [*ODD, naming.JOINED, "input", "output_label", "scaled_number", "Su_C0"])
@pytest.mark.parametrize("apart", [True, False])
def test_every_column_keeps_its_name(name: str, apart: bool) -> None:  # noqa: FBT001 - a parameter
    """Whatever a column is called, also when the converter changes such names or uses them inside."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({name: rng.normal(size=200), "other": rng.normal(size=200)})
    late = (rows[name] > 0).astype(int)
    names = [name, "other"]
    scaler = ColumnTransformer([("n", StandardScaler(), names)]) if apart else StandardScaler()
    model = make_pipeline(scaler, LogisticRegression()).fit(rows, late)
    graph, _ = converted(model, rows, names)

    assert [tensor.name for tensor in graph.inputs] == names
    assert not {tensor.name for tensor in graph.outputs} & set(names)
    assert furthest(model, rows, names) < 1e-6


def test_columns_whose_names_look_alike_to_the_converter_stay_apart() -> None:
    """``a.b`` and ``a_b`` are the same identifier once cleaned, and still two columns."""
    rng = np.random.default_rng(0)
    names = ["a.b", "a_b", "a b"]
    rows = pd.DataFrame({name: rng.normal(number, 1 + number, size=300) for number, name in enumerate(names)})
    late = (rows["a.b"] - 2 * rows["a_b"] > 0).astype(int)
    pick = ColumnTransformer([("two", StandardScaler(), ["a_b", "a.b"]), ("rest", "passthrough", ["a b"])])
    model = make_pipeline(pick, LogisticRegression()).fit(rows, late)

    assert furthest(model, rows, names) < 1e-6


def test_truth_values_next_to_numbers_in_one_table() -> None:
    """A plain estimator takes all columns as one table; truth comes in as truth and is cast inside."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"a": rng.normal(size=300), "member": rng.random(300) < 0.5})
    late = ((rows["a"] > 0) ^ rows["member"]).astype(int)
    model = RandomForestClassifier(5, max_depth=4, random_state=0).fit(rows, late)
    graph, _ = converted(model, rows, ["a", "member"])

    assert [tensor.dtype for tensor in graph.inputs] == ["float32", "bool"]
    assert furthest(model, rows, ["a", "member"]) < 1e-6


@pytest.mark.parametrize(
    ("column", "small", "large"),
    [
        (Column("n", "integer", nulls=False, largest=1 << 24), "float32", "float64"),
        (Column("n", "integer", nulls=False, largest=(1 << 24) + 1), "int64", "float64"),
        (Column("n", "integer", nulls=False, largest=(1 << 53) + 2), "int64", "int64"),
        (Column("n", "integer", nulls=True, largest=1 << 30), "float32", "float64"),
        (Column("n", "boolean", nulls=False, largest=0), "bool", "bool"),
        (Column("n", "boolean", nulls=True, largest=0), "float32", "float64"),
        (Column("n", "string", nulls=False, largest=0), "string", "string"),
        (Column("n", "number", nulls=True, largest=0), "float32", "float64"),
    ],
)
def test_a_tensor_holds_its_column_exactly_where_it_can(column: Column, small: str, large: str) -> None:
    """Whole numbers beyond what floats hold stay whole; with holes they cannot, and parity has to say."""
    assert (dtype_of(column, 32), dtype_of(column, 64)) == (small, large)


def test_ids_beyond_32_bits_are_told_apart() -> None:
    """One-hot over neighbouring ids above 2**24, which 32-bit floats would merge."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"id": 3_000_000_000 + rng.integers(0, 6, 600)})
    late = (rows["id"] % 2).to_numpy() ^ (rng.random(600) < 0.1)
    model = make_pipeline(
        ColumnTransformer([("id", OneHotEncoder(handle_unknown="ignore"), ["id"])]), LogisticRegression()
    ).fit(rows, late)

    assert furthest(model, rows, ["id"]) < 1e-6


def test_what_wraps_a_pipeline_is_taken_off(people: pd.DataFrame) -> None:
    """A search converts as its best estimator; a calibrator around a fitted pipeline as its last step."""
    rows, late = people[list(FEATURES)], people["late"]
    fitted = prepared(LogisticRegression()).fit(rows, late)
    search = GridSearchCV(prepared(LogisticRegression()), {"logisticregression__C": [0.1, 1.0]}, cv=2).fit(rows, late)
    calibrated = CalibratedClassifierCV(FrozenEstimator(fitted), method="isotonic").fit(rows, late)
    nested = CalibratedClassifierCV(FrozenEstimator(search)).fit(rows, late)
    bare = CalibratedClassifierCV(FrozenEstimator(LogisticRegression().fit(people[["income"]], late))).fit(
        people[["income"]], late
    )

    for model in (search, nested):
        assert furthest(model, people, FEATURES) < 1e-5
    assert furthest(calibrated, people, FEATURES, 64) < 1e-9  # between near knots the lines are too steep for 32 bits
    assert furthest(bare, people, ["income"]) < 1e-5
    assert calibrated.calibrated_classifiers_[0].estimator.estimator is fitted  # nothing of theirs was changed


def test_calibration_in_several_folds_is_their_mean(people: pd.DataFrame) -> None:
    """Each fold has a preparation of its own; it is converted with it, or once where the folds are inside."""
    rows, late = people[list(FEATURES)], people["late"]
    outside = CalibratedClassifierCV(prepared(LogisticRegression()), cv=2).fit(rows, late)
    inside = prepared(CalibratedClassifierCV(LogisticRegression(), cv=2)).fit(rows, late)

    assert furthest(outside, people, FEATURES) < 1e-5
    assert furthest(inside, people, FEATURES) < 1e-5


def test_text_classes_and_more_than_two_of_them() -> None:
    """Probabilities are in the order of the estimator's classes, and labels are its own words."""
    data = load_wine(as_frame=True)
    rows, names = data.frame, list(data.frame.columns[:5])
    words = data.target.map({0: "barolo", 1: "grignolino", 2: "barbera"})
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows[names], words)
    graph, answers = converted(model, rows, names)

    assert graph.outputs[0].dtype == "string"
    assert graph.outputs[1].shape == ("batch", 3)
    assert answers["label"].tolist() == model.predict(rows[names]).tolist()
    assert furthest(model, rows, names) < 1e-6


@pytest.mark.parametrize("model", [LinearRegression(), HistGradientBoostingRegressor(max_iter=10)])
def test_a_regression_gives_one_value(model: Any) -> None:
    """No classes, no probabilities."""
    rows = load_wine(as_frame=True).frame
    names = list(rows.columns[:5])
    model.fit(rows[names], rows["proline"])
    graph, answers = converted(model, rows, names)

    assert len(graph.outputs) == 1
    found = answers[graph.outputs[0].name].reshape(-1)
    np.testing.assert_allclose(found, model.predict(rows[names]), rtol=1e-5)


def test_the_same_estimator_gives_the_same_bytes(people: pd.DataFrame) -> None:
    """Converting twice is converting once."""
    model = prepared(TREES["histogram boosting"]).fit(people[list(FEATURES)], people["late"])
    made = {canonical_graph(convert(model, columns(people, FEATURES), 64, single=True)) for _ in range(2)}

    assert len(made) == 1


def test_columns_of_several_kinds_need_a_column_transformer(people: pd.DataFrame) -> None:
    """A plain estimator cannot take text beside numbers, and the hint says what can."""
    with pytest.raises(InputError, match="hold float32 and string") as refused:
        convert(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), columns(people, ["age", "city"]), 32)

    assert "ColumnTransformer" in refused.value.hint


def test_a_step_without_an_onnx_form_is_named(people: pd.DataFrame) -> None:
    """The user's own function is none that ONNX knows."""
    model = make_pipeline(FunctionTransformer(np.cbrt), LogisticRegression()).fit(people[["income"]], people["late"])

    with pytest.raises(InputError, match="FunctionTransformer"):
        convert(model, columns(people, ["income"]), 32)


def test_a_model_that_was_never_fitted_is_refused(people: pd.DataFrame) -> None:
    """The converter stumbles over what fitting would have left behind."""
    with pytest.raises(InputError, match="cannot be converted"):
        convert(make_pipeline(StandardScaler(), LogisticRegression()), columns(people, ["income"]), 32)


def test_a_missing_converter_is_told_with_its_remedy(people: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the build extra there is a command to run, and no traceback."""
    model = LogisticRegression().fit(people[["income"]], people["late"])
    monkeypatch.setitem(sys.modules, "skl2onnx", None)

    with pytest.raises(UnavailableError, match="not installed") as refused:
        convert(model, columns(people, ["income"]), 32)
    assert refused.value.hint == "pip install 'candidate[build]'"


def test_the_failure_of_a_newer_protobuf_is_told_with_its_remedy(
    people: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protobuf 7 is stricter than the tree converters; the message it gives then is recognised."""
    import skl2onnx

    def fails(*_: object, **__: object) -> None:
        raise TypeError("Expected an int, got a boolean.")

    model = LogisticRegression().fit(people[["income"]], people["late"])
    monkeypatch.setattr(skl2onnx, "convert_sklearn", fails)

    with pytest.raises(UnavailableError, match="protobuf 7") as refused:
        convert(model, columns(people, ["income"]), 32)
    assert refused.value.hint == "pip install 'protobuf<7'"
