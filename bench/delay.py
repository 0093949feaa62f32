"""A router that holds every packet between the parties back for a while: a network with distance.

Run as ``python -m bench.delay MILLISECONDS MBIT NAMESPACE...`` by root. Each network namespace gets
one interface and the address that ``address`` names; a packet from one to another arrives
MILLISECONDS later, so a round trip takes twice that. MBIT is what each party's line carries, in
Mbit/s each way; 0 for as much as there is. Standard output says ``ready`` once it works, and after
that the bytes carried so far, whenever a line comes in on standard input.

It does what ``tc``'s netem and tbf do, for kernels built without netem (those of small virtual
machines often are): all it needs is ``/dev/net/tun``. Packets are 1500 bytes at most, as on a real
path, so that TCP's windows grow as they would there. No packet is lost: what a line cannot carry
yet waits for it, however much that is.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import selectors
import struct
import subprocess
import sys
import time

MTU = 1500
BURST = 10 * MTU
"""Bytes that a line that was idle carries at once."""
_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000


class Line:
    """One direction of a party's line: a token bucket.

    Args:
        mbit_s: tokens (bytes) come in at this rate; 0 for a line without a limit.
        burst: tokens that the bucket holds.
    """

    def __init__(self, mbit_s: float, burst: int = BURST) -> None:
        self._bytes_s = mbit_s * 1e6 / 8
        self._burst = burst
        self._tokens = float(burst)
        self._at = 0.0

    def passes(self, now: float, size: int) -> float:
        """When a packet gets through that comes now, after all those that came before it."""
        if not self._bytes_s:
            return now
        came = max(0.0, now - self._at) * self._bytes_s
        self._tokens = min(float(self._burst), self._tokens + came) - size
        self._at = max(self._at, now)
        # A bucket in debt is one behind which packets wait until it has been paid.
        return self._at + max(0.0, -self._tokens) / self._bytes_s


class Network:
    """What is on its way between parties: out by the sender's line, far, in by the receiver's."""

    def __init__(self, parties: int, delay_s: float, mbit_s: float) -> None:
        self._delay_s = delay_s
        self._out = [Line(mbit_s) for _ in range(parties)]
        self._in = [Line(mbit_s) for _ in range(parties)]
        self._held: list[tuple[float, int, bool, int, bytes]] = []  # due, number, arrived, to, it
        self._number = 0

    def send(self, now: float, sender: int, to: int, packet: bytes) -> None:
        """A packet comes from a party."""
        leaves = self._out[sender].passes(now, len(packet))
        self._hold(leaves + self._delay_s, False, to, packet)

    def due(self) -> float | None:
        """When there is something to do next."""
        return self._held[0][0] if self._held else None

    def delivered(self, now: float) -> list[tuple[int, bytes]]:
        """The packets that are through by now, and to whom, in their order."""
        found: list[tuple[int, bytes]] = []
        while self._held and self._held[0][0] <= now:
            due, _, through, to, packet = heapq.heappop(self._held)
            # The receiver's line sees packets in the order in which they come, whoever sent them.
            arrives = due if through else self._in[to].passes(due, len(packet))
            if arrives <= now:
                found.append((to, packet))
            else:
                self._hold(arrives, True, to, packet)
        return found

    def _hold(self, due: float, through: bool, to: int, packet: bytes) -> None:
        self._number += 1
        heapq.heappush(self._held, (due, self._number, through, to, packet))


def address(index: int) -> str:
    """The address of the party in the namespace of that index."""
    return f"10.214.0.{index + 1}"


def interface_in(namespace: str, index: int) -> int:
    """A new interface inside a namespace; the descriptor to read its packets from and write to."""
    name = f"delay{os.getpid() % 100_000}-{index}"
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    request = struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI)
    fcntl.ioctl(descriptor, _TUNSETIFF, request)
    for command in (
        f"ip link set {name} netns {namespace}",
        f"ip -n {namespace} link set lo up",
        f"ip -n {namespace} addr add {address(index)}/24 dev {name}",
        f"ip -n {namespace} link set {name} mtu {MTU} txqueuelen 10000 up",
    ):
        subprocess.run(command.split(), check=True)
    return descriptor


def route(namespaces: list[str], delay_s: float, mbit_s: float) -> None:
    """Carries packets until standard input ends."""
    interfaces = [interface_in(name, index) for index, name in enumerate(namespaces)]
    senders = {fd: index for index, fd in enumerate(interfaces)}
    network = Network(len(interfaces), delay_s, mbit_s)
    ready = selectors.SelectSelector()  # waits to the microsecond; epoll to the millisecond
    for descriptor in (*interfaces, sys.stdin.fileno()):
        ready.register(descriptor, selectors.EVENT_READ)
    carried = 0
    print("ready", flush=True)
    while True:
        due = network.due()
        wait = None if due is None else max(0.0, due - time.monotonic())
        for key, _ in ready.select(wait):
            if key.fd == sys.stdin.fileno():
                if not os.read(key.fd, 4096):
                    return
                print(carried, flush=True)
                continue
            try:
                while True:
                    packet = os.read(key.fd, 65_536)
                    # The last byte of the destination (bytes 16 to 19 of an IPv4 header) is the
                    # party's number. What is not for a party (IPv6's greetings) goes nowhere.
                    to = packet[19] - 1 if packet[0] >> 4 == 4 else -1
                    if 0 <= to < len(interfaces):
                        network.send(time.monotonic(), senders[key.fd], to, packet)
            except BlockingIOError:
                pass
        for to, packet in network.delivered(time.monotonic()):
            carried += len(packet)
            os.write(interfaces[to], packet)


if __name__ == "__main__":
    route(sys.argv[3:], float(sys.argv[1]) / 1000, float(sys.argv[2]))
