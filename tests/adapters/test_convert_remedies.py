"""What does not convert is named by its step, with what helps."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import FactorAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from candidate.adapters.convert import Column, convert
from candidate.adapters.convert.remedies import steps_of
from candidate.errors import InputError

RNG = np.random.default_rng(3)
ROWS = pd.DataFrame({"a": RNG.normal(size=300), "b": RNG.normal(size=300)})
ROWS["word"] = RNG.choice(["x", "y", "z", "rare"], 300, p=[0.4, 0.4, 0.19, 0.01])
LABEL = (ROWS["a"] > 0).astype(int)
NUMBERS = (Column("a", "number", nulls=False, largest=0), Column("b", "number", nulls=False, largest=0))


class Doubled(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A transformer of the user's own."""

    def fit(self, X: object, y: object = None) -> "Doubled":  # noqa: ARG002, N803 - as scikit-learn calls them
        """Learn nothing."""
        return self

    def transform(self, X: object) -> object:  # noqa: N803 - the same
        """Double."""
        return np.asarray(X) * 2


@pytest.mark.parametrize(
    ("step", "says", "helps"),
    [
        (Doubled(), "step 'odd' (Doubled) has no ONNX form", "name that file"),
        (FactorAnalysis(1), "step 'odd' (FactorAnalysis) has no ONNX form", "supports"),
        (FunctionTransformer(np.cbrt), "(FunctionTransformer) cannot be converted", "into the feature itself"),
        (
            KBinsDiscretizer(3, encode="onehot", quantile_method="averaged_inverted_cdf"),
            "KBinsDiscretizer",
            "onehot-dense",
        ),
    ],
    ids=["own", "none", "function", "sparse"],
)
def test_the_step_is_named(step: object, says: str, helps: str) -> None:
    """By the name that it has in the pipeline, and its class."""
    model = Pipeline([("scaled", StandardScaler()), ("odd", step), ("model", LogisticRegression())])
    model.fit(ROWS[["a", "b"]], LABEL)
    with pytest.raises(InputError) as refused:
        convert(model, NUMBERS, 32)
    assert says in refused.value.message
    assert helps in refused.value.hint


def test_a_step_inside_a_branch_is_named_by_its_path() -> None:
    """As scikit-learn's own parameters are."""
    branch = Pipeline([("filled", SimpleImputer()), ("odd", Doubled())])
    prepare = ColumnTransformer([("numbers", branch, ["a", "b"])])
    model = Pipeline([("prepare", prepare), ("model", LogisticRegression())]).fit(ROWS[["a", "b"]], LABEL)
    with pytest.raises(InputError, match="step 'prepare__numbers__odd'"):
        convert(model, NUMBERS, 32)


def test_rare_categories_are_named() -> None:
    """An encoder that folds rare categories has no ONNX form."""
    model = make_pipeline(OneHotEncoder(min_frequency=0.1, sparse_output=False), LogisticRegression())
    model.fit(ROWS[["word"]], LABEL)
    with pytest.raises(InputError, match="OneHotEncoder") as refused:
        convert(model, (Column("word", "string", nulls=False, largest=0),), 32)
    assert "min_frequency" in refused.value.hint


@pytest.mark.parametrize("model", [DecisionTreeClassifier(random_state=0), RandomForestClassifier(5, random_state=0)])
@pytest.mark.parametrize("bits", [32, 64])
def test_a_split_on_what_is_missing_is_refused_and_never_hangs(model: object, bits: int) -> None:
    """The converter looks for the next number after infinity, and does not find it."""
    rows = ROWS[["a", "b"]].copy()
    rows.loc[LABEL == 1, "b"] = np.nan
    fitted = make_pipeline(StandardScaler(), model).fit(rows, LABEL)
    with pytest.raises(InputError, match="splits on whether a value is missing") as refused:
        convert(fitted, NUMBERS, bits)  # type: ignore[arg-type]  # a parameter
    assert "SimpleImputer" in refused.value.hint


def test_every_step_has_a_path() -> None:
    """Outer ones first, each once, members of an ensemble by their first."""
    prepare = ColumnTransformer([("n", make_pipeline(SimpleImputer(), StandardScaler()), ["a"])], remainder="drop")
    model = make_pipeline(prepare, RandomForestClassifier(3, max_depth=2)).fit(ROWS[["a", "b"]], LABEL)
    paths = [path for path, _ in steps_of(model)]
    assert paths[0] == "Pipeline"
    assert "columntransformer__n__standardscaler" in paths
    assert len(paths) == len(set(paths))
