"""Count rows that are answered yes or no."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from candidate.documents.evidence import ModelRole
from candidate.judgement.histograms import RANK_BINS, place_of
from candidate.judgement.state import counting
from candidate.judgement.state.counting import Chunk, Curve, add
from candidate.judgement.state.layout import CELLS, COLUMN_STEP, LOSS_CAP, Layout
from candidate.judgement.state.scratch import scratch
from candidate.judgement.state.weighing import fixed, squares, steps, weighed
from candidate.judgement.state.whole import State

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Truths = NDArray[np.bool_]
_SMALLEST = float(np.finfo(np.float64).eps)


def log_losses(positive: Truths, scores: Floats) -> Floats:
    """Return the log loss of each row in nats, clipped at float64's epsilon and capped."""
    return _log_losses(1.0 - positive.astype(np.float64), scores)


def _log_losses(negative: Floats, scores: Floats) -> Floats:
    """Return log losses, given 1 for each row of the negative class and 0 for the others."""
    losses = scores - negative
    np.abs(losses, out=losses)  # the true class's probability: p, or 1 - p, rounded as that is
    np.clip(losses, _SMALLEST, 1.0 - _SMALLEST, out=losses)
    np.log(losses, out=losses)
    np.negative(losses, out=losses)
    return np.minimum(losses, LOSS_CAP, out=losses)


def _cell_matrix(layout: Layout) -> Integers:
    """Return which joint outcome (bit 0 the label, bit 1+i decider i's answer) counts for what."""
    names, deciders = layout.statistics, layout.deciders
    cells = np.arange(2 ** (1 + len(deciders)))
    label = cells & 1
    answers = {model: (cells >> (1 + position)) & 1 for position, model in enumerate(deciders)}
    matrix = np.zeros((len(cells), len(names)), dtype=np.int64)
    matrix[:, names.index("n")] = 1
    matrix[:, names.index("n_pos")] = label
    for model, answer in answers.items():
        matrix[:, names.index(f"tp.{model}")] = label & answer
        matrix[:, names.index(f"fp.{model}")] = (1 - label) & answer
    right = answers["challenger"] == label
    for rival, suffix in layout.rivals:
        other = answers[rival] == label
        matrix[:, names.index(f"gained{suffix}")] = right & ~other
        matrix[:, names.index(f"lost{suffix}")] = other & ~right
    return matrix


def _column_sums(
    layout: Layout, columns: Mapping[str, Floats], positive: Truths, predicted: Truths, weights: Floats | None
) -> dict[int, Floats]:
    """Return what each row adds to the sums of columns by outcome, by position of the statistic."""
    found = {}
    for name in layout.columns:
        values = weighed(np.rint(columns[name] * COLUMN_STEP), weights)
        for position, model in enumerate(layout.deciders):
            said = predicted[:, position]
            outcomes = (positive & said, ~positive & said, positive & ~said, ~positive & ~said)
            for cell, holds in zip(CELLS, outcomes, strict=True):
                found[layout.statistics.index(f"{cell}:{name}.{model}")] = np.where(holds, values, 0.0)
    return found


def _chunk(
    layout: Layout,
    positive: Truths,
    scores: Floats,
    predicted: Truths,
    *,
    bins: int,
    ranked: bool,
    weights: Floats | None,
    columns: Mapping[str, Floats],
) -> Chunk:
    """Return what each row of a chunk adds, computed block by block so that it stays in the processor's cache."""
    rows, names, models = len(positive), layout.statistics, layout.models
    cell: Integers = scratch("cell", rows, dtype=np.int64)
    cell[:] = positive
    losses = {(loss, model): scratch(f"{loss}.{model}", rows) for model in models for loss in ("log_loss", "brier")}
    places: Integers = scratch("places", len(models), rows, dtype=np.int64)
    sums: Floats = scratch("sums", len(models), 2, rows)
    ranks: Integers = scratch("ranks", len(models), rows if ranked else 0, dtype=np.int64)
    for start in range(0, rows, counting.BLOCK_ROWS):
        here = slice(start, start + counting.BLOCK_ROWS)
        # Made numbers first: arithmetic of truth values with numbers is slow.
        label, bit = positive[here].astype(np.float64), positive[here].astype(np.int64)
        negative, above = 1.0 - label, bit * RANK_BINS
        weight = None if weights is None else weights[here]
        for column, model in enumerate(models):
            log_loss, brier = losses["log_loss", model], losses["brier", model]
            cell[here] += predicted[here, column].astype(np.int64) << (1 + column)
            # contiguous, so that the logarithm takes one code path wherever the rows were cut
            score = np.ascontiguousarray(scores[here, column], dtype=np.float64)
            log_loss[here] = weighed(fixed(_log_losses(negative, score)), weight)
            np.clip(score, 0.0, 1.0, out=score)
            away = score - label
            brier[here] = weighed(fixed(away * away), weight)
            sums[column, 0, here] = weighed(fixed(score), weight)
            sums[column, 1, here] = weighed(fixed(score * score), weight)
            place = (score * bins).astype(np.int64)
            np.minimum(place, bins - 1, out=place)
            place *= 2
            place += bit
            places[column, here] = place
            if ranked:
                np.add(above, place_of(score), out=ranks[column, here])
    if layout.human:
        cell += predicted[:, len(models)].astype(np.int64) << (1 + len(models))
    whole = {names.index(f"{loss}.{model}"): values for (loss, model), values in losses.items()}
    return Chunk(
        codes=[(cell, _cell_matrix(layout))],
        sums={**whole, **_column_sums(layout, columns, positive, predicted, weights), **squares(layout, weights)},
        curves=[Curve(0, position, places[position], (part[0], part[1])) for position, part in enumerate(sums)],
        ranks=list(ranks),
        weight=None if weights is None else steps(weights),
        plain=None if weights is None else names.index("rows"),
    )


def observe(
    *,
    positive: Truths,
    scores: Floats,
    predicted: Truths,
    groups: Sequence[Integers],
    n_slices: int,
    buckets: Integers,
    n_buckets: int,
    models: tuple[ModelRole, ...],
    bins: int,
    ranked: tuple[int, ...] = (),
    calibrated: tuple[int, ...] = (),
    weights: Floats | None = None,
    columns: Mapping[str, Floats] | None = None,
    into: State | None = None,
) -> State:
    """Count rows.

    Args:
        positive: shape (rows,): whether the row has the positive class.
        scores: shape (rows, models): probability of the positive class, finite.
        predicted: shape (rows, models): whether the model answers positive; a last column more is a person's answers.
        groups: for each rule that makes slices, shape (rows,): the row's slice, or -1.
        n_slices: number of slices over all rules.
        buckets: shape (rows,), from ``buckets_of``.
        n_buckets: K.
        models: role of each column of scores and predictions.
        bins: equal-width calibration bins over [0, 1].
        ranked: slices whose scores are counted in histograms.
        calibrated: slices that have calibration bins beside those of all rows.
        weights: shape (rows,), in [0, ``WEIGHT_CAP``]; None where each row counts as one.
        columns: numbers to be summed by outcome, each of shape (rows,), at most ``COLUMN_CAP`` in size.
        into: a State with these axes that nobody else holds: its own arrays are added to, and it is returned.
    """
    columns = columns or {}
    layout = Layout(
        models, weighted=weights is not None, columns=tuple(columns), human=predicted.shape[1] > len(models)
    )
    state = into or State.zeros(
        layout, slices=n_slices, buckets=n_buckets, bins=bins, ranked=ranked, calibrated=calibrated
    )
    for start in range(0, len(positive), counting.CHUNK_ROWS):
        rows = slice(start, start + counting.CHUNK_ROWS)
        chunk = _chunk(
            layout,
            positive[rows],
            scores[rows],
            predicted[rows],
            bins=bins,
            ranked=bool(ranked),
            weights=None if weights is None else weights[rows],
            columns={name: values[rows] for name, values in columns.items()},
        )
        add(state, chunk, buckets[rows], [group[rows] for group in groups])
    return state
