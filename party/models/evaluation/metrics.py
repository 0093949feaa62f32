"""What counts of held-out rows say of a model.

Everything here is computed from how many rows lie in each bin of the score, and how many positive
ones in each group of bins: no row is known. Rows of one group count as ties.

Where labels were turned round, with a chance q that is public, the counts of positives are of what
came of that, and the figures are estimates, right on average. A group's positives are
``(count - q rows) / (1 - 2q)``. What is linear in them (log loss, Brier, the confusion at a
threshold) follows. Of two classes that are mixed, distances between their distributions, and the
area less a half, shrink by one known factor (Menon, van Rooyen, Ong and Williamson, ICML 2015), by
which they are divided again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from party.models.evaluation import bins
from party.models.evaluation.bins import Array, Counts, ends
from party.models.evaluation.figures import (
    Evaluation,
    Figures,
    Gain,
    Group,
    Noise,
    Number,
    Threshold,
)

_TENTHS = 10


def evaluation_of(
    rows: Counts, up_to: Counts, minimum: int, flip: float = 0.0, looked: bool = True
) -> Evaluation:
    """The evaluation that counts make.

    Args:
        rows: in each bin, rising, and behind them those that lie outside of all, [bins + 1].
        up_to: positive rows up to the end of each group, and 0 in all bins but the last of each,
            [bins].
        minimum: the fewest rows of a group.
        flip: the chance that a label was turned round before it was counted.
        looked: whether it was seen beforehand that rows of both classes are held out.

    Raises:
        ValueError: the counts are no counts, or do not fit together.
    """
    beyond, rows = int(rows[-1]), rows[:-1]
    total = int(rows.sum())
    if beyond:
        return Evaluation(rows=total, minimum=minimum, beyond=beyond)
    last = np.flatnonzero(ends(rows, minimum))
    members = np.add.reduceat(rows, [0, *(last[:-1] + 1)])
    positives = np.diff(up_to[last], prepend=0)
    wrong = (rows < 0).any() or (positives < 0).any() or (positives > members).any()
    if wrong or np.delete(up_to, last).any():
        raise ValueError("the counts do not fit together")
    of_one = (positives - flip * members) / (1.0 - 2.0 * flip) if flip else positives
    if not 0 < of_one.sum() < total:
        if flip or not looked:  # by chance: estimates of few rows may come out below none
            return Evaluation(rows=total, minimum=minimum)
        raise ValueError("the held-out rows are of one class")
    figures = _figures(rows, last, members, positives, of_one, flip)
    return Evaluation(rows=total, minimum=minimum, figures=figures)


def _figures(
    rows: Counts,
    last: Counts,
    members: Counts,
    counted: Counts,
    positives: Array | Counts,
    flip: float,
) -> Figures:
    total, kept = int(members.sum()), 1.0 - 2.0 * flip
    found = positives.sum()
    t = bins.GRID.centres
    p = 1.0 / (1.0 + np.exp(-t))
    first = np.concatenate([[0], last[:-1] + 1])
    weight = np.maximum(members, 1)
    mean_t, mean_p = (np.add.reduceat(rows * value, first) / weight for value in (t, p))
    # Between the last bin of a group and the first of the next.
    lowest = [1.0 / (1.0 + np.exp(-(t[i - 1] + t[i]) / 2.0)) for i in first[1:]]
    edges = [None, *map(float, lowest)]
    variance = members * flip * (1.0 - flip) / kept**2
    groups = tuple(
        Group(at_least=edge, predicted=float(mean), rows=int(m), positives=k.item(), error=float(e))
        for edge, mean, m, k, e in zip(
            edges, mean_p, members, positives, np.sqrt(variance), strict=True
        )
    )
    auc, error = area(members - counted, counted)
    shrunk, auc_noise = _shrunk(float(found) / total, total, flip)
    auc = 0.5 + (auc - 0.5) / shrunk
    loss = (rows * np.logaddexp(0.0, t)).sum() - (positives * mean_t).sum()
    square = (rows * p * p).sum() - 2.0 * (positives * mean_p).sum() + found
    above = np.cumsum(positives[::-1])[::-1]
    chosen = np.cumsum(members[::-1])[::-1]
    thresholds = tuple(
        _threshold(edge or 0.0, k.item(), int(m), found.item(), total)
        for edge, k, m in zip(edges, above, chosen, strict=True)
    )
    seen = int(counted.sum())
    apart = np.cumsum(counted) / seen - np.cumsum(members - counted) / (total - seen)
    return Figures(
        positives=found.item(),
        base_rate=float(found) / total,
        auc=auc,
        auc_error=float(np.hypot(error / shrunk, (auc - 0.5) * auc_noise)),
        ks=float(np.abs(apart).max()) / shrunk,
        log_loss=float(loss / total),
        brier=float(square / total),
        half=min(thresholds, key=lambda one: abs(one.at_least - 0.5)),
        best=max(thresholds, key=lambda one: one.f1),
        thresholds=thresholds,
        calibration=_in_tenths(groups, total),
        gains=tuple(
            Gain(rows=float(m / total), positives=float(k / found))
            for m, k in zip(chosen[::-1], above[::-1], strict=True)
        ),
        groups=groups,
        noise=None
        if not flip
        else Noise(
            flip=flip,
            positives=float(variance.sum() ** 0.5),
            log_loss=float((variance * mean_t**2).sum() ** 0.5 / total),
            brier=float((variance * (1.0 - 2.0 * mean_p) ** 2).sum() ** 0.5 / total),
        ),
    )


def _shrunk(share: float, rows: int, flip: float) -> tuple[float, float]:
    """By what the area less a half, and distances of the classes' distributions, shrink where
    labels are turned round; and the relative standard error of that factor, which the share of
    positives is estimated for.

    Args:
        share: of the rows that are positive.
    """
    if not flip:
        return 1.0, 0.0
    kept = 1.0 - 2.0 * flip
    seen = flip + kept * share
    spread = seen * (1.0 - seen)
    slope = (1.0 - 2.0 * share) / (share * (1.0 - share)) - kept * (1.0 - 2.0 * seen) / spread
    return kept * share * (1.0 - share) / spread, abs(slope) * (spread / rows) ** 0.5 / kept


def area(negatives: NDArray[np.int64], positives: NDArray[np.int64]) -> tuple[float, float]:
    """The area under the curve of true by false positives, and its standard error.

    Args:
        negatives, positives: in each group, by rising score; at least one of each in all.
    """
    n, m = int(negatives.sum()), int(positives.sum())
    below: Array = (np.cumsum(negatives) - negatives / 2.0) / n  # of a positive row of the group
    over: Array = (m - np.cumsum(positives) + positives / 2.0) / m  # of a negative one
    auc = float((positives * below).sum() / m)
    variance = 0.0
    for count, value, of in ((m, below, positives), (n, over, negatives)):
        if count > 1:
            variance += float((of * np.square(value - auc)).sum() / (count - 1) / count)
    return auc, variance**0.5


def _threshold(
    at_least: float, hits: Number, chosen: int, positives: Number, total: int
) -> Threshold:
    false = chosen - hits
    return Threshold(
        at_least=at_least,
        true_positives=hits,
        false_positives=false,
        true_negatives=total - positives - false,
        false_negatives=positives - hits,
        precision=hits / chosen if chosen else None,
        recall=hits / positives,
        f1=2 * hits / (chosen + positives),
    )


def _in_tenths(groups: tuple[Group, ...], total: int) -> tuple[Group, ...]:
    found: list[Group] = []
    taken: list[Group] = []
    done = 0
    for group in groups:
        taken.append(group)
        done += group.rows
        if done * _TENTHS >= total * (len(found) + 1) or group is groups[-1]:
            rows = sum(one.rows for one in taken)
            mean = sum(one.rows * one.predicted for one in taken) / max(rows, 1)
            positives = sum(one.positives for one in taken)
            error = sum(one.error**2 for one in taken) ** 0.5
            found.append(
                Group(
                    at_least=taken[0].at_least,
                    predicted=mean,
                    rows=rows,
                    positives=positives,
                    error=error,
                )
            )
            taken = []
    return tuple(found)
