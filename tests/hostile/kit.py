"""What an attacker has, and how a member, a document or a graph is spoiled."""

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec

from candidate.adapters.attest import Signer, attest
from candidate.adapters.oci import Content
from candidate.canonical import canonical, digest_of
from candidate.documents.manifest import Descriptor, Role
from candidate.documents.statement import Statement
from tests.bundles import (
    NAME,
    VERSION,
    Recipe,
    members_of,
    pack,
    release,
    sealed,
    tar_of,
    tiny_recipe,
)

Make = Callable[["Kit"], bytes]


@cache
def private_key(number: int) -> ec.EllipticCurvePrivateKey:
    """The private key of this number: 1 is the builder's, 2 the approver's, 3 a stranger's. They protect nothing."""
    return ec.derive_private_key(number, ec.SECP256R1())


@dataclass
class Kit:
    """What an attacker has: a good bundle, and keys that should not be enough."""

    data: bytes
    recipe: Recipe
    builder: Signer
    approver: Signer
    stranger: Signer

    @property
    def content(self) -> Content:
        """Content manifest and blobs of the good bundle."""
        return tiny_recipe().content()

    def signed(self, spoil: Callable[[Recipe], object]) -> bytes:
        """A bundle spoiled before a trusted builder signed it: only inspection can find that."""
        spoil(self.recipe)
        return sealed(self.recipe, self.builder)

    def tar(
        self, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], object], form: int = tarfile.USTAR_FORMAT
    ) -> bytes:
        """The good bundle with its tar members changed."""
        members = members_of(self.data)
        change(members)
        return tar_of(members, form)

    def statement(self, statement: Statement, signer: Signer) -> bytes:
        """The good content with another attestation."""
        return pack(self.content, (attest(statement, signer).to_bytes(),))


def add(path: str, data: bytes = b"text\n", role: Role = "doc") -> Callable[[Recipe], None]:
    """Add a member whose path no document type lets through."""

    def spoil(recipe: Recipe) -> None:
        recipe.members[path] = (role, data)

    return spoil


def listed(path: str) -> Callable[[Kit], bytes]:
    """A bundle whose metadata lists a path that the document type would not write."""

    def spoil(kit: Kit) -> bytes:
        recipe = kit.recipe
        plain = "zzz.md"
        recipe.members[plain] = ("doc", b"text\n")
        content = recipe.content()
        manifest = json.loads(content.manifest)
        metadata = recipe.manifest().to_bytes().replace(b'"zzz.md"', json.dumps(path).encode())
        old = digest_of(recipe.manifest().to_bytes())
        for layer in manifest["layers"]:
            if layer["annotations"]["org.cncf.model.filepath"] == plain:
                layer["annotations"]["org.cncf.model.filepath"] = path
                layer["annotations"]["org.opencontainers.image.title"] = path
            if layer["digest"] == old:
                layer["digest"], layer["size"] = digest_of(metadata), len(metadata)
        data = canonical(manifest)
        blobs = {key: value for key, value in content.blobs.items() if key not in {old, content.digest}}
        blobs |= {digest_of(metadata): metadata, digest_of(data): data}
        changed = Content(manifest=data, digest=digest_of(data), blobs=blobs)
        return pack(changed, (attest(release(changed), kit.builder).to_bytes(),))

    return spoil


def set_member(path: str, change: Callable[[bytes], bytes]) -> Callable[[Kit], bytes]:
    """A bundle with the bytes of a member changed before it was signed."""

    def spoil(recipe: Recipe) -> None:
        role, data = recipe.members[path]
        recipe.members[path] = (role, change(data))

    return lambda kit: kit.signed(spoil)


def set_metadata(change: Callable[[bytes], bytes]) -> Callable[[Kit], bytes]:
    """A bundle with the bytes of ``candidate.json`` changed before it was signed."""

    def spoil(recipe: Recipe) -> None:
        recipe.manifest_bytes = change(recipe.manifest().to_bytes())

    return lambda kit: kit.signed(spoil)


def set_fields(path: str, **fields: object) -> Callable[[Kit], bytes]:
    """A bundle with fields of a JSON member changed before it was signed."""
    return set_member(path, lambda data: canonical({**json.loads(data), **fields}))


def without(path: str) -> Callable[[Kit], bytes]:
    """A bundle that never had a member."""
    return lambda kit: kit.signed(lambda recipe: recipe.members.pop(path))


def renamed(**fields: object) -> Callable[[Kit], bytes]:
    """A bundle whose descriptor says something unusable."""

    def spoil(recipe: Recipe) -> None:
        known = {"name": NAME, "version": VERSION, "created_at": "2026-01-01T00:00:00Z"}
        recipe.descriptor = Descriptor.model_validate(
            {**known, "description": "", "licenses": (), "revision": None, **fields}
        )

    return lambda kit: kit.signed(spoil)


def numpy_objects() -> bytes:
    """A NumPy file that holds a pickle."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
    return buffer.getvalue()
