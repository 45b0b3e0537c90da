"""Tell a decision to people and to the tools they read: the form follows from the file's ending."""

from pathlib import Path
from typing import NamedTuple

from candidate.documents.decision import Decision
from candidate.documents.plotted import Plotted
from candidate.errors import InputError
from candidate.flows.auditing import judge_again, read_evidence
from candidate.flows.measuring import read_policy
from candidate.flows.outcomes import evidence_folder
from candidate.flows.showing import read_decision
from candidate.judgement.curves import latency_of, reliability_of
from candidate.report.disclosing import without_numbers
from candidate.report.junit import decision_junit
from candidate.report.markdown import decision_markdown
from candidate.report.sarif import PolicySource, decision_sarif

FORMS = (".html", ".md", ".sarif", ".xml")
"""Endings of the files that a report is written as."""


class Rendered(NamedTuple):
    """A decision, and how it is told."""

    decision: Decision
    text: str


def plotted(decision: Decision, folder: Path) -> Plotted:
    """Return what a report draws of an evidence folder, after the verdict was recomputed from it.

    Raises:
        InputError: there is no such folder.
        IntegrityError: the evidence is not the one decided on, or the verdict does not follow from it.
    """
    judge_again(decision, evidence=folder, attested=False)
    evidence, policy, arrays = read_evidence(folder)
    timed = evidence.latency
    return Plotted(
        policy=policy,
        evidence=evidence,
        reliability=reliability_of(arrays.state, evidence.state),
        latency=() if timed is None or arrays.latency is None else latency_of(arrays.latency, timed),
    )


def _source(path: Path, decision: Decision) -> PolicySource:
    """Return the policy's text, if it is the one that was decided by."""
    if read_policy(path).digest != decision.policy:
        raise InputError(
            "not the policy that was decided by", where=str(path), hint="give the file that compare was given"
        )
    return PolicySource(uri=path.as_posix(), text=path.read_text(encoding="utf-8"))


def render(
    decision: Path | str,
    form: str = ".md",
    *,
    evidence: Path | str | None = None,
    policy: Path | str | None = None,
    verdict_only: bool = False,
) -> Rendered:
    """Tell a decision as a page, a job summary, a test report or a list of code findings.

    Args:
        decision: ``NAME.json`` as ``compare`` wrote it.
        form: ``.html``, ``.md``, ``.sarif`` (SARIF 2.1.0) or ``.xml`` (JUnit).
        evidence: its evidence folder, for the plots; by default the one beside it, if there is one.
        policy: the policy file that was decided by, so that SARIF points to its lines.
        verdict_only: tell how each rule ended and nothing that was measured, for those who train.

    Raises:
        InputError: no decision is there, or no report has that form.
        IntegrityError: the verdict does not follow from the evidence.
        UnavailableError: HTML is asked for, and Jinja2 is not installed.
    """
    decision = Path(decision)
    if form not in FORMS:
        raise InputError(
            f"no report is written as {form!r}", where="--out", hint=f"name a file that ends in {', '.join(FORMS)}"
        )
    found = read_decision(decision)
    source = None if policy is None else _source(Path(policy), found)
    beside = decision.parent / evidence_folder(decision.stem)
    folder = beside if evidence is None and beside.is_dir() else evidence
    drawn = None if folder is None else plotted(found, Path(folder))
    if verdict_only:
        found, drawn = without_numbers(found), None
    if form == ".html":
        from candidate.report.html import decision_html

        return Rendered(found, decision_html(found, drawn))
    if form == ".xml":
        return Rendered(found, decision_junit(found))
    if form == ".sarif":
        return Rendered(found, decision_sarif(found, None if drawn is None else drawn.policy, source))
    return Rendered(found, decision_markdown(found))
