"""A registry with real keys, small real bundles in several versions, and signed decisions about them."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import ParamSpec

import pytest

from candidate.adapters.archive import archive_bytes
from candidate.adapters.attest import Signer, attest, load_signer, new_key
from candidate.adapters.oci import attestation_blobs, index_of
from candidate.canonical import digest_of
from candidate.documents.decision import Decision
from candidate.documents.entry import Artifact, Entry
from candidate.documents.evidence import BundleRef
from candidate.documents.manifest import ShaDigest
from candidate.documents.names import ENTRY_TYPE, RELEASE_TYPE
from candidate.documents.results import Moved
from candidate.documents.statement import Statement, Subject
from candidate.documents.trust import RoleKeys, TrustPolicy
from candidate.errors import CandidateError
from candidate.flows.entries import subjects_of
from candidate.flows.registry import Registry
from candidate.flows.releasing import promote, rollback
from tests.bundles import NAME, Recipe, decision_statement, go_decision, release, tiny_recipe

CHANNEL = "tiny/prod"
ONCALL = new_key(None)
"""The private key of the person on call."""


@dataclass(frozen=True)
class Release:
    """A bundle file, and what it is."""

    path: Path
    ref: BundleRef


@dataclass(frozen=True)
class Stage:
    """A registry, and those who act on it."""

    registry: Registry
    releases: dict[str, Release]
    approver: Signer
    promoter: Signer
    oncall: Signer
    now: datetime
    spent: list[bytes] = field(default_factory=list)

    def decision(self, version: str, against: str | None, **other: object) -> Decision:
        """A go for this version against that one, bound to this registry; or with something else."""
        champion = None if against is None else self.releases[against].ref
        made = go_decision(self.releases[version].ref, champion=champion, channel=CHANNEL)
        return made.model_copy(update={"registry": self.registry.genesis.registry, **other})

    def signed(self, decision: Decision, signer: Signer | None = None) -> bytes:
        """A decision as the approver signs it."""
        return attest(decision_statement(decision), signer or self.approver).to_bytes()

    def go(self, version: str, against: str | None) -> bytes:
        """A signed go that no other call returns."""
        issued = f"2026-11-01T10:00:{len(self.spent):02d}Z"
        self.spent.append(self.signed(self.decision(version, against, issued=issued)))
        return self.spent[-1]

    def promote(self, version: str, decision: bytes, *, signer: Signer | None = None, channel: str = CHANNEL) -> Moved:
        """Promote this version on that decision."""
        return promote(
            self.releases[version].path,
            decision=decision,
            registry=self.registry,
            channel=channel,
            signer=signer or self.promoter,
            now=self.now,
        )

    def line(self, *versions: str) -> None:
        """Promote these versions one after the other."""
        for version in versions:
            self.promote(version, self.go(version, self.champion))

    def back(self, to: str | None = None, *, signer: Signer | None = None, reason: str = "it burns") -> Moved:
        """Roll back."""
        return rollback(
            registry=self.registry,
            channel=CHANNEL,
            signer=signer or self.oncall,
            reason=reason,
            to=to,
            now=self.now,
        )

    @property
    def champion(self) -> str | None:
        """Version of the champion."""
        found = self.registry.state().channel(CHANNEL).champion
        return None if found is None else found.version

    @property
    def way_back(self) -> list[str]:
        """Versions that a rollback returns to, nearest first."""
        return [each.version for each in self.registry.state().channel(CHANNEL).rollback]

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """What is or was champion, by version."""
        moves = [move for _, logged in self.registry.log() for move in logged.entry.moves]
        return {move.to.version: move.to for move in moves}

    @cached_property
    def log(self) -> "LogFiles":
        """The log's files."""
        return LogFiles(self.registry.path / "log")

    def blob(self, digest: str) -> Path:
        """The file of a blob."""
        value = digest.removeprefix("sha256:")
        return self.registry.path / "blobs" / "sha256" / value[:2] / value

    def spoil(self, version: str) -> None:
        """Change one byte of the content manifest of a stored bundle."""
        path = self.blob(self.artifacts[version].bundle)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o644)
        path.write_bytes(data)

    def copy(self, path: Path) -> "Stage":
        """The same registry in another place."""
        shutil.copytree(self.registry.path, path)
        return Stage(Registry.open(path), self.releases, self.approver, self.promoter, self.oncall, self.now)


@dataclass(frozen=True)
class LogFiles:
    """The files of a log, as an intruder sees them."""

    path: Path

    def __getitem__(self, sequence: int) -> bytes:
        """Bytes of an entry."""
        return self.file(sequence).read_bytes()

    def __setitem__(self, sequence: int, data: bytes) -> None:
        """Put other bytes there."""
        self.file(sequence).unlink(missing_ok=True)
        self.file(sequence).write_bytes(data)

    def __delitem__(self, sequence: int) -> None:
        """Remove an entry."""
        self.file(sequence).unlink()

    def __len__(self) -> int:
        """Count what is there."""
        return len(list(self.path.iterdir()))

    def file(self, sequence: int) -> Path:
        """The file of an entry."""
        return self.path / f"{sequence:016d}"

    def bytes(self) -> dict[str, bytes]:
        """Every file, hidden ones too."""
        return {file.name: file.read_bytes() for file in sorted(self.path.iterdir())}


@pytest.fixture(scope="session")
def oncall() -> Signer:
    """A key that may only roll back."""
    return load_signer(ONCALL, None)


@pytest.fixture(scope="session")
def roles(builder: Signer, approver: Signer, promoter: Signer, oncall: Signer) -> TrustPolicy:
    """Each role with its own key, on-call too."""
    return TrustPolicy(
        roles={
            "builder": RoleKeys(keys=(builder.public_pem,)),
            "approver": RoleKeys(keys=(approver.public_pem,)),
            "promoter": RoleKeys(keys=(promoter.public_pem,)),
            "oncall": RoleKeys(keys=(oncall.public_pem,)),
        }
    )


def sealed(recipe: Recipe, version: str, signer: Signer) -> bytes:
    """A bundle file of this version that a builder signed."""
    content = recipe.content()
    attestation = attest(release(content, version=version), signer).to_bytes()
    descriptor, more = attestation_blobs(content.descriptor, attestation, RELEASE_TYPE)
    return archive_bytes(index=index_of(content, version, [descriptor]), blobs=dict(content.blobs) | more)


@pytest.fixture(scope="session")
def releases(builder: Signer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Release]:
    """Small bundles of several versions and one of a version that is taken; do not write to them."""
    folder, made = tmp_path_factory.mktemp("releases"), {}
    for key in ("1.0.0", "2.0.0", "3.0.0", "4.0.0", "5.0.0", "6.0.0", "twin"):
        version = "2.0.0" if key == "twin" else key
        recipe = tiny_recipe().copy()
        said = "another 2.0.0" if key == "twin" else ""
        recipe.descriptor = recipe.descriptor.model_copy(update={"version": version, "description": said})
        path = folder / f"{NAME}-{key}.candidate"
        path.write_bytes(sealed(recipe, version, builder))
        ref = BundleRef(name=NAME, version=version, digest=digest_of(recipe.content().manifest))
        made[key] = Release(path, ref)
    return made


@pytest.fixture
def new_stage(
    releases: dict[str, Release],
    roles: TrustPolicy,
    approver: Signer,
    promoter: Signer,
    oncall: Signer,
    now: datetime,
) -> Callable[[Path, TrustPolicy | None], Stage]:
    """Makes empty registries."""

    def make(path: Path, trust: TrustPolicy | None = None) -> Stage:
        registry = Registry.create(path, trust=trust or roles, now=now)
        return Stage(registry, releases, approver, promoter, oncall, now)

    return make


@pytest.fixture
def stage(new_stage: Callable[[Path], Stage], tmp_path: Path) -> Stage:
    """An empty registry."""
    return new_stage(tmp_path / "registry")


@pytest.fixture(scope="session")
def _three(
    releases: dict[str, Release],
    roles: TrustPolicy,
    approver: Signer,
    promoter: Signer,
    oncall: Signer,
    now: datetime,
    tmp_path_factory: pytest.TempPathFactory,
) -> Stage:
    path = tmp_path_factory.mktemp("three") / "registry"
    made = Stage(Registry.create(path, trust=roles, now=now), releases, approver, promoter, oncall, now)
    made.line("1.0.0", "2.0.0", "3.0.0")
    return made


@pytest.fixture
def three(_three: Stage, tmp_path: Path) -> Stage:
    """A registry in which 1.0.0, 2.0.0 and 3.0.0 were promoted."""
    return _three.copy(tmp_path / "three")


def entry_of(logged: Entry) -> Entry:
    """An entry of the log as its document, to be changed."""
    return Entry.from_bytes(logged.to_bytes())


def entry_statement(entry: Entry) -> Statement:
    """The in-toto statement of an entry, whoever signs it."""
    subjects = tuple(Subject(name=name, digest=ShaDigest(sha256=value)) for name, value in subjects_of(entry))
    return Statement(subject=subjects, predicate_type=ENTRY_TYPE, predicate=json.loads(entry.to_bytes()))


Make = Callable[[Path, TrustPolicy | None], Stage]
P = ParamSpec("P")


def tree(path: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def refused(
    stage: Stage, error: type[CandidateError], says: str, act: Callable[P, object], *args: P.args, **named: P.kwargs
) -> CandidateError:
    """Assert that this is refused with this very leaf, and that not one byte of the registry changed."""
    before = tree(stage.registry.path)
    with pytest.raises(error, match=says) as caught:
        act(*args, **named)
    assert type(caught.value) is error
    assert tree(stage.registry.path) == before
    return caught.value
