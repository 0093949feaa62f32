"""Which programs a job runs, and how many times."""

from __future__ import annotations

from typing import Any

import pytest

from party.agreement.job import BLOCK_ROWS
from party.models.registry import model_of
from party.plan import runs
from party.plan.parameters import PlanParameters
from tests.harness.plans import small_job


def test_rows_are_shared_in_blocks_and_each_batch_is_a_step() -> None:
    training = {"epochs": 3, "batch_size": 100, "learning_rate": 0.5}
    job = small_job("pond", rows=10_050, training=training)
    assert runs(job) == [("share", 10), ("step", 300), ("open", 1)]


def test_nothing_is_opened_where_nobody_receives_the_model() -> None:
    named = [name for name, _ in runs(small_job("pond", result="nobody"))]
    assert named == ["share", "step", "reach", "judge", "vouch"], "but that all rows are in range"


def test_a_descent_goes_through_all_blocks_and_steps_in_each_pass() -> None:
    job = small_job("pond", rows=2 * BLOCK_ROWS, training={"passes": 10})
    turns = runs(job)
    assert turns[:2] == [("share", 2), ("prepare", 1)]
    assert turns[-2:] == [("finish", 1), ("open", 1)]
    assert sum(times for name, times in turns if name == "gradient") == 20
    assert sum(times for name, times in turns if name.startswith("update.")) == 10
    assert [name for name, _ in turns].count("ask") == 2, "after eight passes, and the last"


def test_all_are_asked_after_eight_passes_twelve_sixteen_and_every_eighth_from_there() -> None:
    asked, passes = [], 0
    for name, times in runs(small_job("pond", training={"passes": 41})):
        passes += times if name.startswith("update.") else 0
        if name == "ask":
            asked.append(passes)
    assert asked == [8, 12, 16, 24, 32, 40, 41]


def test_all_are_asked_after_the_last_pass_of_a_few() -> None:
    turns = runs(small_job("pond", training={"passes": 3}))
    assert [name for name, _ in turns][-4:] == ["compare", "ask", "finish", "open"]


def test_nobody_is_asked_without_a_tolerance() -> None:
    job = small_job("pond", training={"passes": 100, "tolerance": 0.0})
    assert not {"compare", "ask"} & {name for name, _ in runs(job)}


def test_a_descent_over_many_rows_warms_up_on_a_sample() -> None:
    job = small_job("pond", rows=1_000_000, training={"passes": 8})
    turns = runs(job)
    assert {times for name, times in turns if name == "gradient"} == {3, 120, 123}
    first = [name for name, _ in turns].index("update.0")
    assert not any(name.startswith(("warm.", "inner.")) for name, _ in turns[first:])


def test_between_that_and_the_passes_over_all_rows_are_two_anchors() -> None:
    turns = runs(small_job("pond", rows=1_000_000, training={"passes": 8}))
    names = [name for name, _ in turns]
    first = names.index("mark")
    assert names[first - 1 : first + 3] == ["gradient", "mark", "gradient", "anchor"]
    assert names.count("anchor") == 2
    inner = [name for name in names if name.startswith("inner.")]
    assert len(inner) == 2 * 7 and inner[:7] == inner[7:]


@pytest.mark.parametrize(
    ("rows", "columns", "blocks"),
    [(200_000, 30, 0), (270_000, 30, 1), (1_000_000, 30, 3), (270_000, 400, 4), (270_000, 4000, 0)],
)
def test_the_sample_is_of_many_rows_for_each_column(rows: int, columns: int, blocks: int) -> None:
    assert small_job("pond", columns, rows=rows, training={}).warm_blocks == blocks


FOLDS: dict[str, Any] = {"training": {"passes": 3}, "evaluation": {"folds": 3, "minimum": 2}}


def test_each_fold_is_trained_without_and_counted_and_the_model_is_of_all_rows() -> None:
    turns = runs(small_job("pond", rows=2 * BLOCK_ROWS, **FOLDS))
    names = [name.partition(".")[0] for name, _ in turns]
    once = ["gradient", "update"] * 3 + ["compare", "ask"]
    ending = ["finish", "tell", "join", "open"]
    assert names == ["share", "prepare", *[*once, "score", "reset"] * 3, *once, *ending]
    gradients = [times for name, times in turns if name == "gradient"]
    assert gradients == [2] * 9 + [3] * 3, "a row of zeros makes a third block of all rows"


@pytest.mark.parametrize("rows", [17, 1000, 9000, 3 * BLOCK_ROWS])
def test_no_row_is_counted_by_what_was_trained_on_it_and_none_crosses_again(rows: int) -> None:
    job = small_job("pond", rows=rows, **FOLDS)
    layout = PlanParameters.of(job).layout
    assert layout.descent is not None and layout.descent.rows > rows
    counted: list[int] = []
    trained: set[int] = set()
    for stretch in model_of(job.parameters).course(job, layout):
        if stretch.program == "reset":
            trained.clear()
        if stretch.program not in ("gradient", "score"):
            continue
        assert stretch.rows is not None
        taken = stretch.rows()
        assert len(taken) == stretch.runs and taken.max() < layout.descent.rows
        own = taken[taken < rows].tolist()
        if stretch.program == "score":
            assert not trained & set(own) and len(trained) + len(own) == rows
            counted += own
        else:
            assert len(set(own)) == len(own)
            trained = trained or set(own)
            assert trained == set(own), "each pass takes the same rows"
    assert sorted(counted) == list(range(rows)), "each once"
    assert len(trained) == rows, "the last training takes all"
