"""The audit of a plan: nothing crosses between the parties but what is hidden or agreed upon."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from party.agreement.job import PARTIES, Job
from party.audit.flow import Flows
from party.audit.noise import NoiseCheck
from party.audit.numbering import Numbering
from party.audit.refusal import refused as _refused
from party.audit.rules import check_messages, check_results, check_shares
from party.audit.view import View, view
from party.models.registry import model_of
from party.plan.cut import Cut, cut
from party.plan.graph import Operation, Plan, Program
from party.plan.parameters import ASK, OPEN, TELL, VOUCH, PlanParameters
from party.process.errors import JobError
from party.protocols.registry import protocol_of

_DRAWN = frozenset({"Placeholder", "KitSeed"})
_SUM = frozenset({"Add", "AddV2"})
_SAME = frozenset({"Identity", "StopGradient", "Snapshot"})
_RINGS = frozenset(map(np.dtype, (np.int8, np.int16, np.int32, np.int64)))


@dataclass(frozen=True)
class Revealed:
    """Something that the parties agreed to reveal."""

    what: str
    to: str
    sent_by: tuple[str, ...]
    program: str = OPEN


@dataclass(frozen=True)
class ProgramReport:
    """What was checked of one program of a plan that passed.

    Attributes:
        name: the program's.
        operations: how many it has.
        streams: how many random variables, each of many elements, it draws in a run.
        views: what each party receives in a run.
    """

    name: str
    operations: int
    streams: int
    views: tuple[View, ...]


@dataclass(frozen=True)
class Report:
    """What was checked of a plan that passed.

    Attributes:
        plan: its digest.
        protocol: its protocol.
        programs: in the order in which they first run.
        revealed: what is revealed, and to whom; nothing else is.
    """

    plan: str
    protocol: str
    programs: tuple[ProgramReport, ...]
    revealed: tuple[Revealed, ...]

    def as_json(self) -> dict[str, Any]:
        """As plain data; parties go by their names."""
        programs = [
            {
                "name": program.name,
                "operations": program.operations,
                "streams": program.streams,
                "views": [
                    {
                        "party": PARTIES[each.party],
                        "messages": each.messages,
                        "bytes": each.bytes,
                        "keys": each.keys,
                        "hidden": each.hidden,
                        "transferred": each.transferred,
                        "known": each.known,
                    }
                    for each in program.views
                ],
            }
            for program in self.programs
        ]
        return {
            "plan": self.plan,
            "protocol": self.protocol,
            "programs": programs,
            "revealed": [asdict(each) for each in self.revealed],
        }


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
    _shared(plan)
    _with_the_models_programs(plan, job)
    revealed: list[Revealed] = []
    reports: list[ProgramReport] = []
    numberings: dict[str, Numbering] = {}
    for program in plan.programs:
        _placed(program)
        _read_by_rows(plan, program)
        _carried(plan, program)
        numbering = numberings[program.name] = Numbering(program, alike(plan, program))
        flows = Flows(program, numbering)
        _written_alike(plan, program, numbering)
        opened = _revealed(plan, program)
        revealed += opened
        made = cut(program, targets=kept(program))
        _kept_at_home(program, made)
        _check_rules(program, numbering, made)
        views = tuple(view(part, numbering, flows) for part in made.parts)
        for each in views:
            if each.leaks:
                raise _leak(program, each)
        reports.append(
            ProgramReport(program.name, len(program.operations), len(numbering.streams), views)
        )
    _agreed(revealed, job)
    layout = plan.parameters.layout
    noise = {p.name: model_of(job.parameters).noise(p.name, layout) for p in plan.programs}
    NoiseCheck(plan, noise).check(numberings)
    return Report(plan.digest, plan.parameters.protocol, tuple(reports), tuple(revealed))


def _shared(plan: Plan) -> None:
    """Each value of the state is shared so that nobody holds all of its parts."""
    names = [value.name for value in plan.state] + [program.name for program in plan.programs]
    if len(set(names)) < len(names):
        raise JobError("the plan is refused: two values or programs have the same name")
    for value in plan.state:
        everything = {part for held in value.parts for part in held}
        if len(value.parts) != len(PARTIES) or any(everything <= set(p) for p in value.parts):
            raise JobError(f"the plan is refused: one party holds all of {value.name!r}")
        if np.dtype(value.dtype) not in _RINGS:
            raise JobError(f"the plan is refused: {value.name!r} is shared as no integers")


def _with_the_models_programs(plan: Plan, job: Job) -> None:
    """The programs are those that the run knows, in their order."""
    names = tuple(program.name for program in plan.programs)
    if names != model_of(job.parameters).programs(plan.parameters.layout):
        raise JobError("the plan is refused: it has other programs than its model")


def kept(program: Program) -> tuple[tuple[str, ...], ...]:
    """For each party, what it keeps of the program: its shares after it, and nothing opened."""
    return tuple(
        tuple(slot.operation for slot in program.writes if slot.share.party == party)
        for party in range(len(PARTIES))
    )


def _placed(program: Program) -> None:
    """Every operation is some party's, or computes from constants what all may know."""
    public: set[str] = set()
    for operation in program.operations:
        if operation.party is None:
            if operation.kind in _DRAWN or not public.issuperset(operation.inputs):
                raise _refused(operation, "it is placed on no party")
            public.add(operation.name)
        elif operation.party not in range(len(PARTIES)):
            raise _refused(operation, "it is placed on a party that does not exist")
    fed = [(private.operation, private.party) for private in program.inputs]
    fed += [(slot.operation, slot.share.party) for slot in program.reads]
    held = dict(fed)
    if len(held) < len(fed):
        raise JobError("the plan is refused: a placeholder is fed with two things")
    for operation in program.operations:
        if operation.kind == "Placeholder" and held.pop(operation.name, None) != operation.party:
            raise _refused(operation, "it is fed with what is not its party's batch or share")
    if held:
        raise JobError(f"the plan is refused: it has no placeholder {min(held)!r}")


def _read_by_rows(plan: Plan, program: Program) -> None:
    """Each batch is so many rows of a table as the job says, of columns that are there."""
    layout = plan.parameters.layout
    dtype = np.dtype(np.int64 if layout.in_ring else np.float32)
    for private in program.inputs:
        batch = program.by_name[private.operation]
        rows, columns = batch.shape if len(batch.shape) == 2 else (None, 0)
        wanted = _rows(plan, program)
        if batch.dtype != dtype or rows != wanted:
            raise _refused(batch, f"it is not a batch of rows of {dtype}")
        if private.first < 0 or private.first + columns > layout.columns_of(private.party):
            raise _refused(batch, "it reads columns that its party does not have")


def _rows(plan: Plan, program: Program) -> int:
    """The rows that a run of a program takes of each table."""
    return plan.parameters.trained.rows_of(program.name, plan.parameters.layout)


def _carried(plan: Plan, program: Program) -> None:
    """What a program reads and leaves of the state is of its type and shape, and each share that
    it leaves is made by the party that holds it, once."""
    for what, slots in (("read", program.reads), ("left", program.writes)):
        if len({slot.share for slot in slots}) < len(slots):
            raise JobError(f"the plan is refused: a share is {what} twice by {program.name!r}")
        for slot in slots:
            if slot.operation not in program.by_name:
                raise JobError(f"the plan is refused: it has no operation {slot.operation!r}")
            operation = program.by_name[slot.operation]
            shared = {value.name: value for value in plan.state}.get(slot.share.value)
            parts = () if shared is None else shared.parts[slot.share.party]
            if shared is None or not 0 <= slot.share.position < len(parts):
                raise _refused(operation, "it stands for a share that nobody holds")
            shape = (_rows(plan, program), *shared.shape[1:]) if shared.by_rows else shared.shape
            if (operation.dtype, operation.shape) != (np.dtype(shared.dtype), shape):
                raise _refused(
                    operation, "a share after the program has another type or shape than before it"
                )
    for value in plan.state:
        left = [slot for slot in program.writes if slot.share.value == value.name]
        if left and len(left) != sum(map(len, value.parts)):
            raise JobError(
                f"the plan is refused: {program.name!r} changes some shares of {value.name!r} only"
            )


def alike(plan: Plan, program: Program) -> dict[str, str]:
    """Placeholders of parts that an earlier placeholder holds too, and that one's name.

    That they are alike is true before the first program, since all shares are zero then, or those
    that a former run's programs have left; and is proved of every program that leaves them
    (``_written_alike``).
    """
    first: dict[tuple[str, int], str] = {}
    return {
        slot.operation: first.setdefault(
            (
                slot.share.value,
                plan.shared(slot.share.value).parts[slot.share.party][slot.share.position],
            ),
            slot.operation,
        )
        for slot in program.reads
    }


def _written_alike(plan: Plan, program: Program, numbering: Numbering) -> None:
    """Where two parties hold the same part of a value, both leave the same value of it."""
    for value in plan.state:
        of_part: dict[int, int] = {}
        for slot in program.writes:
            if slot.share.value != value.name:
                continue
            part = value.parts[slot.share.party][slot.share.position]
            number = numbering.number[slot.operation]
            if of_part.setdefault(part, number) != number:
                raise _refused(
                    program.by_name[slot.operation],
                    f"two parties would hold different shares of the same part of {value.name!r}",
                )


def _check_rules(program: Program, numbering: Numbering, made: Cut) -> None:
    """What no share, no message and no operation may be; see ``party.audit.rules``."""
    named = [slot.operation for slot in (*program.reads, *program.writes)]
    named += [opening.operation for opening in program.opens]
    check_shares((program.by_name[name] for name in named), numbering)
    check_messages(program.by_name[message.tensor] for message in made.messages)
    batches = {private.operation: private.party for private in program.inputs}
    check_results(program.operations, numbering, batches)


def _kept_at_home(program: Program, made: Cut) -> None:
    """Nobody is sent another's batch or share as it is."""
    for message in made.messages:
        operation = program.by_name[message.tensor]
        if operation.kind == "Placeholder":
            receiver = PARTIES[message.receiver]
            raise _refused(operation, f"{receiver} reads a batch or share of {_of(message.sender)}")


def _revealed(plan: Plan, program: Program) -> list[Revealed]:
    """The openings of a program: each the sum of a value's parts, of which its receiver lacks one.

    So the message that it gets is the value less what it knows already, and tells no more than the
    value does.
    """
    found = []
    part = {
        slot.operation: (slot.share.value, plan.shared(slot.share.value).parts[slot.share.party])
        for slot in program.reads
    }
    number = {
        slot.operation: part[slot.operation][1][slot.share.position] for slot in program.reads
    }
    for opening in program.opens:
        if opening.operation not in program.by_name:
            raise JobError(f"the plan is refused: it has no operation {opening.operation!r}")
        result = program.by_name[opening.operation]
        if result.party is None:
            raise _refused(result, "it is opened to no party")
        receiver = result.party
        values = {value.name: value for value in plan.state}
        value = values.get(opening.value)
        # Of one by rows all of them, at the end: what a run opens of some tells of its batch.
        all_rows = program.name == OPEN and value is not None and result.shape == value.shape
        if value is None or (value.by_rows and not all_rows):
            raise _refused(result, f"{opening.value!r} is nothing that may be opened")
        if values[opening.value].shape != _shapes(plan).get(opening.value):
            # A larger one has room for what nobody agreed to reveal.
            raise _refused(result, f"{opening.value!r} is of another shape than the model's")
        everything = sorted({p for held in values[opening.value].parts for p in held})
        summands = _summands(program, result, len(program.reads))
        opened = sorted(number.get(name, -1) for name in summands)
        other = any(part.get(name, ("", ()))[0] != opening.value for name in summands)
        if opened != everything or other:
            raise _refused(result, "what is opened is not the plain sum of the value's shares")
        targets = tuple(
            (opening.operation,) if party == receiver else () for party in range(len(PARTIES))
        )
        messages = cut(program, targets=targets).messages
        lacked = set(everything) - set(values[opening.value].parts[receiver])
        sent = [number.get(message.tensor, -1) for message in messages]
        # Of two parts that it lacks, each would tell more than their sum.
        if len(lacked) != 1 or sent != [*lacked] or messages[0].receiver != receiver:
            raise _refused(result, "opening the value would reveal more than the value")
        if program.name not in (OPEN, ASK, TELL, VOUCH):
            # What is opened in each step tells how it changes with the step's batch.
            raise _refused(result, f"{program.name!r} opens a value, and runs again and again")
        senders = tuple(sorted({PARTIES[message.sender] for message in messages}))
        found.append(Revealed(opening.value, PARTIES[receiver], senders, program.name))
    return found


def _shapes(plan: Plan) -> dict[str, tuple[int, ...]]:
    """The shapes of the values that the model shares."""
    parameters = plan.parameters
    state = parameters.trained.state(parameters.layout, protocol_of(parameters.protocol))
    return {value.name: value.shape for value in state}


def _agreed(revealed: list[Revealed], job: Job) -> None:
    """What each program opens is what the job says, to whom it says, each once."""
    found = sorted((each.program, each.what, each.to) for each in revealed)
    layout, model = PlanParameters.of(job).layout, model_of(job.parameters)
    wanted = [(OPEN, what, PARTIES[to]) for what, to in model.opened(layout)]
    wanted += [(ASK, what, PARTIES[to]) for what, to in model.asked(layout)]
    wanted += [(VOUCH, what, PARTIES[to]) for what, to in model.vouched(layout)]
    wanted += [(TELL, what, PARTIES[to]) for what, to in model.told(layout)]
    if found != sorted(wanted):
        raise JobError(
            "the plan is refused: it opens something else than the job says, or to somebody else"
        )


def _summands(program: Program, result: Operation, most: int) -> list[str]:
    """What a sum adds up, through sums of sums; of more than so many, some are left out."""
    found: list[str] = []
    todo = [result]
    # What is added to itself again and again has more summands than can be counted.
    while todo and len(found) <= most:
        operation = todo.pop()
        sources = [program.by_name[name] for name in operation.inputs]
        alike = all(source.shape == operation.shape for source in sources)
        if alike and (operation.kind in _SUM or operation.kind in _SAME):
            todo += sources
        else:
            found.append(operation.name)
    return found


def _leak(program: Program, found: View) -> JobError:
    first = found.leaks[0]
    secrets = " and ".join(f"{_of(party)} {what}" for party, what in found.secrets)
    more = f"; so may {len(found.leaks) - 1} more" if len(found.leaks) > 1 else ""
    return JobError(
        f"the plan is refused: {PARTIES[first.sender]} would send {PARTIES[found.party]}"
        f" {first.tensor!r}, which is not proved to hide {secrets or 'what it is made of'}{more}",
        f"operation {first.tensor!r} of the plan's program {program.name!r}",
        "do not run it: the software that built the plan is at fault, or was tampered with",
    )


def _of(party: int) -> str:
    return f"{PARTIES[party]}'s"
