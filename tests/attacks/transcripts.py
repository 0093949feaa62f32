"""Programs of a plan played over and over by three real executors, and what each party saw of them.

A party's view of a program is every message that it received, every tensor that it grew from a
seed, its own or a received one, and every product that it made. Two worlds differ in all that is
private to the others: their tables and the weights. Before each step a fair coin chooses the world,
the shares of its weights are drawn, its table is shared, and the step is played.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from party.agreement.job import HOLDERS, AlignedJob, Job
from party.models.batches import FEATURE_BITS
from party.models.interface import NO_LABEL
from party.plan import Plan, Program, Share, Shared, Slot
from party.plan.cut import cut
from party.plan.graph import Operation
from party.schedule import schedule
from party.schedule.schedule import Region
from tests.harness.alignments import Aligned
from tests.harness.executors import ScheduledParties

Array = npt.NDArray[Any]
Seen = dict[str, Array]
"""By what it is, steps x elements."""

_KEPT = ("KitUniform", "MatMul", "Mul")

PLAYED = ("share", "step")
"""The programs of mini-batches in which something is computed."""

DESCENT = ("share", "prepare", "gradient", "update.1", "compare", "finish")
"""Those of a descent, once each."""

SAMPLED = ("share", "prepare", "gradient", "mark", "anchor", "inner.1")
"""Those of one that is corrected by all rows after a sample."""

EVALUATION = ("score", "join")
"""Those that count held-out rows."""

FOLDS = ("share", "score", "reset", "join")
"""Those that count rows that are shared already, after the training without them."""

INFORMATION = ("inform", "unscale")
"""Those of the information matrix of all columns."""

RESIDUALS = (*INFORMATION, "residuals")
"""Those of linear regression's standard errors."""


@dataclass(frozen=True)
class World:
    """What is private in one step: a batch of features, one of labels, and the raw weights."""

    x: Array
    y: Array
    w: Array


def sizes(plan: Plan) -> tuple[int, int]:
    """Rows of a batch, and columns of Alice's."""
    return plan.parameters.layout.batch_size, plan.parameters.layout.columns_of(0)


def worlds(plan: Plan, observer: int) -> tuple[World, World]:
    """Two worlds that are the same for the observer: its own table is, all else is not.

    All that differs does so in the highest bits and in the lowest.
    """
    batch, columns = sizes(plan)
    nothing = World(
        np.zeros((batch, columns), np.float32),
        np.zeros((batch, 1), np.float32),
        np.zeros((columns, 1), np.int64),
    )
    x = np.full((batch, columns), 100 + 1 / 2**FEATURE_BITS, np.float32)
    x[:, -1] = nothing.x[:, -1] = 1  # the intercept's
    much = World(
        x,
        np.full((batch, 1), 1 + np.finfo(np.float32).eps, np.float32),
        np.full((columns, 1), 5 * plan.scale + 1, np.int64),
    )
    if observer == 0:
        nothing = replace(nothing, x=much.x)
    elif observer == 1:
        nothing = replace(nothing, y=much.y)
    return nothing, much


class Descending(Protocol):
    """What is private in a descent.

    Attributes:
        tables: what each holder's programs read in one run.
        w: the number that each raw weight is.
    """

    @property
    def tables(self) -> dict[int, Array]: ...

    @property
    def w(self) -> int: ...


@dataclass(frozen=True)
class DescentWorld:
    """One with both tables as they are."""

    tables: dict[int, Array]
    w: int


@dataclass(frozen=True)
class MatchedWorld:
    """One with tables that were aligned: fresh shares of them in each run."""

    aligned: Aligned
    w: int

    @property
    def tables(self) -> dict[int, Array]:
        return dict(self.aligned.shares(np.random.default_rng(secrets.randbits(128))))


def worlds_of_descents(plan: Plan, observer: int) -> tuple[DescentWorld, DescentWorld]:
    """Two worlds like ``worlds``: the observer's own table is the same in both."""
    layout = plan.parameters.layout
    assert layout.descent is not None
    rows = layout.descent.rows + layout.descent.home_rows
    if layout.evaluation is not None:
        rows += layout.evaluation.rows + trained_rows(plan, "join")
    nothing, much = (
        {p: np.full((rows, layout.columns_of(p)), value, np.float32) for p in (0, 1)}
        for value in (0, 100 + 1 / 2**13)
    )
    if observer in nothing:
        nothing[observer] = much[observer]
    return DescentWorld(nothing, 0), DescentWorld(much, 5 * plan.scale + 1)


def worlds_of_matched_rows(plan: Plan, job: AlignedJob, observer: int) -> tuple[MatchedWorld, ...]:
    """Two worlds like ``worlds``, of tables that were aligned."""
    draw = np.random.default_rng(1)
    found = []
    for number, value in enumerate((0.0, 1 + 1 / 2**13)):
        features = {
            holder: np.full(
                (getattr(job.sizes, holder), len(job.features_of(holder))),
                1.0 if party == observer else value,
            )
            for party, holder in enumerate(HOLDERS)
        }
        own_label = HOLDERS[observer] == job.label_holder
        label = np.full(getattr(job.sizes, job.label_holder), 1 if own_label else number)
        aligned = Aligned.of(job, features, label, draw)
        found.append(MatchedWorld(aligned, number * (5 * plan.scale + 1)))
    return tuple(found)


def trained_rows(plan: Plan, program: str) -> int:
    """The rows that a run of a program takes."""
    return plan.parameters.trained.rows_of(program, plan.parameters.layout)


def worlds_of_one_model(plan: Plan) -> tuple[World, World]:
    """Two worlds that are the same for Alice, and whose model is the same after a step: of rows
    that are alike, it is another one that is labelled."""
    batch, columns = sizes(plan)
    x = np.full((batch, columns), 1.5, np.float32)
    x[:, -1] = 1  # the intercept's
    w = np.full((columns, 1), plan.scale // 4, np.int64)
    y = (np.arange(batch) % 2).astype(np.float32)[:, None]
    return World(x, y, w), World(x, 1 - y, w)


class Theatre:
    """Three executors that play a plan's programs in whichever world: what shares the table, a
    step, and what opens the model, if that is asked for.

    ``fed`` gives the values of seeds that the plan wants fed instead of drawing them; ``played``
    the programs of which parties see something, and ``kinds`` what they see beside messages.
    """

    def __init__(
        self,
        plan: Plan,
        directory: Path,
        fed: dict[str, Array] | None = None,
        played: tuple[str, ...] = PLAYED,
        kinds: tuple[str, ...] = _KEPT,
    ) -> None:
        self.plan, self.played = plan, played
        shown, self.kept = _showing(plan, played, kinds)
        parts = [schedule(shown, party, observed=True) for party in range(3)]
        self.parties = ScheduledParties(parts, directory)
        self.runs = 0
        for party, part in enumerate(parts):
            for name, place in part.fed.items():
                self.parties.write(party, place, (fed or {})[name])

    def train(self, world: World, steps: int) -> list[Seen]:
        """What each party saw of a training, from the start on; the table is shared again before
        each step."""
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
        layout = self.plan.parameters.layout
        # As many rows as the job has: those of the batch, again and again.
        times = -(-layout.rows // layout.batch_size)
        tables = [
            {p: np.tile(rows, (times, 1))[: layout.rows] for p, rows in ((0, w.x), (1, w.y))}
            for w in pair
        ]
        for step, coin in enumerate(tosses):
            if fresh:
                self._share(pair[coin].w)
            for name, rows in (("share", layout.share_rows), ("step", layout.batch_size)):
                self.run(name, tables[coin], np.arange(rows, dtype=np.int32))
            self._look(places, [room[step] for room in rooms])
            if opening:
                self.runs += 1
                (model,) = self.parties.opened(self.runs - 1).values()
                opened.append(model)
        views = [_apart(room, seen) for room, seen in zip(rooms, places, strict=True)]
        if opening:
            views[0]["the model"] = np.array(opened)
        return views

    def descend(self, pair: Sequence[Descending], coins: Iterable[int]) -> list[Seen]:
        """What each party saw of one pass of a descent and all around it, each time from the start,
        at another point in each world."""
        tosses = list(coins)
        places = [list(self._places(party)) for party in range(3)]
        rooms = [
            np.empty((len(tosses), sum(p.bytes for _, _, p in seen)), np.uint8) for seen in places
        ]
        trained, layout = self.plan.parameters.trained, self.plan.parameters.layout
        read: dict[int, list[Array]] = {0: [], 1: []}
        kept: list[list[Array]] = [[], [], []]
        begins = layout.descent is not None and layout.descent.starts_kept
        for step, coin in enumerate(tosses):
            tables = pair[coin].tables
            for party, table in tables.items():
                read[party].append(table.reshape(-1))
            for value in self.plan.state:
                if value.name.split(".")[0] in ("point", "iterate", "weights"):
                    self.write(value, np.full(value.shape, pair[coin].w, np.int64))
            for party, own in enumerate(kept if begins else ()):
                shares = [x for name, x in self.held(party).items() if "weights." in name]
                own.append(np.hstack([np.zeros(0, np.int64), *(x.reshape(-1) for x in shares)]))
            for name in self.played:
                rows = self._first(name) + np.arange(trained.rows_of(name, layout), dtype=np.int32)
                self.run(name, tables, rows)
            self._look(places, [room[step] for room in rooms])
        views = [_apart(room, seen) for room, seen in zip(rooms, places, strict=True)]
        for party, own in enumerate(kept):
            if own and own[0].size:
                views[party]["own shares of the model to begin from"] = np.array(own)
        if isinstance(
            pair[0], MatchedWorld
        ):  # other tables stay the same, or are not the observer's
            for party, tables_read in read.items():
                views[party]["own share of the rows"] = np.array(tables_read)
        return views

    def _first(self, name: str) -> int:
        layout = self.plan.parameters.layout
        if layout.label == NO_LABEL:
            return layout.rows if name == "share" else 0
        assert layout.descent is not None
        if layout.evaluation is not None and layout.evaluation.folds and name == "score":
            return 0
        if layout.evaluation is not None and name in EVALUATION:
            return layout.evaluation.first + (layout.evaluation.rows if name == "join" else 0)
        return 0 if name in ("share", "gradient", "inform", "residuals") else layout.descent.rows

    def whole(self, job: Job, tables: dict[int, Array]) -> list[Seen]:
        """What each party saw of a whole descent that never settles: each program's messages as
        often as it ran."""
        layout = self.plan.parameters.layout
        found: list[dict[str, list[Array]]] = [{}, {}, {}]

        def run(name: str, rows: Array | None) -> None:
            self.parties.program(name, self.runs, 1, tables, rows)
            self.runs += 1
            for party, seen in enumerate(found if name in self.played else ()):
                for what, _, place in self._places(party, (name,)):
                    seen.setdefault(what, []).append(self.parties.read(party, place))

        if layout.descent is not None and layout.descent.starts_kept:
            for shared in self.plan.state:
                if shared.name.startswith("weights."):
                    numbers = np.arange(math.prod(shared.shape), dtype=np.int64)
                    self.write(shared, numbers.reshape(shared.shape))
        for stretch in self.plan.parameters.trained.course(job, layout):
            for rows in stretch.rows() if stretch.rows else [None] * stretch.runs:
                run(stretch.program, rows)
                if stretch.told:
                    told = self.parties.opened(self.runs - 1, stretch.program)
                    for (party, value), counts in told.items():
                        stretch.told({value: counts / self.plan.scale}, tables[party])
        run("open", np.arange(layout.rows, dtype=np.int32) if layout.label == NO_LABEL else None)
        return [{what: np.array(them) for what, them in seen.items()} for seen in found]

    def _look(self, places: list[list[tuple[str, Operation, Region]]], rooms: list[Array]) -> None:
        for party, seen in enumerate(places):
            arena = self.parties.arenas[party]
            pieces = [arena[p.offset : p.offset + p.bytes] for _, _, p in seen]
            if pieces:
                np.concatenate(pieces, out=rooms[party])

    def received(self, party: int) -> list[str]:
        """The names of the messages that a party receives."""
        return [name for name, _, _ in self._places(party) if name.startswith("message")]

    def run(self, name: str, tables: dict[int, Array], rows: Array | None) -> None:
        """One program, over the rows that it takes."""
        self.parties.program(name, self.runs, 1, tables, rows)
        self.runs += 1

    def _share(self, w: Array) -> None:
        """Fresh shares of the weights: of two parties, or replicated among three."""
        (value,) = (shared for shared in self.plan.state if not shared.by_rows)
        self.write(value, w)

    def opened(self, name: str) -> dict[tuple[int, str], Array]:
        """What a program opens to each party."""
        self.runs += 1
        return self.parties.opened(self.runs - 1, name)

    def total(self, name: str) -> Array:
        """What the shares of a value of the state add up to."""
        (value,) = (one for one in self.plan.state if one.name == name)
        found: dict[int, Array] = {}
        for party, part in enumerate(self.parties.schedules):
            for held in part.state:
                if held.share.value == name:
                    number = value.parts[party][held.share.position]
                    found[number] = self.parties.read(party, held.place).view(np.int64)
        return sum(found.values(), np.zeros((), np.int64)).reshape(value.shape)

    def held(self, party: int) -> Seen:
        """A party's shares of the state, as one row each."""
        own = {value.name for value in self.plan.state}
        return {
            _share(held.share): self.parties.read(party, held.place).view(np.int64)
            for held in self.parties.schedules[party].state
            if held.share.value in own
        }

    def hold(self, party: int, shares: Seen) -> None:
        """The same shares as somewhere else."""
        for held in self.parties.schedules[party].state:
            if (name := _share(held.share)) in shares:
                self.parties.write(party, held.place, shares[name])

    def messages(self, party: int) -> Seen:
        """What a party received in the last run of each program, as one row each."""
        return {
            name: self.parties.read(party, place).view(operation.dtype)
            for name, operation, place in self._places(party)
            if name.startswith("message")
        }

    def write(self, value: Shared, w: Array) -> None:
        """Fresh shares of a value of the state."""
        parts = sorted({part for held in value.parts for part in held})
        shares = [_uniform(w.shape) for _ in parts[1:]]
        shares.append(w - sum(shares, np.zeros_like(w)))
        for party, part in enumerate(self.parties.schedules):
            for held in part.state:
                if held.share.value == value.name:
                    number = value.parts[party][held.share.position]
                    self.parties.write(party, held.place, shares[number])

    def _places(
        self, party: int, played: tuple[str, ...] | None = None
    ) -> Iterable[tuple[str, Operation, Region]]:
        """What a party sees of the programs: names, with the program's before the tensor's."""
        part = self.parties.schedules[party]
        state = {held.share.value: held.place for held in part.state}
        for program in (self.plan.by_name[name] for name in played or self.played):
            for message in part.program(program.name).messages:
                if message.receiver == party:
                    name = f"message {message.key} {program.name}/{message.tensor}"
                    yield name, program.by_name[message.tensor], part.received[message.key]
            for name in self.kept[program.name, party]:
                place = state[f"{program.name}/{name}"]
                yield f"own {program.name}/{name}", program.by_name[name], place


def _share(share: Share) -> str:
    return f"own {share.value}/{share.position}"


def made_by(plan: Plan, name: str) -> tuple[Program, Operation]:
    """The program and the operation of a name that ``Theatre`` gave something."""
    program, _, tensor = name.partition("/")
    return plan.by_name[program], plan.by_name[program].by_name[tensor]


def _showing(
    plan: Plan, played: tuple[str, ...], kinds: tuple[str, ...]
) -> tuple[Plan, dict[tuple[str, int], list[str]]]:
    """The plan, with what its parties grow and multiply kept readable as if it were state."""
    kept: dict[tuple[str, int], list[str]] = {}
    programs, state = [], list(plan.state)
    for program in plan.programs:
        writes = list(program.writes)
        for party, part in enumerate(cut(program).parts if program.name in played else ()):
            own = [
                o
                for o in part.operations
                if o.party == party and o.kind in kinds and o.dtype.kind != "f"
            ]
            kept[program.name, party] = [o.name for o in own]
            for o in own:
                value = f"{program.name}/{o.name}"
                parts = tuple((0,) if p == party else () for p in range(3))
                state.append(Shared(value, o.shape, o.dtype.name, parts))
                writes.append(Slot(o.name, Share(value, party, 0)))
        programs.append(replace(program, writes=tuple(writes)))
    return replace(plan, programs=tuple(programs), state=tuple(state)), kept


def _apart(room: Array, seen: list[tuple[str, Operation, Region]]) -> Seen:
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
    pieces: list[Array] = []
    spots: list[Spot] = []
    odd: list[str] = []
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
    return _compared(pieces, spots, odd)


def blocks_of_bytes(views: Collection[Seen]) -> Blocks:
    """Looks for blocks that occur twice, where all bits count: numbers of the whole ring, of which
    some come but once. What is shorter than a block is joined with what else is so in one run of a
    program."""
    pieces: list[Array] = []
    spots: list[Spot] = []
    odd: list[str] = []
    for number, seen in enumerate(views):
        short: dict[str, list[Array]] = {}
        long: Seen = {}
        for name, values in seen.items():
            raw = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)
            if raw.shape[1] < 16:
                short.setdefault(name.split("/")[0].split()[-1], []).append(raw)
            else:
                long[name] = raw
        long |= {f"short ones of {program}": np.hstack(them) for program, them in short.items()}
        for name, raw in long.items():
            each = raw.shape[1] // 16
            if not each:
                odd.append(name)
            pieces.append(np.ascontiguousarray(raw[:, : each * 16]).reshape(-1, 16))
            spots += [(number, step, name) for step in range(len(raw)) for _ in range(each)]
    return _compared(pieces, spots, odd)


def _compared(pieces: list[Array], spots: list[Spot], odd: list[str]) -> Blocks:
    everything = np.ascontiguousarray(np.vstack(pieces))
    order = np.lexsort(everything.view("<u8").T)
    same = (everything[order][1:] == everything[order][:-1]).all(axis=1)
    twice = [(spots[order[i]], spots[order[i + 1]]) for i in np.flatnonzero(same)]
    return Blocks(len(everything), odd, twice)
