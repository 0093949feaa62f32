"""``python -m bench.alignment``: how long it takes to align two tables, in one run of the product.

Tables are made up: half of the smaller one's rows are in common. Three processes on this machine
train for one pass afterwards, with mutual TLS, as ``deployer run`` has it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer
from pyarrow import csv

from deployer.local.run import run_local
from party.agreement.job import Align, Descent, FeaturesByHolder, Job


def main(
    alice: Annotated[int, typer.Option(help="rows of Alice's table")] = 1_000_000,
    bob: Annotated[int, typer.Option(help="rows of Bob's table")] = 1_000_000,
    columns: Annotated[int, typer.Option(help="features at Alice")] = 19,
    others: Annotated[int, typer.Option(help="features at Bob")] = 3,
    folder: Annotated[Path | None, typer.Option(help="for tables and results")] = None,
) -> None:
    """Align, and say what it took."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        run(Path(place), {"alice": alice, "bob": bob}, {"alice": columns, "bob": others})


def run(place: Path, rows: dict[str, int], columns: dict[str, int]) -> None:
    """One run, with everything in a folder."""
    names = {party: tuple(f"{party}_{i}" for i in range(count)) for party, count in columns.items()}
    draw = np.random.default_rng(1)
    common = min(rows.values()) // 2
    firsts = {"alice": 0, "bob": rows["alice"] - common}
    files = {}
    for party, count in rows.items():
        who = draw.permutation(count) + firsts[party]
        table = {"customer": pa.array(np.char.add("customer-", who.astype(str)))}
        table |= {name: pa.array(draw.normal(size=count).round(4)) for name in names[party]}
        if party == "bob":
            table["label"] = pa.array(draw.integers(0, 2, count))
        files[party] = place / f"{party}.csv"
        csv.write_csv(pa.table(table), files[party])
    job = Job(
        name="alignment",
        align=Align(key="customer"),
        features=FeaturesByHolder(alice=names["alice"], bob=names["bob"]),
        label="label",
        training=Descent(passes=1, tolerance=0),
    )
    result = run_local(job, files, place / "out", cache=place / "cache")
    print("| party | rows | table, s | alignment, s | MB sent | MB received | peak MiB |")
    print("|---|---|---|---|---|---|---|")
    for party, report in result.report.parties.items():
        aligned = report.alignment
        assert aligned is not None
        cells = [
            party,
            f"{rows.get(party, 0):,}",
            f"{report.times.table_s or 0:.1f}",
            f"{aligned.align_s:.1f}",
            f"{aligned.bytes_sent / 1e6:.0f}",
            f"{aligned.bytes_received / 1e6:.0f}",
            f"{report.peak_bytes / 2**20:.0f}",
        ]
        print(f"| {' | '.join(cells)} |")
        assert aligned.sizes.common == common


if __name__ == "__main__":
    typer.run(main)
