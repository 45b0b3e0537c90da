"""The budget of a holdout: rows are known again, looks are counted, and luck is not promoted."""

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.holdout import phantom
from candidate.documents.evidence import HoldoutFacts
from candidate.documents.ledger import SKETCH_ROWS, HoldoutRows, LedgerEntry
from candidate.documents.policy import HoldoutRule
from candidate.errors import IntegrityError
from candidate.judgement.gate import judge
from candidate.judgement.holdout import Ledger, Rows, alpha_of, asked_look, fingerprint, fold, overlap, rows_of, spent
from tests.judgement.worlds import World, policy, sha, simulate, world

Bits = NDArray[np.uint64]


def table(rng: np.random.Generator, rows: int) -> dict[str, Bits]:
    """Columns of random bits."""
    return {name: rng.integers(0, 2**63, rows).astype(np.uint64) for name in ("late", "day", "x")}


def print_of(columns: dict[str, Bits]) -> HoldoutRows:
    """Fingerprint of one table."""
    return fingerprint(rows_of(columns), columns)


def test_rows_are_the_same_in_any_order_and_any_parts() -> None:
    """Nothing of the file is in the fingerprint but its rows; each row counts as often as it is there."""
    rng = np.random.default_rng(1)
    columns = table(rng, 1000)
    whole, order = print_of(columns), rng.permutation(1000)
    total = Rows()
    for part in np.split(order, [100, 101, 700]):
        total = total + rows_of({name: columns[name][part] for name in ("x", "late", "day")})

    assert fingerprint(total, ["x", "day", "late"]) == whole
    assert len(whole.sketch) == SKETCH_ROWS
    twice = {name: np.concatenate([values, values[:1]]) for name, values in columns.items()}
    assert print_of(twice).digest != whole.digest
    assert print_of(twice).sketch == whole.sketch
    swapped = {"late": columns["day"], "day": columns["late"], "x": columns["x"]}
    assert overlap(print_of(swapped), whole) == 0.0
    changed = {**columns, "x": columns["x"] ^ np.eye(1, 1000, dtype=np.uint64)[0]}
    assert print_of(changed).digest != whole.digest


@pytest.mark.parametrize("shared", [0.0, 0.3, 0.6, 0.95])
def test_the_overlap_of_rows_is_estimated(shared: float) -> None:
    """By 128 hashes, so to about 0.09: a holdout without some of its rows is still the same holdout."""
    rng = np.random.default_rng(2)
    one, other = table(rng, 20_000), table(rng, 20_000)
    mixed = {name: np.where(np.arange(20_000) < shared * 20_000, one[name], other[name]) for name in one}

    found = overlap(print_of(one), print_of(mixed))

    truth = shared / (2 - shared)
    assert abs(found - truth) <= 3 * 0.045
    assert overlap(print_of(one), print_of(one)) == 1.0
    fewer = {"late": one["late"]}
    assert overlap(print_of(one), print_of(fewer)) == 0.0


def test_all_looks_together_spend_no_more_than_alpha() -> None:
    """Evenly until the budget is spent, or less and less for ever."""
    even, endless = HoldoutRule(budget=20), HoldoutRule(spend="open")

    assert sum(alpha_of(look, 0.05, even) for look in range(1, 100)) == pytest.approx(0.05)
    assert alpha_of(21, 0.05, even) == 0.0
    assert 0.0499 < sum(alpha_of(look, 0.05, endless) for look in range(1, 2000)) < 0.05


def looked(ledger: Ledger, rows: HoldoutRows, number: int, rule: HoldoutRule | None = None) -> LedgerEntry:
    """The next look, by a challenger of that number."""
    return asked_look(
        ledger,
        rows,
        policy=sha("1"),
        challenger=f"sha256:{number:064x}",
        champion=sha("2"),
        alpha=0.05,
        rule=rule or HoldoutRule(),
    )


def chain(count: int) -> tuple[list[bytes], HoldoutRows, HoldoutRows]:
    """Lines of a ledger of two holdouts that take turns."""
    rng = np.random.default_rng(3)
    first, second = (print_of(table(rng, 500)) for _ in range(2))
    lines = list[bytes]()
    for number in range(count):
        entry = looked(fold(lines, where="ledger"), (first, second)[number % 2], number)
        lines.append(entry.to_bytes())
    verdict = LedgerEntry(
        number=0, previous=None, what="verdict", policy=sha("1"), of=fold(lines, where="").digests[0], outcome="go"
    )
    return [*lines, fold(lines, where="").followed_by(verdict).to_bytes()], first, second


def test_looks_are_counted_for_each_set_of_rows() -> None:
    """Two holdouts have two budgets, and the same look is found again."""
    lines, first, second = chain(5)
    ledger = fold(lines, where="ledger")

    assert [entry.look for entry in ledger.entries] == [1, 1, 2, 2, 3, None]
    assert (ledger.looks(first), ledger.looks(second)) == (3, 2)
    assert [(each.looks, each.outcomes) for each in spent(ledger)] == [(3, {"go": 1}), (2, {})]
    again = ledger.found(looked(ledger, first, 2))
    assert again is not None
    assert again[1].look == 2
    assert ledger.found(looked(ledger, first, 77)) is None
    assert fold([], where="ledger").head is None


@pytest.mark.parametrize("line", range(5))
def test_a_line_that_is_taken_out_or_altered_breaks_the_chain(line: int) -> None:
    """All but the last: who keeps the head elsewhere, as every decision does, sees that too."""
    lines, _, _ = chain(5)

    with pytest.raises(IntegrityError, match="taken out"):
        fold([*lines[:line], *lines[line + 1 :]], where="ledger")
    altered = LedgerEntry.from_bytes(lines[line]).model_copy(update={"policy": sha("9")}).to_bytes()
    with pytest.raises(IntegrityError, match="line"):
        fold([*lines[:line], altered, *lines[line + 1 :]], where="ledger")


def test_a_ledger_cannot_count_wrong() -> None:
    """Nobody writes look 1 twice, nor a verdict of nothing."""
    lines, first, _ = chain(1)
    ledger = fold(lines, where="ledger")
    wrong = looked(ledger, first, 9).model_copy(update={"look": 1})
    stray = LedgerEntry(number=2, previous=ledger.head, what="verdict", policy=sha("1"), of=sha("5"), outcome="go")

    with pytest.raises(IntegrityError, match="says look 1 at its rows"):
        fold([*lines, wrong.to_bytes()], where="ledger")
    with pytest.raises(IntegrityError, match="a verdict of no look"):
        fold([*lines, stray.to_bytes()], where="ledger")


def seen(look: int, alpha: float) -> World:
    """Evidence of a challenger that is a little better, at some look."""
    found = world(simulate(np.random.default_rng(4), 4000, noise=(0.5, 0.74)))
    return found.changed(holdout=HoldoutFacts(digest=sha("7"), look=look, alpha=alpha, entry=sha("8")))


def test_a_look_is_held_at_its_share_of_alpha() -> None:
    """What would pass at 5 % is open at 5 % over 20; after the budget nothing passes."""
    plain = policy(satisficing=[], slices={}, calibration=None)
    limited = policy(satisficing=[], slices={}, calibration=None, holdout={})
    at_once = judge(plain, seen(1, 0).changed(holdout=None).evidence, seen(1, 0).arrays)
    shared = judge(limited, seen(1, 0.05 / 20).evidence, seen(1, 0).arrays)
    last = judge(limited, seen(21, 0.0).evidence, seen(1, 0).arrays)

    first = [result.findings[0] for result in (at_once, shared, last)]
    assert [each.status for each in first][:2] == ["pass", "open"]
    estimates = [each.estimate for each in first]
    assert estimates[0] is not None
    assert estimates[1] is not None
    assert estimates[0].lower is not None
    assert estimates[1].lower is not None
    assert estimates[1].lower < estimates[0].lower
    budget = next(each for each in shared.findings if each.rule == "holdout")
    assert (budget.status, budget.blocks) == ("pass", True)
    assert budget.why == "look 1 of 20 at these rows: the optimizing metric is held at alpha = 0.0025"
    over = next(each for each in last.findings if each.rule == "holdout")
    assert (over.status, over.blocks, last.outcome) == ("open", True, "inconclusive")
    assert "exhausted: look 21 of 20" in over.why


def test_a_policy_with_a_budget_needs_a_count() -> None:
    """Looks that nobody counted prove nothing; a look at another alpha than its own is no evidence."""
    limited = policy(holdout={"spend": "open"})
    uncounted = judge(limited, seen(1, 0).changed(holdout=None).evidence, seen(1, 0).arrays)

    assert next(each for each in uncounted.findings if each.rule == "holdout").status == "open"
    with pytest.raises(IntegrityError, match="not held at the alpha"):
        judge(limited, seen(2, 0.05).evidence, seen(1, 0).arrays)
    with pytest.raises(IntegrityError, match="not held at the alpha"):
        judge(policy(), seen(1, 0.05).evidence, seen(1, 0).arrays)


def test_two_hundred_challengers_without_a_gain_gain_nothing() -> None:
    """The promise is 0.2 points at 2,000 rows; a gate of intervals lets luck pile up to ten times that."""
    rng = np.random.default_rng(6)
    ours = [100 * phantom(rng, "ledger, alpha/20", 2000) for _ in range(20)]
    theirs = [100 * phantom(rng, "interval at 5 %", 2000) for _ in range(5)]

    assert np.mean(ours) < 0.2
    assert np.mean(theirs) > 1.5
