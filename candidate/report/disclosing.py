"""What of a decision those who train may know: how each rule ended, and no number of the blackbox."""

from candidate.documents.decision import Decision, Status

SAYS: dict[Status, str] = {
    "pass": "holds",
    "fail": "is broken",
    "open": "is not decided: more rows, or missing evidence",
    "blind": "could not have been seen to break",
}


def without_numbers(decision: Decision) -> Decision:
    """Return a decision without what was measured: outcome, rules, slices and limits stay.

    Every number that comes back from a blackbox lets the next model be fitted to it; that a rule was
    broken lets it far less (Blum and Hardt 2015).
    """
    findings = tuple(
        each.model_copy(update={"estimate": None, "p_value": None, "n_needed": None, "why": SAYS[each.status]})
        for each in decision.findings
    )
    lines = tuple(each.model_copy(update={"why": f"{each.status}"}) for each in decision.checklist)
    return decision.model_copy(update={"findings": findings, "checklist": lines})
