"""What goes into a bundle: whatever the old one took, the new one must take."""

from collections.abc import Iterator
from typing import Any

from candidate.documents.compatible import Effect, FieldChange
from candidate.documents.manifest import ModelSignature, Tensor
from candidate.judgement.compatibility.keywords import ABSENT, keyword, same

RECORD = "*"
"""The record as a whole, where a change is not about one field."""
_CLOSED: dict[str, Any] = {"not": {}}
"""What the schema ``false`` means: nothing fits."""


def _object(schema: Any) -> dict[str, Any]:
    """Return a schema as keywords; ``true`` and ``false`` are schemas too."""
    if isinstance(schema, dict):
        return schema
    return {} if schema else _CLOSED


def _keywords(new: dict[str, Any], old: dict[str, Any], field: str, skip: set[str]) -> Iterator[FieldChange]:
    """Yield every keyword of a field, or of the record, that says something else."""
    for name in sorted((new.keys() | old.keys()) - skip):
        now, before = new.get(name, ABSENT), old.get(name, ABSENT)
        if now is ABSENT or before is ABSENT or not same(now, before):
            effect, why = keyword(name, now, before)
            yield FieldChange(
                side="input",
                field=field,
                what=name,
                from_=None if before is ABSENT else before,
                to=None if now is ABSENT else now,
                records=effect,
                tensors=_for_tensors(name, effect),
                why=why,
            )


def _for_tensors(name: str, effect: Effect) -> Effect:
    """Return what a keyword means to those who feed tensors: a unit binds them too, and no schema refuses them."""
    return effect if name == "x-unit" else "compatible"


def schema_changes(new: dict[str, Any], old: dict[str, Any]) -> Iterator[FieldChange]:
    """Yield what the schema of a serving record says otherwise.

    Args:
        new: JSON Schema of one record of the newer bundle.
        old: the same of the older one.
    """
    fields, before = new.get("properties", {}), old.get("properties", {})
    needed, was_needed = set(new.get("required", [])), set(old.get("required", []))
    extra, was_extra = _object(new.get("additionalProperties", True)), _object(old.get("additionalProperties", True))
    yield from _keywords(new, old, RECORD, {"properties", "required", "additionalProperties"})
    if not same(extra, was_extra):
        yield _extra(extra, was_extra)
    for name in sorted(fields.keys() | before.keys() | needed | was_needed):
        if name in fields and name not in before:
            yield _gained(name, fields[name], needed=name in needed, closed=same(was_extra, _CLOSED))
        elif name in before and name not in fields:
            yield _lost(name, before[name], free=not extra)
        elif name in fields:
            yield from _keywords(_object(fields[name]), _object(before[name]), name, set())
        asked = (name in needed) - (name in was_needed)
        if asked and asked != (name in fields) - (name in before):  # else the field itself came or went
            yield _required(name, needed=name in needed)


def _extra(new: dict[str, Any], old: dict[str, Any]) -> FieldChange:
    """Return what it means that other fields beside the named ones are taken, or no longer."""
    wider = not new or same(old, _CLOSED)
    return FieldChange(
        side="input",
        field=RECORD,
        what="additionalProperties",
        from_=_shown(old),
        to=_shown(new),
        records="widened" if wider else "breaking",
        tensors="compatible",
        why="more fields are taken" if wider else "fields that were let through may be refused",
    )


def _shown(schema: dict[str, Any]) -> Any:
    return False if same(schema, _CLOSED) else schema or True


def _gained(name: str, schema: Any, *, needed: bool, closed: bool) -> FieldChange:
    """Return what a field means that was not there: callers of the old bundle never send it."""
    free = closed and not needed
    return FieldChange(
        side="input",
        field=name,
        what="properties",
        from_=None,
        to=schema,
        records="widened" if free else "breaking",
        tensors="compatible",
        why="a new field that may be left out"
        if free
        else "a new field that callers do not send"
        if needed
        else "a field that was taken as it came is now checked",
    )


def _lost(name: str, schema: Any, *, free: bool) -> FieldChange:
    """Return what it means that a field is gone: callers of the old bundle go on sending it."""
    return FieldChange(
        side="input",
        field=name,
        what="properties",
        from_=schema,
        to=None,
        records="widened" if free else "breaking",
        tensors="compatible",
        why="no longer looked at" if free else "a record that has it is refused",
    )


def _required(name: str, *, needed: bool) -> FieldChange:
    return FieldChange(
        side="input",
        field=name,
        what="required",
        from_=not needed,
        to=needed,
        records="breaking" if needed else "widened",
        tensors="compatible",
        why="may no longer be left out" if needed else "may be left out now",
    )


def tensor_changes(new: ModelSignature, old: ModelSignature) -> Iterator[FieldChange]:
    """Yield what callers notice that feed the graph's tensors: names, dtypes, shapes and their order."""
    now = {tensor.name: tensor for tensor in new.inputs}
    before = {tensor.name: tensor for tensor in old.inputs}
    for name in sorted(now.keys() | before.keys()):
        yield from _tensor(name, now.get(name), before.get(name))
    order = [tensor.name for tensor in new.inputs if tensor.name in before]
    was = [tensor.name for tensor in old.inputs if tensor.name in now]
    if order != was:
        yield _by_tensor(RECORD, "order", was, order, "callers that send columns by position mix them up")


def _tensor(name: str, new: Tensor | None, old: Tensor | None) -> Iterator[FieldChange]:
    if new is None or old is None:
        why = "the graph refuses a tensor of this name" if new is None else "the graph does not run without this tensor"
        was, now = (None if tensor is None else tensor.dtype for tensor in (old, new))
        yield _by_tensor(name, "tensor", was, now, why)
        return
    if new.dtype != old.dtype:
        yield _by_tensor(name, "dtype", old.dtype, new.dtype, "the graph takes no tensor of another dtype")
    if new.shape != old.shape:
        yield _by_tensor(name, "shape", list(old.shape), list(new.shape), "the graph takes no tensor of another shape")


def _by_tensor(field: str, what: str, old: Any, new: Any, why: str) -> FieldChange:
    """Return a change that breaks those who feed tensors, and that no record shows."""
    return FieldChange(
        side="input",
        field=field,
        what=what,
        from_=old,
        to=new,
        records="compatible",
        tensors="breaking",
        why=why,
    )
