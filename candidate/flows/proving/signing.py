"""The model signature of a graph: what its inputs and outputs mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from candidate.adapters.graph import Graph
from candidate.adapters.runtime import Session
from candidate.documents.manifest import ModelSignature, Parity
from candidate.errors import InputError


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


def plain_classes(classes: Sequence[Any]) -> tuple[Any, ...]:
    """Return classes in Python's own types; 0.0 and 1.0, as a column with a hole has them, are 0 and 1."""
    plain = [value.item() if isinstance(value, np.generic) else value for value in classes]
    plain = [int(value) if isinstance(value, float) and value.is_integer() else value for value in plain]
    odd = [value for value in plain if not isinstance(value, bool | int | str)]
    if odd:
        raise InputError(
            f"{odd[0]!r} is no class: a class is a whole number, a truth value or text",
            where="[data] label",
            hint="train on a label of another type, or train a regression",
        )
    return tuple(plain)


def signature_of(graph: Graph, classes: Sequence[Any], label: str, names: tuple[str, str | None]) -> ModelSignature:
    """Return the model signature of a graph, given its classes and the names of its label and score outputs."""
    plain = plain_classes(classes)
    task: Literal["binary", "multiclass", "regression"] = (
        "regression" if not plain else "binary" if len(plain) == 2 else "multiclass"  # noqa: PLR2004 - two classes
    )
    return ModelSignature(
        task=task,
        inputs=graph.inputs,
        outputs=graph.outputs,
        label_output=names[0],
        score_output=names[1],
        classes=plain,
        positive=plain[-1] if task == "binary" else None,
        threshold=0.5 if task == "binary" else None,
        label=label,
    )


def outputs_of(graph: Graph, classes: int) -> tuple[str, str | None]:
    """Return the label output and the score output of a graph, told apart by dtype and shape."""
    scores = [t.name for t in graph.outputs if t.dtype.startswith("float") and len(t.shape) == 2]  # noqa: PLR2004
    labels = [t.name for t in graph.outputs if t.name not in scores]
    if not classes:
        first = graph.outputs[0]
        if len(graph.outputs) != 1 or first.shape[1:] not in {(), (1,)}:
            raise InputError(
                f"outputs {', '.join(f'{t.name} {t.shape}' for t in graph.outputs)} are not one value for each row",
                where="[model] source",
                hint="a bundle holds a classifier, or a regression of one value",
            )
        return first.name, None
    if len(labels) != 1 or len(scores) != 1:
        raise InputError(
            f"outputs {', '.join(t.name for t in graph.outputs)} are not one label and one table of probabilities",
            where="[model] source",
        )
    return labels[0], scores[0]
