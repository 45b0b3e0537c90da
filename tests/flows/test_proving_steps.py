"""The step at which the first difference enters is named, and it is the right one."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from candidate.adapters import convert
from candidate.flows.proving import columns_of
from candidate.flows.proving.ladder import Tried, climb


def first_of(model: Any, rows: pd.DataFrame, ladder: Any = (32,)) -> Tried:
    """What became of the first precision."""
    features = [name for name in rows.columns if name != "late"]
    table = pa.Table.from_pandas(rows, preserve_index=False)
    with threadpool_limits(1):
        model.fit(rows[features], rows["late"])
    return climb(model, table, columns_of(table, features), label="late", ladder=ladder).found[0]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Halves, which 32 bits hold: what differs is not the input."""
    rng = np.random.default_rng(4)
    found = pd.DataFrame({"age": rng.integers(0, 3000, 3000) / 2.0, "income": rng.integers(0, 3000, 3000) / 2.0})
    found["town"] = np.array(["Basel", "Bern"], dtype=object)[rng.integers(0, 2, 3000)]
    found["late"] = (np.sin(found["age"] / 90) + np.cos(found["income"] / 110) > 0).astype("int64")
    return found


def test_a_scaler_inside_a_branch_is_named(rows: pd.DataFrame) -> None:
    """With its place in the pipeline and its columns."""
    branch = make_pipeline(SimpleImputer(), StandardScaler())
    words = OneHotEncoder(sparse_output=False)
    front = ColumnTransformer([("words", words, ["town"]), ("numbers", branch, ["age", "income"])])
    found = first_of(make_pipeline(front, HistGradientBoostingClassifier(max_iter=60, random_state=0)), rows)

    assert found.real.mismatches > 0
    assert found.step == "columntransformer.numbers.standardscaler (age, income)"


def test_an_imputer_whose_indicator_is_dropped_is_named(rows: pd.DataFrame) -> None:
    """The converter drops a column without a word."""
    holes = rows[["age", "income"]].copy()
    holes.loc[::3, "age"] = np.nan
    holes["late"] = (holes["age"].isna() | (holes["income"] > 700)).astype("int64")
    model = make_pipeline(SimpleImputer(add_indicator=True), LogisticRegression())

    assert first_of(model, holes).step == "simpleimputer"


def test_inputs_that_32_bits_do_not_hold_are_named(rows: pd.DataFrame) -> None:
    """Nothing was computed yet, and the answer is another already."""
    fine = rows[["age", "late"]].assign(age=1e6 + rows["age"] / 1e4)
    scaled = make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0))
    assert first_of(scaled, fine).step == "inputs rounded to 32 bits"


def test_the_model_itself_is_named_where_all_before_it_is_right(
    rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A converter that moves every threshold of the trees, and nothing else."""
    whole = convert.convert

    def planted(*given: Any, **said: Any) -> Any:
        graph = whole(*given, **said)
        for node in graph.graph.node:
            for attribute in node.attribute:
                if attribute.name == "nodes_values":
                    attribute.floats[:] = [value + 0.05 for value in attribute.floats]
        return graph

    monkeypatch.setattr("candidate.adapters.convert.convert", planted)
    model = make_pipeline(StandardScaler(), RandomForestClassifier(5, max_depth=5, random_state=0))

    assert first_of(model, rows[["age", "income", "late"]]).step == "randomforestclassifier"
