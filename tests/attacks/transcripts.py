"""Steps of a plan played over and over by three real executors, and what each party saw of them.

A party's view of a step is every message that it received, every tensor that it grew from a seed,
its own or a received one, and every product that it made. Two worlds differ in all that is private
to the others: their tables and the weights. Before each step a fair coin chooses the world, the
shares of its weights are drawn anew, and the step is played.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from party.plan import Plan
from party.plan.cut import cut
from party.plan.graph import Operation
from party.schedule import schedule
from party.schedule.schedule import Place
from tests.harness.executors import ScheduledParties
from tests.harness.links import LIMIT_S

Array = npt.NDArray[Any]
Seen = dict[str, Array]
"""By what it is, steps x elements."""

_KEPT = ("KitUniform", "MatMul", "Mul")


@dataclass(frozen=True)
class World:
    """What is private in one step: a batch of features, one of labels, and the raw weights."""

    x: Array
    y: Array
    w: Array


def worlds(plan: Plan, observer: int) -> tuple[World, World]:
    """Two worlds that are the same for the observer: its own table is, all else is not.

    All that differs does so in the highest bits and in the lowest.
    """
    batch, columns = plan.parameters.batch_size, plan.parameters.features + 1
    nothing = World(
        np.zeros((batch, columns), np.float32),
        np.zeros((batch, 1), np.float32),
        np.zeros((columns, 1), np.int64),
    )
    smallest = 1 / plan.scale
    x = np.full((batch, columns), 100 + smallest, np.float32)
    x[:, -1] = nothing.x[:, -1] = 1  # the intercept's
    much = World(
        x,
        np.full((batch, 1), 1 + smallest, np.float32),
        np.full((columns, 1), 5 * plan.scale + 1, np.int64),
    )
    if observer == 0:
        nothing = replace(nothing, x=much.x)
    elif observer == 1:
        nothing = replace(nothing, y=much.y)
    return nothing, much


def worlds_of_one_model(plan: Plan) -> tuple[World, World]:
    """Two worlds that are the same for Alice, and whose model is the same after a step: of rows
    that are alike, it is another one that is labelled."""
    batch, columns = plan.parameters.batch_size, plan.parameters.features + 1
    x = np.full((batch, columns), 1.5, np.float32)
    x[:, -1] = 1  # the intercept's
    w = np.full((columns, 1), plan.scale // 4, np.int64)
    y = (np.arange(batch) % 2).astype(np.float32)[:, None]
    return World(x, y, w), World(x, 1 - y, w)


class Theatre:
    """Three executors that play a plan's step in whichever world.

    ``fed`` gives the values of seeds that the plan wants fed instead of drawing them.
    """

    def __init__(self, plan: Plan, directory: Path, fed: dict[str, Array] | None = None) -> None:
        self.plan = plan
        shown, self.kept = _showing(plan)
        parts = [schedule(shown, party, observed=True) for party in range(3)]
        self.parties = ScheduledParties(parts, directory)
        self.steps = 0
        for party, part in enumerate(parts):
            for name, place in part.fed.items():
                self.parties.write(party, place, (fed or {})[name])

    def train(self, world: World, steps: int) -> list[Seen]:
        """What each party saw of a training, from the start on."""
        return self._play((world, world), [0] * steps, fresh=False)

    def play(
        self, pair: tuple[World, World], coins: Iterable[int], opening: bool = False
    ) -> list[Seen]:
        """What each party saw of steps that have nothing to do with each other; with ``opening``,
        Alice the model after each too."""
        return self._play(pair, list(coins), fresh=True, opening=opening)

    def _play(
        self, pair: tuple[World, World], tosses: list[int], fresh: bool, opening: bool = False
    ) -> list[Seen]:
        places = [list(self._places(party)) for party in range(3)]
        rooms = [
            np.empty((len(tosses), sum(p.bytes for _, _, p in seen)), np.uint8) for seen in places
        ]
        opened: list[Array] = []
        tables = {0: np.vstack([w.x for w in pair]), 1: np.vstack([w.y for w in pair])}
        batch = self.plan.parameters.batch_size
        with ThreadPoolExecutor(3) as pool:
            for step, coin in enumerate(tosses):
                if fresh:
                    self._share(pair[coin].w)
                rows = np.arange(coin * batch, (coin + 1) * batch, dtype=np.int32)
                for done in [
                    pool.submit(self._step, party, rows, tables.get(party)) for party in range(3)
                ]:
                    done.result()
                self.steps += 1
                for party, seen in enumerate(places):
                    arena = self.parties.arenas[party]
                    pieces = [arena[p.offset : p.offset + p.bytes] for _, _, p in seen]
                    if pieces:
                        np.concatenate(pieces, out=rooms[party][step])
                if opening:
                    opened.append(self.parties.reveal(self.steps))
        views = [_apart(room, seen) for room, seen in zip(rooms, places, strict=True)]
        if opening:
            views[0]["the model"] = np.array(opened)
        return views

    def received(self, party: int) -> list[str]:
        """The names of the messages that a party receives in a step."""
        return [name for name, _, _ in self._places(party) if name.startswith("message")]

    def _step(self, party: int, rows: Array, table: Array | None) -> None:
        self.parties.executors[party].run(
            self.parties.schedules[party].step,
            self.steps,
            1,
            rows if table is not None else None,
            table,
            LIMIT_S,
            LIMIT_S,
        )

    def _share(self, w: Array) -> None:
        """Fresh shares of the weights: of two parties, or replicated among three."""
        own = [len(pairs) for pairs in self.plan.state]
        shares = [_uniform(w.shape) for _ in range(len([n for n in own if n]) - 1)]
        shares.append(w - sum(shares, np.zeros_like(w)))
        for party, count in enumerate(own):
            for number in range(count):
                place = self.parties.schedules[party].state[number]
                self.parties.write(party, place, shares[(party + number) % len(shares)])

    def _places(self, party: int) -> Iterable[tuple[str, Operation, Place]]:
        part = self.parties.schedules[party]
        for message in part.messages[0]:
            if message.receiver == party:
                name = f"message {message.key} {message.tensor}"
                yield name, self.plan.by_name[message.tensor], part.received[message.key]
        own = len(self.plan.state[party])
        for name, place in zip(self.kept[party], part.state[own:], strict=True):
            yield f"own {name}", self.plan.by_name[name], place


def _showing(plan: Plan) -> tuple[Plan, list[list[str]]]:
    """The plan, with what its parties grow and multiply kept readable as if it were state."""
    parts = cut(plan, tuple(tuple(after for _, after in pairs) for pairs in plan.state)).parts
    kept: list[list[str]] = []
    operations, state = list(plan.operations), []
    for party, part in enumerate(parts):
        own = [
            o
            for o in part.operations
            if o.party == party and o.kind in _KEPT and o.dtype.kind != "f"
        ]
        kept.append([o.name for o in own])
        rooms = [
            replace(o, name=f"shown/{o.name}", kind="Placeholder", inputs=(), attributes={})
            for o in own
        ]
        operations += rooms
        state.append(
            plan.state[party]
            + tuple((room.name, o.name) for room, o in zip(rooms, own, strict=True))
        )
    return replace(plan, operations=tuple(operations), state=tuple(state)), kept


def _apart(room: Array, seen: list[tuple[str, Operation, Place]]) -> Seen:
    found, at = {}, 0
    for name, operation, place in seen:
        piece = np.ascontiguousarray(room[:, at : at + place.bytes])
        dtype = np.dtype(np.uint8) if operation.dtype == np.bool_ else operation.dtype
        found[name] = piece.view(dtype)
        at += place.bytes
    return found


def _uniform(shape: tuple[int, ...]) -> Array:
    size = int(np.prod(shape))
    return np.frombuffer(secrets.token_bytes(8 * size), np.int64).reshape(shape)


def tossed(count: int) -> Array:
    """Fair coins."""
    bits = np.unpackbits(np.frombuffer(secrets.token_bytes(count // 8 + 1), np.uint8))
    return bits[:count].astype(np.int64)


def messages(seen: Seen) -> Seen:
    """Only what was received."""
    return {name: values for name, values in seen.items() if name.startswith("message")}


def together(views: Iterable[Seen]) -> Seen:
    """The views of parties that collude."""
    return {f"{n} {name}": values for n, seen in enumerate(views) for name, values in seen.items()}


def bits_of(values: Array) -> Array:
    """Steps x elements x bits of an element, lowest first."""
    steps, elements = values.shape
    raw = np.ascontiguousarray(values).view(np.uint8).reshape(steps, elements, values.itemsize)
    return np.unpackbits(raw, axis=2, bitorder="little")


Spot = tuple[int, int, str]
"""Which view, which step, and which message."""


@dataclass(frozen=True)
class Blocks:
    """What became of the messages cut into blocks of 16 bytes.

    Attributes:
        count: of blocks.
        odd: messages without one whole block, or with bits that stay the same in some element.
        twice: pairs of spots that have a block in common.
    """

    count: int
    odd: list[str]
    twice: list[tuple[Spot, Spot]]


def blocks(views: Collection[Seen]) -> Blocks:
    """Looks for blocks that occur twice.

    Bits that are alike in every step and every element of a message, like seven of the eight of a
    byte that holds one bit, carry nothing and are left out; the rest is packed and cut up. What is
    left over at the end of a message is too short to tell.
    """
    pieces, spots, odd = [], [], []
    for number, seen in enumerate(views):
        for name, values in seen.items():
            bits = bits_of(values)
            live = (bits != bits[:1, :1]).any(axis=(0, 1))
            packed = bits[:, :, live].reshape(len(bits), -1)
            each = packed.shape[1] // 128
            if not each or not (packed != packed[:1]).any(axis=0).all():
                odd.append(name)
            pieces.append(np.packbits(packed[:, : each * 128].reshape(-1, 128), axis=1))
            spots += [(number, step, name) for step in range(len(bits)) for _ in range(each)]
    everything = np.ascontiguousarray(np.vstack(pieces))
    order = np.lexsort(everything.view("<u8").T)
    same = (everything[order][1:] == everything[order][:-1]).all(axis=1)
    twice = [(spots[order[i]], spots[order[i + 1]]) for i in np.flatnonzero(same)]
    return Blocks(len(everything), odd, twice)
