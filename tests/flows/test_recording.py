"""What a bundle says of itself: schemas, record, bill of materials and card, each from what was built."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from candidate.adapters.convert import Column
from candidate.documents.manifest import ExperimentRecord, Parity, Tensor
from candidate.documents.spec import BuildSpec
from candidate.errors import InputError
from candidate.flows.billing import bill_of_materials
from candidate.flows.describing import input_schema, output_schema
from candidate.flows.inspecting.schemas import check_input_schema, check_schema
from candidate.flows.recording import (
    experiment,
    model_card,
    serving_features,
    shown,
)
from candidate.flows.sourcing import Source
from tests.bundles import tiny_signature

TEXT = """
[bundle]
name = "small"
version = "2.0"
description = "Says who will be late."
licenses = ["MIT", "LicenseRef-Ours"]
[model]
source = "train.py:fit"
[data]
train = "rows.parquet"
label = "late"
snapshot = "monday"
"""


def spec(more: str = "", text: str = TEXT) -> BuildSpec:
    """A specification."""
    return BuildSpec.from_toml(text + more, where="candidate.toml")


def recorded(root: Path, more: str = "", estimator: Any = None, text: str = TEXT) -> ExperimentRecord:
    """The experiment record of a specification."""
    return experiment(
        spec(more, text),
        root,
        Source(estimator, None, None),
        data_digest="sha256:" + "a" * 64,
        rows=1234,
        label_mean=0.25,
        label_shares=None,
        features=("age", "income"),
    )


def test_a_record_is_valid_exactly_if_the_graph_can_take_it() -> None:
    """Types follow the tensors; a number may be null where training missed it; nothing else may be there."""
    dtypes = {"age": "float32", "count": "int64", "city": "string", "member": "bool", "weight": "float64"}
    tensors = tuple(Tensor(name=name, dtype=dtype, shape=("batch", 1)) for name, dtype in dtypes.items())  # type: ignore[arg-type]
    signature = tiny_signature().model_copy(update={"inputs": tensors})
    columns = [Column("age", "number", nulls=True, largest=0), Column("weight", "number", nulls=False, largest=0)]
    schema = input_schema(signature, columns, "small 2.0")
    check_input_schema(schema, signature)
    valid = jsonschema.Draft202012Validator(schema).is_valid
    good = {"age": None, "count": 3, "city": "oslo", "member": True, "weight": 1.5}

    assert valid(good)
    assert valid({**good, "age": 4})
    for bad in ({"weight": None}, {"count": 1.5}, {"member": 1}, {"city": None}, {"age": "x"}, {"more": 1}):
        assert not valid({**good, **bad}), bad
    assert not valid({name: value for name, value in good.items() if name != "age"})


def test_an_answer_is_a_class_and_its_probability() -> None:
    """A binary model answers one of its classes and a score; a regression a number."""
    schema = json.loads(output_schema(tiny_signature(), "small 2.0"))
    check_schema(schema, where="output")
    valid = jsonschema.Draft202012Validator(schema).is_valid
    assert valid({"prediction": 1, "score": 0.5})
    assert not valid({"prediction": 2, "score": 0.5})
    assert not valid({"prediction": 1, "score": 1.5})

    value = tiny_signature().model_copy(
        update={
            "task": "regression",
            "outputs": (Tensor(name="value", dtype="float32", shape=("batch", 1)),),
            "label_output": "value",
            "score_output": None,
            "classes": (),
            "positive": None,
        }
    )
    assert json.loads(output_schema(value, "t"))["properties"] == {"prediction": {"type": "number"}}


def test_parameters_are_values_where_they_are_and_names_where_not(tmp_path: Path) -> None:
    """NumPy's numbers are numbers, functions and steps are their names, and no memory address is on record."""
    model = make_pipeline(FunctionTransformer(np.cbrt), LogisticRegression(C=np.float32(0.5), tol=float("inf")))
    params = recorded(tmp_path, "[experiment]\nparams = { depth = 3 }\n", model).params
    estimator: Any = params["estimator"]

    assert params["depth"] == 3
    assert estimator["class"] == "Pipeline"
    assert estimator["params"]["logisticregression__C"] == 0.5
    assert estimator["params"]["logisticregression__tol"] == "inf"
    assert estimator["params"]["logisticregression"] == "LogisticRegression"
    assert "0x" not in json.dumps(params)


def test_sections_may_be_files(tmp_path: Path) -> None:
    """A path names a JSON object beside the specification."""
    (tmp_path / "curves.json").write_text('{"loss": [0.5, 0.25]}')
    (tmp_path / "run.json").write_text('{"id": "r7"}')
    record = recorded(tmp_path, '[experiment]\ncurves = "curves.json"\nrecord = "run.json"\nseeds = { numpy = 1 }\n')

    assert record.curves == {"loss": [0.5, 0.25]}
    assert (record.record, record.seeds, record.data.rows) == ({"id": "r7"}, {"numpy": 1}, 1234)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"a": NaN}', "cannot be recorded"),
        (b'{"a": 1e999}', "cannot be recorded"),
        (b'{"a": 99999999999999999999}', "cannot be recorded"),
        (b'{"a": "\\ud800"}', "cannot be recorded"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "not JSON"),
    ],
)
def test_what_cannot_be_recorded_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    """Absent, broken, or a number that JSON does not have; the message names the section."""
    if content is not None:
        (tmp_path / "p.json").write_bytes(content)
    with pytest.raises(InputError, match=words) as refused:
        recorded(tmp_path, '[experiment]\nparams = "p.json"\n')
    assert refused.value.where.startswith("[experiment]")


def test_no_place_on_this_machine_is_on_record(tmp_path: Path) -> None:
    """A specification with absolute paths leaves their last names only."""
    here = TEXT.replace('"train.py:fit"', f'"{tmp_path}/train.py:fit"').replace('"rows.parquet"', f'"{tmp_path}/r.pq"')
    here = here.replace('snapshot = "monday"', "")
    record = recorded(tmp_path, text=here)
    bill = bill_of_materials(spec(text=here), tiny_signature(), record, "sha256:" + "b" * 64, lock="", ops=())

    assert record.code.source == "train.py:fit"
    assert str(tmp_path) not in record.to_bytes().decode() + bill.decode()
    assert json.loads(bill)["components"][0]["name"] == "r.pq"
    assert shown("data/rows.parquet") == "data/rows.parquet"


def test_the_card_says_what_a_reader_asks_first(tmp_path: Path) -> None:
    """What it predicts, from what, trained on what, and how faithful the graph is, if that is known."""
    parity = Parity(rows=20_000, float_bits=64, max_difference=2e-7, label_flips=0, mismatches=0, tolerance=1e-5)
    card = model_card(spec(), tiny_signature(), recorded(tmp_path), parity).decode()

    for words in ("# small 2.0", "Says who will be late.", "`late`, one of 0, 1", "`age`, `income`", "1,234 rows"):
        assert words in card
    assert "20,000 real rows at 64 bits" in card
    assert "training rows it differs" not in model_card(spec(), tiny_signature(), recorded(tmp_path), None).decode()


def test_serving_features_are_inline_or_in_a_lock(tmp_path: Path) -> None:
    """Both say the same; nothing said is null, which is not an empty promise."""
    feature = 'name = "age"\ntype = "number"\nsource = "profile"\nmax_age = "1h"\n'
    (tmp_path / "lock.toml").write_text(f"[[features]]\n{feature}")
    inline = serving_features(spec(f"[[serving.features]]\n{feature}"), tmp_path)
    locked = serving_features(spec('[serving]\nfeatures = "lock.toml"\n'), tmp_path)

    assert inline == locked
    assert inline is not None
    assert inline[0].max_age == "1h"
    assert serving_features(spec(), tmp_path) is None


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read"), (b"\xff", "cannot be read"), (b"x = 1", "/x")]
)
def test_a_lock_that_is_none_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    """Absent, no text, or with keys that a lock does not have."""
    if content is not None:
        (tmp_path / "lock.toml").write_bytes(content)
    with pytest.raises(InputError, match=words):
        serving_features(spec('[serving]\nfeatures = "lock.toml"\n'), tmp_path)
