"""Whether callers can move from one bundle to another: each rule by example."""

import copy
from typing import Any

import pytest

from candidate.documents.compatible import Compatibility, FieldChange, fulfils, worst
from candidate.documents.evidence import BundleRef
from candidate.documents.manifest import ModelSignature, Tensor
from candidate.judgement.compatibility import Interface, compatibility
from candidate.report.compatible import compatibility_text
from tests.bundles import input_schema, tiny_signature

OLD = BundleRef(name="tiny", version="1.0.0", digest="sha256:" + "1" * 64)
NEW = BundleRef(name="tiny", version="2.0.0", digest="sha256:" + "2" * 64)


def judged(
    *,
    new: dict[str, Any] | None = None,
    old: dict[str, Any] | None = None,
    signature: ModelSignature | None = None,
    before: ModelSignature | None = None,
) -> Compatibility:
    """The verdict on the tiny bundle, with other schemas or signatures."""
    plain = input_schema()
    return compatibility(
        Interface(NEW, signature or tiny_signature(), plain if new is None else new),
        Interface(OLD, before or tiny_signature(), plain if old is None else old),
    )


def field(**keywords: Any) -> dict[str, Any]:
    """The tiny bundle's schema, in which ``age`` is this."""
    schema = copy.deepcopy(input_schema())
    schema["properties"]["age"] = keywords  # type: ignore[index]  # it is a mapping
    return schema


def only(found: Compatibility) -> FieldChange:
    """The one change that there is."""
    (change,) = found.changes
    return change


NUMBER = {"type": "number"}
KEYWORDS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "integer to number": ({"type": "integer"}, {"type": "number"}, "widened"),
    "number to integer": ({"type": "number"}, {"type": "integer"}, "breaking"),
    "may be missing now": ({"type": "number"}, {"type": ["number", "null"]}, "widened"),
    "may not be missing": ({"type": ["number", "null"]}, {"type": "number"}, "breaking"),
    "types in another order": ({"type": ["null", "number"]}, {"type": ["number", "null"]}, "compatible"),
    "text to number": ({"type": "string"}, {"type": "number"}, "breaking"),
    "a type where none was": ({}, {"type": "number"}, "breaking"),
    "no type where one was": ({"type": "number"}, {}, "widened"),
    "one word more": ({"enum": ["a"]}, {"enum": ["a", "b"]}, "widened"),
    "one word less": ({"enum": ["a", "b"]}, {"enum": ["a"]}, "breaking"),
    "words in another order": ({"enum": ["a", "b"]}, {"enum": ["b", "a"]}, "compatible"),
    "a list where none was": ({}, {"enum": ["a"]}, "breaking"),
    "no list where one was": ({"enum": ["a"]}, {}, "widened"),
    "true is not one": ({"enum": [1]}, {"enum": [True]}, "breaking"),
    "nothing is not the word null": ({"enum": [None, {"a": []}]}, {"enum": ["null", {"a": []}]}, "breaking"),
    "an empty list is not an empty record": ({"enum": [[]]}, {"enum": [{}]}, "breaking"),
    "another constant": ({"const": 1}, {"const": 2}, "breaking"),
    "any constant": ({"const": 1}, {}, "widened"),
    "a constant where none was": ({}, {"const": 1}, "breaking"),
    "higher maximum": ({"maximum": 1}, {"maximum": 2}, "widened"),
    "lower maximum": ({"maximum": 2}, {"maximum": 1}, "breaking"),
    "no maximum": ({"maximum": 2}, {}, "widened"),
    "a maximum where none was": ({}, {"maximum": 2}, "breaking"),
    "lower minimum": ({"minimum": 1}, {"minimum": 0}, "widened"),
    "higher minimum": ({"minimum": 0}, {"minimum": 1}, "breaking"),
    "no minimum": ({"minimum": 0}, {}, "widened"),
    "a minimum where none was": ({}, {"exclusiveMinimum": 0}, "breaking"),
    "longer text": ({"maxLength": 5}, {"maxLength": 9}, "widened"),
    "the same types said twice": ({"type": "number"}, {"type": ["integer", "number"]}, "compatible"),
    "another unit": ({"x-unit": "m"}, {"x-unit": "km"}, "breaking"),
    "a unit at last": ({}, {"x-unit": "km"}, "compatible"),
    "no unit any longer": ({"x-unit": "m"}, {}, "breaking"),
    "another description": ({"description": "a"}, {"description": "b"}, "compatible"),
    "another note of ours": ({"x-source": "a"}, {"x-source": "b"}, "compatible"),
    "a pattern": ({}, {"pattern": "^a"}, "breaking"),
    "no pattern": ({"pattern": "^a"}, {}, "widened"),
    "what nobody knows": ({}, {"if": {}}, "breaking"),
    "what nobody knew": ({"if": {}}, {}, "breaking"),
}


@pytest.mark.parametrize(("before", "after", "effect"), KEYWORDS.values(), ids=KEYWORDS)
def test_a_keyword_of_a_field(before: dict[str, Any], after: dict[str, Any], effect: str) -> None:
    """Each keyword alone: wider, narrower, or the same to callers by record."""
    found = judged(new=field(**after), old=field(**before))
    change = only(found)

    assert (change.side, change.field, change.records) == ("input", "age", effect)
    assert found.records == found.verdict == effect
    assert change.tensors == (effect if change.what == "x-unit" else "compatible")


def test_many_lost_words_are_counted() -> None:
    """A thousand airports do not fill the screen."""
    change = only(judged(new=field(enum=["z"]), old=field(enum=[*"abcdefgh", "z"])))

    assert change.why == '"a", "b", "c", "d", "e" and 3 more no longer taken'


def test_equal_numbers_are_no_change() -> None:
    """1 and 1.0 are one number in JSON Schema."""
    assert judged(new=field(minimum=1, enum=[1]), old=field(minimum=1.0, enum=[1.0])).changes == ()


def record(**changes: Any) -> dict[str, Any]:
    """The tiny bundle's schema with other keywords."""
    return {**input_schema(), **changes}


BOTH = input_schema()["properties"]
AGE = {"age": {"type": "number"}}
TWO = {**AGE, "city": {"type": "string"}}
RECORDS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, str]]] = {
    "a new field that is needed": (
        record(properties=AGE, required=["age"]),
        record(properties=TWO, required=["age", "city"]),
        {"properties": "breaking"},
    ),
    "a new field that may be left out": (
        record(properties=AGE, required=["age"]),
        record(properties=TWO, required=["age"]),
        {"properties": "widened"},
    ),
    "a field that was taken unseen is checked": (
        record(properties=AGE, required=["age"], additionalProperties=True),
        record(properties=TWO, required=["age"], additionalProperties=True),
        {"properties": "breaking"},
    ),
    "a field is gone": (
        record(properties=TWO, required=["age"]),
        record(properties=AGE, required=["age"]),
        {"properties": "breaking"},
    ),
    "a field is gone and was needed": (
        record(properties=TWO, required=["age", "city"]),
        record(properties=AGE, required=["age"]),
        {"properties": "breaking"},
    ),
    "a field is not looked at, yet must be there": (
        record(properties=TWO, required=["age"], additionalProperties=True),
        record(properties=AGE, required=["age", "city"], additionalProperties=True),
        {"properties": "widened", "required": "breaking"},
    ),
    "a field is no longer looked at": (
        record(properties=TWO, required=["age"], additionalProperties={}),
        record(properties=AGE, required=["age"], additionalProperties={}),
        {"properties": "widened"},
    ),
    "may be left out": (
        record(properties=AGE, required=["age"]),
        record(properties=AGE, required=[]),
        {"required": "widened"},
    ),
    "may not be left out": (
        record(properties=AGE, required=[]),
        record(properties=AGE, required=["age"]),
        {"required": "breaking"},
    ),
    "more fields are taken": (
        record(properties=AGE, required=["age"]),
        record(properties=AGE, required=["age"], additionalProperties={"type": "number"}),
        {"additionalProperties": "widened"},
    ),
    "other fields are refused": (
        record(properties=AGE, required=["age"], additionalProperties=True),
        record(properties=AGE, required=["age"]),
        {"additionalProperties": "breaking"},
    ),
    "any fields are taken": (
        record(properties=AGE, required=["age"], additionalProperties={"type": "number"}),
        record(properties=AGE, required=["age"], additionalProperties=True),
        {"additionalProperties": "widened"},
    ),
    "a title": (record(title="a"), record(title="b"), {"title": "compatible"}),
    "a record of another shape": (record(), record(minProperties=1), {"minProperties": "breaking"}),
    "a field that nothing fits": (
        record(properties={"age": True}, required=[]),
        record(properties={"age": False}, required=[]),
        {"not": "breaking"},
    ),
}


@pytest.mark.parametrize(("before", "after", "effects"), RECORDS.values(), ids=RECORDS)
def test_the_fields_of_a_record(before: dict[str, Any], after: dict[str, Any], effects: dict[str, str]) -> None:
    """Fields that come, go, or become optional."""
    found = judged(new=after, old=before)

    assert {change.what: change.records for change in found.changes} == effects
    assert found.records == worst(*(change.records for change in found.changes))
    assert found.tensors == "compatible"


def changed(**changes: Any) -> ModelSignature:
    """The tiny bundle's model signature with other fields."""
    return tiny_signature().model_copy(update=changes)


def tensor(name: str, dtype: str, *shape: int | str) -> Tensor:
    """A tensor."""
    return Tensor.model_validate({"name": name, "dtype": dtype, "shape": shape})


AGE_TENSOR, INCOME = tiny_signature().inputs
LABEL, SCORES = tiny_signature().outputs
Effects = dict[tuple[str, str], tuple[str, str]]
ONE: Effects = {("prediction", "classes"): ("breaking", "breaking")}
SIGNATURES: dict[str, tuple[dict[str, Any], Effects]] = {
    "dtype": (
        {"inputs": (AGE_TENSOR, tensor("income", "float64", "batch", 1))},
        {("income", "dtype"): ("compatible", "breaking")},
    ),
    "shape": (
        {"inputs": (AGE_TENSOR, tensor("income", "float32", "batch", 2))},
        {("income", "shape"): ("compatible", "breaking")},
    ),
    "order": ({"inputs": (INCOME, AGE_TENSOR)}, {("*", "order"): ("compatible", "breaking")}),
    "a tensor less": ({"inputs": (AGE_TENSOR,)}, {("income", "tensor"): ("compatible", "breaking")}),
    "a tensor more": (
        {"inputs": (AGE_TENSOR, tensor("city", "string", "batch", 1), INCOME)},
        {("city", "tensor"): ("compatible", "breaking")},
    ),
    "task": ({"task": "multilabel"}, {("prediction", "task"): ("breaking", "breaking")}),
    "label": ({"label": "early"}, {("prediction", "label"): ("breaking", "breaking")}),
    "threshold": ({"threshold": 0.7}, {("prediction", "threshold"): ("compatible", "compatible")}),
    "positive": ({"positive": 0}, {("score", "positive"): ("breaking", "compatible")}),
    "a class more": ({"classes": (0, 1, 2)}, ONE),
    "another class": ({"classes": (0, 2)}, ONE),
    "truth values for numbers": ({"classes": (False, True)}, ONE),
    "a class less": ({"classes": (1,)}, {("prediction", "classes"): ("compatible", "breaking")}),
    "classes in another order": ({"classes": (1, 0)}, {("prediction", "classes"): ("compatible", "breaking")}),
    "no score": (
        {"score_output": None, "outputs": (LABEL,)},
        {("score", "score"): ("breaking", "breaking"), ("probabilities", "tensor"): ("compatible", "breaking")},
    ),
    "an output more": (
        {"outputs": (LABEL, SCORES, tensor("margin", "float32", "batch", 1))},
        {("margin", "tensor"): ("compatible", "widened")},
    ),
    "the label in another dtype": (
        {"outputs": (tensor("label", "int32", "batch"), SCORES)},
        {("label", "dtype"): ("compatible", "breaking")},
    ),
    "the label in a column": (
        {"outputs": (tensor("label", "int64", "batch", 1), SCORES)},
        {("label", "shape"): ("compatible", "breaking")},
    ),
    "two values in each answer": (
        {"outputs": (tensor("label", "int64", "batch", 2), SCORES)},
        {("label", "shape"): ("compatible", "breaking"), ("prediction", "values"): ("breaking", "breaking")},
    ),
    "nobody says how many values": (
        {"outputs": (tensor("label", "int64", "batch", "n"), SCORES)},
        {("label", "shape"): ("compatible", "breaking"), ("prediction", "values"): ("breaking", "breaking")},
    ),
    "outputs in another order": ({"outputs": (SCORES, LABEL)}, {("*", "order"): ("compatible", "breaking")}),
    "the score in another tensor": (
        {"outputs": (LABEL, tensor("p", "float32", "batch", 2)), "score_output": "p"},
        {
            ("p", "tensor"): ("compatible", "widened"),
            ("probabilities", "tensor"): ("compatible", "breaking"),
            ("p", "score_output"): ("compatible", "breaking"),
        },
    ),
}


@pytest.mark.parametrize(("changes", "effects"), SIGNATURES.values(), ids=SIGNATURES)
def test_the_model_signature(changes: dict[str, Any], effects: Effects) -> None:
    """Tensors that come, go or change, and answers that mean something else."""
    found = judged(signature=changed(**changes))

    assert {(c.field, c.what): (c.records, c.tensors) for c in found.changes} == effects
    assert found.verdict == worst(*(c.effect for c in found.changes))


def test_classes_without_a_score_have_no_columns_to_move() -> None:
    """Where only the label is answered, a lost class breaks nobody."""
    plain = changed(score_output=None, outputs=(LABEL,))

    found = judged(signature=plain.model_copy(update={"classes": (1,)}), before=plain)

    assert found.verdict == "compatible"
    assert only(found).why == "no longer answered: 0"


def test_a_score_that_appears_widens() -> None:
    """Readers that never knew a score go on without it."""
    found = judged(signature=tiny_signature(), before=changed(score_output=None, outputs=(LABEL,)))

    assert found.verdict == "widened"
    assert [change.what for change in found.changes] == ["tensor", "score"]


def test_the_same_is_compatible_and_says_so() -> None:
    """Nothing changed, nothing is listed."""
    found = judged()

    assert (found.verdict, found.changes) == ("compatible", ())
    assert compatibility_text(found).splitlines()[0].startswith("COMPATIBLE: tiny 2.0.0 (222222222222) against tiny")


def test_the_text_says_the_direction_the_worst_first_and_whom_it_concerns() -> None:
    """Who calls what, then each change with its values."""
    found = judged(
        new=field(type="number", enum=list(range(40)), maximum=2),
        old=field(type="number", maximum=1),
        signature=changed(threshold=0.7, outputs=(LABEL, SCORES, tensor("margin", "float32", "batch", 1))),
        before=changed(inputs=(INCOME, AGE_TENSOR)),
    )
    lines = compatibility_text(found).splitlines()

    assert lines[0].startswith("BREAKING: tiny 2.0.0 (222222222222) against tiny 1.0.0 (111111111111): ")
    assert lines[1] == ("  callers of tiny 1.0.0 that would call tiny 2.0.0: by record breaking, by tensor breaking")
    assert [line.split()[0] for line in lines[2:]] == ["breaking", "breaking", "widened", "widened", "compatible"]
    assert "0, 1, 2, 3" in lines[3]
    assert "..." in lines[3]
    assert lines[3].endswith("(by record)")
    assert lines[2].endswith("(by tensor)")
    assert "maximum 1 -> 2" in lines[4]


def test_a_change_that_is_worse_by_tensor_says_what_it_is_by_record() -> None:
    """Two effects, neither of which is nothing."""
    found = judged(new=field(type=["number", "null"]), old=field(type="number"))
    change = only(found).model_copy(update={"tensors": "breaking"})

    assert compatibility_text(found.model_copy(update={"changes": (change,)})).endswith("(widened by record)")


@pytest.mark.parametrize(
    ("callers", "required", "holds"),
    [
        ("all", "widened", False),
        ("records", "widened", True),
        ("records", "compatible", True),
        ("tensors", "widened", False),
    ],
)
def test_what_is_required_for_whom(callers: Any, required: Any, *, holds: bool) -> None:
    """A 64-bit graph in place of a 32-bit one: records do not notice, tensors do."""
    found = judged(signature=changed(inputs=(AGE_TENSOR, tensor("income", "float64", "batch", 1))))

    assert fulfils(found, required, callers) is holds


def test_nothing_is_the_worst_of_nothing() -> None:
    """Without a change the verdict is compatible."""
    assert worst() == "compatible"
