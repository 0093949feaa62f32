"""Value numbering: operations that are bound to have the same value get the same number.

ABY3's parties draw the same random values from a key that two of them hold, each for itself; only
who sees that these are one random variable can tell what hides what. The same pass folds constants,
follows seeds to the random values drawn from them, and refuses plans that use a seed in any other
way, or twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from party.audit.refusal import refused
from party.meaning import KINDS, Known, fold, holds
from party.meaning.vocabulary import PLACEHOLDER, SAME
from party.plan.graph import Array, Operation, Program

_UNIQUE = frozenset({PLACEHOLDER, "KitSeed"})


@dataclass(frozen=True, eq=False)
class Term:
    """A value: the first operation that makes it, and the numbers of what it is made from.

    Attributes:
        kind: the operation's, or ``LogicalXor`` for what TensorFlow makes of that.
        inputs: numbers of the values that it depends on.
        operation: the first one with this value.
        constant: the value itself, where it follows from constants.
    """

    kind: str
    inputs: tuple[int, ...]
    operation: Operation
    constant: Array | None = None

    @property
    def known(self) -> Known:
        """What everybody knows of it."""
        return Known(self.operation.shape, self.operation.dtype, self.constant)


@dataclass(frozen=True)
class Key:
    """A seed, or the sum of a seed and a public constant: the key of a stream of random values."""

    seed: str
    offset: bytes


@dataclass(frozen=True)
class Stream:
    """Random values drawn from a key: one random variable, whoever computes it.

    Attributes:
        key: what they follow from.
        shape, dtype: of the values.
        low, high: they are uniform in [low, high), or in the type's whole ring if these are the
            type's least and greatest values.
    """

    key: Key
    shape: tuple[int, ...]
    dtype: str
    low: int
    high: int

    @property
    def whole_ring(self) -> bool:
        """Whether every value of the type is equally likely."""
        ring = np.iinfo(self.dtype)
        return (self.low, self.high) == (ring.min, ring.max)

    @property
    def bits(self) -> bool:
        """Whether it is uniform in {0, 1}."""
        return (self.low, self.high) == (0, 2)


class Numbering:
    """The numbers of a program's values.

    Attributes:
        number: of each operation's value, by the operation's name.
        terms: the values by number.
        keys: the values that are keys of random streams.
        streams: the values that are random streams.

    Args:
        program: what is numbered.
        alike: for placeholders that are known to hold what an earlier one does, that one's name.

    Raises:
        JobError: an operation is outside the vocabulary, reads what is not there yet, is of another
            type or shape than what it makes of that, or uses a seed for anything but one stream of
            random values for each public constant.
    """

    def __init__(self, program: Program, alike: Mapping[str, str] | None = None) -> None:
        self._alike = alike or {}
        self.number: dict[str, int] = {}
        self.terms: list[Term] = []
        self.keys: dict[int, Key] = {}
        self.streams: dict[int, Stream] = {}
        self._known: dict[tuple[Any, ...], int] = {}
        self._stream_of_key: dict[Key, Stream] = {}
        for operation in program.operations:
            if operation.name in self.number:
                raise refused(operation, "another operation has the same name")
            self.number[operation.name] = self._numbered(operation)

    def _numbered(self, operation: Operation) -> int:
        if operation.kind not in KINDS | {PLACEHOLDER}:
            raise refused(operation, f"the executor's vocabulary has no {operation.kind}")
        try:
            inputs = tuple(self.number[name] for name in operation.inputs)
        except KeyError:
            raise refused(operation, "it reads what is not computed before it") from None
        known = [self.terms[number].known for number in inputs]
        if not holds(operation, known):
            raise refused(operation, "its type or shape is not that of what it makes")
        if operation.kind in _UNIQUE:
            alike = self._alike.get(operation.name, operation.name)
            number = self._new((alike,), Term(operation.kind, (), operation))
            if operation.kind == "KitSeed":
                words = np.zeros(operation.shape, operation.dtype)
                self.keys[number] = Key(operation.name, words.tobytes())
            return number
        same_type = self.terms[inputs[0]].operation.dtype == operation.dtype if inputs else False
        if operation.kind in SAME or (operation.kind == "Cast" and same_type):
            return inputs[0]
        if operation.kind == "KitUniform":
            return self._stream(operation, inputs)
        if any(number in self.keys for number in inputs):
            return self._offset_key(operation, inputs)
        constant = fold(operation, known)
        if constant is not None:
            same = ("Const", constant.dtype.str, constant.shape, constant.tobytes())
            return self._new(same, Term("Const", (), operation, constant))
        kind, inputs = self._exclusive_or(operation, inputs) or (operation.kind, inputs)
        attributes = tuple(sorted((k, str(v)) for k, v in operation.attributes.items()))
        content = (kind, inputs, operation.dtype.str, operation.shape, attributes)
        return self._new(content, Term(kind, inputs, operation))

    def _new(self, content: tuple[Any, ...], term: Term) -> int:
        number = self._known.setdefault(content, len(self.terms))
        if number == len(self.terms):
            self.terms.append(term)
        return number

    def _exclusive_or(
        self, operation: Operation, inputs: tuple[int, ...]
    ) -> tuple[str, tuple[int, ...]] | None:
        """``tf.logical_xor`` becomes (x or y) and not (x and y)."""
        if operation.kind != "LogicalAnd":
            return None
        either, not_both = (self.terms[number] for number in inputs)
        if either.kind != "LogicalOr" or not_both.kind != "LogicalNot":
            return None
        both = self.terms[not_both.inputs[0]]
        if both.kind != "LogicalAnd" or both.inputs != either.inputs:
            return None
        return "LogicalXor", either.inputs

    def _offset_key(self, operation: Operation, inputs: tuple[int, ...]) -> int:
        """A seed plus a public constant is another key; nothing else may be done with a seed."""
        keys = [number for number in inputs if number in self.keys]
        constants = [self.terms[n].constant for n in inputs if self.terms[n].constant is not None]
        if operation.kind not in ("Add", "AddV2") or len(keys) != 1 or len(constants) != 1:
            raise refused(operation, "a seed is used for something else than random values")
        key, constant = self.keys[keys[0]], constants[0]
        with np.errstate(over="ignore"):
            words = np.frombuffer(key.offset, operation.dtype) + constant
        if words.shape != operation.shape or words.dtype != operation.dtype:
            raise refused(operation, "a seed is used for something else than random values")
        moved = Key(key.seed, words.tobytes())
        number = self._new((moved,), Term(operation.kind, inputs, operation))
        self.keys[number] = moved
        return number

    def _stream(self, operation: Operation, inputs: tuple[int, ...]) -> int:
        seed, (low, high) = inputs[1], (self.terms[n].constant for n in inputs[2:])
        if seed not in self.keys:
            raise refused(operation, "its random values do not come from a seed")
        if low is None or high is None:
            raise refused(operation, "the range of its random values is not a constant")
        stream = Stream(
            self.keys[seed],
            operation.shape,
            operation.dtype.name,
            int(low.item()),
            int(high.item()),
        )
        if self._stream_of_key.setdefault(stream.key, stream) != stream:
            raise refused(operation, "its seed is used twice, for different random values")
        number = self._new((stream,), Term(operation.kind, inputs, operation))
        self.streams[number] = stream
        return number
