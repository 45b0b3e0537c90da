"""A metric of one's own: arithmetic over the four counts of a confusion matrix.

The grammar is a small part of Python's: the names in ``NAMES``, numbers, ``+ - * /``, parentheses,
``sqrt(…)``, and ``column[NAME]``: the sum of a column over the rows that NAME counts. It is parsed
into steps for a stack machine, never evaluated as code.
"""

import ast
import math

from candidate.errors import InputError

NAMES = ("tp", "fp", "fn", "tn", "n", "positive", "negative", "selected")
"""Counts of rows: the four cells, all rows, rows of each class, rows predicted positive."""
OPERATORS = ("+", "-", "*", "/", "negate", "sqrt")
"""What a step may do with the topmost values: four take two of them, two take one."""
MAX_LENGTH = 300

Step = str | float
"""A name, ``NAME:column``, an operator or a number."""

_BINARY: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


def parse_formula(text: str) -> tuple[Step, ...]:
    """Return the steps that compute a formula: operands first, then what is done with them.

    Raises:
        InputError: the text is outside the grammar, or names no count at all.
    """
    hint = f"write it like: 2 * tp / (2 * tp + fp + fn); it may use {' '.join(NAMES)} + - * / sqrt column[NAME]"
    try:
        body = ast.parse(text.strip() if len(text) <= MAX_LENGTH else "", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"not a formula: {text[:MAX_LENGTH]!r}", where="formula", hint=hint) from error
    steps = _steps(body, hint)
    if not any(isinstance(step, str) and step.partition(":")[0] in NAMES for step in steps):
        raise InputError(f"the formula {text!r} counts nothing", where="formula", hint=hint)
    return steps


def summed_columns(text: str) -> tuple[str, ...]:
    """Return the columns that a formula sums, each once, in order.

    Raises:
        InputError: as ``parse_formula``.
    """
    sums = [step.partition(":")[2] for step in parse_formula(text) if isinstance(step, str) and ":" in step]
    return tuple(dict.fromkeys(sums))


def _steps(node: ast.expr, hint: str) -> tuple[Step, ...]:
    match node:
        case ast.Name(id=name) if name in NAMES:
            return (name,)
        case ast.Subscript(value=ast.Name(id=column), slice=ast.Name(id=name)) if name in NAMES:
            return (f"{name}:{column}",)
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as value) if math.isfinite(value) and abs(value) <= 2.0**53:
            return (float(value),)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return (*_steps(operand, hint), "negate")
        case ast.Call(func=ast.Name(id="sqrt"), args=[operand], keywords=[]):
            return (*_steps(operand, hint), "sqrt")
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _BINARY:
            return (*_steps(left, hint), *_steps(right, hint), _BINARY[type(operator)])
    raise InputError(f"the formula may not say {ast.unparse(node)!r}", where="formula", hint=hint)
