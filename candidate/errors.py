"""Every error raised on purpose, and the exit code it leaves by.

* ``CandidateError``           1  the base; never raised itself, an unexpected exception is a bug
  - ``InputError``             2  usage, configuration or input that cannot be used
  - ``StaleError``             5  the champion moved or a race was lost: compare again
  - ``IntegrityError``         6  bytes, digest, chain or canonical form are not what they should be
  - ``RefusedError``           7  attestation, trust, role or expiry says no
  - ``IndeterminateError``     8  it may or may not have happened: run again, it is idempotent
  - ``UnavailableError``       9  a runtime, an extra, a store or a rollback target is not there

A verdict is a document, not an error: go leaves by 0, no-go by 3, inconclusive by 4.
There is one leaf for each thing a caller can do about it, not one for each place it arises.
"""

from typing import ClassVar


class CandidateError(Exception):
    """Base of every error raised on purpose: what was wrong, where, and what to do next."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        """Keep the culprit (file, field, row) and the next action apart from the message."""
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        self.check = ""
        """Code of the step of a verification that failed; empty elsewhere."""

    def __str__(self) -> str:
        """Return the message with its place in parentheses, as the command line prints it."""
        return f"{self.message} ({self.where})" if self.where else self.message


class InputError(CandidateError):
    """Usage, configuration or input that cannot be used; nothing was changed."""

    exit_code = 2


class StaleError(CandidateError):
    """The champion is not the one the decision was made against, or a race was lost."""

    exit_code = 5


class IntegrityError(CandidateError):
    """Bytes do not match their digest, their chain or their one canonical form."""

    exit_code = 6


class RefusedError(CandidateError):
    """The bytes are whole, but no trusted key with the right role says what is needed."""

    exit_code = 7


class IndeterminateError(CandidateError):
    """A write may or may not have landed; running the same command again settles it."""

    exit_code = 8


class UnavailableError(CandidateError):
    """A runtime, an optional dependency, a store or a rollback target is not available."""

    exit_code = 9
