"""The one byte form of a JSON value, and its digest: all that whoever only reads needs of documents.

Source: RFC 8785 (JCS).
"""

import hashlib

from candidate.errors import IntegrityError

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
MAX_SMALL_BYTES = 4 * 1024 * 1024
"""Of documents read before anybody is trusted: what is wrong with one takes a hundred times its size to say."""


def digest_of(data: bytes) -> str:
    """Return ``sha256:`` and the lower-case hexadecimal SHA-256 of the bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def canonical(value: object) -> bytes:
    """Return the RFC 8785 bytes of a JSON value.

    Raises:
        IntegrityError: the value has no canonical form (NaN, an integer beyond 2**53, a lone
            surrogate, a type that JSON does not have).
    """
    import rfc8785  # late: `candidate --help` reads no document

    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]  # its union has no name of its own
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise IntegrityError(f"value has no canonical JSON form: {error}") from error
