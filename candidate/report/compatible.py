"""Whether callers can move from one bundle to another, as text for a terminal."""

import json

from candidate.documents.compatible import EFFECTS, Compatibility, FieldChange
from candidate.report.words import named, printable

_SAYS = {
    "compatible": "callers notice nothing",
    "widened": "callers can move; more is taken or answered than before",
    "breaking": "some callers cannot move",
}


def _line(change: FieldChange) -> str:
    before, now = (json.dumps(value, ensure_ascii=False) for value in (change.from_, change.to))
    whom = (
        ""
        if change.records == change.tensors
        else " (by tensor)"
        if change.records == "compatible"
        else " (by record)"
        if change.tensors == "compatible"
        else f" ({change.records} by record)"
    )
    values = f"{_short(before)} -> {_short(now)}"
    return f"  {change.effect:<10} {change.side:<6} {change.field}: {change.what} {values}: {change.why}{whom}"


def _short(text: str, most: int = 48) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def compatibility_text(found: Compatibility) -> str:
    """Return the verdict with its direction first, then every change, the worst first."""
    old, new = f"{found.against.name} {found.against.version}", f"{found.bundle.name} {found.bundle.version}"
    lines = [
        f"{found.verdict.upper()}: {named(found.bundle)} against {named(found.against)}: {_SAYS[found.verdict]}",
        f"  callers of {old} that would call {new}: by record {found.records}, by tensor {found.tensors}",
    ]
    lines += [_line(change) for change in sorted(found.changes, key=lambda one: -EFFECTS.index(one.effect))]
    return printable("\n".join(lines))
