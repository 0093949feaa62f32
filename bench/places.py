"""Where the three parties of a run live: on one loopback, or apart with a delay between them.

Each run gets network namespaces of its own, so that the bytes it sends can be counted from outside,
alike for every system and with the headers of TCP and IP in them.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, Self

from bench import delay

ROOT = Path(__file__).resolve().parent.parent
_PORT = 7001


class Place(Protocol):
    """A place for three parties, open while it is entered."""

    hosts: list[str]
    """The parties' addresses, host:port."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def command(self, party: int, command: list[str]) -> list[str]:
        """A command line that runs a command where a party lives."""

    def carried(self) -> int | None:
        """Bytes sent between the parties so far, or None where they cannot be told apart."""


def place(round_trip_ms: float, mbit_s: float = 0) -> Place:
    """A place whose parties are that far apart, on lines of that many Mbit/s (0: as it comes)."""
    if round_trip_ms:
        return Apart(round_trip_ms, mbit_s)
    return Together() if can_isolate() else Here()


def can_isolate() -> bool:
    """Whether this process may make network namespaces."""
    return os.geteuid() == 0 and _works("ip", "netns", "list")


def why_not_apart() -> str | None:
    """Why parties cannot be put at a distance here, or None if they can."""
    if not can_isolate():
        return "network namespaces need root and the ip command"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "the delay between namespaces needs /dev/net/tun"
    return None


def _works(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


class Here:
    """This machine's own loopback: for users that are not root. Bytes are not counted."""

    def __init__(self) -> None:
        self.hosts: list[str] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            self.hosts = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def command(self, party: int, command: list[str]) -> list[str]:
        return command

    def carried(self) -> int | None:
        return None


class _Namespaces:
    """Network namespaces that go with the block, even where making the last of them failed."""

    def __init__(self, count: int) -> None:
        run = uuid.uuid4().hex[:8]
        self.names = [f"bench-{run}-{index}" for index in range(count)]

    def __enter__(self) -> Self:
        for name in self.names:
            subprocess.run(["ip", "netns", "add", name], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


class Together:
    """One network namespace with nothing in it but a loopback."""

    def __init__(self) -> None:
        self.hosts = [f"127.0.0.1:{_PORT + index}" for index in range(3)]
        self._namespaces = _Namespaces(1)

    def __enter__(self) -> Self:
        self._namespaces.__enter__()
        up = ["ip", "-n", self._namespaces.names[0], "link", "set", "lo", "up"]
        subprocess.run(up, check=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._namespaces.__exit__()

    def command(self, party: int, command: list[str]) -> list[str]:
        return ["ip", "netns", "exec", self._namespaces.names[0], *command]

    def carried(self) -> int | None:
        read = self.command(0, ["cat", "/proc/net/dev"])
        text = subprocess.run(read, capture_output=True, text=True, check=True).stdout
        return int(text.split("lo:")[1].split()[0])


class Apart:
    """A network namespace for each party, and a router with a delay and lines between them."""

    def __init__(self, round_trip_ms: float, mbit_s: float) -> None:
        self.hosts = [f"{delay.address(index)}:{_PORT + index}" for index in range(3)]
        self._router_command = [sys.executable, "-m", "bench.delay"]
        self._router_command += [str(round_trip_ms / 2), str(mbit_s)]
        self._namespaces = _Namespaces(3)
        self._router: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._namespaces.__enter__()
        try:
            self._router = subprocess.Popen(
                [*self._router_command, *self._namespaces.names],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            if self._answer() != "ready":
                raise RuntimeError("the router between the parties did not start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._router is not None:
            self._router.terminate()
            self._router.communicate()
        self._namespaces.__exit__()

    def command(self, party: int, command: list[str]) -> list[str]:
        return ["ip", "netns", "exec", self._namespaces.names[party], *command]

    def carried(self) -> int | None:
        assert self._router is not None and self._router.stdin is not None
        self._router.stdin.write("\n")
        self._router.stdin.flush()
        return int(self._answer())

    def _answer(self) -> str:
        assert self._router is not None and self._router.stdout is not None
        return self._router.stdout.readline().strip()
