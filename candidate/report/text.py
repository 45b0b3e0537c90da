"""Documents as plain text for a terminal: the verdict word first, then why, then what to do next."""

from candidate.document import Document
from candidate.documents.benched import Benchmark, BenchResult
from candidate.documents.decision import Decision, Estimate, Finding
from candidate.documents.evidence import DataFacts, Evidence
from candidate.documents.ledger import LedgerView
from candidate.documents.publickey import TITLES
from candidate.documents.results import (
    Attached,
    Built,
    BundleView,
    Evaluation,
    KeyInfo,
    Predicted,
    Reproduced,
    Status,
    Unpacked,
)
from candidate.report.channels import status_text
from candidate.report.parity import parity_lines
from candidate.report.spent import ledger_text
from candidate.report.words import named, printable, short, size

WIDTH = 100


def number(value: float) -> str:
    """Return a number with at most five significant digits, thousands apart."""
    if value == int(value) and abs(value) < 1e15:  # noqa: PLR2004 - integers a double holds exactly
        return f"{int(value):,}"
    return f"{value:.5g}"


def counted(data: DataFacts) -> str:
    """Return how many rows of how many independent units there were."""
    return f"{data.rows:,} rows of {data.units:,} {data.unit}{'' if data.units == 1 else 's'}"


def estimated(estimate: Estimate) -> str:
    """Return ``value [lower, upper] unit``."""
    low = "" if estimate.lower is None else number(estimate.lower)
    high = "" if estimate.upper is None else number(estimate.upper)
    interval = f" [{low}, {high}]" if low or high else ""
    unit = "" if estimate.unit == "1" else estimate.unit
    return f"{number(estimate.value)}{interval} {unit}".rstrip()


def headline(decision: Decision) -> str:
    """Return the verdict in one line."""
    challenger, champion = decision.challenger, decision.champion
    name = f"{challenger.name} {challenger.version}"
    against = "a first release" if champion is None else f"{champion.name} {champion.version}"
    says = {
        "go": f"GO: {name} may " + ("be the first release" if champion is None else f"replace {against}"),
        "no-go": f"NO-GO: {name} may not " + ("be released" if champion is None else f"replace {against}"),
        "inconclusive": f"INCONCLUSIVE: not enough evidence that {name} may "
        + ("be released" if champion is None else f"replace {against}"),
    }
    return says[decision.outcome]


def _order(finding: Finding) -> tuple[int, int]:
    rank = {"fail": 0, "open": 1, "pass": 2, "blind": 3}
    return rank[finding.status], 0 if finding.blocks else 1


def _finding(finding: Finding) -> str:
    where = f" [{finding.slice}]" if finding.slice not in {None, "overall"} else ""
    return f"  {finding.status:<5} {finding.metric}{where}: {finding.why}"


def deciding(decision: Decision) -> tuple[Finding, ...]:
    """Return the findings that forced the outcome: those that fail, else those that stay open."""
    failed = tuple(finding for finding in decision.findings if finding.status == "fail")
    if failed:
        return failed
    return tuple(finding for finding in decision.findings if finding.blocks and finding.status in {"open", "blind"})


def decision_text(decision: Decision) -> str:
    """Return a decision as a page of text."""
    lines = [headline(decision), ""]
    forced = deciding(decision)
    if forced:
        lines.append("Because:")
        lines += [_finding(finding) for finding in forced]
        lines.append("")
    rest = [finding for finding in decision.findings if finding not in forced]
    shown = sorted((f for f in rest if f.status != "blind" and (f.blocks or f.status != "pass")), key=_order)
    watched = [finding for finding in rest if finding not in shown]
    if shown:
        lines.append("Also found:" if forced else "Found:")
        lines += [_finding(finding) for finding in shown]
    blind = [finding for finding in watched if finding.status == "blind"]
    clear = [finding for finding in watched if finding.status == "pass"]
    if clear:
        lines.append(f"  pass  {len(clear)} more, none of which blocks: {_names(clear)}")
    if blind:
        lines.append(f"  blind {len(blind)} with too few rows to see a change: {_names(blind)}")
    lines += ["", "Checklist of a model candidate:"]
    lines += [
        f"  {item.number} {item.status:<6} {item.claim}"
        + ("" if item.required else " (not required)")
        + (f": {item.why}" if item.status != "pass" else "")
        for item in decision.checklist
    ]
    lines += ["", *_bound(decision)]
    return printable("\n".join(lines))


def decision_summary(decision: Decision) -> str:
    """Return a decision in a few lines: the verdict, what forced it, and how much of the rest held."""
    forced = deciding(decision)
    lines = [headline(decision), *(_finding(finding) for finding in forced)]
    lines += [
        _finding(finding)
        for finding in decision.findings
        if finding.line in {"optimizing", "calibration"} and finding.status == "pass" and finding.blocks
    ]
    slices = [finding for finding in decision.findings if finding.slice and finding.line == "slices"]
    held, blind = ([f for f in slices if f.status == status] for status in ("pass", "blind"))
    if slices:
        unseen = f"; too few rows to see a change in {_names(blind)}" if blind else ""
        lines.append(f"  slices: {len(held)} of {len(slices)} unharmed{unseen}")
    lines.append(f"  checklist: {sum(item.status == 'pass' for item in decision.checklist)} of 9 lines hold")
    lines.append(f"  rollback target: {named(decision.rollback_target)}; measured on {counted(decision.data)}")
    return printable("\n".join(lines))


def _names(findings: list[Finding]) -> str:
    names = list(dict.fromkeys(finding.slice or finding.metric for finding in findings))
    text = ", ".join(names[:12])
    return text if len(names) <= 12 else f"{text} and {len(names) - 12} more"  # noqa: PLR2004 - one line


def _bound(decision: Decision) -> list[str]:
    data, risks = decision.data, decision.risks
    channel = (
        f"{decision.channel} as of log entry {decision.sequence}" if decision.channel else "not bound to a channel"
    )
    return [
        (
            f"Measured on {counted(data)}; data {short(data.file)}, "
            f"policy {short(decision.policy)}, evidence {short(decision.evidence)}."
        ),
        (
            f"Risk of a wrong go at most {risks.false_go:.0%} for each guard, of a wrong no-go at most "
            f"{risks.false_no_go:.0%} over {risks.no_go_claims} claims; planned with power {risks.power:.0%}."
        ),
        f"Rollback target: {named(decision.rollback_target)}.",
        f"Channel: {channel}; expires {decision.expires}.",
    ]


def bundle_text(view: BundleView) -> str:
    """Return a bundle as a page of text."""
    ref, manifest, signature, experiment = view.bundle, view.manifest, view.signature, view.experiment
    parity = manifest.parity
    code = experiment.code
    commit = "no commit on record" if code.commit is None else f"commit {code.commit[:12]}"
    lines = [
        f"BUNDLE {ref.name} {ref.version}",
        f"  identity   {ref.digest}",
        f"  task       {signature.task}, label {signature.label}, classes {', '.join(map(str, signature.classes))}",
        f"  features   {len(signature.features)}: {', '.join(signature.features)}",
        f"  trained on {experiment.data.rows:,} rows, data {short(experiment.data.digest)}",
        f"  from       {code.source}, {commit}{' with uncommitted changes' if code.dirty else ''}",
        "  parity     "
        + (
            "not measured: the source was an ONNX graph"
            if parity is None
            else "\n             ".join(parity_lines(parity))
        ),
        f"  attested   {', '.join(dict.fromkeys(view.attestations)) or 'no'}",
        "  members",
        *(f"    {file.name:<42} {size(file.size):>10}  {short(file.digest.sha256)}" for file in manifest.files),
    ]
    return printable("\n".join(lines))


def built_text(built: Built) -> str:
    """Return what was built."""
    parity = built.parity
    proof = (
        "the source was an ONNX graph, so there was nothing to compare it with"
        if parity is None
        else "\n           ".join(parity_lines(parity))
    )
    lines = [
        f"built {built.path} ({size(built.size_bytes)})",
        f"  identity {built.bundle.digest}",
        f"  parity   {proof}",
        f"  attested {'yes' if built.attested else 'no: give --key, or nobody will trust it'}",
    ]
    return printable("\n".join(lines))


def unpacked_text(result: Unpacked) -> str:
    """Return what was unpacked."""
    return printable(f"unpacked {named(result.bundle)}: {len(result.files) + 1} files in {result.folder}")


def attached_text(result: Attached) -> str:
    """Return what a bundle carries now that it did not before."""
    lines = [f"{result.path} is still {named(result.bundle)} and carries"]
    lines += [
        f"  {item.predicate_type} by {short(item.key_id)}{', as before' if item.already else ''}"
        for item in result.attestations
    ]
    if not result.checked:
        lines.append("who signed was not checked (give --trust)")
    return printable("\n".join(lines))


def reproduced_text(result: Reproduced) -> str:
    """Return that a bundle came out the same, and where that is said."""
    lines = [
        f"reproduced {named(result.bundle)}: {result.members} members, equal in every byte",
        f"  environment {short(result.environment)}",
        f"  attested    {'no: give --key' if result.path is None else 'in ' + result.path}",
    ]
    return printable("\n".join(lines))


def predicted_text(result: Predicted) -> str:
    """Return what was predicted."""
    where = f" to {result.path}" if result.path else ""
    return printable(f"predicted {result.rows:,} rows with {named(result.bundle)}{where}")


def evaluation_text(result: Evaluation) -> str:
    """Return metrics as a table: one line a slice."""
    names = [name for name in ("log_loss", "brier", "accuracy", "precision", "recall") if name in result.definitions]
    level = f"{1 - 2 * result.alpha:.0%}"
    lines = [
        (f"{named(result.bundle)} on {counted(result.data)}; intervals at {level}"),
        f"  {'slice':<24} {'rows':>9}  " + "  ".join(f"{name:<26}" for name in names),
    ]
    for part in result.slices:
        cells = "  ".join(f"{_cell(part.metrics.get(name)):<26}" for name in names)
        lines.append(f"  {part.slice[:24]:<24} {part.rows:>9,}  {cells}")
    if result.calibration is not None:
        lines.append(f"  calibration error (root mean square, debiased): {estimated(result.calibration)}")
    return printable("\n".join(lines))


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return "undefined"
    if estimate.lower is None or estimate.upper is None:
        return f"{estimate.value:.4f} (too few units)"
    return f"{estimate.value:.4f} [{estimate.lower:.4f}, {estimate.upper:.4f}]"


def benchmark_text(result: Benchmark) -> str:
    """Return latency and size, one block a bundle."""
    lines = [
        f"single rows, {result.threads} thread, {result.rounds} rounds of {result.calls} calls"
        + (", both bundles in turn" if len(result.results) > 1 else "")
    ]
    for part in result.results:
        lines.append(f"  {named(part.bundle)}: {size(part.size_bytes)}, model {size(part.model_size_bytes)}")
        lines += [f"    {name:<15} {estimated(estimate)}" for name, estimate in part.latency.items()]
        lines += _bench_extras(part)
    if result.latency_p99_ratio is not None:
        lines.append(f"  p99, first over second: {estimated(result.latency_p99_ratio)}")
    lines += [f"  open: {reason}" for reason in result.open]
    return printable("\n".join(lines))


def _bench_extras(part: BenchResult) -> list[str]:
    start, memory = part.start, part.memory
    own = max(0, memory.steady_bytes - memory.before_bytes)
    starts = f"process {number(start.process_ms)} ms, session {number(start.session_ms)} ms"
    used = f"{size(memory.steady_bytes)}, peak {size(memory.peak_bytes)}, {size(own)} more than before the model"
    lines = [
        f"    start           {starts}, first call {number(start.first_call_ms)} ms",
        f"    memory          {used}; {memory.threads} threads",
    ]
    if start.after_idle_ms is not None and start.idle_seconds is not None:
        lines.append(f"    after {number(start.idle_seconds)} s idle  {number(start.after_idle_ms)} ms")
    if part.open_loop is not None:
        lines.append(f"    open loop, {number(part.open_loop.rate)} calls a second, from their intended start")
        lines += [f"      {name:<15} {estimated(estimate)}" for name, estimate in part.open_loop.latency.items()]
    lines += [f"    batches of {batch.rows:<5} {batch.rows_per_second:,.0f} rows/s" for batch in part.offline]
    if part.cost is not None:
        lines.append(f"    cost            {estimated(part.cost.per_thousand)}")
    for each in part.operators:
        took = f"{each.microseconds:.1f} us a call, {100 * each.share:.0f} % of all operators"
        lines.append(f"    {each.name:<24} {took}")
    return lines


def key_text(key: KeyInfo) -> str:
    """Tell what a key is, below its PEM."""
    lines = [f"key id {key.key_id}", f"algorithm {TITLES[key.algorithm]}"]
    if not key.model_signing:
        lines.append("OpenSSF model_signing does not read signatures of such a key: sign by an ECDSA P-256 key too")
    return "\n".join(lines)


def document_text(document: Document) -> str:
    """Return any document that ``show`` can meet as text."""
    if isinstance(document, Decision):
        return decision_text(document)
    if isinstance(document, BundleView):
        return bundle_text(document)
    if isinstance(document, Status):
        return status_text(document)
    if isinstance(document, Evidence):
        return evidence_text(document)
    if isinstance(document, LedgerView):
        return ledger_text(document)
    return printable(document.model_dump_json(indent=1, by_alias=True))


def evidence_text(evidence: Evidence) -> str:
    """Return what an evidence folder holds."""
    data = evidence.data
    lines = [
        f"EVIDENCE on {named(evidence.challenger.bundle)}",
        f"  against   {named(None if evidence.champion is None else evidence.champion.bundle)}",
        f"  data      {counted(data)} ({short(data.file)})",
        f"  slices    {len(evidence.state.slices)}, {evidence.state.buckets} buckets",
        f"  policy    {evidence.policy}",
        *(f"  file      {file.name:<18} {size(file.size):>10}  {short(file.digest)}" for file in evidence.files),
    ]
    return printable("\n".join(lines))
