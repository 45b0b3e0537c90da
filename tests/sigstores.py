"""A sigstore of our own, whole but for the network: an authority, its log of certificates, and a log of signatures.

It is made to the formats themselves (RFC 6962 for both logs' trees and the certificates' timestamps, Rekor's entries of
both versions and its notes, RFC 3161 for time stamps, Fulcio's certificate profile), and sigstore-python's own verifier
judges whether they are right.
"""

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from asn1crypto import algos, cms, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from rfc3161_client import TimeStampResponse, decode_timestamp_response
from sigstore import dsse
from sigstore._internal.fulcio.client import FulcioCertificateSigningResponse
from sigstore._internal.rekor import EntryRequestBody, RekorLogSubmitter
from sigstore._internal.rekor.client import RekorClient
from sigstore._internal.rekor.client_v2 import RekorV2Client
from sigstore.hashes import Hashed
from sigstore.models import TransparencyLogEntry, TrustedRoot
from sigstore.oidc import IdentityToken
from sigstore.sign import Signer as SigstoreSigner
from sigstore.sign import SigningContext
from sigstore_models.rekor.v1 import TransparencyLogEntry as EntryModel
from sigstore_models.trustroot.v1 import TrustedRoot as TrustedRootModel

from candidate.adapters.attest import Signer
from candidate.adapters.keyless import Service
from candidate.adapters.signers import keyless_signer
from candidate.canonical import canonical
from candidate.documents.trust import Identity, Sigstore

ISSUER = "https://token.actions.githubusercontent.com"
SHIP = "https://github.com/org/repo/.github/workflows/ship.yml@refs/heads/main"
_START = datetime(2026, 1, 1, tzinfo=UTC)
_ISSUER_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_SCT_OID = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


def b64(data: bytes) -> str:
    """Base64 as JSON carries it."""
    return base64.b64encode(data).decode("ascii")


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The DER of the public half."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def log_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    """What a log is called by."""
    return hashlib.sha256(spki(key)).digest()


def fresh() -> ec.EllipticCurvePrivateKey:
    """A new P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def signature(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """ECDSA over SHA-256."""
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def identity_token(subject: str, issuer: str = ISSUER, *, lasts: timedelta = timedelta(minutes=10)) -> str:
    """An OIDC token whose signature nobody checks, as only the authority would."""
    now = int(datetime.now(UTC).timestamp())
    ends = now + int(lasts.total_seconds())
    claims = {"iss": issuer, "sub": subject, "aud": "sigstore", "iat": now, "exp": ends}
    parts = ({"alg": "RS256", "typ": "JWT"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2ln"])


def der_octets(data: bytes) -> bytes:
    """A DER OCTET STRING of less than 64 KiB."""
    size = len(data)
    head = bytes([size]) if size < 128 else b"\x81" + bytes([size]) if size < 256 else b"\x82" + size.to_bytes(2, "big")
    return b"\x04" + head + data


@dataclass
class Authority:
    """Fulcio: certifies for ten minutes that a key is a subject's, and logs that it did."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=fresh)
    log: ec.EllipticCurvePrivateKey = field(default_factory=fresh)
    starts: timedelta = timedelta()
    """When a certificate begins, from now."""
    lasts: timedelta = timedelta(minutes=10)
    more_subjects: tuple[str, ...] = ()
    """Further names in every certificate, which the real authority never gives."""

    def __post_init__(self) -> None:
        """Certify itself."""
        self.name = x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "test"), x509.NameAttribute(NameOID.COMMON_NAME, "root")]
        )
        public = self.key.public_key()
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(self.name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(_START)
            .not_valid_after(_START + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage(certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    @property
    def signing_cert(self) -> "Authority":
        """The endpoint, as sigstore's client has it."""
        return self

    def post(self, request: x509.CertificateSigningRequest, token: IdentityToken) -> FulcioCertificateSigningResponse:
        """A certificate for the token's subject, with the log's timestamp in it."""
        now = datetime.now(UTC).replace(microsecond=0) + self.starts
        uris = [x509.UniformResourceIdentifier(name) for name in (token.identity, *self.more_subjects)]
        public = cast("ec.EllipticCurvePublicKey", request.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(seconds=5))
            .not_valid_after(now + self.lasts)
            .add_extension(usage(certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .add_extension(x509.SubjectAlternativeName(uris), critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_OID, token.issuer.encode()), critical=False)
        )
        unlogged = builder.sign(self.key, hashes.SHA256()).tbs_certificate_bytes
        stamp = der_octets(self._timestamps(unlogged, int(now.timestamp() * 1000)))
        whole = builder.add_extension(x509.UnrecognizedExtension(_SCT_OID, stamp), critical=False)
        return FulcioCertificateSigningResponse(whole.sign(self.key, hashes.SHA256()), [self.certificate])

    def _timestamps(self, unlogged: bytes, milliseconds: int) -> bytes:
        """RFC 6962's SignedCertificateTimestampList of one, over a precertificate."""
        issuer = hashlib.sha256(spki(self.key)).digest()
        entry = issuer + len(unlogged).to_bytes(3, "big") + unlogged
        signed = signature(self.log, struct.pack("!BBQH", 0, 0, milliseconds, 1) + entry + b"\0\0")
        one = b"\0" + log_id(self.log) + struct.pack("!QHBBH", milliseconds, 0, 4, 3, len(signed)) + signed
        listed = struct.pack("!H", len(one)) + one
        return struct.pack("!H", len(listed)) + listed


def usage(*, certificates: bool) -> x509.KeyUsage:
    """To sign certificates, or anything else."""
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


class Log(RekorLogSubmitter):
    """Rekor v1: a tree of two leaves, the second of which is what was last submitted."""

    def __init__(self) -> None:
        self.key = fresh()
        self.delay = timedelta()
        """How long after now an entry is said to have come in."""

    def create_entry(self, request: EntryRequestBody) -> TransparencyLogEntry:
        """The entry of a DSSE envelope, with promise, proof and checkpoint."""
        proposed = request["spec"]["proposedContent"]
        envelope = json.loads(proposed["envelope"])
        body = canonical(
            {
                "apiVersion": "0.0.1",
                "kind": "dsse",
                "spec": {
                    "envelopeHash": _hash(proposed["envelope"].encode()),
                    "payloadHash": _hash(base64.b64decode(envelope["payload"])),
                    "signatures": [
                        {"signature": each["sig"], "verifier": proposed["verifiers"][0]}
                        for each in envelope["signatures"]
                    ],
                },
            }
        )
        other, root, checkpoint = self._grown(body)
        seconds = int((datetime.now(UTC) + self.delay).timestamp())
        promised = {"body": b64(body), "integratedTime": seconds, "logID": log_id(self.key).hex(), "logIndex": 1}
        return TransparencyLogEntry._from_v1_response(
            {
                "0" * 64: {
                    **promised,
                    "verification": {
                        "signedEntryTimestamp": b64(signature(self.key, canonical(promised))),
                        "inclusionProof": {
                            "logIndex": 1,
                            "treeSize": 2,
                            "rootHash": root.hex(),
                            "hashes": [other.hex()],
                            "checkpoint": checkpoint,
                        },
                    },
                }
            }
        )

    def _grown(self, body: bytes) -> tuple[bytes, bytes, str]:
        """The other leaf of a tree with this entry, its root, and a checkpoint of it."""
        other = hashlib.sha256(b"\0an older entry").digest()
        root = hashlib.sha256(b"\1" + other + hashlib.sha256(b"\0" + body).digest()).digest()
        note = f"log.test - 1\n2\n{b64(root)}\n"
        mark = b64(log_id(self.key)[:4] + signature(self.key, note.encode()))
        return other, root, f"{note}\n\u2014 log.test {mark}\n"

    def _build_dsse_request(  # type: ignore[override]  # the real one is no class method either
        self, envelope: dsse.Envelope, certificate: x509.Certificate
    ) -> EntryRequestBody:
        return RekorClient._build_dsse_request(cast("Any", None), envelope, certificate)

    def _build_hashed_rekord_request(  # type: ignore[override]  # the same
        self, hashed_input: Hashed, signature: bytes, certificate: x509.Certificate
    ) -> EntryRequestBody:
        raise NotImplementedError


class Tiles(Log):
    """Rekor v2: it says that an entry is there, and leaves it to others to say since when."""

    def create_entry(self, request: EntryRequestBody) -> TransparencyLogEntry:
        """The entry of a signature over an envelope's encoding."""
        asked = request["hashedRekordRequestV002"]
        data = {"algorithm": "SHA2_256", "digest": asked["digest"]}
        spec = {"hashedRekordV002": {"data": data, "signature": asked["signature"]}}
        body = canonical({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": spec})
        other, root, checkpoint = self._grown(body)
        proof = {
            "logIndex": "1",
            "treeSize": "2",
            "rootHash": b64(root),
            "hashes": [b64(other)],
            "checkpoint": {"envelope": checkpoint},
        }
        entry = {
            "logIndex": "1",
            "logId": {"keyId": b64(log_id(self.key))},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
            "inclusionProof": proof,
            "canonicalizedBody": b64(body),
        }
        return TransparencyLogEntry(EntryModel.from_dict(entry))

    def _build_dsse_request(  # type: ignore[override]  # as above
        self, envelope: dsse.Envelope, certificate: x509.Certificate
    ) -> EntryRequestBody:
        return RekorV2Client._build_dsse_request(envelope, certificate)


class Clock:
    """A time-stamping authority (RFC 3161)."""

    url = "https://clock.test"

    def __init__(self) -> None:
        self.authority = Authority()
        self.key = fresh()
        self.delay = timedelta()
        """How long after now it says that it is."""
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "clock")]))
            .issuer_name(self.authority.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_START)
            .not_valid_after(_START + timedelta(days=3650))
            .add_extension(usage(certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.authority.key.public_key()), critical=False
            )
            .sign(self.authority.key, hashes.SHA256())
        )

    def request_timestamp(self, data: bytes) -> TimeStampResponse:
        """That these bytes were there now."""
        sha256 = algos.DigestAlgorithm({"algorithm": "sha256"})
        moment = (datetime.now(UTC) + self.delay).replace(microsecond=0)
        imprint = {
            "hash_algorithm": {"algorithm": "sha256"},
            "hashed_message": hashlib.sha256(data).digest(),
        }
        info = tsp.TSTInfo(
            {"version": "v1", "policy": "1.2.3", "message_imprint": imprint, "serial_number": 1, "gen_time": moment}
        ).dump()
        own = asn1_x509.Certificate.load(self.certificate.public_bytes(Encoding.DER))
        signed = cms.CMSAttributes(
            [
                cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
                cms.CMSAttribute({"type": "message_digest", "values": [hashlib.sha256(info).digest()]}),
            ]
        )
        signer = cms.SignerInfo(
            {
                "version": "v1",
                "sid": cms.IssuerAndSerialNumber({"issuer": own.issuer, "serial_number": own.serial_number}),
                "digest_algorithm": sha256,
                "signed_attrs": signed,
                "signature_algorithm": {"algorithm": "sha256_ecdsa"},
                "signature": signature(self.key, signed.untag().dump()),
            }
        )
        token = cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [sha256],
                "encap_content_info": {"content_type": "tst_info", "content": cms.ParsableOctetString(info)},
                "certificates": [own],
                "signer_infos": [signer],
            }
        )
        response = tsp.TimeStampResp(
            {
                "status": {"status": "granted"},
                "time_stamp_token": cms.ContentInfo({"content_type": "signed_data", "content": token}),
            }
        )
        return decode_timestamp_response(response.dump())


def _hash(data: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}


@dataclass
class LocalSigstore:
    """All of it, and the root by which it is trusted."""

    authority: Authority = field(default_factory=Authority)
    log: Log = field(default_factory=Log)
    clock: Clock | None = None

    @property
    def root(self) -> str:
        """The trusted root, as canonical JSON text."""
        since = {"start": _START.strftime("%Y-%m-%dT%H:%M:%SZ")}

        def keyed(key: ec.EllipticCurvePrivateKey, url: str) -> dict[str, object]:
            details = {"rawBytes": b64(spki(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": since}
            ident = {"keyId": b64(log_id(key))}
            return {"baseUrl": url, "hashAlgorithm": "SHA2_256", "publicKey": details, "logId": ident}

        certificate = {"rawBytes": b64(self.authority.certificate.public_bytes(Encoding.DER))}
        authority = {
            "subject": {"organization": "test", "commonName": "root"},
            "uri": "https://authority.test",
            "certChain": {"certificates": [certificate]},
            "validFor": since,
        }
        whole: dict[str, object] = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [keyed(self.log.key, "https://log.test")],
            "certificateAuthorities": [authority],
            "ctlogs": [keyed(self.authority.log, "https://certificates.test")],
        }
        if self.clock is not None:
            chain = [self.clock.certificate, self.clock.authority.certificate]
            listed = [{"rawBytes": b64(each.public_bytes(Encoding.DER))} for each in chain]
            clock = {"uri": self.clock.url, "certChain": {"certificates": listed}}
            whole["timestampAuthorities"] = [{**authority, **clock}]
        return canonical(whole).decode()

    @property
    def pinned(self) -> Sigstore:
        """The table of a trust policy."""
        return Sigstore(trusted_root=self.root)

    @property
    def service(self) -> Service:
        """What signs with it."""
        root = TrustedRoot(TrustedRootModel.from_json(self.root))
        clocks = [] if self.clock is None else [cast("Any", self.clock)]
        context = SigningContext(
            fulcio=cast("Any", self.authority), rekor=self.log, trusted_root=root, tsa_clients=clocks
        )
        return Service(context, root)

    def signer(self, subject: str = SHIP, issuer: str = ISSUER) -> Signer:
        """Our own signer, as this subject."""
        return keyless_signer(identity_token(subject, issuer), service=self.service)

    def seal(self, payload: bytes, subject: str = SHIP, issuer: str = ISSUER) -> bytes:
        """What sigstore itself makes of a statement, in canonical form; nobody has verified it."""
        context = self.service.context
        signer = SigstoreSigner(IdentityToken(identity_token(subject, issuer)), context)
        certificate = vars(signer)["_Signer__cached_signing_certificate"]  # its getter refuses one that has ended
        envelope = dsse._sign(signer._private_key, dsse.Statement(payload))
        request = self.log._build_dsse_request(envelope, certificate)
        return canonical(json.loads(signer._finalize_sign(certificate, envelope, request).to_json()))


def ship(subject: str = SHIP, issuer: str = ISSUER) -> Identity:
    """An identity of a trust policy."""
    return Identity(issuer=issuer, subject=subject)
