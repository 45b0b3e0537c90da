"""What comes out of a bundle: whatever the new one answers, readers of the old one must know."""

from collections.abc import Iterator
from math import prod
from typing import Any

from candidate.documents.compatible import Effect, FieldChange
from candidate.documents.manifest import ModelSignature, Tensor


def _change(field: str, what: str, values: tuple[Any, Any], effects: tuple[Effect, Effect], why: str) -> FieldChange:
    """Return a change of an answer.

    Args:
        field: name of the output, or of the signature's own field.
        what: that differs in it.
        values: before, and now.
        effects: on those who read records, and on those who read tensors.
        why: in words.
    """
    return FieldChange(
        side="output", field=field, what=what, from_=values[0], to=values[1], records=effects[0], tensors=effects[1],
        why=why,
    )  # fmt: skip


def output_changes(new: ModelSignature, old: ModelSignature) -> Iterator[FieldChange]:
    """Yield what readers of the answers meet otherwise.

    A class that was never answered before breaks readers that know the old ones only; a class that is
    never answered again breaks nobody who reads records, while the columns of the scores move.

    Args:
        new: the newer bundle's model signature.
        old: the older one's.
    """
    yield from _meaning(new, old)
    yield from _classes(new, old)
    yield from _score(new, old)
    yield from _outputs(new, old)


def _meaning(new: ModelSignature, old: ModelSignature) -> Iterator[FieldChange]:
    """Yield what an answer means otherwise: the task, what is predicted, the class that the score is of."""
    if new.task != old.task:
        why = "another kind of answer"
        yield _change("prediction", "task", (old.task, new.task), ("breaking", "breaking"), why)
    if new.label != old.label:
        why = "predicts something else"
        yield _change("prediction", "label", (old.label, new.label), ("breaking", "breaking"), why)
    if new.threshold != old.threshold:
        why = "another share of rows is predicted positive; which answers there are stays the same"
        yield _change("prediction", "threshold", (old.threshold, new.threshold), ("compatible", "compatible"), why)
    if _known(new.positive) != _known(old.positive):
        why = "the score is the probability of another class"
        yield _change("score", "positive", (old.positive, new.positive), ("breaking", "compatible"), why)


def _known(value: int | str | bool | None) -> tuple[str, Any]:  # noqa: FBT001 - a class may be a truth value
    """Return what tells classes apart: true is another answer than 1."""
    return type(value).__name__, value


def _classes(new: ModelSignature, old: ModelSignature) -> Iterator[FieldChange]:
    now, before = [_known(value) for value in new.classes], [_known(value) for value in old.classes]
    if now == before:
        return
    gained = [value for kind, value in now if (kind, value) not in before]
    lost = [value for kind, value in before if (kind, value) not in now]
    columns = old.score_output is not None or old.task == "multilabel"
    if gained:
        records, why = "breaking", f"answers that no reader knows: {', '.join(map(repr, gained))}"
    elif lost:
        records, why = "compatible", f"no longer answered: {', '.join(map(repr, lost))}"
    else:
        records, why = "compatible", "the same answers in another order"
    tensors = "breaking" if columns else records
    if columns:
        why += "; the columns of the scores move"
    effects: tuple[Effect, Effect] = (_effect(records), _effect(tensors))
    yield _change("prediction", "classes", (list(old.classes), list(new.classes)), effects, why)


def _effect(word: str) -> Effect:
    return "breaking" if word == "breaking" else "compatible"


def _score(new: ModelSignature, old: ModelSignature) -> Iterator[FieldChange]:
    """Yield a score that appeared or went; its tensor's own name is told with the tensors."""
    if (new.score_output is None) == (old.score_output is None):
        return
    gone = new.score_output is None
    effect: Effect = "breaking" if gone else "widened"
    why = "readers of the score find none" if gone else "a score is answered too"
    yield _change("score", "score", (old.score_output, new.score_output), (effect, effect), why)


def _outputs(new: ModelSignature, old: ModelSignature) -> Iterator[FieldChange]:
    """Yield what readers of tensors find otherwise: names, dtypes, shapes, order, and which one is which."""
    now = {tensor.name: tensor for tensor in new.outputs}
    before = {tensor.name: tensor for tensor in old.outputs}
    for name in sorted(now.keys() | before.keys()):
        tensor, was = now.get(name), before.get(name)
        if tensor is None or was is None:
            effect: Effect = "breaking" if tensor is None else "widened"
            why = "the graph no longer answers it" if tensor is None else "the graph answers it too"
            dtypes = (None if was is None else was.dtype, None if tensor is None else tensor.dtype)
            yield _change(name, "tensor", dtypes, ("compatible", effect), why)
            continue
        if tensor.dtype != was.dtype:
            why = "readers of the tensor expect another dtype"
            yield _change(name, "dtype", (was.dtype, tensor.dtype), ("compatible", "breaking"), why)
        if tensor.shape != was.shape:
            shapes = (list(was.shape), list(tensor.shape))
            why = "readers of the tensor expect another shape"
            yield _change(name, "shape", shapes, ("compatible", "breaking"), why)
    order = [tensor.name for tensor in new.outputs if tensor.name in before]
    was_order = [tensor.name for tensor in old.outputs if tensor.name in now]
    if order != was_order:
        why = "readers that take outputs by position mix them up"
        yield _change("*", "order", (was_order, order), ("compatible", "breaking"), why)
    yield from _roles(new, old)
    width, was_width = _width(now[new.label_output]), _width(before[old.label_output])
    if width != was_width and new.task == old.task:
        why = "another number of values in each answer"
        yield _change("prediction", "values", (was_width, width), ("breaking", "breaking"), why)


def _roles(new: ModelSignature, old: ModelSignature) -> Iterator[FieldChange]:
    """Yield which tensor has the answer and which the score, where that changed."""
    pairs = {
        "label_output": (old.label_output, new.label_output),
        "score_output": (old.score_output, new.score_output),
    }
    for what, (was, now) in pairs.items():
        if was != now and was is not None and now is not None:
            yield _change(now, what, (was, now), ("compatible", "breaking"), "it is in another tensor")


def _width(tensor: Tensor) -> int | None:
    """Return how many values an answer has; None if the graph does not say."""
    rest = tensor.shape[1:]
    return None if any(isinstance(size, str) for size in rest) else prod(int(size) for size in rest)
