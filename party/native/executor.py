"""Runs schedules natively (``executor.c``)."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from enum import StrEnum
from threading import Lock

import numpy as np
import numpy.typing as npt

from party.agreement.parties import PARTIES
from party.native.channel import Connection
from party.native.instructions import INSTRUCTION, Op
from party.native.library import PARTY_COUNT, ErrorRecord, Frame, Program, library
from party.native.spill import Spill
from party.process.errors import TIME_IS_UP, Cause, JobError

SPIN = 50
"""Reads tried before a thread sleeps; on few cores, more of them takes time from the peers."""

_ALIGNMENT = 64
_NOTHING = (0, 0, 0)
_TABLE_TYPES = (np.dtype(np.float32), np.dtype(np.int64))
_TROUBLES = {
    1: "divides by zero",
    2: "meets a number that its type cannot hold",
    3: "does not exist, or not for its type",
}


class Kind(StrEnum):
    """Why a run ended (``enum kit_error_kind``, in its order)."""

    PEER_GONE = "peer_gone"
    BAD_FRAME = "bad_frame"
    ABORTED = "aborted"
    STOPPED = "stopped"
    TIME_LIMIT = "time_limit"
    SILENCE = "silence"
    STALLED = "stalled"
    ARITHMETIC = "arithmetic"
    SYSTEM = "system"


_KINDS = tuple(Kind)

PATIENCE = 10
"""``KIT_PATIENCE``: a peer that is alive may hold up what is due for so many limits of silence."""


NO_MEMORY = "out of memory"

_CAUSES: dict[Kind, Cause] = {
    Kind.PEER_GONE: "peer-unreachable",
    Kind.BAD_FRAME: "peer-failed",
    Kind.ABORTED: "peer-failed",
    Kind.STOPPED: "stopped",
    Kind.TIME_LIMIT: "time-limit",
    Kind.SILENCE: "peer-unreachable",
    Kind.STALLED: "peer-unreachable",
    Kind.ARITHMETIC: "internal",
    Kind.SYSTEM: "internal",
}


class RunError(JobError):
    """A run ended before its last step.

    ``kind``: why. ``peer``: the party (0, 1, 2) it ended with, if any. ``culprit``: the party at
    error: for ABORTED the one that ``peer`` names. ``step``: the step in which it happened.
    ``final``: whether new connections to the same peers cannot help.
    """

    def __init__(
        self,
        kind: Kind,
        peer: int | None,
        step: int,
        text: str,
        culprit: int | None = None,
        final: bool = True,
    ) -> None:
        super().__init__(text, cause=_CAUSES[kind] if text != NO_MEMORY else "out-of-memory")
        self.final = final
        self.kind = kind
        self.peer = peer
        self.step = step
        self.culprit = peer if culprit is None else culprit


class Executor:
    """Runs the schedule of one party over its connections to the others.

    Parameters
    ----------
    arena
        The memory of all operands, uint8, aligned to 64 bytes.
    index
        The pool of element indices, int32.
    connections
        By party, None where there is none. Their handshakes are done, nothing unread is theirs.
    me
        Which party this is.
    window
        By party, how many bytes it may be ahead of us; rounded up to a power of two, and to what it
        sends in one step.
    spin
        Reads tried before the thread sleeps.
    spill
        The shares that lie in a file and not in the arena, if there are any.
    """

    def __init__(
        self,
        arena: npt.NDArray[np.uint8],
        index: npt.NDArray[np.int32],
        connections: Sequence[Connection | None],
        me: int,
        window: Sequence[int],
        spin: int = SPIN,
        spill: Spill | None = None,
    ) -> None:
        self._handle: int | None = None
        if arena.dtype != np.uint8 or not arena.flags.c_contiguous or not arena.flags.writeable:
            raise ValueError("the arena is a writable, contiguous array of uint8")
        if arena.ctypes.data % _ALIGNMENT:
            raise ValueError(f"the arena is aligned to {_ALIGNMENT} bytes")
        if index.dtype != np.int32 or not index.flags.c_contiguous:
            raise ValueError("the index pool is a contiguous array of int32")
        if (
            len(connections) != PARTY_COUNT
            or len(window) != PARTY_COUNT
            or not 0 <= me < PARTY_COUNT
        ):
            raise ValueError("there are three parties")
        self._library = library()
        self._kept = (arena, index, tuple(connections), spill)  # what the native side points into
        self._running = Lock()
        handles = (c.handle if c is not None else None for c in connections)
        self._handle = self._library.kit_executor_new(
            arena.ctypes.data,
            index.ctypes.data,
            (ctypes.c_void_p * PARTY_COUNT)(*handles),
            me,
            (ctypes.c_int64 * PARTY_COUNT)(*window),
            spin,
            None if spill is None else spill.handle,
        )
        if not self._handle:
            raise RunError(Kind.SYSTEM, None, 0, NO_MEMORY)
        self._me = me
        self._final: tuple[dict[str, int], int] | None = None
        self._counters = self._library.kit_executor_counters(self._handle).contents

    def __del__(self) -> None:
        if self._handle:
            self._library.kit_executor_free(self._handle)
            self._handle = None

    def close(self) -> None:
        """Forget everything: what came from peers, what was queued for them, and the arena, which
        is all zeros then. The connections stay as they are. Not while it runs."""
        with self._running:
            self._final = self.counters, self.progress
            self.__del__()
            arena, _, _, spill = self._kept
            wipe(arena, spill)

    def run(
        self,
        code: npt.NDArray[np.void],
        first_step: int,
        steps: int,
        rows: npt.NDArray[np.int32] | None = None,
        table: npt.NDArray[np.float32] | npt.NDArray[np.int64] | None = None,
        time_limit_s: float = 0.0,
        silence_limit_s: float = 0.0,
    ) -> None:
        """Run the code ``steps`` times; blocks, and lets other threads run meanwhile.

        Python handles signals in its main thread only, between its own instructions: call this in
        another thread, so that a signal can be answered with ``stop``.

        Parameters
        ----------
        code
            Instructions that ``party.schedule`` has verified for this arena and index pool.
        first_step
            The number of the first step, which messages carry.
        rows
            Indices into the table, flat: for each step the batch that INPUT reads.
        table
            The party's own rows, C-contiguous: numbers, or of the ring; as INPUT says.
        time_limit_s, silence_limit_s
            For the whole run, and for a peer that is awaited and not heard of; 0 for no limit. A
            peer that is heard of has ``PATIENCE`` times the latter for each message.

        Raises RunError; the peers have been told then, and the executor is over.
        """
        if code.dtype != INSTRUCTION or code.ndim != 1 or not code.flags.c_contiguous:
            raise ValueError("the code is a contiguous array of INSTRUCTION")
        if rows is not None and (rows.dtype != np.int32 or not rows.flags.c_contiguous):
            raise ValueError("the rows are a contiguous array of int32")
        if table is not None and (
            table.dtype not in _TABLE_TYPES or table.ndim != 2 or not table.flags.c_contiguous
        ):
            raise ValueError("the table is a contiguous matrix of float32 or int64")
        if first_step < 0 or steps < 0:
            raise ValueError("steps are counted from 0")
        program = Program(
            code=code.ctypes.data,
            count=len(code),
            first_step=first_step,
            steps=steps,
            rows=None if rows is None else rows.ctypes.data,
            row_count=0 if rows is None else rows.size,
            table=None if table is None else table.ctypes.data,
            table_rows=0 if table is None else table.shape[0],
            table_columns=0 if table is None else table.shape[1],
            table_element=0 if table is None else table.itemsize,
            time_limit=time_limit_s,
            silence_limit=silence_limit_s,
        )
        record = ErrorRecord()
        with self._running:
            if self._library.kit_executor_run(self._ready(), program, record):
                raise self._error(record, code, silence_limit_s)

    def meet(
        self, step: int, said: int, time_limit_s: float = 0.0, silence_limit_s: float = 0.0
    ) -> tuple[int, int, int]:
        """Wait, between two runs, until all three have got to this step; returns the numbers that
        they say there, by party, one's own too. Raises RunError, as ``run`` does."""
        heard = (ctypes.c_uint64 * PARTY_COUNT)()
        record = ErrorRecord()
        with self._running:
            if self._library.kit_executor_meet(
                self._ready(), step, said, heard, time_limit_s, silence_limit_s, record
            ):
                raise self._error(record, None, silence_limit_s)
        return heard[0], heard[1], heard[2]

    def finish(self, time_limit_s: float = 0.0, silence_limit_s: float = 120.0) -> None:
        """End every connection in order: returns once each peer has said that it sends no more.

        Raises RunError, as ``run`` does; anything else that a peer sends is a bad frame.
        """
        record = ErrorRecord()
        with self._running:
            if self._library.kit_executor_finish(
                self._ready(), time_limit_s, silence_limit_s, record
            ):
                raise self._error(record, None, silence_limit_s)

    def stop(self) -> None:
        """From any thread: what runs, or will run, ends at once as STOPPED."""
        if self._handle:
            self._library.kit_executor_stop(self._handle)

    @property
    def progress(self) -> int:
        """Steps done in all runs so far."""
        if self._final:
            return self._final[1]
        done: int = self._counters.progress
        return done

    @property
    def counters(self) -> dict[str, int]:
        """``bytes_sent``, ``bytes_received`` (before TLS), ``messages_sent``,
        ``messages_received``, ``writes`` (system calls) and ``waits`` (times it slept)."""
        if self._final:
            return dict(self._final[0])
        return {
            name: getattr(self._counters, name)
            for name, _ in self._counters._fields_
            if name != "progress"
        }

    def _ready(self) -> int:
        """The native executor. ValueError if it is closed, ChannelError if a connection is."""
        if not self._handle:
            raise ValueError("the executor is closed")
        for connection in self._kept[2]:
            if connection is not None:
                _ = connection.handle
        return self._handle

    def _error(
        self, record: ErrorRecord, code: npt.NDArray[np.void] | None, silence_s: float
    ) -> RunError:
        kind = _KINDS[record.kind - 1]
        peer = None if record.peer < 0 else record.peer
        who = "" if peer is None else PARTIES[peer]
        detail = record.text.decode(errors="replace")
        match kind:
            case Kind.PEER_GONE:
                text = f"{who} is gone: {detail}"
            case Kind.BAD_FRAME:
                text = _bad_frame(who, record.expected, record.got)
            case Kind.ABORTED:
                text = f"{who} gave up" + self._because_of(peer, record.culprit)
            case Kind.STOPPED:
                text = "stopped"
            case Kind.TIME_LIMIT:
                text = TIME_IS_UP + (f" while waiting for {who}" if who else "")
            case Kind.SILENCE:
                text = f"nothing has been heard of {who} for {silence_s:g} s"
            case Kind.STALLED:
                text = f"{who} is alive, but has held up what is due for {PATIENCE * silence_s:g} s"
            case Kind.ARITHMETIC:
                at = record.instruction
                name = "" if code is None else _op_name(int(code["op"][at]))
                text = f"instruction {at}{name} {_TROUBLES[record.trouble]}"
            case Kind.SYSTEM:
                text = detail
        return RunError(kind, peer, record.step, text, record.culprit, bool(record.final))

    def _because_of(self, peer: int | None, culprit: int) -> str:
        if culprit == peer:
            return ""
        return " because of " + ("us" if culprit == self._me else PARTIES[culprit])


def wipe(arena: npt.NDArray[np.uint8], spill: Spill | None) -> None:
    """Zeros all of an arena but what lies in a file, where no memory is."""
    begin = 0
    for share in sorted(() if spill is None else spill.shares, key=lambda one: one.place):
        arena[begin : share.place] = 0
        begin = share.place + share.rows * share.width
    arena[begin:] = 0


def _bad_frame(who: str, expected: Frame, got: Frame) -> str:
    def words(frame: Frame) -> str:
        return f"step {frame.step}, message {frame.key}, {frame.bytes} bytes"

    if (expected.step, expected.key, expected.bytes) == _NOTHING:
        return f"{who} sent more than was agreed ({words(got)})"
    return f"{who} sent {words(got)}, where {words(expected)} was due"


def _op_name(op: int) -> str:
    return f" ({Op(op).name})" if op in set(Op) else ""
