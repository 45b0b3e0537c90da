"""A verdict does not rest on rows that the challenger was trained on."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from candidate.documents.decision import Finding, Verdict
from candidate.documents.evidence import Contaminated
from candidate.errors import IntegrityError
from candidate.judgement.gate import judge
from candidate.judgement.state import State
from tests.judgement.worlds import World, durations, policy, sha, simulate, world

TRAIN = sha("d")
"""What the facts of the worlds say that the challenger was trained on."""


def drawn(seed: int, rows: int, noise: tuple[float, float]) -> State:
    """Rows on which the challenger is better or worse than the champion."""
    return simulate(np.random.default_rng(seed), rows, noise=noise)


def said(rows: int, **changes: Any) -> Contaminated:
    """So many rows are among the training rows."""
    whole: dict[str, Any] = {"train": TRAIN, "train_rows": 1000, "columns": ("x",), "rows": rows}
    return Contaminated(**{**whole, **changes})


def mixed(clean: State, tainted: State | None, facts: Contaminated | None) -> World:
    """Clean and tainted rows together."""
    found = world(clean if tainted is None else clean + tainted, latency=durations(np.random.default_rng(3)))
    return replace(found.changed(contamination=facts), arrays=replace(found.arrays, tainted=tainted))


def judged(found: World, **rule: Any) -> Verdict:
    """The verdict of a policy that asks for training rows."""
    return judge(policy(contamination=rule), found.evidence, found.arrays)


def finding(result: Verdict, rule: str = "contamination.verdict") -> Finding:
    """The one finding of the rule."""
    (found,) = [each for each in result.findings if each.rule == rule]
    return found


def test_a_go_that_rests_on_training_rows_is_a_no_go() -> None:
    """Better by far where it was trained, and worse everywhere else."""
    clean, seen = drawn(1, 4000, (1.5, 0.2)), drawn(2, 16_000, (0.1, 1.5))
    found = mixed(clean, seen, said(16_000))
    without = found.changed(contamination=None)

    assert judge(policy(), without.evidence, replace(found.arrays, tainted=None)).outcome == "go"
    result = judged(found)
    assert result.outcome == "no-go"
    assert finding(result).status == "fail"
    assert finding(result).why == (
        "16,000 of 20,000 rows (80 %) are among the training rows; with them the verdict is go, without them no-go"
    )


def test_a_verdict_that_stands_without_them_stands() -> None:
    """Better here and there: the rows are told, and nothing else."""
    result = judged(mixed(drawn(1, 8000, (0.2, 1.2)), drawn(2, 2000, (0.2, 1.2)), said(2000)))

    assert result.outcome == "go"
    assert finding(result).why.endswith("without them the verdict is go too")


def test_too_few_rows_without_them_are_too_few() -> None:
    """What cannot be told from the clean rows is not told from the others."""
    result = judged(mixed(drawn(1, 200, (0.2, 1.2)), drawn(2, 16_000, (0.2, 1.2)), said(16_000)))

    assert result.outcome == "inconclusive"
    assert finding(result).status == "open"


def test_the_share_of_them_has_an_exact_bound() -> None:
    """Within the limit, beyond it, and neither; none at all is within it if there are enough rows."""
    clean, seen = drawn(1, 8000, (0.2, 1.2)), drawn(2, 2000, (0.2, 1.2))
    statuses = {}
    for limit in (0.15, 0.2, 0.25):
        found = finding(judged(mixed(clean, seen, said(2000)), max_rate=limit), "contamination.rate")
        assert found.estimate is not None
        assert found.estimate.value == 0.2
        statuses[limit] = found.status

    assert statuses == {0.15: "fail", 0.2: "open", 0.25: "pass"}
    none = judged(mixed(clean, None, said(0)), max_rate=0.001)
    assert finding(none, "contamination.rate").status == "pass"
    assert finding(none).why == "none of the 8,000 rows is among the 1,000 training rows"


@pytest.mark.parametrize(
    ("facts", "says"),
    [(None, "nobody looked"), (said(0, train=sha("9")), "the challenger was trained on others")],
)
def test_without_the_training_rows_nothing_is_known(facts: Contaminated | None, says: str) -> None:
    """Absent evidence is open, never a pass."""
    result = judged(mixed(drawn(1, 8000, (0.2, 1.2)), None, facts))

    assert result.outcome == "inconclusive"
    assert says in finding(result).why


def test_a_policy_that_does_not_ask_says_nothing() -> None:
    """Evidence of a policy without the rule is as it was."""
    found = world(drawn(1, 8000, (0.2, 1.2)), latency=durations(np.random.default_rng(3)))
    result = judge(policy(), found.evidence, found.arrays)

    assert not [each for each in result.findings if each.rule.startswith("contamination")]


@pytest.mark.parametrize("case", ["not counted", "not said", "too many", "other axes", "more than all"])
def test_rows_that_are_not_among_the_rows_are_refused(case: str) -> None:
    """Whoever writes evidence cannot take rows away that are not there."""
    clean, seen = drawn(1, 4000, (0.2, 1.2)), drawn(2, 1000, (0.2, 1.2))
    found = mixed(clean, seen, said(1000))
    broken = {
        "not counted": replace(found, arrays=replace(found.arrays, tainted=None)),
        "not said": found.changed(contamination=None),
        "too many": found.changed(contamination=said(5001)),
        "other axes": replace(found, arrays=replace(found.arrays, tainted=replace(seen, counts=seen.counts[:1]))),
        "more than all": replace(found, arrays=replace(found.arrays, tainted=clean + clean + clean)),
    }[case]

    with pytest.raises(IntegrityError):
        judged(broken)
