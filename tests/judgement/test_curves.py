"""What a report draws of the arrays is what the arrays hold."""

import numpy as np

from candidate.documents.evidence import LatencyAxes
from candidate.judgement.curves import SHARES, latency_of, reliability_of
from candidate.judgement.state import FIXED_POINT, Layout, State
from tests.judgement.worlds import BOTH, world


def test_a_reliability_diagram_has_the_means_of_its_bins() -> None:
    """Rows, mean score and share of positives of every occupied bin, over all buckets; empty bins are left out."""
    state = State.zeros(Layout(BOTH), slices=1, buckets=2, bins=4)
    state.bins[0, 0, :, 0, 1] = (10, 3 * FIXED_POINT, 2, 0)
    state.bins[0, 0, 1, 0, 3] = (5, 4 * FIXED_POINT, 4, 0)
    challenger, champion = reliability_of(state, world(state).evidence.state)

    assert [(each.lower, each.upper, each.rows) for each in challenger.bins] == [(0.25, 0.5, 20), (0.75, 1.0, 5)]
    assert [(each.predicted, each.observed) for each in challenger.bins] == [(0.3, 0.2), (0.8, 0.8)]
    assert (challenger.model, champion.model, champion.bins) == ("challenger", "champion", ())


def test_a_latency_curve_goes_through_calls_that_were_made() -> None:
    """Every point is a call, both coordinates ascend, and the median is the median."""
    axes = LatencyAxes(models=BOTH, rounds=4, calls=25, seed=1, threads=1, batch_rows=1)
    durations = np.random.default_rng(3).permutation(np.arange(1, 201) * 1000).reshape(4, 2, 25)
    challenger, champion = latency_of(durations, axes)
    times = [time for _, time in challenger.points]

    assert (challenger.calls, champion.model) == (100, "champion")
    assert [share for share, _ in challenger.points] == list(SHARES)
    assert times == sorted(times)
    assert {round(time * 1e6) for time in times} <= set(durations[:, 0].ravel().tolist())
    assert dict(challenger.points)[0.5] == np.sort(durations[:, 0].ravel())[49] / 1e6


def test_no_calls_make_no_curve() -> None:
    """A model that was never timed has no distribution."""
    axes = LatencyAxes(models=("challenger",), rounds=0, calls=25, seed=1, threads=1, batch_rows=1)

    assert latency_of(np.zeros((0, 1, 25), dtype=np.int64), axes) == ()
