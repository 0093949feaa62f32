"""In a cluster without policies a stranger's pod reaches every party, and gets nothing of any.

The tests of this page are one story of one deployment, in order: Alice waits alone, then all three
train, while a pod beside them attacks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from deployer.certs import authority as certs
from party.identity import identity
from tests.harness.keys import write_keys
from tests.kind.cluster import PARTIES, Cluster, Deployment
from tests.kind.conftest import example_job, plain_values

pytestmark = pytest.mark.in_turn

PARTY_PORT, STATUS_PORT = 7000, 8080

KNOCK = """
import json, socket, ssl, sys
from pathlib import Path
host, certificate, key = sys.argv[1:]
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
for name, text in (("c", certificate), ("k", key)):
    Path("/tmp/" + name).write_text(text)
context.load_cert_chain("/tmp/c", "/tmp/k")
heard, why = b"", "closed"
try:
    stream = context.wrap_socket(socket.create_connection((host, 7000), 10))
    stream.settimeout(20)
    while piece := stream.recv(4096):
        heard += piece
except OSError as error:
    why = getattr(error, "reason", None) or type(error).__name__
print(json.dumps([heard.decode("latin-1"), why]))
"""
"""Shakes hands with Alice with a certificate, and listens."""

SCAN = """
import asyncio, json, sys
async def answers(host, port, some):
    async with some:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 20)
        except ConnectionRefusedError:
            return None
    writer.close()
    return port
async def scan(host):
    some = asyncio.Semaphore(256)
    found = await asyncio.gather(*(answers(host, port, some) for port in range(1, 65536)))
    return [port for port in found if port]
print(json.dumps([asyncio.run(scan(host)) for host in sys.argv[1:]]))
"""
"""Every TCP port on which somebody answers."""

READ_FILE = """
import sys
import tensorflow as tf
v1 = tf.compat.v1
v1.disable_eager_execution()
with tf.device("/job:tfe/task:0"):
    stolen = tf.io.read_file("/etc/hostname")
config = v1.ConfigProto(device_filters=["/job:tfe/task:0"], operation_timeout_in_ms=15000)
print("importing was no trouble", flush=True)
with v1.Session("grpc://" + sys.argv[1] + ":7000", config=config) as session:
    print(session.run(stolen))
"""
"""Sends a graph that reads a file, as is done to TensorFlow's servers."""


@pytest.fixture(scope="module")
def story(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A long job, without policies, of which only Alice has come; and a stranger."""
    with cluster.namespace() as namespace:
        values = plain_values(cluster, namespace, example_job())
        values["job"]["training"]["epochs"] = 1_000_000
        values["networkPolicy"] = {"enabled": False}
        deployment = Deployment(cluster, tmp_path_factory.mktemp("story"), values)
        deployment.put_tables()
        keys = deployment.make_keys()
        for party in PARTIES:
            deployment.deployer("certs put", party, keys / party)
        keys.rename(deployment.room / "keys")
        deployment.deployer("apply", "--no-wait", "--party", "alice")
        cluster.pod_runs("stranger", namespace)
        deployment.wait_for_phase("alice", "joining")
        yield deployment


def from_the_stranger(story: Deployment, *words: str) -> str:
    """What a Python program prints in the stranger's pod."""
    namespace = str(story.document["namespace"])
    return story.cluster.inside("stranger", namespace, "python", "-c", *words).stdout


def addresses(story: Deployment) -> list[str]:
    return [str(pod["status"]["podIP"]) for pod in story.pods().values() if pod]


def knock(story: Deployment, keys: Path) -> tuple[str, str]:
    """What Alice says to somebody with these keys, and how it ends."""
    pems = ((keys / name).read_text() for name in ("tls.crt", "tls.key"))
    said = from_the_stranger(story, KNOCK, addresses(story)[0], *pems)
    heard, why = json.loads(said)
    return heard, why


def test_no_other_certificate_gets_in(story: Deployment) -> None:
    keys, name = story.room / "keys", story.document["job"]["name"]
    own = certs.read_authority(keys / "authority")
    now, day = own.certificate.not_valid_before_utc, timedelta(days=1)
    bob = [identity(name, "bob")]
    wrong = {
        "of another authority": write_keys(story.room / "other", certs.make_authority(name), bob),
        "expired": write_keys(story.room / "old", own, bob, now - 2 * day, now - day),
        "not yet valid": write_keys(story.room / "new", own, bob, now + 9 * day, now + 10 * day),
        "of a stranger": write_keys(story.room / "eve", own, [identity(name, "eve")]),
        "of another job": write_keys(story.room / "job", own, [identity("other", "bob")]),
        "of Alice herself": keys / "alice",
    }
    for what, made in wrong.items():
        heard, why = knock(story, made)
        assert heard == "" and why != "TimeoutError", (what, heard, why)
    heard, _ = knock(story, keys / "bob")
    assert '"hello"' in heard, "with the right keys she is heard"


def test_a_graph_that_is_sent_to_a_party_is_not_run(story: Deployment) -> None:
    said = from_the_stranger(story, READ_FILE, addresses(story)[0])
    assert said.splitlines() == ["importing was no trouble"]


def test_only_what_a_party_must_answer_on_is_open_while_all_train(story: Deployment) -> None:
    story.deployer("apply", "--no-wait")
    story.wait(lambda found: all(one["phase"] == "running" for one in found.values()))
    said = from_the_stranger(story, SCAN, *addresses(story))
    found = dict(zip(PARTIES, json.loads(said), strict=True))
    for party, ports in found.items():
        assert STATUS_PORT in ports, party
        assert set(ports) <= {PARTY_PORT, STATUS_PORT}, party
    before = story.status()["alice"]["own"]["step"]
    time.sleep(2)
    assert story.status()["alice"]["own"]["step"] > before, "it trains on"


def test_a_party_with_another_job_is_refused_by_both_others(deployment: Deployment) -> None:
    deployment.put_keys()
    deployment.put_tables()
    agreed = deployment.document["job"]["training"]["learning_rate"]
    for party, rate in (("alice", agreed), ("server", agreed), ("bob", agreed / 2)):
        deployment.document["job"]["training"]["learning_rate"] = rate
        deployment.deployer("apply", "--no-wait", "--party", party)
    deadline = time.monotonic() + 240
    for party in PARTIES:
        log = ""
        while "learning_rate: " not in log:
            assert time.monotonic() < deadline, (party, log)
            time.sleep(2)
            # A pod that is not up yet has no log.
            log = deployment.deployer("logs", "--party", party, check=False).stdout
        assert "disagree" in log and '"phase": "running"' not in log
