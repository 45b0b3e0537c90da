"""Where in a registry a bundle is, and who asks for it."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from candidate.errors import InputError

_MAX_REFERENCE = 1024
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_REFERENCE = re.compile(
    r"(?P<host>(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?)"
    rf"/(?P<name>{_PART}(?:/{_PART})*)(?::(?P<tag>{_TAG}))?(?:@(?P<digest>sha256:[0-9a-f]{{64}}))?"
)


@dataclass(frozen=True)
class Reference:
    """Where a bundle is in a registry: ``HOST[:PORT]/NAME[:TAG][@sha256:…]``."""

    host: str
    """With its port, if one was given."""
    name: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse what a person typed.

        Raises:
            InputError: not a reference.
        """
        match = _REFERENCE.fullmatch(text) if len(text) <= _MAX_REFERENCE else None
        if match is None:
            raise InputError(
                "not a reference",
                where=text[:200],
                hint="it reads HOST[:PORT]/NAME[:TAG][@sha256:…], the name in lower case",
            )
        return cls(**match.groupdict())

    def with_tag(self, tag: str) -> "Reference":
        """Return the reference with a tag.

        Raises:
            InputError: the text cannot be a tag.
        """
        if not re.fullmatch(_TAG, tag):
            raise InputError(f"{tag!r} cannot be a tag", where=str(self), hint="name one: HOST/NAME:TAG")
        return Reference(self.host, self.name, tag, self.digest)

    @property
    def loopback(self) -> bool:
        """Whether the host is this machine."""
        return _loopback(urlsplit(f"//{self.host}").hostname or "")

    def __str__(self) -> str:
        """Return the reference as it is typed."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.host}/{self.name}{tag}" + (f"@{self.digest}" if self.digest else "")


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Credentials:
    """A user of a registry; the password never shows."""

    user: str
    password: str

    def __repr__(self) -> str:
        """Return the user alone."""
        return f"Credentials(user={self.user!r})"
