"""A schedule is proved in bounds before it runs; a damaged or forged one is refused."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from party.native.instructions import INSTRUCTION, Op, Type
from party.plan.cut import Message
from party.plan.graph import Operation, Plan, Share
from party.process.errors import JobError
from party.schedule import Code, Schedule, cache, schedule, verify
from tests.audit.mutants import with_program
from tests.harness.plans import small_plan

pytestmark = [pytest.mark.slow, pytest.mark.drawn]

PROTOCOLS = ("pond", "aby3")
FAR = 1 << 40


def of(protocol: str, party: int) -> Schedule:
    return schedule(small_plan(protocol), party)


def step(of: Schedule) -> npt.NDArray[np.void]:
    return of.program("step").instructions


def with_step(original: Schedule, **change: Any) -> Schedule:
    """The schedule with something of its step changed."""
    programs = tuple(
        replace(code, **change) if code.name == "step" else code for code in original.programs
    )
    return replace(original, programs=programs)


def with_field(original: Schedule, position: int, name: str, k: int | None, value: int) -> Schedule:
    """The schedule with one number of one instruction changed."""
    code = step(original).copy()
    if k is None:
        code[position][name] = value
    else:
        code[position][name][k] = value
    return with_step(original, instructions=code)


@pytest.mark.parametrize("protocol", [*PROTOCOLS, "securenn"])
@pytest.mark.parametrize("party", [0, 1, 2])
def test_what_the_kit_makes_is_in_bounds(protocol: str, party: int) -> None:
    verify(of(protocol, party))


def with_share_of_bobs(plan: Plan, made: str, *more: Operation) -> Plan:
    """The plan in which an operation makes bob's share of the weights after the step."""
    program = plan.by_name["step"]
    bobs = Share("weights.alice", 1, 0)
    writes = tuple(
        replace(slot, operation=made) if slot.share == bobs else slot for slot in program.writes
    )
    changed = replace(program, operations=(*program.operations, *more), writes=writes)
    return with_program(plan, changed)


def bobs_share(plan: Plan) -> Operation:
    program = plan.by_name["step"]
    (name,) = (s.operation for s in program.writes if s.share == Share("weights.alice", 1, 0))
    return program.by_name[name]


def test_no_schedule_is_made_of_values_that_are_not_as_large_as_the_plan_says() -> None:
    plan = small_plan("pond")
    after = bobs_share(plan)
    grown = replace(after, name="grown", kind="Identity", inputs=(after.name,), shape=(400,))
    with pytest.raises(JobError, match="not as large as the plan says"):
        schedule(with_share_of_bobs(plan, "grown", grown), 1)


def test_no_share_is_carried_to_the_next_step_in_another_size() -> None:
    plan = small_plan("pond")
    operations = plan.by_name["step"].operations
    other = next(o for o in operations if o.party == 1 and o.kind == "AddV2")
    assert other.bytes != bobs_share(plan).bytes
    with pytest.raises(JobError, match="not as large as the plan says"):
        schedule(with_share_of_bobs(plan, other.name), 1)


def instructions(*numbers: dict[str, Any]) -> Schedule:
    """A schedule of nothing else, and no constants."""
    code = np.zeros(len(numbers), INSTRUCTION)
    code["out"], code["input"], code["index"] = -1, -1, -1
    for one, fields in zip(code, numbers, strict=True):
        for name, value in fields.items():
            one[name] = value
    none = np.zeros(0, np.uint8)
    original = of("pond", 0)
    return replace(
        original,
        arena_bytes=4096,
        constants=none,
        index=np.zeros(0, np.int32),
        programs=(Code("step", code, (), 0, (), {}),),
        state=(),
        fed={},
        received={},
    )


DIVISION = {"op": Op.FLOORDIV, "type": Type.INT64, "n": 8, "input": [0, 1024, -1]}
PRODUCT = {
    "op": Op.MATMUL,
    "type": Type.INT64,
    "n": 4,
    "p": [2, 2, 2, 0, 0, 0],
    "input": [0, 1024, -1],
}


@pytest.mark.parametrize(
    ("forged", "why"),
    [
        (DIVISION | {"out": 1032}, "lies over what it still reads"),
        (DIVISION | {"out": 1024 - 56}, "lies over what it still reads"),
        (DIVISION | {"out": 8}, "lies over what it still reads"),
        (PRODUCT | {"out": 0}, "lies over what it still reads"),
        (
            {"op": Op.CAST, "type": Type.INT8, "type2": Type.INT64, "n": 8, "out": 0}
            | {"input": [0, -1, -1]},
            "lies over what it still reads",
        ),
        (
            {"op": Op.CAST, "type": Type.INT8, "type2": Type.INT64, "n": 8, "out": 1025}
            | {"input": [0, -1, -1]},
            "not aligned",
        ),
    ],
)
def test_no_result_lies_over_what_is_still_to_be_read(forged: dict[str, object], why: str) -> None:
    """The executor works on many elements at a time, and reads on while it writes."""
    with pytest.raises(JobError, match=why):
        verify(instructions(forged))


def test_a_result_may_take_its_operands_place_or_one_apart() -> None:
    for out in (0, 1024, 2048, 64, 1024 - 64):
        verify(instructions(DIVISION | {"out": out}))


@pytest.mark.parametrize(
    "change",
    [
        {"constants": np.zeros(8, np.float64)},
        {"constants": np.zeros((2, 2), np.uint8)},
        {"arena_bytes": "x"},
        {"arena_bytes": 4096.0},
        {"arena_bytes": True},
    ],
)
def test_a_forged_layout_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(JobError, match="its layout"):
        verify(replace(instructions(DIVISION | {"out": 0}), **change))  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("party", [0, 1, 2])
def test_no_instruction_can_be_made_to_reach_outside_the_arena(protocol: str, party: int) -> None:
    original = of(protocol, party)
    tried = 0
    # Proving a schedule takes milliseconds, so of the long ones only some instructions are forged.
    for position in range(party, step(original).size, 7 if protocol == "pond" else 23):
        instruction = step(original)[position]
        reaching: list[tuple[str, int | None]] = [("out", None)] if instruction["out"] >= 0 else []
        reaching += [("input", k) for k in range(3) if instruction["input"][k] >= 0]
        reaching += [("index", k) for k in range(3) if instruction["index"][k] >= 0]
        for name, k in reaching:
            for value in (-1, original.arena_bytes, FAR):
                with pytest.raises(JobError, match=f"step program, instruction {position}\n"):
                    verify(with_field(original, position, name, k, value))
                tried += 1
        for name, k, value in (
            ("op", None, 99),
            ("type", None, 11),
            ("mode", 0, 3),
            ("n", None, FAR),
        ):
            if name == "n" and Op(int(instruction["op"])) in (Op.SEND, Op.RECV, Op.FLUSH):
                continue  # their length stands elsewhere; the next test forges it
            with pytest.raises(JobError, match="a schedule was refused"):
                verify(with_field(original, position, name, k, value))
            tried += 1
    assert tried > 100


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("party", [0, 1])
def test_no_message_but_the_agreed_ones_in_their_order(protocol: str, party: int) -> None:
    original = of(protocol, party)
    for position, instruction in enumerate(step(original)):
        if Op(int(instruction["op"])) not in (Op.SEND, Op.RECV):
            continue
        peer, key, size = (int(value) for value in instruction["p"][:3])
        for k, forged in ((0, party), (0, 3), (0, -1), (0, 3 - party - peer), (1, key + 1)):
            with pytest.raises(JobError):
                verify(with_field(original, position, "p", k, forged))
        with pytest.raises(JobError):
            verify(with_field(original, position, "p", 2, size + 8))


def test_a_message_left_out_or_added_is_refused() -> None:
    original = of("pond", 0)
    sends = np.flatnonzero(step(original)["op"] == Op.SEND)
    with pytest.raises(JobError):
        verify(with_step(original, instructions=np.delete(step(original), sends[-1])))
    with pytest.raises(JobError):
        twice = np.insert(step(original), sends[0], step(original)[sends[0]])
        verify(with_step(original, instructions=twice))
    more = (*original.program("step").messages, Message(999, "x", 0, 1, 0, 8))
    with pytest.raises(JobError, match="message 999 is never"):
        verify(with_step(original, messages=more))


ROWS = {"op": Op.TAKE, "type": Type.INT64, "n": 8, "p": [4, 2, 16, 0, 0, 0]}


def test_rows_are_taken_and_put_within_what_is_there() -> None:
    taken = ROWS | {"out": 0, "input": [1024, -1, -1]}
    put = ROWS | {"op": Op.PUT, "out": 1024, "input": [0, -1, -1]}
    verify(instructions(taken, put))
    for wrong, why in (
        ({"p": [4, 3, 16, 0, 0, 0]}, "not that of its rows and columns"),
        ({"p": [4, 2, -1, 0, 0, 0]}, "not that of its rows and columns"),
        ({"p": [4, 2, 4096, 0, 0, 0]}, "outside the arena"),
    ):
        for one in (taken, put):
            with pytest.raises(JobError, match=why):
                verify(instructions(one | wrong))
    with pytest.raises(JobError, match="lies over what it still reads"):
        verify(instructions(taken | {"out": 1032}))


def test_the_constants_are_never_written() -> None:
    original = of("aby3", 0)
    for position, instruction in enumerate(step(original)[:200]):
        if instruction["out"] >= 0 and int(instruction["n"]) > 0:
            with pytest.raises(JobError):
                verify(with_field(original, position, "out", None, 0))


@pytest.mark.parametrize("party", [0, 1, 2])
def test_a_schedule_comes_back_from_the_cache_as_it_was(tmp_path: Path, party: int) -> None:
    original = of("aby3", party)
    file = tmp_path / "a.schedule"
    cache.save(file, original)
    back = cache.load(file, party)
    assert back is not None
    for name in ("constants", "index"):
        np.testing.assert_array_equal(getattr(back, name), getattr(original, name))
    for mine, theirs in zip(original.programs, back.programs, strict=True):
        np.testing.assert_array_equal(mine.instructions, theirs.instructions)
        of_code = ("name", "messages", "rounds", "notes", "opened")
        assert all(getattr(mine, name) == getattr(theirs, name) for name in of_code)
    same = ("plan_digest", "arena_bytes", "state", "scale")
    assert all(getattr(back, name) == getattr(original, name) for name in same)
    with pytest.raises(JobError, match="damaged"):
        cache.load(file, (party + 1) % 3)


@settings(max_examples=60)
@given(st.data())
def test_a_cached_schedule_with_any_bit_changed_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    file = tmp_path_factory.mktemp("cache") / "a.schedule"
    cache.save(file, of("pond", 1))
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    with pytest.raises(JobError, match="damaged"):
        cache.load(file, 1)


def test_a_truncated_cache_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.schedule"
    cache.save(file, of("pond", 2))
    whole = file.read_bytes()
    for length in (0, 31, 32, 100, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(JobError, match="damaged"):
            cache.load(file, 2)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_schedule_that_others_can_write_is_not_trusted(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "a.schedule"
    cache.save(file, of("pond", 2))
    file.chmod(mode)
    with pytest.raises(JobError, match="others can write"):
        cache.load(file, 2)


def test_a_cache_that_everybody_can_write_is_not_trusted(tmp_path: Path) -> None:
    file = tmp_path / "open" / "a.schedule"
    cache.save(file, of("pond", 2))
    file.parent.chmod(0o777)
    with pytest.raises(JobError, match="others can write"):
        cache.load(file, 2)


def test_a_schedule_of_another_user_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.schedule"
    cache.save(file, of("pond", 2))
    owner = file.stat()
    theirs = os.stat_result((*owner[:4], 12345, *owner[5:]))
    monkeypatch.setattr(Path, "stat", lambda *_, **__: theirs)
    with pytest.raises(JobError, match="others can write"):
        cache.load(file, 2)


def test_the_place_of_a_schedule_depends_on_every_source_of_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cache, "_PACKAGE", tmp_path)
    digests = set()
    for name in ("job.py", "plan/graph.py", "native/random.c", "native/random.h"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1")
        digests.add(cache._source_digest.__wrapped__())
    assert len(digests) == 4
