"""Rows that are made to find a difference: they are what they say, and what is planted in a graph is found."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
import pytest
from onnx import numpy_helper
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from statsmodels.stats.proportion import proportion_confint
from threadpoolctl import threadpool_limits

from candidate.adapters import convert
from candidate.adapters.convert.trees import last_left
from candidate.documents.manifest import ChallengeRecord, Parity, Rung
from candidate.errors import InputError
from candidate.flows.proving import Proven, columns_of, prove
from candidate.flows.proving.adversarial import FUZZED_ROWS, challenges_of
from candidate.flows.proving.ladder import climb
from candidate.flows.proving.parity import at_most
from candidate.flows.proving.tasks import meaning_of
from candidate.flows.proving.thresholds import MAX_THRESHOLDS, crossings_of, neighbours, thresholds_of
from candidate.report.parity import parity_lines

NUMBERS = ["age", "income"]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Two numbers of very different size, one of which may miss, a whole number and a word."""
    rng = np.random.default_rng(5)
    found = pd.DataFrame({"age": rng.normal(40, 12, 2000), "income": rng.lognormal(9, 1, 2000)})
    found.loc[::9, "age"] = np.nan
    found["floor"] = rng.integers(-2, 30, 2000)
    found["town"] = np.array(["Basel", "Bern", "Chur"], dtype=object)[rng.integers(0, 3, 2000)]
    found["late"] = ((found["age"].fillna(60) + found["floor"] > 52) ^ (found["income"] > 9000)).astype("int64")
    return found


def pipeline(last: Any, *, unknown: str = "ignore") -> Any:
    """What the flights have: imputer and scaler, one-hot words, a model."""
    parts = [
        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), [*NUMBERS, "floor"]),
        ("words", OneHotEncoder(handle_unknown=unknown, sparse_output=False), ["town"]),
    ]
    return make_pipeline(ColumnTransformer(parts), last)


def fitted(rows: pd.DataFrame, model: Any) -> Any:
    """Train it."""
    with threadpool_limits(1):  # threads that wait for each other on a busy machine take minutes
        return model.fit(rows.drop(columns="late"), rows["late"])


def arrow(rows: pd.DataFrame) -> pa.Table:
    """The rows as Arrow has them."""
    return pa.Table.from_pandas(rows, preserve_index=False)


def proven(model: Any, rows: pd.DataFrame, *ladder: Any, features: list[str] | None = None) -> Proven:
    """Prove it."""
    table = arrow(rows)
    columns = columns_of(table, features or [name for name in rows.columns if name != "late"])
    return prove(model, table, columns, label="late", ladder=ladder or (32, 64))


def records(found: Parity | None) -> dict[str, ChallengeRecord]:
    """By kind."""
    assert found is not None
    return {each.kind: each for each in found.challenges}


@pytest.mark.parametrize(
    "last",
    [
        HistGradientBoostingClassifier(max_iter=25, random_state=0),
        RandomForestClassifier(12, max_depth=8, random_state=0),
        GradientBoostingClassifier(n_estimators=15, random_state=0),
    ],
    ids=["histogram", "forest", "boosting"],
)
def test_trees_behind_a_scaler_hold_in_every_row_at_64_bits(rows: pd.DataFrame, last: Any) -> None:
    """Real, fuzzed, next to thresholds and between 32-bit numbers: nowhere a difference, and the figures of 32 bits."""
    found = proven(fitted(rows, pipeline(last)), rows).parity

    assert found is not None
    assert found.float_bits == 64
    assert {each.kind for each in found.challenges} == {
        *("fuzzed", "missing", "unseen", "empty", "extreme", "threshold", "between", "one-row"),
        "zero-row",
    }
    assert {each.kind: each.mismatches for each in found.challenges if each.mismatches} == {}
    assert records(found)["fuzzed"].rows == FUZZED_ROWS
    assert 0 < found.thresholds_tried <= found.thresholds
    first, *_, last_rung = found.rungs
    assert (first.name, first.taken, last_rung.taken) == ("32", False, True)
    assert (first.challenged or 0) > 0
    assert first.step is not None
    with pytest.raises(InputError, match=r"32 bits: \d+ of 2000 rows .* threshold rows differ"):
        raise_unless_exact(fitted(rows, pipeline(last)), rows)


def raise_unless_exact(model: Any, rows: pd.DataFrame) -> None:
    """Refuse 32 bits as the ladder would if nothing may differ."""
    table = arrow(rows)
    columns = columns_of(table, [name for name in rows.columns if name != "late"])
    (tried,) = climb(model, table, columns, label="late", ladder=(32,)).found
    if tried.rank != (0, 0):
        raise InputError(tried.said())


@pytest.mark.parametrize("bits", [32, 64])
def test_crossings_are_where_the_estimator_changes_its_mind(rows: pd.DataFrame, bits: Any) -> None:
    """One number further, and the answer of a single tree is another: found through imputer and scaler."""
    known = rows[["income", "late"]]
    model = make_pipeline(StandardScaler(), HistGradientBoostingRegressor(max_iter=1, max_leaf_nodes=8))
    with threadpool_limits(1):
        model.fit(known[["income"]], known["late"])
    table = arrow(known)
    graph = convert.convert(model, columns_of(table, ["income"]), bits, exact=bits == 64)
    found = crossings_of(graph, columns_of(table, ["income"]), table)

    assert found.found == len(found.column) == 7
    here = pd.DataFrame({"income": found.low})
    if bits == 64:
        there = pd.DataFrame({"income": neighbours(found.low, 1)})
        assert (model.predict(here) != model.predict(there)).all()
    else:
        near = neighbours(found.low.astype(np.float32), 8).astype(float)
        before = neighbours(found.low.astype(np.float32), -8).astype(float)
        changed = model.predict(pd.DataFrame({"income": near})) != model.predict(pd.DataFrame({"income": before}))
        assert changed.all()


def test_of_many_thresholds_a_spread_is_tried(rows: pd.DataFrame) -> None:
    """The same ones every time."""
    model = RandomForestClassifier(60, random_state=0).fit(rows[["income", "floor"]], rows["late"])
    table = arrow(rows)
    columns = columns_of(table, ["income", "floor"])
    graph = convert.convert(model, columns, 64, exact=True)
    once, again = crossings_of(graph, columns, table), crossings_of(graph, columns, table)

    assert once.found == len(thresholds_of(graph.graph)) > MAX_THRESHOLDS
    assert len(once.column) == MAX_THRESHOLDS
    assert np.array_equal(once.low, again.low)
    assert set(once.column) == {"income", "floor"}


def test_made_rows_are_what_they_say(rows: pd.DataFrame) -> None:
    """Fuzzed values were all seen, missing ones miss, words were never seen, whole numbers stay whole."""
    model = fitted(rows, pipeline(HistGradientBoostingClassifier(max_iter=5)))
    table = arrow(rows)
    columns = columns_of(table, [*NUMBERS, "floor", "town"])
    crossings = crossings_of(convert.convert(model, columns, 64, exact=True), columns, table)
    found = {
        each.kind: each.table for each in challenges_of(model, meaning_of(model, ("late",)), columns, table, crossings)
    }

    for name in ("income", "floor", "town"):
        assert set(found["fuzzed"].column(name).to_pylist()) <= set(rows[name])
    assert found["fuzzed"].to_pandas()[NUMBERS].drop_duplicates().shape[0] > 2000
    assert found["missing"].column("age").null_count == found["missing"].num_rows > 0
    assert set(found["unseen"].column("town").to_pylist()).isdisjoint(rows["town"])
    assert set(found["empty"].column("town").to_pylist()) == {""}
    assert {found[kind].schema.field("floor").type for kind in found} == {pa.int64()}
    incomes = found["threshold"].to_pandas()["income"]
    assert (incomes == incomes.astype(np.float32).astype(float)).all()
    assert not (found["between"].to_pandas()["income"].pipe(lambda v: v == v.astype(np.float32).astype(float))).all()
    assert found["extreme"].to_pandas()["income"].max() == pytest.approx(max(10 * rows["income"].max(), 1 << 24))


@pytest.mark.parametrize("unknown", ["ignore", "error"])
def test_words_that_the_pipeline_refuses_are_refused_by_the_schema_too(rows: pd.DataFrame, unknown: str) -> None:
    """Where scikit-learn raises an error, the input schema has a closed list; else both answer."""
    found = records(proven(fitted(rows, pipeline(LogisticRegression(), unknown=unknown)), rows, 32).parity)

    for kind in ("unseen", "empty"):
        assert (found[kind].rows > 0, found[kind].refused > 0) == (unknown == "ignore", unknown == "error")
        assert (found[kind].mismatches, found[kind].unguarded) == (0, 0)


def flip_a_threshold(model: onnx.ModelProto) -> None:
    """Move one threshold of the first tree by a thousandth of what it is."""
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "nodes_values":
                attribute.floats[0] += abs(attribute.floats[0]) * 1e-3 + 1e-6
            elif attribute.name == "nodes_values_as_tensor":
                values = numpy_helper.to_array(attribute.t).copy()
                values[0] += abs(values[0]) * 1e-3 + 1e-6
                attribute.t.CopyFrom(numpy_helper.from_array(values, attribute.t.name))


def strict_mode(model: onnx.ModelProto) -> None:
    """Send what equals a threshold to the other side, everywhere."""
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "nodes_modes":
                modes = [b"BRANCH_LT" if mode == b"BRANCH_LEQ" else mode for mode in attribute.strings]
                del attribute.strings[:]
                attribute.strings.extend(modes)


PLANTED: dict[str, Callable[[onnx.ModelProto], None]] = {
    "a threshold moved by a thousandth": flip_a_threshold,
    "less in place of at most": strict_mode,
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_wrong_threshold_is_found(rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Rows next to thresholds differ at every precision, and the result says so loudly."""
    whole = convert.convert

    def planted(*given: Any, **said: Any) -> onnx.ModelProto:
        graph = whole(*given, **said)
        PLANTED[name](graph)
        return graph

    known = rows[["income", "late"]]
    model = RandomForestClassifier(3, max_depth=4, random_state=0).fit(known[["income"]], known["late"])
    good = records(proven(model, known).parity)["threshold"]
    monkeypatch.setattr("candidate.flows.proving.ladder.MAX_MISMATCH", 1.0)
    monkeypatch.setattr("candidate.adapters.convert.convert", planted)
    found = proven(model, known).parity

    assert good.mismatches == 0
    assert found is not None
    assert (found.rungs[0].challenged or 0) > 0
    assert found.rungs[0].step == "randomforestclassifier"
    assert records(found)["threshold"].mismatches + records(found)["between"].mismatches > 0
    assert any(line.startswith("WARNING") and "threshold differ" in line for line in parity_lines(found))


def test_what_is_wrong_only_where_a_value_misses_is_found() -> None:
    """A forest with trees that know missing values: few real rows miss one, and the made ones decide."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"age": rng.normal(size=4000), "income": rng.normal(size=4000)})
    table.loc[[7, 1777], "age"] = np.nan
    table["late"] = (table["age"].fillna(3) + table["income"] > 0).astype("int64")
    model = RandomForestClassifier(10, random_state=0).fit(table[NUMBERS], table["late"])

    with pytest.raises(InputError, match=r"of \d+ missing rows differ|splits on whether a value is missing"):
        proven(model, table)


def test_ids_beyond_24_bits_stay_whole() -> None:
    """One-hot of such ids is wrong in 32-bit floats: as whole numbers they come in exactly, unseen neighbours too."""
    rng = np.random.default_rng(2)
    ids = (1 << 24) + np.arange(1, 40, 2)
    table = pd.DataFrame({"id": ids[rng.integers(0, len(ids), 1500)]})
    table["late"] = (table["id"] // 2 % 3 == 0).astype("int64")
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    model = make_pipeline(ColumnTransformer([("id", encoder, ["id"])]), LogisticRegression())
    found = proven(model.fit(table[["id"]], table["late"]), table)

    assert [tensor.dtype for tensor in found.signature.inputs] == ["int64"]
    assert {each.kind: each.mismatches for each in found.parity.challenges if each.mismatches} == {}  # type: ignore[union-attr]


def test_one_row_and_none_at_all_are_asked(rows: pd.DataFrame) -> None:
    """And the same rows together: what a service does."""
    found = proven(fitted(rows, pipeline(LogisticRegression())), rows).parity

    assert (records(found)["one-row"].rows, records(found)["one-row"].mismatches) == (8, 0)
    assert (records(found)["zero-row"].rows, records(found)["zero-row"].mismatches) == (1, 0)


@pytest.mark.parametrize(("count", "total"), [(0, 1), (0, 3000), (0, 20_000), (7, 20_000), (199, 200), (200, 200)])
def test_the_bound_is_that_of_clopper_and_pearson(count: int, total: int) -> None:
    """Of one side: half of the two-sided level; rounded up, so that it never says less."""
    exact = proportion_confint(count, total, alpha=0.1, method="beta")[1]

    assert at_most(count, total) >= min(1.0, exact) * (1 - 1e-9)
    assert at_most(count, total) == pytest.approx(exact, rel=0.011)


@pytest.mark.parametrize("threshold", [0.0, 0.1, -0.1, 1.0, 1e-45, 3e38, -7.25, 16777217.0, 0.30000001192092896])
def test_the_last_value_that_goes_left_is_found(threshold: float) -> None:
    """It goes left when it is rounded to 32 bits, and its neighbour does not; infinity stays infinite."""
    wide, narrow = (float(last_left(threshold, kind, "BRANCH_LEQ")) for kind in (np.float64, np.float32))

    assert float(np.float32(wide)) <= threshold < float(np.float32(np.nextafter(wide, np.inf)))
    assert narrow <= threshold < float(np.nextafter(np.float32(narrow), np.float32(np.inf)))
    assert last_left(np.inf, np.float64, "BRANCH_LEQ") == np.inf


def test_the_same_build_says_the_same(rows: pd.DataFrame) -> None:
    """To the last digit: figures are of three."""
    model = fitted(rows, pipeline(HistGradientBoostingClassifier(max_iter=10, random_state=0)))

    assert proven(model, rows).parity == proven(model, rows).parity


def test_differences_are_said_loudly() -> None:
    """Each kind that found one has a line of its own, and so has what was not taken."""
    nothing = {"label_flips": 0, "refused": 0}
    rung = Rung(
        name="32", taken=False, mismatches=3, label_flips=1, max_difference=0.5, challenged=40, step="scaler", why=""
    )
    broken = Rung(
        name="64",
        taken=False,
        mismatches=None,
        label_flips=None,
        max_difference=None,
        challenged=None,
        step=None,
        why="the graph cannot be used (no such operator)",
    )
    found = Parity(
        rows=2000,
        float_bits=64,
        max_difference=0.1,
        label_flips=1,
        label_flips_at_most=0.00237,
        mismatches=2,
        tolerance=1e-5,
        challenges=(
            ChallengeRecord(kind="fuzzed", rows=10_000, mismatches=0, max_difference=0, unguarded=0, **nothing),
            ChallengeRecord(kind="extreme", rows=64, mismatches=5, max_difference=1e300, unguarded=3, **nothing),
        ),
        rungs=(rung, broken),
    )

    unlike = (
        "WARNING: 5 of 64 rows with an extreme value differ, the largest by more than any number; "
        "at 3 more the pipeline raises an error where the graph answers"
    )
    assert parity_lines(found) == [
        "2,000 real rows at 64 bits differ by at most 0.1, 1 labels flipped (at most 0.237 %)",
        "WARNING: 2 of 2,000 real rows differ by more than the tolerance",
        "10,064 rows made to find a difference",
        unlike,
        "not taken: 32 bits: 3 real rows and 40 made ones differ, first at scaler",
        "not taken: 64 bits: the graph cannot be used (no such operator)",
    ]
