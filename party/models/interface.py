"""What every model offers to the rest of the kit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from party.agreement.parties import HOLDERS
from party.models.label import LabelRule
from party.models.parameters import Parameters

if TYPE_CHECKING:
    from party.agreement.job import AlignedJob, Job, Party
    from party.models.descent import OwnColumns
    from party.models.evaluation.figures import Evaluation
    from party.models.health import Health, WrongModelError
    from party.models.statistics.figures import Statistics
    from party.protocols.dealing import Dealing
    from party.protocols.interface import Parts, Protocol
    from party.protocols.sines import Wave

Array = NDArray[np.float64]

NO_LABEL = -1
"""No party's index."""

Opened = Mapping[str, Array]
"""What a party was given at the end: arrays by the name of the value."""


@dataclass(frozen=True)
class Block:
    """The features of one holder.

    Attributes:
        party: the holder's index.
        features: how many columns of the model they are.
        intercept: whether a column of ones follows them, whose weight is the intercept.
    """

    party: int
    features: int
    intercept: bool

    @property
    def columns(self) -> int:
        """Columns that take part: the features, and the ones."""
        return self.features + self.intercept


def blocks_of(job: Job) -> tuple[Block, ...]:
    """The features of a job by holder, in the order of the seats; of a model's holder in a job that
    scores, one column: what its own add up to. Where these sums are joined to the other's rows, the
    other has a column more, its share of them."""
    if job.scores is not None:
        return tuple(
            Block(
                index,
                1
                if holder == job.scores.holder
                else len(job.derived_of(holder)) + (holder == job.left),
                False,
            )
            for index, holder in enumerate(HOLDERS)
        )
    return tuple(
        Block(index, len(job.derived_of(holder)), holder == job.intercept_holder)
        for index, holder in enumerate(HOLDERS)
        if job.features_of(holder)
    )


@dataclass(frozen=True)
class DescentLayout:
    """The sizes of a descent over all rows.

    Attributes:
        blocks: of rows, of which a pass consists.
        warm_blocks: those of them with which the training begins; 0 where it takes all at once.
        block_rows: of each; the last ones are filled up with rows of zeros.
        home_rows: rows behind these in which a holder keeps its own small matrices.
        feature_bits: bits after the point of what a holder's table becomes.
        error_bits: bits after the point of a prediction less its label.
        gradient_factor: by which the sum of all rows' gradients is multiplied in a step.
        momenta: which of the weights of the step before occur, in the order of their first use.
        classes: what a row's error is multiplied by, by its label, in fixed point; empty where its
            holder alone knows that; None for one.
        small: below which the squared length of a step, in fixed point, is taken for none; 0 where
            that is never asked.
        informed: the parties to which the information matrix of all columns is opened.
        starts: whether the last of a holder's own rows is what its weights begin from.
        starts_kept: whether one of its small matrices takes a kept model, on shares, to these.
        told_residuals: those to which the square sum of all residuals is.
        private: whether both holders put noise on the weights, which the last of their own rows
            are, one for each weight, and no step follows from data.
        debiased: what stands for the labels 0 and 1 in the training, in fixed point, where a table
            has them as they are counted; None where it has what stands for them.
    """

    blocks: int
    warm_blocks: int
    block_rows: int
    home_rows: int
    feature_bits: int
    error_bits: int
    gradient_factor: int
    momenta: tuple[int, ...]
    classes: tuple[int, ...] | None
    small: int
    informed: tuple[int, ...] = ()
    starts: bool = False
    told_residuals: tuple[int, ...] = ()
    starts_kept: bool = False
    private: bool = False
    debiased: tuple[int, int] | None = None

    @property
    def rows(self) -> int:
        """Rows of all blocks."""
        return self.blocks * self.block_rows


@dataclass(frozen=True)
class EvaluationLayout:
    """The sizes of an evaluation on held-out rows.

    Attributes:
        runs: of the program that counts them; of each fold, where there are folds.
        run_rows: rows of each.
        first: where they begin in what a party's programs read; behind them are as many rows as
            there are bins.
        to: the parties that are told; the first says how bins are joined.
        folds: parts of the rows of which each is held out once; 0 where some rows always are.
    """

    runs: int
    run_rows: int
    first: int
    to: tuple[int, ...]
    folds: int = 0

    @property
    def rows(self) -> int:
        """Rows that are there to be counted alone."""
        return 0 if self.folds else self.runs * self.run_rows

    def filled(self, rows: int) -> int:
        """Rows of zeros that fill runs up, where so many rows are in folds."""
        return self.folds * self.runs * self.run_rows - rows if self.folds else 0


@dataclass(frozen=True)
class Layout:
    """Who holds what, as far as it shapes a plan.

    Attributes:
        blocks: the holders with features, in order.
        label: the index of the party that holds the label; ``NO_LABEL`` where rows are scored.
        rows: of every holder's table.
        batch_size: rows of one step over a mini-batch.
        share_rows: rows of one run of the program that shares.
        step_factor, step_shift: the step width, ``factor / 2**shift``.
        receivers: for each seat, whether it receives weights, and of which blocks.
        descent: where the solver takes all rows in each pass; batch and step are nothing then.
        aligned: whether each holder has a matrix of all columns, of which the sum is the table.
        evaluation: where rows are held out.
        reach: the period of the sigmoid that no row's weighted sum may leave, as a power of two,
            where the parties see to that together; None where a receiver does, or there is none.
        opening: whether the state is a kept model, which is opened and nothing else.
    """

    blocks: tuple[Block, ...]
    label: int
    rows: int
    batch_size: int
    share_rows: int
    step_factor: int
    step_shift: int
    receivers: tuple[tuple[int, tuple[int, ...]], ...]
    descent: DescentLayout | None = None
    aligned: bool = False
    evaluation: EvaluationLayout | None = None
    reach: int | None = None
    opening: bool = False

    @property
    def in_ring(self) -> bool:
        """Whether what programs read are numbers of the ring already."""
        return self.aligned or self.label == NO_LABEL

    @property
    def all_columns(self) -> int:
        """Features of all holders, and the ones."""
        return sum(block.columns for block in self.blocks)

    def columns_of(self, party: int) -> int:
        """Columns of a party's matrix: its features, the ones, the label."""
        if self.aligned:
            return self.all_columns + 1 if party < len(HOLDERS) else 0
        own = sum(block.columns for block in self.blocks if block.party == party)
        return own + (party == self.label)

    def label_column(self) -> int:
        """Where the label stands in a matrix that has it: behind the features."""
        if self.aligned:
            return self.all_columns
        return sum(block.columns for block in self.blocks if block.party == self.label)

    def first_column(self, block: Block) -> int:
        """Where a block begins in its holder's matrix."""
        if not self.aligned:
            return 0
        return sum(one.columns for one in self.blocks[: self.blocks.index(block)])


@dataclass(frozen=True)
class Value:
    """A matrix that stays shared between programs.

    Attributes:
        name: unique in a plan.
        shape: rows and columns.
        by_rows: whether its rows are those of the tables, so that programs may read and write
            a batch of them.
        parts: who holds which part of it; None for the protocol's own way.
    """

    name: str
    shape: tuple[int, int]
    by_rows: bool = False
    parts: Parts | None = None


FOLD = "fold "
"""Phases of trainings that hold a fold out begin with this; its number follows, from 1 on."""


@dataclass(frozen=True)
class Stretch:
    """Runs of one program, one after the other.

    Attributes:
        program: its name.
        runs: how many.
        counted: whether they are steps of the training, as people are shown them.
        phase: the part of the training that they belong to, which ends when it has settled; None
            for what runs in any case.
        asks: whether what they open says if it has.
        rows: makes the rows of all of them, [runs, rows]; None where they take none.
        told: at a holder, takes what they opened to it and may write into the rows that its later
            programs read; None where they open nothing for that.
        vouches: whether what they open says if there is a model at all: without, the job ends.
    """

    program: str
    runs: int
    counted: bool = True
    phase: str | None = "training"
    asks: bool = False
    rows: Callable[[], NDArray[np.int32]] | None = None
    told: Callable[[Opened, NDArray[Any]], None] | None = None
    vouches: bool = False


class ProgramBuilder(ABC):
    """What a model builds a program with: inputs, state and openings, and what a protocol's server
    deals."""

    dealing: Dealing

    @abstractmethod
    def own(self, party: int, first: int, columns: int, bits: int) -> Any:
        """The batch's rows of some columns of a party's own table, in fixed point, not shared.

        Where tables have been aligned, or rows are scored, they are numbers of the ring already."""

    @abstractmethod
    def held(self, name: str) -> list[list[Any]]:
        """The shares by seat of a value of the state as it was before the program; of one
        ``by_rows``, of the batch's rows."""

    @abstractmethod
    def keep(self, name: str, shares: list[list[Any]]) -> None:
        """The shares by seat of a value of the state as they are after the program; of one
        ``by_rows``, of the batch's rows."""

    @abstractmethod
    def reveal(self, name: str, to: int) -> None:
        """Opens a value of the state, as it was before the program, to a party."""


class Model(ABC):
    """A model, as the rest of the kit sees it."""

    name: ClassVar[str]

    parameters: Parameters

    @abstractmethod
    def evaluation(self, job: Job, descent: DescentLayout | None) -> EvaluationLayout | None:
        """The sizes of the evaluation that the job asks for, if it does."""

    @abstractmethod
    def descent(self, job: Job, blocks: tuple[Block, ...]) -> DescentLayout | None:
        """The sizes of a descent over all rows, where the job's solver is one."""

    @abstractmethod
    def programs(self, layout: Layout) -> tuple[str, ...]:
        """Its programs in the order in which they first run."""

    @abstractmethod
    def rows_of(self, program: str, layout: Layout) -> int:
        """The rows that one run of a program takes of each table."""

    @abstractmethod
    def course(self, job: Job, layout: Layout) -> Iterator[Stretch]:
        """The runs of its programs, all but the last program's, in their order."""

    @abstractmethod
    def result_bits(self, layout: Layout) -> int:
        """Bits after the point of what it opens."""

    @abstractmethod
    def rows_at_home(self, job: Job) -> int:
        """The rows of what ``at_home`` gives."""

    @abstractmethod
    def at_home(
        self,
        job: Job,
        party: Party,
        matrix: NDArray[np.float32],
        room: NDArray[np.float32] | None = None,
        start: Array | None = None,
        noise: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float32]:
        """What a party's programs read in the place of its standardised table: see ``Table``.

        Args:
            start: see ``Table``; zeros unless told.
            noise: see ``Table``; there must be some where weights are private.
            room: ``rows_at_home`` of them, the matrix in the first, which are replaced; without it
                new memory is taken.
        """

    @abstractmethod
    def back_from_home(self, job: Job, party: Party, room: NDArray[np.float32]) -> None:
        """Puts the standardised table back into the room, as near as float32 can bring it."""

    @abstractmethod
    def to_align(
        self,
        job: AlignedJob,
        party: Party,
        matrix: NDArray[np.float32],
        start: Array | None = None,
    ) -> OwnColumns:
        """A party's standardised columns, as an alignment takes them."""

    @property
    @abstractmethod
    def label_rule(self) -> LabelRule:
        """What the label's column must hold."""

    @abstractmethod
    def row_limit(self, job: Job) -> float | None:
        """The largest squared length of a standardised row, intercept included, that the job's
        steps can bear; None where there is no such limit."""

    @abstractmethod
    def state(self, layout: Layout, protocol: Protocol) -> tuple[Value, ...]:
        """What stays shared between its programs."""

    @abstractmethod
    def weights(self, layout: Layout) -> list[str]:
        """The values of the state that are the model."""

    @abstractmethod
    def opened(self, layout: Layout) -> list[tuple[str, int]]:
        """Which values of the state are opened at the end, and to whom: that is what the job
        reveals."""

    @abstractmethod
    def asked(self, layout: Layout) -> list[tuple[str, int]]:
        """Which values are opened during the training, and to whom, if the job asks for that."""

    @abstractmethod
    def told(self, layout: Layout) -> list[tuple[str, int]]:
        """Which values are opened between the training and the end, and to whom."""

    def noise(self, program: str, layout: Layout) -> dict[str, range]:
        """Where weights are private: which rows of the first column of each holder's own batch are
        its noise, by the value of the state that must have it. By default no program reads any."""
        return {}

    @abstractmethod
    def reach(self, job: Job) -> int | None:
        """See ``Layout.reach``."""

    @abstractmethod
    def vouched(self, layout: Layout) -> list[tuple[str, int]]:
        """Which values say, when the training is over, whether there is a model, and to whom they
        are opened."""

    @abstractmethod
    def no_model(self, job: Job) -> WrongModelError:
        """What is wrong where they say that there is none."""

    @abstractmethod
    def build(self, program: str, layout: Layout, builder: ProgramBuilder) -> None:
        """Builds one of its programs."""

    @abstractmethod
    def document(self, job: Job, party: Party, opened: Opened, scales: Scales) -> dict[str, Any]:
        """Its own part of the result document.

        ``features``, ``holders``, ``weights``, ``mean`` and ``scale`` are lists of one length:
        for a feature x the model reads ``(x - mean) / scale``. Mean and scale of another holder's
        features are null: that party alone knows them. ``intercept`` is null where another party
        has it.

        Args:
            job: what was trained.
            party: who receives it.
            opened: the weights that the party was given.
            scales: the mean and scale of the party's own features.
        """

    @abstractmethod
    def evaluated(self, job: Job, party: Party, opened: Opened) -> Evaluation | None:
        """What held-out rows say, where the party is told.

        Raises:
            WrongModelError: what was opened are no counts.
        """

    @abstractmethod
    def statistics(
        self, job: Job, party: Party, opened: Opened, scales: Scales, x: NDArray[np.float32]
    ) -> Statistics | None:
        """How far the weights can be trusted, where the party is given that.

        Args:
            job: what was trained.
            party: who receives it.
            opened: what the party was given.
            scales: the mean and scale of the party's own features.
            x: its own columns, as in ``check_steps``.
        """

    @abstractmethod
    def check_steps(self, job: Job, party: Party, x: NDArray[np.float32]) -> tuple[str, ...]:
        """What the party's own features say of the job's steps, before any is done: warnings.

        Args:
            job: what is to be trained.
            party: whose table it is.
            x: the party's standardised features and, at the intercept's holder, the ones.

        Raises:
            InputError: the steps are so wide that the training cannot come to rest, or a row stands
                out too far.
        """

    @abstractmethod
    def check_label(self, job: Job, party: Party, label: NDArray[np.float32]) -> None:
        """Looks whether the label's holder has labels as the job says; raises InputError.

        Args:
            label: of the training's rows, [rows].
        """

    @abstractmethod
    def health(self, job: Job, party: Party, opened: Opened, x: NDArray[np.float32]) -> Health:
        """What a receiver sees of its model at home, with its own columns as in ``check_steps``.

        Raises:
            WrongModelError: it is none: an overflow, or out of the range of the approximations.
        """

    @abstractmethod
    def fit(
        self,
        job: Job,
        x: NDArray[np.float32],
        y: NDArray[np.float32],
        start: Array | None = None,
    ) -> Array:
        """The plaintext reference: trains in clear, with the same approximations.

        For tests, and for a check on data that one person holds: whoever runs it sees all columns.

        Args:
            job: what to train.
            x: standardised features of all holders, in order, and the column of ones at the place
                of ``Layout``, [rows, columns].
            y: labels in the label's unit, [rows, 1].
            start: weights that a job with ``training.start`` begins from, [columns]; zeros unless
                told.

        Returns:
            The weights, [columns].
        """

    @abstractmethod
    def predict(self, weights: Array, x: NDArray[np.float32]) -> Array:
        """What the model says of rows like those of ``fit``, [rows]."""

    @abstractmethod
    def sigmoid(self, job: Job) -> Wave | None:
        """The approximation of the sigmoid that the training rests on, if it rests on one."""


@dataclass(frozen=True)
class Scales:
    """How a party's own features were standardised: ``(value - mean) / scale``."""

    mean: Array | None
    scale: Array | None

    def of(self, feature: int) -> tuple[float | None, float | None]:
        """The mean and the scale of one feature, by its position."""
        if self.mean is None or self.scale is None:
            return None, None
        return float(self.mean[feature]), float(self.scale[feature])
