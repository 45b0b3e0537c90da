"""Decisions to report on: of every outcome, with estimates, and with names that mean harm."""

import numpy as np

from candidate.documents.decision import Decision, Estimate, Finding, Outcome, Status
from candidate.documents.plotted import Plotted
from candidate.documents.policy import ChecklistLine, Policy
from candidate.judgement.curves import latency_of, reliability_of
from tests.judgement.worlds import durations, simulate, world
from tests.report.test_report import decision

HOSTILE = "</title><script>alert(1)</script><img src=x onerror=y>&\"'\u202e\x00|`[l](u)"
POLICY = Policy.model_validate(
    {
        "data": {"label": "late", "unit": "day"},
        "optimizing": {"metric": "log_loss", "require": "superior", "min_gain": 0.002},
        "satisficing": ({"metric": "latency_p99_ms", "max": 0.1}, {"metric": "accuracy", "min": 0.5}),
    }
)


def estimate(value: float, half: float | None = 0.01, *, unit: str = "nats", n: int = 500) -> Estimate:
    """An estimate with a symmetrical interval, or with none."""
    low, high = (None, None) if half is None else (value - half, value + half)
    return Estimate(value=value, lower=low, upper=high, n=n, units=64, unit=unit, method="jackknife")


def measured(
    rule: str,
    status: Status = "pass",
    *,
    line: ChecklistLine = "slices",
    value: float = 0.02,
    half: float | None = 0.01,
    limit: float | None = -0.01,
    slice_: str | None = "overall",
    metric: str = "log_loss",
    blocks: bool = True,
    unit: str = "nats",
    needed: int | None = None,
    why: str = "as measured",
) -> Finding:
    """A finding with an estimate and a limit."""
    return Finding(
        rule=rule,
        line=line,
        metric=metric,
        slice=slice_,
        status=status,
        blocks=blocks,
        estimate=estimate(value, half, unit=unit),
        limit=limit,
        p_value=0.5,
        n_needed=needed,
        why=why,
    )


OPTIMIZING = measured("optimizing", line="optimizing", limit=0.002)
LATENCY = measured(
    "satisficing[0]", line="satisficing", metric="latency_p99_ms", value=0.05, limit=0.1, slice_=None, unit="ms"
)
ACCURACY = measured("satisficing[1]", line="satisficing", metric="accuracy", value=0.7, limit=0.5, unit="1")
CALIBRATION = measured("calibration", line="calibration", metric="l2_debiased", value=0.03, limit=0.08, unit="1")
PLAIN = Finding(rule="packaging", line="packaging", metric="replay", status="pass", blocks=True, why="it replayed")
HARMED = measured("slices.watch[0]", "fail", value=-0.06, slice_="carrier=MQ", blocks=False, why="worse by 0.06")
OPEN = measured("optimizing", "open", line="optimizing", value=0.006, limit=0.002, needed=7_501, why="needs more rows")
BLIND = measured("slices.watch[0]", "blind", half=None, slice_="carrier=OO", blocks=False, needed=20, why="few rows")
WIDE = measured("slices.watch[0]", "blind", half=5.0, slice_="carrier=F9", blocks=False, why="few rows")
HELD = (OPTIMIZING, LATENCY, ACCURACY, CALIBRATION, PLAIN, measured("slices.guard[0]", slice_="origin=JFK"))

DECISIONS: dict[Outcome, Decision] = {
    "go": decision("go", *HELD, BLIND, WIDE),
    "no-go": decision("no-go", *HELD, BLIND, HARMED),
    "inconclusive": decision("inconclusive", OPEN, *HELD[1:], BLIND),
}


def drawn(*, timed: bool = True) -> Plotted:
    """What is drawn of a small world of two models."""
    rng = np.random.default_rng(5)
    made = world(simulate(rng, rows=2_000, n_slices=2), latency=durations(rng), rules=POLICY)
    evidence, arrays = made.evidence, made.arrays
    return Plotted(
        policy=POLICY,
        evidence=evidence,
        reliability=reliability_of(arrays.state, evidence.state),
        latency=latency_of(durations(rng), evidence.latency) if timed and evidence.latency is not None else (),
    )
