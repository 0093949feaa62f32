"""Parties that join in this process, each in a thread, over real sockets and real TLS."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from deployer.local.run import free_ports
from party.agreement.hosts import Address, Hosts
from party.agreement.job import PARTIES, Job, Training
from party.channel import Joined, join, listen
from party.identity import Keys, load_keys, reloaded
from party.process.errors import JobError
from tests.harness.links import LIMIT_S
from tests.harness.tasks import Task

JOB = Job(
    name="fraud",
    rows=8,
    features=("age", "amount"),
    label="fraud",
    training=Training(epochs=2, batch_size=4, learning_rate=0.1),
)
PLAN = "7" * 64

WAIT_S = 120.0
"""For the others; only a test that fails ever waits so long."""


class Joining(Task):
    """One party's attempt to join."""

    def __init__(
        self,
        joins: Joins,
        party: Any,
        job: Job,
        plan: str,
        wait_s: float,
        queue: Sequence[Job],
    ) -> None:
        self.joins, self.party, self.job, self.plan = joins, party, job, plan
        self.queue = queue
        self.wait_s = wait_s
        self.joined: Joined | None = None
        self.cancelled = False
        self.reports: list[tuple[str, Sequence[str]]] = []
        index = PARTIES.index(party)
        self.listener = listen(joins.hosts[index]) if index < 2 else None
        super().__init__(self._join)

    def _join(self) -> None:
        self.joined = join(
            self.job,
            self.party,
            self.joins.hosts,
            self.joins.loaded.get(self.party)
            or load_keys(
                self.joins.keys / self.party, JOB.name, self.party, pins=self.job.identities
            ),
            self.plan,
            self.listener,
            self.wait_s,
            self._heard,
            reload=reloaded,
            queue=self.queue,
        )

    def _heard(self, text: str, awaited: Sequence[str]) -> None:
        self.reports.append((text, awaited))
        if self.cancelled:
            raise JobError("cancelled")

    def told(self) -> str:
        """All that was reported."""
        return "\n".join(text for text, _ in self.reports)

    def says(self, words: str) -> None:
        """Wait until a report has these words."""
        end = time.monotonic() + LIMIT_S
        while words not in self.told():
            assert time.monotonic() < end, self.told()
            time.sleep(0.01)

    def outcome(self) -> Joined:
        """What came of it; raises the error that ended it."""
        self.well(self.wait_s + LIMIT_S)
        assert self.joined is not None
        return self.joined


class Joins:
    """Addresses and keys of three parties, and who has started to join so far."""

    def __init__(self, keys: Path) -> None:
        self.keys = keys
        self.held = contextlib.ExitStack()
        ports = self.held.enter_context(free_ports(len(PARTIES)))
        alice, bob, server = (Address("127.0.0.1", port) for port in ports)
        self.hosts: Hosts = (alice, bob, server)
        self.started: list[Joining] = []
        self.loaded: dict[str, Keys] = {}  # by who began before its directory had others

    def start(
        self,
        party: str,
        job: Job = JOB,
        plan: str = PLAN,
        wait_s: float = WAIT_S,
        queue: Sequence[Job] = (),
    ) -> Joining:
        """Let a party join, in a thread."""
        joining = Joining(self, party, job, plan, wait_s, queue)
        self.started.append(joining)
        return joining

    def everybody_joins(self) -> None:
        """Let those start who have not, and see that all three join the same run."""
        for party in PARTIES:
            if party not in [one.party for one in self.started]:
                self.start(party)
        runs = {one.outcome().run for one in self.started}
        assert len(runs) == 1

    def dial(self, party: str = "alice", timeout_s: float = LIMIT_S) -> socket.socket:
        """A stranger's TCP connection."""
        address = self.hosts[PARTIES.index(party)]
        return socket.create_connection((address.host, address.port), timeout_s)

    def close(self) -> None:
        """Close whatever was joined."""
        for one in self.started:
            one.cancelled = True
        for one in self.started:
            one.join(30)
        joined = [one.joined for one in self.started if one.joined is not None]
        with ThreadPoolExecutor(len(PARTIES)) as threads:  # each waits for the others to hang up
            list(threads.map(Joined.close, joined))
        self.held.close()
