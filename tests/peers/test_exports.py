"""Other people's servers read what we export: mlflow itself, Triton's and KServe's own schemas, skopeo.

Run by ``make test-peers``.
"""

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from candidate.adapters.attest import Signer, load_signer, new_key
from candidate.flows.exporting import export
from tests.mixed import CITY, INPUTS, mixed_bundle

HERE = Path(__file__).parent
PYTHON = HERE / ".work" / "serving" / "bin" / "python"
SERVERS = ["triton", "mlflow", "kserve"]


@pytest.fixture(scope="module")
def builder() -> Signer:
    """A builder's key."""
    return load_signer(new_key(None), None)


@pytest.fixture(scope="module", params=[True, False], ids=["some-ages-missing", "all-ages-missing"])
def exported(request: Any, builder: Signer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with features of every dtype, and weights outside its graph, exported for every server."""
    root = tmp_path_factory.mktemp("exported")
    bundle = mixed_bundle(root, builder, ages=request.param)
    for server in SERVERS:
        export(bundle, root / server, to=server, public_key=builder.public_pem)  # type: ignore[arg-type]  # one of them
    (root / "ages").write_text(str(request.param))
    return root


def read(root: Path, server: str, folder: str = "") -> dict[str, Any]:
    """What the server's own reader makes of the export, in a process of its own: their protocols clash in one."""
    command = [str(PYTHON), str(HERE / "read_export.py"), server, str(root / (folder or server))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def note(root: Path, server: str) -> dict[str, Any]:
    """The export's own note."""
    (path,) = (root / server).rglob("candidate-export.json")
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def test_mlflow_loads_it_and_answers_the_golden_outputs(exported: Path) -> None:
    """Both flavors load; a DataFrame, a dict of arrays and the scoring server give what the bundle gave."""
    found, said = read(exported, "mlflow"), note(exported, "mlflow")

    assert found["inputs"] == found["graph"] == list(INPUTS)
    assert found["metadata"]["candidate.bundle"] == said["bundle"]["digest"]
    assert found["rows"] == said["tolerance"]["rows"]
    assert found["served"] == (5 if (exported / "ages").read_text() == "True" else None)


def test_triton_reads_the_configuration_by_its_own_schema(exported: Path) -> None:
    """model_config.proto parses it, and the graph has the tensors that it states."""
    found = read(exported, "triton")

    assert found["name"] == "7-mixed"
    assert found["max_batch_size"] == 8192
    assert found["parameters"]["candidate.bundle"] == note(exported, "triton")["bundle"]["digest"]
    assert found["kind"] == ["KIND_CPU"]


def test_kserve_reads_the_service_the_metadata_and_the_request(exported: Path) -> None:
    """Its published models know every field; the request, decoded by its classes, is answered as stated."""
    found, said = read(exported, "kserve"), note(exported, "kserve")

    assert found["inputs"] == list(INPUTS)
    assert CITY in found["inputs"]
    assert found["rows"] == (said["golden_rows"] or None)
    assert found["storage"] == "oci://registry.example/7-mixed:1.0.0_a"
    assert read(exported, "triton", "kserve/models")["name"] == "7-mixed"


def test_skopeo_reads_the_image(exported: Path, tmp_path: Path) -> None:
    """The image layout is one that tools push; its layer holds the tree that KServe mounts."""
    image = f"oci:{exported}/kserve/image:1.0.0_a"
    inspected = json.loads(subprocess.run(["skopeo", "inspect", image], capture_output=True, check=True).stdout)
    copied = tmp_path / "copied"
    subprocess.run(["skopeo", "--insecure-policy", "copy", "--quiet", image, f"dir:{copied}"], check=True)

    assert inspected["Labels"]["dev.candidate.bundle"] == note(exported, "kserve")["bundle"]["digest"]
    (layer,) = inspected["Layers"]
    with tarfile.open(fileobj=io.BytesIO((copied / layer.removeprefix("sha256:")).read_bytes())) as tar:
        names = tar.getnames()
        model = tar.extractfile("models/7-mixed/1/model.onnx")
        assert model is not None
        assert model.read() == (exported / "triton/7-mixed/1/model.onnx").read_bytes()
    assert names == [
        "models",
        "models/7-mixed",
        "models/7-mixed/1",
        "models/7-mixed/1/mixed.data",
        "models/7-mixed/1/model.onnx",
        "models/7-mixed/config.pbtxt",
    ]
