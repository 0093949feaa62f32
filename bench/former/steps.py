"""Steps of a job by the kit of ``environment.FORMER``: run in its folder, on its own modules.

Started as ``steps.py SETTINGS``, a JSON file: ``job``, ``cache`` and ``keys`` (of each party, by
its name), ``rounds`` and ``steps`` (of each), ``result`` (a file). Its counterpart is
``bench/steps.py``.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

# Modules that this has and the kit of today has not, or not like that.
former: dict[str, Any] = {
    name: import_module(f"party.{name}")
    for name in ("job", "native", "schedule", "native.instructions")
}


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    job = former["job"].load_job(Path(settings["job"]))
    cache, keys = Path(settings["cache"]), Path(settings["keys"])
    parts = [former["schedule"].prepared(job, party, cache).schedule for party in range(3)]
    links = linked(keys)
    executors = [
        former["native"].Executor(
            former["schedule"].arena(part),
            part.index,
            [links[part.party].get(peer) for peer in range(3)],
            part.party,
            part.window,
        )
        for part in parts
    ]
    inputs = [
        part.step[part.step["op"] == former["native.instructions"].Op.INPUT] for part in parts
    ]
    tables = [np.ones((job.rows, int(i["p"][:, 1].max(initial=1))), np.float32) for i in inputs]

    def one(party: int, first: int, steps: int) -> float:
        draw = np.random.default_rng(first)
        batch = int(inputs[party]["p"][:, 0].max(initial=0))
        rows = draw.integers(0, job.rows, batch * steps, np.int32) if batch else None
        table = tables[party] if batch else None
        began = time.thread_time()
        executors[party].run(parts[party].step, first, steps, rows, table, 600.0)
        return time.thread_time() - began

    measured = []
    with ThreadPoolExecutor(3) as threads:
        for number in range(settings["rounds"] + 1):  # the first one touches its memory
            first, steps = number * settings["steps"], settings["steps"]
            began = time.perf_counter()
            running = [threads.submit(one, party, first, steps) for party in range(3)]
            cpu_s = sum(each.result() for each in running)
            measured.append([(time.perf_counter() - began) / steps, cpu_s / steps])
    Path(settings["result"]).write_text(json.dumps(measured[1:]), encoding="utf-8")


def linked(keys: Path) -> list[dict[int, Any]]:
    """Each party's connections by peer: by TLS, on the loopback interface."""
    native = former["native"]
    contexts = [
        native.Context(*(keys / party / name for name in ("ca.crt", "tls.crt", "tls.key")))
        for party in ("alice", "bob", "server")
    ]
    links: list[dict[int, Any]] = [{} for _ in contexts]
    for low, high in combinations(range(3), 2):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            one = socket.create_connection(listener.getsockname())
            other, _ = listener.accept()
        for end in (one, other):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _OPEN.append(end)
        links[low][high] = native.Connection(contexts[low], one.fileno(), server=True)
        links[high][low] = native.Connection(contexts[high], other.fileno(), server=False)
        left = [links[low][high], links[high][low]]
        while left:
            left = [each for each in left if each.handshake() is not native.Want.DONE]
    return links


_OPEN: list[socket.socket] = []
"""Sockets, which are closed where nothing names them."""

main()
