"""No model leaves the parties whose rows lie where the sigmoid is none, though nobody sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from party.agreement.job import Job
from party.models import reach
from party.models.descent import FEATURE_BITS, WEIGHT_BITS
from party.models.registry import model_of
from party.plan.parameters import PlanParameters
from party.protocols.sines import NARROW, WIDE, Wave
from tests.attacks.transcripts import Theatre
from tests.audit.conftest import ARRANGED, SPLIT, descent_job, job
from tests.harness.plans import short_plan
from tests.protocols.test_dealing import computed

BITS = FEATURE_BITS + WEIGHT_BITS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("wave", [pytest.param(NARROW, id="narrow"), pytest.param(WIDE, id="wide")])
def test_a_sum_is_inside_up_to_its_range_and_never_beyond_half_a_period(wave: Wave) -> None:
    """However far it lies, and where it comes to lie inside of another period above all."""
    draw, half = np.random.default_rng(1), wave.period // 2
    far = half * 2.0 ** draw.uniform(0, 29 - wave.period_bits + 1, 2000)
    turns = wave.period * draw.integers(1, 2 ** (30 - wave.period_bits), 2000)
    turned = np.maximum(turns + draw.uniform(-half, half, 2000), half)
    outside = [*far, *turned, half, 3 * half, 2 * wave.period]
    inside = [*draw.uniform(0, half * 15 / 16, 2000), 0.0, half * 15 / 16 - 2.0**-20]

    def counted(values: list[float]) -> int:
        signed = np.array(values) * draw.choice([-1, 1], len(values)) + half
        numbers = [round(float(each) * 2**BITS) for each in signed]
        windows = reach.windows(wave.period_bits, BITS)
        return int(computed("pond", "outside", numbers, *windows)[0])

    assert counted(inside) == 0
    assert counted(outside) >= len(outside)
    assert all(counted([float(some)]) for some in draw.choice(outside, 3)), "each, not on average"


@pytest.mark.drawn
@pytest.mark.parametrize("protocol", ["pond", "aby3"])
@pytest.mark.parametrize("solver", ["descent", "batches"])
def test_one_row_is_enough(protocol: str, solver: str, tmp_path: Path) -> None:
    """Of some, at weights that bring it to one t after the other; the others lie at 0. How far the
    windows reach is the test above's."""
    arranged = SPLIT | {"result": "own"}
    descending = solver == "descent"
    agreed = descent_job(protocol, **arranged) if descending else job(protocol)
    agreed = Job.model_validate(agreed.model_dump() | arranged)
    made = short_plan(PlanParameters.of(agreed))
    layout = made.parameters.layout
    assert layout.reach is not None
    rows, more = layout.rows, 0
    if layout.descent is not None:
        rows, more = layout.descent.rows, layout.descent.home_rows
    tables = {
        party: np.zeros((rows + more, layout.columns_of(party)), np.float32) for party in (0, 1)
    }
    tables[1][5, 0] = 1.0
    here = Theatre(made, tmp_path, played=())
    everything = np.arange(rows, dtype=np.int32)
    here.run("share", tables, everything)
    weight = "iterate.bob" if descending else "weights.bob"

    def said(t: float) -> set[int]:
        for value in made.state:
            if value.name == reach.BEYOND:
                here.write(value, np.zeros(value.shape, np.int64))
            elif value.name == weight:
                here.write(value, np.full(value.shape, round(t * made.scale), np.int64))
        here.run(reach.REACH, tables, everything)
        here.run(reach.JUDGE, tables, None)
        return {int(bit.item()) for bit in here.opened(reach.VOUCH).values()}

    half = 2.0 ** (layout.reach - 1)
    for t in (0.0, half * 0.4, -half * 0.93):
        assert said(t) == {1}, t
    for t in (half, -half - 1.0, 2 * half, -4 * half, 6 * half, -(2.0**12)):
        assert said(t) == {0}, t


def test_it_is_asked_where_no_receiver_sees_every_column_and_nowhere_else() -> None:
    def asked(**change: Any) -> bool:
        agreed = descent_job("pond", **change)
        return model_of(agreed.parameters).reach(agreed) is not None

    needed = {name: asked(**given) for name, given in ARRANGED.items()}
    assert needed == {
        "columns at alice": False,
        "columns at bob": False,
        "columns at both": True,
        "label at alice": True,
        "for nobody": True,
        "rows matched": True,
        "rows matched with a label": False,
    }
    assert asked(result="bob") and asked(result="both") and asked(result="nobody")
    assert not asked(result="both", model={"kind": "linear-regression", "unit": 1.0})
