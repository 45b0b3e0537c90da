"""Robustness is held by an exact bound that knows of clusters, and by nothing that contradicts itself."""

from typing import Any

import numpy as np
import pytest

from candidate.documents.decision import Finding
from candidate.documents.evidence import Perturbed
from candidate.judgement.gate import judge
from tests.judgement.worlds import policy, simulate, world

RULE = {"column": "distance", "noise": 0.01, "max_failures": 0.01}


def finding(counts: tuple[Perturbed, ...], **rule: Any) -> Finding:
    """The answer of the one rule."""
    found = world(simulate(np.random.default_rng(1), 2000)).changed(robustness=counts)
    result = judge(policy(robustness=[{**RULE, **rule}]), found.evidence, found.arrays)
    return next(each for each in result.findings if each.rule == "robustness[0]")


def spread(rows: int, failures: int, buckets: int = 64) -> Perturbed:
    """Failures dealt out evenly."""
    deal = [failures // buckets + (number < failures % buckets) for number in range(buckets)]
    return Perturbed(rows=(rows // buckets,) * buckets, failures=tuple(deal))


def test_no_failure_among_enough_rows_passes() -> None:
    """The rule of three, exactly: none of 6,400 is less than 0.047 %."""
    found = finding((spread(6400, 0),), max_failures=0.0005)

    assert found.status == "pass"
    assert found.estimate is not None
    assert found.estimate.upper == pytest.approx(1 - 0.05 ** (1 / 6400), rel=1e-9)
    assert found.why.startswith("answers that noise 0.01 of distance changed 0 (at most 0.0004")
    assert finding((spread(640, 0),), max_failures=0.0005).status == "open"


def test_too_many_failures_are_proven() -> None:
    """Two in a hundred where one is allowed."""
    assert finding((spread(6400, 140),)).status == "fail"
    assert finding((spread(6400, 64),)).status == "open"


def test_failures_of_one_unit_are_one_failure() -> None:
    """Thirty failures in one bucket say less than thirty all over."""
    together = Perturbed(rows=(100,) * 64, failures=(30, *(0,) * 63))
    alone, apart = finding((together,)).estimate, finding((spread(6400, 30),)).estimate

    assert alone is not None
    assert apart is not None
    assert alone.upper is not None
    assert apart.upper is not None
    assert alone.upper > apart.upper + 0.002


@pytest.mark.parametrize(
    "counts",
    [
        (),
        (spread(6400, 0), spread(6400, 0)),
        (Perturbed(rows=(0,) * 64, failures=(0,) * 64),),
        (Perturbed(rows=(3,) * 64, failures=(4,) * 64),),
        (Perturbed(rows=(3,) * 64, failures=(0,) * 63),),
        (Perturbed(rows=(300,) * 8, failures=(0,) * 8),),
    ],
)
def test_what_was_not_asked_is_open(counts: tuple[Perturbed, ...]) -> None:
    """No counts, other counts, impossible ones, too few units: never a pass."""
    assert finding(counts).status == "open"
