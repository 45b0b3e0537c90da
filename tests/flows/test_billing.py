"""The bill of materials: valid for other people's tools, true, and the same whenever it is made."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from candidate.adapters.archive import Archive
from candidate.adapters.provenance import lock_text
from candidate.documents.manifest import ExperimentRecord, ModelSignature
from candidate.documents.names import MLBOM_PATH
from candidate.documents.spec import BuildSpec
from candidate.flows.billing import SPDX_IDS, bill_of_materials
from candidate.flows.building import build
from candidate.flows.inspecting import inspect
from tests.bundles import tiny_recipe, tiny_signature
from tests.flows.test_recording import recorded, spec

MODEL = "sha256:" + "b" * 64
SPEC = """
[bundle]
name = "small"
version = "1.2.0"
licenses = ["MIT", "LicenseRef-Ours", "Whatever I Like"]
[model]
source = "models.py:FITTED"
[data]
train = "train.parquet"
label = "y"
"""


def problem(bill: bytes) -> str | None:
    """What CycloneDX's own schema, in its strict form, has against a document."""
    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.decode())
    return None if found is None else repr(found)


def bill_of(record: ExperimentRecord, *, made: BuildSpec | None = None, **more: Any) -> bytes:
    """The bill of a small model."""
    signature: ModelSignature = more.pop("signature", tiny_signature())
    extra = {"lock": lock_text(), "ops": ("Gemm", "ai.onnx.ml.Scaler", "ai.onnx.ml.LinearClassifier"), **more}
    return bill_of_materials(spec() if made is None else made, signature, record, MODEL, **extra)


def test_the_validator_itself_refuses_what_it_should(tmp_path: Path) -> None:
    """One unknown field, and one value that no model card has."""
    bill = json.loads(bill_of(recorded(tmp_path)))

    assert problem(json.dumps({**bill, "colour": "red"}).encode()) is not None
    bill["metadata"]["component"]["modelCard"]["modelParameters"]["approach"]["type"] = "lucky"
    assert problem(json.dumps(bill).encode()) is not None


def test_the_bill_names_the_model_its_data_and_its_libraries(tmp_path: Path) -> None:
    """Valid CycloneDX 1.6 with hashes and package URLs; no serial number and no clock, so it can be made again."""
    record = recorded(tmp_path)
    made = bill_of(record)
    bill = json.loads(made)
    model: dict[str, Any] = bill["metadata"]["component"]
    data, *libraries = bill["components"]
    parameters = model["modelCard"]["modelParameters"]
    locked = dict(line.split("==") for line in lock_text().splitlines())

    assert problem(made) is None
    assert made == bill_of(record)
    assert not {"serialNumber", "timestamp"} & (bill.keys() | bill["metadata"].keys())
    assert (model["type"], model["name"], model["version"]) == ("machine-learning-model", "small", "2.0")
    assert model["hashes"] == [{"alg": "SHA-256", "content": "b" * 64}]
    assert model["purl"] == f"pkg:generic/small@2.0?checksum={MODEL}"
    assert model["licenses"] == [{"license": {"id": "MIT"}}, {"license": {"name": "LicenseRef-Ours"}}]
    assert (parameters["task"], parameters["architectureFamily"]) == ("classification", "linear model")
    assert parameters["inputs"][0] == {"format": "age: float32 (batch, 1)"}
    assert parameters["datasets"] == [{"ref": data["bom-ref"]}]
    assert "quantitativeAnalysis" not in model["modelCard"]
    assert (data["name"], data["hashes"][0]["content"]) == ("monday", "a" * 64)
    assert {part["name"]: part["version"] for part in libraries} == locked
    assert {part["purl"] for part in libraries} >= {f"pkg:pypi/numpy@{np.__version__}"}
    assert bill["dependencies"] == [{"ref": "model", "dependsOn": [part["bom-ref"] for part in bill["components"]]}]


def test_the_bill_says_no_more_than_is_known(tmp_path: Path) -> None:
    """A regression, a graph of arithmetic, no licence, no description, no snapshot, a local version: still valid."""
    text = spec().model_copy(
        update={
            "bundle": spec().bundle.model_copy(update={"licenses": (), "description": ""}),
            "data": spec().data.model_copy(update={"snapshot": None}),
        }
    )
    value = tiny_signature().model_copy(update={"task": "regression", "classes": (), "positive": None})
    record = recorded(tmp_path).model_copy(update={"libraries": {}})
    made = bill_of(record, made=text, signature=value, ops=("Gemm",), lock="torch==2.9.1+cpu\n")
    bill = json.loads(made)
    model = bill["metadata"]["component"]

    assert problem(made) is None
    assert model["modelCard"]["modelParameters"]["task"] == "regression"
    assert not {"licenses", "description"} & model.keys()
    assert not {"architectureFamily", "modelArchitecture"} & model["modelCard"]["modelParameters"].keys()
    assert "tools" not in bill["metadata"]
    assert bill["components"][0]["name"] == "rows.parquet"
    assert bill["components"][1]["purl"] == "pkg:pypi/torch@2.9.1%2Bcpu"


def test_two_kinds_of_model_in_one_graph_are_not_called_one(tmp_path: Path) -> None:
    """A stack of trees and a line has no one family."""
    both = bill_of(recorded(tmp_path), ops=("ai.onnx.ml.TreeEnsembleClassifier", "ai.onnx.ml.LinearClassifier"))

    assert "architectureFamily" not in json.loads(both)["metadata"]["component"]["modelCard"]["modelParameters"]


def test_every_licence_that_goes_by_id_is_known_to_the_format() -> None:
    """An id that SPDX does not have would make the bill invalid."""
    text = (resources.files("cyclonedx.schema._res") / "spdx.SNAPSHOT.schema.json").read_text()

    assert set(json.loads(text)["enum"]) >= SPDX_IDS


@pytest.mark.parametrize("kind", ["pipeline", "forest", "regression"])
def test_the_bill_of_what_was_built_is_valid(tmp_path: Path, kind: str) -> None:
    """Classifier, trees and regression, as they leave the builder, with the estimator's own name."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(400, 2)).astype("float32"), columns=["a", "b"])
    rows["y"] = rows["a"] * 2 if kind == "regression" else (rows["a"] > 0).astype("int64")
    rows.to_parquet(tmp_path / "train.parquet", index=False)
    models = {
        "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
        "forest": RandomForestClassifier(n_estimators=3, max_depth=2, random_state=0),
        "regression": LinearRegression(),
    }
    fitted = models[kind].fit(rows[["a", "b"]], rows["y"])
    built = build(BuildSpec.from_toml(SPEC, where="x"), model=fitted, root=tmp_path, out=tmp_path)
    with Archive.open(Path(built.path)) as archive:
        made = inspect(archive).read(MLBOM_PATH)
    parameters = json.loads(made)["metadata"]["component"]["modelCard"]["modelParameters"]
    expected = {
        "pipeline": ("classification", "linear model", "LogisticRegression"),
        "forest": ("classification", "decision trees", "RandomForestClassifier"),
        "regression": ("regression", "linear model", "LinearRegression"),
    }

    assert problem(made) is None
    assert (parameters["task"], parameters["architectureFamily"], parameters["modelArchitecture"]) == expected[kind]


def test_the_small_bundle_of_the_tests_has_a_valid_bill() -> None:
    """Whatever stands for a bundle elsewhere is one in this too."""
    assert problem(tiny_recipe().members[MLBOM_PATH][1]) is None
