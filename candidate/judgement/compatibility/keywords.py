"""One keyword of JSON Schema against another: does the new one let through all that the old one did?

Every keyword narrows what a schema takes, and independently of the others but for those left to
``unknown``. So a schema in which each keyword is as wide or wider takes all that it took before.
"""

import json
import math
from collections.abc import Callable
from typing import Any

from candidate.documents.compatible import Effect

ABSENT = object()
"""A keyword that is not there."""
ANNOTATIONS = {
    "$comment",
    "$schema",
    "default",
    "deprecated",
    "description",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
}
"""Keywords that say something and refuse nothing; those that begin with ``x-`` are another."""
UNIT = "x-unit"
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_NARROWING = {"format", "multipleOf", "pattern", "uniqueItems"}
"""Without them more is let through; of two values nobody can tell which is wider."""
Verdict = tuple[Effect, str]


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal as JSON Schema has it: 1 is 1.0, and true is no number."""
    return bool(_key(one) == _key(other))


def _key(value: Any) -> Any:
    """Return what equal JSON values share."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | float):
        return value
    if isinstance(value, dict):
        return ("object", *sorted((name, _key(inner)) for name, inner in value.items()))
    return ("array", *map(_key, value)) if isinstance(value, list) else f"'{value}"


def _types(value: Any) -> set[str]:
    """Return the types that a ``type`` lets through; a number may be an integer."""
    names = {value} if isinstance(value, str) else set(value)
    return names | {"integer"} if "number" in names else names


def _type(new: Any, old: Any) -> Verdict:
    if old is ABSENT:
        return "breaking", "a type is demanded where any was taken"
    if new is ABSENT:
        return "widened", "any type is taken"
    lost, gained = sorted(_types(old) - _types(new)), sorted(_types(new) - _types(old))
    if lost:
        words = "missing values are" if lost == ["null"] else f"{' and '.join(lost)} is"
        return "breaking", f"{words} no longer taken"
    if gained == ["null"]:
        return "widened", "may now be missing"
    return ("widened", f"{' and '.join(gained)} is taken too") if gained else ("compatible", "the same types")


def _enum(new: Any, old: Any) -> Verdict:
    if old is ABSENT:
        return "breaking", "only listed values are taken, where any were"
    if new is ABSENT:
        return "widened", "any value is taken, where only listed ones were"
    taken, before = {_key(value) for value in new}, {_key(value) for value in old}
    lost = [value for value in old if _key(value) not in taken]
    if lost:
        return "breaking", f"{_few(lost)} no longer taken"
    gained = [value for value in new if _key(value) not in before]
    return ("widened", f"{_few(gained)} taken too") if gained else ("compatible", "the same values")


def _few(values: list[Any], many: int = 5) -> str:
    """Return the first of some values, and how many more there are."""
    named = ", ".join(json.dumps(value, ensure_ascii=False) for value in values[:many])
    return named + (f" and {len(values) - many} more" if len(values) > many else "")


def _bound(new: Any, old: Any, *, upper: bool) -> Verdict:
    """Return what another bound means; a bound that is not there is infinitely far away."""
    free = math.inf if upper else -math.inf
    now = free if new is ABSENT else new
    before = free if old is ABSENT else old
    wider = now > before if upper else now < before
    return ("widened", "the range is wider") if wider else ("breaking", "the range is narrower")


def _upper(new: Any, old: Any) -> Verdict:
    return _bound(new, old, upper=True)


def _lower(new: Any, old: Any) -> Verdict:
    return _bound(new, old, upper=False)


def _unit(new: Any, old: Any) -> Verdict:
    if old is ABSENT:
        return "compatible", "the unit is said now"
    if new is ABSENT:
        return "breaking", "nobody says any longer in which unit it is"
    return "breaking", "the same number means something else"


def _annotation(_new: Any, _old: Any) -> Verdict:
    return "compatible", "says something else, refuses nothing"


def _narrowing(new: Any, _old: Any) -> Verdict:
    return ("widened", "a condition is gone") if new is ABSENT else ("breaking", "a condition that was not there")


def _unknown(_new: Any, _old: Any) -> Verdict:
    return "breaking", "nobody can tell whether it still takes all that it took"


def _const(new: Any, old: Any) -> Verdict:
    return _enum(new if new is ABSENT else [new], old if old is ABSENT else [old])


_RULES: dict[str, Callable[[Any, Any], Verdict]] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    UNIT: _unit,
    **dict.fromkeys(_UPPER, _upper),
    **dict.fromkeys(_LOWER, _lower),
    **dict.fromkeys(_NARROWING, _narrowing),
    **dict.fromkeys(ANNOTATIONS, _annotation),
}


def keyword(name: str, new: Any, old: Any) -> Verdict:
    """Return what a keyword's other value means to callers, and why.

    Args:
        name: the keyword.
        new: its value now, or ``ABSENT``.
        old: its value before, or ``ABSENT``; another than now.
    """
    annotated = name.startswith("x-") and name != UNIT
    return (_annotation if annotated else _RULES.get(name, _unknown))(new, old)
