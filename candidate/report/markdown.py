"""A decision as Markdown, for a job summary or a pull request."""

import re

from candidate.documents.decision import Decision, Finding
from candidate.report.text import headline
from candidate.report.words import named, printable, short

MAX_BYTES = 65_536
"""Job summaries are cut by their hosts; we cut first, and say so."""


def _cell(text: str) -> str:
    """Return text that cannot leave its table cell or become a tag or a link."""
    return re.sub(r"([\\|`*_\[\]<>#!])", r"\\\1", printable(text)).replace("\n", " ")


def _row(finding: Finding) -> str:
    return f"| {finding.status} | {_cell(finding.metric)} | {_cell(finding.slice or '')} | {_cell(finding.why)} |"


def decision_markdown(decision: Decision) -> str:
    """Return a decision as Markdown of at most 64 KiB; what is cut is announced."""
    head = [
        f"## {_cell(headline(decision))}",
        "",
        (
            f"Rollback target: **{_cell(named(decision.rollback_target))}**. "
            f"Measured on {decision.data.rows:,} rows, data `{short(decision.data.file)}`, "
            f"policy `{short(decision.policy)}`, evidence `{short(decision.evidence)}`. Expires {decision.expires}."
        ),
        "",
        "| | line | claim | why |",
        "|---|---|---|---|",
        *(
            f"| {item.number} | {item.status} | {_cell(item.claim)}{'' if item.required else ' (not required)'} "
            f"| {_cell(item.why)} |"
            for item in decision.checklist
        ),
        "",
        "| finding | metric | slice | why |",
        "|---|---|---|---|",
    ]
    rank = {"fail": 0, "open": 1, "blind": 2, "pass": 3}
    rows = [_row(f) for f in sorted(decision.findings, key=lambda finding: rank[finding.status])]
    text = "\n".join(head) + "\n"
    for position, row in enumerate(rows):
        if len((text + row).encode()) > MAX_BYTES - 100:
            text += f"\n{len(rows) - position} more findings are in the decision itself.\n"
            break
        text += row + "\n"
    return text
