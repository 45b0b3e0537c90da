"""``key.toml``: where a private key lives that is no file of ours, and which public key belongs to it."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from candidate.document import Document

KeyUri = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*:[ -~]*$", max_length=2048)]


class KeyFile(Document):
    """A key in a KMS, an HSM or a file of another tool. It holds no secret, and can be kept in version control."""

    kind: Literal["candidate.key-file"] = "candidate.key-file"
    version: Literal[1] = 1
    uri: KeyUri
    """Where the private key is, as securesystemslib spells it: ``awskms:…``, ``hsm:2?label=…``."""
    public: Annotated[str, Field(min_length=1)]
    """SPKI PEM of the public half: every signature is checked with it before it is used."""
