"""Facts about where a model comes from: commit, library versions, host. No name of a person or machine."""

import hashlib
import importlib.metadata
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from candidate.documents.manifest import CodeRecord, HostRecord
from candidate.errors import InputError

EPOCH = "1970-01-01T00:00:00Z"
GIT_SECONDS = 20
NO_SOURCE = (":(top)", ":(top,exclude)*.candidate", ":(top,exclude)*.pyc")
"""All of a checkout but what building itself leaves in it: bundles, and what Python caches of imports."""
LIBRARIES = (
    "candidate",
    "lightgbm",
    "numpy",
    "onnx",
    "onnxmltools",
    "onnxruntime",
    "pandas",
    "pyarrow",
    "protobuf",
    "scikit-learn",
    "scipy",
    "skl2onnx",
    "skops",
    "torch",
    "xgboost",
)
"""Distributions whose version can change a trained model or its graph."""


def _git(root: Path, *arguments: str) -> str | None:
    """Return what git says of the folder, or None where there is no git or no checkout."""
    program = shutil.which("git")
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments, no shell
            [program, "-C", str(root), *arguments], capture_output=True, timeout=GIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None


def code_record(source: str, source_file: Path | None, root: Path) -> CodeRecord:
    """Return commit and state of the checkout that holds the source.

    Args:
        source: as the specification names it.
        source_file: script, module or model file behind it, if there is one.
        root: folder of the specification, used where the source is no file.
    """
    place = source_file.parent if source_file is not None else root
    commit = _git(place, "rev-parse", "HEAD")
    status = None if commit is None else _git(place, "--no-optional-locks", "status", "--porcelain", "--", *NO_SOURCE)
    digest = None
    if source_file is not None:
        digest = "sha256:" + hashlib.sha256(source_file.read_bytes()).hexdigest()
    return CodeRecord(
        commit=commit, dirty=None if status is None else bool(status), source=source, source_digest=digest
    )


def commit_time(root: Path, environ: Mapping[str, str]) -> str:
    """Return SOURCE_DATE_EPOCH, else the commit's time, else the epoch, as RFC 3339 in UTC.

    Source: reproducible-builds.org, SOURCE_DATE_EPOCH specification.

    Raises:
        InputError: SOURCE_DATE_EPOCH is not a number of seconds.
    """
    given = environ.get("SOURCE_DATE_EPOCH")
    seconds = given if given is not None else _git(root, "log", "-1", "--format=%ct")
    if not seconds:
        return EPOCH
    try:
        moment = datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(f"{seconds!r} is no number of seconds", where="SOURCE_DATE_EPOCH") from error
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def libraries(names: Sequence[str] = LIBRARIES) -> dict[str, str]:
    """Return the installed version of each library that can change a model."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return dict(sorted(found.items()))


def lock_text(names: Sequence[str] = LIBRARIES) -> str:
    """Return ``NAME==VERSION`` lines for the libraries and all that they need, sorted."""
    pending, found = [name for name in names if name != "candidate"], dict[str, str]()
    while pending:
        name = re.sub(r"[-_.]+", "-", pending.pop()).lower()
        if name in found:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        found[name] = distribution.version
        pending.extend(
            re.split(r"[ ;<>=!~\[(]", requirement, maxsplit=1)[0]
            for requirement in distribution.requires or ()
            if "extra ==" not in requirement
        )
    return "".join(f"{name}=={version}\n" for name, version in sorted(found.items()))


def host_record() -> HostRecord:
    """Return the kind of machine: never its name, its user or a path."""
    return HostRecord(
        system=platform.system(),
        machine=platform.machine(),
        python=platform.python_version(),
        implementation=platform.python_implementation(),
    )
