"""Say that an undecided challenger may be promoted all the same: signed, with a reason, and for a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from candidate.adapters.attest import Signer, attest, signers_of
from candidate.adapters.verdicts import claims_bytes
from candidate.canonical import digest_of
from candidate.documents.override import MAX_REASON, Override
from candidate.errors import InputError, RefusedError
from candidate.flows.auditing import judge_again, read_evidence
from candidate.flows.outcomes import evidence_folder
from candidate.flows.overridden import open_rules, override_statement
from candidate.flows.registry import timestamp
from candidate.flows.showing import read_decision


@dataclass(frozen=True)
class Overridden:
    """An override, and its attestations: one a line, by each key."""

    override: Override
    data: bytes


def override(
    decision: Path | str,
    *,
    reason: str,
    days: int,
    signer: Signer | Sequence[Signer],
    evidence: Path | str | None = None,
    now: datetime | None = None,
) -> Overridden:
    """Sign that an inconclusive decision may be promoted, where its policy allows it.

    The verdict is recomputed first: nobody overrides what does not follow from its evidence. Whether the keys are
    an overrider's is for the registry to say, when something is promoted by it.

    Args:
        decision: ``NAME.json``, signed.
        reason: why; signed and kept.
        days: how long it is good for, at most what the policy allows. The decision itself does not last longer by it.
        signer: an overrider's key; several where the role needs several.
        evidence: the decision's evidence folder; by default the one beside it.
        now: time of the override; by default this moment.

    Raises:
        InputError: no reason, no such time, a go, or a decision that nobody signed or that is for no channel.
        IntegrityError: the verdict does not follow from its evidence.
        RefusedError: a no-go, or a policy that does not allow it.
    """
    path, now = Path(decision), datetime.now(UTC) if now is None else now
    found = read_decision(path)
    data = path.read_bytes()
    folder = path.parent / evidence_folder(path.stem) if evidence is None else Path(evidence)
    judge_again(found, evidence=folder, attested=False)
    policy = read_evidence(folder)[1]
    if found.outcome == "go":
        raise InputError("the decision is a go, which needs no override", where=path.name, hint="promote it")
    if found.outcome != "inconclusive" or policy.override is None or found.outcome not in policy.override.allowed:
        no_go = found.outcome == "no-go"
        raise RefusedError(
            "a no-go is never overridden" if no_go else "the policy that was decided by allows no override",
            where=path.name,
            hint="mend what it proves broken" if no_go else "add [override] to the policy and compare again",
        )
    if data == found.to_bytes() or found.registry is None or found.channel is None:
        raise InputError(
            "only a signed decision for a channel can be overridden",
            where=path.name,
            hint="compare again with --key APPROVER and --champion REGISTRY#CHANNEL",
        )
    if not 1 <= days <= policy.override.max_days:
        raise InputError(f"{days} days, the policy allows 1 to {policy.override.max_days}", where="--days")
    if not 0 < len(reason.strip()) <= MAX_REASON:
        raise InputError(
            f"an override needs a reason of at most {MAX_REASON} characters",
            where="--reason",
            hint="say who carries the risk, and why it cannot wait",
        )
    made = Override(
        decision=digest_of(data),
        challenger=found.challenger,
        registry=found.registry,
        channel=found.channel,
        rules=open_rules(found),
        reason=reason.strip(),
        issued=timestamp(now),
        expires=timestamp(now + timedelta(days=days)),
        policy=policy,
    )
    statement = override_statement(made)
    signed = [attest(statement, each).to_bytes() for each in signers_of(signer)]
    if not signed:
        raise InputError("an override must be signed", where="--key", hint="name an overrider's private key")
    return Overridden(made, claims_bytes(signed))
