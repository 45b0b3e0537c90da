"""Check an override: whether people who may have said that an undecided verdict is to be promoted all the same.

It never turns a no-go: a policy cannot allow that, and an override of one is refused whatever it says.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from candidate.adapters import attest, trust
from candidate.adapters.verdicts import claims_in, rule_name
from candidate.canonical import canonical, digest_of
from candidate.documents.decision import Decision
from candidate.documents.evidence import BundleRef
from candidate.documents.manifest import ShaDigest
from candidate.documents.names import OVERRIDE_TYPE, RoleName
from candidate.documents.override import Override
from candidate.documents.statement import Statement, Subject
from candidate.documents.trust import TrustPolicy
from candidate.errors import InputError, RefusedError
from candidate.flows.deciding import CLOCK_SKEW, SignedDecision, check_decision, check_fresh, time_of
from candidate.flows.trusting import check_enough

OVERRIDER: RoleName = "overrider"


@dataclass(frozen=True)
class SignedOverride:
    """An override that enough of the overriders signed."""

    override: Override
    digest: str
    """Digest of the file's bytes, as a registry entry cites it."""
    key_ids: tuple[str, ...]


def open_rules(decision: Decision) -> tuple[str, ...]:
    """Return everything that a go lacked: rules that block and did not pass, and required lines of the checklist."""
    rules = [rule_name(found) for found in decision.findings if found.blocks and found.status != "pass"]
    lines = [f"checklist.{item.line}" for item in decision.checklist if item.required and item.status != "pass"]
    return (*rules, *lines)


def override_statement(override: Override) -> Statement:
    """Return the in-toto statement that is signed: about the challenger, as the decision is."""
    who = override.challenger
    digest = ShaDigest(sha256=who.digest.removeprefix("sha256:"))
    return Statement(
        subject=(Subject(name=f"{who.name}-{who.version}", digest=digest),),
        predicate_type=OVERRIDE_TYPE,
        predicate=override.model_dump(mode="json"),
    )


def check_override(
    data: bytes,
    decision: Decision,
    digest: str,
    policy: TrustPolicy,
    *,
    at: datetime | None,
    standing: bool = False,
    where: str = "override",
) -> SignedOverride:
    """Return the override in these bytes, which holds for this decision at this time.

    Args:
        data: attestations of one statement, one a line, each by another overrider; untrusted.
        decision: what is overridden, its own signature checked before.
        digest: of the signed decision's bytes.
        policy: who may override.
        at: the time of the promotion, at which the override must be good; null where it is only read.
        standing: whether it was used or may have been, so that a role that ran out since does not unmake it.
        where: the entry or the option, for the message.

    Raises:
        IntegrityError: malformed.
        RefusedError: not allowed by the policy that was decided by, not by enough overriders, about another
            decision, or not good at that time.
    """
    lines = claims_in(data if data.endswith(b"\n") else data + b"\n", where=where)
    if standing or at is None:
        parties = trust.standing_keys(policy, OVERRIDER)
        _check_channel(policy, decision, where)
    else:
        parties = trust.keys_for(policy, OVERRIDER, now=at, channel=decision.channel, signatures=len(lines))
    held = [attest.check(line, parties, where=where) for line in lines]
    key_ids = tuple(dict.fromkeys(each.key_id for each in held))
    check_enough(key_ids, policy.roles[OVERRIDER].threshold, role=OVERRIDER)
    statement = held[0].statement
    if statement.predicate_type != OVERRIDE_TYPE:
        raise RefusedError(f"attestation says {statement.predicate_type}, not {OVERRIDE_TYPE}", where=where)
    override = Override.from_bytes(canonical(statement.predicate), where=where)
    if {each.statement.to_bytes() for each in held} != {override_statement(override).to_bytes()}:
        raise RefusedError("its attestations do not all say the same, of the challenger in it", where=where)
    _check_about(override, decision, digest, where)
    _check_allowed(override, decision, where)
    if at is not None:
        _check_time(override, at, where)
    return SignedOverride(override, digest_of(data), key_ids)


def _check_channel(policy: TrustPolicy, decision: Decision, where: str) -> None:
    patterns = policy.roles[OVERRIDER].channels
    if decision.channel is None or not trust.allows(patterns, decision.channel):
        raise RefusedError(f"the role may act on {', '.join(patterns)}, not on {decision.channel}", where=where)


def _check_about(override: Override, decision: Decision, digest: str, where: str) -> None:
    """It must name this very decision, and what it decided on."""
    pairs = {
        "decision": (override.decision, digest),
        "challenger": (override.challenger, decision.challenger),
        "registry": (override.registry, decision.registry),
        "channel": (override.channel, decision.channel),
        "policy": (override.policy.digest, decision.policy),
        "rules": (override.rules, open_rules(decision)),
    }
    wrong = [name for name, (said, found) in pairs.items() if said != found]
    if wrong:
        raise RefusedError(
            f"overrides something else: another {', '.join(wrong)}",
            where=where,
            hint="make one for this decision: candidate override DECISION",
        )


def _check_allowed(override: Override, decision: Decision, where: str) -> None:
    """The policy that was fixed before the run says what may be overridden, and for how long."""
    rule = override.policy.override
    if decision.outcome != "inconclusive" or rule is None or decision.outcome not in rule.allowed:
        allowed = "nothing" if rule is None else ", ".join(rule.allowed)
        raise RefusedError(
            f"the decision is {decision.outcome}, its policy allows to override {allowed}",
            where=where,
            hint="a no-go is proven harm, which nobody overrides; the rest is for [override] in the policy to say",
        )
    span = time_of(override.expires, where=where) - time_of(override.issued, where=where)
    if not timedelta(0) < span <= timedelta(days=rule.max_days):
        raise RefusedError(f"good for {span}, its policy allows {rule.max_days} days", where=where)


def _check_time(override: Override, at: datetime, where: str) -> None:
    if at + CLOCK_SKEW < time_of(override.issued, where=where):
        raise RefusedError(f"issued {override.issued}, which is in the future", where=where, hint="check the clocks")
    if at >= time_of(override.expires, where=where):
        hint = "an override is good for a time: compare again, or make another"
        raise RefusedError(f"expired {override.expires}", where=where, hint=hint)


def decided(
    data: bytes,
    policy: TrustPolicy,
    bundle: BundleRef,
    *,
    now: datetime,
    channel: str | None,
    override: bytes | None,
) -> tuple[SignedDecision, str]:
    """Return a decision that lets this bundle be used, and what it rests on: a go, or an override of what is open.

    Args:
        data: bytes of the signed decision.
        policy: who may decide, and override.
        bundle: what is to be used.
        now: the time to judge validity at, aware.
        channel: where it is to be used; null where no channel is concerned.
        override: bytes of the override, if there is one.

    Raises:
        IntegrityError: malformed.
        RefusedError: about another bundle, no go and no override that holds, or not fresh.
    """
    signed = check_decision(data, policy, now=now, channel=channel)
    decision = signed.decision
    if decision.challenger != bundle:
        other = decision.challenger
        raise RefusedError(f"decided on {other.name} {other.version}, {other.digest}", where="decision")
    by = check_says_yes(signed, override, policy, now=now)
    check_fresh(decision, now, max_age_hours=policy.max_decision_age_hours)
    if by is None:
        return signed, f"go signed by {signed.key_id[:12]}, valid until {decision.expires}"
    who = " and ".join(key_id[:12] for key_id in by.key_ids)
    return signed, f"inconclusive, signed by {signed.key_id[:12]}; overridden by {who} until {by.override.expires}"


def check_says_yes(
    signed: SignedDecision, override: bytes | None, policy: TrustPolicy, *, now: datetime
) -> SignedOverride | None:
    """Return the override that stands in for a go, None where the decision is one.

    Raises:
        InputError: a go, and an override that nobody needs.
        RefusedError: neither a go nor an override that holds.
    """
    outcome = signed.decision.outcome
    if outcome == "go":
        if override is not None:
            raise InputError("the decision is a go, which needs no override", where="--override", hint="leave it out")
        return None
    if override is None:
        hint = "candidate show says why"
        if outcome == "inconclusive":
            hint += "; more rows may decide it, or people where the policy lets them: candidate override"
        raise RefusedError(f"the decision is {outcome}, not go", where="decision", hint=hint)
    return check_override(override, signed.decision, signed.digest, policy, at=now)
