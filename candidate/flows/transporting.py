"""Push a bundle to a registry, and pull it: the same content manifest, with the attestations about it.

A registry keeps what is tagged; attestations only refer to it, so they are what a careless copy
loses. Pulling asks for them, and refuses a bundle that came without.

Sources: OCI distribution-spec v1.1 (referrers API, referrers tag schema).
"""

import json
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from candidate.adapters.archive import Archive, Blob, FileBlob
from candidate.adapters.transport.reference import Credentials, Reference
from candidate.adapters.transport.remote import Remote, entries_of
from candidate.canonical import canonical, digest_of
from candidate.documents.names import INDEX_TYPE, SIGSTORE_TYPE
from candidate.documents.oci import OciDescriptor, OciIndex, OciManifest
from candidate.documents.results import Pulled, Pushed
from candidate.documents.trust import TrustPolicy
from candidate.errors import IndeterminateError, InputError, IntegrityError, RefusedError, UnavailableError
from candidate.flows import landing
from candidate.flows.inspecting import Bundle, inspect
from candidate.flows.inspecting.outline import MAX_ATTESTATIONS
from candidate.flows.progress import Progress, silent
from candidate.flows.verifying import verify

THREADS = 4
ATTEMPTS = 3
"""How often the list of referrers is written anew when another push writes it at the same time."""

Moved = Callable[[int], None]
"""Told how many bytes of a blob have come or gone."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_Done = TypeVar("_Done")


def push(
    bundle: Path | str,
    reference: str,
    *,
    move_tag: bool = False,
    insecure: bool = False,
    credentials: Credentials | None = None,
    progress: Progress = silent,
) -> Pushed:
    """Send a bundle and its attestations to a registry; what is there already is not sent again.

    The tag comes last: whoever finds the bundle by it finds the attestations, too.

    Args:
        bundle: the file.
        reference: ``HOST[:PORT]/NAME[:TAG]``; the tag is by default the bundle's version.
        move_tag: whether the tag may leave another bundle.
        insecure: speak plain HTTP to a host that is not this one.
        credentials: of a user; by default those that docker's configuration has for the host.
        progress: told how far it is.

    Raises:
        InputError: no such file; not a reference; no such registry.
        IntegrityError: the bundle is not whole, or the registry stored other bytes.
        RefusedError: access was refused; or the tag belongs to another bundle.
        IndeterminateError: others kept changing the list of referrers.
        UnavailableError: the registry does not answer, or would not take it.
    """
    there = Reference.parse(reference)
    with Archive.open(Path(bundle)) as archive:
        opened = inspect(archive)
        if there.digest not in {None, opened.ref.digest}:
            raise InputError(f"the bundle is {opened.ref.digest}", where=reference, hint="leave the digest out")
        there = there.with_tag(there.tag or opened.ref.version)
        index = OciIndex.from_bytes(archive.index, where="index.json")
        with Remote(there, insecure=insecure, credentials=credentials) as remote:
            return _Push(archive, opened, index, remote, there, progress).run(move_tag=move_tag)


class _Push:
    """One push: blobs, content manifest, attestations, list of referrers, tag."""

    def __init__(
        self,
        archive: Archive,
        bundle: Bundle,
        index: OciIndex,
        remote: Remote,
        there: Reference,
        progress: Progress,
    ) -> None:
        self.archive, self.bundle, self.remote, self.there, self.progress = archive, bundle, remote, there, progress
        self.content, *self.referrers = index.manifests

    def run(self, *, move_tag: bool) -> Pushed:
        """Send what is missing, in the order in which one thing names another."""
        tag = str(self.there.tag)
        tagged = self.remote.manifest(tag)
        if tagged is not None and digest_of(tagged) != self.content.digest and not move_tag:
            raise RefusedError(
                f"the tag {tag} belongs to {digest_of(tagged)}",
                where=str(self.there),
                hint="release another version; or let the tag move with --move-tag",
            )
        manifests = {entry.digest: self.archive.read(entry.digest) for entry in (self.content, *self.referrers)}
        sent = self._send_blobs(manifests.values())
        self.remote.send_manifest(self.content.digest, manifests[self.content.digest])
        kept = [self.remote.send_manifest(entry.digest, manifests[entry.digest]) for entry in self.referrers]
        if not all(kept):
            self._list_referrers()
        self.remote.send_manifest(tag, manifests[self.content.digest])
        return Pushed(
            bundle=self.bundle.ref,
            reference=f"{Reference(self.there.host, self.there.name, tag)}@{self.content.digest}",
            sent=sum(sent),
            already=len(sent) - sum(sent),
            attestations=len(self.referrers),
            referrers="none" if not self.referrers else "api" if all(kept) else "tag",
        )

    def _send_blobs(self, manifests: Iterable[bytes]) -> list[bool]:
        """Send every config and layer that is not there; say of each whether it was sent."""
        sizes: dict[str, int] = {}
        for raw in manifests:
            manifest = OciManifest.from_bytes(raw, where="manifest")
            sizes |= {each.digest: each.size for each in (manifest.config, *manifest.layers)}

        def send(digest: str, moved: Moved) -> bool:
            def chunks() -> Iterator[memoryview]:
                for chunk in self.archive.chunks(digest):
                    moved(len(chunk))
                    yield chunk

            sent = self.remote.send_blob(digest, sizes[digest], chunks)
            if not sent:
                moved(sizes[digest])
            return sent

        return list(_each(send, sizes, "pushing", self.progress).values())

    def _list_referrers(self) -> None:
        """Write the referrers into the index that stands in for the API, beside those that are in it."""
        tag = fallback_tag(self.content.digest)
        ours = [entry.model_dump(mode="json", by_alias=True, exclude_none=True) for entry in self.referrers]
        for _ in range(ATTEMPTS):
            raw = self.remote.manifest(tag)
            there = [] if raw is None else entries_of(raw, where=f"tag {tag}")
            known = {entry["digest"] for entry in there}
            missing = [entry for entry in ours if entry["digest"] not in known]
            if not missing:
                return
            kept = {} if raw is None else json.loads(raw)
            index = {**kept, "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [*there, *missing]}
            self.remote.send_manifest(tag, canonical(index), media_type=INDEX_TYPE)
        raise IndeterminateError(
            "others keep changing the list of attestations", where=f"tag {tag}", hint="run it again"
        )


def fallback_tag(digest: str) -> str:
    """Return the tag of the index that lists what refers to a manifest where there is no API for it."""
    return digest.replace(":", "-", 1)


def _each(
    do: Callable[[str, Moved], _Done], sizes: Mapping[str, int], what: str, progress: Progress
) -> dict[str, _Done]:
    """Do something with every blob: the smallest alone, so that it obtains the token, then several at a time.

    The first failure is raised; what still runs stops at its next chunk.
    """
    order = sorted(sizes, key=lambda digest: (sizes[digest], digest))
    total, count, failed, lock = max(1, sum(sizes.values())), 0, threading.Event(), threading.Lock()

    def moved(size: int) -> None:
        nonlocal count
        if failed.is_set():
            raise UnavailableError("given up, because another blob failed", where=what)
        with lock:
            count += size
            progress(what, min(1.0, count / total))

    progress(what, 0.0)
    done = {digest: do(digest, moved) for digest in order[:1]}
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = {digest: pool.submit(do, digest, moved) for digest in order[1:]}
        try:
            for each in as_completed(waiting.values()):
                each.result()
        except BaseException:
            failed.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return done | {digest: each.result() for digest, each in waiting.items()}


def pull(
    reference: str,
    path: Path | str,
    *,
    trust: TrustPolicy | None = None,
    public_key: str | None = None,
    channel: str | None = None,
    now: datetime | None = None,
    allow_unattested: bool = False,
    insecure: bool = False,
    credentials: Credentials | None = None,
    progress: Progress = silent,
) -> Pulled:
    """Fetch a bundle and its attestations from a registry into one canonical file, or nothing.

    Args:
        reference: ``HOST[:PORT]/NAME[:TAG][@sha256:…]``.
        path: file to write; it must not exist, unless it is the same.
        trust: who may build; the bundle is verified before the file appears.
        public_key: PEM of the only builder to trust; or else ``trust``.
        channel: where it is to be used, for ``trust``.
        now: the time to judge validity at; by default this moment.
        allow_unattested: take it although nobody says that it is a release.
        insecure: speak plain HTTP to a host that is not this one.
        credentials: of a user; by default those that docker's configuration has for the host.
        progress: told how far it is.

    Raises:
        InputError: not a reference; nothing there, or no bundle; another file has the name.
        IntegrityError: bytes are not what their digest says, too many or too few.
        RefusedError: access was refused; no release attestation came along; or no trusted key made it.
        UnavailableError: the registry does not answer, or broke off; the disk is full.
    """
    there, path = Reference.parse(reference), Path(path)
    wanted = there.digest or there.tag
    if wanted is None:
        raise InputError("neither a tag nor a digest", where=reference, hint="say which: HOST/NAME:VERSION")
    if path.is_dir():
        raise InputError("a folder", where=str(path), hint="name a file to write")
    with (
        Remote(there, insecure=insecure, credentials=credentials) as remote,
        landing.scratch(path.parent) as folder,
    ):
        raw = remote.manifest(wanted)
        if raw is None:
            raise InputError("there is nothing", where=str(there), hint="check name and tag")
        shell = landing.shell_of(raw, where=str(there))
        found = _referrers(remote, shell)
        if not found.released and not allow_unattested:
            raise RefusedError(
                "no release attestation came with it: a copy on the way has stripped it, or there never was one",
                where=str(there),
                hint="push it again with candidate push; copy between registries with the referrers",
            )
        version, config = landing.config_of(shell, lambda part: _small(remote, part))
        blobs = _fetch(remote, shell, folder, progress)
        landed = landing.assemble(folder, shell, version, found, {**blobs, digest_of(config): config}, name=path.name)
        checked = trust is not None or public_key is not None
        if checked:
            verify(landed.path, trust=trust, public_key=public_key, now=now, channel=channel)
        already = landing.place(landed, path)
    return Pulled(
        bundle=landed.bundle,
        reference=f"{Reference(there.host, there.name, there.tag)}@{shell.digest}",
        path=str(path),
        file_digest=landed.file_digest,
        size_bytes=landed.size_bytes,
        attestations=len(found.referrers),
        released=found.released,
        ignored=found.ignored,
        verified=checked,
        already=already,
    )


def _small(remote: Remote, part: OciDescriptor) -> bytes:
    body = bytearray()
    remote.fetch_blob(part.digest, part.size, body.extend)
    return bytes(body)


def _referrers(remote: Remote, shell: landing.Shell) -> landing.Found:
    """Return the attestations about a bundle, from the API or from the tag that stands in for it."""
    entries = remote.referrers(shell.digest)
    if not entries:
        raw = remote.manifest(fallback_tag(shell.digest))
        entries = [] if raw is None else entries_of(raw, where=f"tag {fallback_tag(shell.digest)}")
    found = landing.Found()
    ours = [entry for entry in entries if entry.get("artifactType", SIGSTORE_TYPE) == SIGSTORE_TYPE]
    digests = {entry["digest"]: None for entry in ours if _DIGEST.fullmatch(entry["digest"])}
    found.ignored = len({entry["digest"] for entry in entries}) - len(digests)
    if len(digests) > MAX_ATTESTATIONS:
        raise IntegrityError(
            f"{len(digests)} attestations, more than {MAX_ATTESTATIONS}",
            where="referrers",
            hint="remove those that are not the builder's",
        )
    for digest in digests:
        raw = remote.manifest(digest)
        if raw is None:
            raise IntegrityError(f"the registry lists {digest}, and does not have it", where="referrers")
        found.add(shell, raw, lambda part: _small(remote, part))
    return found


def _fetch(remote: Remote, shell: landing.Shell, folder: Path, progress: Progress) -> dict[str, Blob]:
    """Fetch every layer into a scratch file."""
    sizes = {layer.digest: layer.size for layer in shell.manifest.layers}
    needed, free = 2 * sum(sizes.values()), shutil.disk_usage(folder).free
    if needed > free:
        raise UnavailableError(
            f"{needed} bytes are needed and {free} are free", where=str(folder.parent), hint="make room"
        )

    def fetch(digest: str, moved: Moved) -> Blob:
        path = folder / digest.removeprefix("sha256:")
        try:
            with path.open("xb") as file:

                def keep(piece: bytes) -> None:
                    moved(len(piece))
                    file.write(piece)

                remote.fetch_blob(digest, sizes[digest], keep)
        except OSError as error:
            raise UnavailableError(f"cannot be kept: {error.strerror or error}", where=str(folder.parent)) from error
        return FileBlob(path, 0, sizes[digest])

    return _each(fetch, sizes, "pulling", progress)
