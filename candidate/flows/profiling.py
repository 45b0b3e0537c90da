"""Where a model spends its time: a short run of its own, with the runtime's profiler on, never the timed one."""

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters.runtime import Session
from candidate.documents.benched import Operator
from candidate.documents.names import MODEL_PATH
from candidate.flows.latency import LATENCY_SEED
from candidate.flows.verifying import Bundle

CALLS = 500
"""Calls of single rows that are profiled, after a tenth as many that are not counted."""
TOP = 10
_KERNEL = "_kernel_time"


def profile(bundle: Bundle, feeds: Mapping[str, NDArray[Any]]) -> tuple[Operator, ...]:
    """Return what each kind of operator takes of a call, by its own time, the slowest ten.

    Args:
        bundle: whose graph is run, in this process.
        feeds: rows to pick from, each input of shape (rows, 1).

    Raises:
        IntegrityError: the graph cannot be loaded, or fails on its rows.
    """
    many = len(next(iter(feeds.values())))
    rows = [{name: values[row : row + 1] for name, values in feeds.items()} for row in range(many)]
    picks = np.random.default_rng(LATENCY_SEED).integers(0, len(rows), CALLS)
    with tempfile.TemporaryDirectory(prefix="candidate-") as folder, bundle.weights() as weights:
        session = Session(bundle.read(MODEL_PATH), folder=weights, profile=str(Path(folder, "ort")))
        for pick in picks[: CALLS // 10]:
            session.run(rows[pick])
        for pick in picks:
            session.run(rows[pick])
        events = json.loads(Path(session.raw.end_profiling()).read_text(encoding="utf-8"))
    return operators(events, CALLS + CALLS // 10)


def operators(events: list[dict[str, Any]], calls: int) -> tuple[Operator, ...]:
    """Return the operators of a profile, by the time that their kernels took, the slowest ten.

    Args:
        events: of the runtime's trace (Chrome's trace event format; durations in microseconds).
        calls: how many calls it covers.
    """
    spent, seen = Counter[str](), Counter[str]()
    for event in events:
        if event.get("cat") == "Node" and str(event.get("name", "")).endswith(_KERNEL):
            name = str(event.get("args", {}).get("op_name", "unknown"))
            spent[name] += int(event["dur"])
            seen[name] += 1
    total = sum(spent.values()) or 1
    return tuple(
        Operator(name=name, per_call=seen[name] / calls, microseconds=time / calls, share=time / total)
        for name, time in spent.most_common(TOP)
    )
