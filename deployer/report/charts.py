"""Charts as the numbers that an SVG needs. Sizes are in the SVG's own units.

They are drawn here and not by a library: half a dozen lines on two axes, which follow the page's
colours in the dark and in print, at a hundredth of what a plotting library would write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from party.models.evaluation.figures import Figures, Group

MOST_BARS = 40
"""Weights that the chart shows; the table has all of them."""

_ROW, _LABELS, _BARS, _NUMBERS = 20, 125, 215, 60

_WIDTH, _HEIGHT, _LEFT, _BELOW, _MARGIN = 400, 300, 44, 40, 12

_NARROWEST = 1 / 25
"""The least width of a bar of scores, in probability, where groups of rows are narrower."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Bar:
    """One weight: its name, the text beside it, its bar, and where its interval begins and ends;
    None where it has none."""

    name: str
    says: str
    x: float
    width: float
    negative: bool
    interval: Interval | None = None


@dataclass(frozen=True)
class Bars:
    """Weights, the largest first, on both sides of a line.

    Attributes:
        bars: one a row, each ``row`` high.
        zero: where the line of 0 stands.
    """

    bars: tuple[Bar, ...]
    zero: float
    row: int = _ROW
    width: int = _LABELS + _BARS + _NUMBERS
    labels: int = _LABELS
    numbers: int = _LABELS + _BARS

    @property
    def height(self) -> int:
        """Of the whole chart."""
        return self.row * len(self.bars)


def bars(
    names: Sequence[str],
    values: Sequence[float],
    intervals: Sequence[Interval | None] | None = None,
) -> Bars:
    """The largest of some values as bars, with the interval of each where it has one."""
    around = intervals or [None] * len(values)
    order = sorted(range(len(values)), key=lambda i: -abs(values[i]))[:MOST_BARS]
    seen = [0.0, *(values[i] for i in order)]
    seen += [end for i in order for end in around[i] or ()]
    low, high = min(seen), max(seen)
    scale = _BARS / ((high - low) or 1.0)
    zero = _LABELS - low * scale

    def placed(interval: Interval | None) -> Interval | None:
        if interval is None:
            return None
        return round(zero + interval[0] * scale, 2), round(zero + interval[1] * scale, 2)

    return Bars(
        tuple(
            Bar(
                name=_short(names[i]),
                says=f"{values[i]:+.3f}",
                x=round(zero + min(values[i], 0.0) * scale, 2),
                width=round(abs(values[i]) * scale, 2),
                negative=values[i] < 0,
                interval=placed(around[i]),
            )
            for i in order
        ),
        round(zero, 2),
    )


def _short(name: str, most: int = 17) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


@dataclass(frozen=True)
class Curve:
    """A line of a chart, in the units of its axes.

    Attributes:
        name: in the legend; None leaves it out there.
        x, y: its points.
        kind: its look: ``one`` and ``two`` for the first and the second of what is compared,
            ``chance`` for what knows nothing.
        dots: whether each point is marked.
        errors: the standard error of each y.
        filled: whether the area below it is.
    """

    name: str | None
    x: tuple[float, ...]
    y: tuple[float, ...]
    kind: str = "one"
    dots: bool = False
    errors: tuple[float, ...] = ()
    filled: bool = False


@dataclass(frozen=True)
class Tick:
    """A number beside an axis, and where it stands."""

    text: str
    at: float


@dataclass(frozen=True)
class Chart:
    """Lines on two axes, both from 0.

    Attributes:
        title, across, up: of the chart and of its axes.
        says: how to read it.
        top: where the axis upwards ends; the one across ends at 1.
    """

    title: str
    across: str
    up: str
    says: str
    curves: tuple[Curve, ...]
    top: float = 1.0
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT
    right: int = _WIDTH - _MARGIN
    upper: int = _MARGIN
    lower: int = _HEIGHT - _BELOW

    def x(self, value: float) -> float:
        """Where a value of the axis across stands."""
        return round(self.left + value * (self.right - self.left), 2)

    def y(self, value: float) -> float:
        """Where a value of the axis upwards stands."""
        return round(self.lower - value / self.top * (self.lower - self.upper), 2)

    def path(self, curve: Curve) -> str:
        """A line as an SVG has it; of a filled one, round the area below it."""
        points = list(zip(map(self.x, curve.x), map(self.y, curve.y), strict=True))
        if curve.filled:
            points = [(points[0][0], self.y(0.0)), *points, (points[-1][0], self.y(0.0))]
        return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)

    @property
    def ticks_across(self) -> list[Tick]:
        """Numbers below the chart."""
        return [Tick(f"{i / 5:g}", self.x(i / 5)) for i in range(6)]

    @property
    def ticks_up(self) -> list[Tick]:
        """Numbers at its left."""
        step = self.top / 5
        return [Tick(f"{i * step:.2g}", self.y(i * step)) for i in range(6)]

    @property
    def legend(self) -> list[Curve]:
        """The lines that have a name."""
        return [curve for curve in self.curves if curve.name is not None]


_CHANCE = Curve("chance", (0.0, 1.0), (0.0, 1.0), "chance")
_KINDS = ("one", "two")

Models = dict[str, Figures]
"""One model, or two that are compared, by what they are called."""


def roc(models: Models) -> Chart:
    """True by false positives, of every threshold (receiver operating characteristic)."""
    curves = [_CHANCE]
    for kind, (name, figures) in zip(_KINDS, models.items(), strict=False):
        rising = figures.thresholds[::-1]  # in rows, since it falls in the probability
        negatives = rising[-1].false_positives + rising[-1].true_negatives
        x = [one.false_positives / negatives for one in rising]
        y = [one.recall for one in rising]
        curves.append(Curve(f"{name}: AUC {figures.auc:.3f}", (0.0, *x), (0.0, *y), kind))
    return Chart(
        "ROC",
        "false positive rate",
        "true positive rate",
        "The area under the line is the chance that a positive row has a larger score than a "
        "negative one.",
        tuple(curves),
    )


def calibration(models: Models) -> Chart:
    """What became of rows by the probability that they were given."""
    curves = [Curve("as predicted", (0.0, 1.0), (0.0, 1.0), "chance")]
    for kind, (name, figures) in zip(_KINDS, models.items(), strict=False):
        groups = [one for one in figures.calibration if one.rows]
        found = tuple(one.positives / one.rows for one in groups)
        errors = [(y * (1.0 - y) / one.rows) ** 0.5 for y, one in zip(found, groups, strict=True)]
        x = tuple(one.predicted for one in groups)
        curves.append(Curve(name, x, found, kind, dots=True, errors=tuple(errors)))
    return Chart(
        "Calibration",
        "mean predicted probability",
        "share of positive rows",
        "Rows in tenths by rising score, each with its standard error: on the broken line, of "
        "rows that were given 0.7, seven in ten are positive.",
        tuple(curves),
    )


def gains(models: Models) -> Chart:
    """Which share of all positive rows is among those with the largest scores."""
    curves = [_CHANCE]
    for kind, (name, figures) in zip(_KINDS, models.items(), strict=False):
        x = [one.rows for one in figures.gains]
        y = [one.positives for one in figures.gains]
        curves.append(Curve(name, (0.0, *x), (0.0, *y), kind))
    return Chart(
        "Gains",
        "share of rows, largest scores first",
        "share of all positives found",
        "Who looks at the rows with the largest scores alone finds so many of all positives.",
        tuple(curves),
    )


def scores(figures: Figures) -> Chart:
    """How the scores of both classes are spread: a histogram of each, of area 1."""
    bars = _wide_enough(figures.groups)
    edges = [0.0, *(one.at_least or 0.0 for one in bars[1:]), 1.0]
    negatives = sum(one.rows - one.positives for one in bars)
    curves = []
    for name, kind, counts, total in (
        ("label 0", "two", [one.rows - one.positives for one in bars], negatives),
        ("label 1", "one", [one.positives for one in bars], figures.positives),
    ):
        x, y = [], []
        for low, high, count in zip(edges, edges[1:], counts, strict=False):
            x += [low, high]
            y += [count / total / (high - low)] * 2
        curves.append(Curve(name, tuple(x), tuple(y), kind, filled=True))
    most = max(max(curve.y) for curve in curves)
    return Chart(
        "Scores by label",
        "predicted probability",
        "density",
        "The less the two overlap, the better the model tells the classes apart.",
        tuple(curves),
        top=_round_above(most),
    )


def _wide_enough(groups: Sequence[Group]) -> list[Group]:
    """Neighbouring groups put together until each is as wide as a bar has to be."""
    found: list[Group] = []
    for group in groups:
        edge = group.at_least or 0.0
        before = found[-1] if found else None
        begin = 0.0 if before is None else before.at_least or 0.0
        if before is not None and (edge - begin < _NARROWEST or 1.0 - edge < _NARROWEST):
            rows = before.rows + group.rows
            predicted = before.rows * before.predicted + group.rows * group.predicted
            found[-1] = Group(
                at_least=before.at_least,
                predicted=predicted / rows if rows else before.predicted,
                rows=rows,
                positives=before.positives + group.positives,
            )
        else:
            found.append(group)
    return found


def _round_above(value: float) -> float:
    """The next of 1, 2, 2.5 and 5 times a power of ten that is no smaller."""
    unit = 1.0
    while unit * 10 < value:
        unit *= 10
    while unit >= value > 0:
        unit /= 10
    return next(unit * step for step in (1.0, 2.0, 2.5, 5.0, 10.0) if unit * step >= value)
