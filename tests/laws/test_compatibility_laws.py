"""Laws of moving callers from one bundle to another, on any two input schemas."""

from typing import Any

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from candidate.documents.compatible import EFFECTS, worst
from candidate.documents.evidence import BundleRef
from candidate.documents.manifest import ModelSignature, Tensor
from candidate.judgement.compatibility import Interface, compatibility
from tests.bundles import DIALECT, tiny_signature

FAST = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NAMES = ("age", "income", "city")
WORDS = ["a", "b", "", 0, 1, 1.5, True, None]
REF = BundleRef(name="tiny", version="1.0.0", digest="sha256:" + "1" * 64)

types = st.one_of(
    st.sampled_from(["number", "integer", "string", "boolean", "null"]),
    st.lists(st.sampled_from(["number", "integer", "string", "boolean", "null"]), min_size=1, unique=True),
)
bounds = st.integers(-2, 2)
schemas = st.one_of(
    st.booleans(),
    st.fixed_dictionaries(
        {},
        optional={
            "type": types,
            "enum": st.lists(st.sampled_from(WORDS), min_size=1, max_size=4),
            "minimum": bounds,
            "maximum": bounds,
            "exclusiveMaximum": bounds,
            "maxLength": st.integers(0, 2),
            "x-unit": st.sampled_from(["m", "km"]),
            "description": st.sampled_from(["one", "two"]),
            "pattern": st.sampled_from(["^a", "^b"]),
        },
    ),
)


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    """The schema of a serving record, closed or open."""
    properties = draw(st.dictionaries(st.sampled_from(NAMES), schemas, max_size=3))
    return {
        "$schema": DIALECT,
        "type": "object",
        "properties": properties,
        "required": sorted(draw(st.sets(st.sampled_from(NAMES), max_size=3))),
        "additionalProperties": draw(st.one_of(st.just(value=False), schemas)),
    }


rows = st.dictionaries(st.sampled_from((*NAMES, "other")), st.sampled_from([*WORDS, 2, -2, -0.5, "ab"]), max_size=4)


def between(new: dict[str, Any], old: dict[str, Any]) -> Any:
    """The verdict on two schemas of one graph."""
    return compatibility(Interface(REF, tiny_signature(), new), Interface(REF, tiny_signature(), old))


@FAST
@given(records())
def test_a_bundle_is_compatible_with_itself(schema: dict[str, Any]) -> None:
    """Whatever a bundle takes, it takes."""
    found = between(schema, schema)

    assert (found.verdict, found.changes) == ("compatible", ())


@FAST
@given(records(), records())
def test_what_widened_one_way_breaks_the_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    """A field that takes more now took less before: nothing is wider both ways."""
    there, back = between(one, other), between(other, one)
    returning = {(change.field, change.what): change for change in back.changes}

    assert {(change.field, change.what) for change in there.changes} == set(returning)
    for change in there.changes:
        same_way = returning[change.field, change.what]
        assert (change.from_, change.to) == (same_way.to, same_way.from_)
        assert change.records != "widened" or same_way.records == "breaking"
    assert there.verdict != "widened" or back.verdict == "breaking"


@FAST
@given(records(), records())
def test_the_verdict_is_that_of_the_worst_field(one: dict[str, Any], other: dict[str, Any]) -> None:
    """No field is forgotten, and none is counted twice."""
    found = between(one, other)

    assert found.verdict == worst(*(change.effect for change in found.changes))
    assert found.records == worst(*(change.records for change in found.changes))
    assert found.tensors == worst(*(change.tensors for change in found.changes))


@FAST
@given(records(), records(), st.lists(rows, min_size=1, max_size=20))
def test_a_record_that_was_taken_is_taken_where_nothing_breaks(
    new: dict[str, Any], old: dict[str, Any], sent: list[dict[str, Any]]
) -> None:
    """The promise itself, with jsonschema as the judge: whoever could call the old bundle can call the new one."""
    if between(new, old).records == "breaking":
        return
    before, now = jsonschema.Draft202012Validator(old), jsonschema.Draft202012Validator(new)

    assert [row for row in sent if before.is_valid(row) and not now.is_valid(row)] == []


@st.composite
def eased(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A schema, and one in which some keywords of its fields are gone: rarely do two drawn ones fit so well."""
    old = draw(records())
    new = {**old, "properties": {}, "required": [name for name in old["required"] if draw(st.booleans())]}
    for name, schema in old["properties"].items():
        keep = isinstance(schema, bool) or draw(st.booleans())
        new["properties"][name] = schema if keep else {k: v for k, v in schema.items() if draw(st.booleans())}
    return new, old


@FAST
@given(eased(), st.lists(rows, min_size=1, max_size=20))
def test_an_eased_schema_takes_all_that_it_took(
    pair: tuple[dict[str, Any], dict[str, Any]], sent: list[dict[str, Any]]
) -> None:
    """Dropping a condition widens at worst, but for a unit, and jsonschema agrees on every record."""
    new, old = pair
    found = between(new, old)
    before, now = jsonschema.Draft202012Validator(old), jsonschema.Draft202012Validator(new)

    assert {change.what for change in found.changes if change.records == "breaking"} <= {"x-unit"}
    assert [row for row in sent if before.is_valid(row) and not now.is_valid(row)] == []


@FAST
@given(records(), records(), records())
def test_moving_twice_is_no_worse_than_the_worse_move(a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]) -> None:
    """If nothing breaks from one to the next and on to a third, nothing breaks at once."""
    steps = worst(between(b, a).verdict, between(c, b).verdict)

    if steps != "breaking":
        assert EFFECTS.index(between(c, a).verdict) <= EFFECTS.index(steps)


tensors = st.lists(
    st.builds(
        Tensor,
        name=st.sampled_from(["a", "b", "c"]),
        dtype=st.sampled_from(["float32", "float64", "int64"]),
        shape=st.sampled_from([("batch", 1), ("batch", 2)]),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda tensor: tensor.name,
).map(tuple)


answers: st.SearchStrategy[int | str | bool] = st.sampled_from([0, 1, True, "a"])


@st.composite
def signatures(draw: st.DrawFn) -> ModelSignature:
    """A model signature of any task, whose parts need not make sense together."""
    outputs = draw(tensors)
    names = st.sampled_from([tensor.name for tensor in outputs])
    return ModelSignature(
        task=draw(st.sampled_from(["binary", "regression", "multilabel"])),
        inputs=draw(tensors),
        outputs=outputs,
        label_output=draw(names),
        score_output=draw(st.none() | names),
        classes=tuple(draw(st.lists(answers, max_size=3))),
        positive=draw(st.sampled_from([None, 1, "a"])),
        threshold=draw(st.sampled_from([None, 0.5])),
        label=draw(st.sampled_from(["late", "lost"])),
    )


@FAST
@given(signatures(), signatures())
def test_signatures_change_both_ways_and_widen_one_way(one: ModelSignature, other: ModelSignature) -> None:
    """A difference is seen from both sides; what only widened there breaks tensors or records back here."""
    there = compatibility(Interface(REF, one, {}), Interface(REF, other, {}))
    back = compatibility(Interface(REF, other, {}), Interface(REF, one, {}))

    assert bool(there.changes) == bool(back.changes) == (one.to_bytes() != other.to_bytes())  # for Python, true is 1
    assert len(there.changes) == len(back.changes)
    assert there.verdict != "widened" or back.verdict == "breaking"
