"""Whether private weights have the noise of both holders in them before they are opened.

A holder's noise stands in rows of its own that no other number is in. The proof has two halves:

- **What depends on noise.** Of each element of each value, and of the state, it is known whose
  noise it may depend on: operations on elements pass that on by element, layouts move it, and of
  anything else every element depends on whatever any operand does.
- **What is opened.** The parts of a value are taken apart through sums and differences. Added up,
  each holder's own rows of noise must be left, once and as they were encoded, beside terms that
  depend on no noise. So the value is something that no noise is in, and both holders' noise.

Nothing else makes that value, and it is opened as the plain sum of its parts (``audit``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from party.agreement.job import HOLDERS
from party.audit.numbering import Numbering, Term
from party.audit.refusal import refused
from party.meaning import positions
from party.meaning.layouts import LAYOUTS, moved
from party.meaning.vocabulary import BINARY, SAME, UNARY
from party.plan.graph import Plan, Program
from party.process.errors import JobError

Taint = npt.NDArray[np.int64] | None
"""Of each element, a bit for each holder whose noise it may depend on; None where there is none."""

_BY_ELEMENT = frozenset({*BINARY, *UNARY, *SAME, "Cast"})
_ADDED = {"Add": (1, 1), "AddV2": (1, 1), "Sub": (1, -1), "Neg": (-1,)}

Rows = Mapping[str, range]
"""By value of the state, the rows of each holder's batch that are the noise on it."""


@dataclass
class NoiseCheck:
    """Looks at the programs of a plan one after the other.

    Attributes:
        plan: which one.
        rows: of each program.
    """

    plan: Plan
    rows: Mapping[str, Rows]
    _state: dict[str, npt.NDArray[np.int64]] = field(init=False)

    def check(self, numberings: Mapping[str, Numbering]) -> None:
        """Raises JobError for a value that is not made as it must be, or by two programs."""
        values = {value for rows in self.rows.values() for value in rows}
        if not values:
            return
        self._state = {v.name: np.zeros(v.shape, np.int64) for v in self.plan.state}
        while True:  # what a program leaves, those before it may read in the next run
            before = {name: taint.copy() for name, taint in self._state.items()}
            for program in self.plan.programs:
                self._leave(program, numberings[program.name])
            if all(np.array_equal(before[name], now) for name, now in self._state.items()):
                break
        for value in sorted(values):
            made = [p for p in self.plan.programs if any(s.share.value == value for s in p.writes)]
            if len(made) != 1 or value not in self.rows[made[0].name]:
                raise JobError(f"the plan is refused: {value!r} is left by another program")
            self._made(made[0], numberings[made[0].name], value)

    def _made(self, program: Program, numbering: Numbering, value: str) -> None:
        """That a value is something without noise, and the noise of both holders."""
        parts = {}
        for slot in program.writes:
            if slot.share.value == value:
                part = self.plan.shared(value).parts[slot.share.party][slot.share.position]
                parts[part] = numbering.number[slot.operation]
        result = program.by_name[
            next(s.operation for s in program.writes if s.share.value == value)
        ]
        taints = self._taints(program, numbering)
        wanted = {(holder, self._places(program, holder, value)) for holder in range(len(HOLDERS))}
        found = []
        for number, factor in _added(parts.values(), numbering).items():
            if taints[number] is None:
                continue
            noise = self._noise(program, numbering, number)
            if factor != 1 or noise is None:
                raise refused(result, f"{value!r} has something else of the noise in it than it")
            found.append(noise)
        if len(found) != len(wanted) or set(found) != wanted:
            raise refused(result, f"{value!r} has not the noise of both holders in it, once each")

    def _places(self, program: Program, holder: int, value: str) -> tuple[int, ...]:
        """The elements of the noise on a value, in its holder's batch of one column."""
        shape = self.plan.shared(value).shape
        rows = self.rows[program.name][value]
        return tuple(rows) if shape == (len(rows), 1) else ()

    def _noise(
        self, program: Program, numbering: Numbering, number: int
    ) -> tuple[int, tuple[int, ...]] | None:
        """Whose noise a value is, as it was encoded, and which elements; None for anything else."""
        term, places = numbering.terms[number], None
        while term.kind in LAYOUTS and moved(term.kind, len(term.inputs)) == 1:
            known = [numbering.terms[n].known for n in term.inputs]
            at = positions(term.operation, known).reshape(-1)
            places = at if places is None else at[places]
            term = numbering.terms[term.inputs[0]]
        for kind in ("Cast", "Round", "Mul"):
            if term.kind != kind:
                return None
            constants = [numbering.terms[n].constant for n in term.inputs[1:]]
            if kind == "Mul" and (constants[0] is None or np.any(constants[0] != self.plan.scale)):
                return None
            term = numbering.terms[term.inputs[0]]
        for private in program.inputs:
            batch = program.by_name[private.operation]
            if batch.name == term.operation.name and (private.first, batch.shape[1]) == (0, 1):
                return private.party, tuple(
                    range(batch.size) if places is None else places.tolist()
                )
        return None

    def _leave(self, program: Program, numbering: Numbering) -> None:
        taints = self._taints(program, numbering)
        for slot in program.writes:
            left, own = taints[numbering.number[slot.operation]], self._state[slot.share.value]
            if left is not None:  # of a value by rows each run may leave any
                own |= left if left.shape == own.shape else np.bitwise_or.reduce(left, axis=None)

    def _taints(self, program: Program, numbering: Numbering) -> list[Taint]:
        """Of each value of a program, by number."""
        fed = dict(self._fed(program))
        found: list[Taint] = []
        for term in numbering.terms:
            read = [found[n] for n in term.inputs]
            own = fed.get(term.operation.name)
            found.append(_taint(term, read, numbering) if own is None else own)
        return found

    def _fed(self, program: Program) -> Iterator[tuple[str, Taint]]:
        """What a program is fed with, where there is noise in it."""
        noise = [row for rows in self.rows[program.name].values() for row in rows]
        for private in program.inputs:
            if noise and private.first == 0:
                taint = np.zeros(program.by_name[private.operation].shape, np.int64)
                taint[noise, 0] = 1 << private.party
                yield private.operation, taint
        for slot in program.reads:
            shape, taint = program.by_name[slot.operation].shape, self._state[slot.share.value]
            if taint.any():
                every = np.bitwise_or.reduce(taint, axis=None)
                yield slot.operation, taint if taint.shape == shape else np.full(shape, every)


def _taint(term: Term, read: list[Taint], numbering: Numbering) -> Taint:
    """Of a value, by those of what it is made from."""
    some = [one for one in read if one is not None]
    if term.constant is not None or not some:
        return None
    shape = term.operation.shape
    count = moved(term.kind, len(read)) if term.kind in LAYOUTS else 0
    if count and all(numbering.terms[n].constant is not None for n in term.inputs[count:]):
        known = [numbering.terms[n].known for n in term.inputs]
        flat = [
            np.zeros(one.size, np.int64) if taint is None else taint.reshape(-1)
            for one, taint in zip(known[:count], read[:count], strict=True)
        ]
        found = np.concatenate(flat)[positions(term.operation, known)]
        return found if found.any() else None
    if term.kind in _BY_ELEMENT:
        together = np.zeros(shape, np.int64)
        for one in some:
            together |= one
        return together
    every = np.bitwise_or.reduce([np.bitwise_or.reduce(one, axis=None) for one in some])
    return np.full(shape, every, np.int64)


def _added(numbers: Iterable[int], numbering: Numbering) -> Counter[int]:
    """What values add up to, through sums and differences of one shape: how often each term."""
    factors: Counter[int] = Counter(numbers)
    # A value is made of values with smaller numbers.
    for number in range(len(numbering.terms) - 1, -1, -1):
        term = numbering.terms[number]
        signs = _ADDED.get(term.kind, (1,) if term.kind in SAME else None)
        shapes = {numbering.terms[n].operation.shape for n in term.inputs}
        if signs is None or not factors[number] or shapes != {term.operation.shape}:
            continue
        factor = factors.pop(number)
        for one, sign in zip(term.inputs, signs, strict=True):
            factors[one] += sign * factor
    return Counter({number: factor for number, factor in factors.items() if factor})
