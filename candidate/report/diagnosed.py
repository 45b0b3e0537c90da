"""Where a model loses, as text."""

from candidate.documents.diagnosed import Cause, Diagnosis, ErrorGroup, MeanLoss
from candidate.report.words import named, printable

NAMED = 3
"""The groups that are named first."""


def _loss(of: MeanLoss) -> str:
    return f"{of.value:.4g} ({of.lower:.4g} to {of.upper:.4g}, {of.rows:,} rows)"


def _group(group: ErrorGroup) -> str:
    shares = f"{100 * group.share_of_rows:.3g} % of the rows, {100 * group.share_of_loss:.3g} % of the loss"
    could = f"{100 * group.reducible:.3g} % (at least {100 * group.reducible_at_least:.3g} %) could go"
    return f"    {group.name}: {shares}; {could}"


def _cause(cause: Cause) -> str:
    bounds = f"{100 * cause.lower:.3g} to {100 * cause.upper:.3g} %"
    return f"    {cause.name}: {cause.count:,}, {100 * cause.share:.3g} % ({bounds})"


def diagnosis_text(found: Diagnosis) -> str:
    """Return the reading, the groups with the most to gain, the controls and the causes."""
    lines = [f"{named(found.bundle)}: {found.says}"]
    lines.append(f"  {found.loss} on these rows {_loss(found.eyeball)}; a constant answer {found.zero_rule:.4g}")
    if found.train is not None:
        lines.append(f"  {found.loss} on the training rows {_loss(found.train)}")
    if found.groups:
        top = ", ".join(group.name for group in found.groups[:NAMED])
        lines.append(f"  look first at {top} ({found.looked_at:,} groups looked at)")
    else:
        lines.append(f"  none of {found.looked_at:,} groups is proven to lose more than the others")
    lines += map(_group, found.groups)
    lines += [
        f"  {'holds' if each.passed else 'FAILS'} {each.name}: {each.found:.4g}, expected {each.expected}"
        for each in found.controls
    ]
    if found.sheet is not None:
        lines.append(f"  wrote {found.sheet}: fill in the column cause, then --annotated {found.sheet}")
    if found.annotated is not None:
        lines.append(f"  {found.annotated:,} errors have a cause")
    lines += map(_cause, found.causes)
    return printable("\n".join(lines))
