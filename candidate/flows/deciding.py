"""Check a signed decision: who made it, about what, for which channel, and whether it is still fresh."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from candidate.adapters.attest import check
from candidate.adapters.trust import keys_for
from candidate.canonical import canonical, digest_of
from candidate.documents.decision import Decision
from candidate.documents.names import DECISION_TYPE, RoleName
from candidate.documents.trust import TrustPolicy
from candidate.errors import IntegrityError, RefusedError
from candidate.flows.trusting import check_revoked

APPROVER: RoleName = "approver"
CLOCK_SKEW = timedelta(minutes=5)
"""How far ahead of ours the clock of whoever issued a decision may be."""


@dataclass(frozen=True)
class SignedDecision:
    """A decision that a trusted approver signed."""

    decision: Decision
    digest: str
    """Digest of the attestation's bytes, as a registry entry cites it."""
    data: bytes
    """The attestation's bytes."""
    key_id: str


def check_decision(data: bytes, trust: TrustPolicy, *, now: datetime, channel: str | None = None) -> SignedDecision:
    """Return the decision in an attestation that a trusted approver signed.

    Whether it is a go and still fresh is for the caller: see ``check_fresh``.

    Args:
        data: bytes of ``decision.json``, untrusted.
        trust: who may decide.
        now: the time to judge the role's validity at, aware.
        channel: where it is to be used; null where no channel is concerned.

    Raises:
        IntegrityError: malformed, or no decision inside.
        RefusedError: not signed by an approver for that channel, about another bundle than it
            decides on, for another channel, or the bundle is revoked.
    """
    where = "decision"
    keys = keys_for(trust, APPROVER, now=now, channel=channel)
    if b'"dsseEnvelope"' not in data and b'"kind":"candidate.decision"' in data:
        raise RefusedError("nobody signed the decision", where=where, hint="compare again with --key APPROVER")
    attested = check(data, keys, where=where)
    statement = attested.statement
    if statement.predicate_type != DECISION_TYPE:
        raise RefusedError(f"attestation says {statement.predicate_type}, not {DECISION_TYPE}", where=where)
    decision = Decision.from_bytes(canonical(statement.predicate), where=where)
    about = ["sha256:" + subject.digest.sha256 for subject in statement.subject]
    if about != [decision.challenger.digest]:
        raise RefusedError(
            f"attestation is about {', '.join(about)}, the decision about {decision.challenger.digest}", where=where
        )
    if decision.channel is not None:
        if channel is not None and channel != decision.channel:
            raise RefusedError(
                f"decided for {decision.channel}, not for {channel}",
                where=where,
                hint="compare against the champion of the channel it is meant for",
            )
        allowed = keys_for(trust, APPROVER, now=now, channel=decision.channel)
        check(data, allowed, where=where)
    check_revoked(trust, decision.challenger.digest)
    return SignedDecision(decision=decision, digest=digest_of(data), data=data, key_id=attested.key_id)


def check_fresh(decision: Decision, now: datetime, *, max_age_hours: int | None = None) -> None:
    """Refuse a decision that is not valid yet, has expired, or is older than a trust policy allows.

    Raises:
        RefusedError: it is.
    """
    issued, expires = (time_of(text, where="decision") for text in (decision.issued, decision.expires))
    hint = "compare again: candidate compare"
    if now + CLOCK_SKEW < issued:
        raise RefusedError(
            f"issued {decision.issued}, which is in the future", where="decision", hint="check the clocks"
        )
    if now >= expires:
        raise RefusedError(f"expired {decision.expires}", where="decision", hint=hint)
    if max_age_hours is not None and now >= issued + timedelta(hours=max_age_hours):
        raise RefusedError(f"issued {decision.issued}, more than {max_age_hours} h ago", where="decision", hint=hint)


def time_of(text: str, *, where: str) -> datetime:
    """Return a time as our documents write it.

    Raises:
        IntegrityError: it is none, such as the 31st of February.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise IntegrityError(f"{text!r} is no time", where=where) from error
