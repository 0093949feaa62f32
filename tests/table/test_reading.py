"""Whatever a good table looks like, it reads as the same numbers."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from party.agreement.job import Job
from party.table import Table, read_table

from .conftest import LABELS, ROWS, small_job


@dataclass(frozen=True)
class Dialect:
    header: bool
    newline: str
    last_newline: bool
    mark: bool
    quotes: bool
    padding: str
    packed: bool

    def write(self, matrix: np.ndarray, names: tuple[str, ...]) -> bytes:
        rows = [[self.padding + repr(float(value)) for value in row] for row in matrix]
        text = io.StringIO()
        quoting: Any = csv.QUOTE_ALL if self.quotes else csv.QUOTE_MINIMAL
        csv.writer(text, lineterminator=self.newline, quoting=quoting).writerows(
            ([list(names)] if self.header else []) + rows
        )
        whole = text.getvalue() if self.last_newline else text.getvalue().removesuffix(self.newline)
        encoded = whole.encode("utf-8-sig" if self.mark else "utf-8")
        return gzip.compress(encoded) if self.packed else encoded


dialects = st.builds(
    Dialect,
    header=st.booleans(),
    newline=st.sampled_from(["\n", "\r\n"]),
    last_newline=st.booleans(),
    mark=st.booleans(),
    quotes=st.booleans(),
    padding=st.sampled_from(["", " ", "\t"]),
    packed=st.booleans(),
)

matrices = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=12),
    elements=st.floats(-1e9, 1e9, allow_subnormal=False),
    unique=True,  # or many columns would be constant
)


def read_as(dialect: Dialect, matrix: np.ndarray) -> Table:
    rows, columns = matrix.shape
    job = small_job(rows, columns, protocol="aby3")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "table"
        path.write_bytes(dialect.write(matrix, job.features_of("alice")))
        return read_table(path, job, "alice")


@settings(max_examples=50)
@given(matrices, dialects, dialects)
def test_any_dialect_reads_back_standardised_and_the_same_to_the_last_bit(
    matrix: np.ndarray, one: Dialect, other: Dialect
) -> None:
    mean, scale = matrix.mean(axis=0), matrix.std(axis=0)
    assume((scale > 1e-9 * np.abs(matrix).max(axis=0)).all())
    table, again = read_as(one, matrix), read_as(other, matrix)

    np.testing.assert_array_equal(table.matrix, again.matrix)
    np.testing.assert_array_equal(table.mean, again.mean)
    np.testing.assert_array_equal(table.scale, again.scale)
    assert table.mean is not None and table.scale is not None
    np.testing.assert_allclose(table.mean, mean, atol=1e-14 * np.abs(matrix).max())
    np.testing.assert_allclose(table.scale, scale, rtol=1e-6)
    expected = (matrix - table.mean) / table.scale
    np.testing.assert_array_equal(table.matrix[:, :-1], expected.astype(np.float32))


def test_the_matrix_is_standardised_and_ends_in_a_column_of_ones(
    read: Callable[..., Table],
) -> None:
    matrix = read("\n".join(ROWS)).matrix
    assert matrix.dtype == np.float32 and matrix.shape == (4, 4) and matrix.flags.c_contiguous
    np.testing.assert_allclose(matrix[:, :-1].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(matrix[:, :-1].std(axis=0), 1, rtol=1e-6)
    assert (matrix[:, -1] == 1).all()


def test_labels_are_read_as_they_are(read: Callable[..., Table]) -> None:
    for text in (
        "1\n0\n0\n1\n",
        "guilty\r\n1.0\r\n0\r\n-0.0\r\n1e0",
        '"1"\n"0"\n"0"\n"1"\n',
        "1\r\n0\r\n0\r\n1\r",
    ):
        table = read(text, "bob")
        assert table.matrix.dtype == np.float32
        assert table.matrix.tolist() == [[1], [0], [0], [1]]
        assert table.mean is None and table.scale is None


def test_a_large_offset_costs_no_precision(read: Callable[..., Table]) -> None:
    rows = np.arange(50_000) % 7
    job = small_job(50_000, 1)
    table = read("\n".join(f"{1_000_000_000 + row}" for row in rows), job=job)
    assert table.mean is not None and table.scale is not None
    np.testing.assert_allclose(table.mean, 1_000_000_000 + rows.mean(), rtol=1e-15)
    np.testing.assert_allclose(table.scale, rows.std(), rtol=1e-9)


def test_many_blocks_read_as_one_table(read: Callable[..., Table]) -> None:
    values = np.random.default_rng(3).normal(5, 2, (70_000, 4))
    values[:, 3] = 1e6 * np.arange(70_000)
    text = "\n".join(",".join(map(repr, row)) for row in values.tolist())
    table = read(text, job=small_job(70_000, 4))
    assert len(text) > 4 * 2**20  # several blocks of text and of rows, at different rows
    expected = (values - values.mean(axis=0)) / values.std(axis=0)
    np.testing.assert_allclose(table.matrix[:, :-1], expected, rtol=1e-6, atol=1e-6)


def test_names_that_are_numbers_are_still_a_header(read: Callable[..., Table]) -> None:
    job = small_job(columns=2).model_copy(update={"features": ("2023", "2024")})
    assert read("2023,2024\n1,2\n3,4\n5,6\n7,9\n", job=job).matrix.shape == (4, 3)


def test_the_digest_is_the_texts_however_it_is_packed(read: Callable[..., Table]) -> None:
    text = "\n".join(ROWS).encode()
    digest = hashlib.sha256(text).hexdigest()
    assert read(text).digest == digest == read(gzip.compress(text)).digest
    halves = gzip.compress(text[:9]) + gzip.compress(text[9:])
    assert read(halves).digest == digest, "gzip files may be several, one after the other"


def test_a_tables_representation_shows_no_value(read: Callable[..., Table]) -> None:
    assert repr(read("\n".join(ROWS))) == "<Table of 4 rows, 4 columns>"
    assert repr(read("\n".join(LABELS), "bob")) == "<Table of 4 rows, 1 columns>"


@pytest.mark.parametrize("party", ["alice", "bob"])
def test_the_examples_tables_fit_the_examples_job(party: str, fraud: tuple[Path, Job]) -> None:
    directory, job = fraud
    table = read_table(directory / f"{party}.csv", job, party)  # type: ignore[arg-type]
    assert table.matrix.shape == (7000, 17 if party == "alice" else 1)


@pytest.fixture
def fraud() -> tuple[Path, Job]:
    from party.agreement.job import load_job

    directory = Path(__file__).parents[2] / "examples/fraud"
    return directory, load_job(directory / "job.yaml")
