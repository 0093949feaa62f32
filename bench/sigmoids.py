"""``python -m bench.sigmoids``: what each sigmoid in use is worth and costs, as a Markdown table.

Errors are those of the approximations in clear. Messages and bytes are counted in schedules: of the
program that predicts, less those of the same program with nothing in the place of the sigmoid.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

from party.agreement.job import Job
from party.models.logistic_regression.model import LogisticRegression
from party.plan.parameters import PlanParameters
from party.protocols import sines

ROWS = 4096
"""Of one run of the program, so many that seeds, which no row adds to, are nothing beside them."""

FARTHEST = 100_000.0
"""Errors are looked for up to this |t|."""

HEADINGS = (
    "sigmoid",
    "used by",
    "follows it for",
    "largest error there",
    "largest error beyond",
    "messages added to the longest way",
    "bytes a row from the server",
    "bytes a row between Alice and Bob",
)
_BATCHES = {"epochs": 1, "batch_size": ROWS, "learning_rate": 0.125}
_ALICE, _BOB, _SERVER = range(3)


@dataclass(frozen=True)
class Approximation:
    """A sigmoid in use.

    Attributes:
        name: what it is called.
        used_by: protocols and solvers, as people know them.
        protocol: with which its costs are counted.
        program: in which it is computed.
        training: the job's keys that choose it.
        value: the approximation.
    """

    name: str
    used_by: str
    protocol: str
    program: str
    training: dict[str, Any]
    value: sines.Wave


USED = tuple(
    Approximation(
        f"wave of {wave.terms} sines", f"{solver}, {names}", protocol, program, keys, wave
    )
    for wave, solver, program, keys in (
        (sines.NARROW, "mini-batches", "step", _BATCHES),
        (sines.WIDE, "all rows", "gradient", {}),
    )
    for protocol, names in (("pond", "`pond` and `securenn`"), ("aby3", "`aby3`"))
)


@dataclass(frozen=True)
class Costs:
    """Of one run of a program: messages on its longest way, and bytes by their senders."""

    rounds: int
    dealt: int
    between: int

    def __sub__(self, other: Costs) -> Costs:
        return Costs(
            self.rounds - other.rounds, self.dealt - other.dealt, self.between - other.between
        )


def costs(approximation: Approximation) -> Costs:
    """What its program costs, less what this costs without a sigmoid. Needs TensorFlow."""
    whole = _costs(approximation)
    with _no_sigmoid():
        return whole - _costs(approximation)


def _costs(approximation: Approximation) -> Costs:
    from party.compiler.build import build
    from party.schedule import schedule

    job = Job.model_validate(
        {
            "name": "sigmoids",
            "protocol": approximation.protocol,
            "rows": ROWS,
            "features": ("x1", "x2"),
            "label": "y",
        }
        | ({"training": approximation.training} if approximation.training else {})
    )
    plan = build(PlanParameters.of(job))
    alice, bob = (schedule(plan, p).program(approximation.program) for p in (_ALICE, _BOB))
    messages = {m.key: m for code in (alice, bob) for m in code.messages}.values()
    return Costs(
        alice.rounds,
        sum(m.bytes for m in messages if m.sender == _SERVER),
        sum(m.bytes for m in messages if _SERVER not in (m.sender, m.receiver)),
    )


@contextmanager
def _no_sigmoid() -> Iterator[None]:
    """Weighted sums go on as they are, where otherwise their sigmoid would."""

    def predicted(self: object, layout: object, dealing: object, t: Any, *bits: int) -> Any:
        return t

    with mock.patch.object(LogisticRegression, "predicted", predicted):
        yield


def error(value: sines.Wave, least: float, most: float) -> float:
    """How far an approximation is from the sigmoid at most, for |t| between two numbers."""
    side = np.linspace(least, most, 1_000_001)
    t: npt.NDArray[np.float64] = np.concatenate([-side, side])
    exact = 0.5 * (1.0 + np.tanh(0.5 * t))
    return float(np.abs(value.value(t) - exact).max())


def line(approximation: Approximation, cost: Costs) -> tuple[str, ...]:
    """A row of the table."""
    value = approximation.value
    return (
        approximation.name,
        approximation.used_by,
        f"\\|t\\| ≤ {value.range:g}",
        f"{error(value, 0.0, value.range):.2g}",
        f"{error(value, value.range, FARTHEST):.2g}",
        str(cost.rounds),
        f"{cost.dealt / ROWS:.0f}",
        f"{cost.between / ROWS:.0f}",
    )


def table() -> str:
    """The table in Markdown. Needs TensorFlow."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *(line(one, costs(one)) for one in USED)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main() -> None:
    """Prints the table."""
    from party.compiler import compat

    compat.load()
    print(table(), end="")


if __name__ == "__main__":
    main()
