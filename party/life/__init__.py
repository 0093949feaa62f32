"""A party's life: what it brings to a job, how its jobs follow each other, what it leaves."""

from party.life.jobs import play
from party.life.options import Options, address

__all__ = ["Options", "address", "play"]
