"""What each value may depend on, and which fresh randomness hides it.

Sets of secrets and of random elements are integers, a bit for each secret and for each *piece* of a
random stream: the streams' elements fall into pieces wherever the plan cuts a stream up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from party.audit.numbering import Numbering, Term
from party.meaning import positions
from party.meaning.vocabulary import JOINED, RESHAPED
from party.plan.graph import Program

Elements = npt.NDArray[np.int64]

_GROUPS = {
    "i": frozenset({"Add", "AddV2", "Sub", "BitwiseXor"}),
    "b": frozenset({"LogicalXor", "NotEqual", "Equal"}),
}
"""Operations of which each operand is a bijection, by kind of type (signed integers, booleans)."""

_BIJECTIONS = frozenset({"Neg", "Invert", "LogicalNot", "KitBitReverse"})
_REORDERED = RESHAPED | {"Transpose", "ReverseV2"}
_PICKED = frozenset({"StridedSlice", "Slice", "GatherV2"})


@dataclass(frozen=True, eq=False)
class Mask:
    """Randomness that hides a value, element by element.

    Each element of the value is a bijection of one random element of its own, whatever all other
    secrets and random elements are, and it depends on no other random element of ``pieces``.

    Attributes:
        pieces: the pieces that the random elements lie in.
        elements: for each element of the value, the number of its random element.
    """

    pieces: int
    elements: Elements


@dataclass(frozen=True, eq=False)
class Flow:
    """What flows into a value: a superset of the secrets and pieces that it depends on; masks."""

    support: int
    masks: tuple[Mask, ...] = ()


@dataclass(frozen=True)
class Secret:
    """Something that is held: a party's batch, or a part of a shared value.

    Attributes:
        party: the first that holds it.
        what: it is.
        holders: all that hold it.
    """

    party: int
    what: str
    holders: frozenset[int]


class Flows:
    """The flows of a program's values, by number.

    Attributes:
        secrets: the secrets by bit.
        pieces: for each random stream, by number, all of its pieces.
    """

    def __init__(self, program: Program, numbering: Numbering) -> None:
        self._numbering = numbering
        self.secrets: dict[int, Secret] = {}
        self.pieces: dict[int, int] = {}
        self._drawn = self._find_drawn()
        self._first_element: dict[int, int] = {}
        self._piece_of_element = self._cut_streams(first_bit=self._name_secrets(program))
        self._flows: list[Flow] = []
        for number, term in enumerate(numbering.terms):
            self._flows.append(self._flow(number, term))

    def __getitem__(self, number: int) -> Flow:
        return self._flows[number]

    def secrets_of(self, party: int) -> int:
        """The secrets that a party holds."""
        return sum(1 << bit for bit, secret in self.secrets.items() if party in secret.holders)

    def named(self, support: int) -> list[Secret]:
        """The secrets in a set."""
        return [secret for bit, secret in self.secrets.items() if support >> bit & 1]

    def _name_secrets(self, program: Program) -> int:
        named = [(i.operation, i.party, "batch") for i in program.inputs]
        named += [
            (slot.operation, slot.share.party, f"share of {slot.share.value}")
            for slot in program.reads
        ]
        # A part that two parties hold is one secret, which both know.
        self._secret_bit: dict[int, int] = {}
        for name, party, what in named:
            bit = self._secret_bit.setdefault(self._numbering.number[name], len(self.secrets))
            first = self.secrets.setdefault(bit, Secret(party, what, frozenset()))
            self.secrets[bit] = replace(first, holders=first.holders | {party})
        return len(self.secrets)

    def _find_drawn(self) -> dict[int, int]:
        """The values that are random streams, if need be as booleans, and the streams."""
        streams = self._numbering.streams
        drawn = {number: number for number in streams}
        for number, term in enumerate(self._numbering.terms):
            to_bool = term.kind == "Cast" and term.operation.dtype == np.bool_
            if to_bool and term.inputs[0] in streams and streams[term.inputs[0]].bits:
                drawn[number] = term.inputs[0]
        return drawn

    def _cut_streams(self, first_bit: int) -> Elements:
        """Numbers the random elements, and finds the pieces in which the plan uses them."""
        slices: dict[int, list[Elements]] = {}
        for term in self._numbering.terms:
            if self._is_layout(term) and term.inputs[0] in self._drawn:
                stream = self._drawn[term.inputs[0]]
                size = self._numbering.terms[stream].operation.size
                slices.setdefault(stream, []).append(
                    self._laid_out(term, np.arange(size, dtype=np.int64))
                )
        labels: list[Elements] = [np.zeros(0, np.int64)]
        elements = 0
        for number in self._numbering.streams:
            size = self._numbering.terms[number].operation.size
            label = np.zeros(size, np.int64)
            taken = 1
            for read in slices.get(number, ()):
                # What was one piece is two now: what lies inside of this slice gets a new label.
                inside = np.unique(label[read], return_inverse=True)[1].reshape(-1)
                label[read] = taken + inside
                taken += int(inside.max(initial=-1)) + 1
            label = np.unique(label, return_inverse=True)[1].reshape(-1)
            count = int(label.max(initial=-1)) + 1
            self._first_element[number] = elements
            self.pieces[number] = ((1 << count) - 1) << first_bit
            labels.append(label + first_bit)
            elements, first_bit = elements + size, first_bit + count
        return np.concatenate(labels)

    def _pieces(self, elements: Elements) -> int:
        return sum(1 << int(bit) for bit in np.unique(self._piece_of_element[elements]))

    def _random(self, number: int) -> Flow:
        stream = self._drawn[number]
        pieces, first = self.pieces[stream], self._first_element[stream]
        if number == stream and not self._numbering.streams[stream].whole_ring:
            return Flow(pieces)
        size = self._numbering.terms[stream].operation.size
        elements = np.arange(first, first + size, dtype=np.int64)
        return Flow(pieces, (Mask(pieces, elements),))

    def _flow(self, number: int, term: Term) -> Flow:
        if number in self._secret_bit:
            return Flow(1 << self._secret_bit[number])
        if term.constant is not None or number in self._numbering.keys:
            return Flow(0)
        if number in self._drawn:
            return self._random(number)
        inputs = [self[n] for n in term.inputs]
        if self._is_layout(term):
            return self._moved(term, inputs[0])
        support = 0
        for flow in inputs:
            support |= flow.support
        if term.kind in JOINED:
            return Flow(support, self._joined(term, inputs))
        return Flow(support, self._kept(term, inputs))

    def _is_layout(self, term: Term) -> bool:
        """Whether it only moves elements about, in a way that everybody knows."""
        return (term.kind in _REORDERED or term.kind in _PICKED) and all(
            self._numbering.terms[n].constant is not None for n in term.inputs[1:]
        )

    def _kept(self, term: Term, inputs: list[Flow]) -> tuple[Mask, ...]:
        """The masks that an elementwise operation leaves in place."""
        kind, size = term.kind, term.operation.size
        operands = [self._numbering.terms[n] for n in term.inputs]
        types = {operand.operation.dtype for operand in operands} | {term.operation.dtype}
        if len(types) > 1 or term.operation.dtype.kind not in _GROUPS:
            return ()
        if kind in _BIJECTIONS:
            return inputs[0].masks
        by_unit = kind == "Mul" and any(_units(operand) for operand in operands)
        if kind not in _GROUPS[term.operation.dtype.kind] and not by_unit:
            return ()
        return tuple(
            mask
            for i, other in ((0, 1), (1, 0))
            for mask in inputs[i].masks
            if operands[i].operation.size == size and not mask.pieces & inputs[other].support
        )

    def _moved(self, term: Term, flow: Flow) -> Flow:
        """The flow of the same elements in another order, or of some of them."""
        support, masks = flow.support, []
        for mask in flow.masks:
            elements = self._laid_out(term, mask.elements)
            if term.kind == "GatherV2" and np.unique(elements).size < elements.size:
                continue
            pieces = mask.pieces if term.kind in _REORDERED else self._pieces(elements)
            support = support & ~mask.pieces | pieces
            masks.append(Mask(pieces, elements))
        return Flow(support, tuple(masks))

    def _joined(self, term: Term, inputs: list[Flow]) -> tuple[Mask, ...]:
        """A mask of all parts: of each its first, where no other part depends on it."""
        parts = inputs[:-1] if term.kind == "ConcatV2" else inputs
        if not all(part.masks for part in parts):
            return ()
        masks = [part.masks[0] for part in parts]
        for i, mask in enumerate(masks):
            if any(mask.pieces & other.support for j, other in enumerate(parts) if j != i):
                return ()
        pieces = sum(mask.pieces for mask in masks)
        return (Mask(pieces, self._laid_out(term, *(mask.elements for mask in masks))),)

    def _laid_out(self, term: Term, *moved: Elements) -> Elements:
        """What a layout operation makes of element numbers."""
        known = [self._numbering.terms[number].known for number in term.inputs]
        elements: Elements = np.concatenate(moved)[positions(term.operation, known).reshape(-1)]
        return elements


def _units(term: Term) -> bool:
    """Whether it is a constant of odd numbers: units of the ring of integers modulo 2^k."""
    return term.constant is not None and bool(np.all(term.constant & 1))
