"""Loads the native library: of its variants, the best that this processor runs."""

from __future__ import annotations

import ctypes
import os
from ctypes import (
    POINTER,
    c_char_p,
    c_double,
    c_int,
    c_int32,
    c_int64,
    c_uint32,
    c_uint64,
    c_void_p,
)
from functools import cache
from pathlib import Path

from party.process.errors import InputError, JobError

PARTY_COUNT = 3
TEXT_BYTES = 256

CPU = "TFE_KIT_CPU"
"""The environment variable that names a variant instead of the processor's best."""

_VARIANTS = {"baseline": ("", 0), "v3": ("_v3", 3), "v4": ("_v4", 4)}


class Frame(ctypes.Structure):
    """A message's header, as on the wire."""

    _fields_ = (("step", c_uint64), ("key", c_uint32), ("bytes", c_uint32))


class ErrorRecord(ctypes.Structure):
    """What ended a run (``kit_error``)."""

    _fields_ = (
        ("kind", c_int32),
        ("peer", c_int32),
        ("culprit", c_int32),
        ("trouble", c_int32),
        ("final", c_int32),
        ("unused", c_int32),
        ("step", c_int64),
        ("instruction", c_int64),
        ("expected", Frame),
        ("got", Frame),
        ("text", ctypes.c_char * TEXT_BYTES),
    )


class Counters(ctypes.Structure):
    """What an executor has done so far (``kit_counters``)."""

    _fields_ = tuple(
        (name, c_int64)
        for name in (
            "progress",
            "bytes_sent",
            "bytes_received",
            "messages_sent",
            "messages_received",
            "writes",
            "waits",
        )
    )


class Pem(ctypes.Structure):
    """A text in PEM (``kit_pem``)."""

    _fields_ = (("text", c_char_p), ("bytes", c_int64))


class Keys(ctypes.Structure):
    """What a TLS context is made of (``kit_keys``)."""

    _fields_ = (("authority", Pem), ("certificate", Pem), ("key", Pem), ("fips", c_int64))


class Program(ctypes.Structure):
    """What an executor is asked to run (``kit_program``)."""

    _fields_ = (
        ("code", c_void_p),
        ("count", c_int64),
        ("first_step", c_int64),
        ("steps", c_int64),
        ("rows", c_void_p),
        ("row_count", c_int64),
        ("table", c_void_p),
        ("table_rows", c_int64),
        ("table_columns", c_int64),
        ("table_element", c_int64),
        ("time_limit", c_double),
        ("silence_limit", c_double),
    )


class Spilled(ctypes.Structure):
    """A share that lies in a file (``kit_spilled``)."""

    _fields_ = tuple((name, c_int64) for name in ("place", "rows", "width", "capacity"))


_FUNCTIONS = {
    "kit_cpu_level": (c_int, ()),
    "kit_context_new": (c_void_p, (POINTER(Keys), c_int64, c_char_p)),
    "kit_context_free": (None, (c_void_p,)),
    "kit_connection_new": (c_void_p, (c_void_p, c_int, c_int, c_char_p)),
    "kit_connection_free": (None, (c_void_p,)),
    "kit_connection_handshake": (c_int, (c_void_p,)),
    "kit_connection_peer": (c_int, (c_void_p, c_char_p, c_int)),
    "kit_connection_peer_digests": (c_int, (c_void_p, c_char_p, c_char_p)),
    "kit_connection_read": (c_int64, (c_void_p, c_void_p, c_int64)),
    "kit_connection_write": (c_int64, (c_void_p, c_char_p, c_int64)),
    "kit_connection_flush": (c_int, (c_void_p,)),
    "kit_connection_close_notify": (c_int, (c_void_p,)),
    "kit_connection_unanswered": (c_int, (c_void_p, c_int64)),
    "kit_connection_authority": (c_int, (c_void_p,)),
    "kit_connection_claim": (c_char_p, (c_void_p,)),
    "kit_connection_error": (c_char_p, (c_void_p,)),
    "kit_executor_new": (
        c_void_p,
        (c_void_p, c_void_p, POINTER(c_void_p), c_int, POINTER(c_int64), c_int, c_void_p),
    ),
    "kit_executor_free": (None, (c_void_p,)),
    "kit_executor_run": (c_int, (c_void_p, POINTER(Program), POINTER(ErrorRecord))),
    "kit_executor_meet": (
        c_int,
        (
            c_void_p,
            c_int64,
            c_uint64,
            POINTER(c_uint64),
            c_double,
            c_double,
            POINTER(ErrorRecord),
        ),
    ),
    "kit_executor_finish": (c_int, (c_void_p, c_double, c_double, POINTER(ErrorRecord))),
    "kit_executor_stop": (None, (c_void_p,)),
    "kit_executor_counters": (POINTER(Counters), (c_void_p,)),
    "kit_spill_new": (c_void_p, (c_int, POINTER(Spilled), c_int64)),
    "kit_spill_free": (None, (c_void_p,)),
    "kit_spill_bytes": (c_int64, (POINTER(Spilled), c_int64)),
    "kit_spill_renew": (c_int, (c_void_p,)),
}


def _open(suffix: str) -> ctypes.CDLL:
    path = Path(__file__).with_name(f"_executor{suffix}.so")
    hint = "install the package again: pip install ."
    if not path.exists():
        raise JobError("the native library is missing", str(path), hint)
    # Its own OpenSSL before any other: TensorFlow, in a process that builds a plan, offers all
    # others a BoringSSL with functions of the same names. Sanitizers do not allow this.
    sanitized = "libasan" in os.environ.get("LD_PRELOAD", "")
    mode = os.RTLD_NOW | (0 if sanitized else getattr(os, "RTLD_DEEPBIND", 0))  # musl has none
    try:
        return ctypes.CDLL(str(path), mode=mode)
    except OSError as problem:
        raise JobError("the native library cannot be loaded", str(problem), hint) from None


@cache
def variant() -> str:
    """The variant in use: ``baseline``, ``v3`` or ``v4`` (x86-64-v3 and -v4)."""
    best: int = _open("").kit_cpu_level()
    runs = [name for name, (_, level) in _VARIANTS.items() if level <= best]
    asked = os.environ.get(CPU)
    if asked is None:
        return runs[-1]
    if asked not in runs:
        raise InputError(f"{CPU} names no variant for this processor", asked, " or ".join(runs))
    return asked


@cache
def library() -> ctypes.CDLL:
    """The library, its functions declared. Raises JobError where it was not built."""
    found = _open(_VARIANTS[variant()][0])
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(found, name)
        function.restype = result
        function.argtypes = arguments
    return found
