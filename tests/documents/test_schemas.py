"""The schemas in ``schemas/`` are the documents, byte for byte."""

import json
from pathlib import Path

import jsonschema
import pytest

from candidate.document import Document
from tests.schemas import FOLDER, documents, schema_bytes


@pytest.mark.parametrize(("name", "document"), documents().items(), ids=documents())
def test_a_schema_equals_its_document(name: str, document: type[Document]) -> None:
    """Run ``make schemas`` after changing a document; a reviewer then sees the format change."""
    assert schema_bytes(document) == (FOLDER / f"{name}.schema.json").read_bytes()


def test_no_schema_is_left_without_its_document() -> None:
    """A removed document takes its schema along."""
    assert {f"{name}.schema.json" for name in documents()} == {path.name for path in FOLDER.glob("*.json")}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.name)
def test_a_schema_is_a_valid_schema(path: Path) -> None:
    """Every published schema is JSON Schema 2020-12."""
    jsonschema.Draft202012Validator.check_schema(json.loads(path.read_bytes()))
