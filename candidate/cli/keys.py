"""Commands to begin with: init, key new, key show, key import, trust."""

from pathlib import Path
from typing import Annotated

import typer

from candidate.cli import output
from candidate.cli.options import Json, Quiet
from candidate.documents.names import Host, RoleName, Service
from candidate.documents.publickey import Algorithm
from candidate.errors import InputError

key = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help=(
        "Keys: ECDSA P-256, Ed25519 or ML-DSA-65, PEM, encrypted by default; or key files that name a key in a KMS "
        "or an HSM. The passphrase or PIN is read from the file named by $CANDIDATE_KEY_PASSPHRASE_FILE, else from "
        "$CANDIDATE_KEY_PASSPHRASE, else asked for; never from the command line. For a second --key, the same "
        "variables with _2 at the end go first. `--key keyless` signs by the identity that CI offers or "
        "$SIGSTORE_ID_TOKEN holds, through sigstore, or the one whose client configuration "
        "$CANDIDATE_SIGSTORE_CONFIG names."
    ),
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command()(init)
    app.command()(trust)
    app.add_typer(key, name="key")


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to write.")] = Path(),
    ci: Annotated[Service, typer.Option("--ci", help="Whose CI the project is built by.")] = "github",
    deploy: Annotated[Host | None, typer.Option("--deploy", help="Also write a unit for a server.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write candidate.toml, policy.toml, trust.toml and a CI workflow to start from; nothing is overwritten."""
    from candidate.documents.results import Written
    from candidate.flows.starting import templates

    files = templates(ci, deploy)
    taken = [name for name in files if (folder / name).exists()]
    if taken:
        raise InputError(f"{', '.join(taken)} exists already", where=str(folder), hint="nothing was written")
    for name, text in files.items():
        output.write_new(folder / name, text.encode())
    result = Written(files=tuple(str(folder / name) for name in files))
    output.emit(result, "\n".join(f"wrote {name}" for name in result.files), as_json=as_json, quiet=quiet)


@key.command("new")
def key_new(
    path: Annotated[Path, typer.Argument(metavar="KEY", help="Private key to write; the public one goes beside it.")],
    algorithm: Annotated[Algorithm, typer.Option("--algorithm", help="How the key signs.")] = "ecdsa-p256",
    plain: Annotated[bool, typer.Option("--unsafe-no-passphrase", help="Write the key unencrypted.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a key pair: KEY (mode 0600) and KEY with the ending .pub.pem."""
    from candidate.adapters.attest import new_key
    from candidate.adapters.signers import key_info
    from candidate.report.text import key_text

    word = None if plain else output.passphrase(confirm=True)
    if word is None and not plain:
        raise InputError(
            "no passphrase for the new key",
            where="key new",
            hint=f"set ${output.PASSPHRASE_FILE} or ${output.PASSPHRASE}, or ask for --unsafe-no-passphrase",
        )
    pem = new_key(word, algorithm)
    made = key_info(pem, word, where=str(path))
    public = path.with_suffix(".pub.pem")
    output.write_new(path, pem, mode=0o600)
    try:
        output.write_new(public, made.public_key.encode())
    except BaseException:
        path.unlink()
        raise
    result = made.model_copy(update={"files": (str(path), str(public))})
    output.emit(result, f"wrote {path} and {public}\n{key_text(result)}", as_json=as_json, quiet=quiet)


@key.command("show")
def key_show(
    path: Annotated[Path, typer.Argument(metavar="KEY", help="A private or a public key, or a key file.")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print a key's public half, its algorithm and its id."""
    from candidate.adapters.signers import key_info
    from candidate.report.text import key_text

    data = output.read_bytes(path)
    result = key_info(data, output.secret_of(path, data) if b"PRIVATE KEY" in data else None, where=str(path))
    output.emit(result, f"{result.public_key}{key_text(result)}", as_json=as_json, quiet=quiet)


@key.command("import")
def key_import(
    uri: Annotated[str, typer.Argument(metavar="URI", help="Where the key is: awskms:, gcpkms:, azurekms:, hv:, hsm:")],
    path: Annotated[Path, typer.Argument(metavar="KEYFILE", help="Key file to write; name it with --key.")],
    public: Annotated[Path, typer.Option("--public", help="Its public key (PEM): what signs there is held to it.")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a key file for a private key that stays where it is, in a KMS or an HSM."""
    from candidate.adapters.signers import key_file, key_info, write_key_file
    from candidate.report.text import key_text

    made = key_file(uri, output.read_bytes(public).decode("ascii", "replace"), where=str(public))
    text = write_key_file(made).encode()
    output.write_new(path, text)
    result = key_info(text, where=str(path))
    output.emit(result, f"wrote {path}\n{key_text(result)}", as_json=as_json, quiet=quiet)


def trust(
    out: Annotated[Path, typer.Argument(metavar="TRUST", help="The trust.toml to write.")],
    builder: Annotated[list[Path], typer.Option("--builder", help="Public key that may sign bundles.")],
    approver: Annotated[list[Path], typer.Option("--approver", help="Public key that may sign decisions.")],
    promoter: Annotated[list[Path], typer.Option("--promoter", help="Public key that may promote and roll back.")],
    oncall: Annotated[list[Path] | None, typer.Option("--oncall", help="Public key that may only roll back.")] = None,
    overrider: Annotated[
        list[Path] | None, typer.Option("--overrider", help="Public key that may override an inconclusive verdict.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a trust policy: which public keys may say what."""
    from candidate.adapters.trust import write_trust
    from candidate.flows.starting import TRUST_FILE, templates, trust_of

    files: dict[RoleName, list[Path]] = {
        "builder": builder,
        "approver": approver,
        "promoter": promoter,
        "oncall": oncall or [],
        "overrider": overrider or [],
    }
    policy = trust_of(
        {role: [output.read_bytes(path).decode("ascii", "replace") for path in paths] for role, paths in files.items()}
    )
    if out.is_file() and output.read_bytes(out) == templates()[TRUST_FILE].encode():
        out.unlink()  # what `init` wrote, which trusts nobody yet
    output.write_new(out, write_trust(policy).encode())
    output.emit(policy, f"wrote {out}", as_json=as_json, quiet=quiet)
