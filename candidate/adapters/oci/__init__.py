"""The OCI objects of a bundle: their bytes (``wire``), and what a writer makes of members (``objects``).

What is taken from here comes out of ``objects`` when it is first asked for: a reader needs only the bytes.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from candidate.adapters.oci.objects import (
        Content,
        Large,
        LargeMember,
        Member,
        attestation_blobs,
        attestation_layer,
        attestation_manifest,
        content_of,
        index_of,
        manifest_descriptor,
        release_statement,
    )

__all__ = [
    "Content",
    "Large",
    "LargeMember",
    "Member",
    "attestation_blobs",
    "attestation_layer",
    "attestation_manifest",
    "content_of",
    "index_of",
    "manifest_descriptor",
    "release_statement",
]


def __getattr__(name: str) -> Any:
    """Return what ``objects`` defines."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from candidate.adapters.oci import objects

    return getattr(objects, name)
