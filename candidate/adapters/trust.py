"""Which keys and identities may say what, read from ``trust.toml``: a closed, static policy.

Source: The Update Framework's roles and thresholds, counted by key and never by key id.
"""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from candidate.canonical import MAX_DOCUMENT_BYTES, canonical
from candidate.documents.identity import Identified, Party, party_id
from candidate.documents.names import RIGHTS, PredicateName, RoleName
from candidate.documents.publickey import key_id_of, public_key_pem
from candidate.errors import InputError, IntegrityError, RefusedError

if TYPE_CHECKING:  # a policy comes as a document or as a view of one
    from candidate.documents.trust import Identity, RoleKeys, Sigstore, TrustPolicy

_KEY_ID = re.compile(r"[0-9a-f]{64}")
_CHANNEL = re.compile(r"[a-z0-9*/-]+")
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_ROOT_KIND = "application/vnd.dev.sigstore.trustedroot"
_ROOT_PARTS = ("tlogs", "certificateAuthorities", "ctlogs")
MAX_ROOT_BYTES = 1024 * 1024


def read_trust(path: Path | str) -> "TrustPolicy":
    """Read and check a trust policy; its keys come back in their canonical PEM, its root as canonical JSON.

    The trusted root of sigstore lies in a file beside the policy, or in the policy itself. What comes back holds
    it, so that nothing that the policy relies on can change later.

    Raises:
        InputError: unreadable, not TOML, an unknown key, or a policy that does not make sense.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_DOCUMENT_BYTES:
            raise InputError("trust policy is too large", where=str(path))
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InputError(
            f"trust policy cannot be read: {reason}", where=str(path), hint="write one with: candidate trust"
        ) from error
    from candidate.documents.trust import TrustPolicy

    trust = TrustPolicy.from_toml(text, where=str(path))
    if trust.sigstore is not None:
        trust = trust.model_copy(update={"sigstore": _with_root(trust.sigstore, path)})
    check_trust(trust, where=str(path))
    roles = {
        role: keys.model_copy(update={"keys": tuple(public_key_pem(pem) for pem in keys.keys)})
        for role, keys in trust.roles.items()
    }
    return trust.model_copy(update={"roles": roles})


def _with_root(sigstore: "Sigstore", path: Path) -> "Sigstore":
    """Return the table with the root itself in place of the file that it names."""
    text, place = sigstore.trusted_root, f"{path}: sigstore.trusted_root"
    if not text.lstrip().startswith("{"):
        file, place = path.parent / text, f"{path.parent / text}"
        try:
            with file.open("rb") as opened:
                text = opened.read(MAX_ROOT_BYTES + 1).decode("utf-8")
        except (OSError, ValueError) as error:
            reason = (error.strerror or "") if isinstance(error, OSError) else "not UTF-8, or no path"
            raise InputError(
                f"trusted root cannot be read: {reason}",
                where=place,
                hint="name sigstore's trusted_root.json, beside the trust policy",
            ) from error
    return sigstore.model_copy(update={"trusted_root": canonical(_root(text, place)).decode("utf-8")})


def _root(text: str, where: str) -> dict[str, object]:
    """Return the JSON of a trusted root; whether its keys are any good, sigstore says when it verifies.

    Raises:
        InputError: it is none.
    """
    hint = "take the trusted_root.json of the sigstore instance whose certificates you trust"
    try:
        root = json.loads(text) if len(text) <= MAX_ROOT_BYTES else None
        canonical(root)
    except (ValueError, RecursionError, IntegrityError) as error:
        raise InputError("trusted root is not usable JSON", where=where, hint=hint) from error
    if not isinstance(root, dict) or not str(root.get("mediaType")).startswith(_ROOT_KIND):
        raise InputError("not a trusted root of sigstore", where=where, hint=hint)
    for part in _ROOT_PARTS:
        if not isinstance(root.get(part), list) or not root[part]:
            raise InputError(f"the trusted root has no {part}", where=where, hint=hint)
    return root


def check_trust(trust: "TrustPolicy", *, where: str) -> None:
    """Check what a trust policy's fields cannot say one by one.

    Args:
        trust: read from a file, or out of a registry's genesis.
        where: the file, for the message.

    Raises:
        InputError: no role, a key that is none, one key or identity twice or in two roles, a threshold that
            they cannot reach, identities without a trusted root, a predicate that its role may not say or
            that nobody may say though it is required, a time that is none, a key id that is none.
    """
    if not trust.roles:
        raise InputError("no role has a key", where=where, hint="give at least [roles.builder] keys")
    holders: dict[str, RoleName] = {}
    for role, keys in trust.roles.items():
        place = f"{where}: roles.{role}"
        names = {key_id_of(public_key_pem(pem, where=place)): "key" for pem in keys.keys}
        names |= {_identified(each).id: f"identity {each.subject}," for each in keys.identities}
        if len(names) != len(keys.keys) + len(keys.identities):
            raise InputError("the same key or identity is listed twice", where=place, hint="list each once")
        if not names:
            raise InputError("the role has neither keys nor identities", where=place, hint="give it keys = [...]")
        if keys.threshold > len(names):
            raise InputError(f"threshold {keys.threshold} of {len(names)} keys can never be reached", where=place)
        for party, kind in names.items() if trust.distinct_roles else ():
            other = holders.setdefault(party, role)
            if other != role:
                raise InputError(
                    f"{kind} {party[:12]} also has the role {other}",
                    where=place,
                    hint="give every role its own key; distinct_roles = false gives that protection up",
                )
        _check_limits(keys, place)
        _check_rights(role, keys, place)
    _check_required(trust, where)
    if trust.sigstore is not None:
        _root(trust.sigstore.trusted_root, f"{where}: sigstore.trusted_root")
    elif any(keys.identities for keys in trust.roles.values()):
        raise InputError(
            "identities, but no root of the certificates that name them",
            where=f"{where}: sigstore",
            hint='pin one: [sigstore] trusted_root = "trusted_root.json"',
        )
    for key_id in trust.revoked.keys:
        if not _KEY_ID.fullmatch(key_id):
            raise InputError(
                f"{key_id[:80]!r} is no key id",
                where=f"{where}: revoked.keys",
                hint="a key id is 64 hexadecimal digits: candidate key show KEY",
            )


def _check_limits(keys: "RoleKeys", where: str) -> None:
    begin, end = (_time(text, where=where) for text in (keys.valid_from, keys.valid_until))
    if begin is not None and end is not None and begin >= end:
        raise InputError(f"valid_until {keys.valid_until} is not after valid_from {keys.valid_from}", where=where)
    if not keys.channels:
        raise InputError(
            "channels is empty, so the role may do nothing", where=where, hint='channels = ["*"] allows all'
        )
    for pattern in keys.channels:
        if not _CHANNEL.fullmatch(pattern):
            raise InputError(
                f"{pattern!r} is no channel pattern", where=where, hint="write MODEL/ENVIRONMENT, * is any text"
            )


def _check_rights(role: RoleName, keys: "RoleKeys", where: str) -> None:
    """A file narrows what a role may say, and never widens it."""
    if keys.predicates is None:
        return
    if not keys.predicates:
        raise InputError(
            "predicates is empty, so the role may say nothing",
            where=where,
            hint="leave it out to allow all that the role may say",
        )
    beyond = [name for name in keys.predicates if name not in RIGHTS[role]]
    if beyond:
        raise InputError(
            f"a key of the role {role} may never say {', '.join(beyond)}",
            where=where,
            hint=f"choose from {', '.join(RIGHTS[role])}",
        )


def _check_required(trust: "TrustPolicy", where: str) -> None:
    """What is demanded of every bundle must be something that a bundle holds, and that somebody may say."""
    place = f"{where}: required"
    if "release" not in trust.required:
        raise InputError(
            "required does not list release",
            where=place,
            hint='without it nothing says which bundle this is: required = ["release", ...]',
        )
    if {"entry", "override"} & set(trust.required):
        raise InputError(
            "entries and overrides stand in a registry, never in a bundle", where=place, hint="take them out"
        )
    mute = [name for name in trust.required if not speakers(trust, name)]
    if mute == ["release"] and "builder" not in trust.roles:
        return  # a policy for decisions or entries alone: it accepts no bundle, so it need not say how
    if mute:
        raise InputError(
            f"no role here may say {', '.join(mute)}",
            where=place,
            hint="give a role that may say it a key, or take it out of required",
        )


def may_say(trust: "TrustPolicy", role: RoleName) -> tuple[PredicateName, ...]:
    """Return what the keys of a role may say: all that the role ever may, or less where the policy says so."""
    keys = trust.roles.get(role)
    if keys is None:
        return ()
    return RIGHTS[role] if keys.predicates is None else keys.predicates


def speakers(trust: "TrustPolicy", predicate: PredicateName) -> tuple[RoleName, ...]:
    """Return the roles whose keys may say this."""
    return tuple(role for role in trust.roles if predicate in may_say(trust, role))


def _check_may_say(trust: "TrustPolicy", role: RoleName, predicate: PredicateName | None) -> None:
    wanted = predicate or RIGHTS[role][0]
    if role in trust.roles and wanted not in may_say(trust, role):
        raise RefusedError(
            f"the role may say {', '.join(may_say(trust, role))}, not {wanted}",
            where=f"role {role}",
            hint="add it to the role's predicates only if that is really meant"
            if wanted in RIGHTS[role]
            else "a key of this role can never say that",
        )


def _time(text: str | None, *, where: str) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, _FORMAT).replace(tzinfo=UTC)
    except ValueError as error:
        raise InputError(f"{text!r} is no time", where=where, hint="write it like 2026-01-31T00:00:00Z") from error


def allows(patterns: Iterable[str], channel: str) -> bool:
    """Return whether a channel fits one of the patterns, in which ``*`` stands for any text."""
    return any(
        re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), channel) is not None
        for pattern in patterns
    )


def _identified(identity: "Identity", trust: "TrustPolicy | None" = None) -> Identified:
    root = "" if trust is None or trust.sigstore is None else trust.sigstore.trusted_root
    return Identified(identity.issuer, identity.subject, root)


def parties_of(trust: "TrustPolicy", role: RoleName, *, where: str = "") -> tuple[Party, ...]:
    """Return all that a role lists: its public keys (canonical PEM), then its identities, each with the pinned root.

    Raises:
        InputError: a key that is none.
    """
    keys = trust.roles.get(role)
    if keys is None:
        return ()
    pems = dict.fromkeys(public_key_pem(pem, where=where) for pem in keys.keys)
    return (*pems, *dict.fromkeys(_identified(each, trust) for each in keys.identities))


def is_revoked(trust: "TrustPolicy", party: str) -> bool:
    """Return whether the key or identity with this id is revoked."""
    return party in trust.revoked.keys or party in {_identified(each).id for each in trust.revoked.identities}


def standing_keys(trust: "TrustPolicy", role: RoleName, *, predicate: PredicateName | None = None) -> tuple[Party, ...]:
    """Return a role's public keys (PEM) and identities that are not revoked, whatever its dates say.

    What was accepted while the role was valid stays accepted: a role that has run out must not
    take the way back from the person on call.

    Args:
        trust: whose word counts.
        role: the role that is needed.
        predicate: what is to be said; null for the role's own word, see ``RIGHTS``.

    Raises:
        RefusedError: the policy gives the role to nobody, or not the right to say this, or all its
            keys are revoked.
    """
    _check_may_say(trust, role, predicate)
    standing = tuple(party for party in parties_of(trust, role) if not is_revoked(trust, party_id(party)))
    if not standing:
        raise RefusedError("no standing key", where=f"role {role}", hint="give the role a key that is not revoked")
    return standing


def keys_for(
    trust: "TrustPolicy",
    role: RoleName,
    *,
    now: datetime,
    channel: str | None,
    signatures: int = 1,
    predicate: PredicateName | None = None,
) -> tuple[Party, ...]:
    """Return the public keys (PEM) and identities that may speak for a role now: nobody else is ever tried.

    Args:
        trust: whose word counts.
        role: the role that is needed.
        now: the time to judge validity at, aware.
        channel: where the role is used; null where no channel is concerned.
        signatures: how many different keys and identities the caller counts; a role that needs more is refused
            here, so that nobody forgets its threshold.
        predicate: what is to be said; null for the role's own word, see ``RIGHTS``.

    Raises:
        RefusedError: the policy gives the role to nobody, or not now, or not on this channel, or not
            the right to say this.
    """
    where, hint = f"role {role}", "change the trust policy only if that is really meant"
    keys = trust.roles.get(role)
    if keys is None:
        raise RefusedError(f"no key is trusted as {role}", where=where, hint=f"add [roles.{role}] to the trust policy")
    _check_may_say(trust, role, predicate)
    begin, end = _time(keys.valid_from, where=where), _time(keys.valid_until, where=where)
    if begin is not None and now < begin:
        raise RefusedError(f"the role is valid only from {keys.valid_from}", where=where, hint=hint)
    if end is not None and now >= end:
        raise RefusedError(f"the role was valid until {keys.valid_until}", where=where, hint="renew it with new keys")
    if channel is not None and not allows(keys.channels, channel):
        raise RefusedError(f"the role may act on {', '.join(keys.channels)}, not on {channel}", where=where, hint=hint)
    if keys.threshold > signatures:
        raise RefusedError(
            f"the role needs {keys.threshold} signatures, {signatures} can be given here", where=where, hint=hint
        )
    parties = parties_of(trust, role, where=where)
    valid = tuple(party for party in parties if not is_revoked(trust, party_id(party)))
    if len(valid) < keys.threshold:
        raise RefusedError(
            f"{len(parties) - len(valid)} of the role's {len(parties)} keys are revoked",
            where=where,
            hint="give it new keys",
        )
    return valid


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=True)


def _texts(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(_text(value) for value in values) + "]"


def _identities(values: "tuple[Identity, ...]") -> str:
    rows = (f"{{ issuer = {_text(each.issuer)}, subject = {_text(each.subject)} }}" for each in values)
    return "[" + ", ".join(rows) + "]"


def write_trust(trust: "TrustPolicy") -> str:
    """Return a trust policy as TOML that ``read_trust`` reads back as the same policy.

    Raises:
        InputError: the policy does not make sense.
    """
    check_trust(trust, where="trust policy")
    lines = [
        "# Which public keys may say what. Keep it in version control and review every change.",
        f"distinct_roles = {str(trust.distinct_roles).lower()}",
        f"max_decision_age_hours = {trust.max_decision_age_hours}",
        f"required = {_texts(trust.required)}",
    ]
    for role, keys in trust.roles.items():
        lines += ["", f"[roles.{role}]", f"threshold = {keys.threshold}", f"channels = {_texts(keys.channels)}"]
        lines += [f"predicates = {_texts(keys.predicates)}"] if keys.predicates is not None else []
        lines += [f"valid_from = {_text(keys.valid_from)}"] if keys.valid_from else []
        lines += [f"valid_until = {_text(keys.valid_until)}"] if keys.valid_until else []
        lines.append("keys = [")
        for pem in keys.keys:
            lines += [f"# {key_id_of(public_key_pem(pem))}", f'"""\n{public_key_pem(pem)}""",']
        lines.append("]")
        lines += [f"identities = {_identities(keys.identities)}"] if keys.identities else []
    if trust.sigstore is not None:
        lines += ["", "[sigstore]", f"trusted_root = {_text(trust.sigstore.trusted_root)}"]
    lines += ["", "[revoked]", f"keys = {_texts(trust.revoked.keys)}", f"digests = {_texts(trust.revoked.digests)}"]
    lines += [f"identities = {_identities(trust.revoked.identities)}"] if trust.revoked.identities else []
    return "\n".join(lines) + "\n"
