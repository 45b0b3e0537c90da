"""Sentences with numbers, for a person who has to act on them in the night."""

import math

HOPELESS = 100
"""Beyond so many times what there is, a count of missing rows helps nobody."""


def number(value: float) -> str:
    """Return a number with four significant digits, large ones with their thousands apart."""
    if abs(value) >= 10_000:  # noqa: PLR2004 - from here on the exponent would be written
        return f"{value:,.0f}"
    return f"{value:.4g}"


def confidence(alpha: float) -> str:
    """Return the level of a one-sided bound."""
    return f"{100 * (1 - alpha):g} % confidence"


def moved(gain: float) -> str:
    """Return which way a metric went and how far."""
    if gain == 0:
        return "unchanged"
    return f"got {'better' if gain > 0 else 'worse'} by {number(abs(gain))}"


def worst(gain: float, alpha: float) -> str:
    """Return the lower bound of a gain as what is the worst to be feared."""
    if not math.isfinite(gain):
        return "no bound at that confidence"
    way = "better by at least" if gain > 0 else "worse by at most"
    return f"{way} {number(abs(gain))} with {confidence(alpha)}"


def about(count: int) -> int:
    """Return a count rounded up to three significant digits."""
    step = int("1" + "0" * max(0, len(str(count)) - 3))
    return -(-count // step) * step


def shortage(needed: int | None, n: int, counted: str) -> str:
    """Return how many observations are missing."""
    if needed is not None and needed > HOPELESS * max(n, 1):
        return f"what was seen is so close that {HOPELESS} times the {n:,} {counted} would not decide it"
    if needed is None:
        return f"{n:,} {counted} do not decide it, and it is not known how many would"
    return f"needs about {about(needed):,} {counted}, has {n:,} (lacks {about(needed) - n:,})"


def superior(label: str, value: float, bound: str, limit: float) -> str:
    """Return the answer of a rule that asks for a gain."""
    return f"gain of {label} {number(value)} ({bound}), needs more than {number(limit)}"


def harmless(label: str, value: float, bound: str, margin: float) -> str:
    """Return the answer of a rule that tolerates a loss."""
    return f"{label} {moved(value)} ({bound}), tolerated {number(margin)}"


def limited(label: str, value: str, bound: str, asked: str) -> str:
    """Return the answer of a rule that sets a limit."""
    return f"{label} {value} ({bound}), {asked}"
