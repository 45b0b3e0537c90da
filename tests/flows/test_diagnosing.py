"""A planted weakness is named, bias and variance are told apart, and a sheet of errors goes out and comes back."""

import csv
import io
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.tree import DecisionTreeClassifier

from candidate.cli.app import run
from candidate.documents.diagnosed import Diagnosis
from candidate.documents.spec import BuildSpec
from candidate.errors import InputError
from candidate.flows.building import build
from candidate.flows.diagnosing import diagnose
from candidate.report.diagnosed import diagnosis_text

SPEC = """
[bundle]
name = "{name}"
version = "1"
[model]
source = "{name}.joblib"
[data]
train = "train.parquet"
label = "{label}"
unit = "user"
features = ["x", "z"]
[experiment]
seeds = {{ numpy = 1 }}
"""


def people(seed: int, rows: int) -> pd.DataFrame:
    """Rows of which those in narvik are labelled by chance, which no feature says."""
    rng = np.random.default_rng(seed)
    found = pd.DataFrame({"x": rng.normal(size=rows), "z": rng.normal(size=rows)})
    found["city"] = rng.choice(["oslo", "bergen", "narvik"], rows, p=[0.5, 0.3, 0.2])
    found["note"] = [f"note {number}" for number in range(rows)]
    found["user"] = np.arange(rows)
    clear = 1 / (1 + np.exp(-4 * found["x"]))
    found["late"] = (rng.random(rows) < np.where(found["city"] == "narvik", 0.5, clear)).astype("int64")
    found["kind"] = np.where(found["x"] > 0.5, "long", np.where(found["x"] < -0.5, "short", "middle"))
    found["delay"] = 3 * found["x"] + rng.normal(size=rows) * np.where(found["city"] == "narvik", 4, 1)
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles of several models, training rows and eyeball rows."""
    root = tmp_path_factory.mktemp("diagnosed")
    train = people(1, 2500)
    train.to_parquet(root / "train.parquet", index=False)
    people(2, 4000).to_parquet(root / "eyeball.parquet", index=False)
    features = train[["x", "z"]]
    models: dict[str, tuple[str, Any]] = {
        "fair": ("late", LogisticRegression().fit(features, train["late"])),
        "heart": ("late", DecisionTreeClassifier(random_state=0).fit(features, train["late"])),
        "blind": ("late", LogisticRegression(C=1e-9).fit(features, train["late"])),
        "kinds": ("kind", LogisticRegression().fit(features, train["kind"])),
        "number": ("delay", Ridge().fit(features, train["delay"])),
    }
    for name, (label, model) in models.items():
        joblib.dump(model, root / f"{name}.joblib")
        spec = BuildSpec.from_toml(SPEC.format(name=name, label=label), where="spec")
        build(spec, root=root, out=root)
    return root


def looked(made: Path, name: str = "fair", **other: Any) -> Diagnosis:
    """The diagnosis of one of the models."""
    return diagnose(made / f"{name}-1.candidate", data=made / "eyeball.parquet", **other)


def test_the_rows_that_nothing_explains_are_named(made: Path) -> None:
    """The column is none of the model's; what rows are called is left alone."""
    found = looked(made)

    assert found.groups[0].name == "city=narvik"
    assert found.groups[0].reducible > 0.25
    assert 0 < found.groups[0].reducible_at_least < found.groups[0].reducible
    assert not [group for group in found.groups if "note" in group.name or "user" in group.name]
    assert {(each.name, each.passed) for each in found.controls} == {
        (name, True) for name in ("labels shuffled", "answers differ", "weights finite", "answers finite")
    }
    assert "look first at city=narvik" in diagnosis_text(found)
    assert found.reading == "unknown"


@pytest.mark.parametrize(("name", "reading"), [("heart", "variance"), ("blind", "bias"), ("number", "neither")])
def test_bias_and_variance_are_told_apart(made: Path, name: str, reading: str) -> None:
    """One that learnt by heart, one that learnt nothing, one that learnt what there is."""
    found = looked(made, name, train=made / "train.parquet")

    assert found.reading == reading, found.says
    assert found.says.startswith(reading)
    assert found.train is not None
    assert found.train.rows == 2500


@pytest.mark.parametrize(("name", "loss"), [("kinds", "log loss"), ("number", "absolute error")])
def test_every_task_is_looked_at(made: Path, name: str, loss: str) -> None:
    """Classes by their log loss, numbers by how far they are off; a constant answer loses more."""
    found = looked(made, name, train=made / "train.parquet")

    assert found.loss == loss
    assert found.eyeball.value < found.zero_rule
    assert (found.errors is None) == (name == "number")
    if name == "number":
        assert found.groups[0].name == "city=narvik"


def test_errors_go_out_to_be_annotated_and_come_back(made: Path, tmp_path: Path) -> None:
    """A hundred of them, drawn by chance and the same each time; causes are counted with their bounds."""
    sheet, again = tmp_path / "errors.csv", tmp_path / "again.csv"
    found = looked(made, sheet=sheet)
    looked(made, sheet=again)
    lines = list(csv.DictReader(io.StringIO(sheet.read_text())))

    assert sheet.read_bytes() == again.read_bytes()
    assert len(lines) == 100
    assert all(line["truth"] != line["answer"] and line["cause"] == "" for line in lines)
    assert {line["city"] for line in lines if line["group"] == "city=narvik"} == {"narvik"}
    for number, line in enumerate(lines[:40]):
        line["cause"] = "label; weather" if number < 10 else "label" if number < 30 else " "
    with sheet.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    counted = looked(made, annotated=sheet)
    assert counted.annotated == 30
    assert [(each.name, each.count) for each in counted.causes] == [("label", 30), ("weather", 10)]
    assert counted.causes[1].lower < 1 / 3 < counted.causes[1].upper
    assert "30 errors have a cause" in diagnosis_text(counted)
    assert f"wrote {sheet}" in diagnosis_text(found)


def test_what_cannot_be_diagnosed_is_refused(made: Path, tmp_path: Path) -> None:
    """A sheet that is there, one that is none, rows without the label, rows without rows."""
    (tmp_path / "there.csv").write_text("x\n1\n")
    with pytest.raises(InputError, match="exists already"):
        looked(made, sheet=tmp_path / "there.csv")
    with pytest.raises(InputError, match="no column 'cause'"):
        looked(made, annotated=tmp_path / "there.csv")
    with pytest.raises(InputError, match="cannot be read"):
        looked(made, annotated=tmp_path / "none.csv")
    with pytest.raises(InputError, match="cannot be written"):
        looked(made, sheet=tmp_path / "no" / "errors.csv")
    rows = people(3, 50)
    rows.drop(columns=["late"]).to_parquet(tmp_path / "bare.parquet")
    rows[:0].to_parquet(tmp_path / "empty.parquet")
    for name, says in (("bare", "no column 'late'"), ("empty", "0 rows")):
        with pytest.raises(InputError, match=says):
            diagnose(made / "fair-1.candidate", data=tmp_path / f"{name}.parquet")


def test_the_command_tells_it(made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As text and as JSON."""
    monkeypatch.chdir(made)
    assert run(["diagnose", "fair-1.candidate", "--data", "eyeball.parquet", "--train", "train.parquet"]) == 0
    assert capsys.readouterr().out.startswith("fair 1 (")
    assert run(["diagnose", "fair-1.candidate", "--data", "eyeball.parquet", "--json"]) == 0
    assert '"kind": "candidate.diagnosis"' in capsys.readouterr().out
