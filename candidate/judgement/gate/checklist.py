"""The nine lines of a model candidate, each with what it rests on."""

from collections.abc import Sequence

from candidate.document import Digest
from candidate.documents.decision import ChecklistItem, Finding, LineStatus
from candidate.documents.evidence import BINS_FILE, LATENCY_FILE, POLICY_FILE, STATE_FILE, Evidence
from candidate.documents.policy import CHECKLIST, ChecklistLine, Policy

CLAIMS: dict[ChecklistLine, str] = {
    "optimizing": "the optimizing metric is good enough on rows that neither model has seen",
    "satisficing": "every satisficing limit is kept",
    "slices": "no slice hides a regression",
    "calibration": "predicted probabilities are calibrated",
    "availability": "every feature is available at serving",
    "skew": "the graph that serves predicts what the trained pipeline predicts",
    "reproducibility": "what is needed to train the model again is on record",
    "packaging": "the bundle is whole and its golden rows replay",
    "rollback": "the way back is known and was rehearsed",
}
_MAX_REASONS = 3

_FILES: dict[ChecklistLine, tuple[str, ...]] = {
    "optimizing": (STATE_FILE,),
    "satisficing": (STATE_FILE, LATENCY_FILE),
    "slices": (STATE_FILE,),
    "calibration": (BINS_FILE,),
}


def _rests_on(line: ChecklistLine, evidence: Evidence) -> tuple[Digest, ...]:
    """Return digests of the files and bundles that bear on a line."""
    files = {file.name: file.digest for file in evidence.files}
    found = [files[name] for name in _FILES.get(line, ()) if name in files]
    champion = evidence.champion
    if line == "rollback":
        found += [files[POLICY_FILE]] if champion is None and POLICY_FILE in files else []
        found += [champion.bundle.digest] if champion is not None else []
    elif line not in {"optimizing", "slices", "calibration"}:
        found.append(evidence.challenger.bundle.digest)
    if line == "reproducibility":
        found.append(evidence.challenger.train_data)
    return tuple(found) or (evidence.digest,)


def _says(finding: Finding) -> str:
    place = "" if finding.slice in {None, "overall"} else f"{finding.slice}: "
    return place + finding.why


def _reasons(findings: Sequence[Finding]) -> str:
    more = len(findings) - _MAX_REASONS
    text = "; ".join(_says(finding) for finding in findings[:_MAX_REASONS])
    return text + (f"; and {more} more" if more > 0 else "")


def _answer(findings: Sequence[Finding]) -> tuple[LineStatus, str]:
    """Return what the findings of a line say together."""
    if not findings:
        return "absent", "the policy asks nothing of it, so there is no evidence"
    broken = [finding for finding in findings if finding.status == "fail"]
    if broken:
        return "fail", _reasons(broken)
    undecided = [finding for finding in findings if finding.blocks and finding.status != "pass"]
    held = [finding for finding in findings if finding.status == "pass"]
    if undecided or not held:
        return "open", _reasons(undecided or findings)
    blind = len(findings) - len(held)
    if len(findings) == 1:
        return "pass", _says(held[0])
    text = f"{len(held)} of {len(findings)} findings hold"
    return "pass", text + (f", {blind} that do not block are undecided" if blind else "")


def checklist(policy: Policy, evidence: Evidence, findings: Sequence[Finding]) -> tuple[ChecklistItem, ...]:
    """Return the nine lines; one without any finding is absent, whatever else is known."""
    items = []
    for position, line in enumerate(CHECKLIST):
        status, why = _answer([finding for finding in findings if finding.line == line])
        items.append(
            ChecklistItem(
                number=position + 1,
                line=line,
                claim=CLAIMS[line],
                status=status,
                required=line in policy.checklist.require,
                evidence=() if status == "absent" else _rests_on(line, evidence),
                why=why,
            )
        )
    return tuple(items)
