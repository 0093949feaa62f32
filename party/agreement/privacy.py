"""What a job keeps back beyond what the protocol hides: of single labels, or of whole rows.

**Labels**: randomised response, and what it costs. A model is a function of the labels, and whoever
chooses the features can choose it so that single labels can be read out of it. So the label's
holder may turn some of them round before they enter anything: ``q = 1 / (1 + e**epsilon)`` of them,
at random (Warner 1965). What all others ever get is made of these, so that no label changes the
odds of what they see by more than ``e**epsilon`` (label differential privacy: Chaudhuri and Hsu
2011).

A label that was turned round is right on average once it is *debiased*: ``(label - q) / (1 - 2q)``.
The gradient of the logistic loss, ``(sigmoid(t) - label) x``, is linear in the label, and so is
right on average with debiased ones, at any weights and over any batch; the curvature has no label
in it. So both solvers do what they always do, on labels that are a little below 0 and a little
above 1.

**Weights**: noise on what is opened, of a size by which no row of the tables changes the odds of
what is seen by more than ``e**epsilon``, but with the chance ``delta``. What one row can change is
computed in ``party.models.private_weights``; here is how much noise that takes. Noise of a discrete
Gaussian with the standard deviation ``s`` on whole numbers that a row moves by ``d`` at most has
zero-concentrated differential privacy with ``rho = d**2 / (2 s**2)`` (Bun and Steinke 2016;
Canonne, Kamath and Steinke 2020, theorem 4), and so differential privacy with every epsilon and the
delta of corollary 13 there.
"""

from __future__ import annotations

from functools import cached_property
from math import exp, log, log1p, tanh

from pydantic import ConfigDict, Field, model_validator

from party.process.schema import Strict

LEAST_EPSILON, MOST_EPSILON = 0.1, 10.0


class LabelPrivacy(Strict):
    """Randomised response to the question for a row's label."""

    epsilon: float = Field(
        ge=LEAST_EPSILON,
        le=MOST_EPSILON,
        description="by how much a label may change the odds of what others see: e to this at most",
    )

    @property
    def flip(self) -> float:
        """The chance that a label is turned round."""
        return 1.0 / (1.0 + exp(self.epsilon))

    @property
    def kept(self) -> float:
        """What is left of the difference of two labels: ``1 - 2 flip``."""
        return tanh(self.epsilon / 2.0)

    @property
    def time(self) -> float:
        """When a process that turns a label round at rate 1/2 has done so an odd number of times
        with the chance ``flip``: see ``party.table.private_labels``."""
        return -log(self.kept)

    @property
    def debiased(self) -> tuple[float, float]:
        """What stands for the labels 0 and 1 in the training: on average the true label."""
        return -self.flip / self.kept, (1.0 - self.flip) / self.kept

    @property
    def largest_error(self) -> float:
        """The largest absolute difference of a probability and a debiased label."""
        return self.debiased[1]

    def seen(self, positive: float) -> float:
        """The share of labels that are 1 after some were turned round, of the share before."""
        return self.flip + self.kept * positive

    def rows_worth(self, positive: float) -> float:
        """The part of the rows that would do as well without privacy: by how much the variance of
        a mean of labels is smaller without it.

        Args:
            positive: the share of labels that are 1.
        """
        seen = self.seen(positive)
        return positive * (1.0 - positive) * self.kept**2 / (seen * (1.0 - seen))

    def told(self, holder: str, label: str) -> list[str]:
        """What it means and what it costs, a sentence each."""
        odds = exp(self.epsilon)
        return [
            f"The labels are private with epsilon = {self.epsilon:g}: before {holder}'s "
            f"{label!r} enters anything, {holder} turns {self.flip:.2%} of the labels round, by a "
            "secret key of its own.",
            f"Meaning: whatever is revealed, and whoever chose the features, the odds of a row's "
            f"label change by a factor of {odds:.3g} at most: a guess that would be right half the "
            f"time is right {1.0 - self.flip:.1%} of the time at best. Repeating the job adds "
            "nothing, since the same labels are turned round.",
            f"Price: standard errors as with {self.rows_worth(0.5):.0%} of the rows where half "
            f"the labels are 1 ({1.0 / self.kept**2:.2f} times the variance), and with "
            f"{self.rows_worth(0.01):.0%} of them where one in a hundred is.",
        ]


class WeightPrivacy(Strict):
    """Noise of both holders on the weights that are opened."""

    epsilon: float = Field(
        ge=LEAST_EPSILON,
        le=MOST_EPSILON,
        description="by how much a row may change the odds of what others see: e to this at most",
    )
    delta: float = Field(
        ge=1e-12, le=1e-3, description="with which chance that does not hold: less than 1 / rows"
    )
    norm: float = Field(
        ge=0.01,
        le=1000,
        description="the length to which each row's standardised features are cut, at home: where "
        "both have some, each cuts its own to a part of it",
    )

    @cached_property
    def rho(self) -> float:
        """The zero-concentrated privacy that gives epsilon and delta, [0, epsilon]."""
        low, high = 0.0, self.epsilon
        for _ in range(100):
            middle = (low + high) / 2.0
            low, high = (middle, high) if self._delta(middle) <= self.delta else (low, middle)
        return low

    def _delta(self, rho: float) -> float:
        """The delta at epsilon of ``rho``: the least over the orders of Rényi's divergence."""

        def logarithm(order: float) -> float:
            power = (order - 1.0) * (order * rho - self.epsilon) + order * log1p(-1.0 / order)
            return power - log(order - 1.0)

        low, high = log(1e-6), log(1e9)  # of the order less one; the logarithm has one least value
        for _ in range(200):
            left, right = low + (high - low) / 3.0, high - (high - low) / 3.0
            if logarithm(1.0 + exp(left)) < logarithm(1.0 + exp(right)):
                high = right
            else:
                low = left
        return exp(min(logarithm(1.0 + exp(low)), 0.0))


_KEYS = ("labels", "weights")
_ONE = {"oneOf": [{"required": [key], "properties": {key: {"type": "object"}}} for key in _KEYS]}


class Privacy(Strict):
    """What is kept back of the data, beyond what the protocol hides."""

    model_config = ConfigDict(json_schema_extra=_ONE)  # type: ignore[typeddict-item]

    labels: LabelPrivacy | None = Field(
        default=None, description="turn some labels round, at their holder"
    )
    weights: WeightPrivacy | None = Field(
        default=None, description="put noise on the weights before they are opened"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Privacy:
        if (self.labels is None) == (self.weights is None):
            raise ValueError("say labels or weights, one of the two")
        return self
