"""The trust policy: who may say what, when and where."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from candidate.adapters.attest import Signer, load_signer, new_key
from candidate.adapters.trust import check_trust, keys_for, read_trust, standing_keys, write_trust
from candidate.documents.identity import Identified
from candidate.documents.names import PREDICATE_TYPES, RIGHTS, PredicateName, RoleName
from candidate.documents.publickey import ALGORITHMS, Algorithm
from candidate.documents.trust import Identity, Revoked, RoleKeys, Sigstore, TrustPolicy
from candidate.errors import InputError, RefusedError


def written(folder: Path, text: str) -> Path:
    """A trust file."""
    path = folder / "trust.toml"
    path.write_text(text)
    return path


def test_a_policy_survives_writing_and_reading(tmp_path: Path, trust: TrustPolicy) -> None:
    """What is written is read back as the same policy."""
    full = trust.model_copy(
        update={
            "revoked": Revoked(keys=("0" * 64,), digests=("sha256:" + "a" * 64,)),
            "roles": {
                **trust.roles,
                "approver": trust.roles["approver"].model_copy(
                    update={
                        "channels": ("tiny/*", "other/prod"),
                        "valid_from": "2026-01-01T00:00:00Z",
                        "valid_until": "2027-01-01T00:00:00Z",
                    }
                ),
            },
        }
    )

    assert read_trust(written(tmp_path, write_trust(full))) == full


def test_white_space_around_a_key_changes_nothing(tmp_path: Path, builder: Signer) -> None:
    """Keys come back in their one PEM, so that ids and digests do not depend on an editor."""
    text = f'[roles.builder]\nkeys = ["""\n\n{builder.public_pem.replace(chr(10), chr(13) + chr(10))}\n"""]\n'

    assert read_trust(written(tmp_path, text)).roles["builder"].keys == (builder.public_pem,)


def test_a_missing_file_is_the_users_mistake(tmp_path: Path) -> None:
    """The hint says how to write one."""
    with pytest.raises(InputError) as caught:
        read_trust(tmp_path / "none.toml")
    assert "candidate trust" in caught.value.hint


def test_an_unknown_key_comes_with_the_nearest_known_one(tmp_path: Path, builder: Signer) -> None:
    """A misspelt limit must not be ignored."""
    text = f'[roles.builder]\ntreshold = 1\nkeys = ["""{builder.public_pem}"""]\n'

    with pytest.raises(InputError) as caught:
        read_trust(written(tmp_path, text))
    assert "threshold" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[roles]\n",
        '[roles.builder]\nkeys = ["no key"]\n',
        "[roles.builder]\nkeys = []\n",
        '[roles.boss]\nkeys = ["x"]\n',
    ],
    ids=["empty", "no role", "no key", "no keys", "no such role"],
)
def test_a_policy_that_trusts_nobody_is_refused(text: str, tmp_path: Path) -> None:
    """Empty is never a policy."""
    with pytest.raises(InputError):
        read_trust(written(tmp_path, text))


def test_a_private_key_in_the_policy_is_pointed_out(tmp_path: Path) -> None:
    """Somebody is about to publish it."""
    text = f'[roles.builder]\nkeys = ["""{new_key(None).decode()}"""]\n'

    with pytest.raises(InputError, match="private key"):
        read_trust(written(tmp_path, text))


def test_one_key_in_two_roles_is_refused_unless_that_is_said(builder: Signer) -> None:
    """A builder that could approve its own model would be no gate."""
    keys = RoleKeys(keys=(builder.public_pem,))
    both = TrustPolicy(roles={"builder": keys, "approver": RoleKeys(keys=("\n" + builder.public_pem,))})

    with pytest.raises(InputError, match="also has the role builder"):
        check_trust(both, where="trust.toml")
    check_trust(both.model_copy(update={"distinct_roles": False}), where="trust.toml")


def test_one_key_twice_does_not_reach_a_threshold_of_two(builder: Signer) -> None:
    """Thresholds count keys, whatever their PEM looks like."""
    keys = RoleKeys(keys=(builder.public_pem, builder.public_pem.strip()), threshold=2)

    with pytest.raises(InputError, match="listed twice"):
        check_trust(TrustPolicy(roles={"builder": keys}), where="trust.toml")


def test_a_threshold_beyond_the_keys_is_refused(builder: Signer) -> None:
    """It could never be reached; better now than at night."""
    with pytest.raises(InputError, match="threshold 2 of 1"):
        check_trust(TrustPolicy(roles={"builder": RoleKeys(keys=(builder.public_pem,), threshold=2)}), where="t")


@pytest.mark.parametrize(
    "update",
    [
        {"valid_from": "2026-02-30T00:00:00Z"},
        {"valid_from": "2026-02-01T00:00:00Z", "valid_until": "2026-02-01T00:00:00Z"},
        {"channels": ()},
        {"channels": ("Prod!",)},
    ],
    ids=["no such day", "empty time", "no channel", "no pattern"],
)
def test_limits_that_make_no_sense_are_refused(update: dict[str, object], builder: Signer) -> None:
    """A role that can never be used is a mistake."""
    keys = RoleKeys(keys=(builder.public_pem,)).model_copy(update=update)

    with pytest.raises(InputError):
        check_trust(TrustPolicy(roles={"builder": keys}), where="trust.toml")


def test_a_revoked_id_must_be_an_id(trust: TrustPolicy) -> None:
    """A misspelt id would revoke nothing."""
    with pytest.raises(InputError, match="no key id"):
        check_trust(trust.model_copy(update={"revoked": Revoked(keys=("A" * 64,))}), where="trust.toml")


def test_a_role_nobody_holds_is_refused(trust: TrustPolicy, now: datetime) -> None:
    """The hint names the table to add."""
    with pytest.raises(RefusedError) as caught:
        keys_for(trust, "oncall", now=now, channel=None)
    assert "[roles.oncall]" in caught.value.hint


def test_validity_begins_and_ends_on_the_second(builder: Signer) -> None:
    """From is included, until is not."""
    keys = RoleKeys(keys=(builder.public_pem,), valid_from="2026-01-01T00:00:00Z", valid_until="2026-02-01T00:00:00Z")
    trust = TrustPolicy(roles={"builder": keys})
    begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)

    for moment in (begin, end - timedelta(seconds=1)):
        assert keys_for(trust, "builder", now=moment, channel=None) == (builder.public_pem,)
    with pytest.raises(RefusedError, match="only from"):
        keys_for(trust, "builder", now=begin - timedelta(seconds=1), channel=None)
    with pytest.raises(RefusedError, match="until"):
        keys_for(trust, "builder", now=end, channel=None)


@pytest.mark.parametrize(
    ("pattern", "channel", "allowed"),
    [
        ("*", "tiny/prod", True),
        ("tiny/*", "tiny/prod", True),
        ("*/prod", "tiny/prod", True),
        ("tiny/prod", "tiny/prod", True),
        ("tiny/prod", "tiny/production", False),
        ("*/prod", "tiny/staging", False),
        ("tiny/*", "tiny-other/prod", False),
    ],
)
def test_a_pattern_stands_for_whole_channels(
    pattern: str, channel: str, allowed: object, builder: Signer, now: datetime
) -> None:
    """A star is any text; everything else is itself, from beginning to end."""
    trust = TrustPolicy(roles={"approver": RoleKeys(keys=(builder.public_pem,), channels=(pattern,))})

    if allowed:
        assert keys_for(trust, "approver", now=now, channel=channel) == (builder.public_pem,)
    else:
        with pytest.raises(RefusedError, match="not on"):
            keys_for(trust, "approver", now=now, channel=channel)


def test_a_revoked_key_is_left_out(builder: Signer, stranger: Signer, now: datetime) -> None:
    """The other key of the role still works; without it the role is refused."""
    roles: dict[RoleName, RoleKeys] = {"builder": RoleKeys(keys=(builder.public_pem, stranger.public_pem))}
    one = TrustPolicy(roles=roles, revoked=Revoked(keys=(builder.key_id,)))
    both = TrustPolicy(roles=roles, revoked=Revoked(keys=(builder.key_id, stranger.key_id)))

    assert keys_for(one, "builder", now=now, channel=None) == (stranger.public_pem,)
    with pytest.raises(RefusedError, match="revoked"):
        keys_for(both, "builder", now=now, channel=None)


def test_a_threshold_is_never_forgotten(builder: Signer, stranger: Signer, now: datetime) -> None:
    """Whoever checks one signature cannot get the keys of a role that needs two."""
    keys = RoleKeys(keys=(builder.public_pem, stranger.public_pem), threshold=2)
    trust = TrustPolicy(roles={"approver": keys})

    with pytest.raises(RefusedError, match="needs 2 signatures"):
        keys_for(trust, "approver", now=now, channel=None)
    assert len(keys_for(trust, "approver", now=now, channel=None, signatures=2)) == 2


def test_every_role_has_its_rights_and_a_file_only_narrows_them(builder: Signer, now: datetime) -> None:
    """What a role may ever say is written in the code; asking for more is refused, with what there is to choose."""
    for role, rights in RIGHTS.items():
        for name in PREDICATE_TYPES:
            keys = RoleKeys(keys=(builder.public_pem,), predicates=(name,))
            trust = TrustPolicy(roles={role: keys})
            if name in rights and (role != "builder" or name == "release"):
                check_trust(trust, where="trust.toml")
                assert keys_for(trust, role, now=now, channel=None, predicate=name) == (builder.public_pem,)
                assert standing_keys(trust, role, predicate=name) == (builder.public_pem,)
            elif name not in rights:
                with pytest.raises(InputError, match=f"role {role} may never say {name}") as caught:
                    check_trust(trust, where="trust.toml")
                assert rights[0] in caught.value.hint


def test_no_role_has_the_rights_of_another() -> None:
    """A builder's key never decides, an approver's never releases; only a second build may be told by both."""
    builder, approver = set(RIGHTS["builder"]), set(RIGHTS["approver"])

    assert builder & approver == {"reproduced"}
    assert set(RIGHTS["promoter"]) == set(RIGHTS["oncall"]) == {"entry"}
    assert RIGHTS["overrider"] == ("override",)
    assert builder | approver | {"entry", "override"} == set(PREDICATE_TYPES)
    assert len(set(PREDICATE_TYPES.values())) == len(PREDICATE_TYPES)


def test_keys_come_only_for_what_their_role_may_say(builder: Signer, now: datetime) -> None:
    """Asked without a predicate, for the role's own word: so that no caller can forget it."""
    keys = RoleKeys(keys=(builder.public_pem,), predicates=("release", "provenance"))
    trust = TrustPolicy(roles={"builder": keys})

    assert keys_for(trust, "builder", now=now, channel=None) == (builder.public_pem,)
    for name, hint in (("integrity", "add it"), ("decision", "can never say")):
        with pytest.raises(RefusedError, match=f"release, provenance, not {name}") as caught:
            keys_for(trust, "builder", now=now, channel=None, predicate=cast("PredicateName", name))
        assert hint in caught.value.hint
        with pytest.raises(RefusedError, match=f"not {name}"):
            standing_keys(trust, "builder", predicate=cast("PredicateName", name))
    deaf = TrustPolicy(roles={"approver": RoleKeys(keys=(builder.public_pem,), predicates=("vsa",))})
    with pytest.raises(RefusedError, match="may say vsa, not decision"):
        keys_for(deaf, "approver", now=now, channel=None)


@pytest.mark.parametrize(
    ("predicates", "required", "says"),
    [
        ((), ("release",), "may say nothing"),
        (None, (), "does not list release"),
        (None, ("provenance",), "does not list release"),
        (None, ("release", "entry"), "never in a bundle"),
        (None, ("release", "vsa"), "no role here may say vsa"),
        (("provenance",), ("release",), "no role here may say release"),
    ],
    ids=["no rights", "nothing", "no release", "entry", "nobody", "narrowed away"],
)
def test_demands_that_make_no_sense_are_refused(
    predicates: tuple[PredicateName, ...] | None, required: tuple[PredicateName, ...], says: str, builder: Signer
) -> None:
    """A demand that no bundle can meet, or that leaves out what says which bundle it is."""
    keys = RoleKeys(keys=(builder.public_pem,), predicates=predicates)

    with pytest.raises(InputError, match=says) as caught:
        check_trust(TrustPolicy(roles={"builder": keys}, required=required), where="trust.toml")
    assert caught.value.hint


def test_rights_and_demands_survive_writing_and_reading(tmp_path: Path, trust: TrustPolicy) -> None:
    """As people write them; a name that is none is refused where it stands."""
    narrow = trust.roles["builder"].model_copy(update={"predicates": ("release", "provenance")})
    full = trust.model_copy(
        update={"required": ("release", "provenance", "vsa"), "roles": {**trust.roles, "builder": narrow}}
    )
    text = write_trust(full)

    assert 'predicates = ["release", "provenance"]' in text
    assert read_trust(written(tmp_path, text)) == full
    with pytest.raises(InputError, match="roles/builder/predicates"):
        read_trust(written(tmp_path, text.replace('["release", "provenance"]', '["release", "anything"]')))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_of_each_algorithm_can_be_trusted(tmp_path: Path, algorithm: Algorithm, now: datetime) -> None:
    """Written, read and handed out in its one PEM."""
    public = load_signer(new_key(None, algorithm), None).public_pem
    trust = read_trust(written(tmp_path, write_trust(TrustPolicy(roles={"builder": RoleKeys(keys=(public.strip(),))}))))

    assert keys_for(trust, "builder", now=now, channel=None) == (public,)


def test_one_key_in_two_point_forms_is_listed_twice(tmp_path: Path) -> None:
    """A compressed point is the same key: it would reach a threshold of two by itself."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    forms = (serialization.PublicFormat.UncompressedPoint, serialization.PublicFormat.CompressedPoint)
    head = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
    pems = []
    for form in forms:
        point = key.public_bytes(serialization.Encoding.X962, form)
        bits = bytes([3, len(point) + 1, 0]) + point
        der = bytes([0x30, len(head) + len(bits)]) + head + bits
        pems.append(f"-----BEGIN PUBLIC KEY-----\n{base64.encodebytes(der).decode()}-----END PUBLIC KEY-----\n")
    keys = ",".join(f'"""{pem}"""' for pem in pems)

    assert pems[0] != pems[1]
    with pytest.raises(InputError, match="listed twice"):
        read_trust(written(tmp_path, f"[roles.builder]\nthreshold = 2\nkeys = [{keys}]\n"))


IDENTITY = Identity(issuer="https://issuer.example.com", subject="https://example.com/ship.yml@refs/heads/main")
ROOT = (
    '{"certificateAuthorities":[{}],"ctlogs":[{}],'
    '"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","tlogs":[{}]}'
)
IDENTIFIED = TrustPolicy(roles={"builder": RoleKeys(identities=(IDENTITY,))}, sigstore=Sigstore(trusted_root=ROOT))
TABLE = '[roles.builder]\nidentities = [{ issuer = "https://issuer.example.com", subject = "who@example.com" }]\n'


def test_a_policy_of_identities_survives_writing_and_reading(tmp_path: Path, builder: Signer) -> None:
    """With keys beside them or without, and with identities revoked; the root is in the file."""
    keys = RoleKeys(keys=(builder.public_pem,), identities=(IDENTITY,), threshold=2)
    both = IDENTIFIED.model_copy(update={"roles": {"builder": keys}, "revoked": Revoked(identities=(IDENTITY,))})

    for policy in (IDENTIFIED, both):
        assert read_trust(written(tmp_path, write_trust(policy))) == policy


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "beside"])
def test_a_root_comes_back_in_the_policy(inline: object, tmp_path: Path) -> None:
    """Named by a path beside the policy or written into it, in any spelling: one digest, and no file needed later."""
    spelt = json.dumps(json.loads(ROOT), indent=1)
    (tmp_path / "root.json").write_text(spelt)
    text = TABLE + f"[sigstore]\ntrusted_root = {json.dumps(spelt) if inline else json.dumps('root.json')}\n"

    read = read_trust(written(tmp_path, text))
    assert read.sigstore == Sigstore(trusted_root=ROOT)
    assert keys_for(read, "builder", now=datetime.now(UTC), channel=None) == (
        Identified("https://issuer.example.com", "who@example.com", ROOT),
    )
    assert [party.root for party in standing_keys(read, "builder") if isinstance(party, Identified)] == [ROOT]


@pytest.mark.parametrize(
    ("root", "why"),
    [
        ("none.json", "cannot be read"),
        (".", "cannot be read"),
        ("nul\0", "cannot be read"),
        ("bytes.json", "not UTF-8"),
        ("large.json", "not usable JSON|not a trusted root"),
        ("{", "not usable JSON"),
        ('{"a":NaN}', "not usable JSON"),
        ("{}", "not a trusted root"),
        ("list.json", "not a trusted root"),
        (ROOT.replace("trustedroot", "bundle"), "not a trusted root"),
        (ROOT.replace('"ctlogs":[{}]', '"ctlogs":[]'), "has no ctlogs"),
        (ROOT.replace('"tlogs":[{}]', '"tlogs":{}'), "has no tlogs"),
    ],
    ids=[
        "no file",
        "folder",
        "no path",
        "bytes",
        "large",
        "open",
        "nan",
        "empty",
        "list",
        "other kind",
        "no logs",
        "no list",
    ],
)
def test_a_root_that_cannot_be_used_is_refused(root: str, why: str, tmp_path: Path) -> None:
    """When the policy is read, not when the first certificate comes."""
    (tmp_path / "bytes.json").write_bytes(b"\xff")
    (tmp_path / "large.json").write_bytes(b" " * (1024 * 1024 + 1))
    (tmp_path / "list.json").write_bytes(b"[]")

    with pytest.raises(InputError, match=why):
        read_trust(written(tmp_path, TABLE + f"[sigstore]\ntrusted_root = {json.dumps(root)}\n"))


def test_identities_without_a_root_are_refused(tmp_path: Path) -> None:
    """Nothing would certify them."""
    with pytest.raises(InputError, match="no root") as caught:
        read_trust(written(tmp_path, TABLE))
    assert "trusted_root" in caught.value.hint


@pytest.mark.parametrize(
    "identity",
    [
        {"issuer": "https://issuer.example.com", "subject": "https://example.com/*"},
        {"issuer": "https://*", "subject": "x"},
        {"issuer": "http://issuer.example.com", "subject": "x"},
        {"issuer": "https://issuer.example.com", "subject": ""},
        {"issuer": "https://issuer.example.com"},
        {"subject": "x"},
    ],
    ids=["star", "any issuer", "plain http", "empty", "no subject", "no issuer"],
)
def test_an_identity_is_whole_and_no_pattern(identity: dict[str, str], tmp_path: Path) -> None:
    """A star would be read as any text by people, and by nothing else."""
    pairs = ", ".join(f"{key} = {json.dumps(value)}" for key, value in identity.items())

    with pytest.raises(InputError):
        read_trust(written(tmp_path, f"[roles.builder]\nidentities = [{{ {pairs} }}]\n"))


def test_an_identity_holds_one_role_once(builder: Signer) -> None:
    """As a key does; a threshold counts it once and no higher than there are parties."""
    other = RoleKeys(keys=(builder.public_pem,), identities=(IDENTITY,))
    policies = {
        "also has the role builder": {**IDENTIFIED.roles, "approver": other},
        "listed twice": {"builder": RoleKeys(identities=(IDENTITY, IDENTITY))},
        "threshold 3 of 2": {"builder": other.model_copy(update={"threshold": 3})},
        "neither keys nor identities": {"builder": RoleKeys()},
    }
    for why, roles in policies.items():
        with pytest.raises(InputError, match=why):
            check_trust(IDENTIFIED.model_copy(update={"roles": roles}), where="trust.toml")
    check_trust(IDENTIFIED.model_copy(update={"roles": {"builder": other}}), where="trust.toml")


def test_a_revoked_identity_is_left_out(builder: Signer, now: datetime) -> None:
    """The role's key still works; a key of that id is not meant."""
    roles: dict[RoleName, RoleKeys] = {"builder": RoleKeys(keys=(builder.public_pem,), identities=(IDENTITY,))}
    policy = IDENTIFIED.model_copy(update={"roles": roles, "revoked": Revoked(identities=(IDENTITY,))})

    assert keys_for(policy, "builder", now=now, channel=None) == (builder.public_pem,)
    assert standing_keys(policy, "builder") == (builder.public_pem,)
    alone = IDENTIFIED.model_copy(update={"revoked": policy.revoked})
    with pytest.raises(RefusedError, match="revoked"):
        keys_for(alone, "builder", now=now, channel=None)
    with pytest.raises(RefusedError, match="no standing key"):
        standing_keys(alone, "builder")


def test_a_policy_of_keys_alone_has_the_bytes_it_always_had(trust: TrustPolicy) -> None:
    """A registry made before there were identities still opens: unused, the fields are not written."""
    data = trust.to_bytes()

    assert b"identities" not in data
    assert b"sigstore" not in data
    assert TrustPolicy.from_bytes(data) == trust
    assert {"sigstore", "roles"} <= json.loads(IDENTIFIED.to_bytes()).keys()
    assert TrustPolicy.from_bytes(IDENTIFIED.to_bytes()) == IDENTIFIED
