"""A bundle that carries what was said of it is released like the same bundle without."""

import shutil
from pathlib import Path

from candidate.flows.attaching import attach
from candidate.flows.releasing import export, promote
from tests.releasing.conftest import CHANNEL, Stage


def test_a_bundle_is_promoted_with_what_was_attached_and_comes_back_as_that_file(stage: Stage, tmp_path: Path) -> None:
    """The log names the same bundle; the file that comes out of the registry is the one with everything in it."""
    stage.line("1.0.0")
    bundle = Path(shutil.copy(stage.releases["2.0.0"].path, tmp_path / "more.candidate"))
    go = stage.go("2.0.0", "1.0.0")
    attach(bundle, [go], trust=stage.registry.genesis.trust, now=stage.now)
    given = {"decision": go, "registry": stage.registry, "channel": CHANNEL, "signer": stage.promoter, "now": stage.now}
    moved = promote(bundle, **given)  # type: ignore[arg-type]
    export(stage.registry, stage.artifacts["2.0.0"], tmp_path / "out.candidate")

    assert (moved.to, stage.champion) == (stage.releases["2.0.0"].ref, "2.0.0")
    assert (tmp_path / "out.candidate").read_bytes() == bundle.read_bytes()
    assert promote(stage.releases["2.0.0"].path, **given).already  # type: ignore[arg-type]


def test_what_is_attached_later_does_not_make_it_another_bundle(stage: Stage, tmp_path: Path) -> None:
    """Rolled back from and promoted again with more said about it: the way back has each bundle once."""
    stage.line("1.0.0", "2.0.0")
    stage.back(reason="a false alarm")
    again = stage.go("2.0.0", "1.0.0")
    bundle = Path(shutil.copy(stage.releases["2.0.0"].path, tmp_path / "more.candidate"))
    attach(bundle, [again])
    moved = promote(
        bundle, decision=again, registry=stage.registry, channel=CHANNEL, signer=stage.promoter, now=stage.now
    )

    assert moved.to == stage.releases["2.0.0"].ref
    assert (stage.champion, stage.way_back) == ("2.0.0", ["1.0.0"])
    stage.back()
    assert stage.champion == "1.0.0"
