"""What counts of held-out rows say of a model, as a document: see ``metrics`` for how."""

from __future__ import annotations

from typing import Literal

from party.process.schema import Frozen

Number = int | float
"""A count of rows; where labels were turned round the estimate of one, which may be below none."""


class Group(Frozen):
    """Held-out rows of neighbouring scores.

    Attributes:
        at_least: the lowest predicted probability of a row that counts here; None at the bottom.
        predicted: the mean predicted probability.
        rows, positives: how many there are.
        error: the standard error of ``positives`` by labels that were turned round.
    """

    at_least: float | None
    predicted: float
    rows: int
    positives: Number
    error: float = 0.0


class Threshold(Frozen):
    """What comes of it to take all rows for positive from a predicted probability on.

    Attributes:
        at_least: that probability.
        true_positives, false_positives, true_negatives, false_negatives: rows.
        precision: true positives of all that are taken for positive; None where nothing is.
        recall: true positives of all positives.
        f1: the harmonic mean of both.
    """

    at_least: float
    true_positives: Number
    false_positives: Number
    true_negatives: Number
    false_negatives: Number
    precision: float | None
    recall: float
    f1: float


class Gain(Frozen):
    """Of the rows with the largest scores: which share of all rows, and of all positives."""

    rows: float
    positives: float


class Noise(Frozen):
    """What comes of labels that were turned round: standard errors of figures by that alone.

    Attributes:
        flip: the chance that one was.
        positives, log_loss, brier: those of these.
    """

    flip: float
    positives: float
    log_loss: float
    brier: float


class Figures(Frozen):
    """How good a model is on held-out rows.

    Attributes:
        positives: how many rows are.
        base_rate: their share.
        auc: the chance that a positive row has a larger score than a negative one.
        auc_error: its standard error (DeLong, DeLong and Clarke-Pearson, Biometrics 1988).
        ks: the largest distance of the two classes' distributions (Kolmogorov and Smirnov).
        log_loss: the mean negative logarithm of the probability given to what was true.
        brier: the mean squared error of the probability (Brier 1950).
        half: the threshold nearest to the probability 0.5.
        best: the threshold of the largest F1.
        calibration: rows by rising score, in tenths as far as groups allow.
        gains: from the largest score on.
        groups: what all of it comes from, by rising score.
        noise: None where no label was turned round.
    """

    positives: Number
    base_rate: float
    auc: float
    auc_error: float
    ks: float
    log_loss: float
    brier: float
    half: Threshold
    best: Threshold
    thresholds: tuple[Threshold, ...]
    calibration: tuple[Group, ...]
    gains: tuple[Gain, ...]
    groups: tuple[Group, ...]
    noise: Noise | None = None


class Evaluation(Frozen):
    """What the receiver of a model is told of rows that no training has seen.

    Attributes:
        version: of the form.
        rows: how many were held out.
        minimum: the fewest rows of a group.
        beyond: counts of rows whose score lies too far out, one or more for each; then there are
            no figures.
        figures: None where there are none: there are such rows, or all are of one class, be it by
            labels of which some were turned round, be it of rows that were matched.
        folds: where every row was held out once: of so many trainings, none of them the model's.
    """

    version: Literal[1] = 1
    rows: int
    minimum: int
    beyond: int = 0
    figures: Figures | None = None
    folds: int | None = None

    def __str__(self) -> str:
        found = self.figures
        which = f"{self.rows} held-out rows"
        if self.folds is not None:
            which = f"{self.rows} rows, each held out in one of {self.folds} folds"
        if found is None and not self.beyond:
            return (
                f"none: all of {which} are of one class, or seem to be where labels are turned "
                "round; hold out more rows, or agree on a larger epsilon if they are"
            )
        if found is None:
            return (
                f"none: of {which} some have a score that is too far out to be "
                "counted; clip columns with single large values, or take their logarithm"
            )
        half, noise, precision = found.half, found.noise, "none"
        if half.precision is not None:
            precision = f"{half.precision:.3f}"
        positives, about = f"{found.positives}", ""
        if noise is not None:
            positives = f"about {found.positives:.0f} ± {noise.positives:.0f}"
            about = f"; estimates, since {noise.flip:.2%} of the labels were turned round"
        return (
            f"{which}, {positives} positive ({found.base_rate:.1%}); "
            f"AUC {found.auc:.3f} (standard error {found.auc_error:.3f}), KS {found.ks:.3f}, "
            f"log loss {found.log_loss:.4f}, Brier {found.brier:.4f}; from {half.at_least:.3f} on: "
            f"precision {precision}, recall {half.recall:.3f}, F1 {half.f1:.3f}{about}"
        )
