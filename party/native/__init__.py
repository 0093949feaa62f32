"""The native executor and its channel, as Python sees them. Nothing here needs TensorFlow."""

from party.native.channel import AuthorityError, ChannelError, Connection, Context, Want
from party.native.executor import Executor, Kind, RunError
from party.native.library import variant

__all__ = [
    "AuthorityError",
    "ChannelError",
    "Connection",
    "Context",
    "Executor",
    "Kind",
    "RunError",
    "Want",
    "variant",
]
