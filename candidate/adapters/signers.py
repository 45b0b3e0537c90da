"""Keys that live elsewhere: in a KMS, an HSM, or a file of another tool. Reached through securesystemslib.

A key file names the place and the public half. Whatever signs there is not believed: each signature is
verified under that public half before it is used, so that a mixed-up key is noticed by who signs and not by
who verifies.

Source: securesystemslib's private key URIs. DSSE is signed with its schemes ``ecdsa-sha2-nistp256`` (DER over
SHA-256) and ``ed25519``, which are what our own keys do; OpenPGP signs more than the message, and is refused.
"""

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from candidate.adapters import keyless
from candidate.adapters.attest import Signer, load_signer, verify_mark
from candidate.documents.publickey import TITLES, Algorithm, algorithm_of, key_id_of, public_key_pem
from candidate.errors import InputError, RefusedError, UnavailableError

if TYPE_CHECKING:
    from candidate.documents.keyfile import KeyFile
    from candidate.documents.results import KeyInfo

PACKAGES = {
    "awskms": "securesystemslib[awskms]",
    "azurekms": "securesystemslib[azurekms]",
    "file2": "candidate[kms]",
    "gcpkms": "securesystemslib[gcpkms]",
    "hsm": "candidate[hsm]",
    "hv": "securesystemslib[vault]",
}
"""Schemes of the URIs that are accepted, and what to install for each."""

ELSEWHERE: tuple[Algorithm, ...] = ("ecdsa-p256", "ed25519")
"""Algorithms that a key elsewhere may have."""

_URI = re.compile(rb"^[ \t]*uri[ \t]*=", re.MULTILINE)


def key_file(uri: str, public: str, *, where: str = "") -> "KeyFile":
    """Return the key file of a private key elsewhere; nothing is contacted.

    Args:
        uri: of securesystemslib, ``scheme:…``.
        public: PEM of the public half.
        where: the file, for the message.

    Raises:
        InputError: a scheme that cannot be used, a URI that is none, or no public key of P-256 or Ed25519.
    """
    place = where or "key file"
    scheme = uri.partition(":")[0]
    if scheme == "gnupg":
        raise InputError(
            "an OpenPGP signature covers more than the message, so no reader of DSSE could check it",
            where=place,
            hint="give a key of its own: candidate key new, or one in a KMS or an HSM",
        )
    if scheme not in PACKAGES:
        raise InputError(
            f"no scheme {scheme[:40]!r}",
            where=place,
            hint=f"a URI begins with one of {', '.join(PACKAGES)}, and a colon",
        )
    pem = public_key_pem(public, where=place)
    algorithm = algorithm_of(pem)
    if algorithm not in ELSEWHERE:
        raise InputError(
            f"a {TITLES[algorithm]} key can only be a file here",
            where=place,
            hint="sign by a key of ECDSA P-256 or Ed25519, or name the private key's own file",
        )
    from candidate.documents.keyfile import KeyFile

    return KeyFile.from_toml(_toml(uri, pem), where=place)


def _toml(uri: str, pem: str) -> str:
    return f'uri = {json.dumps(uri)}\npublic = """\n{pem}"""\n'


def write_key_file(file: "KeyFile") -> str:
    """Return a key file as TOML that ``open_signer`` reads back.

    Raises:
        InputError: it names no key that can be used.
    """
    made = key_file(file.uri, file.public)
    return "# Where a private key is, and its public half. No secret.\n" + _toml(made.uri, made.public)


def read_key_file(data: bytes, *, where: str = "") -> "KeyFile | None":
    """Return the key file in these bytes; null if they are something else, such as a key itself.

    Raises:
        InputError: it is one, but not well formed.
    """
    if b"PRIVATE KEY-----" in data or not _URI.search(data):
        return None
    from candidate.documents.keyfile import KeyFile

    read = KeyFile.from_toml(data.decode("utf-8", "replace"), where=where or "key file")
    return key_file(read.uri, read.public, where=where)


def needs_passphrase(data: bytes) -> bool:
    """Return whether opening this key takes a secret: an encrypted file, or the PIN of an HSM."""
    found = read_key_file(data)
    return b"ENCRYPTED" in data if found is None else found.uri.startswith("hsm:")


def open_signer(data: bytes, passphrase: bytes | None = None, *, where: str = "") -> Signer:
    """Return the signer of a private key (PEM) or of a key file.

    Args:
        data: bytes of the file.
        passphrase: of an encrypted key, or the PIN of an HSM.
        where: the file, for the message.

    Raises:
        InputError: neither, of an algorithm that is not accepted, or a secret is needed and not given.
        RefusedError: the passphrase is wrong, or the key elsewhere is not the one that the file names.
        UnavailableError: what the scheme needs is not installed, or the key cannot be reached.
    """
    place = where or "key"
    file = read_key_file(data, where=place)
    if file is None:
        return load_signer(data, passphrase, where=place)
    if passphrase is None and needs_passphrase(data):
        raise InputError("the HSM wants a PIN and none was given", where=place, hint="give it like a passphrase")
    remote = _opened(file, passphrase, place)
    return Signer(sign=_checked(remote, file, place), public_pem=file.public, key_id=key_id_of(file.public))


def keyless_signer(
    token: str | None = None, *, config: str | None = None, service: keyless.Service | None = None
) -> Signer:
    """Return a signer by identity: sigstore certifies it for some minutes, and its log keeps that it signed.

    Args:
        token: an OIDC token for sigstore; by default the one that this environment (CI) offers.
        config: JSON of another sigstore than the public one.
        service: one that is open already, in place of both.

    Raises:
        InputError: no token, one that cannot be used, or a configuration that cannot.
        UnavailableError: sigstore is not installed, or could not be asked.
    """
    sealer = keyless.Sealer(keyless.service(config) if service is None else service, token)
    return Signer(sign=_no_message, public_pem="", key_id=sealer.identity.id, seal=sealer.seal)


def _no_message(message: bytes) -> bytes:
    raise InputError(f"an identity signs statements, not {len(message)} bytes as they are", where="keyless")


def _opened(file: "KeyFile", passphrase: bytes | None, where: str) -> Any:
    """Return securesystemslib's signer."""
    scheme = file.uri.partition(":")[0]
    hint = f'python -m pip install "{PACKAGES[scheme]}"'
    try:
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        from securesystemslib import signer
        from securesystemslib.exceptions import KeyMismatchError, UnsupportedLibraryError
    except ImportError as error:
        raise UnavailableError(f"keys of {scheme}: are not supported here", where=where, hint=hint) from error
    secret, library = b"" if passphrase is None else passphrase, cast("Any", signer)  # its names are not exported
    try:
        public = library.SSlibKey.from_crypto(load_pem_public_key(file.public.encode("ascii")))
        return library.Signer.from_priv_key_uri(file.uri, public, lambda _: secret.decode())
    except UnsupportedLibraryError as error:
        raise UnavailableError(f"keys of {scheme}: are not supported here: {error}", where=where, hint=hint) from error
    except KeyMismatchError as error:
        raise _mismatch(where) from error
    except Exception as error:  # the library promises no kinds: files, networks and drivers
        raise _unreachable(error, where) from error


def _checked(remote: Any, file: "KeyFile", where: str) -> Callable[[bytes], bytes]:
    """Return how to sign there, and not to believe it."""

    def sign(message: bytes) -> bytes:
        try:
            mark = bytes.fromhex(remote.sign(message).signature)
        except Exception as error:  # as above
            if type(error).__name__ == "PinIncorrect":  # of the HSM's driver, which is imported by the library alone
                raise RefusedError("the PIN does not open the HSM", where=where, hint="give the right PIN") from error
            raise _unreachable(error, where) from error
        if not verify_mark(mark, message, file.public):
            raise _mismatch(where)
        return mark

    return sign


def _mismatch(where: str) -> RefusedError:
    return RefusedError(
        "the key there is not the one whose public half the key file names",
        where=where,
        hint="take the public key from the same place: candidate key import URI --public PEM KEYFILE",
    )


def _unreachable(error: Exception, where: str) -> UnavailableError:
    said = " ".join(str(error).split())[:200] or type(error).__name__
    return UnavailableError(f"the key cannot be used: {said}", where=where, hint="see to the key, then run it again")


def key_info(data: bytes, passphrase: bytes | None = None, *, where: str = "") -> "KeyInfo":
    """Return what can be told of a key: private, public or a key file; nothing is contacted.

    Raises:
        InputError: none of them, of an algorithm that is not accepted, or encrypted and no passphrase given.
        RefusedError: the passphrase is wrong.
    """
    file = read_key_file(data, where=where)
    if file is not None:
        public = file.public
    elif b"PRIVATE KEY-----" in data:
        public = load_signer(data, passphrase, where=where).public_pem
    else:
        public = public_key_pem(data.decode("ascii", "replace"), where=where)
    algorithm = algorithm_of(public)
    from candidate.documents.results import KeyInfo

    return KeyInfo(
        key_id=key_id_of(public),
        public_key=public,
        algorithm=algorithm,
        model_signing=algorithm == "ecdsa-p256",
        files=(where,) if where else (),
    )
