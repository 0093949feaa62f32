"""The audit of a plan: nothing crosses between the parties but what is hidden or agreed upon."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from party.agreement.job import PARTIES, Job
from party.audit.flow import Flows
from party.audit.numbering import Numbering
from party.audit.view import View, view
from party.plan.cut import Program, cut
from party.plan.graph import Operation, Plan
from party.plan.parameters import PlanParameters
from party.process.errors import JobError

_DRAWN = frozenset({"Placeholder", "KitSeed"})
_SUM = frozenset({"Add", "AddV2"})
_SAME = frozenset({"Identity", "StopGradient", "Snapshot"})


@dataclass(frozen=True)
class Revealed:
    """Something that the parties agreed to reveal."""

    what: str
    to: str
    sent_by: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """What was checked of a plan that passed.

    Attributes:
        plan: its digest.
        protocol: its protocol.
        operations: how many it has.
        streams: how many random variables, each of many elements, it draws in a step.
        views: what each party receives in a step.
        revealed: what is revealed, and to whom; nothing else is.
    """

    plan: str
    protocol: str
    operations: int
    streams: int
    views: tuple[View, ...]
    revealed: tuple[Revealed, ...]

    def as_json(self) -> dict[str, Any]:
        """As plain data; parties go by their names."""
        views = [
            {
                "party": PARTIES[each.party],
                "messages": each.messages,
                "bytes": each.bytes,
                "keys": each.keys,
                "hidden": each.hidden,
                "transferred": each.transferred,
                "known": each.known,
            }
            for each in self.views
        ]
        return asdict(self) | {"views": views}


def audit(plan: Plan, job: Job) -> Report:
    """Proves that no party learns anything from a run of the plan but what the job reveals.

    What exactly is proved, and what is not, is written in ``docs/audit.md``.

    Args:
        plan: as every party builds it from the job.
        job: what the parties agreed on.

    Raises:
        JobError: the plan is another job's, or something in it is not proved harmless; it names
            the operation and the reason.
    """
    if plan.parameters != PlanParameters.of(job):
        raise JobError("the plan is not this job's")
    _placed(plan)
    _read_by_rows(plan)
    _carried(plan)
    numbering = Numbering(plan)
    flows = Flows(plan, numbering)
    step = cut(plan, tuple(tuple(after for _, after in pairs) for pairs in plan.state))
    _kept_at_home(plan, step)
    views = tuple(view(part, numbering, flows) for part in step.parts)
    for each in views:
        if each.leaks:
            raise _leak(each)
    return Report(
        plan=plan.digest,
        protocol=plan.parameters.protocol,
        operations=len(plan.operations),
        streams=len(numbering.streams),
        views=views,
        revealed=_revealed(plan, PARTIES.index(job.result)),
    )


def _placed(plan: Plan) -> None:
    """Every operation is some party's, or computes from constants what all may know."""
    public: set[str] = set()
    for operation in plan.operations:
        if operation.party is None:
            if operation.kind in _DRAWN or not public.issuperset(operation.inputs):
                raise _refused(operation, "it is placed on no party")
            public.add(operation.name)
        elif operation.party not in range(len(PARTIES)):
            raise _refused(operation, "it is placed on a party that does not exist")
    fed = [(name, party) for party, name in plan.inputs.items()]
    fed += [(before, party) for party, pairs in enumerate(plan.state) for before, _ in pairs]
    held = dict(fed)
    if len(held) < len(fed):
        raise JobError("the plan is refused: a placeholder is fed with two things")
    for operation in plan.operations:
        if operation.kind == "Placeholder" and held.pop(operation.name, None) != operation.party:
            raise _refused(operation, "it is fed with what is not its party's batch or share")
    if held:
        raise JobError(f"the plan is refused: it has no placeholder {min(held)!r}")


def _read_by_rows(plan: Plan) -> None:
    """Each batch is so many rows of a table as the job says."""
    for name in plan.inputs.values():
        batch = plan.by_name[name]
        rows = batch.shape[0] if len(batch.shape) == 2 else None
        if batch.dtype != np.float32 or rows != plan.parameters.batch_size:
            raise _refused(batch, "it is not a batch of rows of float32")


def _carried(plan: Plan) -> None:
    """Each share after a step takes the place of the one before it, and is as large."""
    pairs = [pair for held in plan.state for pair in held]
    for name in (plan.result, *(after for _, after in pairs)):
        if name not in plan.by_name:
            raise JobError(f"the plan is refused: it has no operation {name!r}")
    for before, after in pairs:
        old, new = plan.by_name[before], plan.by_name[after]
        if (old.dtype, old.shape) != (new.dtype, new.shape):
            raise _refused(new, "a share after the step has another type or shape than before it")


def _kept_at_home(plan: Plan, step: Program) -> None:
    """Nobody is sent another's batch or share as it is."""
    for message in step.messages:
        operation = plan.by_name[message.tensor]
        if operation.kind == "Placeholder":
            receiver = PARTIES[message.receiver]
            raise _refused(operation, f"{receiver} reads a batch or share of {_of(message.sender)}")


def _revealed(plan: Plan, receiver: int) -> tuple[Revealed, ...]:
    """The opening of the model: the sum of its parts, of which its receiver lacks just one.

    So the one message that it gets is the model less what it knows already, and tells no more than
    the model does.
    """
    result = plan.by_name[plan.result]
    if result.party != receiver:
        raise _refused(result, f"the model is opened elsewhere than at {PARTIES[receiver]}")
    part = _parts(plan)
    opened = _summands(plan, result, len(part))
    if sorted(part.get(name, -1) for name in opened) != sorted(set(part.values())):
        raise _refused(result, "what is opened is not the plain sum of the model's shares")
    at = tuple((plan.result,) if p == receiver else () for p in range(len(PARTIES)))
    messages = cut(plan, at).messages
    if len(messages) != 1 or messages[0].receiver != receiver or messages[0].tensor not in opened:
        raise _refused(result, "opening the model would reveal more than the model")
    return (Revealed("the model", PARTIES[receiver], (PARTIES[messages[0].sender],)),)


def _parts(plan: Plan) -> dict[str, int]:
    """Which part of the model each share is, by the name of its placeholder.

    Where each party holds two shares, two parties hold each part: party i those numbered i and i+1
    (Araki, Furukawa, Lindell, Nof and Ohara, CCS 2016). Otherwise each share is a part.
    """
    shares = [
        (party, i, pair[0]) for party, held in enumerate(plan.state) for i, pair in enumerate(held)
    ]
    if all(len(held) == 2 for held in plan.state):
        return {name: (party + i) % len(PARTIES) for party, i, name in shares}
    return {name: number for number, (_, _, name) in enumerate(shares)}


def _summands(plan: Plan, result: Operation, most: int) -> list[str]:
    """What a sum adds up, through sums of sums; of more than so many, some are left out."""
    found: list[str] = []
    todo = [result]
    # What is added to itself again and again has more summands than can be counted.
    while todo and len(found) <= most:
        operation = todo.pop()
        sources = [plan.by_name[name] for name in operation.inputs]
        alike = all(source.shape == operation.shape for source in sources)
        if alike and (operation.kind in _SUM or operation.kind in _SAME):
            todo += sources
        else:
            found.append(operation.name)
    return found


def _leak(found: View) -> JobError:
    first = found.leaks[0]
    secrets = " and ".join(f"{_of(party)} {what}" for party, what in found.secrets)
    more = f"; so may {len(found.leaks) - 1} more" if len(found.leaks) > 1 else ""
    return JobError(
        f"the plan is refused: {PARTIES[first.sender]} would send {PARTIES[found.party]}"
        f" {first.tensor!r}, which is not proved to hide {secrets or 'what it is made of'}{more}",
        f"operation {first.tensor!r} of the plan",
        "do not run it: the software that built the plan is at fault, or was tampered with",
    )


def _refused(operation: Operation, why: str) -> JobError:
    return JobError(f"the plan is refused: {why}", f"operation {operation.name!r} of the plan")


def _of(party: int) -> str:
    return f"{PARTIES[party]}'s"
