"""What a command loads on its short way in, seen in a process of its own."""

import subprocess
import sys
from pathlib import Path

HEAVY = {"typer", "pydantic", "numpy", "onnx", "onnxruntime", "sklearn"}


def modules(arguments: list[str], folder: Path) -> set[str]:
    """What is loaded after a command that must succeed."""
    code = f"import sys; from candidate.cli import quick; code = quick.answer({arguments!r}); print(code, *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder)
    exit_code, *loaded = done.stdout.split()
    assert exit_code == "0"
    return set(loaded)
