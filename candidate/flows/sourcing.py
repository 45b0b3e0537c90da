"""Get the trained model that a specification names. All but an ONNX file executes code: at build time only."""

import functools
import importlib
import importlib.util
import inspect
import pickle
import struct
import sys
import traceback
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from candidate.adapters import convert
from candidate.adapters.convert import table_width
from candidate.adapters.graph import canonical_graph, input_names, inspect_graph, parse_graph
from candidate.documents.spec import BuildSpec
from candidate.errors import InputError, IntegrityError, UnavailableError

FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    SystemExit,
    TypeError,
    ValueError,
)
"""What the user's own code raises when it fails; where it did is said, because it is theirs to mend."""
UNREADABLE = (*FAILURES, pickle.UnpicklingError, struct.error, zipfile.BadZipFile, zlib.error)
"""What a model file raises that was cut off, is none, or was written by other versions."""
KINDS = "model.onnx, module:object, script.py:object, model.skops or model.joblib"

SELF_CONTAINED = "export plain tensors (zipmap off) in ONNX's own operators, weights inside"


@dataclass(frozen=True)
class Source:
    """A trained model: a fitted estimator, or the bytes of an ONNX graph."""

    estimator: Any | None
    onnx: bytes | None
    file: Path | None
    """The script, module or model file that it came from."""


def find_source(spec: BuildSpec, root: Path, *, model: object | None, train: Any) -> Source:
    """Return the model of a specification.

    Args:
        spec: what to build.
        root: folder that paths are relative to.
        model: a fitted estimator that takes the place of what the specification names.
        train: function that returns the training table, for sources that fit it themselves.

    Raises:
        InputError: there is no such file, module or object, or it fails.
        UnavailableError: the library that reads the file is not installed.
    """
    source = _found(spec, root, model=model, train=train)
    if source.estimator is not None:
        convert.check_native(source.estimator)
        if spec.model.threshold is not None:
            cut = convert.with_threshold(source.estimator, spec.model.threshold)
            return Source(cut, None, source.file)
    return source


def _found(spec: BuildSpec, root: Path, *, model: object | None, train: Any) -> Source:
    text = spec.model.source
    if not isinstance(text, str):
        return Source(model, None, None) if model is not None else _ensemble(spec, root)
    if spec.model.weights is not None:
        raise InputError("weights of a single model", where="[model] weights", hint="they are for a list of ONNX files")
    if text.endswith((".onnx", ".joblib", ".skops")):
        path = root / text
        if model is not None:
            return Source(model, None, path if path.is_file() else None)
        _existing(path)
        if text.endswith(".onnx"):
            return Source(None, path.read_bytes(), path)
        return Source(_load_file(path, spec.model.trusted), None, path)
    home, separator, name = text.rpartition(":")
    if not separator or not name.isidentifier():
        raise InputError(f"no model is read from {text!r}", where="[model] source", hint=f"name {KINDS}")
    with _importable(root):
        if model is not None:
            return Source(model, None, _file_of(home, root))
        module = _script(root / home) if home.endswith(".py") else _module(home)
        found = getattr(module, name, None)
        if found is None:
            raise InputError(f"{home} has no {name!r}", where="[model] source")
        file = Path(module.__file__) if getattr(module, "__file__", None) else None
        return Source(_fitted(found, train, text), None, file)


def _ensemble(spec: BuildSpec, root: Path) -> Source:
    """Return one graph that answers the mean of several."""
    names = spec.model.sources
    if not all(name.endswith(".onnx") for name in names):
        raise InputError(
            f"a list of {', '.join(names)}",
            where="[model] source",
            hint="list ONNX files only; a VotingClassifier holds estimators together",
        )
    weights = spec.model.weights or (1.0,) * len(names)
    if len(weights) != len(names):
        raise InputError(f"{len(weights)} weights for {len(names)} graphs", where="[model] weights")
    models = []
    for name in names:
        try:
            model = parse_graph(_existing(root / name).read_bytes())
            inspect_graph(canonical_graph(model))
        except IntegrityError as error:
            raise InputError(error.message, where=f"[model] source: {name}", hint=SELF_CONTAINED) from error
        models.append(model)
    return Source(None, bytes(convert.combined(models, weights).SerializeToString()), None)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise InputError("no such file", where=f"[model] source: {path.name}")
    return path


def _load_file(path: Path, trusted: Sequence[str]) -> Any:
    if path.suffix == ".skops":
        try:
            import skops.io
        except ImportError as error:
            raise UnavailableError("skops is not installed", hint="pip install 'candidate[build]'") from error
        try:
            unknown = skops.io.get_untrusted_types(file=path)
        except UNREADABLE as error:
            raise InputError(f"cannot be loaded: {error}", where=path.name) from error
        strange = sorted(set(unknown) - set(trusted))
        if strange:
            raise InputError(
                f"holds types that skops does not trust: {', '.join(strange)}",
                where=path.name,
                hint="if you know them, list them: [model] trusted",
            )
        load = functools.partial(skops.io.load, trusted=sorted(set(unknown)))
    else:
        try:
            import joblib
        except ImportError as error:
            raise UnavailableError("joblib is not installed", hint="pip install 'candidate[build]'") from error
        load = joblib.load
    try:
        return load(path)
    except UNREADABLE as error:
        raise InputError(
            f"cannot be loaded: {type(error).__name__}: {error}",
            where=path.name,
            hint="load it with the library versions that wrote it",
        ) from error


@contextmanager
def _importable(root: Path) -> Iterator[None]:
    """Let the user's own modules be found beside the specification, for as long as they load."""
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))


def _file_of(home: str, root: Path) -> Path | None:
    if home.endswith(".py"):
        return root / home if (root / home).is_file() else None
    try:
        spec = importlib.util.find_spec(home)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin and Path(spec.origin).is_file() else None


@contextmanager
def _theirs(where: str) -> Iterator[None]:
    """Turn a failure of the user's own code into an error that says where in it that was."""
    try:
        yield
    except FAILURES as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
        last = next((frame for frame in reversed(frames) if not _installed(frame.filename)), None)
        line = f", {Path(last.filename).name} line {last.lineno}" if last is not None else ""
        said = "cannot be imported" if isinstance(error, ImportError) else f"fails: {type(error).__name__}"
        raise InputError(
            f"{said}: {error}", where=f"[model] source: {where}{line}", hint="run it by itself, in this environment"
        ) from error


def _installed(name: str) -> bool:
    """Whether a frame's file is a library's or Python's own, and not the user's."""
    return (
        name.startswith("<")
        or not {"site-packages", "dist-packages"}.isdisjoint(Path(name).parts)
        or (Path(name).is_relative_to(Path(importlib.__file__).parent.parent))
    )


def _module(name: str) -> Any:
    with _theirs(name):
        return importlib.import_module(name)


def _script(path: Path) -> Any:
    name = f"candidate_source_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, _existing(path))
    if spec is None or spec.loader is None:
        raise InputError("not a Python script", where=f"[model] source: {path.name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up by name
    with _theirs(path.name):
        spec.loader.exec_module(module)
    return module


def _fitted(found: Any, train: Any, text: str) -> Any:
    """Return an estimator: the object itself, or what the function it is returns."""
    if _is_model(found):
        return found
    if not callable(found):
        raise InputError(f"{text} is neither an estimator nor a function", where="[model] source")
    try:
        takes = len(inspect.signature(found).parameters)
    except (TypeError, ValueError):
        takes = 0
    rows = (train(),) if takes else ()  # read outside: a file that cannot be read is not their failure
    with _theirs(text):
        estimator = found(*rows)
    if not _is_model(estimator):
        raise InputError(f"{text} returned {type(estimator).__name__}, not an estimator", where="[model] source")
    return estimator


def _is_model(found: Any) -> bool:
    return not inspect.isclass(found) and (hasattr(found, "predict") or hasattr(found, "transform"))


def features_of(source: Source, spec: BuildSpec, known: Mapping[str, str]) -> tuple[str, ...]:
    """Return the features: those that are listed, or that the model was fitted on, or that the graph takes.

    Args:
        source: the model.
        spec: what to build.
        known: columns of the training rows.

    Raises:
        InputError: nobody says them, one is there twice or in no column, or the label is one of them.
    """
    where = "[data] features"
    names = spec.data.features or _own_features(source)
    if not names:
        raise InputError(
            "the model does not say which columns it was fitted on",
            where=where,
            hint=f"list them; {spec.data.train} has: {', '.join(known)}",
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{', '.join(map(repr, twice))} twice", where=where, hint="name every column once")
    both = next((label for label in spec.data.labels if label in names), None)
    if both is not None:
        raise InputError(
            f"{both!r} is the label and a feature",
            where=where,
            hint="train without it: what is to be predicted is not known when serving",
        )
    return tuple(names)


def _own_features(source: Source) -> tuple[str, ...]:
    if source.onnx is None:
        names = getattr(source.estimator, "feature_names_in_", None)
        return () if names is None else tuple(str(name) for name in names)
    try:
        return () if table_width(parse_graph(source.onnx)) is not None else input_names(source.onnx)
    except IntegrityError as error:
        raise InputError(error.message, where="[model] source") from error
