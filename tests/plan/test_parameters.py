"""The step width: what rate a job really trains at."""

from hypothesis import given
from hypothesis import strategies as st

from party.agreement.job import SMALLEST_RATE, Job, StepWidth, Training
from party.plan.parameters import PlanParameters


def job(batch_size: int, learning_rate: float) -> Job:
    training = Training(epochs=1, batch_size=batch_size, learning_rate=learning_rate)
    return Job(name="t", rows=65_536, features=("f",), label="y", training=training)


@given(st.integers(1, 65_536), st.floats(SMALLEST_RATE, 10))
def test_the_step_width_is_the_learning_rate_over_the_batch_within_a_sixteenth(
    batch_size: int, learning_rate: float
) -> None:
    width = job(batch_size, learning_rate).step_width
    wanted = learning_rate / batch_size
    assert abs(width.value - wanted) <= wanted * 2**-4
    assert 1 <= width.factor <= 2**4
    assert width.shift >= 0


def test_a_power_of_two_is_only_a_shift() -> None:
    assert job(128, 0.125).step_width == StepWidth(factor=1, shift=10)


def test_jobs_that_differ_in_epochs_or_names_share_a_plan() -> None:
    one = job(128, 0.1)
    other = one.model_copy(
        update={"name": "u", "training": one.training.model_copy(update={"epochs": 9})}
    )
    assert PlanParameters.of(one).digest == PlanParameters.of(other).digest
    third = one.model_copy(update={"features": ("f", "g")})
    assert PlanParameters.of(one).digest != PlanParameters.of(third).digest
    # The labels' shares are as many as the rows.
    fourth = one.model_copy(update={"rows": 256})
    assert PlanParameters.of(one).digest != PlanParameters.of(fourth).digest
