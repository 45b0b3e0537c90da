"""Lay a verified bundle out for those who serve elsewhere: Triton, MLflow, KServe.

An export is a copy for another reader: the same graph, the same golden rows, and a note that leads back
to the bundle. It carries no proof of its own; whoever doubts one verifies the bundle and exports it again,
which gives the same bytes.
"""

from datetime import datetime
from pathlib import Path

from candidate.documents.exported import Exported, ExportNote, Server
from candidate.documents.trust import TrustPolicy
from candidate.errors import InputError
from candidate.flows.exporting import kserve, mlflow, triton
from candidate.flows.exporting.layout import Layout
from candidate.flows.inspecting import Bundle
from candidate.flows.landing import fresh
from candidate.flows.verifying import load

__all__ = ["export"]


def export(
    bundle: Path | str,
    folder: Path | str,
    *,
    to: Server,
    image: str | None = None,
    trust: TrustPolicy | None = None,
    public_key: str | None = None,
    replay: bool = True,
    now: datetime | None = None,
) -> Exported:
    """Verify a bundle and write it into a new folder as another server reads it: all of it, or nothing.

    Args:
        bundle: the bundle file.
        folder: that does not exist yet.
        to: who will serve it.
        image: for KServe, ``HOST/NAME[:TAG]`` that the model image will be pushed to.
        trust: who may build; or else ``public_key``.
        public_key: PEM of the only builder to trust.
        replay: whether to run the golden inputs on this host first.
        now: the time to judge validity at, aware; by default this moment.

    Raises:
        InputError: the folder exists or cannot be made; an option that does not fit.
        IntegrityError: the bundle is not whole, or answers differently here.
        RefusedError: no trusted key attests it.
        UnavailableError: the disk is full.
    """
    if image is not None and to != "kserve":
        raise InputError("only KServe pulls an image", where="--image", hint="leave it out, or export --to kserve")
    with load(bundle, trust=trust, public_key=public_key, replay=replay, now=now) as opened:
        reference = kserve.image_of(opened, image)
        with fresh(Path(folder)) as staging:
            layout = Layout(staging)
            rows, note = _write(opened, layout, to, reference)
            said = ExportNote(
                bundle=opened.ref,
                to=to,
                model=opened.ref.name,
                golden_rows=rows,
                tolerance=opened.tolerance,
                files=layout.files(),
            )
            layout.put(note, said.to_bytes())
            files = layout.files()
        serve, test = _guide(opened, str(folder), rows, to, reference)
        return Exported(
            bundle=opened.ref,
            to=to,
            folder=str(folder),
            model=opened.ref.name,
            golden_rows=rows,
            files=files,
            serve=serve,
            test=test,
        )


def _write(bundle: Bundle, layout: Layout, to: Server, image: str) -> tuple[int, str]:
    if to == "kserve":
        return kserve.write(bundle, layout, image)
    return triton.write(bundle, layout) if to == "triton" else mlflow.write(bundle, layout)


def _guide(bundle: Bundle, folder: str, rows: int, to: Server, image: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if to == "kserve":
        return kserve.guide(bundle, folder, rows, image)
    return triton.guide(bundle, folder, rows) if to == "triton" else mlflow.guide(bundle, folder, rows)
