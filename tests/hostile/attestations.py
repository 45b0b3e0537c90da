"""Attestations and decisions that lie: who signed, what was signed, and how it is spelled."""

import base64
import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from candidate.adapters.attest import attest, pre_authentication_encoding
from candidate.adapters.oci import Content, Member, release_statement
from candidate.adapters.statements import integrity_statement
from candidate.canonical import canonical
from candidate.documents.evidence import BundleRef
from candidate.documents.names import (
    CARD_PATH,
    DECISION_TYPE,
    ENVIRONMENT_PATH,
    MANIFEST_PATH,
    PAYLOAD_TYPE,
    RELEASE_TYPE,
)
from tests.bundles import NAME, VERSION, decision_statement, go_decision, pack, release, tiny_recipe
from tests.hostile.kit import Kit, private_key

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256 (FIPS 186-5)."""


def of(content: Content) -> BundleRef:
    """The bundle, named."""
    return BundleRef(name=NAME, version=VERSION, digest=content.digest)


def forged(change: Callable[[dict[str, Any]], object]) -> Callable[[Kit], bytes]:
    """The good bundle with its attestation's JSON changed after it was signed."""

    def spoil(kit: Kit) -> bytes:
        attestation = json.loads(attest(release(kit.content), kit.builder).to_bytes())
        change(attestation)
        return pack(kit.content, (canonical(attestation),), listed_as=RELEASE_TYPE)

    return spoil


def respelled(change: Callable[[bytes], bytes]) -> Callable[[Kit], bytes]:
    """The good bundle with its attestation's bytes changed after it was signed."""

    def spoil(kit: Kit) -> bytes:
        attestation = attest(release(kit.content), kit.builder).to_bytes()
        return pack(kit.content, (change(attestation),), listed_as=RELEASE_TYPE)

    return spoil


def mark_of(signed: bytes, algorithm: hashes.HashAlgorithm | None = None) -> str:
    """A signature by the builder over these very bytes, as base64."""
    chosen = ec.ECDSA(algorithm or hashes.SHA256(), deterministic_signing=True)
    return base64.b64encode(private_key(1).sign(signed, chosen)).decode()


def signed_as(
    payload: Callable[[Kit], bytes],
    *,
    kind: str = PAYLOAD_TYPE,
    plain: bool = False,
    algorithm: hashes.HashAlgorithm | None = None,
) -> Callable[[Kit], bytes]:
    """The good bundle with any payload under a builder's true signature, made by the rules or not."""

    def spoil(kit: Kit) -> bytes:
        data = payload(kit)
        attestation = json.loads(attest(release(kit.content), kit.builder).to_bytes())
        envelope = attestation["dsseEnvelope"]
        envelope["payload"], envelope["payloadType"] = base64.b64encode(data).decode(), kind
        signed = data if plain else pre_authentication_encoding(kind, data)
        envelope["signatures"][0]["sig"] = mark_of(signed, algorithm)
        return pack(kit.content, (canonical(attestation),), listed_as=RELEASE_TYPE)

    return spoil


def envelope(attestation: dict[str, Any]) -> dict[str, Any]:
    """The DSSE envelope in an attestation."""
    found = attestation["dsseEnvelope"]
    assert isinstance(found, dict)
    return found


def mark(attestation: dict[str, Any]) -> dict[str, str]:
    """The one signature in an attestation."""
    found = envelope(attestation)["signatures"][0]
    assert isinstance(found, dict)
    return found


def truth(kit: Kit) -> bytes:
    """What the builder says of the good bundle."""
    return release(kit.content).to_bytes()


def said(kit: Kit, **fields: object) -> bytes:
    """The builder's statement with fields replaced."""
    return canonical({**json.loads(truth(kit)), **fields})


def loose_bits(text: str) -> str:
    """Base64 whose last letter has a bit set that no byte needs."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body = text.rstrip("=")
    return body[:-1] + letters[letters.index(body[-1]) ^ 1] + "=" * (len(text) - len(body))


def stranger_as_builder(kit: Kit) -> bytes:
    """A stranger's signature under the builder's key id."""
    attestation = json.loads(attest(release(kit.content), kit.stranger).to_bytes())
    mark(attestation)["keyid"] = kit.builder.key_id
    attestation["verificationMaterial"]["publicKey"]["hint"] = kit.builder.key_id
    return pack(kit.content, (canonical(attestation),), listed_as=RELEASE_TYPE)


def swapped_names(kit: Kit) -> bytes:
    """Card and lock have each other's bytes; the root digest without names would be the same."""
    recipe = tiny_recipe().copy()
    card, lock = recipe.members[CARD_PATH][1], recipe.members[ENVIRONMENT_PATH][1]
    recipe.members[CARD_PATH], recipe.members[ENVIRONMENT_PATH] = ("doc", lock), ("environment", card)
    return pack(recipe.content(), (attest(release(kit.content), kit.builder).to_bytes(),))


def model_signature(change: Callable[[dict[str, Any]], object]) -> Callable[[Kit], bytes]:
    """The good bundle with a model signature by its builder that lists something else."""

    def spoil(kit: Kit) -> bytes:
        own = Member(MANIFEST_PATH, "manifest", kit.recipe.manifest().to_bytes()).file
        statement = integrity_statement(NAME, VERSION, [*kit.recipe.files(), own])
        predicate = json.loads(canonical(statement.predicate))
        change(predicate)
        changed = statement.model_copy(update={"predicate": predicate})
        both = (release(kit.content), changed)
        return pack(kit.content, tuple(attest(each, kit.builder).to_bytes() for each in both))

    return spoil


def mirrored(kit: Kit) -> bytes:
    """The good bundle under the other signature that holds for the same statement: (r, n - s)."""
    attestation = json.loads(attest(release(kit.content), kit.builder).to_bytes())
    r, s = decode_dss_signature(base64.b64decode(mark(attestation)["sig"]))
    mark(attestation)["sig"] = base64.b64encode(encode_dss_signature(r, ORDER - s)).decode()
    return pack(kit.content, (canonical(attestation),), listed_as=RELEASE_TYPE)


def one_key_twice(kit: Kit) -> bytes:
    """Two attestations that differ in their signature, and one key behind both."""
    plain = json.loads(attest(release(kit.content), kit.builder).to_bytes())
    r, s = decode_dss_signature(base64.b64decode(mark(plain)["sig"]))
    other = json.loads(canonical(plain))
    mark(other)["sig"] = base64.b64encode(encode_dss_signature(r, ORDER - s)).decode()
    return pack(kit.content, (canonical(plain), canonical(other)), listed_as=RELEASE_TYPE)


REFUSED: dict[str, Callable[[Kit], bytes]] = {
    "none": lambda kit: pack(kit.content),
    "by a stranger": lambda kit: kit.statement(release(kit.content), kit.stranger),
    "by the approver": lambda kit: kit.statement(release(kit.content), kit.approver),
    "about another bundle": lambda kit: kit.statement(
        release_statement(NAME, VERSION, "sha256:" + "0" * 64), kit.builder
    ),
    "under another name": lambda kit: kit.statement(
        release_statement("other", VERSION, kit.content.digest), kit.builder
    ),
    "under another version": lambda kit: kit.statement(
        release_statement(NAME, "9.9.9", kit.content.digest), kit.builder
    ),
    "of another predicate": lambda kit: kit.statement(
        release(kit.content).model_copy(update={"predicate_type": "https://slsa.dev/provenance/v1"}), kit.builder
    ),
    "a decision by the builder": lambda kit: kit.statement(
        decision_statement(go_decision(of(kit.content))), kit.builder
    ),
    "about two subjects": lambda kit: kit.statement(
        release(kit.content).model_copy(update={"subject": release(kit.content).subject * 2}), kit.builder
    ),
    "with a larger predicate": lambda kit: kit.statement(
        release(kit.content).model_copy(update={"predicate": {**release(kit.content).predicate, "extra": 1}}),
        kit.builder,
    ),
    "by a stranger under the builder's key id": stranger_as_builder,
    "another payload under the signature": forged(
        lambda a: envelope(a).update(payload=base64.b64encode(b'{"rubbish"').decode())
    ),
    "signed without the encoding": signed_as(truth, plain=True),
    "signed over SHA-512": signed_as(truth, algorithm=hashes.SHA512()),
    "signed over SHA-1": signed_as(truth, algorithm=hashes.SHA1()),  # noqa: S303 - the attack itself
    "a signature of zeros": forged(lambda a: mark(a).update(sig=base64.b64encode(bytes(72)).decode())),
    "members under each other's names": swapped_names,
    "a model signature of a path upwards": model_signature(
        lambda p: p["resources"].append({"name": "../x", "algorithm": "sha256", "digest": "0" * 64})
    ),
    "a model signature that lists a file twice": model_signature(lambda p: p["resources"].append(p["resources"][0])),
    "a model signature without a file": model_signature(lambda p: p["resources"].pop()),
    "a model signature that ignores more": model_signature(
        lambda p: p["serialization"]["ignore_paths"].append("model/model.onnx")
    ),
    "a model signature that follows links": model_signature(lambda p: p["serialization"].update(allow_symlinks=True)),
}
"""Whole, but nobody who is trusted says what is needed."""

MALFORMED: dict[str, Callable[[Kit], bytes]] = {
    "payload of another type": signed_as(truth, kind="application/json"),
    "statement of another type": signed_as(lambda kit: said(kit, _type="https://in-toto.io/Statement/v0.1")),
    "statement with an unknown field": signed_as(lambda kit: said(kit, extra=1)),
    "statement about nothing": signed_as(lambda kit: said(kit, subject=[])),
    "statement with a key twice": signed_as(
        lambda kit: truth(kit).replace(b'{"_type"', b'{"_type":"https://in-toto.io/Statement/v1","_type"', 1)
    ),
    "statement nested deeply": signed_as(lambda _: b"[" * 100_000),
    "payload that is no JSON": signed_as(lambda _: b"rubbish"),
    "no signature": forged(lambda a: envelope(a).update(signatures=[])),
    "two signatures": forged(lambda a: envelope(a).update(signatures=[mark(a), mark(a)])),
    "rubbish before the signature": forged(
        lambda a: envelope(a).update(signatures=[{"sig": "AAAA", "keyid": "x"}, mark(a)])
    ),
    "key id and hint that differ": forged(lambda a: mark(a).update(keyid="0" * 64)),
    "an older bundle format": forged(
        lambda a: a.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.2")
    ),
    "a certificate in place of the hint": forged(
        lambda a: a.update(verificationMaterial={"certificate": {"rawBytes": "AAAA"}, "tlogEntries": []})
    ),
    "a signature of bytes in place of an envelope": forged(
        lambda a: a.update(messageSignature={"messageDigest": {}, "signature": a.pop("dsseEnvelope")["payload"]})
    ),
    "base64 with a line end": forged(lambda a: envelope(a).update(payload=envelope(a)["payload"] + "\n")),
    "base64 for addresses": forged(lambda a: envelope(a).update(payload="_" + envelope(a)["payload"][1:])),
    "base64 with something after it": forged(lambda a: envelope(a).update(payload=envelope(a)["payload"] + "!!!!")),
    "base64 with loose bits": forged(
        lambda a: envelope(a).update(payload=loose_bits(base64.b64encode(b"ab").decode()))
    ),
    "base64 without its padding": forged(lambda a: envelope(a).update(payload="YWI")),
    "white space": respelled(lambda data: data + b"\n"),
    "a key twice": respelled(lambda data: data.replace(b"{", b'{"mediaType":"x",', 1)),
    "a key in capitals": respelled(lambda data: data.replace(b'"mediaType"', b'"MediaType"', 1)),
    "a lone surrogate": respelled(lambda data: data.replace(b'"keyid":"', b'"keyid":"\\ud800', 1)),
    "nested deeply": respelled(lambda _: b'{"a":' * 100_000),
}
"""Not what an attestation is made of, whoever signed it."""

DECISIONS: dict[str, Callable[[Kit], bytes]] = {
    "by the builder": lambda kit: attest(decision_statement(go_decision(of(kit.content))), kit.builder).to_bytes(),
    "by a stranger": lambda kit: attest(decision_statement(go_decision(of(kit.content))), kit.stranger).to_bytes(),
    "by nobody": lambda kit: go_decision(of(kit.content)).to_bytes(),
    "with another subject": lambda kit: attest(
        decision_statement(go_decision(of(kit.content)), digest="sha256:" + "0" * 64), kit.approver
    ).to_bytes(),
    "of another type": lambda kit: attest(
        decision_statement(go_decision(of(kit.content)), kind=DECISION_TYPE + "x"), kit.approver
    ).to_bytes(),
    "a release by the approver": lambda kit: attest(release(kit.content), kit.approver).to_bytes(),
    "about another bundle": lambda kit: attest(
        decision_statement(go_decision(BundleRef(name=NAME, version=VERSION, digest="sha256:" + "9" * 64))),
        kit.approver,
    ).to_bytes(),
    "for another channel": lambda kit: attest(
        decision_statement(go_decision(of(kit.content), channel="tiny/staging")), kit.approver
    ).to_bytes(),
    "that has expired": lambda kit: attest(
        decision_statement(go_decision(of(kit.content), issued="2026-10-30T00:00:00Z", expires="2026-10-31T00:00:00Z")),
        kit.approver,
    ).to_bytes(),
    "from the future": lambda kit: attest(
        decision_statement(go_decision(of(kit.content), issued="2026-12-01T00:00:00Z", expires="2026-12-02T00:00:00Z")),
        kit.approver,
    ).to_bytes(),
    "that never expires": lambda kit: attest(
        decision_statement(go_decision(of(kit.content), issued="2026-10-30T00:00:00Z", expires="2999-01-01T00:00:00Z")),
        kit.approver,
    ).to_bytes(),
    "that says no": lambda kit: attest(
        decision_statement(go_decision(of(kit.content), outcome="no-go")), kit.approver
    ).to_bytes(),
}
"""No go by an approver, about this bundle, for this channel, now."""


def turned(kit: Kit) -> bytes:
    """A go over a finding that failed, signed by an approver."""
    statement = decision_statement(go_decision(of(kit.content), outcome="no-go"))
    predicate = {**statement.predicate, "outcome": "go"}
    return attest(statement.model_copy(update={"predicate": predicate}), kit.approver).to_bytes()


def larger(kit: Kit) -> bytes:
    """A go with a field that no decision has, signed by an approver."""
    statement = decision_statement(go_decision(of(kit.content)))
    predicate = {**statement.predicate, "override": True}
    return attest(statement.model_copy(update={"predicate": predicate}), kit.approver).to_bytes()


NO_DECISIONS: dict[str, Callable[[Kit], bytes]] = {
    "go over a finding that failed": turned,
    "with an unknown field": larger,
    "that is cut short": lambda kit: attest(decision_statement(go_decision(of(kit.content))), kit.approver).to_bytes()[
        :-1
    ],
}
"""Signed or not, no decision."""
