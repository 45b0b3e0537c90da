"""What each level of an audit establishes, what it needs, and what it takes."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from candidate.adapters.attest import Signer
from candidate.documents.policy import Policy
from candidate.documents.spec import BuildSpec
from candidate.documents.trust import TrustPolicy
from candidate.errors import InputError
from candidate.flows.auditing import audit
from candidate.flows.building import build
from candidate.flows.comparing import compare

SPEC = """
[bundle]
name = "small"
version = "{version}"
[model]
source = "memory:model"
[data]
train = "train.parquet"
label = "late"
unit = "user"
[experiment]
seeds = {{ numpy = 0 }}
[serving]
features = [{{ name = "x", type = "number", source = "form" }}, {{ name = "z", type = "number", source = "form" }}]
"""
POLICY = """
[data]
label = "late"
unit = "user"
[optimizing]
metric = "roc_auc"
require = "superior"
min_gain = {gain}
[[satisficing]]
metric = "log_loss"
max = 1.0
by = "city"
[[slices.watch]]
where = "day >= '2026-03-01'"
margin = 0.1
metric = "log_loss"
[calibration]
max = 0.2
[skew.parity]
rows = 1000
max_mismatch = 0.01
[reproduce]
require_clean = false
[bench]
rounds = 30
calls = 10
"""
HEAVY = {"pandas", "sklearn", "onnx", "onnxruntime", "pyarrow", "skl2onnx", "cryptography", "google", "typer", "dask"}


def rows(count: int, seed: int) -> pd.DataFrame:
    """Rows with a missing unit never, a missing city sometimes, and a column of dates."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"x": rng.normal(size=count), "z": rng.normal(size=count)})
    table["city"] = rng.choice(["oslo", "bergen", None], count)
    table["day"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 120, count), unit="D")
    table["user"] = rng.integers(0, count // 4, count)
    table["late"] = (rng.random(count) < 1 / (1 + np.exp(-2 * table["x"] - table["z"]))).astype("int64")
    return table


@dataclass(frozen=True)
class World:
    """Two bundles, rows, and a signed decision with its evidence and predictions."""

    root: Path
    trust: TrustPolicy

    @property
    def decision(self) -> Path:
        """The signed decision."""
        return self.root / "decision.json"

    @property
    def data(self) -> Path:
        """The blackbox rows."""
        return self.root / "blackbox.parquet"

    def bundle(self, version: str) -> Path:
        """A built bundle."""
        return self.root / f"small-{version}.candidate"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, builder: Signer, approver: Signer, trust: TrustPolicy) -> World:
    """A champion that sees half, a challenger that sees all, and what a comparison of them leaves."""
    made = World(tmp_path_factory.mktemp("audited"), trust)
    train = rows(1500, 1)
    train.to_parquet(made.root / "train.parquet", index=False)
    rows(2400, 2).to_parquet(made.data, index=False, row_group_size=500)
    for version, seen in (("1", ["x"]), ("2", ["x", "z"])):
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train[seen], train["late"])
        spec = BuildSpec.from_toml(SPEC.format(version=version), where="spec")
        build(spec, model=model, root=made.root, out=made.root, signer=builder)
    compare(
        made.bundle("2"),
        champion=made.bundle("1"),
        policy=Policy.from_toml(POLICY.format(gain=0.01), where="policy"),
        data=made.data,
        out=made.root,
        signer=approver,
        trust=trust,
    )
    return made


def test_a_level_says_what_it_establishes_and_what_it_does_not(world: World) -> None:
    """Level 0 is about bytes, level 1 about what follows from them; each leaves something open."""
    bytes_alone = audit(world.decision, trust=world.trust, level=0)
    both = audit(world.decision, trust=world.trust)

    assert [level.level for level in both.levels] == [0, 1]
    assert bytes_alone.levels == both.levels[:1]
    assert bytes_alone.establishes[0] == "signed by a trusted approver"
    assert "4 attestations in claims.jsonl, each signed by who may" in bytes_alone.establishes
    assert "that the verdict follows from the evidence (level 1)" in bytes_alone.does_not
    assert "verdict, intervals and checklist recomputed, equal in every bit" in both.establishes
    assert both.does_not == both.levels[1].does_not
    assert all(level.does_not for level in both.levels)


def test_without_trust_every_level_says_that_nobody_knows_who_decided(world: World) -> None:
    """What a signature would have established is named as missing."""
    found = audit(world.decision)

    assert all("who decided (give --trust)" in level.does_not for level in found.levels)
    assert "signed by a trusted approver" not in found.establishes


@pytest.mark.parametrize("level", [-1, 4])
def test_a_level_that_is_none_is_refused(world: World, level: int) -> None:
    """There are four."""
    with pytest.raises(InputError, match=f"no level {level}"):
        audit(world.decision, level=level)


def test_the_verdict_is_recomputed_in_less_than_a_second_with_numpy_and_scipy_alone(world: World) -> None:
    """In a process of its own: what it imported of the heavy ones, and the processor's seconds."""
    program = (
        "import json, sys, time\n"
        "from pathlib import Path\n"
        "from candidate.flows.auditing import audit\n"
        f"decision = Path({str(world.decision)!r})\n"
        "start = time.process_time()\n"
        "found = audit(decision)\n"
        "spent = time.process_time() - start\n"
        "modules = sorted({name.split('.')[0] for name in sys.modules})\n"
        "print(json.dumps([found.outcome, spent, modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    outcome, spent, modules = json.loads(done.stdout)

    assert outcome == "inconclusive"  # a model from memory has no commit
    assert {"numpy", "scipy"} <= set(modules)
    assert not HEAVY & set(modules)
    assert spent < 1
