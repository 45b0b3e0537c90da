"""The hostile corpus: every known way to make a bundle lie, and the leaf it must end in."""

import io
import json
import os
import random
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from candidate.adapters.archive import Archive, archive_bytes
from candidate.adapters.attest import Signer, attest
from candidate.adapters.graph import canonical_graph, inspect_graph
from candidate.adapters.oci import Content, attestation_blobs, index_of, release_statement
from candidate.adapters.tensors import tensor_bytes
from candidate.document import canonical, digest_of
from candidate.documents.evidence import BundleRef
from candidate.documents.manifest import (
    CARD_PATH,
    EXPERIMENT_PATH,
    INPUT_SCHEMA_PATH,
    MODEL_PATH,
    SIGNATURE_PATH,
    TOLERANCE_PATH,
    Descriptor,
    Role,
)
from candidate.documents.statement import DECISION_TYPE, Statement
from candidate.documents.trust import Revoked, RoleKeys, TrustPolicy
from candidate.errors import CandidateError, IntegrityError, RefusedError
from candidate.flows.verifying import check_decision, verify
from tests.bundles import (
    NAME,
    VERSION,
    Recipe,
    decision_statement,
    go_decision,
    members_of,
    pack,
    release,
    sealed,
    tar_of,
    tiny_model,
    tiny_recipe,
    tiny_signature,
)

PICKLE = b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94."


@dataclass
class Kit:
    """What an attacker has: a good bundle, and keys that should not be enough."""

    data: bytes
    recipe: Recipe
    builder: Signer
    approver: Signer
    stranger: Signer

    @property
    def content(self) -> Content:
        """Content manifest and blobs of the good bundle."""
        return tiny_recipe().content()

    def signed(self, spoil: Callable[[Recipe], object]) -> bytes:
        """A bundle spoiled before a trusted builder signed it: only inspection can find that."""
        spoil(self.recipe)
        return sealed(self.recipe, self.builder)

    def tar(
        self, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], object], form: int = tarfile.USTAR_FORMAT
    ) -> bytes:
        """The good bundle with its tar members changed."""
        members = members_of(self.data)
        change(members)
        return tar_of(members, form)

    def statement(self, statement: Statement, signer: Signer) -> bytes:
        """The good content with another attestation."""
        return pack(self.content, (attest(statement, signer).to_bytes(),))


@pytest.fixture
def kit(bundle_bytes: bytes, recipe: Recipe, builder: Signer, approver: Signer, stranger: Signer) -> Kit:
    """A fresh kit."""
    return Kit(data=bundle_bytes, recipe=recipe, builder=builder, approver=approver, stranger=stranger)


def info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    """A tar member."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size, member.mode = kind, target, size, 0o644
    return member


Tar = list[tuple[tarfile.TarInfo, bytes]]
LINK = "blobs/sha256/" + "0" * 64


def swap(members: Tar, one: int, other: int) -> None:
    """Swap two members."""
    members[one], members[other] = members[other], members[one]


def swap_data(members: Tar) -> None:
    """Give two blobs each other's bytes, under each other's size."""
    (first, one), (second, two) = members[3], members[4]
    first.size, second.size = len(two), len(one)
    members[3], members[4] = (first, two), (second, one)


def retouch(**fields: object) -> Callable[[Tar], None]:
    """Change a field in the header of the third member."""

    def change(members: Tar) -> None:
        for key, value in fields.items():
            setattr(members[2][0], key, value)

    return change


CONTAINERS: dict[str, Callable[[Kit], bytes]] = {
    "empty file": lambda _: b"",
    "zero bytes": lambda _: bytes(10_240),
    "not a tar": lambda _: b"PK\x03\x04" + bytes(20_476),
    "truncated to a record": lambda kit: kit.data[:-10_240],
    "truncated in a block": lambda kit: kit.data[:-1],
    "one byte appended": lambda kit: kit.data + b"\0",
    "a zero record appended": lambda kit: kit.data + bytes(10_240),
    "a second archive appended": lambda kit: kit.data + kit.data,
    "data after the last member": lambda kit: kit.data[:-1] + b"x",
    "members swapped": lambda kit: kit.tar(lambda members: swap(members, 3, 4)),
    "index before layout": lambda kit: kit.tar(lambda members: swap(members, 0, 1)),
    "blobs swapped": lambda kit: kit.tar(swap_data),
    "no layout": lambda kit: kit.tar(lambda members: members.pop(0)),
    "no index": lambda kit: kit.tar(lambda members: members.pop(1)),
    "duplicate index": lambda kit: kit.tar(lambda members: members.insert(2, members[1])),
    "duplicate blob": lambda kit: kit.tar(lambda members: members.insert(4, members[3])),
    "symbolic link": lambda kit: kit.tar(
        lambda members: members.insert(2, (info(LINK, tarfile.SYMTYPE, "/etc/passwd"), b""))
    ),
    "hard link": lambda kit: kit.tar(
        lambda members: members.insert(2, (info(LINK, tarfile.LNKTYPE, "index.json"), b""))
    ),
    "device": lambda kit: kit.tar(lambda members: members.insert(2, (info(LINK, tarfile.CHRTYPE), b""))),
    "pipe": lambda kit: kit.tar(lambda members: members.insert(2, (info(LINK, tarfile.FIFOTYPE), b""))),
    "folder": lambda kit: kit.tar(lambda members: members.insert(2, (info("blobs", tarfile.DIRTYPE), b""))),
    "path upwards": lambda kit: kit.tar(lambda members: members.insert(2, (info("../x"), b""))),
    "absolute path": lambda kit: kit.tar(lambda members: members.insert(2, (info("/etc/cron.d/x"), b""))),
    "unknown member": lambda kit: kit.tar(lambda members: members.insert(2, (info("setup.py"), b""))),
    "digest in capitals": lambda kit: kit.tar(
        lambda members: members.insert(2, (info("blobs/sha256/" + "A" * 64), b""))
    ),
    "PAX header": lambda kit: kit.tar(retouch(pax_headers={"comment": "x"}), tarfile.PAX_FORMAT),
    "GNU header": lambda kit: kit.tar(lambda _: None, tarfile.GNU_FORMAT),
    "owner": lambda kit: kit.tar(retouch(uname="root")),
    "user id": lambda kit: kit.tar(retouch(uid=1)),
    "executable": lambda kit: kit.tar(retouch(mode=0o755)),
    "time": lambda kit: kit.tar(retouch(mtime=1)),
    "link name": lambda kit: kit.tar(retouch(linkname="x")),
    "size in another base": lambda kit: kit.data.replace(kit.data[124:136], b"\x80" + kit.data[125:136], 1),
    "size beyond the file": lambda kit: kit.data.replace(kit.data[124:135], b"77777777777", 1),
    "checksum with a space": lambda kit: kit.data[:154] + b" \0" + kit.data[156:],
}


def drop_blob(kit: Kit, blob: bytes | None = None) -> bytes:
    """The good bundle without one of its blobs."""
    content = kit.content
    blobs = dict(content.blobs)
    del blobs[content.digest if blob is None else digest_of(blob)]
    return repacked(kit, blobs)


def repacked(kit: Kit, blobs: dict[str, bytes]) -> bytes:
    """These blobs under the good bundle's index, with its attestation."""
    content = kit.content
    attestation = attest(release(content), kit.builder).to_bytes()
    descriptor, more = attestation_blobs(content.descriptor, attestation, release(content).predicate_type)
    return archive_bytes(index=index_of(content, VERSION, [descriptor]), blobs={**blobs, **more})


def reindexed(kit: Kit, change: Callable[[dict[str, object]], object]) -> bytes:
    """The good bundle under a changed index, canonical again."""
    members = members_of(kit.data)
    index = json.loads(members[1][1])
    change(index)
    blobs = {"sha256:" + member.name.split("/")[-1]: data for member, data in members[2:]}
    return archive_bytes(index=canonical(index), blobs=blobs)


def raw_index(kit: Kit, index: bytes) -> bytes:
    """The good bundle under these bytes of an index."""
    blobs = {"sha256:" + member.name.split("/")[-1]: data for member, data in members_of(kit.data)[2:]}
    return archive_bytes(index=index, blobs=blobs)


def remanifested(kit: Kit, change: Callable[[dict[str, object]], object], *, raw: bytes | None = None) -> bytes:
    """A changed content manifest that a trusted builder signed: layers and listing disagree."""
    content = kit.content
    manifest = json.loads(content.manifest)
    change(manifest)
    data = canonical(manifest) if raw is None else raw
    digest = digest_of(data)
    blobs = {key: value for key, value in content.blobs.items() if key != content.digest}
    changed = Content(manifest=data, digest=digest, blobs={**blobs, digest: data})
    return pack(changed, (attest(release(changed), kit.builder).to_bytes(),))


def entries(index: dict[str, object]) -> list[dict[str, object]]:
    """The manifests of an index, or the layers of a manifest."""
    found = index.get("manifests", index.get("layers"))
    assert isinstance(found, list)
    return found


def index_text(kit: Kit) -> bytes:
    """The good bundle's index."""
    return members_of(kit.data)[1][1]


def notes(entry: dict[str, object]) -> dict[str, str]:
    """Annotations of a descriptor."""
    found = entry["annotations"]
    assert isinstance(found, dict)
    return found


LISTINGS: dict[str, Callable[[Kit], bytes]] = {
    "manifest blob missing": drop_blob,
    "member blob missing": lambda kit: drop_blob(kit, b"# tiny\n"),
    "unlisted blob": lambda kit: repacked(kit, {**kit.content.blobs, digest_of(b"stowaway"): b"stowaway"}),
    "index with white space": lambda kit: raw_index(kit, index_text(kit) + b"\n"),
    "index with a repeated key": lambda kit: raw_index(kit, index_text(kit).replace(b"{", b'{"schemaVersion":2,', 1)),
    "index with an escaped key": lambda kit: raw_index(
        kit, index_text(kit).replace(b'"manifests"', b'"manifest\\u0073"', 1)
    ),
    "index with a byte order mark": lambda kit: raw_index(kit, b"\xef\xbb\xbf" + index_text(kit)),
    "index nested deeply": lambda kit: raw_index(kit, b"[" * 100_000),
    "index with an unknown field": lambda kit: reindexed(kit, lambda index: index.update(extra=1)),
    "index without entries": lambda kit: reindexed(kit, lambda index: index.update(manifests=[])),
    "index of another version": lambda kit: reindexed(
        kit, lambda index: notes(entries(index)[0]).update({"org.opencontainers.image.ref.name": "2.0.0"})
    ),
    "index with a wrong size": lambda kit: reindexed(kit, lambda index: entries(index)[0].update(size=1)),
    "index with a number beyond 2**53": lambda kit: raw_index(
        kit, index_text(kit).replace(b'"size":', b'"size":9007199254740993', 1)
    ),
    "index entries swapped": lambda kit: reindexed(kit, lambda index: entries(index).reverse()),
    "attestation listed twice": lambda kit: reindexed(kit, lambda index: entries(index).append(entries(index)[1])),
    "attestation under another type": lambda kit: reindexed(
        kit, lambda index: notes(entries(index)[1]).update({"dev.sigstore.bundle.predicateType": "x"})
    ),
    "layer dropped": lambda kit: remanifested(kit, lambda manifest: entries(manifest).pop(0)),
    "layer added": lambda kit: remanifested(
        kit,
        lambda manifest: entries(manifest).append(
            {
                **entries(manifest)[0],
                "annotations": {
                    **notes(entries(manifest)[0]),
                    "org.cncf.model.filepath": "z.md",
                    "org.opencontainers.image.title": "z.md",
                },
            }
        ),
    ),
    "layer twice": lambda kit: remanifested(kit, lambda manifest: entries(manifest).append(entries(manifest)[0])),
    "layers swapped": lambda kit: remanifested(kit, lambda manifest: entries(manifest).reverse()),
    "layer with two paths": lambda kit: remanifested(
        kit, lambda manifest: notes(entries(manifest)[0]).update({"org.opencontainers.image.title": "other.md"})
    ),
    "layer with another role": lambda kit: remanifested(
        kit, lambda manifest: notes(entries(manifest)[0]).update({"dev.candidate.role": "dataset"})
    ),
    "layer with another type": lambda kit: remanifested(
        kit, lambda manifest: entries(manifest)[0].update(mediaType="application/x-executable")
    ),
    "layer of another member": lambda kit: remanifested(
        kit,
        lambda manifest: entries(manifest)[0].update(
            digest=entries(manifest)[1]["digest"], size=entries(manifest)[1]["size"]
        ),
    ),
    "layer without annotations": lambda kit: remanifested(
        kit, lambda manifest: entries(manifest)[0].pop("annotations")
    ),
    "layer with an address": lambda kit: remanifested(
        kit, lambda manifest: entries(manifest)[0].update(urls=["https://example.com/"])
    ),
    "manifest not canonical": lambda kit: remanifested(kit, lambda _: None, raw=kit.content.manifest + b" "),
    "manifest with annotations": lambda kit: remanifested(
        kit, lambda manifest: manifest.update(annotations={"a": "b"})
    ),
    "manifest of another kind": lambda kit: remanifested(kit, lambda manifest: manifest.update(artifactType="x")),
}


def add(path: str, data: bytes = b"text\n", role: Role = "doc") -> Callable[[Recipe], None]:
    """Add a member whose path no document type lets through."""

    def spoil(recipe: Recipe) -> None:
        recipe.members[path] = (role, data)

    return spoil


def listed(path: str) -> Callable[[Kit], bytes]:
    """A bundle whose metadata lists a path that the document type would not write."""

    def spoil(kit: Kit) -> bytes:
        recipe = kit.recipe
        plain = "zzz.md"
        recipe.members[plain] = ("doc", b"text\n")
        content = recipe.content()
        manifest = json.loads(content.manifest)
        metadata = recipe.manifest().to_bytes().replace(b'"zzz.md"', json.dumps(path).encode())
        old = digest_of(recipe.manifest().to_bytes())
        for layer in manifest["layers"]:
            if layer["annotations"]["org.cncf.model.filepath"] == plain:
                layer["annotations"]["org.cncf.model.filepath"] = path
                layer["annotations"]["org.opencontainers.image.title"] = path
            if layer["digest"] == old:
                layer["digest"], layer["size"] = digest_of(metadata), len(metadata)
        data = canonical(manifest)
        blobs = {key: value for key, value in content.blobs.items() if key not in {old, content.digest}}
        blobs |= {digest_of(metadata): metadata, digest_of(data): data}
        changed = Content(manifest=data, digest=digest_of(data), blobs=blobs)
        return pack(changed, (attest(release(changed), kit.builder).to_bytes(),))

    return spoil


def set_member(path: str, change: Callable[[bytes], bytes]) -> Callable[[Kit], bytes]:
    """A bundle with the bytes of a member changed before it was signed."""

    def spoil(recipe: Recipe) -> None:
        role, data = recipe.members[path]
        recipe.members[path] = (role, change(data))

    return lambda kit: kit.signed(spoil)


def set_metadata(change: Callable[[bytes], bytes]) -> Callable[[Kit], bytes]:
    """A bundle with the bytes of ``candidate.json`` changed before it was signed."""

    def spoil(recipe: Recipe) -> None:
        recipe.manifest_bytes = change(recipe.manifest().to_bytes())

    return lambda kit: kit.signed(spoil)


def set_fields(path: str, **fields: object) -> Callable[[Kit], bytes]:
    """A bundle with fields of a JSON member changed before it was signed."""
    return set_member(path, lambda data: canonical({**json.loads(data), **fields}))


def without(path: str) -> Callable[[Kit], bytes]:
    """A bundle that never had a member."""
    return lambda kit: kit.signed(lambda recipe: recipe.members.pop(path))


def renamed(**fields: object) -> Callable[[Kit], bytes]:
    """A bundle whose descriptor says something unusable."""

    def spoil(recipe: Recipe) -> None:
        known = {"name": NAME, "version": VERSION, "created_at": "2026-01-01T00:00:00Z"}
        recipe.descriptor = Descriptor.model_validate(
            {**known, "description": "", "licenses": (), "revision": None, **fields}
        )

    return lambda kit: kit.signed(spoil)


def numpy_objects() -> bytes:
    """A NumPy file that holds a pickle."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


MEMBERS: dict[str, Callable[[Kit], bytes]] = {
    "pickle in a doc": lambda kit: kit.signed(add("notes.md", PICKLE)),
    "old pickle in a dataset": lambda kit: kit.signed(add("rows.bin", b"cos\nsystem\n(S'id'\ntR.", "dataset")),
    "pickle as the card": set_member(CARD_PATH, lambda data: PICKLE + data),
    "pickle as the graph": lambda kit: kit.signed(add(MODEL_PATH, PICKLE, "model")),
    "zip in a doc": lambda kit: kit.signed(add("notes.md", b"PK\x03\x04" + bytes(30))),
    "gzip in a dataset": lambda kit: kit.signed(add("rows.bin", b"\x1f\x8b\x08" + bytes(30), "dataset")),
    "HDF5 in a dataset": lambda kit: kit.signed(add("rows.bin", b"\x89HDF\r\n\x1a\n", "dataset")),
    "machine code in a doc": lambda kit: kit.signed(add("notes.md", b"\x7fELF\x02")),
    "object array": lambda kit: kit.signed(add("rows.npy", numpy_objects(), "dataset")),
    "ending of a pickle": lambda kit: kit.signed(add("model/extra.PKL", b"text", "dataset")),
    "ending of skops": lambda kit: kit.signed(add("estimator.skops", b"text")),
    "Windows device": lambda kit: kit.signed(add("docs/con.md")),
    "Windows printer": lambda kit: kit.signed(add("LPT1")),
    "trailing dot": lambda kit: kit.signed(add("docs./a.md")),
    "folder in another case": lambda kit: kit.signed(add("Model/notes.md")),
    "file that is a folder": lambda kit: kit.signed(add("model")),
    "path upwards": listed("zzz/../../x"),
    "path from the root": listed("/zzz.md"),
    "path with a drive": listed("z:zzz.md"),
    "path with a backslash": listed("zzz\\..\\x"),
    "path with an empty segment": listed("zzz//x"),
    "hidden path": listed("zzz/.ssh"),
    "path with a line end": listed("zzz.md\n"),
    "path with a space": listed("zzz .md"),
    "path in another script": listed("zz\u0456.md"),
    "path with a turning mark": listed("zz\u202eg.md"),
    "second graph": lambda kit: kit.signed(add("model/second.onnx", tiny_recipe().model, "model")),
    "second signature": lambda kit: kit.signed(add("other.json", tiny_signature().to_bytes(), "signature")),
    "weights nobody reads": lambda kit: kit.signed(add("model/w.data", b"1234", "weights")),
    "golden file nobody reads": lambda kit: kit.signed(add("golden/test_data_set_0/input_9.pb", b"", "golden")),
    "no graph": without(MODEL_PATH),
    "no signature": without(SIGNATURE_PATH),
    "no card": without(CARD_PATH),
    "no experiment": without(EXPERIMENT_PATH),
    "no tolerance": without(TOLERANCE_PATH),
    "no golden input": without("golden/test_data_set_0/input_1.pb"),
    "no golden output": without("golden/test_data_set_0/output_0.pb"),
    "name that steers a terminal": renamed(name="a\x1b[2J"),
    "name that is a path": renamed(name="../a"),
    "time that is none": renamed(created_at="yesterday"),
    "metadata not canonical": set_metadata(lambda data: data + b" "),
    "metadata with a repeated key": set_metadata(lambda data: data.replace(b"{", b'{"kind":"candidate.manifest",', 1)),
    "metadata with an unknown field": set_metadata(lambda data: canonical({**json.loads(data), "extra": 1})),
    "metadata of another kind": set_metadata(lambda data: data.replace(b"candidate.manifest", b"candidate.magazine")),
    "metadata with another role": set_metadata(lambda data: data.replace(b'"role":"doc"', b'"role":"golden"')),
    "metadata with another digest": set_metadata(
        lambda data: data.replace(digest_of(b"# tiny\n")[7:].encode(), b"0" * 64)
    ),
    "metadata without a file": set_metadata(
        lambda data: canonical({**json.loads(data), "files": json.loads(data)["files"][1:]})
    ),
    "metadata with files out of order": set_metadata(
        lambda data: canonical({**json.loads(data), "files": json.loads(data)["files"][::-1]})
    ),
    "metadata that is a list": set_metadata(lambda _: b"[]"),
    "experiment with a number that is none": set_member(
        EXPERIMENT_PATH, lambda data: data.replace(b'"numpy":0', b'"numpy":NaN')
    ),
    "experiment with an endless number": set_member(
        EXPERIMENT_PATH, lambda data: data.replace(b'"numpy":0', b'"numpy":' + b"1" * 5000)
    ),
    "tolerance that lets all pass": set_fields(TOLERANCE_PATH, absolute=1.0),
    "tolerance below zero": set_fields(TOLERANCE_PATH, absolute=-1.0),
    "tolerance with no rows": set_fields(TOLERANCE_PATH, rows=0),
    "tolerance with other rows": set_fields(TOLERANCE_PATH, rows=5),
    "bill of materials that is none": set_fields("mlbom.cdx.json", bomFormat="SPDX"),
}


def graph(change: Callable[[onnx.ModelProto], object], *, canonical_form: bool = True) -> Callable[[Kit], bytes]:
    """A bundle with another graph, signed; facts are those of the good one unless it passes."""

    def spoil(kit: Kit) -> bytes:
        model = tiny_model()
        change(model)
        data = canonical_graph(model) if canonical_form else model.SerializeToString()
        kit.recipe.members[MODEL_PATH] = ("model", data)
        return sealed(kit.recipe, kit.builder)

    return spoil


def outside(tensor: onnx.TensorProto, location: str) -> None:
    """Let a tensor keep its data in another file."""
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location


def constant_outside(model: onnx.ModelProto) -> None:
    """A Constant node whose attribute keeps its data in another file."""
    tensor = helper.make_tensor("secret", onnx.TensorProto.FLOAT, [1], [0.0])
    outside(tensor, ".env")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["secret"], value=tensor))


def foreign_operator(model: onnx.ModelProto) -> None:
    """An operator of somebody's library."""
    model.graph.node[2].domain = "com.microsoft"
    model.opset_import.add(domain="com.microsoft", version=1)


def hidden_operator(model: onnx.ModelProto) -> None:
    """An operator of somebody's library inside a subgraph."""
    branch = helper.make_graph(
        [helper.make_node("Evil", [], ["branch"], domain="evil")],
        "branch",
        [],
        [helper.make_tensor_value_info("branch", onnx.TensorProto.FLOAT, [1])],
    )
    flag = helper.make_tensor("flag", onnx.TensorProto.BOOL, [1], [True])
    model.graph.initializer.append(flag)
    node = helper.make_node("If", ["flag"], ["unused"], then_branch=branch, else_branch=branch)
    model.graph.node.append(node)


def twice_metadata(model: onnx.ModelProto) -> None:
    """One metadata key with two values."""
    for value in ("a", "b"):
        entry = model.metadata_props.add()
        entry.key, entry.value = "model_hash", value


def schema(**changes: object) -> Callable[[Kit], bytes]:
    """A bundle with a changed input schema."""
    return set_fields(INPUT_SCHEMA_PATH, **changes)


GRAPHS: dict[str, Callable[[Kit], bytes]] = {
    "not a graph": set_member(MODEL_PATH, lambda _: b"\xff" * 100),
    "graph cut short": set_member(MODEL_PATH, lambda data: data[:-3]),
    "graph not canonical": graph(lambda model: model.graph.__setattr__("doc_string", "x"), canonical_form=False),
    "external data": graph(lambda model: outside(model.graph.initializer[0], "w.data")),
    "external data upwards": graph(lambda model: outside(model.graph.initializer[0], "../../etc/passwd")),
    "external data in memory": graph(lambda model: outside(model.graph.initializer[0], "*/_ORT_MEM_ADDR_/*")),
    "external data in a constant": graph(constant_outside),
    "foreign operator": graph(foreign_operator),
    "foreign operator in a branch": graph(hidden_operator),
    "metadata twice": graph(twice_metadata, canonical_form=False),
    "another graph than the facts say": graph(lambda model: model.graph.node[2].__setattr__("op_type", "Tanh")),
    "signature with another name": set_fields(
        SIGNATURE_PATH,
        inputs=[{"name": name, "dtype": "float32", "shape": ["batch", 1]} for name in ("age", "wealth")],
    ),
    "signature with another type": set_member(SIGNATURE_PATH, lambda data: data.replace(b'"float32"', b'"float64"')),
    "signature in another order": set_fields(
        SIGNATURE_PATH,
        inputs=[{"name": name, "dtype": "float32", "shape": ["batch", 1]} for name in ("income", "age")],
    ),
    "signature without an input": set_fields(
        SIGNATURE_PATH, inputs=[{"name": "age", "dtype": "float32", "shape": ["batch", 1]}]
    ),
    "signature with an output that is none": set_fields(SIGNATURE_PATH, score_output="elsewhere"),
    "signature with another class": set_fields(SIGNATURE_PATH, positive=7),
    "signature with three classes": set_fields(SIGNATURE_PATH, classes=[0, 1, 2]),
    "schema without a feature": schema(properties={"age": {"type": "number"}}, required=["age"]),
    "schema with another feature": schema(
        properties={name: {"type": "number"} for name in ("age", "income", "name")}, required=["age", "income", "name"]
    ),
    "schema with another type": schema(properties={"age": {"type": "string"}, "income": {"type": "number"}}),
    "schema with nothing required": schema(required=[]),
    "schema open to more": schema(additionalProperties=True),
    "schema in another dialect": schema(**{"$schema": "http://json-schema.org/draft-07/schema#"}),
    "schema that refers elsewhere": schema(
        properties={"age": {"$ref": "https://example.com/"}, "income": {"type": "number"}}
    ),
    "schema that is not valid": schema(properties={"age": {"type": "real"}, "income": {"type": "number"}}),
    "schema not canonical": set_member(INPUT_SCHEMA_PATH, lambda data: json.dumps(json.loads(data), indent=1).encode()),
    "golden input of another type": lambda kit: kit.signed(
        add("golden/test_data_set_0/input_0.pb", tensor_bytes(np.zeros((4, 1)), "age"), "golden")
    ),
    "golden input of another shape": lambda kit: kit.signed(
        add("golden/test_data_set_0/input_0.pb", tensor_bytes(np.zeros((4, 2), dtype=np.float32), "age"), "golden")
    ),
    "golden input with another name": lambda kit: kit.signed(
        add("golden/test_data_set_0/input_0.pb", tensor_bytes(np.zeros((4, 1), dtype=np.float32), "x"), "golden")
    ),
    "golden input that is rubbish": set_member("golden/test_data_set_0/input_0.pb", lambda _: b"\xff\xff\xff"),
    "golden input cut short": set_member("golden/test_data_set_0/input_0.pb", lambda _: golden_short()),
    "golden input in another file": set_member("golden/test_data_set_0/input_0.pb", lambda _: golden_outside()),
}


def golden_short() -> bytes:
    """A tensor with fewer bytes than its shape needs."""
    tensor = onnx.TensorProto(dims=[4, 1], data_type=onnx.TensorProto.FLOAT, raw_data=b"\0" * 7, name="age")
    return bytes(tensor.SerializeToString())


def golden_outside() -> bytes:
    """A tensor that keeps its data in another file."""
    tensor = onnx.TensorProto(dims=[4, 1], data_type=onnx.TensorProto.FLOAT, name="age")
    outside(tensor, "../../.env")
    return bytes(tensor.SerializeToString())


def of(content: Content) -> BundleRef:
    """The bundle, named."""
    return BundleRef(name=NAME, version=VERSION, digest=content.digest)


ATTESTATIONS: dict[str, Callable[[Kit], bytes]] = {
    "none": lambda kit: pack(kit.content),
    "by a stranger": lambda kit: kit.statement(release(kit.content), kit.stranger),
    "by the approver": lambda kit: kit.statement(release(kit.content), kit.approver),
    "about another bundle": lambda kit: kit.statement(
        release_statement(NAME, VERSION, "sha256:" + "0" * 64), kit.builder
    ),
    "under another name": lambda kit: kit.statement(
        release_statement("other", VERSION, kit.content.digest), kit.builder
    ),
    "under another version": lambda kit: kit.statement(
        release_statement(NAME, "9.9.9", kit.content.digest), kit.builder
    ),
    "of another predicate": lambda kit: kit.statement(
        release(kit.content).model_copy(update={"predicate_type": "https://slsa.dev/provenance/v1"}), kit.builder
    ),
    "a decision by the builder": lambda kit: kit.statement(
        decision_statement(go_decision(of(kit.content))), kit.builder
    ),
    "about two subjects": lambda kit: kit.statement(
        release(kit.content).model_copy(update={"subject": release(kit.content).subject * 2}), kit.builder
    ),
    "with a larger predicate": lambda kit: kit.statement(
        release(kit.content).model_copy(update={"predicate": {**release(kit.content).predicate, "extra": 1}}),
        kit.builder,
    ),
}


def outcome(path: Path, data: bytes, trust: TrustPolicy, now: datetime) -> type[CandidateError] | None:
    """The leaf that verifying these bytes ends in; null when they pass. Anything else is a bug."""
    path.write_bytes(data)
    try:
        verify(path, trust=trust, now=now, replay=False)
    except CandidateError as error:
        return type(error)
    return None


CORPUS = {
    **{f"container: {name}": (make, IntegrityError) for name, make in CONTAINERS.items()},
    **{f"listing: {name}": (make, IntegrityError) for name, make in LISTINGS.items()},
    **{f"member: {name}": (make, IntegrityError) for name, make in MEMBERS.items()},
    **{f"graph: {name}": (make, IntegrityError) for name, make in GRAPHS.items()},
    **{f"attestation: {name}": (make, RefusedError) for name, make in ATTESTATIONS.items()},
}


@pytest.mark.parametrize(("make", "leaf"), CORPUS.values(), ids=CORPUS)
def test_a_hostile_bundle_is_refused_by_its_leaf(
    make: Callable[[Kit], bytes],
    leaf: type[CandidateError],
    kit: Kit,
    tmp_path: Path,
    trust: TrustPolicy,
    now: datetime,
) -> None:
    """Each entry is one lie; none passes, and none ends in a traceback."""
    assert outcome(tmp_path / "x.candidate", make(kit), trust, now) is leaf


def test_the_bundle_the_corpus_is_made_of_passes(kit: Kit, tmp_path: Path, trust: TrustPolicy, now: datetime) -> None:
    """Otherwise the corpus would be refused for the wrong reason."""
    path = tmp_path / "x.candidate"

    assert outcome(path, kit.data, trust, now) is None
    assert outcome(path, kit.signed(lambda _: None), trust, now) is None
    assert outcome(path, kit.signed(add("docs/more.md")), trust, now) is None
    assert outcome(path, remanifested(kit, lambda _: None), trust, now) is None
    assert outcome(path, reindexed(kit, lambda _: None), trust, now) is None
    assert outcome(path, listed("zzz.md")(kit), trust, now) is None
    assert outcome(path, graph(lambda _: None)(kit), trust, now) is None
    assert outcome(path, kit.tar(lambda _: None), trust, now) is None
    assert inspect_graph(kit.recipe.model).facts == kit.recipe.manifest().onnx


DECISIONS: dict[str, Callable[[Kit], bytes]] = {
    "by the builder": lambda kit: attest(decision_statement(go_decision(of(kit.content))), kit.builder).to_bytes(),
    "by a stranger": lambda kit: attest(decision_statement(go_decision(of(kit.content))), kit.stranger).to_bytes(),
    "with another subject": lambda kit: attest(
        decision_statement(go_decision(of(kit.content)), digest="sha256:" + "0" * 64), kit.approver
    ).to_bytes(),
    "of another type": lambda kit: attest(
        decision_statement(go_decision(of(kit.content)), kind=DECISION_TYPE + "x"), kit.approver
    ).to_bytes(),
    "a release by the approver": lambda kit: attest(release(kit.content), kit.approver).to_bytes(),
}


@pytest.mark.parametrize("make", DECISIONS.values(), ids=DECISIONS)
def test_a_forged_decision_is_refused(
    make: Callable[[Kit], bytes], kit: Kit, trust: TrustPolicy, now: datetime
) -> None:
    """A decision counts when an approver signed it as one, about the bundle it decides on."""
    with pytest.raises(RefusedError):
        check_decision(make(kit), trust, now=now)


def test_a_decision_that_does_not_follow_from_its_findings_is_no_decision(
    kit: Kit, trust: TrustPolicy, now: datetime
) -> None:
    """An approver's key cannot turn a failed finding into a go."""
    statement = decision_statement(go_decision(of(kit.content), outcome="no-go"))
    forged = statement.model_copy(update={"predicate": {**statement.predicate, "outcome": "go"}})

    with pytest.raises(IntegrityError, match="does not follow"):
        check_decision(attest(forged, kit.approver).to_bytes(), trust, now=now)


def test_a_stale_decision_is_refused(bundle_path: Path, trust: TrustPolicy, now: datetime, signed_go: bytes) -> None:
    """Yesterday's go is not today's."""
    with pytest.raises(RefusedError, match="expired"):
        verify(bundle_path, trust=trust, now=now + timedelta(days=1), decision=signed_go, replay=False)


def limited(trust: TrustPolicy, **fields: object) -> TrustPolicy:
    """The trust policy with a limit on builders."""
    builders = trust.roles["builder"].model_copy(update=fields)
    return trust.model_copy(update={"roles": {**trust.roles, "builder": builders}})


def test_trust_that_ended_is_refused(
    bundle_path: Path, trust: TrustPolicy, now: datetime, builder: Signer, stranger: Signer
) -> None:
    """Expired role, role not begun, revoked key, no such role, no such channel: each refuses."""
    only_approvers = trust.model_copy(update={"roles": {"approver": trust.roles["approver"]}})
    two = RoleKeys(keys=(builder.public_pem, stranger.public_pem))
    revoked = Revoked(keys=(builder.key_id,))
    for spoiled in (
        limited(trust, valid_until="2026-10-31T00:00:00Z"),
        limited(trust, valid_from="2026-12-01T00:00:00Z"),
        limited(trust, channels=("other/*",)),
        trust.model_copy(update={"revoked": revoked}),
        TrustPolicy(roles={"builder": two}, revoked=revoked),
        only_approvers,
    ):
        with pytest.raises(RefusedError):
            verify(bundle_path, trust=spoiled, now=now, channel="tiny/prod", replay=False)


def test_a_flipped_bit_anywhere_is_refused(
    bundle_bytes: bytes, tmp_path: Path, trust: TrustPolicy, now: datetime
) -> None:
    """All headers and padding, all of the index and layout, and a sample of every blob."""
    path = tmp_path / "x.candidate"
    path.write_bytes(bundle_bytes)
    chooser = random.Random(20_261_101)  # noqa: S311 - a sample of positions, not a secret
    with Archive.open(path) as archive:
        blobs = [(offset, archive.sizes[digest]) for digest, offset in archive._offsets.items()]
    inside = {place for offset, size in blobs for place in range(offset, offset + size)}
    structure = [place for place in range(len(bundle_bytes)) if place not in inside]
    edges = [place for offset, size in blobs for place in (offset, offset + size - 1)]
    places = [*structure[::3], *edges, *chooser.sample(sorted(inside), 700)]
    descriptor = os.open(path, os.O_RDWR)
    try:
        for place in places:
            os.pwrite(descriptor, bytes([bundle_bytes[place] ^ (1 << chooser.randrange(8))]), place)
            with pytest.raises((IntegrityError, RefusedError)):
                verify(path, trust=trust, now=now, replay=False)
            os.pwrite(descriptor, bundle_bytes[place : place + 1], place)
    finally:
        os.close(descriptor)
    assert verify(path, trust=trust, now=now, replay=False).replay is None


def test_a_file_cut_anywhere_is_refused(bundle_bytes: bytes, tmp_path: Path, trust: TrustPolicy, now: datetime) -> None:
    """Every block boundary, and some places between."""
    for size in [*range(0, len(bundle_bytes), 512), *range(1, len(bundle_bytes), 997)]:
        assert outcome(tmp_path / "x.candidate", bundle_bytes[:size], trust, now) is IntegrityError
