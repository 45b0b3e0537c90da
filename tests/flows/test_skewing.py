"""Training-serving skew: planted in features, answers and distributions, each is found; without any, none is."""

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from candidate.documents.skewed import RowParity, Shift, SkewReport
from candidate.documents.spec import BuildSpec
from candidate.errors import InputError
from candidate.flows.building import build
from candidate.flows.predicting import predict
from candidate.flows.skewing import agreement, skew
from candidate.report.skewed import skew_text

SPEC = """
[bundle]
name = "small"
version = "{version}"
[model]
source = "model.joblib"
[data]
train = "train.parquet"
label = "late"
unit = "user"
features = ["x", "z", "city"]
[experiment]
seeds = {{ numpy = 1 }}
"""


def people(seed: int, rows: int) -> pd.DataFrame:
    """Rows as the model is trained on and asked about."""
    rng = np.random.default_rng(seed)
    found = pd.DataFrame({"x": rng.normal(size=rows), "z": rng.gamma(2.0, 3.0, rows)})
    found["city"] = rng.choice(["oslo", "bergen", "narvik"], rows, p=[0.6, 0.3, 0.1])
    found["user"] = [f"u{seed}-{number}" for number in range(rows)]
    found["late"] = (rng.random(rows) < 1 / (1 + np.exp(-found["x"]))).astype("int64")
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bundles, the rows they were judged on, and a log of what the first served a day later."""
    root = tmp_path_factory.mktemp("served")
    train = people(1, 3000)
    train.to_parquet(root / "train.parquet", index=False)
    people(2, 12_000).to_parquet(root / "judged.parquet", index=False)
    people(3, 5000).to_parquet(root / "day.parquet", index=False)
    encode = ColumnTransformer(
        [("city", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["city"])], remainder="passthrough"
    )
    model = make_pipeline(encode, LogisticRegression()).fit(train[["x", "z", "city"]], train["late"])
    joblib.dump(model, root / "model.joblib")
    for version in ("1", "2"):
        build(BuildSpec.from_toml(SPEC.format(version=version), where="spec"), root=root, out=root)
    for name, rows in (("served.jsonl", "day.parquet"), ("both.jsonl", "day.parquet")):
        predict(root / "small-1.candidate", root / rows, out=root / f"{name}.csv", keep=["user"], log=root / name)
    predict(
        root / "small-2.candidate", root / "day.parquet", out=root / "o.csv", keep=["user"], log=root / "both.jsonl"
    )
    return root


def looked(made: Path, logged: str | Path = "served.jsonl", **other: Any) -> SkewReport:
    """The report on the first bundle."""
    given = {name: made / value if name == "reference" else value for name, value in other.items()}
    return skew(made / "small-1.candidate", logged=made / logged, **given)


def one(report: SkewReport, name: str) -> RowParity | Shift:
    """What is said of one column, answer or feature."""
    found: list[RowParity | Shift] = [each for each in (*report.answers, *report.parity) if each.what == name]
    found += [each for each in report.shifts if each.column == name]
    return found[0]


def test_what_was_served_as_it_should_be_has_no_skew(made: Path) -> None:
    """Every answer is this bundle's, every feature the recomputed one, and nothing shifted."""
    rows = looked(made, reference="day.parquet", row_id="user")
    fresh = looked(made, reference="judged.parquet")

    assert (rows.outcome, rows.logged_rows, rows.joined_rows) == ("pass", 5000, 5000)
    assert {(each.what, each.mismatches) for each in (*rows.answers, *rows.parity)} == {
        (name, 0) for name in ("prediction", "score", "x", "z", "city")
    }
    assert fresh.outcome == "pass"
    assert {each.column for each in fresh.shifts} == {"x", "z", "city", "score"}
    assert skew_text(fresh).startswith("NO SKEW: no disagreement beyond the limit")


def altered(made: Path, tmp_path: Path, change: Any) -> Path:
    """The log with something done to every line."""
    path = tmp_path / "altered.jsonl"
    lines = [json.loads(line) for line in (made / "served.jsonl").read_text().splitlines()]
    path.write_text("".join(json.dumps(change(number, line)) + "\n" for number, line in enumerate(lines)))
    return path


def test_a_feature_that_is_computed_otherwise_is_found_row_by_row(made: Path, tmp_path: Path) -> None:
    """One city in fifty arrives in capitals; ids say which row it is."""

    def capital(number: int, line: dict[str, Any]) -> dict[str, Any]:
        if number % 50 == 7:
            line["features"]["city"] = line["features"]["city"].upper()
        return line

    report = looked(made, altered(made, tmp_path, capital), reference="day.parquet", row_id="user")
    city = one(report, "city")

    assert report.outcome == "fail"
    assert isinstance(city, RowParity)
    assert (city.mismatches, city.rows, city.status) == (100, 5000, "fail")
    assert city.example.startswith("u3-7: ")
    assert {each.status for each in report.parity if each.what != "city"} == {"pass"}
    assert "fail  city: 100 of 5,000 rows disagree" in skew_text(report)


def test_answers_of_another_model_are_found(made: Path, tmp_path: Path) -> None:
    """A log that says nothing of who answered, and scores that are not this bundle's."""

    def other(number: int, line: dict[str, Any]) -> dict[str, Any]:
        return {**line, "bundle": None, "score": line["score"] + 0.001 * (number % 2)}

    report = looked(made, altered(made, tmp_path, other))
    score = one(report, "score")

    assert report.outcome == "fail"
    assert isinstance(score, RowParity)
    assert (score.mismatches, score.rows) == (2500, 5000)


def test_rows_that_another_bundle_answered_are_left_out(made: Path) -> None:
    """They are counted, and told."""
    report = looked(made, "both.jsonl")

    assert (report.logged_rows, report.other_rows, report.outcome) == (5000, 5000, "pass")
    assert "5,000 more by other bundles" in skew_text(report)


@pytest.mark.parametrize("planted", ["unit", "missing", "category"])
def test_a_shift_is_found_and_named(made: Path, tmp_path: Path, planted: str) -> None:
    """Another unit, a source that fails now and then, a city that is new."""
    table = people(4, 4000)
    if planted == "unit":
        table["z"] *= 1.15
    elif planted == "missing":
        table.loc[::10, "x"] = np.nan
        table["x"] = table["x"].fillna(0.0)
    else:
        table.loc[::20, "city"] = "narvik"
    table.to_parquet(tmp_path / "served.parquet", index=False)
    report = looked(made, tmp_path / "served.parquet", reference="judged.parquet")
    column = {"unit": "z", "missing": "x", "category": "city"}[planted]

    assert report.outcome == "fail"
    assert {each.column for each in report.shifts if each.shifted} - {"score"} == {column}
    assert report.shifts[0].column in {column, "score"}


def test_what_the_reference_does_by_itself_is_no_shift(made: Path, tmp_path: Path) -> None:
    """A reference that moves with time tolerates a log that lies within what it does."""
    table = people(5, 12_000)
    table["x"] += np.sin(np.arange(12_000) / 600)
    table.to_parquet(tmp_path / "moving.parquet", index=False)
    later = people(6, 2000)
    later["x"] += 0.5
    later.to_parquet(tmp_path / "later.parquet", index=False)

    moving = skew(made / "small-1.candidate", logged=tmp_path / "later.parquet", reference=tmp_path / "moving.parquet")
    steady = looked(made, tmp_path / "later.parquet", reference="judged.parquet")

    assert [each.shifted for each in (one(moving, "x"), one(steady, "x")) if isinstance(each, Shift)] == [False, True]


def test_equal_days_are_rarely_called_skewed(made: Path, tmp_path: Path) -> None:
    """Of 40 days like the reference, hardly one."""
    found = []
    for seed in range(100, 140):
        people(seed, 800).to_parquet(tmp_path / "day.parquet", index=False)
        found.append(looked(made, tmp_path / "day.parquet", reference="judged.parquet").outcome)

    assert found.count("fail") <= 4


def test_too_few_rows_are_undecided(made: Path, tmp_path: Path) -> None:
    """Twenty rows without a mismatch do not rule out one in a thousand."""
    path = tmp_path / "few.jsonl"
    path.write_text("".join((made / "served.jsonl").read_text().splitlines(keepends=True)[:20]))
    report = looked(made, path)

    assert report.outcome == "open"
    assert report.why == "too few rows to rule out that prediction, score disagree"
    other = looked(made, reference="judged.parquet", row_id="user")
    assert (other.outcome, other.joined_rows) == ("open", 0)
    assert "the same ids" in other.why


def test_ids_name_one_row_each(made: Path, tmp_path: Path) -> None:
    """An id that stands twice, or is missing, joins what does not belong together; few that join say little."""
    table = pd.read_parquet(made / "day.parquet")
    twice, few = tmp_path / "twice.parquet", tmp_path / "few.parquet"
    pd.concat([table, table[:1]]).to_parquet(twice, index=False)
    table[:200].to_parquet(few, index=False)
    given: dict[str, Any] = {"logged": made / "served.jsonl", "row_id": "user"}

    with pytest.raises(InputError, match="stands twice"):
        skew(made / "small-1.candidate", reference=twice, **given)
    table.loc[3, "user"] = None
    table.to_parquet(twice, index=False)
    with pytest.raises(InputError, match="without an id"):
        skew(made / "small-1.candidate", reference=twice, **given)
    report = skew(made / "small-1.candidate", reference=few, **given)
    assert (report.outcome, report.why) == ("open", "only 200 of 5,000 rows of the log are in the reference")


def test_a_reference_shorter_than_the_log_hides_no_shift(made: Path, tmp_path: Path) -> None:
    """Its floor is too noisy to excuse what is proven: nobody is told that all is well."""
    people(7, 1500).to_parquet(tmp_path / "short.parquet", index=False)
    later = people(8, 20_000)
    later["x"] += 0.12
    later.to_parquet(tmp_path / "later.parquet", index=False)
    report = skew(made / "small-1.candidate", logged=tmp_path / "later.parquet", reference=tmp_path / "short.parquet")

    assert report.outcome == "open"
    assert "the reference is too short" in report.why


def test_joining_takes_many_partitions(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rows are joined, however many at a time."""
    whole = looked(made, reference="day.parquet", row_id="user")
    monkeypatch.setattr(agreement, "PARTITION_ROWS", 300)

    assert looked(made, reference="day.parquet", row_id="user") == whole


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"row_id": "user"}, "ids of nothing"),
        ({"max_mismatch": 0.0}, "between 0 and 1"),
        ({"reference": "day.parquet", "row_id": "name"}, "no column 'name'"),
        ({"logged": "o.csv"}, "no column"),
    ],
)
def test_what_cannot_be_compared_is_refused(made: Path, given: dict[str, Any], says: str) -> None:
    """With what was wrong, before anything is said."""
    with pytest.raises(InputError, match=says):
        looked(made, **given)


def test_a_log_of_others_alone_is_refused(made: Path, tmp_path: Path) -> None:
    """Nothing can be said of a bundle that answered none of it; nor is a broken line skipped."""
    with pytest.raises(InputError, match="no rows that this bundle answered"):
        looked(made, altered(made, tmp_path, lambda _, line: {**line, "bundle": "sha256:" + "0" * 64}))
    with pytest.raises(InputError, match="none of a log"):
        looked(made, altered(made, tmp_path, lambda _, line: {**line, "kind": "something"}))
    broken = tmp_path / "broken.jsonl"
    broken.write_text((made / "served.jsonl").read_text() + '{"kind": "candidate.served", "features": {"x": "text"}}\n')
    with pytest.raises(InputError, match="cannot be read"):
        looked(made, broken)
