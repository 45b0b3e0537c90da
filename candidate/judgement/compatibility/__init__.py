"""Whether callers written for one bundle can call another: a pure function of what the two say of themselves.

What goes in may only grow (whatever the old bundle took, the new one must take), what comes out may only
shrink (whatever the new bundle answers, readers of the old one must know). That is the substitution
principle of subtyping: parameters contravariant, results covariant.

Source: Liskov and Wing, A Behavioral Notion of Subtyping, ACM TOPLAS 16 (1994); JSON Schema 2020-12.
"""

from dataclasses import dataclass
from typing import Any

from candidate.documents.compatible import Compatibility, FieldChange, worst
from candidate.documents.evidence import BundleRef
from candidate.documents.manifest import ModelSignature
from candidate.judgement.compatibility.answers import output_changes
from candidate.judgement.compatibility.inputs import schema_changes, tensor_changes


@dataclass(frozen=True)
class Interface:
    """What a bundle promises to its callers."""

    bundle: BundleRef
    signature: ModelSignature
    input_schema: dict[str, Any]
    """JSON Schema of one serving record."""


def compatibility(new: Interface, old: Interface) -> Compatibility:
    """Return whether callers of the old bundle can call the new one.

    Args:
        new: what would be called from now on.
        old: what its callers were written for.
    """
    changes = (
        *schema_changes(new.input_schema, old.input_schema),
        *tensor_changes(new.signature, old.signature),
        *output_changes(new.signature, old.signature),
    )
    ordered = tuple(sorted(changes, key=lambda change: (change.side, change.field, change.what)))
    records = worst(*(change.records for change in ordered))
    tensors = worst(*(change.tensors for change in ordered))
    return Compatibility(
        bundle=new.bundle,
        against=old.bundle,
        verdict=worst(records, tensors),
        records=records,
        tensors=tensors,
        changes=ordered,
    )


__all__ = ["FieldChange", "Interface", "compatibility"]
