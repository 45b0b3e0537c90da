"""The one byte form of a JSON value, and its digest: all that whoever only reads needs of documents.

Source: RFC 8785 (JCS).
"""

import hashlib
import json
from typing import Any

from candidate.errors import IntegrityError

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
MAX_SMALL_BYTES = 4 * 1024 * 1024
"""Of documents read before anybody is trusted: what is wrong with one takes a hundred times its size to say."""


def digest_of(data: bytes) -> str:
    """Return ``sha256:`` and the lower-case hexadecimal SHA-256 of the bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


EXACT = (1 << 53) - 1
"""Largest whole number that every reader of JSON agrees on (RFC 8785, section 3.2.2.3 by way of I-JSON)."""
_PLAIN = frozenset({str, bool, type(None)})


def _is_plain(value: Any) -> bool:
    """Whether Python's own encoder writes a value as RFC 8785 does, if the outcome is ASCII.

    They differ in how they write some floating-point numbers, in what they refuse, and in the order
    of keys beyond the Basic Multilingual Plane; all of these are left to the reference.
    """
    kind = type(value)
    if kind in _PLAIN:
        return True
    if kind is int:
        return bool(-EXACT <= value <= EXACT)
    if kind is float:  # both write the shortest digits that read back the same; the form differs outside of this
        return bool(1e-4 <= abs(value) < 1e15 and value != int(value))  # noqa: PLR2004 - as said
    if kind is dict:
        return all(type(key) is str for key in value) and all(map(_is_plain, value.values()))
    return (kind is list or kind is tuple) and all(map(_is_plain, value))


_encode = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


def canonical(value: object) -> bytes:
    """Return the RFC 8785 bytes of a JSON value.

    What Python's own encoder writes in just that form is left to it: it is many times faster than
    the reference, and every document is written to see whether it was read in its only form.

    Raises:
        IntegrityError: the value has no canonical form (NaN, an integer beyond 2**53, a lone
            surrogate, a type that JSON does not have).
    """
    try:
        if _is_plain(value) and (text := _encode(value)).isascii():
            return text.encode("ascii")
    except RecursionError as error:
        raise IntegrityError(f"value has no canonical JSON form: {error}") from error
    import rfc8785  # late: it is seldom needed, and slow to import

    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]  # its union has no name of its own
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeError) as error:
        raise IntegrityError(f"value has no canonical JSON form: {error}") from error
