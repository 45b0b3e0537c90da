"""Looking more than once: how much error each look may spend.

Whoever looks until the answer is narrow enough and then reports an ordinary interval covers less than
he says. Here each look has an error rate of its own, and together they are no more than what was asked.

Source: Lan and DeMets 1983, "Discrete sequential boundaries for clinical trials", with the spending
function that is like O'Brien and Fleming 1979: almost nothing early, almost everything last. Each look
is given the increment itself (Bonferroni), which is valid whatever the dependence and a little wide.
"""

import math

MOST_LOOKS = 10


def spending(alpha: float, looks: int) -> tuple[float, ...]:
    """Return the one-sided error rate of each of some evenly spaced looks; they sum to alpha.

    Args:
        alpha: one-sided error rate of all looks together, in (0, 0.5).
        looks: from 1 to ``MOST_LOOKS``.
    """
    from scipy.special import ndtr, ndtri

    critical = float(ndtri(1 - alpha / 2))
    spent = [2 * (1 - float(ndtr(critical / math.sqrt(look / looks)))) for look in range(1, looks + 1)]
    return tuple(now - before for now, before in zip(spent, [0.0, *spent], strict=False))
