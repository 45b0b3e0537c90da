"""Write a decision, its evidence and its claims: all of them or nothing, and never over what is there."""

import io
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from candidate.adapters.verdicts import claims_bytes
from candidate.documents.evidence import (
    TAINTED_BINS_FILE,
    TAINTED_FILE,
    TAINTED_HISTOGRAMS_FILE,
    TAINTED_ROWS_FILE,
)
from candidate.documents.names import CLAIMS_FILE
from candidate.errors import InputError
from candidate.judgement.state import State


def array_bytes(array: NDArray[np.int64]) -> bytes:
    """Return the ``.npy`` bytes (format 1.0, little endian, C order) of an array of int64."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array, dtype="<i8"), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def tainted_files(rows: NDArray[np.int64], state: State) -> dict[str, bytes]:
    """Return the files of the rows that were counted by themselves."""
    files = {
        TAINTED_FILE: array_bytes(state.counts),
        TAINTED_BINS_FILE: array_bytes(state.bins),
        TAINTED_ROWS_FILE: array_bytes(rows),
    }
    return {**files, TAINTED_HISTOGRAMS_FILE: array_bytes(state.histograms)} if state.ranked else files


def refuse_existing(out: Path, name: str) -> tuple[Path, Path, Path]:
    """Return where a decision, its evidence and its claims will be, if nothing is there yet.

    Raises:
        InputError: something is; a decision is never overwritten.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(f"{name!r} is no name for a decision", where="--name", hint="use letters, digits and dashes")
    target, folder, claims = out / f"{name}.json", out / evidence_folder(name), out / claims_file(name)
    for path in (target, folder, claims):
        if path.exists():
            raise InputError(
                f"{path.name} exists already, and a decision is never overwritten",
                where=str(out),
                hint="give another --out folder or --name",
            )
    return target, folder, claims


def write_outcome(
    out: Path, name: str, decision: bytes, files: dict[str, bytes], attestations: Sequence[bytes] = ()
) -> Path:
    """Write ``NAME.json``, its evidence folder and, if anything was signed, its claims: all or nothing.

    Raises:
        InputError: they exist already, or cannot be written.
    """
    target, folder, claims = refuse_existing(out, name)
    staging: Path | None = None
    written: list[Path] = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=out))
        (staging / "evidence").mkdir()
        for file, data in files.items():
            (staging / "evidence" / file).write_bytes(data)
        (staging / "decision").write_bytes(decision)
        (staging / "claims").write_bytes(claims_bytes(attestations))
        moves = [("evidence", folder), *([("claims", claims)] if attestations else []), ("decision", target)]
        for source, place in moves:  # the decision last: where it is, the rest is too
            (staging / source).rename(place)
            written.append(place)
    except OSError as error:
        for place in written:
            place.rename(staging / f"undone-{place.name}")  # type: ignore[operator]  # only a move can have been made
        raise InputError(f"cannot be written: {error.strerror}", where=str(out)) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
    return target


def evidence_folder(name: str) -> str:
    """Return the name of the evidence folder that belongs to the decision ``NAME.json``."""
    return "evidence" if name == "decision" else f"{name}.evidence"


def claims_file(name: str) -> str:
    """Return the name of the file with everything that was signed beside the decision ``NAME.json``."""
    return CLAIMS_FILE if name == "decision" else f"{name}.{CLAIMS_FILE}"
