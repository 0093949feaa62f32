"""The bench compares like with like, and its report says what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cases import CASES, Case, Tables, job_text
from bench.optimum import C
from bench.report import YARDSTICK, Measurement, Spread, ratios, spread, summary, table, write
from bench.systems import SYSTEMS, Figures
from party.agreement.job import parse_job

POSITIVE = st.floats(min_value=1e-3, max_value=1e6)


def figures(step_ms: float, wire_bytes: int | None = 1_000_000) -> Figures:
    return Figures(
        step_ms=step_ms,
        train_s=None,
        first_job_s=2.0,
        job_s=1.0,
        cpu_s=3.0,
        peak_mib={"alice": 30.0, "bob": 20.0, "server": 10.0},
        wire_bytes=wire_bytes,
        auc=0.75,
    )


def run(system: str, number: int, step_ms: float) -> Measurement:
    return Measurement("reference", "pond", system, number, figures(step_ms))


@given(st.dictionaries(st.integers(1, 50), POSITIVE, min_size=1), POSITIVE)
def test_a_system_that_always_takes_n_times_as_long_has_ratio_n_and_no_spread(
    sealed: dict[int, float], n: float
) -> None:
    found = spread(ratios({number: n * ms for number, ms in sealed.items()}, sealed).values())
    assert found is not None
    assert found.least == pytest.approx(n) and found.most == pytest.approx(n)


@given(
    st.dictionaries(st.integers(1, 9), st.none() | POSITIVE),
    st.dictionaries(st.integers(1, 9), st.none() | POSITIVE),
)
def test_only_runs_of_the_same_round_are_compared(
    others: dict[int, float | None], sealed: dict[int, float | None]
) -> None:
    both = {n for n in others if others[n] is not None and sealed.get(n) is not None}
    assert set(ratios(others, sealed)) == both


@given(st.lists(POSITIVE, min_size=1))
def test_the_median_lies_within_the_spread(values: list[float]) -> None:
    found = spread(values)
    assert found is not None
    assert found.least <= found.median <= found.most


def test_nothing_measured_has_no_spread() -> None:
    assert spread([]) is None


def test_the_ratio_of_medians_is_not_taken_for_the_median_of_ratios() -> None:
    # A slow hour in round 2 hits both systems: the ratio stays 10 in every round.
    runs = [run("sealed", 1, 1.0), run("sealed", 2, 9.0), run("sealed", 3, 2.0)]
    runs += [run("published", 1, 10.0), run("published", 2, 90.0), run("published", 3, 20.0)]
    lines = {line["system"]: line for line in summary(runs)}
    assert lines["published"]["times_sealed"]["ms a step"] == Spread(10.0, 10.0, 10.0)
    assert lines["sealed"]["values"]["ms a step"] == Spread(2.0, 1.0, 9.0)
    assert lines["sealed"]["times_sealed"] == {}


def test_a_failed_run_is_named_with_its_reason_and_spoils_no_other() -> None:
    runs = [run("sealed", 1, 1.0), run("published", 1, 10.0)]
    runs.append(Measurement("reference", "pond", "published", 2, None, "no Python 3.10"))
    page = table(runs, {})
    assert "reference, pond, published, round 2: no Python 3.10" in page
    assert "**10**" in page


def test_bytes_that_were_not_counted_are_left_open() -> None:
    uncounted = Measurement("reference", "pond", "sealed", 1, figures(1.0, wire_bytes=None))
    (line,) = summary([uncounted])
    assert line["values"]["MB on the wire"] is None
    assert "–" in table([uncounted], {})


def test_the_report_holds_every_run_its_machine_and_the_same_table(tmp_path: Path) -> None:
    runs = [run("sealed", 1, 0.5), run("published", 1, 6.0)]
    facts = {"date": "2030-01-02T03:04:05Z", "cores": 2}
    titles = {"reference": str(CASES["reference"])}
    page = write(tmp_path, facts, runs, titles)
    assert page.read_text(encoding="utf-8").startswith(table(runs, titles))
    content = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert content["machine"] == facts
    assert [one["figures"]["step_ms"] for one in content["measurements"]] == [0.5, 6.0]
    assert content["summary"][1]["times_sealed"]["ms a step"]["median"] == pytest.approx(12.0)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
@pytest.mark.parametrize("protocol", ["pond", "aby3", "securenn"])
def test_every_case_is_a_job_with_the_columns_and_steps_it_says(case: Case, protocol: str) -> None:
    job = parse_job(job_text(case, protocol), where=case.name)
    assert len(job.features_of("bob")) == case.at_bob
    assert len(job.features_of("alice")) == case.features - case.at_bob
    if case.batches is None:
        assert job.descent is not None, "training is left out, and so the kit's to the optimum"
        assert job.descent.C == C, "what the loss is measured by"
    else:
        assert job.steps == case.steps


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_every_case_measures_what_its_ratios_need(case: Case) -> None:
    peer = "published" if case.batches else "spu"
    assert YARDSTICK in case.systems and peer in case.systems
    assert set(case.systems) <= set(SYSTEMS)


def test_auc_is_one_for_a_model_that_separates_and_a_half_for_one_that_guesses(
    tmp_path: Path,
) -> None:
    x = np.column_stack([np.linspace(-1, 1, 400), np.tile([1, -1], 200), np.ones(400)])
    x.astype(np.float32).tofile(tmp_path / "x")
    (x[:, 0] > 0.3).astype(np.float32).tofile(tmp_path / "y")
    made = Tables(tmp_path / "none", tmp_path / "none", tmp_path / "x", None, tmp_path / "y")
    assert made.auc([2.0, 0.0, 0.5]) == 1.0
    assert made.auc([-2.0, 0.0, 0.5]) == 0.0
    assert made.auc([0.0, 1.0, 0.5]) == pytest.approx(0.5, abs=0.02)
