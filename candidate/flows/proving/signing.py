"""The model signature of a graph: what its inputs and outputs mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from candidate.adapters.graph import Graph
from candidate.adapters.runtime import Session
from candidate.documents.manifest import ModelSignature, Parity
from candidate.errors import InputError
from candidate.flows.proving.tasks import Meaning, named


@dataclass(frozen=True)
class Proven:
    """A graph, with its model signature and how it compared with the estimator."""

    model: bytes
    graph: Graph
    signature: ModelSignature
    parity: Parity | None
    weights: tuple[Path, ...] = ()
    """Files that the graph keeps weights in, all in one folder."""

    def session(self) -> Session:
        """Load the graph."""
        return Session(self.model, folder=self.weights[0].parent if self.weights else None)


def signature_of(graph: Graph, meaning: Meaning, labels: Sequence[str]) -> ModelSignature:
    """Return the model signature of a graph, given what its answers mean and the names of its label columns.

    Raises:
        InputError: the outputs are not those of such a task.
    """
    answer, score = outputs_of(graph, meaning)
    return ModelSignature(
        task=meaning.task,
        inputs=graph.inputs,
        outputs=graph.outputs,
        label_output=answer,
        score_output=score,
        classes=meaning.classes,
        positive=meaning.positive,
        threshold=meaning.threshold,
        label=named(labels),
    )


def outputs_of(graph: Graph, meaning: Meaning) -> tuple[str, str | None]:
    """Return the label output and the score output of a graph, told apart by dtype and shape.

    Raises:
        InputError: the outputs are not those of such a task.
    """
    where = "[model] source"
    if meaning.task in {"regression", "transform"}:
        first = graph.outputs[0]
        if len(graph.outputs) != 1 or len(first.shape) not in {1, 2}:
            raise InputError(
                f"outputs {_said(graph)} are not one table of values",
                where=where,
                hint="a bundle of no classes answers a value, or several values, for each row",
            )
        return first.name, None
    scores = [t.name for t in graph.outputs if t.dtype.startswith("float") and len(t.shape) == 2]  # noqa: PLR2004
    labels = [t.name for t in graph.outputs if t.name not in scores]
    if len(labels) != 1 or len(scores) != 1:
        raise InputError(f"outputs {_said(graph)} are not one label and one table of scores", where=where)
    return labels[0], scores[0]


def _said(graph: Graph) -> str:
    return ", ".join(f"{tensor.name} {tensor.shape}" for tensor in graph.outputs)
