"""What a builder says of a bundle beside its release, in the words of formats that other people's tools read.

Sources: OpenSSF Model Signing v1.0 (signature predicate, root digest over the resources in order);
SLSA provenance v1.
"""

import hashlib
from collections.abc import Sequence

from pydantic import JsonValue

from candidate.documents.manifest import Dependency, MemberFile, ShaDigest
from candidate.documents.names import IGNORED_FILES, INTEGRITY_TYPE, PROVENANCE_TYPE
from candidate.documents.statement import Statement, Subject

BUILD_TYPE = "https://candidate.dev/build/v1"
BUILDER_ID = "https://candidate.dev/builder/local"
"""A build on somebody's machine or CI; whoever attests it is known by the key."""


def integrity_statement(name: str, version: str, files: Sequence[MemberFile]) -> Statement:
    """Return the OpenSSF model signature of a bundle's files, as they lie after ``candidate unpack``.

    Its root digest leaves out the names, as that format has it; the release attestation binds them.

    Args:
        name: of the bundle.
        version: of the bundle.
        files: every member, ``candidate.json`` included.
    """
    ordered = sorted(files, key=lambda file: file.name)
    root = hashlib.sha256(b"".join(bytes.fromhex(file.digest.sha256) for file in ordered)).hexdigest()
    resources: list[JsonValue] = [
        {"name": file.name, "algorithm": "sha256", "digest": file.digest.sha256} for file in ordered
    ]
    return Statement(
        subject=(Subject(name=f"{name}-{version}", digest=ShaDigest(sha256=root)),),
        predicate_type=INTEGRITY_TYPE,
        predicate={
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": list(IGNORED_FILES),
            },
            "resources": resources,
        },
    )


def provenance_statement(
    name: str, version: str, digest: str, *, parameters: dict[str, JsonValue], dependencies: Sequence[Dependency]
) -> Statement:
    """Return the SLSA provenance of a bundle: from what it was built, and how. No time, so that it can be repeated.

    Args:
        name: of the bundle.
        version: of the bundle.
        digest: of the content manifest, ``sha256:…``.
        parameters: what the specification chose.
        dependencies: source commit, training data.
    """
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
