"""A decision as one HTML page: it fetches nothing, runs nothing, prints, and is made of the same bytes every time."""

from typing import Any

from candidate.documents.decision import Decision
from candidate.documents.plotted import LatencyCurve, Plotted
from candidate.errors import UnavailableError
from candidate.report.findings import LINES, RANK, WHAT_NOW, called, changes, sentence, where
from candidate.report.plots import (
    COLUMNS,
    HIGH,
    MARKED,
    PLOT,
    WIDE,
    bounds,
    dots,
    figure,
    forests,
    latency,
    limits,
)
from candidate.report.text import counted, headline, number
from candidate.report.words import named, printable, short

SIGNS = {"pass": "\N{CHECK MARK}", "fail": "\N{BALLOT X}", "open": "?", "blind": "\N{EM DASH}", "absent": "\N{EM DASH}"}
"""A shape for each status, so that colour is never all there is."""


def _shown(value: object) -> object:
    """Return what an expression of the template may print: text from files steers nothing."""
    return printable(value) if type(value) is str else value


def _quantiles(curves: tuple[LatencyCurve, ...]) -> list[dict[str, Any]]:
    """Return, for each model, the quantiles that are told in words."""
    found = []
    for curve in curves:
        times = dict(curve.points)
        found.append({"model": curve.model, "calls": curve.calls, "at": [figure(times[share]) for share in MARKED]})
    return found


def decision_html(decision: Decision, drawn: Plotted | None = None) -> str:
    """Return a decision as a page.

    Args:
        decision: what was decided.
        drawn: what was measured; without it the page says which plots need it.

    Raises:
        UnavailableError: Jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise UnavailableError("Jinja2 is not installed", hint="pip install 'candidate[report]'") from error

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("candidate.report", "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals = {}
    environment.filters |= {
        "number": number,
        "short": short,
        "named": named,
        "called": called,
        "about": where,
        "figure": figure,
        "bounds": bounds,
    }
    policy = None if drawn is None else drawn.policy
    word, _, says = headline(decision).partition(": ")
    order = sorted(decision.findings, key=lambda finding: RANK[finding.status])
    return environment.get_template("page.html").render(
        decision=decision,
        drawn=drawn,
        word=word,
        says=says.replace("not enough evidence", "Not enough evidence", 1) if word == "INCONCLUSIVE" else says,
        because=sentence(decision),
        now=WHAT_NOW[decision.outcome],
        changes=changes(decision, policy),
        counted=counted(decision.data),
        forests=forests(decision.findings, policy),
        limits=limits(decision.findings, policy),
        reliability=[] if drawn is None else [(each, dots(each)) for each in drawn.reliability if each.bins],
        latency=None if drawn is None else latency(drawn.latency, decision.findings),
        quantiles=[] if drawn is None else _quantiles(drawn.latency),
        findings=order,
        signs=SIGNS,
        lines=LINES,
        size={"plot": PLOT, "columns": COLUMNS, "wide": WIDE, "high": HIGH},
    )
