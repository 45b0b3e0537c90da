"""Where a model comes from: every kind of source, and whose failure it is when one fails."""

import io
import sys
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from candidate.documents.spec import BuildSpec
from candidate.errors import InputError, UnavailableError
from candidate.flows.sourcing import Source, features_of, find_source
from tests.bundles import tiny_model


def spec(source: str, features: str = "") -> BuildSpec:
    """A specification with this source."""
    text = f'[bundle]\nname = "m"\nversion = "1"\n[model]\nsource = "{source}"\n[data]\ntrain = "t.parquet"\n'
    return BuildSpec.from_toml(f'{text}label = "y"\n{features}', where="candidate.toml")


def rows() -> pd.DataFrame:
    """Two features and a label."""
    rng = np.random.default_rng(0)
    found = pd.DataFrame({"a": rng.normal(size=40), "b": rng.normal(size=40)})
    found["y"] = (found["a"] > 0).astype(int)
    return found


def fitted() -> LogisticRegression:
    """A small model."""
    return LogisticRegression().fit(rows()[["a", "b"]], rows()["y"])


def find(source: str, root: Path, model: object | None = None) -> Source:
    """The model that a specification with this source names."""
    return find_source(spec(source), root, model=model, train=rows)


FAILING = {
    "raise ValueError('boom')": ("ValueError: boom", "line 1"),
    "def make(:": ("SyntaxError", ""),
    "\n\n1 / 0": ("ZeroDivisionError", "line 3"),
    "import sys\nsys.exit(3)": ("SystemExit: 3", "line 2"),
    "import numpy\nnumpy.nothing_of_the_kind": ("AttributeError", "line 2"),
    "import nothing_of_the_kind": ("cannot be imported: No module named", "line 1"),
    "def make():\n    return {}['k']": ("KeyError: 'k'", "line 2"),
    "def make():\n    assert False, 'no'": ("AssertionError: no", "line 2"),
    "def make(one, two):\n    return one": ("TypeError", ""),
    "import numpy\ndef make():\n    return numpy.zeros((2, 2)) @ numpy.zeros(3)": ("ValueError", "line 3"),
    "from sklearn.linear_model import LogisticRegression\ndef make(t):\n    return LogisticRegression().fit(t, [1])": (
        "ValueError",
        "line 3",
    ),
}


@pytest.mark.parametrize("code", FAILING)
@pytest.mark.parametrize("home", ["failing.py", "failing"])
def test_a_failure_of_their_code_is_told_with_its_line(tmp_path: Path, code: str, home: str) -> None:
    """It is the user's mistake, in the user's file: an InputError that says what and where, for script and module."""
    (tmp_path / "failing.py").write_text(code)
    words, line = FAILING[code]
    sys.modules.pop("failing", None)
    before = list(sys.path)

    with pytest.raises(InputError) as refused:
        find(f"{home}:make", tmp_path)

    assert words in refused.value.message
    assert f"failing.py {line}" in refused.value.where or not line
    assert sys.path == before


def test_a_script_knows_its_own_name(tmp_path: Path) -> None:
    """Dataclasses with postponed annotations look their module up while the script runs."""
    (tmp_path / "made.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "@dataclass\nclass Settings:\n    strength: float = 2.0\n"
        "def make(train):\n"
        "    return LogisticRegression(C=Settings().strength).fit(train[['a', 'b']], train['y'])\n"
    )
    found = find("made.py:make", tmp_path)

    assert found.file == tmp_path / "made.py"
    assert found.estimator.C == 2.0  # type: ignore[union-attr]


def test_a_script_imports_what_lies_beside_it(tmp_path: Path) -> None:
    """The folder of the specification is on the path while it runs, and not afterwards."""
    (tmp_path / "beside_this_test.py").write_text("STRENGTH = 3.0\n")
    (tmp_path / "made.py").write_text(
        "from beside_this_test import STRENGTH\nfrom sklearn.linear_model import LogisticRegression\n"
        "model = LogisticRegression(C=STRENGTH)\n"
    )
    assert find("made.py:model", tmp_path).estimator.C == 3.0  # type: ignore[union-attr]
    assert str(tmp_path) not in sys.path


def own_function(values: Any) -> Any:
    """A function that skops cannot know."""
    return values


@cache
def garbage() -> dict[str, bytes]:
    """Model files that are none."""
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("schema.json", "{}")
    own = make_pipeline(FunctionTransformer(own_function), LogisticRegression())
    return {
        "text.joblib": b"garbage here",
        "empty.joblib": b"",
        "cut.joblib": b"\x80\x04\x95\x0b",
        "rotten.joblib": b"x\x9cgarbage",
        "text.skops": b"garbage",
        "empty.skops": empty.getvalue(),
        "own.skops": skops.io.dumps(own.fit(rows()[["a", "b"]], rows()["y"])),
    }


@pytest.mark.parametrize("name", garbage())
def test_a_model_file_that_cannot_be_loaded_is_refused(tmp_path: Path, name: str) -> None:
    """Not a model, cut off, rotten, or with types that nobody vouched for: an error with the file's name."""
    (tmp_path / name).write_bytes(garbage()[name])

    with pytest.raises(InputError, match=r"cannot be loaded|does not trust") as refused:
        find(name, tmp_path)
    assert refused.value.where == name


@pytest.mark.parametrize("name", ["model.joblib", "model.skops"])
def test_a_model_file_is_loaded(tmp_path: Path, name: str) -> None:
    """Both formats give the estimator back."""
    (joblib.dump if name.endswith("joblib") else skops.io.dump)(fitted(), tmp_path / name)
    found = find(name, tmp_path)

    assert found.file == tmp_path / name
    np.testing.assert_array_equal(found.estimator.coef_, fitted().coef_)  # type: ignore[union-attr]


@pytest.mark.parametrize("source", ["model.onnx", "model.joblib", "model.skops", "models.py:thing", "models:thing"])
def test_a_model_in_memory_takes_the_place_of_any_source(tmp_path: Path, source: str) -> None:
    """Nothing is read and nothing runs; the file is only on record if it is there."""
    model = fitted()
    found = find(source, tmp_path, model)
    assert (found.estimator, found.onnx, found.file) == (model, None, None)
    (tmp_path / "model.onnx").write_bytes(b"never read")
    (tmp_path / "models.py").write_text("raise SystemExit")

    found = find(source, tmp_path, model)
    assert found.estimator is model
    assert found.onnx is None


def test_a_missing_library_is_told_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the build extra neither format can be read, and the hint is a command."""
    for name, library in (("m.skops", "skops.io"), ("m.joblib", "joblib")):
        (tmp_path / name).write_bytes(b"x")
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(UnavailableError, match="not installed") as refused:
            find(name, tmp_path)
        assert "candidate[build]" in refused.value.hint


def test_features_are_listed_or_known_by_the_model() -> None:
    """The list wins; then what the estimator was fitted on; then what the graph takes."""
    known = {"a": "double", "b": "double", "y": "int64"}
    estimator, graph = Source(fitted(), None, None), Source(None, tiny_model().SerializeToString(), None)

    assert features_of(estimator, spec("x:y", 'features = ["b", "a"]'), known) == ("b", "a")
    assert features_of(estimator, spec("x:y"), known) == ("a", "b")
    assert features_of(graph, spec("x:y"), known) == ("age", "income")


@pytest.mark.parametrize(
    ("features", "words"),
    [('features = ["a", "a"]', "'a' twice"), ('features = ["a", "y"]', "'y' is the label and a feature")],
)
def test_features_that_cannot_be_are_refused(features: str, words: str) -> None:
    """One that is there twice, and the answer itself."""
    with pytest.raises(InputError, match=words) as refused:
        features_of(Source(fitted(), None, None), spec("x:y", features), {"a": "double"})
    assert refused.value.where == "[data] features"
    assert refused.value.hint


def test_a_model_that_knows_no_columns_needs_a_list() -> None:
    """Fitted on bare arrays, or no model at all; the hint has the columns there are."""
    bare = LogisticRegression().fit(rows()[["a", "b"]].to_numpy(), rows()["y"])
    for source in (Source(bare, None, None), Source({"a": 1}, None, None)):
        with pytest.raises(InputError, match="does not say which columns") as refused:
            features_of(source, spec("x:y"), {"a": "double", "b": "double"})
        assert "a, b" in refused.value.hint
    with pytest.raises(InputError, match="not an ONNX graph"):
        features_of(Source(None, b"nonsense", None), spec("x:y"), {})
