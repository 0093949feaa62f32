"""Events on the party's own pod, which ``kubectl describe pod`` shows: where its values ask for it.

An event says what the status says, in the same words: a phase, names of parties, what is wrong and
what to do about it; never a value of anybody's data. A thread of its own posts it. Who tells of a
state waits for nothing, and that no event can be posted ends nothing: it is in the log, once.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

from party.process.errors import printable
from party.process.exit import Stop
from party.reporting.documents import StatusDocument

EVENTS = "TFE_KIT_EVENTS"
"""In the environment: a directory with all that it takes. ``token`` and ``ca.crt`` for the API
server, and of the pod ``name``, ``namespace`` and ``uid``."""


class Tell(Protocol):
    """Told of a state, whether there is news in it or not; ``job`` is which of several it is of."""

    def __call__(self, state: StatusDocument, job: str = "") -> None: ...


_LONGEST = 1024  # of a message, as the API's newer events have it
_ANSWER_S = 3.0
_CLOSE_S = 5.0
_AGAIN_S, _AGAIN_AT_MOST_S = 5.0, 300.0
_PENDING = 16
_MANY, _WITHIN_S = 20, 600.0
"""So many within so long, whatever happens: a peer that comes and goes is not to fill an API server
with what this party says of it. How the party ends is always told."""

_NEVER = (400, 404, 413, 422)
"""Answers to an event that will be none another time either."""


@dataclass(frozen=True)
class Event:
    """What an event says: the fields of Kubernetes' own of these names."""

    reason: str
    type: Literal["Normal", "Warning"]
    message: str


def events_of(state: StatusDocument) -> Iterator[Event]:
    """What there is to tell of a state; the same again of one that goes on."""
    words, phase = state.message, state.phase
    asks = state.hint or state.where
    if phase == "failed":
        cause = state.cause or "internal"
        reason = cause.title().replace("-", "")
        yield _event(reason, cause != "stopped", words, state.hint)
    elif phase == "done":
        yield _event("Done", False, words)
    elif phase == "rejoining":
        yield _event("PeerLost", True, words)
    elif phase == "running":
        yield _event("Rejoined" if state.rejoins else "Running", False, words)
    elif phase == "joining" and not state.waiting_for:
        yield _event("Joining", False, words)
    elif phase == "joining" and words.startswith("waiting"):
        _, _, why = words.partition("; ")
        if why:
            yield _event("CannotJoin", True, why)
    elif phase in ("starting", "table") and asks:
        yield _event("AwaitsInput", True, words, state.hint)
    if state.disk_full:
        yield _event("DiskFull", True, "its disk takes nothing; the party goes on")


def _event(reason: str, warns: bool, what: str, hint: str | None = None) -> Event:
    text = " ".join((what if hint is None else f"{what}; do: {hint}").split())
    return Event(reason, "Warning" if warns else "Normal", printable(text, _LONGEST))


class Events:
    """Posts until ``close``, in a thread of its own.

    ``say`` is told once that events cannot be posted.
    """

    def __init__(self, directory: Path, say: Callable[[str], None]) -> None:
        self._directory, self._say = directory, say
        self._news = threading.Condition()
        self._pending: deque[tuple[Event, str]] = deque(maxlen=_PENDING)
        self._moments: deque[float] = deque(maxlen=_MANY)
        self._at: tuple[str, str | None] = "", None
        self._told: set[Event | str] = set()
        self._closing = self._complained = False
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def tell(self, state: StatusDocument, job: str = "") -> None:
        """A state, whether there is news in it or not; ``job`` is which of several it is of."""
        at = state.phase, state.since
        if self._at != at:
            self._at, self._told = at, set()
        for event in events_of(state):
            # In one phase the words of a loss count down, and what else is wrong is other news.
            key = event if event.reason in ("AwaitsInput", "CannotJoin") else event.reason
            if key in self._told or len(self._told) == _MANY:
                continue
            self._told.add(key)
            if self._is_due(ends=state.phase in ("done", "failed")):
                told = f"{job}: {event.message}" if job else event.message
                moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                with self._news:
                    self._pending.append((Event(event.reason, event.type, told), moment))
                    self._news.notify()

    def _is_due(self, ends: bool) -> bool:
        now = time.monotonic()
        if not ends and len(self._moments) == _MANY and now - self._moments[0] < _WITHIN_S:
            return False
        self._moments.append(now)
        return True

    def close(self) -> None:
        """Post what is left, within seconds or not at all."""
        with self._news:
            self._closing = True
            self._news.notify()
        with contextlib.suppress(Stop):
            self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        pause = _AGAIN_S
        while True:
            with self._news:
                self._news.wait_for(lambda: self._pending or self._closing)
                if not self._pending:
                    return
                last = self._closing
                event = self._pending[0]
            if self._posts(*event):
                pause = _AGAIN_S
                with self._news:
                    if self._pending[0] is event:  # one that is too many takes the oldest's place
                        self._pending.popleft()
                continue
            with self._news:
                if last:
                    return
                self._news.wait_for(lambda: self._closing, pause)
            pause = min(2 * pause, _AGAIN_AT_MOST_S)

    def _posts(self, event: Event, moment: str) -> bool:
        """Whether there is nothing more to do about an event."""
        try:
            answer = self._post(event, moment)
        except Exception as error:  # whatever it is, the party has other work
            answer, what = 0, type(error).__name__
        else:
            what = f"HTTP {answer}"
        if 200 <= answer < 300:
            return True
        if not self._complained:
            self._complained = True
            self._say(
                f"warning: no event on the pod can be made: {what}; the party goes on without"
            )
        return answer in _NEVER

    def _post(self, event: Event, moment: str) -> int:
        # Imported by this thread, since the party has begun its work by then.
        import ssl
        from http.client import HTTPSConnection

        # Each time: the kubelet puts a new token there before the old one ends.
        token, name, namespace, uid = map(self._read, ("token", "name", "namespace", "uid"))
        context = ssl.create_default_context(cafile=str(self._directory / "ca.crt"))
        # Many a cluster's own authority lacks an extension that strictness asks for.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        pod = {"apiVersion": "v1", "kind": "Pod", "name": name, "namespace": namespace, "uid": uid}
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{name}.", "namespace": namespace},
            "involvedObject": pod,
            "reason": event.reason,
            "type": event.type,
            "message": event.message[:_LONGEST],
            "count": 1,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "source": {"component": "tfe-kit"},
            "reportingComponent": "tfe-kit",
            "reportingInstance": name,
        }
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        line = HTTPSConnection(host, int(port), timeout=_ANSWER_S, context=context)
        try:
            line.request(
                "POST", f"/api/v1/namespaces/{namespace}/events", json.dumps(body), headers
            )
            return line.getresponse().status
        finally:
            line.close()

    def _read(self, name: str) -> str:
        return (self._directory / name).read_text(encoding="utf-8").strip()


@contextmanager
def on_the_pod(say: Callable[[str], None]) -> Iterator[Tell]:
    """What is to be told of states; nothing comes of it but where the environment asks for it."""
    directory = os.environ.get(EVENTS)
    if not directory:
        yield lambda state, job="": None
        return
    events = Events(Path(directory), say)
    try:
        yield events.tell
    finally:
        events.close()
