"""What each level of an audit establishes, what it needs, and what it takes."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from candidate.adapters.attest import Signer
from candidate.documents.evidence import Evidence
from candidate.documents.policy import Policy
from candidate.documents.spec import BuildSpec
from candidate.documents.trust import TrustPolicy
from candidate.errors import InputError, IntegrityError
from candidate.flows.auditing import audit, read_evidence
from candidate.flows.building import build
from candidate.flows.comparing import compare
from candidate.flows.remeasuring import bundles_again, rows_again
from candidate.flows.scored import merkle_root
from candidate.judgement.gate import Arrays

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
    table["city"] = rng.choice(np.array(["oslo", "bergen", None], dtype=object), count)
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

    @property
    def predictions(self) -> Path:
        """Every row's scores."""
        return self.root / "predictions.parquet"

    def basis(self, **changes: Any) -> tuple[Evidence, Policy, Arrays]:
        """The evidence, with some of its fields changed."""
        evidence, policy, arrays = read_evidence(self.root / "evidence")
        return evidence.model_copy(update=changes), policy, arrays

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
        predictions=made.predictions,
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


def again(world: World, basis: tuple[Evidence, Policy, Arrays] | None = None, **changes: Any) -> Any:
    """Level 3 with the bundles and rows that were measured, or with others."""
    given: dict[str, Any] = {"data": world.data, "challenger": world.bundle("2"), "champion": world.bundle("1")}
    return bundles_again(basis or world.basis(), name="again", **{**given, **changes})


def altered(world: World, path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    """The predictions with something changed."""
    change(pd.read_parquet(world.predictions)).to_parquet(path, index=False)
    return path


def test_the_state_comes_out_of_the_predictions_in_any_order_of_the_rows(world: World, tmp_path: Path) -> None:
    """Level 2 by the file as it was written, and by the same rows shuffled."""
    shuffled = altered(world, tmp_path / "shuffled.parquet", lambda table: table.sample(frac=1, random_state=3))
    for path in (world.predictions, shuffled):
        found = audit(world.decision, trust=world.trust, predictions=path)
        assert [level.level for level in found.levels] == [0, 1, 2]
        assert "the scores of 2,400 rows are those that the evidence commits to, to the last bit" in found.establishes
    assert not any("who decided" in claim for claim in found.does_not)


def _one_bit(table: pd.DataFrame) -> pd.DataFrame:
    scores = table["candidate.score.challenger"].to_numpy(copy=True)
    scores[7] = np.nextafter(scores[7], 1)
    table["candidate.score.challenger"] = scores
    return table


def _other_city(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[7, "city"] = "paris"
    return table


def _other_class(table: pd.DataFrame) -> pd.DataFrame:
    truth = table["candidate.truth"].to_numpy(copy=True)
    truth[7] = 1 - truth[7]
    return table.assign(**{"candidate.truth": truth})


@pytest.mark.parametrize("change", [_one_bit, _other_city, _other_class], ids=["score", "slice", "class"])
def test_a_single_value_that_was_changed_is_noticed(
    world: World, tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    """The last bit of a score, a row's slice, a row's class: the root is another."""
    path = altered(world, tmp_path / "predictions.parquet", change)
    with pytest.raises(IntegrityError, match="not the predictions that the evidence commits to"):
        audit(world.decision, trust=world.trust, predictions=path)


def test_rows_that_are_missing_or_twice_are_noticed(world: World, tmp_path: Path) -> None:
    """Every row from 0 on, each once."""
    fewer = altered(world, tmp_path / "fewer.parquet", lambda table: table.drop(index=3))
    twice = altered(world, tmp_path / "twice.parquet", lambda table: pd.concat([table, table.tail(1)]))
    for path in (fewer, twice):
        with pytest.raises(IntegrityError, match="not numbered from 0 on, each once"):
            rows_again(path, world.basis(), name="rows")


def test_a_state_that_does_not_come_out_of_its_own_predictions_is_refused(world: World) -> None:
    """Somebody changed the counts and signed them: the predictions are whole, and say otherwise."""
    evidence, policy, arrays = world.basis()
    counts = arrays.state.counts.copy()
    counts[0, 0, 0] += 1
    forged = Arrays(replace(arrays.state, counts=counts), arrays.latency)
    with pytest.raises(IntegrityError, match=r"1 of the .* numbers of the State do not follow"):
        rows_again(world.predictions, (evidence, policy, forged), name="rows")


def test_a_salt_that_was_chosen_is_refused(world: World) -> None:
    """Other buckets would give other intervals; nobody may try some."""
    axes = world.basis()[0].state.model_copy(update={"salt": "00000000000000ff"})
    with pytest.raises(IntegrityError, match="salt of the buckets does not follow"):
        rows_again(world.predictions, world.basis(state=axes), name="rows")


def test_a_file_that_is_not_of_predictions_is_refused(world: World, tmp_path: Path) -> None:
    """The rows themselves, scores of another type, numbers of another type, and no predictions at all."""
    text = altered(world, tmp_path / "text.parquet", lambda t: t.astype({"candidate.score.challenger": "float32"}))
    numbers = altered(world, tmp_path / "numbers.parquet", lambda t: t.astype({"candidate.row": "int32"}))
    for path, says in ((world.data, "no column"), (text, "not double"), (numbers, "not int64")):
        with pytest.raises(InputError, match=says):
            rows_again(path, world.basis(), name="rows")
    with pytest.raises(InputError, match="kept no predictions"):
        rows_again(world.predictions, world.basis(predictions=None), name="rows")


def test_both_bundles_give_the_same_state_again(world: World) -> None:
    """Level 3 by any engine; it says what it cannot establish."""
    given: dict[str, Any] = {"data": world.data, "challenger": world.bundle("2"), "champion": world.bundle("1")}
    found = audit(world.decision, trust=world.trust, predictions=world.predictions, **given)

    assert [level.level for level in found.levels] == [0, 1, 2, 3]
    assert any(claim.endswith("numbers of the State measured again, equal") for claim in found.establishes)
    assert found.levels[-1].notes == ()
    assert any("latency" in claim for claim in found.does_not)
    assert again(world, engine="pool:1") == found.levels[-1].model_copy(update={"name": "again"})


def test_other_bundles_or_rows_than_were_measured_are_refused(world: World, tmp_path: Path) -> None:
    """The digest of each must be the one that the evidence names; a champion is needed where there was one."""
    rows(2400, 9).to_parquet(tmp_path / "other.parquet", index=False)
    with pytest.raises(IntegrityError, match="not the rows that were measured"):
        again(world, data=tmp_path / "other.parquet")
    with pytest.raises(IntegrityError, match="measured was"):
        again(world, challenger=world.bundle("1"))
    with pytest.raises(InputError, match="the champion was measured and is missing here"):
        again(world, champion=None)
    with pytest.raises(InputError, match="the champion was not measured"):
        again(world, world.basis(champion=None))


def test_facts_that_the_bundle_does_not_say_are_refused(world: World) -> None:
    """Evidence that makes a bundle better than it is; what is attached to it later is only noted."""
    known = world.basis()[0].challenger
    with pytest.raises(IntegrityError, match="says otherwise of features, commit"):
        again(world, world.basis(challenger=known.model_copy(update={"features": ("x",), "commit": "c0ffee"})))
    found = again(world, world.basis(challenger=known.model_copy(update={"size_bytes": 1})))

    assert found.notes == (f"small 2 has {known.size_bytes:,} bytes, then 1",)


def changed(world: World, statistic: str, by: int) -> tuple[Evidence, Policy, Arrays]:
    """The evidence of a processor that counted a little otherwise, in the first bucket of all rows."""
    evidence, policy, arrays = world.basis()
    counts = arrays.state.counts.copy()
    counts[0, 0, evidence.state.statistics.index(statistic)] += by
    return evidence, policy, replace(arrays, state=replace(arrays.state, counts=counts))


def test_rounding_is_noted_and_anything_more_is_refused(world: World) -> None:
    """A sum's last digits may differ where the verdict is the same; an answer may not, nor may a finding."""
    noted = again(world, changed(world, "log_loss.challenger", 3))
    assert "1 of " in noted.notes[0]
    assert "the verdict recomputed from them is the same: inconclusive" in noted.notes[0]
    with pytest.raises(IntegrityError, match="1 counts of rows and answers differ"):
        again(world, changed(world, "tp.challenger", 1))
    with pytest.raises(IntegrityError, match="with other findings than the decision's"):
        again(world, changed(world, "log_loss.challenger", 2**42))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"level": 2}, "level 2 needs --predictions"),
        ({"level": 3}, "level 3 needs --challenger and --data"),
        ({"data": "x"}, "level 3 needs --challenger"),
        ({"champion": "x"}, "level 3 needs --challenger and --data"),
    ],
    ids=["two", "three", "data", "champion"],
)
def test_a_level_says_what_it_needs(world: World, given: dict[str, Any], says: str) -> None:
    """Half of what a level needs is a slip, never a shallower audit."""
    with pytest.raises(InputError, match=says):
        audit(world.decision, **given)


def test_a_level_that_was_asked_for_is_the_deepest(world: World) -> None:
    """What deeper levels would need is not even read."""
    assert len(audit(world.decision, predictions="nowhere.parquet", level=1).levels) == 2


def test_predictions_are_all_there_or_not_at_all(world: World, tmp_path: Path) -> None:
    """A file that exists, another form, another engine, data that ends in the middle: nothing is left behind."""
    given: dict[str, Any] = {"champion": world.bundle("1"), "policy": world.basis()[1], "data": world.data}
    target = tmp_path / "new.parquet"
    broken = tmp_path / "broken.parquet"
    table = pd.read_parquet(world.data)
    table.loc[2000, "late"] = 7
    table.to_parquet(broken, index=False, row_group_size=500)
    for more, says in (
        ({"predictions": world.predictions}, "exists already"),
        ({"predictions": tmp_path / "new.csv"}, "written as Parquet"),
        ({"predictions": target, "engine": "pool:1"}, "kept by one process alone"),
        ({"predictions": target, "data": broken}, "label 7 is none of the classes"),
    ):
        with pytest.raises(InputError, match=says):
            compare(world.bundle("2"), **{**given, **more})
    assert [path.name for path in tmp_path.iterdir()] == ["broken.parquet"]


def test_evidence_without_predictions_has_the_bytes_it_always_had(world: World) -> None:
    """The key is written only where there are any, so that digests of older evidence stay."""
    evidence = world.basis()[0]

    assert evidence.predictions is not None
    assert b'"predictions"' not in evidence.model_copy(update={"predictions": None}).to_bytes()
    assert evidence.to_bytes() == (world.root / "evidence" / "evidence.json").read_bytes()


def _rfc_6962(leaves: list[bytes]) -> bytes:
    """The tree hash as the RFC writes it: split at the largest power of two below the number of leaves."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + _rfc_6962(leaves[:split]) + _rfc_6962(leaves[split:])).digest()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8, 13, 64, 100])
def test_the_tree_is_the_one_of_rfc_6962(count: int) -> None:
    """Level by level gives what the RFC's recursion gives."""
    leaves = [hashlib.sha256(bytes([number])).digest() for number in range(count)]

    assert merkle_root(b"".join(leaves)) == _rfc_6962(leaves)
