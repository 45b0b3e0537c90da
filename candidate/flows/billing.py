"""The bill of materials of a bundle: the model, what it was trained on, and what it was built with.

Source: CycloneDX 1.6, the machine-learning-model component and its model card.
"""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from pydantic import JsonValue

from candidate.canonical import canonical
from candidate.documents.manifest import ExperimentRecord, ModelSignature, Tensor
from candidate.documents.spec import BuildSpec
from candidate.flows.recording import shown

MODEL_REF = "model"
DATA_REF = "training-data"
FAMILIES = {
    "TreeEnsemble": "decision trees",
    "TreeEnsembleClassifier": "decision trees",
    "TreeEnsembleRegressor": "decision trees",
    "LinearClassifier": "linear model",
    "LinearRegressor": "linear model",
    "SVMClassifier": "support vector machine",
    "SVMRegressor": "support vector machine",
    "Conv": "convolutional neural network",
    "LSTM": "recurrent neural network",
    "GRU": "recurrent neural network",
    "RNN": "recurrent neural network",
}
"""Operators that tell what kind of model a graph is; a graph of mere arithmetic tells nothing."""
SPDX_IDS = frozenset(
    {
        "AFL-3.0",
        "AGPL-3.0-only",
        "AGPL-3.0-or-later",
        "Apache-2.0",
        "Artistic-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC-BY-4.0",
        "CC-BY-NC-4.0",
        "CC-BY-NC-ND-4.0",
        "CC-BY-NC-SA-4.0",
        "CC-BY-ND-4.0",
        "CC-BY-SA-4.0",
        "CC0-1.0",
        "CDLA-Permissive-1.0",
        "CDLA-Permissive-2.0",
        "CDLA-Sharing-1.0",
        "EPL-2.0",
        "EUPL-1.2",
        "GPL-2.0-only",
        "GPL-2.0-or-later",
        "GPL-3.0-only",
        "GPL-3.0-or-later",
        "ISC",
        "LGPL-2.1-only",
        "LGPL-2.1-or-later",
        "LGPL-3.0-only",
        "LGPL-3.0-or-later",
        "MIT",
        "MPL-2.0",
        "MS-PL",
        "ODC-By-1.0",
        "ODbL-1.0",
        "OSL-3.0",
        "PDDL-1.0",
        "PostgreSQL",
        "Unlicense",
        "Zlib",
    }
)
"""Licences that are named by their SPDX id; the format knows no other ids, so what is not here goes by name."""


def bill_of_materials(
    spec: BuildSpec,
    signature: ModelSignature,
    record: ExperimentRecord,
    model_digest: str,
    *,
    lock: str,
    ops: Sequence[str],
) -> bytes:
    """Return a CycloneDX 1.6 document. No serial number and no time, so that it can be built again.

    Nothing is said of quality: nobody has measured the model on rows it has not seen when it is built.

    Args:
        spec: what was built.
        signature: inputs, outputs and task.
        record: training data and parameters.
        model_digest: of the graph, ``sha256:…``.
        lock: the environment, ``NAME==VERSION`` a line.
        ops: operators of the graph.
    """
    libraries = list(_libraries(lock))
    data_name = spec.data.snapshot or shown(spec.data.train)
    data: dict[str, JsonValue] = {
        "type": "data",
        "bom-ref": DATA_REF,
        "name": data_name,
        "hashes": [_hash(record.data.digest)],
        "data": [{"type": "dataset", "name": data_name, "description": f"{record.data.rows} rows, for training"}],
    }
    metadata: dict[str, JsonValue] = {"component": _model(spec, signature, record, model_digest, ops)}
    ours = record.libraries.get("candidate")
    if ours is not None:
        metadata["tools"] = {"components": [{"type": "application", "name": "candidate", "version": ours}]}
    return canonical(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": metadata,
            "components": [data, *libraries],
            "dependencies": [
                {"ref": MODEL_REF, "dependsOn": [DATA_REF, *(str(library["bom-ref"]) for library in libraries)]}
            ],
        }
    )


def _model(
    spec: BuildSpec, signature: ModelSignature, record: ExperimentRecord, digest: str, ops: Sequence[str]
) -> dict[str, JsonValue]:
    name, version = spec.bundle.name, spec.bundle.version
    parameters: dict[str, JsonValue] = {
        "approach": {"type": "supervised"},
        "task": "classification" if signature.classes else "regression",
        "datasets": [{"ref": DATA_REF}],
        "inputs": [_format(tensor) for tensor in signature.inputs],
        "outputs": [_format(tensor) for tensor in signature.outputs],
    }
    families = {FAMILIES[op] for op in (each.rsplit(".", 1)[-1] for each in ops) if op in FAMILIES}
    if len(families) == 1:
        parameters["architectureFamily"] = families.pop()
    architecture = _architecture(record.params)
    if architecture is not None:
        parameters["modelArchitecture"] = architecture
    model: dict[str, JsonValue] = {
        "type": "machine-learning-model",
        "bom-ref": MODEL_REF,
        "name": name,
        "version": version,
        "purl": f"pkg:generic/{quote(name, safe='')}@{quote(version, safe='')}?checksum={digest}",
        "hashes": [_hash(digest)],
        "modelCard": {"modelParameters": parameters},
    }
    if spec.bundle.description:
        model["description"] = spec.bundle.description
    if spec.bundle.licenses:
        model["licenses"] = [{"license": {"id" if each in SPDX_IDS else "name": each}} for each in spec.bundle.licenses]
    return model


def _architecture(params: dict[str, Any]) -> str | None:
    """Return the class of the estimator, of a pipeline's last step; None where there was none."""
    estimator = params.get("estimator")
    if not isinstance(estimator, dict) or not isinstance(estimator.get("class"), str):
        return None
    inner = estimator.get("params")
    steps = inner.get("steps") if isinstance(inner, dict) else None
    if isinstance(steps, list) and steps and isinstance(steps[-1], list) and isinstance(steps[-1][-1], str):
        return str(steps[-1][-1])
    return str(estimator["class"])


def _format(tensor: Tensor) -> dict[str, JsonValue]:
    return {"format": f"{tensor.name}: {tensor.dtype} ({', '.join(map(str, tensor.shape))})"}


def _libraries(lock: str) -> Iterator[dict[str, JsonValue]]:
    for line in lock.splitlines():
        name, _, version = line.partition("==")
        purl = f"pkg:pypi/{quote(name, safe='')}@{quote(version, safe='')}"
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _hash(digest: str) -> dict[str, JsonValue]:
    return {"alg": "SHA-256", "content": digest.removeprefix("sha256:")}
