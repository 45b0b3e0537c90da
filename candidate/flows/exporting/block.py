"""YAML in blocks, for files that people read and edit: no anchors, no tags, every text in quotes.

Source: YAML 1.2.2, chapters 5.7 (escapes), 7.3.1 (double quotes) and 8.2 (blocks); what is written is YAML 1.1 too.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_RESERVED = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def _quoted(text: str) -> str:
    """Return text in double quotes, with everything escaped that is not plain to see."""
    said = (
        f"\\{char}" if char in '"\\' else char if char.isprintable() else f"\\U{ord(char):08x}"
        for char in text
    )  # fmt: skip
    return f'"{"".join(said)}"'


def _scalar(value: Any) -> str:
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _key(name: str) -> str:
    return name if _PLAIN.fullmatch(name) and name.lower() not in _RESERVED else _quoted(name)


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            if isinstance(inner, Mapping | list | tuple) and inner:
                yield f"{_key(name)}:"
                yield from (f"  {line}" for line in _lines(inner))
            else:
                yield f"{_key(name)}: {_scalar(inner)}"
    elif isinstance(value, list | tuple) and value:
        for inner in value:
            first, *rest = _lines(inner)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _scalar(value)


def yaml_bytes(value: Mapping[str, Any]) -> bytes:
    """Return a mapping as YAML, in the order that it has."""
    return ("\n".join(_lines(value)) + "\n").encode()
