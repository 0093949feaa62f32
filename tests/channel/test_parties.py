"""A party of the job that talks too much, or comes and goes, costs nobody more than itself."""

from __future__ import annotations

import contextlib
import json
import ssl
import sys
import threading
import time
from pathlib import Path

import pytest

from party.agreement.hosts import Address
from party.channel import listen
from party.channel.agreement import hello
from party.process.errors import InputError, JobError
from tests.channel.test_strangers import channel_as
from tests.harness.joins import JOB, PLAN, Joins
from tests.harness.links import message

HELLO = message(json.dumps(hello(JOB, "bob", PLAN)).encode())
READY = message(json.dumps({"type": "ready", "run": "0" * 64}).encode())


def test_ready_without_end_does_not_outlive_the_wait(joins: Joins, keys: Path) -> None:
    alice = joins.start("alice", wait_s=2)
    ended = threading.Event()

    def flood() -> None:
        while not ended.is_set():
            with (
                contextlib.suppress(ssl.SSLError, OSError),
                channel_as(joins, "bob", keys) as one,
            ):
                one.sendall(HELLO)
                while not ended.is_set():
                    one.sendall(READY * 1000)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        with pytest.raises(JobError, match="did not come within 2 s"):
            alice.outcome()
    finally:
        ended.set()
        thread.join()


def test_who_comes_and_goes_all_the_time_is_told_of_now_and_then(
    joins: Joins, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joining = sys.modules["party.channel.join"]  # there is a function of this name, too
    monkeypatch.setattr(joining, "NEWS_EVERY_S", 600.0)
    alice = joins.start("alice")
    for _ in range(50):
        with channel_as(joins, "bob", keys) as one:
            one.sendall(HELLO)
            one.recv(4)
    alice.says("bob went away before the start")
    time.sleep(0.3)
    assert alice.told().count("bob went away before the start") == 1
    joins.everybody_joins()


@pytest.mark.parametrize("host", ["192.0.2.7", "nobody.invalid"])
def test_what_is_for_one_address_is_heard_nowhere_else(host: str) -> None:
    with pytest.raises(InputError, match=r"no address of this machine|Cannot assign"):
        listen(Address(host, 18080), or_everywhere=False)
