"""What a builder says beside the release: other people's formats, about exactly this bundle."""

import hashlib
import json
from datetime import datetime
from pathlib import Path

import pytest

from candidate.adapters.attest import Signer, attest, check, load_signer, new_key
from candidate.adapters.statements import integrity_statement, provenance_statement
from candidate.documents.manifest import Dependency, MemberFile, ShaDigest
from candidate.documents.names import INTEGRITY_TYPE
from candidate.documents.publickey import Algorithm
from candidate.errors import RefusedError
from candidate.flows.showing import unpack
from candidate.flows.verifying import verify
from tests.bundles import NAME, VERSION, pack, release, sealed, tiny_recipe


def file(name: str, data: bytes) -> MemberFile:
    """A member."""
    digest = ShaDigest(sha256=hashlib.sha256(data).hexdigest())
    return MemberFile(name=name, digest=digest, size=len(data), role="doc")


def test_the_root_digest_is_over_the_files_in_order() -> None:
    """OpenSSF Model Signing: sha256 of the files' digests, in order of their names, whatever order they came in."""
    files = [file("b.txt", b"2"), file("a/c.txt", b"1")]
    statement = integrity_statement("m", "1", files)
    root = hashlib.sha256(hashlib.sha256(b"1").digest() + hashlib.sha256(b"2").digest()).hexdigest()
    predicate = json.loads(statement.to_bytes())["predicate"]

    assert statement.subject[0].digest.sha256 == root
    assert [resource["name"] for resource in predicate["resources"]] == ["a/c.txt", "b.txt"]
    assert predicate["serialization"]["allow_symlinks"] is False
    assert integrity_statement("m", "1", files[::-1]).to_bytes() == statement.to_bytes()


def test_provenance_has_no_clock() -> None:
    """The same inputs are attested in the same bytes, so there is no time in them."""
    parts = [Dependency(name="data", uri="s3://rows", digest={"sha256": "a" * 64}), Dependency(name="code", digest={})]
    statement = provenance_statement("m", "1", "sha256:" + "b" * 64, parameters={"float": "auto"}, dependencies=parts)
    predicate = json.loads(statement.to_bytes())["predicate"]

    assert statement.predicate_type == "https://slsa.dev/provenance/v1"
    assert predicate["buildDefinition"]["resolvedDependencies"][0]["uri"] == "s3://rows"
    assert "uri" not in predicate["buildDefinition"]["resolvedDependencies"][1]
    assert "metadata" not in predicate["runDetails"]


def test_unpacking_lays_the_attestations_beside_the_files(tmp_path: Path, builder: Signer) -> None:
    """``claims.jsonl`` has one attestation a line, ``model.sig`` is the one that lists the files."""
    (tmp_path / "b.candidate").write_bytes(sealed(tiny_recipe(), builder, integrity=True))
    (tmp_path / "plain.candidate").write_bytes(pack(tiny_recipe().content()))
    unpack(tmp_path / "b.candidate", tmp_path / "tree")
    unpack(tmp_path / "plain.candidate", tmp_path / "bare")
    claims = (tmp_path / "tree" / "claims.jsonl").read_bytes().splitlines()

    assert len(claims) == 2
    assert (tmp_path / "tree" / "model.sig").read_bytes() in claims
    assert not (tmp_path / "bare" / "claims.jsonl").exists()


@pytest.mark.parametrize("others", [("ed25519",), ("ml-dsa-65",), ("ed25519", "ml-dsa-65")], ids="+".join)
def test_of_several_model_signatures_the_readable_one_is_unpacked(
    others: tuple[Algorithm, ...], tmp_path: Path, builder: Signer
) -> None:
    """OpenSSF's verifier reads elliptic curves only, so ``model.sig`` is that one wherever it stands in the file."""
    signers = [builder, *(load_signer(new_key(None, algorithm), None) for algorithm in others)]
    (tmp_path / "b.candidate").write_bytes(sealed(tiny_recipe(), *signers, integrity=True))
    (tmp_path / "o.candidate").write_bytes(sealed(tiny_recipe(), *signers[1:], integrity=True))
    unpack(tmp_path / "b.candidate", tmp_path / "tree")
    unpack(tmp_path / "o.candidate", tmp_path / "other")

    assert len((tmp_path / "tree" / "claims.jsonl").read_bytes().splitlines()) == 2 * len(signers)
    assert check((tmp_path / "tree" / "model.sig").read_bytes(), [builder.public_pem]).key_id == builder.key_id
    others_signed = check((tmp_path / "other" / "model.sig").read_bytes(), [each.public_pem for each in signers[1:]])
    assert others_signed.statement.predicate_type == INTEGRITY_TYPE


def test_a_model_signature_of_other_files_is_refused(
    tmp_path: Path, builder: Signer, stranger: Signer, now: datetime
) -> None:
    """A trusted builder's list that is not the bundle's is refused; a stranger's list says nothing."""
    recipe = tiny_recipe()
    content = recipe.content()
    lie = integrity_statement(NAME, VERSION, [file("README.md", b"other")])
    for signer, refused in ((builder, True), (stranger, False)):
        signed = (attest(release(content), builder).to_bytes(), attest(lie, signer).to_bytes())
        path = tmp_path / f"{refused}.candidate"
        path.write_bytes(pack(content, signed))
        if refused:
            with pytest.raises(RefusedError, match="lists other files"):
                verify(path, public_key=builder.public_pem, now=now)
        else:
            assert verify(path, public_key=builder.public_pem, now=now).key_id == builder.key_id
