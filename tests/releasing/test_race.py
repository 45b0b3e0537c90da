"""Six processes promote at the same moment: one of them does, the others are told so."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tests.releasing.conftest import CHANNEL, Stage
from tests.releasing.racer import Start, race

RACERS = ("1.0.0", "2.0.0", "4.0.0", "5.0.0", "6.0.0", "twin")


def test_of_six_processes_one_promotes_and_five_are_stale(three: Stage, promoter_pem: bytes, tmp_path: Path) -> None:
    """Six signed decisions against the same champion: one wins, five are stale, nothing else, and the log holds."""
    gate = tmp_path / "gate"
    gate.mkdir()
    starts = [
        Start(
            registry=three.registry.path,
            bundle=three.releases[version].path,
            decision=three.go(version, "3.0.0"),
            key=promoter_pem,
            channel=CHANNEL,
            now=three.now,
            gate=gate,
            number=number,
            many=len(RACERS),
        )
        for number, version in enumerate(RACERS)
    ]
    with ProcessPoolExecutor(len(RACERS), mp_context=get_context("spawn")) as pool:
        said = list(pool.map(race, starts))
    [winner] = [number for number, answer in enumerate(said) if answer.startswith("sha256:")]
    assert said[winner] == f"{three.releases[RACERS[winner]].ref.digest} at 4"
    assert sorted(said)[: len(RACERS) - 1] == ["StaleError"] * (len(RACERS) - 1)
    *_, (state, logged) = three.registry.log()
    now = state.channel(CHANNEL)
    assert (state.head, now.champion) == (4, logged.entry.moves[0].to)
    assert logged.entry.moves[0].to.bundle == three.releases[RACERS[winner]].ref.digest
    assert sorted(three.log.bytes()) == [f"{number:016d}" for number in range(1, 5)], "no temporary is left"
