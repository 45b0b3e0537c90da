"""Get the trained model that a specification names. All but an ONNX file executes code: at build time only."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from candidate.documents.spec import BuildSpec
from candidate.errors import InputError, UnavailableError

KINDS = "model.onnx, module:object, script.py:object, model.skops or model.joblib"


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
    text = spec.model.source
    if text.endswith(".onnx"):
        path = _existing(root / text)
        return Source(None, path.read_bytes(), path)
    if text.endswith((".joblib", ".skops")):
        path = _existing(root / text)
        return Source(_load_file(path) if model is None else model, None, path)
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


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise InputError("no such file", where=f"[model] source: {path.name}")
    return path


def _load_file(path: Path) -> Any:
    if path.suffix == ".skops":
        try:
            import skops.io
        except ImportError as error:
            raise UnavailableError("skops is not installed", hint="pip install 'candidate[build]'") from error
        unknown = skops.io.get_untrusted_types(file=path)
        if unknown:
            raise InputError(
                f"holds types that skops does not trust: {', '.join(sorted(unknown))}",
                where=path.name,
                hint="build from module:object instead, where you choose what is imported",
            )
        return skops.io.load(path, trusted=[])
    try:
        import joblib
    except ImportError as error:
        raise UnavailableError("joblib is not installed", hint="pip install 'candidate[build]'") from error
    try:
        return joblib.load(path)
    except (ValueError, EOFError, ImportError, AttributeError, KeyError, IndexError, OSError) as error:
        raise InputError(f"cannot be loaded: {error}", where=path.name) from error


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


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"cannot be imported: {error}", where=f"[model] source: {name}") from error


def _script(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"candidate_source_{path.stem}", _existing(path))
    if spec is None or spec.loader is None:
        raise InputError("not a Python script", where=f"[model] source: {path.name}")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        raise InputError(f"cannot be imported: {error}", where=f"[model] source: {path.name}") from error
    return module


def _fitted(found: Any, train: Any, text: str) -> Any:
    """Return an estimator: the object itself, or what the function it is returns."""
    if hasattr(found, "predict") and not inspect.isclass(found):
        return found
    if not callable(found):
        raise InputError(f"{text} is neither an estimator nor a function", where="[model] source")
    try:
        takes = len(inspect.signature(found).parameters)
    except (TypeError, ValueError):
        takes = 0
    estimator = found(train()) if takes else found()
    if not hasattr(estimator, "predict"):
        raise InputError(f"{text} returned {type(estimator).__name__}, not an estimator", where="[model] source")
    return estimator
