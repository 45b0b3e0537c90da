"""The State: integer counts per slice and bucket of units, which merge exactly and hold no row.

Every row falls into one of K buckets by a hash of its unit, so that the rows of one unit stay
together; per slice and bucket the State keeps counts and fixed-point sums of losses, all int64.
Integer sums do not depend on order, so any sharding of the rows gives the same bytes; leaving one
bucket out is a subtraction, which is what the jackknife of the intervals needs.
"""

from candidate.judgement.state.binary import log_losses, observe
from candidate.judgement.state.layout import (
    BIN_STATISTICS,
    COLUMN_CAP,
    COLUMN_STEP,
    FIXED_POINT,
    HUMAN,
    LOSS_CAP,
    WEIGHT_CAP,
    WEIGHT_STEP,
    ZERO_RULE,
    Layout,
    pair_suffix,
    statistics_for,
)
from candidate.judgement.state.multiclass import observe_classes
from candidate.judgement.state.regression import observe_numbers
from candidate.judgement.state.totals import Totals
from candidate.judgement.state.whole import State

__all__ = [
    "BIN_STATISTICS",
    "COLUMN_CAP",
    "COLUMN_STEP",
    "FIXED_POINT",
    "HUMAN",
    "LOSS_CAP",
    "WEIGHT_CAP",
    "WEIGHT_STEP",
    "ZERO_RULE",
    "Layout",
    "State",
    "Totals",
    "log_losses",
    "observe",
    "observe_classes",
    "observe_numbers",
    "pair_suffix",
    "statistics_for",
]
