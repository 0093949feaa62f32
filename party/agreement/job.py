"""The job: what the parties agree to train, the same bytes for all of them, and its digest.

The job holds nothing private. Its digest names the run: parties whose digests differ refuse each
other before any byte of data leaves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import frexp
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    Discriminator,
    Field,
    SerializeAsAny,
    Tag,
    ValidationError,
    model_validator,
)

from party.agreement import statistics as standard_errors
from party.agreement.columns import PRINTABLE, ColumnChoice, ColumnSchema, schema_of
from party.agreement.limits import ANCHOR_PASSES, ANCHORS, BALANCED
from party.agreement.parties import HOLDERS as HOLDERS
from party.agreement.parties import PARTIES as PARTIES
from party.agreement.parties import Holder as Holder
from party.agreement.parties import Party as Party
from party.agreement.parties import other_of
from party.agreement.pins import Identities, Pin
from party.agreement.privacy import LabelPrivacy, Privacy, WeightPrivacy
from party.agreement.yaml12 import Document, load_yaml, read_yaml, refused
from party.models.joint_scores.parameters import JointScoresParameters
from party.models.parameters import ModelName
from party.models.registry import TRAINED, ModelParameters, has_unit
from party.process.errors import InputError, printable
from party.process.schema import Strict
from party.protocols.registry import ProtocolName

if TYPE_CHECKING:  # the job is read by processes that need no arrays
    import numpy as np
    from numpy.typing import NDArray

Result = Literal["alice", "bob", "both", "own", "nobody", "kept"]

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$")]
ColumnName = Annotated[str, Field(min_length=1, max_length=128, pattern=PRINTABLE)]
MOST_COLUMNS = 4096
Columns = Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=MOST_COLUMNS)]


class FeaturesByHolder(Strict):
    """The features, where not all of them are Alice's."""

    alice: Columns | None = Field(default=None, description="Alice's columns, in order")
    bob: Columns | None = Field(default=None, description="Bob's columns, in order")


class LabelByHolder(Strict):
    """The label, where it is not Bob's."""

    alice: ColumnName | None = Field(default=None, description="Alice's column")
    bob: ColumnName | None = Field(default=None, description="Bob's column")


DateFormat = Literal["dmy", "mdy"]
"""In which order day, month and year are written, where the year does not come first."""


class DateOfKey(Strict):
    """A column of the identifier with days of the calendar, the same however they are written."""

    column: ColumnName = Field(description="the column's name")
    type: Literal["date"] = Field(description="date")
    format: DateFormat | None = Field(
        default=None,
        description="dmy: 31/1/2026, 31.1.2026; mdy: 1/31/2026; left out, 2026-01-31 or 31.1.2026",
    )


def _form(value: Any) -> str:
    """Whether a key has its short form or its long one, a mapping; errors are told of that one."""
    return _LONG if isinstance(value, dict | BaseModel) else _SHORT


def _key_form(value: Any) -> str:
    return _LIST if isinstance(value, list | tuple) else _form(value)


_SHORT, _LONG, _LIST = "(short)", "(long)", "(list)"
_FORM = Discriminator(_form)

KeyColumn = SerializeAsAny[
    Annotated[Annotated[ColumnName, Tag(_SHORT)] | Annotated[DateOfKey, Tag(_LONG)], _FORM]
]
"""A column of the identifier: of texts, by its name, or of dates."""

KeyList = Annotated[tuple[KeyColumn, ...], Field(min_length=1, max_length=MOST_COLUMNS)]


class KeyByHolder(Strict):
    """The identifier's columns, where their names are not the same at both holders."""

    alice: KeyList = Field(description="Alice's columns, in order")
    bob: KeyList = Field(description="Bob's columns, in the same order")


# Written without asking ``_form``: pydantic drops whatever such a function raises, and a stop that
# comes meanwhile with it.
Features = SerializeAsAny[
    Annotated[Annotated[Columns, Tag(_SHORT)] | Annotated[FeaturesByHolder, Tag(_LONG)], _FORM]
]
LabelColumn = SerializeAsAny[
    Annotated[Annotated[ColumnName, Tag(_SHORT)] | Annotated[LabelByHolder, Tag(_LONG)], _FORM]
]
ModelChoice = SerializeAsAny[
    Annotated[Annotated[ModelName, Tag(_SHORT)] | Annotated[ModelParameters, Tag(_LONG)], _FORM]
]

KeyColumns = SerializeAsAny[
    Annotated[
        Annotated[ColumnName, Tag(_SHORT)]
        | Annotated[KeyList, Tag(_LIST)]
        | Annotated[KeyByHolder, Tag(_LONG)],
        Discriminator(_key_form),
    ]
]

RATE_BITS = 4
"""Bits kept of the step width; its relative rounding error is at most 2**-4.

The gradient is multiplied by the factor before it is truncated, and the chance that a truncation of
shares fails grows with what is truncated: a small factor keeps it where it was.
"""


@dataclass(frozen=True)
class StepWidth:
    """``learning_rate / batch_size`` as ``factor / 2**shift``, a public constant of the step.

    Multiplying by a small integer and truncating once, together with the product's own truncation,
    costs one truncation where a fixed-point constant costs two. A power of two is only a shift.
    """

    factor: int
    shift: int

    @classmethod
    def of(cls, width: float) -> StepWidth:
        """The step width nearest to a number."""
        mantissa, exponent = frexp(width)
        factor, shift = round(mantissa * 2**RATE_BITS), RATE_BITS - exponent
        while factor % 2 == 0 and shift > 0:
            factor, shift = factor // 2, shift - 1
        while shift < 0:
            factor, shift = factor * 2, shift + 1
        return cls(factor, shift)

    @property
    def value(self) -> float:
        """The step width that is really used; the plaintext reference uses the same."""
        return self.factor / 2.0**self.shift


_MANY = 0.01
"""The share of rows in no batch from which it is worth a word."""

BLOCK_ROWS = 8192
"""Rows of one run of a program that goes through all rows in blocks, at most: enough that its
messages are few, few enough that its memory is small."""

SHARE_ROWS = 1024
"""Rows of one run of a program that shares tables to batches, or scores: enough that its messages
are few, few enough that its memory is small."""

WARM_PART = 32
"""Of so many blocks one is the sample on which a descent begins; fewer are all taken at once."""

SMALL_PART = 8
"""A sample is at most one of so many blocks."""

SAMPLED_ROWS = 64
"""Rows of the sample for each column, at least: it curves as all rows do up to the root of the
inverse of that."""

SMALLEST_TOLERANCE = 1e-5
"""A shorter step is lost in the last bits of the weights."""

SMALLEST_RATE = 1e-5
"""A step of a smaller rate moves no weight by as much as the last bit of any protocol's numbers."""


class Training(Strict):
    """Mini-batch stochastic gradient descent."""

    epochs: int = Field(ge=1, le=1_000_000, description="passes over the rows")
    batch_size: int = Field(ge=1, le=65_536, description="rows of one step")
    learning_rate: float = Field(ge=SMALLEST_RATE, le=10, description="step width")
    order_seed: int = Field(
        default=0, ge=0, lt=2**53, description="public seed of the order of rows in each epoch"
    )


WeightsOfClasses = Annotated[
    dict[Annotated[str, Field(pattern="^[01]$")], Annotated[float, Field(ge=0.001, le=1000)]],
    Field(min_length=2, max_length=2),
]


def _weight_form(value: Any) -> str:
    return _LONG if isinstance(value, dict) else _SHORT


ClassWeight = Annotated[
    Annotated[Literal["balanced"], Tag(_SHORT)] | Annotated[WeightsOfClasses, Tag(_LONG)],
    Discriminator(_weight_form),
]


_OWN = "model"
"""What ``training.start`` says where each holder begins from a model of its own."""

RAREST = 0.01
"""The share of the rows that the rarer of balanced classes has at least, unless the job says."""


class Descent(Strict):
    """Gradient descent over all rows, with momentum and without a rate to choose."""

    passes: int = Field(default=200, ge=1, le=10_000, description="passes over the rows, at most")
    tolerance: float = Field(
        default=0.001,
        ge=0,
        le=0.1,
        description="how small a step may be for the training to have settled, at least 0.00001, "
        "which all parties are told every 8 passes and after 12: with start after each, and after "
        "a sample after each over all rows; 0: nobody is told, and all passes are done",
    )
    C: float = Field(
        default=1.0,
        ge=1e-6,
        le=1e6,
        description="the inverse strength of the penalty on squared weights, as in scikit-learn",
    )
    class_weight: ClassWeight | None = Field(
        default=None,
        description='by what a row\'s loss is multiplied, by its label: {"0": 1.0, "1": 10.0}, as '
        "in scikit-learn; or balanced, by rows over twice the rows of the label; logistic "
        "regression only",
    )
    rarest: float = Field(
        default=RAREST,
        ge=0.0005,
        le=0.5,
        description="with class_weight: balanced, the share of the rows that the rarer class has "
        "at least; all parties know this bound, and no more",
    )
    start: Annotated[str, Field(pattern="^(model|[0-9a-f]{64})$")] | None = Field(
        default=None,
        description="model: each holder of features begins from the weights that a former model "
        "of its own has for them, and keeps these to itself; or the name of a kept model, which "
        "stays on shares; left out, from zero",
    )

    @property
    def largest_weight(self) -> float:
        """What no weight of a class is larger than."""
        if self.class_weight == BALANCED:
            return 0.5 / self.rarest
        return max(self.class_weight.values()) if isinstance(self.class_weight, dict) else 1.0


def _solver(value: Any) -> str:
    """Which solver's keys stand under ``training``: those of mini-batches, or those without."""
    keys: Any = ()
    if isinstance(value, dict | BaseModel):
        keys = value.keys() if isinstance(value, dict) else type(value).model_fields.keys()
    return _BATCHES if Training.model_fields.keys() & set(keys) else _DESCENT


_BATCHES, _DESCENT = "(batches)", "(descent)"
Solver = SerializeAsAny[
    Annotated[
        Annotated[Training, Tag(_BATCHES)] | Annotated[Descent, Tag(_DESCENT)],
        Discriminator(_solver),
    ]
]


class Align(Strict):
    """Rows that belong together are found by an identifier that both holders have."""

    key: KeyColumns = Field(
        description="the identifier's column, or columns, of texts unless told that one is of "
        "dates; a mapping where the holders' columns differ"
    )
    minimum: int = Field(
        default=100, ge=1, le=2**31 - 1, description="common rows below which the job ends"
    )
    duplicates: Literal["refuse", "first"] = Field(
        default="refuse",
        description="what becomes of a table that has an identifier more than once: it is refused, "
        "or the first row of each is taken",
    )
    order: Literal["any", "same"] = Field(
        default="any",
        description="same: both tables have the same rows in the same order, which is seen to, and "
        "nothing is matched",
    )
    join: Literal["inner", "left"] = Field(
        default="inner",
        description="inner: the rows that both tables have; left, where rows are scored: all rows "
        "of who is given the scores, whether the other has them or not",
    )

    def of(self, holder: Party) -> tuple[str, ...]:
        """The names of a holder's columns."""
        columns = self.columns_of(holder)
        return tuple(one.column if isinstance(one, DateOfKey) else one for one in columns)

    def dates_of(self, holder: Party) -> tuple[DateOfKey | None, ...]:
        """Which of these are of dates; None for one of texts."""
        columns = self.columns_of(holder)
        return tuple(one if isinstance(one, DateOfKey) else None for one in columns)

    def columns_of(self, holder: Party) -> tuple[str | DateOfKey, ...]:
        """A holder's columns."""
        if isinstance(self.key, KeyByHolder):
            own: tuple[str | DateOfKey, ...] = getattr(self.key, holder)
            return own
        return (self.key,) if isinstance(self.key, str) else self.key


HELD_OUT = 0.2
"""The share of the rows that is held out unless the job says."""


_NO_FOLDS = (None, 1)
"""What ``evaluation.folds`` says where there are none."""


class Evaluation(Strict):
    """How good the model is on rows that its training has not seen."""

    folds: int | None = Field(
        default=None,
        ge=1,
        le=10,
        description="hold every row out once: so many trainings, each without one of as many parts "
        "of the rows, before the one on all rows that gives the model; 1: none",
    )
    held_out: float | None = Field(
        default_factory=lambda said: HELD_OUT if said.get("folds") in _NO_FOLDS else None,
        ge=0.01,
        le=0.9,
        description="the share of the rows that is held out: 0.2 unless told; none with folds",
    )
    to: tuple[Holder, ...] | None = Field(
        default=None,
        min_length=1,
        description="who is told: of those who receive the model; left out, all of them",
    )
    minimum: int = Field(
        default=10,
        ge=2,
        le=1_000_000,
        description="the fewest held-out rows among which positives are counted",
    )
    seed: int = Field(
        default=0, ge=0, lt=2**53, description="public seed of which rows are held out"
    )


StatisticsChoice = SerializeAsAny[
    Annotated[
        Annotated[Literal[True], Tag(_SHORT)] | Annotated[standard_errors.Statistics, Tag(_LONG)],
        _FORM,
    ]
]

EVALUATED_ROWS = 64
"""Held-out rows of one run of the program that counts them, at most."""


def _evaluated_runs(rows: int, part: float) -> int:
    return -(-int(rows * part) // EVALUATED_ROWS)


def _held_out_rows(rows: int, part: float) -> int:
    runs = _evaluated_runs(rows, part)
    return int(rows * part) // runs * runs if runs else 0


class Job(Strict):
    """What is trained, on how many rows of which columns, and who receives the model."""

    name: Name = Field(description="the job's name and the trust domain of its identities")
    protocol: ProtocolName = Field(default="pond", description="how the parties share secrets")
    rows: int = Field(
        default=0,
        ge=0,
        le=2**31 - 1,
        description="rows of every holder's table; left out where rows are matched",
    )
    align: Align | None = Field(
        default=None,
        description="match the rows of both tables by an identifier, without showing which match; "
        "left out where both tables have the same rows in the same order",
    )
    features: Features = Field(
        description="the columns to learn from: a list of Alice's, or a list for each holder"
    )
    label: LabelColumn | None = Field(
        default=None,
        description="the column to predict: Bob's, or the one of the holder that is named; left "
        "out where rows are scored",
    )
    columns: dict[ColumnName, ColumnChoice] = Field(
        default={},
        description="how to read columns that are not plain numbers, by name: their type, or a "
        "mapping; see docs/tables.md",
    )
    model: ModelChoice = Field(
        default="logistic-regression", description="what is trained: its name, or its parameters"
    )
    training: Solver = Field(
        default=Descent(),
        description="to the optimum by passes over all rows, or by steps over mini-batches",
    )
    result: Result = Field(
        default="alice",
        description="who receives the model: alice, bob, both, own (each holder the weights of its "
        "own columns), nobody (each party keeps its shares), or kept (each party keeps its shares "
        "sealed, for a later job that opens them)",
    )
    kept: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = Field(
        default=None,
        description="the name of a model that was kept, which this job opens and does not train",
    )
    identities: Identities | None = Field(
        default=None,
        description="the pin of each party: the SHA-256 of its public key, of its authority's "
        "certificate, or both; left out, one authority vouches for all",
    )
    evaluation: Evaluation | None = Field(
        default=None, description="hold rows out, and count how the model does on them"
    )
    tls: Literal["fips"] | None = Field(
        default=None,
        description="fips: keys on the curve P-256, ECDSA with SHA-256 and AES-GCM alone, between "
        "the parties; left out, TLS 1.3 as it comes",
    )
    statistics: StatisticsChoice | None = Field(
        default=None,
        description="true, or a mapping: standard errors of the weights, p-values and intervals",
    )
    privacy: Privacy | None = Field(
        default=None,
        description="keep single labels, or single rows, from whoever receives the model",
    )
    trust_domain: Name | None = Field(
        default=None,
        description="whose keys and tables it takes: the name in the parties' certificates and in "
        "their tables' manifests; left out, the job's own",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Job:
        names = [name for holder in HOLDERS for name in self.features_of(holder)]
        repeated = {name for name in names if names.count(name) > 1}
        if not names:
            raise ValueError("features: no holder has any")
        if repeated:
            raise ValueError(f"features: {min(repeated)!r} stands more than once")
        if self.scores is not None:
            self._can_score(self.scores)
            return self
        labels = [holder for holder in HOLDERS if self.label_of(holder) is not None]
        if len(labels) != 1:
            raise ValueError("label: it is the column of one holder, alice or bob")
        if self.label_of(labels[0]) in names:
            raise ValueError(f"label: {self.label_of(labels[0])!r} is also one of the features")
        for holder in HOLDERS:
            if not self.features_of(holder) and holder not in labels:
                raise ValueError(
                    f"features: {holder} holds neither features nor the label, so that the other "
                    "can train alone"
                )
        self._check_columns(names, self.label_of(labels[0]))
        self._check_rows()
        if self.align is not None and self.align.join == "left":
            raise ValueError(
                "align.join: left: a training takes the rows that both have; take it out"
            )
        batches = self.batches_of
        if batches is not None and batches.batch_size > self.rows:
            raise ValueError(
                f"training.batch_size: {batches.batch_size} is more than rows ({self.rows})"
            )
        weighted = self.descent is not None and self.descent.class_weight is not None
        if weighted and not self.parameters.classes:
            raise ValueError(
                f"training.class_weight: a {self.parameters.kind} has no classes to weigh"
            )
        balanced = self.descent is not None and self.descent.class_weight == BALANCED
        if self.descent is not None and self.descent.rarest != RAREST and not balanced:
            raise ValueError("training.rarest: it is of class_weight: balanced alone; take it out")
        if balanced and self.matched:
            raise ValueError(
                "training.class_weight: nobody knows how many matched rows have which label; "
                "give the weights of 0 and 1"
            )
        if self.descent is not None and 0 < self.descent.tolerance < SMALLEST_TOLERANCE:
            raise ValueError(
                f"training.tolerance: {self.descent.tolerance:g} is lost in the last bits of the "
                f"weights; it is at least {SMALLEST_TOLERANCE:f}, or 0 if nobody is to be told"
            )
        self._can_be_kept()
        self._can_be_evaluated()
        standard_errors.check(self)
        self._can_be_private()
        self._can_have_private_weights()
        return self

    def __hash__(self) -> int:
        return hash(self.digest)

    def _can_score(self, wanted: JointScoresParameters) -> None:
        if self.label is not None:
            raise ValueError("label: rows are scored without one; take it out")
        for holder in HOLDERS:
            if not self.features_of(holder):
                raise ValueError(
                    f"features: {holder} has none, and {other_of(holder)} all: who has the model "
                    "and all of its columns scores alone, by deployer score"
                )
        if self.align is not None and (self.align.join != "left" or not self.matches):
            raise ValueError(
                "align: rows to score are in the same order at both, and align is left out; or in "
                "any order, by align.join: left"
            )
        if self.align is not None and self.result == "both":
            raise ValueError(
                "result: both: with align.join: left, scores are of one holder's rows, and that "
                "holder alone knows which row each is of; say alice or bob"
            )
        if not self.receivers or self.result == "own":
            raise ValueError(f"result: {self.result}: scores go to alice, bob or both")
        if wanted.unit != 1.0 and not has_unit(wanted.predicts):
            raise ValueError(f"model.unit: a {wanted.predicts} has none")
        if self.kept is not None:
            raise ValueError(
                "kept: open the model first, and score by what its receiver has; take it out"
            )
        of_trainings = {
            "training": self.training != Descent(),
            "evaluation": self.evaluation is not None,
            "statistics": self.statistics is not None,
            "privacy": self.privacy is not None,
        }
        for key, said in of_trainings.items():
            if said:
                raise ValueError(f"{key}: nothing is trained where rows are scored; take it out")
        names = [name for holder in HOLDERS for name in self.features_of(holder)]
        self._check_columns(names, None)
        self._check_rows()

    def _check_rows(self) -> None:
        if not self.matched and not self.rows:
            raise ValueError("rows: say how many; or align, to match the tables by an identifier")
        if self.align is None:
            return
        if self.matched and self.rows:
            raise ValueError("rows: each holder has its own with align: take it out")
        if self.matched and self.batches_of is not None:
            raise ValueError("training: with align all rows are taken in each pass, no batches")
        if not self.matched and self.align.join == "left":
            raise ValueError("align.join: nothing is joined where the order is the same")
        if not self.matched and self.align.duplicates == "first":
            raise ValueError("align.duplicates: no row can be left out where the order is the same")
        if len(self.holders) < len(HOLDERS):
            raise ValueError("align: one holder has all columns")
        keys = [self.align.of(holder) for holder in HOLDERS]
        if len(keys[0]) != len(keys[1]):
            raise ValueError("align.key: as many columns at alice as at bob make one identifier")
        alice, bob = (map(bool, self.align.dates_of(holder)) for holder in HOLDERS)
        if list(alice) != list(bob):
            raise ValueError(
                "align.key: where one holder's column is a date, so is the other's in its place"
            )
        for holder, names in zip(HOLDERS, keys, strict=True):
            if len(set(names)) < len(names):
                raise ValueError(f"align.key: {holder}'s columns have a name more than once")
            taken = {*self.features_of(holder), self.label_of(holder)} & set(names)
            if taken:
                raise ValueError(
                    f"align.key: {min(map(str, taken))!r} is also a column to learn from"
                )

    @property
    def matched(self) -> bool:
        """Whether its rows are those that both holders' tables have."""
        return self.align is not None and self.align.order == "any"

    @property
    def matches(self) -> bool:
        """Whether these are to be found, which they were where a kept model is opened."""
        return self.matched and self.kept is None

    @property
    def left(self) -> Holder | None:
        """Whose rows are all scored, whether the other holder has them or not; None elsewhere."""
        joined = self.align is not None and self.align.join == "left"
        return self.receivers[0] if joined and len(self.receivers) == 1 else None

    @property
    def compares_order(self) -> bool:
        """Whether the holders see to it that their rows are the same ones in the same order."""
        return self.align is not None and not self.matched and self.kept is None

    def _can_be_evaluated(self) -> None:
        wanted = self.evaluation
        if wanted is None:
            return
        if not self.parameters.classes:
            raise ValueError(f"evaluation: there is none of a {self.parameters.kind} yet")
        for name, choice in self.columns.items():
            if schema_of(choice).learns:
                raise ValueError(
                    f"evaluation: {name!r} is read by what its holder learns from all rows, the "
                    "held-out ones among them; give its gaps a value, and leave out clip and robust"
                )
        if self.batches_of is not None:
            raise ValueError(
                "evaluation: there is none of a training by mini-batches yet; leave out "
                "training.epochs, training.batch_size and training.learning_rate"
            )
        if not self.receivers:
            raise ValueError("evaluation: nobody receives the model that it is of")
        for holder in wanted.to or ():
            if holder not in self.receivers:
                raise ValueError(f"evaluation.to: {holder} receives nothing of the model")
        if wanted.to and len(set(wanted.to)) < len(wanted.to):
            raise ValueError("evaluation.to: a party stands more than once")
        if self.folds:
            self._can_be_cross_validated(wanted)
            return
        if wanted.held_out is None:
            raise ValueError("evaluation.held_out: say which share of the rows is held out")
        rows = self._fewest_rows
        held_out = _held_out_rows(rows, wanted.held_out)
        if held_out < 2 * wanted.minimum:
            of = f"align.minimum ({rows})" if self.matches else f"{rows} rows"
            raise ValueError(
                f"evaluation: {held_out} of {of} would be held out, fewer than twice "
                f"evaluation.minimum ({wanted.minimum})"
            )
        if rows - held_out < 2:
            raise ValueError("evaluation.held_out: no rows are left to train on")

    @property
    def _fewest_rows(self) -> int:
        """Rows that are matched are at least as many as the alignment takes for enough."""
        return self.align.minimum if self.matches and self.align is not None else self.rows

    def _can_be_cross_validated(self, wanted: Evaluation) -> None:
        if wanted.held_out is not None:
            raise ValueError(
                "evaluation.held_out: with folds every row is held out once: take out one of them"
            )
        if self.descent is not None and self.descent.class_weight == BALANCED:
            raise ValueError(
                "training.class_weight: balanced weights follow from the labels of all rows, and "
                "folds hold some of them out; give the weights of 0 and 1"
            )
        if self.descent is not None and self.descent.start is not None:
            raise ValueError(
                "training.start: a former model may have seen the rows that a fold holds out: take "
                "it out, or evaluation.folds"
            )
        assert wanted.folds is not None
        rows = self._fewest_rows
        fewest = 2 * max(wanted.minimum, wanted.folds)
        if rows < fewest:
            of = f"align.minimum ({rows})" if self.matches else f"{rows} rows"
            raise ValueError(
                f"evaluation.folds: {of} are fewer than {fewest}: two for each fold, and twice "
                f"evaluation.minimum ({wanted.minimum})"
            )

    def _can_be_private(self) -> None:
        if self.label_privacy is None:
            return
        if not self.parameters.classes:
            raise ValueError(
                f"privacy.labels: a {self.parameters.kind} has no labels that can be turned round"
            )
        if self.descent is not None and self.descent.class_weight is not None:
            raise ValueError(
                "privacy.labels: a class cannot be weighed where nobody may know a row's: take out "
                "training.class_weight"
            )
        if self.descent is not None and self.descent.start is not None:
            raise ValueError(
                "privacy.labels: a former model may follow from labels that were not turned round: "
                "take out training.start"
            )
        if self.statistics is not None:
            raise ValueError(
                "privacy.labels: standard errors would not know of the labels that were turned "
                "round: take out statistics"
            )

    def _can_have_private_weights(self) -> None:
        """Refuses whatever the bound on what one row changes does not hold for, or what tells more
        of the rows than the weights do."""
        private = self.weight_privacy
        if private is None:
            return
        key = "privacy.weights"
        if not self.parameters.classes:
            raise ValueError(f"{key}: there are no private weights of a {self.parameters.kind} yet")
        descent = self.descent
        if descent is None:
            raise ValueError(
                f"{key}: what one row changes is bounded of passes over all rows: leave out "
                "training.epochs, training.batch_size and training.learning_rate"
            )
        refused = {
            "kept": (self.kept is not None, "the model was trained by another job: take out kept"),
            "align": (self.matched, "how many rows are in common would be told exactly: put the "
                      "tables in order, with align.order: same"),
            "training.tolerance": (descent.tolerance != 0, "when the training settles tells of the "
                                   "rows: agree on 0, by which all passes are done"),
            "training.class_weight": (descent.class_weight is not None, "a class's weight makes "
                                      "more of a row: take it out"),
            "training.start": (descent.start is not None, "a former model follows from the rows, "
                               "too: begin from zero, without training.start"),
            "evaluation": (self.evaluation is not None, "its counts are exact: take it out, and "
                           "evaluate the model on rows of your own"),
            "statistics": (self.statistics is not None, "standard errors open more than the "
                           "weights, and would not know of the noise: take them out"),
            "result": (not self.receivers, "nobody would receive the weights that are private: "
                       "say who does"),
        }  # fmt: skip
        for name, (wrong, why) in refused.items():
            if wrong:
                raise ValueError(f"{name}: with {key} {why}")
        self._can_be_read_in_private()
        if private.delta * self.rows >= 1:
            raise ValueError(
                f"{key}.delta: {private.delta:g} lets one of {self.rows} rows be told outright: "
                f"agree on less than {1 / self.rows:.2g}"
            )
        from party.models.private_weights import bound_of  # which needs arrays

        bound_of(self)

    def _can_be_read_in_private(self) -> None:
        """That nothing is learnt from a column by which other rows would then be read."""
        for holder in HOLDERS:
            for name in self.features_of(holder):
                schema = self.schema_of(name)
                wanted = "scale: {mean: ..., deviation: ...}"
                if schema is None:
                    raise ValueError(
                        f"columns: with privacy.weights {name!r} cannot be standardised by what "
                        f"its rows say: give {wanted} by numbers that all may know"
                    )
                if getattr(schema, "missing", None) in ("mean", "median"):
                    raise ValueError(
                        f"columns: with privacy.weights a gap of {name!r} cannot be filled by what "
                        "its rows say: give it a value"
                    )
                if getattr(schema, "clip", None) is not None:
                    raise ValueError(
                        f"columns: with privacy.weights {name!r} cannot be clipped at quantiles of "
                        "its rows: leave out clip; rows are cut to privacy.weights.norm"
                    )
                if hasattr(schema, "scale") and getattr(schema, "public", None) is None:
                    raise ValueError(
                        f"columns: with privacy.weights {name!r} cannot be standardised by what "
                        f"its rows say: give {wanted} by numbers that all may know"
                    )

    def _can_be_kept(self) -> None:
        if self.kept is None:
            return
        if not self.receivers:
            raise ValueError("kept: nobody would receive the model; say who does with result")
        if self.evaluation is not None or self.statistics is not None:
            raise ValueError(
                "kept: no row is looked at where a model is opened; take out evaluation and "
                "statistics"
            )

    @property
    def domain(self) -> str:
        """The trust domain of its identities, and the name that its tables are packed under."""
        return self.trust_domain or self.name

    @property
    def label_privacy(self) -> LabelPrivacy | None:
        """How labels are turned round; None where they are not."""
        return None if self.privacy is None else self.privacy.labels

    @property
    def weight_privacy(self) -> WeightPrivacy | None:
        """How weights are kept private; None where they are opened as they are."""
        return None if self.privacy is None else self.privacy.weights

    @property
    def told_of_privacy(self) -> list[str]:
        """What the job keeps private, what that means and costs: a sentence each."""
        if self.weight_privacy is not None:
            from party.models.private_weights import told

            return told(self)
        if self.label_privacy is None:
            return []
        holder = self.label_holder
        return self.label_privacy.told(holder, str(self.label_of(holder)))

    def features_of(self, party: Party) -> tuple[str, ...]:
        """The names of a party's features, in order, as its table has them; none for a party that
        holds none."""
        if isinstance(self.features, FeaturesByHolder):
            return getattr(self.features, party, None) or ()
        return self.features if party == "alice" else ()

    def _check_columns(self, features: list[str], label: str | None) -> None:
        for name in self.columns:
            if name not in features and name != label:
                raise ValueError(f"columns: {name!r} is neither a feature nor the label")
        if label is not None and label in self.columns:
            schema = schema_of(self.columns[label])
            if schema.type != "boolean" or schema.takes_gaps or not self.parameters.classes:
                raise ValueError(
                    f"columns: the label {label!r} can be a boolean without missing, for a model "
                    "of classes; otherwise it is a plain number"
                )
        derived = [name for holder in HOLDERS for name in self.derived_of(holder)]
        if len(derived) > len(set(derived)):
            twice = next(name for name in derived if derived.count(name) > 1)
            raise ValueError(f"columns: two of the model's columns would be named {twice!r}")
        for holder in HOLDERS:
            if (count := len(self.derived_of(holder))) > MOST_COLUMNS:
                raise ValueError(
                    f"columns: {holder}'s become {count} columns of the model, and "
                    f"{MOST_COLUMNS} are the most"
                )

    def schema_of(self, column: str) -> ColumnSchema | None:
        """How to read a column; None for a plain number."""
        choice = self.columns.get(column)
        return None if choice is None else schema_of(choice)

    def derived_of(self, party: Party) -> tuple[str, ...]:
        """The names of the model's columns that a party's features become, in order."""
        schemas = [(name, self.schema_of(name)) for name in self.features_of(party)]
        return tuple(
            derived
            for name, schema in schemas
            for derived in ((name,) if schema is None else schema.derived(name))
        )

    def label_of(self, party: Party) -> str | None:
        """The name of the label column where the party holds it."""
        if isinstance(self.label, LabelByHolder):
            return getattr(self.label, party, None)
        return self.label if party == "bob" else None

    @property
    def holders(self) -> tuple[Holder, ...]:
        """The parties that hold columns, and so have a table."""
        return tuple(p for p in HOLDERS if self.features_of(p) or self.label_of(p) is not None)

    @property
    def scores(self) -> JointScoresParameters | None:
        """By whose model the rows are scored; None for a job that trains one."""
        parameters = self.parameters
        return parameters if isinstance(parameters, JointScoresParameters) else None

    @property
    def label_holder(self) -> Holder:
        """The party that holds the label."""
        return next(party for party in HOLDERS if self.label_of(party) is not None)

    @property
    def intercept_holder(self) -> Holder:
        """The first party with features: its columns are followed by one of ones, whose weight is
        the intercept."""
        return next(party for party in HOLDERS if self.features_of(party))

    @property
    def receivers(self) -> tuple[Holder, ...]:
        """The parties that receive weights."""
        if self.result in ("both", "own"):
            return tuple(p for p in HOLDERS if self.result == "both" or self.features_of(p))
        return tuple(p for p in HOLDERS if p == self.result)

    @property
    def parameters(self) -> ModelParameters:
        """The model's parameters, with defaults filled in."""
        return TRAINED[self.model]() if isinstance(self.model, str) else self.model

    @property
    def batches_of(self) -> Training | None:
        """The solver's keys where it takes mini-batches."""
        return self.training if isinstance(self.training, Training) else None

    @property
    def descent(self) -> Descent | None:
        """The solver's keys where it takes all rows in each pass; None where nothing is trained."""
        training = self.training
        return training if isinstance(training, Descent) and self.scores is None else None

    @property
    def starts(self) -> bool:
        """Whether the holders of features begin from a former model of theirs."""
        return self.descent is not None and self.descent.start == _OWN and self.kept is None

    @property
    def starts_from(self) -> str | None:
        """The name of the kept model that the training begins from, on shares."""
        if self.descent is None or self.kept is not None or self.descent.start == _OWN:
            return None
        return self.descent.start

    @property
    def part(self) -> str | None:
        """The name of the kept model that each party brings its part of: to open it, or to begin
        from it."""
        return self.kept or self.starts_from

    @property
    def step_width(self) -> StepWidth:
        """By which a step multiplies the sum of the batch's gradients."""
        assert isinstance(self.training, Training)
        return StepWidth.of(self.training.learning_rate / self.training.batch_size)

    def batches(self, epoch: int) -> NDArray[np.int32]:
        """The rows of an epoch, counted from 0: [steps_per_epoch, batch_size]. See ``order``."""
        from party.agreement.order import order

        assert isinstance(self.training, Training)
        used = self.steps_per_epoch * self.training.batch_size
        rows = order(self.training.order_seed, epoch, self.rows)[:used]
        return rows.reshape(-1, self.training.batch_size)

    def in_blocks(self, rows: int, size: int) -> NDArray[np.int32]:
        """So many rows in their own order, [blocks, size]. See ``order.blocks``."""
        from party.agreement.order import blocks

        return blocks(rows, size)

    @property
    def plan_rows(self) -> int:
        """Rows for which a plan has room; some, where only an alignment will say how many."""
        return self.rows or BLOCK_ROWS

    @property
    def trained_rows(self) -> int:
        """Those of them that the training takes."""
        return self.plan_rows - self.held_out_rows

    @property
    def folds(self) -> int:
        """Parts of the rows of which each is held out by a training of its own; 0 for none."""
        folds = None if self.evaluation is None else self.evaluation.folds
        return 0 if folds in _NO_FOLDS else folds or 0

    @property
    def labels_serve_both(self) -> bool:
        """Whether a label is both trained on and counted, or nobody knows which of the two."""
        return self.evaluation is not None and (self.matches or bool(self.folds))

    @property
    def fold_of(self) -> NDArray[np.int32]:
        """In which fold each row is, counted from 0, [rows]."""
        from party.agreement.order import fold_of

        assert self.evaluation is not None
        return fold_of(self.evaluation.seed, self.folds, self.rows)

    @property
    def bound_rows(self) -> int:
        """Rows of which no holder's table bounds the curvature with fewer."""
        return self.trained_rows

    @property
    def part_in_common(self) -> float:
        """The part of the rows by which steps are bounded that a training has."""
        return 1.0

    @property
    def feature_bits_more(self) -> int:
        """Bits after the point that a descent adds to a table's own."""
        return 0

    @property
    def evaluated_by(self) -> tuple[Holder, ...]:
        """Who is told of the evaluation; nobody where there is none."""
        if self.evaluation is None:
            return ()
        return tuple(
            p for p in self.receivers if self.evaluation.to is None or p in self.evaluation.to
        )

    @property
    def statistics_to(self) -> tuple[Holder, ...]:
        """Who is given standard errors of the weights; nobody where the job asks for none."""
        return standard_errors.given_to(self)

    @property
    def informed(self) -> tuple[Holder, ...]:
        """To whom the information matrix of all columns is opened for that."""
        return standard_errors.informed(self)

    @property
    def told_residuals(self) -> tuple[Holder, ...]:
        """To whom the square sum of all residuals is opened for that."""
        return standard_errors.told_residuals(self)

    @property
    def statistics_level(self) -> float:
        """Of the intervals around the weights."""
        return (standard_errors.wanted_of(self) or standard_errors.Statistics()).level

    @property
    def evaluated_runs(self) -> int:
        """Runs of the program that counts held-out rows; with folds, those of each."""
        if self.folds:
            return -(-self.fold_rows // EVALUATED_ROWS)
        return _evaluated_runs(self.rows or self.plan_rows, self._share_held_out)

    @property
    def held_out_rows(self) -> int:
        """Rows that no training takes: as many as fill whole runs, a few less than the share."""
        return _held_out_rows(self.rows or self.plan_rows, self._share_held_out)

    @property
    def _share_held_out(self) -> float:
        return 0 if self.evaluation is None else self.evaluation.held_out or 0

    @property
    def training_rows(self) -> int:
        """Rows that the training takes."""
        return self.rows - self.held_out_rows

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """Which rows no training takes, [rows]."""
        from party.agreement.order import held_out

        return held_out(
            self.evaluation.seed if self.evaluation else 0, self.held_out_rows, self.rows
        )

    @property
    def epochs(self) -> int:
        """Passes over the rows, of all trainings."""
        if self.scores is not None:
            return 1
        training = self.training
        if isinstance(training, Training):
            return training.epochs
        return training.passes * (self.folds + 1)

    @property
    def blocks(self) -> int:
        """Blocks in a pass over all rows: so many times those of the sample, if there is one."""
        blocks, sample = -(-self._placed_rows // BLOCK_ROWS), self.warm_blocks
        return -(-blocks // sample) * sample if sample else blocks

    @property
    def block_rows(self) -> int:
        """Rows of each block."""
        return -(-self._placed_rows // self.blocks)

    @property
    def _placed_rows(self) -> int:
        """Rows of a table as it is shared: with folds one of zeros, to fill up what they leave."""
        return self.trained_rows + bool(self.folds)

    @property
    def fold_rows(self) -> int:
        """Rows of a fold, at most."""
        return -(-self.plan_rows // self.folds)

    @property
    def fold_blocks(self) -> int:
        """Blocks in a pass over the rows outside of a fold."""
        return -(-(self.trained_rows - self.trained_rows // self.folds) // self.block_rows)

    @property
    def warm_blocks(self) -> int:
        """Blocks of the sample on which a descent over many rows begins; 0 where it has none."""
        if self.matches:  # which rows a sample has, and how they curve the loss, nobody knows
            return 0
        if self.scores is not None or self.folds:  # a sample would be of rows that a fold holds out
            return 0
        if self.weight_privacy is not None:  # a row of the sample would count for more
            return 0
        blocks = -(-self.trained_rows // BLOCK_ROWS)
        columns = sum(len(self.features_of(holder)) for holder in HOLDERS)
        sample = max(blocks // WARM_PART, -(-SAMPLED_ROWS * columns // BLOCK_ROWS))
        return sample if blocks >= max(WARM_PART, sample * SMALL_PART) else 0

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass: whole batches, or blocks and the step that follows them.

        The rows left over by the last, partial batch sit that epoch out; the order changes with
        each epoch, so that no row sits out for long."""
        training = self.training
        if self.scores is not None:
            return -(-self.plan_rows // SHARE_ROWS)
        if isinstance(training, Training):
            return self.rows // training.batch_size
        return self.blocks + 1

    @property
    def steps(self) -> int:
        """Steps of the whole job."""
        if self.kept is not None:  # it is opened
            return 1
        steps = self.steps_per_epoch * self.epochs
        if self.descent is not None and self.folds:
            passes = self.descent.passes
            return passes * (self.steps_per_epoch + self.folds * (self.fold_blocks + 1))
        if self.descent is None or not self.warm_blocks:
            return steps
        warm = self.warm_blocks + 1
        anchored = self.steps_per_epoch + (ANCHOR_PASSES - 1) * warm
        return steps + warm * self.epochs + ANCHORS * anchored

    @property
    def rows_never_used(self) -> int:
        """Rows that no batch of any epoch takes."""
        import numpy as np

        from party.agreement.order import order

        batches = self.batches_of
        if batches is None:
            return 0
        used = self.steps_per_epoch * batches.batch_size
        left: NDArray[np.int32] | None = None
        for epoch in range(batches.epochs):
            over = order(batches.order_seed, epoch, self.rows)[used:]
            left = over if left is None else np.intersect1d(left, over, assume_unique=True)
            if not len(left):
                return 0
        return 0 if left is None else len(left)

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is allowed and can hardly be meant, each with its key; it follows from the job
        alone, and so is the same for all."""
        found: list[str] = []
        batches = self.batches_of
        if batches is None or self.kept is not None:
            return ()
        if self.steps == 1:
            found.append(
                "training: one step is the whole training; raise training.epochs, or lower "
                "training.batch_size"
            )
        left = self.rows % batches.batch_size / self.rows
        never = round(self.rows * left**batches.epochs)
        if never > self.rows * _MANY:
            found.append(
                f"training.batch_size: about {never} of {self.rows} rows are in no batch, since "
                f"{batches.batch_size} rows are a batch and the rest of an epoch is left "
                "out; raise training.epochs, or lower training.batch_size"
            )
        return tuple(found)

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of the job as canonical JSON (defaults filled in, keys sorted)."""
        return _digest_of_agreed(self.model_dump(mode="json"))


class Sizes(Strict):
    """What an alignment tells all three parties.

    Attributes:
        alice, bob: rows of the holders' tables that have an identifier of their own.
        common: rows that both have; None where no holder is told (align.join: left).
    """

    alice: int = Field(ge=1, le=2**31 - 1)
    bob: int = Field(ge=1, le=2**31 - 1)
    common: int | None = Field(default=None, ge=1, le=2**31 - 1)


class AlignedJob(Job):
    """A job whose tables have been aligned: ``rows`` are those in common, or all of the left
    table. It keeps its digest."""

    sizes: Sizes

    @classmethod
    def of(cls, job: Job, sizes: Sizes) -> AlignedJob:
        """A job, after its alignment."""
        agreed = {name: getattr(job, name) for name in Job.model_fields}
        rows = sizes.common if job.left is None else getattr(sizes, job.left)
        return cls(**agreed | {"rows": rows, "sizes": sizes})

    def _check_rows(self) -> None:
        """The agreed job was checked."""

    @property
    def plan_rows(self) -> int:
        """Rows in common, rounded up: similar numbers have one plan."""
        return rounded_up(self.rows)

    @property
    def bound_rows(self) -> int:
        return bound_of(self.sizes.alice, self.sizes.bob)

    @property
    def part_in_common(self) -> float:
        tables = [getattr(self.sizes, p) for p in HOLDERS if self.features_of(p)]
        return min(1.0, self.trained_rows / rounded_up(max(tables)))

    @property
    def feature_bits_more(self) -> int:
        return bits_more(self.sizes.alice, self.sizes.bob)

    @cached_property
    def digest(self) -> str:
        return _digest_of_agreed(self.model_dump(mode="json", exclude={"sizes"}) | {"rows": 0})


def job_from_json(value: Any) -> Job:
    """A job as one process hands it to another, aligned or not."""
    kind = AlignedJob if "sizes" in value else Job
    return kind.model_validate_json(json.dumps(value))


def rounded_up(rows: int) -> int:
    """The next number of which all but the highest six bits are zero: at most 1/32 more."""
    step = 1 << max(rows.bit_length() - 6, 0)
    return -(-rows // step) * step


def bound_of(alice: int, bob: int) -> int:
    """The rows for which both holders scale their columns: what bounds all rows of a table bounds
    those in common, which are at most as many as the smaller table has."""
    return rounded_up(min(alice, bob))


def bits_more(alice: int, bob: int) -> int:
    """Bits that make up for the scale of columns whose table is the larger one."""
    return ((max(alice, bob) - 1) // bound_of(alice, bob)).bit_length() + 1 >> 1


def _digest_of_agreed(fields: dict[str, Any]) -> str:
    """Of a job, without the keys that it leaves out."""
    later = {
        ("training", "start"): (None,),
        ("evaluation", "folds"): _NO_FOLDS,
        ("privacy", "labels"): (None,),
        ("privacy", "weights"): (None,),
        ("align", "join"): ("inner",),
    }
    for (part, key), left_out in later.items():
        if (fields[part] or {}).get(key, ...) in left_out:
            del fields[part][key]
    return digest_of({name: value for name, value in fields.items() if value is not None})


def digest_of(value: Any) -> str:
    """SHA-256, in hex, of a JSON value in its canonical form: sorted keys, no white space."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def parse_job(text: str, where: str) -> Job:
    """The job in a YAML text. ``where`` names the text in an error.

    Raises InputError for text that is not YAML, an unknown key, a missing one or a wrong value.
    """
    return _job_of(read_yaml(text, where, "the job"))


def _job_of(document: Document) -> Job:
    if not isinstance(document.value, dict):
        hint = "write keys and values, as in docs/jobs.md"
        raise InputError("the job is not a mapping of keys to values", document.name, hint)
    try:
        # JSON mode: YAML lists stand for tuples, while numbers and strings stay strictly apart.
        return Job.model_validate_json(json.dumps(document.value))
    except ValidationError as error:
        wrong = refused(error.errors(include_url=False), document)
        key = printable(".".join(map(str, wrong.path)))
        hint = wrong.hint
        if wrong.message == "unknown key" and (near := _nearest_key(wrong.path)):
            hint = f"did you mean {near!r}?"
            if near == wrong.path[-1]:
                hint = "it does not go with the keys beside it"
                if wrong.path[0] == "training":
                    hint = "it is another solver's"
                hint += ": write keys that go together, as in docs/jobs.md"
        what = "the job is wrong: " + (f"{key}: " if key else "") + wrong.message
        raise InputError(what, document.place(wrong.path), hint) from None


def _nearest_key(path: Sequence[int | str]) -> str | None:
    from difflib import get_close_matches

    parts: dict[int | str, tuple[type[BaseModel], ...]] = {
        "training": (Training, Descent),
        "features": (FeaturesByHolder,),
        "label": (LabelByHolder,),
        "columns": get_args(ColumnSchema),
        "identities": (Identities,) if len(path) < 3 else (Pin,),
        "align": (Align, KeyByHolder) if len(path) < 3 else (KeyByHolder, DateOfKey),
        "evaluation": (Evaluation,),
        "statistics": (standard_errors.Statistics,),
        "privacy": (Privacy,) if len(path) < 3 else (LabelPrivacy, WeightPrivacy),
    }
    models = parts.get(path[0], (Job,)) if len(path) > 1 else (Job,)
    keys = [key for model in models for key in model.model_fields]
    near = get_close_matches(str(path[-1])[:80], keys, n=1)
    return near[0] if near else None


def load_training(path: Path) -> Job:
    """The job in a YAML file, if it trains a model; see ``parse_job``."""
    job = load_job(path)
    if job.scores is not None:
        hint = "give the job that trained the model; rows to score are checked when they are read"
        raise InputError("the job scores rows, and trains no model", str(path), hint)
    return job


def load_job(path: Path) -> Job:
    """The job in a YAML file; see ``parse_job``."""
    return _job_of(load_yaml(path, "the job"))
