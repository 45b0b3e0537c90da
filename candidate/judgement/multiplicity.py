"""Many claims at once: Holm's step-down correction."""

from collections.abc import Sequence


def holm(p_values: Sequence[float], alpha: float) -> tuple[bool, ...]:
    """Return for each claim whether it is proven, so that any false claim has probability <= alpha.

    Args:
        p_values: one for each claim of the family; they may depend on each other in any way.
        alpha: error rate of the whole family.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    proven = [False] * len(p_values)
    for rank, position in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[position] > alpha / (len(p_values) - rank):
            break
        proven[position] = True
    return tuple(proven)
