"""A decision as JUnit XML: one test case a finding, and one for the verdict, so that only a go is green."""

from xml.sax.saxutils import escape, quoteattr

from candidate.documents.decision import Decision, Finding
from candidate.report.findings import sentence
from candidate.report.text import estimated, headline, number
from candidate.report.words import named, printable


def _attribute(text: str) -> str:
    return quoteattr(printable(text).replace("\n", " "))


def _body(text: str) -> str:
    return escape(printable(text))


def _case(finding: Finding, suite: str) -> list[str]:
    """Return a test case: broken is a failure, needed but undecided an error, the rest undecided skipped."""
    place = "" if finding.slice is None else f" [{finding.slice}]"
    opening = (
        f"  <testcase classname={_attribute(f'{suite}.{finding.line}')} "
        f'name={_attribute(f"{finding.rule} {finding.metric}{place}")} time="0"'
    )
    if finding.status == "pass":
        return [opening + "/>"]
    why = _attribute(finding.why)
    if finding.status == "fail":
        detail = [] if finding.estimate is None else [f"measured {estimated(finding.estimate)}"]
        detail += [] if finding.limit is None else [f"limit {number(finding.limit)}"]
        inside = f'<failure type="broken" message={why}>{_body("; ".join([finding.why, *detail]))}</failure>'
    elif finding.blocks:
        inside = f'<error type="{finding.status}" message={why}>{_body(finding.why)}</error>'
    else:
        inside = f"<skipped message={why}/>"
    return [opening + ">", f"    {inside}", "  </testcase>"]


def decision_junit(decision: Decision) -> str:
    """Return a decision as JUnit XML.

    The last case is the verdict itself: a failure for a no-go, an error for an inconclusive one. So
    no outcome but a go can look green, not even one that only a line of the checklist prevents.
    """
    suite = f"candidate.{decision.challenger.name}"
    lines = [line for finding in decision.findings for line in _case(finding, suite)]
    tag = {"go": None, "no-go": "failure", "inconclusive": "error"}[decision.outcome]
    verdict = f'  <testcase classname={_attribute(f"{suite}.verdict")} name="verdict" time="0"'
    if tag is None:
        lines.append(verdict + "/>")
    else:
        why = sentence(decision)
        inside = f'<{tag} type="{decision.outcome}" message={_attribute(headline(decision))}>{_body(why)}</{tag}>'
        lines += [verdict + ">", f"    {inside}", "  </testcase>"]
    findings = decision.findings
    failed = sum(finding.status == "fail" for finding in findings) + (tag == "failure")
    undecided = [finding for finding in findings if finding.status in {"open", "blind"}]
    errors = sum(finding.blocks for finding in undecided) + (tag == "error")
    skipped = sum(not finding.blocks for finding in undecided)
    counts = f'tests="{len(findings) + 1}" failures="{failed}" errors="{errors}"'
    properties = {
        "outcome": decision.outcome,
        "challenger": named(decision.challenger),
        "champion": named(decision.champion),
        "decision": decision.digest,
        "policy": decision.policy,
        "evidence": decision.evidence,
        "expires": decision.expires,
    }
    rest = f'skipped="{skipped}" time="0" timestamp="{decision.issued.removesuffix("Z")}" hostname="localhost"'
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<testsuites name="candidate" {counts} time="0">',
            f"<testsuite name={_attribute(suite)} {counts} {rest}>",
            "  <properties>",
            *(f'    <property name="{name}" value={_attribute(value)}/>' for name, value in properties.items()),
            "  </properties>",
            *lines,
            "</testsuite>",
            "</testsuites>",
            "",
        ]
    )
