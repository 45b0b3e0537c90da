"""Say all that a registry knows of one bundle."""

from candidate.documents.evidence import BundleRef
from candidate.documents.results import HistoryEntry
from candidate.documents.upkeep import Role, Standing, Why
from candidate.errors import InputError
from candidate.flows.registry import Registry
from candidate.judgement.channel import ChannelState


def why(bundle: str, *, registry: Registry) -> Why:
    """Return what became of a bundle: where it is champion or was, since when, by whom and why.

    Args:
        bundle: version, digest, or the beginning of one (8 digits or more).
        registry: where.

    Raises:
        InputError: the log knows no such bundle, or several.
    """
    events = registry.history().entries
    fits = {event.bundle for event in events if event.bundle is not None and _is_meant(event, bundle)}
    if len(fits) != 1:
        known = sorted({f"{event.to.version} ({event.to.digest[7:19]})" for event in events if event.to is not None})
        problem = "is no" if not fits else "is more than one"
        raise InputError(
            f"{bundle!r} {problem} bundle of this registry",
            where="BUNDLE",
            hint=f"it has had: {', '.join(known[:12]) or 'none'}",
        )
    digest = fits.pop()
    about = tuple(event for event in events if digest in {event.bundle, _digest(event.from_)})
    state = registry.state()
    return Why(
        registry=registry.genesis.registry,
        bundle=next((ref for event in about for ref in (event.to, event.from_) if _digest(ref) == digest), None),
        about=digest,
        standings=tuple(
            Standing(channel=name, role=_role(channel, digest))
            for name, channel in sorted(state.channels.items())
            if any(event.channel == name for event in about)
        ),
        events=about,
    )


def _digest(ref: BundleRef | None) -> str | None:
    return None if ref is None else ref.digest


def _is_meant(event: HistoryEntry, name: str) -> bool:
    shortest = 8
    digits = name.removeprefix("sha256:")
    begins = len(digits) >= shortest and str(event.bundle).removeprefix("sha256:").startswith(digits)
    return begins or (event.to is not None and event.to.version == name)


def _role(channel: ChannelState, digest: str) -> Role:
    if channel.champion is not None and channel.champion.bundle == digest:
        return "champion"
    if digest in channel.quarantined | channel.barred:
        return "quarantined"
    return "rollback target" if digest in {artifact.bundle for artifact in channel.rollback} else "former"
