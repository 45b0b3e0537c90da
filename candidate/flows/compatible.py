"""Ask whether callers of one bundle can call another; neither is trusted for it."""

from pathlib import Path

from candidate.adapters.archive import Archive
from candidate.documents.compatible import Compatibility
from candidate.flows.inspecting import inspect
from candidate.judgement.compatibility import Interface
from candidate.judgement.compatibility import compatibility as judged


def compatibility(bundle: Path | str, *, against: Path | str) -> Compatibility:
    """Return whether callers written for one bundle can call another in its place.

    Args:
        bundle: the newer one, which would be called.
        against: the older one, which the callers were written for.

    Raises:
        InputError: a file cannot be read.
        IntegrityError: a bundle is not what it should be.
    """
    return judged(_interface(Path(bundle)), _interface(Path(against)))


def _interface(path: Path) -> Interface:
    with Archive.open(path) as archive:
        bundle = inspect(archive)
        return Interface(bundle=bundle.ref, signature=bundle.signature, input_schema=bundle.input_schema)
