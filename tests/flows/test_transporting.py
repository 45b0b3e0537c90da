"""Push and pull against a registry in this process, well behaved and not."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from candidate.adapters.archive import write_archive
from candidate.adapters.attest import Signer, attest
from candidate.adapters.oci import attestation_blobs, index_of, manifest_descriptor
from candidate.adapters.transport.reference import Credentials, Reference
from candidate.adapters.transport.remote import MAX_PAGES, Remote, entries_of
from candidate.canonical import canonical
from candidate.documents.names import RELEASE_TYPE
from candidate.errors import (
    CandidateError,
    IndeterminateError,
    InputError,
    IntegrityError,
    RefusedError,
    UnavailableError,
)
from candidate.flows import transporting
from candidate.flows.transporting import fallback_tag, pull, push
from tests.bundles import release, sealed, tiny_recipe
from tests.registries import INDEX_TYPE, Handler, Registry, digest_of, serving

PASSWORD = "correct-horse"  # noqa: S105 - of a registry that lives as long as a test
ME = Credentials("me", PASSWORD)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's docker configuration counts."""
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="module")
def bundle(builder: Signer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with two attestations."""
    path = tmp_path_factory.mktemp("pushed") / "tiny-1.0.0.candidate"
    path.write_bytes(sealed(tiny_recipe(), builder, integrity=True))
    return path


@pytest.fixture
def other(builder: Signer, tmp_path: Path) -> Path:
    """Another bundle of the same name and version."""
    recipe = tiny_recipe().copy()
    recipe.members["README.md"] = ("doc", b"# another\n")
    path = tmp_path / "other.candidate"
    path.write_bytes(sealed(recipe, builder))
    return path


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry with the referrers API."""
    with serving(Registry()) as made:
        yield made


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where to pull to, in a folder that is otherwise empty."""
    folder = tmp_path / "pulled"
    folder.mkdir()
    return folder / "got.candidate"


def left(target: Path) -> list[str]:
    """What is in the folder that was pulled into."""
    return sorted(path.name for path in target.parent.iterdir())


@pytest.mark.parametrize("api", [True, False], ids=["api", "tag"])
def test_what_was_pushed_comes_back_byte_for_byte(bundle: Path, target: Path, builder: Signer, api: bool) -> None:  # noqa: FBT001 - a parameter
    """With the referrers API and without, the pulled file is the pushed one, verified on the way."""
    with serving(Registry(api=api)) as registry:
        first = push(bundle, registry.reference(""))
        again = push(bundle, registry.reference(""))
        pulled = pull(registry.reference(), target, public_key=builder.public_pem)

    assert target.read_bytes() == bundle.read_bytes()
    assert (first.attestations, first.referrers) == (2, "api" if api else "tag")
    assert (again.sent, again.already) == (0, first.sent)
    assert (pulled.attestations, pulled.released, pulled.verified, pulled.already) == (2, True, True, False)
    assert pulled.bundle == first.bundle
    assert pulled.reference == first.reference
    assert left(target) == ["got.candidate"]


def test_a_digest_is_enough_to_pull_by(bundle: Path, registry: Registry, target: Path) -> None:
    """The tag may be anything or moved: a digest names the bundle for good."""
    pushed = push(bundle, registry.reference(":release"))
    registry.tags.clear()
    pull(registry.reference(f"@{pushed.bundle.digest}"), target)

    assert target.read_bytes() == bundle.read_bytes()
    assert left(target) == ["got.candidate"]


@pytest.mark.parametrize("token", [False, True], ids=["basic", "token"])
def test_credentials_open_a_registry_and_never_show(bundle: Path, target: Path, token: bool) -> None:  # noqa: FBT001 - a parameter
    """User and password, or a token for them whose scope must grow between reading and writing."""
    with serving(Registry(user=f"me:{PASSWORD}", token=token)) as registry:
        push(bundle, registry.reference(), credentials=ME)
        pull(registry.reference(), target, credentials=ME)
        for wrong in (Credentials("me", "battery-staple"), None):
            with pytest.raises(RefusedError) as caught:
                push(bundle, registry.reference(), credentials=wrong)

            assert "staple" not in str(caught.value) + caught.value.hint
            assert "CANDIDATE_REGISTRY_USER" in caught.value.hint

    assert target.read_bytes() == bundle.read_bytes()
    assert PASSWORD not in repr(ME)


def test_a_stripped_attestation_is_noticed(bundle: Path, registry: Registry, target: Path) -> None:
    """A copy that left the attestations behind is refused and writes nothing; taking it all the same says so."""
    push(bundle, registry.reference())
    registry.strip()

    with pytest.raises(RefusedError, match="stripped"):
        pull(registry.reference(), target)
    assert left(target) == []
    assert registry.count("GET", "/blobs/") == 0

    pulled = pull(registry.reference(), target, allow_unattested=True)
    assert (pulled.attestations, pulled.released) == (0, False)
    assert target.read_bytes() != bundle.read_bytes()


def test_another_attestation_is_no_release(bundle: Path, registry: Registry, target: Path) -> None:
    """Where only the release attestation is missing, the others do not stand in for it."""
    push(bundle, registry.reference())
    for digest, (_, data) in list(registry.manifests.items()):
        if b"in-toto.io/attestation/release" in data:
            del registry.manifests[digest]

    with pytest.raises(RefusedError, match="release"):
        pull(registry.reference(), target)
    assert pull(registry.reference(), target, allow_unattested=True).attestations == 1


Fault = tuple[str, str, type[CandidateError]]
FAULTS: list[Fault] = [
    ("/blobs/", "wrong", IntegrityError),
    ("/blobs/", "short", IntegrityError),
    ("/blobs/", "truncated", UnavailableError),
    ("/blobs/", "endless", IntegrityError),
    ("/blobs/", "500", UnavailableError),
    ("/blobs/", "403", RefusedError),
    ("/blobs/", "404", InputError),
    ("/manifests/sha256:", "wrong", IntegrityError),
    ("/manifests/sha256:", "endless", IntegrityError),
    ("/manifests/sha256:", "404", IntegrityError),
    ("/manifests/1.0.0", "endless", IntegrityError),
    ("/manifests/1.0.0", "truncated", UnavailableError),
    ("/manifests/1.0.0", "wrong", InputError),
    ("/manifests/1.0.0", "404", InputError),
    ("/manifests/1.0.0", "401", RefusedError),
    ("/manifests/1.0.0", "429", UnavailableError),
    ("/referrers/", "wrong", IntegrityError),
    ("/referrers/", "endless", IntegrityError),
    ("/referrers/", "500", UnavailableError),
    ("/referrers/", "page", UnavailableError),
    ("/v2/", "401", RefusedError),
    ("/v2/", "500", UnavailableError),
    ("/v2/", "404", InputError),
]


@pytest.mark.parametrize(
    ("part", "fault", "error"), FAULTS, ids=[f"{part}-{fault}-{n}" for n, (part, fault, _) in enumerate(FAULTS)]
)
def test_a_registry_that_misbehaves_leaves_nothing_behind(
    bundle: Path, registry: Registry, target: Path, part: str, fault: str, error: type[CandidateError]
) -> None:
    """Wrong, too few, too many and endless bytes, refusals and failures: an error, and an empty folder."""
    push(bundle, registry.reference())
    registry.faults[part] = fault

    with pytest.raises(error) as caught:
        pull(registry.reference(), target)
    assert caught.value.message
    assert left(target) == []


def test_a_trickle_is_given_up(bundle: Path, registry: Registry, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that never gets anywhere is too slow, however often a byte comes."""
    push(bundle, registry.reference())
    monkeypatch.setattr("candidate.adapters.transport.wire.PATIENCE_SECONDS", -1e9)

    with pytest.raises(UnavailableError, match="too slow"):
        pull(registry.reference(), target)


@pytest.mark.parametrize(
    ("part", "fault", "error"),
    [
        ("/blobs/sha256:", "403", RefusedError),
        ("garbled", "uploads/one", IntegrityError),
        ("/uploads/one", "500", UnavailableError),
        ("/uploads/", "500", UnavailableError),
        ("/uploads/", "403", RefusedError),
        ("/uploads/", "elsewhere", RefusedError),
        ("/manifests/sha256:", "500", UnavailableError),
        ("/manifests/1.0.0", "500", UnavailableError),
    ],
)
def test_an_interrupted_push_is_finished_by_the_next(
    bundle: Path, registry: Registry, target: Path, part: str, fault: str, error: type[CandidateError]
) -> None:
    """The tag comes last, so nobody finds half a bundle; running it again sends only what is missing."""
    registry.faults[part] = fault
    with pytest.raises(error):
        push(bundle, registry.reference())
    assert registry.tags == {}

    registry.faults.clear()
    push(bundle, registry.reference())
    pull(registry.reference(), target)
    assert target.read_bytes() == bundle.read_bytes()
    assert registry.stored == len(registry.blobs)


def test_only_what_is_missing_is_sent_again(bundle: Path, registry: Registry) -> None:
    """A push that broke off half-way has done half of the work."""
    registry.room = 5
    with pytest.raises(UnavailableError):
        push(bundle, registry.reference())
    registry.room = 100
    again = push(bundle, registry.reference())

    assert (again.already, again.sent) == (5, len(registry.blobs) - 5)


def test_nobody_there_is_unavailable(bundle: Path, registry: Registry, target: Path) -> None:
    """A closed port is 9, for push and pull."""
    with serving(Registry()) as gone:
        reference = gone.reference()

    for call in (lambda: push(bundle, reference), lambda: pull(reference, target)):
        with pytest.raises(UnavailableError, match="cannot be reached"):
            call()
    assert registry.asked == []


def test_a_file_of_another_is_never_overwritten(bundle: Path, registry: Registry, target: Path) -> None:
    """The same file is fine, and told; any other stays as it is."""
    push(bundle, registry.reference())
    pull(registry.reference(), target)
    again = pull(registry.reference(), target)
    target.write_bytes(b"mine")

    with pytest.raises(InputError, match="another file"):
        pull(registry.reference(), target)
    assert again.already
    assert target.read_bytes() == b"mine"
    assert left(target) == ["got.candidate"]
    for path in (target.parent, target.parent / "nowhere" / "x"):
        with pytest.raises(InputError):
            pull(registry.reference(), path)


def test_a_strangers_key_stops_the_file_from_appearing(
    bundle: Path, registry: Registry, target: Path, approver: Signer
) -> None:
    """Verification comes before the name."""
    push(bundle, registry.reference())

    with pytest.raises(RefusedError):
        pull(registry.reference(), target, public_key=approver.public_pem)
    assert left(target) == []


def test_a_tag_stays_with_its_bundle(bundle: Path, other: Path, registry: Registry, target: Path) -> None:
    """Another bundle does not take a tag over by accident."""
    push(bundle, registry.reference())
    with pytest.raises(RefusedError, match="belongs to"):
        push(other, registry.reference())
    before = dict(registry.tags)
    push(other, registry.reference(), move_tag=True)
    pull(registry.reference(), target)

    assert target.read_bytes() == other.read_bytes()
    assert registry.tags.keys() == before.keys()


def test_the_tag_of_referrers_keeps_what_others_listed(bundle: Path, target: Path) -> None:
    """Their entries stay, whatever they are; ours are added once; a pull leaves theirs where they are."""
    with serving(Registry(api=False)) as registry:
        pushed = push(bundle, registry.reference())
        tag = fallback_tag(pushed.bundle.digest)
        theirs = {"mediaType": "application/x", "digest": "sha256:" + "a" * 64, "size": 3, "artifactType": "x/sbom"}
        index = canonical({"schemaVersion": 2, "manifests": [theirs], "annotations": {"by": "them"}})
        registry.manifests[digest_of(index)] = (INDEX_TYPE, index)
        registry.tags[tag] = digest_of(index)
        push(bundle, registry.reference())
        listed = json.loads(registry.manifests[registry.tags[tag]][1])
        pulled = pull(registry.reference(), target)

    assert listed["manifests"][0] == theirs
    assert len(listed["manifests"]) == 3
    assert listed["annotations"] == {"by": "them"}
    assert pulled.ignored == 1
    assert target.read_bytes() == bundle.read_bytes()


def test_a_foreign_attestation_in_our_clothes_is_left_behind(bundle: Path, registry: Registry, target: Path) -> None:
    """A referrer that says it is of our type and is not in our form does not come along, and does no harm."""
    pushed = push(bundle, registry.reference())
    subject = {"mediaType": "x", "digest": pushed.bundle.digest, "size": 1}
    kind = "application/vnd.dev.sigstore.bundle.v0.3+json"
    strange = canonical({"artifactType": kind, "subject": subject, "layers": []})
    registry.manifests[digest_of(strange)] = ("application/vnd.oci.image.manifest.v1+json", strange)

    assert pull(registry.reference(), target).ignored == 1
    assert target.read_bytes() == bundle.read_bytes()


def test_more_attestations_than_a_bundle_holds_are_refused(
    bundle: Path, registry: Registry, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no telling which to leave out."""
    push(bundle, registry.reference())
    monkeypatch.setattr(transporting, "MAX_ATTESTATIONS", 1)

    with pytest.raises(IntegrityError, match="2 attestations"):
        pull(registry.reference(), target)


def test_others_who_keep_writing_leave_it_open(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every write of the list is undone at once, the push may or may not hold: 8, run it again."""
    with serving(Registry(api=False)) as registry:
        send = Remote.send_manifest

        def undone(self: Remote, target: str, data: bytes, *, media_type: str = INDEX_TYPE) -> bool:
            kept = send(self, target, data, media_type=media_type)
            registry.tags.pop(target, None) if target.startswith("sha256-") else None
            return kept

        monkeypatch.setattr(Remote, "send_manifest", undone)
        with pytest.raises(IndeterminateError):
            push(bundle, registry.reference())


def test_two_pushes_at_once_both_hold(bundle: Path, other: Path) -> None:
    """Two bundles pushed at the same time do not lose each other's blobs or attestations."""
    with serving(Registry(api=False)) as registry:
        calls = [
            threading.Thread(target=push, args=(path, registry.reference(tag)))
            for path, tag in ((bundle, ":a"), (other, ":b"))
        ]
        for call in calls:
            call.start()
        for call in calls:
            call.join()
        for path, tag in ((bundle, ":a"), (other, ":b")):
            got = path.with_suffix(".got")
            pull(registry.reference(tag), got)

            assert got.read_bytes() == path.read_bytes()
            got.unlink()


def test_what_is_no_bundle_is_said_to_be_none(registry: Registry, target: Path) -> None:
    """An image of somebody else is a mistake of the user's, not an attack."""
    image = canonical({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"})
    registry.manifests[digest_of(image)] = ("application/vnd.oci.image.manifest.v1+json", image)
    registry.tags["1.0.0"] = digest_of(image)

    with pytest.raises(InputError, match="no bundle"):
        pull(registry.reference(), target)


def test_plain_http_is_for_this_machine_alone(bundle: Path, registry: Registry) -> None:
    """Any other host is spoken to over TLS unless asked otherwise; 0.0.0.0 leads here and is no loopback."""
    reference = registry.reference().replace("127.0.0.1", "0.0.0.0")  # noqa: S104 - nothing listens there
    with pytest.raises(UnavailableError):
        push(bundle, reference)
    assert registry.asked == []

    push(bundle, reference, insecure=True)
    with Remote(Reference.parse(reference), insecure=True) as remote:
        remote._plain = False
        with pytest.raises(RefusedError, match="plain HTTP"):
            remote.manifest("1.0.0")


def test_an_endless_list_of_referrers_ends(bundle: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that always has a next page is given up."""
    pushed = push(bundle, registry.reference())
    monkeypatch.setattr("requests.Response.links", {"next": {"url": f"/v2/team/tiny/referrers/{pushed.bundle.digest}"}})

    with Remote(Reference.parse(registry.reference())) as remote, pytest.raises(IntegrityError, match="pages"):
        remote.referrers(pushed.bundle.digest)
    assert registry.count("GET", "/referrers/") == MAX_PAGES


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"manifests":[1]}', b'{"manifests":[{"digest":1}]}', b"[" * 9999]
)
def test_what_is_no_index_is_refused(text: bytes) -> None:
    """Whatever JSON a registry may send."""
    with pytest.raises(IntegrityError):
        entries_of(text, where="x")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("localhost/x", ("localhost", "x", None, None)),
        ("localhost:5000/a/b-c/d_e:1.0", ("localhost:5000", "a/b-c/d_e", "1.0", None)),
        ("[::1]:5000/x:v", ("[::1]:5000", "x", "v", None)),
        ("ghcr.io/x/y@sha256:" + "a" * 64, ("ghcr.io", "x/y", None, "sha256:" + "a" * 64)),
        ("h/x:t@sha256:" + "0" * 64, ("h", "x", "t", "sha256:" + "0" * 64)),
    ],
)
def test_references_are_read(text: str, parts: tuple[str, ...]) -> None:
    """Host, name, tag and digest, each where it belongs, and back again."""
    reference = Reference.parse(text)

    assert (reference.host, reference.name, reference.tag, reference.digest) == parts
    assert reference.loopback == text.startswith(("localhost", "[::1]"))
    assert str(reference) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "x:1",
        "h/X",
        "h/x:",
        "h/x@sha256:12",
        "u:p@h/x",
        "h/../x",
        "http://h/x",
        "h/x:a b",
        "h/x\n",
        "h/" + "x" * 2000,
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    """A scheme, a user, an upper-case name or a path upwards is a mistake, told with the grammar."""
    with pytest.raises(InputError) as caught:
        Reference.parse(text)
    assert "HOST" in caught.value.hint


@pytest.mark.parametrize(
    ("tail", "words"),
    [("@sha256:" + "b" * 64, "the bundle is"), ("", "neither a tag nor a digest")],
)
def test_a_reference_must_fit_the_bundle(bundle: Path, registry: Registry, target: Path, tail: str, words: str) -> None:
    """A push under another digest and a pull of nothing in particular are mistakes."""
    call: Callable[[], object] = (
        (lambda: push(bundle, registry.reference(tail))) if tail else (lambda: pull(registry.reference(tail), target))
    )
    with pytest.raises(InputError, match=words):
        call()


def test_a_version_that_cannot_be_a_tag_needs_one(builder: Signer, registry: Registry, tmp_path: Path) -> None:
    """``1.0.0+gpu`` is a version and no tag: the user names one."""
    version = "1.0.0+gpu"
    recipe = tiny_recipe().copy()
    recipe.descriptor = recipe.descriptor.model_copy(update={"version": version})
    content = recipe.content()
    data = attest(release(content, version=version), builder).to_bytes()
    referrer, blobs = attestation_blobs(content.descriptor, data, RELEASE_TYPE)
    path = tmp_path / "gpu.candidate"
    write_archive(path, index=index_of(content, version, [referrer]), blobs={**content.blobs, **blobs})

    with pytest.raises(InputError, match="cannot be a tag"):
        push(path, registry.reference(""))
    push(path, registry.reference(":1.0.0-gpu"))
    pull(registry.reference(":1.0.0-gpu"), tmp_path / "got.candidate")
    assert (tmp_path / "got.candidate").read_bytes() == path.read_bytes()


def test_dockers_configuration_gives_the_credentials(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What docker login wrote is used; a broken file is told by its name."""
    folder = tmp_path / ".docker"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    with serving(Registry(user="me:pw")) as registry:
        config = {"auths": {registry.host: {"auth": "bWU6cHc="}}}
        (folder / "config.json").write_text(json.dumps(config))
        pushed = push(bundle, registry.reference())
        (folder / "config.json").write_text("{")
        with pytest.raises(InputError, match="configuration"):
            push(bundle, registry.reference())

    assert pushed.attestations == 2


def test_a_full_disk_is_told_before_the_long_work(
    bundle: Path, registry: Registry, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes are known from the manifest, so there is no need to find out by failing."""
    push(bundle, registry.reference())
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())

    with pytest.raises(UnavailableError, match="are free"):
        pull(registry.reference(), target)
    assert left(target) == []


@pytest.mark.parametrize("location", ["", "http://[", "http://h:99999999/", "//elsewhere/v2/", "https://127.0.0.1/v2/"])
def test_uploads_go_nowhere_else(registry: Registry, location: str) -> None:
    """Whatever a registry says where to upload to, bytes and credentials stay with it."""
    with Remote(Reference.parse(registry.reference())) as remote, pytest.raises(RefusedError, match="elsewhere"):
        remote.same_origin(location)


def test_netrc_does_not_replace_what_proves_who_we_are(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials come from where we say they come from, not from ~/.netrc."""
    (tmp_path / "netrc").write_text("default login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with serving(Registry(user=f"me:{PASSWORD}", token=True)) as registry:
        reference = registry.reference().replace("127.0.0.1", "0.0.0.0")  # noqa: S104 - a host that netrc is read for
        assert push(bundle, reference, credentials=ME, insecure=True).attestations == 2


@pytest.mark.parametrize(
    "challenge", ["Bearer", 'Bearer realm="nonsense"', 'Bearer realm="http://127.0.0.1:9/"', "Negotiate", "Basic"]
)
def test_a_challenge_without_an_answer_is_a_refusal(
    registry: Registry, target: Path, monkeypatch: pytest.MonkeyPatch, challenge: str
) -> None:
    """Whatever a registry asks for in place of a password; nobody there to ask for a token is 9."""

    def never(self: Handler) -> bool:
        self._error(401, "UNAUTHORIZED", WWW_Authenticate=challenge)
        return False

    monkeypatch.setattr(Handler, "_may", never)
    with pytest.raises((RefusedError, UnavailableError)):
        pull(registry.reference(), target)
    assert left(target) == []


def test_credentials_of_another_host_stay_at_home(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host without a dot is a host, not a name at the library's favourite registry, whose password it would get."""
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text('{"auths": {"docker.io": {"auth": "bWU6cHc="}}}')
    monkeypatch.setattr(Remote, "_wants_basic", lambda _: True)

    with pytest.raises(RefusedError, match="wants a user"):
        Remote(Reference.parse("localhost/team/tiny"))
    assert registry.asked == []


def test_the_first_failure_stops_the_rest(
    bundle: Path, registry: Registry, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When one blob fails, another that is on its way is given up at its next chunk."""
    push(bundle, registry.reference())
    fetch, started, failed, ended = Remote.fetch_blob, threading.Event(), threading.Event(), []
    manifest = json.loads(registry.manifests[registry.tags["1.0.0"]][1])
    *_, second, largest = sorted((layer["size"], layer["digest"]) for layer in manifest["layers"])

    def hindered(self: Remote, digest: str, size: int, sink: Callable[[bytes], object]) -> None:
        if digest == second[1]:
            started.wait(30)
            failed.set()
            raise UnavailableError("this one failed")
        if digest == largest[1]:
            started.set()
            failed.wait(30)
            for _ in range(1_000_000):
                sink(b"")
            ended.append(digest)
        fetch(self, digest, size, sink)

    monkeypatch.setattr(Remote, "fetch_blob", hindered)
    with pytest.raises(UnavailableError, match="this one failed"):
        pull(registry.reference(), target, allow_unattested=True)
    assert started.is_set()
    assert ended == []
    assert left(target) == []


def test_progress_ends_at_the_end(bundle: Path, registry: Registry, target: Path) -> None:
    """Progress counts bytes, for what is sent, what is there already and what is fetched."""
    told: list[tuple[str, float | None]] = []
    for call in (
        lambda: push(bundle, registry.reference(), progress=lambda *each: told.append(each)),
        lambda: push(bundle, registry.reference(), progress=lambda *each: told.append(each)),
        lambda: pull(registry.reference(), target, progress=lambda *each: told.append(each)),
    ):
        told.clear()
        call()
        shares = [share or 0.0 for _, share in told]

        assert shares == sorted(shares)
        assert (shares[0], shares[-1]) == (0.0, 1.0)


def test_a_registry_that_stores_other_bytes_is_found_out(
    bundle: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own word for what it stored must be the digest that was sent."""
    real = Handler._answer

    def lying(self: Handler, status: int, body: bytes = b"", **headers: str) -> None:
        if "Docker_Content_Digest" in headers:
            headers["Docker_Content_Digest"] = "sha256:" + "0" * 64
        real(self, status, body, **headers)

    monkeypatch.setattr(Handler, "_answer", lying)
    with pytest.raises(IntegrityError, match="stored it as"):
        push(bundle, registry.reference())
    assert registry.tags == {}


def attached(registry: Registry, data: bytes, kind: str) -> None:
    """Attach an attestation to what the registry has under the tag, in the form of ours."""
    raw = registry.manifests[registry.tags["1.0.0"]][1]
    referrer, blobs = attestation_blobs(manifest_descriptor(raw), data, kind)
    registry.manifests[referrer.digest] = ("application/vnd.oci.image.manifest.v1+json", blobs.pop(referrer.digest))
    registry.blobs |= blobs


def test_only_a_release_of_this_bundle_counts(bundle: Path, registry: Registry, target: Path, builder: Signer) -> None:
    """Nonsense in our form, and a release of another bundle, do not stand in for the attestation that was stripped."""
    push(bundle, registry.reference())
    registry.strip()
    attached(registry, b"{}", RELEASE_TYPE)
    recipe = tiny_recipe().copy()
    recipe.members["README.md"] = ("doc", b"# another\n")
    attached(registry, attest(release(recipe.content()), builder).to_bytes(), RELEASE_TYPE)
    attached(registry, attest(release(tiny_recipe().content()), builder).to_bytes(), "https://slsa.dev/x")

    with pytest.raises(RefusedError, match="no release attestation"):
        pull(registry.reference(), target)
    attached(registry, attest(release(tiny_recipe().content()), builder).to_bytes(), RELEASE_TYPE)
    pulled = pull(registry.reference(), target, public_key=builder.public_pem)
    assert (pulled.released, pulled.verified, pulled.ignored) == (True, True, 2)


@pytest.mark.parametrize("taken", [False, True], ids=["free", "taken"])
def test_a_disk_without_hard_links_will_do(
    bundle: Path,
    registry: Registry,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    taken: bool,  # noqa: FBT001 - a parameter
) -> None:
    """The file gets its name by moving it there, and takes it from nobody."""
    push(bundle, registry.reference())

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refused)
    if taken:
        target.write_bytes(b"mine")
        with pytest.raises(InputError, match="another file"):
            pull(registry.reference(), target)
        assert target.read_bytes() == b"mine"
    else:
        pull(registry.reference(), target)
        assert target.read_bytes() == bundle.read_bytes()
    assert left(target) == ["got.candidate"]
