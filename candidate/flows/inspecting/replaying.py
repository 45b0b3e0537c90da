"""The bundle proves itself: its golden inputs, run on this host, against its golden outputs."""

from typing import TYPE_CHECKING, Any

from candidate.documents.evidence import Replay
from candidate.documents.manifest import Tolerance
from candidate.errors import IntegrityError
from candidate.flows.inspecting.bundle import Bundle, golden_feeds, golden_outputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from candidate.adapters.runtime import Session


def replay(bundle: Bundle, session: "Session | None" = None) -> Replay:
    """Run the golden inputs through the graph on this host and compare with the golden outputs.

    Labels, whole numbers and texts must be equal; other numbers may differ by
    ``absolute + relative * |golden|``. NaN equals NaN.

    Args:
        bundle: whose golden rows.
        session: its loaded graph, if there is one already.

    Returns:
        The largest absolute difference of any number, and whether all rows are within tolerance.

    Raises:
        IntegrityError: the graph cannot be loaded, or does not run on its own golden rows.
        UnavailableError: there is no runtime.
    """
    answers = (session or bundle.session()).run(golden_feeds(bundle))
    largest, passed = 0.0, True
    for name, golden in golden_outputs(bundle).items():
        if name not in answers:
            raise IntegrityError(f"the graph did not answer {name!r}", where="golden replay")
        difference, within = _compare(answers[name], golden, bundle.tolerance)
        largest, passed = max(largest, difference), passed and within
    return Replay(rows=bundle.tolerance.rows, max_difference=largest, passed=passed)


def _compare(found: "NDArray[Any]", golden: "NDArray[Any]", tolerance: Tolerance) -> tuple[float, bool]:
    """Return the largest difference (of numbers) and whether every element is within tolerance."""
    import numpy as np

    if found.shape != golden.shape:
        return 0.0, False
    if golden.dtype.kind != "f" or found.dtype.kind != "f":
        return 0.0, bool(np.array_equal(found, golden))
    ours, theirs = found.astype(np.float64), golden.astype(np.float64)
    finite = np.isfinite(ours) & np.isfinite(theirs)
    alike = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    gap = np.abs(np.where(finite, ours, 0.0) - np.where(finite, theirs, 0.0))
    allowed = tolerance.absolute + tolerance.relative * np.abs(np.where(finite, theirs, 0.0))
    within = alike | (finite & (gap <= allowed))
    return float(gap.max(initial=0.0)), bool(within.all())
