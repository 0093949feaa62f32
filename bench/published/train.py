"""The reference job for tf-encrypted 0.9.1 as published, run by the master on Alice's machine.

Started as ``train.py SETTINGS`` in its own environment (Python 3.10, TensorFlow 2.9.1), beside two
``python -m tf_encrypted.player`` for the other machines of the ``config.json``. It is written with
the published interface alone and in the way that serves it best: one ``tfe.function`` for the whole
step, each table read once by its owner's own server, batches shared inside the step, no loss
revealed. What it measures goes to a JSON file.

SETTINGS is a JSON file: ``config``, ``protocol`` (pond, pond-local, aby3), ``features`` and
``labels`` (files of float32, row by row), ``rows``, ``columns``, ``batch``, ``steps``, ``warm_up``
(steps before the clock starts: the first one builds the graph), ``rate``, ``result``.
"""

# Annotations stay unevaluated: this runs on Python 3.10 too.
from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_encrypted as tfe
from tf_encrypted.tensor import fixed64_ni

ALICE, BOB = "server0", "server1"


def connect(path: str) -> Any:
    """Makes this process the cluster's first task, which is what Alice's machine is in it."""
    config = tfe.RemoteConfig.load(path)
    # ``RemoteConfig.connect_servers`` would add a fourth process that calls itself localhost, so
    # that the others could not reach it from their machines.
    tf.config.experimental_connect_to_cluster(
        tf.train.ClusterSpec({"tfe": config.hosts}), job_name="tfe", task_index=0
    )
    tfe.set_config(config)
    return config


def protocol(name: str) -> Any:
    """As published; ``pond-local`` truncates without interaction, which Pond can but does not."""
    if name == "aby3":
        return tfe.protocol.ABY3()
    if name == "pond-local":
        return tfe.protocol.Pond(fixedpoint_config=fixed64_ni)
    return tfe.protocol.Pond()


def batches(player: Any, path: str, rows: int, columns: int, batch: int) -> Callable[[], Any]:
    """Reads a table at its owner; what comes back gives the owner's next batch at each step.

    The owner counts the steps itself: an index handed in by the master would be one more message.
    """
    with tf.device(player.device_name):
        table = tf.reshape(tf.io.decode_raw(tf.io.read_file(path), tf.float32), [rows, columns])
        table = tf.Variable(table, trainable=False)
        steps = tf.Variable(0, dtype=tf.int64, trainable=False)

    def following() -> Any:
        step = steps.assign_add(1) - 1
        start = (step % (rows // batch)) * batch
        return tf.ensure_shape(tf.slice(table, [start, 0], [batch, columns]), [batch, columns])

    return following


def main(settings: dict[str, Any]) -> dict[str, Any]:
    """Trains, and returns milliseconds a step, the revealed weights and peak memory in MiB."""
    config = connect(settings["config"])
    tfe.set_protocol(protocol(settings["protocol"]))
    rows, columns, batch = settings["rows"], settings["columns"], settings["batch"]
    alice, bob = config.get_player(ALICE), config.get_player(BOB)
    features = batches(alice, settings["features"], rows, columns, batch)
    labels = batches(bob, settings["labels"], rows, 1, batch)
    weights = tfe.define_private_variable(np.zeros((columns, 1)))

    @tfe.function  # type: ignore[untyped-decorator]
    def step() -> Any:
        x = tfe.define_private_input(ALICE, features)
        y = tfe.define_private_input(BOB, labels)
        now = weights.read_value()
        error = tfe.sigmoid(tfe.matmul(x, now)) - y
        tfe.assign(weights, now - tfe.matmul(tfe.transpose(x), error) * (settings["rate"] / batch))
        with tf.device(alice.device_name):
            return tf.constant(0)  # a function must return something

    def reveal() -> Any:
        return np.asarray(weights.read_value().reveal().to_native()).ravel().tolist()

    started = time.monotonic()
    for _ in range(settings["warm_up"]):
        step()
    reveal()
    warm = time.monotonic()
    for _ in range(settings["steps"] - settings["warm_up"]):
        step()
    done = time.monotonic()  # a call returns once every party is done with the step
    return {
        "step_ms": 1000 * (done - warm) / (settings["steps"] - settings["warm_up"]),
        "warm_up_s": warm - started,
        "weights": reveal(),
        "peak_mib": peak_mib(),
    }


def peak_mib() -> float:
    """This process's peak resident memory (``ru_maxrss`` would count its parent's before exec)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(given["result"]).write_text(json.dumps(main(given)), encoding="utf-8")
    # TensorFlow cannot take a connected context down: it waits for the other servers.
    sys.stdout.flush()
    os._exit(0)
