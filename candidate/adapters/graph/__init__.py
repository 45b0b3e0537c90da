"""ONNX graphs as files: their messages, one canonical form, a static gate, weights outside, tensors.

What is taken from here comes out of ``gate`` when it is first asked for: a replay needs only tensors.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from candidate.adapters.graph.gate import (
        Graph,
        canonical_graph,
        check_graph,
        input_names,
        inspect_graph,
        name_batch,
        parse_graph,
        weight_files,
    )

__all__ = [
    "Graph",
    "canonical_graph",
    "check_graph",
    "input_names",
    "inspect_graph",
    "name_batch",
    "parse_graph",
    "weight_files",
]


def __getattr__(name: str) -> Any:
    """Return what ``gate`` defines."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from candidate.adapters.graph import gate

    return getattr(gate, name)
