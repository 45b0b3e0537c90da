"""Wherever rows are counted, and however they are cut, the State has the same bytes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from candidate.adapters import dataset
from candidate.adapters.archive import Archive
from candidate.documents.policy import Policy
from candidate.documents.spec import BuildSpec
from candidate.errors import InputError, IntegrityError, UnavailableError
from candidate.flows import counting
from candidate.flows.auditing import audit, read_evidence
from candidate.flows.building import build
from candidate.flows.comparing import compare
from candidate.flows.counting import Part, Task, count_part
from candidate.flows.engines import parse_engine, parts_of, run
from candidate.flows.evaluating import evaluate
from candidate.flows.measuring import Measured, Scorer, measure
from candidate.flows.slicing import MAX_RANKED
from candidate.flows.verifying import inspect
from candidate.judgement.gate import judge

SPEC = """
[bundle]
name = "small"
version = "1"
[model]
source = "memory:model"
[data]
train = "rows.parquet"
label = "late"
unit = "user"
"""
POLICY = Policy.from_toml(
    """
    [data]
    label = "late"
    unit = "user"
    [optimizing]
    metric = "roc_auc"
    require = "non_inferior"
    margin = 0.01
    [[slices.guard]]
    by = "city"
    margin = 0.1
    """,
    where="policy",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A bundle, and rows in twelve row groups, in which the cities turn up one after the other."""
    root = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(5)
    rows = pd.DataFrame({"x": rng.normal(size=2400)})
    rows["city"] = np.sort(rng.choice(list("fadceb"), 2400))[::-1]
    rows["user"] = rng.integers(0, 300, 2400)
    rows["late"] = (rng.random(2400) < 1 / (1 + np.exp(-2 * rows["x"]))).astype("int64")
    rows.to_parquet(root / "rows.parquet", index=False, row_group_size=200)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows[["x"]], rows["late"])
    built = build(BuildSpec.from_toml(SPEC, where="spec"), model=model, root=root, out=root)
    return Path(built.path), root / "rows.parquet"


def measured(world: tuple[Path, Path], engine: str) -> Measured:
    """The State by an engine."""
    with Archive.open(world[0]) as archive:
        bundle = inspect(archive)
        scorer = Scorer("challenger", bundle, bundle.session())
        return measure([scorer], data=world[1], policy=POLICY, engine=engine)


def test_three_engines_give_one_digest(world: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts, their order, batches and processes leave no trace; axes and facts are equal too."""
    serial = measured(world, "serial")
    assert serial.axes.ranked == tuple(range(7))
    others = [measured(world, engine) for engine in ("pool:2", "pool:1", "dask")]
    monkeypatch.setattr(counting, "BATCH_ROWS", 77)
    others.append(measured(world, "serial"))

    for other in others:
        assert other.state.digest == serial.state.digest
        assert (other.axes, other.data) == (serial.axes, serial.data)


def test_an_evaluation_is_the_same_by_any_engine(world: tuple[Path, Path]) -> None:
    """What people see, not only the State."""
    assert evaluate(world[0], data=world[1], engine="pool:2") == evaluate(world[0], data=world[1])


def test_a_part_is_a_range_of_row_groups(world: tuple[Path, Path]) -> None:
    """Each row group once, with the number of its first row."""
    parts = parts_of(world[1], 2)

    assert [number for part in parts for number in part.groups or ()] == list(range(12))
    assert [part.first_row for part in parts] == [200 * (part.groups or (0,))[0] for part in parts]
    assert len(parts) == 6


@pytest.mark.parametrize("engine", ["spark", "serial:2", "pool:0", "pool:x", "pool:9999", "", "Pool"])
def test_an_engine_that_is_none_is_refused(engine: str) -> None:
    """By what there is."""
    with pytest.raises(InputError, match="no engine"):
        parse_engine(engine)


def test_only_parquet_is_read_in_parts(world: tuple[Path, Path], tmp_path: Path) -> None:
    """CSV has no row groups; something else called Parquet is none."""
    pd.read_parquet(world[1]).to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="no parts are read"):
        measured((world[0], tmp_path / "rows.csv"), "pool")
    with pytest.raises(InputError, match="not a readable parquet"):
        dataset.row_groups(tmp_path / "broken.parquet")


def task_of(data: Path, digest: str) -> Task:
    """A task on a file."""
    return Task(data, digest, POLICY, 7, all_ranked=False)


def test_a_worker_that_sees_another_file_counts_nothing(world: tuple[Path, Path], tmp_path: Path) -> None:
    """A cluster whose file system is not shared must not answer for rows that nobody named."""
    with pytest.raises(InputError, match="sees another file"):
        count_part(task_of(world[1], "sha256:" + "0" * 64), (), Part((0,)))
    with pytest.raises(InputError, match="a worker cannot read it"):
        count_part(task_of(tmp_path / "none.parquet", ""), (), Part((0,)))


def test_an_error_in_a_worker_names_the_row_of_the_file(world: tuple[Path, Path], tmp_path: Path) -> None:
    """Not the row of the part, and never a traceback of the pool."""
    rows = pd.read_parquet(world[1])
    rows.loc[1707, "late"] = 7
    rows.to_parquet(tmp_path / "odd.parquet", index=False, row_group_size=200)

    with pytest.raises(InputError, match="label 7 is none") as caught:
        measured((world[0], tmp_path / "odd.parquet"), "pool:2")

    assert "row 1707" in caught.value.where


def test_a_scheduler_that_does_not_answer_is_unavailable(world: tuple[Path, Path]) -> None:
    """Exit code 9, not a hang."""
    with pytest.raises(UnavailableError, match="no Dask scheduler answers"):
        list(run("dask:nonsense://x:1", task_of(world[1], dataset.file_digest(world[1])), ()))


def test_more_histograms_than_fit_are_refused(world: tuple[Path, Path], tmp_path: Path) -> None:
    """A guard by a metric of order over a column of many values."""
    rows = pd.read_parquet(world[1])
    rows["city"] = np.arange(len(rows)) % (MAX_RANKED + 1)
    rows.to_parquet(tmp_path / "many.parquet", index=False)

    with pytest.raises(InputError, match="slices with histograms"):
        measured((world[0], tmp_path / "many.parquet"), "serial")


def test_nothing_to_count_is_no_state(world: tuple[Path, Path], tmp_path: Path) -> None:
    """A file without rows, whoever reads it."""
    pd.read_parquet(world[1]).head(0).to_parquet(tmp_path / "empty.parquet", index=False)
    for engine in ("serial", "pool:1"):
        with pytest.raises(InputError, match="no rows"):
            measured((world[0], tmp_path / "empty.parquet"), engine)


def test_a_decision_about_order_and_groups_is_audited_bit_for_bit(world: tuple[Path, Path], tmp_path: Path) -> None:
    """Histograms, gaps, costs and a metric of one's own are recomputed from the evidence folder alone."""
    rules = Policy.model_validate(
        {
            **POLICY.model_dump(),
            "metrics": ({"name": "own", "formula": "tp / n", "direction": "max", "definition": "ours"},),
            "costs": {"false_positive": 1.0, "false_negative": 3.0},
            "top": 0.2,
            "satisficing": (
                {"metric": "pr_auc", "min": 0.2},
                {"metric": "lift_at_k", "min": 1.1},
                {"metric": "roc_auc", "min": 0.5, "by": "city"},
                {"metric": "equalized_odds_gap", "max": 0.5, "by": "city"},
                {"metric": "expected_cost", "max": 2.0},
                {"metric": "custom.own", "min": 0.1},
            ),
            "bench": {"rounds": 30, "calls": 10},
        }
    )
    made = compare(world[0], champion=world[0], policy=rules, data=world[1], out=tmp_path, engine="pool:2")
    findings = {finding.metric: finding for finding in made.decision.findings if finding.slice in {"overall", "city"}}

    assert audit(tmp_path / "decision.json").outcome == made.decision.outcome
    assert {"histograms.npy", "state.npy"} <= {path.name for path in (tmp_path / "evidence").iterdir()}
    for metric in ("pr_auc", "lift_at_k", "expected_cost", "custom.own"):
        assert findings[metric].status == "pass", findings[metric].why
    assert findings["equalized_odds_gap"].estimate is not None
    # Evidence whose histograms are not those of the axes is no evidence.
    folder, policy, arrays = tmp_path / "evidence", rules, read_evidence(tmp_path / "evidence")[2]
    evidence = read_evidence(folder)[0]
    for ranked in ((0, 1), (0, 99), ()):
        wrong = replace(arrays, state=replace(arrays.state, ranked=ranked))
        axes = evidence.state if ranked != (0, 99) else evidence.state.model_copy(update={"ranked": ranked})
        with pytest.raises(IntegrityError, match="histograms"):
            judge(policy, evidence.model_copy(update={"state": axes}), wrong)
