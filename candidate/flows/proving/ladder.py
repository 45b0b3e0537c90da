"""Convert at the first precision whose graph is the model that was trained."""

from collections.abc import Sequence
from typing import Any, Literal

from candidate.adapters import convert
from candidate.adapters.convert import Column
from candidate.adapters.graph import canonical_graph, check_graph, inspect_graph
from candidate.adapters.runtime import Session
from candidate.errors import InputError, IntegrityError
from candidate.flows.proving.parity import MAX_MISMATCH, TOLERANCE, compare, expected_of
from candidate.flows.proving.rows import chosen_rows
from candidate.flows.proving.signing import Proven, signature_of
from candidate.flows.proving.tasks import meaning_of


def prove(
    estimator: Any,
    table: Any,
    columns: Sequence[Column],
    *,
    label: str | Sequence[str],
    ladder: Sequence[Literal[32, 64]],
) -> Proven:
    """Convert at the first precision whose graph is the estimator in every row, or else the nearest one.

    Some rows may differ, up to ``MAX_MISMATCH``; but where a later precision has fewer of them, it is taken.

    Args:
        estimator: fitted.
        table: Arrow table of training rows with the feature columns.
        columns: the features, in order.
        label: name of the label column; several of a multilabel model, or none.
        ladder: precisions to try, in order.

    Raises:
        InputError: no precision holds; the message has the figures.
    """
    labels = (label,) if isinstance(label, str) else tuple(label)
    meaning = meaning_of(estimator, labels)
    chosen = chosen_rows(table)
    expected = expected_of(estimator, chosen, [column.name for column in columns], meaning)
    good: list[tuple[int, Proven]] = []
    tried: list[str] = []
    failures: list[InputError] = []
    for bits, single in _rungs(ladder):
        rung = f"{bits} bits" + (" before a 32-bit model" if single else "")
        try:
            model = canonical_graph(convert.convert(estimator, columns, bits, single=single))
            graph = inspect_graph(model)
            check_graph(model)
            signature = signature_of(graph, meaning, labels)
            parity = compare(Session(model), signature, chosen, expected, bits)
        except IntegrityError as error:
            tried.append(f"{rung}: the graph cannot be used ({error.message[:120]})")
            continue
        except InputError as error:
            failures.append(error)
            continue
        if parity.mismatches <= MAX_MISMATCH * parity.rows:
            good.append((parity.mismatches, Proven(model, graph, signature, parity)))
            if parity.mismatches == 0:
                break
        tried.append(
            f"{rung}: {parity.mismatches} of {parity.rows} rows differ by more than {TOLERANCE:g}, "
            f"the largest by {parity.max_difference:.3g}, {parity.label_flips} labels flip"
        )
    if not good:
        raise _refusal(tried, failures, ladder)
    return min(good, key=lambda found: found[0])[1]


def _refusal(tried: Sequence[str], failures: Sequence[InputError], ladder: Sequence[Literal[32, 64]]) -> InputError:
    """Return why no precision will do: the figures of each, or what stopped the conversion."""
    if not tried:
        return failures[0]
    wider = "try float = 64, " if 64 not in ladder else ""  # noqa: PLR2004 - bits
    return InputError(
        "the graph is not the model that was trained: " + "; ".join(tried),
        where="[model] float",
        hint=f"{wider}take the scaler out from before a tree model, or export the model to ONNX yourself",
    )


def _rungs(ladder: Sequence[Literal[32, 64]]) -> list[tuple[Literal[32, 64], bool]]:
    """Return what to try in order: each precision, then a 64-bit preparation before a 32-bit model."""
    rungs = [(bits, False) for bits in ladder]
    return [*rungs, (64, True)] if 64 in ladder else rungs  # noqa: PLR2004 - bits
