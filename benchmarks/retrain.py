"""How often the gate stops a mere retrain: one recipe, eight random halves of the flights, every ordered pair.

    python -m benchmarks.retrain

Models of one recipe differ by the noise of training alone, so a gate that stops one stops good work.
Trained on random halves of January to August, compared on September to December: 19 slices and all
rows, 122 days as units. Beside the gate of a verdict: the same margins held against point estimates.
"""

import time
from itertools import permutations

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.preprocessing import OrdinalEncoder

from candidate.documents.evidence import SliceKey
from candidate.judgement.buckets import buckets_of
from candidate.judgement.gate import judge
from candidate.judgement.state import State, observe, statistics_for
from examples.flights import data
from tests.judgement.worlds import BOTH, policy, world

RETRAINS = 8
THRESHOLD = 0.5
LAST_TRAINED = 8
MARGINS = (0.0, 0.005, 0.01, 0.02)
FEATURES = [*data.SCHEDULE, *data.WEATHER, *data.AIRPORT, *data.CATEGORIES]


def scores() -> tuple[pd.DataFrame, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """The rows to compare on, and each retrain's scores of them, shape (rows, retrains)."""
    rows = data.load()
    coded = rows.copy()
    coded[data.CATEGORIES] = OrdinalEncoder().fit_transform(rows[data.CATEGORIES])
    train, test = coded[rows["month"] <= LAST_TRAINED], coded[rows["month"] > LAST_TRAINED]
    found = []
    for seed in range(RETRAINS):
        half = np.random.default_rng(seed).random(len(train)) < 1 / 2
        model = HistGradientBoostingClassifier(
            max_iter=100, categorical_features=data.CATEGORIES, random_state=seed, early_stopping=False
        )
        model.fit(train.loc[half, FEATURES], train.loc[half, "late"])
        found.append(model.predict_proba(test[FEATURES])[:, 1])
    return rows.loc[test.index], np.stack(found, axis=1)


def counted(
    rows: pd.DataFrame, pair: np.ndarray[tuple[int, ...], np.dtype[np.float64]], salt: int
) -> tuple[State, tuple[SliceKey, ...]]:
    """The State of a pair, and what its slices are."""
    keys, groups = [SliceKey(name="overall")], [np.zeros(len(rows), dtype=np.int64)]
    for column in data.CATEGORIES:
        names, codes = np.unique(rows[column].to_numpy(dtype=str), return_inverse=True)
        groups.append((codes + len(keys)).astype(np.int64))
        keys += [SliceKey(name=f"{column}={name}", by=(column,), values=(str(name),)) for name in names]
    state = observe(
        positive=rows["late"].to_numpy() == 1,
        scores=pair,
        predicted=pair >= THRESHOLD,
        groups=groups,
        n_slices=len(keys),
        buckets=buckets_of(rows["day"].to_numpy(dtype=str), salt=salt, buckets=64),
        n_buckets=64,
        models=BOTH,
        bins=15,
    )
    return state, tuple(keys)


def stopped(state: State, keys: tuple[SliceKey, ...], margin: float) -> bool:
    """Whether harm beyond the margin is claimed of all rows or of a slice."""
    watch = [{"by": column, "margin": margin} for column in data.CATEGORIES]
    rules = policy(
        optimizing={"metric": "error_rate", "require": "non_inferior", "margin": margin},
        satisficing=[],
        slices={"watch": watch, "max_mde": 0.5},
        calibration=None,
        baselines={"zero_rule": "report"},
    )
    made = world(state, slices=keys, rules=rules)
    return judge(rules, made.evidence, made.arrays).outcome == "no-go"


def stopped_by_points(state: State, margin: float) -> bool:
    """Whether some estimate is beyond the margin, as a gate without intervals holds it."""
    names = statistics_for(BOTH)
    totals = [state.totals(index, names).summed() for index in range(len(state.counts))]
    return any(int(each["lost"]) - int(each["gained"]) > margin * int(each["n"]) for each in totals)


def main() -> None:
    """Print the table."""
    start = time.perf_counter()
    rows, predicted = scores()
    pairs = list(permutations(range(RETRAINS), 2))
    states = [counted(rows, predicted[:, list(pair)], number) for number, pair in enumerate(pairs)]
    took = time.perf_counter() - start
    days = rows["day"].nunique()
    print(f"{len(rows):,} rows, {len(states[0][1])} slices, {days} days, {len(pairs)} pairs ({took:.0f} s)")
    print("| margin | stopped by the gate | by point estimates |\n|---|---|---|")
    for margin in MARGINS:
        ours = sum(stopped(state, keys, margin) for state, keys in states)
        points = sum(stopped_by_points(state, margin) for state, _ in states)
        print(f"| {100 * margin:g} pp | {100 * ours / len(pairs):.1f} % | {100 * points / len(pairs):.1f} % |")


if __name__ == "__main__":
    main()
