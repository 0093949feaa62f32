"""A machine that is gone without a word: no end of the connection, no reset, no acknowledgement.

The kernel of the other end acknowledges what its process never reads, so that a relay that merely
stops reading is a process that stands still. A filter of the socket's own (``SO_ATTACH_FILTER``,
classic BPF) that takes no byte drops segments before TCP sees them: for whoever sent them, the
machine is gone. It takes no rights.
"""

from __future__ import annotations

import ctypes
import socket
import struct

_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_RETURN_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)  # BPF_RET | BPF_K, of no byte


def vanish(end: socket.socket) -> None:
    """From now on nothing reaches this end of a connection, or whoever would connect to it."""
    code = ctypes.create_string_buffer(_RETURN_NOTHING)
    program = struct.pack("HL", 1, ctypes.addressof(code))
    end.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def come_back(end: socket.socket) -> None:
    """What is sent again from now on arrives."""
    end.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
