"""A router that holds every packet between the parties back for a while: a network with distance.

Run as ``python -m bench.delay MILLISECONDS NAMESPACE...`` by root. Each network namespace gets one
interface and the address that ``address`` names; a packet from one to another arrives MILLISECONDS
later, so a round trip takes twice that. Standard output says ``ready`` once it works, and after
that the bytes carried so far, whenever a line comes in on standard input.

It does what ``tc netem delay`` does, for kernels built without netem (those of small virtual
machines often are): all it needs is ``/dev/net/tun``. Packets are 1500 bytes at most, as on a real
path, so that TCP's windows grow as they would there.
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
_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000


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


def route(namespaces: list[str], delay_s: float) -> None:
    """Carries packets until standard input ends."""
    interfaces = [interface_in(name, index) for index, name in enumerate(namespaces)]
    # The last byte of the destination (bytes 16 to 19 of an IPv4 header) is the party's number.
    destination = {index + 1: fd for index, fd in enumerate(interfaces)}
    ready = selectors.SelectSelector()  # waits to the microsecond; epoll to the millisecond
    for descriptor in (*interfaces, sys.stdin.fileno()):
        ready.register(descriptor, selectors.EVENT_READ)
    held: list[tuple[float, int, int, bytes]] = []  # due, number, to, packet
    number = carried = 0
    print("ready", flush=True)
    while True:
        wait = max(0.0, held[0][0] - time.monotonic()) if held else None
        for key, _ in ready.select(wait):
            if key.fd == sys.stdin.fileno():
                if not os.read(key.fd, 4096):
                    return
                print(carried, flush=True)
                continue
            try:
                while True:
                    packet = os.read(key.fd, 65_536)
                    to = destination.get(packet[19]) if packet[0] >> 4 == 4 else None
                    if to is not None:  # what is not for a party (IPv6's greetings) goes nowhere
                        number += 1
                        heapq.heappush(held, (time.monotonic() + delay_s, number, to, packet))
            except BlockingIOError:
                pass
        now = time.monotonic()
        while held and held[0][0] <= now:
            _, _, to, packet = heapq.heappop(held)
            carried += len(packet)
            os.write(to, packet)


if __name__ == "__main__":
    route(sys.argv[2:], float(sys.argv[1]) / 1000)
