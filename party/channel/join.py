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

After ready the connections, and every byte on them, are the executor's.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from party.agreement.hosts import Address, Hosts
from party.agreement.job import PARTIES, Job, Party
from party.channel import admission, sockets
from party.channel.admission import HANDSHAKES, NEWS_EVERY_S, STRANGERS, Refusals
from party.channel.agreement import (
    TAKEN,
    checked_hello,
    checked_ready,
    checked_refusal,
    difference,
    hello,
    ready,
    refusal,
    run_name,
)
from party.channel.codec import LinkError, Messages
from party.identity import Keys, party_of
from party.native import AuthorityError, ChannelError, Connection, Context, Want
from party.process.errors import InputError, JobError, KitError, printable

CLOSING_S = 2.0
"""How long what was said last, a refusal above all, may take to reach the other end."""

_FIRST_RETRY_S, _LAST_RETRY_S = 0.05, 1.0
_MOST_READIES = 64  # on one connection: each stands for another party's coming and going

_RECENT_S = 30.0  # who dials tries again within seconds: what is older may be over
_ONE_AUTHORITY = "give all three parties keys of the job's one authority; ca.crt is the same at all"
_PINNED = (
    "compare keys with that party (deployer certs show), then agree on a job that pins the right "
    "ones, and have each authority in everybody's ca.crt"
)

Reload = Callable[[Keys], Keys | None]
"""Told the keys in use, gives those that took their place, or None: see ``identity.reloaded``."""

Report = Callable[[str, Sequence[Party]], None]
"""Told, about once a second, how the join stands and which parties are still awaited: a text that
begins with "waiting", or news."""


class AheadError(JobError):
    """A peer is at a later job of the queue: it has done this one, and will not come back to it."""


@dataclass(frozen=True, eq=False)
class Joined:
    """Three parties that agree, until it is closed.

    Attributes:
        connections: to alice, bob and server; None in one's own place.
        run: a name of this run that all three share, and no other run has.
        keys: one's own, as they were shown.
        peers: of each other party the digests of its key and of its authority, as a job pins them.
    """

    connections: tuple[Connection | None, Connection | None, Connection | None]
    run: str
    keys: Keys
    peers: dict[Party, tuple[str, str]]
    _sockets: tuple[socket.socket, ...]

    def __enter__(self) -> Joined:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, and forget their keys. What was said last still arrives."""
        for connection in self.connections:
            if connection is not None:
                connection.close()
        sockets.close_after_peers(self._sockets, CLOSING_S)


def join(
    job: Job,
    party: Party,
    hosts: Hosts,
    keys: Keys,
    plan_digest: str,
    listener: socket.socket | None,
    wait_s: float,
    report: Report,
    reload: Reload = lambda _: None,
    queue: Sequence[Job] = (),
) -> Joined:
    """Connect to both other parties and agree with them.

    ``listener`` is where higher parties find this one, see ``listen``; the third server needs none.
    It is closed on return. ``reload`` is asked for new keys first, and about once a second.
    ``queue`` are the jobs that this party does one after the other, ``job`` among them: a peer that
    is at an earlier one is waited for.

    Raises JobError when the parties disagree, or when one is missing after ``wait_s`` seconds, and
    AheadError when one is at a later job of the queue; InputError when the keys are wrong.
    """
    own_hello = hello(job, party, plan_digest)
    attempt = _Join(job, party, hosts, own_hello, keys, listener, report, reload, queue)
    try:
        return attempt.run(wait_s)
    finally:
        attempt.close()


def _context(keys: Keys, job: Job) -> Context:
    try:
        return Context(keys.authority, keys.certificate, keys.key, fips=job.tls == "fips")
    except ChannelError as error:
        hint = "make new ones: deployer certs new --job JOB --output DIR"
        raise InputError(f"the keys cannot be used: {error}", str(keys.directory), hint) from None


class _Stage(Enum):
    CONNECTING = auto()  # dialled, TCP not yet there
    SILENT = auto()  # accepted, not a byte yet: costs a descriptor and nothing else
    HANDSHAKE = auto()
    HELLO = auto()  # a party by its certificate; its hello is awaited
    AGREED = auto()
    LEAVING = auto()  # sends what is left, then closes


@dataclass(eq=False)
class _Link:
    """One connection on its way."""

    socket: socket.socket
    stage: _Stage
    address: str
    source: str = ""  # of who dialled us
    deadline: float = field(default_factory=admission.deadline)
    dialled: _Dial | None = None
    connection: Connection | None = None
    party: Party | None = None
    digests: tuple[str, str] = ("", "")  # of the other end's key and authority
    wants_write: bool = False
    hello: dict[str, Any] | None = None
    ready: str | None = None  # the run that the other end is ready for
    readies: int = 0  # how often it has said so
    said_ready: str | None = None
    _messages: Messages | None = None

    @property
    def messages(self) -> Messages:
        """What is said on it, once hands are shaken."""
        if self._messages is None:
            assert self.connection is not None
            self._messages = Messages(self.connection)
        return self._messages


@dataclass(eq=False)
class _Dial:
    """A party that this one connects to."""

    party: Party
    address: Address
    delay: float = _FIRST_RETRY_S
    next_try: float = 0.0
    busy: bool = False  # being looked up, or linked
    places: list[sockets.Endpoint] = field(default_factory=list)  # still to be tried
    problem: str = "not tried yet"


@dataclass(frozen=True)
class _Mismatch:
    """Certificates of two authorities, or another than the job pins."""

    words: str
    hint: str
    seen: float = field(default_factory=time.monotonic)


class _Join:
    def __init__(
        self,
        job: Job,
        party: Party,
        hosts: Hosts,
        own_hello: dict[str, Any],
        keys: Keys,
        listener: socket.socket | None,
        report: Report,
        reload: Reload,
        queue: Sequence[Job],
    ) -> None:
        self.job, self.party, self.hosts = job, party, hosts
        self.hello, self.report, self.reload = own_hello, report, reload
        self.keys, self.context = keys, _context(keys, job)
        self.keys_problem = ""  # of keys that took the place of those in use
        self.mismatches: dict[Party | None, _Mismatch] = {}  # by whom they are about, if known
        self.listener = listener
        if listener is not None:
            listener.setblocking(False)
        index = PARTIES.index(party)
        self.others: list[Party] = [one for one in PARTIES if one != party]
        self.dials = [_Dial(one, hosts[PARTIES.index(one)]) for one in self.others[:index]]
        self.lookups: sockets.Lookups[_Dial] = sockets.Lookups()
        self.links: dict[int, _Link] = {}
        self.peers: dict[Party, _Link] = {}  # links whose certificate named their party
        self.refusals = Refusals()
        self.run_name: str | None = None
        self.failure: KitError | None = None  # why this party will not start
        self.refusal: dict[str, Any] = {}  # and how it tells the others, who have a moment to come
        self.refusal_ends = 0.0
        self.told: set[Party] = set()
        self.left: dict[Party, float] = {}  # when it was last said that a party went away
        at = [one.digest for one in queue].index(job.digest) if queue else 0
        self.earlier = {one.digest: one.name for one in queue[:at]}
        self.later = {one.digest: one.name for one in queue[at + 1 :]}
        self.behind: dict[Party, str] = {}  # the earlier jobs that peers were last seen at

    # The loop.

    def run(self, wait_s: float) -> Joined:
        self._take_up_new_keys()  # those at hand are of when the party started
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
                self._take_up_new_keys()
                self._tell(now - started, wait_s)
                next_report = now + 1.0
            self._serve(min(next_report, self._next_event(), started + wait_s) - now)
            now = time.monotonic()

    def close(self) -> None:
        """Give up everything that was not handed over."""
        for link in list(self.links.values()):
            self._drop(link)
        if self.listener is not None:
            self.listener.close()
        self.lookups.close()

    def _next_event(self) -> float:
        moments = [link.deadline for link in self.links.values()]
        moments += [one.next_try for one in self.dials if not one.busy]
        return min(moments, default=float("inf"))

    def _serve(self, timeout_s: float) -> None:
        poll = select.poll()
        poll.register(self.lookups, select.POLLIN)
        if self.listener is not None:
            poll.register(self.listener, select.POLLIN)
        for number, link in self.links.items():
            poll.register(number, self._interest(link))
        events = dict(poll.poll(max(0.0, min(timeout_s, 1.0)) * 1000 + 1))
        # Those who are connected are served before those who want to be: a party that was restarted
        # is let in as soon as its former connection is seen to be dead.
        for number in [n for n in events if n in self.links]:
            if number in self.links:
                self._attend(self.links[number], events[number])
        if self.lookups.fileno() in events:
            for dial, found in self.lookups.answers():
                self._found(dial, found)
        if self.listener is not None and self.listener.fileno() in events:
            self._accept(self.listener)

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
        if not link.messages.flushed:
            interest |= select.POLLOUT
        return interest

    def _attend(self, link: _Link, events: int) -> None:
        with self._losing(link):
            if link.stage is _Stage.CONNECTING:
                self._connected(link)
            elif link.stage is _Stage.SILENT:
                talking = [one for one in self._strangers() if one.stage is not _Stage.SILENT]
                self._make_room(talking, HANDSHAKES)
                self._begin_handshake(link, server=True)
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
        except AuthorityError as problem:
            self._lose(link, self._note_mismatch(link, problem))
        except (ChannelError, LinkError) as problem:
            self._lose(link, str(problem))

    def _note_mismatch(self, link: _Link, problem: AuthorityError) -> str:
        """Whose authority is another than ours, as far as that can be known.

        Where we dialled, it is whom we dialled. Who dials us and refuses our certificate has shown
        none. And nobody vouches for the name in a certificate of another authority: it is good for
        a report, with the address beside it, and for nothing else.
        """
        if link.dialled is not None:
            whose: Party | None = link.dialled.party
        elif problem.ours_is_refused:
            whose = None
        else:
            whose = party_of(problem.claim, self.job.domain)
            if whose not in self._expected(link):
                return str(problem)
        if problem.ours_is_refused:
            words = f"{whose or 'the peer'} says that our certificate is of another authority"
        else:
            words = f"{whose}'s certificate is of another authority"
        seen_at = "" if link.dialled is not None else f" ({link.address})"
        several = self.job.identities is not None
        self.mismatches[whose] = _Mismatch(words + seen_at, _PINNED if several else _ONE_AUTHORITY)
        return words

    def _expire(self, now: float) -> None:
        for link in [link for link in self.links.values() if now > link.deadline]:
            what = "shake hands" if link.party is None else "say hello"
            if link.stage is _Stage.CONNECTING:
                what = "answer"
            self._lose(link, f"did not {what} within {admission.STAGE_S:.0f} s")
        for link in list(self.peers.values()):
            with self._losing(link):
                if link.connection is not None:
                    link.connection.see_to_answers()

    # Reaching the parties of lower index.

    def _dial(self, dial: _Dial) -> None:
        dial.busy = True
        if places := dial.places or self.lookups.at_once(dial.address):
            dial.places = places
            self._connect(dial)
        else:
            self.lookups.ask(dial, dial.address)

    def _found(self, dial: _Dial, found: list[sockets.Endpoint] | str) -> None:
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
        link = _Link(one, _Stage.CONNECTING, address=str(dial.address), dialled=dial)
        self.links[one.fileno()] = link
        with self._losing(link):
            sockets.begin_connecting(one, place)

    def _connected(self, link: _Link) -> None:
        sockets.end_connecting(link.socket)
        sockets.tune(link.socket)
        self._begin_handshake(link, server=False)

    def _later(self, dial: _Dial, problem: str) -> None:
        dial.problem, dial.busy = problem, False
        former = self.mismatches.get(dial.party)
        if former is not None and former.words != problem:
            del self.mismatches[dial.party]
        if dial.places:  # the name's next address, at once
            dial.next_try = 0.0
            return
        dial.next_try = time.monotonic() + dial.delay
        dial.delay = min(dial.delay * 1.6, _LAST_RETRY_S)

    # Being reached by the parties of higher index.

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(64):
            try:
                one, place = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # Out of descriptors or memory: the oldest stranger makes room.
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._make_room(self._strangers(), 1)
                return
            self._make_room(self._strangers(), STRANGERS)
            one.setblocking(False)
            sockets.tune(one)
            self.links[one.fileno()] = _Link(
                one,
                _Stage.SILENT,
                address=str(Address(admission.unmapped(place[0]), place[1])),
                source=admission.source(place[0]),
            )

    def _strangers(self) -> list[_Link]:
        """The accepted connections of whoever is not a peer, the oldest first."""
        peers = self.peers.values()
        return [one for one in self.links.values() if one.dialled is None and one not in peers]

    def _make_room(self, among: list[_Link], limit: int) -> None:
        if (link := admission.crowded_out(among, limit)) is not None:
            self._lose(link, "made room for others")

    # What is said on a connection.

    def _begin_handshake(self, link: _Link, server: bool) -> None:
        link.connection = Connection(self.context, link.socket.fileno(), server)
        link.stage = _Stage.HANDSHAKE
        self._shake_hands(link)

    def _shake_hands(self, link: _Link) -> None:
        assert link.connection is not None
        want = link.connection.handshake()
        link.wants_write = want is Want.WRITE
        if want is not Want.DONE:
            return
        name = link.connection.peer_identity()
        party = party_of(name, self.job.domain)
        expected = self._expected(link)
        if party is None or party not in expected:
            raise LinkError(
                f"its certificate is for {printable(name)}, not for {' or '.join(expected)}"
            )
        self._check_pin(link, party)
        link.deadline = admission.deadline()
        former = self.peers.get(party)
        if former is not None and not sockets.peer_has_closed(former.socket):
            self.refusals.note(link.address, f"{party} is connected already")
            link.messages.say(TAKEN)
            self._start_leaving(link)
            return
        if former is not None:
            self._lose(former, "connection lost")
        link.party, link.stage = party, _Stage.HELLO
        self.peers[party] = link
        link.messages.say(self.hello)
        if self.failure is not None:
            self._tell_refusal(link)
            return
        self._converse(link)

    def _check_pin(self, link: _Link, party: Party) -> None:
        """That a certificate which an authority vouches for is of the key, and of the authority,
        that the job pins for the party."""
        assert link.connection is not None
        link.digests = link.connection.peer_digests()
        pins = self.job.identities
        if pins is not None and (broken := pins.of(party).broken_by(*link.digests)):
            seen_at = "" if link.dialled is not None else f" ({link.address})"
            words = f"whoever shows {party}'s certificate is another: {broken}"
            self.mismatches[party] = _Mismatch(words + seen_at, _PINNED)
            raise LinkError(words)

    def _expected(self, link: _Link) -> list[Party]:
        """Who may be at the other end."""
        return [link.dialled.party] if link.dialled else self.others[len(self.dials) :]

    def _converse(self, link: _Link, ended: bool = False) -> None:
        link.messages.send()
        while self._lives(link) and (ended or not self._is_ready(link)):
            message = link.messages.read()
            if message is None:
                return
            self._heed(link, message)
            if link.stage is _Stage.LEAVING:
                return

    def _heed(self, link: _Link, message: dict[str, Any]) -> None:
        assert link.party is not None
        kind = message.get("type")
        if kind == "taken" and link.stage is _Stage.HELLO:
            raise LinkError(f"it has a connection from another {self.party} already")
        if kind == "refusal" and (told := checked_refusal(message)) is not None:
            what, hint = told
            words = f"{link.party} refused to start: {what}"
            error = JobError(words, hint=hint or None, cause="refused")
            self._refuse(error, what)
        elif kind == "hello" and link.stage is _Stage.HELLO:
            theirs = checked_hello(message)
            if theirs is None or theirs["party"] != link.party:
                raise LinkError("its hello is malformed")
            if self._is_at_another_job(link, theirs):
                return
            if unlike := difference(self.hello, theirs):
                self._refuse(unlike, unlike.what)
                return
            link.hello, link.stage, link.deadline = theirs, _Stage.AGREED, float("inf")
            if link.dialled:
                link.dialled.delay = _FIRST_RETRY_S
            self.mismatches.pop(link.party, None)
            self.behind.pop(link.party, None)
            self._name_run()
        elif link.stage is _Stage.AGREED and (run := checked_ready(message)) is not None:
            link.ready = run
            link.readies += 1
            if link.readies > _MOST_READIES:
                raise LinkError("it said ready too often")
        else:
            raise LinkError("it said what has no place here")

    def _is_at_another_job(self, link: _Link, theirs: dict[str, Any]) -> bool:
        """Whether a peer of the same software is at an earlier job of the queue: it will come to
        this one, and is let go until then. Raises AheadError for one that is at a later job."""
        same = ("protocol_version", "versions")
        if link.party is None or any(theirs[name] != self.hello[name] for name in same):
            return False
        if (name := self.later.get(theirs["job"])) is not None:
            raise AheadError(
                f"{link.party} is at the job {name!r} and has done {self.job.name!r}, of which "
                "this party has no result",
                hint="give all three the same jobs in the same order; if they have them, remove "
                f"the output of {self.job.name!r} and of all jobs behind it at all three, and "
                "start again",
                cause="refused",
            )
        if (name := self.earlier.get(theirs["job"])) is None:
            return False
        self.behind[link.party] = name
        del self.peers[link.party]
        if link.dialled is not None:
            self._later(link.dialled, f"is still at the job {name!r}")
        self._start_leaving(link)
        return True

    def _name_run(self) -> None:
        """Say ready for the run of the three hellos at hand, if there are three."""
        hellos = {self.party: self.hello} | {
            party: link.hello
            for party, link in self.peers.items()
            if link.stage is _Stage.AGREED and link.hello is not None
        }
        self.run_name = run_name(hellos)
        for link in list(self.peers.values()):
            with self._losing(link):
                if self.run_name is not None and link.said_ready != self.run_name:
                    link.said_ready = self.run_name
                    link.messages.say(ready(self.run_name))
                # What follows a ready for another run was left unread until now.
                self._converse(link)

    def _is_ready(self, link: _Link) -> bool:
        return link.ready is not None and link.ready == self.run_name

    def _everybody_is_ready(self) -> bool:
        return len(self.peers) == len(self.others) and all(
            self._is_ready(link) and link.messages.flushed for link in self.peers.values()
        )

    def _hand_over(self) -> Joined:
        assert self.run_name is not None
        found: list[Connection | None] = [None, None, None]
        for party, link in self.peers.items():
            found[PARTIES.index(party)] = link.connection
            del self.links[link.socket.fileno()]
        taken = tuple(link.socket for link in self.peers.values())
        peers = {party: link.digests for party, link in self.peers.items()}
        return Joined((found[0], found[1], found[2]), self.run_name, self.keys, peers, taken)

    # Keys that are put right while we wait.

    def _take_up_new_keys(self) -> None:
        try:
            found = self.reload(self.keys)
            context = self.context if found is None else _context(found, self.job)
        except InputError as error:
            self.keys_problem = f"the new keys cannot be used: {error.what}"
            return
        self.keys_problem = ""
        if found is None:
            return
        same_authority = found.authority == self.keys.authority
        self.keys, self.context = found, context
        self.mismatches.clear()
        if not same_authority:
            self._start_again()
        for dial in self.dials:
            dial.delay = _FIRST_RETRY_S
            dial.next_try = 0.0
        self.report("the keys were replaced, and the new ones are in use", self._awaited())

    def _start_again(self) -> None:
        """Close all connections: whoever is at the other end was let in by another authority."""
        for link in list(self.links.values()):
            self._drop(link)
            if link.dialled is not None:
                self._later(link.dialled, "the keys were replaced")
        self._name_run()

    # Ends.

    def _refuse(self, error: KitError, what: str) -> None:
        """End the join, and let the other parties know why, one that comes a moment later too."""
        if self.failure is None:
            self.failure = error
            self.refusal = refusal(what, error.hint or "")
            self.refusal_ends = time.monotonic() + CLOSING_S
            for link in list(self.peers.values()):
                with self._losing(link):
                    self._tell_refusal(link)

    def _tell_refusal(self, link: _Link) -> None:
        assert link.party is not None
        self.told.add(link.party)
        link.messages.say(self.refusal)
        self._start_leaving(link)

    def _start_leaving(self, link: _Link) -> None:
        link.stage, link.deadline = _Stage.LEAVING, time.monotonic() + CLOSING_S
        self._leave(link)

    def _leave(self, link: _Link) -> None:
        """Send what is left, then wait until the peer closes its end: where a socket is closed with
        bytes unread, TCP discards what is on its way."""
        link.messages.send()
        if link.messages.flushed:
            with contextlib.suppress(OSError):
                link.socket.shutdown(socket.SHUT_WR)
            if sockets.drain(link.socket):
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
            self.refusals.note(link.address, why)
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
            elif party in self.behind:
                where.append(f"{party} was last seen at the job {self.behind[party]!r}")
            elif dial is not None:
                where.append(f"{party} at {dial.address}: {dial.problem}")
            elif (mismatch := self._mismatch_of(party)) is not None:
                where.append(f"{party} dials {own}, and did not come: {mismatch.words}")
            else:
                where.append(f"{party} dials {own}, and did not come{self.refusals.last}")
        if self.keys_problem:
            where.append(self.keys_problem)
        hint = "start the missing party, or look there for what keeps it"
        if known := [one for one in map(self._mismatch_of, awaited) if one is not None]:
            hint = known[0].hint
        return JobError(
            f"{' and '.join(awaited)} did not come within {wait_s:g} s",
            "; ".join(where),
            hint,
            cause="peer-unreachable",
        )

    def _mismatch_of(self, party: Party) -> _Mismatch | None:
        """What is known of a party's authority; of one that dials us also what nameless peers say,
        of whom it may be one."""
        known = self.mismatches.get(party)
        if known is None and party not in [dial.party for dial in self.dials]:
            known = self.mismatches.get(None)
        return known

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
        if now - self.left.get(party, float("-inf")) >= NEWS_EVERY_S:
            self.left[party] = now
            self.report(f"{party} went away before the start; waiting", self._awaited())

    def _tell(self, waited_s: float, wait_s: float) -> None:
        awaited = self._awaited()
        since = time.monotonic() - _RECENT_S
        what = [one.words for one in self.mismatches.values() if one.seen > since]
        what += [
            f"{party} was last seen at the job {name!r}" for party, name in self.behind.items()
        ]
        what = [f"waiting for {', '.join(awaited)} ({waited_s:.0f} s of {wait_s:.0f})", *what]
        self.report("; ".join([*what, *filter(None, [self.keys_problem])]), awaited)
        if (news := self.refusals.news(time.monotonic())) is not None:
            self.report(news, awaited)
