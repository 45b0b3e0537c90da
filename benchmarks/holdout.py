"""What 200 challengers without a gain seem to gain on one holdout, if each winner becomes champion.

    python -m benchmarks.holdout [SHARE]

Every model is right as often as every other. A gate promotes the next of them whenever it seems better
on the same rows; the phantom gain is how much better the last champion is on those rows than in truth.
The gate of a verdict is asked for superiority at the alpha that the ledger gives each look.
"""

import sys
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from candidate.documents.policy import HoldoutRule
from candidate.judgement.holdout import alpha_of
from candidate.judgement.intervals import PairedShare

CHALLENGERS, ACCURACY, MUTUAL = 200, 0.8, 0.06
"""How many; how often each is right; share of rows in which it and the champion differ."""
ALPHA = 0.05
GATES = ("point estimate", "interval at 5 %", "ledger, alpha/20", "ledger, open-ended")


def next_to(rng: np.random.Generator, champion: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which rows a challenger gets right that differs from a champion in some rows and is as good in truth."""
    redrawn = rng.random(len(champion)) < MUTUAL / (2 * ACCURACY * (1 - ACCURACY))
    return np.where(redrawn, rng.random(len(champion)) < ACCURACY, champion)


def phantom(rng: np.random.Generator, gate: str, rows: int) -> float:
    """Return by how many points the last champion seems better than it is."""
    champion = rng.random(rows) < ACCURACY
    rules = {"ledger, alpha/20": HoldoutRule(budget=20), "ledger, open-ended": HoldoutRule(spend="open")}
    start = champion.mean()
    for look in range(1, CHALLENGERS + 1):
        challenger = next_to(rng, champion)
        gained, lost = int((challenger & ~champion).sum()), int((champion & ~challenger).sum())
        alpha = alpha_of(look, ALPHA, rules[gate]) if gate in rules else ALPHA
        if gate == "point estimate":
            better = gained > lost
        else:  # an exhausted budget claims nothing
            better = alpha > 0 and gained + lost > 0 and PairedShare(gained, lost, rows).lower(alpha) > 0
        if better:
            champion = challenger
    return float(champion.mean() - start)


def main() -> None:
    """Print the table."""
    runs = max(10, round(200 * (float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)))
    print(f"| gate, {CHALLENGERS} challengers without a gain, {runs} runs | 2,000 rows | 10,000 rows |\n|---|---|---|")
    for gate in GATES:
        cells = []
        for rows in (2000, 10_000):
            rng = np.random.default_rng(rows)
            found = [100 * phantom(rng, gate, rows) for _ in range(runs)]
            cells.append(f"{np.mean(found):+.2f} ± {np.std(found) / sqrt(runs):.2f} pp")
        print(f"| {gate} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
