"""The ledger beside a real comparison: looks cost before they are taken, and twenty challengers exhaust a holdout."""

import os
import threading
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from candidate.documents.policy import Policy
from candidate.documents.spec import BuildSpec
from candidate.errors import InputError, IntegrityError, UnavailableError
from candidate.flows import holdouts
from candidate.flows.auditing import audit
from candidate.flows.building import build
from candidate.flows.comparing import compare
from candidate.flows.reporting import render
from candidate.flows.showing import show
from candidate.judgement.holdout import overlap
from candidate.report.text import document_text

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
metric = "log_loss"
require = "superior"
min_gain = 0.0
[baselines]
zero_rule = "report"
[holdout]
budget = 3
[bench]
rounds = 30
calls = 10
[reproduce]
require_clean = false
[checklist]
require = ["optimizing", "availability", "skew", "reproducibility", "packaging", "rollback"]
"""


def drawn(seed: int, rows: int = 3000) -> pd.DataFrame:
    """Rows in which x tells much and z a little."""
    rng = np.random.default_rng(seed)
    found = pd.DataFrame({"x": rng.normal(size=rows), "z": rng.normal(size=rows)})
    found["user"] = rng.integers(0, 500, rows)
    found["late"] = (rng.random(rows) < 1 / (1 + np.exp(-2 * found["x"] - found["z"]))).astype("int64")
    return found


class Shop:
    """Bundles, rows and a policy with a budget of three looks."""

    def __init__(self, root: Path) -> None:
        """Train a champion and five challengers, each a little better."""
        self.root, self.data = root, root / "blackbox.parquet"
        train = drawn(1)
        train.to_parquet(root / "train.parquet", index=False)
        drawn(2).to_parquet(self.data, index=False)
        self.bundles = []
        for number, strength in enumerate((0.001, 0.003, 0.01, 0.03, 0.1, 1.0)):
            model = LogisticRegression(C=strength).fit(train[["x", "z"]], train["late"])
            spec = BuildSpec.from_toml(SPEC.format(version=number), where="spec")
            joblib.dump(model, root / f"model{number}.joblib")
            self.bundles.append(Path(build(spec, root=root, out=root).path))
        self.policy = Policy.from_toml(POLICY, where="policy")

    def compared(self, challenger: int, ledger: Path | None, **more: Any) -> Any:
        """A challenger against the champion."""
        more = {"policy": self.policy, "data": self.data, **more}
        return compare(self.bundles[challenger], champion=self.bundles[0], ledger=ledger, **more)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Made once."""
    return Shop(tmp_path_factory.mktemp("shop"))


def test_a_holdout_is_exhausted_by_challengers(shop: Shop, tmp_path: Path) -> None:
    """Three looks may be a go; the fourth is at most inconclusive, in whatever file. The same look is free."""
    ledger = tmp_path / "holdout.jsonl"
    outcomes = [shop.compared(number, ledger).decision.outcome for number in (1, 2, 3)]
    renamed = tmp_path / "fresh.csv"
    drawn(2).sample(frac=1.0, random_state=5)[["user", "z", "late", "x"]].to_csv(renamed, index=False)
    fourth = shop.compared(4, ledger, data=renamed, out=tmp_path)
    again = shop.compared(1, ledger)

    assert outcomes == ["go"] * 3
    assert fourth.decision.outcome == "inconclusive"
    assert "look 4 of 3" in next(each.why for each in fourth.decision.findings if each.rule == "holdout")
    assert again.evidence.holdout.look == 1
    assert again.decision.outcome == "go"
    view = holdouts.view(ledger)
    assert [(each.looks, each.alpha, each.outcomes) for each in view.holdouts] == [
        (4, 0.0, {"go": 3, "inconclusive": 1})
    ]
    told = document_text(show(ledger))
    assert "3 go, 1 inconclusive" in told
    assert "exhausted: collect fresh rows" in told
    done = audit(tmp_path / "decision.json", ledger=ledger)
    assert "the look at the holdout is in its place in an unbroken ledger" in done.establishes


def test_a_decision_that_is_not_in_the_ledger_is_found_out(shop: Shop, tmp_path: Path) -> None:
    """Another ledger, a ledger without that line, one of another look, a policy without a budget."""
    shop.compared(1, tmp_path / "ledger", out=tmp_path)
    shop.compared(2, tmp_path / "other")
    plain = Policy.from_toml(POLICY.replace("[holdout]\nbudget = 3\n", ""), where="policy")
    shop.compared(1, None, policy=plain, out=tmp_path, name="plain")

    with pytest.raises(IntegrityError, match="not in the ledger"):
        audit(tmp_path / "decision.json", ledger=tmp_path / "other")
    (tmp_path / "ledger").write_bytes((tmp_path / "ledger").read_bytes().splitlines(keepends=True)[1])
    with pytest.raises(IntegrityError, match="taken out"):
        audit(tmp_path / "decision.json", ledger=tmp_path / "ledger")
    with pytest.raises(InputError, match=r"no \[holdout\]"):
        audit(tmp_path / "plain.json", ledger=tmp_path / "other")
    with pytest.raises(InputError, match="cannot be opened"):
        audit(tmp_path / "decision.json", ledger=tmp_path / "absent")


def test_a_look_is_paid_before_it_is_taken(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison that fails after the look was counted has still cost it; one that never began has not."""
    ledger = tmp_path / "ledger"

    def broken(*_: object, **__: object) -> None:
        raise InputError("a failure while scoring")

    with monkeypatch.context() as patched:
        patched.setattr("candidate.flows.comparing.measure", broken)
        with pytest.raises(InputError, match="while scoring"):
            shop.compared(1, ledger)
    assert [(each.looks, each.outcomes) for each in holdouts.view(ledger).holdouts] == [(1, {})]
    with pytest.raises(InputError, match="nobody counts it"):
        shop.compared(1, None)
    with pytest.raises(InputError):
        shop.compared(1, ledger, data=tmp_path / "absent.parquet")
    assert holdouts.view(ledger).entries == 1


def test_a_disk_that_refuses_leaves_the_ledger_as_it_was(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is scored, no half line stays; and a half line of somebody who was killed does not count."""
    ledger = tmp_path / "ledger"
    shop.compared(1, ledger)
    before = ledger.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(UnavailableError, match="No space left"):
            shop.compared(2, ledger)
    assert ledger.read_bytes() == before
    ledger.write_bytes(before + before[:77])
    assert holdouts.view(ledger).entries == 2
    assert shop.compared(2, ledger).evidence.holdout.look == 2
    assert ledger.read_bytes().startswith(before)


def test_looks_at_once_are_all_counted(shop: Shop, tmp_path: Path) -> None:
    """Sixteen writers, sixteen looks, one chain."""
    ledger, rows = tmp_path / "ledger", holdouts.fingerprint_of(shop.data)

    def one(number: int) -> None:
        holdouts.look(ledger, shop.policy, shop.data, challenger=f"sha256:{number:064x}", champion=None)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    known = holdouts.read_ledger(ledger)
    assert sorted(entry.look or 0 for entry in known.entries) == list(range(1, 17))
    assert known.looks(rows) == 16


def test_a_fingerprint_is_of_values_not_of_files(tmp_path: Path) -> None:
    """CSV, Parquet and JSON lines; whole numbers or not; a category or text; missing or NaN."""
    rows = drawn(3, 400)
    rows["city"] = ["oslo" if number % 3 else None for number in range(400)]
    rows.loc[5, "x"] = np.nan
    rows.to_parquet(tmp_path / "a.parquet", index=False, row_group_size=90)
    rows.to_csv(tmp_path / "b.csv", index=False)
    rows.to_json(tmp_path / "c.jsonl", orient="records", lines=True, double_precision=15)
    odd = rows.astype({"city": "category", "late": "float64"})[["city", "late", "user", "z", "x"]]
    odd.iloc[::-1].to_parquet(tmp_path / "d.parquet", index=False, compression="zstd")

    found = {name: holdouts.fingerprint_of(tmp_path / name) for name in ("a.parquet", "b.csv", "d.parquet")}

    assert len({each.digest for each in found.values()}) == 1
    text = holdouts.fingerprint_of(tmp_path / "c.jsonl")  # fifteen digits are not all of a number
    assert text.columns == found["a.parquet"].columns
    most = rows.iloc[:390]
    most.to_parquet(tmp_path / "e.parquet", index=False)
    assert overlap(holdouts.fingerprint_of(tmp_path / "e.parquet"), found["a.parquet"]) > 0.9


def test_rows_that_were_looked_at_are_no_blackbox(shop: Shop, tmp_path: Path) -> None:
    """The same rows in another file are found; a file that the policy names for something else is refused."""
    both = pd.concat([drawn(2).iloc[:600], drawn(9)]).sample(frac=1.0, random_state=1)
    both.to_csv(tmp_path / "eyeball.csv", index=False)
    drawn(9).to_parquet(tmp_path / "apart.parquet", index=False)

    with pytest.raises(InputError, match="are in both files"):
        shop.compared(1, tmp_path / "ledger", eyeball=tmp_path / "eyeball.csv")
    assert not (tmp_path / "ledger").exists()
    assert shop.compared(1, tmp_path / "ledger", eyeball=tmp_path / "apart.parquet").decision.outcome == "go"
    digest = shop.compared(1, tmp_path / "ledger").evidence.data.file
    for name in ("eyeball", "train"):
        pinned = POLICY.replace('unit = "user"', f'unit = "user"\n{name} = "{digest}"')
        with pytest.raises(InputError, match=f"names as its {name} rows"):
            shop.compared(1, tmp_path / "ledger", policy=Policy.from_toml(pinned, where="policy"))
    pinned = POLICY.replace('unit = "user"', f'unit = "user"\ntrain = "sha256:{"0" * 64}"')
    with pytest.raises(InputError, match="was trained on"):
        shop.compared(1, tmp_path / "ledger", policy=Policy.from_toml(pinned, where="policy"))


def test_those_who_train_are_told_how_rules_ended_and_no_number(shop: Shop, tmp_path: Path) -> None:
    """Every form of the report is made of a decision without what was measured."""
    done = shop.compared(5, tmp_path / "ledger", out=tmp_path)
    gained = next(each.estimate for each in done.decision.findings if each.rule == "optimizing")
    assert gained is not None

    for form in (".md", ".html", ".xml", ".sarif"):
        told = render(tmp_path / "decision.json", form, verdict_only=True)
        assert all(each.estimate is None and each.p_value is None for each in told.decision.findings)
        assert f"{gained.value:.3g}" not in told.text
        if form in {".md", ".html"}:  # the others give numbers to what is broken alone
            assert f"{gained.value:.3g}" in render(tmp_path / "decision.json", form).text
