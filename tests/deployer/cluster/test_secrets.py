"""A table is replaced as a whole or not at all; keys are never overwritten unasked."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.certs.authority import make_all
from deployer.cluster.client import Change
from deployer.cluster.secrets import (
    TABLE_DIGEST,
    make_checkpoint_key,
    put_keys,
    put_table,
    table_secrets,
)
from deployer.cluster.target import Place
from party.identity import CHECKPOINT_KEY
from party.process.errors import InputError, JobError
from party.table.parts import MANIFEST, Manifest, Part
from tests.deployer.memory import MemoryCluster

POSSIBLE = 6


def place(cluster: MemoryCluster) -> Place:
    return Place(
        party="alice",
        cluster=cluster,
        namespace="bank",
        name="fraud-alice",
        job="",
        keys_secret="fraud-alice-keys",
        table_secrets=tuple(f"fraud-alice-table-{i}" for i in range(POSSIBLE)),
        labels={"app.kubernetes.io/component": "alice"},
    )


def table(generation: str, count: int) -> tuple[Manifest, list[bytes]]:
    """A table in so many parts, unlike that of any other generation."""
    contents = [f"{generation}-{i}".encode() for i in range(count)]
    parts = tuple(
        Part(f"part-{i:03d}", len(content), hashlib.sha256(content).hexdigest())
        for i, content in enumerate(contents)
    )
    digest = hashlib.sha256(generation.encode()).hexdigest()
    return Manifest("fraud", "alice", digest, parts), contents


def mounted(cluster: MemoryCluster) -> dict[str, bytes]:
    """What the pod sees in its one directory."""
    files: dict[str, bytes] = {}
    for data in cluster.secrets().values():
        files |= {name: base64.b64decode(text) for name, text in data.items()}
    return files


def expected(generation: str, count: int) -> dict[str, bytes]:
    manifest, contents = table(generation, count)
    named = {part.name: content for part, content in zip(manifest.parts, contents, strict=True)}
    return {MANIFEST: manifest.to_json()} | named


counts = st.integers(1, POSSIBLE)


@given(counts, counts)
def test_a_table_replaces_another_of_any_length(before: int, after: int) -> None:
    cluster = MemoryCluster()
    assert put_table(place(cluster), *table("old", before)) is Change.CREATED
    assert put_table(place(cluster), *table("new", after)) is Change.CHANGED
    assert mounted(cluster) == expected("new", after)
    assert put_table(place(cluster), *table("new", after)) is Change.UNCHANGED


@given(counts, counts, st.integers(0, 12))
def test_a_failure_anywhere_leaves_the_earlier_table(before: int, after: int, at: int) -> None:
    cluster = MemoryCluster()
    put_table(place(cluster), *table("old", before))
    cluster.fail_after, cluster.heal_after = cluster.changes + at, 1
    try:
        put_table(place(cluster), *table("new", after))
    except InputError:
        assert mounted(cluster) == expected("old", before)
    else:
        assert mounted(cluster) == expected("new", after)


@given(counts, st.integers(0, 6))
def test_a_failure_of_the_first_put_leaves_nothing(count: int, at: int) -> None:
    cluster = MemoryCluster()
    cluster.fail_after, cluster.heal_after = at, 1
    try:
        put_table(place(cluster), *table("new", count))
    except InputError:
        assert mounted(cluster) == {}


@given(st.integers(2, POSSIBLE), counts, st.integers(1, 5))
def test_whatever_a_pod_reads_in_between_is_no_table(before: int, after: int, at: int) -> None:
    """If the way back is barred too, the error says so, and no mixture passes for a table."""
    cluster = MemoryCluster()
    put_table(place(cluster), *table("old", before))
    cluster.fail_after = cluster.changes + at
    try:
        put_table(place(cluster), *table("new", after))
    except JobError as error:
        assert "neither" in str(error)
    files = mounted(cluster)
    manifest = Manifest.from_json(files.pop(MANIFEST))
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    whole = digests == {part.name: part.sha256 for part in manifest.parts}
    if whole:
        assert files | {MANIFEST: manifest.to_json()} in (
            expected("old", before),
            expected("new", after),
        )


def test_the_first_secret_notes_the_digest_of_the_text() -> None:
    manifest, contents = table("new", 3)
    first, *others = table_secrets(place(MemoryCluster()), manifest, contents)
    assert first["metadata"]["annotations"] == {TABLE_DIGEST: manifest.sha256}
    assert all(MANIFEST not in other["data"] for other in others)


def test_more_parts_than_the_pod_looks_for_are_refused_with_the_value_to_set() -> None:
    cluster = MemoryCluster()
    with pytest.raises(InputError, match=r"needs 7 Secrets.*\n.*alice.tableParts to 7.*data copy"):
        put_table(place(cluster), *table("new", POSSIBLE + 1))
    assert cluster.changes == 0


def test_keys_are_put_once_and_replaced_only_when_told(tmp_path: Path) -> None:
    for name in ("first", "second"):
        make_all("fraud", tmp_path / name, 1, 1)
    cluster = MemoryCluster()
    alice = place(cluster)
    assert put_keys(alice, tmp_path / "first" / "alice", "fraud") is Change.CREATED
    assert put_keys(alice, tmp_path / "first" / "alice", "fraud") is Change.UNCHANGED
    with pytest.raises(InputError, match="another key"):
        put_keys(alice, tmp_path / "second" / "alice", "fraud")
    (tmp_path / "second" / "alice" / CHECKPOINT_KEY).unlink()
    assert put_keys(alice, tmp_path / "second" / "alice", "fraud", force=True) is Change.CHANGED


def test_a_renewed_certificate_keeps_the_key_of_the_checkpoints(tmp_path: Path) -> None:
    for name in ("first", "second"):
        make_all("fraud", tmp_path / name, 1, 1)
    alice = place(cluster := MemoryCluster())
    put_keys(alice, tmp_path / "first" / "alice", "fraud")
    key = (tmp_path / "first" / "alice" / CHECKPOINT_KEY).read_bytes()
    assert mounted(cluster)[CHECKPOINT_KEY] == key
    before = mounted(cluster)
    with pytest.raises(InputError, match="kept models can be read"):
        put_keys(alice, tmp_path / "second" / "alice", "fraud", force=True)
    assert mounted(cluster) == before
    (tmp_path / "second" / "alice" / CHECKPOINT_KEY).unlink()
    put_keys(alice, tmp_path / "second" / "alice", "fraud", force=True)
    assert mounted(cluster)[CHECKPOINT_KEY] == key


def test_a_key_of_checkpoints_is_put_beside_keys_that_are_there(tmp_path: Path) -> None:
    make_all("fraud", tmp_path, 1, 1)
    key = (tmp_path / "alice" / CHECKPOINT_KEY).read_bytes()
    alice = place(cluster := MemoryCluster())
    (tmp_path / "alice" / CHECKPOINT_KEY).unlink()
    put_keys(alice, tmp_path / "alice", "fraud")
    (tmp_path / "alice" / CHECKPOINT_KEY).write_bytes(key)
    (tmp_path / "alice" / CHECKPOINT_KEY).chmod(0o600)
    assert put_keys(alice, tmp_path / "alice", "fraud") is Change.CHANGED
    assert mounted(cluster)[CHECKPOINT_KEY] == key


def test_a_key_of_checkpoints_of_its_own_is_made_once(tmp_path: Path) -> None:
    alice = place(cluster := MemoryCluster())
    assert make_checkpoint_key(alice) is Change.CREATED
    made = mounted(cluster)[CHECKPOINT_KEY]
    assert len(made) == 32 and make_checkpoint_key(alice) is Change.UNCHANGED
    assert mounted(cluster)[CHECKPOINT_KEY] == made


def test_keys_of_another_party_or_job_are_not_put(tmp_path: Path) -> None:
    make_all("fraud", tmp_path / "keys", 1, 1)
    cluster = MemoryCluster()
    for directory, job in (("bob", "fraud"), ("alice", "other")):
        with pytest.raises(InputError):
            put_keys(place(cluster), tmp_path / "keys" / directory, job)
    assert cluster.changes == 0
