"""What an audit established, as text for a terminal."""

from candidate.documents.audited import Audit
from candidate.report.words import printable


def audit_text(result: Audit) -> str:
    """Return what an audit established at each level, and what it did not."""
    judged = any(level.level > 0 for level in result.levels)
    says = "follows from its evidence" if judged else "is whole; whether it follows was not looked at"
    lines = [f"the decision ({result.outcome}) {says}"]
    for level in result.levels:
        lines.append(f"  L{level.level} {level.name}")
        lines += [f"    established     {claim}" for claim in level.establishes]
        lines += [f"    not established {claim}" for claim in level.does_not]
        lines += [f"    note            {note}" for note in level.notes]
    return printable("\n".join(lines))
