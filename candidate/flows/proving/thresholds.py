"""Values of features at which a tree of a graph changes its mind, found through whatever comes before the tree.

The thresholds are read from the graph. What comes before them, a scaler or anything else, is cut out
of the same graph and bisected: for each threshold the feature that moves the tree's input most is
moved, in one real row, until two neighbouring numbers fall on its two sides. So nothing here knows
what a scaler is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.adapters.convert import Column
from candidate.adapters.graph import canonical_graph, inspect_graph
from candidate.adapters.runtime import Session
from candidate.documents.manifest import Tensor
from candidate.errors import IntegrityError

MAX_THRESHOLDS = 2_000
"""So many are tried; of more a spread of them."""
BASES = 64
"""Real rows in which one feature is moved."""
_STEPS = 66
"""Halvings that bring any two numbers of 64 bits together."""


@dataclass(frozen=True)
class Crossings:
    """Where trees change their mind.

    Attributes:
        found: different thresholds in the graph.
        column: name of the feature that is moved, for each crossing.
        base: number of the row among ``bases`` in which it is moved, shape (crossings,).
        low: last value before the crossing, shape (crossings,); the next number is behind it.
        bases: Arrow table of real rows.
    """

    found: int
    column: tuple[str, ...]
    base: NDArray[np.int64]
    low: NDArray[np.float64]
    bases: Any


def crossings_of(model: Any, columns: Sequence[Column], table: Any) -> Crossings:
    """Return where the trees of a graph change their mind.

    Args:
        model: ONNX graph with an input for each column; best one of 64 bits.
        columns: the features.
        table: Arrow table of real rows.
    """
    bases = table.take(np.linspace(0, table.num_rows - 1, min(BASES, table.num_rows)).astype(np.int64))
    limits = thresholds_of(model.graph)
    nothing = Crossings(len(limits), (), np.zeros(0, np.int64), np.zeros(0), bases)
    moved = [name for name in _numbers(columns, table) if _span(bases, table, name) is not None]
    if not limits or not moved:
        return nothing
    tensors = sorted({tensor for tensor, _, _ in limits})
    try:
        probe = _Probe(model, tensors, bases)
        reach = np.stack([probe.moves(name, *_ends(table, name)) for name in moved])
    except IntegrityError:
        return nothing  # the graph is no graph: whoever tries it will say so
    wide = [(tensors.index(tensor), position, value) for tensor, position, value in limits]
    at = np.array([probe.starts[tensor] + position for tensor, position, _ in wide])
    known = np.flatnonzero(reach[:, at].max(axis=0) > 0)
    picked = known[np.linspace(0, len(known) - 1, min(len(known), MAX_THRESHOLDS)).astype(int)]
    if not len(picked):
        return nothing
    at, values = at[picked], np.array([value for _, _, value in wide])[picked]
    names = [moved[number] for number in reach[:, at].argmax(axis=0)]
    base = np.arange(len(picked)) % bases.num_rows
    low, good = probe.bisect(names, base, at, values, {name: _ends(table, name) for name in set(names)})
    return Crossings(
        len(limits), tuple(name for name, here in zip(names, good, strict=True) if here), base[good], low[good], bases
    )


def thresholds_of(graph: Any) -> list[tuple[str, int, float]]:
    """Return the tensor, the column of it and the value of every different threshold of a graph's trees, sorted."""
    from onnx import helper, numpy_helper

    found = set()
    for node in graph.node:
        if not node.op_type.startswith("TreeEnsemble"):
            continue
        said = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        tensor = said.get("nodes_values_as_tensor")
        values = said.get("nodes_values", ()) if tensor is None else numpy_helper.to_array(tensor).tolist()
        for mode, position, value in zip(
            said.get("nodes_modes", ()), said.get("nodes_featureids", ()), values, strict=False
        ):
            if mode != b"LEAF" and np.isfinite(value):
                found.add((node.input[0], int(position), float(value)))
    return sorted(found)


def _numbers(columns: Sequence[Column], table: Any) -> list[str]:
    """Return the features that are plain numbers."""
    import pyarrow.types as pt

    kinds = {column.name: table.schema.field(column.name).type for column in columns}
    return [
        column.name
        for column in columns
        if column.kind in {"number", "integer"} and not pt.is_decimal(kinds[column.name])
    ]


def _span(bases: Any, table: Any, name: str) -> tuple[float, float] | None:
    low, high = _ends(table, name)
    return (low, high) if bases.num_rows and np.isfinite(high - low) else None


def _ends(table: Any, name: str) -> tuple[float, float]:
    """Return values well below and well above all that were seen."""
    values = np.asarray(table.column(name).to_numpy(), dtype=np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, np.inf
    span = float(values.max() - values.min()) or 1.0
    return float(values.min()) - span, float(values.max()) + span


class _Probe:
    """What comes before the trees of a graph, by itself."""

    def __init__(self, model: Any, tensors: Sequence[str], bases: Any) -> None:
        import onnx

        part = onnx.ModelProto()
        part.CopyFrom(model)
        needed, kept = set(tensors), []
        for node in reversed(part.graph.node):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
        nodes = [*reversed(kept)]
        nodes += [onnx.helper.make_node("Identity", [name], [f"{name}_seen"]) for name in tensors]
        del part.graph.node[:]
        part.graph.node.extend(nodes)
        del part.graph.output[:]
        part.graph.output.extend(onnx.helper.make_empty_tensor_value_info(f"{name}_seen") for name in tensors)
        self.session = Session(part.SerializeToString())
        self.inputs: tuple[Tensor, ...] = inspect_graph(canonical_graph(model)).inputs
        taken = {value.name for value in self.session.raw.get_inputs()}
        self.feeds = {name: values for name, values in dataset.feeds(bases, self.inputs).items() if name in taken}
        outputs = self.session.run(self.feeds)
        widths = [outputs[f"{name}_seen"].shape[1] for name in tensors]
        self.starts = [0, *np.cumsum(widths)[:-1].tolist()]

    def run(self, feeds: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
        """Return what the trees see, all of their tables side by side, shape (rows, columns)."""
        return np.concatenate([np.asarray(each, np.float64) for each in self.session.run(feeds).values()], axis=1)

    def moves(self, name: str, low: float, high: float) -> NDArray[np.float64]:
        """Return how far each column moves when a feature goes from one end to the other, shape (columns,)."""
        if name not in self.feeds:
            return np.zeros(self.run(self.feeds).shape[1])
        there = self.feeds[name]
        ends = [self.run({**self.feeds, name: np.full_like(there, end)}) for end in (low, high)]
        return np.asarray(np.nan_to_num(np.abs(ends[1] - ends[0])).max(axis=0))

    def bisect(
        self,
        names: Sequence[str],
        base: NDArray[Any],
        at: NDArray[Any],
        values: NDArray[np.float64],
        ends: dict[str, tuple[float, float]],
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the last value before each crossing, and whether there is a crossing between the ends."""
        rows, of = np.arange(len(at)), np.array(names)
        feeds = {name: tensor[base].copy() for name, tensor in self.feeds.items()}

        def left(moved: NDArray[np.float64]) -> NDArray[np.bool_]:
            for name in ends:
                here = of == name
                feeds[name][here, 0] = moved[here].astype(feeds[name].dtype)
            return np.asarray(self.run(feeds)[rows, at] <= values)

        low, high = (_ordered(np.array([ends[name][side] for name in names])) for side in (0, 1))
        first = left(_number(low))
        good = first != left(_number(high))
        for _ in range(_STEPS):
            middle = (low >> 1) + (high >> 1) + (low & high & 1)
            same = left(_number(middle)) == first
            low, high = np.where(same, middle, low), np.where(same, high, middle)
        return _number(low), good


def _ordered(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return whole numbers in the order of 64-bit floats, neighbours next to each other."""
    bits = values.view(np.int64)
    return np.where(bits < 0, np.int64(-(2**63)) - bits, bits)


def _number(ordered: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(ordered < 0, np.int64(-(2**63)) - ordered, ordered).view(np.float64)


def neighbours(values: NDArray[Any], away: int) -> NDArray[Any]:
    """Return the numbers so many places up or down from 32-bit or 64-bit floats."""
    target = np.array(np.inf if away > 0 else -np.inf, dtype=values.dtype)
    for _ in range(abs(away)):
        values = np.nextafter(values, target)
    return values
