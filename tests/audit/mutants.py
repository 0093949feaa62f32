"""Plans with one thing wrong: every mask, seed, placement and opening, one after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from party.job import PARTIES
from party.plan.graph import Operation, Plan

_MASKING = ("Add", "AddV2", "Sub", "BitwiseXor", "NotEqual")


KINDS = {
    "drop": "dropped",
    "zero": "zeroed",
    "range": "narrowed",
    "repeat": "repeated",
    "seed": "seeds_repeated",
    "misplace": "misplaced",
    "send": "sent",
    "open": "opened",
}
"""What is wrong, and which of ``Mutator``'s methods does it."""


@dataclass(frozen=True, eq=False)
class Mutant:
    """A plan with one thing wrong.

    Attributes:
        kind: one of ``KINDS``.
        what: which one.
        make: makes the plan.
    """

    kind: str
    what: str
    make: Callable[[], Plan]

    @property
    def plan(self) -> Plan:
        """The plan, made anew each time."""
        return self.make()


@dataclass(frozen=True, eq=False)
class Mutator:
    """All mutants of a plan."""

    plan: Plan

    def of_kind(self, kind: str) -> Iterator[Mutant]:
        """The mutants of one of ``KINDS``."""
        made: Iterator[Mutant] = getattr(self, KINDS[kind])()
        return made

    def dropped(self) -> Iterator[Mutant]:
        """A mask that is not put on, or a random term left out of a sum."""
        for operation in self.plan.operations:
            operands = self._operands_of_sum(operation)
            for i, mask in enumerate(operands):
                if mask in self._random and operation.party is not None:
                    left = self._left(operation, operands, i)
                    yield self._with("drop", f"{mask} from {operation.name}", left)

    def _left(
        self, operation: Operation, operands: tuple[str, ...], dropped: int
    ) -> list[Operation]:
        """What is left of a sum without one operand."""
        mask, rest = (self.plan.by_name[operands[i]] for i in (dropped, 1 - dropped))
        if rest.shape == operation.shape:
            return [replace(operation, kind="Identity", inputs=(rest.name,))]
        kind = "NotEqual" if operation.kind == "LogicalAnd" else operation.kind
        inputs = list(operands)
        inputs[dropped] = "mutant/zeros"
        value = np.zeros(mask.shape, mask.dtype)
        zeros = Operation("mutant/zeros", "Const", None, (), mask.dtype, mask.shape, {}, value)
        return [zeros, replace(operation, kind=kind, inputs=tuple(inputs))]

    def zeroed(self) -> Iterator[Mutant]:
        """Zeros in place of random values, at every party that draws them and at one alone."""
        for uniforms in self._drawn():
            zeros = [
                Operation(
                    o.name, "Const", None, (), o.dtype, o.shape, {}, np.zeros(o.shape, o.dtype)
                )
                for o in uniforms
            ]
            yield self._with("zero", uniforms[0].name, zeros)

    def narrowed(self) -> Iterator[Mutant]:
        """Random values of too small a range."""
        for uniforms in self._drawn():
            first = uniforms[0]
            high = self.plan.by_name[first.inputs[3]]
            ring = np.iinfo(first.dtype)
            whole = high.value is not None and int(high.value) == ring.max
            for label, limit in {"half": 0, "low bits": 1 << (first.dtype.itemsize * 4)}.items():
                if not whole and label == "half":
                    limit = 1
                elif not whole:
                    continue
                low = ring.min if label == "half" and whole else 0
                yield self._with_range(uniforms, low, limit, label)

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
        seeds = [o for o in self.plan.operations if o.kind == "KitSeed"]
        for one in seeds:
            for other in seeds:
                if one is not other:
                    yield self._instead("seed", one.name, other.name)

    def misplaced(self) -> Iterator[Mutant]:
        """An operation at another party."""
        for operation in self.plan.operations:
            for party in range(len(PARTIES)):
                if operation.party not in (None, party):
                    what = f"{operation.name} at {PARTIES[party]}"
                    yield self._with("misplace", what, [replace(operation, party=party)])

    def sent(self) -> Iterator[Mutant]:
        """A value that another party gets to see as well."""
        for operation in self.plan.operations:
            for party in range(len(PARTIES)):
                if operation.party not in (None, party):
                    what = f"{operation.name} to {PARTIES[party]}"
                    yield Mutant("send", what, partial(self._sending, operation, party))

    def opened(self) -> Iterator[Mutant]:
        """Something else in the place of the model."""
        result = self.plan.by_name[self.plan.result]
        for operation in self.plan.operations:
            if operation.party is not None and operation.name != result.name:
                again = replace(
                    result,
                    name="opened",
                    kind="Identity",
                    inputs=(operation.name,),
                    dtype=operation.dtype,
                    shape=operation.shape,
                )
                yield Mutant("open", operation.name, partial(self._opening, again))

    def _with(self, kind: str, what: str, changed: list[Operation]) -> Mutant:
        return Mutant(kind, what, partial(with_operations, self.plan, changed))

    def _opening(self, result: Operation) -> Plan:
        operations = (*self.plan.operations, result)
        return replace(self.plan, operations=operations, result=result.name)

    def _with_range(self, uniforms: list[Operation], low: int, limit: int, label: str) -> Mutant:
        bounds = [
            Operation(f"mutant/{n}", "Const", None, (), uniforms[0].dtype, (), {}, value)
            for n, value in (
                ("low", np.array(low, uniforms[0].dtype)),
                ("limit", np.array(limit, uniforms[0].dtype)),
            )
        ]
        names = tuple(o.name for o in bounds)
        narrowed = [replace(o, inputs=(*o.inputs[:2], *names)) for o in uniforms]
        return self._with("range", f"{label} of {uniforms[0].name}", [*bounds, *narrowed])

    def _instead(self, kind: str, one: str, other: str) -> Mutant:
        changed = [
            replace(o, inputs=tuple(other if name == one else name for name in o.inputs))
            for o in self.plan.operations
            if one in o.inputs
        ]
        return self._with(kind, f"{other} for {one}", changed)

    def _sending(self, operation: Operation, party: int) -> Plan:
        like = (operation.dtype, operation.shape)
        copy = Operation("sent", "Identity", party, (operation.name,), *like)
        held = Operation("mutant/held", "Placeholder", party, (), *like)
        state = [list(pairs) for pairs in self.plan.state]
        state[party].append((held.name, copy.name))
        return replace(
            self.plan,
            operations=(held, *self.plan.operations, copy),
            state=tuple(tuple(pairs) for pairs in state),
        )

    def _operands_of_sum(self, operation: Operation) -> tuple[str, ...]:
        if operation.kind in _MASKING:
            return operation.inputs
        if operation.kind != "LogicalAnd":
            return ()
        either, not_both = (self.plan.by_name[name] for name in operation.inputs)
        exclusive = (either.kind, not_both.kind) == ("LogicalOr", "LogicalNot")
        return either.inputs if exclusive else ()

    @cached_property
    def _random(self) -> set[str]:
        """What depends on seeds and on nobody's data."""
        private: set[str] = set()
        drawn: set[str] = set()
        keys: set[str] = set()
        for o in self.plan.operations:
            if o.kind == "Placeholder" or private.intersection(o.inputs):
                private.add(o.name)
            elif o.kind == "KitSeed" or (keys.intersection(o.inputs) and o.kind != "KitUniform"):
                keys.add(o.name)
            elif o.kind == "KitUniform" or drawn.intersection(o.inputs):
                drawn.add(o.name)
        return drawn

    @cached_property
    def _streams(self) -> dict[tuple[str, bytes], list[Operation]]:
        """The operations that draw the same random values, by seed and nonce."""
        streams = defaultdict(list)
        for o in self.plan.operations:
            if o.kind == "KitUniform":
                key = self.plan.by_name[o.inputs[1]]
                nonce = b""
                if key.kind != "KitSeed":
                    seed, constant = (self.plan.by_name[name] for name in key.inputs)
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


def with_operations(plan: Plan, changed: list[Operation]) -> Plan:
    """The plan with some operations changed or added, each after what it reads."""
    by_name = {o.name: o for o in (*plan.operations, *changed)}
    return replace(plan, operations=_in_order(tuple(by_name.values())))


def _all_and_each(uniforms: list[Operation]) -> list[list[Operation]]:
    return [uniforms] + ([[o] for o in uniforms] if len(uniforms) > 1 else [])


def _in_order(operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    """The operations, each after those that it reads."""
    by_name = {o.name: o for o in operations}
    placed: dict[str, Operation] = {}
    todo = list(reversed(operations))
    while todo:
        waits_for = [by_name[name] for name in todo[-1].inputs if name not in placed]
        if waits_for:
            todo += reversed(waits_for)
        else:
            operation = todo.pop()
            placed.setdefault(operation.name, operation)
    return tuple(placed.values())
