"""Requests to one registry: authenticated, over TLS, and bounded in time and size.

The oras library finds credentials and exchanges them for tokens. The requests are our own: its
upload writes a manifest's JSON anew, which changes the digest; its requests have no time-out, are
repeated for two minutes whatever went wrong, and read answers of any size.

Sources: docker registry token authentication, OCI distribution-spec v1.1.
"""

import hashlib
import io
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urljoin, urlsplit

from candidate.adapters.transport.reference import Credentials, Reference
from candidate.errors import CandidateError, InputError, IntegrityError, RefusedError, UnavailableError

if TYPE_CHECKING:
    import requests

CONNECT_SECONDS = 10.0
READ_SECONDS = 120.0
"""How long to wait for the next byte; a registry may take a while to store a large blob."""
PATIENCE_SECONDS = 60.0
SLOWEST = 16 * 1024
"""Bytes in a second below which an answer counts as stuck, once ``PATIENCE_SECONDS`` have passed."""
_MAX_ASIDE_BYTES = 1 << 20
"""Of an answer that is no blob, manifest or list: an error, a token."""
_CHUNK = 1 << 18
_DENIED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


class Body:
    """Bytes to upload, read anew whenever the request has to be sent again."""

    def __init__(self, size: int, chunks: Callable[[], Iterator[bytes | memoryview]]) -> None:
        self._size, self._chunks = size, chunks

    def __len__(self) -> int:
        """Return the size in bytes."""
        return self._size

    def __iter__(self) -> Iterator[bytes | memoryview]:
        """Start reading."""
        return self._chunks()


class Wire:
    """A session with one registry about one repository; a context manager that closes its connections."""

    def __init__(self, reference: Reference, *, insecure: bool = False, credentials: Credentials | None = None) -> None:
        """Find out how the registry wants to be spoken to.

        Args:
            reference: host and name are what counts.
            insecure: speak plain HTTP; a loopback host is always spoken to like that.
            credentials: of a user; by default those that docker's configuration file has for the host.

        Raises:
            InputError: no registry there, or docker's configuration cannot be read.
            RefusedError: it wants credentials and there are none.
            UnavailableError: the oras library is not installed, or the registry does not answer.
        """
        self._reference = reference
        self._plain = insecure or reference.loopback
        self._origin = f"{'http' if self._plain else 'https'}://{reference.host}"
        self._base = f"{self._origin}/v2/{reference.name}/"
        try:
            import oras.auth
            import oras.logger
        except ImportError as error:
            raise UnavailableError(
                "the oras library is not installed", where=reference.host, hint="pip install 'candidate[oci]'"
            ) from error
        oras.logger.logger.set_level(logging.CRITICAL)  # it would tell its own story on stderr
        self._session, self._lock = self._new_session(), threading.Lock()
        try:
            self._tokens = not self._wants_basic()
            kind = "token" if self._tokens else "basic"
            self._auth: Any = oras.auth.get_auth_backend(kind, session=self._session, insecure=self._plain)
            self._load(credentials)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def __enter__(self) -> Self:
        """Return the session itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()

    def _new_session(self) -> "requests.Session":
        from http.cookiejar import DefaultCookiePolicy

        import requests

        session, adapter = requests.Session(), _adapter(self._allowed)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        session.headers.update({"Accept-Encoding": "identity", "User-Agent": "candidate"})
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # some registries take them for a browser's
        session.auth = _as_it_is
        # A registry on this machine is reached directly, whatever proxies the environment names.
        session.trust_env = not self._reference.loopback
        return session

    def _allowed(self, url: str) -> None:
        """Refuse plain HTTP, wherever a redirect or a challenge may point, unless it was asked for."""
        if urlsplit(url).scheme != "https" and not self._plain:
            raise RefusedError(
                f"the registry wants to go on over plain HTTP, to {urlsplit(url).hostname}",
                where=str(self._reference),
                hint="have the registry answer with https addresses; --insecure allows plain HTTP",
            )

    def _wants_basic(self) -> bool:
        """Find out whether the registry takes a password with every request, or tokens if anything."""
        with self._ping() as answer:
            status, challenge = answer.status_code, answer.headers.get("WWW-Authenticate", "")
        if status == HTTPStatus.NOT_FOUND:
            raise InputError("there is no OCI registry", where=self._reference.host, hint="check host and port")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise UnavailableError(f"the registry answers {status}", where=self._reference.host, hint="try again later")
        return challenge.lower().startswith("basic")

    def _load(self, credentials: Credentials | None) -> None:
        if credentials is not None:
            self._auth.set_basic_auth(credentials.user, credentials.password)
            return
        import oras.container

        try:
            # By the host alone: the library would take a host without a dot for a part of the name.
            self._auth.load_configs(oras.container.Container("x", registry=self._reference.host))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                "docker's configuration or its credential helper cannot be read",
                where="~/.docker/config.json",
                hint="mend it with docker login, or set CANDIDATE_REGISTRY_USER and CANDIDATE_REGISTRY_PASSWORD",
            ) from error
        if not self._tokens and not getattr(self._auth, "_basic_auth", None):
            raise self._refused("the registry wants a user and a password")

    def _refused(self, message: str) -> RefusedError:
        return RefusedError(
            message,
            where=str(self._reference),
            hint="log in with docker login, or set CANDIDATE_REGISTRY_USER and CANDIDATE_REGISTRY_PASSWORD",
        )

    def _ping(self) -> "requests.Response":
        """Ask for nothing, to learn how the registry wants us to prove who we are."""
        import requests
        import urllib3

        try:
            answer: requests.Response = self._session.get(f"{self._origin}/v2/", stream=True)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise self._unreachable(error) from error
        return answer

    def _unreachable(self, error: Exception) -> UnavailableError:
        reason = type(error).__name__
        return UnavailableError(
            f"the registry cannot be reached, or broke off ({reason})",
            where=self._reference.host,
            hint="check host, port and network, then run it again: what arrived is kept",
        )

    def ask(
        self, method: str, url: str, *, data: "bytes | Body | None" = None, headers: dict[str, str] | None = None
    ) -> "requests.Response":
        """Send one request; a challenge is answered once, with a token of the scope that it asks for."""
        import requests
        import urllib3

        url, plain = urljoin(self._base, url), headers or {}
        try:
            answer = self._request(method, url, data, {**plain, **self._known()})
            if answer.status_code in _DENIED:
                proof = self._answer_to(answer)
                if proof:
                    answer.close()
                    answer = self._request(method, url, data, {**plain, **proof})
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise self._unreachable(error) from error
        return answer

    def _known(self) -> dict[str, str]:
        """Return how we proved who we are the last time."""
        with self._lock:
            proves = getattr(self._auth, "token", None) if self._tokens else getattr(self._auth, "_basic_auth", None)
            return dict(self._auth.get_auth_header()) if proves else {}

    def _answer_to(self, answer: "requests.Response") -> dict[str, str]:
        """Obtain a token for what was denied; nothing if there is no way to."""
        if not self._tokens:
            return {}
        import requests

        with self._lock:
            self._auth.token = None
            try:
                proof, changed = self._auth.authenticate_request(answer, {})
            except requests.RequestException:
                raise
            except (ValueError, AttributeError, TypeError) as error:  # a challenge that the library cannot understand
                raise self._refused("the registry asks for credentials in a way that nobody understands") from error
        return dict(proof) if changed else {}

    def _request(self, method: str, url: str, data: "bytes | Body | None", sent: dict[str, str]) -> "requests.Response":
        body: Any = data  # the library streams whatever has a length and can be iterated over
        return self._session.request(method, url, data=body, headers=sent, stream=True)

    def failed(self, answer: "requests.Response", what: str) -> CandidateError:
        """Return the error that an unexpected answer amounts to."""
        status, where = answer.status_code, str(self._reference)
        codes = [] if answer.ok else _error_codes(answer.content)
        said = f"{status} {' '.join(codes)}".rstrip()
        if status in _DENIED:
            return self._refused(f"the registry refuses access to {what} ({said})")
        if status == HTTPStatus.NOT_FOUND:
            return InputError(f"the registry has no {what} ({said})", where=where, hint="check name and tag")
        if "DIGEST_INVALID" in codes:
            return IntegrityError(f"the registry received other bytes for {what} ({said})", where=where)
        return UnavailableError(
            f"the registry answered {said} for {what}", where=where, hint="run it again: what arrived is kept"
        )

    def receive(
        self, answer: "requests.Response", sink: Callable[[bytes], object], *, limit: int, where: str
    ) -> tuple[str, int]:
        """Pass a body on piece by piece; return its digest and size."""
        import urllib3

        state, count = hashlib.sha256(), 0
        try:
            for piece in _pieces(answer.raw, PATIENCE_SECONDS + limit / SLOWEST, where=where):
                count += len(piece)
                if count > limit:
                    raise IntegrityError(f"the registry sent more than {limit} bytes", where=where)
                state.update(piece)
                sink(piece)
        except urllib3.exceptions.HTTPError as error:
            raise UnavailableError(
                f"the answer broke off after {count} bytes ({type(error).__name__})", where=where, hint="run it again"
            ) from error
        return "sha256:" + state.hexdigest(), count

    def same_origin(self, location: str) -> str:
        """Return the whole address of what the registry points to; credentials go nowhere else."""
        try:
            url = urljoin(self._base, location)
            elsewhere = not location or _origin(url) != _origin(self._origin)
        except ValueError:
            elsewhere = True
        if elsewhere:
            raise RefusedError(
                f"the registry sends us elsewhere: {location[:200]!r}",
                where=str(self._reference),
                hint="its public address must be set in its configuration",
            )
        return url


def _as_it_is(request: "requests.PreparedRequest") -> "requests.PreparedRequest":
    """Keep a request's own authentication; without this the library puts what ~/.netrc says in its place."""
    return request


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _error_codes(body: bytes) -> list[str]:
    """Return the codes of an error as the specification words them; anything else says nothing."""
    try:
        codes = [error["code"] for error in json.loads(body)["errors"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    return [code for code in codes if isinstance(code, str) and re.fullmatch(r"[A-Z_]{1,40}", code)]


def _pieces(raw: Any, seconds: float, *, where: str) -> Iterator[bytes]:
    """Yield a body as it arrives, undecoded; one that only trickles in is given up."""
    deadline = time.monotonic() + seconds
    while piece := raw.read1(_CHUNK):
        if time.monotonic() > deadline:
            raise UnavailableError("the registry is too slow", where=where, hint="run it again")
        yield piece


def _adapter(allowed: Callable[[str], None]) -> "requests.adapters.HTTPAdapter":
    """Return what sends every request of a session: with time-outs, and bounded where others read the answer."""
    from requests import PreparedRequest, Response
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    class Bounded(HTTPAdapter):
        """Redirects, errors and tokens are read whole by the libraries, so they are cut off here."""

        def send(  # type: ignore[override]  # its optional arguments always come by name
            self, request: PreparedRequest, *, stream: bool = False, **options: Any
        ) -> Response:
            """Send one request."""
            allowed(request.url or "")
            options["timeout"] = (CONNECT_SECONDS, READ_SECONDS)
            answer = super().send(request, stream=True, **options)
            if stream and answer.ok and not answer.is_redirect and request.method == "GET":
                return answer
            raw, body = answer.raw, bytearray()
            for piece in _pieces(raw, PATIENCE_SECONDS, where="answer"):
                body += piece
                if len(body) > _MAX_ASIDE_BYTES:
                    break
            raw.close()
            answer.raw = io.BytesIO(bytes(body[:_MAX_ASIDE_BYTES]))
            return answer

    return Bounded(max_retries=Retry(2, read=False, redirect=False, status=False, other=False, backoff_factor=0.1))
