"""``python -m bench.alignment``: how long it takes to align two tables, in one run of the product.

Tables are made up: half of the smaller one's rows are in common. Three processes on this machine
train for one pass afterwards, with mutual TLS, as ``deployer run`` has it.

As a yardstick, OpenMined's PSI intersects the same identifiers: it tells one of the two who is in
common, and gives no rows to compute with.
"""

from __future__ import annotations

import json
import resource
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import typer
from pyarrow import csv

from bench import environment
from deployer.local.run import run_local
from party.agreement.job import Align, Descent, FeaturesByHolder, Job


def main(
    alice: Annotated[int, typer.Option(help="rows of Alice's table")] = 1_000_000,
    bob: Annotated[int, typer.Option(help="rows of Bob's table")] = 1_000_000,
    columns: Annotated[int, typer.Option(help="features at Alice")] = 19,
    others: Annotated[int, typer.Option(help="features at Bob")] = 3,
    folder: Annotated[Path | None, typer.Option(help="for tables and results")] = None,
    yardstick: Annotated[bool, typer.Option(help="run OpenMined's PSI, too")] = True,
) -> None:
    """Align, and say what it took."""
    rows = {"alice": alice, "bob": bob}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        run(Path(place), rows, {"alice": columns, "bob": others})
    if yardstick:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            intersect(Path(place), rows)


def identifiers(rows: dict[str, int]) -> dict[str, npt.NDArray[np.str_]]:
    """Each table's, in an order of its own; half of the smaller one's are in common."""
    draw = np.random.default_rng(1)
    firsts = {"alice": 0, "bob": rows["alice"] - in_common(rows)}
    return {
        party: np.char.add("customer-", (draw.permutation(count) + firsts[party]).astype(str))
        for party, count in rows.items()
    }


def in_common(rows: dict[str, int]) -> int:
    """How many identifiers both tables have."""
    return min(rows.values()) // 2


def intersect(place: Path, rows: dict[str, int]) -> None:
    """OpenMined's PSI on the same identifiers: Alice is its client, who learns the intersection."""
    files = {}
    for party, names in identifiers(rows).items():
        files[party] = place / party
        files[party].write_text("\n".join(names) + "\n", encoding="utf-8")
    settings, result = place / "settings.json", place / "result.json"
    given = {"server": files["bob"], "client": files["alice"], "result": result}
    settings.write_text(json.dumps(given, default=str), encoding="utf-8")
    program = Path(__file__).parent / "psi" / "intersect.py"
    subprocess.run([environment.PSI.python(), str(program), str(settings)], check=True)
    measured = json.loads(result.read_text(encoding="utf-8"))
    assert measured["common"] == in_common(rows)
    sent = {party: measured["bytes"][end] / 1e6 for party, end in _ENDS.items()}
    print(
        f"{environment.PSI.name}: {measured['seconds']:.1f} s, of them {measured['cpu_s']:.1f} of "
        f"the processor, {sent['alice']:.0f} MB from Alice, {sent['bob']:.0f} MB from Bob, "
        f"{measured['peak_mib']:.0f} MiB for both ends"
    )


_ENDS = {"alice": "client", "bob": "server"}


def run(place: Path, rows: dict[str, int], columns: dict[str, int]) -> None:
    """One run, with everything in a folder."""
    names = {party: tuple(f"{party}_{i}" for i in range(count)) for party, count in columns.items()}
    draw = np.random.default_rng(2)
    files = {}
    for party, who in identifiers(rows).items():
        count = rows[party]
        table = {"customer": pa.array(who)}
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
    cpu_s = _cpu_s()
    result = run_local(job, files, place / "out", cache=place / "cache")
    cpu_s = _cpu_s() - cpu_s
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
        assert aligned.sizes.common == in_common(rows)
    print(f"{cpu_s:.1f} s of the processor in all, with reading, a pass and what starts and ends")


def _cpu_s() -> float:
    """Processor seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    typer.run(main)
