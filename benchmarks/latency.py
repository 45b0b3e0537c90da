"""What the timing costs, how often its intervals hold, and what it finds; on real calls of a small graph.

    python -m benchmarks.latency [--quick] [--rounds N]

``--quick`` takes some minutes and says so in its figures: the rates then have standard errors of several
points. Figures of a machine that others use are no figures: run it where nothing else runs.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from candidate.adapters.runtime import Session
from candidate.flows.latency import Contender, time_rounds
from candidate.flows.timer import closed_loop
from candidate.judgement.latency import quantile_interval, ratio_interval
from tests.bundles import tiny_model

Draw = Callable[[np.random.Generator, int, int], NDArray[np.float64]]
HOG = "while True: pass"
ROUNDS, CALLS, MARGIN = 40, 100, 1.2
STRICT, USUAL = 0.01, 0.05
SLOW_SHARE = 0.02


def near_empty() -> Session:
    """A graph of one Identity."""
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "empty", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return Session(model.SerializeToString())


def overhead(calls: int) -> tuple[float, float]:
    """Median nanoseconds of a recorded call, and of a bare one: the time of ten without a clock between, over ten."""
    run = partial(near_empty().raw.run, None)
    feed = {"x": np.zeros((1, 1), dtype=np.float32)}
    recorded, bare = [], []
    for _ in range(calls // 100):
        recorded.append(float(np.median(closed_loop(run, [feed], np.zeros(50, dtype=np.int64), time.perf_counter_ns))))
        for _ in range(5):
            start = time.perf_counter_ns()
            for _ in range(10):
                run(feed)
            bare.append((time.perf_counter_ns() - start) / 10)
    return float(np.median(recorded)), float(np.median(bare))


def plain(rng: np.random.Generator, rounds: int, calls: int) -> NDArray[np.float64]:
    """Log-normal."""
    return rng.lognormal(0, 0.25, (rounds, calls))


def bimodal(rng: np.random.Generator, rounds: int, calls: int) -> NDArray[np.float64]:
    """Two percent of the calls take four times as long."""
    values = plain(rng, rounds, calls)
    return np.where(rng.random(values.shape) < SLOW_SHARE, 4 * values, values)


def drifting(rng: np.random.Generator, rounds: int, calls: int) -> NDArray[np.float64]:
    """The level of a round follows that of the round before: AR(1) with 0.8."""
    level = np.zeros(rounds)
    level[0] = rng.normal(0, 0.05 / 0.6)
    for number in range(1, rounds):
        level[number] = 0.8 * level[number - 1] + rng.normal(0, 0.05)
    return plain(rng, rounds, calls) * np.exp(level)[:, None]


def coverage(draw: Draw, runs: int, rounds: int) -> float:
    """Share of runs whose two-sided 95 % interval holds the p99 of a million draws."""
    many = np.concatenate([draw(np.random.default_rng(1000 + n), 1000, 100) for n in range(10)])
    truth, rng, held = float(np.quantile(many, 0.99)), np.random.default_rng(1), 0
    for _ in range(runs):
        interval = quantile_interval(np.rint(draw(rng, rounds, CALLS) * 1e6).astype(np.int64), 0.99)
        if interval is not None:
            held += not interval.lower(0.025) > truth and not interval.upper(0.025) < truth
    return held / runs


def slowed(call: Callable[[Any], object], share: float) -> Callable[[Mapping[str, NDArray[Any]]], None]:
    """The same call, and then doing nothing for a share of the time it took."""

    def run(feed: Mapping[str, NDArray[Any]]) -> None:
        start = time.perf_counter_ns()
        call(feed)
        until = start + (time.perf_counter_ns() - start) * (1 + share)
        while time.perf_counter_ns() < until:
            pass

    return run


def verdicts(share: float, runs: int, rounds: int) -> tuple[float, float, float]:
    """Share of comparisons that call the challenger slower, that call it above the margin, and below it."""
    feed = {name: np.ones((1, 1), dtype=np.float32) for name in ("age", "income")}
    session = Session(tiny_model().SerializeToString())

    def block(delay: float) -> Callable[[NDArray[np.int64]], NDArray[np.int64]]:
        run = slowed(partial(session.raw.run, None), delay)
        return lambda picks: closed_loop(run, [feed], picks * 0, time.perf_counter_ns)

    pair = [Contender("challenger", block(share), 1), Contender("champion", block(0.0), 1)]
    slower = above = below = 0
    for seed in range(runs):
        timed, _ = time_rounds(pair, rounds=rounds, calls=CALLS, seed=seed, threads=1)
        ratio = ratio_interval(timed[:, 0], timed[:, 1], 0.99)
        if ratio is not None:
            slower += ratio.above(1.0) <= STRICT
            above += ratio.above(MARGIN) <= STRICT
            below += ratio.below(MARGIN) <= USUAL
    return slower / runs, above / runs, below / runs


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each real comparison")
    given = parser.parse_args()
    quick = given.quick
    runs = 40 if quick else 200
    print(f"{'quick: ' if quick else ''}{runs} comparisons of {given.rounds} rounds of {CALLS} calls each", flush=True)
    recorded, bare = overhead(20_000 if quick else 200_000)
    print(f"near-empty graph: recorded {recorded:.0f} ns, bare {bare:.0f} ns, harness {recorded - bare:+.0f} ns")
    for name, draw in {"log-normal": plain, "bimodal": bimodal, "AR(1)": drifting}.items():
        found = [f"{coverage(draw, 3 * runs, rounds):.3f} ({rounds} rounds)" for rounds in (ROUNDS, 5 * ROUNDS)]
        print(f"coverage of the p99, two-sided 95 %, {name}: {', '.join(found)}", flush=True)
    for title, hogs in (("as the machine is", 0), ("a busy process on each of two cores", 2)):
        with ExitStack() as stack:
            for _ in range(hogs):
                hog = stack.enter_context(subprocess.Popen([sys.executable, "-c", HOG]))  # noqa: S603 - ours
                stack.callback(hog.kill)
            for share in (0.0, 0.05, 0.10, 0.25):
                slower, above, below = verdicts(share, runs if not hogs else runs // 2, given.rounds)
                print(
                    f"{title}, +{share:.0%}: slower at 1 % {slower:.3f}, above {MARGIN} at 1 % {above:.3f}, "
                    f"below {MARGIN} at 5 % {below:.3f}, else open",
                    flush=True,
                )


if __name__ == "__main__":
    main()
