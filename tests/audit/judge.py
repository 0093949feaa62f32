"""Judges plans that pass the audit although something was changed in them: what do parties see?

A changed plan is harmless for a party if it has all that it is given there in the original plan
anyway, or else if all secrets of the others can be exchanged under its view (see ``witness``).
Neither looks at the audit's reasons.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from party.plan.cut import Part, cut
from party.plan.graph import Operation, Plan
from tests.audit.interpreter import Interpreter, Rows, pseudorandom
from tests.audit.witness import Unfit, Witness, other_secrets

RUNS = 4


@dataclass
class Judge:
    """Knows what each party has in the original plan."""

    original: Plan
    seed: int = 0
    _fed: dict[str, Rows] = field(init=False)
    _held: list[set[bytes]] = field(init=False)
    _opened: set[bytes] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self._fed = other_secrets(self.original, -1, RUNS, rng)
        made = self._run(self.original)
        self._held = [
            {_bytes(made[name]) for name in _given(part) | {o.name for o in part.operations}}
            for part in _step(self.original)
        ]
        (received,) = (_given(part) for part in _reveal(self.original) if _given(part))
        self._opened = {_bytes(made[name]) for name in received}

    def harmless(self, plan: Plan) -> bool:
        """Whether no party is shown anything by this plan that it is not by the original one."""
        made = self._run(plan)
        opened = {_bytes(made[name]) for part in _reveal(plan) for name in _given(part)}
        if not opened <= self._opened:
            return False
        witness: Witness | None = None
        for part, held in zip(_step(plan), self._held, strict=True):
            if {_bytes(made[name]) for name in _given(part)} <= held:
                continue
            witness = witness or Witness(plan, RUNS, self.seed)
            try:
                witness.exchange(part)
            except Unfit:
                return False
        return True

    def _run(self, plan: Plan) -> dict[str, Rows]:
        interpreter = Interpreter(plan)

        def drawn(operation: Operation, seeds: Rows) -> Rows:
            return interpreter.in_range(operation, pseudorandom(operation, seeds))

        fed = {name: rows for name, rows in self._fed.items() if name in plan.by_name}
        for o in plan.operations:
            if o.kind == "Placeholder" and o.name not in fed:
                fed[o.name] = np.zeros((RUNS, o.size), o.dtype)
        return interpreter.run(RUNS, fed, drawn)


def _given(part: Part) -> set[str]:
    """What a party gets to see beside its own inputs: messages, and the seeds that it draws."""
    received = {m.tensor for inbox in part.receives.values() for m in inbox}
    return received | {o.name for o in part.operations if o.kind == "KitSeed"}


def _step(plan: Plan) -> tuple[Part, ...]:
    return cut(plan, tuple(tuple(after for _, after in pairs) for pairs in plan.state)).parts


def _reveal(plan: Plan) -> tuple[Part, ...]:
    at = plan.by_name[plan.result].party
    return cut(plan, tuple((plan.result,) if p == at else () for p in range(3))).parts


def _bytes(rows: Rows) -> bytes:
    return rows.dtype.str.encode() + rows.tobytes()
