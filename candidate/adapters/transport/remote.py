"""A repository in a registry: manifests and blobs as bytes, by digest, hashed before they are believed.

Sources: OCI distribution-spec v1.1 (pull, push, referrers).
"""

import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from candidate.adapters.transport.wire import Body, Wire
from candidate.canonical import digest_of
from candidate.documents.names import INDEX_TYPE, MANIFEST_TYPE
from candidate.errors import IntegrityError

MAX_MANIFEST_BYTES = 64 * 1024 * 1024
MAX_REFERRERS_BYTES = 4 * 1024 * 1024
MAX_PAGES = 16
_NO_API = {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
"""What registries say that know nothing of referrers."""


class Remote(Wire):
    """One repository of a registry; a context manager that closes its connections."""

    def manifest(self, target: str) -> bytes | None:
        """Return a manifest or an index by tag or digest; None if there is none.

        Raises:
            IntegrityError: its bytes have another digest, or are too many.
            RefusedError: access was refused.
            UnavailableError: the registry does not answer, or broke off.
        """
        where = f"manifest {target}"
        accept = {"Accept": f"{MANIFEST_TYPE}, {INDEX_TYPE}"}
        with self.ask("GET", f"manifests/{target}", headers=accept) as answer:
            if answer.status_code == HTTPStatus.NOT_FOUND:
                return None
            if answer.status_code != HTTPStatus.OK:
                raise self.failed(answer, where)
            body = bytearray()
            found, _ = self.receive(answer, body.extend, limit=MAX_MANIFEST_BYTES, where=where)
            said = answer.headers.get("Docker-Content-Digest", "")
        promised = {said if said.startswith("sha256:") else found}
        if target.startswith("sha256:"):
            promised.add(target)
        if promised != {found}:
            raise IntegrityError(f"the registry sent bytes of digest {found}", where=where)
        return bytes(body)

    def fetch_blob(self, digest: str, size: int, sink: Callable[[bytes], object]) -> None:
        """Pass a blob's bytes on as they come; they are only good once this returns.

        Raises:
            InputError: there is no such blob.
            IntegrityError: it has another size or digest.
            RefusedError: access was refused.
            UnavailableError: the registry does not answer, or broke off.
        """
        where = f"blob {digest}"
        with self.ask("GET", f"blobs/{digest}") as answer:
            if answer.status_code != HTTPStatus.OK:
                raise self.failed(answer, where)
            found, count = self.receive(answer, sink, limit=size, where=where)
        if count != size:
            raise IntegrityError(f"the registry sent {count} bytes of {size}", where=where)
        if found != digest:
            raise IntegrityError(f"the registry sent bytes of digest {found}", where=where)

    def send_blob(self, digest: str, size: int, chunks: Callable[[], Iterator[bytes | memoryview]]) -> bool:
        """Upload a blob unless it is there; return whether it had to be sent.

        Args:
            digest: of the blob, ``sha256:…``.
            size: in bytes.
            chunks: starts reading the blob from its beginning; it may be called again.

        Raises:
            IntegrityError: the registry received other bytes.
            RefusedError: access was refused.
            UnavailableError: the registry does not answer, or would not take it.
        """
        where = f"blob {digest}"
        with self.ask("HEAD", f"blobs/{digest}") as answer:
            if answer.status_code == HTTPStatus.OK:
                return False
            if answer.status_code != HTTPStatus.NOT_FOUND:
                raise self.failed(answer, where)
        with self.ask("POST", "blobs/uploads/") as answer:
            if answer.status_code != HTTPStatus.ACCEPTED:
                raise self.failed(answer, where)
            place = self.same_origin(answer.headers.get("Location", ""))
        url = f"{place}{'&' if '?' in place else '?'}digest={quote(digest, safe='')}"
        kind = {"Content-Type": "application/octet-stream"}
        with self.ask("PUT", url, data=Body(size, chunks) if size else b"", headers=kind) as answer:
            if answer.status_code != HTTPStatus.CREATED:
                raise self.failed(answer, where)
        return True

    def send_manifest(self, target: str, data: bytes, *, media_type: str = MANIFEST_TYPE) -> bool:
        """Upload a manifest as these very bytes; return whether the registry keeps track of its subject.

        Args:
            target: tag or digest.
            data: the manifest.
            media_type: what it is.

        Raises:
            IntegrityError: the registry stored it under another digest.
            RefusedError: access was refused.
            UnavailableError: the registry does not answer, or would not take it.
        """
        where = f"manifest {target}"
        with self.ask("PUT", f"manifests/{target}", data=data, headers={"Content-Type": media_type}) as answer:
            if answer.status_code != HTTPStatus.CREATED:
                raise self.failed(answer, where)
            said = answer.headers.get("Docker-Content-Digest", "")
            subject = answer.headers.get("OCI-Subject")
        if said.startswith("sha256:") and said != digest_of(data):
            raise IntegrityError(f"the registry stored it as {said[:100]}", where=where)
        return subject is not None

    def referrers(self, digest: str) -> list[dict[str, Any]] | None:
        """Return the descriptors of what refers to a manifest; None if the registry does not keep track.

        Raises:
            IntegrityError: the list is malformed or endless.
            RefusedError: access was refused.
            UnavailableError: the registry does not answer, or broke off.
        """
        url, found = f"referrers/{digest}", []
        for _ in range(MAX_PAGES):
            with self.ask("GET", url, headers={"Accept": INDEX_TYPE}) as answer:
                if answer.status_code in _NO_API:
                    return None
                if answer.status_code != HTTPStatus.OK:
                    raise self.failed(answer, "referrers")
                body = bytearray()
                self.receive(answer, body.extend, limit=MAX_REFERRERS_BYTES, where="referrers")
                following = answer.links.get("next", {}).get("url")
            found += entries_of(bytes(body), where="referrers")
            if not following:
                return found
            url = self.same_origin(following)
        raise IntegrityError(f"more than {MAX_PAGES} pages", where="referrers")


def entries_of(data: bytes, *, where: str) -> list[dict[str, Any]]:
    """Return the descriptors in an OCI index that others may have written.

    Raises:
        IntegrityError: not an index.
    """
    try:
        entries = json.loads(data)["manifests"]
        if all(isinstance(entry["digest"], str) for entry in entries):
            return list(entries)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise IntegrityError("not an OCI index", where=where)
