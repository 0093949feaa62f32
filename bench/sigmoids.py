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
from party.protocols.interface import Sigmoid
from party.protocols.registry import protocol_of

ROWS = 4096
"""Of one run of the program, so many that seeds, which no row adds to, are nothing beside them."""

FARTHEST = 100_000.0
"""Errors are looked for up to this |t|."""

HEADINGS = (
    "sigmoid",
    "used by",
    "follows it for",
    "largest error there",
    "beyond",
    "bounded",
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
    value: Sigmoid


USED = (
    Approximation(
        "polynomial of degree 5",
        "mini-batches, `pond` and `securenn`",
        "pond",
        "step",
        _BATCHES,
        protocol_of("pond").sigmoid,
    ),
    Approximation(
        "five lines", "mini-batches, `aby3`", "aby3", "step", _BATCHES, protocol_of("aby3").sigmoid
    ),
    *(
        Approximation(
            "wave of 40 sines", f"all rows, {names}", protocol, "gradient", {}, sines.SIGMOID
        )
        for protocol, names in (("pond", "`pond` and `securenn`"), ("aby3", "`aby3`"))
    ),
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

    def activated(self: object, circuit: object, product: Any) -> Any:
        return product

    def predicted(self: object, dealing: object, t: Any, bits: int, result_bits: int) -> Any:
        return t

    with (
        mock.patch.object(LogisticRegression, "activated", activated),
        mock.patch.object(LogisticRegression, "predicted", predicted),
    ):
        yield


def error(value: Sigmoid, least: float, most: float) -> float:
    """How far an approximation is from the sigmoid at most, for |t| between two numbers."""
    side = np.linspace(least, most, 1_000_001)
    t: npt.NDArray[np.float64] = np.concatenate([-side, side])
    exact = 0.5 * (1.0 + np.tanh(0.5 * t))
    return float(np.abs(value.value(t) - exact).max())


def line(approximation: Approximation, cost: Costs) -> tuple[str, ...]:
    """A row of the table."""
    value = approximation.value
    range_ = value.range or FARTHEST
    within = error(value, 0.0, range_)
    beyond = None if value.range is None else error(value, range_, FARTHEST)
    bounded = beyond is None or beyond < 2
    return (
        approximation.name,
        approximation.used_by,
        "every t" if value.range is None else f"\\|t\\| ≤ {value.range:g}",
        f"{within:.2g}",
        "–" if beyond is None else f"{beyond:.2g}" if bounded else "no limit",
        "yes" if bounded else "no",
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
