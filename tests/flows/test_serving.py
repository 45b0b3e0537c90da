"""Serving: rows in any form get the pipeline's answers, and what does not fit is named by row and field."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

import candidate
from candidate.adapters.attest import Signer
from candidate.documents.spec import BuildSpec
from candidate.errors import CandidateError, InputError, UnavailableError
from candidate.flows.building import build
from candidate.flows.predicting import predict
from candidate.flows.serving import Model, Predictions, ServingLog, load

SPEC = """
[bundle]
name = "small"
version = "1"
[model]
source = "memory:model"
[data]
train = "rows.parquet"
label = "late"
[data.columns.distance]
unit = "mile"
minimum = 0
maximum = 5000
[data.columns.note]
categories = ["a", "b", "c"]
description = "of the clerk"
"""
FEATURES = ["distance", "city", "seats", "delay", "direct", "note"]


@dataclass(frozen=True)
class World:
    """A bundle, the rows and the pipeline it came from."""

    path: Path
    rows: pd.DataFrame
    model: Pipeline
    key: str

    def open(self, **named: Any) -> Model:
        """Verify and load it."""
        return load(self.path, public_key=self.key, replay=False, **named)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, builder: Signer) -> World:
    """Numbers that may be missing, whole numbers, text the encoder knows all of, truth values."""
    root = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(5)
    rows = pd.DataFrame(
        {
            "distance": rng.uniform(1, 4000, 2000).round(1),
            "city": rng.choice(["oslo", "bergen", "tromso"], 2000),
            "seats": rng.integers(1 << 40, (1 << 40) + 50, 2000),
            "delay": np.where(rng.random(2000) < 0.1, np.nan, rng.normal(size=2000)),
            "direct": rng.random(2000) < 0.5,
            "note": rng.choice(["a", "b"], 2000),
        }
    )
    rows["late"] = (rng.random(2000) < 1 / (1 + np.exp(-rows["delay"].fillna(0)))).astype("int64")
    rows.to_parquet(root / "rows.parquet", index=False)
    prepare = ColumnTransformer(
        [
            ("city", OneHotEncoder(sparse_output=False), ["city"]),
            ("note", OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["note"]),
            ("seats", OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["seats"]),
            ("numbers", SimpleImputer(), ["distance", "delay"]),
            ("direct", "passthrough", ["direct"]),
        ]
    )
    model = make_pipeline(prepare, LogisticRegression(max_iter=2000)).fit(rows[FEATURES], rows["late"])
    spec = BuildSpec.from_toml(SPEC, where="spec")
    built = build(spec, model=model, root=root, out=root, signer=builder)
    return World(Path(built.path), rows, model, builder.public_pem)


@pytest.fixture(scope="module")
def model(world: World) -> Iterator[Model]:
    """The bundle, open."""
    with world.open() as opened:
        yield opened


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON has them."""
    found: list[dict[str, Any]] = json.loads(frame[FEATURES].to_json(orient="records"))
    return found


FORMS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "records": records,
    "records of NumPy": lambda frame: [dict(zip(FEATURES, row, strict=True)) for row in frame[FEATURES].to_numpy()],
    "generator": lambda frame: iter(records(frame)),
    "lines": lambda frame: frame[FEATURES].to_json(orient="records", lines=True),
    "lines in bytes": lambda frame: frame[FEATURES].to_json(orient="records", lines=True).encode(),
    "list of lines": lambda frame: [json.dumps(record) for record in records(frame)],
    "pandas": lambda frame: frame[FEATURES],
    "pandas, other order, more columns": lambda frame: frame[["late", *reversed(FEATURES)]],
    "pandas categories": lambda frame: frame[FEATURES].astype({"city": "category"}),
    "polars": lambda frame: pl.from_pandas(frame[FEATURES]),
    "polars, lazy": lambda frame: pl.from_pandas(frame[FEATURES]).lazy(),
    "arrow": lambda frame: pa.Table.from_pandas(frame[FEATURES]),
    "arrow batch": lambda frame: pa.RecordBatch.from_pandas(frame[FEATURES]),
    "columns": lambda frame: {name: frame[name].to_numpy() for name in FEATURES},
    "columns of lists": lambda frame: {name: frame[name].tolist() for name in FEATURES},
    "array with names": lambda frame: frame[FEATURES].astype({"city": "U9", "note": "U9"}).to_records(index=False),
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_in_any_form_get_the_same_answers(world: World, model: Model, form: str) -> None:
    """The pipeline's own label and probability for each row, in order, whatever the rows came in."""
    frame = world.rows.head(500)
    found = model.predict(FORMS[form](frame))

    assert isinstance(found, Predictions)
    assert len(found) == 500
    np.testing.assert_array_equal(found.predictions, world.model.predict(frame[FEATURES]))
    assert found.scores is not None
    np.testing.assert_allclose(found.scores, world.model.predict_proba(frame[FEATURES])[:, 1], atol=1e-6)
    assert list(found)[7] == found[7]
    assert found.to_pandas()["score"].tolist() == found.to_arrow()["score"].to_pylist()
    assert [answer["score"] for answer in found[3:5]] == found.scores[3:5].tolist()


def test_one_record_gets_one_answer(world: World, model: Model) -> None:
    """A dict in, a dict out, and the same numbers as in a batch; missing may be None, NaN or NumPy's NaN."""
    batch = model.predict(world.rows.head(20))
    for number, record in enumerate(records(world.rows.head(20))):
        answer = model.predict(record)
        assert answer["prediction"] == batch[number]["prediction"]
        assert answer["score"] == pytest.approx(batch[number]["score"], abs=1e-7)
        assert type(answer["prediction"]) is int
    record = records(world.rows)[0]
    answers = [
        model.predict({**record, "delay": missing})["score"] for missing in (None, float("nan"), np.float32("nan"))
    ]
    assert len(set(answers)) == 1


def test_batches_are_no_matter(world: World, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same answers in batches of any size, and none for no rows."""
    whole = model.predict(world.rows)
    monkeypatch.setattr("candidate.flows.serving.model.BATCH_ROWS", 7)
    monkeypatch.setattr("candidate.flows.serving.model.READ_ROWS", 30)
    parts, each = model.predict(world.rows), model.predict(records(world.rows))
    np.testing.assert_array_equal(whole.predictions, parts.predictions)
    assert whole.scores is not None
    assert parts.scores is not None
    assert each.scores is not None
    np.testing.assert_allclose(whole.scores, parts.scores, atol=1e-7)
    np.testing.assert_allclose(whole.scores, each.scores, atol=1e-7)
    nothings: tuple[Any, ...] = (
        world.rows.head(0),
        [],
        "",
        pa.Table.from_pandas(world.rows.head(0)),
        {name: [] for name in FEATURES},
    )
    for nothing in nothings:
        assert len(model.predict(nothing)) == 0


def bad(frame: pd.DataFrame, row: int, name: str, value: Any) -> pd.DataFrame:
    """Rows with one value replaced."""
    other = frame[FEATURES].astype(object).copy()
    other.loc[row, name] = value
    return other


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("distance", -1.0, "-1.0 is less than 0"),
        ("distance", 5001.0, "5001.0 is more than 5000"),
        ("distance", None, "missing value"),
        ("distance", float("inf"), "more than 5000"),
        ("delay", float("inf"), "infinite, or beyond what float32 holds"),
        ("delay", 1e39, "infinite, or beyond what float32 holds"),
        ("city", "olso", "none of the 3 values that the model knows; did you mean 'oslo'"),
        ("city", None, "missing value"),
        ("note", "d", "none of the 3 values"),
        ("seats", 1.5, "1.5 is no integer"),
        ("seats", 1 << 63, "is beyond int64"),
        ("direct", 1, "1 is no boolean"),
        ("delay", "late", "'late' is no number"),
        ("delay", True, "True is no number"),
        ("city", 3, "3 is no string"),
        ("delay", [1], "is no number"),
    ],
)
def test_a_value_that_does_not_fit_is_named(world: World, model: Model, name: str, value: Any, says: str) -> None:
    """As one record, and in the middle of many: which row, which field, what of it."""
    frame = world.rows.head(30)
    record = {**records(frame)[0], name: value}
    with pytest.raises(InputError) as alone:
        model.predict(record)
    many = [*records(frame)[:17], record, *records(frame)[:3]]
    with pytest.raises(InputError) as among:
        model.predict(many)

    assert says in alone.value.message
    assert alone.value.where == f"record, column {name}, row 0"
    assert says in among.value.message
    assert among.value.where == f"rows, column {name}, row 17"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("distance", -1.0, "-1.0 is less than 0"),
        ("distance", np.nan, "missing value"),
        ("delay", np.inf, "infinite"),
        ("city", "olso", "did you mean 'oslo'"),
        ("city", None, "missing value"),
        ("seats", np.nan, "missing value"),
        ("seats", 0.5, "0.5 is no integer"),
    ],
)
def test_a_table_is_held_to_the_same(world: World, model: Model, name: str, value: Any, says: str) -> None:
    """Column and row of the value, in whichever batch it is."""
    frame = world.rows.copy()
    if name == "seats":
        frame["seats"] = frame["seats"].astype(float)
    frame.loc[1234, name] = value
    with pytest.raises(InputError) as refused:
        model.predict(frame)
    assert says in refused.value.message
    assert refused.value.where == f"rows, column {name}, row 1234"


def test_every_violation_is_named_and_beyond_twenty_counted(world: World, model: Model) -> None:
    """Whoever mends a file wants the list; a list of thousands helps nobody."""
    frame = world.rows.head(100).copy()
    frame.loc[[3, 50], "distance"] = -1.0
    frame.loc[60, "city"] = "nowhere"
    for rows in (frame, records(frame)):
        with pytest.raises(InputError) as refused:
            model.predict(rows)
        said = f"{refused.value.where}; {refused.value.message}"
        assert all(f"row {row}" in said for row in (3, 50, 60)), said
        assert "more" not in said.replace("more than", "")
    frame["distance"] = -1.0
    with pytest.raises(InputError, match="and 81 more"):
        model.predict(frame)


def test_what_is_missing_or_too_much_is_named(world: World, model: Model) -> None:
    """A field that is not there, with the one that was perhaps meant; one that no model has."""
    record = records(world.rows)[0]
    less = {("distanse" if name == "distance" else name): value for name, value in record.items()}
    with pytest.raises(InputError) as refused:
        model.predict(less)
    assert "is no feature of this model" in refused.value.message
    assert "is missing; is it 'distanse'?" in refused.value.message
    with pytest.raises(InputError, match="no column 'city'"):
        model.predict(world.rows.drop(columns="city"))
    with pytest.raises(InputError, match="holds double, the model takes string"):
        model.predict(world.rows.assign(city=1.5))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (3, "int holds no rows"),
        ([1, 2], "list holds no rows"),
        (np.zeros((3, 2)), "an array of shape"),
        ("{not json", "not JSON"),
        ("[1]", "a list, not an object"),
        ({"distance": [1, 2], "city": ["oslo"]}, "cannot be read"),
    ],
    ids=["number", "list of numbers", "array", "no JSON", "no object", "columns of two lengths"],
)
def test_what_is_no_rows_is_said(model: Model, rows: Any, says: str) -> None:
    """With what would be."""
    with pytest.raises(InputError, match=says):
        model.predict(rows)


def test_the_schema_says_what_is_enforced_and_what_was_seen(model: Model) -> None:
    """Declared bounds, categories and units; the encoder's own categories; what training saw, for people."""
    said = model.input_schema["properties"]
    assert said["distance"] == {
        "type": "number",
        "minimum": 0,
        "maximum": 5000,
        "x-unit": "mile",
        "x-observed": said["distance"]["x-observed"],
    }
    assert said["city"]["enum"] == ["bergen", "oslo", "tromso"]
    assert said["note"]["enum"] == ["a", "b", "c"]
    assert said["note"]["x-observed"] == {"distinct": 2, "values": ["a", "b"]}
    assert "enum" not in said["seats"], "its encoder ignores what it does not know"
    assert said["delay"]["type"] == ["number", "null"]
    assert said["direct"] == {"type": "boolean"}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("[data.columns.distanse]\nunit = 'mile'", "'distanse' is no feature"),
        ("[data.columns.city]\nminimum = 1", "minimum of a string"),
        ("[data.columns.delay]\nminimum = 2\nmaximum = 1", "minimum above maximum"),
        ("[data.columns.delay]\ncategories = ['x']", "categories that are not of a number"),
        ("[data.columns.city]\ncategories = []", "categories that are not of a string"),
        ("[data.columns.delay]\nminimum = 0", "is less than 0"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(world: World, tmp_path: Path, more: str, says: str) -> None:
    """Of no feature, of the wrong type, or one that the training rows themselves break."""
    (tmp_path / "rows.parquet").write_bytes((world.path.parent / "rows.parquet").read_bytes())
    spec = BuildSpec.from_toml(SPEC.partition("[data.columns")[0] + more, where="spec")
    with pytest.raises(InputError, match=says):
        build(spec, model=world.model, root=tmp_path, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_threads_share_a_model(world: World) -> None:
    """Loaded once, and each thread gets its own answers."""
    expected = world.model.predict_proba(world.rows[FEATURES])[:, 1]
    wrong: list[int] = []
    with world.open() as shared:

        def ask(start: int) -> None:
            for number in range(start, start + 40):
                answer = shared.predict(records(world.rows.iloc[[number]])[0])
                if abs(answer["score"] - expected[number]) > 1e-6:
                    wrong.append(number)

        threads = [threading.Thread(target=ask, args=(40 * number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_what_is_served_is_written_down(world: World, tmp_path: Path) -> None:
    """A line for each row: what was asked, what was answered, by which bundle, under which name."""
    with (
        ServingLog(tmp_path / "served.jsonl", clock=lambda: "2026-11-01T12:00:00.000000Z") as log,
        world.open(log=log) as model,
    ):
        one = model.predict(records(world.rows)[0], ids=["first"])
        model.predict(world.rows.head(3), ids=np.array([7, 8, 9]))
        with pytest.raises(CandidateError):
            model.predict({**records(world.rows)[0], "distance": -1})
    lines = [json.loads(line) for line in (tmp_path / "served.jsonl").read_text().splitlines()]

    assert [line["id"] for line in lines] == ["first", 7, 8, 9]
    assert lines[0] == {
        "kind": "candidate.served",
        "version": 1,
        "time": "2026-11-01T12:00:00.000000Z",
        "bundle": model.digest,
        "id": "first",
        "features": records(world.rows)[0],
        **one,
    }
    with pytest.raises(InputError, match="cannot be written to"):
        ServingLog(tmp_path / "no" / "folder.jsonl")
    full = ServingLog(Path("/dev/full"))
    with pytest.raises(UnavailableError, match="No space"):
        full.write("x", [{}], [{}])
    full.close()


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_a_file_is_predicted_into_any_format(world: World, tmp_path: Path, suffix: str) -> None:
    """Kept columns beside the answers, in order; the log joins by the first of them; from any format too."""
    frame = world.rows[FEATURES].head(300).assign(flight=np.arange(300))
    write = {".parquet": frame.to_parquet, ".csv": frame.to_csv, ".jsonl": None}[suffix]
    source, out = tmp_path / f"rows{suffix}", tmp_path / f"out{suffix}"
    if write is None:
        frame.to_json(source, orient="records", lines=True)
    else:
        write(source, index=False)
    done = predict(world.path, source, out=out, keep=("flight",), log=tmp_path / "served.jsonl")
    read: dict[str, Any] = {
        ".parquet": pd.read_parquet,
        ".csv": pd.read_csv,
        ".jsonl": lambda path: pd.read_json(path, lines=True),
    }
    found = read[suffix](out)

    assert done.rows == 300
    assert found.columns.tolist() == ["flight", "prediction", "score"]
    assert found["flight"].tolist() == list(range(300))
    np.testing.assert_allclose(found["score"], world.model.predict_proba(frame[FEATURES])[:, 1], atol=1e-5)
    ids = [json.loads(line)["id"] for line in (tmp_path / "served.jsonl").read_text().splitlines()]
    assert ids == list(range(300))


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ({"out": "out.xlsx"}, "no rows are written to '.xlsx'"),
        ({"keep": ("flite",)}, "no column 'flite' to keep"),
        ({"keep": ("score",)}, "is what an answer is called"),
    ],
    ids=["format", "no column", "taken"],
)
def test_what_cannot_be_written_is_refused_first(
    world: World, tmp_path: Path, named: dict[str, Any], says: str
) -> None:
    """Before a row is predicted, and nothing is left."""
    source = tmp_path / "rows.parquet"
    world.rows.assign(score=1).to_parquet(source)
    out = tmp_path / str(named.pop("out", "out.parquet"))
    with pytest.raises(InputError, match=says):
        predict(world.path, source, out=out, **named)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_several_scores_a_row(tmp_path: Path) -> None:
    """A model of three classes gives a probability for each, in their order; CSV has no lists, and says so."""
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({"x": rng.normal(size=600), "y": rng.normal(size=600)})
    rows["kind"] = np.where(rows["x"] > 0.5, "up", np.where(rows["x"] < -0.5, "down", "flat"))
    rows.to_parquet(tmp_path / "rows.parquet", index=False)
    fitted = RandomForestClassifier(10, random_state=0, max_depth=3).fit(rows[["x", "y"]], rows["kind"])
    text = SPEC.partition("[data.columns")[0].replace('"late"', '"kind"')
    built = build(BuildSpec.from_toml(text, where="spec"), model=fitted, root=tmp_path, out=tmp_path)
    done = predict(built.path, tmp_path / "rows.parquet", out=tmp_path / "out.parquet")
    found = pd.read_parquet(tmp_path / "out.parquet")
    assert done.rows == 600
    np.testing.assert_allclose(np.stack(list(found["scores"])), fitted.predict_proba(rows[["x", "y"]]), atol=1e-6)
    with pytest.raises(InputError, match=r"cannot be written as \.csv") as refused:
        predict(built.path, tmp_path / "rows.parquet", out=tmp_path / "out.csv")
    assert "several values a row" in refused.value.hint
    assert not (tmp_path / "out.csv").exists()


def test_serving_needs_the_base_install_only(world: World) -> None:
    """One record and a batch of records, with no pandas, polars or scikit-learn imported."""
    code = f"""
import sys, candidate
model = candidate.load({str(world.path)!r}, public_key={world.key!r}, replay=False)
record = {records(world.rows)[0]!r}
answer = model.predict(record)
assert abs(model.predict([record] * 3)[2]["score"] - answer["score"]) < 1e-6
print(sorted({{"pandas", "polars", "sklearn", "skl2onnx", "onnx", "scipy", "matplotlib"}} & set(sys.modules)))
"""
    code = code.replace("null", "None")
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names(world: World) -> None:
    """``candidate.load`` is what serves."""
    assert candidate.load is load
    assert isinstance(world.open(), candidate.Model)
