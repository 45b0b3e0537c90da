"""Law of the input schema: JSON Schema, our records, lists of them and tables say the same of any value."""

from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from candidate.documents.manifest import Tensor, TensorType
from candidate.errors import InputError
from candidate.flows.serving.fields import Fields
from tests.bundles import tiny_signature

DTYPES: tuple[TensorType, ...] = ("float32", "float64", "int64", "string", "bool")
KINDS = {"float32": "number", "float64": "number", "int64": "integer", "string": "string", "bool": "boolean"}
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.integers(-(2**63), 2**63 - 1)
    | st.sampled_from([0.0, -0.0, 0.5, 1.0, -3.0, 2.5, 1e30, -1e38])
    | st.sampled_from(["", "a", "b", "ab", "\u00e6"])
)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Fields, dict[str, Any], list[dict[str, Any]]]:
    """A schema of some features, and records that mostly nearly fit."""
    tensors, properties = [], {}
    for number in range(draw(st.integers(1, 3))):
        dtype = draw(st.sampled_from(DTYPES))
        kind, name = KINDS[dtype], f"f{number}"
        said: dict[str, Any] = {"type": [kind, "null"] if kind == "number" and draw(st.booleans()) else kind}
        if kind in {"number", "integer"} and draw(st.booleans()):
            said |= {"minimum": draw(st.integers(-4, 0)), "maximum": draw(st.integers(0, 4))}
        if kind == "string" and draw(st.booleans()):
            said["enum"] = ["a", "ab"]
        tensors.append(Tensor(name=name, dtype=dtype, shape=("batch", 1)))
        properties[name] = said
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }
    signature = tiny_signature().model_copy(update={"inputs": tuple(tensors)})
    records = draw(st.lists(st.fixed_dictionaries(dict.fromkeys(properties, VALUES)), min_size=1, max_size=4))
    if draw(st.integers(0, 9)) == 0:
        records[0] = {**records[0], "more": 1}
    if draw(st.integers(0, 9)) == 0:
        records[0] = dict(list(records[0].items())[1:])
    return Fields.of(signature, schema), schema, records


def accepted(act: Any, *args: Any) -> dict[str, Any] | None:
    """The feeds, or None if they are refused."""
    try:
        found: dict[str, Any] = act(*args)
    except InputError:
        return None
    return found


def held(schema: dict[str, Any], record: dict[str, Any]) -> bool:
    """Whether every whole number of a valid record fits into 64 bits."""
    whole = [name for name, said in schema["properties"].items() if said["type"] == "integer"]
    return all(-(2**63) <= record[name] < 2**63 for name in whole)


@settings(deadline=None)  # of a busy machine
@given(worlds())
def test_one_way_or_another_the_answer_is_the_same(world: tuple[Fields, dict[str, Any], list[dict[str, Any]]]) -> None:
    """Valid by JSON Schema exactly if one record, many records, and the same as a table are accepted; same tensors.

    But for whole numbers that no tensor of 64 bits holds: JSON has them, and they are refused all three ways.
    """
    fields, schema, records = world
    validator = jsonschema.Draft202012Validator(schema)
    single = [accepted(fields.record, record) for record in records]
    assert [feeds is not None for feeds in single] == [
        validator.is_valid(record) and held(schema, record) for record in records
    ]

    many = accepted(fields.records, records)
    assert (many is not None) == all(feeds is not None for feeds in single)
    if many is None:
        return
    for name, tensor in many.items():
        assert tensor.shape == (len(records), 1)
        for row, feeds in enumerate(single):
            assert feeds is not None
            np.testing.assert_array_equal(feeds[name][0], tensor[row])
            assert feeds[name].dtype == tensor.dtype
    table = pa.table({name: [record[name] for record in records] for name in many})
    batch = accepted(fields.batch, table.combine_chunks().to_batches()[0])
    assert batch is not None
    for name, tensor in many.items():
        np.testing.assert_array_equal(batch[name], tensor)
