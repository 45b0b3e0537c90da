"""Building: the graph is the model, the bundle says all it must, and the same inputs give the same bytes."""

import getpass
import json
import os
import platform
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from candidate.adapters.archive import Archive
from candidate.adapters.attest import Signer, load_signer, new_key, unverified_statement
from candidate.adapters.dataset import batches, feeds
from candidate.adapters.runtime import scores_of
from candidate.documents.names import PredicateName
from candidate.documents.results import Built
from candidate.documents.spec import BuildSpec
from candidate.documents.trust import RoleKeys, TrustPolicy
from candidate.errors import InputError, RefusedError
from candidate.flows.building import build
from candidate.flows.inspecting import golden_feeds
from candidate.flows.verifying import inspect, verify

NUMBERS = ["age", "income"]
BUILDERS: tuple[PredicateName, ...] = ("release", "integrity", "provenance")
SPEC = """
[bundle]
name = "small"
version = "1.2.0"
description = "A small model."
licenses = ["Apache-2.0", "LicenseRef-Ours"]
[model]
source = "{source}"
{float}
[data]
train = "train.parquet"
label = "{label}"
unit = "user"
feature_set = "f7"
snapshot = "monday"
[experiment]
params = {{ depth = 3 }}
seeds = {{ numpy = 4 }}
{more}
"""
SCRIPT = """
from sklearn.linear_model import LogisticRegression
def with_table(train):
    return LogisticRegression().fit(train[["age", "income"]].fillna(0.0), train["late"])
def without():
    import pandas as pd, pathlib
    return with_table(pd.read_parquet(pathlib.Path(__file__).parent / "train.parquet"))
FITTED = without()
NUMBER = 3
def fails():
    return 3
"""


def table(count: int = 4000, seed: int = 0) -> pd.DataFrame:
    """People: numbers with holes, a city, and whether they were late."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "age": rng.normal(40, 12, count),
            "income": rng.lognormal(8, 1, count),
            "city": rng.choice(["oslo", "bergen", "tromso"], count),
            "user": rng.integers(0, 500, count),
        }
    )
    chance = 1 / (1 + np.exp(-((rows["age"] - 40) / 10 + (rows["city"] == "oslo"))))
    rows["late"] = (rng.random(count) < chance).astype("int64")
    rows.loc[rng.random(count) < 0.1, "age"] = np.nan
    return rows


def pipeline(rows: pd.DataFrame, label: Any = "late") -> Pipeline:
    """Impute, scale, one-hot, logistic regression."""
    prepare = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
            ("city", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["city"]),
        ]
    )
    return make_pipeline(prepare, LogisticRegression()).fit(rows[[*NUMBERS, "city"]], rows[label])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with training rows and a script."""
    table().to_parquet(tmp_path / "train.parquet", index=False)
    (tmp_path / "models.py").write_text(SCRIPT)
    return tmp_path


def spec(source: str = "models.py:FITTED", label: str = "late", more: str = "", precision: str = "") -> BuildSpec:
    """A specification."""
    text = SPEC.format(source=source, label=label, more=more, float=precision)
    return BuildSpec.from_toml(text, where="candidate.toml")


def scores(built: Built, rows: Path) -> np.ndarray[Any, Any]:
    """What the bundle predicts."""
    with Archive.open(Path(built.path)) as archive:
        bundle = inspect(archive)
        batch = next(iter(batches(rows, bundle.signature.features)))
        found = scores_of(bundle.signature, bundle.session().run(feeds(batch, bundle.signature.inputs)))[1]
    assert found is not None
    return found


def test_a_pipeline_becomes_one_graph_that_predicts_the_same(root: Path, builder: Signer) -> None:
    """Imputing, scaling and one-hot are inside the graph; unseen cities and holes come out alike."""
    model = pipeline(table())
    built = build(spec(), model=model, root=root, out=root, signer=builder)
    unseen = table(2000, seed=9)
    unseen.loc[:50, "city"] = "paris"
    unseen.to_parquet(root / "unseen.parquet", index=False)
    expected = model.predict_proba(unseen[[*NUMBERS, "city"]])[:, 1]

    assert np.abs(scores(built, root / "unseen.parquet") - expected).max() < 1e-5
    assert built.parity is not None
    assert (built.parity.rows, built.parity.float_bits, built.parity.mismatches) == (4000, 32, 0)
    assert verify(built.path, public_key=builder.public_pem).key_id == builder.key_id


@pytest.mark.parametrize("source", ["models.py:FITTED", "models.py:without", "models.py:with_table", "model.joblib"])
def test_every_kind_of_source_gives_a_bundle(root: Path, source: str) -> None:
    """A fitted object, a function without and with the training table, and a file."""
    rows = table()
    joblib.dump(LogisticRegression().fit(rows[NUMBERS].fillna(0.0), rows["late"]), root / "model.joblib")
    if source != "models.py:with_table":
        rows[NUMBERS] = rows[NUMBERS].fillna(0.0)
        rows.to_parquet(root / "train.parquet", index=False)
    else:
        rows.fillna(0.0).to_parquet(root / "train.parquet", index=False)
    built = build(spec(source), root=root, out=root)

    assert built.parity is not None
    assert built.parity.mismatches == 0
    assert not built.attested


def test_an_onnx_graph_is_taken_as_it_is(root: Path, builder: Signer) -> None:
    """There is nothing to compare it with, and the record says so; its columns become the features."""
    first = build(spec(), model=pipeline(table()), root=root, out=root / "first")
    with Archive.open(Path(first.path)) as archive:
        (root / "model.onnx").write_bytes(inspect(archive).read("model/model.onnx"))
    built = build(spec("model.onnx"), root=root, out=root / "second", signer=builder)
    with Archive.open(Path(built.path)) as archive:
        signature = inspect(archive).signature

    assert built.parity is None
    assert signature.features == (*NUMBERS, "city")
    assert signature.classes == (0, 1)


@pytest.mark.parametrize(("labels", "positive"), [(["no", "yes"], "yes"), ([False, True], True)])
def test_text_and_truth_are_labels_too(root: Path, labels: list[Any], positive: object) -> None:
    """Classes keep their own type; the later of two is the positive one."""
    rows = table()
    rows["answer"] = [labels[value] for value in rows["late"]]
    rows.to_parquet(root / "train.parquet", index=False)
    built = build(spec(label="answer"), model=pipeline(rows, "answer"), root=root, out=root)
    with Archive.open(Path(built.path)) as archive:
        signature = inspect(archive).signature

    assert signature.classes == tuple(labels)
    assert signature.positive == positive


def test_a_regression_is_a_bundle_too(root: Path) -> None:
    """A regressor has no scores and no classes, and its parity is relative to the value."""
    rows = table().fillna(0.0)
    rows.to_parquet(root / "train.parquet", index=False)
    built = build(
        spec(label="income"), model=LinearRegression().fit(rows[["age"]], rows["income"]), root=root, out=root
    )
    with Archive.open(Path(built.path)) as archive:
        signature = inspect(archive).signature

    assert (signature.task, signature.score_output, signature.classes) == ("regression", None, ())


def test_trees_behind_a_scaler_do_not_pass_in_silence(root: Path) -> None:
    """At 32 bits a scaled value can fall on the other side of a split: that is refused, with figures."""
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({"age": rng.integers(0, 1500, 6000) / 7.0, "income": rng.integers(0, 900, 6000) / 3.0})
    rows["user"] = np.arange(6000)
    rows["late"] = (np.sin(rows["age"] / 9) + np.cos(rows["income"] / 11) > 0).astype("int64")
    rows.to_parquet(root / "train.parquet", index=False)
    model = make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=80)).fit(
        rows[NUMBERS], rows["late"]
    )

    with pytest.raises(InputError, match=r"32 bits: \d+ of 6000 rows differ by more than 1e-05") as refused:
        build(spec(precision="float = 32"), model=model, root=root, out=root)

    assert "labels flip" in refused.value.message
    assert [path.name for path in root.glob("*.candidate")] == []


def test_plain_trees_pass(root: Path) -> None:
    """A forest on unscaled columns converts, and its ties are not counted as flips."""
    rows = table().fillna(0.0)
    rows.to_parquet(root / "train.parquet", index=False)
    model = RandomForestClassifier(20, max_depth=6, random_state=0).fit(rows[NUMBERS].astype("float32"), rows["late"])
    built = build(spec(), model=model, root=root, out=root)

    assert built.parity is not None
    assert built.parity.mismatches <= 0.001 * built.parity.rows


def test_integers_beyond_32_bits_stay_integers(root: Path) -> None:
    """An id above 2**24 is not exact as a 32-bit float, so its tensor is int64."""
    rows = table().fillna(0.0)
    rows["account"] = rows["user"] + 3_000_000_000
    rows.to_parquet(root / "train.parquet", index=False)
    model = make_pipeline(
        ColumnTransformer([("id", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["account"])]),
        LogisticRegression(),
    ).fit(rows[["account"]], rows["late"])
    built = build(spec(), model=model, root=root, out=root)
    with Archive.open(Path(built.path)) as archive:
        signature = inspect(archive).signature

    assert signature.inputs[0].dtype == "int64"
    assert built.parity is not None
    assert built.parity.mismatches == 0


def test_the_record_says_what_training_again_needs(root: Path, builder: Signer) -> None:
    """Data digest, rows, label mean, features, parameters, seeds, versions; nullable where training had holes."""
    rows = table()
    built = build(spec(), model=pipeline(rows), root=root, out=root, signer=builder)
    with Archive.open(Path(built.path)) as archive:
        bundle = inspect(archive)
        bill = json.loads(bundle.read("mlbom.cdx.json"))
        golden = golden_feeds(bundle)
    record = bundle.experiment

    assert record.data.rows == len(rows)
    assert record.data.label_mean == pytest.approx(rows["late"].mean(), abs=1e-12)
    assert (record.data.feature_set, record.data.snapshot, record.seeds) == ("f7", "monday", {"numpy": 4})
    assert record.params["depth"] == 3
    assert record.libraries["scikit-learn"]
    assert bundle.input_schema["properties"]["age"]["type"] == ["number", "null"]
    assert bundle.input_schema["properties"]["income"]["type"] == "number"
    assert np.isnan(golden["age"]).any()
    assert bill["metadata"]["component"]["licenses"] == [
        {"license": {"id": "Apache-2.0"}},
        {"license": {"name": "LicenseRef-Ours"}},
    ]


def test_nothing_of_this_machine_is_in_the_bundle(root: Path, builder: Signer) -> None:
    """No host name, no user, no home, no absolute path: in no member, and in nothing that is attested."""
    built = build(spec(), root=root, out=root, signer=builder, model=pipeline(table()))
    with Archive.open(Path(built.path)) as archive:
        bundle = inspect(archive)
        said = [unverified_statement(data).to_bytes() for data in bundle.attestations]
        held = b"\n".join([*said, *(bundle.read(file.name) for file in bundle.manifest.files)])
    home = str(Path.home()) + "/"

    for secret in (str(root), home, f"/{getpass.getuser()}/", str(Path.cwd())):
        assert secret.encode() not in held, secret
    # A short host name may well stand inside a digest or a word.
    assert re.search(rb"(?<!\w)" + re.escape(platform.node().encode()) + rb"(?!\w)", held) is None


def test_several_keys_attest_the_same_statements(root: Path, now: datetime) -> None:
    """Each statement once by each key, over the same payload; a policy can then ask for both, and for no third."""
    signers = [load_signer(new_key(None, algorithm), None) for algorithm in ("ecdsa-p256", "ml-dsa-65")]
    built = build(spec(), model=pipeline(table()), root=root, out=root / "both", signer=signers)
    one = build(spec(), model=pipeline(table()), root=root, out=root / "one", signer=signers[0])
    keys = tuple(signer.public_pem for signer in signers)
    both = TrustPolicy(roles={"builder": RoleKeys(keys=keys, threshold=2)}, required=BUILDERS)
    with Archive.open(Path(built.path)) as archive:
        attestations = inspect(archive).attestations
    payloads = [json.loads(data)["dsseEnvelope"]["payload"] for data in attestations]

    assert built.attested
    assert built.bundle == one.bundle, "attestations are no part of what a bundle is"
    assert (len(payloads), len(set(payloads))) == (6, 3)
    assert "required" in [check.name for check in verify(built.path, trust=both, now=now).checks]
    with pytest.raises(RefusedError, match="needs 2"):
        verify(one.path, trust=both, now=now)
    assert verify(one.path, public_key=keys[0], now=now).bundle == built.bundle


def test_one_key_given_twice_is_refused_before_the_work(root: Path, builder: Signer) -> None:
    """It would count once, and whoever gave it twice meant another."""
    with pytest.raises(InputError, match="given twice"):
        build(spec(), model=pipeline(table()), root=root, out=root / "out", signer=[builder, builder])
    assert not (root / "out").exists()


def test_the_same_inputs_give_the_same_bytes(root: Path) -> None:
    """Another process, hash seed, time zone, umask, folder, locale, home, order and times of the inputs: one file.

    The whole matrix, signature included, with another user and another day, is ``benchmarks.reproducible``.
    """
    rows = table().fillna(0.0)
    rows.to_parquet(root / "train.parquet", index=False)
    (root / "key.pem").write_bytes(new_key(None))
    (root / "candidate.toml").write_text(SPEC.format(source="models.py:with_table", label="late", more="", float=""))
    cases: list[tuple[int, dict[str, str]]] = [
        (0o022, {"PYTHONHASHSEED": "1", "TZ": "UTC"}),
        (0o077, {"PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo"}),
        (0o000, {"PYTHONHASHSEED": "0", "LC_ALL": "C", "OMP_NUM_THREADS": "1"}),
        (0o022, {"LC_ALL": "C.UTF-8", "HOME": "/", "USER": "else", "LOGNAME": "else", "TZ": "America/St_Johns"}),
    ]
    made = set()
    for number, (mask, env) in enumerate(cases):
        inputs, elsewhere, out = (root / f"{name}{number}" for name in ("inputs", "cwd", "out"))
        names = sorted(("train.parquet", "models.py", "candidate.toml", "key.pem"), reverse=number % 2 == 1)
        for folder in (inputs, elsewhere):
            folder.mkdir()
        for age, name in enumerate(names):
            (inputs / name).write_bytes((root / name).read_bytes())
            os.utime(inputs / name, (10**9 * age, 10**8 * number))
        command = [sys.executable, "-m", "candidate", "build", str(inputs / "candidate.toml")]
        subprocess.run(
            [*command, "--out", str(out), "--key", str(inputs / "key.pem"), "--quiet"],
            check=True,
            capture_output=True,
            cwd=elsewhere,
            umask=mask,
            env={**os.environ, **env, "SOURCE_DATE_EPOCH": "1700000000"},
        )
        made.add((out / "small-1.2.0.candidate").read_bytes())

    assert len(made) == 1


def test_a_forest_that_adds_its_trees_up_as_they_finish_builds_the_same(root: Path) -> None:
    """Its last bit depends on which thread was first; what the bundle says of the comparison does not."""
    rows = table().fillna(0.0)
    rows.to_parquet(root / "train.parquet", index=False)
    forest = RandomForestClassifier(n_estimators=40, max_depth=6, random_state=0, n_jobs=4)
    forest.fit(rows[NUMBERS], rows["late"])
    made = {build(spec(), model=forest, root=root, out=root / str(number)).bundle.digest for number in range(6)}

    assert len(made) == 1


@pytest.mark.parametrize(
    ("source", "label", "more", "words"),
    [
        ("nowhere.joblib", "late", "", "no such file"),
        ("nowhere:thing", "late", "", "cannot be imported"),
        ("models.py:nothing", "late", "", "has no 'nothing'"),
        ("models.py:NUMBER", "late", "", "neither an estimator nor a function"),
        ("models.py:fails", "late", "", "returned int"),
        ("models.txt", "late", "", "no model is read from"),
        ("models.py:FITTED", "lat", "", "no label column"),
        ("models.py:FITTED", "late", '[serving]\nfeatures = "lock.toml"', "cannot be read"),
        ("models.py:FITTED", "late", '[members]\ndoc = ["evil.pkl"]', "pickle"),
        ("models.py:FITTED", "late", '[members]\ndoc = ["key.txt"]', "secret"),
        ("models.py:FITTED", "late", '[members]\ndoc = ["a b.txt"]', "name cannot be"),
        ("models.py:FITTED", "late", '[members]\ndoc = ["tree.zip"]', "would be refused"),
        ("models.py:FITTED", "late", '[members]\ndoc = ["gone.txt"]', "cannot be read"),
        ("models.py:FITTED", "late", '[members]\ndoc = ["x/same.txt", "y/same.txt"]', "two members of the same name"),
    ],
)
def test_what_cannot_be_built_is_told_and_leaves_nothing(
    root: Path, source: str, label: str, more: str, words: str
) -> None:
    """Every mistake is an InputError with its place, and no file is left behind."""
    rows = table().fillna(0.0)
    rows.to_parquet(root / "train.parquet", index=False)
    (root / "models.txt").write_text("")
    (root / "evil.pkl").write_bytes(b"\x80\x04K\x01.")
    (root / "key.txt").write_text("-----BEGIN PRIVATE KEY-----\n")
    (root / "a b.txt").write_text("x")
    (root / "tree.zip").write_bytes(b"PK\x03\x04" + bytes(40))
    for folder in ("x", "y"):
        (root / folder).mkdir()
        (root / folder / "same.txt").write_text(folder)

    with pytest.raises(InputError, match=words) as refused:
        build(spec(source, label, more), root=root, out=root / "out")

    assert refused.value.where
    assert not (root / "out").exists() or list((root / "out").iterdir()) == []


def test_a_step_without_an_onnx_form_is_named(root: Path) -> None:
    """The message says which step cannot be converted, and what to do."""
    rows = table().fillna(0.0)
    rows.to_parquet(root / "train.parquet", index=False)
    own = make_pipeline(FunctionTransformer(np.cbrt), LogisticRegression()).fit(rows[NUMBERS], rows["late"])
    with pytest.raises(InputError, match="FunctionTransformer") as refused:
        build(spec(more=""), model=own, root=root, out=root)
    assert refused.value.hint


def test_text_with_holes_and_unfitted_models_are_refused(root: Path) -> None:
    """What training would have made of them nobody can say, so building says no."""
    with pytest.raises(InputError, match=r"fitted|which columns"):
        build(spec(), model=LogisticRegression(), root=root, out=root)
    rows = table()
    model = pipeline(rows)
    rows.loc[3, "city"] = None
    rows.to_parquet(root / "train.parquet", index=False)
    with pytest.raises(InputError, match="text with missing values"):
        build(spec(), model=model, root=root, out=root)
    with pytest.raises(InputError, match="which columns"):
        build(spec(), model=HashingVectorizer(), root=root, out=root)


def test_a_graph_that_is_none_is_refused(root: Path) -> None:
    """Random bytes, and a graph whose inputs are not single columns."""
    (root / "bad.onnx").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="not an ONNX graph"):
        build(spec("bad.onnx"), root=root, out=root)
    wide = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Identity", ["rows"], ["same"])],
            "g",
            [onnx.helper.make_tensor_value_info("rows", onnx.TensorProto.FLOAT, ["n", 4])],
            [onnx.helper.make_tensor_value_info("same", onnx.TensorProto.FLOAT, ["n", 4])],
        )
    )
    (root / "wide.onnx").write_bytes(wide.SerializeToString())
    rows = table().fillna(0.0)
    rows["rows"] = 0.0
    rows.to_parquet(root / "train.parquet", index=False)
    with pytest.raises(InputError, match="does not say which columns"):
        build(spec("wide.onnx"), root=root, out=root)
