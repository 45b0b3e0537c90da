"""Sign and verify by an identity instead of a key: sigstore's certificates and transparency log.

The identity is the one that a certificate names, and the certificate, its log and its time are held against the
one root that the trust policy pins. Nothing here contacts anybody to verify; to sign, sigstore's services are asked.

Sources: sigstore client specification; Fulcio's certificate profile (issuer in extension 1.3.6.1.4.1.57264.1.1,
subject in the alternative name); the checks themselves are sigstore-python's ``Verifier``.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from candidate.canonical import canonical
from candidate.documents.identity import Identified
from candidate.documents.names import PAYLOAD_TYPE
from candidate.errors import InputError, IntegrityError, RefusedError, UnavailableError

if TYPE_CHECKING:
    from sigstore.models import TrustedRoot
    from sigstore.oidc import IdentityToken
    from sigstore.sign import SigningContext
    from sigstore.verify import Verifier

INSTALL = "python -m pip install 'candidate[keyless]'"
_ISSUER = "1.3.6.1.4.1.57264.1.1"
_OTHER_NAME = "1.3.6.1.4.1.57264.1.7"
_CLIENT = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
_SIGNING = "application/vnd.dev.sigstore.signingconfig.v0.2+json"
_ALMOST = timedelta(minutes=1)
"""A certificate that ends this soon is not begun with."""


def claimed(certificate: bytes, *, where: str) -> Identified:
    """Return the identity that a certificate names, before anybody has checked the certificate.

    Args:
        certificate: DER, untrusted.
        where: the file, for the message.

    Raises:
        IntegrityError: it is none, or names no issuer or not exactly one subject.
    """
    from cryptography import x509

    try:
        extensions = x509.load_der_x509_certificate(certificate).extensions
        issuer: Any = extensions.get_extension_for_oid(x509.ObjectIdentifier(_ISSUER)).value
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        subjects = [
            name.value.decode("utf-8") if isinstance(name, x509.OtherName) else str(name.value)
            for name in names
            if not isinstance(name, x509.OtherName) or name.type_id.dotted_string == _OTHER_NAME
        ]
        text = issuer.value.decode("utf-8")
    except Exception as error:  # the parser is strict and promises no kinds
        raise IntegrityError("the certificate names no identity", where=where) from error
    if len(subjects) != 1:
        raise IntegrityError(f"the certificate names {len(subjects)} subjects, not one", where=where)
    return Identified(text, subjects[0])


def check_certified(
    data: bytes, certificate: bytes, identities: Sequence[Identified], *, where: str
) -> tuple[bytes, Identified]:
    """Return the payload of an attestation by certificate, and the identity that signed it.

    The certificate's own words only choose which identity to try.

    Args:
        data: bytes of an attestation that has its form, untrusted.
        certificate: the DER in it.
        identities: who is trusted to say this, with the root that each must be certified by.
        where: the file, for the message.

    Raises:
        IntegrityError: the certificate names nobody.
        RefusedError: it names somebody else, or sigstore does not accept the attestation under the pinned root.
        UnavailableError: sigstore is not installed.
    """
    named = claimed(certificate, where=where)
    identity = next((each for each in identities if each == named), None)
    if identity is None:
        known = ", ".join(each.subject for each in identities)
        raise RefusedError(
            f"signed by {named.subject[:200]} of {named.issuer[:200]}, not by a trusted "
            + (f"identity ({known})" if known else "key"),
            where=where,
            hint="check who signed it; if that identity should be trusted here, add it to the role's identities",
        )
    return verified_payload(data, identity, where=where), identity


def verified_payload(data: bytes, identity: Identified, *, where: str) -> bytes:
    """Return the statement's bytes in a sigstore bundle that this identity signed, as sigstore returned them.

    Raises:
        InputError: the pinned root cannot be used.
        RefusedError: sigstore does not accept it, or it is no in-toto statement.
        UnavailableError: sigstore is not installed.
    """
    verifier = _verifier(identity.root)
    from sigstore.models import Bundle
    from sigstore.verify.policy import Identity

    try:
        policy = Identity(identity=identity.subject, issuer=identity.issuer)
        kind, payload = verifier.verify_dsse(Bundle.from_json(data), policy)
    except Exception as error:  # whatever it was, it was not accepted
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise RefusedError(
            f"sigstore does not accept it: {said}",
            where=where,
            hint="it was altered, or certified and logged by another sigstore than the one that the policy pins",
        ) from error
    if kind != PAYLOAD_TYPE:
        raise RefusedError(f"signed, but as {kind[:80]!r}, not {PAYLOAD_TYPE}", where=where)
    return payload


@lru_cache(maxsize=4)
def _verifier(root: str) -> "Verifier":
    """Return sigstore's verifier over a trusted root (JSON text); nothing is contacted."""
    try:
        from sigstore.models import ClientTrustConfig
        from sigstore.verify import Verifier
    except ImportError as error:
        raise _missing("verify by an identity") from error
    try:  # the library reads a root from a file, or in a client's configuration, whose other half is for signing
        kinds = {"mediaType": _CLIENT, "signingConfig": {"mediaType": _SIGNING}}
        config = json.dumps({**kinds, "trustedRoot": json.loads(root)})
        return Verifier(trusted_root=ClientTrustConfig.from_json(config).trusted_root)
    except Exception as error:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"the trusted root cannot be used: {said}",
            where="sigstore.trusted_root",
            hint="take the trusted_root.json of the sigstore instance whose certificates you trust",
        ) from error


def _missing(what: str) -> UnavailableError:
    return UnavailableError(f"sigstore is not installed, so it cannot {what}", where="keyless", hint=INSTALL)


@dataclass(frozen=True)
class Service:
    """A sigstore to sign with: whom to ask for certificate and log entry, and the root of both."""

    context: "SigningContext"
    trusted_root: "TrustedRoot"


def service(config: str | None = None) -> Service:
    """Return the sigstore that a client trust configuration describes; by default the public one, asked over TLS.

    Args:
        config: JSON text of the configuration of another sigstore.

    Raises:
        InputError: the configuration cannot be used.
        UnavailableError: sigstore is not installed, or the public one's root cannot be fetched.
    """
    try:
        from sigstore.models import ClientTrustConfig
        from sigstore.sign import SigningContext
    except ImportError as error:
        raise _missing("sign by an identity") from error
    if config is None:
        with _asking("the public sigstore's root cannot be fetched"):
            trust = ClientTrustConfig.production()
            return Service(SigningContext.from_trust_config(trust), trust.trusted_root)
    try:
        trust = ClientTrustConfig.from_json(config)
        return Service(SigningContext.from_trust_config(trust), trust.trusted_root)
    except Exception as error:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"sigstore's configuration cannot be used: {said}",
            where="keyless",
            hint="give a client trust configuration of sigstore, v0.1",
        ) from error


@contextmanager
def _asking(what: str) -> Iterator[None]:
    """Turn whatever goes wrong with a service into one error; the library promises no kinds."""
    try:
        yield
    except Exception as error:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise UnavailableError(f"{what}: {said}", where="keyless", hint="run it again, with a fresh token") from error


class Sealer:
    """Signs statements as one identity, by a fresh key and certificate each time it begins; never asks a person."""

    def __init__(self, service: Service, token: str | None) -> None:
        self._service, self._token = service, token
        self._signer, self._ends, self.identity = self._begun()

    def _begun(self) -> tuple[Any, datetime, Identified]:
        """Return sigstore's signer, when its certificate ends, and whom it names."""
        from cryptography.hazmat.primitives.serialization import Encoding
        from sigstore.sign import Signer

        token = _identity_token(self._token)
        with _asking("no certificate"):
            signer = Signer(token, self._service.context)
            # No public name gives the certificate before something is signed; who will sign must be known before.
            certificate = signer._signing_cert()  # noqa: SLF001
        named = claimed(certificate.public_bytes(Encoding.DER), where="keyless")
        return signer, certificate.not_valid_after_utc, named

    def seal(self, payload: bytes) -> bytes:
        """Return the attestation of a statement: a sigstore bundle in its canonical form, verified.

        Raises:
            InputError: there is no identity here any more.
            RefusedError: what came back is not by this identity, or does not hold under its own root.
            UnavailableError: certificate or log could not be had.
        """
        from sigstore.dsse import Statement
        from sigstore.models import Bundle
        from sigstore.verify import Verifier
        from sigstore.verify.policy import Identity

        if datetime.now(UTC) + _ALMOST >= self._ends:
            before = self.identity
            self._signer, self._ends, self.identity = self._begun()
            if self.identity != before:
                raise RefusedError(f"the identity changed to {self.identity.subject}", where="keyless")
        with _asking("not signed"):
            made = self._signer.sign_dsse(Statement(payload))
        data = canonical(json.loads(made.to_json()))
        policy = Identity(identity=self.identity.subject, issuer=self.identity.issuer)
        try:
            held = Verifier(trusted_root=self._service.trusted_root).verify_dsse(Bundle.from_json(data), policy)
        except Exception as error:
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise RefusedError(f"what sigstore made does not verify: {said}", where="keyless") from error
        if held != (PAYLOAD_TYPE, payload):
            raise RefusedError("sigstore signed something else", where="keyless")
        return data


def _identity_token(given: str | None) -> "IdentityToken":
    """Return the token given, or the one that this environment offers; nobody is asked to log in."""
    from sigstore.oidc import IdentityError, IdentityToken, detect_credential

    try:
        raw = given
        if raw is None:
            with _asking("the identity offered here cannot be had"):
                raw = detect_credential()
        if raw is None:
            raise InputError(
                "no identity is offered here, and no token was given",
                where="keyless",
                hint="in CI allow an identity token (GitHub: permissions: id-token: write), or set $SIGSTORE_ID_TOKEN",
            )
        return IdentityToken(raw)
    except IdentityError as error:
        raise InputError(
            f"the identity token cannot be used: {error}", where="keyless", hint="give a fresh one, for sigstore"
        ) from error
