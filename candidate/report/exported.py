"""What was exported, as text: where it is, how to serve it, and how to hold the server to its word."""

from candidate.documents.exported import Exported
from candidate.report.words import named, printable, size

_TITLES = {"triton": "a Triton model repository", "mlflow": "an MLflow model", "kserve": "KServe"}


def exported_text(result: Exported) -> str:
    """Return what was exported, and what to do with it."""
    lines = [
        f"exported {named(result.bundle)} to {result.folder}, for {_TITLES[result.to]}",
        f"  files      {len(result.files)}, {size(sum(file.size for file in result.files))}",
        *(f"  serve      {line}" for line in result.serve),
        *(f"  test       {line}" for line in result.test),
    ]
    return printable("\n".join(lines))
