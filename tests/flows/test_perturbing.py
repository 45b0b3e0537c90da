"""Rows are changed as the policy says, and the converted model is asked about them again."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from candidate.documents.evidence import Perturbed
from candidate.documents.policy import Policy
from candidate.documents.policy.robust import RobustnessRule
from candidate.documents.spec import BuildSpec
from candidate.errors import InputError
from candidate.flows.auditing import recompute
from candidate.flows.building import build
from candidate.flows.comparing import compare
from candidate.flows.perturbing import changed

SPEC = """
[bundle]
name = "{label}"
version = "1"
[model]
source = "memory:model"
[data]
train = "rows.parquet"
label = "{label}"
unit = "user"
features = ["x", "age", "city"]
"""
POLICY = """
champion = "none"
{task}
[data]
label = "{label}"
unit = "user"
{scale}
[optimizing]
metric = "{metric}"
require = "non_inferior"
margin = 1.0
[rollback]
target = "none"
[bench]
rounds = 30
calls = 10
"""


class Town:
    """A classifier and a regression over a number, a whole number and a text."""

    def __init__(self, root: Path) -> None:
        """Build both."""
        rng = np.random.default_rng(3)
        rows = pd.DataFrame({"x": rng.normal(size=2000), "age": rng.integers(18, 80, 2000)})
        rows["city"] = rng.choice(["oslo", "bergen"], 2000)
        rows["user"] = rng.integers(0, 400, 2000)
        signal = 3 * rows["x"] + (rows["city"] == "oslo")
        rows["late"] = (rng.random(2000) < 1 / (1 + np.exp(-signal))).astype("int64")
        rows["delay"] = signal + rng.normal(size=2000)
        rows.to_parquet(root / "rows.parquet", index=False)
        rows.to_parquet(root / "test.parquet", index=False, row_group_size=300)
        self.root, self.bundles = root, dict[str, Path]()
        for label, model in (("late", LogisticRegression()), ("delay", LinearRegression())):
            words = OneHotEncoder(handle_unknown="ignore" if label == "late" else "error")
            prepare = ColumnTransformer([("city", words, ["city"])], remainder="passthrough")
            fitted = make_pipeline(prepare, model).fit(rows[["x", "age", "city"]], rows[label])
            spec = BuildSpec.from_toml(SPEC.format(label=label), where="spec")
            self.bundles[label] = Path(build(spec, model=fitted, root=root, out=root).path)

    def asked(self, label: str, *rules: dict[str, Any], out: Path | None = None) -> tuple[Perturbed, ...]:
        """What is counted for each rule."""
        number = label == "delay"
        text = POLICY.format(
            label=label,
            task='task = "regression"' if number else "",
            scale="scale = 12.0" if number else "",
            metric="mae" if number else "log_loss",
        )
        plain = Policy.from_toml(text, where="policy")
        policy = plain.model_copy(
            update={"robustness": tuple(RobustnessRule(**{"max_failures": 0.01, **rule}) for rule in rules)}
        )
        done = compare(self.bundles[label], champion="none", policy=policy, data=self.root / "test.parquet", out=out)
        return done.evidence.robustness


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """Built once."""
    return Town(tmp_path_factory.mktemp("town"))


def share(found: Perturbed) -> float:
    """Of the rows that were asked, how many failed."""
    return sum(found.failures) / sum(found.rows)


def test_answers_that_do_not_depend_on_a_column_stay(town: Town) -> None:
    """Age says nothing, x says all, a city says something."""
    calm, loud, other, letters = town.asked(
        "late",
        {"column": "age", "noise": 0.01},
        {"column": "x", "add": 3.0},
        {"column": "city", "swap": True, "tolerance": 0.05, "rows": 700},
        {"column": "city", "typo": True, "tolerance": 1e-9},
    )

    assert share(calm) == 0.0
    assert 0.2 < share(loud) < 0.8
    assert sum(other.rows) == 1000  # every second row
    assert 0.2 < share(other) < 0.6
    assert share(letters) > 0.9  # no city is known by that name


def test_a_direction_is_held(town: Town) -> None:
    """More of x never makes late less likely; and always more."""
    up, down = town.asked(
        "late",
        {"column": "x", "add": 0.5, "expect": "not less"},
        {"column": "x", "add": 0.5, "expect": "not more"},
    )

    assert share(up) == 0.0
    assert share(down) > 0.99


def test_a_number_may_move_within_its_tolerance(town: Town, tmp_path: Path) -> None:
    """Three times 0.1 is more than 0.2 and less than 0.4; and the audit finds the same from the counts."""
    tight, wide, steep = town.asked(
        "delay",
        {"column": "x", "add": 0.1, "tolerance": 0.2},
        {"column": "x", "add": 0.1, "tolerance": 0.4},
        {"column": "x", "add": -0.1, "expect": "not more"},
        out=tmp_path,
    )

    assert (share(tight), share(wide), share(steep)) == (1.0, 0.0, 0.0)
    verdict, _ = recompute(tmp_path / "evidence")
    statuses = [each.status for each in verdict.findings if each.rule.startswith("robustness")]
    assert statuses == ["fail", "pass", "pass"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"column": "user", "noise": 0.1}, "'user' is no feature of the challenger"),
        ({"column": "city", "noise": 0.1}, "is for numbers"),
        ({"column": "x", "typo": True}, "is for text"),
        ({"column": "city", "missing": True}, "missing value"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused(town: Town, rule: dict[str, Any], message: str) -> None:
    """Nobody counts what was never asked."""
    with pytest.raises(InputError, match=message):
        town.asked("late", rule)


def test_a_graph_that_cannot_answer_is_named(town: Town) -> None:
    """An encoder that refuses what it never saw fails in service as well."""
    with pytest.raises(InputError, match=r"the graph fails on its input.*once there is typo of city"):
        town.asked("delay", {"column": "city", "typo": True})


def test_columns_of_every_kind_are_changed() -> None:
    """Whole numbers stay whole, a missing value stays missing, categories are text."""
    rng = np.random.default_rng(1)
    whole = changed(pa.array([10, None, 30]), RobustnessRule(column="x", scale=1.26, max_failures=0.1), rng)
    words = pa.array(["ab", None, "c", "ab"]).dictionary_encode()
    typed = changed(words, RobustnessRule(column="x", typo=True, max_failures=0.1), rng)
    gone = changed(pa.array([1.0, 2.0]), RobustnessRule(column="x", missing=True, max_failures=0.1), rng)
    noisy = changed(pa.array([1.0, 2.0], pa.float32()), RobustnessRule(column="x", noise=0.1, max_failures=0.1), rng)

    assert whole.to_pylist() == [13, None, 38]
    assert typed.to_pylist() == ["ba", None, "cc", "ba"]
    assert gone.to_pylist() == [None, None]
    assert noisy.type == pa.float32()
    assert np.abs(np.array(noisy.to_pylist()) / [1.0, 2.0] - 1).max() <= 0.1


@pytest.mark.parametrize("change", [{}, {"noise": 0.1, "add": 1.0}])
def test_a_rule_has_one_change(change: dict[str, float]) -> None:
    """Two at once would leave open which of them it was."""
    with pytest.raises(ValueError, match="exactly one of noise"):
        RobustnessRule(column="x", max_failures=0.1, **change)  # type: ignore[arg-type]  # numbers
