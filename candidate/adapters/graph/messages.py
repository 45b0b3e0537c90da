"""ONNX's protobuf messages, without the rest of the onnx package.

Importing ``onnx`` brings NumPy and a compiled checker, three quarters of what verifying a small
bundle costs. Its message classes are one generated file that needs only protobuf, so that file is
executed alone; protobuf keeps one class for one description, so they are the very classes of ``onnx``.
"""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candidate.errors import UnavailableError

if TYPE_CHECKING:
    from candidate.documents.manifest import TensorType

ELEMENT_TYPES: "dict[TensorType, int]" = {"float32": 1, "int32": 6, "int64": 7, "string": 8, "bool": 9, "float64": 11}
"""ONNX's ``TensorProto.DataType`` of each dtype that a model signature can state."""
_FILE = "onnx_ml_pb2.py"


@cache
def messages() -> Any:
    """Return the module with ``ModelProto``, ``TensorProto`` and the others.

    Raises:
        UnavailableError: onnx is not installed.
    """
    loaded = sys.modules.get("onnx.onnx_ml_pb2")
    if loaded is not None:
        return loaded
    found = importlib.util.find_spec("onnx")
    if found is None or found.origin is None:
        raise UnavailableError("onnx is not installed", hint="pip install onnx")
    path = Path(found.origin).with_name(_FILE)
    spec = importlib.util.spec_from_file_location("candidate_onnx_messages", path)
    if spec is None or spec.loader is None or not path.is_file():
        import onnx  # a layout of the package that we do not know

        return onnx
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
