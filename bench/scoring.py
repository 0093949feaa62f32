"""``python -m bench.scoring``: what it takes to score a table, alone and together, and a single
row."""

from __future__ import annotations

import http.client
import json
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import typer

from bench.executors import Took
from bench.machine import facts
from deployer.certs import authority
from deployer.local.run import run_local
from party.agreement.job import HOLDERS, PARTIES, Job
from party.reporting.documents import RunReport

_DEPLOYER = Path(sys.executable).with_name("deployer")

TRAINED_ROWS, COLUMNS = 2_000, 16
"""Of the trainings before; columns of each holder."""

FEATURES: dict[str, list[str]] = {
    holder: [f"{holder[0]}{i}" for i in range(COLUMNS)] for holder in HOLDERS
}


def main(
    rows: Annotated[int, typer.Option(min=1, help="that are scored")] = 100_000,
    protocol: Annotated[
        list[str] | None, typer.Option(help="of the kit's", show_default="pond, aby3")
    ] = None,
    turns: Annotated[int, typer.Option(min=1, help="of which the median counts")] = 3,
    requests: Annotated[int, typer.Option(min=10, help="of one row each")] = 1_000,
) -> None:
    """Score a table of 16 columns alone, one of 16 and 16 together, and single rows by HTTPS."""
    print(json.dumps(facts(), indent=1))
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        room = Path(name)
        cache = room / "cache"
        alone = _job(TRAINED_ROWS, {"alice": FEATURES["alice"]}, label={"bob": "y"})
        run_local(alone, _tables(room, TRAINED_ROWS), room / "alone", cache=cache)
        both = _job(TRAINED_ROWS, FEATURES, label={"bob": "y"}, result="both")
        run_local(both, _tables(room, TRAINED_ROWS), room / "both", cache=cache)
        tables = _tables(room, rows)
        print("| rows | how | processor, s | s | MB between the parties |\n|---|---|---|---|---|")
        for kind in ("csv", "parquet"):
            model = room / "alone/alice/model.json"
            table = tables["alice"].with_suffix(f".{kind}")
            command = [_DEPLOYER, "score", model, table, "--output", room / "scores.csv"]
            scored = partial(subprocess.run, command, check=True, capture_output=True)
            took = [_took(scored) for _ in range(turns)]
            _print(rows, f"alone, {kind}", took)
        for each in protocol or ("pond", "aby3"):
            job = _scoring(rows, both, each)
            reports: list[RunReport] = []

            def together(job: Job = job, reports: list[RunReport] = reports) -> None:
                done = run_local(job, tables, room / "scores", cache=cache, trained=room / "both")
                reports.append(done.report)

            together()  # which makes the plan
            took = [_took(together) for _ in range(turns)]
            _print(rows, f"together, {each}", took, reports[-1].bytes / 1e6)
        with _service(room, alone) as ask:
            ask()
            waits = sorted(_took(ask)[0] * 1e3 for _ in range(requests))
    median, most = waits[len(waits) // 2], waits[-len(waits) // 100]
    print(f"\nA single row: {median:.2f} ms, and 99 of 100 within {most:.2f} ms ({requests} rows).")


def _job(rows: int, features: dict[str, list[str]], **change: Any) -> Job:
    agreed = {"name": "scoring", "rows": rows, "features": features}
    return Job.model_validate_json(json.dumps(agreed | change))


def _scoring(rows: int, trained: Job, protocol: str) -> Job:
    model = {"kind": "joint-scores", "holder": "alice", "trained_by": trained.digest}
    return _job(rows, FEATURES, model=model, result="alice", protocol=protocol)


def _tables(room: Path, rows: int) -> dict[str, Path]:
    """Made-up columns of both, and a label of which they say something, as CSV; Alice's as Parquet
    as well."""
    draw, t = np.random.default_rng(1), np.zeros(rows)
    found: dict[str, Path] = {}
    for holder in HOLDERS:
        x = draw.normal(size=(rows, COLUMNS)).round(4)
        t += x[:, :4].sum(1) / 4
        columns: dict[str, Any] = dict(zip(FEATURES[holder], x.T, strict=True))
        if holder == "bob":
            columns["y"] = (draw.random(rows) < 1 / (1 + np.exp(-t))).astype(np.int64)
        table = pyarrow.table(columns)
        found[holder] = room / f"{holder}.csv"
        pyarrow.csv.write_csv(table, found[holder])
        pyarrow.parquet.write_table(table, found[holder].with_suffix(".parquet"))
    return found


def _took(work: Callable[[], object]) -> Took:
    """Seconds on the clock, and of processes that were begun and have ended."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    work()
    wall, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _print(rows: int, how: str, took: list[Took], megabytes: float | None = None) -> None:
    wall, cpu = (sorted(one)[len(took) // 2] for one in zip(*took, strict=True))
    sent = "–" if megabytes is None else f"{megabytes:.1f}"
    print(f"| {rows:,} | {how} | {cpu:.2f} | {wall:.2f} | {sent} |", flush=True)


@contextmanager
def _service(room: Path, job: Job) -> Iterator[Callable[[], None]]:
    """A service of its own process; what is given asks it for the score of one row, by one
    connection that stays."""
    made = authority.make_authority(job.name)
    for party in PARTIES:
        (room / "keys" / party).mkdir(mode=0o700, parents=True)
        authority.write_files(room / "keys" / party, authority.make_party(made, party))
    keys = room / "keys/alice"
    command = ["score", "alice", "--model", str(room / "alone/alice/model.json")]
    command += ["--job", str(room / "alone/job.yaml"), "--keys", str(keys)]
    context = ssl.create_default_context(cafile=str(keys / "ca.crt"))
    context.check_hostname = False  # an identity is a URI
    context.load_cert_chain(keys / "tls.crt", keys / "tls.key")
    port = _free_port()
    address = f"127.0.0.1:{port}"
    service = subprocess.Popen([sys.executable, "-m", "party", *command, "--serve", address])
    body = json.dumps({"rows": [dict.fromkeys(FEATURES["alice"], 0.5)]}).encode()
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=context)

    def ask() -> None:
        connection.request("POST", "/score", body)
        answer = connection.getresponse()
        if answer.status != 200 or len(json.loads(answer.read())["scores"]) != 1:
            raise RuntimeError(f"the service answered {answer.status}")

    try:
        _until_there(service, connection)
        yield ask
    finally:
        connection.close()
        service.terminate()
        service.wait()


def _until_there(service: subprocess.Popen[bytes], connection: http.client.HTTPSConnection) -> None:
    while service.poll() is None:
        try:
            connection.connect()
        except ConnectionRefusedError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the service has ended")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


if __name__ == "__main__":
    typer.run(main)
