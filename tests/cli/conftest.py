"""A small project run through the command line alone: keys, trust, registry, bundles, decisions."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from candidate.cli.app import run

MODELS = '''
"""Models of a small project; each function is given the training table."""
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def fit(train, numbers):
    prepare = ColumnTransformer([
        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
        ("city", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["city"]),
    ])
    return make_pipeline(prepare, LogisticRegression()).fit(train[[*numbers, "city"]], train["late"])


def weak(train):
    return fit(train, ["age"])


def strong(train):
    return fit(train, ["age", "income"])


def broken(train):
    lost = train.copy()
    lost.loc[lost["city"] == "oslo", "late"] = 0
    return fit(lost, ["age", "income"])
'''

SPEC = """
[bundle]
name = "small"
version = "{version}"
[model]
source = "models.py:{function}"
[data]
train = "train.parquet"
label = "late"
unit = "user"
feature_set = "f1"
[experiment]
seeds = {{ numpy = 0 }}
[serving]
features = [
  {{ name = "age", type = "number", source = "form" }},
  {{ name = "income", type = "number", source = "form" }},
  {{ name = "city", type = "string", source = "form" }},
]
"""

POLICY = """
{first}
[data]
label = "late"
unit = "user"
[optimizing]
metric = "log_loss"
require = "superior"
min_gain = {gain}
[[satisficing]]
metric = "latency_p50_ms"  # the p99 of a busy test machine says nothing of what these tests are about
max = 1000.0
[[slices.watch]]
by = "city"
margin = 0.05
[calibration]
max = 0.15
[reproduce]
require_clean = false
[bench]
rounds = 30
calls = 20
{last}
"""
FIRST: dict[str, Any] = {"gain": 0.01, "first": 'champion = "none"', "last": '[rollback]\ntarget = "none"'}


def rows(count: int, seed: int) -> pd.DataFrame:
    """People in three cities; income says much about being late, age little."""
    rng = np.random.default_rng(seed)
    age, income = rng.normal(size=count), rng.normal(size=count)
    city = rng.choice(["oslo", "bergen", "tromso"], count)
    chance = 1 / (1 + np.exp(-(0.6 * age + 1.8 * income + (city == "oslo"))))
    table = pd.DataFrame({"age": age, "income": income, "city": city, "user": rng.integers(0, count // 4, count)})
    table.loc[rng.random(count) < 0.05, "age"] = np.nan
    table["late"] = (rng.random(count) < chance).astype("int64")
    return table


@dataclass(frozen=True)
class Project:
    """Where the project is, and how to run a command in it."""

    root: Path
    run: Callable[..., int]

    def bundle(self, version: str) -> Path:
        """Path of a built bundle."""
        return self.root / "bundles" / f"small-{version}.candidate"


def _commands(call: Callable[..., int]) -> None:
    """Everything that a team types, from keys to decisions."""
    for role in ("builder", "approver", "promoter", "oncall"):
        assert call("key", "new", f"keys/{role}.pem") == 0
    roles = [
        part for role in ("builder", "approver", "promoter", "oncall") for part in (f"--{role}", f"keys/{role}.pub.pem")
    ]
    assert call("trust", "trust.toml", *roles) == 0
    assert call("registry", "new", "registry", "--trust", "trust.toml") == 0
    for number in ("1", "2", "3"):
        assert call("build", f"v{number}.toml", "--out", "bundles", "--key", "keys/builder.pem") == 0
    decide = ("--data", "blackbox.parquet", "--out", "decisions", "--key", "keys/approver.pem")
    here = ("--registry", "registry", "--channel", "small/prod")
    move = (*here, "--key", "keys/promoter.pem")
    first = ("bundles/small-1.0.0.candidate", "--champion", "none", *here, "--policy", "first.toml", "--name", "first")
    assert call("compare", *first, *decide) == 0
    assert call("promote", "bundles/small-1.0.0.candidate", "--decision", "decisions/first.json", *move) == 0
    against = ("--champion", "registry#small/prod", "--policy", "policy.toml")
    assert call("compare", "bundles/small-2.0.0.candidate", *against, *decide, "--name", "go") == 0


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The project with a champion, and a go for its successor that nobody has promoted yet."""
    root = tmp_path_factory.mktemp("project")
    rows(3000, 1).to_parquet(root / "train.parquet", index=False)
    rows(4000, 2).to_parquet(root / "blackbox.parquet", index=False)
    rows(90, 3).to_parquet(root / "few.parquet", index=False)
    (root / "models.py").write_text(MODELS)
    for number, function in (("1", "weak"), ("2", "strong"), ("3", "broken")):
        (root / f"v{number}.toml").write_text(SPEC.format(version=f"{number}.0.0", function=function))
    (root / "policy.toml").write_text(POLICY.format(first="", last="", gain=0.12))
    (root / "first.toml").write_text(POLICY.format(**FIRST))
    before, environment = Path.cwd(), dict(os.environ)
    os.environ.pop("CANDIDATE_TRUST", None)
    os.environ["CANDIDATE_KEY_PASSPHRASE"] = "correct horse battery staple"  # noqa: S105 - of keys made here
    os.chdir(root)

    def call(*arguments: str | Path) -> int:
        return run([str(argument) for argument in arguments])

    try:
        _commands(call)
        yield Project(root, call)
    finally:
        os.chdir(before)
        os.environ.clear()
        os.environ.update(environment)


@pytest.fixture
def folder(project: Project, tmp_path: Path) -> Path:
    """A copy of the project's registry as of its first release, whatever others did to it since; to be changed."""
    shutil.copytree(project.root / "registry", tmp_path / "registry")
    for entry in sorted((tmp_path / "registry" / "log").iterdir())[1:]:
        entry.unlink()
    return tmp_path / "registry"


@pytest.fixture
def answer(project: Project, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Run a command with --json; return its exit code and the one document on stdout."""

    def ask(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = project.run(*arguments, "--json")
        text = capsys.readouterr().out
        assert text.count("\n") == 1, f"not one JSON document: {text!r}"
        return code, json.loads(text)

    return ask


def names(findings: Sequence[dict[str, Any]], status: str) -> list[str]:
    """Slices of the findings with this status."""
    return [finding["slice"] for finding in findings if finding["status"] == status]
