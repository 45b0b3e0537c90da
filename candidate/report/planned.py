"""A plan, and the noise of retrains, as text."""

from candidate.documents.plan import NoiseLine, Plan, PlanLine, RetrainNoise
from candidate.report.words import named, printable, short

AIMS = {"gain": "gain", "no harm": "guard", "harm seen": "watch", "limit": "limit"}


def plan_text(plan: Plan) -> str:
    """Return what a comparison could tell: the rules that could not first."""
    blind = [line for line in plan.lines if line.blind]
    able = [line for line in plan.lines if not line.blind]
    lines = [
        f"PLAN for {plan.rows:,} rows, from a pilot of {plan.pilot.rows:,} ({plan.pilot.units:,} units)",
        f"  pair      {named(plan.challenger)} against {named(plan.champion)}",
        f"  policy    {short(plan.policy)}; plan {short(plan.digest)}",
        f"  chance    of a go at least {plan.go_power:.0%}, if gains and limits are as seen and nothing is harmed",
        f"  alpha     {plan.alpha:g}, optimizing {plan.look_alpha:.2g}; {plan.no_go_claims} claims of harm",
    ]
    if blind:
        lines += ["", "Cannot be told with so many rows:", *map(_line, blind)]
    if able:
        lines += ["", "Can be told:", *map(_line, able)]
    if plan.undecidable:
        lines += ["", "The pilot says nothing of:", *(f"  {each}" for each in plan.undecidable)]
    return printable("\n".join(lines))


def _line(line: PlanLine) -> str:
    place = line.rule if line.slice in {None, "overall"} else f"{line.rule} {line.slice}"
    needed = "no number of rows would do" if line.n_needed is None else f"needs {line.n_needed:,} rows"
    told = f"sees {line.detects:.3g}" if line.aim == "harm seen" else f"power {line.power:.0%}"
    more = "" if line.design_effect is None else f", design effect {line.design_effect:.2g}"
    return f"  {AIMS[line.aim]:<6} {place} ({line.metric}): {told} with {line.rows:,} rows, {needed}{more}"


def noise_text(found: RetrainNoise) -> str:
    """Return how far retrains differ, and the margins to put into the policy."""
    lines = [
        f"RETRAIN NOISE of {len(found.bundles)} bundles, {found.pairs} pairs, {found.data.rows:,} rows",
        *map(_noise, found.lines),
    ]
    low = [line for line in found.lines if not line.enough]
    if low:
        lines += ["", "To put into the policy, where a mere retrain should not be stopped:"]
        lines += [f"  {line.rule}: margin = {_up(line.noise)}, noise = {_up(line.noise)}" for line in low]
    return printable("\n".join(lines))


def _noise(line: NoiseLine) -> str:
    says = "is enough" if line.enough else "is below the noise"
    worst = "" if line.worst in {None, "overall"} else f" ({line.worst})"
    return (
        f"  {line.rule} ({line.metric}): 95 % of {line.differences} differences within {line.noise:.3g}, "
        f"largest {line.largest:.3g}{worst}; a margin of {line.margin:g} {says}"
    )


def _up(value: float) -> str:
    """Return a number rounded up to two significant digits."""
    text = f"{value:.1e}"
    return f"{float(text) if float(text) >= value else float(text) + float('1e' + text.split('e')[1]) / 10:g}"
