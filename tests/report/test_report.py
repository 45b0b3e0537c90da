"""A page of text says the verdict first, then why; and nothing out of a file steers the terminal."""

import re

import pytest

from candidate.documents.decision import ChecklistItem, Decision, Estimate, Finding, Outcome, Risks, Status
from candidate.documents.evidence import BundleRef, DataFacts
from candidate.documents.policy import CHECKLIST
from candidate.report.markdown import MAX_BYTES, decision_markdown
from candidate.report.text import decision_text, estimated, headline, number
from candidate.report.words import printable, size

NEW = BundleRef(name="late-flights", version="2.0.0", digest="sha256:" + "a" * 64)
OLD = BundleRef(name="late-flights", version="1.0.0", digest="sha256:" + "b" * 64)


def finding(
    status: Status, *, blocks: bool = True, metric: str = "log_loss", why: str = "because", slice_: str | None = None
) -> Finding:
    """A finding of one status."""
    return Finding(
        rule="optimizing", line="optimizing", metric=metric, slice=slice_, status=status, blocks=blocks, why=why
    )


def decision(outcome: Outcome, *findings: Finding, champion: BundleRef | None = OLD) -> Decision:
    """A decision with these findings."""
    checklist = tuple(
        ChecklistItem(number=n, line=line, claim=f"claim {n}", status="pass", required=True, evidence=(), why="held")
        for n, line in enumerate(CHECKLIST, 1)
    )
    return Decision(
        outcome=outcome,
        challenger=NEW,
        champion=champion,
        rollback_target=champion,
        policy="sha256:" + "c" * 64,
        evidence="sha256:" + "d" * 64,
        data=DataFacts(file="sha256:" + "e" * 64, rows=82_609, units=92, label="late", unit="day"),
        registry=None,
        channel=None,
        sequence=None,
        issued="2026-11-23T06:00:00Z",
        expires="2026-11-24T06:00:00Z",
        findings=findings,
        checklist=checklist,
        risks=Risks(false_go=0.05, false_no_go=0.05, power=0.8, no_go_claims=21),
    )


@pytest.mark.parametrize(
    ("outcome", "status", "first"),
    [
        ("go", "pass", "GO: late-flights 2.0.0 may replace late-flights 1.0.0"),
        ("no-go", "fail", "NO-GO: late-flights 2.0.0 may not replace late-flights 1.0.0"),
        ("inconclusive", "open", "INCONCLUSIVE: not enough evidence that late-flights 2.0.0 may replace"),
    ],
)
def test_the_verdict_is_the_first_thing_said(outcome: Outcome, status: Status, first: str) -> None:
    """The first line is the verdict, in words that name both models."""
    assert decision_text(decision(outcome, finding(status))).startswith(first)


def test_a_first_release_replaces_nothing() -> None:
    """Without a champion nobody is replaced."""
    assert headline(decision("go", finding("pass"), champion=None)) == "GO: late-flights 2.0.0 may be the first release"


def test_the_reason_comes_before_everything_that_held() -> None:
    """The finding that forced the outcome is named before the rest, with its slice."""
    text = decision_text(
        decision("no-go", finding("pass", why="fine"), finding("fail", why="MQ got worse", slice_="carrier=MQ"))
    )

    assert text.index("fail  log_loss [carrier=MQ]: MQ got worse") < text.index("fine")


def test_blind_slices_are_named() -> None:
    """A slice nobody could have judged is never passed over in silence."""
    text = decision_text(decision("go", finding("pass"), finding("blind", blocks=False, slice_="carrier=OO")))

    assert "blind 1 with too few rows to see a change: carrier=OO" in text


@pytest.mark.parametrize("hostile", ["\x1b[2Jgone", "a\u202egnp.exe", "zero\u200bwidth", "bell\a"])
def test_text_from_a_file_cannot_steer_the_terminal(hostile: str) -> None:
    """Control, bidirectional and zero-width characters are replaced."""
    text = printable(hostile)

    assert re.search(r"[\x00-\x09\x0b-\x1f\u200b-\u200f\u202a-\u202e]", text) is None


def test_markdown_cannot_be_left_from_inside_a_cell() -> None:
    """A name with a pipe, a tag or a link stays text in its cell."""
    text = decision_markdown(decision("go", finding("pass", why="a|b <img src=x> [l](u)\nnew")))

    assert re.search(r"(?<!\\)<", text) is None
    assert "a\\|b \\<img src=x\\> \\[l\\](u) new" in text


def test_markdown_that_grows_too_long_says_what_it_left_out() -> None:
    """A job summary is cut by us, the least important first and with a count, before its host drops it whole."""
    many = [finding("pass", blocks=False, why="x" * 500, slice_=f"shop={n}") for n in range(4000)]
    worst = finding("fail", why="MQ got worse", slice_="carrier=MQ")
    needed = finding("pass", why="needed", slice_="guarded")
    text = decision_markdown(decision("no-go", *many, needed, worst))
    shown = text.count("| pass | log\\_loss | shop=")

    assert MAX_BYTES - 2_000 < len(text.encode()) <= MAX_BYTES < 2**20
    assert text.index("carrier=MQ | MQ got worse") < text.index("guarded | needed") < text.index("shop=0 ")
    assert f"{4000 - shown:,} more findings, all less important, are in the decision itself" in text


def test_one_long_name_does_not_push_the_rest_out() -> None:
    """A cell is cut where a name out of a file is longer than anybody reads."""
    text = decision_markdown(decision("go", finding("pass", slice_="*" * 2_000_000), finding("pass", why="there too")))

    assert len(text.encode()) < 10_000
    assert "there too" in text


@pytest.mark.parametrize(
    ("value", "text"), [(12_400.0, "12,400"), (0.0213456, "0.021346"), (-1.914, "-1.914"), (0.0, "0")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    """Five significant digits are enough for people."""
    assert number(value) == text


@pytest.mark.parametrize(
    ("count", "text"), [(12, "12 bytes"), (2048, "2.0 KiB"), (3 << 30, "3.0 GiB"), (5 << 40, "5120.0 GiB")]
)
def test_sizes_are_in_the_unit_people_say(count: int, text: str) -> None:
    """Bytes up to GiB."""
    assert size(count) == text


def test_an_estimate_shows_its_interval() -> None:
    """Value, bounds and unit; a bound that there is not stays empty."""
    whole = Estimate(value=1.5, lower=1.0, upper=2.0, n=9, units=3, unit="ms", method="m")

    assert estimated(whole) == "1.5 [1, 2] ms"
    assert estimated(whole.model_copy(update={"lower": None, "upper": None})) == "1.5 ms"
