"""The base of every stored document: strict parse of bytes, one canonical byte form, a digest.

Canonical means RFC 8785 (JCS). A stored document is accepted only if writing what was read gives
the very bytes that came in; that single rule refuses repeated keys, stray white space, other
escapes, unsorted keys, unknown fields, NaN and integers that a double cannot hold.
"""

import difflib
import json
import tomllib
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    model_serializer,
)

from candidate.canonical import MAX_DOCUMENT_BYTES, canonical, digest_of
from candidate.errors import InputError, IntegrityError

MAX_PROBLEMS = 100

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


def _pointer(location: tuple[int | str, ...]) -> str:
    return "/" + "/".join(str(part) for part in location)


class Part(BaseModel):
    """A piece of a document: frozen, closed to unknown fields, strict about types."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        defer_build=True,  # a command pays only for the documents that it reads
    )


class Grown(Part):
    """A part that came to have more fields: unused, they are left out, so that what was written before still reads."""

    later: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _without_unused(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = handler(self)
        return {name: value for name, value in fields.items() if value or name not in self.later}


class Document(Part):
    """A stored document: parsed from canonical bytes, written to canonical bytes."""

    omit_none: ClassVar[bool] = False
    """Foreign formats (OCI) leave an absent field out; ours write null."""
    max_bytes: ClassVar[int] = MAX_DOCUMENT_BYTES

    def to_bytes(self) -> bytes:
        """Return the document's one byte form (RFC 8785)."""
        return canonical(self.model_dump(mode="json", exclude_none=self.omit_none))

    @property
    def digest(self) -> str:
        """The sha256 of the canonical bytes, as ``sha256:…``."""
        return digest_of(self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes, *, where: str = "") -> Self:
        """Parse untrusted bytes.

        Args:
            data: what was read, whole.
            where: the file or member the bytes came from, for the message.

        Raises:
            IntegrityError: not this kind of document, or not in its canonical form; the message
                lists every problem with its JSON pointer.
        """
        place = where or cls.__name__
        if len(data) > cls.max_bytes:
            raise IntegrityError(f"document of {len(data)} bytes, more than {cls.max_bytes}", where=place)
        try:
            document = cls.model_validate_json(data)
        except ValidationError as error:
            raise IntegrityError(_problems(error), where=place) from error
        try:
            written = document.to_bytes()
        except IntegrityError as error:
            raise IntegrityError(error.message, where=place) from error
        if written != data:
            raise IntegrityError("document is not in its canonical form (RFC 8785)", where=place)
        return document

    @classmethod
    def from_toml(cls, text: str, *, where: str) -> Self:
        """Parse a file a person wrote.

        Raises:
            InputError: not TOML, or a key or a value that this document does not know; the
                message lists every problem, and unknown keys come with the nearest known one.
        """
        try:
            table = tomllib.loads(text)
            data = json.dumps(table, default=str, allow_nan=False)
        except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
            raise InputError(f"not usable TOML: {error}", where=where) from error
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            hint = _suggestion(error, known=_field_names(cls, set()))
            raise InputError(_problems(error), where=where, hint=hint) from error


def _problems(error: ValidationError) -> str:
    if error.error_count() > MAX_PROBLEMS:
        return f"{error.error_count()} problems, too many to list"
    says = {
        f"{_pointer(problem['loc'])}: "
        + ("unknown key" if problem["type"] == "extra_forbidden" else problem["msg"]): None
        for problem in error.errors(include_url=False, include_input=False)
    }
    return "; ".join(says)


def _suggestion(error: ValidationError, known: set[str]) -> str:
    for problem in error.errors(include_url=False, include_input=False):
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(problem["loc"][-1]), sorted(known), n=1)
            if near:
                return f"did you mean {near[0]!r}?"
    return "the keys are described in docs/formats.md and schemas/"


def _field_names(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[str]:
    """Collect the key names of a model and of every model its fields mention."""
    seen.add(model)
    names = {field.alias or name for name, field in model.model_fields.items()}
    for field in model.model_fields.values():
        pending: list[object] = [field.annotation]
        while pending:
            current = pending.pop()
            if isinstance(current, type) and issubclass(current, BaseModel):
                if current not in seen:
                    names |= _field_names(current, seen)
            else:
                pending.extend(getattr(current, "__args__", ()))
    return names
