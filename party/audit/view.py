"""Whether the messages that a party receives in a step could show it anything.

The rule is that of optimistic sampling (Barthe, Belaïd, Cassiers, Fouque, Grégoire and Standaert,
"maskVerif", ESORICS 2019): a message that is a bijection of fresh randomness which nothing else in
the view depends on is as good as that randomness itself, so it can be struck off. A view of which
everything can be struck off is uniformly random, whatever the others' secrets are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from party.audit.flow import Flow, Flows, Mask
from party.audit.numbering import Key, Numbering
from party.plan.cut import Message, PartyProgram


@dataclass(frozen=True)
class Case:
    """The elements of which a choice, a boolean value that the party knows, is true, or false."""

    choice: int
    when: bool


@dataclass(frozen=True, eq=False)
class Received:
    """A value in a party's view that is not struck off yet.

    Attributes:
        messages: those that bring it.
        flow: without what the party knows.
        parts: the numbers of the values that it consists of, and which of their elements. Only what
            remains of a transfer has more than one: the elements chosen, from one or the other.
    """

    messages: tuple[Message, ...]
    flow: Flow
    parts: tuple[tuple[int, Case | None], ...]

    @property
    def number(self) -> int | None:
        """Of the value; None for what remains of a transfer."""
        return self.parts[0][0] if len(self.parts) == 1 else None


@dataclass(frozen=True, eq=False)
class Hidden:
    """One step of the proof: a value was struck off because a mask hides it.

    Attributes:
        value: its number.
        mask: no value struck off later, nor anything that the party knows, depends on it.
        case: which of the value's elements; None: all.
    """

    value: int
    mask: Mask
    case: Case | None


@dataclass(frozen=True)
class View:
    """What the check found for one party.

    Attributes:
        party: its index.
        messages, bytes: what it receives in a step.
        keys: how many of the messages are keys of randomness that it shares with their sender.
        hidden: how many values were struck off because fresh randomness hides them.
        transferred: how many of them took the rule for oblivious transfers.
        known: how many follow from randomness alone that the party knows or learns.
        leaks: the messages that could not be struck off.
        secrets: whose secrets the leaks may depend on: (party, what it is).
        proof: what was struck off, in order. Whoever takes back to front each value's mask and
            changes it so as to keep the value, can change all secrets of the others under a view
            that stays the same.
    """

    party: int
    messages: int
    bytes: int
    keys: int
    hidden: int
    transferred: int
    known: int
    leaks: tuple[Message, ...]
    secrets: tuple[tuple[int, str], ...]
    proof: tuple[Hidden, ...] = field(repr=False)


def view(part: PartyProgram, numbering: Numbering, flows: Flows) -> View:
    """Checks what a party receives in a step.

    Args:
        part: the party's part of the step.
        numbering, flows: of the plan.
    """
    return _Elimination(part, numbering, flows).view()


class _Elimination:
    def __init__(self, part: PartyProgram, numbering: Numbering, flows: Flows) -> None:
        self._part, self._numbering, self._flows = part, numbering, flows
        messages = [m for inbox in part.receives.values() for m in inbox]
        self._messages = sorted(messages, key=lambda m: m.key)
        by_number: dict[int, list[Message]] = {}
        for message in self._messages:
            by_number.setdefault(numbering.number[message.tensor], []).append(message)
        self._computable = by_number.keys() | {
            numbering.number[operation.name] for operation in part.operations
        }
        self._known = self._known_from_the_start()
        # The order of the plan: what hides a late message is seldom needed for an earlier one.
        self._pending = [
            Received(tuple(by_number[number]), self._unknown(flows[number]), ((number, None),))
            for number in sorted(by_number)
            if number not in numbering.keys
        ]
        self._proof: list[Hidden] = []
        self._counted = {"known": 0, "hidden": 0, "transferred": 0}

    def view(self) -> View:
        self._learn()
        while self._strike_hidden() or self._strike_transfer():
            pass
        leaks = tuple(m for value in self._pending for m in value.messages)
        support = 0
        for value in self._pending:
            support |= value.flow.support
        return View(
            party=self._part.party,
            messages=len(self._messages),
            bytes=sum(m.bytes for m in self._messages),
            keys=sum(self._key(message) is not None for message in self._messages),
            leaks=leaks,
            secrets=tuple(
                sorted({(secret.party, secret.what) for secret in self._flows.named(support)})
            ),
            proof=tuple(self._proof),
            **self._counted,
        )

    def _known_from_the_start(self) -> int:
        """The party's own secrets, and what follows from the seeds that it draws or receives."""
        party = self._part.party
        seeds = {key.seed for key in map(self._key, self._messages) if key is not None}
        known = self._flows.secrets_of(party)
        for number, stream in self._numbering.streams.items():
            term = self._numbering.terms[self._numbering.number[stream.key.seed]]
            if stream.key.seed in seeds or term.operation.party == party:
                known |= self._flows.pieces[number]
        return known

    def _key(self, message: Message) -> Key | None:
        return self._numbering.keys.get(self._numbering.number[message.tensor])

    def _unknown(self, flow: Flow) -> Flow:
        masks = tuple(mask for mask in flow.masks if not mask.pieces & self._known)
        return Flow(flow.support & ~self._known, masks)

    def _learn(self) -> None:
        """Strikes off what depends on nothing unknown but the randomness that it is made from.

        Such a message tells the party that randomness, and no more than that.
        """
        while True:
            news = 0
            for value in self._pending:
                support = value.flow.support
                if any(mask.pieces == support for mask in value.flow.masks):
                    news |= support
            self._known |= news
            rest = [replace(v, flow=self._unknown(v.flow)) for v in self._pending]
            self._pending = [value for value in rest if value.flow.support]
            self._counted["known"] += len(rest) - len(self._pending)
            if not news:
                return

    def _strike_hidden(self) -> bool:
        """Strikes off what fresh randomness hides that nothing else depends on; whether any was."""
        before = [0]
        for value in self._pending:
            before.append(before[-1] | value.flow.support)
        kept: list[Received] = []
        after = 0
        for value, others in zip(reversed(self._pending), before[-2::-1], strict=True):
            free = [mask for mask in value.flow.masks if not mask.pieces & (others | after)]
            if free:
                self._proof += [Hidden(number, free[0], case) for number, case in value.parts]
                continue
            kept.append(value)
            after |= value.flow.support
        struck = len(self._pending) - len(kept)
        self._pending = kept[::-1]
        self._counted["hidden"] += struck
        return struck > 0

    def _strike_transfer(self) -> bool:
        """Replaces one oblivious transfer by the message chosen in it; whether there was any.

        A party that knows the choice c receives m0 + w0, m1 + w1 and the mask that c selects. For
        each value of c the mask not selected is fresh and hides its message, which is struck off;
        what remains is the selected mask, which is mere randomness, and the selected message.
        """
        for sent in self._pending:
            for choice, mask0, mask1 in self._alternatives(sent):
                masks = mask0.pieces | mask1.pieces
                touched = [v for v in self._pending if v.flow.support & masks and v is not sent]
                zero = [v for v in touched if _hidden_by(v, mask0, mask1)]
                one = [v for v in touched if _hidden_by(v, mask1, mask0)]
                if len(touched) == 2 and len(zero) == len(one) == 1:
                    self._strike_unchosen(choice, zero[0], mask0, one[0], mask1)
                    gone = (sent, *touched)
                    self._pending = [v for v in self._pending if all(v is not g for g in gone)]
                    self._pending.append(_chosen(choice, zero[0], one[0], masks))
                    self._pending.sort(key=lambda v: v.messages[0].key)
                    return True
        return False

    def _strike_unchosen(
        self, choice: int, zero: Received, mask0: Mask, one: Received, mask1: Mask
    ) -> None:
        for value, mask, when in ((zero, mask0, True), (one, mask1, False)):
            self._proof.append(Hidden(value.parts[0][0], mask, Case(choice, when)))
        self._counted["transferred"] += 2

    def _alternatives(self, value: Received) -> Iterator[tuple[int, Mask, Mask]]:
        """The choice, known to the party, and the two masks of which a value is the chosen one."""
        if value.number is None:
            return
        term = self._numbering.terms[value.number]
        if term.kind not in ("Select", "SelectV2") or term.inputs[0] not in self._computable:
            return
        sizes = {self._numbering.terms[number].operation.size for number in term.inputs}
        if sizes != {term.operation.size}:
            return
        choice, one, zero = term.inputs
        flow1, flow0 = (self._unknown(self._flows[number]) for number in (one, zero))
        for mask0 in flow0.masks:
            for mask1 in flow1.masks:
                alone = (flow0.support, flow1.support) == (mask0.pieces, mask1.pieces)
                if alone and not mask0.pieces & mask1.pieces:
                    yield choice, mask0, mask1


def _hidden_by(value: Received, mask: Mask, other: Mask) -> bool:
    """Whether a mask hides a message, and the other mask of the transfer has no part in it."""
    return (
        value.number is not None
        and not value.flow.support & other.pieces
        and any(_same(own, mask) for own in value.flow.masks)
    )


def _chosen(choice: int, zero: Received, one: Received, masks: int) -> Received:
    """The message chosen in a transfer: one of two, element by element, less its mask."""
    common = tuple(
        mask
        for mask in zero.flow.masks
        if not mask.pieces & masks and any(_same(mask, other) for other in one.flow.masks)
    )
    support = (zero.flow.support | one.flow.support) & ~masks
    parts = ((zero.parts[0][0], Case(choice, False)), (one.parts[0][0], Case(choice, True)))
    return Received(zero.messages + one.messages, Flow(support, common), parts)


def _same(mask: Mask, other: Mask) -> bool:
    return mask.pieces == other.pieces and np.array_equal(mask.elements, other.elements)
