"""What was found of training-serving skew, as text."""

from candidate.documents.skewed import RowParity, Shift, SkewReport
from candidate.report.words import named, printable

SHOWN = 12
"""So many columns are listed; ``--json`` has them all."""
OUTCOMES = {"pass": "NO SKEW", "fail": "SKEW", "open": "UNDECIDED"}


def skew_text(report: SkewReport) -> str:
    """Return the answer, what disagrees row by row, and what shifted, worst first."""
    rows = f"{report.logged_rows:,} rows served"
    rows += f" ({report.other_rows:,} more by other bundles)" if report.other_rows else ""
    rows += f", {report.reference_rows:,} of the reference" if report.reference is not None else ""
    rows += f", {report.joined_rows:,} joined by id" if report.joined_rows is not None else ""
    lines = [f"{OUTCOMES[report.outcome]}: {report.why}", f"  {named(report.bundle)}: {rows}"]
    told = [*report.answers, *sorted(report.parity, key=lambda each: -each.mismatches)]
    lines += [_parity(each, report.max_mismatch) for each in told[:SHOWN]]
    lines += [f"  and {len(told) - SHOWN} more"] if len(told) > SHOWN else []
    lines += [_shift(each) for each in report.shifts[:SHOWN]]
    lines += [f"  and {len(report.shifts) - SHOWN} columns more"] if len(report.shifts) > SHOWN else []
    return printable("\n".join(lines))


def _parity(each: RowParity, limit: float) -> str:
    said = f"  {each.status:<5} {each.what}: {each.mismatches:,} of {each.rows:,} rows disagree"
    said += f" ({100 * each.lower:.3g} to {100 * each.upper:.3g} %, tolerated {100 * limit:g} %)"
    return f"{said}; {each.example}" if each.example else said


def _shift(each: Shift) -> str:
    said = f"  {'SHIFT' if each.shifted else 'same':<5} {each.column}: JS {each.js:.3f}, by itself {each.floor:.3f}"
    said += f"; PSI {each.psi:.3f}, L-inf {each.linf:.3f}"
    if each.ks is not None and each.wasserstein is not None:
        said += f", KS {each.ks:.3f}, Wasserstein {each.wasserstein:.3f} sd"
    if max(each.missing_before, each.missing_after) > 0:
        said += f", missing {100 * each.missing_before:.3g} to {100 * each.missing_after:.3g} %"
    return said
