"""The native executor and its channel, as Python sees them. Nothing here needs TensorFlow."""

from party.native.channel import AuthorityError, ChannelError, Connection, Context, Want
from party.native.executor import Executor, Kind, RunError, wipe
from party.native.library import variant
from party.native.spill import Spill

__all__ = [
    "AuthorityError",
    "ChannelError",
    "Connection",
    "Context",
    "Executor",
    "Kind",
    "RunError",
    "Spill",
    "Want",
    "variant",
    "wipe",
]
