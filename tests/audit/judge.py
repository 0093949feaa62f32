"""Judges plans that pass the audit although something was changed in them: what do parties see?

A changed program is harmless for a party if it has all that it is given there in the original one
anyway, or else if all secrets of the others can be exchanged under its view (see ``witness``).
Neither looks at the audit's reasons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from party.agreement.job import Job
from party.audit import audit
from party.audit.audit import alike, kept
from party.plan.cut import PartyProgram, cut
from party.plan.graph import Operation, Plan, Program
from party.process.errors import JobError
from tests.audit.interpreter import Interpreter, Rows, pseudorandom
from tests.audit.mutants import Mutant
from tests.audit.witness import Unfit, Witness, other_secrets

RUNS = 4


@dataclass
class Judge:
    """Knows what each party has in one program of the original plan."""

    plan: Plan
    name: str
    seed: int = 0
    _alike: Mapping[str, str] = field(init=False)
    _fed: dict[str, Rows] = field(init=False)
    _held: list[set[bytes]] = field(init=False)
    _opened: list[set[bytes]] = field(init=False)

    def __post_init__(self) -> None:
        original = self.plan.by_name[self.name]
        rng = np.random.default_rng(self.seed)
        self._alike = alike(self.plan, original)
        self._fed = other_secrets(original, self._alike, -1, RUNS, rng)
        made = self._run(original)
        self._held = [
            {_bytes(made[name]) for name in _given(part) | {o.name for o in part.operations}}
            for part in _run_of(original)
        ]
        self._opened = [
            {_bytes(made[name]) for name in _given(part)} for part in _opening(original)
        ]

    def harmless(self, plan: Plan) -> bool:
        """Whether no party is shown anything by this plan's program that it is not by the original
        one."""
        program = plan.by_name[self.name]
        made = self._run(program)
        for part, opened in zip(_opening(program), self._opened, strict=True):
            if not {_bytes(made[name]) for name in _given(part)} <= opened:
                return False
        witness: Witness | None = None
        for part, held in zip(_run_of(program), self._held, strict=True):
            if {_bytes(made[name]) for name in _given(part)} <= held:
                continue
            witness = witness or Witness(program, self._alike, RUNS, self.seed)
            try:
                witness.exchange(part)
            except Unfit:
                return False
        return True

    def _run(self, program: Program) -> dict[str, Rows]:
        interpreter = Interpreter(program)

        def drawn(operation: Operation, seeds: Rows) -> Rows:
            return interpreter.in_range(operation, pseudorandom(operation, seeds))

        fed = {name: rows for name, rows in self._fed.items() if name in program.by_name}
        for o in program.operations:
            if o.kind == "Placeholder" and o.name not in fed:
                fed[o.name] = np.zeros((RUNS, o.size), o.dtype)
        return interpreter.run(RUNS, fed, drawn)


def judged(mutants: Iterable[Mutant], job: Job, of: Callable[[str], Judge]) -> Counter[str]:
    """How many mutants of a job's plan are refused, and how many are harmless; AssertionError for
    one that is neither. ``of`` gives the judge of a program."""
    tally = Counter[str]()
    for mutant in mutants:
        try:
            audit(mutant.plan, job)
        except JobError:
            tally["refused"] += 1
            continue
        harmless = of(mutant.program).harmless(mutant.plan)
        assert harmless, f"{mutant.kind} passes, and was not shown harmless: {mutant.what}"
        tally["harmless"] += 1
    return tally


def _given(part: PartyProgram) -> set[str]:
    """What a party gets to see beside its own inputs: messages, and the seeds that it draws."""
    received = {m.tensor for inbox in part.receives.values() for m in inbox}
    return received | {o.name for o in part.operations if o.kind == "KitSeed"}


def _run_of(program: Program) -> tuple[PartyProgram, ...]:
    return cut(program, targets=kept(program)).parts


def _opening(program: Program) -> tuple[PartyProgram, ...]:
    at = [[], [], []]  # type: list[list[str]]
    for opening in program.opens:
        party = program.by_name[opening.operation].party
        assert party is not None
        at[party].append(opening.operation)
    return cut(program, targets=tuple(map(tuple, at))).parts


def _bytes(rows: Rows) -> bytes:
    return rows.dtype.str.encode() + rows.tobytes()
