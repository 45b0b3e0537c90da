"""Planned on eyeball rows, written down, and then held to it."""

from pathlib import Path

import pytest

from candidate.documents.policy import Policy
from candidate.errors import InputError
from candidate.flows import holdouts
from candidate.flows.auditing import audit
from candidate.flows.planning import calibrate, plan
from candidate.report.planned import noise_text, plan_text
from tests.flows.test_holdouts import POLICY, Shop, drawn

GUARDED = (
    POLICY
    + """
[[slices.guard]]
where = "x > 0"
margin = 0.05
"""
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Bundles and rows, and eyeball rows beside them."""
    found = Shop(tmp_path_factory.mktemp("planned"))
    found.policy = Policy.from_toml(GUARDED, where="policy")
    drawn(7, 1500).to_parquet(found.root / "eyeball.parquet", index=False)
    return found


def test_a_plan_is_written_down_before_the_look(shop: Shop, tmp_path: Path) -> None:
    """The ledger has the plan before the look, the evidence names it, and the comparison keeps its promise."""
    ledger = tmp_path / "ledger"
    made = plan(
        shop.policy,
        pilot=shop.root / "eyeball.parquet",
        challenger=shop.bundles[5],
        champion=shop.bundles[0],
        rows=3000,
        ledger=ledger,
    )
    again = plan(
        shop.policy,
        pilot=shop.root / "eyeball.parquet",
        challenger=shop.bundles[5],
        champion=str(shop.bundles[0]),
        rows=3000,
        ledger=ledger,
    )
    done = shop.compared(5, ledger, planned=made, out=tmp_path)

    assert again == made
    assert (made.rows, made.pilot.rows, made.policy) == (3000, 1500, shop.policy.digest)
    assert made.look_alpha == pytest.approx(0.05 / 3)
    entries = holdouts.read_ledger(ledger).entries
    assert [entry.what for entry in entries] == ["plan", "look", "verdict"]
    assert entries[0].of == made.digest == done.evidence.plan
    assert made.lines[0].power > 0.9
    assert done.decision.findings[0].status == "pass"
    assert "PLAN for 3,000 rows, from a pilot of 1,500" in plan_text(made)
    assert audit(tmp_path / "decision.json", ledger=ledger).outcome == done.decision.outcome


def test_a_pilot_may_be_the_evidence_of_an_earlier_comparison(shop: Shop, tmp_path: Path) -> None:
    """By the same policy; by another one it says nothing of these rules."""
    shop.compared(5, tmp_path / "ledger", out=tmp_path)
    made = plan(shop.policy, pilot=tmp_path / "evidence", rows=1000)
    other = Policy.from_toml(GUARDED.replace("0.05", "0.06"), where="policy")

    assert (made.rows, made.pilot.rows) == (1000, 3000)
    with pytest.raises(InputError, match="measured for another policy"):
        plan(other, pilot=tmp_path / "evidence")
    with pytest.raises(InputError, match="planned by the policy"):
        shop.compared(5, tmp_path / "ledger", planned=made, policy=other)


def test_what_cannot_be_planned_is_refused(shop: Shop) -> None:
    """Rows without models, no rows at all."""
    rows = shop.root / "eyeball.parquet"
    with pytest.raises(InputError, match="rows alone tell nothing"):
        plan(shop.policy, pilot=rows)
    with pytest.raises(InputError, match="no rows tells nothing"):
        plan(shop.policy, pilot=rows, challenger=shop.bundles[5], champion=shop.bundles[0], rows=0)


def test_the_noise_of_a_recipe_is_measured(shop: Shop) -> None:
    """Six bundles, fifteen pairs; too few of them, or one twice, is no recipe's noise."""
    rows = shop.root / "eyeball.parquet"
    found = calibrate(shop.bundles, policy=shop.policy, data=rows)

    assert (found.pairs, len(found.bundles), found.policy) == (15, 6, shop.policy.digest)
    assert [line.rule for line in found.lines] == ["optimizing", "slices.guard[0]"]
    assert found.lines[0].noise > found.lines[0].median > 0
    assert "margin = " in noise_text(found)
    with pytest.raises(InputError, match="tell little of its noise"):
        calibrate(shop.bundles[:4], policy=shop.policy, data=rows)
    with pytest.raises(InputError, match="given twice"):
        calibrate([*shop.bundles[:5], shop.bundles[0]], policy=shop.policy, data=rows)
