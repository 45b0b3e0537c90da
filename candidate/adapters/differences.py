"""In what two builds differ: fields of documents, packages of a lock, nodes and weights of a graph.

It only explains; that two things differ is known from their digests. Nothing is executed.
"""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from pydantic import JsonValue

from candidate.errors import IntegrityError

SHOWN = 6
"""So many differences of one member are named; the rest are counted."""


def named(found: list[str]) -> str:
    """Return differences in a sentence, the first few of them."""
    more = len(found) - SHOWN
    return ", ".join(found[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def json_differences(first: bytes, second: bytes) -> list[str]:
    """Return the JSON pointers at which two documents differ, with both values where they are short.

    Args:
        first: bytes of one document.
        second: bytes of the other.
    """
    try:
        return list(_walk(json.loads(first), json.loads(second), ""))
    except (ValueError, RecursionError):
        return []


def _walk(first: JsonValue, second: JsonValue, pointer: str) -> Iterator[str]:
    if isinstance(first, dict) and isinstance(second, dict):
        for key in sorted(first.keys() | second.keys()):
            place = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
            if key not in first or key not in second:
                yield f"{place} only in the {'second' if key not in first else 'first'}"
            else:
                yield from _walk(first[key], second[key], place)
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for position, (one, other) in enumerate(zip(first, second, strict=True)):
            yield from _walk(one, other, f"{pointer}/{position}")
    elif json.dumps(first) != json.dumps(second):
        yield f"{pointer or '/'} {_short(first)} against {_short(second)}"


def _short(value: JsonValue) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 - a line of a terminal


def lock_differences(first: bytes, second: bytes) -> list[str]:
    """Return the packages of two environment locks whose versions differ.

    Args:
        first: bytes of one lock, ``NAME==VERSION`` a line.
        second: bytes of the other.
    """
    one, other = _packages(first), _packages(second)
    return [
        f"{name} {one.get(name, 'absent')} against {other.get(name, 'absent')}"
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    ]


def _packages(lock: bytes) -> dict[str, str]:
    pairs = (line.partition("==") for line in lock.decode("utf-8", "replace").splitlines() if "==" in line)
    return {name.strip(): version.strip() for name, _, version in pairs}


def graph_differences(first: bytes, second: bytes) -> list[str]:
    """Return in what two graphs differ: operator sets, counts of operators, the first node and the first weight.

    Args:
        first: bytes of one graph.
        second: bytes of the other.

    Raises:
        IntegrityError: one of them is no graph.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        one, other = onnx.load_model_from_string(first), onnx.load_model_from_string(second)
    except DecodeError as error:
        raise IntegrityError("not a graph", where="model/model.onnx") from error
    return [*_operators(one, other), *_first_node(one, other), *_first_weight(one, other)]


def _operators(one: Any, other: Any) -> Iterator[str]:
    sets = [{entry.domain or "ai.onnx": entry.version for entry in model.opset_import} for model in (one, other)]
    if sets[0] != sets[1]:
        yield f"operator sets {sets[0]} against {sets[1]}"
    counts = [Counter(node.op_type for node in model.graph.node) for model in (one, other)]
    for name in sorted(counts[0].keys() | counts[1].keys()):
        if counts[0][name] != counts[1][name]:
            yield f"{counts[0][name]} {name} against {counts[1][name]}"


def _first_node(one: Any, other: Any) -> Iterator[str]:
    for position, (mine, theirs) in enumerate(zip_longest(one.graph.node, other.graph.node)):
        if mine is None or theirs is None:
            return  # the counts say so already
        if mine != theirs:
            attributes = [attribute.name for attribute in mine.attribute if attribute not in list(theirs.attribute)]
            what = f" in {', '.join(attributes)}" if attributes else ""
            yield f"first at node {position}, {mine.op_type} {mine.name!r}{what}"
            return


def _first_weight(one: Any, other: Any) -> Iterator[str]:
    weights = [{tensor.name: tensor for tensor in model.graph.initializer} for model in (one, other)]
    for name in sorted(weights[0].keys() | weights[1].keys()):
        if weights[0].get(name) != weights[1].get(name):
            yield f"first in weight {name!r}"
            return
