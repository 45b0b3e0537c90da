"""A plan's figures are those of the textbook, of statsmodels, and of what happens when the worlds are drawn."""

from typing import Any

import numpy as np
import pytest
from statsmodels.stats.power import NormalIndPower

from candidate.documents.plan import PlanLine
from candidate.judgement.gate import judge
from candidate.judgement.noise import noise_of
from candidate.judgement.power import planned, rows_needed
from tests.judgement.worlds import facts, keys, policy, simulate, world

RULES: dict[str, Any] = {
    "satisficing": [{"metric": "recall", "min": 0.5}],
    "slices": {
        "guard": [{"by": "origin", "margin": 0.05, "metric": "error_rate"}],
        "watch": [{"by": "origin", "margin": 0.02}],
    },
    "calibration": {"max": 0.1},
}


def by_rule(lines: tuple[PlanLine, ...], rule: str, place: str) -> PlanLine:
    """The line of a rule in a slice."""
    return next(line for line in lines if (line.rule, line.slice) == (rule, place))


@pytest.mark.parametrize(("margin", "rows"), [(0.01, 3710), (0.02, 928), (0.05, 149)])
def test_rows_needed_are_those_of_the_formula(margin: float, rows: int) -> None:
    """Six rows in a hundred differ, alpha 5 %, power 80 %; and statsmodels' power there is 80 %."""
    spread = 0.06**0.5

    assert rows_needed(spread, margin, 0.05, 0.8) == rows
    # Two independent samples of 2n rows each have the variance of n paired rows.
    power = NormalIndPower().power(margin / spread, 2 * rows, 0.05, alternative="larger")
    assert power == pytest.approx(0.8, abs=0.002)
    assert rows_needed(spread, 0.0, 0.05, 0.8) is None
    assert rows_needed(1.0, 1e-9, 0.05, 0.8) is None


def test_a_plan_keeps_what_it_promises() -> None:
    """From a large pilot the chance at 3,000 rows, and then 300 worlds of 3,000 rows."""
    rules = policy(**RULES)
    pilot = world(simulate(np.random.default_rng(1), 800_000, noise=(0.5, 0.65)))
    found = planned(rules, pilot.evidence, pilot.arrays, 3000)
    rng, passed = np.random.default_rng(2), {"optimizing": 0, "slices.guard[0]": 0}
    for _ in range(300):
        drawn = world(simulate(rng, 3000, noise=(0.5, 0.65)))
        for each in judge(rules, drawn.evidence, drawn.arrays).findings:
            if (each.rule, each.slice) in {("optimizing", "overall"), ("slices.guard[0]", "origin=0")}:
                passed[each.rule] += each.status == "pass"

    gain = by_rule(found.lines, "optimizing", "overall")
    assert 0.2 < gain.power < 0.9
    assert abs(passed["optimizing"] / 300 - gain.power) < 0.09
    guard = by_rule(found.lines, "slices.guard[0]", "origin=0")
    assert guard.rows == pytest.approx(1000, abs=30)
    assert guard.aim == "no harm"
    assert passed["slices.guard[0]"] / 300 > guard.power - 0.06  # planned on no effect, and there is a gain
    assert guard.discordance == pytest.approx(0.12, abs=0.06)
    assert guard.design_effect == pytest.approx(1.0, abs=0.5)


def test_guards_share_the_power_and_a_budget_shares_alpha() -> None:
    """With three guarded slices each is planned at a third of beta; a look at a twentieth of alpha."""
    found = world(simulate(np.random.default_rng(3), 8000, noise=(0.5, 0.65)))
    plain = planned(policy(**RULES), found.evidence, found.arrays, 8000)
    limited = planned(policy(**RULES, holdout={}), found.evidence, found.arrays, 8000)

    assert plain.guard_power == pytest.approx(1 - 0.2 / 3)
    assert limited.look_alpha == pytest.approx(0.05 / 20)
    needed = [by_rule(each.lines, "optimizing", "overall").n_needed or 0 for each in (plain, limited)]
    assert needed[1] / needed[0] == pytest.approx(2.15, abs=0.1)
    blocking = [line for line in plain.lines if line.aim != "harm seen"]
    assert plain.go_power == pytest.approx(max(0.0, 1 - sum(1 - line.power for line in blocking)))


def test_a_watched_slice_that_could_not_see_is_named_blind() -> None:
    """Too few rows to see the margin, and with enough of them not."""
    found = world(simulate(np.random.default_rng(4), 2000))
    few, many = (planned(policy(**RULES), found.evidence, found.arrays, rows) for rows in (2000, 200_000))

    assert all(line.blind for line in few.lines if line.aim == "harm seen")
    assert not any(line.blind for line in many.lines if line.aim == "harm seen")
    line = by_rule(few.lines, "slices.watch[0]", "origin=1")
    assert line.n_needed is not None
    assert line.n_needed > line.rows
    assert line.detects > 0.02


def test_what_the_pilot_says_nothing_of_is_said() -> None:
    """No training mean, no bound; a gain that is none needs more rows than there are."""
    state = simulate(np.random.default_rng(5), 3000, noise=(0.9, 0.5))
    found = world(state, challenger=facts("a", train_label_mean=None))
    result = planned(policy(**RULES), found.evidence, found.arrays, 3000)

    assert [text.split(":")[0] for text in result.undecidable] == ["baselines.zero_rule overall"]
    worse = by_rule(result.lines, "optimizing", "overall")
    assert (worse.n_needed, worse.blind) == (None, True)
    assert worse.power < 0.05
    assert result.go_power == 0.0


def test_the_noise_of_retrains_is_a_percentile_of_their_differences() -> None:
    """Equal models: the margin that 95 % of differences keep, and the policy is told where it is too small."""
    rng = np.random.default_rng(6)
    watched = [{"where": "x > 1", "margin": 0.001}]
    rules = policy(slices={"guard": [{"by": "origin", "margin": 0.5}], "watch": watched})
    pairs = []
    for _ in range(10):
        drawn = world(simulate(rng, 3000))
        pairs.append((drawn.arrays.state, drawn.evidence.state))
    state, axes = pairs[0]  # and one more in which a slice has no rows
    empty = axes.model_copy(update={"slices": keys(4)})
    lines = {line.rule: line for line in noise_of(rules, [*pairs[1:], (state.placed(range(4), 5, ()), empty)])}

    assert set(lines) == {"optimizing", "slices.guard[0]"}
    guard = lines["slices.guard[0]"]
    assert (guard.differences, guard.enough, guard.margin) == (30, True, 0.5)
    assert guard.median < guard.noise <= guard.largest
    assert not lines["optimizing"].enough
    assert lines["optimizing"].differences == 10


def test_a_margin_below_the_noise_is_said_to_be() -> None:
    """With every answer, whichever it is; the verdict stays what it is."""
    found = world(simulate(np.random.default_rng(7), 4000))
    guard = {"by": "origin", "margin": 0.02, "metric": "error_rate"}
    plain, noisy, enough = (
        judge(policy(slices={"guard": [{**guard, **more}]}), found.evidence, found.arrays)
        for more in ({}, {"noise": 0.03}, {"noise": 0.01})
    )

    assert [each.status for each in plain.findings] == [each.status for each in noisy.findings]
    said = [each.why for each in noisy.findings if each.rule == "slices.guard[0]"]
    assert said
    assert all(why.endswith("the margin is below the retrain noise of 0.03") for why in said)
    assert enough.findings == plain.findings
