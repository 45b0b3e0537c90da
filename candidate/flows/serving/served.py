"""A log of what was served, for whoever compares it with what was trained on: a line of JSON for each row."""

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from candidate.errors import InputError, UnavailableError
from candidate.flows.serving.answers import plain

KIND = "candidate.served"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class ServingLog(AbstractContextManager["ServingLog"]):
    """Appends to a file what was asked and what was answered.

    A line is ``{"kind": "candidate.served", "version": 1, "time", "bundle", "id", "features", "prediction",
    "score"}``; ``candidate skew`` reads it. Lines of several threads and processes do not mix.
    """

    def __init__(self, path: Path | str, *, clock: Callable[[], str] = _now) -> None:
        """Open the file, or make it.

        Args:
            path: of the log.
            clock: returns the time of a line; by default this moment in UTC.

        Raises:
            InputError: it cannot be written to.
        """
        self.path, self._clock, self._lock = Path(path), clock, threading.Lock()
        try:
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise InputError(f"cannot be written to: {error.strerror}", where=str(path)) from error

    def write(
        self,
        bundle: str,
        rows: Sequence[Mapping[str, Any]],
        answers: Sequence[Mapping[str, Any]],
        ids: Any = None,
    ) -> None:
        """Append one line for each row, all of them in one write.

        Args:
            bundle: the bundle's identity.
            rows: features of each.
            answers: what was answered to each.
            ids: names of the rows, to join them with their labels later.

        Raises:
            UnavailableError: the disk refuses.
        """
        at = self._clock()
        lines = [
            json.dumps(
                {
                    "kind": KIND,
                    "version": 1,
                    "time": at,
                    "bundle": bundle,
                    "id": None if ids is None else plain(ids[number]),
                    "features": {name: _json(value) for name, value in row.items()},
                    **answer,
                },
                separators=(",", ":"),
            )
            for number, (row, answer) in enumerate(zip(rows, answers, strict=True))
        ]
        data = memoryview("".join(line + "\n" for line in lines).encode())
        try:
            with self._lock:
                while data:
                    data = data[os.write(self._file, data) :]
        except OSError as error:
            raise UnavailableError(f"cannot be written: {error.strerror}", where=str(self.path)) from error

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


def _json(value: Any) -> Any:
    """Return a feature's value as JSON has it; what is missing is null."""
    value = plain(value)
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124 - NaN
