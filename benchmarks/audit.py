"""What an audit of level 1 takes: seconds and modules, on made-up evidence of a large comparison.

    python -m benchmarks.audit

34 slices by 64 buckets, calibration, latency of 40 by 50 calls, two models. The audit runs in a process of its
own, once for each run, so that imports are counted; the median is printed.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.decided import decided
from tests.judgement.worlds import policy, simulate

RUNS = 7
ROWS = 200_000
SLICES = 33
HEAVY = ("pandas", "sklearn", "onnx", "onnxruntime", "pyarrow", "skl2onnx", "cryptography", "google", "typer", "dask")
PROGRAM = """
import json, sys, time
began = time.perf_counter()
from pathlib import Path
from candidate.flows.auditing import audit
imported = time.perf_counter()
found = audit(Path(sys.argv[1]), level=int(sys.argv[2]))
done = time.perf_counter()
modules = sorted({name.split(".")[0] for name in sys.modules})
print(json.dumps([imported - began, done - imported, done - began, found.outcome, modules]))
"""


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        state = simulate(np.random.default_rng(1), ROWS, n_slices=SLICES, noise=(0.3, 0.6))
        decision = decided(Path(folder), policy(slices={"watch": [{"by": "origin", "margin": 0.05}]}), state)
        for level in (0, 1):
            command = [sys.executable, "-c", PROGRAM, str(decision), str(level)]
            done = [
                json.loads(subprocess.run(command, check=True, capture_output=True).stdout)  # noqa: S603 - our own
                for _ in range(RUNS)
            ]
            imports, flow, whole = (statistics.median(run[place] for run in done) for place in range(3))
            heavy = [name for name in HEAVY if name in done[0][4]]
            print(
                f"level {level}: imports {imports:.2f} s, audit {flow:.2f} s, together {whole:.2f} s;"
                f" {done[0][3]}; heavy modules beside numpy and scipy: {', '.join(heavy) or 'none'}"
            )


if __name__ == "__main__":
    main()
