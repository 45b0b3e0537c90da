"""The page of a decision: complete, the same bytes every time, and nothing out of a file becomes markup."""

import re
import sys
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from candidate.documents.decision import Decision, Outcome
from candidate.errors import UnavailableError
from candidate.report.html import decision_html
from candidate.report.plots import MOST_ROWS, forests, latency, scale_of, ticks
from tests.report.decisions import ACCURACY, BLIND, DECISIONS, HELD, HOSTILE, LATENCY, OPEN, POLICY, drawn, measured
from tests.report.test_report import decision

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Outline(HTMLParser):
    """Elements of a page in order; every one must be closed where it belongs."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember an element that opens."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember an element that is empty."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Hold an element that closes against the one that is open."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Gather what is read."""
        self.text += data


def outline(page: str) -> Outline:
    """Parse a page strictly."""
    found = Outline()
    found.feed(page)
    found.close()
    assert found.open == []
    return found


@pytest.mark.parametrize("outcome", DECISIONS)
@pytest.mark.parametrize("plots", [True, False])
def test_a_page_is_well_formed_and_made_of_the_same_bytes(outcome: Outcome, *, plots: bool) -> None:
    """Every element is closed, every id is there once, headings descend by one, and a second page is equal."""
    shown = drawn() if plots else None
    page = decision_html(DECISIONS[outcome], shown)
    found = outline(page)
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch("h[1-6]", tag)]

    assert len(ids) == len(set(ids))
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert decision_html(DECISIONS[outcome], shown) == page


@pytest.mark.parametrize(
    ("outcome", "first", "because"),
    [
        ("go", "GO", "All 6 findings that a release needs hold, and 9 of the 9 lines"),
        ("no-go", "NO-GO", "Rule slices.watch[0] is broken on carrier=MQ: worse by 0.06."),
        ("inconclusive", "INCONCLUSIVE", "Rule optimizing is not decided: needs more rows."),
    ],
)
def test_outcome_and_deciding_rule_come_first(outcome: Outcome, first: str, because: str) -> None:
    """The heading is the outcome, then the rule that decided it; all else comes after."""
    text = outline(decision_html(DECISIONS[outcome], drawn())).text

    places = [text.index(word) for word in (f"\n{first} ", because, "What would change", "The checklist of a model")]
    assert places == sorted(places)


def test_sections_come_in_the_order_of_their_weight() -> None:
    """From what would change the verdict to how to recompute it."""
    page = decision_html(DECISIONS["no-go"], drawn())

    assert re.findall(r'<h2 id="(\w+)"', page) == [
        "change",
        "checklist",
        "slices",
        "limits",
        "reliability",
        "latency",
        "findings",
        "identities",
        "again",
    ]


@pytest.mark.parametrize("plots", [True, False])
def test_what_comes_out_of_files_is_text(*, plots: bool) -> None:
    """A slice, a reason, a channel and a name full of markup stay text, and steer nothing."""
    finding = measured("slices.watch[0]", "fail", value=-1.0, slice_=HOSTILE, why=HOSTILE, blocks=False)
    told = decision("no-go", *HELD, finding)
    bad = told.challenger.model_copy(update={"name": HOSTILE})
    page = decision_html(told.model_copy(update={"challenger": bad, "channel": HOSTILE}), drawn() if plots else None)
    found = outline(page)

    assert {"script", "img"} & {tag for tag, _ in found.elements} == set()
    assert all(not name.startswith("on") for _, attributes in found.elements for name in attributes)
    assert "\u202e" not in page
    assert "\x00" not in page
    assert "<script>alert(1)</script>" in found.text


def test_a_page_fetches_nothing() -> None:
    """No address but of places in the page itself, and a policy that forbids the rest."""
    page = decision_html(DECISIONS["go"], drawn())
    found = outline(page)
    addresses = [attributes[name] for _, attributes in found.elements for name in ("href", "src") if name in attributes]

    assert {(address or "")[:1] for address in addresses} == {"#"}
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_without_evidence_the_page_says_which_plots_need_it() -> None:
    """Nothing is silently missing."""
    text = outline(decision_html(DECISIONS["go"])).text

    assert "Reliability diagrams need the evidence" in text
    assert "Distributions of latency need the evidence" in text
    assert "No latency was measured" in outline(decision_html(DECISIONS["go"], drawn(timed=False))).text


def test_every_finding_is_in_the_table_and_broken_ones_are_drawn() -> None:
    """Of many slices the most harmed are drawn, and all are told."""
    many = [
        measured("slices.watch[0]", value=0.01 + n / 1e4, slice_=f"store={n:04}", blocks=False) for n in range(3000)
    ]
    harmed = measured("slices.watch[0]", "fail", value=-0.06, slice_="store=harmed", blocks=False)
    page = decision_html(decision("no-go", *HELD, *many, harmed), drawn())
    drawn_titles = re.findall(r"<title>(store=\w+)", page)

    assert drawn_titles[0] == "store=harmed"
    assert len(drawn_titles) == MOST_ROWS
    assert all(page.count(f"<td>store={n:04}</td>") == 1 for n in range(3000))
    assert "2,972 more slices" in page
    assert len(page.encode()) < 3_000_000


def test_a_first_release_has_no_champion() -> None:
    """The page of a first release says so in each place."""
    page = decision_html(decision("go", *HELD, champion=None))

    assert "may be the first release" in page
    assert page.count("none: a first release") == 3


def test_what_would_change_the_verdict_counts_rows() -> None:
    """An open finding tells its distance and the rows it lacks."""
    page = decision_html(DECISIONS["inconclusive"])

    assert "must be at least 0.002: it lacks 0.006. About 7,510 rows would decide it" in page


def test_without_jinja_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(UnavailableError) as caught:
        decision_html(DECISIONS["go"])

    assert caught.value.hint == "pip install 'candidate[report]'"


def test_a_blind_slice_does_not_squash_the_others() -> None:
    """An interval of a blind slice may run off the scale; that of no other may."""
    wide = measured("slices.watch[0]", "blind", half=50.0, slice_="carrier=F9", blocks=False)
    sure = measured("slices.guard[0]", half=0.02, slice_="origin=JFK")
    scale = scale_of([wide, sure])
    (forest,) = forests([wide, sure, BLIND], POLICY)

    assert scale.high - scale.low < 0.2
    assert not scale.outside(0.04)
    assert [bar.cut for bar in forest.bars if bar.about == "carrier=F9"] == [(True, True)]
    assert [bar.ends for bar in forest.bars if bar.about == "carrier=OO"] == [None]


@pytest.mark.parametrize(
    ("low", "high", "found"), [(0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (-0.1, 0.05, [-0.1, -0.05, 0.0, 0.05])]
)
def test_ticks_are_round(low: float, high: float, found: list[float]) -> None:
    """Numbers below an axis are ones that people count in."""
    count = 5 if low == 0 else 4
    assert ticks(low, high, count) == pytest.approx(found)


def test_a_limit_is_drawn_where_it_is_on_the_scale() -> None:
    """A limit of latency is a line on the scale, or a number beside it."""
    curves = drawn().latency
    near = latency(curves, [LATENCY])
    far = latency(curves, [LATENCY.model_copy(update={"limit": 50.0}), ACCURACY])

    assert near is not None
    assert far is not None
    assert ([mark.text for mark in near.limits], near.beyond) == (["0.1"], ())
    assert (far.limits, far.beyond) == ((), ("50",))
    assert latency((), []) is None


def test_a_decision_that_only_the_checklist_stops_says_which_line() -> None:
    """No finding is open, and yet a required line does not hold."""
    held = decision("go", *HELD)
    items = tuple(
        item.model_copy(update={"status": "absent", "why": "nobody looked"}) if item.number == 6 else item
        for item in held.checklist
    )
    stopped = Decision.model_validate({**dict(held), "outcome": "inconclusive", "checklist": items})
    page = decision_html(stopped)

    assert "Line 6 of the checklist does not hold: claim 6 (nobody looked)." in page
    assert "Line 6 of the checklist must hold: claim 6." in page


def test_more_rows_than_anybody_has_are_not_counted_out() -> None:
    """What is as close to the limit as can be is said to be so."""
    close = OPEN.model_copy(update={"n_needed": 10**9})

    assert "even 100 times the 500 rows would not do" in decision_html(decision("inconclusive", close))
