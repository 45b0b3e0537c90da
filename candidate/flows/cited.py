"""Hold an entry of a log to the decision that it cites, and to the override that stood in for a go."""

from collections.abc import Callable

from candidate.adapters import attest, trust
from candidate.canonical import canonical
from candidate.documents.decision import Decision
from candidate.documents.entry import Entry, Move
from candidate.documents.evidence import BundleRef
from candidate.documents.names import DECISION_TYPE
from candidate.documents.trust import TrustPolicy
from candidate.errors import RefusedError
from candidate.flows.deciding import time_of
from candidate.flows.overridden import check_override


def check_cited(entry: Entry, policy: TrustPolicy, read: Callable[[str], bytes]) -> None:
    """Hold every move to the decision that it cites: whoever wrote the entry may have been wrong, or worse.

    Args:
        entry: of the log, its own signature checked before.
        policy: the registry's trust.
        read: returns a blob by its digest, which was checked.

    Raises:
        IntegrityError: the bytes of a decision or an override are not what they should be.
        RefusedError: no approver said go to this, and no overrider let it pass.
        UnavailableError: the decision or the override is gone.
    """
    for move in entry.moves:
        if move.decision is not None:
            _check_move(entry, move, move.decision, policy, read)
        elif move.override is not None:
            raise RefusedError("cites an override of no decision", where=f"log entry {entry.sequence}")


def _check_move(entry: Entry, move: Move, digest: str, policy: TrustPolicy, read: Callable[[str], bytes]) -> None:
    where = f"log entry {entry.sequence}"
    keys = trust.standing_keys(policy, "approver")
    statement = attest.check(read(digest), keys, where=f"{where}: decision").statement
    if statement.predicate_type != DECISION_TYPE:
        raise RefusedError(f"cites an attestation of {statement.predicate_type} as its decision", where=where)
    decision = Decision.from_bytes(canonical(statement.predicate), where=f"{where}: decision")
    champion = None if decision.champion is None else decision.champion.digest
    bundle = BundleRef(name=move.to.name, version=move.to.version, digest=move.to.bundle)
    said = (decision.challenger, champion, decision.registry, decision.channel)
    wanted = "go" if move.override is None else "inconclusive"
    if (decision.outcome, *said) != (wanted, bundle, move.from_, entry.registry, move.channel):
        raise RefusedError(
            f"cites a decision that does not say so: it is a {decision.outcome} for "
            f"{decision.challenger.name} {decision.challenger.version} on {decision.channel}",
            where=where,
            hint="somebody promoted without a go: roll back, and look at who signed the entry",
        )
    if move.override is not None:
        place = f"{where}: override"
        at = time_of(entry.time, where=where)
        check_override(read(move.override), decision, digest, policy, at=at, standing=True, where=place)
