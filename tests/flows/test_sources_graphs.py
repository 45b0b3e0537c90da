"""Graphs that somebody exported: tables, probabilities alone, what torch makes, and means of several."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
import pytest
from onnx import TensorProto, helper
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from candidate.adapters import dataset
from candidate.adapters.archive import Archive
from candidate.adapters.convert import Column, convert
from candidate.adapters.runtime import Session
from candidate.documents.manifest import ModelSignature
from candidate.documents.spec import BuildSpec
from candidate.errors import InputError
from candidate.flows.building import build
from candidate.flows.proving import Proven, given_graph
from candidate.flows.verifying import inspect

TORCH = Path(__file__).parent.parent / "torch"
BREAST = ["mean radius", "mean texture", "mean smoothness", "mean symmetry"]
IRIS = ["sepal length (cm)", "petal length (cm)", "petal width (cm)"]


@cache
def tumours() -> pd.DataFrame:
    """Real tumours."""
    rows: pd.DataFrame = load_breast_cancer(as_frame=True).frame
    return rows


@cache
def flowers() -> pd.DataFrame:
    """Real flowers of three kinds."""
    rows: pd.DataFrame = load_iris(as_frame=True).frame
    return rows


def table(rows: pd.DataFrame) -> pa.Table:
    """The same in Arrow."""
    return pa.Table.from_pandas(rows, preserve_index=False)


def given(data: bytes, rows: pd.DataFrame, label: Any, **more: Any) -> Proven:
    """A graph, taken as it is."""
    return given_graph(data, table(rows), label=label, **more)


def answers(found: Proven, rows: pd.DataFrame) -> dict[str, Any]:
    """What it answers to rows."""
    return found.session().run(dataset.feeds(table(rows).combine_chunks(), found.signature.inputs))


def test_a_binary_network_of_torch() -> None:
    """One table in, one probability out: inputs by name, both probabilities, and the label that follows."""
    found = given((TORCH / "breast.onnx").read_bytes(), tumours(), "target", features=BREAST)
    got = answers(found, tumours())
    score = got[str(found.signature.score_output)]

    assert (found.signature.task, found.signature.classes) == ("binary", (0, 1))
    assert found.signature.features == tuple(BREAST)
    assert score.shape == (569, 2)
    np.testing.assert_allclose(score.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(got[found.signature.label_output], (score[:, 1] > 0.5).astype(int))
    assert (got[found.signature.label_output] == tumours()["target"]).mean() > 0.9


def test_a_network_of_torch_for_three_classes() -> None:
    """Probabilities of every class, and the label is the class of the highest, in the label's own words."""
    rows = flowers().copy()
    rows["kind"] = rows["target"].map({0: "setosa", 1: "versicolor", 2: "virginica"}).astype(object)
    found = given((TORCH / "iris.onnx").read_bytes(), rows, "kind", features=IRIS)
    got = answers(found, rows)

    assert (found.signature.task, found.signature.classes) == ("multiclass", ("setosa", "versicolor", "virginica"))
    assert (got[found.signature.label_output] == rows["kind"]).mean() > 0.9


TORN: dict[str, tuple[str, Callable[[], pd.DataFrame], Any, Any, str, str]] = {
    "logits": ("logits.onnx", flowers, "target", IRIS, "does not hold probabilities", "Softmax"),
    "too few columns": ("iris.onnx", flowers, "target", IRIS[:2], "2 features, but the graph's table has 3", "order"),
    "no columns": ("iris.onnx", flowers, "target", None, "not of shape", "[data] features"),
    "other classes": ("iris.onnx", tumours, "target", BREAST[:3], "3 columns of probabilities", "each class"),
    "two labels for three": ("iris.onnx", flowers, ["target", IRIS[0]], IRIS, "3 columns of answers for 2", ""),
}


@pytest.mark.parametrize("name", TORN)
def test_what_an_export_lacks_is_told_with_its_remedy(name: str) -> None:
    """Logits, columns that do not fit, classes that do not fit."""
    file, rows, label, features, words, hint = TORN[name]
    with pytest.raises(InputError, match=words) as refused:
        given((TORCH / file).read_bytes(), rows(), label, features=features)
    assert hint in refused.value.hint


def spec(text: str, **data: str) -> BuildSpec:
    """A specification with this model section."""
    lines = "\n".join(f"{key} = {value}" for key, value in {"train": '"t.parquet"', **data}.items())
    return BuildSpec.from_toml(
        f'[bundle]\nname = "m"\nversion = "1"\n[model]\n{text}\n[data]\n{lines}\n', where="candidate.toml"
    )


def built(root: Path, text: str, rows: pd.DataFrame, **data: str) -> tuple[ModelSignature, Session]:
    """The signature of a bundle, and its graph loaded."""
    rows.to_parquet(root / "t.parquet", index=False)
    result = build(spec(text, **data), root=root, out=root)
    with Archive.open(Path(result.path)) as archive:
        bundle = inspect(archive)
        return bundle.signature, bundle.session()


def quoted(names: list[str]) -> str:
    """A list as TOML has it."""
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def exported(model: Any, names: list[str], path: Path) -> None:
    """Write what skl2onnx makes of a model."""
    columns = [Column(name, "number", nulls=False, largest=0) for name in names]
    path.write_bytes(convert(model, columns, 32).SerializeToString())


@pytest.mark.parametrize(("weights", "threshold"), [("", ""), ("weights = [3, 1]", "threshold = 0.8")])
def test_several_graphs_answer_their_mean(tmp_path: Path, weights: str, threshold: str) -> None:
    """Different features, one of them shared: fed once, averaged, labelled by the mean."""
    rows = tumours()
    first, second = BREAST[:3], BREAST[2:]
    models = [
        make_pipeline(StandardScaler(), LogisticRegression()).fit(rows[names], rows["target"])
        for names in (first, second)
    ]
    for model, names, file in zip(models, (first, second), ("a.onnx", "b.onnx"), strict=True):
        exported(model, names, tmp_path / file)
    signature, session = built(
        tmp_path, f'source = ["a.onnx", "b.onnx"]\ncombine = "mean"\n{weights}\n{threshold}', rows, label='"target"'
    )
    got = session.run(dataset.feeds(table(rows).combine_chunks(), signature.inputs))
    share = np.array([0.75, 0.25]) if weights else np.array([0.5, 0.5])
    mean = sum(
        part * model.predict_proba(rows[names])
        for part, model, names in zip(share, models, (first, second), strict=True)
    )

    assert sorted(signature.features) == sorted(BREAST)
    np.testing.assert_allclose(got[str(signature.score_output)], mean, atol=1e-6)
    assert signature.threshold == (0.8 if threshold else 0.5)
    expected = (got[str(signature.score_output)][:, 1] >= signature.threshold).astype(int)
    np.testing.assert_array_equal(got[signature.label_output], expected)


def test_the_mean_of_regressions(tmp_path: Path) -> None:
    """Values are averaged, and there are no labels."""
    rows = tumours()
    for names, file in ((BREAST[:2], "a.onnx"), (BREAST[1:], "b.onnx")):
        exported(Ridge().fit(rows[names], rows["worst area"]), names, tmp_path / file)
    signature, _ = built(tmp_path, 'source = ["a.onnx", "b.onnx"]', rows, label='"worst area"')

    assert signature.task == "regression"
    assert signature.score_output is None


def test_the_mean_of_networks_of_torch(tmp_path: Path) -> None:
    """Tables of one name are one table; twice the same network answers as it does alone."""
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes((TORCH / "breast.onnx").read_bytes())
    signature, session = built(
        tmp_path, 'source = ["a.onnx", "b.onnx"]', tumours(), label='"target"', features=quoted(BREAST)
    )
    alone = given((TORCH / "breast.onnx").read_bytes(), tumours(), "target", features=BREAST)
    got = session.run(dataset.feeds(table(tumours()).combine_chunks(), signature.inputs))

    np.testing.assert_allclose(
        got[str(signature.score_output)],
        answers(alone, tumours())[str(alone.signature.score_output)],
        atol=1e-6,
    )


def linear(name: str, kind: int = TensorProto.FLOAT, width: int = 1, *, labelled: bool = False) -> bytes:
    """A graph of one input whose values are repeated."""
    nodes = [helper.make_node("Concat", [name] * width, ["variable"], axis=1)]
    outputs = [helper.make_tensor_value_info("variable", kind, [None, width])]
    if labelled:
        nodes.append(helper.make_node("ArgMax", ["variable"], ["label"], axis=1, keepdims=0))
        outputs.insert(0, helper.make_tensor_value_info("label", TensorProto.INT64, [None]))
    graph = helper.make_graph(nodes, "model", [helper.make_tensor_value_info(name, kind, [None, 1])], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())


UNLIKE: dict[str, tuple[bytes, bytes, str, str]] = {
    "types": (linear("a"), linear("a", TensorProto.DOUBLE), "", "has one type in one graph"),
    "columns": (linear("a", width=2), linear("a", width=3), "", "answer 2, 3 columns"),
    "tasks": (
        linear("a", width=2),
        linear("a", width=2, labelled=True),
        "",
        "some graphs of the ensemble answer",
    ),
    "garbage": (linear("a"), b"garbage", "", "not an ONNX graph"),
    "weights": (linear("a"), linear("a"), "weights = [1, 2, 3]", "3 weights for 2 graphs"),
}


@pytest.mark.parametrize("name", UNLIKE)
def test_graphs_that_have_no_mean_are_refused(tmp_path: Path, name: str) -> None:
    """Different types, columns or tasks: said, and nothing is written."""
    first, second, more, words = UNLIKE[name]
    (tmp_path / "a.onnx").write_bytes(first)
    (tmp_path / "b.onnx").write_bytes(second)
    rows = pd.DataFrame({"a": [0.5, 1.5] * 20, "y": [1.0, 2.0] * 20})
    with pytest.raises(InputError, match=words):
        built(tmp_path, f'source = ["a.onnx", "b.onnx"]\n{more}', rows, label='"y"')
    assert list(tmp_path.glob("*.candidate")) == []


def test_a_list_of_other_sources_is_refused(tmp_path: Path) -> None:
    """Estimators are held together by scikit-learn itself."""
    with pytest.raises(InputError, match=r"a list of a.onnx, b.joblib") as refused:
        built(tmp_path, 'source = ["a.onnx", "b.joblib"]', tumours(), label='"target"')
    assert "VotingClassifier" in refused.value.hint


def test_weights_of_one_model_are_refused(tmp_path: Path) -> None:
    """They would be forgotten otherwise."""
    with pytest.raises(InputError, match="weights of a single model"):
        built(tmp_path, 'source = "a.onnx"\nweights = [1, 2]', tumours(), label='"target"')


def test_a_given_detector_and_a_given_transformer(tmp_path: Path) -> None:
    """Without a label: 1 or -1 with a score, or a table of values."""
    rows = flowers()
    exported(IsolationForest(n_estimators=5, random_state=0).fit(rows[IRIS]), IRIS, tmp_path / "a.onnx")
    exported(StandardScaler().fit(rows[IRIS]), IRIS, tmp_path / "b.onnx")

    assert built(tmp_path, 'source = "a.onnx"', rows)[0].task == "anomaly"
    (tmp_path / "m-1.candidate").unlink()
    assert built(tmp_path, 'source = "b.onnx"', rows)[0].task == "transform"


def test_given_probabilities_of_several_labels() -> None:
    """A table of probabilities for labels of 0 and 1 is multilabel; for other values it is a regression."""
    rows = pd.DataFrame({"a": [0.2, 0.7] * 20, "x": [0, 1] * 20, "y": [1, 0] * 20, "z": [0.5, 3.0] * 20})
    found = given(linear("a", width=2), rows, ["x", "y"])
    got = answers(found, rows)

    assert (found.signature.task, found.signature.classes) == ("multilabel", ("x", "y"))
    np.testing.assert_array_equal(got[found.signature.label_output][:2], [[0, 0], [1, 1]])
    assert given(linear("a", width=2), rows, ["x", "z"]).signature.task == "regression"
    with pytest.raises(InputError, match="does not hold probabilities"):
        given(linear("z", width=2), rows, ["x", "y"])


def test_a_given_classifier_needs_its_label() -> None:
    """The classes are in the label column; without one nobody knows them."""
    rows = pd.DataFrame({"a": [0.2, 0.7] * 20})
    with pytest.raises(InputError, match="a classifier without a label"):
        given(linear("a", width=2, labelled=True), rows, ())


def test_a_threshold_is_for_two_classes() -> None:
    """Where there are three there is nothing to cut."""
    with pytest.raises(InputError, match="a threshold for a multiclass model"):
        given((TORCH / "iris.onnx").read_bytes(), flowers(), "target", features=IRIS, threshold=0.3)


def test_the_files_are_those_that_torch_made() -> None:
    """They say so themselves."""
    for name in ("breast.onnx", "iris.onnx", "logits.onnx"):
        assert onnx.load(TORCH / name).producer_name == "pytorch"
