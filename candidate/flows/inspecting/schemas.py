"""The JSON Schemas of a bundle: valid, self-contained, and the model signature in other words."""

import json
from typing import TYPE_CHECKING, Any

from candidate.canonical import canonical
from candidate.documents.names import INPUT_SCHEMA_PATH
from candidate.errors import IntegrityError

if TYPE_CHECKING:
    from candidate.documents.manifest import ModelSignature, TensorType
    from candidate.documents.view import View

DIALECT = "https://json-schema.org/draft/2020-12/schema"
JSON_TYPES: "dict[TensorType, str]" = {
    "float32": "number",
    "float64": "number",
    "int32": "integer",
    "int64": "integer",
    "string": "string",
    "bool": "boolean",
}
"""JSON type of a feature's value; a number may also be null (missing)."""

_TYPES = {"array", "boolean", "integer", "null", "number", "object", "string"}
_REFERENCES = {"$ref", "$dynamicRef", "$recursiveRef", "$id", "$anchor", "$dynamicAnchor"}


def strict_json(data: bytes, *, where: str) -> dict[str, Any]:
    """Return the JSON object in these bytes, which must be its canonical form.

    Raises:
        IntegrityError: not JSON, not an object, or not canonical.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise IntegrityError("not JSON", where=where) from error
    if not isinstance(value, dict):
        raise IntegrityError("not a JSON object", where=where)
    try:
        written = canonical(value)
    except IntegrityError as error:
        raise IntegrityError(error.message, where=where) from error
    if written != data:
        raise IntegrityError("not in its canonical form (RFC 8785)", where=where)
    return value


def _is_plain(schema: object) -> bool:
    """Whether a schema uses only keywords whose validity is plain to see; most of ours do."""
    if not isinstance(schema, dict):
        return isinstance(schema, bool)
    for key, value in schema.items():
        if key in {"$schema", "title", "description"}:
            plain = isinstance(value, str)
        elif key == "type":
            names = value if isinstance(value, list) else [value]
            plain = bool(names) and all(isinstance(name, str) and name in _TYPES for name in names)
            plain = plain and len(set(names)) == len(names)
        elif key == "properties":
            plain = isinstance(value, dict) and all(_is_plain(inner) for inner in value.values())
        elif key == "required":
            plain = isinstance(value, list) and all(isinstance(name, str) for name in value)
            plain = plain and len(set(value)) == len(value)
        elif key in {"additionalProperties", "items"}:
            plain = _is_plain(value)
        elif key in {"minimum", "maximum"}:
            plain = isinstance(value, int | float) and not isinstance(value, bool)
        elif key in {"minItems", "maxItems"}:
            plain = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        elif key.startswith("x-"):
            plain = True
        else:
            plain = key == "enum" and isinstance(value, list)
        if not plain:
            return False
    return True


def _refers(value: object) -> bool:
    if isinstance(value, dict):
        return any(key in _REFERENCES or _refers(inner) for key, inner in value.items())
    return isinstance(value, list) and any(_refers(inner) for inner in value)


def check_schema(schema: dict[str, Any], *, where: str) -> None:
    """Check that a schema is JSON Schema 2020-12 and refers to nothing.

    Raises:
        IntegrityError: another dialect, a reference, or not a valid schema.
    """
    if schema.get("$schema") != DIALECT:
        raise IntegrityError(f"dialect is {schema.get('$schema')!r}, not {DIALECT!r}", where=where)
    if _is_plain(schema):
        return
    if _refers(schema):
        raise IntegrityError("schema refers to something else", where=where)
    import jsonschema  # late: it doubles the start-up time, and our own schemas are plain

    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except (jsonschema.SchemaError, RecursionError) as error:
        reason = error.message if isinstance(error, jsonschema.SchemaError) else "nested too deeply"
        raise IntegrityError(f"not a valid JSON Schema: {reason[:200]}", where=where) from error


def check_input_schema(schema: dict[str, Any], signature: "ModelSignature | View") -> None:
    """Check that the schema of a serving record says what the model signature says.

    Raises:
        IntegrityError: other features, other types, or a record may leave something out or add it.
    """
    where = INPUT_SCHEMA_PATH
    check_schema(schema, where=where)
    odd = sorted(
        schema.keys() - {"$schema", "type", "properties", "required", "additionalProperties", "title", "description"}
    )
    if odd or schema.get("type") != "object" or schema.get("additionalProperties") is not False:
        raise IntegrityError(f"not the schema of a closed record{': ' + odd[0] if odd else ''}", where=where)
    properties = schema.get("properties")
    features = {tensor.name for tensor in signature.inputs}
    if not isinstance(properties, dict) or set(properties) != features:
        names = set(properties) if isinstance(properties, dict) else set()
        different = ", ".join(sorted(names ^ features)[:5])
        raise IntegrityError(f"features differ from the model signature: {different}", where=where)
    if schema.get("required") != sorted(features):
        raise IntegrityError("not every feature is required", where=where)
    for tensor in signature.inputs:
        said = properties[tensor.name]
        wanted = JSON_TYPES[tensor.dtype]
        types = said.get("type") if isinstance(said, dict) else None
        if types != wanted and not (wanted == "number" and types == ["number", "null"]):
            raise IntegrityError(
                f"feature is {tensor.dtype} in the graph, {types!r} in the schema", where=f"{where}: {tensor.name}"
            )
        _check_property(said, wanted, where=f"{where}: {tensor.name}")


def _check_property(said: dict[str, Any], kind: str, *, where: str) -> None:
    """Check that a feature's schema uses only what serving enforces for batches too, in a way that makes sense."""
    odd = sorted(said.keys() - {"type", "enum", "minimum", "maximum", "title", "description", "x-unit", "x-observed"})
    if odd:
        raise IntegrityError(f"{odd[0]!r} is nothing that serving enforces", where=where)
    if ("minimum" in said or "maximum" in said) and kind not in {"number", "integer"}:
        raise IntegrityError(f"bounds of a {kind}", where=where)
    if "enum" in said:
        wanted = {"string": str, "integer": int}.get(kind)
        values = said["enum"]
        if wanted is None or not values or any(type(value) is not wanted for value in values):
            raise IntegrityError(f"an enumeration that is not of a {kind}", where=where)
