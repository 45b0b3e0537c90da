"""What a mutated bundle, document or graph may do: pass or be refused, never anything else. Seeds and entry points.

Shared by the property tests (``test_mutations.py``) and the fuzzers guided by coverage
(``benchmarks/fuzz.py``). Each entry point lets every exception through that is not an error of ours.
"""

import contextlib
import json
from functools import cache
from pathlib import Path

from candidate.adapters.archive import Archive
from candidate.adapters.attest import attest
from candidate.adapters.graph import inspect_graph
from candidate.canonical import canonical
from candidate.document import Document
from candidate.documents.evidence import BundleRef
from candidate.documents.names import MODEL_PATH
from candidate.documents.policy import Policy
from candidate.documents.trust import TrustPolicy
from candidate.errors import CandidateError, InputError, IntegrityError
from candidate.flows.deciding import check_decision
from candidate.flows.inspecting.schemas import strict_json
from candidate.flows.verifying import verify
from tests.bundles import (
    Recipe,
    decision_statement,
    go_decision,
    members_of,
    release,
    sealed,
    tiny_recipe,
)
from tests.hostile import attacks
from tests.hostile.smallest import smallest_recipe
from tests.schemas import documents


@cache
def kinds() -> tuple[type[Document], ...]:
    """Every stored document."""
    return tuple(documents().values())


@cache
def trust() -> TrustPolicy:
    """Trusts the keys of the corpus."""
    return attacks.trust_in(attacks.fresh_kit())


@cache
def bundles() -> tuple[bytes, ...]:
    """Valid bundles, all signed by the same builder."""
    other = tiny_recipe().copy()
    other.members["README.md"] = ("doc", b"# another\n")
    builder = attacks.signer(1)
    return (
        sealed(smallest_recipe(), builder),
        sealed(tiny_recipe(), builder),
        sealed(other, builder, integrity=True),
    )


@cache
def document_seeds() -> tuple[bytes, ...]:
    """Valid documents of many kinds, in their one form."""
    recipe, builder = tiny_recipe(), attacks.signer(1)
    content = recipe.content()
    decision = go_decision(BundleRef(name="tiny", version="1.0.0", digest=content.digest))
    stored = [data for _, data in members_of(sealed(recipe, builder)) if data.startswith(b"{")]
    more = [
        decision.to_bytes(),
        decision.verdict.to_bytes(),
        attest(decision_statement(decision), attacks.signer(2)).to_bytes(),
        decision_statement(decision).to_bytes(),
        release(content).to_bytes(),
        canonical(release(content).predicate),
        trust().to_bytes(),
        Policy.from_toml(attacks.POLICY, where="policy").to_bytes(),
    ]
    return tuple(dict.fromkeys([*stored, *more]))


@cache
def graph_seeds() -> tuple[bytes, ...]:
    """Valid graphs."""
    return tuple(recipe.members[MODEL_PATH][1] for recipe in (smallest_recipe(), tiny_recipe()))


def descriptors() -> int:
    """How many files this process has open."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def try_bundle(data: bytes, path: Path) -> CandidateError | None:
    """Verify these bytes; the error of ours that they end in, or null when they pass."""
    path.write_bytes(data)
    try:
        verify(path, trust=trust(), now=attacks.NOW, replay=False)
    except CandidateError as error:
        return error
    return None


def try_archive(data: bytes, path: Path) -> CandidateError | None:
    """Open these bytes as an archive and hash what is in it."""
    path.write_bytes(data)
    try:
        with Archive.open(path) as archive:
            archive.check_blobs()
    except CandidateError as error:
        return error
    return None


def resealed(recipe: Recipe) -> bytes | None:
    """A bundle of these members, hashed, listed and signed anew; null when not even its maker can write it."""
    try:
        return sealed(recipe, attacks.signer(1))
    except (IntegrityError, InputError):
        return None


def try_document(data: bytes) -> set[str]:
    """Parse these bytes as every kind of document; the kinds that took them, each of which writes the same bytes.

    Raises:
        AssertionError: a document was read that is written differently.
    """
    taken = set()
    for kind in kinds():
        try:
            read = kind.from_bytes(data, where="fuzzed")
        except IntegrityError:
            continue
        if read.to_bytes() != data:
            raise AssertionError(kind.__name__)
        taken.add(kind.__name__)
    try:
        value = strict_json(data, where="fuzzed")
    except IntegrityError:
        if taken:
            raise AssertionError(taken) from None
    else:
        if canonical(value) != data:
            raise AssertionError("strict_json")
    for read_text in (Policy.from_toml, TrustPolicy.from_toml):
        try:
            read_text(data.decode("utf-8", "replace"), where="fuzzed")
        except InputError:
            continue
    with contextlib.suppress(CandidateError):
        check_decision(data, trust(), now=attacks.NOW)
    return taken


def try_graph(data: bytes) -> bool:
    """Inspect these bytes as a graph; whether they passed."""
    try:
        inspect_graph(data)
    except IntegrityError:
        return False
    return True


def json_of(data: bytes) -> object:
    """The value in a document's bytes."""
    return json.loads(data)
