"""Generate schemas/*.json from the documents: ``python -m tests.schemas`` (or ``make schemas``)."""

import inspect
import json
from importlib import import_module
from pathlib import Path

from candidate.document import Document

FOLDER = Path(__file__).parent.parent / "schemas"
MODULES = ("spec", "policy", "trust", "manifest", "oci", "statement", "evidence", "decision", "entry", "results")
ABSTRACT = {"Document", "OciDocument", "Judged"}


def documents() -> dict[str, type[Document]]:
    """Every stored document by the name of its schema file."""
    found: dict[str, type[Document]] = {}
    for module in MODULES:
        home = import_module(f"candidate.documents.{module}")
        for name, member in vars(home).items():
            ours = inspect.isclass(member) and issubclass(member, Document) and member.__module__ == home.__name__
            if ours and name not in ABSTRACT:
                words = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)
                found[words.strip("-")] = member
    return found


def schema_bytes(document: type[Document]) -> bytes:
    """The JSON Schema (2020-12) of a document, as it is stored."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **document.model_json_schema(by_alias=True)}
    return (json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def main() -> None:
    """Write every schema and remove those without a document."""
    FOLDER.mkdir(exist_ok=True)
    names = set()
    for name, document in documents().items():
        (FOLDER / f"{name}.schema.json").write_bytes(schema_bytes(document))
        names.add(f"{name}.schema.json")
    for path in FOLDER.glob("*.json"):
        if path.name not in names:
            path.unlink()


if __name__ == "__main__":
    main()
