"""Exports for other servers: complete, the same every time, all or nothing, and on the way back to the bundle."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import jsonschema
import numpy as np
import onnxruntime
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from candidate.adapters.archive import archive_bytes
from candidate.adapters.attest import Signer, attest
from candidate.adapters.oci import attestation_blobs, index_of
from candidate.documents.exported import Exported, ExportNote, Server
from candidate.documents.manifest import ModelSignature, Tensor
from candidate.documents.names import RELEASE_TYPE
from candidate.errors import CandidateError, InputError, IntegrityError, RefusedError, UnavailableError
from candidate.flows.exporting import export, kserve, mlflow, protocol, triton
from candidate.flows.exporting.block import yaml_bytes
from candidate.flows.exporting.layout import Layout
from candidate.flows.verifying import golden_feeds, golden_outputs, load
from candidate.report.exported import exported_text
from tests.bundles import Recipe, release, tiny_signature
from tests.mixed import CITY, INPUTS, mixed_bundle

SERVERS: tuple[Server, ...] = get_args(Server)
V2_METADATA = {
    "type": "object",
    "required": ["name", "platform", "inputs", "outputs"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "versions": {"type": "array", "items": {"type": "string"}},
        "platform": {"const": "onnx_onnxv1"},
        "inputs": {"type": "array", "items": {"$ref": "#/$defs/tensor"}},
        "outputs": {"type": "array", "items": {"$ref": "#/$defs/tensor"}},
    },
    "$defs": {
        "tensor": {
            "type": "object",
            "required": ["name", "datatype", "shape"],
            "additionalProperties": False,
            "properties": {
                "name": {"type": "string"},
                "datatype": {"enum": ["BOOL", "INT32", "INT64", "FP32", "FP64", "BYTES"]},
                "shape": {"type": "array", "items": {"type": "integer"}},
            },
        }
    },
}
"""Model metadata as the Open Inference Protocol states it (REST, "Model Metadata Response JSON Object")."""


@pytest.fixture(scope="module")
def mixed(builder: Signer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with features of every dtype, odd names, and its weights in a file of their own."""
    return mixed_bundle(tmp_path_factory.mktemp("mixed"), builder)


@pytest.fixture(scope="module")
def exported(mixed: Path, builder: Signer) -> dict[Server, Path]:
    """That bundle for every server."""
    folders: dict[Server, Path] = {server: mixed.parent / server for server in SERVERS}
    for server, folder in folders.items():
        export(mixed, folder, to=server, public_key=builder.public_pem)
    return folders


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def place(server: Server, folder: Path) -> Path:
    """Where the model's files lie in an export."""
    return folder / {"triton": "7-mixed/1", "mlflow": ".", "kserve": "models/7-mixed/1"}[server]


@pytest.mark.parametrize("server", SERVERS)
def test_an_export_is_the_same_bytes_every_time(
    server: Server, exported: dict[Server, Path], mixed: Path, builder: Signer, tmp_path: Path
) -> None:
    """Whoever doubts an export makes it again."""
    export(mixed, tmp_path / "again", to=server, public_key=builder.public_pem, replay=False)

    assert tree(tmp_path / "again") == tree(exported[server])


@pytest.mark.parametrize("server", SERVERS)
def test_the_note_leads_back_to_the_bundle_and_names_every_file(
    server: Server, exported: dict[Server, Path], mixed: Path, builder: Signer
) -> None:
    """Digest of the bundle, and of all that lies beside the note."""
    found = tree(exported[server])
    (name,) = (name for name in found if name.endswith("candidate-export.json"))
    note = ExportNote.from_bytes(found.pop(name))
    with load(mixed, public_key=builder.public_pem, replay=False) as bundle:
        assert note.bundle == bundle.ref
        assert note.tolerance == bundle.tolerance

    digests = {path: "sha256:" + hashlib.sha256(data).hexdigest() for path, data in found.items()}
    assert {file.name: file.digest for file in note.files} == digests
    assert {file.name: file.size for file in note.files} == {path: len(data) for path, data in found.items()}
    mode = exported[server].stat().st_mode & 0o777
    assert mode == 0o755


@pytest.mark.parametrize("server", SERVERS)
def test_the_exported_graph_answers_the_golden_outputs_from_where_it_lies(
    server: Server, exported: dict[Server, Path], mixed: Path, builder: Signer
) -> None:
    """Graph and weights are found beside each other by a plain session, as every server opens one."""
    session = onnxruntime.InferenceSession(str(place(server, exported[server]) / "model.onnx"))
    with load(mixed, public_key=builder.public_pem, replay=False) as bundle:
        feeds, wanted = golden_feeds(bundle), golden_outputs(bundle)
        graph, weights = bundle.read("model/model.onnx"), bundle.read("model/mixed.data")
    answers = dict(zip([output.name for output in session.get_outputs()], session.run(None, feeds), strict=True))

    assert answers["label"].tolist() == wanted["label"].tolist()
    np.testing.assert_array_equal(answers["probabilities"], wanted["probabilities"])
    assert (place(server, exported[server]) / "model.onnx").read_bytes() == graph
    assert (place(server, exported[server]) / "mixed.data").read_bytes() == weights


def test_the_request_and_its_answer_are_golden_rows(exported: dict[Server, Path]) -> None:
    """Rows without missing values, each value at its place, and the answer that belongs to it."""
    folder = exported["triton"] / "7-mixed/golden"
    request, response = (json.loads((folder / name).read_bytes()) for name in ("request.json", "response.json"))
    session = onnxruntime.InferenceSession(str(exported["triton"] / "7-mixed/1/model.onnx"))
    dtypes: dict[str, Any] = {"FP32": "f4", "FP64": "f8", "INT64": "i8", "INT32": "i4", "BOOL": "?", "BYTES": object}
    feeds = {
        tensor["name"]: np.array(tensor["data"], dtype=dtypes[tensor["datatype"]]).reshape(tensor["shape"])
        for tensor in request["inputs"]
    }
    answers = session.run(None, feeds)
    label, scores = response["outputs"]

    assert list(feeds) == list(INPUTS)
    assert {array.shape for array in feeds.values()} == {tuple(label["shape"])}
    assert label["data"] == answers[0].tolist()
    assert label["shape"] == [len(answers[0]), 1]
    np.testing.assert_array_equal(np.array(scores["data"], dtype="f4").reshape(scores["shape"]), answers[1])
    assert (request["id"], response["model_name"]) == (response["id"], "7-mixed")


def test_the_image_carries_the_tree(exported: dict[Server, Path]) -> None:
    """Index, manifest, config and layer refer to each other, and the layer is ``models/`` in one form."""
    image = exported["kserve"] / "image"
    blobs = {path.name: path.read_bytes() for path in (image / "blobs/sha256").iterdir()}
    assert all(hashlib.sha256(data).hexdigest() == name for name, data in blobs.items())
    (entry,) = json.loads((image / "index.json").read_bytes())["manifests"]
    manifest = json.loads(blobs[entry["digest"].removeprefix("sha256:")])
    config = json.loads(blobs[manifest["config"]["digest"].removeprefix("sha256:")])
    (layer,) = manifest["layers"]
    data = blobs[layer["digest"].removeprefix("sha256:")]
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = tar.getmembers()
        files = {m.name: tar.extractfile(m).read() for m in members if m.isfile()}  # type: ignore[union-attr]  # files

    assert len(blobs) == 3
    assert layer["size"] == len(data)
    assert config["rootfs"]["diff_ids"] == [layer["digest"]]
    assert files == {f"models/{name}": found for name, found in tree(exported["kserve"] / "models").items()}
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    assert {m.mode for m in members} == {0o755, 0o644}
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == "1.0.0_a"
    note = ExportNote.from_bytes((exported["kserve"] / "candidate-export.json").read_bytes())
    assert manifest["annotations"]["dev.candidate.bundle"] == note.bundle.digest


def test_the_metadata_is_what_the_protocol_states(exported: dict[Server, Path]) -> None:
    """Names, datatypes and shapes as a server of the Open Inference Protocol answers them."""
    found = json.loads((exported["kserve"] / "metadata.json").read_bytes())
    jsonschema.Draft202012Validator(V2_METADATA).validate(found)

    assert [tensor["datatype"] for tensor in found["inputs"]] == ["FP32", "FP64", "INT64", "INT32", "BOOL", "BYTES"]
    assert found["inputs"][-1]["name"] == CITY
    assert [tensor["shape"] for tensor in found["outputs"]] == [[-1, 1], [-1, 2]]


def test_the_service_is_the_one_that_serves_the_image(exported: dict[Server, Path]) -> None:
    """A name that Kubernetes takes, the image by its tag, and the bundle in an annotation."""
    service = yaml.safe_load((exported["kserve"] / "inferenceservice.yaml").read_text())
    model = service["spec"]["predictor"]["model"]

    assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert service["metadata"]["name"] == "m-7-mixed"
    assert service["metadata"]["annotations"]["candidate.dev/bundle"].startswith("sha256:")
    assert model["storageUri"] == "oci://registry.example/7-mixed:1.0.0_a"
    assert (model["modelFormat"]["name"], model["protocolVersion"]) == ("onnx", "v2")


def test_the_mlmodel_says_what_mlflow_reads(exported: dict[Server, Path]) -> None:
    """Both flavors, tensors for a signature, and an environment that states versions."""
    found = yaml.safe_load((exported["mlflow"] / "MLmodel").read_text())
    inputs = json.loads(found["signature"]["inputs"])
    example = json.loads((exported["mlflow"] / "input_example.json").read_bytes())
    python = yaml.safe_load((exported["mlflow"] / "python_env.yaml").read_text())["python"]
    conda = yaml.safe_load((exported["mlflow"] / "conda.yaml").read_text())
    needed = (exported["mlflow"] / "requirements.txt").read_text().splitlines()

    assert found["flavors"]["python_function"]["loader_module"] == "mlflow.onnx"
    assert found["flavors"]["onnx"]["data"] == "model.onnx"
    assert [spec["name"] for spec in inputs] == list(INPUTS) == example["columns"]
    assert [spec["tensor-spec"]["dtype"] for spec in inputs][-1] == "str"
    assert {tuple(spec["tensor-spec"]["shape"]) for spec in inputs} == {(-1, 1)}
    assert len(example["data"]) == mlflow.EXAMPLE_ROWS
    assert conda["dependencies"][-1] == {"pip": needed}
    assert conda["dependencies"][0] == f"python={python}"
    assert f"onnxruntime=={onnxruntime.__version__}" in needed
    assert found["metadata"]["candidate.version"] == "1.0.0+a"


TINY_CONFIG = """\
name: "tiny"
platform: "onnxruntime_onnx"
backend: "onnxruntime"
default_model_filename: "model.onnx"
max_batch_size: 8192
input {
  name: "age"
  data_type: TYPE_FP32
  dims: [ 1 ]
}
input {
  name: "income"
  data_type: TYPE_FP32
  dims: [ 1 ]
}
output {
  name: "label"
  data_type: TYPE_INT64
  dims: [ 1 ]
  reshape { shape: [ ] }
}
output {
  name: "probabilities"
  data_type: TYPE_FP32
  dims: [ 2 ]
}
instance_group { kind: KIND_CPU count: 1 }
dynamic_batching { }
"""


def test_the_configuration_for_triton_word_by_word(bundle_path: Path, builder: Signer, tmp_path: Path) -> None:
    """The batch is left out of the dimensions, and a label without columns is reshaped to one."""
    export(bundle_path, tmp_path / "out", to="triton", public_key=builder.public_pem)
    text = (tmp_path / "out/tiny/config.pbtxt").read_text()

    assert text.startswith(TINY_CONFIG)
    assert text.count("parameters {") == 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["tiny"]


def fixed() -> ModelSignature:
    """A signature with an output of one row, however many went in: nothing that can be batched."""
    total = Tensor(name="total", dtype="float32", shape=(1, "n"))
    return tiny_signature().model_copy(update={"outputs": (*tiny_signature().outputs, total)})


def test_a_graph_that_cannot_be_batched_has_its_whole_dimensions(bundle_ref: Any) -> None:
    """Triton may not put requests together, nor split them."""
    text = triton.config(SimpleNamespace(ref=bundle_ref, signature=fixed())).decode()  # type: ignore[arg-type]  # enough
    metadata = protocol.metadata(SimpleNamespace(ref=bundle_ref, signature=fixed()))  # type: ignore[arg-type]  # the same

    assert "max_batch_size: 0\n" in text
    assert "dynamic_batching" not in text
    assert "reshape" not in text
    assert text.count("dims: [ -1, 1 ]") == 2
    assert "dims: [ -1 ]" in text
    assert "dims: [ 1, -1 ]" in text
    assert [tensor["shape"] for tensor in metadata["outputs"]] == [[-1], [-1, 2], [-1, -1]]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), values, min_size=1, max_size=4))
def test_what_is_written_as_yaml_reads_as_it_was(value: dict[str, Any]) -> None:
    """PyYAML reads every text, name and nesting back: no word is taken for a number, none ends a line."""
    assert yaml.safe_load(yaml_bytes(value)) == value


@pytest.mark.parametrize(
    ("name", "service"),
    [("late-flights", "late-flights"), ("7-mixed", "m-7-mixed"), ("a-", "a"), ("1" * 63, "m-" + "1" * 61)],
)
def test_the_name_of_a_service_is_one_that_kubernetes_takes(name: str, service: str) -> None:
    """A letter first, no hyphen last, 63 characters."""
    assert kserve.service_name(name) == service


def test_an_image_may_be_named(bundle_path: Path, builder: Signer, tmp_path: Path) -> None:
    """The version is the tag, unless one is given; the service and the commands name the image."""
    key = builder.public_pem
    plain = export(bundle_path, tmp_path / "a", to="kserve", image="registry.example/team/tiny", public_key=key)
    tagged = export(bundle_path, tmp_path / "b", to="kserve", image="registry.example/team/tiny:prod", public_key=key)

    assert plain.serve[0].endswith("docker://registry.example/team/tiny:1.0.0")
    assert tagged.serve[0].endswith("docker://registry.example/team/tiny:prod")
    assert "oci://registry.example/team/tiny:prod" in (tmp_path / "b/inferenceservice.yaml").read_text()


def test_the_text_says_how_to_serve_and_how_to_test(bundle_path: Path, builder: Signer, tmp_path: Path) -> None:
    """Paths with spaces are quoted, for they are pasted into a shell."""
    texts = {}
    for server in SERVERS:
        folder = tmp_path / "with space" / server
        texts[server] = exported_text(export(bundle_path, folder, to=server, public_key=builder.public_pem))

    assert f"tritonserver --model-repository='{tmp_path}/with space/triton'" in texts["triton"]
    assert "/v2/models/tiny/infer -d '@" in texts["triton"]
    assert f"mlflow models serve -m '{tmp_path}/with space/mlflow'" in texts["mlflow"]
    assert "skopeo copy 'oci:" in texts["kserve"]
    assert all(text.startswith("exported tiny 1.0.0 (") for text in texts.values())


def test_rows_that_json_cannot_say_are_not_sent(builder: Signer, tmp_path: Path) -> None:
    """Where every golden row has a missing value there is no request; the tensors themselves are there."""
    bundle = mixed_bundle(tmp_path, builder, ages=False)
    results: dict[Server, Exported] = {
        server: export(bundle, tmp_path / server, to=server, public_key=builder.public_pem) for server in SERVERS
    }

    for server, result in results.items():
        names = [file.name for file in result.files]
        assert result.golden_rows == 0
        assert any(name.endswith("golden/test_data_set_0/input_0.pb") for name in names)
        assert not any(name.endswith(("request.json", "example.json")) for name in names), server
    assert "missing values" in results["triton"].test[0]
    assert "saved_input_example_info" not in (tmp_path / "mlflow/MLmodel").read_text()


def attempt(bundle: Path, folder: Path, error: type[CandidateError], **options: Any) -> str:
    """Export, which must fail and leave nothing behind; return what it said."""
    before = sorted(folder.parent.rglob("*")) if folder.parent.is_dir() else []
    with pytest.raises(error) as caught:
        export(bundle, folder, **options)
    assert (sorted(folder.parent.rglob("*")) if folder.parent.is_dir() else []) == before
    return str(caught.value)


def test_a_name_that_is_taken_is_refused(bundle_path: Path, builder: Signer, tmp_path: Path) -> None:
    """A folder, even an empty one, a file, and a link that leads nowhere."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")

    for name in ("folder", "file", "link"):
        says = attempt(bundle_path, tmp_path / name, InputError, to="triton", public_key=builder.public_pem)
        assert "exists already" in says
    below = attempt(bundle_path, tmp_path / "file/below", InputError, to="mlflow", public_key=builder.public_pem)
    assert "cannot be made" in below
    assert not (tmp_path / "nowhere").exists()


def test_what_nobody_trusted_built_is_not_exported(
    bundle_path: Path, stranger: Signer, builder: Signer, tmp_path: Path
) -> None:
    """Another key, no key at all, and a bundle with a flipped byte."""
    spoiled = bytearray(bundle_path.read_bytes())
    spoiled[len(spoiled) // 2] ^= 1
    (tmp_path / "spoiled").write_bytes(spoiled)
    out = tmp_path / "out"

    assert "key" in attempt(bundle_path, out, RefusedError, to="triton", public_key=stranger.public_pem)
    assert "trust" in attempt(bundle_path, out, InputError, to="triton")
    attempt(tmp_path / "spoiled", out, IntegrityError, to="kserve", public_key=builder.public_pem)


def test_an_image_is_for_kserve_alone_and_must_be_a_reference(
    bundle_path: Path, builder: Signer, tmp_path: Path
) -> None:
    """An option that would be ignored is a mistake."""
    key = builder.public_pem
    says = attempt(bundle_path, tmp_path / "out", InputError, to="mlflow", image="registry.example/a", public_key=key)
    assert "only KServe" in says
    says = attempt(bundle_path, tmp_path / "out", InputError, to="kserve", image="Not a name", public_key=key)
    assert "not a reference" in says


@pytest.mark.parametrize(("name", "version"), [("../out", "1"), ("a/b", "1"), ("Tiny", "1"), ("tiny", "1/..")])
def test_a_name_that_would_leave_the_folder_is_refused(
    name: str, version: str, recipe: Recipe, builder: Signer, tmp_path: Path
) -> None:
    """The name becomes a folder and the version a tag: whoever signed them, they are plain words."""
    recipe.descriptor = recipe.descriptor.model_copy(update={"name": name, "version": version})
    content = recipe.content()
    said = attest(release(content, name=name, version=version), builder).to_bytes()
    referrer, blobs = attestation_blobs(content.descriptor, said, RELEASE_TYPE)
    path = tmp_path / "odd.candidate"
    path.write_bytes(archive_bytes(index=index_of(content, version, [referrer]), blobs={**content.blobs, **blobs}))
    for server in SERVERS:
        says = attempt(path, tmp_path / "out", IntegrityError, to=server, public_key=builder.public_pem)
        assert "unusable" in says


def full(*_: Any) -> None:
    """A disk without room."""
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("spoiled", ["put", "path"])
@pytest.mark.parametrize("server", SERVERS)
def test_a_full_disk_leaves_nothing(
    server: Server, spoiled: str, bundle_path: Path, builder: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was written already is gone."""
    real: Callable[..., Any] = getattr(Layout, spoiled)
    calls = []

    def sometimes(layout: Layout, *given: Any) -> Any:
        calls.append(given)
        return full() if len(calls) > 2 else real(layout, *given)

    monkeypatch.setattr(Layout, spoiled, sometimes)
    says = attempt(bundle_path, tmp_path / "out", UnavailableError, to=server, public_key=builder.public_pem)

    assert "No space left" in says
    assert len(calls) == 3


def test_a_folder_that_appears_meanwhile_is_left_alone(
    bundle_path: Path, builder: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's folder of the same name, made while ours was filled, stays as it is."""
    real = Layout.files

    def race(layout: Layout) -> Any:
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out/theirs").write_text("theirs")
        return real(layout)

    monkeypatch.setattr(Layout, "files", race)
    with pytest.raises(UnavailableError, match="cannot be written"):
        export(bundle_path, tmp_path / "out", to="triton", public_key=builder.public_pem)

    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["theirs"]
