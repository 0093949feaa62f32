"""A schedule is proved in bounds before it runs; a damaged or forged one is refused."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from party.native.instructions import INSTRUCTION, Op, Type
from party.plan.cut import Message
from party.process.errors import JobError
from party.schedule import Schedule, cache, schedule, verify
from tests.harness.plans import small_plan

PROTOCOLS = ("pond", "aby3")
FAR = 1 << 40


def of(protocol: str, party: int) -> Schedule:
    return schedule(small_plan(protocol), party)


def with_field(original: Schedule, position: int, name: str, k: int | None, value: int) -> Schedule:
    """The schedule with one number of one instruction changed."""
    code = original.step.copy()
    if k is None:
        code[position][name] = value
    else:
        code[position][name][k] = value
    return replace(original, step=code)


@pytest.mark.parametrize("protocol", [*PROTOCOLS, "securenn"])
@pytest.mark.parametrize("party", [0, 1, 2])
def test_what_the_kit_makes_is_in_bounds(protocol: str, party: int) -> None:
    verify(of(protocol, party))


def test_no_schedule_is_made_of_values_that_are_not_as_large_as_the_plan_says() -> None:
    plan = small_plan("pond")
    (before, after), *_ = plan.state[1]
    grown = replace(plan.by_name[after], name="grown", kind="Identity", inputs=(after,))
    grown = replace(grown, shape=(400,))
    state = (plan.state[0], ((before, "grown"),), plan.state[2])
    with pytest.raises(JobError, match="not as large as the plan says"):
        schedule(replace(plan, operations=(*plan.operations, grown), state=state), 1)


def test_no_share_is_carried_to_the_next_step_in_another_size() -> None:
    plan = small_plan("pond")
    (before, _), *_ = plan.state[1]
    other = next(o for o in plan.operations if o.party == 1 and o.kind == "AddV2")
    assert other.bytes != plan.by_name[before].bytes
    state = (plan.state[0], ((before, other.name),), plan.state[2])
    with pytest.raises(JobError, match="not as large as the plan says"):
        schedule(replace(plan, state=state), 1)


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
        step=code,
        reveal=code[:0],
        messages=((), ()),
        state=(),
        fed={},
        received={},
        result=None,
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
    for position in range(party, original.step.size, 3 if protocol == "pond" else 11):
        instruction = original.step[position]
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
    for position, instruction in enumerate(original.step):
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
    sends = np.flatnonzero(original.step["op"] == Op.SEND)
    with pytest.raises(JobError):
        verify(replace(original, step=np.delete(original.step, sends[-1])))
    with pytest.raises(JobError):
        verify(replace(original, step=np.insert(original.step, sends[0], original.step[sends[0]])))
    steps, reveal = original.messages
    more = (*steps, Message(999, "x", 0, 1, 0, 8))
    with pytest.raises(JobError, match="message 999 is never"):
        verify(replace(original, messages=(more, reveal)))


def test_the_constants_are_never_written() -> None:
    original = of("aby3", 0)
    for position, instruction in enumerate(original.step[:200]):
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
    for name in ("constants", "index", "step", "reveal"):
        np.testing.assert_array_equal(getattr(back, name), getattr(original, name))
    same = ("plan_digest", "arena_bytes", "messages", "state", "result", "scale", "rounds", "notes")
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
