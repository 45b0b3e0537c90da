"""What a command prints: one JSON document or a page of text on stdout, the story on stderr."""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candidate.errors import CandidateError, InputError

if TYPE_CHECKING:
    from candidate.adapters.attest import Signer
    from candidate.document import Document
    from candidate.documents.trust import TrustPolicy
    from candidate.flows.progress import Progress

PASSPHRASE = "CANDIDATE_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable, not a secret
PASSPHRASE_FILE = "CANDIDATE_KEY_PASSPHRASE_FILE"  # noqa: S105 - the same

KEYLESS = "keyless"
SIGSTORE_TOKEN = "SIGSTORE_ID_TOKEN"  # noqa: S105 - the same
SIGSTORE_CONFIG = "CANDIDATE_SIGSTORE_CONFIG"


def now() -> datetime:
    """Return this moment; the only clock of the command line."""
    return datetime.now(UTC)


def emit(document: "Document", text: str, *, as_json: bool, quiet: bool) -> None:
    """Print the document as JSON, or the text, or nothing: the exit code says enough to many."""
    fields = document.model_dump(mode="json", by_alias=True) if as_json else {}
    emit_fields(fields, text, as_json=as_json, quiet=quiet)


def emit_fields(fields: dict[str, Any], text: str, *, as_json: bool, quiet: bool) -> None:
    """Print the fields of a document as ``emit`` prints the document."""
    if as_json:
        first = {name: fields[name] for name in ("kind", "version") if name in fields}
        sys.stdout.write(plain(json.dumps({**first, **fields}, ensure_ascii=False)) + "\n")
    elif not quiet:
        sys.stdout.write(_coloured(plain(text.rstrip("\n"), keep="\n")) + "\n")


_STEERING = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def plain(text: str, *, keep: str = "") -> str:
    """Return the text with every character that steers a terminal or a log written as JSON would escape it.

    Names come from files that nobody has checked yet; inside JSON the escapes mean what they replace.

    Args:
        text: what is to be printed.
        keep: characters to leave alone: the line ends of a text that we laid out.
    """
    return _STEERING.sub(lambda found: found[0] if found[0] in keep else f"\\u{ord(found[0]):04x}", text)


def fail(error: CandidateError, *, as_json: bool) -> int:
    """Say what was wrong, where, and what to do; errors go to stderr, and as JSON to stdout if asked for."""
    if as_json:
        document = {
            "kind": "error",
            "version": 1,
            "check": error.check or None,
            "message": error.message,
            "where": error.where,
            "hint": error.hint,
            "exit_code": error.exit_code,
        }
        sys.stdout.write(json.dumps(document) + "\n")
    sys.stderr.write(f"error: {plain(str(error))}\n")
    if error.hint:
        sys.stderr.write(f"hint: {plain(error.hint)}\n")
    return error.exit_code


def run(command: Callable[[], int], *, as_json: bool) -> int:
    """Run a command and return its exit code; the one place where an error of ours becomes one."""
    try:
        return command()
    except CandidateError as error:
        return fail(error, as_json=as_json)
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted; nothing half done was left behind\n")
        return 130
    except BrokenPipeError:  # the reader of our output went away, which is its own business
        sys.stderr.close()
        return 0


_COLOURS = {"GO": "1;32", "NO-GO": "1;31", "INCONCLUSIVE": "1;33", "VERIFIED": "1;32", "BUNDLE": "1"}
_COLOURS.update(COMPATIBLE="1;32", WIDENED="1;32", BREAKING="1;31")


def _coloured(text: str) -> str:
    """Colour the first word where people see it: on a terminal that was not asked for plain text."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    word, rest = text[: len(text) - len(text.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ-"))], ""
    rest = text[len(word) :]
    colour = _COLOURS.get(word)
    return f"\033[{colour}m{word}\033[0m{rest}" if colour else text


@contextmanager
def progress(*, quiet: bool) -> Iterator["Progress"]:
    """Show how far a long flow is: one line on stderr, only where stderr is a terminal."""
    if quiet or not sys.stderr.isatty():
        from candidate.flows.progress import silent

        yield silent
        return
    drawn = [0.0]

    def show(what: str, share: float | None) -> None:
        moment = time.monotonic()
        if moment - drawn[0] < 0.1 and share not in {None, 1.0}:  # noqa: PLR2004 - ten times a second
            return
        drawn[0] = moment
        width = 30
        bar = "" if share is None else f" [{'#' * int(share * width):<{width}}] {share:4.0%}"
        sys.stderr.write(f"\r\033[K{plain(what)}{bar}")
        sys.stderr.flush()

    try:
        yield show
    finally:
        sys.stderr.write("\r\033[K")
        sys.stderr.flush()


def passphrase(*, of: str = "", number: int = 1, confirm: bool = False) -> bytes | None:
    """Return a key's passphrase from a file, the environment or a prompt, in that order; never from argv.

    Args:
        of: the key, for the prompt.
        number: which ``--key`` it is; from the second on, variables that end in ``_2``, ``_3`` go first.
        confirm: whether to ask twice.
    """
    for ending in (f"_{number}", "") if number > 1 else ("",):
        file = os.environ.get(PASSPHRASE_FILE + ending)
        if file:
            return read_bytes(Path(file)).rstrip(b"\r\n")
        if PASSPHRASE + ending in os.environ:
            return os.environ[PASSPHRASE + ending].encode()
    if sys.stdin.isatty() and sys.stderr.isatty():
        import typer  # late: most commands ask for nothing

        text: str = typer.prompt(
            f"passphrase of {of}" if of else "passphrase", hide_input=True, confirmation_prompt=confirm, err=True
        )
        return text.encode()
    return None


def secret_of(key: Path, data: bytes, *, number: int = 1) -> bytes | None:
    """Return the passphrase of a key that was read, asking for it only if the key needs one."""
    from candidate.adapters.signers import needs_passphrase

    if not needs_passphrase(data):
        return None
    word = passphrase(of=str(key), number=number)
    if word is None:
        raise InputError(
            "the key is locked and there is no passphrase or PIN",
            where=str(key),
            hint=f"name its file in ${PASSPHRASE_FILE}, or set ${PASSPHRASE}",
        )
    return word


def signer(key: Path | None, *, number: int = 1) -> "Signer | None":
    """Return the signer of a private key or key file, or of the identity that sigstore finds here."""
    if key is None:
        return None
    from candidate.adapters.signers import PACKAGES, keyless_signer, open_signer

    if str(key) == KEYLESS and not key.exists():
        config = os.environ.get(SIGSTORE_CONFIG)
        return keyless_signer(
            os.environ.get(SIGSTORE_TOKEN) or None,
            config=read_bytes(Path(config)).decode("utf-8", "replace") if config else None,
        )
    if str(key).partition(":")[0] in PACKAGES and not key.exists():
        raise InputError(
            "a place of a key, where a file must be",
            where=f"--key {key}",
            hint=f"write a key file first: candidate key import '{key}' --public PEM KEYFILE",
        )
    data = read_bytes(key)
    return open_signer(data, secret_of(key, data, number=number), where=str(key))


def signers(keys: list[Path] | None) -> "tuple[Signer, ...]":
    """Return the signer of each key named, in their order."""
    found = (signer(key, number=number) for number, key in enumerate(keys or (), start=1))
    return tuple(each for each in found if each is not None)


def needed_signer(key: Path | None) -> "Signer":
    """Return the signer of a key that this command cannot do without."""
    found = signer(key)
    if found is None:
        raise InputError("this entry must be signed", where="--key", hint="name the private key with --key KEY")
    return found


def trust(path: Path | None, *, needed: bool) -> "TrustPolicy | None":
    """Return the trust policy: the file named, else $CANDIDATE_TRUST, else ./trust.toml."""
    if path is None and os.environ.get("CANDIDATE_TRUST"):
        path = Path(os.environ["CANDIDATE_TRUST"])
    if path is None and Path("trust.toml").is_file():
        path = Path("trust.toml")
    if path is None:
        if needed:
            raise InputError(
                "no trust policy",
                where="--trust",
                hint="name the keys you trust: --trust trust.toml, or --public-key PEM",
            )
        return None
    from candidate.adapters.trust import read_trust

    return read_trust(path)


def read_bytes(path: Path) -> bytes:
    """Read a file named on the command line."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error


def write_new(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file that must not exist yet, with its permissions from the first moment on."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise InputError("exists already", where=str(path), hint="choose another name, or move it away") from error
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(path)) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
