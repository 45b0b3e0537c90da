"""What a builder says of a bundle beside its release, in the words of formats that other people's tools read.

Sources: OpenSSF Model Signing v1.0 (signature predicate, root digest over the resources in order);
SLSA provenance v1.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from candidate.canonical import canonical
from candidate.documents.names import IGNORED_FILES, INTEGRITY_TYPE, PROVENANCE_TYPE, STATEMENT_TYPE

if TYPE_CHECKING:
    from pydantic import JsonValue

    from candidate.documents.manifest import Dependency, MemberFile
    from candidate.documents.statement import Statement
    from candidate.documents.view import View

BUILD_TYPE = "https://candidate.dev/build/v1"
BUILDER_ID = "https://candidate.dev/builder/local"
"""A build on somebody's machine or CI; whoever attests it is known by the key."""


def integrity_bytes(name: str, version: str, files: "Iterable[MemberFile | View]") -> bytes:
    """Return the bytes of ``integrity_statement``; nothing but the fields of the files is looked at."""
    ordered = sorted(files, key=lambda file: str(file.name))
    root = hashlib.sha256(b"".join(bytes.fromhex(file.digest.sha256) for file in ordered)).hexdigest()
    return canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": f"{name}-{version}", "digest": {"sha256": root}}],
            "predicateType": INTEGRITY_TYPE,
            "predicate": {
                "serialization": {
                    "method": "files",
                    "hash_type": "sha256",
                    "allow_symlinks": False,
                    "ignore_paths": list(IGNORED_FILES),
                },
                "resources": [
                    {"name": file.name, "algorithm": "sha256", "digest": file.digest.sha256} for file in ordered
                ],
            },
        }
    )


def integrity_statement(name: str, version: str, files: "Iterable[MemberFile | View]") -> "Statement":
    """Return the OpenSSF model signature of a bundle's files, as they lie after ``candidate unpack``.

    Its root digest leaves out the names, as that format has it; the release attestation binds them.

    Args:
        name: of the bundle.
        version: of the bundle.
        files: every member, ``candidate.json`` included.
    """
    from candidate.documents.statement import Statement

    return Statement.from_bytes(integrity_bytes(name, version, files), where="model signature")


def provenance_statement(
    name: str, version: str, digest: str, *, parameters: "dict[str, JsonValue]", dependencies: "Sequence[Dependency]"
) -> "Statement":
    """Return the SLSA provenance of a bundle: from what it was built, and how. No time, so that it can be repeated.

    Args:
        name: of the bundle.
        version: of the bundle.
        digest: of the content manifest, ``sha256:…``.
        parameters: what the specification chose.
        dependencies: source commit, training data.
    """
    from candidate.documents.manifest import ShaDigest
    from candidate.documents.statement import Statement, Subject

    resolved: list[JsonValue] = [
        {"name": each.name, "digest": dict(each.digest), **({} if each.uri is None else {"uri": each.uri})}
        for each in dependencies
    ]
    return Statement(
        subject=(Subject(name=f"{name}-{version}", digest=ShaDigest(sha256=digest.removeprefix("sha256:"))),),
        predicate_type=PROVENANCE_TYPE,
        predicate={
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": parameters,
                "resolvedDependencies": resolved,
            },
            "runDetails": {"builder": {"id": BUILDER_ID}},
        },
    )
