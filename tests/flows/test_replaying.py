"""The replay's process: it proves a good bundle, and a bad one can neither hold it up nor use it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from candidate.adapters.archive import Archive
from candidate.adapters.attest import Signer
from candidate.adapters.graph import canonical_graph
from candidate.adapters.graph.tensors import tensor_bytes
from candidate.documents.names import MODEL_PATH
from candidate.errors import IntegrityError, UnavailableError
from candidate.flows.inspecting import Bundle, Replayer, inspect, replay, replaying
from tests.bundles import Recipe, sealed, tiny_model


def opened(recipe: Recipe, signer: Signer, folder: Path) -> Bundle:
    """A bundle that whoever signed it means."""
    (folder / "hostile.candidate").write_bytes(sealed(recipe, signer))
    return inspect(Archive.open(folder / "hostile.candidate"))


def with_nodes(recipe: Recipe, *nodes: onnx.NodeProto, constants: tuple[TensorProto, ...] = ()) -> Recipe:
    """The recipe with more to compute, whose result is added to the label as nothing."""
    model = tiny_model()
    label = model.graph.node[-1]
    label.output[0] = "plain"
    model.graph.initializer.extend(constants)
    model.graph.node.extend(nodes)
    zero = helper.make_tensor("zero", TensorProto.INT64, [], [0])
    model.graph.initializer.append(zero)
    model.graph.node.append(helper.make_node("Mul", ["more", "zero"], ["nothing"]))
    model.graph.node.append(helper.make_node("Add", ["plain", "nothing"], ["label"]))
    spoiled = recipe.copy()
    spoiled.model = canonical_graph(model)
    spoiled.members[MODEL_PATH] = ("model", spoiled.model)
    return spoiled


def endless() -> tuple[list[onnx.NodeProto], tuple[TensorProto, ...]]:
    """A loop that counts for hours."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["on"]), helper.make_node("Add", ["sum", "step"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.INT64, []),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.INT64, []),
        ],
        [helper.make_tensor("step", TensorProto.INT64, [], [1])],
    )
    constants = (
        helper.make_tensor("turns", TensorProto.INT64, [], [2**62]),
        helper.make_tensor("again", TensorProto.BOOL, [], [True]),
        helper.make_tensor("start", TensorProto.INT64, [], [0]),
    )
    return [helper.make_node("Loop", ["turns", "again", "start"], ["more"], body=body)], constants


def test_a_graph_that_does_not_end_is_stopped(
    recipe: Recipe, builder: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processor time has a bound."""
    nodes, constants = endless()
    bundle = opened(with_nodes(recipe, *nodes, constants=constants), builder, tmp_path)
    monkeypatch.setattr(replaying, "SECONDS", 1)

    with pytest.raises(IntegrityError, match=r"the golden replay was stopped"):
        replay(bundle)


def test_a_graph_that_asks_for_all_memory_is_stopped(recipe: Recipe, builder: Signer, tmp_path: Path) -> None:
    """A few bytes of graph that expand to 64 GiB fail in the child, and nothing else does."""
    zero = helper.make_tensor("", TensorProto.INT64, [1], [0])
    nodes = [
        helper.make_node("ConstantOfShape", ["much"], ["zeros"], value=zero),
        helper.make_node("ReduceSum", ["zeros"], ["more"], keepdims=0),
    ]
    much = helper.make_tensor("much", TensorProto.INT64, [1], [8 << 30])
    bundle = opened(with_nodes(recipe, *nodes, constants=(much,)), builder, tmp_path)

    with pytest.raises(IntegrityError, match=r"golden replay|fails on its input|refuses the graph"):
        replay(bundle)


def test_a_process_that_dies_is_no_answer(recipe: Recipe, builder: Signer, tmp_path: Path) -> None:
    """Killed from outside: stopped, or gone, but never passed."""
    bundle = opened(recipe, builder, tmp_path)
    with Replayer() as replayer:
        replayer._child.kill()
        replayer._child.wait()
        with pytest.raises((IntegrityError, UnavailableError)):
            replayer.run(bundle)


def test_a_clock_that_runs_out_is_no_answer(
    recipe: Recipe, builder: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that does nothing is not waited for."""
    bundle = opened(recipe, builder, tmp_path)
    monkeypatch.setattr(replaying, "SECONDS", 0)
    monkeypatch.setattr(replaying, "_START", "import time; time.sleep(60)")
    with pytest.raises(IntegrityError, match="not done after 0 s"):
        replay(bundle)


def test_labels_that_differ_do_not_pass(recipe: Recipe, builder: Signer, tmp_path: Path) -> None:
    """The child compares as the parent would."""
    spoiled = recipe.copy()
    path = "golden/test_data_set_0/output_0.pb"
    spoiled.members[path] = ("golden", tensor_bytes(np.array([1, 0, 1, 1], dtype=np.int64), "label"))
    bundle = opened(spoiled, builder, tmp_path)

    apart, here = replay(bundle), replay(bundle, bundle.session())
    assert apart == here
    assert not apart.passed


PROBE = """
import json, os, socket, sys
sys.path[:] = json.loads(sys.argv[1])
from candidate.flows.replayer import confine
confine(1 << 30, 5)
said = {"environ": sorted(os.environ), "folder": os.listdir("."), "isolated": sys.flags.isolated}
try:
    os.write(os.open("file", os.O_WRONLY | os.O_CREAT), b"x" * 10)
    said["write"] = "done"
except OSError as error:
    said["write"] = error.strerror
try:
    bytearray(2 << 30)
    said["memory"] = "done"
except MemoryError:
    said["memory"] = "refused"
try:
    [os.open("/dev/null", os.O_RDONLY) for _ in range(1000)]
    said["files"] = "done"
except OSError as error:
    said["files"] = error.strerror
print(json.dumps(said))
"""


def test_the_process_gave_up_what_it_does_not_need(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """No environment of ours, an empty folder, no file written, no more memory and no more files than agreed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("SECRET=1")
    monkeypatch.setenv("SECRET", "1")
    monkeypatch.setattr(replaying, "_START", "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" + PROBE)
    with Replayer() as replayer:
        out, _ = replayer._child.communicate(timeout=60)
    said = json.loads(out)

    assert "SECRET" not in said["environ"]
    assert said["folder"] == []
    assert said["isolated"] == 1
    assert said["write"] == "File too large"
    assert said["memory"] == "refused"
    assert said["files"] == "Too many open files"
    assert not capfd.readouterr().err


def test_the_process_imports_little() -> None:
    """Everybody who verifies waits for it: no pydantic, no onnx package, no scikit-learn."""
    code = (
        "import sys, candidate.flows.replayer, candidate.adapters.runtime; "
        "from candidate.adapters.graph import tensors; tensors.messages(); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    loaded = set(done.stdout.split())
    assert not loaded & {"pydantic", "onnx", "sklearn", "scipy", "typer"}
