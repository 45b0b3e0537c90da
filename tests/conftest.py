"""Fixtures that several tests share: keys, a clock, and the small bundle."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from candidate.adapters.attest import Signer, attest, load_signer, new_key
from candidate.adapters.oci import Content
from candidate.canonical import digest_of
from candidate.documents.evidence import BundleRef
from candidate.documents.trust import RoleKeys, TrustPolicy
from tests.bundles import NAME, VERSION, Recipe, decision_statement, go_decision, sealed, tiny_recipe


@pytest.fixture(scope="session")
def now() -> datetime:
    """The time it is in the tests."""
    return datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def builder() -> Signer:
    """A key that may sign bundles."""
    return load_signer(new_key(None), None)


@pytest.fixture(scope="session")
def approver() -> Signer:
    """A key that may sign decisions."""
    return load_signer(new_key(None), None)


@pytest.fixture(scope="session")
def promoter_pem() -> bytes:
    """The file of a key that may sign registry entries."""
    return new_key(None)


@pytest.fixture(scope="session")
def promoter(promoter_pem: bytes) -> Signer:
    """A key that may sign registry entries."""
    return load_signer(promoter_pem, None)


@pytest.fixture(scope="session")
def stranger() -> Signer:
    """A key that nobody trusts."""
    return load_signer(new_key(None), None)


@pytest.fixture(scope="session")
def trust(builder: Signer, approver: Signer, promoter: Signer) -> TrustPolicy:
    """Each role with its own key."""
    return TrustPolicy(
        roles={
            "builder": RoleKeys(keys=(builder.public_pem,)),
            "approver": RoleKeys(keys=(approver.public_pem,)),
            "promoter": RoleKeys(keys=(promoter.public_pem,)),
        }
    )


@pytest.fixture
def recipe() -> Recipe:
    """The members of the small bundle, to be spoiled at will."""
    return tiny_recipe().copy()


@pytest.fixture(scope="session")
def content() -> Content:
    """Content manifest and blobs of the small bundle."""
    return tiny_recipe().content()


@pytest.fixture(scope="session")
def bundle_bytes(builder: Signer) -> bytes:
    """The small bundle as a file's bytes, signed by the builder."""
    return sealed(tiny_recipe(), builder)


@pytest.fixture(scope="session")
def bundle_path(bundle_bytes: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small bundle as a file; do not write to it."""
    path = tmp_path_factory.mktemp("bundle") / f"{NAME}-{VERSION}.candidate"
    path.write_bytes(bundle_bytes)
    return path


@pytest.fixture(scope="session")
def bundle_ref(content: Content) -> BundleRef:
    """The small bundle, named."""
    return BundleRef(name=NAME, version=VERSION, digest=digest_of(content.manifest))


@pytest.fixture(scope="session")
def signed_go(bundle_ref: BundleRef, approver: Signer) -> bytes:
    """A go about the small bundle, signed by the approver."""
    return attest(decision_statement(go_decision(bundle_ref)), approver).to_bytes()
