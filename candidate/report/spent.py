"""A holdout's ledger as text."""

from candidate.documents.ledger import HoldoutSpent, LedgerView
from candidate.report.words import printable, short


def ledger_text(ledger: LedgerView) -> str:
    """Return how often each holdout was looked at, and what the next look could still prove."""
    lines = [f"LEDGER of {ledger.entries:,} lines"]
    if ledger.head is not None:
        lines.append(f"  head      {short(ledger.head)}")
    return printable("\n".join([*lines, *(line for each in ledger.holdouts for line in _holdout(each))]))


def _holdout(spent: HoldoutSpent) -> list[str]:
    ended = ", ".join(f"{count} {outcome}" for outcome, count in sorted(spent.outcomes.items())) or "no verdict yet"
    rest = f"the last at alpha {spent.alpha:.2g}" if spent.alpha > 0 else "exhausted: collect fresh rows"
    return [
        f"  holdout   {short(spent.digest)}, {spent.rows:,} rows",
        f"  looks     {spent.looks} ({ended}); {rest}",
    ]
