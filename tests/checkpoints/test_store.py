"""What is on a party's disk is whole and its own, or is not used; and nobody else can read it."""

from __future__ import annotations

import io
import secrets
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from party.agreement.job import Sizes
from party.checkpoints import AlignedRows, DamagedError, Point, Store, pruned, seal, unseal
from party.checkpoints.sealing import CHUNK
from party.process import files
from party.process.errors import JobError
from party.reporting.status import now

KEY = bytes(range(32))
SHARE = np.arange(7, dtype=np.int64).view(np.uint8)


def point(number: int, **change: object) -> Point:
    made = Point(
        lineage="ab" * 32,
        plan="cd" * 32,
        number=number,
        stretch=3,
        runs=number,
        steps=5,
        asked="training",
        settled=None,
        unsettled=("fold 1",),
        opening=0,
        durable=True,
        final=False,
        peers={"bob": ("key", "signer")},
        state={"weights/0": SHARE},
        told={"weights": np.array([0.5, -1.0])},
    )
    return replace(made, **change)  # type: ignore[arg-type]


def store(directory: Path, key: bytes | None = KEY, job: str = "e" * 64) -> tuple[Store, list[str]]:
    said: list[str] = []
    return Store(directory, key, "alice", job, "1.0", said.append), said


def test_a_point_comes_back_as_it_was(tmp_path: Path) -> None:
    kept, _ = store(tmp_path / "new")
    assert kept.keep(point(4))
    (found,) = kept.points()
    for name in ("lineage", "plan", "number", "stretch", "runs", "steps", "asked", "peers"):
        assert getattr(found, name) == getattr(point(4), name)
    assert np.array_equal(found.state["weights/0"], SHARE)
    assert np.array_equal(found.told["weights"], [0.5, -1.0])


def test_a_flip_of_any_bit_is_found_and_the_point_before_is_used(tmp_path: Path) -> None:
    kept, said = store(tmp_path)
    kept.keep(point(1))
    kept.keep(point(2))
    newer = sorted(tmp_path.glob("point-*"))[-1]
    whole = newer.read_bytes()
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1 << (at % 8)
        with pytest.raises(DamagedError):
            unseal(KEY, b"tfe-kit checkpoint|1.0|alice|" + b"e" * 64, io.BytesIO(changed))
    newer.write_bytes(changed)
    assert [one.number for one in kept.points()] == [1]
    assert "it is damaged" in said[0]


def test_a_file_that_was_cut_or_put_together_anew_is_found() -> None:
    content = secrets.token_bytes(2 * CHUNK + 9)
    sealed = b"".join(seal(KEY, b"about", [content]))
    assert unseal(KEY, b"about", io.BytesIO(sealed)) == content
    head, chunk = 40, CHUNK + 16
    first, second = sealed[head : head + chunk], sealed[head + chunk : head + 2 * chunk]
    last = sealed[head + 2 * chunk :]
    for parts in ((first, second), (first, last), (second, first, last), (first,), ()):
        with pytest.raises(DamagedError):
            unseal(KEY, b"about", io.BytesIO(sealed[:head] + b"".join(parts)))
    for length in (0, 7, head, head + 1, len(sealed) - 1):
        with pytest.raises(DamagedError):
            unseal(KEY, b"about", io.BytesIO(sealed[:length]))


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1])
def test_streams_of_all_lengths_come_back(size: int) -> None:
    content = secrets.token_bytes(size)
    sealed = b"".join(seal(KEY, b"", [content[: size // 3], content[size // 3 :]]))
    assert unseal(KEY, b"", io.BytesIO(sealed)) == content
    assert content[:64] not in sealed or size < 64, "a byte or two may be there by chance"


def test_a_changed_job_another_party_or_another_key_finds_nothing(tmp_path: Path) -> None:
    store(tmp_path)[0].keep(point(4))
    assert store(tmp_path, job="f" * 64)[0].points() == []
    assert store(tmp_path, key=bytes(32))[0].points() == []
    assert Store(tmp_path, KEY, "bob", "e" * 64, "1.0").points() == []
    assert Store(tmp_path, KEY, "alice", "e" * 64, "1.1").points() == []
    other, said = store(tmp_path)
    other.of_table("b" * 64)
    assert other.points() == [] and "another job, table, version" in said[0]


def test_two_points_are_left_and_none_when_all_is_done(tmp_path: Path) -> None:
    kept, _ = store(tmp_path)
    for number in range(5):
        kept.keep(point(number))
    assert [one.number for one in kept.points()] == [3, 4]
    assert str(kept.newest) <= now()
    kept.forget_after(3)
    assert [one.number for one in kept.points()] == [3]
    (tmp_path / ".point-5.sealed.0badc0de").write_bytes(b"half")  # of a party that was killed
    kept.clear()
    assert list(tmp_path.iterdir()) == [] and kept.newest is None


def test_points_of_who_is_asked_to_end_take_no_others_place(tmp_path: Path) -> None:
    kept, _ = store(tmp_path)
    kept.keep(point(2))
    kept.keep(point(5))
    in_memory = [point(5), point(7, durable=False), point(9, durable=False)]
    kept.keep_briefly(in_memory)
    assert [(one.number, one.durable) for one in kept.points()] == [
        *((2, True), (5, True)),
        *((7, False), (9, False)),
    ]
    kept.forget_after(7)
    assert [one.number for one in kept.points()] == [2, 5, 7]
    kept.keep(point(12))
    assert [one.number for one in kept.points()] == [5, 12]


def test_without_a_key_nothing_is_on_the_disk(tmp_path: Path) -> None:
    kept, _ = store(tmp_path, key=None)
    kept.keep_briefly([point(2)])
    assert not kept.keep(point(1)) and not kept.points()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_ends_no_run_and_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise JobError("cannot write the checkpoint: No space left on device", cause="disk-full")

    kept, said = store(tmp_path)
    monkeypatch.setattr(files, "replace", full)
    assert not kept.keep(point(1)) and not kept.keep(point(2))
    assert len(said) == 1 and "No space left" in said[0] and "goes on" in said[0]
    with pytest.raises(JobError, match="No space left"):
        kept.keep(point(3), needed=True)


def test_aligned_rows_come_back(tmp_path: Path) -> None:
    kept, _ = store(tmp_path)
    table = np.arange(12, dtype=np.int64).reshape(4, 3)
    order = np.array([2, 0, 3, 1], np.int64)
    for rows, whose in ((table, None), (table, order), (None, None)):
        kept.keep_rows(AlignedRows("ab" * 32, Sizes(alice=5, bob=6, common=4), rows, whose))
        found = kept.rows()
        assert found is not None and (found.order is None) == (whose is None)
        assert found.order is None or found.order.tolist() == order.tolist()
        assert found is not None and found.sizes.common == 4 and found.lineage == "ab" * 32
        assert (found.table is None) == (rows is None)
        assert found.table is None or found.table.tolist() == table.tolist()


def test_of_points_in_memory_the_newest_of_all_and_of_those_on_disks_stay() -> None:
    points: list[Point] = []
    for number in range(12):
        points = pruned([*points, point(number, durable=number in (2, 5, 7))])
    assert [one.number for one in points] == [5, 7, 10, 11]
