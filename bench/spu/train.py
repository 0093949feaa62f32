"""Logistic regression to the optimum with SecretFlow's SPU: one of its three parties.

Started three times, as ``train.py SETTINGS RANK``, in its own environment. It is written with what
the package has and in the way that serves it best: one JAX program for the whole training, compiled
by SPU; each table read and scaled at its owner and handed out in shares over SPU's own links; just
as many passes as the optimum needs, and nothing opened on the way.

The training is gradient descent over all rows. Each owner scales its columns at home so that steps
of width 1 do: with ``H = X'X/4 + P = LL'``, a bound on its part of the Hessian (Böhning and Lindsay
1988, https://doi.org/10.1007/BF00049423), it hands out ``X L'**-1``. Columns of two owners are
taken to be nearly unrelated, as the made-up ones are. SPU's ``sml``, which is not in the package,
trains by mini-batches alone.

SETTINGS is a JSON file: ``hosts`` (of the ranks), ``protocol`` (aby3 or semi2k), ``sigmoid`` (real
or polynomial), ``rows``, ``C``, ``passes``, ``features`` (for each rank that holds some, by its
number: ``file``, ``columns``, and whether the last of them is the ``intercept``), ``label`` (the
same, without an intercept), ``result`` (a folder, in which each rank writes
``RANK.json`` at its end, and stays until it is killed). Tables are float32, row by row.
"""

# Annotations stay unevaluated: this runs outside the kit's own environment.
from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import spu
from spu import libspu
from spu.utils import frontend

SECRET = libspu.Visibility.VIS_SECRET
PROTOCOLS = {"aby3": libspu.ProtocolKind.ABY3, "semi2k": libspu.ProtocolKind.SEMI2K}
FRACTION_BITS = 18  # SPU's default in a ring of 64 bits

_ALIVE: list[Any] = []
"""Links, which are cut where nothing names them."""

POLYNOMIAL = (2.34142260e-01, -1.20252903e-02, 3.93516093e-04, -6.17003224e-06, 3.60383281e-08)
"""Odd coefficients of the sigmoid less one half, for |t| up to 8, where it is at most 0.009 off.
Beyond that it is no sigmoid."""


def polynomial(t: Any) -> Any:
    """With powers side by side, so that few products lie one behind the other."""
    a, b, c, d, e = POLYNOMIAL
    t2 = t * t
    t4 = t2 * t2
    return 0.5 + t * ((a + b * t2) + t4 * (c + d * t2 + e * t4))


SIGMOIDS: dict[str, Callable[[Any], Any]] = {"real": jax.nn.sigmoid, "polynomial": polynomial}


def connect(settings: dict[str, Any], rank: int) -> Any:
    """SPU's links to the other two, which have no TLS unless they are told to.

    They are not, here: with certificates on both sides a run at 40 ms and 100 Mbit/s came to stand
    still in the middle of a table, of which one party's link never wrote the rest.
    """
    desc: Any = libspu.link.Desc()
    desc.recv_timeout_ms = desc.http_timeout_ms = 600_000
    desc.connect_retry_times, desc.connect_retry_interval_ms = 600, 100
    for index, host in enumerate(settings["hosts"]):
        desc.add_party(str(index), host)
    return libspu.link.create_brpc(desc, rank)


def scaled(x: Any, c: float, intercept: bool) -> tuple[Any, Any, Any]:
    """Columns as they are handed out, their penalty, and the matrix that leads back to weights.

    All columns are made larger by sqrt(rows)/2 too, so that values are about 1, which suits fixed
    point; the step's ``4 / rows`` takes that back.
    """
    penalty = np.diag(np.full(x.shape[1], 1 / c))
    if intercept:
        penalty[-1, -1] = 0  # it bears none
    lower = np.linalg.cholesky(x.T @ x / 4 + penalty)
    back = np.linalg.inv(lower).T * np.sqrt(len(x)) / 2
    return x @ back, back.T @ penalty @ back * (4 / len(x)), back


def program(sigmoid: Callable[[Any], Any], passes: int) -> Callable[..., Any]:
    """The whole training: from each holder's table and penalty, and the label, to its weights."""

    def train(tables: list[Any], penalties: list[Any], y: Any) -> Any:
        weights = [jnp.zeros((x.shape[1], 1)) for x in tables]
        for _ in range(passes):
            t = sum(jnp.matmul(x, w) for x, w in zip(tables, weights))  # noqa: B905
            error = sigmoid(t) - y
            weights = [
                w - jnp.matmul(x.T, error) * (4 / len(y)) - jnp.matmul(p, w)
                for x, p, w in zip(tables, penalties, weights)  # noqa: B905
            ]
        return weights

    return train


def send(link: Any, to: int, share: Any) -> None:
    """A share, to the rank that is to have it."""
    link.send(to, share.meta)
    link.send(to, str(len(share.share_chunks)))
    for chunk in share.share_chunks:
        link.send(to, chunk)


def take(link: Any, sender: int) -> Any:
    """The share that a rank sends."""
    share = libspu.Share()
    share.meta = link.recv(sender)
    share.share_chunks = [link.recv(sender) for _ in range(int(link.recv(sender)))]
    return share


def main(settings: dict[str, Any], rank: int) -> dict[str, Any]:
    """One party's part: seconds from all being there to the end, and the weights of its columns."""
    parties, rows = len(settings["hosts"]), settings["rows"]
    config = libspu.RuntimeConfig(
        PROTOCOLS[settings["protocol"]], libspu.FieldType.FM64, FRACTION_BITS
    )
    config.sigmoid_mode = libspu.RuntimeConfig.SigmoidMode.SIGMOID_REAL
    features = {int(holder): found for holder, found in settings["features"].items()}
    holders, label = sorted(features), settings["label"]

    own: dict[str, Any] = {}
    back: Any = None
    if rank in holders:
        x = np.fromfile(features[rank]["file"], np.float32).astype(np.float64).reshape(rows, -1)
        table, penalty, back = scaled(x, settings["C"], features[rank]["intercept"])
        own = {f"x{rank}": table.astype(np.float32), f"p{rank}": penalty.astype(np.float32)}
        del x, table
    if rank == label["rank"]:
        own["y"] = np.fromfile(label["file"], np.float32).reshape(rows, 1)

    columns = {holder: features[holder]["columns"] for holder in holders}
    tables = {f"x{holder}": (holder, (rows, columns[holder])) for holder in holders}
    penalties = {f"p{holder}": (holder, (columns[holder],) * 2) for holder in holders}
    inputs = {**tables, **penalties, "y": (label["rank"], (rows, 1))}
    shapes = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, (_, shape) in inputs.items()}
    executable, _ = frontend.compile(
        frontend.Kind.JAX,
        program(SIGMOIDS[settings["sigmoid"]], settings["passes"]),
        [[shapes[name] for name in tables], [shapes[name] for name in penalties], shapes["y"]],
        {},
        list(inputs),
        [SECRET] * len(inputs),
        lambda outputs: [f"w{index}" for index in range(len(outputs))],
    )

    link = connect(settings, rank)
    started = time.monotonic()
    _ALIVE.append(link)
    runtime, io = spu.Runtime(link, config), spu.Io(parties, config)
    for name, (owner, _) in inputs.items():
        if rank == owner:
            shares = io.make_shares(own.pop(name), SECRET)
            for peer in range(parties):
                if peer != rank:
                    send(link, peer, shares[peer])
            runtime.set_var(name, shares[rank])
            del shares
        else:
            runtime.set_var(name, take(link, owner))
    runtime.run(executable)
    weights: list[float] = []
    for index, holder in enumerate(holders):
        share = runtime.get_var(f"w{index}")
        if rank != holder:
            send(link, holder, share)
            continue
        shares = [share if peer == rank else take(link, peer) for peer in range(parties)]
        opened = np.asarray(io.reconstruct(shares), np.float64).ravel()
        weights = (back @ opened).tolist()
    return {"train_s": time.monotonic() - started, "weights": weights, "peak_mib": peak_mib()}


def peak_mib() -> float:
    """This process's peak resident memory (``ru_maxrss`` would count its parent's before exec)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    given, number = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), int(sys.argv[2])
    found = main(given, number)
    path = Path(given["result"]) / f"{number}.json"
    path.with_suffix(".part").write_text(json.dumps(found), encoding="utf-8")
    path.with_suffix(".part").replace(path)
    # What it sent may not have arrived, and SPU's own farewell sometimes waits for a peer that has
    # left: whoever started all three ends them.
    threading.Event().wait()
