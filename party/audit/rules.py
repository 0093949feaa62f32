"""What no operation, no share and no message may be, whatever hides it.

A mask hides what is sent, not whether the run goes on. So every operation must have a result for
all values that it can be given: one that fails for some of them shows the others, by the run's end,
what a party holds. And only where numbers wrap does a uniform mask hide them: shares and messages
are integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from party.agreement.limits import LIMIT
from party.audit.numbering import Numbering, Term
from party.audit.refusal import refused
from party.meaning.vocabulary import SAME
from party.plan.graph import Operation

_DIVISIONS = frozenset({"FloorDiv", "FloorMod"})
_SHIFTS = frozenset({"LeftShift", "RightShift"})

_FLOATS = "it computes with floats, which only a party's encoding of its own batch may"


def check_shares(shares: Iterable[Operation], numbering: Numbering) -> None:
    """Whether what is carried between programs or opened is made of integers, and is no seed.

    Args:
        shares: the operations that stand for shares or make them, and those that open a value.
        numbering: of the program.

    Raises:
        JobError: it names the first that is something else.
    """
    for operation in shares:
        if operation.dtype.kind not in "iu":
            raise refused(operation, "a share is not of integers: shares of others hide nothing")
        if numbering.number[operation.name] in numbering.keys:
            raise refused(operation, "a seed would be carried on or opened as a share")


def check_messages(sent: Iterable[Operation]) -> None:
    """Whether all that crosses is of integers or booleans, which masks can hide.

    Raises:
        JobError: it names the first operation whose result is something else.
    """
    for operation in sent:
        if operation.dtype.kind not in "iub":
            raise refused(operation, "floats would be sent, and no mask hides these")


@dataclass(frozen=True)
class _Encoding:
    """Floats on the way from a party's batch to its fixed-point numbers.

    Attributes:
        party: whose batch it is.
        bound: the largest magnitude that they can have.
    """

    party: int
    bound: np.floating[Any]


def check_results(
    operations: Iterable[Operation], numbering: Numbering, batches: Mapping[str, int]
) -> None:
    """Whether every operation has a result, whatever the secrets and the random values are.

    Args:
        operations: of a program, in order.
        numbering: of the program.
        batches: the placeholders that are fed with rows of a table, and whose table.

    Raises:
        JobError: it names the first operation that may fail or saturate, or that computes with
            floats and is no part of a party's encoding of its own batch.
    """
    encodings: dict[str, _Encoding] = {}
    for operation in operations:
        if numbering.terms[numbering.number[operation.name]].constant is not None:
            continue  # folded: everybody knows that it has a result
        sources = [numbering.terms[numbering.number[name]] for name in operation.inputs]
        if operation.kind in _DIVISIONS and not _nowhere_zero(sources[1]):
            raise refused(operation, "it divides by what is no constant, or zero")
        if operation.kind in _SHIFTS and not _within(sources[1], 8 * operation.dtype.itemsize):
            raise refused(operation, "it shifts by what is no constant, or not within its bits")
        if operation.name in batches and operation.dtype.kind == "f":
            bound = operation.dtype.type(LIMIT)
            encodings[operation.name] = _Encoding(batches[operation.name], bound)
        elif "f" in {operation.dtype.kind, *(term.operation.dtype.kind for term in sources)}:
            found = _encoded(operation, sources, encodings)
            if operation.dtype.kind == "f":
                encodings[operation.name] = found


def _nowhere_zero(divisor: Term) -> bool:
    return divisor.constant is not None and bool(np.all(divisor.constant))


def _within(count: Term, bits: int) -> bool:
    return count.constant is not None and bool(
        np.all((count.constant >= 0) & (count.constant < bits))
    )


def _encoded(
    operation: Operation, sources: list[Term], encodings: Mapping[str, _Encoding]
) -> _Encoding:
    """One operation of an encoding; bounds are rounded as the numbers are, which keeps order."""
    read = [encodings[name] for name in operation.inputs if name in encodings]
    constants = [term.constant for term in sources if term.constant is not None]
    if len(read) != 1 or len(constants) != len(sources) - 1:
        raise refused(operation, _FLOATS)
    party, bound = read[0].party, read[0].bound
    if operation.party != party:
        raise refused(operation, "it encodes another party's batch")
    with np.errstate(over="ignore"):
        if operation.kind == "Mul":
            (factor,) = constants
            bound = bound * np.max(np.abs(factor), initial=0)
        elif operation.kind == "Round":
            bound = np.rint(bound)
        elif operation.kind == "Cast" and operation.dtype.kind == "f":
            bound = operation.dtype.type(bound)
        elif operation.kind != "Cast" and operation.kind not in SAME:
            raise refused(operation, _FLOATS)
    if not np.isfinite(bound):
        raise refused(operation, "its result may be too large for its type")
    if operation.dtype.kind != "f":
        if operation.dtype.kind != "i":
            raise refused(operation, _FLOATS)
        if int(bound) > np.iinfo(operation.dtype).max:
            raise refused(operation, "its result may be too large for its type")
    return _Encoding(party, bound)
