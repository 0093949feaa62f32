"""What standard errors rest on and no receiver can compute at home, on shares.

**The information matrix** of columns that no receiver holds together.

A descent shares each holder's columns X as ``X T``, with a T that its holder alone knows.
``inform`` goes once over all rows when the training is over, and adds up
``(X T)' diag(v) (X T)`` with ``v = s (1 - s)`` at the final weights. ``unscale`` takes it back to
standardised columns by the inverse of each holder's T, which ``prepare`` shares with its other
small matrices. What is opened is the upper triangle, once, at the end: d (d + 1) / 2 numbers for
d columns, the ones among them. In linear regression all rows count alike: v is a quarter.

**The residuals' square sum** of linear regression, which needs rows and labels. ``residuals`` goes
once over all rows and adds up the squares of weighted sums less labels; one number is opened at the
end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from party.models.interface import DescentLayout, Layout, ProgramBuilder, Stretch, Value
from party.models.kept import keep_sum, name_of, sum_of, table_of
from party.models.statistics.inference import Array, Residuals
from party.process.errors import InputError
from party.protocols.interface import ADDITIVE

if TYPE_CHECKING:
    from party.agreement.job import Party
    from party.protocols.dealing import Dealing, Sum
    from party.protocols.interface import Protocol

INFORM, UNSCALE, RESIDUALS = "inform", "unscale", "residuals"

INFORMATION, PRODUCTS = "information", "products"
"""What is opened, and what is added up: a block's rows of it."""

RESIDUAL = "residual"
"""The square sum of residuals, which is opened."""

FEWEST = 10
"""No row may weigh more in a holder's columns than one of so many: see ``check``."""

_SCORE_BITS = 30
"""After the point of a score; its variance has twice as many before it is divided."""
_MOST_VARIANCE_BITS = 24
_SUM_BITS = 63
"""Of a sum over all rows: a variance is at most 1/4, and squares add up to the rows at most."""
_MATRIX_BITS = 26
"""Of the matrix, by the number of rows rounded up to a power of two."""
_MOST_RESIDUAL_BITS = 20
_RESIDUAL_SUM_BITS = 52
"""Of squared residuals over all rows: no label is beyond 16, nor are weighted sums at a start, in
the root mean square, so that at most 1024 by the number of rows are left, in 62 bits."""
_WIDEST = 2.0**5.5
"""The largest singular value of a T's inverse with which products keep to what can be divided."""
_CHUNK = 1 << 14


def programs(descent: DescentLayout) -> tuple[str, ...]:
    """The programs, in their order."""
    matrix = (INFORM, UNSCALE) if descent.informed else ()
    return (*matrix, RESIDUALS) if descent.told_residuals else matrix


def rows_of(program: str, descent: DescentLayout) -> int:
    """The rows that one run of a program takes."""
    return descent.home_rows if program == UNSCALE else descent.block_rows


def course(
    descent: DescentLayout, everything: Callable[[], NDArray[np.int32]]
) -> Iterator[Stretch]:
    """The runs of the programs.

    Args:
        everything: the rows of all blocks as they were shared, so that a pass reads a file of
            shares from one end to the other, [blocks, rows].
    """

    def home() -> NDArray[np.int32]:
        return np.arange(descent.rows, descent.rows + descent.home_rows, dtype=np.int32)[None]

    if descent.informed:
        yield Stretch(INFORM, descent.blocks, counted=False, phase=None, rows=everything)
        yield Stretch(UNSCALE, 1, counted=False, phase=None, rows=home)
    if descent.told_residuals:
        yield Stretch(RESIDUALS, descent.blocks, counted=False, phase=None, rows=everything)


def state(layout: Layout, protocol: Protocol) -> list[Value]:
    """What stays shared between the programs."""
    if layout.descent is None:
        return []
    residual = [Value(RESIDUAL, (1, 1), parts=ADDITIVE)] if layout.descent.told_residuals else []
    if not layout.descent.informed:
        return residual
    whole = layout.all_columns
    sums = [
        Value(name_of(PRODUCTS, block.party), (block.columns, whole), parts=protocol.sums)
        for block in layout.blocks
    ]
    return [*sums, Value(INFORMATION, (whole * (whole + 1) // 2, 1)), *residual]


def opened(layout: Layout) -> list[tuple[str, int]]:
    """What is opened at the end."""
    if (descent := layout.descent) is None:
        return []
    matrix = [(INFORMATION, to) for to in descent.informed]
    return [*matrix, *((RESIDUAL, to) for to in descent.told_residuals)]


def inform(
    layout: Layout,
    builder: ProgramBuilder,
    weight_bits: int,
    predicted: Callable[[Dealing, Sum, int, int], Sum] | None,
) -> None:
    """Adds up the products of a block's rows.

    Args:
        weight_bits: after the point of the weights of a table's columns.
        predicted: scores of weighted sums, from their bits after the point to so many; None where
            all rows count alike, by a quarter.
    """
    import tensorflow as tf

    dealing, descent = builder.dealing, layout.descent
    assert descent is not None
    feature_bits = descent.feature_bits
    tables = [
        table_of(builder, "table", block.party, 0, block.columns, feature_bits)
        for block in layout.blocks
    ]
    if predicted is None:
        spread = dealing.spread(_quarters(dealing, descent))
    else:
        iterates = [
            dealing.spread(sum_of(builder.held(name_of("iterate", b.party)))) for b in layout.blocks
        ]
        products = [dealing.product(*each) for each in zip(tables, iterates, strict=True)]
        t = dealing.combined(*((1, product) for product in products))
        score = predicted(dealing, t, feature_bits + weight_bits, _SCORE_BITS)
        variance = dealing.combined((1 << _SCORE_BITS, score), (-1, dealing.squared(score)))
        drop = 2 * _SCORE_BITS - _variance_bits(descent)
        spread = dealing.spread(dealing.rescaled(variance, drop))

    def weighted(x: Any, v: Any) -> Any:
        return tf.transpose(x) * tf.reshape(v, [1, int(x.shape[0])])

    def crossed(x: Any, u: Any) -> Any:
        return tf.transpose(tf.matmul(u, x))

    each = [dealing.product(table, spread, weighted) for table in tables]
    rows = dealing.stacked([dealing.spread(dealing.gathered(one)) for one in each])
    for table, block in zip(tables, layout.blocks, strict=True):
        name = name_of(PRODUCTS, block.party)
        before = sum_of(builder.held(name))
        found = dealing.product(table, rows, crossed)
        keep_sum(builder, name, dealing.combined((1, before), (1, found)))


def _quarters(dealing: Dealing, descent: DescentLayout) -> Sum:
    """A quarter for each row: Alice's share is all of it."""
    import tensorflow as tf

    shares = []
    for party, number in enumerate((1 << (_variance_bits(descent) - 2), 0)):
        with dealing.at(party):
            shares.append(tf.fill([descent.block_rows, 1], tf.constant(number, tf.int64)))
    return shares[0], shares[1], None


def residuals(layout: Layout, builder: ProgramBuilder, t: Sum, bits: int) -> None:
    """Adds up the squared residuals of a block's rows.

    Args:
        t, bits: the weighted sums of the rows, and their bits after the point.
    """
    dealing, descent = builder.dealing, layout.descent
    assert descent is not None
    out = _residual_bits(descent)
    predicted = dealing.rescaled(t, bits - out)
    label = builder.own(layout.label, layout.label_column(), 1, out)
    left = dealing.square_sum(dealing.minus(predicted, label, layout.label))
    before = sum_of(builder.held(RESIDUAL))
    keep_sum(builder, RESIDUAL, dealing.combined((1, before), (1, left)))


def unscale(layout: Layout, builder: ProgramBuilder, home_bits: int) -> None:
    """The matrix of standardised columns, and its upper triangle."""
    dealing, descent = builder.dealing, layout.descent
    assert descent is not None
    bits = 2 * descent.feature_bits + _variance_bits(descent) + _rows_bits(descent)
    sums = [sum_of(builder.held(name_of(PRODUCTS, b.party))) for b in layout.blocks]
    parts = [dealing.rescaled(dealing.gathered(one), bits - _MATRIX_BITS) for one in sums]
    first = descent.home_rows - descent.starts - max(block.columns for block in layout.blocks)
    for _ in range(2):  # from the left, and from the right
        for i, block in enumerate(layout.blocks):
            d = block.columns
            back = table_of(builder, "home", block.party, 0, d, home_bits)
            own = dealing.product(back.rows(first, d, dealing.at), dealing.spread(parts[i]))
            parts[i] = dealing.rescaled(dealing.gathered(own), home_bits)
        parts = _transposed(dealing, layout, parts)
    builder.keep(INFORMATION, dealing.spread(_triangle(dealing, layout, parts)))


def _transposed(dealing: Dealing, layout: Layout, parts: list[Sum]) -> list[Sum]:
    """The rows of each block of the transposed matrix."""
    import tensorflow as tf

    def whole(shares: list[Any]) -> Any:
        return tf.transpose(tf.concat(shares, 0))

    matrix, found, first = dealing.each(whole, *parts), [], 0
    for block in layout.blocks:
        found.append(dealing.rows(matrix, first, block.columns))
        first += block.columns
    return found


def _triangle(dealing: Dealing, layout: Layout, parts: list[Sum]) -> Sum:
    import tensorflow as tf

    whole = layout.all_columns
    places = np.flatnonzero(np.triu(np.ones((whole, whole), np.bool_)))

    def upper(shares: list[Any]) -> Any:
        flat = tf.reshape(tf.concat(shares, 0), [whole * whole, 1])
        return tf.gather(flat, tf.constant(places, tf.int32))

    return dealing.each(upper, *parts)


def _variance_bits(descent: DescentLayout) -> int:
    left = _SUM_BITS - 2 * descent.feature_bits - _rows_bits(descent)
    return min(_MOST_VARIANCE_BITS, left)


def _residual_bits(descent: DescentLayout) -> int:
    return min(_MOST_RESIDUAL_BITS, (_RESIDUAL_SUM_BITS - _rows_bits(descent)) // 2)


def _rows_bits(descent: DescentLayout) -> int:
    return (descent.rows - 1).bit_length()


# -- at home


def matrix_of(descent: DescentLayout, opened: Array, bits: int) -> Array:
    """The information matrix, [columns, columns], in the order of the blocks.

    Args:
        opened: what the receiver was given, as numbers of ``bits`` after the point.
    """
    whole = int((np.sqrt(8 * opened.size + 1) - 1) / 2)
    found = np.zeros((whole, whole))
    found[np.triu_indices(whole)] = opened.reshape(-1)
    found = found + found.T - np.diag(np.diag(found))
    return found * 2.0 ** (bits - _MATRIX_BITS + _rows_bits(descent))


def residuals_of(
    descent: DescentLayout, opened: Array, bits: int, unit: float, holders: int
) -> Residuals:
    """What linear regression leaves of the label.

    The squared weights of what a holder shares add up to ``holders`` times the mean square of its
    sums with the penalty, and each value that they multiply is off by 1 / sqrt(12) of its last bit.
    Up to that whole bit, 3.5 times as much, what is left is taken for rounding.

    Args:
        opened: what the receiver was given, as a number of ``bits`` after the point.
        unit: by which the label was divided.
        holders: of columns.
    """
    own = _residual_bits(descent)
    squares = float(opened.reshape(-1)[0]) * 2.0 ** (bits - 2 * own)
    coarseness = holders**0.5 * 2.0**-descent.feature_bits
    return Residuals(squares, 2.0**-own, coarseness, unit)


def check(party: Party, x: NDArray[np.float32], lacks_ones: bool = False) -> None:
    """Looks whether a holder's columns show a row of the other's in the matrix; before any is sent.

    A combination of a holder's columns that is zero in all rows but one makes the matrix tell this
    row's values in the other's columns. There is one exactly where the row's leverage is one; with
    one of at most one in ten, ten rows at least stand behind each number. The ones, which are in
    the matrix, everybody knows: they are among the columns of each holder.

    Args:
        party: whose columns they are.
        x: standardised, [rows, columns].
        lacks_ones: whether the ones are the other holder's.

    Raises:
        InputError: a row stands out; the matrix would not fit into fixed point.
    """
    if not x.shape[1]:
        return

    def parts() -> Iterator[Array]:
        for begin in range(0, len(x), _CHUNK):
            own = x[begin : begin + _CHUNK].astype(np.float64)
            yield np.column_stack([own, np.ones(len(own))]) if lacks_ones else own

    columns = x.shape[1] + lacks_ones
    gram = np.zeros((columns, columns))
    for part in parts():
        gram += part.T @ part
    values, vectors = np.linalg.eigh(gram)
    there = values > values[-1] * 1e-12
    root = vectors[:, there] / np.sqrt(values[there])
    largest = max(float(np.square(part @ root).sum(1).max()) for part in parts())
    if largest > 1.0 / FEWEST:
        raise InputError(
            f"a row stands out in {party}'s columns, by a leverage of {largest:.2g}: the "
            "statistics would tell its values in the other holder's columns",
            f"{party}'s table",
            "clip columns with single large values and join rare categories, so that no row has a "
            f"leverage above {1 / FEWEST:g}; or leave out statistics",
        )
    widest = float(np.linalg.eigvalsh(gram[: x.shape[1], : x.shape[1]])[-1])
    if widest / len(x) * 2.0 > _WIDEST**2:
        raise InputError(
            f"{party}'s columns are too wide for statistics on shares",
            f"{party}'s table",
            "standardise them by mean and standard deviation: leave out scale: robust",
        )
