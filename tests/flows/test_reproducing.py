"""Building again: equal is attested, different is explained, and nothing is changed by looking."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from candidate.adapters import provenance
from candidate.adapters.archive import Archive
from candidate.adapters.attest import Signer, check, unverified_statement
from candidate.adapters.differences import graph_differences, json_differences, lock_differences, named
from candidate.documents.names import REPRODUCED_TYPE
from candidate.documents.results import Built
from candidate.documents.spec import BuildSpec
from candidate.errors import InputError, IntegrityError, UnavailableError
from candidate.flows.building import build
from candidate.flows.inspecting import inspect
from candidate.flows.reproducing import reproduce
from candidate.flows.verifying import verify

SPEC = """
[bundle]
name = "small"
version = "1.2.0"
[model]
source = "models.py:FITTED"
[data]
train = "train.parquet"
label = "y"
[experiment]
seeds = { numpy = 4 }
[members]
doc = ["notes.md"]
"""


def table() -> pd.DataFrame:
    """Two numbers and a sign."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(400, 2)).astype("float32"), columns=["a", "b"])
    return rows.assign(y=(rows["a"] > 0).astype("int64"))


def model(*, strength: float = 1.0, scaled: bool = False) -> Any:
    """A fitted model."""
    line = LogisticRegression(C=strength)
    rows = table()
    return (make_pipeline(StandardScaler(), line) if scaled else line).fit(rows[["a", "b"]], rows["y"])


def spec(text: str = SPEC) -> BuildSpec:
    """A specification."""
    return BuildSpec.from_toml(text, where="candidate.toml")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the training rows and a note."""
    table().to_parquet(tmp_path / "train.parquet", index=False)
    (tmp_path / "notes.md").write_text("A note.\n")
    return tmp_path


@pytest.fixture
def made(root: Path, builder: Signer) -> Built:
    """The bundle that was built first."""
    return build(spec(), model=model(), root=root, out=root / "out", signer=builder)


def attestations(path: Path) -> tuple[bytes, ...]:
    """What is attested in a bundle."""
    with Archive.open(path) as archive:
        return inspect(archive).attestations


def test_the_same_again_is_attested_and_attached(root: Path, made: Built, builder: Signer) -> None:
    """Once without a key, which changes nothing; with one it says so inside the bundle; then it says so already."""
    path = Path(made.path)
    before = path.read_bytes()
    plain = reproduce(spec(), path, model=model(), root=root)
    assert (plain.attestation, plain.path, path.read_bytes()) == (None, None, before)
    told = reproduce(spec(), path, model=model(), root=root, signer=builder)
    after = path.read_bytes()
    again = reproduce(spec(), path, model=model(), root=root, signer=builder)

    assert (told.bundle, told.members, again) == (made.bundle, 15, told)
    assert path.read_bytes() == after != before
    (new,) = [data for data in attestations(path) if unverified_statement(data).predicate_type == REPRODUCED_TYPE]
    predicate = check(new, [builder.public_pem]).statement.predicate
    assert (predicate["content"], predicate["environment"]) == (made.bundle.digest, told.environment)
    assert (predicate["commit"], predicate["sourceDigest"]) == (None, None)
    assert verify(path, public_key=builder.public_pem).bundle == made.bundle


def test_the_attestation_can_go_to_a_file(root: Path, made: Built, builder: Signer) -> None:
    """The bundle stays as it is; a file that exists is not overwritten, and one without a key not written."""
    path, out = Path(made.path), root / "again.json"
    before = path.read_bytes()
    told = reproduce(spec(), path, model=model(), root=root, signer=builder, out=out)

    assert (told.path, path.read_bytes()) == (str(out), before)
    assert check(out.read_bytes(), [builder.public_pem]).statement.predicate_type == REPRODUCED_TYPE
    with pytest.raises(InputError, match="exists already"):
        reproduce(spec(), path, model=model(), root=root, signer=builder, out=out)
    with pytest.raises(InputError, match="without a key"):
        reproduce(spec(), path, model=model(), root=root, out=root / "other.json")
    with pytest.raises(UnavailableError, match="cannot be written"):
        reproduce(spec(), path, model=model(), root=root, signer=builder, out=root / "no" / "where.json")


DIFFERENT: dict[str, tuple[dict[str, Any], str, str]] = {
    "weights": (
        {"model": model(strength=1e-3)},
        r"model/model\.onnx: first at node 1, LinearClassifier 'LinearClassifier' in coefficients, intercepts",
        "same commit",
    ),
    "operators": ({"model": model(scaled=True)}, r"model/model\.onnx: 0 Scaler against 1", "same commit"),
    "seeds": ({"spec": SPEC.replace("numpy = 4", "numpy = 5")}, r"experiment\.json: /seeds/numpy 4 against 5", "same"),
    "version": ({"spec": SPEC.replace("1.2.0", "2")}, r'/descriptor/version "1\.2\.0" against "2"', "same commit"),
    "a member less": ({"spec": SPEC.replace('["notes.md"]', "[]")}, r"doc/notes\.md: did not come out", "same commit"),
    "the time": ({"environ": {"SOURCE_DATE_EPOCH": "1700000000"}}, "/descriptor/createdAt", "SOURCE_DATE_EPOCH"),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_what_came_out_otherwise_is_told(root: Path, made: Built, builder: Signer, case: str) -> None:
    """The member, and in it the field, the operator or the weight; nothing is attested."""
    changes, words, hint = DIFFERENT[case]
    arguments: dict[str, Any] = {"model": model(), "root": root, "signer": builder, **changes}
    text = arguments.pop("spec", SPEC)
    before = Path(made.path).read_bytes()
    with pytest.raises(IntegrityError, match=words) as refused:
        reproduce(spec(text), made.path, **arguments)

    assert hint in refused.value.hint
    assert Path(made.path).read_bytes() == before


def test_a_member_more_and_other_bytes_are_told(root: Path, made: Built) -> None:
    """A note that was not there, and one that says something else."""
    (root / "more.md").write_text("More.\n")
    with pytest.raises(IntegrityError, match=r"doc/more\.md: is not in the bundle"):
        reproduce(spec(SPEC.replace('"notes.md"', '"notes.md", "more.md"')), made.path, model=model(), root=root)
    (root / "notes.md").write_text("Another note.\n")
    with pytest.raises(IntegrityError, match=r"doc/notes\.md: other bytes"):
        reproduce(spec(), made.path, model=model(), root=root)


def test_another_environment_is_told_first(root: Path, made: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which package has which version, and the remedy."""
    lock = provenance.lock_text()
    other = lock.replace(f"numpy=={np.__version__}", "numpy==0.1")
    monkeypatch.setattr(provenance, "lock_text", lambda: other)
    with pytest.raises(IntegrityError, match=rf"requirements\.lock: numpy {np.__version__} against 0\.1") as refused:
        reproduce(spec(), made.path, model=model(), root=root)

    assert "requirements.lock" in refused.value.hint


def test_a_broken_bundle_is_not_built_again(root: Path, made: Built) -> None:
    """It is inspected before any code of the specification is run."""
    path = Path(made.path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError):
        reproduce(spec(SPEC.replace("models.py:FITTED", "nowhere.py:NOTHING")), path, root=root)


def test_documents_are_compared_by_field() -> None:
    """Pointers are escaped; lists of one length element by element; what is no JSON explains nothing."""
    first, second = b'{"a":{"b/c":[1,2]},"d":1,"e":[1]}', b'{"a":{"b/c":[1,3]},"e":[1,2],"f":"x"}'

    assert json_differences(first, second) == [
        "/a/b~1c/1 2 against 3",
        "/d only in the first",
        "/e [1] against [1, 2]",
        "/f only in the second",
    ]
    assert json_differences(b"1", b"2") == ["/ 1 against 2"]
    assert json_differences(b"{", b"{}") == []
    assert json_differences(b'{"a":1}', b'{"a":true}') == ["/a 1 against true"]
    (long,) = json_differences(b'{"a":1}', b'{"a":"' + b"x" * 200 + b'"}')
    assert len(long) < 120


def test_locks_are_compared_by_package() -> None:
    """Other versions, and packages that only one of them has."""
    assert lock_differences(b"a==1\nb==2\nc==3\n", b"a==1\nb==2.1\nd==4\n") == [
        "b 2 against 2.1",
        "c 3 against absent",
        "d absent against 4",
    ]


def test_many_differences_are_counted() -> None:
    """The first few by name."""
    assert named(["a", "b"]) == "a, b"
    assert named([str(number) for number in range(9)]) == "0, 1, 2, 3, 4, 5 and 3 more"


def graph(*, weight: float = 1.0, name: str = "add", opset: int = 17) -> bytes:
    """One addition."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    constant = helper.make_tensor("w", TensorProto.FLOAT, [1], [weight])
    made = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"], name=name)], "g", [value], [out], [constant])
    data: bytes = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)]).SerializeToString()
    return data


def test_graphs_are_compared_by_operator_node_and_weight() -> None:
    """The operator set, the first node, the first weight; a graph is equal to itself."""
    assert graph_differences(graph(), graph()) == []
    assert graph_differences(graph(), graph(weight=2)) == ["first in weight 'w'"]
    assert graph_differences(graph(), graph(name="sum")) == ["first at node 0, Add 'add'"]
    assert graph_differences(graph(), graph(opset=18)) == ["operator sets {'ai.onnx': 17} against {'ai.onnx': 18}"]
    assert onnx.load_model_from_string(graph()).graph.node[0].op_type == "Add"
    with pytest.raises(IntegrityError, match="not a graph"):
        graph_differences(b"\xff\xff", graph())
