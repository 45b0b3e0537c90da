"""What a graph answers, as those who asked understand it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from candidate.documents.manifest import ModelSignature

Columns = dict[str, NDArray[Any]]


def answers(signature: ModelSignature, outputs: Mapping[str, NDArray[Any]]) -> Columns:
    """Return the answers to some rows by name.

    Args:
        signature: of the model.
        outputs: of the graph, by name.

    Returns:
        ``prediction``: class, value, or 1 and -1 of an anomaly detector, shape (rows,); for several
        values or labels a row, shape (rows, values). ``score`` where there is one number: the
        probability of the positive class, or the anomaly score, shape (rows,). ``scores`` where there
        are several: a probability for each of ``signature.classes``, shape (rows, classes).
    """
    label = np.asarray(outputs[signature.label_output])
    if label.ndim > 1 and label.shape[1] == 1:
        label = label[:, 0]
    found: Columns = {"prediction": label}
    if signature.score_output is None:
        return found
    scores = np.asarray(outputs[signature.score_output])
    if signature.positive is not None:
        found["score"] = scores[:, signature.classes.index(signature.positive)].astype(np.float64)
    elif signature.task == "anomaly":
        found["score"] = scores.reshape(-1).astype(np.float64)
    else:
        found["scores"] = scores.astype(np.float64)
    return found


class Predictions(Sequence[dict[str, Any]]):
    """The answers to some rows, in their order.

    Attributes:
        columns: see ``answers``.
    """

    def __init__(self, columns: Columns) -> None:
        """Hold columns of one length."""
        self.columns = columns

    @property
    def predictions(self) -> NDArray[Any]:
        """Class, value or values of each row."""
        return self.columns["prediction"]

    @property
    def scores(self) -> NDArray[np.float64] | None:
        """Score of each row, shape (rows,), or scores, shape (rows, classes); None where the model gives none."""
        return self.columns.get("score", self.columns.get("scores"))

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.columns["prediction"])

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> "Predictions": ...

    def __getitem__(self, index: int | slice) -> "dict[str, Any] | Predictions":
        """Return one answer in Python's own types, or some of them."""
        if isinstance(index, slice):
            return Predictions({name: column[index] for name, column in self.columns.items()})
        return {name: plain(column[index]) for name, column in self.columns.items()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield each answer in Python's own types."""
        lists = [column.tolist() for column in self.columns.values()]
        for values in zip(*lists, strict=True):
            yield dict(zip(self.columns, values, strict=True))

    def to_arrow(self) -> Any:
        """Return an Arrow table; several values a row are lists of fixed size."""
        return table_of(self.columns)

    def to_pandas(self) -> Any:
        """Return a pandas frame. pandas is yours to have installed."""
        return self.to_arrow().to_pandas()


def plain(value: Any) -> Any:
    """Return what NumPy holds in Python's own types."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def table_of(columns: Mapping[str, Any]) -> Any:
    """Return columns as an Arrow table."""
    import pyarrow as pa

    return pa.table({name: _arrow(column) for name, column in columns.items()})


def _arrow(column: Any) -> Any:
    import pyarrow as pa

    if isinstance(column, np.ndarray) and column.ndim > 1:
        return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(column).reshape(-1)), column.shape[1])
    return column if isinstance(column, pa.Array | pa.ChunkedArray) else pa.array(column)


def joined(parts: Sequence[Columns]) -> Columns:
    """Return the columns of batches one after the other."""
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
