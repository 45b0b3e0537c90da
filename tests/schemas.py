"""Generate schemas/*.json from the documents: ``python -m tests.schemas`` (or ``make schemas``)."""

import ast
import inspect
import json
import textwrap
from importlib import import_module
from pathlib import Path

from pydantic import BaseModel

from candidate.document import Document

FOLDER = Path(__file__).parent.parent / "schemas"
MODULES = (
    "spec",
    "policy",
    "trust",
    "keyfile",
    "heuristic",
    "manifest",
    "oci",
    "statement",
    "evidence",
    "decision",
    "ledger",
    "plan",
    "predicates",
    "entry",
    "override",
    "results",
    "audited",
    "exploratory",
    "selftest",
    "benched",
    "upkeep",
    "slot",
    "compatible",
    "exported",
    "recalibrated",
    "skewed",
    "diagnosed",
)
ABSTRACT = {"Document", "OciDocument", "Judged", "Predicate"}


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


def described_fields(model: type) -> dict[str, str]:
    """The string that follows each field of a class, which is its documentation; inherited ones included."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if not kind.__module__.startswith("candidate."):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            named = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            if named and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found[field.target.id] = inspect.cleandoc(str(text.value.value))  # type: ignore[attr-defined]  # it is named
    return found


def models_of(model: type[BaseModel], seen: dict[str, type[BaseModel]]) -> dict[str, type[BaseModel]]:
    """A model and every model that its fields mention, by name."""
    seen[model.__name__] = model
    for field in model.model_fields.values():
        pending: list[object] = [field.annotation]
        while pending:
            current = pending.pop()
            if inspect.isclass(current) and issubclass(current, BaseModel):
                if current.__name__ not in seen:
                    models_of(current, seen)
            else:
                pending.extend(getattr(current, "__args__", ()))
    return seen


def schema_bytes(document: type[Document]) -> bytes:
    """The JSON Schema (2020-12) of a document, as it is stored, with what the code says of each field."""
    schema = document.model_json_schema(by_alias=True)
    parts = {**schema.get("$defs", {}), document.__name__: schema}
    for name, model in models_of(document, {}).items():
        aliases = {field: info.alias or field for field, info in model.model_fields.items()}
        for field, text in described_fields(model).items():
            if name in parts and field in aliases:
                parts[name]["properties"][aliases[field]]["description"] = text
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return (json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


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
    from tests import shapes  # late: it takes its tools from here

    shapes.FILE.write_text(shapes.shapes_text())


if __name__ == "__main__":
    main()
