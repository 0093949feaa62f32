"""No mask is used twice: not in a step, not in another, not in another run, not by another party.

The same job is trained twice, on the same tables from the same start. Of every message, the bits
that carry something are packed and cut into blocks of 16 bytes; none of them occurs twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from party.agreement.job import PARTIES, AlignedJob, Descent, Evaluation, Job, Sizes
from party.models.registry import model_of
from party.plan import Plan
from party.plan.parameters import PlanParameters
from tests.attacks.conftest import Tried
from tests.attacks.transcripts import (
    Seen,
    Theatre,
    bits_of,
    blocks,
    blocks_of_bytes,
    made_by,
    messages,
    worlds,
)
from tests.audit.conftest import MATCHED, SPLIT, descent_job, sampled_job, small_samples
from tests.harness.alignments import aligned_tables
from tests.harness.plans import short_plan, small_grid, small_plan

pytestmark = [pytest.mark.slow, pytest.mark.drawn]

STEPS = 60

RECEIVED = {
    "pond": {"alice": 5_040, "bob": 110_520},
    "aby3": {"alice": 6_240, "bob": 109_800},
    "securenn": {"alice": 5_040, "bob": 110_520},
}
"""How many blocks come to each party that receives anything, in both runs: not to the server."""

SENT = {"pond": 115_560, "aby3": 114_840, "securenn": 115_560}
"""How many blocks are sent: what goes to two parties counts once. The docs say it in thousands."""


@dataclass(frozen=True)
class Runs:
    """What each party saw in each of two runs of a job."""

    plan: Plan
    views: list[list[Seen]]

    @property
    def protocol(self) -> str:
        """By its name."""
        return self.plan.parameters.protocol

    def who(self, party: int) -> str:
        """A party, and the protocol."""
        return f"{PARTIES[party]}, {self.protocol}"


@pytest.fixture(scope="module", params=["pond", "aby3", "securenn"])
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Two runs."""
    plan = small_plan(request.param, columns=4, batch=32)
    views = []
    for number in range(2):
        theatre = Theatre(plan, tmp_path_factory.mktemp(f"run{number}"))
        views.append(theatre.train(worlds(plan, -1)[1], STEPS))
    return Runs(plan, views)


def test_no_party_receives_a_block_twice(runs: Runs, tried: Tried) -> None:
    counts = {}
    for party in range(3):
        received = [messages(views[party]) for views in runs.views]
        if any(received):
            found = blocks(received)
            assert not found.odd and not found.twice
            counts[PARTIES[party]] = found.count
            tried(found.count, f"blocks of 16 bytes received in two runs ({runs.who(party)})")
    assert counts == RECEIVED[runs.protocol]


def test_no_block_is_sent_twice(runs: Runs, tried: Tried) -> None:
    """A tensor that goes to two parties counts once."""
    found = blocks([_once(views) for views in runs.views])
    assert not found.odd and not found.twice
    assert found.count == SENT[runs.protocol]
    tried(found.count, f"blocks of 16 bytes sent in two runs ({runs.protocol})")


def test_the_docs_say_how_many_blocks_were_compared() -> None:
    claims = Path("docs/security.md").read_text().splitlines()
    (claim,) = (line for line in claims if line.startswith("| P3 "))
    for count in (
        *SENT.values(),
        *SENT_IN_DESCENTS.values(),
        *SENT_ON_A_SAMPLE.values(),
    ):
        assert f"{round(count, -3):,} " in claim


def test_no_mask_that_a_party_grows_repeats(runs: Runs, tried: Tried) -> None:
    """Each has a key and a nonce of its own. A party may grow one from the same seed in two places,
    to subtract it here and to keep it there; that is one mask."""
    for party in range(3):
        grown = [_masks(runs.plan, views[party]) for views in runs.views]
        assert all(grown)
        found = blocks(grown)
        assert not found.odd and not found.twice
        tried(found.count, f"blocks of 16 bytes of masks in two runs ({runs.who(party)})")


def test_two_runs_are_alike_no_more_than_chance_has_it(runs: Runs) -> None:
    """The lowest bit of each element: half of them, within eight standard deviations of coins."""
    for party in range(3):
        first, second = (messages(views[party]) for views in runs.views)
        assert bool(first) == (PARTIES[party] in RECEIVED[runs.protocol])
        same = count = 0
        for name in first:
            a, b = (bits_of(seen[name])[:, :, 0] for seen in (first, second))
            same, count = same + int((a == b).sum()), count + a.size
        assert abs(same - count / 2) <= 8 * np.sqrt(count) / 2


PASSES = 17
"""Of a descent, which asks three times whether to go on."""

SENT_IN_DESCENTS = {"pond": 9_700, "aby3": 8_680}
"""How many blocks are sent in two descents. SecureNN's programs are Pond's."""


WIDE: dict[str, Any] = {"features": {"alice": ("x0", "x1"), "bob": ("z0", "z1")}}
"""Columns at both, as many as make a block of each mask."""


@pytest.mark.parametrize("protocol", SENT_IN_DESCENTS)
def test_no_mask_of_a_descent_is_used_twice(protocol: str, tmp_path: Path, tried: Tried) -> None:
    """A table crosses once and its mask is used again, as a share: it is sent in one run alone. All
    programs of two descents on the same tables, in their course."""
    training = Descent(passes=PASSES, tolerance=1e-5)
    job = descent_job(protocol, 32, training=training, **WIDE)
    tables = tables_of(job)
    assert descended_twice(job, tables, tmp_path, tried, "descents") == SENT_IN_DESCENTS[protocol]


SENT_ON_A_SAMPLE = {"pond": 15_140, "aby3": 13_804}
"""How many are sent in two descents with a sample and weights of classes, of a few passes."""


@pytest.mark.parametrize("protocol", SENT_ON_A_SAMPLE)
def test_nor_is_one_after_a_sample_with_weights_of_classes(
    protocol: str, tmp_path: Path, tried: Tried
) -> None:
    """Anchors and the steps that they correct come back with the same tables and the same
    correction."""
    weights = {"0": 0.5, "1": 3.0}
    training = Descent(passes=3, tolerance=1e-5, class_weight=weights)
    with small_samples(block_rows=16):
        job = sampled_job(protocol, 48, training=training, **WIDE)
        sent = descended_twice(job, tables_of(job), tmp_path, tried, "descents with a sample")
    assert sent == SENT_ON_A_SAMPLE[protocol]


def tables_of(job: Job) -> dict[int, Any]:
    """Random rows as the programs of both holders read them, the label at Bob."""
    layout, draw = PlanParameters.of(job).layout, np.random.default_rng(3)
    tables: dict[int, Any] = {}
    for party in range(2):
        own = draw.normal(size=(layout.rows, layout.columns_of(party))).astype(np.float32)
        own[:, -1] = 1 if party == 0 else draw.integers(0, 2, layout.rows)
        # A matrix of zeros would be its own mask: to one party it is sent with it, to one without.
        columns = sum(block.columns for block in layout.blocks if block.party == party)
        start = draw.normal(size=(columns, columns)) if job.starts_from else None
        tables[party] = model_of(job.parameters).at_home(job, PARTIES[party], own, start=start)
    return tables


@pytest.mark.parametrize("protocol", SENT_IN_DESCENTS)
def test_nor_is_one_where_tables_were_aligned(protocol: str, tmp_path: Path, tried: Tried) -> None:
    """Both have a matrix of all columns, the same in both runs."""
    sizes = Sizes(alice=40, bob=50, common=32)
    training = Descent(passes=PASSES, tolerance=1e-5)
    job = descent_job(protocol, 32, training=training, **SPLIT | MATCHED | {"sizes": sizes})
    draw = np.random.default_rng(3)
    tables = aligned_tables(cast(AlignedJob, job), draw)
    assert descended_twice(job, tables, tmp_path, tried, "descents on aligned tables") > 5_000


@pytest.mark.parametrize("protocol", SENT_IN_DESCENTS)
def test_nor_is_one_that_takes_a_kept_model_to_the_first_point(
    protocol: str, tmp_path: Path, tried: Tried
) -> None:
    """Of the same model, in both runs, whose shares are as random as those of a part."""
    training = Descent(passes=1, tolerance=1e-5, start="0" * 64)
    job = descent_job(protocol, 32, training=training, **WIDE)
    tables = tables_of(job)
    assert descended_twice(job, tables, tmp_path, tried, "descents from a kept model") > 500


def descended_twice(
    job: Job, tables: dict[int, Any], tmp_path: Path, tried: Tried, what: str
) -> int:
    """Two runs of all programs in their course, in which no block is sent twice; how many are."""
    protocol, plan = job.protocol, short_plan(PlanParameters.of(job))
    # What is opened is a share as it came to be: it is no mask, and may have been dealt.
    names = tuple(p.name for p in plan.programs if not p.opens)
    assert "compare" in names
    views = []
    for number in range(2):
        directory = tmp_path / f"run{number}"
        directory.mkdir()
        here = Theatre(plan, directory, played=names, kinds=("KitUniform",))
        views.append(here.whole(job, tables))
    assert all(len(seen) > 0 for run in views for seen in run)
    sent = blocks_of_bytes([_once(run) for run in views])
    assert not sent.odd and not sent.twice
    for party in range(3):
        grown = blocks_of_bytes([_masks(plan, run[party]) for run in views])
        assert not grown.odd and not grown.twice
        tried(
            grown.count,
            f"blocks of 16 bytes of masks in two {what} ({PARTIES[party]}, {protocol})",
        )
    tried(sent.count, f"blocks of 16 bytes sent in two {what} ({protocol})")
    return sent.count


@pytest.mark.parametrize("protocol", SENT_IN_DESCENTS)
def test_no_mask_of_an_evaluation_is_used_twice(protocol: str, tmp_path: Path) -> None:
    """Three runs that count held-out rows, and the one that joins positives, of two jobs alike."""
    evaluation = Evaluation(held_out=0.5, minimum=2)
    given = SPLIT | {"evaluation": evaluation, "result": "both", "training": Descent(passes=1)}
    job = descent_job(protocol, 300, **given)
    assert job.evaluated_runs == 3
    _counted_twice(job, ("score", "join"), tmp_path)


@pytest.mark.parametrize("protocol", SENT_IN_DESCENTS)
def test_nor_is_one_over_folds(protocol: str, tmp_path: Path) -> None:
    """The same rows, from the same zeros, in three trainings; and rows of zeros, again and again,
    which fill up what a fold leaves."""
    evaluation = Evaluation(folds=2, minimum=2)
    given = SPLIT | {"evaluation": evaluation, "result": "both", "training": Descent(passes=1)}
    job = descent_job(protocol, 259, **given)
    layout = PlanParameters.of(job).layout.evaluation
    assert layout is not None and layout.filled(job.rows) == 5
    _counted_twice(job, ("gradient", "update.0", "score", "reset", "join"), tmp_path)


def _counted_twice(job: Job, programs: tuple[str, ...], tmp_path: Path) -> None:
    with small_grid():
        plan, tables = short_plan(PlanParameters.of(job)), tables_of(job)
        views = []
        for number in range(2):
            directory = tmp_path / f"run{number}"
            directory.mkdir()
            here = Theatre(plan, directory, played=programs, kinds=("KitUniform",))
            views.append(here.whole(job, tables))
    sent = blocks_of_bytes([_once(run) for run in views])
    assert sent.count and not sent.odd and not sent.twice
    for party in range(3):
        # The short ones of a run do not fill one block: they are left out.
        grown = blocks_of_bytes([_masks(plan, run[party]) for run in views])
        assert grown.count and not grown.twice


def _once(views: list[Seen]) -> Seen:
    """The messages of a run by the tensor that they carry."""
    return {
        name.split()[2]: values
        for seen in reversed(views)
        for name, values in messages(seen).items()
    }


def _masks(plan: Plan, seen: Seen) -> Seen:
    """What was grown, by the seed that it grew from."""
    grown = {name.split()[1]: values for name, values in seen.items() if name.startswith("own ")}
    return {
        f"{name.partition('/')[0]}/{made_by(plan, name)[1].inputs[1]}": values
        for name, values in grown.items()
        if made_by(plan, name)[1].kind == "KitUniform"
    }
