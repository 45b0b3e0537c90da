"""A map of scores is fitted as scikit-learn fits it, computed by the graph, and on record in the new bundle."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper as oh
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss

from candidate.adapters.archive import Archive
from candidate.adapters.attest import Signer
from candidate.documents.names import CARD_PATH, MODEL_PATH
from candidate.documents.recalibrated import CALIBRATED_FROM, CALIBRATION_DATA, Recalibrated
from candidate.documents.spec import BuildSpec
from candidate.documents.trust import TrustPolicy
from candidate.errors import InputError, RefusedError
from candidate.flows import recalibrating
from candidate.flows.building import build
from candidate.flows.fitting import fit, log_odds, mapped, steepest
from candidate.flows.predicting import predict
from candidate.flows.recalibrating import recalibrate
from candidate.flows.verifying import inspect, verify

SPEC = """
[bundle]
name = "late"
version = "{version}"
description = "Late or not."
licenses = ["CC0-1.0"]
[model]
source = "{source}"
{more}
[data]
train = "train.parquet"
label = "{label}"
unit = "row"
features = ["x", "z"]
[experiment]
seeds = {{ numpy = 1 }}
"""
FEATURES = ["x", "z"]


def written(root: Path, name: str, seed: int, rows: int) -> pd.DataFrame:
    """Rows whose outcomes follow a logistic law."""
    rng = np.random.default_rng(seed)
    made = pd.DataFrame(rng.normal(size=(rows, 2)).astype("float32"), columns=FEATURES)
    made["late"] = (rng.random(rows) < 1 / (1 + np.exp(2 - 2 * made["x"] - made["z"]))).astype("int64")
    made["word"] = np.where(made["late"] == 1, "late", "in time")
    made["kind"], made["delay"] = np.arange(rows) % 3, made["x"] * 2
    made["row"] = np.arange(rows)
    made.to_parquet(root / f"{name}.parquet", index=False)
    return made


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, builder: Signer) -> Path:
    """Models with balanced classes: of numbers and of words as a class, a forest, and others that have no map."""
    home = tmp_path_factory.mktemp("late")
    train, _ = written(home, "train", 1, 2000), written(home, "eyeball", 2, 1500)
    balanced = {"class_weight": "balanced"}
    models: dict[str, tuple[Any, str, str]] = {
        "1.0": (LogisticRegression(**balanced), "late", ""),
        "words": (LogisticRegression(**balanced), "word", ""),
        "forest": (RandomForestClassifier(20, max_depth=4, random_state=1, **balanced), "late", "float = 64"),
        "cut": (LogisticRegression(**balanced), "late", "threshold = 0.7"),
        "kinds": (LogisticRegression(), "kind", ""),
        "number": (LinearRegression(), "delay", ""),
    }
    for version, (model, label, more) in models.items():
        made = model.fit(train[FEATURES], train[label])
        spec = SPEC.format(version=version, label=label, source="memory:model", more=more)
        build(BuildSpec.from_toml(spec, where="spec"), model=made, root=home, out=home, signer=builder)
    return home


def bundle(root: Path, version: str) -> Path:
    """Where a bundle is."""
    return root / f"late-{version}.candidate"


def scores(root: Path, path: Path, out: Path) -> pd.DataFrame:
    """What a bundle predicts for the eyeball rows."""
    predict(path, root / "eyeball.parquet", out=out)
    return pd.read_parquet(out)


@pytest.mark.parametrize(
    ("version", "method"), [("1.0", "isotonic"), ("words", "platt"), ("forest", "isotonic"), ("cut", "isotonic")]
)
def test_the_graph_maps_as_scikit_learn_does(root: Path, tmp_path: Path, version: str, method: Any) -> None:
    """Whatever the classes and the precision: scores are the map of the old ones, answers stay what they were."""
    made = recalibrate(bundle(root, version), data=root / "eyeball.parquet", method=method, out=tmp_path)
    before = scores(root, bundle(root, version), tmp_path / "before.parquet")
    after = scores(root, Path(made.path), tmp_path / "after.parquet")
    rows = pd.read_parquet(root / "eyeball.parquet")
    label = rows["word"] == "late" if version == "words" else rows["late"] == 1
    # the positive class of words is the last in order, which is "late"
    fitted = fit(before["score"].to_numpy().astype("float64"), label.to_numpy(), method)

    np.testing.assert_allclose(after["score"], fitted.expected, atol=2e-7)
    changed = (before["prediction"] != after["prediction"]).sum()
    assert made.calibration.answers_changed == changed
    assert changed == 0 if method == "platt" else changed < 0.05 * len(rows)
    assert made.calibration.log_loss_after == pytest.approx(log_loss(label, after["score"]), abs=1e-6)
    assert made.calibration.log_loss_after < made.calibration.log_loss_before
    assert made.calibration.max_difference < 1e-6
    assert (
        after["prediction"].isin([1, "late"]) == (after["score"].astype("float64") >= made.calibration.threshold)
    ).all()


def test_a_threshold_can_keep_its_number(root: Path, tmp_path: Path) -> None:
    """Then answers follow the probabilities, and how many change is on record."""
    made = recalibrate(bundle(root, "1.0"), data=root / "eyeball.parquet", keep="threshold", out=tmp_path)
    found = scores(root, Path(made.path), tmp_path / "after.parquet")

    assert made.calibration.threshold == made.calibration.threshold_before == 0.5
    assert made.calibration.answers_changed > 0
    assert ((found["score"] >= 0.5) == (found["prediction"] == 1)).all()


def test_the_new_bundle_says_what_it_was_made_of(
    root: Path, tmp_path: Path, builder: Signer, trust: TrustPolicy
) -> None:
    """Rows and parent are dependencies, and so in its provenance; it verifies and replays like any other."""
    made = recalibrate(
        bundle(root, "1.0"),
        data=root / "eyeball.parquet",
        method="isotonic",
        out=tmp_path,
        signer=builder,
        trust=trust,
    )
    verify(made.path, trust=trust)
    with Archive.open(Path(made.path)) as archive, Archive.open(bundle(root, "1.0")) as old:
        new, parent = inspect(archive), inspect(old)
        named = {each.name: each.digest["sha256"] for each in new.manifest.dependencies}
        record, card = new.experiment.record["calibration"], new.read(CARD_PATH).decode()
        assert new.experiment.data == parent.experiment.data
        assert new.manifest.parity == parent.manifest.parity
        assert new.manifest.descriptor.licenses == ("CC0-1.0",)
        assert new.input_schema["title"] == "late 1.0-isotonic"
        assert named[CALIBRATED_FROM] == parent.ref.digest.removeprefix("sha256:")
    assert named[CALIBRATION_DATA] == made.calibration.data.removeprefix("sha256:")
    assert record == made.calibration.model_dump(mode="json")
    assert "Recalibrated: isotonic, on 1,500 rows" in card
    assert made.attested
    assert Recalibrated.from_bytes(made.to_bytes()) == made


def test_it_comes_out_the_same_again(root: Path, tmp_path: Path) -> None:
    """No clock and no chance: the same bytes."""
    made = [recalibrate(bundle(root, "forest"), data=root / "eyeball.parquet", out=tmp_path / name) for name in "ab"]

    assert made[0].file_digest == made[1].file_digest


def test_an_untrusted_bundle_is_not_mapped(root: Path, tmp_path: Path, stranger: Signer) -> None:
    """Where trust is asked for."""
    from candidate.flows.starting import trust_of

    with pytest.raises(RefusedError):
        recalibrate(
            bundle(root, "1.0"),
            data=root / "eyeball.parquet",
            out=tmp_path,
            trust=trust_of({"builder": [stranger.public_pem]}),
        )


def _cut(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path, Path], Path]:
    def file(root: Path, folder: Path) -> Path:
        rows = change(pd.read_parquet(root / "eyeball.parquet"))
        rows.to_parquet(folder / f"{name}.parquet", index=False)
        return folder / f"{name}.parquet"

    return file


WHOLE = _cut("whole", lambda rows: rows)


@pytest.mark.parametrize(
    ("version", "method", "rows", "more", "message"),
    [
        ("kinds", "platt", WHOLE, {}, "a multiclass model"),
        ("number", "platt", WHOLE, {}, "a regression model"),
        ("1.0", "platt", lambda root, _: root / "train.parquet", {}, "the rows that the model was trained on"),
        ("1.0", "platt", _cut("few", lambda rows: rows[:30]), {}, "at least 20 of each class"),
        ("1.0", "isotonic", _cut("some", lambda rows: rows[:400]), {}, "take --method platt"),
        ("1.0", "platt", _cut("none", lambda rows: rows[:0]), {}, "no rows"),
        ("1.0", "platt", _cut("other", lambda rows: rows.assign(late=rows["late"] + 1)), {}, "label 2 is none of"),
        ("1.0", "platt", _cut("turned", lambda rows: rows.assign(late=1 - rows["late"])), {}, "do not rise"),
        ("1.0", "isotonic", _cut("turned", lambda rows: rows.assign(late=1 - rows["late"])), {}, "do not rise"),
        ("1.0", "platt", WHOLE, {"version": "no version"}, "is no version"),
        ("1.0", "platt", WHOLE, {"version": "1.0"}, "is version 1.0 already"),
    ],
    ids=["classes", "numbers", "trained", "few", "steps", "none", "label", "sigmoid", "rising", "name", "same"],
)
def test_what_cannot_be_mapped_is_refused(
    root: Path, tmp_path: Path, version: str, method: Any, rows: Callable[[Path, Path], Path], more: Any, message: str
) -> None:
    """With what is wrong; nothing is written."""
    out = tmp_path / "out"
    with pytest.raises(InputError) as caught:
        recalibrate(bundle(root, version), data=rows(root, tmp_path), method=method, out=out, **more)

    assert message in f"{caught.value} {caught.value.hint}"
    assert not out.exists()


def test_a_mapped_bundle_is_not_mapped_again(root: Path, tmp_path: Path) -> None:
    """A map of a map would hide which rows the first one saw."""
    made = recalibrate(bundle(root, "1.0"), data=root / "eyeball.parquet", out=tmp_path)

    with pytest.raises(InputError, match="recalibrated already"):
        recalibrate(made.path, data=root / "eyeball.parquet", version="2", out=tmp_path)


def test_a_graph_that_maps_otherwise_is_refused(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof is made on every row, not assumed."""
    from dataclasses import replace

    from candidate.adapters.convert import ScoreMap

    monkeypatch.setattr(recalibrating, "fit", lambda *given: replace(fit(*given), by=ScoreMap(slope=1.0, offset=0.1)))
    with pytest.raises(InputError, match="off scikit-learn's"):
        recalibrate(bundle(root, "1.0"), data=root / "eyeball.parquet", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_maps_are_those_of_scikit_learn() -> None:
    """A rising fit away from 0 and 1; and a sigmoid that leaves scores alone that need nothing."""
    rng = np.random.default_rng(5)
    scores = rng.uniform(0.02, 0.98, 20_000)
    positive = rng.random(20_000) < scores
    sigmoid, rising = fit(scores, positive, "platt"), fit(scores, positive, "isotonic")
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, positive).predict(scores)

    assert [sigmoid.by.slope, sigmoid.by.offset] == pytest.approx([1.0, 0.0], abs=0.05)
    inner = (theirs > 0.001) & (theirs < 0.999)
    np.testing.assert_allclose(rising.expected[inner], theirs[inner], atol=1e-12)
    assert 0 < min(rising.by.heights) < max(rising.by.heights) < 1
    for found in (sigmoid, rising):
        np.testing.assert_allclose(mapped(found.by, scores), found.expected, atol=1e-12)
    assert steepest(sigmoid.by, scores) == pytest.approx(1.0, abs=0.3)
    assert steepest(rising.by, scores) > 1.0
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()


def graph_of(opset: int) -> bytes:
    """A logistic regression exported by hand, of an operator set of choice."""
    nodes = [
        oh.make_node("Add", ["x", "z"], ["sum"]),
        oh.make_node("Sigmoid", ["sum"], ["yes"]),
        oh.make_node("Sub", ["one", "yes"], ["no"]),
        oh.make_node("Concat", ["no", "yes"], ["probabilities"], axis=1),
        oh.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    graph = oh.make_graph(
        nodes,
        "model",
        [oh.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, 1]) for name in FEATURES],
        [
            oh.make_tensor_value_info("label", onnx.TensorProto.INT64, [None]),
            oh.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, [None, 2]),
        ],
        [oh.make_tensor("one", onnx.TensorProto.FLOAT, [1], [1.0])],
    )
    return bytes(oh.make_model(graph, opset_imports=[oh.make_opsetid("", opset)], ir_version=8).SerializeToString())


@pytest.mark.parametrize("opset", [11, 17])
def test_a_graph_from_elsewhere_is_mapped_too(root: Path, tmp_path: Path, opset: int) -> None:
    """One of an older operator set is brought up first, and proven like every other."""
    (root / f"export{opset}.onnx").write_bytes(graph_of(opset))
    spec = SPEC.format(version=f"export{opset}", label="late", source=f"export{opset}.onnx", more="")
    built = build(BuildSpec.from_toml(spec, where="spec"), root=root, out=tmp_path)
    made = recalibrate(built.path, data=root / "eyeball.parquet", out=tmp_path)

    with Archive.open(Path(made.path)) as archive:
        model = onnx.load_model_from_string(inspect(archive).read(MODEL_PATH))
    assert {each.domain: each.version for each in model.opset_import}[""] == max(opset, 13)
    assert made.calibration.max_difference < 1e-6


def test_text_says_what_became_of_answers(root: Path, tmp_path: Path) -> None:
    """In words, for both kinds of map."""
    from candidate.report.recalibrated import recalibrated_text

    rows = root / "eyeball.parquet"
    platt = recalibrated_text(recalibrate(bundle(root, "1.0"), data=rows, out=tmp_path))
    isotonic = recalibrate(bundle(root, "1.0"), data=rows, method="isotonic", keep="threshold", out=tmp_path)

    assert "times the log odds" in platt
    assert "0 of 1,500 changed" in platt
    assert "attested   no: give --key" in platt
    assert f"{isotonic.calibration.knots} knots" in recalibrated_text(isotonic)
    assert "kept as a number" in recalibrated_text(isotonic)
    assert json.loads(isotonic.to_bytes())["calibration"]["slope"] is None
