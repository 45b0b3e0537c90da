"""A view accepts exactly what its document accepts, and says the same of it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from candidate.adapters.attest import attest, load_signer, new_key
from candidate.adapters.oci import attestation_blobs, index_of
from candidate.canonical import MAX_DOCUMENT_BYTES, canonical
from candidate.documents import shapes, view
from candidate.documents.entry import Artifact, Entry, Genesis, Mark, Move, Preflight
from candidate.documents.names import EXPERIMENT_PATH, SIGNATURE_PATH, TOLERANCE_PATH
from candidate.documents.trust import Identity, Revoked, RoleKeys, Sigstore, TrustPolicy
from candidate.errors import CandidateError, IntegrityError
from tests.bundles import release, tiny_recipe
from tests.shapes import FILE, shapes_text
from tests.sigstores import Clock, LocalSigstore, Tiles

RECIPE = tiny_recipe()
CONTENT = RECIPE.content()
STATEMENT = release(CONTENT)
ATTESTATION = attest(STATEMENT, load_signer(new_key(None), None)).to_bytes()
CERTIFIED = LocalSigstore().seal(STATEMENT.to_bytes())
STAMPED = LocalSigstore(log=Tiles(), clock=Clock()).seal(STATEMENT.to_bytes())
REFERRER, BLOBS = attestation_blobs(CONTENT.descriptor, ATTESTATION, STATEMENT.predicate_type)
CONFIG = json.loads(CONTENT.manifest)["config"]["digest"]
TIME = "2026-11-01T12:00:00Z"
DIGEST = "sha256:" + "a" * 64
A, B = (Artifact(bundle=DIGEST, index=DIGEST, name="tiny", version=version) for version in ("1.0.0", "2.0.0"))
FORTH = Move(
    channel="tiny/prod",
    from_=None,
    to=B,
    rollback=(A,),
    decision=DIGEST,
    preflight=(Preflight(bundle=DIGEST, rows=4, max_difference=0.5),),
    override=DIGEST,
)
WRITTEN: dict[str, Any] = {
    "registry": "0" * 32,
    "sequence": 1,
    "previous": DIGEST,
    "time": TIME,
    "reason": "so",
    "idempotency": "once",
}
ENTRIES = [
    Entry(action="promote", moves=(FORTH,), **WRITTEN),
    Entry(action="rollback", moves=(FORTH.model_copy(update={"override": None, "decision": None}),), **WRITTEN),
    Entry(action="hold", moves=(), marks=(Mark(channel="tiny/prod", bundle=None, until=TIME),), **WRITTEN),
    Entry(action="quarantine", moves=(), marks=(Mark(channel="tiny/prod", bundle=DIGEST, until=None),), **WRITTEN),
]
SOMEBODY = Identity(issuer="https://issuer.example", subject="workflow@main")
POLICIES = [
    TrustPolicy(roles={"builder": RoleKeys(keys=("a key",))}),
    TrustPolicy(
        roles={"promoter": RoleKeys(identities=(SOMEBODY,), predicates=("entry",), valid_until=TIME)},
        revoked=Revoked(keys=("0" * 64,), identities=(SOMEBODY,), digests=(DIGEST,)),
        sigstore=Sigstore(trusted_root="{}"),
    ),
]
SAMPLES: dict[str, list[bytes]] = {
    "attestation": [ATTESTATION, CERTIFIED, STAMPED],
    "bundle-manifest": [RECIPE.manifest().to_bytes()],
    "entry": [made.to_bytes() for made in ENTRIES],
    "experiment-record": [RECIPE.members[EXPERIMENT_PATH][1]],
    "genesis": [Genesis(registry="0" * 32, created=TIME, trust=policy).to_bytes() for policy in POLICIES],
    "model-config": [CONTENT.blobs[CONFIG]],
    "model-signature": [RECIPE.members[SIGNATURE_PATH][1]],
    "oci-index": [index_of(CONTENT, "1.0.0"), index_of(CONTENT, "1.0.0", [REFERRER])],
    "oci-manifest": [CONTENT.manifest, BLOBS[REFERRER.digest]],
    "statement": [STATEMENT.to_bytes()],
    "tolerance": [RECIPE.members[TOLERANCE_PATH][1]],
}
NAMES = [(name, number) for name, samples in SAMPLES.items() for number in range(len(samples))]
PLAIN = [None, True, False, 0, 1, -1, 2, 1.5, 1e300, "", "x", "1.0.0", "a/../b", "line\n", "float32", "\u0661", "kind"]
VALUES = st.sampled_from(  # as text: what is put into a document may be changed there
    [json.dumps(value) for value in (*PLAIN, "sha256:" + "0" * 64, "0" * 64, "0" * 64 + "\n", [], {}, ["x"], {"x": 1})]
)


def test_the_shapes_are_the_documents() -> None:
    """Run ``make schemas`` after changing a document."""
    assert shapes_text() == FILE.read_text()
    assert set(SAMPLES) == set(view._documents())


def same(found: Any, document: Any) -> bool:
    """Whether a view says what a document says, field by field."""
    if isinstance(document, BaseModel):
        fields = type(document).model_fields
        return set(vars(found)) == set(fields) and all(same(getattr(found, n), getattr(document, n)) for n in fields)
    if isinstance(document, tuple):
        return isinstance(found, tuple) and len(found) == len(document) and all(map(same, found, document))
    if isinstance(document, dict):
        return (
            isinstance(found, dict)
            and found.keys() == document.keys()
            and all(same(found[k], document[k]) for k in found)
        )
    return type(found) is type(document) and found == document


@pytest.mark.parametrize(("name", "number"), NAMES)
def test_a_view_says_what_its_document_says(name: str, number: int) -> None:
    """The same fields with the same values, by the same names."""
    data = SAMPLES[name][number]
    found = view.view(name, data, where="x")
    assert same(found, view._documents()[name].from_bytes(data))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


def damaged(value: Any, path: tuple[Any, ...], kind: str, new: Any) -> Any:
    """The value with something else in one place."""
    if not path:
        return new
    home = value
    for key in path[:-1]:
        home = home[key]
    if kind == "put":
        home[path[-1]] = new
    elif kind == "drop":
        del home[path[-1]]
    elif isinstance(home, dict):
        home["extra" if kind == "add" else "media_type"] = new
    elif kind == "add":
        home.append(new)
    else:
        home.reverse()
    return value


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(st.data())
def test_a_view_refuses_what_its_document_refuses(data: st.DataObject) -> None:
    """Any value anywhere, fields too many and too few, other names and other orders: they agree, both ways."""
    name, number = data.draw(st.sampled_from(NAMES))
    value = json.loads(SAMPLES[name][number])
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(places(value)))
        value = damaged(
            value, path, data.draw(st.sampled_from(["put", "drop", "add", "swap"])), json.loads(data.draw(VALUES))
        )
    raw = canonical(value)
    found = view.accept(name, raw)
    try:
        document = view._documents()[name].from_bytes(raw)
    except IntegrityError:
        assert found is None
        return
    assert found is not None
    assert same(found, document)


@pytest.mark.parametrize(
    "data",
    [b"", b"[", b"nothing", b'{"a":1,"a":1}', b"[" * 100_000, b"\xff", b'"\\ud800"', b"1e999", b" {}", b"NaN"],
    ids=["empty", "open", "word", "twice", "deep", "not text", "lone surrogate", "huge", "space", "nan"],
)
def test_what_is_no_document_is_refused_in_the_documents_words(data: bytes) -> None:
    """Bytes of any kind; the one error is the document's."""
    for name in SAMPLES:
        with pytest.raises(IntegrityError) as caught:
            view.view(name, data, where="there")
        assert caught.value.where == "there"


def test_a_document_too_large_is_not_parsed() -> None:
    """The bound is the document's."""
    with pytest.raises(IntegrityError, match="more than"):
        view.view("tolerance", b" " * (MAX_DOCUMENT_BYTES + 1), where="x")


def test_a_shape_that_is_behind_its_document_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the two ever disagreed, nothing would be accepted."""
    monkeypatch.setitem(shapes.SHAPES, "tolerance", ("null",))
    with pytest.raises(CandidateError, match="form that its schema says"):
        view.view("tolerance", SAMPLES["tolerance"][0], where="x")


def test_files_out_of_order_are_refused() -> None:
    """What the document demands beyond its shape holds for the view too."""
    value = json.loads(SAMPLES["bundle-manifest"][0])
    value["files"].reverse()
    assert view.accept("bundle-manifest", canonical(value)) is None


def test_a_view_of_a_value_is_the_view_of_its_bytes() -> None:
    """A document inside another one is not written and read again; what is wrong with it is worded alike."""
    for made in ENTRIES:
        value = json.loads(made.to_bytes())
        found = view.view_of("entry", value, where="x")
        assert same(found, made)
        assert (found.to_bytes(), found.digest) == (made.to_bytes(), made.digest)
        value["action"] = "forget"
        with pytest.raises(IntegrityError, match="/action") as caught:
            view.view_of("entry", value, where="log entry 3")
        assert caught.value.where == "log entry 3"
