"""A decision as Markdown, for a job summary or a pull request."""

import re

from candidate.documents.decision import Decision, Finding
from candidate.report.findings import RANK, WHAT_NOW, sentence
from candidate.report.text import headline
from candidate.report.words import named, printable, short

MAX_BYTES = 1_000_000
"""GitHub drops a job summary of more than 1 MiB whole; ours ends before that, and says what it left out."""
MAX_CELL = 1_000
"""No text in a cell is longer: one name out of a file must not push everything else out."""


def _cell(text: str) -> str:
    """Return text that cannot leave its table cell or become a tag or a link."""
    cut = text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return re.sub(r"([\\|`*_\[\]<>#!])", r"\\\1", printable(cut)).replace("\n", " ")


def _row(finding: Finding) -> str:
    return f"| {finding.status} | {_cell(finding.metric)} | {_cell(finding.slice or '')} | {_cell(finding.why)} |"


def decision_markdown(decision: Decision) -> str:
    """Return a decision as Markdown of at most ``MAX_BYTES``; what is cut, the least important first, is announced."""
    head = [
        f"## {_cell(headline(decision))}",
        "",
        f"**{_cell(sentence(decision))}** {WHAT_NOW[decision.outcome]}",
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
    rows = [_row(finding) for finding in sorted(decision.findings, key=_importance)]
    text = "\n".join(head) + "\n"
    left = MAX_BYTES - len(text.encode()) - 100
    for position, row in enumerate(rows):
        left -= len(row.encode()) + 1
        if left < 0:
            text += f"\n{len(rows) - position:,} more findings, all less important, are in the decision itself.\n"
            break
        text += row + "\n"
    return text


def _importance(finding: Finding) -> tuple[int, bool]:
    return RANK[finding.status], not finding.blocks
