"""The folder that an export fills: every file new, every byte a function of the bundle."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from candidate.documents.exported import ExportedFile
from candidate.documents.names import GOLDEN_DIRECTORY, MODEL_PATH, TOLERANCE_PATH
from candidate.flows.inspecting import Bundle

REQUEST_FILE = "request.json"
RESPONSE_FILE = "response.json"


@dataclass(frozen=True)
class Layout:
    """A folder that nobody else writes to, and what is put into it."""

    root: Path

    def path(self, name: str) -> Path:
        """Return where a file goes, its folders made."""
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def put(self, name: str, data: bytes) -> None:
        """Write a new file."""
        with self.path(name).open("xb") as file:
            file.write(data)

    def model(self, bundle: Bundle, folder: str) -> None:
        """Lay the graph out with its weights beside it, where the graph looks for them."""
        for member in (MODEL_PATH, *bundle.manifest.onnx.external_data):
            bundle.write(member, self.path(f"{folder}{member.rpartition('/')[2]}"))

    def golden(self, bundle: Bundle, folder: str) -> None:
        """Lay the golden tensors out, in the layout of ONNX's backend tests."""
        names = [file.name for file in bundle.manifest.files if file.name.startswith(f"{GOLDEN_DIRECTORY}/")]
        for member in (*names, TOLERANCE_PATH):
            bundle.write(member, self.path(f"{folder}{member.removeprefix('golden/')}"))

    def files(self) -> tuple[ExportedFile, ...]:
        """Return every file that is there now, sorted by name."""
        found = []
        for path in sorted(self.root.rglob("*")):
            if path.is_file():
                with path.open("rb") as file:
                    digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
                name = path.relative_to(self.root).as_posix()
                found.append(ExportedFile(name=name, digest=digest, size=path.stat().st_size))
        return tuple(sorted(found, key=lambda file: file.name))
