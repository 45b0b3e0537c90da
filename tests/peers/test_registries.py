"""A real registry and other people's clients carry a bundle without changing it. Run by ``make test-peers``."""

import hashlib
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from candidate.adapters.attest import Signer, load_signer, new_key
from candidate.errors import RefusedError
from candidate.flows.importing import import_bundle
from candidate.flows.showing import unpack
from candidate.flows.transporting import fallback_tag, pull, push
from tests.bundles import sealed, tiny_recipe

SKOPEO = ["skopeo", "--insecure-policy"]
ATTESTED_FILES = {"claims.jsonl", "model.sig"}
"""What ``unpack`` lays out of the attestations, beside the members."""


@pytest.fixture(scope="module")
def builder() -> Signer:
    """A builder's key."""
    return load_signer(new_key(None), None)


@pytest.fixture(scope="module")
def bundle(builder: Signer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with two attestations."""
    path = tmp_path_factory.mktemp("built") / "tiny-1.0.0.candidate"
    path.write_bytes(sealed(tiny_recipe(), builder, integrity=True))
    return path


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's docker-registry on a free loopback port."""
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "store")}},
        "http": {"addr": address},
    }
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log)
        try:
            _wait(f"http://{address}/v2/", process, folder / "log")
            yield address
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(200):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(log.read_text())


def skopeo(*arguments: str | Path) -> bytes:
    """Run skopeo and return what it prints."""
    command = [*SKOPEO, *(str(argument) for argument in arguments)]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def tree(folder: Path) -> dict[str, bytes]:
    """Every file under a folder, without what the attestations are laid out as."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if name not in ATTESTED_FILES}


def test_what_we_push_we_pull_byte_for_byte(host: str, bundle: Path, builder: Signer, tmp_path: Path) -> None:
    """A registry without the referrers API keeps the attestations under the tag that stands in for it."""
    target = tmp_path / "got.candidate"
    first = push(bundle, f"{host}/ours/tiny")
    again = push(bundle, f"{host}/ours/tiny")
    pulled = pull(f"{host}/ours/tiny:1.0.0", target, public_key=builder.public_pem)

    assert (first.referrers, first.attestations, again.sent) == ("tag", 2, 0)
    assert (pulled.attestations, pulled.verified) == (2, True)
    assert target.read_bytes() == bundle.read_bytes()


def test_skopeo_reads_what_we_push(host: str, bundle: Path, tmp_path: Path) -> None:
    """The manifest that skopeo inspects and the one that it copies out have the bundle's identity."""
    digest = push(bundle, f"{host}/read/tiny").bundle.digest
    raw = skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{host}/read/tiny:1.0.0")
    skopeo("copy", "--src-tls-verify=false", f"docker://{host}/read/tiny:1.0.0", f"oci:{tmp_path / 'layout'}:1.0.0")
    index = json.loads((tmp_path / "layout" / "index.json").read_bytes())
    listed = skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{host}/read/tiny:{fallback_tag(digest)}")

    assert "sha256:" + hashlib.sha256(raw).hexdigest() == digest
    assert index["manifests"][0]["digest"] == digest
    assert len(json.loads(listed)["manifests"]) == 2


def test_a_copy_by_skopeo_loses_the_attestations_and_we_notice(host: str, bundle: Path, tmp_path: Path) -> None:
    """Skopeo carries the tagged manifest alone: same identity, nothing that says it is a release, exit code 7."""
    digest = push(bundle, f"{host}/first/tiny").bundle.digest
    reference = f"{host}/theirs/tiny:1"
    skopeo("copy", "--dest-tls-verify=false", f"oci-archive:{bundle}:1.0.0", f"docker://{reference}")
    with pytest.raises(RefusedError, match="stripped") as caught:
        pull(reference, tmp_path / "got.candidate")
    bare = pull(reference, tmp_path / "bare.candidate", allow_unattested=True)

    assert caught.value.exit_code == 7
    assert [path.name for path in tmp_path.iterdir()] == ["bare.candidate"]
    assert (bare.bundle.digest, bare.attestations) == (digest, 0)


def test_import_reads_what_skopeo_writes(bundle: Path, tmp_path: Path) -> None:
    """A folder and an archive by skopeo give back the same identity, and say that the attestations are gone."""
    found = []
    for kind in ("oci", "oci-archive"):
        made = tmp_path / kind
        skopeo("copy", f"oci-archive:{bundle}:1.0.0", f"{kind}:{made}:1.0.0")
        result = import_bundle(made, out=tmp_path / f"out-{kind}")
        found.append((result.bundle.digest, result.attestations, result.released, Path(result.path).read_bytes()))

    assert found[0] == found[1]
    assert found[0][0] == identity(bundle)
    assert found[0][1:3] == (0, False)


def identity(bundle: Path) -> str:
    """The identity in a bundle file, as skopeo sees it."""
    raw = skopeo("inspect", "--raw", f"oci-archive:{bundle}:1.0.0")
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def test_a_nested_index_carries_everything(host: str, bundle: Path, tmp_path: Path) -> None:
    """Content and attestations in one index survive ``skopeo copy --all`` to a registry and back, and import whole."""
    layout = tmp_path / "layout"
    subprocess.run([sys.executable, "-m", "tarfile", "-e", str(bundle), str(layout)], timeout=60, check=True)
    inner = (layout / "index.json").read_bytes()
    digest = hashlib.sha256(inner).hexdigest()
    (layout / "blobs" / "sha256" / digest).write_bytes(inner)
    notes = {"org.opencontainers.image.ref.name": "all"}
    kind = "application/vnd.oci.image.index.v1+json"
    entry: dict[str, Any] = {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(inner), "annotations": notes}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{layout}:all", f"docker://{host}/nested/tiny:all")
    copy = tmp_path / "copy"
    skopeo("copy", "--all", "--src-tls-verify=false", f"docker://{host}/nested/tiny:all", f"oci:{copy}:all")
    result = import_bundle(copy, out=tmp_path, tag="all")

    assert (result.attestations, result.released) == (2, True)
    assert Path(result.path).read_bytes() == bundle.read_bytes()


def test_oras_pulls_the_tree_that_we_unpack(host: str, bundle: Path, tmp_path: Path) -> None:
    """The oras client lays out the same files as ``candidate unpack``."""
    push(bundle, f"{host}/oras/tiny")
    unpack(bundle, tmp_path / "ours")
    program = "import sys, oras.client; oras.client.OrasClient(insecure=True).pull(sys.argv[1], outdir=sys.argv[2])"
    command = [sys.executable, "-c", program, f"{host}/oras/tiny:1.0.0", str(tmp_path / "theirs")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "theirs") == tree(tmp_path / "ours")
    assert len(tree(tmp_path / "ours")) > 10


def test_a_large_bundle_is_never_held_in_memory(host: str, builder: Signer, tmp_path: Path) -> None:
    """A bundle of 400 MiB goes there and back, and by import, in processes that stay below half of that."""
    recipe = tiny_recipe().copy()
    recipe.members["data/large.bin"] = ("dataset", bytes(range(256)) * (400 << 12))
    bundle = tmp_path / "large.candidate"
    bundle.write_bytes(sealed(recipe, builder))
    program = """
import re, sys
from candidate.cli.app import run
code = run(sys.argv[1:])
print(code, int(re.search(r"VmHWM:\\s+([0-9]+) kB", open("/proc/self/status").read())[1]) >> 10)
"""
    got = str(tmp_path / "got.candidate")
    for arguments in (
        ("push", str(bundle), f"{host}/large/tiny"),
        ("pull", f"{host}/large/tiny:1.0.0", got),
        ("import", got, "--out", str(tmp_path / "out")),
    ):
        command = [sys.executable, "-c", program, *arguments, "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
        code, mebibytes = (int(word) for word in done.stdout.split())

        assert code == 0, done.stderr
        assert mebibytes < 200, arguments
    assert Path(got).stat().st_size == bundle.stat().st_size
