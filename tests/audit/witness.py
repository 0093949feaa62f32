"""Shows that a party's view says nothing of the others' secrets, by exchanging these under it.

For what a party holds in some runs, and other secrets of the others, randomness is found that the
party does not know and under which it holds the same, bit for bit. Going back from there by the
same way leads to where it started from; so the way is one to one, and each view is as likely for
the one set of secrets as for the other. (The plan's random streams are taken for random functions
of their keys.) The audit's proof says where to look; whether it is right is seen by running it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from party.audit.audit import kept
from party.audit.flow import Flows
from party.audit.numbering import Numbering
from party.audit.view import Hidden, View, view
from party.meaning.layouts import LAYOUTS
from party.plan.cut import PartyProgram, cut
from party.plan.graph import Program
from tests.audit.interpreter import Draw, Interpreter, Rows, positions, pseudorandom

Where = npt.NDArray[np.bool_]


class Unfit(Exception):
    """No randomness was found: nothing is shown."""


def other_secrets(
    program: Program, alike: Mapping[str, str], party: int, runs: int, rng: np.random.Generator
) -> dict[str, Rows]:
    """New values for all that only the others hold; for a party of -1, for all that there is.

    A part that two parties hold (``alike``) gets the same value at both.
    """
    fed: dict[str, Rows] = {}
    known = {
        alike.get(o.name, o.name)
        for o in program.operations
        if o.kind == "Placeholder" and o.party == party
    }
    for o in program.operations:
        first = alike.get(o.name, o.name)
        if o.kind == "Placeholder" and first in fed:
            fed[o.name] = fed[first]
        elif o.kind == "Placeholder" and first not in known:
            if o.dtype.kind == "f":
                fed[o.name] = rng.normal(0, 2, (runs, o.size)).astype(o.dtype)
            else:
                info = np.iinfo(o.dtype)
                fed[o.name] = rng.integers(info.min, info.max, (runs, o.size), o.dtype)
        elif o.kind == "KitSeed" and party == -1:
            fed[o.name] = rng.integers(-(2**31), 2**31, (runs, 8)).astype(np.int32)
    return fed


@dataclass
class Witness:
    """The exchange of the others' secrets under the view of one party.

    Args:
        program: of a plan that passes the audit.
        alike: see ``party.audit.audit.alike``.
        runs: how many views to start from.
        seed: of secrets and randomness.
    """

    program: Program
    alike: Mapping[str, str] = field(default_factory=dict)
    runs: int = 4
    seed: int = 0
    numbering: Numbering = field(init=False)
    flows: Flows = field(init=False)

    def __post_init__(self) -> None:
        self.numbering = Numbering(self.program, self.alike)
        self.flows = Flows(self.program, self.numbering)
        self.parts = cut(self.program, targets=kept(self.program)).parts
        self._interpreter = Interpreter(self.program)
        self._rng = np.random.default_rng(self.seed)
        everything = other_secrets(self.program, self.alike, -1, self.runs, self._rng)
        tape = {
            number: self._interpreter.in_range(
                term.operation, pseudorandom(term.operation, self._words())
            )
            for number, term in enumerate(self.numbering.terms)
            if number in self.numbering.streams
        }
        self.world = (everything, tape)
        self.made = self._run(everything, tape)

    def exchange(self, part: PartyProgram) -> None:
        """Exchanges the secrets under a party's view, and back again.

        Raises:
            Unfit: there is something in the view that the exchange shows in.
        """
        found = view(part, self.numbering, self.flows)
        fed, tape = self.world
        others = fed | other_secrets(self.program, self.alike, part.party, self.runs, self._rng)
        other_tape = self._fitted(part, found, others, tape)
        back = self._fitted(part, found, fed, other_tape)
        if any(not np.array_equal(back[number], tape[number]) for number in tape):
            raise Unfit("the way back leads elsewhere")

    def _fitted(
        self, part: PartyProgram, found: View, fed: dict[str, Rows], tape: dict[int, Rows]
    ) -> dict[int, Rows]:
        """The randomness under which the party holds with these secrets what it held before."""
        tape = dict(tape)
        made = self._run(fed, tape)
        for _ in range(len(found.proof) + 1):
            wrong = [step for step in reversed(found.proof) if not self._keeps(step, made)]
            if not wrong:
                break
            before = dict(tape)
            for step in wrong:
                self._push(step.value, self._value(self.made, step.value), made, step, tape)
            made = self._rerun(made, fed, tape, {n for n in tape if tape[n] is not before[n]})
        else:
            raise Unfit("no randomness keeps the view")
        for operation in part.operations:
            if not np.array_equal(made[operation.name], self.made[operation.name]):
                raise Unfit(f"{operation.name} shows the exchange")
        held = {o.name for o in part.operations if o.kind == "KitSeed"}
        received = [m.tensor for inbox in part.receives.values() for m in inbox]
        for name in received:
            if not np.array_equal(made[name], self.made[name]):
                raise Unfit(f"{name} shows the exchange")
        keys = [self.numbering.keys.get(self.numbering.number[name]) for name in received]
        held |= {key.seed for key in keys if key is not None}
        for number, stream in self.numbering.streams.items():
            if stream.key.seed in held and not np.array_equal(tape[number], self.world[1][number]):
                raise Unfit("randomness that the party knows is changed")
        return tape

    def _keeps(self, step: Hidden, made: dict[str, Rows]) -> bool:
        same = self._value(made, step.value) == self._value(self.made, step.value)
        return bool(np.all(same | ~self._where(step)))

    def _where(self, step: Hidden) -> Where:
        if step.case is None:
            return np.ones((1, 1), np.bool_)
        choice = self._value(self.made, step.case.choice)
        return choice if step.case.when else ~choice

    def _push(
        self,
        number: int,
        wanted: Rows,
        made: dict[str, Rows],
        step: Hidden,
        tape: dict[int, Rows],
        where: Where | None = None,
    ) -> None:
        """Changes the mask so that a value becomes what is wanted, all else being as it is."""
        term = self.numbering.terms[number]
        kind, inputs = term.kind, term.inputs
        where = np.broadcast_to(self._where(step), wanted.shape) if where is None else where
        if number in tape:
            tape[number] = np.where(where, wanted, tape[number])
            return
        if kind in LAYOUTS:
            self._push_moved(number, wanted, made, step, tape, where)
            return
        carrier = next(i for i, n in enumerate(inputs) if self._carries(n, step))
        source = self.numbering.terms[inputs[carrier]].operation
        with np.errstate(over="ignore"):
            if kind == "Cast":
                wanted = wanted.astype(source.dtype)
            elif kind in ("Invert", "LogicalNot"):
                wanted = ~wanted
            elif kind == "Neg":
                wanted = -wanted
            else:
                wanted = self._solved(kind, carrier, wanted, self._aligned(made, number, carrier))
        self._push(inputs[carrier], wanted, made, step, tape, where)

    def _solved(self, kind: str, carrier: int, wanted: Rows, other: Rows) -> Rows:
        if kind in ("Add", "AddV2"):
            return wanted - other
        if kind == "Sub":
            return wanted + other if carrier == 0 else other - wanted
        if kind in ("BitwiseXor", "LogicalXor", "NotEqual"):
            return wanted ^ other
        if kind == "Equal":
            return ~(wanted ^ other)
        if kind == "Mul":
            bits = 8 * other.dtype.itemsize
            inverses = [pow(int(unit), -1, 1 << bits) for unit in other[0]]
            signed = np.array(inverses, np.uint64).astype(other.dtype)
            return wanted * signed
        raise NotImplementedError(kind)

    def _push_moved(
        self,
        number: int,
        wanted: Rows,
        made: dict[str, Rows],
        step: Hidden,
        tape: dict[int, Rows],
        where: Where,
    ) -> None:
        term = self.numbering.terms[number]
        sources = [self.numbering.terms[n].operation for n in term.inputs]
        operation = term.operation
        taken = positions(operation, sources, self._public(term.inputs))
        first = 0
        for n, source in zip(term.inputs, sources, strict=True):
            inside = (taken >= first) & (taken < first + source.size)
            if inside.any() and n not in self._constants(term.inputs):
                into = np.zeros((self.runs, source.size), operation.dtype)
                mark = np.zeros((self.runs, source.size), np.bool_)
                into[:, taken[inside] - first] = wanted[:, inside]
                mark[:, taken[inside] - first] = where[:, inside]
                self._push(n, into, made, step, tape, mark)
            first += source.size

    def _carries(self, number: int, step: Hidden) -> bool:
        return any(mask.pieces & step.mask.pieces for mask in self.flows[number].masks) or (
            bool(self.flows[number].support & step.mask.pieces) and number in self.numbering.streams
        )

    def _constants(self, numbers: tuple[int, ...]) -> set[int]:
        return {n for n in numbers if self.numbering.terms[n].constant is not None}

    def _public(self, numbers: tuple[int, ...]) -> dict[str, npt.NDArray[np.generic]]:
        public = {}
        for n in self._constants(numbers):
            constant = self.numbering.terms[n].constant
            assert constant is not None
            public[self.numbering.terms[n].operation.name] = constant
        return public

    def _aligned(self, made: dict[str, Rows], number: int, carrier: int) -> Rows:
        """The other operand, in the shape of the result."""
        term = self.numbering.terms[number]
        other = self.numbering.terms[term.inputs[1 - carrier]].operation
        elements = np.arange(other.size).reshape(other.shape)
        shape = term.operation.shape
        return made[other.name][:, np.broadcast_to(elements, shape).reshape(-1)]

    def _value(self, made: dict[str, Rows], number: int) -> Rows:
        return made[self.numbering.terms[number].operation.name]

    def _words(self) -> Rows:
        return self._rng.integers(-(2**31), 2**31, (self.runs, 8)).astype(np.int32)

    def _run(self, fed: dict[str, Rows], tape: dict[int, Rows]) -> dict[str, Rows]:
        return self._interpreter.run(self.runs, fed, self._drawn(tape))

    def _rerun(
        self, made: dict[str, Rows], fed: dict[str, Rows], tape: dict[int, Rows], changed: set[int]
    ) -> dict[str, Rows]:
        names = {
            o.name
            for o in self.program.operations
            if o.kind == "KitUniform" and self.numbering.number[o.name] in changed
        }
        return self._interpreter.rerun(made, names, fed, self._drawn(tape))

    def _drawn(self, tape: dict[int, Rows]) -> Draw:
        return lambda operation, seeds: tape[self.numbering.number[operation.name]]
