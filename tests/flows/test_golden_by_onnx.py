"""The golden set is read and run by ONNX's own tooling, in the layout of its backend tests."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner
from onnx.reference import ReferenceEvaluator

from candidate.flows.building import build
from candidate.flows.showing import unpack
from tests.flows.test_building import NUMBERS, pipeline, spec, table

Arrays = list[NDArray[Any]]
Run = Callable[[Path, dict[str, NDArray[Any]]], Arrays]


def by_reference(model: Path, feeds: dict[str, NDArray[Any]]) -> Arrays:
    """ONNX's own evaluator, in plain numpy."""
    found: Arrays = ReferenceEvaluator(str(model)).run(None, feeds)  # type: ignore[assignment]
    return found


def by_runtime(model: Path, feeds: dict[str, NDArray[Any]]) -> Arrays:
    """ONNX Runtime, as anybody would call it."""
    found: Arrays = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"]).run(None, feeds)
    return found


@pytest.fixture(params=["tiny", "pipeline"])
def tree(request: pytest.FixtureRequest, tmp_path: Path, bundle_path: Path) -> Path:
    """An unpacked bundle: the small one, or a pipeline that was built just now, with text and holes."""
    bundle = bundle_path
    if request.param == "pipeline":
        rows = table(600)
        rows.to_parquet(tmp_path / "train.parquet", index=False)
        bundle = Path(build(spec(), model=pipeline(rows), root=tmp_path, out=tmp_path).path)
    unpack(bundle, tmp_path / "tree")
    return tmp_path / "tree"


@pytest.fixture
def case(tree: Path, tmp_path: Path) -> Path:
    """The same as ONNX lays out a backend test: ``model.onnx`` beside ``test_data_set_0``."""
    folder = tmp_path / "cases" / "simple" / "test_bundle"
    shutil.copytree(tree / "golden" / "test_data_set_0", folder / "test_data_set_0")
    shutil.copy(tree / "model" / "model.onnx", folder / "model.onnx")
    return folder


def golden(folder: Path, kind: str) -> Arrays:
    """The tensors of a test data set, by number, as the backend tests read them."""
    paths = [folder / "test_data_set_0" / f"{kind}_{n}.pb" for n in range(len(list(folder.glob(f"*/{kind}_*.pb"))))]
    return [numpy_helper.to_array(onnx.load_tensor(str(path))) for path in paths]


def test_the_loader_of_the_backend_tests_finds_it(case: Path) -> None:
    """One test case, whose model ONNX's checker accepts."""
    (found,) = load_model_tests(data_dir=str(case.parent.parent), kind="simple")
    assert (found.name, found.model_dir) == ("test_bundle", str(case))
    onnx.checker.check_model(str(case / "model.onnx"), full_check=True)


@pytest.mark.parametrize("run", [by_reference, by_runtime], ids=["reference", "runtime"])
def test_the_answers_are_the_golden_ones(tree: Path, case: Path, run: Run) -> None:
    """Fed in the graph's order, answered within the tolerance that the bundle states; a changed answer is not."""
    graph = onnx.load(str(case / "model.onnx")).graph
    tolerance = json.loads((tree / "golden" / "tolerance.json").read_bytes())
    inputs, outputs = golden(case, "input"), golden(case, "output")
    feeds = {value.name: array for value, array in zip(graph.input, inputs, strict=True)}
    answers = run(case / "model.onnx", feeds)
    rtol, atol = tolerance["relative"], tolerance["absolute"]

    assert len(answers) == len(outputs) == len(graph.output)
    assert {len(array) for array in inputs} == {tolerance["rows"]}
    Runner.assert_similar_outputs(outputs, answers, rtol=rtol, atol=atol)
    spoiled = [array + 1 if array.dtype.kind in "fi" else array for array in outputs]
    with pytest.raises(AssertionError):
        Runner.assert_similar_outputs(spoiled, answers, rtol=rtol, atol=atol)


def test_the_pipelines_golden_rows_have_text_and_holes(tmp_path: Path) -> None:
    """What is hard to carry is carried: a city's name and a missing age."""
    rows = table(600)
    rows.to_parquet(tmp_path / "train.parquet", index=False)
    unpack(build(spec(), model=pipeline(rows), root=tmp_path, out=tmp_path).path, tmp_path / "tree")
    arrays = golden(tmp_path / "tree" / "golden", "input")

    assert len(arrays) == len([*NUMBERS, "city"])
    assert any(array.dtype.kind == "f" and np.isnan(array).any() for array in arrays)
    assert any(array.dtype.kind in "OU" for array in arrays)
