"""The budget of a holdout: how often its rows may be looked at, and what each look may still prove.

Every look at the same rows is another chance that luck is taken for gain, and the winner carries the
luck on. Here the looks share one error rate, so that over all of them superiority is claimed of no
better a model with probability at most alpha.

Sources: Dwork and others 2015, "The reusable holdout"; Blum and Hardt 2015, "The Ladder"; the shares
of the open-ended budget are those of Foster and Stine 2008, alpha-investing's simplest schedule.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from candidate.document import Digest
from candidate.documents.decision import Outcome
from candidate.documents.ledger import SKETCH_ROWS, HoldoutRows, HoldoutSpent, LedgerEntry
from candidate.documents.policy import HoldoutRule
from candidate.errors import IntegrityError
from candidate.judgement.buckets import splitmix64

SAME_ROWS = 0.1
"""Holdouts that share at least so much of their rows draw on one budget."""
_LANES = (0x243F6A8885A308D3, 0x13198A2E03707344)
"""Seeds of the two halves of a row's hash: digits of pi."""

Bits = NDArray[np.uint64]


@dataclass(frozen=True)
class Rows:
    """What is known of some rows: it adds up in any order.

    Attributes:
        count: how many.
        sums: of the two halves of the rows' hashes, modulo 2**64.
        least: the smallest first halves, each once, ascending.
    """

    count: int = 0
    sums: tuple[int, int] = (0, 0)
    least: Bits = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))

    def __add__(self, other: "Rows") -> "Rows":
        """Return what is known of both."""
        sums = tuple((mine + theirs) % 2**64 for mine, theirs in zip(self.sums, other.sums, strict=True))
        least = np.union1d(self.least, other.least)[:SKETCH_ROWS]
        return Rows(self.count + other.count, (sums[0], sums[1]), least)


def hashes_of(columns: Mapping[str, Bits]) -> tuple[Bits, Bits]:
    """Return 128 bits of each row in two halves, equal for rows of equal values in the columns of equal names.

    Args:
        columns: 64 bits of each value by column, each of shape (rows,); equal for equal values.
    """
    halves = []
    for lane in _LANES:
        mixed = np.full(len(next(iter(columns.values()))), lane, dtype=np.uint64)
        for name in sorted(columns):
            named = np.uint64(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big"))
            mixed = splitmix64(mixed ^ splitmix64(columns[name] + named))
        halves.append(mixed)
    return halves[0], halves[1]


def rows_of(columns: Mapping[str, Bits]) -> Rows:
    """Return what is known of some rows; arguments as of ``hashes_of``."""
    halves = hashes_of(columns)
    sums = tuple(int(half.sum(dtype=np.uint64)) for half in halves)
    return Rows(len(halves[0]), (sums[0], sums[1]), np.unique(halves[0])[:SKETCH_ROWS])


def fingerprint(rows: Rows, columns: Iterable[str]) -> HoldoutRows:
    """Return the fingerprint of rows that were all added up.

    Args:
        rows: at least one.
        columns: whose values were hashed.
    """
    names = tuple(sorted(columns))
    said = json.dumps([names, rows.count, *(f"{half:016x}" for half in rows.sums)]).encode()
    return HoldoutRows(
        digest="sha256:" + hashlib.sha256(said).hexdigest(),
        rows=rows.count,
        columns=names,
        sketch=tuple(f"{int(value):016x}" for value in rows.least),
    )


def overlap(one: HoldoutRows, other: HoldoutRows) -> float:
    """Return an estimate of the share that two sets of rows have in common, of both together.

    Of the least hashes of both together, the share that is in both (Broder 1997): its standard error is
    at most 0.05. Rows with other columns have nothing in common.
    """
    if one.digest == other.digest:
        return 1.0
    if one.columns != other.columns:
        return 0.0
    first, second = set(one.sketch), set(other.sketch)
    least = sorted(first | second)[:SKETCH_ROWS]
    return sum(each in first and each in second for each in least) / len(least)


def _looks(looked: Mapping[HoldoutRows, int], rows: HoldoutRows) -> int:
    """Return how many looks were at these rows, given the number of looks at each set of rows."""
    return sum(count for each, count in looked.items() if overlap(each, rows) >= SAME_ROWS)


def alpha_of(look: int, alpha: float, rule: HoldoutRule) -> float:
    """Return the error rate of a look: all looks together spend at most alpha.

    Args:
        look: from 1.
        alpha: of the policy.
        rule: ``alpha/T`` shares it evenly and then is exhausted (0); ``open`` gives look t the share
            6 / (pi t)**2, for ever.
    """
    if rule.spend == "open":
        return 6.0 * alpha / (math.pi * look) ** 2
    return alpha / rule.budget if look <= rule.budget else 0.0


@dataclass(frozen=True)
class Ledger:
    """What the lines of a ledger say.

    Attributes:
        entries: all of them.
        digests: of each.
    """

    entries: tuple[LedgerEntry, ...] = ()
    digests: tuple[Digest, ...] = ()

    @property
    def head(self) -> Digest | None:
        """Digest of the last line."""
        return self.digests[-1] if self.digests else None

    def looks(self, rows: HoldoutRows) -> int:
        """Return the number of looks at these rows, or at rows that share enough with them."""
        return _looks(Counter(entry.holdout for entry in self.entries if entry.holdout is not None), rows)

    def found(self, asked: LedgerEntry) -> tuple[Digest, LedgerEntry] | None:
        """Return the look that was the same: such a one is free, for its answer is known."""
        return next(
            (
                (digest, entry)
                for digest, entry in zip(self.digests, self.entries, strict=True)
                if entry.what == "look"
                and entry.holdout == asked.holdout
                and (entry.policy, entry.challenger, entry.champion) == (asked.policy, asked.challenger, asked.champion)
            ),
            None,
        )

    def followed_by(self, entry: LedgerEntry) -> LedgerEntry:
        """Return an entry with its place in the chain."""
        return entry.model_copy(update={"number": len(self.entries), "previous": self.head})


def asked_look(
    ledger: Ledger,
    rows: HoldoutRows,
    *,
    policy: Digest,
    challenger: Digest,
    champion: Digest | None,
    alpha: float,
    rule: HoldoutRule,
) -> LedgerEntry:
    """Return the next look at these rows, at its place in the chain.

    Args:
        ledger: as it is.
        rows: the holdout.
        policy: digest of the policy.
        challenger: digest of the bundle.
        champion: digest of the bundle, if there is one.
        alpha: of the policy.
        rule: budget of the policy.
    """
    look = 1 + ledger.looks(rows)
    entry = LedgerEntry(
        number=len(ledger.entries),
        previous=ledger.head,
        what="look",
        holdout=rows,
        policy=policy,
        challenger=challenger,
        champion=champion,
        look=look,
        alpha=alpha_of(look, alpha, rule),
    )
    return ledger.followed_by(entry)


def fold(lines: Sequence[bytes], *, where: str) -> Ledger:
    """Return what the lines of a ledger say, every rule of it checked.

    Raises:
        IntegrityError: a line is malformed, missing, altered, out of its place, or does not count right.
    """
    entries, digests = list[LedgerEntry](), list[Digest]()
    looked = Counter[HoldoutRows]()
    for number, line in enumerate(lines):
        place = f"{where}, line {number + 1}"
        entry = LedgerEntry.from_bytes(line, where=place)
        if (entry.number, entry.previous) != (number, digests[-1] if digests else None):
            raise IntegrityError(
                "a line before this one was taken out, put in or altered",
                where=place,
                hint="restore the ledger from where it is kept; a budget cannot be counted without it",
            )
        if entry.holdout is not None:
            if entry.look != 1 + _looks(looked, entry.holdout):
                raise IntegrityError(f"says look {entry.look} at its rows, which it is not", where=place)
            looked[entry.holdout] += 1
        if entry.what == "verdict" and entry.of not in digests:
            raise IntegrityError("a verdict of no look in this ledger", where=place)
        entries.append(entry)
        digests.append(entry.digest)
    return Ledger(tuple(entries), tuple(digests))


def spent(ledger: Ledger) -> tuple[HoldoutSpent, ...]:
    """Return what was spent of each set of rows, in order of the first look."""
    ended = {entry.of: entry.outcome for entry in ledger.entries if entry.outcome is not None}
    rows = {entry.holdout.digest: entry.holdout.rows for entry in ledger.entries if entry.holdout is not None}
    found: dict[Digest, list[tuple[LedgerEntry, Outcome | None]]] = {}
    for digest, entry in zip(ledger.digests, ledger.entries, strict=True):
        if entry.holdout is not None:
            found.setdefault(entry.holdout.digest, []).append((entry, ended.get(digest)))
    return tuple(
        HoldoutSpent(
            digest=digest,
            rows=rows[digest],
            looks=looks[-1][0].look or 0,
            alpha=looks[-1][0].alpha or 0.0,
            outcomes=dict(Counter(outcome for _, outcome in looks if outcome is not None)),
        )
        for digest, looks in found.items()
    )
