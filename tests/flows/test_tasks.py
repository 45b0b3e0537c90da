"""Several classes and numbers through the whole gate: built, compared, audited, on real rows."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk
from sklearn.datasets import load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from candidate.documents.policy import Policy
from candidate.documents.spec import BuildSpec
from candidate.errors import InputError, IntegrityError
from candidate.flows.auditing import audit, recompute
from candidate.flows.building import build
from candidate.flows.comparing import Comparison, compare
from candidate.flows.evaluating import evaluate
from candidate.flows.reporting import render

SPEC = """
[bundle]
name = "{name}"
version = "{version}"
[model]
source = "memory:model"
[data]
train = "train.parquet"
label = "{label}"
unit = "row"
features = {features}
[experiment]
seeds = {{ numpy = 1 }}
"""
POLICIES = {
    "digit": """
task = "multiclass"
[data]
label = "digit"
unit = "row"
[optimizing]
metric = "log_loss"
require = "superior"
min_gain = 0.0
[[satisficing]]
metric = "f1_macro"
min = 0.8
by = "half"
[[slices.guard]]
by = "half"
margin = 0.1
metric = "accuracy"
[calibration]
max = 0.2
by = "half"
in_the_large = 0.1
""",
    "progression": """
task = "regression"
quantile = 0.9
[data]
label = "progression"
unit = "row"
scale = 350.0
[optimizing]
metric = "mae"
require = "superior"
min_gain = 0.0
[[satisficing]]
metric = "r2"
min = 0.1
[[satisficing]]
metric = "pinball"
max = 40.0
[[slices.guard]]
by = "half"
margin = 10.0
metric = "rmse"
[calibration]
in_the_large = 20.0
by = "half"
""",
}
BENCH = """
[bench]
rounds = 30
calls = 10
[checklist]
require = ["optimizing", "satisficing", "slices", "calibration"]
"""


@dataclass(frozen=True)
class World:
    """Two bundles, the rows they are compared on, and the pipelines they were made of."""

    root: Path
    label: str
    rows: pd.DataFrame
    pipelines: dict[str, Any]
    bundles: dict[str, Path]

    @property
    def data(self) -> Path:
        """The blackbox."""
        return self.root / "test.parquet"

    def policy(self, more: str = "", **changes: str) -> Policy:
        """The policy, with parts of its text replaced."""
        text = POLICIES[self.label] + BENCH + more
        for pair in changes.values():
            before, _, after = pair.partition(" => ")
            assert before in text
            text = text.replace(before, after)
        return Policy.from_toml(text, where="policy.toml")

    def compared(self, policy: Policy | None = None, **more: Any) -> Comparison:
        """The better one against the worse."""
        return compare(
            self.bundles["better"],
            champion=self.bundles["worse"],
            policy=policy or self.policy(),
            data=self.data,
            **more,
        )


def made(root: Path, label: str, rows: pd.DataFrame, models: dict[str, Any]) -> World:
    """Train on the first rows, keep the last."""
    rows["row"], rows["half"] = np.arange(len(rows)), np.where(np.arange(len(rows)) % 2, "odd", "even")
    rows["weight"] = 1.0 + np.arange(len(rows)) % 3
    features = [name for name in rows.columns if name not in {label, "row", "half", "weight"}]
    cut = len(rows) // 2
    rows[:cut].to_parquet(root / "train.parquet", index=False)
    test = rows[cut:].reset_index(drop=True)
    test.to_parquet(root / "test.parquet", index=False, row_group_size=100)
    bundles, pipelines = {}, {}
    for name, (model, size) in models.items():
        pipelines[name] = model.fit(rows[features][:size], rows[label][:size])
        spec = SPEC.format(name=label, version=name, label=label, features=features)
        built = build(BuildSpec.from_toml(spec, where="spec"), model=pipelines[name], root=root, out=root / name)
        bundles[name] = Path(built.path)
    return World(root, label, test, pipelines, bundles)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Ten classes."""
    loaded = load_digits(as_frame=True)
    rows = loaded.frame.rename(columns={"target": "digit"}).astype("float32").astype({"digit": "int64"})
    models = {
        "better": (make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=300)), 800),
        "worse": (make_pipeline(StandardScaler(), LogisticRegression(C=0.0005, max_iter=300)), 150),
    }
    return made(tmp_path_factory.mktemp("digits"), "digit", rows, models)


@pytest.fixture(scope="module")
def diabetes(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A number."""
    rows = load_diabetes(as_frame=True).frame.rename(columns={"target": "progression"})
    models = {"better": (Ridge(alpha=0.01), 221), "worse": (Ridge(alpha=30.0), 221)}
    return made(tmp_path_factory.mktemp("diabetes"), "progression", rows, models)


def test_several_classes_are_compared_and_judged(digits: World) -> None:
    """Every finding of quality, in slices and for each class, and the same verdict from the evidence alone."""
    done = digits.compared(out=digits.root / "decided")

    found = {(each.rule, each.metric, each.slice): each for each in done.decision.findings}
    features = [name for name in digits.rows.columns if name.startswith("pixel")]
    truth, said = digits.rows["digit"], digits.pipelines["better"].predict(digits.rows[features])
    f1 = found["satisficing[0]", "f1_macro", "overall"].estimate
    assert f1 is not None
    assert f1.value == pytest.approx(sk.f1_score(truth, said, average="macro"), abs=1e-9)
    assert found["optimizing", "log_loss", "overall"].status == "pass"
    assert found["baselines.zero_rule", "log_loss", "overall"].status == "pass"
    assert found["slices.guard[0]", "accuracy", "half=odd"].status == "pass"
    held = {place for rule, metric, place in found if (rule, metric) == ("calibration", "l2_debiased")}
    assert held == {f"{place}class {digit}" for place in ("", "half=even, ", "half=odd, ") for digit in range(10)}
    assert done.evidence.state.classes == tuple(range(10))
    assert recompute(digits.root / "decided" / "evidence")[0].to_bytes() == done.decision.verdict.to_bytes()
    page = render(digits.root / "decided" / "decision.json", ".html").text
    assert all(f"Challenger, class {digit}" in page for digit in range(10))


def test_numbers_are_compared_and_judged(diabetes: World) -> None:
    """Errors in the label's own units, the mean as zero-rule, the bias as calibration."""
    done = diabetes.compared(out=diabetes.root / "decided")

    found = {(each.rule, each.metric, each.slice): each for each in done.decision.findings}
    features = [name for name in diabetes.rows.columns if name not in {"progression", "row", "half", "weight"}]
    truth = diabetes.rows["progression"]
    said = {name: model.predict(diabetes.rows[features]) for name, model in diabetes.pipelines.items()}
    gained = found["optimizing", "mae", "overall"]
    errors = {name: sk.mean_absolute_error(truth, answer) for name, answer in said.items()}
    assert gained.estimate is not None
    assert gained.estimate.value == pytest.approx(errors["worse"] - errors["better"], abs=1e-2)
    assert gained.status == "pass"
    assert found["baselines.zero_rule", "mae", "overall"].status == "pass"
    bias = found["calibration", "in_the_large", "overall"].estimate
    assert bias is not None
    assert bias.value == pytest.approx(abs(np.mean(said["better"] - truth)), abs=1e-2)
    assert {place for rule, _, place in found if rule == "calibration"} == {"overall", "half=even", "half=odd"}
    assert recompute(diabetes.root / "decided" / "evidence")[0].to_bytes() == done.decision.verdict.to_bytes()


@pytest.mark.parametrize("which", ["digits", "diabetes"])
def test_weights_and_engines_give_one_state(which: str, request: pytest.FixtureRequest) -> None:
    """Two workers count what one counts, weights included, and weights move what they should."""
    found: World = request.getfixturevalue(which)
    weighted = found.policy(change='unit = "row" => unit = "row"\nweight = "weight"')
    states = [found.compared(weighted, engine=engine) for engine in ("serial", "pool:2")]

    assert states[0].files["state.npy"] == states[1].files["state.npy"]
    assert states[0].files["calibration.npy"] == states[1].files["calibration.npy"]
    assert states[0].evidence.state.weighted
    plain, heavy = (each.decision.findings[0].estimate for each in (found.compared(), states[0]))
    assert plain is not None
    assert heavy is not None
    assert plain.n == heavy.n == len(found.rows)
    assert plain.value != heavy.value


@pytest.mark.parametrize("which", ["digits", "diabetes"])
def test_predictions_and_bundles_give_the_state_again(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Levels 2 and 3 of an audit, with weights: of several classes, and of numbers with their zero-rule."""
    found: World = request.getfixturevalue(which)
    weighted = found.policy(change='unit = "row" => unit = "row"\nweight = "weight"')
    kept = tmp_path / "predictions.parquet"
    found.compared(weighted, out=tmp_path / "out", predictions=kept)
    done = audit(
        tmp_path / "out" / "decision.json",
        predictions=kept,
        data=found.data,
        challenger=found.bundles["better"],
        champion=found.bundles["worse"],
    )

    assert [level.level for level in done.levels] == [0, 1, 2, 3]
    assert sum(claim.endswith("numbers of the State measured again, equal") for claim in done.establishes) == 1
    table = pd.read_parquet(kept)
    table.assign(weight=table["weight"].where(table.index != 3, 9.0)).to_parquet(
        tmp_path / "heavier.parquet", index=False
    )
    with pytest.raises(IntegrityError, match="not the predictions that the evidence commits to"):
        audit(tmp_path / "out" / "decision.json", predictions=tmp_path / "heavier.parquet")


@pytest.mark.parametrize(("which", "metric"), [("digits", "f1_weighted"), ("diabetes", "smape")])
def test_a_bundle_alone_is_evaluated_without_a_policy(which: str, metric: str, request: pytest.FixtureRequest) -> None:
    """Every metric of its task, and the calibration error of the class where it is largest."""
    found: World = request.getfixturevalue(which)
    done = evaluate(found.bundles["better"], data=found.data)

    assert metric in done.slices[0].metrics
    assert done.slices[0].rows == len(found.rows)
    assert (done.calibration is None) == (which == "diabetes")


def _with(column: str, change: Callable[[pd.Series], Any]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda rows: rows.assign(**{column: change(rows[column])})


@pytest.mark.parametrize(
    ("which", "change", "policy", "message"),
    [
        ("diabetes", _with("progression", lambda each: each * 100), "", "times [data] scale = 350"),
        ("diabetes", _with("progression", lambda each: each.where(each.index != 7)), "", "missing or infinite number"),
        ("diabetes", _with("weight", lambda each: -each), "weight", "a weight below 0"),
        ("diabetes", _with("weight", lambda each: each * 1e5), "weight", "larger than 65,536"),
        ("diabetes", _with("weight", lambda each: each.astype(str)), "weight", "numbers are asked for"),
        ("digits", _with("digit", lambda each: each + 1), "", "label 10 is none of the classes"),
    ],
)
def test_rows_that_cannot_be_counted_are_named(
    which: str,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    policy: str,
    message: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    """File, row and column, before anything is judged."""
    found: World = request.getfixturevalue(which)
    change(found.rows).to_parquet(tmp_path / "odd.parquet", index=False)
    rules = found.policy(change='unit = "row" => unit = "row"\nweight = "weight"') if policy else found.policy()

    with pytest.raises(InputError) as raised:
        compare(found.bundles["better"], champion=found.bundles["worse"], policy=rules, data=tmp_path / "odd.parquet")

    assert message in str(raised.value.message)
    assert "odd.parquet" in str(raised.value.where)


def test_a_policy_about_another_task_is_refused(digits: World, diabetes: World) -> None:
    """Nobody's probabilities are judged as numbers."""
    with pytest.raises(InputError, match="challenger is a multiclass model, the policy is about regression"):
        compare(digits.bundles["better"], champion=digits.bundles["worse"], policy=diabetes.policy(), data=digits.data)
