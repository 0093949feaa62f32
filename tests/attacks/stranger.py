"""Somebody with nothing but TensorFlow and an address: what is done to who listens for graphs.

Each deed is a process of its own, as it would be on another machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from party.agreement.hosts import Address
from tests.harness.processes import PATIENCE_S


def does(deed: str, address: Address, *about: Any) -> subprocess.CompletedProcess[str]:
    """Do one of ``DEEDS`` to who listens at an address. What it got is on stdout, as JSON."""
    command = [sys.executable, "-m", "tests.attacks.stranger", deed, str(address)]
    command += [json.dumps(one) for one in about]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)


def gets(deed: str, address: Address, *about: Any) -> Any:
    """What a deed that succeeds yields."""
    done = does(deed, address, *about)
    assert done.returncode == 0, done.stderr[-1000:]
    return json.loads(done.stdout)


def _run(address: str, tasks: list[int], graph: Callable[[Any], Any], times: int = 1) -> list[Any]:
    """Have a server run a graph on processes of the cluster, so many times."""
    import tensorflow as tf

    tf.compat.v1.disable_eager_execution()
    config = tf.compat.v1.ConfigProto(
        device_filters=[f"/job:tfe/task:{task}" for task in tasks], operation_timeout_in_ms=15000
    )
    with tf.compat.v1.Session("grpc://" + address, config=config) as session:
        made = graph(tf)
        return [session.run(made) for _ in range(times)]


def _variable(tf: Any, task: int, name: str, dtype: str) -> Any:
    """What a process holds in its memory under a name."""
    with tf.device(f"/job:tfe/task:{task}"):
        return tf.raw_ops.VarHandleOp(dtype=dtype, shape=tf.TensorShape(None), shared_name=name)


def _value(tf: Any, task: int, name: str, dtype: str) -> Any:
    with tf.device(f"/job:tfe/task:{task}"):
        return tf.raw_ops.ReadVariableOp(resource=_variable(tf, task, name, dtype), dtype=dtype)


def _read_file(address: str, task: int, path: str) -> str:
    def graph(tf: Any) -> Any:
        with tf.device(f"/job:tfe/task:{task}"):
            return tf.io.read_file(path)

    return str(_run(address, [task], graph)[0].decode())


def _read(address: str, task: int, name: str, dtype: str) -> Any:
    return _run(address, [task], lambda tf: _value(tf, task, name, dtype))[0].tolist()


def _add_up(address: str, names: dict[str, str], dtype: str, times: int = 1) -> Any:
    """The sum of what several processes hold, by task, read in one go; so many of them."""

    def graph(tf: Any) -> Any:
        return [_value(tf, int(task), name, dtype) for task, name in names.items()]

    found = _run(address, [int(task) for task in names], graph, times)
    return [sum(others, first).tolist() for first, *others in found]


def _write(address: str, task: int, name: str, dtype: str, value: Any) -> None:
    """Put something else in its place."""

    def graph(tf: Any) -> Any:
        with tf.device(f"/job:tfe/task:{task}"):
            return tf.raw_ops.AssignVariableOp(
                resource=_variable(tf, task, name, dtype), value=tf.constant(value, dtype)
            )

    _run(address, [task], graph)


def _end(address: str, task: int) -> None:
    """End a process, with the exit code of one that has done its work."""

    def graph(tf: Any) -> Any:
        with tf.device(f"/job:tfe/task:{task}"):
            return tf.raw_ops.Abort(exit_without_error=True)

    _run(address, [task], graph)


DEEDS: dict[str, Callable[..., Any]] = {
    "read a file": _read_file,
    "read": _read,
    "add up": _add_up,
    "write": _write,
    "end": _end,
}


if __name__ == "__main__":
    _, deed, address, *about = sys.argv
    print(json.dumps(DEEDS[deed](address, *map(json.loads, about))))
