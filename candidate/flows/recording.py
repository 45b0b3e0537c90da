"""What a bundle says of itself: schemas, experiment record, model card."""

import json
from pathlib import Path, PurePath
from typing import Any

from pydantic import JsonValue, ValidationError

from candidate.adapters import provenance
from candidate.documents.manifest import DataRecord, ExperimentRecord, ModelSignature, Parity
from candidate.documents.spec import BuildSpec, FeatureLock, ServingFeature
from candidate.errors import InputError, IntegrityError
from candidate.flows.sourcing import Source
from candidate.report.parity import parity_lines

EXACT_IN_JSON = (1 << 53) - 1
"""Largest whole number that every reader of JSON agrees on (RFC 8785, I-JSON)."""


def _table(value: dict[str, JsonValue] | str, root: Path, where: str) -> dict[str, JsonValue]:
    """Return an experiment section: inline, or the JSON object in the file that it names."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads((root / value).read_bytes())
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=f"{where}: {value}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}", where=f"{where}: {value}") from error
    if not isinstance(found, dict):
        raise InputError("not a JSON object", where=f"{where}: {value}")
    return found


def _safe(value: Any) -> JsonValue:
    """Return a parameter as JSON where it is JSON, else as text without memory addresses."""
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()  # a number of NumPy's own
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= EXACT_IN_JSON else str(value)
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else repr(value)  # noqa: PLR0124 - NaN
    if isinstance(value, list | tuple):
        return [_safe(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _safe(item) for key, item in value.items()}
    named = value if isinstance(value, type) or hasattr(value, "__qualname__") else type(value)
    return str(named.__qualname__)


def _parameters(estimator: Any) -> dict[str, JsonValue]:
    if estimator is None or not hasattr(estimator, "get_params"):
        return {}
    return {name: _safe(value) for name, value in sorted(estimator.get_params(deep=True).items())}


def experiment(
    spec: BuildSpec,
    root: Path,
    source: Source,
    *,
    data_digest: str,
    rows: int,
    label_mean: float | None,
    label_shares: tuple[float, ...] | None,
    features: tuple[str, ...],
) -> ExperimentRecord:
    """Return all that is needed to train the model again."""
    section = spec.experiment
    params = dict(_table(section.params, root, "[experiment] params"))
    estimator = _parameters(source.estimator)
    if estimator:
        params["estimator"] = {"class": type(source.estimator).__name__, "params": estimator}
    code = provenance.code_record(shown(*spec.model.sources), source.file, root)
    data = DataRecord(
        digest=data_digest,
        rows=rows,
        label=", ".join(spec.data.labels),
        label_mean=label_mean,
        label_shares=label_shares,
        features=features,
        unit=spec.data.unit,
        time=spec.data.time,
        feature_set=spec.data.feature_set,
        snapshot=spec.data.snapshot,
    )
    try:
        record = ExperimentRecord(
            code=code,
            data=data,
            params=params,
            seeds=section.seeds,
            curves=_table(section.curves, root, "[experiment] curves"),
            record=_table(section.record, root, "[experiment] record"),
            libraries=provenance.libraries(),
            host=provenance.host_record(),
        )
        return ExperimentRecord.from_bytes(record.to_bytes())  # what is written must be read again
    except (IntegrityError, ValidationError) as error:
        reason = error.message if isinstance(error, IntegrityError) else _problem(error)
        raise InputError(
            f"cannot be recorded: {reason}", where="[experiment]", hint="write as text what JSON has no number for"
        ) from error


def _problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def serving_features(spec: BuildSpec, root: Path) -> tuple[ServingFeature, ...] | None:
    """Return what serving promises to provide: inline, or out of a lock file; None if nobody said."""
    if spec.serving is None:
        return None
    if not isinstance(spec.serving.features, str):
        return spec.serving.features
    path = root / spec.serving.features
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", where=f"[serving] features: {spec.serving.features}") from error
    return FeatureLock.from_toml(text, where=spec.serving.features).features


def shown(*sources: str) -> str:
    """Return paths as the specification gives them, but never where on this machine that is."""
    return ", ".join(PurePath(text).name if PurePath(text).is_absolute() else text for text in sources)


def model_card(spec: BuildSpec, signature: ModelSignature, record: ExperimentRecord, parity: Parity | None) -> bytes:
    """Return the model card: what it answers, from what, trained on what, and how faithful the graph is."""
    commit = "not on record" if record.code.commit is None else record.code.commit
    lines = [
        f"# {spec.bundle.name} {spec.bundle.version}",
        "",
        spec.bundle.description,
        "",
        f"* Task: {signature.task}; predicts `{signature.label}`"
        + (f", one of {', '.join(map(str, signature.classes))}" if signature.classes else ""),
        f"* Features: {', '.join(f'`{name}`' for name in signature.features)}",
        f"* Trained on {record.data.rows:,} rows, `{record.data.digest}`"
        + (f" ({record.data.snapshot})" if record.data.snapshot else ""),
        f"* Source: `{record.code.source}`, commit {commit}"
        + (", with uncommitted changes" if record.code.dirty else ""),
    ]
    if signature.threshold is not None:
        lines.append(f"* Answers `{signature.positive}` from a score of {signature.threshold:g} on")
    if parity is not None:
        lines += [f"* Graph against fitted estimator: {line}" for line in parity_lines(parity)]
    return ("\n".join(lines) + "\n").encode()
