"""What Alice and Bob compute on shares with the help of random values that the server deals.

The server deals and receives nothing: it knows random values alone, never a share of a secret that
is not one of them. Each value is used once. A table stays with its holder in the clear; of a table
X the other one keeps ``X - U`` and the server ``U``, from the program that shares it on, so that a
table crosses once (SecureML, Mohassel and Zhang 2017, section 4.2).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from party.agreement.parties import PARTIES
from party.protocols.interface import Parts
from party.protocols.sines import Turns, Wave

ALICE, BOB, SERVER = SEATS = range(len(PARTIES))

Sum = tuple[Any, Any, Any]
"""A shared value: what the three seats hold of it, which add up to it; None for nothing."""

Uniform = Callable[[list[int], Any], Any]
"""Draws random integers of a shape and type, of the whole ring, from a seed of their own."""

HEADROOM_BITS = 62
"""What ``Dealing.rescaled`` divides is smaller than two to this, in magnitude."""


@dataclass(frozen=True)
class SharedTable:
    """A matrix of a holder, for products.

    Attributes:
        holder: whose it is.
        matrix: it, at the holder.
        masked: ``matrix - mask``, at the other of Alice and Bob.
        mask: at the server.
    """

    holder: int
    matrix: Any
    masked: Any
    mask: Any

    @property
    def other(self) -> int:
        """The one of Alice and Bob that does not hold it."""
        return BOB if self.holder == ALICE else ALICE

    def rows(self, first: int, count: int, at: Callable[[int], Any]) -> SharedTable:
        """Some of its rows."""
        parts = []
        for party, part in (
            (self.holder, self.matrix),
            (self.other, self.masked),
            (SERVER, self.mask),
        ):
            with at(party):
                parts.append(part[first : first + count])
        return SharedTable(self.holder, *parts)


Product = Callable[[Any, Any], Any]


def times(matrix: Any, vector: Any) -> Any:
    """A matrix times a vector of one column."""
    return tf.matmul(matrix, vector)


def transposed_times(matrix: Any, vector: Any) -> Any:
    """The transposed matrix times a vector of one column; nothing is moved for that."""
    rows, columns = matrix.shape.as_list()
    return tf.reshape(tf.matmul(tf.reshape(vector, [1, rows]), matrix), [columns, 1])


class Dealing(ABC):
    """Builds such computations in the current TensorFlow graph. Numbers are int64 in matrices.

    A *vector* is shared as the protocol shares values (``Protocol.parts``), and can be multiplied
    by tables; a ``Sum`` is what comes of it (``Protocol.sums``).
    """

    def __init__(self, device: Callable[[int], str], uniform: Uniform) -> None:
        self._device = device
        self._uniform = uniform

    def at(self, party: int) -> Any:
        """Where a party's operations are placed."""
        return tf.device(self._device(party))

    # -- what protocols do in ways of their own

    @abstractmethod
    def spread(self, value: Sum) -> list[list[Any]]:
        """A sum at Alice and Bob as a vector's shares, by seat."""

    @abstractmethod
    def for_tables_of(self, vector: list[list[Any]], holder: int) -> list[list[Any]]:
        """A vector as it is kept for programs that multiply it by tables of one holder, by seat
        (``Protocol.vector_parts``): what products wait for is sent once, and here."""

    @abstractmethod
    def product(self, table: SharedTable, vector: list[list[Any]], by: Product = times) -> Sum:
        """A table, or with ``transposed_times`` its transpose, times a vector."""

    @abstractmethod
    def summed(self, vector: list[list[Any]]) -> Sum:
        """A vector's shares as a sum, without a message."""

    # -- what all do alike

    def share(self, table: Any, holder: int) -> SharedTable:
        """A holder's matrix, masked for the other, once for all products."""
        mask = self.uniform(table.shape.as_list())
        with self.at(holder):
            masked = table - mask
        with self.at(BOB if holder == ALICE else ALICE):
            masked = tf.identity(masked)
        with self.at(SERVER):
            mask = tf.identity(mask)
        return SharedTable(holder, table, masked, mask)

    def opened(self, shares: list[list[Any]], parts: Parts, party: int) -> Any:
        """The sum of a value's parts, at a party, which is sent those that it lacks.

        A part that two others hold is sent by the one of lower index.
        """
        places = {part: (seat, i) for seat in (2, 1, 0) for i, part in enumerate(parts[seat])}
        own = {part: (party, i) for i, part in enumerate(parts[party])}
        lacking = [place for part, place in sorted(places.items()) if part not in own]
        with self.at(party):
            return _total([shares[seat][i] for seat, i in (*own.values(), *lacking)])

    def encoded(self, fed: Any, holder: int, bits: int) -> Any:
        """A holder's own float32 numbers in fixed point."""
        with self.at(holder):
            return tf.cast(tf.round(fed * np.float32(2.0**bits)), tf.int64)

    def uniform(self, shape: Sequence[int], dtype: Any = tf.int64) -> Any:
        """Fresh random numbers of the whole ring, that the server draws."""
        with self.at(SERVER):
            return self._uniform(list(shape), dtype)

    def dealt(self, value: Any) -> Sum:
        """A value of the server's as fresh shares at Alice and Bob."""
        own = self.uniform(value.shape.as_list(), value.dtype)
        with self.at(SERVER):
            rest = value - own
        return own, rest, None

    def combined(self, *terms: tuple[int, Sum]) -> Sum:
        """The sum of values times public integers."""
        return self._each(lambda values: _combined(terms, values), *(term for _, term in terms))

    def nothing(self, like: Sum) -> Sum:
        """Zeros in the place of a value's shares."""
        return self._each(lambda shares: tf.zeros(shares[0].shape.as_list(), tf.int64), like)

    def stacked(self, vectors: list[list[list[Any]]]) -> list[list[Any]]:
        """Vectors below each other as one vector, without a message."""
        found: list[list[Any]] = []
        for party in SEATS:
            with self.at(party):
                held = zip(*(vector[party] for vector in vectors), strict=True)
                found.append([tf.concat(parts, 0) for parts in held])
        return found

    def rows(self, value: Sum, first: int, count: int) -> Sum:
        """Some rows of a value."""
        return self._each(lambda shares: shares[0][first : first + count], value)

    def divided(self, own: Any, holder: int) -> Sum:
        """What Alice or Bob knows as fresh shares at both, without a message between them."""
        other = BOB if holder == ALICE else ALICE
        mask = self.uniform(own.shape.as_list())
        shares: list[Any] = [None, None, None]
        with self.at(holder):
            shares[holder] = own - mask
        with self.at(other):
            shares[other] = tf.identity(mask)
        return shares[0], shares[1], None

    def plus(self, value: Sum, number: Any, party: int) -> Sum:
        """A value and what a party knows, one with a share of it."""
        with self.at(party):
            own = value[party] + number
        return _replaced(value, party, own)

    def minus(self, value: Sum, number: Any, party: int) -> Sum:
        """A value less what a party knows, one with a share of it."""
        with self.at(party):
            own = value[party] - number
        return _replaced(value, party, own)

    def sigmoid(self, t: Sum, bits: int, result_bits: int, wave: Wave) -> Sum:
        """A wave of t, at Alice and Bob.

        Args:
            t: [rows, 1], with ``bits`` after the point, modulo the ring.
            result_bits: after the point of the result, an even number.
            wave: which one, of a period that the ring has a whole number of.

        The phase of t is taken modulo the period, so that shares may be shifted each for itself:
        what they lack when their sum wraps is a whole number of periods. Off by two units of a
        phase at most.
        """
        rows = t[ALICE].shape[0]
        phase, angle = self._opened(t, bits - wave.phase_bits)
        public_bits, dealt_bits = result_bits // 2 - 1, result_bits // 2 + 1
        with self.at(SERVER):
            turns = Turns(tf.reshape(tf.cast(angle, tf.int64), [1, rows]), _shifted, wave.fine)
            table = []
            for k, coefficient in enumerate(wave.coefficients):
                if k:
                    turns.advance()
                # sin(a - b) = sin(a) cos(b) - cos(a) sin(b)
                table += [
                    turns.rounded(turns.cosine, dealt_bits, coefficient),
                    -turns.rounded(turns.sine, dealt_bits, coefficient),
                ]
            waves = tf.concat(table, 0)
        dealt = self.dealt(waves)
        shares = []
        for party in (ALICE, BOB):
            with self.at(party):
                turns = Turns(
                    tf.reshape(tf.cast(phase[party], tf.int64), [1, rows]), _shifted, wave.fine
                )
                total: Any = 1 << (result_bits - 1) if party == ALICE else None
                for k in range(wave.terms):
                    if k:
                        turns.advance()
                    for i, own in enumerate((turns.sine, turns.cosine)):
                        term = turns.rounded(own, public_bits) * dealt[party][2 * k + i]
                        total = term if total is None else total + term
                shares.append(tf.reshape(total, [rows, 1]))
        return shares[ALICE], shares[BOB], None

    def square_sum(self, value: Sum) -> Sum:
        """The sum of the squares of a vector, [1, 1], with twice the bits after the point.

        Alice and Bob learn ``c = v + r`` for a random r, of which shares of r and of its squares'
        sum are dealt: ``v v = c c - 2 c r + r r``.
        """
        opened, mask = self._masked(value)
        with self.at(SERVER):
            told = tf.concat([mask, tf.reduce_sum(mask * mask, 0, keepdims=True)], 0)
        dealt = self.dealt(told)
        shares = []
        for party in (ALICE, BOB):
            with self.at(party):
                c, own = opened[party], dealt[party]
                cross = c * own[:-1] * 2
                terms = c * c - cross if party == ALICE else -cross
                shares.append(tf.reduce_sum(terms, 0, keepdims=True) + own[-1:])
        return shares[ALICE], shares[BOB], None

    def squared(self, value: Sum) -> Sum:
        """The square of each element, with twice the bits after the point; as ``square_sum``."""
        opened, mask = self._masked(value)
        rows = mask.shape.as_list()[0]
        with self.at(SERVER):
            told = tf.concat([mask, mask * mask], 0)
        dealt = self.dealt(told)
        shares = []
        for party in (ALICE, BOB):
            with self.at(party):
                c, own = opened[party], dealt[party]
                cross = c * own[:rows] * 2
                terms = c * c - cross if party == ALICE else -cross
                shares.append(terms + own[rows:])
        return shares[ALICE], shares[BOB], None

    def within(self, value: Sum, drop: int, bits: int, low: int, count: int) -> Sum:
        """Whether ``value / 2**drop``, modulo ``2**bits``, is one of ``count`` numbers from ``low``
        on: 1 or 0, [1, 1]. The quotient is rounded down, or one less.

        The server deals the answers for all of ``2**bits`` numbers that Alice and Bob may open.
        """
        everything = 1 << bits
        opened, mask = self._opened(value, drop)
        numbers = np.arange(everything, dtype=np.int32)[:, np.newaxis]
        with self.at(SERVER):
            places = tf.bitwise.bitwise_and(numbers - mask - low, everything - 1)
            answers = tf.cast(tf.less(places, count), tf.int64)
        dealt = self.dealt(answers)
        shares = []
        for party in (ALICE, BOB):
            with self.at(party):
                chosen = tf.equal(tf.bitwise.bitwise_and(opened[party], everything - 1), numbers)
                picked = tf.cast(chosen, tf.int64) * dealt[party]
                shares.append(tf.reduce_sum(picked, 0, keepdims=True))
        return shares[ALICE], shares[BOB], None

    def replicated(self, value: Sum) -> list[list[Any]]:
        """A sum at Alice and Bob in three parts, of which seat i holds i and i + 1.

        Part 0 (Alice's and the server's) and part 2 (Bob's and the server's) are drawn; Alice and
        Bob send each other what makes up part 1, which both hold.
        """
        shape = value[ALICE].shape.as_list()
        first, last = (self.uniform(shape) for _ in range(2))
        with self.at(ALICE):
            from_alice = value[ALICE] - first
        with self.at(BOB):
            from_bob = value[BOB] - last
        middle, own = [], []
        for party, drawn in ((ALICE, first), (BOB, last)):
            with self.at(party):
                middle.append(from_alice + from_bob)
                own.append(tf.identity(drawn))
        with self.at(SERVER):
            dealt = [tf.identity(last), tf.identity(first)]
        return [[own[0], middle[0]], [middle[1], own[1]], dealt]

    def rescaled(self, value: Sum, bits: int) -> Sum:
        """A value, below ``2**HEADROOM_BITS`` in magnitude, divided by ``2**bits``: at Alice and
        Bob, rounded down or up, and never wrong.

        Both learn ``c = value + 2**62 + r`` for a random r of the whole ring. The quotient is that
        of c less that of r, and where c wrapped around, ``2**(64 - bits)`` more. It wrapped where
        c's highest bit is 0 and r's is 1, since what was masked has none.
        """
        shape = value[ALICE].shape.as_list()
        offset = 1 << HEADROOM_BITS
        opened, mask = self._masked(self.minus(value, -offset, ALICE))
        quotient_mask = (1 << (64 - bits)) - 1
        with self.at(SERVER):
            quotient = tf.bitwise.bitwise_and(_shifted(mask, bits), quotient_mask)
            highest = tf.bitwise.bitwise_and(_shifted(mask, 63), 1)
            told = tf.concat([quotient, highest], 0)
        dealt = self.dealt(told)
        shares = []
        for party in (ALICE, BOB):
            with self.at(party):
                c = opened[party]
                quotient, highest = dealt[party][: shape[0]], dealt[party][shape[0] :]
                low = 1 - tf.bitwise.bitwise_and(_shifted(c, 63), 1)
                share = low * highest * (1 << (64 - bits)) - quotient
                if party == ALICE:
                    own = tf.bitwise.bitwise_and(_shifted(c, bits), quotient_mask)
                    share = share + own - (offset >> bits)
                shares.append(tf.reshape(share, shape))
        return shares[ALICE], shares[BOB], None

    def tally(self, values: Sum, bits: int) -> Sum:
        """How many of some values, modulo ``2**bits``, are 0, 1, ...: [2**bits, 1], of int32.

        Both learn ``w = v + r`` of each value, and the server deals, of each, a row of zeros with
        one 1 at the place -r. Turned by w its 1 is at the place v.

        Args:
            values: of int32, [rows, 1].
        """
        everything, rows = 1 << bits, values[ALICE].shape[0]
        opened, mask = self._masked(values)
        numbers = np.arange(everything, dtype=np.int32)[:, np.newaxis]
        with self.at(SERVER):
            places = tf.bitwise.bitwise_and(0 - tf.reshape(mask, [1, rows]), everything - 1)
            ones = tf.cast(tf.equal(numbers, places), tf.int32)
        dealt = self.dealt(ones)
        shares = []
        for party in (ALICE, BOB):
            with self.at(party):
                turned, by = dealt[party], tf.reshape(opened[party], [1, rows])
                for step in (1 << bit for bit in range(bits)):
                    further = tf.concat([turned[-step:], turned[:-step]], 0)
                    turned = tf.where(
                        tf.equal(tf.bitwise.bitwise_and(by, step), step), further, turned
                    )
                shares.append(tf.reduce_sum(turned, 1, keepdims=True))
        return shares[ALICE], shares[BOB], None

    def outside(self, values: Sum, drop: int, bits: int, low: int, count: int) -> Sum:
        """How many of some values, each as in ``within``, are none of those numbers: [1, 1], of
        int32.

        Args:
            values: [rows, 1].
        """
        everything, rows = 1 << bits, values[ALICE].shape[0]
        opened, mask = self._opened(values, drop)
        numbers = np.arange(everything, dtype=np.int32)[:, np.newaxis]
        with self.at(SERVER):
            place = tf.bitwise.bitwise_and(
                numbers - tf.reshape(mask, [1, rows]) - low, everything - 1
            )
            answers = tf.cast(tf.greater_equal(place, count), tf.int32)
        dealt = self.dealt(answers)
        shares = []
        for party in (ALICE, BOB):
            with self.at(party):
                public = tf.bitwise.bitwise_and(opened[party], everything - 1)
                chosen = tf.equal(tf.reshape(public, [1, rows]), numbers)
                picked = tf.cast(chosen, tf.int32) * dealt[party]
                shares.append(tf.reduce_sum(picked, [0, 1], keepdims=True))
        return shares[ALICE], shares[BOB], None

    def narrowed(self, t: Sum, drop: int) -> Sum:
        """``t / 2**drop`` modulo ``2**32``, of int32: rounded down, or for each seat but the first
        that has a share of it up to one less."""
        return self._each(lambda own: tf.cast(_shifted(own[0], drop), tf.int32), t)

    def gathered(self, value: Sum) -> Sum:
        """A value at Alice and Bob, where the server has a part of it too."""
        if value[SERVER] is None:
            return value
        return self.combined((1, (value[ALICE], value[BOB], None)), (1, self.dealt(value[SERVER])))

    def each(self, make: Callable[[list[Any]], Any], *values: Sum) -> Sum:
        """What each seat makes of its own shares, by a linear map, without a message."""
        return self._each(make, *values)

    def _opened(self, t: Sum, drop: int) -> tuple[list[Any], Any]:
        """At Alice and Bob ``t / 2**drop`` plus a random number of 32 bits, that the server knows:
        what they opened, and the number."""
        return self._masked(self.narrowed(t, drop))

    def _masked(self, value: Sum) -> tuple[list[Any], Any]:
        shares = {p: share for p, share in enumerate(value) if share is not None}
        some = shares[ALICE]
        masks = {p: self.uniform(some.shape.as_list(), some.dtype) for p in shares}
        sent = {}
        for party, share in shares.items():
            with self.at(party):
                sent[party] = share + masks[party]
        opened = []
        for party in (ALICE, BOB):
            with self.at(party):
                opened.append(_total(list(sent.values())))
        with self.at(SERVER):
            mask = _total(list(masks.values()))
        return opened, mask

    def _each(self, make: Callable[[list[Any]], Any], *values: Sum) -> Sum:
        """What each seat makes of its own shares, where it has any."""
        made: list[Any] = []
        for party in SEATS:
            own = [value[party] for value in values]
            with self.at(party):
                made.append(None if all(share is None for share in own) else make(own))
        return made[0], made[1], made[2]


def _combined(terms: Sequence[tuple[int, Sum]], shares: list[Any]) -> Any:
    total = None
    for (factor, _), share in zip(terms, shares, strict=True):
        if share is not None:
            scaled = share if factor == 1 else share * factor
            total = scaled if total is None else total + scaled
    return total


def _total(terms: list[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _shifted(value: Any, bits: int) -> Any:
    """Divided by a power of two, rounding towards minus infinity."""
    return tf.bitwise.right_shift(value, tf.constant(bits, value.dtype)) if bits else value


def _replaced(value: Sum, party: int, share: Any) -> Sum:
    shares = list(value)
    shares[party] = share
    return shares[0], shares[1], shares[2]
