"""A party keeps to its own limit on memory, and computes the same whatever lies in a file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from party.agreement.job import PARTIES, Job, load_job
from party.models.registry import model_of
from party.native import Spill
from party.native.spill import SpilledShare
from party.plan import PlanParameters
from party.schedule import schedule
from party.schedule.memory import largest, saved, tables
from tests.harness import plans
from tests.harness.executors import ScheduledParties
from tests.harness.plans import small_job
from tests.harness.processes import Processes
from tests.schedule.oracle import with_injected_seeds

SPLIT = {"features": {"alice": ["a0", "a1"], "bob": ["b0", "b1", "b2"]}, "result": "both"}
DESCENT = SPLIT | {"rows": 11, "training": {"passes": 3, "class_weight": {"0": 0.3, "1": 7.5}}}
BATCHES = SPLIT | {"rows": 10}  # the last batch shared takes up rows of the one before

ROWS, COLUMNS = 80_000, 50
MIB = 1 << 20
DISK = Path(__file__).parent
"""On a disk, which a machine's /tmp may not be."""
LIMIT_MIB = 100
TABLE_MIB = 4 * ROWS * COLUMNS / MIB


@pytest.mark.slow
@pytest.mark.drawn
@pytest.mark.parametrize("protocol", ["pond", "aby3"])
@pytest.mark.parametrize("change", [BATCHES, DESCENT], ids=["batches", "descent"])
def test_shares_in_a_file_give_the_same_bits(
    protocol: str, change: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("party.agreement.job.BLOCK_ROWS", 4)
    monkeypatch.setattr("party.plan.parameters.SHARE_ROWS", 4)
    job = small_job(protocol, 3, 5, **change)
    plan = with_injected_seeds(plans.short_plan(PlanParameters.of(job)))
    schedules = [schedule(plan, party) for party in range(3)]
    sharing = Counter(
        {one.program: one.runs for one in _course(job) if one.phase is None and not one.counted}
    )
    spills = {
        part.party: Spill(DISK, shares) for part in schedules if (shares := tables(part, sharing))
    }
    assert set(spills) == {0, 1, 2}, "each holds a share of the other's table, the server of both"
    ways = [ScheduledParties(schedules, _made(tmp_path / name), s) for name, s in _ways(spills)]
    draw, found = np.random.default_rng(1), []
    own = _tables(job, draw)
    seeds = {
        (party, name): draw.bytes(place.bytes)
        for party, part in enumerate(schedules)
        for name, place in part.fed.items()
    }
    for parties in ways:
        for (party, name), seed in seeds.items():
            place = schedules[party].fed[name]
            parties.write(party, place, np.frombuffer(seed, np.uint8))
        number = 0
        for stretch in _course(job):
            if stretch.told is None:
                rows = stretch.rows() if stretch.rows else None
                parties.program(stretch.program, number, stretch.runs, own, rows)
                number += stretch.runs
        found.append(parties.opened(number))
        parties.close()
    assert found[0].keys() == found[1].keys() and found[0]
    for key, value in found[0].items():
        np.testing.assert_array_equal(found[1][key], value)


def _ways(spills: dict[int, Spill]) -> Iterator[tuple[str, dict[int, Spill]]]:
    yield from (("memory", {}), ("file", spills))


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _course(job: Job) -> list[Any]:
    return list(model_of(job.parameters).course(job, PlanParameters.of(job).layout))


def _tables(job: Job, draw: np.random.Generator) -> dict[int, Any]:
    layout, found = PlanParameters.of(job).layout, {}
    for party in range(2):
        table = draw.normal(size=(layout.rows, layout.columns_of(party))).astype(np.float32)
        if party == layout.label:
            table[:, -1] = draw.integers(0, 2, layout.rows)
        found[party] = model_of(job.parameters).at_home(job, PARTIES[party], table)
    return found


def test_the_fewest_shares_that_are_enough_go_to_the_file() -> None:
    part = schedule(plans.short_plan(PlanParameters.of(small_job("pond", 3, 5, **SPLIT))), 2)
    shares = tables(part, {"share": 1})
    sizes = [saved(one) for one in shares]
    assert len(sizes) == 2 and sizes == sorted(sizes, reverse=True)
    assert largest(shares, 0) == ()
    assert largest(shares, sizes[0]) == shares[:1]
    assert largest(shares, sizes[0] + 1) == largest(shares, 10**9) == shares


def test_where_each_row_of_a_file_is_stays_in_memory_and_counts() -> None:
    """Four bytes a row: of one column of the ring only the half is saved, and of less nothing."""
    column, bits = SpilledShare(0, 1000, 8, 1000), SpilledShare(8000, 1000, 4, 1000)
    assert saved(column) == 4000 and saved(bits) == 0
    assert largest((column, bits), 8000) == (column,)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """A job whose table is larger than what is left of the limit, and its plan."""
    names = [f"x{i}" for i in range(COLUMNS)]
    training = {"epochs": 1, "batch_size": 1000, "learning_rate": 0.5}
    cache = tmp_path_factory.mktemp("plans")
    made = Processes(
        tmp_path_factory.mktemp("wide"), cache, rows=ROWS, features=names, training=training
    )
    draw = np.random.default_rng(1)
    x = draw.integers(-99, 99, (ROWS, COLUMNS), dtype=np.int8)
    y = (x[:, :4].sum(axis=1) > 0).astype(np.int8)
    for party, header, rows in (("alice", names, x), ("bob", ["fraud"], y[:, None])):
        lines = "\n".join(",".join(map(str, row)) for row in rows.tolist())
        (made.directory / f"{party}.csv").write_text(",".join(header) + f"\n{lines}\n")
    plans.cached(load_job(made.directory / "job.yaml"), cache)  # once, not by each of them
    yield made
    made.close()


@pytest.mark.slow
def test_a_party_keeps_to_its_limit(wide: Processes) -> None:
    """100 MiB, and its own table."""
    limits = {"alice": LIMIT_MIB + ceil(TABLE_MIB), "bob": LIMIT_MIB, "server": LIMIT_MIB}
    started = [wide.start(one, memory_limit=str(limits[one]), spill=str(DISK)) for one in PARTIES]
    for one in started:
        assert one.ends() == (0, ""), one.party
        report = json.loads((one.output / "report.json").read_text())
        assert report["peak_bytes"] < limits[one.party] * MIB, one.party
        if one.party != "alice":  # who has her own table in clear and no share of it
            assert report["file_bytes"] > 8 * ROWS * COLUMNS
            assert any("of shares go to a file" in event["event"] for event in one.events())


@pytest.mark.slow
def test_without_a_limit_a_party_takes_a_table_one_copy_of_its_shares_and_100_mib(
    wide: Processes,
) -> None:
    shares = 8 * ROWS * COLUMNS
    own = {"alice": TABLE_MIB * MIB, "bob": shares, "server": shares}
    for one in [wide.start(party, output=f"out/free/{party}") for party in PARTIES]:
        assert one.ends() == (0, ""), one.party
        report = json.loads((one.output / "report.json").read_text())
        assert report["file_bytes"] is None
        assert report["peak_bytes"] < own[one.party] + 100 * MIB, one.party


@pytest.mark.slow
@pytest.mark.drawn
@pytest.mark.parametrize(
    "before, options, words",
    [
        (("prlimit", "--fsize=20000000"), {}, "no room for 32 MiB of shares: File too large"),
        ((), {"memory_limit": "60"}, "MiB of memory, with its shares in a file"),
        ((), {"spill": "nowhere"}, "no shares can be kept there: No such file"),
        ((), {"spill": "/dev/shm"}, "would take memory all the same"),
    ],
    ids=["full", "too little", "no directory", "no disk"],
)
def test_what_cannot_be_kept_is_refused_before_anybody_is_met(
    wide: Processes, before: tuple[str, ...], options: dict[str, str], words: str
) -> None:
    wide.before = before
    refused = wide.start(
        "server", **{"memory_limit": str(LIMIT_MIB), "spill": str(DISK), **options}
    )
    wide.before = ()
    code, said = refused.ends()
    assert (code, words in said, "do: " in said) == (2, True, True), said
    assert not any("joining" in event["event"] for event in refused.events())


def test_a_directory_without_a_limit_is_a_mistake(processes: Processes) -> None:
    code, said = processes.start("server", spill=".").ends()
    assert code == 2 and "--memory-limit" in said
