"""What a State counts of each row: the names along the last axis of its numbers."""

from dataclasses import dataclass
from typing import Literal

from candidate.documents.evidence import ModelRole, StateAxes

Measurable = Literal["binary", "multiclass", "regression"]
"""Tasks whose rows can be counted."""

ROW_STATISTICS = ("n", "n_pos")
"""Rows, and rows of the positive class."""
MODEL_STATISTICS = ("tp", "fp", "log_loss", "brier")
"""Per model: rows rightly and wrongly predicted positive, and two sums of losses in fixed point."""
PAIR_STATISTICS = ("gained", "lost")
"""Rows that only the challenger, and that only the other, predicts rightly; a suffix names the other if it is not
the champion."""
WEIGHT_STATISTICS = ("rows", "w2")
"""Where rows have weights: rows as such, and the sum of squared weights, in steps of ``SQUARE_STEP``."""
LABEL_STATISTICS = ("n", "y", "y2")
"""Of numbers to be predicted: rows, sum and sum of squares, in units of the policy's scale, in fixed point."""
LOSS_STATISTICS = ("abs_error", "squared_error", "percent_error", "symmetric_error", "pinball", "sum_error")
ERROR_STATISTICS = (*LOSS_STATISTICS, "cut", "cut_percent")
"""Per model of a number: sums of losses and of signed errors in fixed point, and rows whose squared loss, and whose
percentage, was cut off at the cap."""
BIN_STATISTICS = ("n", "sum_p", "sum_y", "sum_p2")
"""Last axis of the calibration bins; sums of scores are in fixed point."""
CELLS = ("tp", "fp", "fn", "tn")
"""Outcomes of a binary answer, over which a column can be summed."""

ZERO_RULE = "zero_rule"
"""Name of the constant model in totals."""
HUMAN = "human"
"""Name of the person in totals."""

FIXED_POINT = 2**30
"""Losses and scores are stored as ``round(value * FIXED_POINT)``."""
LOSS_CAP = 2.0**5
"""No single loss counts for more than this, in nats or in units of the policy's scale."""
WEIGHT_STEP = 2**20
"""A weight counts as ``round(weight * WEIGHT_STEP)`` rows; so do all counts where rows have weights."""
WEIGHT_CAP = 2.0**16
"""No weight may be larger."""
SQUARE_STEP = 2**20
"""Squared weights are stored as ``round(weight ** 2 * SQUARE_STEP)``."""
COLUMN_STEP = 2**16
"""Values of a column are stored as ``round(value * COLUMN_STEP)``."""
COLUMN_CAP = 2.0**20
"""No value of a column may be larger in size."""
MOST_ROWS = 2**28
"""More rows of the largest loss would not fit into 64 bits."""
MOST_WEIGHT = 2**27
"""Nor would more weight, with the largest loss or column."""


@dataclass(frozen=True)
class Layout:
    """What is counted, and for whom.

    Attributes:
        models: roles, the challenger first.
        task: what the models answer.
        classes: number of classes; 2 where they answer yes or no, 0 where they answer a number.
        weighted: whether each row counts with a weight.
        columns: numeric columns whose values are summed by outcome.
        zero_rule: whether a constant is counted like a model: of numbers, no count can stand for it.
        human: whether a person's answers are counted, which are classes and have no score.
    """

    models: tuple[ModelRole, ...]
    task: Measurable = "binary"
    classes: int = 2
    weighted: bool = False
    columns: tuple[str, ...] = ()
    zero_rule: bool = False
    human: bool = False

    @classmethod
    def of(cls, axes: StateAxes) -> "Layout | None":
        """Return the layout that the axes of a State describe; None for a task that has none."""
        task = axes.task
        if task not in {"binary", "multiclass", "regression"}:
            return None
        counted: Measurable = task
        classes = {"binary": 2, "regression": 0}.get(counted, len(axes.classes))
        return cls(axes.models, counted, classes, axes.weighted, axes.columns, axes.zero_rule, axes.human)

    @property
    def curves(self) -> int:
        """Number of reliability diagrams: one for each class, one of yes or no, none of numbers."""
        return {"binary": 1, "regression": 0}.get(self.task, self.classes)

    @property
    def counted(self) -> tuple[str, ...]:
        """Everyone who is counted as a model."""
        return (*self.models, ZERO_RULE) if self.zero_rule else self.models

    @property
    def deciders(self) -> tuple[str, ...]:
        """Everyone whose classes are counted: the models, then the person."""
        return (*self.models, HUMAN) if self.human else self.models

    @property
    def rivals(self) -> tuple[tuple[str, str], ...]:
        """Everyone but the challenger whose classes are counted, with the suffix of the pair's statistics."""
        return tuple((name, pair_suffix(name)) for name in self.deciders[1:])

    @property
    def statistics(self) -> tuple[str, ...]:
        """The names along the last axis of the counts, in order."""
        names = {"binary": self._binary, "multiclass": self._multiclass, "regression": self._regression}[self.task]()
        rivals = () if self.task == "regression" else self.rivals
        pair = tuple(f"{name}{suffix}" for _, suffix in rivals for name in PAIR_STATISTICS)
        return (*names, *pair, *(WEIGHT_STATISTICS if self.weighted else ()))

    def _binary(self) -> tuple[str, ...]:
        per_model = [f"{name}.{model}" for model in self.models for name in MODEL_STATISTICS]
        per_model += [f"{name}.{HUMAN}" for name in MODEL_STATISTICS[:2] if self.human]
        sums = [f"{cell}:{column}.{model}" for model in self.deciders for column in self.columns for cell in CELLS]
        return (*ROW_STATISTICS, *per_model, *sums)

    def _multiclass(self) -> tuple[str, ...]:
        each = range(self.classes)
        per_model: list[str] = []
        for model in self.models:
            per_model += [f"tp{number}.{model}" for number in each]
            per_model += [f"answered{number}.{model}" for number in each]
            per_model += [f"log_loss.{model}", f"brier.{model}"]
        if self.human:
            per_model += [f"{name}{number}.{HUMAN}" for name in ("tp", "answered") for number in each]
        return ("n", *(f"n{number}" for number in each), *per_model)

    def _regression(self) -> tuple[str, ...]:
        return (*LABEL_STATISTICS, *(f"{name}.{model}" for model in self.counted for name in ERROR_STATISTICS))


def pair_suffix(rival: str) -> str:
    """Return what follows the names of a pair's statistics: nothing where the other is the champion."""
    return "" if rival == "champion" else f".{rival}"


def statistics_for(models: tuple[ModelRole, ...]) -> tuple[str, ...]:
    """Return the names along the last axis of the counts of plain yes-or-no models."""
    return Layout(models).statistics
