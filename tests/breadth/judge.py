"""Hold one class to what the page says of it."""

from tests.breadth.check import outcomes
from tests.breadth.table import committed, kinds

FUZZED = 500
NAMED = {kind.__name__: kind for kind in kinds()}
FIRST = [name for name in NAMED if name[0] < "M"]
SECOND = [name for name in NAMED if name[0] >= "M"]


def judge(name: str) -> None:
    """Fit, build, compare; a class that is new has no line on the page, and fails."""
    page = committed()
    for found in outcomes(NAMED[name], count=FUZZED):
        assert page.get(found.name) == found.outcome, f"{found}; `make support` writes the page anew"
        assert found.off == 0, found
