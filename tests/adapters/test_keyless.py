"""Attestations by an identity: sigstore's own verifier over a pinned root, and nothing believed that it refuses."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from sigstore.models import Bundle, ClientTrustConfig, TrustedRoot
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity as IdentityPolicy
from sigstore_models.trustroot.v1 import TrustedRoot as TrustedRootModel

from candidate.adapters import keyless
from candidate.adapters.attest import (
    Signer,
    attest,
    check,
    signers_of,
    unverified_signer,
    unverified_statement,
)
from candidate.adapters.oci import release_statement
from candidate.adapters.signers import keyless_signer
from candidate.adapters.trust import read_trust, standing_keys
from candidate.canonical import canonical
from candidate.documents.identity import Identified, party_id
from candidate.documents.statement import Attestation
from candidate.errors import CandidateError, InputError, IntegrityError, RefusedError, UnavailableError
from tests.sigstores import ISSUER, SHIP, Authority, Clock, LocalSigstore, Log, Tiles, identity_token

STATEMENT = release_statement("tiny", "1.0.0", "sha256:" + "a" * 64)
PAYLOAD = STATEMENT.to_bytes()
OTHER = release_statement("tiny", "2.0.0", "sha256:" + "b" * 64).to_bytes()


@pytest.fixture(scope="module")
def local() -> LocalSigstore:
    """A sigstore of our own."""
    return LocalSigstore()


@pytest.fixture(scope="module")
def ship(local: LocalSigstore) -> Identified:
    """The workflow that is trusted, under that sigstore's root."""
    return Identified(ISSUER, SHIP, local.root)


@pytest.fixture(scope="module")
def signed(local: LocalSigstore) -> bytes:
    """The statement, signed by the workflow."""
    return attest(STATEMENT, local.signer()).to_bytes()


def test_a_statement_signed_by_an_identity_comes_back_with_it(signed: bytes, ship: Identified) -> None:
    """The very bytes, whose identity, and an id that a threshold can count."""
    attested = check(signed, [ship])

    assert attested.said.to_bytes() == PAYLOAD
    assert (attested.identity, attested.key_id, attested.signer) == (ship, party_id(ship), SHIP)


def test_it_is_a_sigstore_bundle_to_others_and_canonical_to_us(signed: bytes, local: LocalSigstore) -> None:
    """One file: our document reads it back byte for byte, and sigstore's library verifies it by itself."""
    verifier = Verifier(trusted_root=TrustedRoot(TrustedRootModel.from_json(local.root)))
    policy = IdentityPolicy(identity=SHIP, issuer=ISSUER)

    assert Attestation.from_bytes(signed).to_bytes() == signed == canonical(json.loads(signed))
    assert verifier.verify_dsse(Bundle.from_json(signed), policy) == ("application/vnd.in-toto+json", PAYLOAD)


def test_what_an_attestation_says_of_its_signer_can_be_shown(signed: bytes, builder: Signer, ship: Identified) -> None:
    """Unchecked, for people to read: the identity's id, or the key's."""
    assert unverified_signer(signed) == ship.id
    assert unverified_signer(attest(STATEMENT, builder).to_bytes()) == builder.key_id
    assert unverified_statement(signed) == STATEMENT


@pytest.mark.parametrize(
    "identity",
    [
        (ISSUER + "/", SHIP),
        ("https://accounts.example.com", SHIP),
        (ISSUER, SHIP + "x"),
        (ISSUER, SHIP.removesuffix("main")),
        (ISSUER, SHIP.replace("org/repo", "org/*")),
        (ISSUER, SHIP.upper()),
    ],
    ids=["issuer with a slash", "another issuer", "longer", "shorter", "star", "capitals"],
)
def test_issuer_and_subject_are_compared_whole(
    identity: tuple[str, str], signed: bytes, local: LocalSigstore, ship: Identified
) -> None:
    """No prefix, no pattern, no folding of case."""
    with pytest.raises(RefusedError, match="not by a trusted identity"):
        check(signed, [Identified(*identity, local.root)])
    assert check(signed, [Identified(*identity, local.root), ship]).identity == ship


def test_a_certificate_is_never_held_against_a_key(signed: bytes, builder: Signer) -> None:
    """Whoever trusts keys alone trusts no certificate, and an identity answers for no key."""
    with pytest.raises(RefusedError, match="not by a trusted key"):
        check(signed, [builder.public_pem])
    with pytest.raises(RefusedError, match="not by a trusted one"):
        check(attest(STATEMENT, builder).to_bytes(), [Identified(ISSUER, SHIP, "{}")])


def test_another_sigstore_certifies_nobody(ship: Identified) -> None:
    """The same name by an authority of somebody's own is not the same identity."""
    with pytest.raises(RefusedError, match="signature does not match"):
        check(LocalSigstore().seal(PAYLOAD), [ship])


def test_every_part_of_a_root_is_needed(local: LocalSigstore, ship: Identified) -> None:
    """A log of signatures or of certificates of somebody's own is as good as none, whoever certified."""
    other_log = LocalSigstore(local.authority, Log())
    other_certificate_log = LocalSigstore(Authority(local.authority.key), local.log)

    with pytest.raises(RefusedError, match="invalid log entry: checkpoint"):
        check(other_log.seal(PAYLOAD), [ship])
    with pytest.raises(RefusedError, match="failed to verify SCT"):
        check(other_certificate_log.seal(PAYLOAD), [ship])


def test_a_certificate_signs_only_while_it_is_valid(local: LocalSigstore, ship: Identified) -> None:
    """The log's time counts, not ours: logged after its ten minutes, it was anybody with the key."""
    late, early = LocalSigstore(local.authority, Log()), LocalSigstore(local.authority, Log())
    late.log.key = early.log.key = local.log.key
    late.log.delay, early.log.delay = timedelta(minutes=11), timedelta(minutes=-11)

    for sigstore in (late, early):
        with pytest.raises(RefusedError, match="cert is not valid at validation time"):
            check(sigstore.seal(PAYLOAD), [ship])


@pytest.mark.parametrize("kind", [Log, Tiles])
def test_both_kinds_of_log_are_read_with_time_stamps(kind: type[Log]) -> None:
    """Rekor v1 with a stamp beside its promise, as the public sigstore does it; v2, whose entries have no time."""
    local = LocalSigstore(log=kind(), clock=Clock())
    data = attest(STATEMENT, local.signer()).to_bytes()
    material = json.loads(data)["verificationMaterial"]

    assert len(material["timestampVerificationData"]["rfc3161Timestamps"]) == 1
    assert ("integratedTime" in material["tlogEntries"][0]) == (kind is Log)
    assert check(data, [Identified(ISSUER, SHIP, local.root)]).said.to_bytes() == PAYLOAD


@pytest.mark.parametrize("minutes", [11, -11])
def test_without_a_time_in_the_log_the_stamps_time_counts(minutes: int) -> None:
    """A stamp outside of the certificate's ten minutes, one by another clock, or none at all."""
    local = LocalSigstore(log=Tiles(), clock=Clock())
    assert local.clock is not None
    parties = [Identified(ISSUER, SHIP, local.root)]
    good = local.seal(PAYLOAD)
    local.clock.delay = timedelta(minutes=minutes)
    with pytest.raises(RefusedError, match="cert is not valid at validation time"):
        check(local.seal(PAYLOAD), parties)

    strange = LocalSigstore(local.authority, local.log, Clock())
    with pytest.raises(RefusedError, match="not enough sources of verified time"):
        check(strange.seal(PAYLOAD), parties)
    with pytest.raises(RefusedError, match="inclusion promise or signed timestamp"):
        check(spoiled(good, lambda v: v["verificationMaterial"].pop("timestampVerificationData")), parties)
    assert check(good, parties).signer == SHIP


def test_an_old_attestation_stays_good() -> None:
    """A certificate that has long ended was valid when it signed, and the log says when that was."""
    old = LocalSigstore(Authority(starts=timedelta(days=-30)))
    old.log.delay = timedelta(days=-30, minutes=5)

    assert check(old.seal(PAYLOAD), [Identified(ISSUER, SHIP, old.root)]).signer == SHIP


def spoiled(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The attestation with something else in one place, canonical again."""
    value = json.loads(data)
    change(value)
    return canonical(value)


def entry_of(value: dict[str, Any]) -> dict[str, Any]:
    """The log entry of an attestation."""
    entry: dict[str, Any] = value["verificationMaterial"]["tlogEntries"][0]
    return entry


def flip(text: str) -> str:
    """Base64 of the same bytes, but for one bit in the middle."""
    data = bytearray(base64.b64decode(text))
    data[len(data) // 2] ^= 1
    return base64.b64encode(data).decode()


def flipped(path: str) -> Callable[[dict[str, Any]], None]:
    """A change of one bit at this place."""

    def change(value: dict[str, Any]) -> None:
        *way, last = path.split("/")
        home: Any = value
        for key in way:
            home = home[int(key) if key.isdigit() else key]
        home[last] = flip(home[last])

    return change


ENTRY = "verificationMaterial/tlogEntries/0"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("dsseEnvelope/signatures/0/sig", "DSSE: invalid signature"),
        (f"{ENTRY}/canonicalizedBody", "invalid root hash"),
        (f"{ENTRY}/inclusionPromise/signedEntryTimestamp", "invalid inclusion promise"),
        (f"{ENTRY}/inclusionProof/rootHash", "invalid root hash"),
    ],
    ids=["signature", "body", "promise", "root"],
)
def test_one_bit_changed_is_noticed(path: str, why: str, signed: bytes, ship: Identified) -> None:
    """In the signature, in what was logged, in the log's promise, in its proof."""
    with pytest.raises(RefusedError, match=why):
        check(spoiled(signed, flipped(path)), [ship])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda v: v["dsseEnvelope"].update(payload=base64.b64encode(OTHER).decode()), "DSSE: invalid signature"),
        (lambda v: entry_of(v).update(logIndex="2"), "invalid inclusion promise"),
        (
            lambda v: entry_of(v).update(integratedTime=str(int(entry_of(v)["integratedTime"]) + 1)),
            "invalid inclusion promise",
        ),
        (lambda v: entry_of(v).pop("integratedTime"), "not enough sources of verified time"),
        (lambda v: entry_of(v).pop("inclusionPromise"), "must contain an inclusion promise"),
        (lambda v: entry_of(v)["kindVersion"].update(kind="hashedrekord"), "Unsupported DSSE log entry"),
        (lambda v: entry_of(v)["kindVersion"].update(version="0.0.2"), "only supported for"),
        (lambda v: entry_of(v)["inclusionProof"].update(hashes=[]), "has wrong size"),
        (lambda v: entry_of(v)["inclusionProof"].update(logIndex="0"), "invalid root hash"),
        (lambda v: entry_of(v)["inclusionProof"].update(treeSize="1"), "inclusionProof"),
        (
            lambda v: entry_of(v)["inclusionProof"]["checkpoint"].update(envelope="log.test - 1\n2\n\n"),
            "malformed Note",
        ),
        (lambda v: entry_of(v)["logId"].update(keyId=flip(entry_of(v)["logId"]["keyId"])), "invalid inclusion promise"),
        (lambda v: entry_of(v).update(logIndex="9" * 19), "sigstore does not accept it"),
        (lambda v: entry_of(v).update(integratedTime="9" * 19), "sigstore does not accept it"),
    ],
    ids=[
        "payload",
        "index",
        "time",
        "no time",
        "no promise",
        "kind",
        "version",
        "no path",
        "other leaf",
        "smaller tree",
        "checkpoint",
        "log",
        "huge index",
        "huge time",
    ],
)
def test_what_the_log_did_not_say_is_noticed(
    change: Callable[[dict[str, Any]], object], why: str, signed: bytes, ship: Identified
) -> None:
    """Well formed, but not what was signed and logged; whatever sigstore's library raises, the answer is refused."""
    with pytest.raises(RefusedError, match=why):
        check(spoiled(signed, change), [ship])


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v["verificationMaterial"].update(publicKey={"hint": "0" * 64}),
        lambda v: v["verificationMaterial"].update(tlogEntries=[]),
        lambda v: v["verificationMaterial"].pop("tlogEntries"),
        lambda v: v["verificationMaterial"]["tlogEntries"].append(entry_of(v)),
        lambda v: v["verificationMaterial"].update(x509CertificateChain={"certificates": []}),
        lambda v: v["verificationMaterial"]["certificate"].update(rawBytes="A" * 65540),
        lambda v: v["verificationMaterial"]["certificate"].update(rawBytes="AAAB"),
        lambda v: v["verificationMaterial"]["certificate"].update(rawBytes="AB=="),
        lambda v: v["dsseEnvelope"]["signatures"][0].update(keyid="0" * 64),
        lambda v: v["dsseEnvelope"]["signatures"].append(v["dsseEnvelope"]["signatures"][0]),
        lambda v: v["dsseEnvelope"].update(payloadType="text/plain"),
        lambda v: entry_of(v).update(extra=1),
        lambda v: entry_of(v).update(logIndex=1),
        lambda v: entry_of(v).update(logIndex="-1"),
        lambda v: entry_of(v).update(integratedTime=None),
        lambda v: entry_of(v).pop("inclusionProof"),
        lambda v: entry_of(v)["inclusionProof"].pop("checkpoint"),
        lambda v: entry_of(v)["inclusionProof"].update(hashes=["A" * 43 + "="] * 65),
        lambda v: v["verificationMaterial"].update(
            timestampVerificationData={"rfc3161Timestamps": [{"signedTimestamp": "AAAA"}] * 5}
        ),
    ],
    ids=[
        "hint too",
        "no entry",
        "no entries",
        "two entries",
        "chain too",
        "huge certificate",
        "no certificate",
        "base64 twofold",
        "key id",
        "two signatures",
        "type",
        "more",
        "number",
        "negative",
        "null",
        "no proof",
        "no checkpoint",
        "long path",
        "many times",
    ],
)
def test_only_the_one_form_is_read(change: Callable[[dict[str, Any]], object], signed: bytes, ship: Identified) -> None:
    """Either a key's hint or a certificate, bounded, closed: anything else is malformed, for whomever."""
    for parties in ([ship], []):
        with pytest.raises(IntegrityError):
            check(spoiled(signed, change), parties)


def test_a_certificate_for_two_subjects_is_for_nobody(local: LocalSigstore, ship: Identified) -> None:
    """Counted by identity, one certificate must not be two."""
    two = LocalSigstore(Authority(more_subjects=("https://example.com/other",)), local.log)

    with pytest.raises(IntegrityError, match="names 2 subjects"):
        check(two.seal(PAYLOAD), [ship])
    with pytest.raises(IntegrityError, match="names 2 subjects"):
        two.signer()


def test_an_unknown_time_stamp_is_refused(signed: bytes, ship: Identified) -> None:
    """A stamp by an authority that the root does not have, or none at all, adds nothing."""
    stamps = {"rfc3161Timestamps": [{"signedTimestamp": "AAAA"}]}

    with pytest.raises(RefusedError, match="Invalid Timestamp"):
        check(spoiled(signed, lambda v: v["verificationMaterial"].update(timestampVerificationData=stamps)), [ship])


def test_an_empty_key_id_is_none(signed: bytes, ship: Identified) -> None:
    """Other tools write the field."""
    data = spoiled(signed, lambda v: v["dsseEnvelope"]["signatures"][0].update(keyid=""))

    assert check(data, [ship]).said.to_bytes() == PAYLOAD


def test_the_payloads_kind_is_asked_for(signed: bytes, ship: Identified, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sigstore leaves the payload's type to its caller; the form refuses another one before, and this after."""
    monkeypatch.setattr(Verifier, "verify_dsse", lambda *_: ("text/plain", PAYLOAD))

    with pytest.raises(RefusedError, match="signed, but as 'text/plain'"):
        check(signed, [ship])


def test_what_is_used_is_what_sigstore_verified(
    signed: bytes, ship: Identified, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes that came back, never those that were read beside them."""
    monkeypatch.setattr(Verifier, "verify_dsse", lambda *_: ("application/vnd.in-toto+json", OTHER))

    assert check(signed, [ship]).said.to_bytes() == OTHER


@pytest.mark.parametrize("root", ["{}", "", "[]", '{"mediaType":"x"}'])
def test_a_root_that_is_none_is_the_policys_mistake(root: str, signed: bytes) -> None:
    """Not the attestation's."""
    with pytest.raises(InputError, match="trusted root cannot be used"):
        check(signed, [Identified(ISSUER, SHIP, root)])


def test_the_public_sigstores_own_roots_are_read(signed: bytes, tmp_path: Path) -> None:
    """Those that the library brings; under them our own sigstore certifies nobody."""
    roots = sorted(resources.files("sigstore").joinpath("_store").iterdir(), key=str)
    found = [each.joinpath("trusted_root.json") for each in roots if each.is_dir() and "sig" in each.name]
    for number, file in enumerate(found):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "trusted_root.json").write_bytes(file.read_bytes())
        (folder / "trust.toml").write_text(
            f'[roles.builder]\nidentities = [{{ issuer = "{ISSUER}", subject = "{SHIP}" }}]\n'
            '[sigstore]\ntrusted_root = "trusted_root.json"\n'
        )
        with pytest.raises(RefusedError, match="failed to build timestamp certificate chain"):
            check(signed, standing_keys(read_trust(folder / "trust.toml"), "builder"))
    assert len(found) == 2


def test_without_sigstore_a_trusted_identity_cannot_be_checked(
    signed: bytes, ship: Identified, builder: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what to install; everything that needs no sigstore works."""
    keyless._verifier.cache_clear()
    monkeypatch.setitem(sys.modules, "sigstore.models", None)

    with pytest.raises(UnavailableError) as caught:
        check(signed, [ship])
    assert "candidate[keyless]" in caught.value.hint
    with pytest.raises(RefusedError):
        check(signed, [builder.public_pem])
    with pytest.raises(UnavailableError, match="not installed"):
        keyless_signer(identity_token(SHIP))


def test_sigstore_is_imported_only_for_a_trusted_identity(signed: bytes, local: LocalSigstore) -> None:
    """It takes a second or two, which whoever trusts keys never waits for."""
    code = f"""
import sys
from candidate.adapters.attest import check
from candidate.documents.identity import Identified
from candidate.errors import RefusedError
data, root = bytes.fromhex({signed.hex()!r}), {local.root!r}
for parties in ([], [Identified({ISSUER!r}, "https://example.com/other", root)]):
    try:
        check(data, parties)
    except RefusedError:
        print(sum(name in sys.modules for name in ("sigstore", "pydantic")))
check(data, [Identified({ISSUER!r}, {SHIP!r}, root)])
print("sigstore" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.split() == ["0", "0", "True"]


def test_two_signings_differ_and_both_hold(local: LocalSigstore, signed: bytes, ship: Identified) -> None:
    """A fresh key each time."""
    again = attest(STATEMENT, local.signer()).to_bytes()

    assert again != signed
    assert check(again, [ship]).said.to_bytes() == check(signed, [ship]).said.to_bytes()


def test_a_signer_by_identity_is_known_before_it_signs(local: LocalSigstore) -> None:
    """Its id is the certificate's identity; it has no key, and signs statements alone."""
    signer, mail = local.signer(), local.signer("https://example.com/other")

    assert signer.key_id == Identified(ISSUER, SHIP).id != mail.key_id
    assert signers_of([signer, mail]) == (signer, mail)
    with pytest.raises(InputError, match="given twice"):
        signers_of([signer, local.signer()])
    with pytest.raises(InputError, match="signs statements"):
        signer.sign(b"anything")


def test_a_certificate_that_ends_is_renewed(local: LocalSigstore) -> None:
    """A comparison may take hours between the first look at the signer and its signature."""
    brief = LocalSigstore(Authority(lasts=timedelta(seconds=30)), local.log)
    sealer = keyless.Sealer(brief.service, identity_token(SHIP))
    before = sealer._ends
    brief.authority.lasts = timedelta(minutes=10)

    data = sealer.seal(PAYLOAD)
    assert sealer._ends > before
    assert check(data, [Identified(ISSUER, SHIP, brief.root)]).signer == SHIP


def test_a_renewed_certificate_must_be_for_the_same_identity(local: LocalSigstore) -> None:
    """Who signs was said before."""
    sealer = keyless.Sealer(
        LocalSigstore(Authority(lasts=timedelta(seconds=30)), local.log).service, identity_token(SHIP)
    )
    sealer._token = identity_token("https://example.com/other")

    with pytest.raises(RefusedError, match="identity changed"):
        sealer.seal(PAYLOAD)


def test_what_was_made_is_verified_before_it_is_used(local: LocalSigstore) -> None:
    """A log that is not the root's, or whose clock is off, is noticed by who signs."""
    strange = LocalSigstore(local.authority, Log())
    late = LocalSigstore(local.authority, Log())
    late.log.delay = timedelta(hours=1)
    service = keyless.Service(strange.service.context, local.service.trusted_root)

    for signer in (keyless_signer(identity_token(SHIP), service=service), late.signer()):
        with pytest.raises(RefusedError, match="does not verify"):
            attest(STATEMENT, signer)


def test_a_payload_that_was_exchanged_is_not_used(local: LocalSigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was signed must be what was to be signed."""
    signer = local.signer()
    monkeypatch.setattr(Verifier, "verify_dsse", lambda *_: ("application/vnd.in-toto+json", OTHER))

    with pytest.raises(RefusedError, match="something else"):
        attest(STATEMENT, signer)


@pytest.mark.parametrize("what", ["authority", "log"])
def test_a_service_that_fails_is_unavailable(what: str, local: LocalSigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its client raises."""

    def fails(*_: object) -> None:
        raise OSError("connection refused")

    signer = local.signer()
    if what == "log":
        monkeypatch.setattr(Log, "create_entry", fails)
        with pytest.raises(UnavailableError, match="not signed: connection refused"):
            attest(STATEMENT, signer)
    else:
        monkeypatch.setattr(Authority, "post", fails)
        with pytest.raises(UnavailableError, match="no certificate: connection refused"):
            local.signer()


@pytest.mark.parametrize(
    "token",
    ["", "no token", identity_token(SHIP, lasts=timedelta(minutes=-10))],
    ids=["empty", "none", "expired"],
)
def test_a_token_that_cannot_be_used_is_said(token: str, local: LocalSigstore) -> None:
    """And never repeated in the message."""
    with pytest.raises(InputError, match="identity token cannot be used") as caught:
        keyless_signer(token, service=local.service)
    assert not token or token not in str(caught.value)


def test_without_a_token_the_environment_is_asked_and_nobody_else(
    local: LocalSigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint says what CI must allow; what it offers is taken."""
    monkeypatch.setattr("sigstore.oidc.detect_credential", lambda: None)
    with pytest.raises(InputError, match="no identity") as caught:
        keyless_signer(service=local.service)
    assert "id-token: write" in caught.value.hint

    monkeypatch.setattr("sigstore.oidc.detect_credential", lambda: identity_token(SHIP))
    assert keyless_signer(service=local.service).key_id == Identified(ISSUER, SHIP).id


def test_an_environment_whose_offer_fails_is_unavailable(local: LocalSigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when CI has the variables but its service does not answer."""

    def fails() -> str:
        raise OSError("no answer")

    monkeypatch.setattr("sigstore.oidc.detect_credential", fails)
    with pytest.raises(UnavailableError, match="no answer"):
        keyless_signer(service=local.service)


def test_another_sigstore_is_named_by_its_configuration(local: LocalSigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client trust configuration, which holds root and services; nothing is contacted until something is signed."""
    since = {"start": "2026-01-01T00:00:00Z"}

    def at(url: str) -> list[dict[str, object]]:
        return [{"url": url, "majorApiVersion": 1, "validFor": since, "operator": "test"}]

    config = {
        "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
        "trustedRoot": json.loads(local.root),
        "signingConfig": {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": at("https://authority.test"),
            "rekorTlogUrls": at("https://log.test"),
            "rekorTlogConfig": {"selector": "ANY"},
        },
    }
    service = keyless.service(json.dumps(config))

    assert service.trusted_root._inner == local.service.trusted_root._inner
    public = ClientTrustConfig.from_json(json.dumps(config))
    monkeypatch.setattr(ClientTrustConfig, "production", lambda: public)  # which would ask the network
    assert keyless.service().trusted_root._inner == local.service.trusted_root._inner
    for wrong in ("", "{}", json.dumps({**config, "signingConfig": {}})):
        with pytest.raises(InputError, match="configuration cannot be used"):
            keyless.service(wrong)


def test_the_public_sigstores_root_may_be_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is signed then."""

    def fails() -> None:
        raise OSError("no network")

    monkeypatch.setattr("sigstore.models.ClientTrustConfig.production", fails)
    with pytest.raises(UnavailableError, match="root cannot be fetched: no network") as caught:
        keyless_signer(identity_token(SHIP))
    assert isinstance(caught.value, CandidateError)


def test_what_a_certificate_must_hold_to_name_somebody(local: LocalSigstore) -> None:
    """The authority's own certificate names nobody; rubbish neither."""
    from cryptography.hazmat.primitives.serialization import Encoding

    for data in (b"", b"rubbish", local.authority.certificate.public_bytes(Encoding.DER)):
        with pytest.raises(IntegrityError, match="names no identity"):
            keyless.claimed(data, where="x")
