"""Kinds of cases, by what ``--kind`` says."""

from __future__ import annotations

from collections.abc import Callable

from tests.combinations import asked, draws, joined, kept, private, queues, scores, warm
from tests.combinations.draws import Case

KINDS: dict[str, Callable[[int], Case]] = {
    "plain": draws.draw,
    "evaluated": asked.draw_evaluated,
    "errors": asked.draw_errors,
    "joined": joined.draw,
    "warm": warm.draw,
    "warm-joined": warm.draw_joined,
    "scores": scores.draw,
    "scores-left": scores.draw_left,
    "private-labels": private.draw_labels,
    "private-weights": private.draw_weights,
    "kept": kept.draw,
    "kept-start": kept.draw_start,
    "queue": queues.draw,
}
"""Ordinary cases; those that ask for figures of rows held out, or for standard errors; of matched
rows; from a former model of either; of rows that are scored by one, in the same order at both
holders or all of one table; of labels or weights that are private; of a model that is kept, and
opened or begun from; of lists of jobs."""

ON_SHARES = ("kept", "kept-start", "queue")
"""Those of which there is nothing to do at home."""

RUN = {"queue": queues.run}
"""How those are run that are no single command."""
