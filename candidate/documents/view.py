"""Read a stored document without pydantic: whoever verifies must not wait for what only makers need.

The shapes in ``shapes.py`` are generated from the documents, like their JSON Schemas, and say the
same. A view is accepted only if it has its shape and if its canonical form is the very bytes that
were read. On any doubt the document itself reads the bytes, and says what is wrong with them; so a
view never accepts what its document refuses, and every message is the document's.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from candidate.canonical import MAX_DOCUMENT_BYTES, canonical, digest_of
from candidate.documents.names import MOVING
from candidate.documents.shapes import SHAPES
from candidate.errors import IntegrityError

if TYPE_CHECKING:
    from candidate.document import Document


class View(SimpleNamespace):
    """The fields of a document by the names that the document has for them; lists are tuples."""


class DocumentView(View):
    """The fields of a whole document, and what it was read from: its bytes, or a value inside another document."""

    __slots__ = ("_source",)
    _source: Any

    def to_bytes(self) -> bytes:
        """Return the document's one byte form."""
        return self._source if isinstance(self._source, bytes) else canonical(self._source)

    @property
    def digest(self) -> str:
        """The sha256 of these bytes, as ``sha256:…``."""
        return digest_of(self.to_bytes())


class _OtherError(Exception):
    """The value does not have the shape."""


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text.removeprefix("^").removesuffix("$"), re.ASCII)


def _object(value: Any, fields: dict[str, tuple[str, bool, Any]]) -> View:
    if type(value) is not dict or value.keys() - fields.keys():
        raise _OtherError
    found = View()
    for key, (name, required, shape) in fields.items():
        if key in value:
            setattr(found, name, _read(value[key], shape))
        elif required:
            raise _OtherError
        else:
            setattr(found, name, () if shape[0] == "some" else None)
    return found


def _bounded(size: float, least: float | None, most: float | None) -> bool:
    return (least is None or size >= least) and (most is None or size <= most)


def _scalar(value: Any, kind: str, rest: tuple[Any, ...]) -> Any:
    if kind == "string":
        pattern, least, most = rest
        fits = type(value) is str and _bounded(len(value), least, most)
        fits = fits and (pattern is None or _pattern(pattern).fullmatch(value) is not None)
    elif kind == "integer":
        fits = type(value) is int and _bounded(value, *rest)
    elif kind == "number":
        fits = type(value) in {int, float} and _bounded(value, *rest)
        value = float(value) if fits else value
    elif kind == "boolean":
        fits = type(value) is bool
    elif kind == "null":
        fits = value is None
    elif kind == "one":
        fits = any(type(value) is type(choice) and value == choice for choice in rest[0])
    else:
        fits = kind == "any"
    if not fits:
        raise _OtherError
    return value


def _read(value: Any, shape: tuple[Any, ...]) -> Any:
    kind, *rest = shape
    if kind == "object":
        return _object(value, rest[0])
    if kind in {"array", "some"}:  # the latter is left out where it would be empty
        inner, least, most = rest if kind == "array" else (rest[0], 1, rest[1])
        if type(value) is not list or not _bounded(len(value), least, most):
            raise _OtherError
        return tuple(_read(each, inner) for each in value)
    if kind == "map":
        if type(value) is not dict:
            raise _OtherError
        return {_read(key, rest[0]): _read(each, rest[1]) for key, each in value.items()}
    if kind == "either":
        for choice in rest[0]:
            try:
                return _read(value, choice)
            except _OtherError:
                continue
        raise _OtherError
    return _scalar(value, kind, tuple(rest))


def _sorted_and_unique(manifest: View) -> bool:
    """Whether the members are listed in order and differ in more than case; the document says so too."""
    names = [file.name for file in manifest.files]
    return names == sorted(names) and len({name.casefold() for name in names}) == len(names)


def _says_one_thing(entry: View) -> bool:
    """Whether an entry has the moves or the marks of its action; the document says so too."""
    if entry.action in MOVING:
        return bool(entry.moves) and not entry.marks
    about = entry.action in {"quarantine", "release"}
    fits = (
        (mark.bundle is not None) == about and (mark.until is None or entry.action == "hold") for mark in entry.marks
    )
    return bool(entry.marks) and not entry.moves and all(fits)


_RULES: dict[str, Callable[[View], bool]] = {"bundle-manifest": _sorted_and_unique, "entry": _says_one_thing}
"""What a document demands beyond its shape."""


def accept(name: str, data: bytes) -> DocumentView | None:
    """Return the view of a document, or None on any doubt.

    Args:
        name: of its schema, for example ``oci-index``.
        data: bytes of the document, untrusted.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        return None
    try:
        value = json.loads(data)
        found = _read(value, SHAPES[name])
        fits = canonical(value) == data and (name not in _RULES or _RULES[name](found))
    except (_OtherError, ValueError, RecursionError, IntegrityError):
        return None
    return _whole(found, data) if fits else None


def _whole(found: View, source: Any) -> DocumentView:
    whole = DocumentView(**vars(found))
    whole._source = source  # noqa: SLF001 - a slot of ours, so that it is no field
    return whole


def view_of(name: str, value: Any, *, where: str) -> DocumentView:
    """Return the view of a document that is a value in another one, whose bytes were found to be canonical.

    Args:
        name: of its schema.
        value: the JSON value.
        where: the file or member that it came from, for the message.

    Raises:
        IntegrityError: not this kind of document, as of ``view``.
    """
    try:
        found = _read(value, SHAPES[name])
        fits = name not in _RULES or _RULES[name](found)
    except (_OtherError, RecursionError):
        fits = False
    return _whole(found, value) if fits else view(name, canonical(value), where=where)


def view(name: str, data: bytes, *, where: str) -> DocumentView:
    """Return the view of a document.

    Args:
        name: of its schema, for example ``oci-index``.
        data: bytes of the document, untrusted.
        where: the file or member that they came from, for the message.

    Raises:
        IntegrityError: not this kind of document, or not in its canonical form; the message lists
            every problem with its JSON pointer.
    """
    found = accept(name, data)
    if found is None:
        _documents()[name].from_bytes(data, where=where)
        raise IntegrityError("document does not have the form that its schema says", where=where)
    return found


def _documents() -> "dict[str, type[Document]]":
    """Return the documents that can be viewed; asking loads pydantic."""
    from candidate.documents import entry, manifest, oci, statement

    return {
        "attestation": statement.Attestation,
        "bundle-manifest": manifest.BundleManifest,
        "entry": entry.Entry,
        "experiment-record": manifest.ExperimentRecord,
        "genesis": entry.Genesis,
        "model-config": oci.ModelConfig,
        "model-signature": manifest.ModelSignature,
        "oci-index": oci.OciIndex,
        "oci-manifest": oci.OciManifest,
        "statement": statement.Statement,
        "tolerance": manifest.Tolerance,
    }
