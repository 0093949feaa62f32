"""The tensorflow runtime: the same plan, run by TensorFlow's own distributed master.

This is how the published walk-through runs. Alice's process is the coordinator: it sends graphs to
the servers of the other two, who run whatever they are sent, from anyone who reaches their port,
and nothing between them is encrypted. So it is a yardstick for the sealed runtime, for parties who
trust Alice and the network with everything; it is never chosen but by name.
"""

from __future__ import annotations

import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from party.agreement.job import PARTIES, Job, Party
from party.agreement.order import blocks
from party.plan.graph import Plan, Share
from party.plan.parameters import PlanParameters
from party.process.errors import TIME_IS_UP, InputError, JobError
from party.reporting.documents import Times
from party.runtime import WARNING, Assignment, Outcome

if TYPE_CHECKING:
    from party.compiler.build import BuiltProgram

SILENCE_LIMIT_S = 120.0
_BEAT_EVERY_S = 0.5
_GOODBYE_MS = 10_000
_LINGER_S = 1.0
"""How long a server still answers the coordinator after it has heard that the job is done."""
_COORDINATOR = 0


def train(assignment: Assignment) -> Outcome:
    """Serve TensorFlow to the coordinator, or be it.

    Raises JobError when a party is missing, goes away or falls silent.
    """
    status = assignment.status
    if assignment.job.receivers != ("alice",):
        raise InputError(
            "the tensorflow runtime gives the model to its coordinator, alice, and to nobody else",
            "result",
            "leave the key out, or use the sealed runtime",
        )
    if assignment.job.align is not None:
        raise InputError(
            "the tensorflow runtime cannot align tables",
            "align",
            "leave it out, or use the sealed runtime",
        )
    if assignment.job.batches_of is None:
        raise InputError(
            "the tensorflow runtime trains by mini-batches alone",
            "training",
            "write epochs, batch_size and learning_rate, or use the sealed runtime",
        )
    print(f"warning: {WARNING}", file=sys.stderr, flush=True)
    if assignment.listen != assignment.hosts[assignment.index]:
        raise InputError(
            "the tensorflow runtime listens where the hosts map says",
            "--listen",
            "leave the option out",
        )
    begin = time.monotonic()
    status.enter("plan", "importing TensorFlow")
    from party.compiler import compat

    compat.load()
    imported = time.monotonic()
    status.enter("joining", "serving TensorFlow, without encryption")
    server = _serve(assignment)
    if assignment.index == _COORDINATOR:
        outcome = _coordinate(assignment, server)
    else:
        outcome = _serve_to_the_end(assignment, server)
    outcome.times = outcome.times.also(import_s=imported - begin)
    return outcome


def _serve(assignment: Assignment) -> Any:
    """This party's TensorFlow server, holding its table and the coordinator's heartbeat."""
    import tensorflow as tf

    cluster = tf.train.ClusterSpec({"tfe": [str(address) for address in assignment.hosts]})
    try:
        server = tf.distribute.Server(cluster, job_name="tfe", task_index=assignment.index)
    except tf.errors.OpError:
        what = f"cannot listen on {assignment.hosts[assignment.index]}"
        hint = "is it an address of this machine, and the port free? see the hosts map"
        raise InputError(what, hint=hint) from None
    with (
        tf.Graph().as_default(),
        tf.compat.v1.Session(server.target, config=_only(assignment)) as s,
    ):
        s.run(_heartbeat(assignment.index).initializer)
        if assignment.table is not None:
            matrix = assignment.table.matrix
            fed = tf.compat.v1.placeholder(tf.float32, matrix.shape)
            s.run(_table(assignment.index, matrix.shape).assign(fed), {fed: matrix})
    return server


def _coordinate(assignment: Assignment, server: Any) -> Outcome:
    import tensorflow as tf

    from party.compiler.build import build, build_program

    job, status = assignment.job, assignment.status
    parameters = PlanParameters.of(job)
    begin = time.monotonic()
    plan = build(parameters)
    built = {name: build_program(parameters, name) for name in ("share", "step", "open")}
    built_at = time.monotonic()
    _await_others(assignment)

    with tf.Graph().as_default():
        state = _state(plan)
        widths = {index: plan.parameters.layout.columns_of(index) for index in _holders(job)}
        tables = {index: _table(index, (job.rows, width)) for index, width in widths.items()}
        share, share_rows = _run_by_rows(built["share"], plan, state, tables)
        step, rows = _run_by_rows(built["step"], plan, state, tables)
        opened = _opened(built["open"], state)
        initial = [variable.initializer for variable in state.values()]
        beat_fed = tf.compat.v1.placeholder(tf.int64, [])
        beats = [_heartbeat(index) for index in range(len(PARTIES))]
        beat = [variable.assign(beat_fed) for variable in beats]
        with tf.compat.v1.Session(server.target) as session, _explained(assignment) as at:
            _await_tables(assignment, session, beats)
            session.run(initial)
            for block in blocks(job.rows, parameters.layout.share_rows):
                session.run(share, {share_rows: block}, _limit(assignment, time.monotonic()))
            connected = time.monotonic()
            status.enter("running", "all three are here")
            last = 0.0
            for epoch in range(job.epochs):
                for batch in job.batches(epoch):
                    session.run(step, {rows: batch}, _limit(assignment, connected))
                    at[0] += 1
                    now = time.monotonic()
                    if now - last >= _BEAT_EVERY_S:
                        last = now
                        session.run(beat, {beat_fed: at[0]})
                        status.step(at[0], at[0] / (now - connected))
            values = session.run(opened, None, _limit(assignment, connected))
            trained = time.monotonic()
            _say_done(session, beat[1:], {beat_fed: job.steps + 1})
    status.step(job.steps, None)
    return Outcome(
        opened={name: array.reshape(-1) / plan.scale for name, array in values.items()},
        plan_digest=plan.digest,
        run="",
        times=Times(
            build_s=built_at - begin,
            connect_s=connected - built_at,
            train_s=trained - connected,
            step_s=(trained - connected) / job.steps,
        ),
    )


def _say_done(session: Any, told: list[Any], fed: dict[Any, int]) -> None:
    """Tell the others that the job is done, each by itself. Who hears it leaves; that one is gone
    before its server has answered is no failure, since the weights are here."""
    import tensorflow as tf

    for beat in told:
        with suppress(tf.errors.OpError):
            session.run(beat, fed, tf.compat.v1.RunOptions(timeout_in_ms=_GOODBYE_MS))


def _serve_to_the_end(assignment: Assignment, server: Any) -> Outcome:
    """Watch the coordinator's heartbeat until it says that the job is done."""
    import tensorflow as tf

    job, status = assignment.job, assignment.status
    begin = last = time.monotonic()
    seen, started = 0, begin
    with tf.Graph().as_default():
        beat = _heartbeat(assignment.index)
        with tf.compat.v1.Session(server.target, config=_only(assignment)) as session:
            while (at := int(session.run(beat))) <= job.steps:
                now = time.monotonic()
                if at != seen:
                    if seen == 0:
                        started = now
                        status.enter("running", "the coordinator has begun")
                    seen, last = at, now
                    status.step(at, None)
                elif seen == 0 and now - begin > assignment.wait_s:
                    raise JobError(f"alice did not begin within {assignment.wait_s:g} s")
                elif seen == 0:
                    waited = f"waiting for alice ({now - begin:.0f} s of {assignment.wait_s:.0f})"
                    status.waiting(waited, ["alice"])
                elif now - last > SILENCE_LIMIT_S:
                    raise JobError(f"alice fell silent at step {seen} of {job.steps}")
                time.sleep(_BEAT_EVERY_S)
            train_s = time.monotonic() - started
            time.sleep(_LINGER_S)
    status.step(job.steps, None)
    return Outcome(
        opened={},
        plan_digest="",
        run="",
        times=Times(
            connect_s=started - begin,
            train_s=train_s,
            step_s=train_s / job.steps,
        ),
    )


def _holders(job: Job) -> list[int]:
    return [PARTIES.index(party) for party in job.holders]


def _state(plan: Plan) -> dict[Share, Any]:
    """The shares of the state, in variables at their parties."""
    import tensorflow as tf

    from party.compiler.build import device

    variables = {}
    for shared in plan.state:
        for index, held in enumerate(shared.parts):
            for position in range(len(held)):
                with tf.device(device(index)):
                    variables[Share(shared.name, index, position)] = tf.compat.v1.get_variable(
                        f"{PARTIES[index]}/{shared.name}/{position}",
                        initializer=np.zeros(shared.shape, shared.dtype),
                        use_resource=True,
                    )
    return variables


def _run_by_rows(
    built: BuiltProgram, plan: Plan, state: dict[Share, Any], tables: dict[int, Any]
) -> tuple[Any, Any]:
    """A program in the current graph, its batches read from the parties' tables and its state in
    the variables: what to run, and the rows to feed."""
    import tensorflow as tf

    from party.compiler.build import device

    v1 = tf.compat.v1
    by_rows = {shared.name for shared in plan.state if shared.by_rows}
    rows = v1.placeholder(tf.int32, [None])
    fed: dict[str, Any] = {}
    for placeholder, index, first in built.inputs:
        with tf.device(device(index)):
            last = first + int(placeholder.shape[1])
            batch = tf.gather(tables[index].read_value(), rows)[:, first:last]
            fed[placeholder.name] = tf.ensure_shape(batch, placeholder.shape)
    for placeholder, share in built.reads:
        with tf.device(device(share.party)):
            value = state[share].read_value()
            if share.value in by_rows:
                value = tf.ensure_shape(tf.gather(value, rows), placeholder.shape)
            fed[placeholder.name] = value
    found = tf.import_graph_def(
        built.graph.as_graph_def(),
        input_map=fed,
        return_elements=[tensor.name for tensor, _ in built.writes],
        name=built.name,
    )
    with v1.control_dependencies(found):
        assigned = []
        for new, (_, share) in zip(found, built.writes, strict=True):
            variable = state[share]
            with tf.device(device(share.party)):
                if share.value in by_rows:
                    assigned.append(variable.scatter_update(tf.IndexedSlices(new, rows)))
                else:
                    assigned.append(variable.assign(new))
    return tf.group(*assigned), rows


def _opened(built: BuiltProgram, state: dict[Share, Any]) -> dict[str, Any]:
    """The opened values, in fixed point, by name."""
    import tensorflow as tf

    fed = {placeholder.name: state[share].read_value() for placeholder, share in built.reads}
    found = tf.import_graph_def(
        built.graph.as_graph_def(),
        input_map=fed,
        return_elements=[tensor.name for tensor, _ in built.opens],
        name=built.name,
    )
    return {name: tensor for tensor, (_, name) in zip(found, built.opens, strict=True)}


def _table(index: int, shape: tuple[int, ...]) -> Any:
    """The variable in which a party's server holds its table."""
    return _variable(index, "table", "float32", shape)


def _heartbeat(index: int) -> Any:
    """The variable in which the coordinator tells a party how many steps are done."""
    return _variable(index, "heartbeat", "int64", ())


def _variable(index: int, name: str, dtype: str, shape: tuple[int, ...]) -> Any:
    import tensorflow as tf

    from party.compiler.build import device

    with tf.device(device(index)):
        return tf.compat.v1.get_variable(
            f"{PARTIES[index]}/{name}",
            shape,
            tf.as_dtype(dtype),
            tf.compat.v1.zeros_initializer(),
            use_resource=True,
        )


def _only(assignment: Assignment) -> Any:
    """A session's configuration for this party's own server, which waits for no other."""
    import tensorflow as tf

    return tf.compat.v1.ConfigProto(device_filters=[f"/job:tfe/task:{assignment.index}"])


def _await_others(assignment: Assignment) -> None:
    """Until the other parties' ports answer."""
    begin = time.monotonic()
    missing: list[Party] = ["bob", "server"]
    while True:
        for party in list(missing):
            address = assignment.hosts[PARTIES.index(party)]
            try:
                with socket.create_connection((address.host, address.port), 1.0):
                    missing.remove(party)
            except OSError:
                continue
        if not missing:
            return
        _wait(assignment, begin, missing)


def _await_tables(assignment: Assignment, session: Any, beats: list[Any]) -> None:
    """Until the other parties hold their tables."""
    import tensorflow as tf

    begin = time.monotonic()
    every = tf.compat.v1.global_variables()
    tables = [variable for variable in every if "/table:" in variable.name]
    ready = [tf.compat.v1.is_variable_initialized(variable) for variable in [*tables, *beats]]
    while not all(session.run(ready)):
        _wait(assignment, begin, ["bob", "server"])


def _wait(assignment: Assignment, begin: float, missing: list[Party]) -> None:
    waited, names = time.monotonic() - begin, " and ".join(missing)
    if waited > assignment.wait_s:
        raise JobError(f"{names} did not come within {assignment.wait_s:g} s")
    text = f"waiting for {names} ({waited:.0f} s of {assignment.wait_s:.0f})"
    assignment.status.waiting(text, missing)
    time.sleep(_BEAT_EVERY_S)


def _limit(assignment: Assignment, begin: float) -> Any:
    """Options of one call: what is left of the time limit, or of patience."""
    import tensorflow as tf

    left = SILENCE_LIMIT_S
    if assignment.time_limit_s is not None:
        left = min(left, assignment.time_limit_s - (time.monotonic() - begin))
        if left <= 0:
            raise JobError(TIME_IS_UP)
    return tf.compat.v1.RunOptions(timeout_in_ms=max(1, int(left * 1000)))


@contextmanager
def _explained(assignment: Assignment) -> Iterator[list[int]]:
    """TensorFlow's errors in the job's terms. Yields the count of steps, for its user to keep."""
    import tensorflow as tf

    from party.process.exit import Stop

    at = [0]

    def when() -> str:
        return f"at step {at[0]} of {assignment.job.steps} ({datetime.now():%H:%M:%S})"

    try:
        yield at
    except Stop:
        raise JobError(f"stopped {when()}") from None
    except JobError as failure:
        raise JobError(f"{failure.what} {when()}", failure.where, failure.hint) from None
    except tf.errors.DeadlineExceededError:
        raise JobError(f"{TIME_IS_UP} {when()}") from None
    except tf.errors.OpError as error:
        found = re.search(r"/task:([12])\b", error.message or "")
        who = PARTIES[int(found[1])] if found else "a party"
        gone = isinstance(error, tf.errors.UnavailableError | tf.errors.AbortedError)
        what = "went away" if gone else f"failed ({type(error).__name__})"
        raise JobError(f"{who} {what} {when()}") from None
