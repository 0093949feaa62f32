"""A table in parts is read if it is whole and the right one, and refused otherwise."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.commands.data import Owner, files, join, split, write
from party.agreement.job import Job
from party.process.errors import InputError
from party.table import load, read_table
from party.table.parts import MANIFEST, PART_BYTES, Manifest, packed

from .conftest import small_job

pytestmark = pytest.mark.usefixtures("tables_read_here")

ROWS = 40_000


@pytest.fixture(scope="module")
def job() -> Job:
    return small_job(ROWS, 8)


def write_table(path: Path, seed: int) -> Path:
    values = np.random.default_rng(seed).normal(size=(ROWS, 8))
    path.write_text("\n".join(",".join(map(repr, row)) for row in values.tolist()))
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of more parts than two."""
    return write_table(tmp_path_factory.mktemp("table") / "alice.csv", 1)


@pytest.fixture(scope="module")
def whole(table: Path, job: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("parts") / "alice"
    write(directory, *split(table, job, Owner.alice))
    assert len(list(directory.glob("part-*"))) >= 3
    return directory


@pytest.fixture
def parts(whole: Path, tmp_path: Path) -> Path:
    """The table in parts, to be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "parts"))


@pytest.fixture
def refusal(parts: Path, job: Job) -> Callable[..., str]:
    """What reading the parts is refused with."""

    def refusal(job: Job = job, party: str = "alice") -> str:
        with pytest.raises(InputError) as caught:
            read_table(parts, job, party)  # type: ignore[arg-type]
        assert caught.value.hint
        return str(caught.value)

    return refusal


def test_a_table_in_parts_is_the_table(whole: Path, table: Path, job: Job) -> None:
    from_parts, from_file = load(whole, job, "alice"), load(table, job, "alice")
    assert from_parts.digest == from_file.digest
    np.testing.assert_array_equal(from_parts.matrix, from_file.matrix)
    assert join(whole, job, Owner.alice) == table.read_bytes()


def test_each_part_fits_a_secret_beside_the_manifest(whole: Path) -> None:
    assert PART_BYTES + (whole / MANIFEST).stat().st_size < 2**20
    assert all(part.stat().st_size <= PART_BYTES for part in whole.glob("part-*"))


@pytest.mark.slow
def test_the_same_table_gives_the_same_bytes_however_it_came(
    whole: Path, table: Path, job: Job, tmp_path: Path
) -> None:
    import gzip

    packed = tmp_path / "alice.csv.gz"
    packed.write_bytes(gzip.compress(table.read_bytes(), compresslevel=1))
    written = {path.name: path.read_bytes() for path in whole.iterdir()}
    for source in (table, packed, whole):
        assert files(*split(source, job, Owner.alice)) == written


def test_parts_are_read_through_the_links_that_kubernetes_makes(
    whole: Path, tmp_path: Path
) -> None:
    mount = tmp_path / "mount"
    shutil.copytree(whole, mount / "..2024_01_01")
    (mount / "..data").symlink_to("..2024_01_01")
    for path in whole.iterdir():
        (mount / path.name).symlink_to(f"..data/{path.name}")
    assert read_table(mount, small_job(ROWS, 8), "alice").matrix.shape == (ROWS, 9)


def test_a_missing_part(parts: Path, refusal: Callable[..., str]) -> None:
    (parts / "part-001").unlink()
    assert f"a part of the table is missing\n  where: {parts}/part-001" in refusal()


def test_a_part_too_many(parts: Path, refusal: Callable[..., str]) -> None:
    shutil.copy(parts / "part-001", parts / "part-901")
    assert "there is more in the directory than the" in refusal()


@pytest.mark.parametrize("damage", ["flip", "cut off", "lengthen", "empty"])
def test_a_damaged_part(parts: Path, refusal: Callable[..., str], damage: str) -> None:
    path = parts / "part-001"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    damaged = {"flip": content, "cut off": content[:-1], "lengthen": content + b"\0"}
    path.write_bytes(damaged.get(damage, b""))
    assert f"damaged, or left over from an earlier table\n  where: {path}" in refusal()


def test_parts_of_two_generations(
    parts: Path, refusal: Callable[..., str], job: Job, tmp_path: Path
) -> None:
    newer = tmp_path / "newer"
    write(newer, *split(write_table(tmp_path / "newer.csv", 2), job, Owner.alice))
    shutil.copy(newer / "part-001", parts / "part-001")
    assert f"left over from an earlier table\n  where: {parts}/part-001" in refusal()


def test_parts_that_changed_their_places(parts: Path, refusal: Callable[..., str]) -> None:
    for source, target in (("part-000", "x"), ("part-001", "part-000"), ("x", "part-001")):
        (parts / source).rename(parts / target)
    assert "damaged, or left over" in refusal()


def test_the_table_of_the_wrong_party_or_job(refusal: Callable[..., str], job: Job) -> None:
    assert "the table is another party's" in refusal(party="bob")
    other = job.model_copy(update={"name": "other"})
    assert "the table is another job's: 'small', and this job is 'other'" in refusal(job=other)


def test_a_directory_without_a_manifest(parts: Path, refusal: Callable[..., str]) -> None:
    (parts / MANIFEST).unlink()
    assert "the directory holds no table" in refusal()


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"parts": []},
        {"parts": None},
        {"job": 7},
        {"job": "small\x1b[31m"},
        {"more": 1},
        {"sha256": None},
        {"parts": [{"name": "../../etc/passwd", "size": 1, "sha256": ""}]},
        {"parts": [{"name": "part-000", "size": True, "sha256": ""}]},
        {"parts": [{"name": "part-000", "size": 2**40, "sha256": ""}]},
    ],
)
def test_a_manifest_that_says_something_else(
    parts: Path, refusal: Callable[..., str], change: dict[str, object]
) -> None:
    manifest = json.loads((parts / MANIFEST).read_text()) | change
    (parts / MANIFEST).write_text(json.dumps(manifest))
    assert "the manifest of the table is damaged" in refusal()


@pytest.mark.parametrize("text", [b"", b"null", b"{}", b"[" * 100_000, b"\xff", b"{" * 2**21])
def test_a_manifest_that_is_none(parts: Path, refusal: Callable[..., str], text: bytes) -> None:
    (parts / MANIFEST).write_bytes(text)
    assert "the manifest of the table is damaged" in refusal()


def test_a_manifest_whose_text_is_another(parts: Path, refusal: Callable[..., str]) -> None:
    manifest = json.loads((parts / MANIFEST).read_text())
    (parts / MANIFEST).write_text(json.dumps(manifest | {"sha256": "0" * 64}))
    assert "the parts are not those of one table" in refusal()


def test_a_table_that_does_not_fit_is_not_split(table: Path, job: Job) -> None:
    with pytest.raises(InputError, match="the row has 8 cells, and the job 1 columns"):
        split(table, job, Owner.bob)


def test_parts_are_written_as_a_whole_into_a_new_directory(
    table: Path, job: Job, tmp_path: Path
) -> None:
    manifest, contents = split(table, job, Owner.alice)
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="the directory is there already"):
        write(tmp_path / "there", manifest, contents)
    with pytest.raises(InputError, match="cannot write the parts: No such file"):
        write(tmp_path / "none" / "parts", manifest, contents)
    write(tmp_path / "parts", manifest, contents)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts", "there"]
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "parts").iterdir()}
    assert modes == {0o600}


@given(st.lists(st.binary(max_size=300), max_size=20), st.randoms(use_true_random=False))
def test_a_manifest_reads_as_it_was_written(blocks: list[bytes], rng: random.Random) -> None:
    def pieces(whole: bytes) -> Iterable[bytes]:
        while whole:
            at = rng.randint(1, len(whole))
            yield whole[:at]
            whole = whole[at:]

    text = b"".join(blocks)
    manifest, contents = packed(blocks, "small", "alice")
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert [part.size for part in manifest.parts] == [len(content) for content in contents]
    assert packed(pieces(text), "small", "alice")[0].sha256 == manifest.sha256
