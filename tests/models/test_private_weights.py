"""Private weights: what one row can change is bounded, and the noise of both holders hides it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from party.agreement.job import PARTIES, Job, load_job
from party.agreement.privacy import WeightPrivacy
from party.models import private_weights
from party.models.descent import WEIGHT_BITS, fit
from party.models.private_weights import bound_of, norm_of
from party.models.registry import model_of
from party.plan.parameters import PlanParameters
from party.process.errors import InputError
from party.protocols.sines import STEADY, Turns
from party.schedule import schedule
from party.table.noise import drawn
from party.table.reader import cut
from tests.harness.executors import ScheduledParties
from tests.harness.plans import plan

ROOT = Path(__file__).resolve().parents[2]
FEATURES = ("a0", "a1", "a2")
FIGURES = tuple(f"feature_{i}" for i in range(1, 17))


def private_job(**change: Any) -> Job:
    agreed: dict[str, Any] = {
        "name": "private",
        "rows": 40,
        "features": FEATURES,
        "label": "y",
        "columns": {name: {"scale": {"mean": 0, "deviation": 1}} for name in FEATURES},
        "training": {"passes": 12, "tolerance": 0, "C": 0.02},
        "privacy": {"weights": {"epsilon": 5, "delta": 1e-4, "norm": 2}},
    }
    return Job.model_validate_json(json.dumps(agreed | change))


JOINT = {"features": {"alice": ["a0", "a1"], "bob": ["a2"]}, "result": "both"}


def rows_of(job: Job, x: Any) -> Any:
    """Standardised rows as their holders cut them, with the ones behind Alice's."""
    found, first = [], 0
    for holder in job.holders:
        width = len(job.derived_of(holder))
        if not width:
            continue
        own = x[:, first : first + width].T.astype(np.float64).copy()
        cut(own, norm_of(job, holder))
        found.append(own.T)
        if holder == job.intercept_holder:
            found.append(np.ones((len(x), 1)))
        first += width
    return np.hstack(found).astype(np.float32)


def in_clear(job: Job, x: Any, y: Any) -> Any:
    activated = STEADY.value
    return fit(job, rows_of(job, x), y.reshape(-1, 1).astype(np.float32), 0.25, activated)


# -- what is known of the wave


def test_the_wave_rises_as_it_must_wherever_a_row_can_be() -> None:
    t = np.linspace(0.0, private_weights._RANGE, 200_001)
    turns = np.arange(1, 2 * STEADY.terms, 2) * 2 * np.pi / STEADY.period
    rounded = np.round(np.array(STEADY.coefficients) * 2**24) / 2**24
    slope, value, integral = np.zeros_like(t), np.full_like(t, 0.5), 0.5 * t
    for turn, factor in zip(turns, rounded, strict=True):
        slope += factor * turn * np.cos(turn * t)
        value += factor * np.sin(turn * t)
        integral += factor / turn * (1.0 - np.cos(turn * t))
    between = np.square(turns).dot(rounded * turns) * (t[1] - t[0]) ** 2 / 8.0  # of two points
    assert slope.max() + between < private_weights._LARGEST_SLOPE
    assert slope.min() - between > -private_weights._FALL
    assert value.max() - 1.0 < private_weights._BEYOND
    softplus = np.logaddexp(0.0, t) - np.log(2.0)
    assert np.abs(integral - softplus).max() < private_weights._INTEGRAL


def test_on_shares_it_is_the_sum_of_sines_to_the_last_bits() -> None:
    draw = np.random.default_rng(3)
    angles = [draw.integers(-(2**31), 2**31, 100_000) for _ in range(2)]
    near = np.arange(-(2**14), 2**14)
    angles = [np.concatenate([a, near, near + 2**30, near - 2**30]) for a in angles]
    turns = [Turns(a, lambda value, bits: value >> bits, fine=True) for a in angles]
    half = private_weights.SIGMOID_BITS // 2
    t, found, expected = (angles[0] - angles[1]) * (2 * np.pi / 2**32), 0, 0.0
    for k, factor in enumerate(STEADY.coefficients):
        if k:
            for one in turns:
                one.advance()
        public, dealt = turns
        found += public.rounded(public.sine, half - 1) * dealt.rounded(
            dealt.cosine, half + 1, factor
        )
        found -= public.rounded(public.cosine, half - 1) * dealt.rounded(
            dealt.sine, half + 1, factor
        )
        expected = expected + round(factor * 2**24) / 2**24 * np.sin((2 * k + 1) * t)
    off = np.abs(found / 2.0**private_weights.SIGMOID_BITS - expected).max()
    assert off < private_weights._LAST_BITS


# -- what one row can change


@pytest.mark.slow
@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    spread=st.sampled_from([0.0, 0.1, 1.0, 1e3]),
    c=st.sampled_from([0.001, 0.02, 0.2]),
)
def test_no_row_moves_the_weights_by_more(seed: int, spread: float, c: float) -> None:
    job = private_job(
        training={"passes": 100, "tolerance": 0, "C": c},
        privacy={"weights": {"epsilon": 10, "delta": 1e-4, "norm": 2}},
    )
    draw = np.random.default_rng(seed)
    x, y = spread * draw.normal(size=(40, 3)), draw.integers(0, 2, 40)
    other, label = x.copy(), y.copy()
    row = draw.integers(40)
    x[row] = draw.normal(size=3)
    other[row], label[row] = -x[row] * draw.choice([1.0, 1e6]), draw.integers(0, 2)
    moved = np.linalg.norm(in_clear(job, x, y) - in_clear(job, other, label))
    assert moved <= bound_of(job).sensitivity


def test_and_some_row_moves_them_by_half_of_that() -> None:
    job = private_job()
    x, y = np.zeros((40, 3)), np.arange(40) % 2
    x[0], label = [1.0, 2.0, 2.0], y.copy()
    label[0] = 1
    moved = np.linalg.norm(in_clear(job, x, y) - in_clear(job, x, label))
    assert 0.4 * bound_of(job).ideal < moved < bound_of(job).sensitivity


def test_both_parts_of_a_row_are_no_longer_than_the_job_says() -> None:
    job = private_job(**JOINT)
    parts = [norm_of(job, holder) for holder in job.holders]
    assert np.linalg.norm(parts) == pytest.approx(2.0)
    block = np.array([[1e300, 0.0, 0.3], [1e300, 0.0, 0.4]])
    cut(block, 2.0)
    np.testing.assert_allclose(np.linalg.norm(block, axis=0), [2.0, 0.0, 0.5])


# -- how much noise that takes


@pytest.mark.parametrize("epsilon, delta", [(0.1, 1e-12), (1.0, 1e-6), (10.0, 1e-3)])
def test_opendp_comes_to_the_same_epsilon(epsilon: float, delta: float) -> None:
    from opendp.combinators import make_zCDP_to_approxDP
    from opendp.domains import atom_domain, vector_domain
    from opendp.measurements import make_gaussian
    from opendp.metrics import l2_distance
    from opendp.mod import enable_features

    enable_features("contrib")
    privacy = WeightPrivacy(epsilon=epsilon, delta=delta, norm=1)
    scale = 1000.0 / np.sqrt(2.0 * privacy.rho)
    numbers = vector_domain(atom_domain(T="i64"), size=3)
    gaussian = make_gaussian(numbers, l2_distance(T="f64"), scale=scale)
    accounted: Any = make_zCDP_to_approxDP(gaussian)
    spent = accounted.map(1000.0)
    assert spent.epsilon(delta) == pytest.approx(epsilon, rel=1e-9)


def _spread_is_right(job: Job, noise: Any) -> bool:
    """Whether the noise's variance is the job's, but for what chance explains: six deviations."""
    expected = float(bound_of(job).noise) ** 2
    return bool(abs(np.square(noise).mean() / expected - 1.0) < 6.0 * np.sqrt(2.0 / noise.size))


def test_what_a_holder_draws_has_the_jobs_spread_and_is_new_each_time() -> None:
    names = [f"x{i}" for i in range(100)]
    columns = {name: {"scale": {"mean": 0, "deviation": 1}} for name in names}
    job = private_job(features=names, columns=columns)
    noise = np.array([drawn(job) for _ in range(24)])
    assert noise.shape == (24, 101)
    assert _spread_is_right(job, noise)
    assert abs(np.corrcoef(noise) - np.eye(24)).max() < 0.6
    for mutant in (0.8 * noise, 1.25 * noise, np.zeros_like(noise), noise / np.sqrt(2.0)):
        assert not _spread_is_right(job, mutant)


def test_noise_that_is_too_small_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    job = private_job()
    right = bound_of(job)
    smaller = replace(right, noise=int(right.noise * 0.99))
    monkeypatch.setattr(private_weights, "bound_of", lambda job: smaller)
    with pytest.raises(InputError, match="OpenDP finds epsilon"):
        drawn(job)


# -- what it costs


def test_the_documented_price_is_what_the_walk_throughs_tables_show() -> None:
    """The areas of docs/privacy.md, of the optimum that the training comes to."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    example = load_job(ROOT / "examples/private/job.yaml")
    agreed = example.model_dump(mode="json", exclude_none=True) | {"rows": 4900}
    jobs = {}
    for epsilon in (3.0, 1.0, 0.5):
        agreed["privacy"]["weights"]["epsilon"] = epsilon
        jobs[epsilon] = Job.model_validate_json(json.dumps(agreed))
    a, y = (np.loadtxt(ROOT / f"examples/fraud/{p}.csv", delimiter=",") for p in ("alice", "bob"))
    scales: Any = [getattr(example.schema_of(f), "scale", None) for f in FIGURES]
    mean, deviation = np.array([(one.mean, one.deviation) for one in scales]).T
    x = (a - mean) / deviation
    draw, areas = np.random.default_rng(0), []
    for _ in range(3):
        order = draw.permutation(7000)
        training, tested = order[:4900], order[4900:]
        rows = rows_of(example, x[training])
        best = LogisticRegression(C=0.002, fit_intercept=False).fit(rows, y[training]).coef_[0]
        test = np.column_stack([x[tested], np.ones(2100)])
        found = [roc_auc_score(y[tested], test @ best)]
        for job in jobs.values():
            deviation = np.sqrt(2.0) * bound_of(job).deviation
            noises = deviation * draw.normal(size=(8, 17))
            found.append(np.mean([roc_auc_score(y[tested], test @ (best + one)) for one in noises]))
        areas.append(found)
    page = (ROOT / "docs/privacy.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| [^|]+ \| (none|0\.\d{3}) \| (0\.\d{3}) \|$", page, re.MULTILINE)
    assert [float(area) for _, area in documented[1:]] == pytest.approx(
        np.mean(areas, axis=0), abs=0.012
    )
    assert [float(noise) for noise, _ in documented[2:]] == pytest.approx(
        [bound_of(job).deviation for job in jobs.values()], abs=6e-4
    )


# -- on shares


@pytest.mark.slow
@pytest.mark.drawn
@pytest.mark.parametrize("protocol", ["pond", "aby3"])
@pytest.mark.parametrize("change", [{}, JOINT], ids=["alice", "joint"])
def test_what_is_opened_has_the_noise_of_both_holders_and_nothing_else(
    protocol: str, change: dict[str, Any], tmp_path: Path
) -> None:
    job = private_job(protocol=protocol, **change)
    draw = np.random.default_rng(5)
    x, y = 2.0 * draw.normal(size=(40, 3)), draw.integers(0, 2, 40)
    noises = [drawn(job) for _ in range(2)]
    opened = _opened(job, x, y, noises, tmp_path)
    without = in_clear(job, x, y)
    for given_to, weights in opened.items():
        assert (weights / 2.0**WEIGHT_BITS - without) == pytest.approx(
            sum(noises) / 2.0**WEIGHT_BITS, abs=2e-4
        ), f"to {given_to}"
    # By as much as could be taken for rounding none of the mutants is near.
    for mutant in (noises[0], noises[1], 0 * noises[0], noises[0] - noises[1]):
        # All four numbers of a noise are as small as that once in a hundred million runs.
        assert np.abs(mutant - sum(noises)).max() / 2.0**WEIGHT_BITS > 8e-4


def _opened(job: Job, x: Any, y: Any, noises: list[Any], keys: Path) -> dict[int, Any]:
    """What each receiver is given of a whole training on shares, all weights in their order."""
    made, model = plan(PlanParameters.of(job)), model_of(job.parameters)
    rows, label = rows_of(job, x), y.reshape(-1, 1).astype(np.float32)
    width = len(job.derived_of("alice")) + 1
    matrices = [rows[:, :width], np.hstack([rows[:, width:], label])]
    tables = {
        party: model.at_home(job, PARTIES[party], matrix, noise=noises[party])
        for party, matrix in enumerate(matrices)
    }
    parties, number = ScheduledParties([schedule(made, p) for p in range(3)], keys), 0
    for stretch in model.course(job, made.parameters.layout):
        for taken in stretch.rows() if stretch.rows else [None] * stretch.runs:
            parties.program(stretch.program, number, 1, tables, taken)
            number += 1
    found: dict[int, Any] = {}
    for (party, _), weights in sorted(parties.opened(number).items()):
        found[party] = np.append(found.get(party, []), weights)
    return found


def test_without_noise_nothing_of_private_weights_goes_anywhere() -> None:
    job, rows = private_job(), np.ones((40, 1), np.float32)
    model, noise = model_of(job.parameters), drawn(job)
    for wrong in (None, noise[:-1], abs(noise) + (1 << 24)):
        with pytest.raises(ValueError, match="noise"):
            model.at_home(job, "bob", rows, noise=wrong)
