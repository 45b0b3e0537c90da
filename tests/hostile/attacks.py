"""Make the hostile corpus: for each of the 45 attacks that applies, bundles, decisions and policies that try it.

    python -m tests.hostile.attacks DIR

writes all of it to DIR, beside a good bundle and a good trust policy, tries each, and prints a
table. The keys are the same in every run, and anybody can compute them; so are the bytes.
"""

import argparse
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from unittest.mock import patch

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from candidate.adapters.attest import Signer, load_signer
from candidate.adapters.trust import read_trust, write_trust
from candidate.documents.policy import Policy
from candidate.documents.trust import RoleKeys, TrustPolicy
from candidate.errors import CandidateError, InputError, IntegrityError, RefusedError
from candidate.flows.inspecting import replaying
from candidate.flows.verifying import verify
from tests.bundles import NAME, VERSION, sealed, tiny_recipe
from tests.hostile.attestations import DECISIONS, MALFORMED, NO_DECISIONS, REFUSED, one_key_twice
from tests.hostile.containers import CONTAINERS, LISTINGS
from tests.hostile.external import EXTERNAL
from tests.hostile.kit import Kit, private_key
from tests.hostile.members import GRAPHS, MEMBERS, REPLAYS
from tests.hostile.table import ATTACKS, BEYOND

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
CHANNEL = "tiny/prod"
REPLAY_SECONDS = 3
"""Enough for an honest graph of this size; users wait longer for a hostile one."""
DOCUMENT = Path(__file__).parents[2] / "docs" / "attacks.md"
POLICY = (
    '[data]\nlabel = "late"\nunit = "day"\n[optimizing]\nmetric = "log_loss"\nrequire = "superior"\nmin_gain = 0.1\n'
)

Make = Callable[[Kit], bytes]


@dataclass(frozen=True)
class Case:
    """One thing that lies, and the leaf it must end in."""

    make: Make
    leaf: type[CandidateError]
    words: str
    """A pattern that its error fits."""
    number: int
    """Of its attack; 0 when it belongs to none."""


@cache
def signer(number: int) -> Signer:
    """The key of this number; it protects nothing."""
    key = private_key(number)
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return load_signer(key.private_bytes(serialization.Encoding.PEM, form, plain), None)


def fresh_kit() -> Kit:
    """A good bundle, and keys: the builder's, the approver's and a stranger's."""
    builder, approver, stranger = signer(1), signer(2), signer(3)
    data, recipe = sealed(tiny_recipe(), builder), tiny_recipe().copy()
    return Kit(data=data, recipe=recipe, builder=builder, approver=approver, stranger=stranger)


def trust_in(kit: Kit) -> TrustPolicy:
    """Builder and approver, each trusted in their role."""
    return TrustPolicy(
        roles={
            "builder": RoleKeys(keys=(kit.builder.public_pem,)),
            "approver": RoleKeys(keys=(kit.approver.public_pem,)),
        }
    )


def pem_of(key: ec.EllipticCurvePrivateKey) -> str:
    """The public half, as text."""
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(encoding, form).decode()


def policy_of(*roles: tuple[str, tuple[str, ...], str]) -> bytes:
    """A trust policy as somebody might write it: role, keys, and a line more."""
    text = ""
    for role, keys, more in roles:
        listed = ", ".join('"' + key.replace("\n", "\\n") + '"' for key in keys)
        text += f"[roles.{role}]\n{more}\nkeys = [{listed}]\n"
    return text.encode()


TRUSTS: dict[str, Make] = {
    "one key twice": lambda kit: policy_of(("builder", (kit.builder.public_pem,) * 2, "threshold = 2")),
    "one key in other white space": lambda kit: policy_of(
        ("builder", (kit.builder.public_pem, "\n" + kit.builder.public_pem.replace("\n", "\n\n", 1)), "threshold = 2")
    ),
    "threshold that no keys reach": lambda kit: policy_of(("builder", (kit.builder.public_pem,), "threshold = 2")),
    "one key in two roles": lambda kit: policy_of(
        ("builder", (kit.builder.public_pem,), ""), ("approver", (kit.builder.public_pem,), "")
    ),
    "unknown field": lambda kit: policy_of(("builder", (kit.builder.public_pem,), "anybody = true")),
    "key of another curve": lambda _: policy_of(("builder", (pem_of(ec.derive_private_key(1, ec.SECP256K1())),), "")),
    "P-224 key": lambda _: policy_of(("builder", (pem_of(ec.derive_private_key(1, ec.SECP224R1())),), "")),
}
PAIRS: dict[str, Make] = {"one key twice": one_key_twice, "one key alone": lambda kit: kit.data}
CHANNELS: dict[str, Make] = {"role that ends before this channel": lambda kit: kit.data}
POLICIES: dict[str, Make] = {"unknown field": lambda _: f"anything = 1\n{POLICY}".encode()}

GROUPS: tuple[tuple[str, dict[str, Make], type[CandidateError]], ...] = (
    ("container", CONTAINERS, IntegrityError),
    ("listing", LISTINGS, IntegrityError),
    ("member", MEMBERS, IntegrityError),
    ("graph", GRAPHS, IntegrityError),
    ("external", EXTERNAL, IntegrityError),
    ("replay", REPLAYS, IntegrityError),
    ("attestation", MALFORMED, IntegrityError),
    ("attestation", REFUSED, RefusedError),
    ("pair", PAIRS, RefusedError),
    ("channel", CHANNELS, RefusedError),
    ("decision", DECISIONS, RefusedError),
    ("decision", NO_DECISIONS, IntegrityError),
    ("trust", TRUSTS, InputError),
    ("policy", POLICIES, InputError),
)
OTHER_LEAF: dict[str, type[CandidateError]] = {"listing: attestation no longer listed": RefusedError}
ENDINGS = {"decision": ".json", "trust": ".toml", "policy": ".toml"}


@cache
def corpus() -> dict[str, Case]:
    """Every case by its name, which begins with what it is.

    Raises:
        KeyError: the table has a case that nobody makes, or the other way round.
    """
    said = {name: (number, words) for number, attack in ATTACKS.items() for name, words in attack.cases.items()}
    said |= {name: (0, words) for name, words in BEYOND.items()}
    found = {}
    for kind, group, leaf in GROUPS:
        for short, make in group.items():
            name = f"{kind}: {short}"
            number, words = said.pop(name)
            found[name] = Case(make=make, leaf=OTHER_LEAF.get(name, leaf), words=words, number=number)
    if said:
        raise KeyError(*said)
    return found


def try_bundle(kind: str, path: Path, kit: Kit) -> None:
    """Verify a bundle as its kind is meant to be met."""
    trust = trust_in(kit)
    if kind == "pair":
        two = RoleKeys(keys=(kit.builder.public_pem, kit.stranger.public_pem), threshold=2)
        trust = TrustPolicy(roles={"builder": two})
    elif kind == "channel":
        builders = RoleKeys(keys=(kit.builder.public_pem,), channels=("other/*",))
        trust = trust.model_copy(update={"roles": {**trust.roles, "builder": builders}})
    with patch.object(replaying, "SECONDS", REPLAY_SECONDS):
        verify(path, trust=trust, now=NOW, channel=CHANNEL, replay=kind == "replay")


def outcome(kind: str, data: bytes, kit: Kit, folder: Path) -> CandidateError | None:
    """The error that these bytes end in; null when they pass. Any other exception is a bug, and passes through."""
    path = folder / f"x{ENDINGS.get(kind, '.candidate')}"
    try:
        if kind == "decision":
            good = folder / "good.candidate"
            good.write_bytes(kit.data)
            verify(good, trust=trust_in(kit), decision=data, now=NOW, channel=CHANNEL, replay=False)
        elif kind == "trust":
            path.write_bytes(data)
            read_trust(path)
        elif kind == "policy":
            Policy.from_toml(data.decode(), where="policy.toml")
        else:
            path.write_bytes(data)
            try_bundle(kind, path, kit)
    except CandidateError as error:
        return error
    return None


def document() -> bytes:
    """``docs/attacks.md``."""
    counts = Counter(case.number for case in corpus().values())
    lines = [
        "# The 45 attacks",
        "",
        "What a verifier of model bundles must refuse, what stands against it here, and what shows it. The corpus is",
        "made by `python -m tests.hostile.attacks DIR`, and each of its cases must end in its own named error; this",
        "page is written from the same table (`python -m tests.hostile.attacks --document`).",
        "",
        f"{counts.total()} cases; {counts[0]} of them belong to no row: documents that contradict each other.",
        "",
        "| # | attack | seen in | refusal | cases | exit | tests elsewhere |",
        "|---|---|---|---|---|---|---|",
    ]
    for number, attack in ATTACKS.items():
        leaves = {case.leaf.exit_code for case in corpus().values() if case.number == number}
        exits = ", ".join(map(str, sorted(leaves)))
        tests = ", ".join(f"`{test.split('::')[-1]}`" for test in attack.tests) or attack.reason
        cells = (str(number), attack.attack, attack.source, attack.refusal, str(counts[number] or ""), exits, tests)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    lines += [
        "",
        "Beyond the table: every single-bit flip of a small bundle (`python -m benchmarks.flips`), structured",
        "mutations of bundles, documents and graphs (`tests/hostile/test_mutations.py`), fuzzing guided by coverage",
        "(`make fuzz`), and bounds of time and memory (`tests/hostile/test_bounds.py`).",
    ]
    return ("\n".join(lines) + "\n").encode()


def main() -> int:
    """Write the corpus, try it, print the table; 0 when every case was refused as it should be."""
    parser = argparse.ArgumentParser(description="write the hostile corpus, and try it")
    parser.add_argument("folder", type=Path, nargs="?", metavar="DIR")
    parser.add_argument("--document", action="store_true", help="write docs/attacks.md instead")
    arguments = parser.parse_args()
    if arguments.document:
        DOCUMENT.write_bytes(document())
        return 0
    if arguments.folder is None:
        parser.error("DIR is needed")
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    kit, wrong = fresh_kit(), []
    (folder / f"good-{NAME}-{VERSION}.candidate").write_bytes(kit.data)
    (folder / "good-trust.toml").write_text(write_trust(trust_in(kit)))
    exits: dict[int, Counter[int]] = {number: Counter() for number in (*ATTACKS, 0)}
    with tempfile.TemporaryDirectory(prefix="attacks-") as place:
        for name, case in corpus().items():
            kind, short = name.split(": ", 1)
            data, slug = case.make(fresh_kit()), re.sub(r"[^a-z0-9]+", "-", short.lower()).strip("-")
            (folder / f"{case.number:02}-{kind}-{slug}{ENDINGS.get(kind, '.candidate')}").write_bytes(data)
            error = outcome(kind, data, kit, Path(place))
            if type(error) is not case.leaf or not re.search(case.words, str(error)):
                wrong.append(f"{name}: {type(error).__name__} {error}, not {case.leaf.__name__} {case.words}")
            exits[case.number][0 if error is None else error.exit_code] += 1
    _print(exits)
    sys.stderr.writelines(f"{line}\n" for line in wrong)
    return 1 if wrong else 0


def _print(exits: dict[int, Counter[int]]) -> None:
    sys.stdout.write(f"{'#':>2}  {'cases':>5}  {'exit codes':<14}  attack\n")
    for number, found in exits.items():
        codes = ", ".join(f"{code}: {count}" for code, count in sorted(found.items()))
        what = ATTACKS[number].attack if number else "(documents that contradict each other)"
        sys.stdout.write(f"{number or '':>2}  {found.total() or '-':>5}  {codes:<14}  {what[:76]}\n")
    total = sum((found for found in exits.values()), Counter[int]())
    sys.stdout.write(f"{total.total()} cases: {dict(sorted(total.items()))} by exit code; 0 would be accepted\n")


if __name__ == "__main__":
    raise SystemExit(main())
