"""``trust.toml``: which keys and identities may say what."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from candidate.document import Digest, Document, Grown, Part
from candidate.documents.names import PredicateName, RoleName

Timestamp = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]


class Identity(Part):
    """Whom a certificate names: compared as text, whole; there are no patterns."""

    issuer: Annotated[str, StringConstraints(pattern=r"^https://[!-)+-~]+$", max_length=2048)]
    """The OIDC issuer, as the certificate spells it."""
    subject: Annotated[str, StringConstraints(pattern=r"^[!-)+-~]+$", max_length=2048)]
    """A workflow's URI with its ref, or an e-mail address, as the certificate spells it."""


class Sigstore(Part):
    """Which certificates and logs are believed at all."""

    trusted_root: Annotated[str, Field(min_length=1)]
    """Sigstore's trusted root: in the file its path beside it; in a policy that was read, its canonical JSON text."""


class RoleKeys(Grown):
    """The keys and identities of one role, and what they may sign."""

    later: ClassVar[tuple[str, ...]] = ("identities",)

    keys: tuple[str, ...] = ()
    """Public keys, each an SPKI PEM."""
    identities: tuple[Identity, ...] = ()
    """Identities that a certificate of the pinned root may name."""
    threshold: Annotated[int, Field(ge=1)] = 1
    """How many different keys and identities, counted together, must have signed."""
    predicates: tuple[PredicateName, ...] | None = None
    """What this role may say; null for all that its role may ever say."""
    channels: tuple[str, ...] = ("*",)
    """Channels this role may act on; ``*`` stands for any text."""
    valid_from: Timestamp | None = None
    valid_until: Timestamp | None = None


class Revoked(Grown):
    """Keys, identities and bundles that are no longer trusted, whatever else says so."""

    later: ClassVar[tuple[str, ...]] = ("identities",)

    keys: tuple[str, ...] = ()
    """Key ids: sha256 of the SPKI PEM, in hexadecimal."""
    identities: tuple[Identity, ...] = ()
    digests: tuple[Digest, ...] = ()


class TrustPolicy(Grown, Document):
    """Roles, their keys and identities, and what is revoked."""

    later: ClassVar[tuple[str, ...]] = ("sigstore",)

    kind: Literal["candidate.trust"] = "candidate.trust"
    version: Literal[1] = 1
    roles: dict[RoleName, RoleKeys]
    revoked: Revoked = Field(default_factory=Revoked)
    sigstore: Sigstore | None = None
    """The root of all certificates; without one no certificate is believed."""
    distinct_roles: bool = True
    """No key or identity may hold two roles; a builder's can then never sign a decision."""
    required: tuple[PredicateName, ...] = ("release",)
    """What must have been said of a bundle, by a role that may, before ``verify`` accepts it."""
    max_decision_age_hours: Annotated[int, Field(ge=1)] = 24
