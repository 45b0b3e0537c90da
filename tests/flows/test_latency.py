"""Timing is interleaved, repeatable in everything but the durations, and says what it measured."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.documents.evidence import ModelRole
from candidate.flows.latency import Contender, time_rounds, warm_up
from candidate.flows.timer import closed_loop


class FakeClock:
    """A clock that stands still but for what the calls add to it."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        """The time, in nanoseconds."""
        return self.now


def contender(role: ModelRole, clock: FakeClock, cost: int, calls: list[str]) -> Contender:
    """A graph whose every call takes ``cost`` nanoseconds."""

    def call(feed: Mapping[str, NDArray[Any]]) -> None:
        calls.append(f"{role} {int(feed['row'][0])}")
        clock.now += cost

    rows = [{"row": np.array([number])} for number in range(7)]
    return Contender(role, lambda picks: closed_loop(call, rows, picks, clock), len(rows))


def test_every_call_is_timed_exactly() -> None:
    """Durations are those of the calls, in nanoseconds, nothing added."""
    clock, calls = FakeClock(), list[str]()
    pair = [contender("challenger", clock, 30, calls), contender("champion", clock, 20, calls)]

    durations, axes = time_rounds(pair, rounds=5, calls=4, seed=1, threads=1)

    assert durations.shape == (5, 2, 4)
    assert (durations[:, 0] == 30).all()
    assert (durations[:, 1] == 20).all()
    assert axes.models == ("challenger", "champion")


def test_both_bundles_see_the_same_rows_in_every_round() -> None:
    """Rows drawn for a round are the same for challenger and champion, in the same order."""
    clock, calls = FakeClock(), list[str]()
    pair = [contender("challenger", clock, 30, calls), contender("champion", clock, 20, calls)]
    time_rounds(pair, rounds=6, calls=4, seed=1, threads=1)
    timed = calls[-6 * 8 :]

    orders = set()
    for number in range(6):
        block = timed[number * 8 : number * 8 + 8]
        orders.add(block[0].split()[0])
        assert [name.split()[1] for name in block[:4]] == [name.split()[1] for name in block[4:]]
    assert orders == {"challenger", "champion"}  # the order within a round is drawn anew


def test_warm_up_ends_when_the_machine_has_settled() -> None:
    """A steady machine needs two windows; one that never settles is given up on, and that is said."""
    clock, calls = FakeClock(), list[str]()
    steady = contender("challenger", clock, 10, calls)

    assert warm_up(steady)
    assert len(calls) == 100

    def slower(feed: Mapping[str, NDArray[Any]]) -> None:  # noqa: ARG001 - a call takes a feed
        clock.now += 10 + clock.now // 500

    rows = [{"row": np.array([number])} for number in range(7)]
    restless = Contender("challenger", lambda picks: closed_loop(slower, rows, picks, clock), 7)

    assert not warm_up(restless)
