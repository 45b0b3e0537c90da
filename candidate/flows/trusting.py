"""What a trust policy demands of a bundle: how many keys, and what must have been said beside its release."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from candidate.adapters.attest import check, unverified_statement
from candidate.errors import RefusedError

if TYPE_CHECKING:  # whoever trusts one key reads no policy, and need not wait for what reads one
    from candidate.adapters.attest import Attested
    from candidate.documents.identity import Party
    from candidate.documents.names import PredicateName, RoleName
    from candidate.documents.trust import TrustPolicy


def check_enough(key_ids: Collection[str], needed: int, *, role: "RoleName") -> None:
    """Refuse fewer different keys and identities than a role needs. Ids are digests of them, never what a file says.

    Raises:
        RefusedError: they are fewer.
    """
    if len(key_ids) < needed:
        raise RefusedError(
            f"{len(key_ids)} trusted keys signed, the role needs {needed}",
            where=f"role {role}",
            hint="have it signed by the others, or fetch it again with all its attestations",
        )


def check_required(
    attestations: Sequence[bytes], digest: str, trust: "TrustPolicy | None", *, now: datetime, channel: str | None
) -> "tuple[PredicateName, ...]":
    """Return what was demanded beside the release and is there; what a copy stripped is noticed here.

    Args:
        attestations: of the bundle, untrusted.
        digest: of its content manifest.
        trust: what is demanded, and who may say it; null, where one key is trusted, demands nothing more.
        now: the time to judge validity at, aware.
        channel: where the bundle is to be used; null where no channel is concerned.

    Raises:
        IntegrityError: an attestation is malformed.
        RefusedError: something is missing, or not said by enough keys of a role that may say it.
    """
    if trust is None:
        return ()
    from candidate.adapters.trust import keys_for, speakers

    wanted = tuple(name for name in dict.fromkeys(trust.required) if name != "release")
    for name in wanted:
        reasons = []
        for role in speakers(trust, name):
            try:
                many = max(1, len(attestations))
                keys = keys_for(trust, role, now=now, channel=channel, signatures=many, predicate=name)
                check_enough(_who_said(name, attestations, digest, keys), trust.roles[role].threshold, role=role)
            except RefusedError as error:
                reasons.append(f"{role}: {error.message}")
            else:
                break
        else:
            raise RefusedError(
                f"the bundle lacks an attestation of {name}: {'; '.join(reasons)}",
                where="required",
                hint="fetch it again with all its attestations, or ask for this one",
            )
    return wanted


def _who_said(name: "PredicateName", attestations: Sequence[bytes], digest: str, keys: "tuple[Party, ...]") -> set[str]:
    """Return the largest group of parties that signed one and the same statement of this kind about the bundle."""
    from candidate.documents.names import PREDICATE_TYPES

    groups: dict[bytes, set[str]] = {}
    for number, data in enumerate(attestations):
        try:
            attested = check(data, keys, where=f"attestation {number}")
        except RefusedError:
            continue
        statement = attested.said
        about = [f"sha256:{subject.digest.sha256}" for subject in statement.subject]
        # OpenSSF's format has a subject of its own; `_check_integrity` holds the whole of it to the bundle.
        if statement.predicate_type == PREDICATE_TYPES[name] and (name == "integrity" or about == [digest]):
            groups.setdefault(statement.to_bytes(), set()).add(attested.key_id)
    return max(groups.values(), key=len, default=set())


def check_revoked(trust: "TrustPolicy", digest: str) -> None:
    """Refuse a bundle that is no longer trusted, whatever else says so.

    Raises:
        RefusedError: it is.
    """
    if digest in trust.revoked.digests:
        raise RefusedError(
            f"bundle {digest} is revoked", where="revoked.digests", hint="roll back, or release another version"
        )


def check_said(data: bytes, trust: "TrustPolicy", *, now: datetime, channel: str | None, where: str) -> "Attested":
    """Return the statement in an attestation that a key signed whose role may say such a thing, here and now.

    One attestation is looked at by itself, so a role's threshold is not counted: whoever relies on
    what was said counts keys, see ``check_required``.

    Args:
        data: the attestation, untrusted.
        trust: who may say what.
        now: the time to judge validity at, aware.
        channel: where it is to hold; null where no channel is concerned.
        where: the file, for the message.

    Raises:
        IntegrityError: malformed.
        RefusedError: nobody may say such a thing, or somebody else said it.
    """
    from candidate.adapters.trust import keys_for, speakers
    from candidate.documents.names import PREDICATE_TYPES

    kind, reasons = unverified_statement(data, where=where).predicate_type, []
    for name in (name for name, uri in PREDICATE_TYPES.items() if uri == kind):
        for role in speakers(trust, name):
            try:
                many = trust.roles[role].threshold
                return check(
                    data, keys_for(trust, role, now=now, channel=channel, signatures=many, predicate=name), where=where
                )
            except RefusedError as error:
                reasons.append(f"{role}: {error.message}")
    raise RefusedError(
        "; ".join(reasons) or f"no role here may say {kind}",
        where=where,
        hint="have it signed by a key whose role may say it; the trust policy lists them",
    )
