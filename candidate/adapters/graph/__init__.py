"""ONNX graphs as files: their messages, one canonical form, a static gate, weights outside, tensors."""

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
