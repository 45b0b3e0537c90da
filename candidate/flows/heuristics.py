"""A heuristic beside the models: rules, or a graph, fixed by digest before the run and asked about the same rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from candidate.adapters import dataset
from candidate.adapters.graph import canonical_graph, check_graph, inspect_graph, name_batch, parse_graph
from candidate.adapters.runtime import Session
from candidate.canonical import MAX_DOCUMENT_BYTES, digest_of
from candidate.documents.evidence import HEURISTIC_FILE, ModelRole
from candidate.documents.heuristic import HeuristicRules
from candidate.documents.manifest import Tensor
from candidate.documents.policy import HeuristicLevel, Policy
from candidate.documents.where import Comparison
from candidate.errors import InputError, IntegrityError
from candidate.flows.slicing import Coded, coded, holds

Floats = NDArray[np.float64]
WHERE = "[baselines.heuristic]"
HALF = 0.5


@dataclass(frozen=True)
class Rules:
    """Rules, ready to be asked.

    Attributes:
        columns: of the rows, that are read.
        threshold: score from which the answer is yes; of no meaning where the answer is a number.
        conditions: of each rule, what must hold.
        scores: of each rule, and of the rows that fit none.
    """

    role: ClassVar[ModelRole] = "heuristic"
    columns: tuple[str, ...]
    threshold: float
    conditions: tuple[tuple[Comparison, ...], ...]
    scores: tuple[float, ...]

    def answers(self, rows: Any, *, first_row: int, where: str) -> Floats:
        """Return the score of each row of an Arrow record batch, shape (rows,): that of the first rule that fits.

        A missing value fits no condition. A condition is tried on the distinct values of its column.

        Args:
            rows: Arrow record batch with the columns.
            first_row: number of the batch's first row in its file; rules have no use for it.
            where: the file, for messages.

        Raises:
            InputError: text is held against a number, or a number against text.
        """
        del first_row
        read: dict[str, Coded] = {name: coded(*dataset.coded_column(rows, name)) for name in self.columns}
        place = np.full(rows.num_rows, len(self.conditions), dtype=np.int64)
        for number in reversed(range(len(self.conditions))):
            fits = np.ones(rows.num_rows, dtype=bool)
            for comparison in self.conditions[number]:
                try:
                    fits &= holds(read[comparison.column], comparison)
                except InputError as error:
                    place_of = f"{where}, rule[{number}] of the heuristic"
                    raise InputError(error.message, where=place_of, hint=error.hint) from error
            place[fits] = number
        found: Floats = np.array(self.scores)[place]
        return found


@dataclass(frozen=True)
class Asked:
    """A graph, ready to be asked.

    Attributes:
        columns: of the rows, that are read: its inputs.
        threshold: score from which the answer is yes; of no meaning where the answer is a number.
        inputs: tensors of shape (batch, 1), each fed from the column of its name.
        output: name of the one output of numbers.
        bounded: whether answers are probabilities.
        session: the graph, loaded.
    """

    role: ClassVar[ModelRole] = "heuristic"
    columns: tuple[str, ...]
    threshold: float
    inputs: tuple[Tensor, ...]
    output: str
    bounded: bool
    session: Session

    def answers(self, rows: Any, *, first_row: int, where: str) -> Floats:
        """Return the answer to each row of an Arrow record batch, shape (rows,).

        Args:
            rows: Arrow record batch with the columns.
            first_row: number of the batch's first row in its file, for messages.
            where: the file, for messages.

        Raises:
            InputError: a value does not fit an input, the graph fails, or it answers something else
                than one finite number for each row: a probability, where yes or no is asked.
        """
        feeds = dataset.feeds(rows, self.inputs, first_row=first_row, where=where)
        try:
            found = np.asarray(self.session.run(feeds)[self.output], dtype=np.float64)
        except IntegrityError as error:
            raise InputError(error.message, where=WHERE) from error
        table = found.reshape(len(found), -1) if found.ndim else found.reshape(1, 1)
        if len(table) != rows.num_rows or table.shape[1] != 1:
            raise InputError(
                f"the graph answers {self.output!r} of shape {found.shape} to {rows.num_rows} rows",
                where=WHERE,
                hint="give it one output of numbers, of shape (batch,) or (batch, 1)",
            )
        answers: Floats = table[:, 0]
        wrong = ~np.isfinite(answers) | (self.bounded & ((answers < 0) | (answers > 1)))
        if wrong.any():
            row, kind = first_row + int(np.flatnonzero(wrong)[0]), "probability" if self.bounded else "finite number"
            raise InputError(f"the heuristic gives no {kind}", where=f"{where}, row {row}")
        return answers


Heuristic = Rules | Asked


@dataclass(frozen=True)
class PortableHeuristic:
    """A heuristic as bytes, which another process can load.

    Attributes:
        data: bytes of the file, whose digest the policy pins.
        suffix: ``.toml`` or ``.onnx``.
        threshold: of a graph.
        bounded: whether answers are probabilities of yes; otherwise they are numbers.
    """

    data: bytes
    suffix: str
    threshold: float
    bounded: bool

    @property
    def file(self) -> str:
        """Its name in the evidence."""
        return HEURISTIC_FILE + self.suffix

    def load(self) -> Heuristic:
        """Return the heuristic, ready to be asked.

        Raises:
            InputError: not rules, no graph that can be asked, or answers that the task does not have.
        """
        return self._graph() if self.suffix == ".onnx" else self._rules()

    def _rules(self) -> Rules:
        try:
            text = self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError("not text", where=WHERE) from error
        document = HeuristicRules.from_toml(text, where=WHERE)
        if self.bounded and not all(0 <= score <= 1 for score in document.scores):
            raise InputError("a score is no probability", where=WHERE, hint="give scores from 0 to 1")
        if not self.bounded and document.threshold is not None:
            raise InputError("a threshold, but the answer is a number", where=WHERE, hint="leave it out")
        threshold = HALF if document.threshold is None else document.threshold
        conditions = tuple(rule.comparisons for rule in document.rule)
        return Rules(document.columns, threshold, conditions, document.scores)

    def _graph(self) -> Asked:
        try:
            proto = parse_graph(self.data)
            name_batch(proto)
            model = canonical_graph(proto)
            graph = inspect_graph(model)
            check_graph(model)
            session = Session(model)
        except IntegrityError as error:
            raise InputError(error.message, where=WHERE, hint="try it in ONNX Runtime by itself") from error
        odd = [tensor.name for tensor in graph.inputs if len(tensor.shape) != 2 or tensor.shape[1] != 1]  # noqa: PLR2004
        numbers = [tensor.name for tensor in graph.outputs if tensor.dtype in {"float32", "float64"}]
        if odd or len(numbers) != 1:
            said = f"input {', '.join(odd)} is not of shape (batch, 1)" if odd else f"{len(numbers)} outputs of numbers"
            raise InputError(said, where=WHERE, hint="give it an input for each column, and one output of numbers")
        columns = tuple(tensor.name for tensor in graph.inputs)
        return Asked(columns, self.threshold, graph.inputs, numbers[0], self.bounded, session)


def read_heuristic(policy: Policy, beside: Policy | Path | str) -> PortableHeuristic | None:
    """Read the heuristic that a policy names, if it names one.

    Args:
        policy: names the file, and pins it.
        beside: folder that the name is relative to, or file in it; of a policy, the working directory.

    Raises:
        InputError: no such file, another one than the policy pins, or one that cannot be asked.
    """
    rule = policy.baselines.heuristic
    if rule is None:
        return None
    home = Path() if isinstance(beside, Policy) else Path(beside)
    path = (home if home.is_dir() else home.parent) / rule.ref
    try:
        with path.open("rb") as file:
            data = file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise InputError(f"the heuristic cannot be read: {error.strerror}", where=str(path)) from error
    if len(data) > MAX_DOCUMENT_BYTES:
        raise InputError(f"a heuristic of more than {MAX_DOCUMENT_BYTES:,} bytes", where=str(path))
    return _pinned(policy, rule, data, where=rule.ref)


def heuristic_of(policy: Policy, folder: Path) -> PortableHeuristic | None:
    """Return the heuristic that lies in an evidence folder, if the policy names one: what a verdict was made with.

    Raises:
        InputError: it is not there, or not the one that the policy pins.
    """
    rule = policy.baselines.heuristic
    if rule is None:
        return None
    found = rule.model_copy(update={"ref": HEURISTIC_FILE + Path(rule.ref).suffix})
    baselines = policy.baselines.model_copy(update={"heuristic": found})
    return read_heuristic(policy.model_copy(update={"baselines": baselines}), folder)


def _pinned(policy: Policy, rule: HeuristicLevel, data: bytes, *, where: str) -> PortableHeuristic:
    digest = digest_of(data)
    if digest != rule.digest:
        raise InputError(
            f"the heuristic is {digest}, the policy pins {rule.digest}",
            where=where,
            hint="a baseline is fixed before the run: take the file that the policy was written for",
        )
    bounded, suffix = policy.kind_of_task == "binary", Path(rule.ref).suffix
    found = PortableHeuristic(data, suffix, rule.threshold or HALF, bounded=bounded)
    found.load()  # what cannot be asked is said before anything is measured
    return found
