"""The cut: which operations each party does, and which messages pass between the parties.

A party works round by round. The round of an operation is the number of messages that lie before it
on its longest way through all parties; every party can compute it, since it knows the program. So
everything that can be sent early is sent before anything is waited for, and both ends of a
connection know the order of its messages beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass

from party.agreement.job import PARTIES
from party.plan.graph import Operation, Program
from party.process.errors import JobError


@dataclass(frozen=True)
class Message:
    """One tensor on its way from one party to another.

    Attributes:
        key: names it on the wire; unique in the program.
        tensor: the operation whose result is sent.
        sender, receiver: party indices.
        round: the round at which it is sent.
        bytes: of its payload.
    """

    key: int
    tensor: str
    sender: int
    receiver: int
    round: int
    bytes: int


@dataclass(frozen=True)
class PartyProgram:
    """What one party does.

    Attributes:
        party: its index.
        operations: by round; within a round those that a message of the same round waits for come
            first.
        urgent: how many operations of each round come before the round's messages go out.
        sends: its messages in the order of sending.
        receives: for each other party, the messages from it in the order of their arrival.
    """

    party: int
    operations: tuple[Operation, ...]
    rounds: tuple[int, ...]
    urgent: frozenset[str]
    sends: tuple[Message, ...]
    receives: dict[int, tuple[Message, ...]]


@dataclass(frozen=True)
class Cut:
    """The cut of a program, or of what some results need of it: one part a party."""

    parts: tuple[PartyProgram, ...]
    messages: tuple[Message, ...]
    rounds: int


def cut(
    program: Program, first_key: int = 0, targets: tuple[tuple[str, ...], ...] | None = None
) -> Cut:
    """Cuts a program by party.

    Args:
        program: the program.
        first_key: the key of the first message.
        targets: for each party, the operations whose results it must end up with, if these are not
            all that the program leaves behind.

    Raises:
        JobError: an operation that is placed nowhere depends on something that is not public.
    """
    needed, crossing = _needed(program, program.targets if targets is None else targets)
    order = {operation.name: i for i, operation in enumerate(program.operations)}
    everywhere = set().union(*needed)
    depth = _rounds(program, everywhere)

    # Both ends sort by what both know, so a connection's messages have one order.
    wanted = sorted(crossing, key=lambda c: (depth[c[0]], order[c[0]], c[1]))
    messages = []
    for key, (name, receiver) in enumerate(wanted, start=first_key):
        sender = program.by_name[name].party
        assert sender is not None
        size = program.by_name[name].bytes
        messages.append(Message(key, name, sender, receiver, depth[name], size))

    parts = []
    for party in range(len(PARTIES)):
        sends = tuple(m for m in messages if m.sender == party)
        urgent = _urgent(program, needed[party], sends, depth)
        mine = sorted(
            (program.by_name[name] for name in needed[party]),
            key=lambda o: (depth[o.name], o.name not in urgent, order[o.name]),
        )
        receives = {
            other: tuple(m for m in messages if m.sender == other and m.receiver == party)
            for other in range(len(PARTIES))
            if other != party
        }
        rounds = tuple(depth[operation.name] for operation in mine)
        parts.append(PartyProgram(party, tuple(mine), rounds, urgent, sends, receives))
    return Cut(tuple(parts), tuple(messages), max((m.round + 1 for m in messages), default=0))


def _needed(
    program: Program, targets: tuple[tuple[str, ...], ...]
) -> tuple[list[set[str]], set[tuple[str, int]]]:
    """What each party does, and the (tensor, receiver) pairs that cross between parties."""
    needed: list[set[str]] = [set() for _ in PARTIES]
    crossing: set[tuple[str, int]] = set()
    todo = [(party, name) for party, names in enumerate(targets) for name in names]
    while todo:
        party, name = todo.pop()
        owner = program.by_name[name].party
        if owner is not None and owner != party:
            crossing.add((name, party))
            todo.append((owner, name))
            continue
        if name in needed[party]:
            continue
        needed[party].add(name)
        for source in program.by_name[name].inputs:
            if owner is None and program.by_name[source].party is not None:
                raise JobError(f"the plan's operation {name!r} is placed on no party")
            todo.append((party, source))
    return needed, crossing


def _rounds(program: Program, names: set[str]) -> dict[str, int]:
    depth: dict[str, int] = {}
    for operation in program.operations:
        if operation.name not in names:
            continue
        depth[operation.name] = max(
            (
                depth[source] + (program.by_name[source].party not in (None, operation.party))
                for source in operation.inputs
            ),
            default=0,
        )
    return depth


def _urgent(
    program: Program, mine: set[str], sends: tuple[Message, ...], depth: dict[str, int]
) -> frozenset[str]:
    """The operations on which a message of their own round waits."""
    urgent: set[str] = set()
    todo = [(m.tensor, m.round) for m in sends]
    while todo:
        name, level = todo.pop()
        if name in urgent or name not in mine or depth[name] != level:
            continue
        urgent.add(name)
        todo.extend((source, level) for source in program.by_name[name].inputs)
    return frozenset(urgent)
