"""The JSON Schemas of a bundle: what one serving record must be, and what one answer is."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from candidate.adapters.convert import Column
from candidate.canonical import EXACT, canonical
from candidate.documents.manifest import ModelSignature
from candidate.documents.spec import ColumnSection
from candidate.errors import InputError
from candidate.flows.inspecting.schemas import DIALECT, JSON_TYPES

LISTED = 50
"""Up to so many different words seen in training are listed; of more there is only the number."""


def input_schema(
    signature: ModelSignature,
    columns: Sequence[Column],
    title: str,
    *,
    declared: Mapping[str, ColumnSection] | None = None,
    table: Any = None,
    estimator: Any = None,
) -> dict[str, Any]:
    """Return the JSON Schema of one serving record: every feature, nothing else.

    A number may be missing exactly where it was missing in training: what the pipeline learned to
    fill is allowed, what it never saw is refused. Bounds and categories hold where somebody declared
    them, and categories where the pipeline itself raises an error at any other. What training merely
    saw stands under ``x-observed`` and holds for nobody.

    Args:
        signature: of the model.
        columns: what the training rows hold.
        title: of the schema.
        declared: what the specification says of features.
        table: Arrow table of training rows, to observe.
        estimator: fitted, to ask which categories it refuses.

    Raises:
        InputError: something is declared that is no feature, or makes no sense for its type.
    """
    nullable = {column.name for column in columns if column.nulls}
    declared, closed = declared or {}, dict(closed_categories(estimator))
    unknown = sorted(declared.keys() - set(signature.features))
    if unknown:
        raise InputError(
            f"{unknown[0]!r} is no feature", where="[data.columns]", hint=f"they are {', '.join(signature.features)}"
        )
    properties: dict[str, Any] = {}
    for tensor in signature.inputs:
        kind = JSON_TYPES[tensor.dtype]
        said: dict[str, Any] = {"type": [kind, "null"] if tensor.name in nullable and kind == "number" else kind}
        if tensor.name in closed and kind in {"string", "integer"}:
            said["enum"] = sorted(closed[tensor.name])
        if tensor.name in declared:
            said |= _declared(tensor.name, kind, declared[tensor.name])
        if table is not None:
            said |= _observed(table.column(tensor.name), kind)
        properties[tensor.name] = said
    return _closed_record(title, properties)


def _closed_record(title: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "$schema": DIALECT,
        "title": title,
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }


def _declared(name: str, kind: str, section: ColumnSection) -> dict[str, Any]:
    where = f"[data.columns.{name}]"
    found: dict[str, Any] = {}
    bounds = {"minimum": section.minimum, "maximum": section.maximum}
    for key, value in bounds.items():
        if value is not None:
            if kind not in {"number", "integer"}:
                raise InputError(f"{key} of a {kind}", where=where, hint="bounds are for numbers")
            found[key] = value
    if section.minimum is not None and section.maximum is not None and section.minimum > section.maximum:
        raise InputError("minimum above maximum", where=where)
    if section.categories is not None:
        wanted = {"string": str, "integer": int}.get(kind)
        if wanted is None or not section.categories or any(type(value) is not wanted for value in section.categories):
            raise InputError(
                f"categories that are not of a {kind}", where=where, hint="categories are for text and whole numbers"
            )
        found["enum"] = sorted(set(section.categories))
    if section.unit is not None:
        found["x-unit"] = section.unit
    if section.description:
        found["description"] = section.description
    return found


def _observed(values: Any, kind: str) -> dict[str, Any]:
    """Return what training saw of a feature."""
    import pyarrow.compute as pc

    if kind == "string":
        distinct = sorted(values.unique().drop_null().to_pylist())
        return {"x-observed": {"distinct": len(distinct), **({"values": distinct} if len(distinct) <= LISTED else {})}}
    if kind == "boolean":
        return {}
    numbers = values.cast("float64") if kind == "number" else values
    if kind == "number":
        numbers = pc.if_else(pc.is_nan(numbers), None, numbers)
    ends = pc.min_max(numbers).as_py()
    if ends["min"] is None or max(abs(ends["min"]), abs(ends["max"])) > EXACT:
        return {}
    return {"x-observed": {"minimum": ends["min"], "maximum": ends["max"]}}


def closed_categories(estimator: Any, columns: Sequence[str] | None = None) -> Iterator[tuple[str, list[Any]]]:
    """Yield the features whose every value but those of training an estimator refuses, with those values.

    Encoders are found where they take columns as they come: at the front of a pipeline, and of each
    branch of a ColumnTransformer.

    Args:
        estimator: fitted.
        columns: names of what it takes, in order; by default what it says itself.
    """
    if estimator is None or isinstance(estimator, str):
        return
    if columns is None:
        names = getattr(estimator, "feature_names_in_", None)
        columns = [] if names is None else [str(name) for name in names]
    if hasattr(estimator, "transformers_"):
        for _, part, chosen in estimator.transformers_:
            picked = _picked(chosen, columns)
            if picked is not None:
                yield from closed_categories(part, picked)
    elif getattr(estimator, "steps", None):
        yield from closed_categories(estimator.steps[0][1], columns)
    elif getattr(estimator, "handle_unknown", None) == "error" and hasattr(estimator, "categories_"):
        for name, values in zip(columns, estimator.categories_, strict=False):
            plain = [value.item() if isinstance(value, np.generic) else value for value in values]
            if all(isinstance(value, str) for value in plain) or all(type(value) is int for value in plain):
                yield name, plain


def _picked(chosen: Any, columns: Sequence[str]) -> list[str] | None:
    """Return the names that a ColumnTransformer's choice stands for; None where it cannot be told."""
    listed = [chosen] if isinstance(chosen, str) else chosen.tolist() if hasattr(chosen, "tolist") else chosen
    if not isinstance(listed, list | tuple):
        return None
    if listed and all(isinstance(each, bool) for each in listed):
        return [name for name, wanted in zip(columns, listed, strict=False) if wanted]
    names = [columns[each] if type(each) is int and -len(columns) <= each < len(columns) else each for each in listed]
    return names if all(isinstance(name, str) for name in names) else None


def output_schema(signature: ModelSignature, title: str) -> bytes:
    """Return the JSON Schema of one answer: the prediction, and a score or scores where the model gives them."""
    outputs = {tensor.name: tensor for tensor in signature.outputs}
    label = outputs[signature.label_output]
    width = label.shape[1] if len(label.shape) > 1 else 1
    single: dict[str, Any] = {"type": "integer" if label.dtype.startswith("int") else "number"}
    if signature.task == "anomaly":
        single = {"enum": [-1, 1]}
    elif signature.task == "multilabel":
        single = {"enum": [0, 1]}
    elif signature.classes:
        single = {"enum": list(signature.classes)}
    elif label.dtype == "string":
        single = {"type": "string"}
    properties: dict[str, Any] = {"prediction": single if width == 1 else _list_of(single, width)}
    chance = {"type": "number", "minimum": 0, "maximum": 1}
    if signature.positive is not None:
        properties["score"] = {**chance, "description": f"probability of {signature.positive!r}"}
    elif signature.task == "anomaly":
        properties["score"] = {"type": "number", "description": "lower is more abnormal"}
    elif signature.score_output is not None:
        named = ", ".join(map(repr, signature.classes))
        properties["scores"] = {
            **_list_of(chance, len(signature.classes)),
            "description": f"probability of each of {named}"[:2000],
        }
    return canonical(_closed_record(title, properties))


def _list_of(items: dict[str, Any], width: int | str) -> dict[str, Any]:
    exactly = {"minItems": width, "maxItems": width} if isinstance(width, int) else {}
    return {"type": "array", "items": items, **exactly}
