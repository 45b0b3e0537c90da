"""A session is closed to everything outside its graph, and a fingerprint names nobody."""

import getpass
import platform
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from candidate.adapters.runtime import Session, fingerprint, scores_of
from candidate.errors import IntegrityError
from tests.bundles import tiny_model, tiny_signature


def reaching_out(name: str) -> bytes:
    """A graph whose only constant says that its bytes are in a file beside it."""
    constant = TensorProto(name="secret", data_type=TensorProto.UINT8, dims=[16], data_location=TensorProto.EXTERNAL)
    constant.external_data.add(key="location", value=name)
    constant.external_data.add(key="length", value="16")
    graph = helper.make_graph(
        [helper.make_node("Identity", ["secret"], ["out"])],
        "g",
        [],
        [helper.make_tensor_value_info("out", TensorProto.UINT8, [16])],
        [constant],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def test_a_graph_cannot_read_a_file_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loaded from bytes, ONNX Runtime would look for external data here; the session points it at nothing."""
    (tmp_path / ".env").write_text("API_KEY=hunter2-hunter2")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(IntegrityError, match="refuses the graph"):
        Session(reaching_out(".env")).run({})


def test_what_is_no_graph_is_refused() -> None:
    """Bytes, an empty graph and an unknown operator are errors of the bundle, not tracebacks."""
    unknown = helper.make_model(
        helper.make_graph(
            [helper.make_node("Evil", ["x"], ["y"], domain="com.evil")],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.evil", 1)],
        ir_version=8,
    )
    for data in (b"", b"nonsense", unknown.SerializeToString()):
        with pytest.raises(IntegrityError):
            Session(data)


def test_an_input_of_the_wrong_kind_is_an_error() -> None:
    """A graph that fails on its input says so."""
    session = Session(tiny_model().SerializeToString())

    with pytest.raises(IntegrityError, match="fails on its input"):
        session.run({"age": np.array([["x"]], dtype=object), "income": np.array([[1.0]], dtype=np.float32)})


def test_the_score_is_the_positive_class_probability() -> None:
    """Labels and, in double precision, the column of the positive class."""
    feeds = {name: np.array([[0.5], [-3.0]], dtype=np.float32) for name in ("age", "income")}
    outputs = Session(tiny_model().SerializeToString()).run(feeds)
    labels, scores = scores_of(tiny_signature(), outputs)

    assert scores is not None
    assert scores.dtype == np.float64
    np.testing.assert_array_equal(scores, outputs["probabilities"][:, 1].astype(np.float64))
    np.testing.assert_array_equal(labels, scores > 0.5)


def test_a_fingerprint_names_the_machine_and_nobody() -> None:
    """Processor, limits, versions and options; no host name and no user."""
    found = fingerprint(1)
    text = " ".join(found.values())

    assert found["onnxruntime"]
    assert set(found) >= {"cpu_steal", "memory_limit", "onnxruntime_build", "memory_arena", "denormals_as_zero"}
    assert found["cpu_steal"] == "unknown" or 0 <= float(found["cpu_steal"]) <= 1
    assert found["intra_op_threads"] == "1"
    assert platform.node() not in text.split()
    assert getpass.getuser() not in text.split()
    assert onnx.__version__ not in found
