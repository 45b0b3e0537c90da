"""Training rows among the blackbox rows: all of them found, and a verdict that stands without them."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from candidate.documents.policy import Policy
from candidate.documents.spec import BuildSpec
from candidate.errors import InputError, IntegrityError, UnavailableError
from candidate.flows import contaminating
from candidate.flows.auditing import audit, tainted_rows
from candidate.flows.building import build
from candidate.flows.comparing import Comparison, compare
from candidate.flows.contaminating import rows_among

SPEC = """
[bundle]
name = "small"
version = "{version}"
[model]
source = "model{version}.joblib"
[data]
train = "train.parquet"
label = "late"
unit = "user"
features = ["x", "z"]
[serving]
features = [{{ name = "x", type = "number", source = "s" }}, {{ name = "z", type = "number", source = "s" }}]
[experiment]
seeds = {{ numpy = 1 }}
"""
POLICY = """
[data]
label = "late"
unit = "user"
[optimizing]
metric = "error_rate"
require = "superior"
min_gain = 0.0
[[slices.watch]]
by = "city"
margin = 0.5
[skew.parity]
rows = 1000
max_mismatch = 0.01
[bench]
rounds = 30
calls = 10
[reproduce]
require_clean = false
[checklist]
require = ["optimizing", "availability", "skew", "reproducibility", "packaging", "rollback"]
"""
ASKED = POLICY + '[contamination]\nmatch = "{match}"\n'


def table(seed: int, rows: int) -> pd.DataFrame:
    """Rows with many values that come again, and some that are missing."""
    rng = np.random.default_rng(seed)
    found = pd.DataFrame(
        {
            "number": rng.integers(0, 9, rows).astype(float),
            "whole": rng.integers(0, 5, rows),
            "word": rng.choice(np.array(["a", "b", "\u00e9", ""], dtype=object), rows),
            "yes": rng.random(rows) < 0.5,
            "other": rng.normal(size=rows),
        }
    )
    found.loc[rng.random(rows) < 0.1, "number"] = np.nan
    return found


@pytest.mark.parametrize("partition_rows", [50, 1_000_000])
@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_every_row_is_found_and_no_other(tmp_path: Path, ending: str, partition_rows: int) -> None:
    """The same as joining both tables in memory, in one partition and in many, whatever the format."""
    train, data, columns = table(1, 400), table(2, 1000), ["number", "whole", "word", "yes"]
    train.to_parquet(tmp_path / "train.parquet")
    getattr(data, f"to_{ending}")(tmp_path / f"data.{ending}", index=False)

    found, rows = rows_among(
        tmp_path / "train.parquet", tmp_path / f"data.{ending}", columns, partition_rows=partition_rows
    )

    known = set(train[columns].fillna({"number": -1}).itertuples(index=False, name=None))
    there = [row in known for row in data[columns].fillna({"number": -1}).itertuples(index=False, name=None)]
    assert rows == 400
    assert found.tolist() == np.flatnonzero(there).tolist()
    assert 100 < len(found) < 900


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The partitions lie in the folder for temporary files."""
    table(1, 10).to_parquet(tmp_path / "t.parquet")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(contaminating, "_write", full)
    with pytest.raises(UnavailableError, match="No space left") as caught:
        rows_among(tmp_path / "t.parquet", tmp_path / "t.parquet", ["whole"])
    assert "room" in (caught.value.hint or "")


def people(seed: int, rows: int) -> pd.DataFrame:
    """Rows of which nobody can tell much: a model that learns them by heart is lucky there alone."""
    rng = np.random.default_rng(seed)
    found = pd.DataFrame({"x": rng.normal(size=rows).round(3), "z": rng.normal(size=rows).round(3)})
    found["city"] = rng.choice(["oslo", "bergen"], rows)
    found["user"] = np.arange(rows) + 10_000 * seed
    found["late"] = (rng.random(rows) < 1 / (1 + np.exp(-1.5 * found["x"]))).astype("int64")
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A challenger that knows its training rows by heart, a champion that learnt something, and three blackboxes."""
    root = tmp_path_factory.mktemp("tainted")
    train, fresh = people(1, 2000), people(2, 2500)
    train.to_parquet(root / "train.parquet", index=False)
    models = {
        "1": LogisticRegression().fit(train[["x", "z"]], train["late"]),
        "2": DecisionTreeClassifier(random_state=0).fit(train[["x", "z"]], train["late"]),
    }
    for version, model in models.items():
        joblib.dump(model, root / f"model{version}.joblib")
        build(BuildSpec.from_toml(SPEC.format(version=version), where="spec"), root=root, out=root)
    mixed = pd.concat([fresh, train]).sample(frac=1, random_state=3)
    mixed.to_parquet(root / "mixed.parquet", index=False, row_group_size=700)
    turned = mixed.assign(late=np.where(mixed["user"] % 2 == 0, 1 - mixed["late"], mixed["late"]))
    turned.to_parquet(root / "turned.parquet", index=False)
    fresh.to_parquet(root / "fresh.parquet", index=False)
    return root


def compared(made: Path, data: str, policy: str = ASKED, match: str = "features", **other: Any) -> Comparison:
    """The comparison of the two on one of the blackboxes."""
    rules = Policy.from_toml(policy.format(match=match), where="policy.toml")
    named = {"train": made / "train.parquet", **other}
    return compare(
        made / "small-2.candidate", champion=made / "small-1.candidate", policy=rules, data=made / data, **named
    )


def status_of(done: Comparison) -> tuple[str, str]:
    """How the comparison ended, and what is said of the training rows."""
    (found,) = [each for each in done.decision.findings if each.rule == "contamination.verdict"]
    return done.decision.outcome, found.why


def test_a_model_that_learnt_the_blackbox_by_heart_is_stopped(made: Path, tmp_path: Path) -> None:
    """With its training rows among them it is a go, and nobody who does not look would know."""
    assert compared(made, "mixed.parquet", POLICY, train=None).decision.outcome == "go"

    kept = tmp_path / "predictions.parquet"
    done = compared(made, "mixed.parquet", out=tmp_path, predictions=kept)

    facts = done.evidence.contamination
    assert facts is not None
    assert (facts.rows, facts.train_rows, facts.columns) == (2000, 2000, ("x", "z"))
    outcome, why = status_of(done)
    assert outcome == "no-go"
    assert why == (
        "2,000 of 4,500 rows (44.44 %) are among the training rows; with them the verdict is go, without them no-go"
    )
    bundles: dict[str, Any] = {"challenger": made / "small-2.candidate", "champion": made / "small-1.candidate"}
    found = audit(tmp_path / "decision.json", predictions=kept, data=made / "mixed.parquet", **bundles)
    assert [level.level for level in found.levels] == [0, 1, 2, 3]
    named = tainted_rows(done.evidence, tmp_path / "evidence")
    assert named is not None
    assert set(pd.read_parquet(made / "mixed.parquet").iloc[named]["user"]) == set(people(1, 2000)["user"])


def test_every_engine_counts_the_same(made: Path) -> None:
    """Rows keep their numbers in whatever part they are counted."""
    alone, many = (compared(made, "mixed.parquet", engine=engine) for engine in ("serial", "pool:2"))

    for name in ("tainted.npy", "taintedbins.npy", "taintedrows.npy", "state.npy"):
        assert alone.files[name] == many.files[name], name


def test_another_label_makes_another_row(made: Path) -> None:
    """With ``match = "rows"`` the label counts too."""
    by_features, by_rows = (compared(made, "turned.parquet", match=match) for match in ("features", "rows"))

    assert by_features.evidence.contamination is not None
    assert by_rows.evidence.contamination is not None
    assert (by_features.evidence.contamination.rows, by_rows.evidence.contamination.rows) == (2000, 1000)
    assert by_rows.evidence.contamination.columns == ("x", "z", "late")


def test_fresh_rows_pass_and_missing_training_rows_are_missed(made: Path) -> None:
    """Nothing found is told with what was looked through."""
    looked, not_looked = compared(made, "fresh.parquet"), compared(made, "fresh.parquet", train=None)

    assert status_of(looked)[1] == "none of the 2,500 rows is among the 2,000 training rows"
    assert "tainted.npy" not in looked.files
    assert status_of(not_looked)[1] == "nobody looked for training rows among these: give --train"


def test_what_cannot_be_looked_for_is_refused(made: Path) -> None:
    """Rows that are not the training rows, a policy that does not ask, and a column that is not there."""
    with pytest.raises(InputError, match="the challenger was trained on"):
        compared(made, "fresh.parquet", train=made / "mixed.parquet")
    with pytest.raises(InputError, match="does not ask") as caught:
        compared(made, "fresh.parquet", POLICY)
    assert caught.value.where == "--train"
    with pytest.raises(InputError, match="no column 'name'"):
        compared(made, "fresh.parquet", ASKED + 'columns = ["name"]\n')


def test_altered_rows_are_noticed(made: Path, tmp_path: Path) -> None:
    """The numbers of the rows are evidence like any other."""
    done = compared(made, "mixed.parquet", out=tmp_path)
    path = tmp_path / "evidence" / "taintedrows.npy"
    data = bytearray(path.read_bytes())
    data[-8] ^= 1
    path.write_bytes(data)

    with pytest.raises(IntegrityError):
        audit(tmp_path / "decision.json")
    with pytest.raises(IntegrityError, match="not the file that the evidence lists"):
        tainted_rows(done.evidence, tmp_path / "evidence")
