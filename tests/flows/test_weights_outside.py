"""Models whose weights do not fit into their graph: built, verified, laid out and served."""

import json
import os
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto

from candidate.adapters.archive import Archive
from candidate.adapters.attest import Signer
from candidate.documents.spec import BuildSpec
from candidate.errors import InputError, IntegrityError, UnavailableError
from candidate.flows.building import build
from candidate.flows.inspecting import inspect
from candidate.flows.showing import unpack
from candidate.flows.verifying import load, verify
from tests.bundles import tiny_model

SPEC = """
[bundle]
name = "tiny"
version = "1.0.0"
[model]
source = "tiny.onnx"
[data]
train = "train.parquet"
label = "late"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A graph with its weights in a file beside it, and rows that fit."""
    model = tiny_model()
    held = np.zeros(16, dtype="<f4")
    held[4:6] = 0.5
    (tmp_path / "tiny.data").write_bytes(held.tobytes())
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "weights")
    weights.ClearField("float_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "tiny.data"), ("offset", "16"), ("length", "8"), ("checksum", "ignored")):
        weights.external_data.add(key=key, value=value)
    (tmp_path / "tiny.onnx").write_bytes(model.SerializeToString())
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"age": rng.normal(size=500), "income": rng.normal(size=500)}).astype("float32")
    rows["late"] = (rows["age"] + rows["income"] > 0.5).astype("int64")
    rows.to_parquet(tmp_path / "train.parquet", index=False)
    return tmp_path


def built(root: Path, signer: Signer, out: str = "out") -> Path:
    """The bundle of that graph."""
    spec = BuildSpec.from_toml(SPEC, where="candidate.toml")
    return Path(build(spec, root=root, out=root / out, signer=signer).path)


def test_weights_travel_as_a_member_of_their_own(root: Path, builder: Signer) -> None:
    """Built, verified with a replay, unpacked as ONNX's tools read it, and the same bytes again."""
    path = built(root, builder)
    result = verify(path, public_key=builder.public_pem)
    assert result.replay is not None
    assert result.replay.passed
    assert result.replay.max_difference == 0
    unpack(path, root / "tree")
    assert (root / "tree/model/tiny.data").read_bytes() == (root / "tiny.data").read_bytes()
    listed = json.loads((root / "tree/candidate.json").read_bytes())
    assert listed["onnx"]["externalData"] == ["model/tiny.data"]
    whole = onnx.load(root / "tree/model/model.onnx")
    weights = next(tensor for tensor in whole.graph.initializer if tensor.name == "weights")
    assert onnx.numpy_helper.to_array(weights).ravel().tolist() == [0.5, 0.5]
    assert built(root, builder, "again").read_bytes() == path.read_bytes()


def test_a_session_outlives_the_folder_its_weights_came_from(root: Path, builder: Signer) -> None:
    """What is served is what was verified, from a place that is gone when the session starts."""
    with load(built(root, builder), public_key=builder.public_pem) as bundle:
        with bundle.weights() as folder:
            assert [file.name for file in folder.iterdir()] == ["tiny.data"]
        assert not folder.exists()
        answers = bundle.session().run({name: np.ones((3, 1), dtype=np.float32) for name in ("age", "income")})
        assert bundle.model_size_bytes > 64
    assert np.allclose(answers["probabilities"][:, 1], 1 / (1 + np.exp(-0.75)))


def test_weights_elsewhere_are_refused_at_build(root: Path, builder: Signer) -> None:
    """A file that is not there, and one in another folder: an error that names the tensor, and nothing written."""
    (root / "tiny.data").rename(root / "moved.data")
    with pytest.raises(InputError, match=r"tiny\.data"):
        built(root, builder)
    model = onnx.load(root / "tiny.onnx", load_external_data=False)
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "weights")
    weights.external_data[0].value = "../secret"
    (root / "tiny.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="secret"):
        built(root, builder)
    assert not list(root.glob("out/*"))


def test_other_weights_are_another_bundle_and_damaged_ones_none(root: Path, builder: Signer) -> None:
    """A byte of the weights is a byte of the bundle."""
    path = built(root, builder)
    with Archive.open(path) as archive:
        before = inspect(archive).ref.digest
        digest = "sha256:" + next(f.digest.sha256 for f in inspect(archive).manifest.files if f.role == "weights")
        offset = archive._offsets[digest]
    with path.open("r+b") as file:
        file.seek(offset + 40)
        file.write(b"\x01")
    with pytest.raises(IntegrityError, match=digest):
        verify(path, public_key=builder.public_pem)
    changed = bytearray((root / "tiny.data").read_bytes())
    changed[40] = 1
    (root / "tiny.data").write_bytes(changed)
    with Archive.open(built(root, builder, "other")) as archive:
        assert inspect(archive).ref.digest != before


def test_no_room_for_the_weights_is_said(root: Path, builder: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that refuses is not a broken bundle."""
    path = built(root, builder)
    with Archive.open(path) as archive:
        bundle = inspect(archive)

        def full(*_: object, **__: object) -> None:
            raise OSError(28, os.strerror(28))

        monkeypatch.setattr(type(bundle), "write", full)
        with pytest.raises(UnavailableError, match="No space left"), bundle.weights():
            pass
