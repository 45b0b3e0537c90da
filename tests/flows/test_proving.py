"""Parity: the graph is the model on real rows, or the figures say how far it is off."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
import pytest
from onnx import TensorProto, helper
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

from candidate.adapters.runtime import Session
from candidate.errors import InputError
from candidate.flows.proving import PARITY_ROWS, Proven, columns_of, given_graph, golden_rows, prove
from candidate.flows.proving.tasks import plain_classes
from tests.bundles import tiny_model

NUMBERS = ["age", "income"]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Values on a grid, so that scaled values meet thresholds, and a label with waves."""
    rng = np.random.default_rng(2)
    found = pd.DataFrame({"age": rng.integers(0, 1500, 4000) / 7.0, "income": rng.integers(0, 900, 4000) / 3.0})
    found["late"] = (np.sin(found["age"] / 9) + np.cos(found["income"] / 11) > 0).astype("int64")
    return found


def proven(estimator: Any, table: pd.DataFrame, features: list[str], *ladder: Any, label: str = "late") -> Proven:
    """Prove an estimator on a data frame."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    return prove(estimator, arrow, columns_of(arrow, features), label=label, ladder=ladder or (32, 64))


def test_the_first_precision_that_holds_is_taken(rows: pd.DataFrame) -> None:
    """A linear model needs no more than 32 bits."""
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows[NUMBERS], rows["late"])
    found = proven(model, rows, NUMBERS)

    assert found.parity is not None
    assert (found.parity.float_bits, found.parity.mismatches, found.parity.rows) == (32, 0, 4000)
    assert found.parity.max_difference < 1e-6


@pytest.mark.parametrize("imputer", [True, False])
def test_trees_behind_a_scaler_are_cured_by_64_bits(rows: pd.DataFrame, imputer: bool) -> None:  # noqa: FBT001
    """At 32 bits values cross thresholds: refused with figures alone, and built in 64 bits where that is allowed."""
    steps = [SimpleImputer(), StandardScaler()] if imputer else [StandardScaler()]
    model = make_pipeline(*steps, HistGradientBoostingClassifier(max_iter=80)).fit(rows[NUMBERS], rows["late"])

    with pytest.raises(InputError, match=r"32 bits: \d+ of 4000 rows differ by more than 1e-05") as refused:
        proven(model, rows, NUMBERS, 32)
    assert "try float = 64" in refused.value.hint
    for ladder in ((32, 64), (64,)):
        found = proven(model, rows, NUMBERS, *ladder).parity
        assert found is not None
        assert (found.float_bits, found.label_flips, found.mismatches) == (64, 0, 0)
        assert found.max_difference < 1e-6


def test_a_nearer_precision_is_preferred_to_one_that_is_near_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forest that loses a row in thousands at 32 bits is allowed so, and better off with none lost at 64."""
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"age": rng.integers(0, 1500, 6000) / 7.0, "income": rng.integers(0, 900, 6000) / 3.0})
    table["late"] = (np.sin(table["age"] / 9) + np.cos(table["income"] / 11) > 0).astype("int64")
    model = make_pipeline(StandardScaler(), RandomForestClassifier(10, max_depth=9, random_state=0))
    model.fit(table[NUMBERS], table["late"])
    monkeypatch.setattr("candidate.flows.proving.ladder.MAX_MISMATCH", 1.0)
    narrow, wide = proven(model, table, NUMBERS, 32).parity, proven(model, table, NUMBERS).parity

    assert narrow is not None
    assert wide is not None
    assert narrow.mismatches > 0
    assert (wide.float_bits, wide.mismatches) == (64, 0)


def test_an_indicator_of_missing_values_that_the_converter_drops_is_found(rows: pd.DataFrame) -> None:
    """The converter says nothing and drops a column that decides; the figures say it, and nothing is built."""
    holes = rows.copy()
    holes.loc[::3, "age"] = np.nan
    late = (holes["age"].isna() | (holes["income"] > 150)).astype("int64")
    model = make_pipeline(SimpleImputer(add_indicator=True), LogisticRegression()).fit(holes[NUMBERS], late)

    with pytest.raises(InputError, match=r"32 bits: \d{4} of 4000 rows differ .* \d{4} labels flip"):
        proven(model, holes, NUMBERS)


def test_ties_of_a_forest_are_no_flips() -> None:
    """Where two classes have the same votes, either label is right: sums of twentieths break the tie by rounding."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(4000, 2)).astype("float32").astype(float), columns=NUMBERS)
    table["late"] = rng.integers(0, 2, 4000)
    model = RandomForestClassifier(20, random_state=0).fit(table[NUMBERS][:400], table["late"][:400])
    found = proven(model, table, NUMBERS, 32)
    votes = model.predict_proba(table[NUMBERS])[:, 1]
    answers = Session(found.model).run({name: table[[name]].to_numpy("float32") for name in NUMBERS})["label"]

    assert (answers != model.predict(table[NUMBERS])).sum() > 0
    assert np.abs(votes[answers != model.predict(table[NUMBERS])] - 0.5).max() < 1e-6
    assert found.parity is not None
    assert (found.parity.label_flips, found.parity.mismatches) == (0, 0)


def test_many_rows_are_compared_on_a_spread_of_them() -> None:
    """Not on the first ones: a file sorted by time or label is looked at from end to end."""
    count = PARITY_ROWS + 5000
    table = pd.DataFrame({"age": np.linspace(-3, 3, count)})
    table["late"] = (table["age"] > 0).astype("int64")
    model = LogisticRegression().fit(table[["age"]], table["late"])
    found = proven(model, table, ["age"]).parity

    assert found is not None
    assert found.rows == PARITY_ROWS
    assert found.float_bits == 32

    table.loc[count - 3 :, "age"] = 1e39  # which 32 bits do not hold
    found = proven(model, table, ["age"]).parity
    assert found is not None
    assert found.float_bits == 64


def test_a_regression_is_compared_by_its_value(rows: pd.DataFrame) -> None:
    """Relative to the size of the value, as 32 bits are."""
    model = LinearRegression().fit(rows[["age"]], rows["income"] * 1e6)
    found = proven(model, rows, ["age"])

    assert found.signature.task == "regression"
    assert found.signature.score_output is None
    assert found.parity is not None
    assert found.parity.mismatches == 0


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ([0.0, 1.0], (0, 1)),
        ([-1, 3], (-1, 3)),
        (["no", "yes"], ("no", "yes")),
        ([False, True], (False, True)),
        ([np.int32(4), np.int32(9)], (4, 9)),
    ],
)
def test_classes_are_of_pythons_own_types(rows: pd.DataFrame, classes: list[Any], expected: tuple[Any, ...]) -> None:
    """Floats that a column with a hole made of whole numbers are whole again; the later class is the positive one."""
    label = np.array(classes)[rows["late"].to_numpy()]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows[NUMBERS], label)
    signature = proven(model, rows, NUMBERS).signature

    assert signature.classes == expected
    assert [type(value) for value in signature.classes] == [type(value) for value in expected]
    assert signature.positive == expected[-1]
    assert signature.threshold == 0.5


REFUSED: dict[str, tuple[Callable[[pd.DataFrame], Any], str]] = {
    "one class": (lambda r: RandomForestClassifier(3).fit(r[NUMBERS], r["late"] * 0), "one class only, 0"),
    "no probabilities": (lambda r: RidgeClassifier().fit(r[NUMBERS], r["late"]), "gives no probabilities"),
    "never fitted": (lambda _: LogisticRegression(), "fails on its training rows"),
    "other columns": (lambda r: LogisticRegression().fit(r[["age", "late"]], r["late"]), "fails on its training rows"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_signature_can_state_is_refused(rows: pd.DataFrame, name: str) -> None:
    """Each with the reason, and never as a failure of ours."""
    make, words = REFUSED[name]
    with pytest.raises(InputError, match=words) as refused:
        proven(make(rows), rows, NUMBERS)
    assert refused.value.where == "[model] source"


def test_classes_between_whole_numbers_are_refused() -> None:
    """0.5 is no class that an answer could be compared with."""
    with pytest.raises(InputError, match=r"0\.5 is no class"):
        plain_classes([0.0, 0.5])
    assert plain_classes([np.float64(2.0), np.int64(3), np.str_("x"), np.True_]) == (2, 3, "x", True)


def test_a_model_fitted_on_bare_arrays_takes_its_features_in_order(rows: pd.DataFrame) -> None:
    """It knows no names, so the list is its order, and no warning about names is shown."""
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows[NUMBERS].to_numpy(), rows["late"])

    assert proven(model, rows, NUMBERS).signature.features == ("age", "income")


@pytest.mark.parametrize(
    ("values", "kind", "nulls", "largest"),
    [
        (pa.array([1.5, None]), "number", True, 0),
        (pa.array([1.5, float("nan")]), "number", True, 0),
        (pa.array([1.5, 2.5], pa.float32()), "number", False, 0),
        (pa.array([3, -9]), "integer", False, 9),
        (pa.array([-(1 << 63), 5]), "integer", False, float(1 << 63)),
        (pa.array([(1 << 64) - 1], pa.uint64()), "integer", False, float(1 << 64)),
        (pa.array([None, None], pa.int64()), "integer", True, 0),
        (pa.array([True, False]), "boolean", False, 0),
        (pa.array(["a", "b"]), "string", False, 0),
        (pa.array(["a", "b"], pa.large_string()), "string", False, 0),
        (pa.array(["a", "b", "a"]).dictionary_encode(), "string", False, 0),
    ],
)
def test_a_column_is_what_the_rows_hold(values: pa.Array, kind: str, nulls: bool, largest: float) -> None:  # noqa: FBT001
    """Kind, holes and the largest magnitude, the lowest integer included."""
    (found,) = columns_of(pa.table({"c": values}), ["c"])

    assert (found.kind, found.nulls, found.largest) == (kind, nulls, largest)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (pa.array(["a", None]), "text with missing values"),
        (pa.array([1], pa.timestamp("s")), "no model input"),
        (pa.array([[1.0]]), "no model input"),
        (pa.array([None, None], pa.null()), "no model input"),
    ],
)
def test_a_column_that_no_tensor_holds_is_refused(values: pa.Array, words: str) -> None:
    """The message names the column."""
    with pytest.raises(InputError, match=words) as refused:
        columns_of(pa.table({"c": values}), ["c"])
    assert refused.value.where == "[data] train, column c"


def test_golden_rows_hold_every_kind_of_hole() -> None:
    """Few rows from end to end, and for each column with missing values at least one that misses it."""
    count = 3000
    table = pd.DataFrame({"a": np.arange(count, dtype=float), "b": np.arange(count, dtype=float)})
    table.loc[1777, "a"] = np.nan
    table.loc[3, "b"] = np.nan
    arrow = pa.Table.from_pandas(table)
    found = golden_rows(arrow, columns_of(arrow, ["a", "b"])).to_pandas()

    assert 16 <= len(found) <= 40
    assert found["a"].isna().sum() == 1
    assert found["b"].isna().sum() == 1
    assert found["a"].max() == count - 1
    assert golden_rows(arrow.slice(0, 2), columns_of(arrow.slice(0, 2), ["a"])).num_rows == 2


def people(labels: list[Any] | None = None) -> pa.Table:
    """Rows for the tiny graph."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"age": rng.normal(size=300), "income": rng.normal(size=300)})
    table["late"] = [(labels or [0, 1])[number % len(labels or [0, 1])] for number in range(300)]
    return pa.Table.from_pandas(table)


def given(change: Callable[[onnx.ModelProto], object] | None = None, table: pa.Table | None = None) -> Proven:
    """Take the tiny graph, changed."""
    model = tiny_model()
    if change is not None:
        change(model)
    return given_graph(model.SerializeToString(), people() if table is None else table, label="late")


def swapped(model: onnx.ModelProto) -> None:
    """Probabilities in the other order, labels as before."""
    model.graph.node[4].output[0] = "right"
    model.graph.node[5].input[0] = "right"
    model.graph.node.append(helper.make_node("Concat", ["yes", "no"], ["probabilities"], axis=1))


def raw(model: onnx.ModelProto) -> None:
    """Decision values in place of probabilities."""
    model.graph.node[2].op_type = "Identity"


def failing(model: onnx.ModelProto) -> None:
    """A graph that loads, and fails on every row."""
    model.graph.initializer.append(helper.make_tensor("far", TensorProto.INT64, [2], [0, 50]))
    model.graph.node.insert(1, helper.make_node("Gather", ["row", "far"], ["picked"], axis=1))
    model.graph.node[2].input[0] = "picked"


def maps(model: onnx.ModelProto) -> None:
    """Probabilities as a list of maps, which is the converter's default."""
    model.opset_import.add(domain="ai.onnx.ml", version=1)
    model.graph.node.append(
        helper.make_node("ZipMap", ["probabilities"], ["maps"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    )
    kind = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    model.graph.output[1].CopyFrom(helper.make_value_info("maps", helper.make_sequence_type_proto(kind)))


def one_at_a_time(model: onnx.ModelProto) -> None:
    """A graph for single rows."""
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1


def test_a_given_graph_is_run_and_not_compared() -> None:
    """There is no estimator, so there is no parity; classes are those of the label, holes left out."""
    table = people()
    labels = pa.array([None if number == 7 else float(number % 2) for number in range(300)])
    found = given(table=table.set_column(table.schema.get_field_index("late"), "late", labels))

    assert found.parity is None
    assert found.signature.classes == (0, 1)
    assert found.signature.positive == 1


@pytest.mark.parametrize("name", ["N", "batch_size", "None", ""])
def test_a_given_graph_may_call_its_rows_anything(name: str) -> None:
    """Exporters have many names for the first dimension."""

    def called(model: onnx.ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_param = name

    found = given(called).signature
    assert {tensor.shape[0] for tensor in (*found.inputs, *found.outputs)} == {"batch"}


GIVEN: dict[str, tuple[Callable[[onnx.ModelProto], object] | None, list[Any] | None, str]] = {
    "other order of classes": (swapped, None, "is not the class of highest probability"),
    "decision values": (raw, None, "does not hold probabilities"),
    "fails on the rows": (failing, None, "fails on its input"),
    "maps": (maps, None, "not a tensor"),
    "three classes in the label": (None, [0, 1, 2], "2 columns of probabilities, but the training label has 3"),
    "one class in the label": (None, [1], "not two classes or more"),
    "labels of two types": (None, [0.5, 1.0], "no class"),
    "labels of another type": (None, ["no", "yes"], "is not the class of highest probability"),
    "one row at a time": (
        one_at_a_time,
        None,
        "not of shape",
    ),
    "newer operators": (lambda m: setattr(m.opset_import[0], "version", 999), None, "."),
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_given_graph_that_means_something_else_is_refused(name: str) -> None:
    """What the signature would say of it must hold on the training rows."""
    change, labels, words = GIVEN[name]
    with pytest.raises(InputError, match=words) as refused:
        given(change, people(labels))
    assert refused.value.where


def test_categories_that_training_never_saw_do_not_matter_to_parity() -> None:
    """An encoder that refuses them in training is compared on what it was trained on."""
    table = pd.DataFrame({"city": ["oslo", "bergen"] * 200, "late": [0, 1, 1, 1] * 100})
    pick = ColumnTransformer([("c", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["city"])])
    model = make_pipeline(pick, LogisticRegression()).fit(table[["city"]], table["late"])

    assert proven(model, table, ["city"]).signature.inputs[0].dtype == "string"
