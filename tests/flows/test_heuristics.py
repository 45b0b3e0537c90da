"""A heuristic and a person's answers through the whole gate, whichever engine counts, on rows made for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper as oh
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss, mean_absolute_error

from candidate.canonical import digest_of
from candidate.documents.policy import Policy
from candidate.documents.spec import BuildSpec
from candidate.errors import InputError
from candidate.flows.auditing import audit, recompute
from candidate.flows.building import build
from candidate.flows.comparing import compare
from candidate.flows.evaluating import evaluate
from candidate.flows.heuristics import PortableHeuristic, heuristic_of, read_heuristic
from candidate.flows.planning import plan

SPEC = """
[bundle]
name = "late"
version = "{version}"
[model]
source = "memory:model"
[data]
train = "train.parquet"
label = "{label}"
unit = "row"
features = ["hour", "distance"]
[experiment]
seeds = {{ numpy = 1 }}
"""
RULES = """
otherwise = 0.2
threshold = 0.35
[[rule]]
where = "hour >= 17 and city == 'b'"
score = 0.6
[[rule]]
where = "hour >= 17"
score = 0.4
"""
POLICY = """
champion = "none"
[data]
label = "late"
unit = "row"
[optimizing]
metric = "{metric}"
require = "superior"
min_gain = 0.0
[rollback]
target = "none"
[bench]
rounds = 30
calls = 10
"""
HEURISTIC = """
[baselines.heuristic]
ref = "{ref}"
digest = "{digest}"
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two thousand rows to train on and as many to compare on, a bundle of yes or no and one of a number."""
    root = tmp_path_factory.mktemp("late")
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({"hour": rng.integers(0, 24, 4000).astype("float32")})
    rows["distance"] = rng.exponential(1.0, 4000).astype("float32")
    rows["city"] = np.array(["a", "b", None])[rng.integers(0, 3, 4000)]
    rows["row"] = np.arange(4000)
    truth = (rows["hour"] - 14) / 3 + rows["distance"] / 2
    rows["late"] = (rng.random(4000) < 1 / (1 + np.exp(-truth))).astype("int64")
    rows["delay"] = truth + rng.normal(size=4000)
    rows["reviewer"] = np.where(rng.random(4000) < 0.7, rows["late"], 1 - rows["late"])
    rows["half_reviewed"] = rows["reviewer"].where(rows["row"] % 2 == 0).astype("Int64")
    rows["odd"] = np.where(rows["row"] == 2500, "maybe", rows["reviewer"].astype(str))
    rows[:2000].to_parquet(root / "train.parquet", index=False)
    rows[2000:].to_parquet(root / "test.parquet", index=False, row_group_size=300)
    features = ["hour", "distance"]
    models = {"late": LogisticRegression(), "delay": LinearRegression()}
    for label, model in models.items():
        model.fit(rows[:2000][features], rows[:2000][label])
        spec = BuildSpec.from_toml(SPEC.format(version=label, label=label), where="spec")
        Path(build(spec, model=model, root=root, out=root / label).path).rename(root / f"{label}.candidate")
    return root


def asked(root: Path, name: str, data: bytes, *, metric: str = "log_loss", more: str = "") -> Policy:
    """The policy with a heuristic in this file."""
    (root / name).write_bytes(data)
    head = POLICY.format(metric=metric)
    if metric == "mae":
        head = 'task = "regression"\n' + head.replace('label = "late"', 'label = "delay"\nscale = 12.0')
    text = head + HEURISTIC.format(ref=str(root / name), digest=digest_of(data)) + more
    return Policy.from_toml(text, where="policy.toml")


def table(root: Path) -> pd.DataFrame:
    """The rows that are compared on."""
    return pd.read_parquet(root / "test.parquet")


def by_hand(rows: pd.DataFrame) -> np.ndarray[Any, Any]:
    """The rules, written in pandas."""
    evening = rows["hour"] >= 17
    return np.where(evening & (rows["city"] == "b"), 0.6, np.where(evening, 0.4, 0.2))


def graph_of(nodes: list[onnx.NodeProto], outputs: list[onnx.ValueInfoProto], width: int = 1) -> bytes:
    """A graph over the hour, in which a constant ``by`` divides."""
    graph = oh.make_graph(
        nodes,
        "rules",
        [oh.make_tensor_value_info("hour", onnx.TensorProto.FLOAT, [None, width])],
        outputs,
        [oh.make_tensor("by", onnx.TensorProto.FLOAT, [1], [24.0])],
    )
    opsets = [oh.make_opsetid("", 17)]
    return bytes(oh.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def score(name: str = "score", width: int = 1) -> onnx.ValueInfoProto:
    """An output of numbers."""
    return oh.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, width])


def test_rules_are_scored_on_the_same_rows_whichever_engine_counts(world: Path, tmp_path: Path) -> None:
    """The gain over them is what scikit-learn finds, and the verdict follows from the evidence alone."""
    policy = asked(world, "rules.toml", RULES.encode())
    done = {
        engine: compare(
            world / "late.candidate",
            champion="none",
            policy=policy,
            data=world / "test.parquet",
            engine=engine,
            out=tmp_path / engine.replace(":", "-"),
        )
        for engine in ("serial", "pool:2")
    }
    serial = done["serial"]
    finding = next(each for each in serial.decision.findings if each.rule == "baselines.heuristic")
    overall = evaluate(world / "late.candidate", data=world / "test.parquet").slices[0].metrics["log_loss"]
    rows = table(world)

    assert serial.files["state.npy"] == done["pool:2"].files["state.npy"]
    assert serial.files["heuristic.toml"] == RULES.encode()
    kept = heuristic_of(policy, tmp_path / "serial" / "evidence")
    assert kept == read_heuristic(policy, world)
    assert heuristic_of(Policy.from_toml(POLICY.format(metric="log_loss"), where="policy"), tmp_path) is None
    assert finding.estimate is not None
    expected = log_loss(rows["late"], by_hand(rows)) - overall.value
    assert finding.estimate.value == pytest.approx(expected, abs=1e-8)
    assert finding.status == "pass"
    assert recompute(tmp_path / "serial" / "evidence")[0].to_bytes() == serial.decision.verdict.to_bytes()


def test_an_audit_asks_the_heuristic_again(world: Path, tmp_path: Path) -> None:
    """From the predictions, where its scores are kept as the models' are, and from its bytes in the evidence."""
    done = compare(
        world / "late.candidate",
        champion="none",
        policy=asked(world, "audited.toml", RULES.encode()),
        data=world / "test.parquet",
        predictions=tmp_path / "predictions.parquet",
        out=tmp_path,
    )
    found = audit(
        tmp_path / "decision.json",
        level=3,
        predictions=tmp_path / "predictions.parquet",
        data=world / "test.parquet",
        challenger=world / "late.candidate",
    )

    assert done.evidence.state.models == ("challenger", "heuristic")
    assert [level.level for level in found.levels][-2:] == [2, 3]


def test_peoples_answers_are_not_kept_in_predictions(world: Path, tmp_path: Path) -> None:
    """The file has scores; what has none would be lost without a word."""
    text = POLICY.format(metric="log_loss") + '[baselines.human]\ncolumn = "reviewer"'
    with pytest.raises(InputError, match="not kept in predictions"):
        compare(
            world / "late.candidate",
            champion="none",
            policy=Policy.from_toml(text, where="policy.toml"),
            data=world / "test.parquet",
            predictions=tmp_path / "predictions.parquet",
        )


def test_dask_asks_the_heuristic_too(world: Path) -> None:
    """A worker elsewhere loads it from its bytes."""
    import distributed as untyped

    distributed: Any = untyped
    policy = asked(world, "dask.toml", RULES.encode())
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as local:
        states = [
            compare(
                world / "late.candidate",
                champion="none",
                policy=policy,
                data=world / "test.parquet",
                engine=engine,
            ).files["state.npy"]
            for engine in ("serial", f"dask:{local.scheduler_address}")
        ]
    assert states[0] == states[1]


def test_a_graph_is_asked_by_the_names_of_its_inputs(world: Path) -> None:
    """Its one output of numbers is the score; its threshold is the policy's."""
    data = graph_of([oh.make_node("Div", ["hour", "by"], ["score"])], [score()])
    policy = asked(world, "rules.onnx", data, metric="error_rate", more="threshold = 0.7\n")
    done = compare(world / "late.candidate", champion="none", policy=policy, data=world / "test.parquet")
    finding = next(each for each in done.decision.findings if each.rule == "baselines.heuristic")
    overall = evaluate(world / "late.candidate", data=world / "test.parquet").slices[0].metrics["error_rate"]
    rows = table(world)

    assert finding.estimate is not None
    wrong = ((rows["hour"] / 24 >= 0.7) != rows["late"]).mean()
    assert finding.estimate.value == pytest.approx(wrong - overall.value, abs=1e-9)
    assert done.files["heuristic.onnx"] == data


def test_rules_may_answer_a_number(world: Path) -> None:
    """Where the models do."""
    rules = "otherwise = -2.0\n[[rule]]\nwhere = 'hour >= 12'\nscore = 2.0\n"
    policy = asked(world, "numbers.toml", rules.encode(), metric="mae")
    done = compare(world / "delay.candidate", champion="none", policy=policy, data=world / "test.parquet")
    finding = next(each for each in done.decision.findings if each.rule == "baselines.heuristic")
    ours = evaluate(world / "delay.candidate", data=world / "test.parquet").slices[0].metrics["mae"]
    rows = table(world)

    assert finding.estimate is not None
    theirs = mean_absolute_error(rows["delay"], np.where(rows["hour"] >= 12, 2.0, -2.0))
    assert finding.estimate.value == pytest.approx(theirs - ours.value, abs=1e-6)


def test_a_reviewers_answers_are_compared_in_pairs(world: Path) -> None:
    """And a row without one stands for what the policy says."""
    rows = table(world)
    found = {}
    for column, more in (("reviewer", ""), ("half_reviewed", "missing = 0\n")):
        text = POLICY.format(metric="log_loss") + f'[baselines.human]\ncolumn = "{column}"\n{more}'
        policy = Policy.from_toml(text, where="policy.toml")
        done = compare(world / "late.candidate", champion="none", policy=policy, data=world / "test.parquet")
        finding = next(each for each in done.decision.findings if each.rule == "baselines.human")
        assert finding.estimate is not None
        assert finding.metric == "error_rate"
        found[column] = finding.estimate.value
    difference = (rows["half_reviewed"].fillna(0) != rows["late"]).mean() - (rows["reviewer"] != rows["late"]).mean()
    assert found["half_reviewed"] - found["reviewer"] == pytest.approx(difference, abs=1e-9)


@pytest.mark.parametrize(
    ("human", "message", "where"),
    [
        ('column = "half_reviewed"', "answer None is none of the classes", "row 1, column half_reviewed"),
        ('column = "half_reviewed"\nmissing = "no"', "'no' is none of the classes 0, 1", "missing"),
        ('column = "odd"', "is none of the classes 0, 1", "column odd"),
        ('column = "review"', "no column 'review'", "test.parquet"),
    ],
)
def test_an_answer_that_is_no_class_is_named(world: Path, human: str, message: str, where: str) -> None:
    """What a person did not say is not guessed."""
    policy = Policy.from_toml(POLICY.format(metric="log_loss") + f"[baselines.human]\n{human}", where="policy.toml")

    with pytest.raises(InputError) as caught:
        compare(world / "late.candidate", champion="none", policy=policy, data=world / "test.parquet")
    assert message in str(caught.value)
    assert where in str(caught.value)


def test_another_file_than_the_policy_pins_is_refused(world: Path, tmp_path: Path) -> None:
    """The baseline is fixed before the run; its name is relative to the policy."""
    text = POLICY.format(metric="log_loss") + HEURISTIC.format(ref="mine.toml", digest=digest_of(RULES.encode()))
    (tmp_path / "policy.toml").write_text(text)

    def run() -> object:
        return compare(
            world / "late.candidate",
            champion="none",
            policy=tmp_path / "policy.toml",
            data=world / "test.parquet",
            out=tmp_path / "out",
        )

    with pytest.raises(InputError, match="cannot be read"):
        run()
    (tmp_path / "mine.toml").write_text(RULES.replace("0.6", "0.9"))
    with pytest.raises(InputError, match="the policy pins"):
        run()
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine.toml").write_text(RULES)
    run()
    assert (tmp_path / "out" / "evidence" / "heuristic.toml").is_file()
    pilot: dict[str, Any] = {
        "pilot": world / "test.parquet",
        "challenger": world / "late.candidate",
        "champion": "none",
    }
    planned = plan(tmp_path / "policy.toml", **pilot)
    assert "baselines.heuristic" in {line.rule for line in planned.lines}


def test_a_file_that_is_far_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules are a page, not a data set."""
    monkeypatch.setattr("candidate.flows.heuristics.MAX_DOCUMENT_BYTES", 10)
    with pytest.raises(InputError, match="more than 10 bytes"):
        read_heuristic(asked(tmp_path, "rules.toml", RULES.encode()), tmp_path)


def _identity() -> bytes:
    return graph_of([oh.make_node("Identity", ["hour"], ["score"])], [score()])


def _two() -> bytes:
    nodes = [oh.make_node("Identity", ["hour"], [name]) for name in ("score", "other")]
    return graph_of(nodes, [score(), score("other")])


def _wide() -> bytes:
    return graph_of([oh.make_node("Concat", ["hour", "hour"], ["score"], axis=1)], [score(width=2)])


def _table() -> bytes:
    return graph_of([oh.make_node("Identity", ["hour"], ["score"])], [score(width=3)], width=3)


@pytest.mark.parametrize(
    ("suffix", "data", "message"),
    [
        (".toml", lambda: b"\xff\xfe", "not text"),
        (".toml", lambda: b"otherwise = 0.2", "Field required"),
        (".toml", lambda: RULES.replace("0.6", "1.6").encode(), "no probability"),
        (".toml", lambda: RULES.replace(">= 17", ">= 'x'").encode(), "rule[1] of the heuristic"),
        (".toml", lambda: RULES.replace("hour", "our").encode(), "no column 'our'"),
        (".onnx", lambda: b"nonsense", "not an ONNX graph"),
        (".onnx", _two, "2 outputs of numbers"),
        (".onnx", _table, "input hour is not of shape (batch, 1)"),
        (".onnx", _wide, "answers 'score' of shape"),
        (".onnx", _identity, "the heuristic gives no probability"),
    ],
    ids=["bytes", "half", "score", "types", "column", "no graph", "outputs", "inputs", "shape", "answers"],
)
def test_a_heuristic_that_cannot_be_asked_is_refused(
    world: Path, tmp_path: Path, suffix: str, data: Callable[[], bytes], message: str
) -> None:
    """With what is wrong, and no verdict."""
    policy = asked(tmp_path, "h" + suffix, data())

    with pytest.raises(InputError) as caught:
        compare(world / "late.candidate", champion="none", policy=policy, data=world / "test.parquet")
    assert message in str(caught.value)


def test_a_graph_that_fails_is_an_error_of_the_input() -> None:
    """A Reshape to a size that the rows do not have."""
    nodes = [oh.make_node("Reshape", ["hour", "to"], ["score"])]
    graph = oh.make_graph(
        nodes,
        "fails",
        [oh.make_tensor_value_info("hour", onnx.TensorProto.FLOAT, [None, 1])],
        [score()],
        [oh.make_tensor("to", onnx.TensorProto.INT64, [2], [7, 1])],
    )
    data = oh.make_model(graph, opset_imports=[oh.make_opsetid("", 17)], ir_version=8).SerializeToString()
    heuristic = PortableHeuristic(bytes(data), ".onnx", 0.5, bounded=True).load()
    rows = pa.RecordBatch.from_pydict({"hour": pa.array([1.0, 2.0], pa.float32())})

    with pytest.raises(InputError, match="the graph fails"):
        heuristic.answers(rows, first_row=0, where="rows")


def test_a_threshold_of_a_number_is_refused() -> None:
    """It would mean nothing."""
    with pytest.raises(InputError, match="the answer is a number"):
        PortableHeuristic(RULES.encode(), ".toml", 0.5, bounded=False).load()
