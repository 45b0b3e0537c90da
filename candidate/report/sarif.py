"""A decision as SARIF 2.1.0, the form that code scanning shows beside the lines it is about."""

import hashlib
import json
import re
from typing import Any, NamedTuple

from candidate.documents.decision import Decision, Finding
from candidate.documents.policy import Policy
from candidate.report.findings import LINES, MEANING, sentence, side_of
from candidate.report.text import headline, number
from candidate.report.words import printable

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
VERDICT = "verdict"


class PolicySource(NamedTuple):
    """The policy file as it was written.

    Attributes:
        uri: where it is, relative to the checkout.
        text: its TOML.
    """

    uri: str
    text: str


def line_of(rule: str, text: str) -> int | None:
    """Return the line (from 1) of the table of a policy that a rule comes from; null if it stands by default.

    Args:
        rule: for example ``slices.guard[0]``.
        text: the policy's TOML.
    """
    name, _, place = rule.partition("[")
    position = int(place.rstrip("]")) if place.rstrip("]").isdigit() else 0
    while name:
        header = re.compile(rf"\s*\[\[?\s*{re.escape(name)}\s*\]\]?\s*(#.*)?")
        found = [number for number, line in enumerate(text.splitlines(), 1) if header.fullmatch(line)]
        if position < len(found):
            return found[position]
        name, position = name.rpartition(".")[0], 0
    return None


def _level(finding: Finding) -> str:
    if finding.status == "fail":
        return "error"
    return "warning" if finding.blocks else "note"


def _location(rule: str, source: PolicySource | None) -> dict[str, Any]:
    """Return where a rule is written; without the file, in the policy that lies beside the evidence."""
    uri = "policy.json" if source is None else source.uri
    line = 1 if source is None else line_of(rule, source.text) or 1
    return {
        "physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": line}},
        "logicalLocations": [{"fullyQualifiedName": rule, "kind": "member"}],
    }


def _fingerprint(*parts: str) -> dict[str, str]:
    """Return what stays the same while the same rule finds the same of the same rows."""
    return {"candidateFinding/v1": hashlib.sha256("\0".join(parts).encode()).hexdigest()}


def _rule(finding: Finding, policy: Policy | None) -> dict[str, Any]:
    side = side_of(finding, policy)
    asked = "" if side is None or finding.limit is None else f" The value must be {side} {number(finding.limit)}."
    title, meaning = LINES[finding.line], MEANING[finding.line]
    return {
        "id": finding.rule,
        "name": re.sub(r"[^A-Za-z0-9]+", " ", finding.rule).title().replace(" ", ""),
        "shortDescription": {"text": title},
        "fullDescription": {"text": meaning},
        "help": {"text": meaning + asked, "markdown": f"**{title}.** {meaning}{asked}"},
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["model-release", finding.line]},
    }


def _result(finding: Finding, index: int, decision: Decision, source: PolicySource | None) -> dict[str, Any]:
    place = "" if finding.slice in {None, "overall"} else f"{finding.slice}: "
    properties: dict[str, Any] = {"status": finding.status, "blocks": finding.blocks, "metric": finding.metric}
    if finding.slice is not None:
        properties["slice"] = printable(finding.slice)
    if finding.estimate is not None:
        properties["estimate"] = finding.estimate.model_dump(mode="json")
    for name in ("limit", "n_needed"):
        if (value := getattr(finding, name)) is not None:
            properties[name] = value
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "kind": "fail",
        "level": _level(finding),
        "message": {"text": printable(f"{place}{finding.why}")},
        "locations": [_location(finding.rule, source)],
        "partialFingerprints": _fingerprint(
            decision.challenger.name, finding.rule, finding.metric, finding.slice or ""
        ),
        "properties": properties,
    }


def decision_sarif(decision: Decision, policy: Policy | None = None, source: PolicySource | None = None) -> str:
    """Return a decision as SARIF: policy rules as rules, findings that do not pass as results.

    Broken is an error, undecided but needed a warning, the rest undecided a note. An outcome that is
    no go and that no finding explains is a result of the rule ``verdict``.

    Args:
        decision: what was decided.
        policy: tells on which side of its limit a value must be.
        source: the policy file; without it results point to the ``policy.json`` of the evidence.
    """
    first = {finding.rule: finding for finding in reversed(decision.findings)}
    order = list(dict.fromkeys(finding.rule for finding in decision.findings))
    rules = [_rule(first[name], policy) for name in order]
    rules.append(
        {
            "id": VERDICT,
            "name": "Verdict",
            "shortDescription": {"text": "The verdict"},
            "fullDescription": {"text": "A release needs every required rule and line of the checklist to hold."},
            "help": {"text": "Read the report of the decision; candidate audit recomputes it from its evidence."},
            "defaultConfiguration": {"level": "error"},
            "properties": {"tags": ["model-release"]},
        }
    )
    results = [
        _result(finding, order.index(finding.rule), decision, source)
        for finding in decision.findings
        if finding.status != "pass"
    ]
    if decision.outcome != "go":
        results.append(
            {
                "ruleId": VERDICT,
                "ruleIndex": len(order),
                "kind": "fail",
                "level": "error" if decision.outcome == "no-go" else "warning",
                "message": {"text": printable(f"{headline(decision)}. {sentence(decision)}")},
                "locations": [_location(VERDICT, source)],
                "partialFingerprints": _fingerprint(decision.challenger.name, VERDICT),
            }
        )
    run = {
        "tool": {"driver": {"name": "candidate", "rules": rules}},
        "automationDetails": {"id": f"candidate/{decision.challenger.name}/"},
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {
            "outcome": decision.outcome,
            "decision": decision.digest,
            "challenger": decision.challenger.digest,
            "policy": decision.policy,
            "evidence": decision.evidence,
            "expires": decision.expires,
        },
    }
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
