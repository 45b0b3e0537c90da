"""A slice's condition: a comparison over columns, as text in a policy, as a tree here.

The grammar is a small part of Python's: ``COLUMN == VALUE`` (also ``!= < <= > >=``),
``COLUMN in [VALUE, ...]``, joined by ``and``. Values are literals. It is parsed, never evaluated.
"""

import ast
import math
from typing import Literal

from candidate.document import Part
from candidate.errors import InputError

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in"]
Scalar = str | int | float | bool

_OPERATORS: dict[type[ast.cmpop], Operator] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
}


class Comparison(Part):
    """One comparison of a column with a literal."""

    column: str
    operator: Operator
    values: tuple[Scalar, ...]
    """One value, or for ``in`` all of them."""


def _literal(node: ast.expr, text: str) -> tuple[Scalar, ...]:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError) as error:
        raise InputError(f"not a literal value in the condition {text!r}", where="where") from error
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    plain = (isinstance(item, str | int) or (isinstance(item, float) and math.isfinite(item)) for item in values)
    if not values or not all(plain):
        raise InputError(f"only text, numbers and true/false can be compared in {text!r}", where="where")
    return values


def parse_where(text: str) -> tuple[Comparison, ...]:
    """Return the comparisons that must all hold for a row to be in the slice.

    Raises:
        InputError: the text is outside the grammar.
    """
    hint = "write it like: carrier == 'AA' and distance > 500"
    try:
        body = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"not a condition: {text!r}", where="where", hint=hint) from error
    joined = isinstance(body, ast.BoolOp) and isinstance(body.op, ast.And)
    parts = body.values if joined and isinstance(body, ast.BoolOp) else [body]
    comparisons: list[Comparison] = []
    for part in parts:
        if not (
            isinstance(part, ast.Compare)
            and isinstance(part.left, ast.Name)
            and len(part.ops) == 1
            and type(part.ops[0]) in _OPERATORS
        ):
            raise InputError(f"not a condition: {text!r}", where="where", hint=hint)
        operator = _OPERATORS[type(part.ops[0])]
        values = _literal(part.comparators[0], text)
        is_list = isinstance(part.comparators[0], ast.List | ast.Tuple)
        if (operator == "in") != is_list:
            raise InputError(f"'in' takes a list and only 'in' does: {text!r}", where="where", hint=hint)
        comparisons.append(Comparison(column=part.left.id, operator=operator, values=values))
    return tuple(comparisons)
