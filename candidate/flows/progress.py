"""How a long flow tells its caller how far it is, without knowing what a terminal is."""

from collections.abc import Callable

Progress = Callable[[str, float | None], None]
"""Called with what is being done, and the share of it that is done (null when not known)."""


def silent(what: str, share: float | None) -> None:
    """Tell nobody."""
