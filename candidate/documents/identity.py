"""Who may be trusted to sign: the holder of a key, or an identity that a certificate names.

Source: sigstore's identities, an OIDC issuer and a subject that it vouched for; Fulcio's certificate
extension 1.3.6.1.4.1.57264.1.1 and its subject alternative name.
"""

import hashlib
import json
from dataclasses import dataclass, field

from candidate.documents.publickey import key_id_of


@dataclass(frozen=True)
class Identified:
    """An identity, and the root that must have certified it."""

    issuer: str
    """Who vouched for the subject, ``https://…``."""
    subject: str
    """A workflow's URI or an e-mail address; compared as text, whole."""
    root: str = field(default="", repr=False, compare=False)
    """The sigstore trusted root that the policy pins, as JSON text."""

    @property
    def id(self) -> str:
        """What the identity is counted and logged by, as a key is by its id: 64 hexadecimal digits.

        It is the sha256 of the JSON array of issuer and subject. A key's id is that of a PEM, which is never such JSON.
        """
        text = json.dumps([self.issuer, self.subject], ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("ascii")).hexdigest()


Party = str | Identified
"""One who may be trusted to sign: a public key (canonical PEM), or an identity."""


def party_id(party: Party) -> str:
    """Return the id of a key (canonical PEM) or of an identity."""
    return party.id if isinstance(party, Identified) else key_id_of(party)
