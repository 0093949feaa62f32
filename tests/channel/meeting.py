"""Parties that meet in one process, each in a thread of its own, over real sockets and real TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from deployer.certs import authority as certs
from deployer.local.run import free_ports
from party.agreement.hosts import Address, Hosts
from party.agreement.job import PARTIES, Job, Training
from party.channel import Joined, join, listen
from party.identity import load_keys, reloaded
from party.process.errors import JobError

JOB = Job(
    name="fraud",
    rows=8,
    features=("age", "amount"),
    label="fraud",
    training=Training(epochs=2, batch_size=4, learning_rate=0.1),
)
PLAN = "7" * 64

PATIENCE_S = 10.0


class Attendance(threading.Thread):
    """One party's attempt to join."""

    def __init__(self, meeting: Meeting, party: Any, job: Job, plan: str, wait_s: float) -> None:
        super().__init__(daemon=True)
        self.meeting, self.party, self.job, self.plan = meeting, party, job, plan
        self.wait_s = wait_s
        self.joined: Joined | None = None
        self.failure: BaseException | None = None
        self.cancelled = False
        self.reports: list[tuple[str, Sequence[str]]] = []
        index = PARTIES.index(party)
        self.listener = listen(meeting.hosts[index]) if index < 2 else None
        self.start()

    def run(self) -> None:
        try:
            self.joined = join(
                self.job,
                self.party,
                self.meeting.hosts,
                load_keys(self.meeting.keys / self.party, JOB.name, self.party),
                self.plan,
                self.listener,
                self.wait_s,
                self._heard,
                reload=reloaded,
            )
        except BaseException as error:
            self.failure = error

    def _heard(self, text: str, awaited: Sequence[str]) -> None:
        self.reports.append((text, awaited))
        if self.cancelled:
            raise JobError("cancelled")

    def told(self) -> str:
        """All that was reported."""
        return "\n".join(text for text, _ in self.reports)

    def says(self, words: str) -> None:
        """Wait until a report has these words."""
        end = time.monotonic() + PATIENCE_S
        while words not in self.told():
            assert time.monotonic() < end, self.told()
            time.sleep(0.01)

    def outcome(self) -> Joined:
        """What came of it; raises the error that ended it."""
        self.join(self.wait_s + 15)
        assert not self.is_alive(), f"{self.party} hangs"
        if self.failure is not None:
            raise self.failure
        assert self.joined is not None
        return self.joined


class Meeting:
    """Addresses and keys of three parties, and who attends so far."""

    def __init__(self, keys: Path) -> None:
        self.keys = keys
        self.held = contextlib.ExitStack()
        ports = self.held.enter_context(free_ports(len(PARTIES)))
        alice, bob, server = (Address("127.0.0.1", port) for port in ports)
        self.hosts: Hosts = (alice, bob, server)
        self.attendances: list[Attendance] = []

    def attend(
        self, party: str, job: Job = JOB, plan: str = PLAN, wait_s: float = 20.0
    ) -> Attendance:
        """Let a party join, in a thread."""
        attendance = Attendance(self, party, job, plan, wait_s)
        self.attendances.append(attendance)
        return attendance

    def everybody_joins(self) -> None:
        """Let those attend who do not yet, and see that all three join the same run."""
        for party in PARTIES:
            if party not in [one.party for one in self.attendances]:
                self.attend(party)
        runs = {one.outcome().run for one in self.attendances}
        assert len(runs) == 1

    def dial(self, party: str = "alice", timeout_s: float = 10.0) -> socket.socket:
        """A stranger's TCP connection."""
        address = self.hosts[PARTIES.index(party)]
        return socket.create_connection((address.host, address.port), timeout_s)

    def close(self) -> None:
        """Close whatever was joined."""
        for one in self.attendances:
            one.cancelled = True
        for one in self.attendances:
            one.join(30)
        joined = [one.joined for one in self.attendances if one.joined is not None]
        with ThreadPoolExecutor(len(PARTIES)) as threads:  # each waits for the others to hang up
            list(threads.map(Joined.close, joined))
        self.held.close()


def tls(
    keys: Path | None, authority: Path, version: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """Python's own TLS, to attack with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(authority)
    if keys is not None:
        context.load_cert_chain(keys / "tls.crt", keys / "tls.key")
    if version is not None:
        context.maximum_version = version
    return context


def message(text: bytes, size: int | None = None) -> bytes:
    """A message of the join, with its length, or another one."""
    return struct.pack("<I", len(text) if size is None else size) + text


def write_keys(
    directory: Path,
    authority: certs.Authority,
    uris: Sequence[str],
    begins: datetime | None = None,
    ends: datetime | None = None,
    usages: Sequence[x509.ObjectIdentifier] = (
        x509.oid.ExtendedKeyUsageOID.SERVER_AUTH,
        x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH,
    ),
) -> Path:
    """A key directory with a certificate such as no ``deployer certs`` makes."""
    key = ec.generate_private_key(ec.SECP256R1())
    above = authority.certificate
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "somebody")])
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
    names = names or [x509.DNSName("localhost")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(above.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins or above.not_valid_before_utc)
        .not_valid_after(ends or above.not_valid_after_utc)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    certs.write_files(
        directory,
        {
            "ca.crt": certs.pem(above),
            "tls.crt": certs.pem(certificate),
            "tls.key": certs.pem(key),
        },
    )
    return directory


def descriptors() -> int:
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))
