"""Joining: how three parties find each other, and agree, before any private byte leaves.

A party of higher index dials those of lower index and tries again until they are there. Both ends
of a connection show a certificate (mutual TLS 1.3) and then say hello: versions, digests of job and
plan, the fields of the job. Whatever differs ends the join at all three, with the field that does.
Then everybody says ready. Two parties can never be certain that the third heard them, so ready
names the run by all three hellos' nonces: a party starts once both others are ready for the same
run as itself, and one that was restarted meanwhile makes it another run.

Strangers can do no more than connect. One thread and one loop serve all connections, none of which
can make the others wait; those that have not shown a party's certificate are few, cost little and
live shortly.

A message of the join is its length, 4 bytes little-endian, at most 4096, and that much JSON:

    {"type": "hello", "protocol_version": 1, "party": ..., "run": nonce, "versions": {...},
     "job": digest, "job_fields": {field: value as JSON text}, "plan": digest}
    {"type": "ready", "run": digest of the three nonces}
    {"type": "refusal", "what": why this party will not start, "hint": what to do about it}
    {"type": "taken"}                                     another connection of this party lives

After ready the connections, and every byte on them, are the executor's.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import ipaddress
import json
import os
import re
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from queue import SimpleQueue
from typing import Any

from party.agreement.hosts import Address, Hosts
from party.agreement.job import PARTIES, Job, Party
from party.channel.hello import checked_hello, checked_refusal, difference, hello, refusal
from party.identity import Keys, party_of
from party.native import ChannelError, Connection, Context, Want
from party.process.errors import InputError, JobError, KitError, printable

STRANGERS = 256
"""Connections at a time whose other end has not shown a party's certificate."""

HANDSHAKES = 64
"""Those of them that have said something: from then on a connection takes memory."""

STAGE_S = 10.0
"""How long a connection may take to shake hands, and then to say hello."""

FAREWELL_S = 2.0
"""How long a refusal may take to reach the other end."""

_FIRST_RETRY_S, _LAST_RETRY_S = 0.05, 1.0
_REFUSALS_EVERY_S = 10.0
_MESSAGE_BYTES = 4096
_MOST_READIES = 64  # on one connection: each stands for another party's coming and going
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

Report = Callable[[str, Sequence[Party]], None]
"""Told, about once a second, how the join stands and which parties are still awaited: a text that
begins with "waiting", or news."""


@dataclass(frozen=True, eq=False)
class Joined:
    """Three parties that agree, until it is closed.

    Attributes:
        connections: to alice, bob and server; None in one's own place.
        run: a name of this run that all three share, and no other run has.
    """

    connections: tuple[Connection | None, Connection | None, Connection | None]
    run: str
    _sockets: tuple[socket.socket, ...]

    def __enter__(self) -> Joined:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up, and forget the keys. What was said last still arrives: a socket closed with
        bytes unread would make TCP throw that away, so the other end may hang up first."""
        for connection in self.connections:
            if connection is not None:
                connection.close()
        poll, left = select.poll(), {one.fileno(): one for one in self._sockets}
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_WR)
            poll.register(one, select.POLLIN)
        end = time.monotonic() + FAREWELL_S
        while left and (left_s := end - time.monotonic()) > 0:
            for number, _ in poll.poll(left_s * 1000):
                if _drained(left[number]):
                    poll.unregister(number)
                    del left[number]
        for one in self._sockets:
            one.close()


def join(
    job: Job,
    party: Party,
    hosts: Hosts,
    keys: Keys,
    plan_digest: str,
    listener: socket.socket | None,
    wait_s: float,
    report: Report,
) -> Joined:
    """Connect to both other parties and agree with them.

    ``listener`` is where higher parties find this one, see ``listen``; the third server needs none.
    It is closed on return.

    Raises JobError when the parties disagree, or when one is missing after ``wait_s`` seconds;
    InputError when the keys are wrong.
    """
    try:
        context = Context(keys.authority, keys.certificate, keys.key)
    except ChannelError as error:
        raise InputError(f"the keys cannot be used: {error}", str(keys.key.parent)) from None
    attempt = _Join(job, party, hosts, hello(job, party, plan_digest), context, listener, report)
    try:
        return attempt.run(wait_s)
    finally:
        attempt.close()


def listen(address: Address, or_everywhere: bool = True) -> socket.socket:
    """A listening socket at an address of this machine, or, where the name or address is not this
    machine's, at its port on all addresses: behind a Service or a router one's own entry in the
    hosts map belongs to that. Raises InputError where that cannot be had.

    ``or_everywhere=False`` is for what is to be heard nowhere but where it was said."""
    places: list[tuple[int, Any]] = []
    with contextlib.suppress(OSError):
        named = re.search("[a-z]", address.host) and address.host != "localhost"
        # A machine's own name often stands for its loopback address, where no peer finds it.
        places = [
            (family, place)
            for family, place in _lookup(address)
            if not (named and ipaddress.ip_address(place[0]).is_loopback)
        ]
    if or_everywhere:
        places.append((socket.AF_INET6, ("::", address.port)))
        places.append((socket.AF_INET, ("0.0.0.0", address.port)))  # noqa: S104 - said above
    problem = "it is no address of this machine"
    for family, place in places:
        everywhere = place[0] == "::" and socket.has_dualstack_ipv6()
        try:
            return socket.create_server(
                place[:2], family=family, backlog=1024, dualstack_ipv6=everywhere
            )
        except OSError as error:
            problem = os.strerror(error.errno or 0)
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                break
    raise InputError(
        f"cannot listen on {address}: {problem}", hint="choose another port or end who has it"
    )


class _Stage(Enum):
    CONNECTING = auto()  # dialled, TCP not yet there
    SILENT = auto()  # accepted, not a byte yet: costs a descriptor and nothing else
    HANDSHAKE = auto()
    HELLO = auto()  # a party by its certificate; its hello is awaited
    AGREED = auto()
    LEAVING = auto()  # says its last words


@dataclass(eq=False)
class _Link:
    """One connection on its way."""

    socket: socket.socket
    stage: _Stage
    deadline: float
    address: str
    source: str
    dialled: _Dial | None = None
    connection: Connection | None = None
    party: Party | None = None
    wants_write: bool = False
    out: bytes = b""  # to be said
    flushed: bool = True  # whether all that was said is on its way
    got: bytes = b""
    hello: dict[str, Any] | None = None
    ready: str | None = None  # the run that the other end is ready for
    readies: int = 0  # how often it has said so
    said_ready: str | None = None


@dataclass(eq=False)
class _Dial:
    """A party that this one connects to."""

    party: Party
    address: Address
    delay: float = _FIRST_RETRY_S
    next_try: float = 0.0
    busy: bool = False  # being looked up, or linked
    places: list[tuple[int, Any]] = field(default_factory=list)  # still to be tried
    problem: str = "not tried yet"


class _Gone(Exception):
    """The link is of no more use, and why."""


class _Join:
    def __init__(
        self,
        job: Job,
        party: Party,
        hosts: Hosts,
        own_hello: dict[str, Any],
        context: Context,
        listener: socket.socket | None,
        report: Report,
    ) -> None:
        self.job, self.party, self.hosts = job, party, hosts
        self.hello, self.context, self.report = own_hello, context, report
        self.listener = listener
        if listener is not None:
            listener.setblocking(False)
        index = PARTIES.index(party)
        self.others: list[Party] = [one for one in PARTIES if one != party]
        self.dials = [_Dial(one, hosts[PARTIES.index(one)]) for one in self.others[:index]]
        self.links: dict[int, _Link] = {}
        self.peers: dict[Party, _Link] = {}  # links whose certificate named their party
        self.refused: Counter[str] = Counter()  # since the last report, by reason
        self.last_refused = ""
        self.refusals_told = float("-inf")
        self.looked_up: SimpleQueue[tuple[_Dial, list[tuple[int, Any]] | str]] = SimpleQueue()
        self.run_name: str | None = None
        self.failure: KitError | None = None  # why this party will not start
        self.refusal: dict[str, Any] = {}  # and how it tells the others, who have a moment to come
        self.refusal_ends = 0.0
        self.told: set[Party] = set()
        self.left: dict[Party, float] = {}  # when it was last said that a party went away
        # Wakes the loop when a name was looked up, which happens in a thread because it blocks.
        self.wake, self.woken = socket.socketpair()
        self.wake.setblocking(False)
        self.woken.setblocking(False)

    # The loop.

    def run(self, wait_s: float) -> Joined:
        started = now = time.monotonic()
        next_report = started + 1.0
        while True:
            self._expire(now)
            for dial in self.dials:
                if not dial.busy and now >= dial.next_try and dial.party not in self.told:
                    self._dial(dial)
            if self.failure is None and self._everybody_is_ready():
                return self._hand_over()
            if self.failure is not None and (now > self.refusal_ends or self._all_are_told()):
                raise self.failure
            if now - started > wait_s and self.failure is None:
                raise self._nobody_came(wait_s)
            if now >= next_report and self.failure is None:
                self._tell(now - started, wait_s)
                next_report = now + 1.0
            self._serve(min(next_report, self._next_event(), started + wait_s) - now)
            now = time.monotonic()

    def close(self) -> None:
        """Give up everything that was not handed over."""
        for link in list(self.links.values()):
            self._drop(link)
        for one in (self.listener, self.wake, self.woken):
            if one is not None:
                one.close()

    def _next_event(self) -> float:
        moments = [link.deadline for link in self.links.values()]
        moments += [one.next_try for one in self.dials if not one.busy]
        return min(moments, default=float("inf"))

    def _serve(self, timeout_s: float) -> None:
        poll = select.poll()
        poll.register(self.woken, select.POLLIN)
        if self.listener is not None:
            poll.register(self.listener, select.POLLIN)
        for number, link in self.links.items():
            poll.register(number, self._interest(link))
        events = dict(poll.poll(max(0.0, min(timeout_s, 1.0)) * 1000 + 1))
        # Those who are connected come before those who want to be: a party that was restarted is
        # let in as soon as its former connection is seen to be dead.
        for number in [n for n in events if n in self.links]:
            if number in self.links:
                self._attend(self.links[number], events[number])
        if self.woken.fileno() in events:
            self._found()
        if self.listener is not None and self.listener.fileno() in events:
            self._accept()

    def _interest(self, link: _Link) -> int:
        gone = int(select.POLLRDHUP)
        if link.stage is _Stage.CONNECTING:
            return select.POLLOUT
        if link.stage is _Stage.SILENT:
            return select.POLLIN
        if link.stage is _Stage.HANDSHAKE:
            return select.POLLOUT if link.wants_write else select.POLLIN
        interest = gone
        if not self._is_ready(link):
            # What comes after ready belongs to the executor: it stays unread.
            interest |= select.POLLIN
        if not link.flushed:
            interest |= select.POLLOUT
        return interest

    def _attend(self, link: _Link, events: int) -> None:
        with self._losing(link):
            if link.stage is _Stage.CONNECTING:
                self._connected(link)
            elif link.stage is _Stage.SILENT:
                talking = [one for one in self._strangers() if one.stage is not _Stage.SILENT]
                self._make_room(talking, HANDSHAKES)
                link.connection = Connection(self.context, link.socket.fileno(), server=True)
                link.stage = _Stage.HANDSHAKE
                self._shake_hands(link)
            elif link.stage is _Stage.HANDSHAKE:
                self._shake_hands(link)
            elif link.stage is _Stage.LEAVING:
                self._leave(link)
            else:
                self._converse(link, ended=bool(events & ~(select.POLLIN | select.POLLOUT)))

    @contextlib.contextmanager
    def _losing(self, link: _Link) -> Iterator[None]:
        """Whatever goes wrong with a link costs that link and nothing else."""
        try:
            yield
        except OSError as problem:
            self._lose(link, problem.strerror or type(problem).__name__)
        except (ChannelError, _Gone) as problem:
            self._lose(link, str(problem))

    def _expire(self, now: float) -> None:
        for link in [link for link in self.links.values() if now > link.deadline]:
            what = "shake hands" if link.party is None else "say hello"
            if link.stage is _Stage.CONNECTING:
                what = "answer"
            self._lose(link, f"did not {what} within {STAGE_S:.0f} s")

    # Reaching the parties of lower index.

    def _dial(self, dial: _Dial) -> None:
        dial.busy = True
        if not dial.places:
            try:
                dial.places = _lookup(dial.address, _NUMERIC)
            except OSError:
                self._look_up(dial)
                return
        self._connect(dial)

    def _look_up(self, dial: _Dial) -> None:
        """Ask for a name's addresses in a thread, because that blocks, for as long as it likes."""

        def ask() -> None:
            try:
                self.looked_up.put((dial, _lookup(dial.address)))
            except OSError as error:
                self.looked_up.put((dial, f"its name is not known ({error.strerror})"))
            with contextlib.suppress(OSError):
                self.wake.send(b"\0")

        threading.Thread(target=ask, daemon=True).start()

    def _found(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.woken.recv(64)
        while not self.looked_up.empty():
            dial, found = self.looked_up.get()
            if isinstance(found, str):
                self._later(dial, found)
            else:
                dial.places = found
                self._connect(dial)

    def _connect(self, dial: _Dial) -> None:
        family, place = dial.places.pop(0)
        try:
            one = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            self._later(dial, error.strerror or "no socket")
            return
        one.setblocking(False)
        link = _Link(
            one,
            _Stage.CONNECTING,
            time.monotonic() + STAGE_S,
            address=str(dial.address),
            source=str(place[0]),
            dialled=dial,
        )
        self.links[one.fileno()] = link
        code = one.connect_ex(place)
        if code not in (0, errno.EINPROGRESS):
            self._lose(link, os.strerror(code))

    def _connected(self, link: _Link) -> None:
        code = link.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        _tune(link.socket)
        link.connection = Connection(self.context, link.socket.fileno(), server=False)
        link.stage = _Stage.HANDSHAKE
        self._shake_hands(link)

    def _later(self, dial: _Dial, problem: str) -> None:
        dial.problem, dial.busy = problem, False
        if dial.places:  # the name's next address, at once
            dial.next_try = 0.0
            return
        dial.next_try = time.monotonic() + dial.delay
        dial.delay = min(dial.delay * 1.6, _LAST_RETRY_S)

    # Being reached by the parties of higher index.

    def _accept(self) -> None:
        assert self.listener is not None
        for _ in range(64):
            try:
                one, place = self.listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # Out of descriptors or memory: the oldest stranger makes room.
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._make_room(self._strangers(), 1)
                return
            self._make_room(self._strangers(), STRANGERS)
            one.setblocking(False)
            _tune(one)
            source = str(place[0])
            self.links[one.fileno()] = _Link(
                one,
                _Stage.SILENT,
                time.monotonic() + STAGE_S,
                address=str(Address(source.removeprefix("::ffff:"), place[1])),
                source=source,
            )

    def _strangers(self) -> list[_Link]:
        """The accepted connections of whoever is not a peer, the oldest first."""
        peers = self.peers.values()
        return [one for one in self.links.values() if one.dialled is None and one not in peers]

    def _make_room(self, among: list[_Link], limit: int) -> None:
        """For one more: the source with the most of them gives up its oldest, so that whoever
        floods from one place crowds out itself."""
        if len(among) >= limit:
            source = Counter(link.source for link in among).most_common(1)[0][0]
            oldest = next(link for link in among if link.source == source)
            self._lose(oldest, "made room for others")

    # What is said on a connection.

    def _shake_hands(self, link: _Link) -> None:
        assert link.connection is not None
        want = link.connection.handshake()
        link.wants_write = want is Want.WRITE
        if want is not Want.DONE:
            return
        name = link.connection.peer_identity()
        party = party_of(name, self.job.name)
        expected = [link.dialled.party] if link.dialled else self.others[len(self.dials) :]
        if party is None or party not in expected:
            raise _Gone(
                f"its certificate is for {printable(name)}, not for {' or '.join(expected)}"
            )
        link.deadline = time.monotonic() + STAGE_S
        former = self.peers.get(party)
        if former is not None and not _is_dead(former.socket):
            self._note_refusal(link, f"{party} is connected already")
            self._say(link, {"type": "taken"})
            self._start_leaving(link)
            return
        if former is not None:
            self._lose(former, "connection lost")
        link.party, link.stage = party, _Stage.HELLO
        self.peers[party] = link
        self._say(link, self.hello)
        if self.failure is not None:
            self._tell_refusal(link)
            return
        self._converse(link)

    def _converse(self, link: _Link, ended: bool = False) -> None:
        self._write(link)
        while self._lives(link) and (ended or not self._is_ready(link)):
            message = self._read(link)
            if message is None:
                return
            self._heed(link, message)
            if link.stage is _Stage.LEAVING:
                return

    def _heed(self, link: _Link, message: dict[str, Any]) -> None:
        assert link.party is not None
        kind = message.get("type")
        if kind == "taken" and link.stage is _Stage.HELLO:
            raise _Gone(f"it has a connection from another {self.party} already")
        if kind == "refusal" and (told := checked_refusal(message)) is not None:
            what, hint = told
            error = JobError(f"{link.party} refused to start: {what}", hint=hint or None)
            self._refuse(error, what)
        elif kind == "hello" and link.stage is _Stage.HELLO:
            theirs = checked_hello(message)
            if theirs is None or theirs["party"] != link.party:
                raise _Gone("its hello is malformed")
            if unlike := difference(self.hello, theirs):
                self._refuse(unlike, unlike.what)
                return
            link.hello, link.stage, link.deadline = theirs, _Stage.AGREED, float("inf")
            if link.dialled:
                link.dialled.delay = _FIRST_RETRY_S
            self._name_run()
        elif (
            kind == "ready" and link.stage is _Stage.AGREED and isinstance(message.get("run"), str)
        ):
            link.ready = message["run"]
            link.readies += 1
            if link.readies > _MOST_READIES:
                raise _Gone("it said ready too often")
        else:
            raise _Gone("it said what has no place here")

    def _name_run(self) -> None:
        """Say ready for the run of the three hellos at hand, if there are three."""
        hellos: dict[str, dict[str, Any]] = {self.party: self.hello} | {
            party: link.hello
            for party, link in self.peers.items()
            if link.stage is _Stage.AGREED and link.hello is not None
        }
        self.run_name = None
        if len(hellos) == len(PARTIES):
            nonces = "|".join(hellos[party]["run"] for party in PARTIES)
            self.run_name = hashlib.sha256(nonces.encode()).hexdigest()
        for link in list(self.peers.values()):
            if link.stage is not _Stage.AGREED or not self._lives(link):
                continue
            with self._losing(link):
                if self.run_name is not None and link.said_ready != self.run_name:
                    link.said_ready = self.run_name
                    self._say(link, {"type": "ready", "run": self.run_name})
                # What follows a ready for another run was left unread until now.
                self._converse(link)

    def _is_ready(self, link: _Link) -> bool:
        return link.ready is not None and link.ready == self.run_name

    def _everybody_is_ready(self) -> bool:
        return len(self.peers) == len(self.others) and all(
            self._is_ready(link) and link.flushed for link in self.peers.values()
        )

    def _hand_over(self) -> Joined:
        assert self.run_name is not None
        found: list[Connection | None] = [None, None, None]
        for party, link in self.peers.items():
            found[PARTIES.index(party)] = link.connection
            del self.links[link.socket.fileno()]
        sockets = tuple(link.socket for link in self.peers.values())
        return Joined((found[0], found[1], found[2]), self.run_name, sockets)

    # Words on the wire.

    def _say(self, link: _Link, message: dict[str, Any]) -> None:
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        assert len(text) <= _MESSAGE_BYTES, "a message of the join is short by construction"
        link.flushed = False
        link.out += len(text).to_bytes(4, "little") + text
        self._write(link)

    def _write(self, link: _Link) -> None:
        assert link.connection is not None
        while link.out:
            taken = link.connection.write(link.out)
            if isinstance(taken, Want):
                return
            link.out = link.out[taken:]
        link.flushed = link.connection.flush() is Want.DONE

    def _read(self, link: _Link) -> dict[str, Any] | None:
        """The next whole message, or None while there is none. Not one byte more is taken."""
        assert link.connection is not None
        while True:
            size = int.from_bytes(link.got[:4], "little") if len(link.got) >= 4 else None
            if size is not None and not 2 <= size <= _MESSAGE_BYTES:
                raise _Gone("it sent what is no message of the join")
            missing = 4 - len(link.got) if size is None else 4 + size - len(link.got)
            if missing == 0:
                text, link.got = link.got[4:], b""
                return _message(text)
            piece = link.connection.read(missing)
            if isinstance(piece, Want):
                return None
            if not piece:
                raise _Gone("went away")
            link.got += piece

    # Ends.

    def _refuse(self, error: KitError, what: str) -> None:
        """End the join, and let the other parties know why, one that comes a moment later too."""
        if self.failure is None:
            self.failure = error
            self.refusal = refusal(what, error.hint or "")
            self.refusal_ends = time.monotonic() + FAREWELL_S
            for link in list(self.peers.values()):
                with self._losing(link):
                    self._tell_refusal(link)

    def _tell_refusal(self, link: _Link) -> None:
        assert link.party is not None
        self.told.add(link.party)
        self._say(link, self.refusal)
        self._start_leaving(link)

    def _start_leaving(self, link: _Link) -> None:
        link.stage, link.deadline = _Stage.LEAVING, time.monotonic() + FAREWELL_S
        self._leave(link)

    def _leave(self, link: _Link) -> None:
        """Write what is left, then wait for the other end to hang up: closing with bytes unread
        would make TCP throw away the last words on their way."""
        self._write(link)
        if link.flushed:
            with contextlib.suppress(OSError):
                link.socket.shutdown(socket.SHUT_WR)
            if _drained(link.socket):
                self._drop(link)

    def _all_are_told(self) -> bool:
        return len(self.told) == len(self.others) and not self.peers

    def _lose(self, link: _Link, why: str) -> None:
        """A link that is of no more use; who dialled tries again."""
        was_peer = link.party is not None and self.peers.get(link.party) is link
        stage = link.stage
        if not self._drop(link) or stage is _Stage.LEAVING:
            return
        if link.dialled is not None:
            self._later(link.dialled, why)
        elif not was_peer:
            self._note_refusal(link, why)
        if was_peer and link.party and stage is _Stage.AGREED and self.failure is None:
            self._tell_of_leaving(link.party)
            self._name_run()

    def _drop(self, link: _Link) -> bool:
        """Close a link; False if that was done before."""
        if not self._lives(link):
            return False
        del self.links[link.socket.fileno()]
        if link.party is not None and self.peers.get(link.party) is link:
            del self.peers[link.party]
        if link.connection is not None:
            link.connection.close()
        link.socket.close()
        return True

    def _lives(self, link: _Link) -> bool:
        return self.links.get(link.socket.fileno()) is link

    def _nobody_came(self, wait_s: float) -> JobError:
        awaited = self._awaited()
        where = []
        for party in awaited:
            dial = next((one for one in self.dials if one.party == party), None)
            own = self.hosts[PARTIES.index(self.party)]
            if party in self.peers:
                where.append(f"{party} is connected, but waits for somebody itself")
            elif dial is not None:
                where.append(f"{party} at {dial.address}: {dial.problem}")
            else:
                where.append(f"{party} dials {own}, and did not come{self.last_refused}")
        return JobError(
            f"{' and '.join(awaited)} did not come within {wait_s:g} s",
            "; ".join(where),
            "start the missing party, or look there for what keeps it",
        )

    # What is reported.

    def _awaited(self) -> list[Party]:
        """Who is missing; when nobody is, who is not ready yet."""
        missing = [
            party
            for party in self.others
            if party not in self.peers or self.peers[party].stage is not _Stage.AGREED
        ]
        return missing or [party for party in self.others if not self._is_ready(self.peers[party])]

    def _tell_of_leaving(self, party: Party) -> None:
        """Not each time: who comes and goes all the time is not to fill a disk."""
        now = time.monotonic()
        if now - self.left.get(party, float("-inf")) >= _REFUSALS_EVERY_S:
            self.left[party] = now
            self.report(f"{party} went away before the start; waiting", self._awaited())

    def _note_refusal(self, link: _Link, why: str) -> None:
        self.refused[why] += 1
        self.last_refused = f" (last refused: {link.address}: {why})"

    def _tell(self, waited_s: float, wait_s: float) -> None:
        awaited = self._awaited()
        self.report(f"waiting for {', '.join(awaited)} ({waited_s:.0f} s of {wait_s:.0f})", awaited)
        if self.refused and waited_s - self.refusals_told >= _REFUSALS_EVERY_S:
            self.refusals_told = waited_s
            count = sum(self.refused.values())
            reasons = "; ".join(f"{why} ({n})" for why, n in self.refused.most_common(3))
            noun = "connection" if count == 1 else "connections"
            self.report(f"refused {count} {noun}: {reasons}{self.last_refused}", awaited)
            self.refused.clear()


def _lookup(address: Address, flags: int = 0) -> list[tuple[int, Any]]:
    found = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=flags | socket.AI_NUMERICSERV
    )
    return [(int(family), place) for family, _, _, _, place in found]


def _message(text: bytes) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise _Gone("it sent what is no message of the join")
    return message


def _is_dead(one: socket.socket) -> bool:
    poll = select.poll()
    poll.register(one, select.POLLRDHUP)
    return bool(poll.poll(0))


def _drained(one: socket.socket) -> bool:
    """Throw away what came, a bounded part of it at a time; whether the other end has hung up."""
    try:
        return any(not one.recv(65536) for _ in range(64))
    except BlockingIOError:
        return False
    except OSError:
        return True


def _tune(one: socket.socket) -> None:
    """Small messages leave at once; a peer whose machine is gone is noticed in half a minute."""
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
