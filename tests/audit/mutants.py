"""Plans with one thing wrong: each mask, seed, shape, placement, opening, one after the other."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from party.agreement.job import PARTIES
from party.plan.cut import PartyProgram, cut
from party.plan.graph import Opening, Operation, Plan, Program, Share, Shared, Slot

_MASKING = ("Add", "AddV2", "Sub", "BitwiseXor", "NotEqual")

_OTHERS = {
    "AddV2": ("Mul",),
    "Sub": ("Mul",),
    "BitwiseXor": ("BitwiseAnd", "BitwiseOr"),
    "LogicalAnd": ("LogicalOr",),
    "LogicalOr": ("LogicalAnd",),
}
"""What may be done in the place of an operation, with the same operands."""

_ARITHMETIC = ("Add", "AddV2", "Sub", "Mul")
_PARTIAL = ("FloorDiv", "FloorMod", "LeftShift")
"""What has no result for some operands, or saturates."""

_OF_ONE_SIZE = {"int64": "float64", "int32": "float32", "float64": "int64", "float32": "int32"}

KINDS = {
    "drop": "dropped",
    "zero": "zeroed",
    "range": "narrowed",
    "narrow": "stretched",
    "swap": "swapped",
    "repeat": "repeated",
    "seed": "seeds_repeated",
    "misplace": "misplaced",
    "send": "sent",
    "receiver": "exchanged",
    "kind": "otherwise_computed",
    "shape": "misshaped",
    "open": "opened",
    "fail": "failing",
    "float": "made_floats",
    "carry": "carried",
    "copy": "copied",
}
"""What is wrong, and which of ``Mutator``'s methods does it."""


@dataclass(frozen=True, eq=False)
class Mutant:
    """A plan with one thing wrong.

    Attributes:
        kind: one of ``KINDS``.
        what: which one.
        program: in which of the programs.
        original: the plan.
        make: makes the program, or the plan.
    """

    kind: str
    what: str
    program: str
    original: Plan
    make: Callable[[], Program | Plan]

    @property
    def plan(self) -> Plan:
        """The plan, made again each time."""
        made = self.make()
        return made if isinstance(made, Plan) else with_program(self.original, made)


@dataclass(frozen=True, eq=False)
class Mutator:
    """All mutants of one program of a plan."""

    plan: Plan
    name: str

    @property
    def program(self) -> Program:
        """The program as it is."""
        return self.plan.by_name[self.name]

    def of_kind(self, kind: str) -> Iterator[Mutant]:
        """The mutants of one of ``KINDS``."""
        made: Iterator[Mutant] = getattr(self, KINDS[kind])()
        return made

    def dropped(self) -> Iterator[Mutant]:
        """A mask that is not put on, or a random term left out of a sum."""
        for operation in self.program.operations:
            operands = self._operands_of_sum(operation)
            for i, mask in enumerate(operands):
                if mask in self._random and operation.party is not None:
                    left = self._left(operation, operands, i)
                    yield self._with("drop", f"{mask} from {operation.name}", left)

    def _left(
        self, operation: Operation, operands: tuple[str, ...], dropped: int
    ) -> list[Operation]:
        """What is left of a sum without one operand."""
        mask, rest = (self.program.by_name[operands[i]] for i in (dropped, 1 - dropped))
        if rest.shape == operation.shape:
            return [replace(operation, kind="Identity", inputs=(rest.name,))]
        zeros = _constant("mutant/zeros", np.zeros(mask.shape, mask.dtype))
        return [zeros, self._masked(operation, dropped, zeros.name)]

    def _masked(self, operation: Operation, i: int, mask: str) -> Operation:
        """A sum with another operand."""
        inputs = list(self._operands_of_sum(operation))
        inputs[i] = mask
        kind = "NotEqual" if operation.kind == "LogicalAnd" else operation.kind
        return replace(operation, kind=kind, inputs=tuple(inputs))

    def zeroed(self) -> Iterator[Mutant]:
        """Zeros in place of random values, at every party that draws them and at one alone."""
        for uniforms in self._drawn():
            zeros = [_constant(o.name, np.zeros(o.shape, o.dtype)) for o in uniforms]
            yield self._with("zero", uniforms[0].name, zeros)

    def narrowed(self) -> Iterator[Mutant]:
        """Random values of too small a range."""
        for uniforms in self._drawn():
            first = uniforms[0]
            high = self.program.by_name[first.inputs[3]]
            ring = np.iinfo(first.dtype)
            whole = high.value is not None and int(high.value) == ring.max
            for label, limit in {"half": 0, "low bits": 1 << (first.dtype.itemsize * 4)}.items():
                if not whole and label == "half":
                    limit = 1
                elif not whole:
                    continue
                low = ring.min if label == "half" and whole else 0
                yield self._with_range(uniforms, low, limit, label)

    def stretched(self) -> Iterator[Mutant]:
        """A random number that hides two elements."""
        for uniforms in self._drawn():
            shape = uniforms[0].shape
            axis = next((i for i, width in enumerate(shape) if width > 1), None)
            if axis is not None:
                name = uniforms[0].name
                yield self._with("narrow", f"one row of {name}", _one_row(uniforms, axis))
                yield self._with("narrow", f"one of {name} again", _one_again(uniforms, axis))
        slices = [o for o in self.program.operations if o.kind == "StridedSlice"]
        for one in slices:
            for other in slices:
                same = (one.inputs[0], one.shape) == (other.inputs[0], other.shape)
                if same and one is not other and one.inputs[0] in self._random:
                    again = replace(one, inputs=other.inputs, attributes=other.attributes)
                    yield self._with("narrow", f"{one.name} as {other.name}", [again])

    def swapped(self) -> Iterator[Mutant]:
        """Two masks, each in the place of the other, at the one party that puts them on."""
        uses = [
            (operation, i, self.program.by_name[mask])
            for operation in self.program.operations
            for i, mask in enumerate(self._operands_of_sum(operation))
            if mask in self._random and operation.party is not None
        ]
        for n, (one, i, mask) in enumerate(uses):
            for other, k, second in uses[n + 1 :]:
                apart = one is not other and mask is not second
                if apart and one.party == other.party and _alike(mask, second):
                    changed = [self._masked(one, i, second.name), self._masked(other, k, mask.name)]
                    what = f"{mask.name} and {second.name} in {one.name} and {other.name}"
                    if _ordered(self.program, changed):
                        yield self._with("swap", what, changed)
                        break

    def repeated(self) -> Iterator[Mutant]:
        """Random values that others have already."""
        groups = list(self._streams.values())
        for i, uniforms in enumerate(groups):
            for other in self._neighbours(groups, i):
                for some in _all_and_each(uniforms):
                    again = []
                    for o in some:
                        twin = next((u for u in other if u.party == o.party), other[0])
                        again.append(
                            replace(o, inputs=(o.inputs[0], twin.inputs[1], *o.inputs[2:]))
                        )
                    yield self._with("repeat", f"{some[0].name} as {other[0].name}", again)

    def seeds_repeated(self) -> Iterator[Mutant]:
        """A seed in another one's place."""
        seeds = [o for o in self.program.operations if o.kind == "KitSeed"]
        for one in seeds:
            for other in seeds:
                if one is not other:
                    yield self._instead("seed", one.name, other.name)

    def misplaced(self) -> Iterator[Mutant]:
        """An operation at another party."""
        for operation in self.program.operations:
            for party in range(len(PARTIES)):
                if operation.party not in (None, party):
                    what = f"{operation.name} at {PARTIES[party]}"
                    yield self._with("misplace", what, [replace(operation, party=party)])

    def sent(self) -> Iterator[Mutant]:
        """A value that another party gets to see as well."""
        for operation in self.program.operations:
            for party in range(len(PARTIES)):
                read = operation.party not in (None, party) and self._last(operation, party)
                if read:
                    what = f"{operation.name} to {PARTIES[party]}"
                    yield self._with("send", what, self._reading_too(operation, party, read))

    def exchanged(self) -> Iterator[Mutant]:
        """Of two values that a party sends to the others, each goes to the other one's receiver."""
        by_name = self.program.by_name
        pairs = [(by_name[name], party) for name, party in self._crossing()]
        for n, (one, receiver) in enumerate(pairs):
            for other, second in pairs[n + 1 :]:
                apart = one is not other and receiver != second
                if apart and one.party == other.party and _alike(one, other):
                    changed = self._reading({(one.name, receiver): other.name}) + self._reading(
                        {(other.name, second): one.name}
                    )
                    if _ordered(self.program, changed):
                        yield self._with("receiver", f"{one.name} for {other.name}", changed)
                        break

    def _crossing(self) -> dict[tuple[str, int | None], None]:
        """What crosses, and its receivers."""
        return dict.fromkeys(
            (name, o.party)
            for o in self.program.operations
            for name in o.inputs
            if self.program.by_name[name].party not in (None, o.party)
        )

    def _reading(self, instead: dict[tuple[str, int | None], str]) -> list[Operation]:
        """The operations of a party that read something, with what they read in its place."""
        return [
            replace(o, inputs=tuple(instead.get((name, o.party), name) for name in o.inputs))
            for o in self.program.operations
            if any((name, o.party) in instead for name in o.inputs)
        ]

    def otherwise_computed(self) -> Iterator[Mutant]:
        """Another operation on the same operands, or the wrong one of two chosen."""
        for o in self.program.operations:
            if o.party is not None:
                for kind in _OTHERS.get(o.kind, ()):
                    yield self._with("kind", f"{kind} at {o.name}", [replace(o, kind=kind)])
                if o.kind == "Cast":
                    yield self._with("kind", f"another type at {o.name}", [_retyped(o)])
                if o.kind == "SelectV2":
                    choice, one, zero = o.inputs
                    other = replace(o, inputs=(choice, zero, one))
                    yield self._with("kind", f"the other one at {o.name}", [other])

    def misshaped(self) -> Iterator[Mutant]:
        """An operation that says another type or shape than it makes."""
        for o in self.program.operations:
            rows = o.shape[0] + 1 if o.shape else 2
            grown = replace(o, shape=(rows, *o.shape[1:]))
            yield self._with("shape", f"more rows of {o.name}", [grown])
            if o.kind != "Cast":
                yield self._with("shape", f"another type of {o.name}", [_retyped(o)])

    def failing(self) -> Iterator[Mutant]:
        """An operation that has no result for some operands, or saturates; a larger encoding."""
        for o in self.program.operations:
            if o.party is None or o.name in self._keys or o.kind not in _ARITHMETIC:
                continue
            if o.dtype.kind == "i":
                for kind in _PARTIAL:
                    yield self._with("fail", f"{kind} at {o.name}", [replace(o, kind=kind)])
            else:
                scale = _constant("mutant/scale", np.array(1e30, o.dtype))
                inputs = tuple(n if self._private(n) else scale.name for n in o.inputs)
                larger = replace(o, inputs=inputs)
                yield self._with("fail", f"a larger scale at {o.name}", [scale, larger])

    def made_floats(self) -> Iterator[Mutant]:
        """A share that is carried as floats, and a message that goes as floats."""
        for slot in self.program.writes:
            after = self.program.by_name[slot.operation]
            made = replace(after, name="mutant/made", kind="Cast", inputs=(after.name,))
            made = replace(made, dtype=np.dtype(np.float64), attributes={}, value=None)
            make = partial(self._leaving, slot, made.name, [made], "float64")
            what = f"{slot.share.value} of {PARTIES[slot.share.party]} ({self.name})"
            yield Mutant("float", what, self.name, self.plan, make)
        for name, receiver in self._crossing():
            sent = self.program.by_name[name]
            if sent.dtype.kind == "i" and name not in self._keys:
                cast = replace(sent, name="mutant/sent", kind="Cast", inputs=(name,), value=None)
                cast = replace(cast, dtype=np.dtype(np.float64), attributes={})
                back = replace(cast, name="mutant/back", party=receiver, inputs=(cast.name,))
                back = replace(back, dtype=sent.dtype)
                readers = self._reading({(name, receiver): back.name})
                yield self._with("float", f"{name} as floats", [cast, back, *readers])

    def carried(self) -> Iterator[Mutant]:
        """A seed that is carried as a part of a value, of which all others are zeros."""
        for o in self.program.operations:
            if o.kind == "KitSeed":
                for part in sorted({p for held in self.plan.state[0].parts for p in held}):
                    make = partial(self._carrying, o, part)
                    what = f"{o.name} as part {part} ({self.name})"
                    yield Mutant("carry", what, self.name, self.plan, make)

    def copied(self) -> Iterator[Mutant]:
        """Something else in the place of a share that another party has a copy of."""
        for slot in self.program.writes:
            parts = self.plan.shared(slot.share.value).parts
            part = parts[slot.share.party][slot.share.position]
            if sum(part in held for held in parts) == 1:
                continue
            after = self.program.by_name[slot.operation]
            for o in self.program.operations:
                if o.party == slot.share.party and o.name != after.name and _alike(o, after):
                    make = partial(self._leaving, slot, o.name, [])
                    what = f"{o.name} as {slot.share.value} of {PARTIES[slot.share.party]}"
                    yield Mutant("copy", f"{what} ({self.name})", self.name, self.plan, make)

    def _leaving(
        self, slot: Slot, made: str, more: list[Operation], dtype: str | None = None
    ) -> Plan:
        """The plan in which another operation makes what the program leaves of a share."""
        writes = tuple(
            replace(other, operation=made) if other is slot else other
            for other in self.program.writes
        )
        program = replace(with_operations(self.program, more), writes=writes)
        state = tuple(
            replace(value, dtype=dtype or value.dtype) if value.name == slot.share.value else value
            for value in self.plan.state
        )
        return replace(with_program(self.plan, program), state=state)

    def _carrying(self, seed: Operation, part: int) -> Plan:
        """The plan with one more shared value, of which one part is a seed."""
        parts = self.plan.state[0].parts
        zeros = _constant("mutant/zeros", np.zeros(seed.shape, seed.dtype))
        more, writes = [zeros], []
        for party, held in enumerate(parts):
            for i, number in enumerate(held):
                source = seed.name if number == part else zeros.name
                kept = replace(seed, name=f"mutant/{party}/{i}", kind="Identity", party=party)
                more.append(replace(kept, inputs=(source,)))
                writes.append(Slot(more[-1].name, Share("mutant", party, i)))
        program = with_operations(self.program, more)
        program = replace(program, writes=(*program.writes, *writes))
        value = Shared("mutant", seed.shape, seed.dtype.name, parts)
        return replace(with_program(self.plan, program), state=(*self.plan.state, value))

    def _private(self, name: str) -> bool:
        """Whether a value is a party's."""
        return self.program.by_name[name].party is not None

    def opened(self) -> Iterator[Mutant]:
        """Something else in the place of the model, or beside it."""
        results = {opening.operation for opening in self.program.opens}
        value, to = next(
            (opening.value, program.by_name[opening.operation].party)
            for program in self.plan.programs
            for opening in program.opens
        )
        for operation in self.program.operations:
            if operation.party is not None and operation.name not in results:
                again = replace(
                    operation, name="opened", kind="Identity", party=to, inputs=(operation.name,)
                )
                again = replace(again, attributes={}, value=None)
                what = f"{operation.name} in {self.name}"
                make = partial(self._opening, again, Opening("opened", value))
                yield Mutant("open", what, self.name, self.plan, make)

    def _with(self, kind: str, what: str, changed: list[Operation]) -> Mutant:
        make = partial(with_operations, self.program, changed)
        return Mutant(kind, f"{what} ({self.name})", self.name, self.plan, make)

    def _opening(self, result: Operation, opening: Opening) -> Program:
        operations = (*self.program.operations, result)
        return replace(self.program, operations=operations, opens=(opening,))

    def _with_range(self, uniforms: list[Operation], low: int, limit: int, label: str) -> Mutant:
        bounds = [
            _constant(f"mutant/{name}", np.array(value, uniforms[0].dtype))
            for name, value in (("low", low), ("limit", limit))
        ]
        names = tuple(o.name for o in bounds)
        narrowed = [replace(o, inputs=(*o.inputs[:2], *names)) for o in uniforms]
        return self._with("range", f"{label} of {uniforms[0].name}", [*bounds, *narrowed])

    def _instead(self, kind: str, one: str, other: str) -> Mutant:
        changed = [
            replace(o, inputs=tuple(other if name == one else name for name in o.inputs))
            for o in self.program.operations
            if one in o.inputs
        ]
        return self._with(kind, f"{other} for {one}", changed)

    def _last(self, operation: Operation, party: int) -> Operation | None:
        """The last integers that a party computes in a step, not on the way to an operation."""
        before: set[str] = set()
        todo = [operation.name]
        while todo:
            name = todo.pop()
            if name not in before:
                before.add(name)
                todo += self.program.by_name[name].inputs
        return next(
            (
                o
                for o in reversed(self._step[party].operations)
                if o.dtype.kind == "i" and o.name not in before | self._keys
            ),
            None,
        )

    def _reading_too(self, operation: Operation, party: int, last: Operation) -> list[Operation]:
        """A party reads an operation, makes zeros of it and adds these to what it computes last."""
        chain = self._grown_from(operation, party)
        got = (chain or [operation])[-1]
        axes = _constant("mutant/axes", np.arange(len(got.shape), dtype=np.int32))
        zeros = replace(got, name="mutant/zeros", kind="ZerosLike", party=party)
        zeros = replace(zeros, inputs=(got.name,), value=None)
        cast = replace(zeros, name="mutant/cast", kind="Cast", inputs=(zeros.name,))
        cast = replace(cast, dtype=last.dtype)
        zero = replace(cast, name="mutant/zero", kind="Sum", inputs=(cast.name, axes.name))
        zero = replace(zero, shape=(), attributes={"keep_dims": 0})
        before = replace(last, name="mutant/before")
        after = replace(last, kind="AddV2", inputs=(before.name, zero.name), attributes={})
        return [*chain, axes, zeros, cast, zero, before, after]

    def _grown_from(self, operation: Operation, party: int) -> list[Operation]:
        """Of a seed nothing may be read but what grows from it: that, at another party."""
        chain: list[Operation] = []
        while operation.name in self._keys:
            reader = next(o for o in self.program.operations if operation.name in o.inputs)
            name = chain[-1].name if chain else operation.name
            inputs = tuple(name if n == operation.name else n for n in reader.inputs)
            chain.append(replace(reader, name=f"sent/{reader.name}", party=party, inputs=inputs))
            operation = reader
        return chain

    def _operands_of_sum(self, operation: Operation) -> tuple[str, ...]:
        if operation.kind in _MASKING:
            return operation.inputs
        if operation.kind != "LogicalAnd":
            return ()
        either, not_both = (self.program.by_name[name] for name in operation.inputs)
        exclusive = (either.kind, not_both.kind) == ("LogicalOr", "LogicalNot")
        return either.inputs if exclusive else ()

    @cached_property
    def _random(self) -> set[str]:
        """What depends on seeds and on nobody's data."""
        private: set[str] = set()
        drawn: set[str] = set()
        for o in self.program.operations:
            if o.kind == "Placeholder" or private.intersection(o.inputs):
                private.add(o.name)
            elif o.kind == "KitUniform" or drawn.intersection(o.inputs):
                drawn.add(o.name)
        return drawn

    @cached_property
    def _keys(self) -> set[str]:
        """Seeds, and their sums with constants."""
        keys: set[str] = set()
        for o in self.program.operations:
            if o.kind == "KitSeed" or (keys.intersection(o.inputs) and o.kind != "KitUniform"):
                keys.add(o.name)
        return keys

    @cached_property
    def _step(self) -> tuple[PartyProgram, ...]:
        return cut(self.program).parts

    @cached_property
    def _streams(self) -> dict[tuple[str, bytes], list[Operation]]:
        """The operations that draw the same random values, by seed and nonce."""
        streams = defaultdict(list)
        for o in self.program.operations:
            if o.kind == "KitUniform":
                key = self.program.by_name[o.inputs[1]]
                nonce = b""
                if key.kind != "KitSeed":
                    seed, constant = (self.program.by_name[name] for name in key.inputs)
                    assert constant.value is not None
                    key, nonce = seed, constant.value.tobytes()
                streams[key.name, nonce].append(o)
        return streams

    def _drawn(self) -> Iterator[list[Operation]]:
        for uniforms in self._streams.values():
            yield from _all_and_each(uniforms)

    def _neighbours(self, groups: list[list[Operation]], i: int) -> list[list[Operation]]:
        """The next stream, the next alike, and the next alike that one of the parties knows."""
        later = groups[i + 1 :] + groups[:i]
        alike = [
            g for g in later if (g[0].shape, g[0].dtype) == (groups[i][0].shape, groups[i][0].dtype)
        ]
        parties = {o.party for o in groups[i]}
        held = [g for g in alike if parties & {o.party for o in g}]
        return list({id(g): g for g in (*later[:1], *alike[:1], *held[:1])}.values())


def _constant(name: str, value: np.ndarray[Any, Any]) -> Operation:
    return Operation(name, "Const", None, (), value.dtype, value.shape, {}, value)


def _alike(one: Operation, other: Operation) -> bool:
    return (one.dtype, one.shape) == (other.dtype, other.shape)


def _retyped(operation: Operation) -> Operation:
    other = _OF_ONE_SIZE.get(operation.dtype.name, "int8")
    if other == operation.dtype.name:
        other = "uint8"
    return replace(operation, dtype=np.dtype(other))


def _one_row(uniforms: list[Operation], axis: int) -> list[Operation]:
    """One row of random values in the place of all."""
    shape = uniforms[0].shape
    row = (*shape[:axis], 1, *shape[axis + 1 :])
    sizes = [
        _constant(f"mutant/{name}", np.array(size, np.int32))
        for name, size in (("row", row), ("all", shape))
    ]
    drawn = [
        replace(o, name=f"{o.name}/row", shape=row, inputs=("mutant/row", *o.inputs[1:]))
        for o in uniforms
    ]
    spread = [
        replace(o, kind="BroadcastTo", inputs=(f"{o.name}/row", "mutant/all")) for o in uniforms
    ]
    return [*sizes, *drawn, *spread]


def _one_again(uniforms: list[Operation], axis: int) -> list[Operation]:
    """Random values of which the first row stands in the place of the last one too."""
    rows = np.arange(uniforms[0].shape[axis], dtype=np.int32)
    rows[-1] = 0
    where = [_constant("mutant/rows", rows), _constant("mutant/axis", np.array(axis, np.int32))]
    drawn = [replace(o, name=f"{o.name}/all") for o in uniforms]
    picked = [
        replace(o, kind="GatherV2", inputs=(f"{o.name}/all", "mutant/rows", "mutant/axis"))
        for o in uniforms
    ]
    return [*where, *drawn, *picked]


def _ordered(program: Program, changed: list[Operation]) -> bool:
    """Whether no operation waits for itself when some are changed."""
    try:
        with_operations(program, changed)
    except ValueError:
        return False
    return True


def with_operations(program: Program, changed: list[Operation]) -> Program:
    """The program with some operations changed or added, each after what it reads.

    Raises ValueError where one waits for itself.
    """
    by_name = {o.name: o for o in (*program.operations, *changed)}
    return replace(program, operations=_in_order(tuple(by_name.values())))


def with_program(plan: Plan, changed: Program) -> Plan:
    """The plan with another program in the place of the one of its name."""
    programs = tuple(changed if p.name == changed.name else p for p in plan.programs)
    return replace(plan, programs=programs)


def some_of_every_kind(plan: Plan, programs: Iterable[str], most: int) -> list[Mutant]:
    """At most so many mutants of each kind, of some programs; the same ones every time."""
    names, found = list(programs), list[Mutant]()
    for kind in KINDS:
        some = [mutant for name in names for mutant in Mutator(plan, name).of_kind(kind)]
        found += random.Random(kind).sample(some, most) if len(some) > most else some
    return found


def _all_and_each(uniforms: list[Operation]) -> list[list[Operation]]:
    return [uniforms] + ([[o] for o in uniforms] if len(uniforms) > 1 else [])


def _in_order(operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    """The operations, each after those that it reads."""
    by_name = {o.name: o for o in operations}
    placed: dict[str, Operation] = {}
    begun: set[str] = set()
    todo = list(reversed(operations))
    while todo:
        operation = todo[-1]
        waits_for = [by_name[name] for name in operation.inputs if name not in placed]
        if not waits_for:
            placed.setdefault(operation.name, todo.pop())
            continue
        if operation.name in begun:
            raise ValueError("it waits for itself")
        begun.add(operation.name)
        todo += reversed(waits_for)
    return tuple(placed.values())
