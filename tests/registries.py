"""A small OCI registry in this process, that can be told to misbehave."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_ENDLESS = 96 * 1024 * 1024
"""What an endless answer sends at most, so that a reader without a bound fails instead of hanging."""


def digest_of(data: bytes) -> str:
    """Digest of bytes, as a registry writes it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class Registry:
    """What the registry holds, what was asked of it, and how it misbehaves."""

    api: bool = True
    """Whether it has the referrers API."""
    user: str = ""
    """``NAME:PASSWORD`` that it wants."""
    token: bool = False
    """Whether it wants a token for that, whose scope is too small at first."""
    faults: dict[str, str] = field(default_factory=dict)
    """What goes wrong, by what the path contains: wrong, truncated, short, endless, page, elsewhere, 401, 500."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    stored: int = 0
    """How many uploads were kept."""
    room: int = 1_000_000
    """How many it keeps before it fails."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    host: str = ""

    def reference(self, tail: str = ":1.0.0") -> str:
        """A reference to the repository that the tests use."""
        return f"{self.host}/team/tiny{tail}"

    def count(self, method: str, part: str) -> int:
        """How often something was asked for."""
        return sum(asked == method and part in path for asked, path in self.asked)

    def strip(self) -> None:
        """Forget every attestation, as a copy between registries does that only follows tags."""
        for digest, (_, data) in list(self.manifests.items()):
            if "subject" in json.loads(data):
                del self.manifests[digest]
        for tag in [tag for tag in self.tags if tag.startswith("sha256-")]:
            del self.tags[tag]

    def referrers(self, digest: str) -> list[dict[str, Any]]:
        """Descriptors of what refers to a manifest."""
        found = []
        for own, (kind, data) in self.manifests.items():
            document = json.loads(data)
            if document.get("subject", {}).get("digest") == digest:
                entry = {"mediaType": kind, "digest": own, "size": len(data)}
                entry |= {key: document[key] for key in ("artifactType", "annotations") if key in document}
                found.append(entry)
        return found


class Handler(BaseHTTPRequestHandler):
    """Answers for a registry."""

    registry: Registry
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the library
        """Say nothing."""

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        fault = next((what for part, what in self.registry.faults.items() if part in self.path), "")
        if fault == "wrong" and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        if fault == "short":
            body = body[:-1]
        length = len(body) + (1000 if fault == "truncated" else 0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if fault == "endless":
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            with suppress(ConnectionError):  # whoever asked has had enough
                for _ in range(_ENDLESS >> 16):
                    self.wfile.write(b"{" * (1 << 16))
            return
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.close_connection = fault == "truncated"

    def _error(self, status: int, code: str, **headers: str) -> None:
        self._answer(status, json.dumps({"errors": [{"code": code, "message": "no"}]}).encode(), **headers)

    def _may(self) -> bool:
        """Whether whoever asks may do so; otherwise the challenge was sent."""
        registry, said = self.registry, self.headers.get("Authorization", "")
        if not registry.user:
            return True
        basic = "Basic " + base64.b64encode(registry.user.encode()).decode()
        if not registry.token:
            if said == basic:
                return True
            self._error(401, "UNAUTHORIZED", WWW_Authenticate='Basic realm="here"')
            return False
        scope = "pull" if self.command in {"GET", "HEAD"} else "pull,push"
        if said in {f"Bearer {scope}", "Bearer pull,push"}:
            return True
        realm = f'realm="http://{registry.host}/token",service="here",scope="repository:team/tiny:{scope}"'
        self._error(401, "UNAUTHORIZED", WWW_Authenticate=f"Bearer {realm}")
        return False

    def _token(self) -> None:
        basic = "Basic " + base64.b64encode(self.registry.user.encode()).decode()
        if self.headers.get("Authorization") != basic:
            self._error(401, "UNAUTHORIZED")
            return
        scope = parse_qs(urlsplit(self.path).query).get("scope", ["::"])[0]
        self._answer(200, json.dumps({"token": scope.split(":")[-1]}).encode())

    def _handle(self) -> None:
        registry, parts = self.registry, urlsplit(self.path)
        body = self._body() if self.command != "GET" else b""
        registry.asked.append((self.command, parts.path))
        fault = next((what for part, what in registry.faults.items() if part in self.path), "")
        if fault.isdigit():
            self._error(int(fault), "DENIED")
        elif fault == "page":
            self._answer(503, b"<html>" + b" " * (2 << 20))
        elif parts.path == "/token":
            self._token()
        elif self._may():
            self._route(parts.path, parse_qs(parts.query), body, fault)

    do_GET = do_HEAD = do_POST = do_PUT = _handle  # noqa: N815 - the library calls them so

    def _route(self, path: str, query: dict[str, list[str]], body: bytes, fault: str) -> None:
        if path == "/v2/":
            self._answer(200)
        elif path == "/v2/team/tiny/blobs/uploads/":
            place = "http://127.0.0.2:9/steal" if fault == "elsewhere" else f"{path}one?state=1"
            self._answer(202, Location=place)
        elif path == "/v2/team/tiny/blobs/uploads/one":
            self._store(query["digest"][0], body)
        elif match := re.fullmatch("/v2/team/tiny/(blobs|manifests|referrers)/([^/]+)", path):
            getattr(self, f"_{match[1]}")(match[2], body)
        else:
            self._error(404, "NAME_UNKNOWN")

    def _store(self, digest: str, body: bytes) -> None:
        if digest_of(body) != digest or "uploads/one" in self.registry.faults.get("garbled", ""):
            self._error(400, "DIGEST_INVALID")
            return
        with self.registry.lock:
            kept = self.registry.stored < self.registry.room
            if kept:
                self.registry.blobs[digest] = body
                self.registry.stored += 1
        if kept:
            self._answer(201)
        else:
            self._error(500, "UNKNOWN")

    def _blobs(self, digest: str, _: bytes) -> None:
        data = self.registry.blobs.get(digest)
        if data is None:
            self._error(404, "BLOB_UNKNOWN")
        else:
            self._answer(200, data)

    def _manifests(self, target: str, body: bytes) -> None:
        registry = self.registry
        if self.command == "PUT":
            digest, extra = digest_of(body), {}
            document = json.loads(body)
            parts = [*document.get("layers", []), *([document["config"]] if "config" in document else [])]
            if any(part["digest"] not in registry.blobs for part in parts):
                self._error(404, "MANIFEST_BLOB_UNKNOWN")
                return
            registry.manifests[digest] = (self.headers["Content-Type"], body)
            if not target.startswith("sha256:"):
                registry.tags[target] = digest
            if registry.api and "subject" in document:
                extra = {"OCI_Subject": document["subject"]["digest"]}
            self._answer(201, Docker_Content_Digest=digest, **extra)
            return
        digest = registry.tags.get(target, target)
        if digest not in registry.manifests:
            self._error(404, "MANIFEST_UNKNOWN")
            return
        kind, data = registry.manifests[digest]
        self._answer(200, data, Content_Type=kind)

    def _referrers(self, digest: str, _: bytes) -> None:
        if not self.registry.api:
            self._error(404, "NOT_FOUND")
            return
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": self.registry.referrers(digest)}
        self._answer(200, json.dumps(index).encode(), Content_Type=INDEX_TYPE)


@contextmanager
def serving(registry: Registry) -> Iterator[Registry]:
    """Serve a registry on a free loopback port."""
    handler = type("Handler", (Handler,), {"registry": registry})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    registry.host = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
