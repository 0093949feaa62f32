"""The native executor and its channel, as Python sees them. Nothing here needs TensorFlow."""

from party.native.channel import ChannelFault, Connection, Context, Want
from party.native.executor import Executor, Kind, RunFault
from party.native.library import variant

__all__ = [
    "ChannelFault",
    "Connection",
    "Context",
    "Executor",
    "Kind",
    "RunFault",
    "Want",
    "variant",
]
