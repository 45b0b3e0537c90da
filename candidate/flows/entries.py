"""Log entries as they are written and read: made of plain values, read as views, so that nobody waits for pydantic."""

import json
from typing import TYPE_CHECKING, Any, cast

from candidate.adapters import attest
from candidate.canonical import canonical
from candidate.documents.names import ENTRY_TYPE, STATEMENT_TYPE, Action
from candidate.documents.view import View, view, view_of
from candidate.errors import IntegrityError, RefusedError

if TYPE_CHECKING:
    from candidate.adapters.attest import Attested, Signer
    from candidate.documents.entry import Artifact, Entry
    from candidate.documents.identity import Party


def artifact_fields(artifact: "Artifact | View") -> dict[str, Any]:
    """Return an artifact as an entry writes it."""
    return {
        "bundle": artifact.bundle,
        "index": artifact.index,
        "name": artifact.name,
        "version": artifact.version,
    }


def move_fields(
    channel: str,
    *,
    before: "Artifact | None",
    to: "Artifact",
    rollback: "tuple[Artifact, ...]",
    decision: str | None = None,
    preflight: tuple[View, ...] = (),
    override: str | None = None,
) -> dict[str, Any]:
    """Return a move as an entry writes it.

    Args:
        channel: ``MODEL/ENVIRONMENT``.
        before: the champion that it moves away from.
        to: the champion that it moves to.
        rollback: where to return to from there, nearest first.
        decision: digest of the decision that allows it.
        preflight: what was replayed before the entry was written.
        override: digest of the override that stood in for a go.
    """
    found: dict[str, Any] = {
        "channel": channel,
        "from": None if before is None else before.bundle,
        "to": artifact_fields(to),
        "rollback": [artifact_fields(each) for each in rollback],
        "decision": decision,
        "preflight": [vars(each) for each in preflight],
    }
    return found if override is None else {**found, "override": override}


def entry_of(
    *,
    registry: str,
    sequence: int,
    previous: str,
    time: str,
    action: Action,
    reason: str,
    idempotency: str,
    moves: tuple[dict[str, Any], ...] = (),
    marks: tuple[dict[str, Any], ...] = (),
) -> "Entry":
    """Return a new entry, as whoever reads it will see it.

    Raises:
        IntegrityError: it has not the form of one.
    """
    fields: dict[str, Any] = {
        "kind": "candidate.entry",
        "version": 1,
        "registry": registry,
        "sequence": sequence,
        "previous": previous,
        "time": time,
        "action": action,
        "moves": list(moves),
        "reason": reason,
        "idempotency": idempotency,
    }
    if marks:
        fields["marks"] = list(marks)
    return cast("Entry", view("entry", canonical(fields), where="new entry"))


def subjects_of(entry: "Entry") -> tuple[tuple[str, str], ...]:
    """Return name and sha256 (hexadecimal) of what an entry's statement is about: the bundles in it, by digest."""
    named = {move.to.bundle: f"{move.to.name}-{move.to.version}" for move in entry.moves}
    named |= {mark.bundle: mark.channel for mark in entry.marks if mark.bundle is not None}
    if not named:  # a hold is about a channel: the log itself is what it speaks of
        named = {entry.previous: "log"}
    return tuple((name, digest.removeprefix("sha256:")) for digest, name in sorted(named.items()))


def attested_entry(entry: "Entry", signer: "Signer") -> bytes:
    """Return the bytes of a log entry: the attestation of its in-toto statement.

    Raises:
        UnavailableError: the signer is out of reach.
    """
    subjects = [{"name": name, "digest": {"sha256": value}} for name, value in subjects_of(entry)]
    predicate = json.loads(entry.to_bytes())
    statement = {"_type": STATEMENT_TYPE, "predicate": predicate, "predicateType": ENTRY_TYPE, "subject": subjects}
    return attest.attest_bytes(canonical(statement), signer)


def read_entry(data: bytes, parties: "tuple[Party, ...]", *, where: str) -> "tuple[Entry, Attested]":
    """Return the entry in a log file that one of these parties signed, and what was attested.

    Raises:
        IntegrityError: its bytes or its form are broken.
        RefusedError: nobody trusted signed it, or it was signed as something else.
    """
    attested = attest.check(data, parties, where=where)
    said = attested.said
    if said.predicate_type != ENTRY_TYPE:
        raise RefusedError(f"is attested as {said.predicate_type}", where=where)
    entry = cast("Entry", view_of("entry", said.predicate, where=where))
    if tuple((subject.name, subject.digest.sha256) for subject in said.subject) != subjects_of(entry):
        raise IntegrityError("the statement does not fit the entry in it", where=where)
    return entry, attested
