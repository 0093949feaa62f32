"""Which programs a job runs, and how many times."""

from __future__ import annotations

from party.plan import runs
from tests.harness.plans import small_job


def test_rows_are_shared_in_blocks_and_each_batch_is_a_step() -> None:
    training = {"epochs": 3, "batch_size": 100, "learning_rate": 0.5}
    job = small_job("pond", rows=10_050, training=training)
    assert runs(job) == [("share", 3), ("step", 300), ("open", 1)]


def test_nothing_is_opened_where_nobody_receives_the_model() -> None:
    assert [name for name, _ in runs(small_job("pond", result="nobody"))] == ["share", "step"]
