"""What is wrong with a table, and where: the slow, exact look that a failed quick one asks for.

The quick look stops at the first thing that it cannot take, and does not say what it was. Here the
same text is read again as a whole: whatever is right is read quickly, every other line is taken
apart, and what is wrong is gathered by kind and column. The errors hold places and no values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from party.agreement.limits import LIMIT
from party.models.label import LabelRule
from party.table.cells import DECIMAL_COMMA, NOT_FINITE, NUMBER, WrongLineError, cells_of, separator
from party.table.expected import Expected
from party.table.findings import MOST_LINES, Finding, Kind
from party.table.forms import has_rows
from party.table.header import Layout
from party.table.moments import Columns, Moments
from party.table.numbers import UnreadableLinesError, decode, parse, parse_loosely, parse_typed
from party.table.taken import laid_out, rows_of
from party.table.text import Block, Text

if TYPE_CHECKING:  # those of tables of plain numbers are read without them
    from party.table.columns.decoding import Decoder, WrongCellError
    from party.table.columns.deriving import Fitted

_COMPLETE = "every row needs a number in every column: fill it in, or all parties leave the row out"
_LABEL = "every row needs a label: fill it in, or all parties leave the row out"
_DECIMAL = "write numbers as 1234.5 or 1.2345e3, without units or separators of thousands"
_POINT = "write decimals with a point, 0.5, and not with a comma"
_MOST_NAMES = 8
_LEAVE_OUT = "leave it out of the job's features"
_NOT_FINITE = ("the cell is not a finite number", _COMPLETE)
_TORN: frozenset[Kind] = frozenset(("encoding", "nul", "carriage-return", "quotes", "cells"))
"""Of whole lines: what stands in them is no column's."""
_NO_ROW = (b"", b"\r")
_SAME_ROWS = "all parties need the same rows in the same order, as many as the job says"


@dataclass(frozen=True)
class Known:
    """What the quick look has found of the features: what was learnt, and their moments."""

    fitted: tuple[Fitted, ...]
    moments: Moments


def findings_in(path: Path, expected: Expected, known: Known | None = None) -> list[Finding]:
    """All that does not fit in a table, in the order of the table's columns.

    Args:
        path: a CSV file or a directory of parts.
        expected: what the table must fit.
        known: what the quick look has found, if it has.

    Raises:
        InputError: the text itself cannot be read.
    """
    survey = _Survey(path, expected, known)
    survey.look_at_cells()
    survey.look_at_columns()
    survey.look_for_outliers()
    found = survey.findings()
    return [one.in_rows() for one in found] if has_rows(path) else found


def label_is_wrong(rule: LabelRule, labels: Columns) -> NDArray[np.bool_]:
    """Which of some labels the model cannot be trained on."""
    if rule.classes is not None:
        return ~np.isin(labels, rule.classes)
    return np.asarray(np.abs(labels) > rule.most * rule.unit)


def _add_finite(moments: Moments, values: NDArray[np.float64]) -> None:
    finite = values[np.isfinite(values)]
    if len(finite):
        with np.errstate(over="ignore", invalid="ignore"):
            moments.add(finite[np.newaxis])


class _Survey:
    def __init__(self, path: Path, expected: Expected, known: Known | None) -> None:
        self._path = path
        self._expected = expected
        self._known = None if known is None else known.moments
        self._layout = Layout(0, ())
        self._schemas = expected.schemas or (None,) * len(expected.columns)
        self._fitted = () if known is None else known.fitted
        self._found: dict[tuple[Kind, int | None], Finding] = {}
        self._decoders: dict[int, Decoder] = {}
        if expected.schemas:
            from party.table.columns.decoding import decoder

            self._decoders = {i: decoder(one) for i, one in enumerate(self._schemas) if one}
        self._label_moments = Moments(1)
        self._moments = [Moments(1) for _ in range(expected.features)]
        self._rows = 0
        self._telling: int | None = None

    def findings(self) -> list[Finding]:
        """Of the header, then of the whole table, then of lines, then column by column."""

        def column(one: tuple[Kind, int | None]) -> int:
            return -1 if one[1] is None else one[1]

        ordered = sorted(self._found, key=column)
        return [*self._layout.findings, *(self._found[one] for one in ordered)]

    def look_at_cells(self) -> None:
        """Every line and every cell by itself, and the number of rows."""
        wanted, labels = self._expected.rows, self._expected.label
        self._learn()
        for block in self._blocks():
            values = self._values(block)
            if labels is not None:
                wrong = label_is_wrong(labels, values[0]) & np.isfinite(values[0])
                self._add_lines("label", *_label_words(labels), 0, block.line, wrong)
                _add_finite(self._label_moments, values[0])
            for column, moments in zip(self._features(values), self._moments, strict=True):
                _add_finite(moments, column)
            if self._rows > 2 * wanted:
                self._add_rows(f"more than {2 * wanted}")
                return
        if self._rows != wanted:
            self._add_rows(str(self._rows))

    def _learn(self) -> None:
        """What the features' schemas need of whole columns, of the cells that are right."""
        if not self._expected.schemas or self._fitted:
            return
        from party.table.columns.fitting import fit

        rows, columns = self._expected.shape

        def blocks() -> Iterator[Columns]:
            first = self._expected.first_feature
            return (self._values(block, silent=True)[first:] for block in self._blocks())

        self._fitted = fit(self._expected.feature_schemas, rows, max(1, columns // 2), blocks)

    def _features(self, values: Columns) -> Columns:
        """The columns of the model in some rows; NaN for what is wrong."""
        own = values[self._expected.first_feature :]
        if not self._expected.schemas:
            return own
        from party.table.columns.deriving import derive

        with np.errstate(over="ignore", invalid="ignore"):
            return derive(own, self._expected.feature_schemas, self._fitted)

    def look_at_columns(self) -> None:
        """Columns that cannot be standardised, and labels that are all the same."""
        if ("separator", None) in self._found:
            return  # what stands between commas is not the columns
        known, enough = self._known, min(2, self._expected.rows)
        if self._expected.label is not None:
            same, one = known is not None or self._label_moments.rows >= enough, self._label_moments
            same = same and one.rows == self._rows and one.low[0] == one.high[0]
            if same and ("label", 0) not in self._found:
                hint = "there is nothing to learn unless different labels are there"
                self._add("one-label", "all labels are the same", hint, 0)
        told = {column for _, column in self._found}
        torn = not _TORN.isdisjoint(kind for kind, _ in self._found)
        told |= {i for i, at in enumerate(self._layout.positions) if at is None}
        constant: dict[int, list[int]] = {}
        for feature, moments in enumerate(self._moments):
            if known is None and moments.rows < enough:
                continue
            column = self._expected.sources[feature]
            if self._schemas[column] is not None and (column in told or torn):
                continue  # what is wrong, or not there, was taken for a gap
            if moments.constant[0] if known is None else known.constant[feature]:
                constant.setdefault(column, []).append(feature)
            elif moments.too_large[0] if known is None else known.too_large[feature]:
                what = "the column's values are too large to standardise"
                hint = "measure it in a larger unit"
                if not moments.rows:
                    what, hint = "every cell of the column is empty", _LEAVE_OUT
                self._add("too-large", what, hint, column)
        for column, features in constant.items():
            self._add("constant", *self._constant_words(column, features), column)
        self._look_at_spreads()

    def _look_at_spreads(self) -> None:
        first = self._expected.first_feature
        for column, learnt in enumerate(self._fitted, first):
            if learnt.spread == 0 and ("constant", column) not in self._found:
                what = "half of the column's values are the same: its interquartile range is zero"
                hint = "agree on scale: standard for it"
                self._add("constant", what, hint, column)

    def _constant_words(self, column: int, features: list[int]) -> tuple[str, str]:
        """What is wrong with a column of which these derived columns never change."""
        schema = self._schemas[column]
        whole = "the column is constant: it cannot be standardised, and tells nothing"
        if schema is None:
            return whole, _LEAVE_OUT
        name = self._expected.columns[column]
        own = [i for i, source in enumerate(self._expected.sources) if source == column]
        derived = dict(zip(own, schema.derived(name), strict=True))
        if len(features) == len(own) or derived[features[0]] == name:
            hint = _LEAVE_OUT
            if getattr(schema, "clip", None) is not None:
                hint += "; or agree on another clip"
            if getattr(schema, "values", None) is not None:
                hint += "; or agree on values that are there, spelt as in the table"
            return whole, hint
        names = ", ".join(repr(derived[feature]) for feature in features[:_MOST_NAMES])
        names += ", …" * (len(features) > _MOST_NAMES)
        what = f"what the job derives from it never changes: {names}"
        return what, "agree on the values that are there, and on an indicator only where gaps are"

    def look_for_outliers(self) -> None:
        """Values and rows too far from the others, as far as the moments tell."""
        if not self._expected.features or ("separator", None) in self._found:
            return
        means, scales = self._standard()
        lines = 0
        for block in self._blocks():
            values = self._features(self._values(block, silent=True))
            with np.errstate(over="ignore", invalid="ignore"):
                own = (values - means[:, np.newaxis]) / scales[:, np.newaxis]
            beyond = np.isfinite(values) & ~np.isfinite(own)
            own[~np.isfinite(own)] = 0
            # Rows that are far away are cut where the job says to which length.
            cut = self._expected.norm is not None
            far: NDArray[np.bool_] = beyond if cut else np.abs(own) > LIMIT
            for feature in np.flatnonzero(far.any(axis=1)):
                column = self._expected.sources[int(feature)]
                what = (
                    f"the value is more than {LIMIT:.0f} standard deviations from the column's mean"
                )
                if getattr(self._schemas[column], "scale", None) == "robust":
                    what = (
                        f"the value is more than {LIMIT:.0f} interquartile ranges from the "
                        "column's median"
                    )
                hint = (
                    "look whether it is an error; otherwise clip the column or take its logarithm"
                )
                if cut:
                    what = "by the scale that the job has for the column the value is infinite"
                    hint = "look whether it is an error; or agree on another mean and deviation"
                self._add_lines("outlier", what, hint, column, block.line, far[feature])
            if self._expected.row_limit is not None:
                self._add_far_rows(block, own, np.asarray(far.any(axis=0)))
            lines += values.shape[1]
            if lines > 2 * self._expected.rows:
                return

    def _add_far_rows(self, block: Block, own: Columns, outliers: NDArray[np.bool_]) -> None:
        limit = self._expected.row_limit
        length = np.square(own).sum(axis=0) + self._expected.intercept
        far = (length > limit) & ~outliers
        if not far.any():
            return
        most = np.abs(own).argmax(axis=0)
        what = (
            "the row is so far from the others that one step of this job would throw the model "
            "out of the range in which training holds together"
        )
        hint = (
            "clip the column or take its logarithm; or agree on a smaller learning_rate or a "
            "larger batch_size"
        )
        for feature in np.unique(most[far]):
            column = self._expected.sources[int(feature)]
            lines = far & (most == feature)
            self._add_lines("far-row", what, hint, column, block.line, lines)

    def _standard(self) -> tuple[Columns, Columns]:
        """What is taken off the features, and by what they are divided: NaN for those that cannot
        be standardised."""
        known, features = self._known, self._moments
        if known is not None:
            usable = ~(known.constant | known.too_large)
            mean, scale = known.mean, known.scale
        else:
            usable = np.array([m.rows and not (m.constant | m.too_large)[0] for m in features])
            mean = np.array([one.mean[0] for one in features])
            scale = np.array([one.scale[0] for one in features])
        if self._expected.schemas:
            from party.table.columns.deriving import standard

            mean, scale = standard(mean, scale, self._expected.feature_schemas, self._fitted)
            usable = usable & (scale > 0)
        return mean, np.where(usable, scale, np.nan)

    def _blocks(self) -> Iterator[Block]:
        """The lines after the header, as they stand in the table."""
        text = Text(self._path, self._expected)
        for raw, layout in laid_out(self._path, self._expected, text):
            self._layout = layout
            block = rows_of(raw, layout)
            if block.text:
                yield block

    def _values(self, block: Block, silent: bool = False) -> Columns:
        """The numbers in a block, a column for each line, with NaN for what is none."""
        layout = self._layout
        lines = block.text.removesuffix(b"\n").split(b"\n")
        values = np.full((len(self._expected.columns), len(lines)), np.nan)
        there = [column for column, at in enumerate(layout.positions) if at is not None]
        alone: Iterable[int] = ()  # lines to be looked at one by one
        try:
            if not there:
                raise UnreadableLinesError
            if self._expected.schemas:
                schemas = [self._schemas[column] for column in there]
                values[there] = parse_typed(block.text, layout.width, layout.whole, schemas)
            else:
                values[there] = parse(block.text, layout.width, layout.whole)
            if not (silent or self._expected.schemas):
                for column in there:
                    lost = ~np.isfinite(values[column])
                    self._add_lines("not-finite", *_NOT_FINITE, column, block.line, lost)
        except UnreadableLinesError:
            alone = self._loosely(block, lines, values, there, silent)
        for number in alone:
            self._look_at(lines[number], block.line + number, values[:, number], silent)
        values[~np.isfinite(values)] = np.nan
        if not silent:
            self._rows += sum(line not in _NO_ROW for line in lines)
        return values

    def _loosely(
        self, block: Block, lines: list[bytes], values: Columns, there: list[int], silent: bool
    ) -> Iterable[int]:
        """Fills in the numbers of a block with wrong cells; the lines that have to be looked at one
        by one are returned."""
        if not there or b"\0" in block.text:
            return range(len(lines))
        try:
            block.text.decode()  # else the library's report of a wrong row fails
            loose = parse_loosely(block.text, self._layout.width, self._layout.whole)
        except (UnreadableLinesError, UnicodeDecodeError):
            return range(len(lines))
        if len(lines) <= loose.lines.max(initial=0):
            return range(len(lines))
        empty = [number for number, line in enumerate(lines) if line in _NO_ROW]
        alone = np.union1d(np.setdiff1d(np.arange(len(lines)), loose.lines), empty)
        for column, numbers, cells in zip(there, loose.values, loose.cells, strict=True):
            schema = self._schemas[column]
            errors: dict[int, WrongCellError] = {}
            if schema is not None:
                numbers, errors = decode(cells, schema)
            values[column, loose.lines] = numbers
            wrong = np.flatnonzero(~np.isfinite(numbers)) if schema is None else sorted(errors)
            for row in () if silent else map(int, wrong):
                number = int(loose.lines[row])
                if lines[number] not in _NO_ROW:
                    told = self._wrong_cell(
                        lines[number], cells[row].as_py(), column, errors.get(row)
                    )
                    self._add(*told, column, block.line + number)
        return [int(number) for number in alone]

    def _look_at(self, line: bytes, number: int, values: Columns, silent: bool) -> None:
        """One line: its numbers, and what is wrong with it."""
        add = self._ignore if silent else self._add
        try:
            cells = cells_of(line)
        except WrongLineError as error:
            add(error.kind, error.what, error.hint or "", None, number)
            return
        if len(cells) != self._layout.width:
            add(*self._wrong_count(line, cells), None, number)
            return
        for column, at in enumerate(self._layout.positions):
            if at is None:
                continue
            cell, wrong = cells[at], None
            if self._schemas[column] is not None:
                values[column], wrong = self._decoded(cell, column)
                if wrong is None:
                    continue
            elif NUMBER.fullmatch(cell):
                values[column] = float(cell)
                if np.isfinite(values[column]):
                    continue
                values[column] = np.nan
            add(*self._wrong_cell(line, cell, column, wrong), column, number)

    def _decoded(self, cell: str, column: int) -> tuple[float, WrongCellError | None]:
        from party.table.columns.decoding import WrongCellError

        try:
            return self._decoders[column](cell), None
        except WrongCellError as error:
            return np.nan, error

    def _wrong_count(self, line: bytes, cells: list[str]) -> tuple[Kind, str, str]:
        count, wanted = len(cells), self._layout.width
        if (found := separator(line)) is not None:
            return _separated(*found)
        whose = "header" if self._layout.header else "job"
        what = f"the row has {count} cells, and the {whose} {wanted} columns"
        hint = "every row has a cell for each column of the header"
        if not self._layout.header:
            hint = "the table holds the columns that the job names, and no other"
        if count == wanted + 1 and not cells[0]:
            hint = "the first column has no name: is it an index? " + hint
        elif count == 2 * wanted and all(re.fullmatch(r"[ \t]*[+-]?\d+[ \t]*", c) for c in cells):
            hint = _POINT
        elif not self._layout.header and count > wanted:
            hint += "; under a header with the job's names there may be more"
        return "cells", what, hint

    def _wrong_cell(
        self, line: bytes, cell: str, column: int, error: WrongCellError | None
    ) -> tuple[Kind, str, str]:
        if error is not None:
            of_label = column == 0 and self._expected.label is not None
            hint = _LABEL if of_label and error.kind == "empty" else error.hint or ""
            return error.kind, error.what, hint
        if not cell.strip(" \t"):
            return "empty", "the cell is empty", _COMPLETE
        if NUMBER.fullmatch(cell) or NOT_FINITE.fullmatch(cell):
            return "not-finite", *_NOT_FINITE
        if re.search("[;\t|]", cell) and (found := separator(line)) is not None:
            return _separated(*found)
        hint, label = _DECIMAL, self._expected.label
        if label is not None and column == 0 and label.classes is not None:
            hint = _label_words(label)[1]
        elif DECIMAL_COMMA.fullmatch(cell):
            hint = _POINT
        return "not-a-number", "the cell is not a number", hint

    def _add_rows(self, rows: str) -> None:
        if {("quotes", None), ("separator", None)} & self._found.keys():
            return  # a cell over two lines looks like two rows, and a header like one
        header = any(one.kind == "numeric-header" for one in self._layout.findings)
        if header and self._rows + 1 == self._expected.rows:
            return  # it was counted as a row, and what to do is said with it
        what = f"the table has {rows} rows, and the job {self._expected.rows}"
        hint = _SAME_ROWS
        if not self._layout.header and self._rows == self._expected.rows + 1:
            hint += "; is the first row a header? then write the job's names there"
        self._add("rows", what, hint, None)

    def _ignore(self, *what: object) -> None:
        pass

    def _add_lines(
        self, kind: Kind, what: str, hint: str, column: int, first: int, wrong: NDArray[np.bool_]
    ) -> None:
        """A column's fault in those lines, counted from ``first``, in which it is wrong."""
        numbers = np.flatnonzero(wrong)
        for number in numbers[:MOST_LINES]:
            self._add(kind, what, hint, column, first + int(number))
        if more := len(numbers[MOST_LINES:]):
            found = self._found[kind, column]
            self._found[kind, column] = replace(found, count=found.count + more)

    def _add(
        self, kind: Kind, what: str, hint: str, column: int | None, line: int | None = None
    ) -> None:
        if kind == "separator" and column is not None:
            # It is the line's fault, whichever of its cells tells it: the first column's tell all.
            self._telling = column if self._telling is None else self._telling
            if column != self._telling:
                return
            column = None
        found = self._found.get((kind, column))
        if found is None:
            name, at = None, None
            if column is not None:
                name, place = self._expected.columns[column], self._layout.positions[column]
                at = None if place is None else place + 1
            found = Finding(kind, what, hint, name, at)
        if line is not None:
            lines = (*found.lines, line) if len(found.lines) < MOST_LINES else found.lines
            found = replace(found, count=found.count + 1, lines=lines)
        self._found[kind, column] = found


def _separated(name: str, decimal: bool) -> tuple[Kind, str, str]:
    what, hint = f"the cells are separated by {name}, not by commas", "separate cells by commas"
    if decimal:
        what, hint = f"{what}; commas stand in the numbers", f"{hint}, and {_POINT}"
    return "separator", what, f"{hint}; or say in a settings file how it is: docs/tables.md"


def _label_words(rule: LabelRule) -> tuple[str, str]:
    """What is wrong with a label that breaks the rule, and what to do."""
    if rule.classes is not None:
        known = [f"{value:g}" for value in rule.classes]
        what = f"the label is neither {' nor '.join(known)}"
        return what, f"write labels as {' and '.join(known)}"
    what = f"the label is larger than {rule.most:g} times the model's unit"
    return what, "agree on a larger model.unit, of the size of most labels"
