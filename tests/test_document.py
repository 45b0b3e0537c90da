"""Stored documents: one byte form, and nothing else is accepted."""

import json
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from candidate.canonical import canonical, digest_of
from candidate.document import Document, Part
from candidate.errors import InputError, IntegrityError


class Inner(Part):
    """A part of a document."""

    share: float
    names: tuple[str, ...] = ()


class Outer(Document):
    """A document with parts, some of them optional."""

    kind: Literal["outer"] = "outer"
    count: int
    inner: Inner | None = None
    table: dict[str, Inner] = {}  # noqa: RUF012 - pydantic copies defaults


class Foreign(Document):
    """A foreign format, in which absent is not null."""

    omit_none: ClassVar[bool] = True
    name: str
    note: str | None = None


WHOLE = Outer(count=3, inner=Inner(share=0.1, names=("ü", "a")))


def test_a_document_is_written_in_its_canonical_form() -> None:
    """RFC 8785: sorted keys, no white space, shortest numbers, UTF-8."""
    assert WHOLE.to_bytes() == (
        '{"count":3,"inner":{"names":["ü","a"],"share":0.1},"kind":"outer","table":{}}'.encode()
    )
    assert Foreign(name="x").to_bytes() == b'{"name":"x"}'


def test_a_document_is_read_back_as_it_was() -> None:
    """And its digest is that of its bytes, known from outside."""
    assert Outer.from_bytes(WHOLE.to_bytes()) == WHOLE
    assert WHOLE.digest == digest_of(WHOLE.to_bytes())
    assert digest_of(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    "text",
    [
        '{"count": 3,"inner":null,"kind":"outer","table":{}}',
        '{"kind":"outer","count":3,"inner":null,"table":{}}',
        '{"count":3,"count":3,"inner":null,"kind":"outer","table":{}}',
        '{"count":3,"inner":{"names":[],"share":0.10},"kind":"outer","table":{}}',
        '{"count":3,"inner":{"names":["\\u0061"],"share":0.1},"kind":"outer","table":{}}',
        '{"count":3,"inner":null,"kind":"outer","table":{}}\n',
        '{"count":3,"kind":"outer","table":{}}',
    ],
    ids=["space", "order", "repeated key", "number", "escape", "newline", "default left out"],
)
def test_another_spelling_of_the_same_document_is_refused(text: str) -> None:
    """Two byte forms of one content would be two digests of one content."""
    with pytest.raises(IntegrityError, match="not in its canonical form") as caught:
        Outer.from_bytes(text.encode(), where="outer.json")
    assert caught.value.where == "outer.json"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "/: Invalid JSON"),
        (b"\xff", "/: Invalid JSON"),
        (b"[]", "/: Input should be an object"),
        (b'{"count":3,"more":1,"kind":"outer"}', "/more: unknown key"),
        (b'{"count":"3"}', "/count: Input should be a valid integer"),
        (b'{"count":3,"inner":{"share":NaN}}', "/inner/share: Input should be a finite number"),
        (b'{"count":3,"table":{"x":{}}}', "/table/x/share: Field required"),
        (b'{"count":3,"kind":"other"}', "/kind: Input should be 'outer'"),
        (b"[" * 5000, "/: Invalid JSON"),
    ],
)
def test_what_is_no_such_document_is_refused_with_every_place(data: bytes, says: str) -> None:
    """Each problem comes with its JSON pointer."""
    with pytest.raises(IntegrityError) as caught:
        Outer.from_bytes(data)
    assert says in caught.value.message
    assert caught.value.where == "Outer"


def test_a_document_that_is_too_large_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size is looked at first."""
    monkeypatch.setattr(Outer, "max_bytes", 10)
    with pytest.raises(IntegrityError, match="document of 11 bytes, more than 10"):
        Outer.from_bytes(b"x" * 11)


def test_problems_without_end_are_counted_and_not_listed() -> None:
    """A hostile document must not choose how long the message about it is."""
    with pytest.raises(IntegrityError, match=r"\d{4} problems") as caught:
        Outer.from_bytes(b"{" + b",".join(b'"k%d":1' % number for number in range(2000)) + b"}")
    assert len(str(caught.value)) < 100


def endless() -> list[Any]:
    """A list that is its own element."""
    loop: list[Any] = []
    loop.append(loop)
    return loop


UNWRITABLE = [float("nan"), 2**60, "\ud800", {1: 2}, object(), endless()]


@pytest.mark.parametrize("value", UNWRITABLE, ids=["nan", "large", "surrogate", "key", "object", "endless"])
def test_a_value_without_a_canonical_form_is_refused(value: object) -> None:
    """What JSON cannot say exactly is not written."""
    with pytest.raises(IntegrityError, match="no canonical JSON form"):
        canonical(value)


def test_an_integer_that_a_double_cannot_hold_is_refused_in_a_document_too() -> None:
    """It would be read differently elsewhere."""
    with pytest.raises(IntegrityError, match=r"no canonical JSON form.*\(some\.json\)"):
        Outer.from_bytes(b'{"count":1152921504606846977,"inner":null,"kind":"outer","table":{}}', where="some.json")


def test_a_document_cannot_be_changed() -> None:
    """Stages hand each other values, not state."""
    with pytest.raises(ValueError, match="frozen"):
        WHOLE.count = 4  # type: ignore[misc]  # that is the point


def test_toml_that_a_person_wrote_is_read() -> None:
    """The same document, from another notation."""
    assert Outer.from_toml('count = 3\n[inner]\nshare = 0.1\nnames = ["ü", "a"]', where="x.toml") == WHOLE


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("count = ", "not usable TOML", ""),
        ("count = 3\n[inner]\nshare = nan", "not usable TOML", ""),
        ("coumt = 3", "/count: Field required; /coumt: unknown key", "did you mean 'count'?"),
        ("count = 3\n[inner]\nsahre = 1.0", "/inner/sahre: unknown key", "did you mean 'share'?"),
        ("count = 3\n[table.x]\nshair = 1.0", "/table/x/shair: unknown key", "did you mean 'share'?"),
        ("count = 3\nzzzzzz = 1", "/zzzzzz: unknown key", "the keys are described in"),
        ("count = 2013-01-01", "/count: Input should be a valid integer", "the keys are described in"),
    ],
)
def test_toml_that_does_not_fit_is_refused_with_the_nearest_key(text: str, message: str, hint: str) -> None:
    """A slip of the pen gets a suggestion, from anywhere in the document."""
    with pytest.raises(InputError) as caught:
        Outer.from_toml(text, where="x.toml")
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.where == "x.toml"


def test_the_same_problem_is_told_once() -> None:
    """A union tries its members one by one; a person needs to hear it once."""
    with pytest.raises(IntegrityError) as caught:
        Outer.from_bytes(json.dumps({"count": 1, "inner": {"share": "x"}}).encode())
    assert caught.value.message.count("/inner/share") == 1


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)  # of a busy machine
@given(JSON_VALUES)
def test_the_fast_way_writes_what_the_reference_writes(value: object) -> None:
    """Whatever is left to Python's own encoder comes out as RFC 8785's reference writes it."""
    import rfc8785

    assert canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type]  # any JSON value


@pytest.mark.parametrize(
    "value",
    [0.0, -0.0, 1.0, 4.5, 1e-4, 9.999e-5, 1e-7, 1e15, 123456789012345.6, 1e16, 1e21, 5e-324, 0.1 + 0.2, 2**53 - 1],
)
def test_the_fast_way_writes_numbers_as_the_reference(value: float) -> None:
    """At every border between the two forms of a number, either sign."""
    import rfc8785

    assert canonical([value, -value]) == rfc8785.dumps([value, -value])


@pytest.mark.parametrize(
    "value", [2**53, -(2**53), float("nan"), {1: "x"}, {"a": {2: 3}}, "\ud800", {"\udfff": 1}, b"x", {1, 2}, object()]
)
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    """Python's encoder would write some of these."""
    with pytest.raises(IntegrityError, match="no canonical JSON form"):
        canonical(value)


def test_keys_beyond_the_first_plane_sort_by_their_code_units() -> None:
    """RFC 8785, section 3.2.3: as UTF-16 an emoji comes before U+FB33; as code points it comes after."""
    assert canonical({"\ufb33": 1, "\U0001f600": 2}).index("\U0001f600".encode()) == 2


def test_brackets_without_end_are_refused() -> None:
    """Depth ends in an error of ours."""
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(IntegrityError, match="no canonical JSON form"):
        canonical(value)
